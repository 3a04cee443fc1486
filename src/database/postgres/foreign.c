/* Servers that somebody else runs: what is done to them by statements, what their owner's programs
 * do, and what pg_controldata says of them. See postgres.h. Thread: as there; nothing is kept. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 2 /* at a promotion: there is no event for it */
#define WORDS 32U
#define CHECKPOINT_RECORD 114U /* bytes of a checkpoint's record, PostgreSQL 13 to 17 */
#define PAGE 8192U             /* of the log: XLOG_BLCKSZ */
#define PAGE_HEAD 24U
#define FILE_HEAD 40U /* the head of a file's first page */

static int run(struct postgres_link *link, const char *statement,
               const struct postgres_limit *limit, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    return link_run(link, statement, NULL, 0, limit, &result, err);
}

/* A setting of that name that a session may change is one that nobody has defined. */
int postgres_module(struct postgres_link *link, const struct postgres_limit *limit,
                    bool *ret_loaded, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    const char *const parameters[] = {link_lease(link)};
    int r = link_run(link,
                     "select exists (select from pg_settings where name = 'leeward.lease_file' and "
                     "context = 'postmaster' and setting = $1)",
                     parameters, 1, limit, &result, err);
    if (r == 0) {
        *ret_loaded = sql_bool(result, 0, 0);
    }
    return r;
}

int postgres_alter(struct postgres_link *link, const char *name, const char *value,
                   const struct postgres_limit *limit, bool *changed, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    const char *const parameters[] = {name};
    int r = link_run(link, "select current_setting($1, true)", parameters, 1, limit, &result, err);
    if (r < 0 || text_equal(sql_text(result, 0, 0), value)) {
        return r;
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 16384);
    buf_keep_secret(&text);
    buf_puts(&text, "alter system set ");
    buf_puts(&text, name);
    buf_puts(&text, " = ");
    quote_text(&text, value);
    if (buf_failed(&text)) {
        return err_set(err, ERR_LIMIT, "the setting %s is too long", name);
    }
    *changed = true;
    return run(link, buf_text(&text), limit, err);
}

void postgres_upstream_string(const struct postgres *server,
                              const struct postgres_upstream *upstream, struct buf *out)
{
    if (text_empty(upstream->address)) {
        return;
    }
    buf_puts(out, "host=");
    quote_conninfo(out, upstream->address);
    buf_printf(out, " port=%u user=" POSTGRES_REPLICATION " password=", (unsigned)upstream->port);
    quote_conninfo(out, upstream->password->data);
    buf_puts(out, " dbname=" POSTGRES_ADMIN " application_name=");
    quote_conninfo(out, server->name);
    buf_puts(out, " sslmode=require channel_binding=require connect_timeout=3 "
                  "keepalives_idle=5 keepalives_interval=1 keepalives_count=5");
}

/* Empty history files, as Leeward's own servers get them. */
int postgres_reserve(struct postgres_link *link, uint32_t from, uint32_t timeline,
                     const struct postgres_limit *limit, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int r = from + 1 < timeline ? link_run(link, "select current_setting('data_directory')", NULL,
                                           0, limit, &result, err)
                                : 0;
    for (uint32_t number = from + 1; r == 0 && number < timeline; number++) {
        char below[48];
        struct buf text CLEANUP(buf_done);
        buf_init(&text, 8192);
        (void)snprintf(below, sizeof(below), "/pg_wal/%08X.history", number);
        struct buf path CLEANUP(buf_done);
        buf_init(&path, 4096);
        buf_puts(&path, sql_text(result, 0, 0));
        buf_puts(&path, below);
        buf_puts(&text, "copy (select where false) to ");
        quote_text(&text, buf_text(&path));
        r = buf_failed(&text) || buf_failed(&path)
                ? err_set(err, ERR_LIMIT, "the path of the data is too long")
                : run(link, buf_text(&text), limit, err);
    }
    return r;
}

int postgres_wait_promoted(struct postgres_link *link, const struct postgres_limit *limit,
                           struct err *err)
{
    for (;;) {
        struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
        int r = link_run(link, "select pg_is_in_recovery()", NULL, 0, limit, &result, err);
        if (r < 0 || !sql_bool(result, 0, 0)) {
            return r;
        }
        r = limit_poll(limit, NULL, 0, LOOK_MS, "the promotion", err);
        r = r < 0 ? r : limit_check(limit, "the promotion", err);
        if (r < 0) {
            return r;
        }
    }
}

int postgres_promote_by_statement(struct postgres_link *link, const struct postgres_limit *limit,
                                  struct err *err)
{
    int r = run(link, "select pg_promote(false) where pg_is_in_recovery()", limit, err);
    return r < 0 ? r : postgres_wait_promoted(link, limit, err);
}

