/* store.h's calls: checks arguments, then hands over to the backend's table (backend.h). Called by
 * every room that reads or writes the store, on any thread; keeps nothing. Invariant: a backend
 * never sees an invalid key, prefix or transaction. */
#include "store/store.h"

#include "base/memory.h"
#include "store/backend.h"
#include "store/txn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_TTL_MIN_MS 1000
#define LEASE_TTL_MAX_MS 86400000

/* A list this long would not fit in memory: stops the growth before sizes overflow. */
#define LIST_LIMIT (SIZE_MAX / sizeof(struct store_entry) / 2)

int store_get(struct store *store, const char *key, struct arena *arena,
              struct store_entry *ret_entry, struct err *err)
{
    int rc = store_key_check(key, err);
    return rc != 0 ? rc : store->backend->get(store, key, arena, ret_entry, err);
}

static int range(struct store *store, const char *prefix, const char *after, size_t limit,
                 bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    int rc = store_prefix_check(prefix, err);
    if (rc == 0 && after != NULL) {
        rc = store_prefix_check(after, err);
    }
    if (rc != 0) {
        return rc;
    }
    /* No key sorts before "": paging from there is paging from the first. */
    const char *start = after != NULL && after[0] != '\0' ? after : NULL;
    return store->backend->range(store, prefix, start, limit, bare, arena, ret_list, err);
}

int store_range(struct store *store, const char *prefix, const char *after, size_t limit,
                struct arena *arena, struct store_list *ret_list, struct err *err)
{
    return range(store, prefix, after, limit, false, arena, ret_list, err);
}

int store_range_values(struct store *store, const char *prefix, const char *after, size_t limit,
                       struct arena *arena, struct store_list *ret_list, struct err *err)
{
    return range(store, prefix, after, limit, true, arena, ret_list, err);
}

int store_ranges(struct store *store, const char *const *prefixes, size_t count,
                 struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    if (count == 0 || count > STORE_RANGES_LIMIT) {
        return err_set(err, ERR_LIMIT, "1 to %u prefixes are read together, not %zu",
                       STORE_RANGES_LIMIT, count);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = store_prefix_check(prefixes[i], err);
    }
    rc = rc == 0 ? store->backend->ranges(store, prefixes, count, arena, ret_lists, err) : rc;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (ret_lists[i].more) {
            rc = err_set(err, ERR_LIMIT, "more than %u keys start with %.160s",
                         STORE_RANGES_ENTRIES, prefixes[i]);
        }
    }
    return rc;
}

int store_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    int rc = store_prefix_check(prefix, err);
    return rc != 0 ? rc : store->backend->count(store, prefix, ret_count, err);
}

int store_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    return store->backend->revision(store, ret_revision, err);
}

uint64_t store_past(struct store *store)
{
    return store->backend->past != NULL ? store->backend->past(store) : 0;
}

int store_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                 struct err *err)
{
    int rc = store_txn_check(txn, err);
    return rc != 0 ? rc : store->backend->commit(store, txn, ret_revision, err);
}

int store_watch_open(struct store *store, const char *prefix, int64_t after,
                     struct store_watch **ret_watch, struct err *err)
{
    int rc = store_prefix_check(prefix, err);
    if (rc == 0 && after < 0) {
        rc =
            err_set(err, ERR_INVALID, "a watch cannot start after revision %lld", (long long)after);
    }
    return rc != 0 ? rc : store->backend->watch_open(store, prefix, after, ret_watch, err);
}

int store_watch_next(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                     struct err *err)
{
    return watch->store->backend->watch_next(watch, timeout_ms, ret_batch, err);
}

void store_watch_interrupt(struct store_watch *watch)
{
    watch->store->backend->watch_interrupt(watch);
}

void store_watch_close(struct store_watch *take_watch)
{
    if (take_watch != NULL) {
        take_watch->store->backend->watch_close(take_watch);
    }
}

int store_compact(struct store *store, int64_t revision, struct err *err)
{
    return store->backend->compact(store, revision, err);
}

int store_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease, struct err *err)
{
    if (ttl_ms < LEASE_TTL_MIN_MS || ttl_ms > LEASE_TTL_MAX_MS) {
        return err_set(err, ERR_INVALID, "a lease lasts %d to %d ms, not %lld", LEASE_TTL_MIN_MS,
                       LEASE_TTL_MAX_MS, (long long)ttl_ms);
    }
    return store->backend->lease_grant(store, ttl_ms, ret_lease, err);
}

int store_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    return store->backend->lease_keepalive(store, lease, err);
}

int store_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    return store->backend->lease_revoke(store, lease, err);
}

void store_close(struct store *take_store)
{
    if (take_store != NULL) {
        take_store->backend->close(take_store);
    }
}

/* ---- what backends share: copying entries out ---- */

int store_entry_copy(struct arena *arena, const struct store_entry *entry,
                     struct store_entry *ret_entry, struct err *err)
{
    size_t key_size = strlen(entry->key) + 1;
    char *copy = arena_try_alloc(arena, key_size + entry->size + 1);
    if (copy == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory reading %.160s", entry->key);
    }
    *ret_entry = *entry;
    ret_entry->key = copy;
    ret_entry->value = copy + key_size;
    (void)memcpy(copy, entry->key, key_size);
    if (entry->size != 0) {
        (void)memcpy(copy + key_size, entry->value, entry->size);
    }
    return 0;
}

int store_list_add(struct store_list_builder *builder, struct arena *arena,
                   const struct store_entry *entry, struct err *err)
{
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity == 0 ? 16 : builder->capacity * 2;
        struct store_entry *entries =
            capacity <= LIST_LIMIT ? realloc(builder->entries, capacity * sizeof *entries) : NULL;
        if (entries == NULL) {
            return err_set(err, ERR_MEMORY, "out of memory reading %zu store entries", capacity);
        }
        builder->entries = entries;
        builder->capacity = capacity;
    }
    int rc = store_entry_copy(arena, entry, &builder->entries[builder->count], err);
    if (rc == 0) {
        builder->count++;
    }
    return rc;
}

int store_list_finish(struct store_list_builder *builder, struct arena *arena,
                      struct store_list *ret_list, struct err *err)
{
    struct store_entry *entries = NULL;
    if (builder->count != 0) {
        entries = arena_try_memdup(arena, builder->entries, builder->count * sizeof *entries);
        if (entries == NULL) {
            store_list_abandon(builder);
            return err_set(err, ERR_MEMORY, "out of memory reading store entries");
        }
    }
    ret_list->entries = entries;
    ret_list->count = builder->count;
    store_list_abandon(builder);
    return 0;
}

void store_list_abandon(struct store_list_builder *builder)
{
    free(builder->entries);
    *builder = (struct store_list_builder){0};
}
