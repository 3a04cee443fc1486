/* A client that writes numbered rows into PostgreSQL all the time and logs what became of each, so
 * that a judge (test/lib/rows.py) can tell how long nobody could write, and which rows were lost,
 * doubled, or there although nobody knew. For bench/db, tools/demo-db and the tests.
 *
 * It is as an application is that follows the writer by libpq's own means: several hosts in one
 * connection string, target_session_attrs=read-write, and another try 10 ms after a failed one. The
 * hosts are tried in their order, each by itself, because libpq bounds its attempts in whole
 * seconds and not at all when it is asked without blocking; here no wait is without a bound.
 *
 * A row is one transaction, and acknowledged when the server says that it is ready for the next
 * query: CommandComplete comes before the commit. Numbers are never used again, so what is there
 * twice was doubled by the server. One thread; --help has the options and the log. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define HOSTS 16U
#define PARAMETERS 64U
#define WORD 64U   /* of a reason, with its NUL */
#define TABLE 128U /* with its NUL */
#define NUMBER_TEXT 24U
#define NUMBER_MOST INT64_C(1000000000000)
#define SIZE_MOST 1000000
#define MS_MOST 3600000
/* No two writers of a group have one timeline, so this names a transaction for good. */
#define RETURNING                                                                                  \
    " RETURNING substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) || '.' || "             \
    "pg_current_xact_id()"

static const char help[] =
    "usage: bench_db_client [OPTION...] CONNINFO\n"
    "\n"
    "Writes numbered rows, one transaction each, one after the other, until SIGTERM or SIGINT.\n"
    "CONNINFO is a connection string of libpq, mostly with several hosts: the first that accepts\n"
    "writes is taken, and looked for anew when it does not any more.\n"
    "\n"
    "  --table NAME      to write into (rows)\n"
    "  --transactions    WHY of an acknowledged row says which transaction it is\n"
    "  --create          makes the table, once, when it is not there:\n"
    "                    (client integer, number bigint, at timestamptz, filler text)\n"
    "  --client N        value of its column `client`, to tell several apart (1)\n"
    "  --first N         number of the first row (1)\n"
    "  --rows N          ends after so many rows (0: never)\n"
    "  --pause-us N      rest after each row (0)\n"
    "  --size N          bytes of filler in each row (0)\n"
    "  --retry-ms N      rest after all hosts refused (10)\n"
    "  --connect-ms N    how long one attempt at one host may take (1000)\n"
    "  --answer-ms N     how long a row may take; then it counts as unknown and the session is\n"
    "                    left (5000)\n"
    "  --log FILE        where the log goes, line by line (standard output)\n"
    "\n"
    "The log, times in nanoseconds of CLOCK_MONOTONIC:\n"
    "  begin TIME CLIENT TABLE\n"
    "  session TIME HOST:PORT             connected to a server that accepts writes\n"
    "  row NUMBER SENT ENDED OUTCOME WHY  one row, when that is known\n"
    "  lost TIME WHY                      the end of a session\n"
    "  end TIME                           the last line, unless the client was killed\n"
    "OUTCOME is `acknowledged`; `refused`: the server answered with an error, so the row is not\n"
    "there; or `unknown`: the answer did not come, the row may be there. WHY is SQLSTATE, a word\n"
    "(ended, timeout, stopped), or \"-\"; with --transactions, of an acknowledged row,\n"
    "TIMELINE.NUMBER of its transaction, the timeline with eight hexadecimal digits.\n";

enum outcome {
    ACKNOWLEDGED,
    REFUSED,
    UNKNOWN,
};

/* One host of the connection string, as libpq takes it. */
struct host {
    const char *keywords[PARAMETERS + 1];
    const char *values[PARAMETERS + 1];
    unsigned count;
};

