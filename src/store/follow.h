/* Following a part of a store: all of it first, then every change, on a thread of its own.
 *
 * For whoever keeps in memory what the store has. When the store fails, what is known stays, and
 * the follower tries again with growing pauses; whenever the watch was lost, everything is read
 * anew. Ownership: the store is borrowed. Thread: store_follower_new reads on the caller's; after
 * store_follower_start all callbacks come from the follower's thread, one at a time. Invariant: who
 * takes each batch after read_all has what the store has, a moment old, even if the store was
 * filled anew from another past meanwhile. */
#ifndef STORE_FOLLOW_H
#define STORE_FOLLOW_H

#include "base/err.h"
#include "base/macro.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct store_follower;

struct store_follower_config {
    struct store *store;
    const char *prefix; /* what is watched; lives as long as the follower */
    const char *thread; /* its name, at most 15 characters */
    /* Reads everything. *revision: in, up to which all is known (0: nothing); out, up to which all
     * has been read. Batches bring what came after it, some of which may have been read already. */
    int (*read_all)(void *context, int64_t *revision, struct err *err);
    void (*take_batch)(void *context, const struct store_batch *batch);
    /* The store failed; it is tried again after retry_ms. For counters and the log. */
    void (*failed)(void *context, const struct err *err, int64_t retry_ms);
    void *context;
    bool later; /* the thread is the first to read: the store may be away at the start */
};

/* Reads everything, on the calling thread, unless that is for later. */
int store_follower_new(const struct store_follower_config *config,
                       struct store_follower **ret_follower, struct err *err) MUST_CHECK;
/* Starts the thread. */
int store_follower_start(struct store_follower *follower, struct err *err) MUST_CHECK;
/* Ends the thread, if it was started: no callback comes any more. NULL is fine. */
void store_follower_free(struct store_follower *take_follower);

#endif
