/* A copy's file: opening and checking, its place as a store, setting it aside; see copy.h. Called
 * by replica.c on the thread that starts it, then on the replica's own; reads on any thread. The
 * writer connection is that thread's alone: nobody commits through store.h. */
#include "store/sqlite/copy.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/sqlite/copy_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Moving the log into the file waits for the disk, several times, and so does the first commit into
 * a log that was moved. copy_tidy does it aside, once so many pages are worth it; commits do it
 * themselves when it does not get to the end of a log that grows. */
#define LOG_PAGES 4096
#define LOG_PAGES_MOST 16384

static const char *const schema[] = {
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL,"
    " compacted INTEGER NOT NULL);"
    "INSERT INTO meta VALUES (1, 0, 0);"
    "CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL,"
    " changed INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE history (revision INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " type INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, created INTEGER NOT NULL,"
    " version INTEGER NOT NULL, lease INTEGER NOT NULL, PRIMARY KEY (revision, sequence))"
    " WITHOUT ROWID;"
    "CREATE TABLE copy (one INTEGER PRIMARY KEY CHECK (one = 1), hash_key BLOB NOT NULL,"
    " checksum INTEGER NOT NULL, heard INTEGER NOT NULL, complete INTEGER NOT NULL);"
    "INSERT INTO copy VALUES (1, randomblob(16), 0, 0, 0);",
    "ALTER TABLE copy ADD COLUMN past INTEGER NOT NULL DEFAULT 0;",
};

/* "LWDR" */
static const struct sqlite_kind kind = {.file = COPY_FILE,
                                        .lock = "replica.lock",
                                        .application = 1280787538,
                                        .sync = "NORMAL",
                                        .log_pages = LOG_PAGES_MOST,
                                        .advice = "it is set aside and made anew",
                                        .schema = schema,
                                        .schema_count = ARRAY_SIZE(schema)};

/* ---- the checksum ---- */

uint64_t copy_hash(const struct copy *self, const struct store_entry *entry)
{
    const uint64_t parts[] = {
        hash_bytes(&self->hash_key, entry->key, strlen(entry->key)),
        hash_bytes(&self->hash_key, entry->size != 0 ? entry->value : "", entry->size),
        entry->size,
        (uint64_t)entry->created_revision,
        (uint64_t)entry->changed_revision,
        (uint64_t)entry->version,
    };
    return hash_bytes(&self->hash_key, parts, sizeof parts);
}

/* What stands in the file: the sum of the entries, and which state they are. Where the past is not
 * known it is what the first version of the file had. */
static int64_t checksum(const struct copy *self, const struct copy_row *row)
{
    const uint64_t parts[] = {(uint64_t)row->revision, row->complete ? 1 : 0, row->past};
    size_t count = ARRAY_SIZE(parts) - (row->past == 0 ? 1 : 0);
    return (int64_t)(row->sum + hash_bytes(&self->hash_key, parts, count * sizeof parts[0]));
}

int copy_write_row(struct copy *self, const struct copy_row *row, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->store.writer, SQL_SET_COPY, err);
    if (statement == NULL) {
        return err->code;
    }
    /* Binding a number cannot fail. */
    (void)sqlite3_bind_int64(statement, 1, checksum(self, row));
    (void)sqlite3_bind_int64(statement, 2, row->heard.ns);
    (void)sqlite3_bind_int64(statement, 3, row->complete ? 1 : 0);
    (void)sqlite3_bind_int64(statement, 4, (int64_t)row->past);
    return sqlite_run(&self->store.writer, statement, "write", err);
}

/* ---- what changed last ---- */

void copy_note_recent(struct copy *self, const char *key)
{
    for (size_t i = 0; i < COPY_RECENT; i++) {
        if (self->recent[i] != NULL && text_equal(self->recent[i], key)) {
            return;
        }
    }
    free(self->recent[self->recent_next]);
    self->recent[self->recent_next] = memory_strdup(key);
    self->recent_next = (self->recent_next + 1) % COPY_RECENT;
}

void copy_forget_recent(struct copy *self)
{
    for (size_t i = 0; i < COPY_RECENT; i++) {
        free(self->recent[i]);
        self->recent[i] = NULL;
    }
}

void copy_newest_offer(struct copy_newest *newest, const struct store_entry *entry)
{
    size_t at = COPY_NEWEST;
    while (at > 0 && entry->changed_revision > newest->changed[at - 1]) {
        at--;
    }
    if (at == COPY_NEWEST) {
        return;
    }
    free(newest->keys[COPY_NEWEST - 1]);
    for (size_t i = COPY_NEWEST - 1; i > at; i--) {
        newest->keys[i] = newest->keys[i - 1];
        newest->changed[i] = newest->changed[i - 1];
    }
    newest->keys[at] = memory_strdup(entry->key);
    newest->changed[at] = entry->changed_revision;
}

