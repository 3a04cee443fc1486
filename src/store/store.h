/* The store: the one truth that control plane and data planes share. A flat, ordered map from keys
 * to values, with one revision that goes up by one with every transaction that changes something
 * (etcd's model: https://etcd.io/docs/v3.4/learning/api/). Backends: memory (the reference),
 * sqlite, later etcd; all pass store/conformance_test.c unchanged.
 *
 * Guarantees, for every backend:
 *  - A transaction is atomic and, once store_commit returned 0, durable (fsync) - but for memory.
 *  - Reads see the newest committed revision (linearizable).
 *  - A watch delivers every change after its start revision exactly once, in revision order, all
 *    changes of one transaction in one batch; or it says ERR_COMPACTED and the watcher starts again
 *    from a snapshot. A watcher never misses a change silently.
 *
 * Thread: every function may be called from any thread, concurrently, except store_close.
 * Ownership: what comes back lives in the caller's arena. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_LIMIT 1024U             /* bytes of a key, without NUL */
#define STORE_VALUE_LIMIT 524288U         /* bytes of a value */
#define STORE_TXN_OPS_LIMIT 8192U         /* compares + operations of a transaction */
#define STORE_TXN_BYTES_LIMIT (8U << 20U) /* keys + values of a transaction */

struct store;

/* Keys are NUL-terminated text without NUL, ordered bytewise (strcmp). */
struct store_entry {
    const char *key;
    const void *value; /* followed by a NUL that is not counted in size */
    size_t size;
    int64_t created_revision; /* when the key came (again) into being */
    int64_t changed_revision; /* last put */
    int64_t version;          /* puts since creation, from 1 */
    int64_t lease;            /* 0: none */
};

struct store_list {
    struct store_entry *entries;
    size_t count;
    bool more;        /* the limit cut it */
    int64_t revision; /* of the whole store, at the time of the read */
};

/* ---- reads ---- */

/* 0, or -ENOENT (not found; *ret_entry untouched), or another error. */
int store_get(struct store *store, const char *key, struct arena *arena,
              struct store_entry *ret_entry, struct err *err) MUST_CHECK;
/* The entries whose key starts with prefix, in key order, after the key `after` (NULL: from the
 * first; it need not exist), at most limit (0: all). */
int store_range(struct store *store, const char *prefix, const char *after, size_t limit,
                struct arena *arena, struct store_list *ret_list, struct err *err) MUST_CHECK;
/* The same for who reads much, and nothing but keys and values: the other members are 0. */
int store_range_values(struct store *store, const char *prefix, const char *after, size_t limit,
                       struct arena *arena, struct store_list *ret_list, struct err *err)
    MUST_CHECK;
/* All entries of several prefixes, as they were at one moment: list i is of prefix i, and all have
 * one revision. For what is small: ERR_LIMIT when there are more than STORE_RANGES_LIMIT prefixes,
 * or more than STORE_RANGES_ENTRIES entries under one. On an error the lists are not to be used. */
#define STORE_RANGES_LIMIT 64U
#define STORE_RANGES_ENTRIES 1000U
int store_ranges(struct store *store, const char *const *prefixes, size_t count,
                 struct arena *arena, struct store_list *ret_lists, struct err *err) MUST_CHECK;
/* How many keys start with prefix. */
int store_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
    MUST_CHECK;
/* The newest revision. */
int store_revision(struct store *store, int64_t *ret_revision, struct err *err) MUST_CHECK;
/* Of which past the store's last answer was, for stores that can be given another one while they
 * are in use: etcd's cluster id, which is a new one after a backup was restored. 0: nothing was
 * answered yet, or it has one only. Asks nobody. */
uint64_t store_past(struct store *store);

/* ---- transactions ---- */

/* A transaction is built in memory of its own, then committed: if every compare holds, all
 * operations happen, else none. Keys and values are copied in. A key may be written once per
 * transaction. */
struct store_txn;

struct store_txn *store_txn_new(void) MUST_CHECK;
void store_txn_free(struct store_txn *take_txn);
/* For CLEANUP. */
void store_txn_cleanup(struct store_txn **txn);

