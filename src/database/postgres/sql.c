/* Connections by libpq, never waiting for longer than the caller's limit: everything is done on
 * sockets that do not block. See internal.h. Thread: a connection belongs to one at a time. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The opaque types are libpq's. */
static PGconn *real_conn(struct pg_conn *conn)
{
    return conn;
}

static const PGresult *real_result(const struct pg_result *result)
{
    return result;
}

/* libpq's messages have several lines: one sentence of them. */
static int fail(struct err *err, const char *what, const char *message)
{
    char text[200];
    size_t length = 0;
    for (const char *at = message; *at != '\0' && length < sizeof(text) - 1; at++) {
        bool space = *at == '\n' || *at == '\t';
        if (!space || (length > 0 && text[length - 1] != ' ')) {
            text[length++] = space ? ' ' : *at;
        }
    }
    while (length > 0 && text[length - 1] == ' ') {
        length--;
    }
    text[length] = '\0';
    text_mend(text);
    return err_set(err, ERR_UNAVAILABLE, "%s: %s", what, text);
}

static void say_nothing(void *context, const char *message)
{
    (void)context;
    (void)message; /* notices of the server are for people at terminals */
}

static int finish_connecting(PGconn *conn, const struct postgres_limit *limit, struct err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        struct pollfd fd = {.fd = PQsocket(conn),
                            .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int r = limit_poll(limit, &fd, 1, -1, "connecting to PostgreSQL", err);
        if (r < 0) {
            return r;
        }
        state = PQconnectPoll(conn);
        if (state == PGRES_POLLING_FAILED) {
            return fail(err, "connecting to PostgreSQL", PQerrorMessage(conn));
        }
    }
    return 0;
}

static int connect_with(const char *const *keywords, const char *const *values, bool expand,
                        const struct postgres_limit *limit, struct pg_conn **ret_conn,
                        struct err *err)
{
    PGconn *conn = PQconnectStartParams(keywords, values, expand ? 1 : 0);
    if (conn == NULL) {
        return err_set(err, ERR_MEMORY, "connecting to PostgreSQL");
    }
    (void)PQsetNoticeProcessor(conn, say_nothing, NULL); /* the one before is libpq's own */
    int r = PQstatus(conn) == CONNECTION_BAD
                ? fail(err, "connecting to PostgreSQL", PQerrorMessage(conn))
                : finish_connecting(conn, limit, err);
    if (r == 0 && PQsetnonblocking(conn, 1) != 0) {
        r = fail(err, "connecting to PostgreSQL", PQerrorMessage(conn));
    }
    if (r < 0) {
        PQfinish(conn);
        return r;
    }
    *ret_conn = conn;
    return 0;
}

int sql_connect(const char *const *keywords, const char *const *values,
                const struct postgres_limit *limit, struct pg_conn **ret_conn, struct err *err)
{
    return connect_with(keywords, values, false, limit, ret_conn, err);
}

int sql_connect_string(const char *conninfo, const char *options,
                       const struct postgres_limit *limit, struct pg_conn **ret_conn,
                       struct err *err)
{
    /* What comes after dbname has the last word. */
    const char *keywords[] = {"dbname", "application_name", "options", NULL};
    const char *values[] = {conninfo, "leeward", options, NULL};
    return connect_with(keywords, values, true, limit, ret_conn, err);
}

void sql_close(struct pg_conn *take_conn)
{
    PQfinish(take_conn);
}

static int flush(PGconn *conn, const struct postgres_limit *limit, struct err *err)
{
    for (;;) {
        int left = PQflush(conn);
        if (left == 0) {
            return 0;
        }
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN | POLLOUT};
        int r = left < 0 ? fail(err, "PostgreSQL", PQerrorMessage(conn))
                         : limit_poll(limit, &fd, 1, -1, "asking PostgreSQL", err);
        if (r < 0) {
            return r;
        }
        if ((fd.revents & POLLIN) != 0 && PQconsumeInput(conn) == 0) {
            return fail(err, "PostgreSQL", PQerrorMessage(conn));
        }
    }
}

