/* The memory backend: a sorted array of records and a list of the last changes, under one lock. It
 * is the reference, so it is plain. Called through store.h on any thread. Records are immutable and
 * counted, shared between the map and the history. Invariant: everything that can fail happens
 * before the first change, so a transaction is applied whole or not at all. */
#include "store/memory.h"

#include "base/memory.h"
#include "base/text.h"
#include "store/backend.h"
#include "store/hub.h"
#include "store/leases.h"
#include "store/txn.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* entry.key and entry.value point into data. */
struct record {
    size_t references; /* under the store's lock */
    struct store_entry entry;
    char data[];
};

struct event {
    int64_t revision;
    enum store_change_type type;
    struct record *record; /* for a delete: what was there */
};

struct memory_store {
    struct store base;
    pthread_mutex_t lock; /* over all but hub and leases, which have their own */
    struct record **records;
    size_t count;
    size_t capacity;
    struct event *events; /* oldest first, from event_first */
    size_t event_first;
    size_t event_count; /* including those before event_first */
    size_t event_capacity;
    size_t event_bytes; /* of their keys and values */
    int64_t revision;
    int64_t compacted; /* history up to and including this is gone */
    struct store_hub hub;
    struct store_leases leases;
};

static struct memory_store *self_of(struct store *store)
{
    return CONTAINER_OF(store, struct memory_store, base);
}

static struct record *record_new(const struct store_op *op)
{
    size_t key_size = strlen(op->key) + 1;
    struct record *record = malloc(sizeof *record + key_size + op->size + 1);
    if (record == NULL) {
        return NULL;
    }
    (void)memcpy(record->data, op->key, key_size);
    if (op->size != 0) {
        (void)memcpy(record->data + key_size, op->value, op->size);
    }
    record->data[key_size + op->size] = '\0';
    record->references = 1;
    record->entry = (struct store_entry){.key = record->data,
                                         .value = record->data + key_size,
                                         .size = op->size,
                                         .lease = op->lease};
    return record;
}

static void record_unref(struct record *record)
{
    if (--record->references == 0) {
        free(record);
    }
}

