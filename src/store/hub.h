/* Watches of an embedded backend: who waits for what, and how far each has come. Private to this
 * room.
 *
 * Nothing is queued: a watch is a position in the history that the backend keeps, so a slow watcher
 * costs no memory. A commit moves the position of watches it does not touch and wakes the others,
 * which then read the history. Threads: any; the hub has its own lock and never calls out under it.
 * A backend may publish while it holds its own lock. */
#ifndef STORE_HUB_H
#define STORE_HUB_H

#include "base/time.h"
#include "store/backend.h"

#include <pthread.h>

/* Reads changes after revision `after` under prefix, whole revisions, into the arena, and how far
 * they reach (batch->revision): at most to the newest committed revision. ERR_COMPACTED when the
 * history does not reach back that far, judged in the same snapshot as the changes. */
typedef int (*store_hub_read)(struct store *store, const char *prefix, int64_t after,
                              struct arena *arena, struct store_batch *ret_batch, struct err *err);

struct store_hub_watch;

struct store_hub {
    pthread_mutex_t lock;
    struct store_hub_watch *watches;
    int64_t revision; /* newest published */
    store_hub_read read;
    struct store *store;
};

void store_hub_init(struct store_hub *hub, struct store *store, int64_t revision,
                    store_hub_read read);
/* No watch may be open. */
void store_hub_done(struct store_hub *hub);

/* A transaction with this revision is committed; txn NULL: it may have touched any key. Called in
 * the order of revisions. */
void store_hub_publish(struct store_hub *hub, int64_t revision, const struct store_txn *txn);

/* What the watches have read is no longer the past of what the store holds: each gets
 * ERR_COMPACTED. The revision may be lower than before. */
void store_hub_reset(struct store_hub *hub, int64_t revision);
/* The same for one watch. */
void store_hub_lose(struct store_watch *watch);

struct store_watch *store_hub_open(struct store_hub *hub, const char *prefix, int64_t after)
    MUST_CHECK;
/* The three calls of a backend's table. */
int store_hub_next(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                   struct err *err) MUST_CHECK;
void store_hub_interrupt(struct store_watch *watch);
void store_hub_close(struct store_watch *take_watch);

/* How much one batch may hold before it ends at the next revision. */
#define STORE_BATCH_BYTES (1U << 20U)
#define STORE_BATCH_CHANGES 4096U

#endif