void copy_note_newest(struct copy *self, const struct copy_newest *newest)
{
    for (size_t i = 0; i < COPY_NEWEST; i++) {
        if (newest->keys[i] != NULL) {
            copy_note_recent(self, newest->keys[i]);
        }
    }
}

void copy_newest_done(struct copy_newest *newest)
{
    for (size_t i = 0; i < COPY_NEWEST; i++) {
        free(newest->keys[i]);
    }
    *newest = (struct copy_newest){{0}, {NULL}};
}

size_t copy_recent(struct store *store, const char *ret_keys[COPY_RECENT])
{
    const struct copy *self = copy_of(store);
    size_t count = 0;
    for (size_t i = 0; i < COPY_RECENT; i++) {
        if (self->recent[i] != NULL) {
            ret_keys[count++] = self->recent[i];
        }
    }
    return count;
}

/* From the history, which is not covered by the checksum: only where to look. */
static int read_recent(struct copy *self, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->store.writer, SQL_RECENT, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(statement, 1, COPY_NEWEST); /* cannot fail */
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        char key[STORE_KEY_LIMIT + 1];
        const void *blob = sqlite3_column_blob(statement, 0);
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);
        if (blob != NULL && text_copy_n(key, sizeof key, blob, size) == 0) {
            copy_note_recent(self, key);
        }
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_DONE ? 0 : sqlite_failure(&self->store.writer, code, "read", err);
}

/* ---- checking a file ---- */

static int damaged(const struct copy *self, const char *how, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s is damaged (%s)", self->store.file, how);
}

static int read_copy_row(struct copy *self, int64_t *ret_checksum, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->store.writer, SQL_COPY, err);
    if (statement == NULL) {
        return err->code;
    }
    int rc = 0;
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        rc = sqlite_failure(&self->store.writer, code == SQLITE_DONE ? SQLITE_CORRUPT : code,
                            "read", err);
    } else if (sqlite3_column_bytes(statement, 0) != sizeof self->hash_key) {
        rc = damaged(self, "its key has the wrong size", err);
    } else {
        (void)memcpy(&self->hash_key, sqlite3_column_blob(statement, 0), sizeof self->hash_key);
        *ret_checksum = sqlite3_column_int64(statement, 1);
        self->heard.ns = sqlite3_column_int64(statement, 2);
        self->complete = sqlite3_column_int64(statement, 3) != 0;
        self->past = (uint64_t)sqlite3_column_int64(statement, 4);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return rc;
}

static int sum_rows(struct copy *self, sqlite3_stmt *statement, struct copy_newest *newest,
                    struct err *err)
{
    char keys[2][STORE_KEY_LIMIT + 1] = {"", ""};
    int code = SQLITE_DONE;
    for (size_t i = 0; (code = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        struct store_entry entry;
        int rc = sqlite_row_entry(&self->store.writer, statement, false, keys[i % 2], &entry, err);
        if (rc != 0) {
            return rc;
        }
        if (strcmp(keys[i % 2], keys[(i + 1) % 2]) <= 0) {
            return damaged(self, "its keys are not in order", err);
        }
        if (entry.changed_revision > self->store.revision) {
            return damaged(self, "an entry is newer than the whole", err);
        }
        self->sum += copy_hash(self, &entry);
        copy_newest_offer(newest, &entry);
    }
    return code == SQLITE_DONE ? 0 : sqlite_failure(&self->store.writer, code, "read", err);
}

/* Reads everything. */
static int check(struct copy *self, struct err *err)
{
    int64_t stored = 0;
    int rc = read_copy_row(self, &stored, err);
    sqlite3_stmt *statement =
        rc == 0 ? sqlite_statement(&self->store.writer, SQL_RANGE, err) : NULL;
    if (statement == NULL) {
        return err->code;
    }
    struct sqlite_bound bound;
    struct copy_newest newest = {{0}, {NULL}};
    self->sum = 0;
    sqlite_bound_after_prefix("", &bound);
    sqlite_bind_prefix(statement, "", &bound);
    (void)sqlite3_bind_int64(statement, 3, -1); /* cannot fail */
    rc = sum_rows(self, statement, &newest, err);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    if (rc == 0) {
        copy_note_newest(self, &newest);
    }
    copy_newest_done(&newest);
    if (rc != 0) {
        return rc;
    }
    bool fresh = !self->complete && stored == 0 && self->sum == 0 && self->store.revision == 0;
    const struct copy_row row = {.sum = self->sum,
                                 .revision = self->store.revision,
                                 .past = self->past,
                                 .complete = self->complete};
    if (!fresh && stored != checksum(self, &row)) {
        return damaged(self, "its entries do not add up to its checksum", err);
    }
    return fresh || self->complete ? 0 : damaged(self, "it is half a copy", err);
}

/* A file that is there without a byte has lost them: SQLite would take it for a new one. (Or the
 * first start was cut before its first write; then that is said of nothing lost.) */
static int refuse_empty(struct copy *self, struct err *err)
{
    struct stat status;
    bool empty = stat(self->store.file, &status) == 0 && status.st_size == 0;
    return empty ? damaged(self, "it is empty", err) : 0;
}

static int open_checked(struct copy *self, struct err *err)
{
    copy_forget_recent(self);
    int rc = refuse_empty(self, err);
    rc = rc != 0 ? rc : sqlite_store_open_file(&self->store, err);
    rc = rc != 0 ? rc : read_recent(self, err);
    rc = rc != 0 ? rc : check(self, err);
    if (rc == 0) {
        /* Watches start at the state that was checked; what led to it is not needed any more. */
        atomic_store(&self->store.floor, self->store.revision);
        copy_tail_reset(&self->tail, self->store.revision);
    }
    return rc;
}

/* ---- setting it aside ---- */

static int rename_file(const char *from, const char *to, struct err *err)
{
    if (rename(from, to) != 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "cannot set %s aside", from);
    }
    return 0;
}