int postgres_history(struct postgres_link *link, uint32_t timeline,
                     const struct postgres_limit *limit, struct buf *ret_text, struct err *err)
{
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    char path[48];
    (void)snprintf(path, sizeof(path), "pg_wal/%08X.history", timeline);
    const char *const parameters[] = {path};
    int r = link_run(link, "select pg_read_file($1)", parameters, 1, limit, &result, err);
    if (r == 0) {
        buf_puts(ret_text, sql_text(result, 0, 0));
    }
    return r;
}

/* ---- pg_controldata ---- */

/* The value behind "label:"; NULL when there is no such line. At most size - 1 bytes. */
static const char *value_of(const char *text, const char *label, char *out, size_t size)
{
    size_t length = strlen(label);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, label, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;
            value += strspn(value, " \t");
            (void)snprintf(out, size, "%.*s", (int)MIN(strcspn(value, "\r\n"), size - 1), value);
            return out;
        }
    }
    return NULL;
}

static uint64_t number_of(const char *text, const char *label)
{
    char value[64];
    uint64_t number = 0;
    const char *digits = value_of(text, label, value, sizeof(value));
    for (; digits != NULL && text_is_digit(*digits); digits++) {
        number = number * 10 + (uint64_t)(*digits - '0');
    }
    return number;
}

static model_lsn place_of(const char *text, const char *label)
{
    char value[64];
    model_lsn lsn = 0;
    const char *found = value_of(text, label, value, sizeof(value));
    return found != NULL && model_lsn_parse(found, &lsn) == 0 ? lsn : 0;
}

/* The end of the record that a shutdown writes last. */
static model_lsn end_of_checkpoint(model_lsn begin, uint32_t segment)
{
    model_lsn end = begin + CHECKPOINT_RECORD;
    model_lsn page = (begin / PAGE + 1) * PAGE;
    if (end > page) {
        end += page % segment == 0 ? FILE_HEAD : PAGE_HEAD;
    }
    return (end + 7) / 8 * 8;
}

int postgres_control_parse(const char *text, struct postgres_control *ret_control, struct err *err)
{
    char state[64];
    struct postgres_control control = {
        .system_id = number_of(text, "Database system identifier"),
        .timeline = (uint32_t)number_of(text, "Latest checkpoint's TimeLineID"),
        .checkpoint = place_of(text, "Latest checkpoint location"),
        .minimum = place_of(text, "Minimum recovery ending location"),
        .segment = (uint32_t)number_of(text, "Bytes per WAL segment"),
        .checksums = number_of(text, "Data page checksum version") != 0};
    if (value_of(text, "Database cluster state", state, sizeof(state)) == NULL ||
        control.system_id == 0 || control.timeline == 0 || control.checkpoint == 0 ||
        control.segment == 0) {
        return err_set(err, ERR_INVALID,
                       "it did not print what pg_controldata does, in English (LC_ALL=C)");
    }
    char word[16];
    bool standby = value_of(text, "standby.signal", word, sizeof(word)) != NULL;
    bool recovery = standby || text_equal(state, "shut down in recovery") ||
                    text_equal(state, "in archive recovery");
    uint32_t minimum = (uint32_t)number_of(text, "Min recovery ending loc's timeline");
    control.checkpoint_timeline = control.timeline;
    bool clean = text_equal(state, "shut down");
    control.timeline = clean ? control.timeline : MAX(control.timeline, minimum);
    control.primary = !recovery;
    control.running = text_equal(state, "in production");
    control.clean = clean;
    uint64_t version = number_of(text, "pg_control version number");
    if (control.clean && version >= 1300 && version <= 1700) {
        control.end = end_of_checkpoint(control.checkpoint, control.segment);
    }
    *ret_control = control;
    return 0;
}

/* ---- programs ---- */

int postgres_hook_run(const struct postgres *server, const struct postgres_hook *hook,
                      const struct postgres_limit *limit, struct buf *output, int *ret_status,
                      struct err *err)
{
    size_t count = 0;
    while (hook->words[count] != NULL) {
        count++;
    }
    if (count == 0 || count > WORDS || hook->words[0][0] != '/') {
        return err_set(err, ERR_INVALID,
                       "a command begins with a whole path, and has up to %u words", WORDS);
    }
    const struct child child = {.program = hook->words[0],
                                .arguments = hook->words + 1,
                                .settings = hook->settings,
                                .keep_errors = true,
                                .no_log = true,
                                .leaves = true};
    return child_run(server, &child, limit, output, ret_status, err);
}