/* The last result of what was sent; there is one, or the connection is broken. */
static int receive(PGconn *conn, const struct postgres_limit *limit, PGresult **ret_result,
                   struct err *err)
{
    PGresult *last = NULL;
    for (;;) {
        while (PQisBusy(conn) != 0) {
            struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
            int r = limit_poll(limit, &fd, 1, -1, "asking PostgreSQL", err);
            if (r == 0 && PQconsumeInput(conn) == 0) {
                r = fail(err, "PostgreSQL", PQerrorMessage(conn));
            }
            if (r < 0) {
                PQclear(last);
                return r;
            }
        }
        PGresult *next = PQgetResult(conn);
        if (next == NULL) {
            break;
        }
        PQclear(last);
        last = next;
        if (PQresultStatus(last) == PGRES_COPY_BOTH || PQresultStatus(last) == PGRES_COPY_OUT) {
            break; /* a stream begins, or went on after an error; nobody here asks for one */
        }
    }
    if (last == NULL) {
        return fail(err, "PostgreSQL", PQerrorMessage(conn));
    }
    *ret_result = last;
    return 0;
}

/* What became of a statement that was sent, or not. */
static int finish_statement(PGconn *real, int sent, const struct postgres_limit *limit,
                            char *sqlstate, struct pg_result **ret_result, struct err *err)
{
    if (sent == 0) {
        return fail(err, "PostgreSQL", PQerrorMessage(real));
    }
    int r = flush(real, limit, err);
    PGresult *result = NULL;
    if (r == 0) {
        r = receive(real, limit, &result, err);
    }
    if (r < 0) {
        return r;
    }
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        if (sqlstate != NULL) {
            (void)snprintf(sqlstate, 6, "%s", state != NULL ? state : "");
        }
        r = fail(err, "PostgreSQL", message != NULL ? message : PQresultErrorMessage(result));
        PQclear(result);
        return r;
    }
    *ret_result = result;
    return 0;
}

int sql_run(struct pg_conn *conn, const char *statement, const char *const *parameters, int count,
            const struct postgres_limit *limit, char *sqlstate, struct pg_result **ret_result,
            struct err *err)
{
    PGconn *real = real_conn(conn);
    int sent = count > 0
                   ? PQsendQueryParams(real, statement, count, NULL, parameters, NULL, NULL, 0)
                   : PQsendQuery(real, statement);
    return finish_statement(real, sent, limit, sqlstate, ret_result, err);
}

int sql_try_stream(struct pg_conn *conn, const char *statement, const struct postgres_limit *limit,
                   char *sqlstate, struct err *err)
{
    PGconn *real = real_conn(conn);
    PGresult *result = NULL;
    char *data = NULL;
    int sent = PQsendQuery(real, statement);
    int r = sent == 0 ? fail(err, "PostgreSQL", PQerrorMessage(real)) : flush(real, limit, err);
    r = r < 0 ? r : receive(real, limit, &result, err);
    int size = 0;
    while (r == 0 && PQresultStatus(result) == PGRES_COPY_BOTH &&
           (size = PQgetCopyData(real, &data, 1)) == 0) { /* nothing of the stream yet */
        struct pollfd fd = {.fd = PQsocket(real), .events = POLLIN};
        r = limit_poll(limit, &fd, 1, -1, "asking PostgreSQL for its log", err);
        if (r == 0 && PQconsumeInput(real) == 0) {
            r = fail(err, "PostgreSQL", PQerrorMessage(real));
        }
    }
    PQfreemem(data);
    if (r == 0 && size < 0) { /* it ended, and says why */
        PQclear(result);
        result = NULL;
        r = receive(real, limit, &result, err);
    }
    if (r == 0 && PQresultStatus(result) == PGRES_FATAL_ERROR) {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        (void)snprintf(sqlstate, 6, "%s", state != NULL ? state : "");
        r = fail(err, "PostgreSQL", message != NULL ? message : PQresultErrorMessage(result));
    }
    PQclear(result);
    return r;
}

