/* The SQLite backend's reads: a pool of connections, each read one snapshot. Called through store.h
 * on any thread, and by watches. A thread holds one reader at most, so the pool cannot deadlock.
 * Invariant: what one call returns, its revision included, is of one moment. */
#include "store/sqlite/internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Waits for a reader of the pool; opens it when it is used for the first time. */
static struct sqlite_connection *reader_take(struct sqlite_store *self, struct err *err)
{
    size_t at = 0;
    (void)pthread_mutex_lock(&self->reader_lock);
    for (;;) {
        for (at = 0; at < SQLITE_READERS && self->reader_busy[at]; at++) {
        }
        if (at < SQLITE_READERS) {
            break;
        }
        (void)pthread_cond_wait(&self->reader_free, &self->reader_lock); /* cannot fail */
    }
    self->reader_busy[at] = true;
    (void)pthread_mutex_unlock(&self->reader_lock);
    struct sqlite_connection *reader = &self->readers[at];
    if (reader->db == NULL && sqlite_connection_open(reader, self->kind, self->file, err) != 0) {
        (void)pthread_mutex_lock(&self->reader_lock);
        self->reader_busy[at] = false;
        (void)pthread_cond_signal(&self->reader_free);
        (void)pthread_mutex_unlock(&self->reader_lock);
        return NULL;
    }
    return reader;
}

static void reader_give(struct sqlite_store *self, struct sqlite_connection *reader)
{
    sqlite_roll_back(reader); /* ends the snapshot; nothing was written */
    (void)pthread_mutex_lock(&self->reader_lock);
    self->reader_busy[reader - self->readers] = false;
    (void)pthread_cond_signal(&self->reader_free);
    (void)pthread_mutex_unlock(&self->reader_lock);
}

void sqlite_readers_stop(struct sqlite_store *self)
{
    (void)pthread_mutex_lock(&self->reader_lock);
    for (size_t at = 0; at < SQLITE_READERS; at++) {
        while (self->reader_busy[at]) {
            (void)pthread_cond_wait(&self->reader_free, &self->reader_lock); /* cannot fail */
        }
        self->reader_busy[at] = true;
        sqlite_connection_close(&self->readers[at]);
    }
    (void)pthread_mutex_unlock(&self->reader_lock);
}

void sqlite_readers_go(struct sqlite_store *self)
{
    (void)pthread_mutex_lock(&self->reader_lock);
    for (size_t at = 0; at < SQLITE_READERS; at++) {
        self->reader_busy[at] = false;
    }
    (void)pthread_cond_broadcast(&self->reader_free);
    (void)pthread_mutex_unlock(&self->reader_lock);
}

/* A reader inside a transaction, at its snapshot's revision. */
static struct sqlite_connection *snapshot_take(struct sqlite_store *self, int64_t *ret_revision,
                                               int64_t *ret_compacted, struct err *err)
{
    struct sqlite_connection *reader = reader_take(self, err);
    if (reader == NULL) {
        return NULL;
    }
    if (sqlite_execute(reader, SQL_BEGIN_READ, err) != 0 ||
        sqlite_read_meta(reader, ret_revision, ret_compacted, err) != 0) {
        reader_give(self, reader);
        return NULL;
    }
    return reader;
}

/* A key or value of the row. Keys are copied into out, which gets a NUL behind them. */
static int row_key(const struct sqlite_connection *reader, sqlite3_stmt *row, int column,
                   char out[STORE_KEY_LIMIT + 1], struct err *err)
{
    const void *key = sqlite3_column_blob(row, column);
    int size = sqlite3_column_bytes(row, column);
    if (key == NULL) {
        /* SQLite gives NULL for an empty blob, and when memory is out. No key of ours is empty. */
        int code = sqlite3_errcode(reader->db);
        return sqlite_failure(reader, (code & 0xff) == SQLITE_NOMEM ? code : SQLITE_CORRUPT, "read",
                              err);
    }
    if (size <= 0 || (unsigned)size > STORE_KEY_LIMIT) {
        return sqlite_failure(reader, SQLITE_CORRUPT, "read", err);
    }
    (void)memcpy(out, key, (size_t)size);
    out[size] = '\0';
    return 0;
}

static int row_value(const struct sqlite_connection *reader, sqlite3_stmt *row, int column,
                     struct store_entry *entry, struct err *err)
{
    entry->value = sqlite3_column_blob(row, column);
    entry->size = (size_t)sqlite3_column_bytes(row, column);
    if (entry->value == NULL && (sqlite3_errcode(reader->db) & 0xff) == SQLITE_NOMEM) {
        return sqlite_failure(reader, SQLITE_NOMEM, "read", err);
    }
    return 0;
}

int sqlite_row_entry(const struct sqlite_connection *reader, sqlite3_stmt *row, bool bare,
                     char key[STORE_KEY_LIMIT + 1], struct store_entry *entry, struct err *err)
{
    *entry = (struct store_entry){.key = key};
    if (!bare) {
        entry->created_revision = sqlite3_column_int64(row, 2);
        entry->changed_revision = sqlite3_column_int64(row, 3);
        entry->version = sqlite3_column_int64(row, 4);
        entry->lease = sqlite3_column_int64(row, 5);
    }
    int rc = row_key(reader, row, 0, key, err);
    return rc == 0 ? row_value(reader, row, 1, entry, err) : rc;
}

