/* A copy's changes: batches of its original, and all of it anew; see copy.h. Called by replica.c on
 * its thread, the only one that writes. Invariant: entries, revision and checksum change in one
 * SQLite transaction, and memory (sum, revision, who is told) only after its COMMIT. */
#include "base/memory.h"
#include "base/text.h"
#include "store/sqlite/copy_internal.h"

#include <stdlib.h>
#include <string.h>

#define DELETE_STEP 256U /* keys that are collected before they are deleted */

/* ---- single entries ---- */

static int read_entry(struct copy *self, const char *key, struct arena *arena, bool *ret_found,
                      struct store_entry *ret_entry, struct err *err)
{
    return sqlite_find(&self->store.writer, key, arena, ret_found, ret_entry, err);
}

/* In the copy keys are plain: leases are the original's affair. */
static struct store_op put_of(const struct store_entry *entry)
{
    return (struct store_op){.type = STORE_OP_PUT,
                             .key = entry->key,
                             .value = entry->size != 0 ? entry->value : "",
                             .size = entry->size};
}

/* ---- batches ---- */

static int gap(const struct store_entry *entry, const char *how, struct err *err)
{
    return err_set(err, ERR_CONFLICT, "the change of %.120s at revision %lld does not follow: %s",
                   entry->key, (long long)entry->changed_revision, how);
}

/* The revision and the place in it of the change that comes next. */
struct position {
    int64_t revision;
    int64_t sequence;
};

static int apply_put(struct copy *self, const struct store_entry *entry, bool found,
                     const struct store_entry *old, struct position *at, struct err *err)
{
    bool follows =
        found
            ? entry->version == old->version + 1 && entry->created_revision == old->created_revision
            : entry->version == 1 && entry->created_revision == entry->changed_revision;
    if (!follows) {
        return gap(entry, found ? "the copy has another version of it" : "the copy lacks it", err);
    }
    struct store_op op = put_of(entry);
    int rc = sqlite_run_put(&self->store, SQL_PUT, &op, entry, 0, err);
    return rc != 0 ? rc
                   : sqlite_run_put(&self->store, SQL_LOG_PUT, &op, entry, at->sequence++, err);
}

static int apply_change(struct copy *self, const struct store_change *change, struct position *at,
                        uint64_t *sum, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct store_entry *entry = &change->entry;
    struct store_entry old;
    bool found = false;
    if (entry->changed_revision < at->revision || entry->changed_revision <= self->store.revision) {
        return gap(entry, "it comes too late", err);
    }
    if (entry->changed_revision > at->revision) {
        *at = (struct position){.revision = entry->changed_revision};
    }
    int rc = read_entry(self, entry->key, &arena, &found, &old, err);
    if (rc != 0) {
        return rc;
    }
    *sum -= found ? copy_hash(self, &old) : 0;
    if (change->type == STORE_PUT) {
        *sum += copy_hash(self, entry);
        return apply_put(self, entry, found, &old, at, err);
    }
    if (!found) {
        return gap(entry, "the copy has nothing to delete", err);
    }
    struct store_op op = {.type = STORE_OP_DELETE, .key = entry->key};
    return sqlite_apply_delete(&self->store, &op, at->revision, &at->sequence, err);
}

static int apply_batch(struct copy *self, const struct store_batch *batch, struct wall heard,
                       struct sqlite_progress *progress, uint64_t *sum, struct err *err)
{
    struct position at = {.revision = self->store.revision};
    int rc = sqlite_begin_write(&self->store, err);
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        rc = apply_change(self, &batch->changes[i], &at, sum, err);
    }
    if (rc == 0 && at.revision > batch->revision) {
        rc = err_set(err, ERR_CONFLICT, "a batch up to revision %lld holds one of revision %lld",
                     (long long)batch->revision, (long long)at.revision);
    }
    rc = rc != 0 ? rc : sqlite_trim(&self->store, progress, err);
    rc = rc != 0 ? rc : sqlite_set_meta(&self->store, progress, err);
    const struct copy_row row = {.sum = *sum,
                                 .revision = progress->revision,
                                 .heard = heard,
                                 .past = self->past,
                                 .complete = true};
    rc = rc != 0 ? rc : copy_write_row(self, &row, err);
    rc = rc != 0 ? rc : sqlite_execute(&self->store.writer, SQL_COMMIT, err);
    if (rc != 0) {
        sqlite_roll_back(&self->store.writer);
    }
    return rc;
}

