/* The SQLite backend: opening, locking the directory, closing; see sqlite.h. Called by the daemon
 * on its main thread (the calls of the table: any). Owns the connections and the lock file's
 * descriptor, whose lock the kernel drops with the process, however it ends. Invariant: nobody
 * opens the file before the directory is locked. */
#include "store/sqlite.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "store/sqlite/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who holds the lock, as the file says: "" when it does not. */
static void read_holder(int descriptor, char *out, size_t size)
{
    ssize_t length = pread(descriptor, out, size - 1, 0);
    out[length > 0 ? length : 0] = '\0';
    out[strspn(out, "0123456789")] = '\0';
}

static int write_holder(int descriptor, const char *file, struct err *err)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)length, 0) != length) {
        return err_set_errno(err, errno, "cannot write the lock file %s", file);
    }
    return 0;
}

/* What was made in the directory is on disk after. */
static int sync_directory(const char *directory, struct err *err)
{
    int rc = descriptor_sync_folder(directory);
    return rc == 0 ? 0 : err_set_errno(err, -rc, "cannot sync the directory %s", directory);
}

/* Its entry is on disk too, whoever made it a moment ago; one in a directory that is closed to us
 * was not made by this start. */
static int make_directory(const char *directory, struct err *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return err_set_errno(err, errno, "cannot create the data directory %s", directory);
    }
    char *parent CLEANUP(memory_cleanup) = memory_printf("%s/..", directory);
    int rc = sync_directory(parent, err);
    if (rc == -EACCES) {
        err_clear(err);
        rc = 0;
    }
    return rc;
}

/* *ret_descriptor holds the lock until it is closed. */
static int lock_directory(const char *directory, const char *name, int *ret_descriptor,
                          struct err *err)
{
    char *file CLEANUP(memory_cleanup) = memory_printf("%s/%s", directory, name);
    int rc = make_directory(directory, err);
    if (rc != 0) {
        return rc;
    }
    int descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return err_set_errno(err, errno, "cannot open the lock file %s", file);
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        rc = write_holder(descriptor, file, err);
    } else if (errno == EWOULDBLOCK) {
        char holder[32];
        read_holder(descriptor, holder, sizeof holder);
        rc = err_set(err, ERR_EXISTS,
                     "another leewardd uses this data directory (%s is locked by process %s)", file,
                     holder[0] != '\0' ? holder : "unknown");
    } else {
        rc = err_set_errno(err, errno, "cannot lock %s", file);
    }
    if (rc != 0) {
        (void)close(descriptor); /* the first error is told */
        return rc;
    }
    *ret_descriptor = descriptor;
    return 0;
}

/* Makes the file before SQLite does: readable by its owner alone, as it holds secrets (the -wal and
 * -shm files take over its mode), and with its directory entry on disk. */
static int create_file(const char *file, struct err *err)
{
    char *directory CLEANUP(memory_cleanup) = memory_strdup(file);
    int descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return err_set_errno(err, errno, "cannot open %s", file);
    }
    *strrchr(directory, '/') = '\0';
    (void)close(descriptor); /* nothing was written */
    return sync_directory(directory, err);
}

static int load_leases(struct sqlite_store *self, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_LEASES, err);
    if (statement == NULL) {
        return err->code;
    }
    int rc = 0;
    int code = SQLITE_ROW;
    while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        rc = store_leases_restore(&self->leases, sqlite3_column_int64(statement, 0),
                                  sqlite3_column_int64(statement, 1), err);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    if (rc == 0 && code != SQLITE_DONE) {
        rc = sqlite_failure(&self->writer, code, "read", err);
    }
    return rc;
}

int sqlite_store_open_file(struct sqlite_store *self, struct err *err)
{
    int rc = create_file(self->file, err);
    if (rc == 0) {
        rc = sqlite_connection_open(&self->writer, self->kind, self->file, err);
    }
    if (rc == 0) {
        rc = sqlite_prepare_schema(&self->writer, err);
    }
    if (rc == 0) {
        rc = sqlite_read_meta(&self->writer, &self->revision, &self->compacted, err);
    }
    if (rc == 0) {
        rc = sqlite_history_bytes(&self->writer, self->compacted, self->revision, &self->history,
                                  err);
    }
    self->hub.revision = self->revision;
    return rc;
}

