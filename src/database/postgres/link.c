/* The kept connection to a server, through its socket: see postgres.h. Thread: one at a time. After
 * an error of the connection, a limit or an interruption it is closed, and the next statement
 * makes a new one. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whatever parameter groups say for clients. (A standby refuses serializable transactions.) */
static const char options[] =
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0 "
    "-c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off "
    "-c default_transaction_deferrable=off -c default_transaction_isolation=read\\ committed "
    "-c synchronous_commit=local -c search_path=pg_catalog -c log_statement=none -c datestyle=ISO "
    "-c intervalstyle=postgres -c bytea_output=hex -c client_encoding=UTF8 -c row_security=off "
    "-c standard_conforming_strings=on -c session_replication_role=origin -c jit=off "
    "-c log_min_duration_statement=-1 -c log_duration=off -c log_min_error_statement=panic "
    "-c plan_cache_mode=force_generic_plan";

struct postgres_link {
    struct pg_conn *conn; /* NULL: none */
    char *conninfo;       /* of a server that somebody else runs; else NULL */
    char socket[PATH_SIZE];
    char lease[PATH_SIZE];
    char port[8];
    unsigned prepared;           /* bits of enum link_often: this connection knows them */
    struct link_pending pending; /* of this connection's server; zeros: not known */
};

struct postgres_link *postgres_link_new(const struct postgres *server)
{
    struct postgres_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        abort(); /* a size of ours */
    }
    /* Paths that are too long are refused by whoever makes the server. */
    (void)snprintf(link->socket, sizeof(link->socket), "%s/run", server->directory);
    (void)snprintf(link->lease, sizeof(link->lease), "%s/run/lease", server->directory);
    (void)snprintf(link->port, sizeof(link->port), "%u", (unsigned)server->port);
    return link;
}

struct postgres_link *postgres_link_new_to(const char *conninfo, const char *lease)
{
    struct postgres_link *link = calloc(1, sizeof(*link));
    char *copy = strdup(conninfo);
    if (link == NULL || copy == NULL) {
        abort(); /* a size of ours */
    }
    link->conninfo = copy;
    (void)snprintf(link->lease, sizeof(link->lease), "%s", lease); /* one too long fits no server */
    return link;
}

void postgres_link_drop(struct postgres_link *link)
{
    sql_close(link->conn);
    link->conn = NULL;
    link->prepared = 0;
    link->pending = (struct link_pending){.waits = false};
}

struct link_pending *link_pending(struct postgres_link *link)
{
    return &link->pending;
}

void postgres_link_free(struct postgres_link *take_link)
{
    if (take_link != NULL) {
        postgres_link_drop(take_link);
        free(take_link->conninfo);
        free(take_link);
    }
}

const char *link_lease(const struct postgres_link *link)
{
    return link->lease;
}

int postgres_link_ready(struct postgres_link *link, const struct postgres_limit *limit,
                        struct err *err)
{
    if (link->conn != NULL && PQstatus(link->conn) == CONNECTION_OK) {
        return 0;
    }
    postgres_link_drop(link);
    if (link->conninfo != NULL) {
        return sql_connect_string(link->conninfo, options, limit, &link->conn, err);
    }
    const char *keywords[] = {"host",     "port",    "user",    "dbname", "application_name",
                              "passfile", "sslmode", "options", NULL};
    const char *values[] = {link->socket,   link->port, POSTGRES_ADMIN,
                            POSTGRES_ADMIN, "leeward",  "/nonexistent",
                            "disable",      options,    NULL};
    return sql_connect(keywords, values, limit, &link->conn, err);
}

static int run_once(struct postgres_link *link, enum link_often often, const char *statement,
                    const char *const *parameters, int count, const struct postgres_limit *limit,
                    char *state, struct pg_result **ret_result, struct err *err)
{
    char name[24];
    if (often == LINK_SELDOM) {
        return sql_run(link->conn, statement, parameters, count, limit, state, ret_result, err);
    }
    (void)snprintf(name, sizeof(name), "leeward_%u", (unsigned)often);
    if ((link->prepared & 1U << often) == 0) {
        int r = sql_prepare(link->conn, name, statement, limit, err);
        if (r < 0) {
            return r;
        }
        link->prepared |= 1U << often;
    }
    return sql_run_prepared(link->conn, name, parameters, count, limit, state, ret_result, err);
}

int link_run(struct postgres_link *link, const char *statement, const char *const *parameters,
             int count, const struct postgres_limit *limit, struct pg_result **ret_result,
             struct err *err)
{
    return link_run_often(link, LINK_SELDOM, statement, parameters, count, limit, ret_result, err);
}

int link_run_often(struct postgres_link *link, enum link_often often, const char *statement,
                   const char *const *parameters, int count, const struct postgres_limit *limit,
                   struct pg_result **ret_result, struct err *err)
{
    /* A kept connection may be to a server that was started again since: once more then. All
     * statements of this room may be run twice. */
    bool kept = link->conn != NULL;
    for (;;) {
        int r = postgres_link_ready(link, limit, err);
        if (r < 0) {
            return r;
        }
        char state[6] = "";
        r = run_once(link, often, statement, parameters, count, limit, state, ret_result, err);
        bool broken = PQstatus(link->conn) != CONNECTION_OK;
        if (r < 0 && (broken || state[0] == '\0')) {
            postgres_link_drop(link); /* not an error of the statement */
        }
        if (r == 0 || !kept || !broken) {
            return r;
        }
        kept = false;
        err_clear(err);
    }
}