/* Wakes the watches that the batch concerns. */
static void publish(struct copy *self, const struct store_batch *batch)
{
    struct store_op *ops = calloc(batch->count + 1, sizeof *ops);
    struct store_txn txn = {.ops = ops, .op_count = batch->count};
    for (size_t i = 0; ops != NULL && i < batch->count; i++) {
        ops[i] = (struct store_op){.type = STORE_OP_PUT, .key = batch->changes[i].entry.key};
    }
    store_hub_publish(&self->store.hub, batch->revision, ops != NULL ? &txn : NULL);
    free(ops);
}

int copy_apply(struct store *store, const struct store_batch *batch, struct wall heard,
               struct err *err)
{
    struct copy *self = copy_of(store);
    if (batch->revision < self->store.revision) {
        return err_set(err, ERR_CONFLICT, "the watch is at revision %lld, the copy at %lld already",
                       (long long)batch->revision, (long long)self->store.revision);
    }
    if (batch->revision == self->store.revision && batch->count == 0) {
        return 0;
    }
    struct sqlite_progress progress = {.revision = batch->revision,
                                       .compacted = self->store.compacted,
                                       .history = self->store.history};
    uint64_t sum = self->sum;
    int rc = apply_batch(self, batch, heard, &progress, &sum, err);
    if (rc != 0) {
        return rc;
    }
    copy_tail_add(&self->tail, self->store.revision, batch);
    self->store.revision = progress.revision;
    self->store.compacted = progress.compacted;
    self->store.history = progress.history;
    self->sum = sum;
    self->heard = heard;
    atomic_store(&self->log_pages, self->store.writer.log_pages);
    for (size_t i = batch->count - MIN(batch->count, COPY_RECENT); i < batch->count; i++) {
        copy_note_recent(self, batch->changes[i].entry.key);
    }
    publish(self, batch);
    return 0;
}

int copy_heard(struct store *store, struct wall heard, uint64_t past, struct err *err)
{
    struct copy *self = copy_of(store);
    const struct copy_row row = {.sum = self->sum,
                                 .revision = self->store.revision,
                                 .heard = heard,
                                 .past = past,
                                 .complete = self->complete};
    int rc = sqlite_begin_write(&self->store, err);
    rc = rc != 0 ? rc : copy_write_row(self, &row, err);
    rc = rc != 0 ? rc : sqlite_execute(&self->store.writer, SQL_COMMIT, err);
    if (rc != 0) {
        sqlite_roll_back(&self->store.writer);
        return rc;
    }
    self->heard = heard;
    self->past = past;
    return 0;
}

/* ---- all anew ---- */

int copy_sync_begin(struct store *store, struct err *err)
{
    struct copy *self = copy_of(store);
    copy_newest_done(&self->sync.newest);
    self->sync = (struct copy_sync){.sum = self->sum};
    return sqlite_begin_write(&self->store, err);
}

void copy_sync_abandon(struct store *store)
{
    sqlite_roll_back(&copy_of(store)->store.writer);
}

static bool same(const struct store_entry *a, const struct store_entry *b)
{
    return a->size == b->size && a->created_revision == b->created_revision &&
           a->changed_revision == b->changed_revision && a->version == b->version &&
           (a->size == 0 || memcmp(a->value, b->value, a->size) == 0);
}