struct client {
    /* as the command line has it */
    const char *table;
    bool create;
    bool transactions;
    int64_t client;
    int64_t first;
    int64_t rows; /* 0: no end */
    int64_t pause_ns;
    int64_t size;
    int64_t retry_ns;
    int64_t connect_ns;
    int64_t answer_ns;
    FILE *log;

    struct host hosts[HOSTS];
    unsigned host_count;
    int signals;        /* signalfd: readable when it is to end */
    bool stopped;       /* it was */
    PGconn *connection; /* NULL: none */
    char insert[384];   /* the statement */
    char *filler;       /* size bytes */
    char why[WORD];     /* what ended the last row or attempt: one word */
};

static NORETURN void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_db_client: %s: %s\n", what, why);
    exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void set_why(struct client *client, const char *why)
{
    char *out = client->why;
    IGNORE_RESULT(text_copy(out, sizeof client->why, text_empty(why) ? "-" : why)); /* ours: fits */
}

/* ---- waiting ---- */

/* Waits until the socket (-1: none) has one of the events. False when the deadline passed, or it is
 * to end, which client->stopped says. */
static bool wait_for(struct client *client, int fd, short events, struct mono deadline)
{
    struct pollfd polled[] = {{.fd = client->signals, .events = POLLIN},
                              {.fd = fd, .events = events}};
    int64_t left = mono_since(deadline, mono_now());
    left = MAX(left, 0);
    struct timespec wait = {.tv_sec = left / TIME_S, .tv_nsec = left % TIME_S};
    int ready = ppoll(polled, ARRAY_SIZE(polled), &wait, NULL);
    if (ready < 0 && errno != EINTR) {
        die("waiting", strerror(errno)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    if (polled[0].revents != 0) {
        client->stopped = true;
    }
    if (client->stopped || ready == 0) {
        set_why(client, client->stopped ? "stopped" : "timeout");
        return false;
    }
    return true;
}

static void rest(struct client *client, int64_t ns)
{
    struct mono deadline = mono_from_now(ns);
    while (wait_for(client, -1, 0, deadline)) {
    }
}

/* ---- one statement ---- */

/* Sends what libpq has kept back, and takes what has come. */
static bool flush(struct client *client, struct mono deadline)
{
    for (;;) {
        int left = PQflush(client->connection);
        if (left <= 0) {
            return left == 0;
        }
        if (!wait_for(client, PQsocket(client->connection), POLLIN | POLLOUT, deadline) ||
            PQconsumeInput(client->connection) == 0) {
            return false;
        }
    }
}

/* The results of the statement that was sent, up to the server's being ready for the next one. */
static enum outcome results(struct client *client, struct mono deadline)
{
    bool failed = false;
    for (;;) {
        while (PQisBusy(client->connection) != 0) {
            if (!wait_for(client, PQsocket(client->connection), POLLIN, deadline)) {
                return UNKNOWN;
            }
            if (PQconsumeInput(client->connection) == 0) {
                set_why(client, "ended");
                return UNKNOWN;
            }
        }
        PGresult *result = PQgetResult(client->connection);
        if (result == NULL) {
            break;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !failed) {
            const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
            set_why(client, text_empty(state) ? "ended" : state);
            failed = true;
        } else if (PQntuples(result) == 1) {
            set_why(client, PQgetvalue(result, 0, 0));
        }
        PQclear(result);
    }
    if (PQstatus(client->connection) != CONNECTION_OK ||
        PQtransactionStatus(client->connection) != PQTRANS_IDLE) {
        if (!failed) {
            set_why(client, "ended");
        }
        return UNKNOWN; /* an error that ends a session may come after the commit */
    }
    return failed ? REFUSED : ACKNOWLEDGED;
}

static enum outcome run_statement(struct client *client, const char *statement, int count,
                                  const char *const *values)
{
    struct mono deadline = mono_from_now(client->answer_ns);
    set_why(client, "-");
    if (PQsendQueryParams(client->connection, statement, count, NULL, values, NULL, NULL, 0) == 0 ||
        !flush(client, deadline)) {
        if (text_equal(client->why, "-")) {
            set_why(client, "ended");
        }
        return UNKNOWN;
    }
    return results(client, deadline);
}

/* ---- sessions ---- */

static void leave(struct client *client)
{
    (void)fprintf(client->log, "lost %" PRId64 " %s\n", mono_now().ns, client->why);
    PQfinish(client->connection);
    client->connection = NULL;
}

static void ignore_notice(void *argument UNUSED, const char *text UNUSED)
{
}

/* One attempt at one host. */
static bool connect_to(struct client *client, const struct host *host)
{
    struct mono deadline = mono_from_now(client->connect_ns);
    PGconn *connection = PQconnectStartParams(host->keywords, host->values, 0);
    if (connection == NULL) {
        die("connecting", "no memory");
    }
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    if (PQstatus(connection) == CONNECTION_BAD) {
        next = PGRES_POLLING_FAILED;
    }
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        if (!wait_for(client, PQsocket(connection),
                      next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
            break;
        }
        next = PQconnectPoll(connection);
    }
    if (next != PGRES_POLLING_OK || PQsetnonblocking(connection, 1) != 0) {
        PQfinish(connection);
        return false;
    }
    (void)PQsetNoticeProcessor(connection, ignore_notice, NULL); /* the one before: not needed */
    client->connection = connection;
    (void)fprintf(client->log, "session %" PRId64 " %s:%s\n", mono_now().ns, PQhost(connection),
                  PQport(connection));
    return true;
}

static bool make_table(struct client *client)
{
    char statement[256];
    (void)snprintf(statement, sizeof statement,
                   "CREATE TABLE IF NOT EXISTS %s (client integer, number bigint, "
                   "at timestamptz DEFAULT clock_timestamp(), filler text)",
                   client->table);
    return run_statement(client, statement, 0, NULL) == ACKNOWLEDGED;
}

/* Looks for a server that accepts writes, as long as it takes. False when it is to end. */
static bool find_writer(struct client *client)
{
    while (!client->stopped) {
        for (unsigned i = 0; i < client->host_count && !client->stopped; i++) {
            if (!connect_to(client, &client->hosts[i])) {
                continue;
            }
            if (!client->create || make_table(client)) {
                client->create = false;
                return true;
            }
            leave(client);
        }
        if (!client->stopped) {
            rest(client, client->retry_ns);
        }
    }
    return false;
}

/* ---- rows ---- */

static enum outcome write_row(struct client *client, int64_t number)
{
    static const char *const names[] = {
        [ACKNOWLEDGED] = "acknowledged", [REFUSED] = "refused", [UNKNOWN] = "unknown"};
    char who[NUMBER_TEXT];
    char which[NUMBER_TEXT];
    const char *values[] = {who, which, client->filler};
    (void)snprintf(who, sizeof who, "%" PRId64, client->client);
    (void)snprintf(which, sizeof which, "%" PRId64, number);
    struct mono sent = mono_now();
    enum outcome outcome = run_statement(client, client->insert, ARRAY_SIZE(values), values);
    (void)fprintf(client->log, "row %" PRId64 " %" PRId64 " %" PRId64 " %s %s\n", number, sent.ns,
                  mono_now().ns, names[outcome], client->why);
    return outcome;
}

/* Between rows: a server that ends the session is left at once, not with the next row. */
static void pause_between(struct client *client)
{
    struct mono deadline = mono_from_now(client->pause_ns);
    while (wait_for(client, PQsocket(client->connection), POLLIN, deadline)) {
        if (PQconsumeInput(client->connection) == 0 ||
            PQstatus(client->connection) != CONNECTION_OK) {
            set_why(client, "ended");
            leave(client);
            return;
        }
    }
}

static void write_rows(struct client *client)
{
    int64_t number = client->first;
    while (!client->stopped && (client->rows == 0 || number < client->first + client->rows)) {
        if (client->connection == NULL && !find_writer(client)) {
            return;
        }
        if (write_row(client, number) != ACKNOWLEDGED) {
            leave(client);
        } else if (client->pause_ns != 0) {
            pause_between(client);
        }
        number++;
    }
}

/* ---- the command line ---- */

/* Part `index` of a list with commas, in memory that is never freed; an empty one where the list is
 * shorter, but for a list of one, which is for all. */
static const char *part_of(const char *list, unsigned index)
{
    const char *at = list;
    if (list == NULL || strchr(list, ',') == NULL) {
        return list;
    }
    for (unsigned i = 0; i < index && at != NULL; i++) {
        at = strchr(at, ',');
        at = at != NULL ? at + 1 : NULL;
    }
    return at != NULL ? memory_printf("%.*s", (int)strcspn(at, ","), at) : "";
}

static void add(struct host *host, const char *keyword, const char *value)
{
    if (text_empty(value)) {
        return;
    }
    if (host->count == PARAMETERS) {
        die("the connection string", "too many parameters");
    }
    host->keywords[host->count] = keyword;
    host->values[host->count++] = value;
}

static unsigned parts(const char *list)
{
    unsigned count = 1;
    for (; list != NULL && (list = strchr(list, ',')) != NULL; list++) {
        count++;
    }
    return count;
}

/* One connection string with several hosts becomes as many with one. */
static void split_hosts(struct client *client, const char *conninfo)
{
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &problem);
    if (options == NULL) {
        die("the connection string", problem != NULL ? problem : "no memory");
    }
    client->host_count = 1;
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (text_equal(option->keyword, "host") || text_equal(option->keyword, "hostaddr")) {
            client->host_count = MAX(client->host_count, parts(option->val));
        }
    }
    if (client->host_count > HOSTS) {
        die("the connection string", "too many hosts");
    }
    for (unsigned i = 0; i < client->host_count; i++) {
        struct host *host = &client->hosts[i];
        for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
            bool listed = text_equal(option->keyword, "host") ||
                          text_equal(option->keyword, "hostaddr") ||
                          text_equal(option->keyword, "port");
            if (!text_equal(option->keyword, "target_session_attrs")) {
                add(host, option->keyword, listed ? part_of(option->val, i) : option->val);
            }
        }
        add(host, "target_session_attrs", "read-write");
        add(host, "fallback_application_name", "rows");
    }
    /* The options are used as long as the client runs. */
}

