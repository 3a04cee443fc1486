/* Backups that are kept: taken of a server that runs (pg_basebackup) or of the files of one that
 * does not, verified by pg_verifybackup, told from half-made ones by the mark of data in the making
 * (data.c). See postgres.h. Thread: as there. Invariant: the mark goes only once the backup was
 * verified and is on disk. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WORDS 180U

int postgres_size(const struct postgres *server, int64_t *ret_bytes, struct err *err)
{
    char path[PATH_SIZE];
    int r = file_path(server, "data", path, err);
    return r < 0 ? r : file_tree_size(path, ret_bytes, err);
}

int postgres_room(const struct postgres *server, int64_t *ret_bytes, struct err *err)
{
    return file_room(server->directory, ret_bytes, err);
}

int postgres_position(const struct postgres *local, const struct postgres_upstream *upstream,
                      const struct postgres_limit *limit, model_lsn *ret_end, struct err *err)
{
    struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
    struct pg_result *identity CLEANUP(sql_result_cleanup) = NULL;
    int r = sql_connect_upstream(local, upstream, "", limit, &conn, err);
    r = r < 0 ? r : sql_run(conn, "IDENTIFY_SYSTEM", NULL, 0, limit, NULL, &identity, err);
    if (r == 0) {
        *ret_end = sql_lsn(identity, 0, 2);
    }
    return r;
}

int postgres_backup_verify(const struct postgres *backup, const struct postgres_limit *limit,
                           struct err *err)
{
    char data[PATH_SIZE];
    int r = file_path(backup, "data", data, err);
    if (r < 0) {
        return r;
    }
    const char *const arguments[] = {"--exit-on-error", "--quiet", data, NULL};
    const struct child child = {
        .program = "pg_verifybackup", .arguments = arguments, .keep_errors = true};
    struct buf output CLEANUP(buf_done);
    int status = 0;
    buf_init(&output, OUTPUT_LIMIT);
    r = child_run(backup, &child, limit, &output, &status, err);
    if (r == 0 && status != 0) {
        const char *why = strstr(buf_text(&output), "error: ");
        char words[WORDS];
        (void)snprintf(words, sizeof(words), "%.179s", why != NULL ? why + 7 : buf_text(&output));
        words[strcspn(words, "\n")] = '\0';
        text_mend(words);
        r = err_set(err, ERR_CORRUPT, "the backup is damaged: %s", words);
    }
    return r;
}

/* The servers' tools left them. */
static int remove_rest(const struct postgres *backup, struct err *err)
{
    static const char *const names[] = {"run", "aside"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
        char path[PATH_SIZE];
        r = file_path(backup, names[i], path, err);
        r = r < 0 ? r : file_remove_tree(path, err);
    }
    return r;
}

static int complete(const struct postgres *backup, const struct postgres_limit *limit,
                    struct err *err)
{
    int r = postgres_backup_verify(backup, limit, err);
    r = r < 0 ? r : remove_rest(backup, err);
    return r < 0 ? r : making_end(backup, err);
}

int postgres_back_up(const struct postgres *backup, const struct postgres_upstream *source,
                     const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                     struct err *err)
{
    int r = making_begin(backup, err);
    r = r < 0 ? r : base_backup(backup, source, "SHA256", limit, ret_bytes, err);
    return r < 0 ? r : complete(backup, limit, err);
}

/* ---- of files ---- */

/* What is of a server's process, or of its readers. */
static int clean_copy(const struct postgres *backup, struct err *err)
{
    static const struct {
        const char *name;
        bool folder; /* that must be there */
    } found[] = {{"data/postmaster.pid", false},  {"data/postmaster.opts", false},
                 {"data/backup_manifest", false}, {"data/backup_label.old", false},
                 {"data/pg_replslot", true},      {"data/pg_stat_tmp", true}};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(found); i++) {
        char path[PATH_SIZE];
        r = file_path(backup, found[i].name, path, err);
        r = r < 0 ? r : file_remove_tree(path, err);
        if (r == 0 && found[i].folder && mkdir(path, 0700) < 0) {
            r = err_set_errno(err, errno, "making %s", path);
        }
    }
    return r;
}

/* A server that starts writes pg_control before anything else. */
static int read_state(const struct postgres *source, struct buf *control, struct err *err)
{
    struct postgres_process process = POSTGRES_PROCESS_NONE;
    struct err none = ERR_INIT;
    char path[PATH_SIZE];
    if (postgres_adopt(source, &process, &none) == 0) {
        postgres_process_done(&process);
        return err_set(err, ERR_CONFLICT, "the server in %s runs", source->directory);
    }
    int r = file_path(source, "data/global/pg_control", path, err);
    return r < 0 ? r : file_read(path, 65536, control, err);
}

static int copy_data(const struct postgres *backup, const struct postgres *source,
                     const struct postgres_limit *limit, struct err *err)
{
    char from[PATH_SIZE];
    char to[PATH_SIZE];
    int r = file_path(source, "data", from, err);
    r = r < 0 ? r : file_path(backup, "data", to, err);
    r = r < 0 ? r : file_copy_tree(source, from, to, limit, err);
    return r < 0 ? r : clean_copy(backup, err);
}

int postgres_back_up_files(const struct postgres *backup, const struct postgres *source,
                           const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                           struct err *err)
{
    struct buf before CLEANUP(buf_done);
    struct buf after CLEANUP(buf_done);
    struct postgres_control control = {.timeline = 0};
    model_lsn end = 0;
    buf_init(&before, 65536);
    buf_init(&after, 65536);
    int r = read_state(source, &before, err);
    r = r < 0 ? r : postgres_control(source, &control, err);
    r = r < 0 ? r : postgres_end_of_log(source, limit, &end, err);
    r = r < 0 ? r : making_begin(backup, err);
    r = r < 0 ? r : copy_data(backup, source, limit, err);
    r = r < 0 ? r : read_state(source, &after, err);
    if (r == 0 && (before.length != after.length ||
                   memcmp(buf_text(&before), buf_text(&after), before.length) != 0)) {
        r = err_set(err, ERR_CONFLICT, "the server in %s ran meanwhile", source->directory);
    }
    r = r < 0 ? r : manifest_write(backup, &control, end, limit, ret_bytes, err);
    return r < 0 ? r : complete(backup, limit, err);
}

int postgres_backup_look(const struct postgres *backup, struct postgres_backup *ret_backup,
                         struct err *err)
{
    struct postgres_backup found = {.bytes = 0};
    int r = postgres_size(backup, &found.bytes, err);
    r = r < 0 ? r : manifest_end(backup, &found.end, err);
    if (r == 0) {
        *ret_backup = found;
    }
    return r;
}