static int sync_put(struct copy *self, const struct store_entry *entry,
                    const struct store_entry *old /* NULL: none */, struct err *err)
{
    struct store_op op = put_of(entry);
    self->sync.differences++;
    self->sync.sum += copy_hash(self, entry) - (old != NULL ? copy_hash(self, old) : 0);
    return sqlite_run_put(&self->store, SQL_PUT, &op, entry, 0, err);
}

static int sync_delete(struct copy *self, const struct store_entry *old, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->store.writer, SQL_DELETE, err);
    if (statement == NULL) {
        return err->code;
    }
    /* The key with its NUL is the next string behind it. */
    int size = (int)strlen(old->key);
    (void)sqlite3_bind_blob(statement, 1, old->key, size, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, old->key, size + 1, SQLITE_STATIC);
    self->sync.differences++;
    self->sync.sum -= copy_hash(self, old);
    return sqlite_run(&self->store.writer, statement, "write", err);
}

static int sync_entry(struct copy *self, const struct store_entry *entry, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_entry old;
    bool found = false;
    copy_newest_offer(&self->sync.newest, entry);
    int rc = read_entry(self, entry->key, &arena, &found, &old, err);
    if (rc != 0 || (found && same(entry, &old))) {
        return rc;
    }
    return sync_put(self, entry, found ? &old : NULL, err);
}

/* A stretch of the keys: what the copy has in it, and what the original has. */
struct stretch {
    const struct store_entry *entries; /* the original's, sorted */
    size_t count;
    size_t next;
    const char *last; /* NULL: to the end */
};

static bool in_original(struct stretch *stretch, const char *key)
{
    while (stretch->next < stretch->count && strcmp(stretch->entries[stretch->next].key, key) < 0) {
        stretch->next++;
    }
    return stretch->next < stretch->count && text_equal(stretch->entries[stretch->next].key, key);
}

/* Collects entries behind the cursor that the original does not have, and moves the cursor. */
static int collect_gone(struct copy *self, sqlite3_stmt *statement, struct stretch *stretch,
                        struct arena *arena, struct store_list_builder *gone, bool *ret_more,
                        struct err *err)
{
    char key[STORE_KEY_LIMIT + 1];
    int code = SQLITE_DONE;
    *ret_more = false;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_entry entry;
        int rc = sqlite_row_entry(&self->store.writer, statement, false, key, &entry, err);
        if (rc != 0) {
            return rc;
        }
        if (stretch->last != NULL && strcmp(key, stretch->last) > 0) {
            return 0;
        }
        (void)memcpy(self->sync.cursor, key, sizeof key);
        if (in_original(stretch, key)) {
            continue;
        }
        rc = store_list_add(gone, arena, &entry, err);
        if (rc != 0) {
            return rc;
        }
        if (gone->count == DELETE_STEP) {
            *ret_more = true;
            return 0;
        }
    }
    return code == SQLITE_DONE ? 0 : sqlite_failure(&self->store.writer, code, "read", err);
}

static int delete_some(struct copy *self, struct stretch *stretch, bool *ret_more, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_list_builder gone = {0};
    struct sqlite_bound bound;
    sqlite3_stmt *statement = sqlite_statement(&self->store.writer, SQL_RANGE, err);
    if (statement == NULL) {
        return err->code;
    }
    sqlite_bound_after_prefix("", &bound);
    sqlite_bind_prefix(statement, "", &bound);
    char from[STORE_KEY_LIMIT + 1];
    size_t size = strlen(self->sync.cursor);
    (void)memcpy(from, self->sync.cursor, size + 1);
    if (size != 0) { /* the cursor with its NUL is the next string behind it */
        (void)sqlite3_bind_blob(statement, 1, from, (int)size + 1, SQLITE_STATIC);
    }
    (void)sqlite3_bind_int64(statement, 3, -1);
    int rc = collect_gone(self, statement, stretch, &arena, &gone, ret_more, err);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    for (size_t i = 0; rc == 0 && i < gone.count; i++) {
        rc = sync_delete(self, &gone.entries[i], err);
    }
    store_list_abandon(&gone);
    return rc;
}

