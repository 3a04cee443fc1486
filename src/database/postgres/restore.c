/* A server's data out of a backup: see postgres.h. Thread: as there. The data are half-made until
 * PostgreSQL has recovered them in single-user mode, so a call that did not end is begun anew.
 * Invariant: the backup itself is only read. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <stdio.h>
#include <string.h>

#define ROOM_MORE ((int64_t)64 << 20) /* for the log of the recovery */

static int judge_room(const struct postgres *server, const struct postgres *backup, struct err *err)
{
    int64_t size = 0;
    int64_t room = 0;
    int r = postgres_size(backup, &size, err);
    r = r < 0 ? r : postgres_room(server, &room, err);
    if (r == 0 && room < size + ROOM_MORE) {
        r = err_set(err, ERR_LIMIT, "there is no room for %lld MB of data in %s: %lld MB are free",
                    (long long)(size >> 20), server->directory, (long long)(room >> 20));
    }
    return r;
}

static int copy_data(const struct postgres *server, const struct postgres *backup,
                     const struct postgres_limit *limit, struct err *err)
{
    static const char *const gone[] = {"data/backup_manifest", "data/standby.signal"};
    char from[PATH_SIZE];
    char to[PATH_SIZE];
    int r = file_path(backup, "data", from, err);
    r = r < 0 ? r : file_path(server, "data", to, err);
    r = r < 0 ? r : file_copy_tree(server, from, to, limit, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(gone); i++) {
        char path[PATH_SIZE];
        r = file_path(server, gone[i], path, err);
        r = r < 0 ? r : file_remove_tree(path, err);
    }
    char signal_file[PATH_SIZE];
    r = r < 0 ? r : file_path(server, "data/recovery.signal", signal_file, err);
    return r < 0 ? r : file_mark(server, signal_file, err); /* along all timelines, to a new one */
}

static int recover(const struct postgres *server, const struct postgres_birth *birth,
                   const struct postgres_limit *limit, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, OUTPUT_LIMIT);
    buf_keep_secret(&text);
    buf_puts(&text, "alter role " POSTGRES_REPLICATION " password '");
    int r = pass_verifier(birth->replication, &text, err);
    buf_puts(&text, "';\n\n");
    r = r < 0 ? r : single_user(server, POSTGRES_ADMIN, &text, true, limit, err);
    return r < 0 ? err_wrap(err, "recovering the backup's data") : 0;
}

int postgres_restore(const struct postgres *server, const struct postgres *backup,
                     const struct postgres_birth *birth, const struct postgres_limit *limit,
                     struct err *err)
{
    enum postgres_data data = POSTGRES_NO_DATA;
    struct postgres_control control = {.clean = false};
    int r = postgres_data(backup, &data, err);
    if (r == 0 && data != POSTGRES_DATA) {
        r = err_set(err, ERR_NOT_FOUND, "there is no backup in %s", backup->directory);
    }
    r = r < 0 ? r : making_begin(server, err);
    r = r < 0 ? r : judge_room(server, backup, err);
    r = r < 0 ? r : postgres_backup_verify(backup, limit, err);
    r = r < 0 ? r : copy_data(server, backup, limit, err);
    r = r < 0 ? r : recover(server, birth, limit, err);
    r = r < 0 ? r : postgres_control(server, &control, err);
    if (r == 0 && (!control.clean || !control.primary)) {
        r = err_set(err, ERR_INTERNAL, "the data did not end as a stopped writer's");
    }
    return r < 0 ? r : making_end(server, err);
}