int sql_prepare(struct pg_conn *conn, const char *name, const char *statement,
                const struct postgres_limit *limit, struct err *err)
{
    PGconn *real = real_conn(conn);
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int sent = PQsendPrepare(real, name, statement, 0, NULL);
    return finish_statement(real, sent, limit, NULL, &result, err);
}

int sql_run_prepared(struct pg_conn *conn, const char *name, const char *const *parameters,
                     int count, const struct postgres_limit *limit, char *sqlstate,
                     struct pg_result **ret_result, struct err *err)
{
    PGconn *real = real_conn(conn);
    int sent = PQsendQueryPrepared(real, name, count, parameters, NULL, NULL, 0);
    return finish_statement(real, sent, limit, sqlstate, ret_result, err);
}

void sql_result_free(struct pg_result *take_result)
{
    PQclear(take_result);
}

void sql_result_cleanup(struct pg_result **result)
{
    PQclear(*result);
}

void sql_conn_cleanup(struct pg_conn **conn)
{
    PQfinish(*conn);
}

int sql_rows(const struct pg_result *result)
{
    return PQntuples(real_result(result));
}

const char *sql_text(const struct pg_result *result, int row, int column)
{
    return PQgetvalue(real_result(result), row, column); /* "" for NULL */
}

bool sql_is_null(const struct pg_result *result, int row, int column)
{
    return PQgetisnull(real_result(result), row, column) == 1;
}

int64_t sql_i64(const struct pg_result *result, int row, int column, int64_t otherwise)
{
    int64_t value = 0;
    return text_to_i64(sql_text(result, row, column), INT64_MIN, INT64_MAX, &value) == 0
               ? value
               : otherwise;
}

bool sql_bool(const struct pg_result *result, int row, int column)
{
    return text_equal(sql_text(result, row, column), "t");
}

model_lsn sql_lsn(const struct pg_result *result, int row, int column)
{
    model_lsn lsn = 0;
    return model_lsn_parse(sql_text(result, row, column), &lsn) == 0 ? lsn : 0;
}

struct wall sql_wall_us(const struct pg_result *result, int row, int column)
{
    return (struct wall){.ns = sql_i64(result, row, column, 0) * TIME_US};
}

/* Whatever parameter groups say for clients. */
static const char upstream_options[] =
    "-c statement_timeout=0 -c lock_timeout=0 -c search_path=pg_catalog "
    "-c default_transaction_isolation=read\\ committed";

int sql_connect_upstream(const struct postgres *server, const struct postgres_upstream *upstream,
                         const char *database, const struct postgres_limit *limit,
                         struct pg_conn **ret_conn, struct err *err)
{
    if (text_empty(upstream->address) || upstream->password == NULL) {
        return err_set(err, ERR_INVALID, "there is no upstream to connect to");
    }
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)upstream->port);
    const char *keywords[] = {"host",
                              "port",
                              "user",
                              "password",
                              "dbname",
                              "sslmode",
                              "channel_binding",
                              "application_name",
                              "replication",
                              "passfile",
                              "options",
                              NULL};
    const char *values[] = {upstream->address,
                            port,
                            POSTGRES_REPLICATION,
                            upstream->password->data,
                            text_empty(database) ? "replication" : database,
                            "require",
                            "require",
                            server->name,
                            text_empty(database) ? "true" : "false",
                            "/nonexistent",
                            upstream_options,
                            NULL};
    int r = sql_connect(keywords, values, limit, ret_conn, err);
    return r < 0 ? err_wrap(err, "%s:%s", upstream->address, port) : 0;
}