/* So that it needs no quotes. */
static const char *table_of(const char *name)
{
    if (name[0] == '\0' || strlen(name) >= TABLE ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") != strlen(name)) {
        die("--table", "small letters, digits, _ and . only");
    }
    return name;
}

static FILE *open_log(const char *path)
{
    FILE *log = fopen(path, "we");
    if (log == NULL) {
        die(path, strerror(errno)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    return log;
}

/* Options with a number: where it goes, and what it may be. */
struct number_option {
    const char *name;
    size_t offset; /* of an int64_t in struct client */
    int64_t unit;  /* it is multiplied by that */
    int64_t least;
    int64_t most;
};

static const struct number_option numbers[] = {
    {"client", offsetof(struct client, client), 1, 0, INT32_MAX},
    {"first", offsetof(struct client, first), 1, 0, NUMBER_MOST},
    {"rows", offsetof(struct client, rows), 1, 0, NUMBER_MOST},
    {"pause-us", offsetof(struct client, pause_ns), TIME_US, 0, NUMBER_MOST},
    {"size", offsetof(struct client, size), 1, 0, SIZE_MOST},
    {"retry-ms", offsetof(struct client, retry_ns), TIME_MS, 1, MS_MOST},
    {"connect-ms", offsetof(struct client, connect_ns), TIME_MS, 1, MS_MOST},
    {"answer-ms", offsetof(struct client, answer_ns), TIME_MS, 1, MS_MOST},
};

/* Values of getopt_long for the others; those of numbers are behind what it says of wrong ones. */
enum {
    OPTION_HELP = 1,
    OPTION_TABLE,
    OPTION_CREATE,
    OPTION_TRANSACTIONS,
    OPTION_LOG,
    OTHERS,
    OPTION_NUMBERS = 256,
};

static void take_number(struct client *client, const struct number_option *option)
{
    int64_t number = 0;
    char *field = (char *)client + option->offset;
    if (text_to_i64(optarg, option->least, option->most, &number) != 0) {
        die(option->name, "a number that it does not take");
    }
    number *= option->unit;
    (void)memcpy(field, &number, sizeof number);
}

static void take_option(struct client *client, int value)
{
    switch (value) {
    case OPTION_HELP:
        (void)fputs(help, stdout);
        exit(0); /* NOLINT(concurrency-mt-unsafe): one thread */
    case OPTION_TABLE:
        client->table = table_of(optarg);
        break;
    case OPTION_CREATE:
        client->create = true;
        break;
    case OPTION_TRANSACTIONS:
        client->transactions = true;
        break;
    case OPTION_LOG:
        client->log = open_log(optarg);
        break;
    default:
        if (value < OPTION_NUMBERS) {
            exit(2); /* NOLINT(concurrency-mt-unsafe): one thread; getopt said what is wrong */
        }
        take_number(client, &numbers[value - OPTION_NUMBERS]);
    }
}

/* The connection string. */
static const char *read_arguments(struct client *client, int argc, char **argv)
{
    struct option options[OTHERS + ARRAY_SIZE(numbers)] = {
        {"help", no_argument, NULL, OPTION_HELP},
        {"table", required_argument, NULL, OPTION_TABLE},
        {"create", no_argument, NULL, OPTION_CREATE},
        {"transactions", no_argument, NULL, OPTION_TRANSACTIONS},
        {"log", required_argument, NULL, OPTION_LOG},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        options[OTHERS - 1 + i] =
            (struct option){numbers[i].name, required_argument, NULL, OPTION_NUMBERS + (int)i};
    }
    int value = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((value = getopt_long(argc, argv, "", options, NULL)) != -1) {
        take_option(client, value);
    }
    if (optind != argc - 1) {
        (void)fputs(help, stderr);
        exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    return argv[optind];
}

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set); /* cannot fail, nor the next two */
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    int fd = pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
    if (fd < 0) {
        die("signals", strerror(errno)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    return fd;
}

int main(int argc, char **argv)
{
    static struct client client = {.table = "rows",
                                   .client = 1,
                                   .first = 1,
                                   .retry_ns = 10 * TIME_MS,
                                   .connect_ns = 1000 * TIME_MS,
                                   .answer_ns = 5000 * TIME_MS};
    client.log = stdout;
    split_hosts(&client, read_arguments(&client, argc, argv));
    client.signals = open_signals();
    client.filler = memory_array((size_t)client.size + 1, 1);
    (void)memset(client.filler, 'x', (size_t)client.size);
    (void)snprintf(client.insert, sizeof client.insert,
                   "INSERT INTO %s (client, number, filler) VALUES ($1, $2, $3)%s", client.table,
                   client.transactions ? RETURNING : "");
    (void)setvbuf(client.log, NULL, _IOLBF, BUFSIZ); /* a judge may read along */
    (void)fprintf(client.log, "begin %" PRId64 " %" PRId64 " %s\n", mono_now().ns, client.client,
                  client.table);
    write_rows(&client);
    if (client.connection != NULL) {
        set_why(&client, client.stopped ? "stopped" : "-");
        leave(&client);
    }
    (void)fprintf(client.log, "end %" PRId64 "\n", mono_now().ns);
    if (fclose(client.log) != 0) {
        die("the log", strerror(errno)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    return 0;
}