int sqlite_find(struct sqlite_connection *connection, const char *key, struct arena *arena,
                bool *ret_found, struct store_entry *ret_entry, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(connection, SQL_GET, err);
    if (statement == NULL) {
        return err->code;
    }
    char copy[STORE_KEY_LIMIT + 1];
    struct store_entry entry;
    /* Binding borrowed memory cannot fail. */
    (void)sqlite3_bind_blob(statement, 1, key, (int)strlen(key), SQLITE_STATIC);
    int rc = 0;
    int code = sqlite3_step(statement);
    *ret_found = code == SQLITE_ROW;
    if (code == SQLITE_ROW) {
        rc = sqlite_row_entry(connection, statement, false, copy, &entry, err);
        rc = rc != 0 ? rc : store_entry_copy(arena, &entry, ret_entry, err);
    } else if (code != SQLITE_DONE) {
        rc = sqlite_failure(connection, code, "read", err);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return rc;
}

int sqlite_store_get(struct store *store, const char *key, struct arena *arena,
                     struct store_entry *ret_entry, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct sqlite_connection *reader = reader_take(self, err);
    if (reader == NULL) {
        return err->code;
    }
    bool found = false;
    int rc = sqlite_find(reader, key, arena, &found, ret_entry, err);
    reader_give(self, reader);
    return rc != 0 || found ? rc : err_set(err, ERR_NOT_FOUND, "the store has no key %.160s", key);
}

/* Reads rows of RANGE or, bare, RANGE_VALUES, up to limit (0: all). */
static int range_rows(struct sqlite_connection *reader, sqlite3_stmt *statement, bool bare,
                      size_t limit, struct arena *arena, struct store_list_builder *builder,
                      bool *ret_more, struct err *err)
{
    char key[STORE_KEY_LIMIT + 1];
    for (;;) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_DONE) {
            return 0;
        }
        if (code != SQLITE_ROW) {
            return sqlite_failure(reader, code, "read", err);
        }
        if (limit != 0 && builder->count == limit) {
            *ret_more = true;
            return 0;
        }
        struct store_entry entry;
        int rc = sqlite_row_entry(reader, statement, bare, key, &entry, err);
        if (rc == 0) {
            rc = store_list_add(builder, arena, &entry, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static int range(struct sqlite_connection *reader, const char *prefix, const char *after,
                 size_t limit, bool bare, struct arena *arena, struct store_list *list,
                 struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(reader, bare ? SQL_RANGE_VALUES : SQL_RANGE, err);
    if (statement == NULL) {
        return err->code;
    }
    struct sqlite_bound bound;
    sqlite_bound_after_prefix(prefix, &bound);
    sqlite_bind_prefix(statement, prefix, &bound);
    if (after != NULL && strcmp(after, prefix) >= 0) {
        /* No key has a NUL, so `after` with its NUL is the next string behind it. */
        (void)sqlite3_bind_blob(statement, 1, after, (int)strlen(after) + 1, SQLITE_STATIC);
    }
    sqlite3_int64 rows = limit == 0 || limit > INT32_MAX ? -1 : (sqlite3_int64)limit + 1;
    (void)sqlite3_bind_int64(statement, 3, rows); /* cannot fail */
    struct store_list_builder builder = {0};
    int rc = range_rows(reader, statement, bare, limit, arena, &builder, &list->more, err);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    if (rc != 0) {
        store_list_abandon(&builder);
        return rc;
    }
    return store_list_finish(&builder, arena, list, err);
}

int sqlite_store_range(struct store *store, const char *prefix, const char *after, size_t limit,
                       bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct store_list list = {0};
    int64_t compacted = 0;
    struct sqlite_connection *reader = snapshot_take(self, &list.revision, &compacted, err);
    if (reader == NULL) {
        return err->code;
    }
    int rc = range(reader, prefix, after, limit, bare, arena, &list, err);
    reader_give(self, reader);
    if (rc == 0) {
        *ret_list = list;
    }
    return rc;
}

int sqlite_store_ranges(struct store *store, const char *const *prefixes, size_t count,
                        struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    int64_t revision = 0;
    int64_t compacted = 0;
    struct sqlite_connection *reader = snapshot_take(self, &revision, &compacted, err);
    if (reader == NULL) {
        return err->code;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        ret_lists[i] = (struct store_list){.revision = revision};
        rc = range(reader, prefixes[i], NULL, STORE_RANGES_ENTRIES, false, arena, &ret_lists[i],
                   err);
    }
    reader_give(self, reader);
    return rc;
}

int sqlite_store_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct sqlite_connection *reader = reader_take(self, err);
    if (reader == NULL) {
        return err->code;
    }
    sqlite3_stmt *statement = sqlite_statement(reader, SQL_COUNT, err);
    int rc = statement != NULL ? 0 : err->code;
    if (statement != NULL) {
        struct sqlite_bound bound;
        sqlite_bound_after_prefix(prefix, &bound);
        sqlite_bind_prefix(statement, prefix, &bound);
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *ret_count = (size_t)sqlite3_column_int64(statement, 0);
        } else {
            rc = sqlite_failure(reader, code, "read", err);
        }
        (void)sqlite3_reset(statement); /* repeats the code of the step */
    }
    reader_give(self, reader);
    return rc;
}

int sqlite_store_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct sqlite_connection *reader = reader_take(self, err);
    if (reader == NULL) {
        return err->code;
    }
    int64_t compacted = 0;
    int rc = sqlite_read_meta(reader, ret_revision, &compacted, err);
    reader_give(self, reader);
    return rc;
}