int copy_sync_page(struct store *store, const struct store_entry *entries, size_t count, bool last,
                   struct err *err)
{
    struct copy *self = copy_of(store);
    struct stretch stretch = {.entries = entries,
                              .count = count,
                              .last = last || count == 0 ? NULL : entries[count - 1].key};
    int rc = 0;
    for (bool more = last || count != 0; rc == 0 && more;) {
        rc = delete_some(self, &stretch, &more, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = sync_entry(self, &entries[i], err);
    }
    if (rc == 0 && count != 0) { /* never in the middle of what was deleted */
        size_t size = strlen(entries[count - 1].key) + 1;
        (void)memcpy(self->sync.cursor, entries[count - 1].key, size);
    }
    return rc;
}

static int sync_change(struct copy *self, const struct store_change *change, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct store_entry *entry = &change->entry;
    struct store_entry old;
    bool found = false;
    int rc = read_entry(self, entry->key, &arena, &found, &old, err);
    if (rc != 0) {
        return rc;
    }
    if (change->type == STORE_PUT) {
        bool known = found && old.changed_revision >= entry->changed_revision;
        return known ? 0 : sync_put(self, entry, found ? &old : NULL, err);
    }
    bool recreated = found && old.created_revision > entry->changed_revision;
    return !found || recreated ? 0 : sync_delete(self, &old, err);
}

int copy_sync_changes(struct store *store, const struct store_batch *batch, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        rc = sync_change(copy_of(store), &batch->changes[i], err);
    }
    return rc;
}

int copy_sync_get(struct store *store, const char *key, struct arena *arena, bool *ret_found,
                  struct store_entry *ret_entry, struct err *err)
{
    return read_entry(copy_of(store), key, arena, ret_found, ret_entry, err);
}

/* Whether those who watch can go on as if the revision had moved, no more. */
static bool is_progress(const struct copy *self, int64_t revision)
{
    return self->complete && self->sync.differences == 0 && revision >= self->store.revision;
}

int copy_sync_commit(struct store *store, int64_t revision, uint64_t past, struct wall heard,
                     size_t *ret_differences, struct err *err)
{
    struct copy *self = copy_of(store);
    bool progress = is_progress(self, revision);
    struct sqlite_progress fresh = {.revision = revision,
                                    .compacted = progress ? self->store.compacted : revision,
                                    .history = progress ? self->store.history : 0};
    int rc = progress ? 0 : sqlite_execute(&self->store.writer, SQL_FORGET, err);
    rc = rc != 0 ? rc : sqlite_set_meta(&self->store, &fresh, err);
    const struct copy_row row = {.sum = self->sync.sum,
                                 .revision = revision,
                                 .heard = heard,
                                 .past = past,
                                 .complete = true};
    rc = rc != 0 ? rc : copy_write_row(self, &row, err);
    rc = rc != 0 ? rc : sqlite_execute(&self->store.writer, SQL_COMMIT, err);
    if (rc != 0) {
        sqlite_roll_back(&self->store.writer);
        return rc;
    }
    self->store.revision = revision;
    self->store.compacted = fresh.compacted;
    self->store.history = fresh.history;
    self->sum = self->sync.sum;
    self->heard = heard;
    self->past = past;
    self->complete = true;
    copy_forget_recent(self);
    copy_note_newest(self, &self->sync.newest);
    copy_newest_done(&self->sync.newest);
    *ret_differences = self->sync.differences;
    copy_tail_reset(&self->tail, revision);
    if (progress) {
        const struct store_batch nothing = {.revision = revision};
        publish(self, &nothing);
        return 0;
    }
    atomic_store(&self->store.floor, revision);
    atomic_store(&self->withheld, false);
    store_hub_reset(&self->store.hub, revision);
    return 0;
}