void sqlite_store_close(struct store *take_store)
{
    struct sqlite_store *self = sqlite_store_of(take_store);
    store_leases_done(&self->leases);
    store_hub_done(&self->hub);
    for (size_t i = 0; i < SQLITE_READERS; i++) {
        sqlite_connection_close(&self->readers[i]);
    }
    sqlite_connection_close(&self->writer); /* the last one: moves the WAL into the file */
    (void)pthread_mutex_destroy(&self->writer_lock);
    (void)pthread_cond_destroy(&self->writer_free);
    (void)pthread_mutex_destroy(&self->reader_lock);
    (void)pthread_cond_destroy(&self->reader_free);
    (void)close(self->directory); /* gives the lock back */
    free(self->file);
    free(self);
}

static int sqlite_watch_open(struct store *store, const char *prefix, int64_t after,
                             struct store_watch **ret_watch, struct err *err)
{
    (void)err; /* cannot fail here */
    *ret_watch = store_hub_open(&sqlite_store_of(store)->hub, prefix, after);
    return 0;
}

static int sqlite_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    return store_leases_keepalive(&sqlite_store_of(store)->leases, lease, err);
}

static int sqlite_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    return store_leases_revoke(&sqlite_store_of(store)->leases, lease, err);
}

static const struct store_backend backend = {
    .name = "sqlite",
    .get = sqlite_store_get,
    .range = sqlite_store_range,
    .ranges = sqlite_store_ranges,
    .count = sqlite_store_count,
    .revision = sqlite_store_revision,
    .commit = sqlite_store_commit,
    .watch_open = sqlite_watch_open,
    .watch_next = store_hub_next,
    .watch_interrupt = store_hub_interrupt,
    .watch_close = store_hub_close,
    .compact = sqlite_store_compact,
    .lease_grant = sqlite_store_lease_grant,
    .lease_keepalive = sqlite_lease_keepalive,
    .lease_revoke = sqlite_lease_revoke,
    .close = sqlite_store_close,
};

int sqlite_store_new(const char *directory, const struct sqlite_kind *kind,
                     const struct store_backend *table, struct sqlite_store *take_memory,
                     struct err *err)
{
    struct sqlite_store *self = take_memory;
    int lock = -1;
    int rc = lock_directory(directory, kind->lock, &lock, err);
    if (rc != 0) {
        free(self);
        return rc;
    }
    self->base.backend = table;
    self->kind = kind;
    self->directory = lock;
    self->file = memory_printf("%s/%s", directory, kind->file);
    self->last = &self->first;
    /* These cannot fail with default attributes. */
    (void)pthread_mutex_init(&self->writer_lock, NULL);
    (void)pthread_cond_init(&self->writer_free, NULL);
    (void)pthread_mutex_init(&self->reader_lock, NULL);
    (void)pthread_cond_init(&self->reader_free, NULL);
    store_hub_init(&self->hub, &self->base, 0, sqlite_store_changes);
    store_leases_init(&self->leases, sqlite_lease_end, self);
    return 0;
}

static int open_kind(const char *directory, const struct sqlite_kind *kind,
                     struct store **ret_store, struct err *err)
{
    struct sqlite_store *self = memory_new(sizeof *self);
    int rc = sqlite_store_new(directory, kind, &backend, self, err);
    if (rc != 0) {
        return rc;
    }
    rc = sqlite_store_open_file(self, err);
    rc = rc != 0 ? rc : load_leases(self, err);
    if (rc != 0) {
        sqlite_store_close(&self->base);
        return rc;
    }
    *ret_store = &self->base;
    return 0;
}

int store_sqlite_open(const char *directory, struct store **ret_store, struct err *err)
{
    return open_kind(directory, &sqlite_kind_store, ret_store, err);
}

int store_sqlite_open_local(const char *directory, struct store **ret_store, struct err *err)
{
    return open_kind(directory, &sqlite_kind_local, ret_store, err);
}