/* Compares. */
void store_txn_require_absent(struct store_txn *txn, const char *key);
void store_txn_require_present(struct store_txn *txn, const char *key);
/* The key's changed_revision is this one (0: it does not exist). */
void store_txn_require_revision(struct store_txn *txn, const char *key, int64_t changed_revision);

/* Operations. */
void store_txn_put(struct store_txn *txn, const char *key, const void *value, size_t size);
/* The key vanishes with the lease. */
void store_txn_put_leased(struct store_txn *txn, const char *key, const void *value, size_t size,
                          int64_t lease);
void store_txn_delete(struct store_txn *txn, const char *key);
void store_txn_delete_prefix(struct store_txn *txn, const char *prefix);

/* 0 when committed (*ret_revision: the new revision; the current one when nothing changed, as with
 * deletes of absent keys). ERR_CONFLICT when a compare failed, the message naming the key.
 * ERR_LIMIT when a named limit is passed, ERR_INVALID for a key written twice, ERR_NOT_FOUND for an
 * unknown lease. On any error nothing happened, but for ERR_UNAVAILABLE/ERR_TIMEOUT of a remote
 * backend, where the outcome is unknown: writers make their transactions idempotent by compares.
 * The transaction may be committed again after an error. */
int store_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                 struct err *err) MUST_CHECK;

/* ---- watches ---- */

enum store_change_type { STORE_PUT, STORE_DELETE };

struct store_change {
    enum store_change_type type;
    struct store_entry entry; /* for a delete: key and changed_revision only */
};

struct store_batch {
    int64_t revision; /* everything up to and including it has now been delivered */
    const struct store_change *changes;
    size_t count; /* may be 0: progress only */
};

struct store_watch;

/* Watches the keys under prefix, from the first revision after `after` (so: the revision of the
 * snapshot the caller read). */
int store_watch_open(struct store *store, const char *prefix, int64_t after,
                     struct store_watch **ret_watch, struct err *err) MUST_CHECK;
/* Waits at most timeout_ms (0: polls, -1: for ever) for the next batch; its memory lives until the
 * next call on this watch. Changes of one revision are never split over two batches; one batch may
 * hold several revisions. 0 with a batch; ERR_TIMEOUT when there was none in time; ERR_COMPACTED
 * when the history the watch needs is gone: close it, read a snapshot, open a new one;
 * ERR_CANCELLED after store_watch_interrupt. */
int store_watch_next(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                     struct err *err) MUST_CHECK;
/* Makes the next (or the present) store_watch_next return ERR_CANCELLED; any thread, any number of
 * times. Sticky. */
void store_watch_interrupt(struct store_watch *watch);
void store_watch_close(struct store_watch *take_watch);

/* Drops history up to `revision`; watches that need it get ERR_COMPACTED. Backends also do so by
 * themselves: of the last STORE_HISTORY_KEEP revisions they keep those whose keys and values have
 * STORE_HISTORY_BYTES together, and the newest whatever its size. */
#define STORE_HISTORY_KEEP 10000
#define STORE_HISTORY_BYTES (64 << 20)
int store_compact(struct store *store, int64_t revision, struct err *err) MUST_CHECK;

/* ---- leases ---- */

/* A lease of ttl_ms (1,000 to 86,400,000; a backend may round up to a whole second). Its keys are
 * deleted, as a transaction of their own, when it is not kept alive for that long. After a restart
 * of an embedded store every lease has its full ttl again. */
int store_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease, struct err *err)
    MUST_CHECK;
/* ERR_NOT_FOUND when it has expired. */
int store_lease_keepalive(struct store *store, int64_t lease, struct err *err) MUST_CHECK;
/* Deletes its keys now. */
int store_lease_revoke(struct store *store, int64_t lease, struct err *err) MUST_CHECK;

/* ---- life ---- */

/* All watches must be closed before. NULL is fine. */
void store_close(struct store *take_store);

#endif
