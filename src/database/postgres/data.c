/* A server's data: made by initdb or copied from an upstream, told from half-made ones by a mark,
 * removed. See postgres.h. Thread: as there. Invariant: the mark is on disk before data begin, and
 * goes when they are whole and on disk. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A WAL file's size: with PostgreSQL's own 16 MB, a promotion copies and syncs one of these, which
 * is most of its time. */
#define SEGMENT "--wal-segsize=4"

static int mark_exists(const struct postgres *server, const char *mark, bool *ret_there,
                       struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, mark, path, err);
    if (r == 0) {
        *ret_there = file_exists(path);
    }
    return r;
}

int postgres_data(const struct postgres *server, enum postgres_data *ret_data, struct err *err)
{
    bool making = false;
    bool rewinding = false;
    bool folder = false;
    bool control = false;
    int r = mark_exists(server, MARK_MAKING, &making, err);
    if (r == 0) {
        r = mark_exists(server, MARK_REWINDING, &rewinding, err);
    }
    if (r == 0) {
        r = mark_exists(server, "data", &folder, err);
    }
    if (r == 0) {
        r = mark_exists(server, "data/global/pg_control", &control, err);
    }
    if (r < 0) {
        return r;
    }
    if (!folder) {
        *ret_data = POSTGRES_NO_DATA;
    } else if (making || !control) {
        *ret_data = POSTGRES_HALF_DATA;
    } else {
        *ret_data = rewinding ? POSTGRES_REWINDING : POSTGRES_DATA;
    }
    return 0;
}

static int remove_below(const struct postgres *server, const char *name, struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, name, path, err);
    return r < 0 ? r : file_remove_tree(path, err);
}

static int unmark(const struct postgres *server, const char *mark, struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, mark, path, err);
    return r < 0 ? r : file_unmark(path, err);
}

/* Folders, the mark, and no data. */
int making_begin(const struct postgres *server, struct err *err)
{
    enum postgres_data data = POSTGRES_NO_DATA;
    int r = postgres_data(server, &data, err);
    if (r == 0 && (data == POSTGRES_DATA || data == POSTGRES_REWINDING)) {
        r = err_set(err, ERR_EXISTS, "there are data in %s already", server->directory);
    }
    char path[PATH_SIZE];
    if (r == 0) {
        r = file_make_folders(server, err);
    }
    if (r == 0) {
        r = file_path(server, MARK_MAKING, path, err);
    }
    if (r == 0) {
        r = file_mark(server, path, err);
    }
    return r == 0 ? remove_below(server, "data", err) : r;
}

int making_end(const struct postgres *server, struct err *err)
{
    int r = file_sync_folder(server->directory, err);
    return r < 0 ? r : unmark(server, MARK_MAKING, err);
}

/* ---- initdb ---- */

/* One statement: postgres --single -j wants an empty line behind each. */
static void statement_end(struct buf *out)
{
    buf_puts(out, ";\n\n");
}

static int write_roles(const struct postgres_birth *birth, struct buf *out, struct err *err)
{
    buf_puts(out, "create role " POSTGRES_REPLICATION " login replication password '");
    int r = pass_verifier(birth->replication, out, err);
    if (r < 0) {
        return r;
    }
    buf_puts(out, "'");
    statement_end(out);
    buf_puts(out, "grant pg_checkpoint, pg_monitor to " POSTGRES_REPLICATION);
    statement_end(out);
    buf_puts(out, "create role " POSTGRES_SUPERUSER " nologin createdb createrole");
    statement_end(out);
    buf_puts(out, "grant pg_monitor, pg_signal_backend, pg_checkpoint, pg_read_all_data, "
                  "pg_write_all_data to " POSTGRES_SUPERUSER " with admin option");
    statement_end(out);
    buf_puts(out, "create role ");
    quote_name(out, birth->master);
    buf_puts(out, " login createdb createrole password ");
    quote_text(out, birth->verifier);
    buf_puts(out, " valid until 'infinity' in role " POSTGRES_SUPERUSER);
    statement_end(out);
    buf_puts(out, "alter database postgres owner to ");
    quote_name(out, birth->master);
    statement_end(out);
    buf_puts(out, "create database " POSTGRES_ADMIN);
    statement_end(out);
    buf_puts(out, "revoke all on database " POSTGRES_ADMIN " from public");
    statement_end(out);
    buf_puts(out, "grant connect on database " POSTGRES_ADMIN " to " POSTGRES_REPLICATION);
    statement_end(out);
    if (!text_empty(birth->database) && !text_equal(birth->database, "postgres")) {
        buf_puts(out, "create database ");
        quote_name(out, birth->database);
        buf_puts(out, " owner ");
        quote_name(out, birth->master);
        statement_end(out);
    }
    return 0;
}