/* The name with a log's ending goes first: a log without its file is nothing. */
static int move_files(struct copy *self, struct err *err)
{
    static const char *const endings[] = {"-wal", ""};
    thread_lock(&self->tidy_lock);
    sqlite_connection_close(&self->tidier);
    thread_unlock(&self->tidy_lock);
    sqlite_connection_close(&self->store.writer);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        char *from CLEANUP(memory_cleanup) = memory_printf("%s%s", self->store.file, endings[i]);
        char *to CLEANUP(memory_cleanup) =
            memory_printf("%s.damaged%s", self->store.file, endings[i]);
        (void)unlink(to); /* of an earlier one; mostly there is none */
        int rc = rename_file(from, to, err);
        if (rc != 0) {
            return rc;
        }
    }
    char *shared CLEANUP(memory_cleanup) = memory_printf("%s-shm", self->store.file);
    (void)unlink(shared); /* mostly gone */
    self->store.revision = 0;
    self->store.compacted = 0;
    self->store.history = 0;
    return 0;
}

int copy_set_aside(struct store *store, struct err *err)
{
    struct copy *self = copy_of(store);
    atomic_store(&self->withheld, true);
    sqlite_readers_stop(&self->store);
    atomic_store(&self->suspect, false);
    int rc = move_files(self, err);
    rc = rc != 0 ? rc : open_checked(self, err);
    sqlite_readers_go(&self->store);
    store_hub_reset(&self->store.hub, self->store.revision);
    return rc;
}

/* ---- the log ---- */

void copy_tidy(struct store *store)
{
    struct copy *self = copy_of(store);
    struct err err = ERR_INIT; /* the log stays, and is tidied next time */
    if (atomic_load(&self->log_pages) < LOG_PAGES) {
        return;
    }
    thread_lock(&self->tidy_lock);
    bool here = !atomic_load(&self->withheld); /* else the file may be on its way out */
    if (here && self->tidier.db == NULL) {
        here = sqlite_connection_open(&self->tidier, &kind, self->store.file, &err) == 0;
    }
    if (here && sqlite_connection_checkpoint(&self->tidier, &err) == 0) {
        atomic_store(&self->log_pages, 0); /* the next commit counts anew */
    }
    thread_unlock(&self->tidy_lock);
}

/* ---- the store that others see ---- */

static int withheld(const struct copy *self, struct err *err)
{
    return atomic_load(&self->withheld)
               ? err_set(err, ERR_UNAVAILABLE, "the replica %s was damaged and is being made anew",
                         self->store.file)
               : 0;
}

/* The result of a read. */
static int judged(struct copy *self, int rc, const struct err *err)
{
    if (rc != 0 && err->kind == ERR_CORRUPT) {
        atomic_store(&self->suspect, true);
    }
    return rc;
}

bool copy_suspect(struct store *store)
{
    return atomic_load(&copy_of(store)->suspect);
}

static int copy_get(struct store *store, const char *key, struct arena *arena,
                    struct store_entry *ret_entry, struct err *err)
{
    int rc = withheld(copy_of(store), err);
    rc = rc != 0 ? rc : sqlite_store_get(store, key, arena, ret_entry, err);
    return judged(copy_of(store), rc, err);
}

static int copy_range(struct store *store, const char *prefix, const char *after, size_t limit,
                      bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    int rc = withheld(copy_of(store), err);
    rc = rc != 0 ? rc : sqlite_store_range(store, prefix, after, limit, bare, arena, ret_list, err);
    return judged(copy_of(store), rc, err);
}

