/* The return of an old writer: where its history and the upstream's part, what is put aside, and
 * pg_rewind. See postgres.h. Thread: as there. Each step may be done again: the mark of a rewind
 * that did not end tells that the data are of no use but for another one. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMELINES 1024U /* of a history */
#define HISTORY_LIMIT (256U << 10U)

/* Timelines from the first on; the last one has no end. */
struct history {
    size_t count;
    struct {
        uint32_t timeline;
        model_lsn end;
    } turns[TIMELINES];
};

/* Lines of a timeline's history file: "1\t0/3000158\treason"; comments and empty lines besides. */
static int parse_history(char *text, uint32_t timeline, struct history *history, struct err *err)
{
    history->count = 0;
    for (char *line = strsep(&text, "\n"); line != NULL; line = strsep(&text, "\n")) {
        line += strspn(line, " \t");
        char *number = strsep(&line, "\t ");
        char *end = line != NULL ? strsep(&line, "\t ") : NULL;
        int64_t value = 0;
        if (number[0] == '\0' || number[0] == '#') {
            continue;
        }
        if (history->count == TIMELINES - 1 || end == NULL ||
            text_to_i64(number, 1, UINT32_MAX, &value) < 0 ||
            model_lsn_parse(end, &history->turns[history->count].end) < 0) {
            return err_set(err, ERR_CORRUPT, "the history of timeline %u cannot be read", timeline);
        }
        history->turns[history->count++].timeline = (uint32_t)value;
    }
    history->turns[history->count].timeline = timeline;
    history->turns[history->count++].end = UINT64_MAX;
    return 0;
}

static int own_history(const struct postgres *server, uint32_t timeline, struct history *history,
                       struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, HISTORY_LIMIT);
    if (timeline > 1) {
        char below[64];
        char path[PATH_SIZE];
        (void)snprintf(below, sizeof(below), "data/pg_wal/%08X.history", timeline);
        int r = file_path(server, below, path, err);
        if (r == 0) {
            r = file_read(path, HISTORY_LIMIT, &text, err);
        }
        if (r < 0) {
            return r;
        }
    }
    buf_putc(&text, '\n');
    return parse_history(text.data, timeline, history, err);
}

static int upstream_history(const struct postgres *server, uint64_t system_id,
                            const struct postgres_upstream *upstream,
                            const struct postgres_limit *limit, struct history *history,
                            struct err *err)
{
    struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
    struct pg_result *identity CLEANUP(sql_result_cleanup) = NULL;
    struct pg_result *file CLEANUP(sql_result_cleanup) = NULL;
    int r = sql_connect_upstream(server, upstream, "", limit, &conn, err);
    if (r == 0) {
        r = sql_run(conn, "IDENTIFY_SYSTEM", NULL, 0, limit, NULL, &identity, err);
    }
    if (r < 0) {
        return r;
    }
    char own[32];
    (void)snprintf(own, sizeof(own), "%llu", (unsigned long long)system_id);
    uint32_t timeline = (uint32_t)sql_i64(identity, 0, 1, 0);
    if (!text_equal(own, sql_text(identity, 0, 0)) || timeline == 0) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s:%u is no server of the same group: its system identifier is %s",
                       upstream->address, (unsigned)upstream->port, sql_text(identity, 0, 0));
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, HISTORY_LIMIT);
    if (timeline > 1) {
        char statement[64];
        (void)snprintf(statement, sizeof(statement), "TIMELINE_HISTORY %u", timeline);
        r = sql_run(conn, statement, NULL, 0, limit, NULL, &file, err);
        if (r < 0) {
            return r;
        }
        buf_puts(&text, sql_text(file, 0, 1));
    }
    buf_putc(&text, '\n');
    if (buf_failed(&text)) {
        return err_set(err, ERR_LIMIT, "the history of timeline %u is too long", timeline);
    }
    return parse_history(text.data, timeline, history, err);
}

/* The end of what two histories have in common. */
static model_lsn common_end(const struct history *a, const struct history *b)
{
    model_lsn end = 0;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (a->turns[i].timeline != b->turns[i].timeline) {
            break;
        }
        end = MIN(a->turns[i].end, b->turns[i].end);
        if (a->turns[i].end != b->turns[i].end) {
            break;
        }
    }
    return end;
}