/* What pg_rewind reads the other side with. */
static void write_grants(struct buf *out)
{
    static const char *const functions[] = {
        "pg_ls_dir(text, boolean, boolean)",
        "pg_stat_file(text, boolean)",
        "pg_read_binary_file(text)",
        "pg_read_binary_file(text, bigint, bigint, boolean)",
    };
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        buf_printf(out, "grant execute on function pg_catalog.%s to " POSTGRES_REPLICATION,
                   functions[i]);
        statement_end(out);
    }
}

/* What belongs to the server that a backup is of, and to readers. */
#define ARGUMENTS_OF_RECOVERY                                                                      \
    "-c", "restore_command=/bin/false", "-c", "hot_standby=off", "-c",                             \
        "shared_preload_libraries=", "-c", "synchronous_standby_names="

int single_user(const struct postgres *server, const char *database, const struct buf *text,
                bool recovers, const struct postgres_limit *limit, struct err *err)
{
    char data[PATH_SIZE];
    int r = file_path(server, "data", data, err);
    if (r == 0 && buf_failed(text)) {
        r = err_set(err, ERR_LIMIT, "the statements for the new server are too long");
    }
    if (r < 0) {
        return r;
    }
    const char *const plain[] = {
        "--single", "-j", "-D", data, "-c", "exit_on_error=on", "-c", "log_min_messages=fatal",
        database,   NULL};
    const char *const recovering[] = {
        "--single", "-j", "-D", data, "-c", "exit_on_error=on", ARGUMENTS_OF_RECOVERY,
        database,   NULL};
    const struct child child = {
        .program = "postgres", .arguments = recovers ? recovering : plain, .input = buf_text(text)};
    r = child_run(server, &child, limit, NULL, NULL, err);
    return r < 0 ? err_wrap(err, "preparing the database %s", database) : 0;
}

static int make_cluster(const struct postgres *server, const struct postgres_birth *birth,
                        const struct postgres_limit *limit, struct err *err)
{
    char data[PATH_SIZE];
    int r = file_path(server, "data", data, err);
    if (r < 0) {
        return r;
    }
    bool icu = !text_empty(birth->icu);
    char locale[96];
    (void)snprintf(locale, sizeof(locale), "--icu-locale=%.64s", icu ? birth->icu : "");
    const char *const arguments[] = {"-D",
                                     data,
                                     "-U",
                                     POSTGRES_ADMIN,
                                     "-E",
                                     "UTF8",
                                     "-k",
                                     "-A",
                                     "reject",
                                     SEGMENT,
                                     icu ? "--locale=C.UTF-8"
                                         : "--locale=C", /* of messages, money, .. */
                                     icu ? "--locale-provider=icu" : "--no-instructions",
                                     icu ? locale : NULL,
                                     NULL};
    const struct child child = {.program = "initdb", .arguments = arguments, .keep_errors = true};
    struct buf output CLEANUP(buf_done);
    buf_init(&output, OUTPUT_LIMIT);
    r = child_run(server, &child, limit, &output, NULL, err);
    return r < 0 ? err_wrap(err, "making a new database server in %s", data) : 0;
}

int postgres_create(const struct postgres *server, const struct postgres_birth *birth,
                    const struct postgres_limit *limit, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, OUTPUT_LIMIT);
    buf_keep_secret(&text);
    int r = making_begin(server, err);
    if (r == 0) {
        r = make_cluster(server, birth, limit, err);
    }
    if (r == 0) {
        r = write_roles(birth, &text, err);
    }
    if (r == 0) {
        r = single_user(server, "postgres", &text, false, limit, err);
    }
    if (r == 0) {
        buf_reset(&text);
        write_grants(&text);
        r = single_user(server, POSTGRES_ADMIN, &text, false, limit, err);
    }
    return r < 0 ? r : making_end(server, err);
}

/* ---- base backup ---- */

#define WORDS 180U