static int copy_ranges(struct store *store, const char *const *prefixes, size_t count,
                       struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    int rc = withheld(copy_of(store), err);
    rc = rc != 0 ? rc : sqlite_store_ranges(store, prefixes, count, arena, ret_lists, err);
    return judged(copy_of(store), rc, err);
}

static int copy_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    int rc = withheld(copy_of(store), err);
    rc = rc != 0 ? rc : sqlite_store_count(store, prefix, ret_count, err);
    return judged(copy_of(store), rc, err);
}

static int copy_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    int rc = withheld(copy_of(store), err);
    return rc != 0 ? rc : sqlite_store_revision(store, ret_revision, err);
}

/* A watcher that read a state which was replaced since must start over: it may know of revisions
 * that are not here. (Opened first, then compared: a replacement in between loses it, too.) */
static int copy_watch_open(struct store *store, const char *prefix, int64_t after,
                           struct store_watch **ret_watch, struct err *err)
{
    struct store_watch *watch = store_hub_open(&copy_of(store)->store.hub, prefix, after);
    int64_t revision = 0;
    int rc = copy_revision(store, &revision, err);
    if (rc != 0) {
        store_hub_close(watch);
        return rc;
    }
    if (after > revision) {
        store_hub_lose(watch);
    }
    *ret_watch = watch;
    return 0;
}

static int refuse(struct err *err)
{
    return err_set(err, ERR_DENIED, "a replica is not written: write to the store it follows");
}

static int
copy_commit(struct store *store, const struct store_txn *txn,
            int64_t *ret_revision, /* NOLINT(readability-non-const-parameter): as table */
            struct err *err)
{
    (void)store;
    (void)txn;
    (void)ret_revision;
    return refuse(err);
}

static int copy_number(struct store *store, int64_t number, struct err *err)
{
    (void)store;
    (void)number;
    return refuse(err);
}

static int
copy_lease_grant(struct store *store, int64_t ttl_ms,
                 int64_t *ret_lease, /* NOLINT(readability-non-const-parameter): as table */
                 struct err *err)
{
    (void)store;
    (void)ttl_ms;
    (void)ret_lease;
    return refuse(err);
}

static void copy_close(struct store *take_store)
{
    copy_forget_recent(copy_of(take_store));
    copy_newest_done(&copy_of(take_store)->sync.newest);
    sqlite_connection_close(&copy_of(take_store)->tidier);
    (void)pthread_mutex_destroy(&copy_of(take_store)->tidy_lock); /* nobody uses it any more */
    copy_tail_done(&copy_of(take_store)->tail);
    sqlite_store_close(take_store);
}

static const struct store_backend backend = {
    .name = "replica",
    .get = copy_get,
    .range = copy_range,
    .ranges = copy_ranges,
    .count = copy_count,
    .revision = copy_revision,
    .commit = copy_commit,
    .watch_open = copy_watch_open,
    .watch_next = store_hub_next,
    .watch_interrupt = store_hub_interrupt,
    .watch_close = store_hub_close,
    .compact = copy_number,
    .lease_grant = copy_lease_grant,
    .lease_keepalive = copy_number,
    .lease_revoke = copy_number,
    .close = copy_close,
};

/* Not ours, of a newer version, or damaged: nothing that a restart or an operator would mend. */
static bool unusable(const struct err *err)
{
    return err->kind == ERR_CORRUPT || err->kind == ERR_UNSUPPORTED || err->kind == ERR_INTERNAL;
}

int copy_open(const char *directory, struct store **ret_store, struct err *ret_damage,
              struct err *err)
{
    struct copy *self = memory_new(sizeof *self);
    int rc = sqlite_store_new(directory, &kind, &backend, &self->store, err);
    if (rc != 0) {
        return rc;
    }
    (void)pthread_mutex_init(&self->tidy_lock, NULL); /* cannot fail with default attributes */
    copy_tail_init(&self->tail);
    self->store.hub.read = copy_changes;
    *ret_damage = (struct err)ERR_INIT;
    rc = open_checked(self, err);
    if (rc != 0 && unusable(err)) {
        *ret_damage = *err;
        err_clear(err);
        rc = move_files(self, err);
        rc = rc != 0 ? rc : open_checked(self, err);
    }
    if (rc != 0) {
        copy_close(&self->store.base);
        return rc;
    }
    *ret_store = &self->store.base;
    return 0;
}

struct copy_state copy_state(struct store *store)
{
    const struct copy *self = copy_of(store);
    return (struct copy_state){.complete = self->complete,
                               .revision = self->store.revision,
                               .heard = self->heard,
                               .past = self->past};
}