/* Index of the first record whose key is not before key. */
static size_t lower_bound(const struct memory_store *self, const char *key)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(self->records[middle]->entry.key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct record *find(const struct memory_store *self, const char *key)
{
    size_t at = lower_bound(self, key);
    return at < self->count && text_equal(self->records[at]->entry.key, key) ? self->records[at]
                                                                             : NULL;
}

/* Index behind the last record under prefix; from: the first one under it. */
static size_t prefix_end(const struct memory_store *self, const char *prefix, size_t from)
{
    size_t low = from;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_starts(self->records[middle]->entry.key, prefix)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- reads ---- */

static int memory_get(struct store *store, const char *key, struct arena *arena,
                      struct store_entry *ret_entry, struct err *err)
{
    struct memory_store *self = self_of(store);
    (void)pthread_mutex_lock(&self->lock);
    const struct record *record = find(self, key);
    int rc = record == NULL ? err_set(err, ERR_NOT_FOUND, "the store has no key %.160s", key)
                            : store_entry_copy(arena, &record->entry, ret_entry, err);
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

static int range(const struct memory_store *self, const char *prefix, const char *after,
                 size_t limit, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    struct store_list_builder builder = {0};
    size_t first = lower_bound(self, prefix);
    size_t end = prefix_end(self, prefix, first);
    if (after != NULL) {
        size_t next = lower_bound(self, after);
        if (next < self->count && text_equal(self->records[next]->entry.key, after)) {
            next++;
        }
        first = MIN(MAX(first, next), end);
    }
    bool more = limit != 0 && end - first > limit;
    size_t stop = more ? first + limit : end;
    for (size_t i = first; i < stop; i++) {
        int rc = store_list_add(&builder, arena, &self->records[i]->entry, err);
        if (rc != 0) {
            store_list_abandon(&builder);
            return rc;
        }
    }
    struct store_list list = {.more = more, .revision = self->revision};
    int rc = store_list_finish(&builder, arena, &list, err);
    if (rc == 0) {
        *ret_list = list;
    }
    return rc;
}

static int memory_range(struct store *store, const char *prefix, const char *after, size_t limit,
                        bool bare, struct arena *arena, struct store_list *ret_list,
                        struct err *err)
{
    (void)bare; /* nothing costs more here */
    struct memory_store *self = self_of(store);
    (void)pthread_mutex_lock(&self->lock);
    int rc = range(self, prefix, after, limit, arena, ret_list, err);
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

static int memory_ranges(struct store *store, const char *const *prefixes, size_t count,
                         struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    struct memory_store *self = self_of(store);
    int rc = 0;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = range(self, prefixes[i], NULL, STORE_RANGES_ENTRIES, arena, &ret_lists[i], err);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

static int memory_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    struct memory_store *self = self_of(store);
    (void)err; /* counting cannot fail here */
    (void)pthread_mutex_lock(&self->lock);
    size_t first = lower_bound(self, prefix);
    *ret_count = prefix_end(self, prefix, first) - first;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

static int memory_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    struct memory_store *self = self_of(store);
    (void)err; /* as above */
    (void)pthread_mutex_lock(&self->lock);
    *ret_revision = self->revision;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

/* ---- history ---- */

static size_t record_bytes(const struct record *record)
{
    return strlen(record->entry.key) + record->entry.size;
}

static void trim(struct memory_store *self, int64_t revision)
{
    while (self->event_first < self->event_count &&
           self->events[self->event_first].revision <= revision) {
        self->event_bytes -= record_bytes(self->events[self->event_first].record);
        record_unref(self->events[self->event_first].record);
        self->event_first++;
    }
    self->compacted = MAX(self->compacted, revision);
    if (self->event_first > self->event_count / 2) {
        self->event_count -= self->event_first;
        (void)memmove(self->events, self->events + self->event_first,
                      self->event_count * sizeof *self->events);
        self->event_first = 0;
    }
}

/* The revision up to which history goes, so that what is left has STORE_HISTORY_BYTES at most. */
static int64_t bytes_beyond(const struct memory_store *self)
{
    int64_t beyond = self->compacted;
    size_t bytes = self->event_bytes;
    for (size_t i = self->event_first; i < self->event_count && bytes > STORE_HISTORY_BYTES &&
                                       self->events[i].revision < self->revision;
         i++) {
        bytes -= record_bytes(self->events[i].record);
        beyond = self->events[i].revision;
    }
    return beyond;
}

static size_t first_event_after(const struct memory_store *self, int64_t revision)
{
    size_t low = self->event_first;
    size_t high = self->event_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->events[middle].revision <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int read_changes(const struct memory_store *self, const char *prefix, int64_t after,
                        struct arena *arena, struct store_batch *ret_batch, struct err *err)
{
    if (after < self->compacted) {
        return err_set(err, ERR_COMPACTED, "history up to revision %lld is gone, %lld was wanted",
                       (long long)self->compacted, (long long)after + 1);
    }
    size_t first = first_event_after(self, after);
    size_t count = 0;
    size_t bytes = 0;
    size_t stop = first;
    int64_t revision = self->revision;
    for (; stop < self->event_count; stop++) {
        const struct event *event = &self->events[stop];
        bool full = bytes > STORE_BATCH_BYTES || count > STORE_BATCH_CHANGES;
        if (full && event->revision != self->events[stop - 1].revision) {
            revision = self->events[stop - 1].revision;
            break;
        }
        if (text_starts(event->record->entry.key, prefix)) {
            count++;
            bytes += event->record->entry.size;
        }
    }
    struct store_change *changes = arena_try_alloc(arena, count * sizeof *changes);
    if (changes == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory reading %zu changes", count);
    }
    size_t filled = 0;
    for (size_t i = first; i < stop; i++) {
        const struct event *event = &self->events[i];
        if (!text_starts(event->record->entry.key, prefix)) {
            continue;
        }
        struct store_entry entry = event->record->entry;
        if (event->type == STORE_DELETE) {
            entry = (struct store_entry){.key = entry.key, .changed_revision = event->revision};
        }
        changes[filled].type = event->type;
        int rc = store_entry_copy(arena, &entry, &changes[filled++].entry, err);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_batch = (struct store_batch){.revision = revision, .changes = changes, .count = count};
    return 0;
}

static int memory_read_changes(struct store *store, const char *prefix, int64_t after,
                               struct arena *arena, struct store_batch *ret_batch, struct err *err)
{
    struct memory_store *self = self_of(store);
    (void)pthread_mutex_lock(&self->lock);
    int rc = read_changes(self, prefix, after, arena, ret_batch, err);
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

/* ---- transactions ---- */

static int check(struct memory_store *self, const struct store_txn *txn, struct err *err)
{
    for (size_t i = 0; i < txn->compare_count; i++) {
        const struct record *record = find(self, txn->compares[i].key);
        int rc = store_compare_check(&txn->compares[i],
                                     record != NULL ? record->entry.changed_revision : 0, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < txn->op_count; i++) {
        if (txn->ops[i].leased && !store_leases_live(&self->leases, txn->ops[i].lease)) {
            return store_lease_unknown(txn->ops[i].lease, err);
        }
    }
    return 0;
}

/* Room for this many more records and events: afterwards applying cannot fail. */
static bool reserve(struct memory_store *self, size_t puts, size_t events)
{
    if (self->count + puts > self->capacity) {
        size_t capacity = MAX(self->capacity * 2, self->count + puts);
        struct record **records = realloc(self->records, capacity * sizeof(struct record *));
        if (records == NULL) {
            return false;
        }
        self->records = records;
        self->capacity = capacity;
    }
    if (self->event_count + events > self->event_capacity) {
        size_t capacity = MAX(self->event_capacity * 2, self->event_count + events);
        struct event *moved = realloc(self->events, capacity * sizeof *moved);
        if (moved == NULL) {
            return false;
        }
        self->events = moved;
        self->event_capacity = capacity;
    }
    return true;
}

static void add_event(struct memory_store *self, int64_t revision, enum store_change_type type,
                      struct record *record)
{
    record->references++;
    self->event_bytes += record_bytes(record);
    self->events[self->event_count++] =
        (struct event){.revision = revision, .type = type, .record = record};
}

static void apply_put(struct memory_store *self, struct record *take_record, int64_t revision)
{
    struct store_entry *entry = &take_record->entry;
    size_t at = lower_bound(self, entry->key);
    entry->changed_revision = revision;
    if (at < self->count && text_equal(self->records[at]->entry.key, entry->key)) {
        entry->created_revision = self->records[at]->entry.created_revision;
        entry->version = self->records[at]->entry.version + 1;
        record_unref(self->records[at]);
    } else {
        entry->created_revision = revision;
        entry->version = 1;
        (void)memmove(&self->records[at + 1], &self->records[at],
                      (self->count - at) * sizeof(struct record *));
        self->count++;
    }
    self->records[at] = take_record;
    add_event(self, revision, STORE_PUT, take_record);
}

/* Deletes the records from index first to before end. */
static void apply_delete(struct memory_store *self, size_t first, size_t end, int64_t revision)
{
    for (size_t i = first; i < end; i++) {
        add_event(self, revision, STORE_DELETE, self->records[i]);
        record_unref(self->records[i]);
    }
    if (end > first) {
        (void)memmove(&self->records[first], &self->records[end],
                      (self->count - end) * sizeof(struct record *));
        self->count -= end - first;
    }
}

static void apply(struct memory_store *self, const struct store_txn *txn, struct record **records,
                  int64_t revision)
{
    for (size_t i = 0; i < txn->op_count; i++) {
        const struct store_op *op = &txn->ops[i];
        if (op->type == STORE_OP_PUT) {
            apply_put(self, records[i], revision);
            continue;
        }
        size_t first = lower_bound(self, op->key);
        size_t end = prefix_end(self, op->key, first);
        if (op->type == STORE_OP_DELETE) {
            bool there = first < end && text_equal(self->records[first]->entry.key, op->key);
            end = there ? first + 1 : first;
        }
        apply_delete(self, first, end, revision);
    }
}

/* After events were added: the revision counts, watchers hear of it, old history goes. */
static void finish(struct memory_store *self, int64_t revision, const struct store_txn *txn)
{
    self->revision = revision;
    trim(self, MAX(bytes_beyond(self), revision - STORE_HISTORY_KEEP));
    store_hub_publish(&self->hub, revision, txn);
}

static int commit_locked(struct memory_store *self, const struct store_txn *txn,
                         struct record **records, int64_t *ret_revision, struct err *err)
{
    int rc = check(self, txn, err);
    if (rc != 0) {
        return rc;
    }
    size_t puts = 0;
    size_t events = txn->op_count;
    for (size_t i = 0; i < txn->op_count; i++) {
        if (txn->ops[i].type == STORE_OP_DELETE_PREFIX) {
            events = txn->op_count + self->count; /* every key may go */
        }
        if (txn->ops[i].type != STORE_OP_PUT) {
            continue;
        }
        records[i] = record_new(&txn->ops[i]);
        if (records[i] == NULL) {
            return err_set(err, ERR_MEMORY, "out of memory for a transaction");
        }
        puts++;
    }
    if (!reserve(self, puts, events)) {
        return err_set(err, ERR_MEMORY, "out of memory for a transaction");
    }
    size_t before = self->event_count;
    apply(self, txn, records, self->revision + 1);
    (void)memset(records, 0, txn->op_count * sizeof(struct record *)); /* the map has them now */
    if (self->event_count != before) {
        finish(self, self->revision + 1, txn);
    }
    *ret_revision = self->revision;
    return 0;
}

static int memory_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                         struct err *err)
{
    struct memory_store *self = self_of(store);
    struct record **records = memory_array(txn->op_count, sizeof(struct record *));
    (void)pthread_mutex_lock(&self->lock);
    int rc = commit_locked(self, txn, records, ret_revision, err);
    (void)pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; i < txn->op_count; i++) {
        free(records[i]);
    }
    free(records);
    return rc;
}

/* ---- watches and leases ---- */

static int memory_watch_open(struct store *store, const char *prefix, int64_t after,
                             struct store_watch **ret_watch, struct err *err)
{
    (void)err; /* cannot fail here */
    *ret_watch = store_hub_open(&self_of(store)->hub, prefix, after);
    return 0;
}

static int memory_compact(struct store *store, int64_t revision, struct err *err)
{
    struct memory_store *self = self_of(store);
    int rc = 0;
    (void)pthread_mutex_lock(&self->lock);
    if (revision > self->revision) {
        rc = err_set(err, ERR_INVALID, "cannot compact to revision %lld, the newest is %lld",
                     (long long)revision, (long long)self->revision);
    } else {
        trim(self, revision);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

static int memory_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease,
                              struct err *err)
{
    struct memory_store *self = self_of(store);
    int64_t id = store_leases_new_id(&self->leases);
    int rc = store_leases_add(&self->leases, id, ttl_ms, err);
    if (rc == 0) {
        *ret_lease = id;
    }
    return rc;
}

static int memory_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    return store_leases_keepalive(&self_of(store)->leases, lease, err);
}

static int memory_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    return store_leases_revoke(&self_of(store)->leases, lease, err);
}

static int lease_end(void *context, int64_t lease, struct err *err)
{
    struct memory_store *self = context;
    int rc = 0;
    (void)pthread_mutex_lock(&self->lock);
    size_t before = self->event_count;
    if (!reserve(self, 0, self->count)) {
        rc = err_set(err, ERR_MEMORY, "out of memory ending a lease");
    }
    for (size_t i = 0; rc == 0 && i < self->count;) {
        if (self->records[i]->entry.lease == lease) {
            apply_delete(self, i, i + 1, self->revision + 1);
        } else {
            i++;
        }
    }
    if (self->event_count != before) {
        finish(self, self->revision + 1, NULL);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return rc;
}

/* ---- life ---- */

static void memory_close(struct store *take_store)
{
    struct memory_store *self = self_of(take_store);
    store_leases_done(&self->leases);
    store_hub_done(&self->hub);
    trim(self, self->revision);
    for (size_t i = 0; i < self->count; i++) {
        record_unref(self->records[i]);
    }
    free(self->records);
    free(self->events);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct store_backend backend = {
    .name = "memory",
    .get = memory_get,
    .range = memory_range,
    .ranges = memory_ranges,
    .count = memory_count,
    .revision = memory_revision,
    .commit = memory_commit,
    .watch_open = memory_watch_open,
    .watch_next = store_hub_next,
    .watch_interrupt = store_hub_interrupt,
    .watch_close = store_hub_close,
    .compact = memory_compact,
    .lease_grant = memory_lease_grant,
    .lease_keepalive = memory_lease_keepalive,
    .lease_revoke = memory_lease_revoke,
    .close = memory_close,
};

struct store *store_memory_open(void)
{
    struct memory_store *self = memory_new(sizeof *self);
    self->base.backend = &backend;
    (void)pthread_mutex_init(&self->lock, NULL); /* cannot fail with default attributes */
    store_hub_init(&self->hub, &self->base, 0, memory_read_changes);
    store_leases_init(&self->leases, lease_end, self);
    return &self->base;
}