/* What pg_basebackup says. */
struct progress {
    _Atomic int64_t *bytes; /* NULL: nobody wants to know */
    char words[WORDS];      /* of the first error; "" */
};

/* "  1234/24567 kB (5%), 0/1 tablespace", or "pg_basebackup: error: .." */
static int note_progress(void *context, char *line, struct err *err)
{
    (void)err;
    struct progress *progress = context;
    _Atomic int64_t *bytes = progress->bytes;
    const char *error = strstr(line, "error: ");
    if (error != NULL && progress->words[0] == '\0') {
        (void)snprintf(progress->words, sizeof(progress->words), "%.179s", error + 7);
        text_mend(progress->words);
    }
    while (*line == ' ') {
        line++;
    }
    char *slash = strchr(line, '/');
    int64_t kilobytes = 0;
    if (bytes != NULL && slash != NULL && strstr(slash, " kB (") != NULL) {
        *slash = '\0';
        if (text_to_i64(line, 0, INT64_MAX / 1024, &kilobytes) == 0) {
            *bytes = kilobytes * 1024;
        }
        *slash = '/';
    }
    return 0;
}

int base_backup(const struct postgres *server, const struct postgres_upstream *upstream,
                const char *checksums, const struct postgres_limit *limit,
                _Atomic int64_t *ret_bytes, struct err *err)
{
    struct progress progress = {.bytes = ret_bytes};
    char data[PATH_SIZE];
    char pass[PATH_SIZE];
    struct buf text CLEANUP(buf_done);
    buf_init(&text, 4096);
    int r = file_path(server, "data", data, err);
    if (r == 0) {
        r = pass_connection(server, "copy.pass", upstream, &text, pass, err);
    }
    if (r < 0) {
        return r;
    }
    buf_puts(&text, " keepalives_idle=10 keepalives_interval=2 keepalives_count=5");
    bool slot = !text_empty(upstream->slot);
    const char *const arguments[] = {"-D",
                                     data,
                                     "-X",
                                     "stream",
                                     "-c",
                                     "fast",
                                     "-w",
                                     "-P",
                                     "-d",
                                     buf_text(&text),
                                     "--manifest-checksums",
                                     checksums != NULL ? checksums : "CRC32C",
                                     slot ? "-S" : NULL,
                                     upstream->slot,
                                     NULL};
    const struct child child = {
        .program = "pg_basebackup", .arguments = arguments, .keep_errors = true};
    r = child_read(server, &child, limit, note_progress, &progress, err);
    if (r < 0 && err->kind == ERR_UNAVAILABLE && progress.words[0] != '\0') {
        bool full = strstr(progress.words, "No space left on device") != NULL;
        r = err_set(err, full ? ERR_LIMIT : ERR_UNAVAILABLE, "pg_basebackup: %s", progress.words);
    }
    if (r < 0) {
        return err_wrap(err, "copying the data of %s:%u", upstream->address,
                        (unsigned)upstream->port);
    }
    return file_unmark(pass, err);
}

int postgres_copy(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, _Atomic int64_t *ret_bytes, struct err *err)
{
    int r = making_begin(server, err);
    if (r == 0 && !text_empty(upstream->slot)) {
        r = upstream_slot(server, upstream, limit, err);
    }
    if (r == 0) {
        r = base_backup(server, upstream, NULL, limit, ret_bytes, err);
    }
    return r < 0 ? r : making_end(server, err);
}

int postgres_remove(const struct postgres *server, bool all, struct err *err)
{
    struct postgres_process process = POSTGRES_PROCESS_NONE;
    struct err none = ERR_INIT;
    if (postgres_adopt(server, &process, &none) == 0) {
        postgres_process_done(&process);
        return err_set(err, ERR_CONFLICT, "the server in %s runs", server->directory);
    }
    if (all) {
        return file_remove_tree(server->directory, err);
    }
    char path[PATH_SIZE];
    int r = file_path(server, MARK_MAKING, path, err);
    if (r == 0 && file_exists(server->directory)) {
        r = file_mark(server, path, err); /* half removed is no data either */
    }
    if (r == 0) {
        r = remove_below(server, "data", err);
    }
    if (r == 0) {
        r = unmark(server, MARK_REWINDING, err);
    }
    return r < 0 ? r : unmark(server, MARK_MAKING, err);
}
