/* What a server keeps of its log for others: the slots, and whether what somebody needs next is
 * still there. See postgres.h. Thread: as there. Nothing is kept between calls. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABEL_LIMIT 4096U

/* ---- what is there ---- */

/* PostgreSQL is asked to send it: it knows best which files of which timelines it would take. */
int postgres_has_log(const struct postgres *server, const struct postgres_upstream *upstream,
                     uint32_t timeline, model_lsn from, const struct postgres_limit *limit,
                     bool *ret_has, struct err *err)
{
    struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
    char statement[96];
    char lsn[MODEL_LSN_TEXT];
    char state[6] = "";
    int r = sql_connect_upstream(server, upstream, "", limit, &conn, err);
    if (r < 0) {
        return r;
    }
    model_lsn_format(from, lsn);
    (void)snprintf(statement, sizeof(statement), "START_REPLICATION PHYSICAL %s TIMELINE %u", lsn,
                   timeline);
    r = sql_try_stream(conn, statement, limit, state, err);
    bool gone = r < 0 && text_equal(state, "58P01"); /* "has already been removed" */
    if (gone) {
        err_clear(err);
    }
    if (r == 0 || gone) {
        *ret_has = !gone;
        return 0;
    }
    return err_wrap(err, "the log from %s on", lsn);
}

/* "START WAL LOCATION: 0/3000028 (file 000000010000000000000003)". */
static int parse_label(const char *text, uint32_t *ret_timeline, model_lsn *ret_from)
{
    static const char head[] = "START WAL LOCATION: ";
    static const char mark[] = " (file ";
    char lsn[MODEL_LSN_TEXT] = "";
    char digits[9] = "";
    uint8_t timeline[4];
    const char *start = strstr(text, head);
    const char *file = start != NULL ? strstr(start, mark) : NULL;
    if (file == NULL) {
        return -EBADMSG;
    }
    start += strlen(head);
    (void)snprintf(lsn, sizeof(lsn), "%.*s", (int)(file - start), start); /* cut: not a number */
    (void)snprintf(digits, sizeof(digits), "%.8s", file + strlen(mark));
    if (model_lsn_parse(lsn, ret_from) < 0 || text_unhex(digits, timeline, sizeof(timeline)) < 0) {
        return -EBADMSG;
    }
    *ret_timeline = (uint32_t)timeline[0] << 24U | (uint32_t)timeline[1] << 16U |
                    (uint32_t)timeline[2] << 8U | timeline[3];
    return 0;
}

int rewound_has_log(const struct postgres *server, const struct postgres_upstream *upstream,
                    const struct postgres_limit *limit, bool *ret_has, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    char path[PATH_SIZE];
    uint32_t timeline = 0;
    model_lsn from = 0;
    buf_init(&text, LABEL_LIMIT);
    int r = file_path(server, "data/backup_label", path, err);
    r = r < 0 ? r : file_read(path, LABEL_LIMIT - 1, &text, err);
    if (r < 0 && err->kind == ERR_NOT_FOUND) {
        err_clear(err);
        *ret_has = true; /* nothing had to be rewound */
        return 0;
    }
    if (r == 0 && parse_label(buf_text(&text), &timeline, &from) < 0) {
        r = err_set(err, ERR_CORRUPT, "%s cannot be read", path);
    }
    return r < 0 ? r : postgres_has_log(server, upstream, timeline, from, limit, ret_has, err);
}

/* ---- slots ---- */

static int make_slot(struct pg_conn *conn, const char *slot, const struct postgres_limit *limit,
                     bool *ret_exists, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    char state[6] = "";
    buf_init(&text, 512);
    buf_puts(&text, "CREATE_REPLICATION_SLOT ");
    quote_name(&text, slot);
    buf_puts(&text, " PHYSICAL RESERVE_WAL");
    int r = sql_run(conn, buf_text(&text), NULL, 0, limit, state, &result, err);
    *ret_exists = r < 0 && text_equal(state, "42710");
    if (*ret_exists) {
        err_clear(err);
        r = 0;
    }
    return r;
}

/* One that reserves nothing is of no use: its log was thrown away. Servers before PostgreSQL 15
 * do not tell, and whoever uses it keeps it. */
static bool drop_lost(struct pg_conn *conn, const char *slot, const struct postgres_limit *limit)
{
    struct buf text CLEANUP(buf_done);
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    struct pg_result *dropped CLEANUP(sql_result_cleanup) = NULL;
    struct err err = ERR_INIT;
    buf_init(&text, 512);
    buf_puts(&text, "READ_REPLICATION_SLOT ");
    quote_name(&text, slot);
    if (sql_run(conn, buf_text(&text), NULL, 0, limit, NULL, &result, &err) < 0 ||
        sql_rows(result) != 1 || sql_is_null(result, 0, 0) || !sql_is_null(result, 0, 1)) {
        return false;
    }
    buf_reset(&text);
    buf_puts(&text, "DROP_REPLICATION_SLOT ");
    quote_name(&text, slot);
    return sql_run(conn, buf_text(&text), NULL, 0, limit, NULL, &dropped, &err) == 0;
}

int upstream_slot(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, struct err *err)
{
    struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
    bool exists = false;
    int r = sql_connect_upstream(server, upstream, "", limit, &conn, err);
    if (r < 0) {
        return r;
    }
    r = make_slot(conn, upstream->slot, limit, &exists, err);
    if (r == 0 && exists && drop_lost(conn, upstream->slot, limit)) {
        r = make_slot(conn, upstream->slot, limit, &exists, err);
    }
    return r < 0 ? err_wrap(err, "making the slot %s", upstream->slot) : 0;
}