int postgres_fork(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, model_lsn *ret_fork, struct err *err)
{
    struct postgres_control control = {.timeline = 0};
    struct history own = {.count = 0};
    struct history other = {.count = 0};
    model_lsn end = 0;
    int r = postgres_control(server, &control, err);
    if (r == 0) {
        r = own_history(server, control.timeline, &own, err);
    }
    if (r == 0) {
        r = upstream_history(server, control.system_id, upstream, limit, &other, err);
    }
    if (r == 0) {
        r = postgres_end_of_log(server, limit, &end, err);
    }
    if (r == 0) {
        *ret_fork = MIN(common_end(&own, &other), end);
    }
    return r;
}

/* Timelines have a number of their own each, in all of the group: so the number tells where it is
 * in the other's history. */
int postgres_fork_at(const struct postgres *server, const struct postgres_control *control,
                     model_lsn end, const struct postgres_upstream *upstream,
                     const struct postgres_limit *limit, model_lsn *ret_fork, struct err *err)
{
    struct history other = {.count = 0};
    int r = upstream_history(server, control->system_id, upstream, limit, &other, err);
    if (r < 0) {
        return r;
    }
    *ret_fork = 0;
    for (size_t i = 0; i < other.count; i++) {
        if (other.turns[i].timeline == control->timeline) {
            *ret_fork = MIN(other.turns[i].end, end);
        }
    }
    return 0;
}

/* ---- aside ---- */

#define KEPT_FILES 64U /* of the log before the fork: the last common checkpoint is among them */

/* What is kept of the log, by the names of files without the timeline. */
struct span {
    char first[WAL_NAME];
    char last[WAL_NAME];
};

static bool is_kept(const struct span *span, const char *name)
{
    return strlen(name) == WAL_NAME - 1 && strspn(name, "0123456789ABCDEF") == WAL_NAME - 1 &&
           strcmp(name + 8, span->first + 8) >= 0 && strcmp(name + 8, span->last + 8) <= 0;
}

/* The files of the log up to its end: what comes after that are old ones with new names. */
static int copy_log(const struct postgres *server, const char *to, const struct span *span,
                    struct err *err)
{
    char from[PATH_SIZE];
    int r = file_path(server, "data/pg_wal", from, err);
    DIR *folder = r == 0 ? opendir(from) : NULL;
    if (r == 0 && folder == NULL) {
        r = err_set_errno(err, errno, "%s", from);
    }
    struct dirent *entry = NULL;
    while (r == 0 && folder != NULL &&
           (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        const char *name = entry->d_name;
        if (!is_kept(span, name) && !text_ends(name, ".history")) {
            continue;
        }
        char one[2 * PATH_SIZE];
        char other[2 * PATH_SIZE];
        (void)snprintf(one, sizeof(one), "%s/%s", from, name); /* d_name has 255 bytes at most */
        (void)snprintf(other, sizeof(other), "%s/%s", to, name);
        r = file_copy(server, one, other, err);
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
    return r;
}

static int copy_whole(const struct postgres *server, const char *to,
                      const struct postgres_limit *limit, struct err *err)
{
    char from[PATH_SIZE];
    char copy[PATH_SIZE + 64];
    int64_t size = 0;
    int64_t room = 0;
    (void)snprintf(copy, sizeof(copy), "%s/data", to); /* 5 more than PATH_SIZE at most */
    int r = file_path(server, "data", from, err);
    if (r == 0) {
        r = file_tree_size(from, &size, err);
    }
    if (r == 0) {
        r = file_room(server->directory, &room, err);
    }
    if (r == 0 && room < size + size / 10) {
        return err_set(err, ERR_LIMIT,
                       "there is no room to put %lld MB of data aside in %s: %lld MB are free",
                       (long long)(size >> 20), to, (long long)(room >> 20));
    }
    return r < 0 ? r : file_copy_tree(server, from, copy, limit, err);
}

static void put_text(struct buf *out, const char *text)
{
    buf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_putc(out, (char)c);
        }
    }
    buf_putc(out, '"');
}

