/* What the files of the etcd backend share: one open store, and the watch's part of the table.
 * Private to this folder. */
#ifndef STORE_ETCD_INTERNAL_H
#define STORE_ETCD_INTERNAL_H

#include "store/backend.h"
#include "store/etcd/gateway.h"
#include "store/etcd/history.h"

struct etcd_store {
    struct store base;
    struct gateway gateway;
    struct history history;
    char *root; /* before every key; ends in '/' */
};

static inline struct etcd_store *etcd_of(struct store *store)
{
    return CONTAINER_OF(store, struct etcd_store, base);
}

/* Bytes of a request: STORE_TXN_BYTES_LIMIT in base64, and what stands around keys and values. */
#define ETCD_BODY_LIMIT ((size_t)48 << 20U)

/* A body that is filled, or ERR_LIMIT. */
int etcd_body_check(const struct buf *body, struct err *err) MUST_CHECK;

/* commit.c */
int etcd_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                struct err *err);
/* Compacts etcd; ERR_COMPACTED when that was done already. */
int etcd_compact_at(struct etcd_store *self, int64_t revision, struct err *err) MUST_CHECK;

/* ranges.c */
int etcd_ranges(struct store *store, const char *const *prefixes, size_t count, struct arena *arena,
                struct store_list *ret_lists, struct err *err);

/* watch.c */
int etcd_watch_open(struct store *store, const char *prefix, int64_t after,
                    struct store_watch **ret_watch, struct err *err);
int etcd_watch_next(struct store_watch *base, int timeout_ms, struct store_batch *ret_batch,
                    struct err *err);
void etcd_watch_interrupt(struct store_watch *base);
void etcd_watch_close(struct store_watch *take_watch);

#endif
