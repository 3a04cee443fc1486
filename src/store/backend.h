/* What a store backend is: a table of functions behind store.h's calls. Private to this room.
 *
 * store.c checks arguments (keys, prefixes, limits, transactions) before it calls the table, so a
 * backend sees only valid ones. A backend embeds `struct store` first in its own struct, and
 * `struct store_watch` first in its watches. Threads: as store.h; backends lock for themselves. */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/store.h"

struct store_backend {
    const char *name; /* for error messages: "memory", "sqlite" */
    int (*get)(struct store *store, const char *key, struct arena *arena,
               struct store_entry *ret_entry, struct err *err);
    /* bare: members other than key, value and size may be 0. */
    int (*range)(struct store *store, const char *prefix, const char *after, size_t limit,
                 bool bare, struct arena *arena, struct store_list *ret_list, struct err *err);
    /* Each list has STORE_RANGES_ENTRIES entries at most, then `more`. */
    int (*ranges)(struct store *store, const char *const *prefixes, size_t count,
                  struct arena *arena, struct store_list *ret_lists, struct err *err);
    int (*count)(struct store *store, const char *prefix, size_t *ret_count, struct err *err);
    int (*revision)(struct store *store, int64_t *ret_revision, struct err *err);
    uint64_t (*past)(struct store *store); /* NULL: it has one only */
    int (*commit)(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                  struct err *err);
    int (*watch_open)(struct store *store, const char *prefix, int64_t after,
                      struct store_watch **ret_watch, struct err *err);
    int (*watch_next)(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                      struct err *err);
    void (*watch_interrupt)(struct store_watch *watch);
    void (*watch_close)(struct store_watch *take_watch);
    int (*compact)(struct store *store, int64_t revision, struct err *err);
    int (*lease_grant)(struct store *store, int64_t ttl_ms, int64_t *ret_lease, struct err *err);
    int (*lease_keepalive)(struct store *store, int64_t lease, struct err *err);
    int (*lease_revoke)(struct store *store, int64_t lease, struct err *err);
    void (*close)(struct store *take_store);
};

struct store {
    const struct store_backend *backend;
};

struct store_watch {
    struct store *store;
};

/* Keys and values a reader copied; sizes come from the store, so memory may run out: -ENOMEM. */
int store_entry_copy(struct arena *arena, const struct store_entry *entry,
                     struct store_entry *ret_entry, struct err *err) MUST_CHECK;

/* A list under construction: grows on the heap, moves into the arena at the end. */
struct store_list_builder {
    struct store_entry *entries;
    size_t count;
    size_t capacity;
};

/* The strings of entry are copied into the arena. */
int store_list_add(struct store_list_builder *builder, struct arena *arena,
                   const struct store_entry *entry, struct err *err) MUST_CHECK;
/* Fills entries and count; the builder is empty after, also on failure. */
int store_list_finish(struct store_list_builder *builder, struct arena *arena,
                      struct store_list *ret_list, struct err *err) MUST_CHECK;
void store_list_abandon(struct store_list_builder *builder);

#endif