static void put_transaction(struct buf *out, const struct postgres_lost_transaction *transaction)
{
    char at[TIME_TEXT];
    char lsn[MODEL_LSN_TEXT];
    wall_format_ms(transaction->committed, at);
    model_lsn_format(transaction->lsn, lsn);
    buf_printf(out, "  {\"Transaction\": %u, \"Committed\": \"%s\", \"Lsn\": \"%s\", \"Tables\": [",
               transaction->xid, at, lsn);
    for (size_t i = 0; i < transaction->table_count; i++) {
        const struct postgres_lost_table *table = &transaction->tables[i];
        buf_puts(out, i > 0 ? ", {\"Database\": " : "{\"Database\": ");
        put_text(out, table->database);
        buf_puts(out, ", \"Table\": ");
        put_text(out, table->table);
        buf_printf(out, ", \"Inserted\": %lld, \"Updated\": %lld, \"Deleted\": %lld}",
                   (long long)table->inserted, (long long)table->updated,
                   (long long)table->deleted);
    }
    buf_puts(out, "]}");
}

static int write_lost(const struct postgres *server, const char *folder,
                      const struct postgres_lost *lost, struct err *err)
{
    char path[PATH_SIZE + 32];
    char fork[MODEL_LSN_TEXT];
    char end[MODEL_LSN_TEXT];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 64U << 20U);
    model_lsn_format(lost->fork, fork);
    model_lsn_format(lost->end, end);
    buf_printf(&text,
               "{\"Fork\": \"%s\", \"End\": \"%s\", \"Total\": %lld, \"Unfinished\": %lld,\n"
               " \"Transactions\": [\n",
               fork, end, (long long)lost->total, (long long)lost->unfinished);
    for (size_t i = 0; i < lost->transaction_count; i++) {
        put_transaction(&text, &lost->transactions[i]);
        buf_puts(&text, i + 1 < lost->transaction_count ? ",\n" : "\n");
    }
    buf_puts(&text, "]}\n");
    if (buf_failed(&text)) {
        return err_set(err, ERR_LIMIT, "the list of lost transactions is too long");
    }
    (void)snprintf(path, sizeof(path), "%s/lost-writes.json", folder); /* room for it */
    return file_write(server, path, buf_text(&text), text.length, 0600, err);
}

static int fill_aside(const struct postgres *server, const char *folder, model_lsn fork,
                      const struct postgres_lost *lost, bool whole,
                      const struct postgres_limit *limit, struct err *err)
{
    struct postgres_control control = {.timeline = 0};
    model_lsn end = 0;
    struct span span;
    char from[PATH_SIZE];
    char to[PATH_SIZE + 32];
    int r = postgres_control(server, &control, err);
    if (r == 0) {
        r = postgres_end_of_log(server, limit, &end, err);
    }
    if (r == 0) {
        r = file_path(server, "data/global/pg_control", from, err);
    }
    if (r < 0) {
        return r;
    }
    if (mkdir(folder, 0700) < 0) {
        return err_set_errno(err, errno, "making %s", folder);
    }
    if (server->user != 0 && geteuid() == 0 && chown(folder, server->user, server->group) < 0) {
        return err_set_errno(err, errno, "%s", folder);
    }
    (void)snprintf(to, sizeof(to), "%s/pg_control", folder); /* room for it */
    r = file_copy(server, from, to, err);
    if (r == 0 && lost != NULL) {
        r = write_lost(server, folder, lost, err);
    }
    if (r == 0 && whole) {
        return copy_whole(server, folder, limit, err); /* with the log */
    }
    (void)snprintf(to, sizeof(to), "%s/pg_wal", folder); /* room for it */
    if (r == 0 && mkdir(to, 0700) < 0) {
        r = err_set_errno(err, errno, "making %s", to);
    }
    uint64_t before = (uint64_t)KEPT_FILES * control.segment;
    wal_file_name(control.timeline, control.segment, fork > before ? fork - before : 0, span.first);
    wal_file_name(control.timeline, control.segment, end, span.last);
    return r < 0 ? r : copy_log(server, to, &span, err);
}

int postgres_put_aside(const struct postgres *server, const char *name, model_lsn fork,
                       const struct postgres_lost *lost, bool whole,
                       const struct postgres_limit *limit, struct err *err)
{
    char below[96];
    char path[PATH_SIZE];
    char made[PATH_SIZE + 8];
    if (text_empty(name) || strchr(name, '/') != NULL || name[0] == '.' || strlen(name) > 64) {
        return err_set(err, ERR_INVALID, "that is no name for something put aside");
    }
    (void)snprintf(below, sizeof(below), "aside/%s", name);
    int r = file_make_folders(server, err);
    if (r == 0) {
        r = file_path(server, below, path, err);
    }
    if (r < 0 || file_exists(path)) {
        return r;
    }
    (void)snprintf(made, sizeof(made), "%s.new", path); /* room for it */
    r = file_remove_tree(made, err);
    if (r == 0) {
        r = fill_aside(server, made, fork, lost, whole, limit, err);
    }
    if (r == 0) {
        r = file_sync_folder(made, err);
    }
    if (r == 0 && rename(made, path) < 0) {
        r = err_set_errno(err, errno, "renaming %s", made);
    }
    if (r < 0) { /* the disk may be full of it */
        struct err ignored = ERR_INIT;
        IGNORE_RESULT(file_remove_tree(made, &ignored)); /* else at the next try */
    }
    return r;
}