/* ---- history ---- */

struct change_list {
    struct store_change *items;
    size_t count;
    size_t capacity;
    size_t bytes;
};

static int change_add(struct change_list *list, struct arena *arena, enum store_change_type type,
                      const struct store_entry *entry, struct err *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        struct store_change *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL) {
            return err_set(err, ERR_MEMORY, "out of memory reading %zu changes", capacity);
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count].type = type;
    int rc = store_entry_copy(arena, entry, &list->items[list->count].entry, err);
    if (rc == 0) {
        list->count++;
        list->bytes += entry->size;
    }
    return rc;
}

/* A row of CHANGES; the entry borrows from the row and key. */
static int row_change(const struct sqlite_connection *reader, sqlite3_stmt *row,
                      char key[STORE_KEY_LIMIT + 1], enum store_change_type *ret_type,
                      struct store_entry *entry, struct err *err)
{
    *ret_type = sqlite3_column_int(row, 1) == 0 ? STORE_PUT : STORE_DELETE;
    *entry = (struct store_entry){.key = key, .changed_revision = sqlite3_column_int64(row, 0)};
    int rc = row_key(reader, row, 2, key, err);
    if (rc != 0 || *ret_type == STORE_DELETE) {
        return rc;
    }
    entry->created_revision = sqlite3_column_int64(row, 4);
    entry->version = sqlite3_column_int64(row, 5);
    entry->lease = sqlite3_column_int64(row, 6);
    return row_value(reader, row, 3, entry, err);
}

/* Whole revisions, until the batch is full; *revision: how far it reaches. */
static int change_rows(struct sqlite_connection *reader, sqlite3_stmt *statement,
                       struct arena *arena, struct change_list *list, int64_t *revision,
                       struct err *err)
{
    char key[STORE_KEY_LIMIT + 1];
    for (;;) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_DONE) {
            return 0;
        }
        if (code != SQLITE_ROW) {
            return sqlite_failure(reader, code, "read", err);
        }
        struct store_entry entry;
        enum store_change_type type = STORE_PUT;
        int rc = row_change(reader, statement, key, &type, &entry, err);
        if (rc != 0) {
            return rc;
        }
        bool full = list->count > STORE_BATCH_CHANGES || list->bytes > STORE_BATCH_BYTES;
        if (full && entry.changed_revision != list->items[list->count - 1].entry.changed_revision) {
            *revision = list->items[list->count - 1].entry.changed_revision;
            return 0;
        }
        rc = change_add(list, arena, type, &entry, err);
        if (rc != 0) {
            return rc;
        }
    }
}

static int changes(struct sqlite_connection *reader, const char *prefix, int64_t after,
                   struct arena *arena, struct store_batch *batch, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(reader, SQL_CHANGES, err);
    if (statement == NULL) {
        return err->code;
    }
    struct sqlite_bound bound;
    sqlite_bound_after_prefix(prefix, &bound);
    sqlite_bind_prefix(statement, prefix, &bound);
    (void)sqlite3_bind_int64(statement, 3, after); /* cannot fail */
    struct change_list list = {0};
    int rc = change_rows(reader, statement, arena, &list, &batch->revision, err);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    if (rc == 0 && list.count != 0) {
        batch->count = list.count;
        batch->changes = arena_try_memdup(arena, list.items, list.count * sizeof *list.items);
        if (batch->changes == NULL) {
            rc = err_set(err, ERR_MEMORY, "out of memory reading %zu changes", list.count);
        }
    }
    free(list.items);
    return rc;
}

int sqlite_store_changes(struct store *store, const char *prefix, int64_t after,
                         struct arena *arena, struct store_batch *ret_batch, struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct store_batch batch = {0};
    int64_t compacted = 0;
    struct sqlite_connection *reader = snapshot_take(self, &batch.revision, &compacted, err);
    if (reader == NULL) {
        return err->code;
    }
    compacted = MAX(compacted, atomic_load(&self->floor));
    int rc = after < compacted ? err_set(err, ERR_COMPACTED,
                                         "history up to revision %lld is gone, %lld was wanted",
                                         (long long)compacted, (long long)after + 1)
                               : changes(reader, prefix, after, arena, &batch, err);
    reader_give(self, reader);
    if (rc == 0) {
        *ret_batch = batch;
    }
    return rc;
}