/* ---- pg_rewind ---- */

/* It looks at the last checkpoint, which may be from before the promotion. */
static int checkpoint_upstream(const struct postgres *server,
                               const struct postgres_upstream *upstream,
                               const struct postgres_limit *limit, struct err *err)
{
    struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    int r = sql_connect_upstream(server, upstream, POSTGRES_ADMIN, limit, &conn, err);
    return r < 0 ? r : sql_run(conn, "checkpoint", NULL, 0, limit, NULL, &result, err);
}

static int run_rewind(const struct postgres *server, const struct postgres_upstream *upstream,
                      const struct postgres_limit *limit, struct err *err)
{
    char data[PATH_SIZE];
    char pass[PATH_SIZE];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    int r = file_path(server, "data", data, err);
    if (r == 0) {
        r = pass_connection(server, "rewind.pass", upstream, &text, pass, err);
    }
    if (r < 0) {
        return r;
    }
    buf_puts(&text, " dbname=" POSTGRES_ADMIN);
    const char *const arguments[] = {"-D", data, "--source-server", buf_text(&text), NULL};
    const struct child child = {
        .program = "pg_rewind", .arguments = arguments, .keep_errors = true};
    struct buf output CLEANUP(buf_done);
    buf_init(&output, OUTPUT_LIMIT);
    int status = 0;
    r = child_run(server, &child, limit, &output, &status, err);
    if (r == 0 && status != 0) {
        const char *why = strstr(buf_text(&output), "error: ");
        const char *fatal = strstr(buf_text(&output), "fatal: ");
        why = why != NULL ? why : fatal;
        bool away = strstr(buf_text(&output), "connection to server") != NULL;
        char words[180];
        (void)snprintf(words, sizeof(words), "%.179s", why != NULL ? why : buf_text(&output));
        words[strcspn(words, "\n")] = '\0';
        r = err_set(err, away ? ERR_UNAVAILABLE : ERR_UNSUPPORTED, "pg_rewind: %s", words);
    }
    return r < 0 ? r : file_unmark(pass, err);
}

int postgres_rewind(const struct postgres *server, const struct postgres_upstream *upstream,
                    const struct postgres_limit *limit, struct err *err)
{
    struct postgres_process process = POSTGRES_PROCESS_NONE;
    struct err none = ERR_INIT;
    if (postgres_adopt(server, &process, &none) == 0) {
        postgres_process_done(&process);
        return err_set(err, ERR_CONFLICT, "the server in %s runs", server->directory);
    }
    char mark[PATH_SIZE];
    char signal_file[PATH_SIZE];
    int r = file_path(server, MARK_REWINDING, mark, err);
    if (r == 0) {
        r = file_path(server, "data/standby.signal", signal_file, err);
    }
    if (r == 0) {
        r = checkpoint_upstream(server, upstream, limit, err);
    }
    if (r == 0 && !text_empty(upstream->slot)) { /* from here on its log is kept for us */
        r = upstream_slot(server, upstream, limit, err);
    }
    if (r == 0) {
        r = file_mark(server, mark, err);
    }
    if (r == 0) { /* crash recovery in single-user mode wants none */
        r = file_unmark(signal_file, err);
    }
    if (r == 0) {
        r = run_rewind(server, upstream, limit, err);
    }
    if (r == 0) { /* never a writer by accident */
        r = file_mark(server, signal_file, err);
    }
    bool whole = true; /* else it would start for ever, as a reader that never becomes whole */
    if (r == 0 && rewound_has_log(server, upstream, limit, &whole, &none) == 0 && !whole) {
        r = err_set(err, ERR_UNSUPPORTED, "%s:%u has thrown away the log that rewound data need",
                    upstream->address, (unsigned)upstream->port);
    }
    return r < 0 ? r : file_unmark(mark, err);
}
