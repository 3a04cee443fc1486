/* A store in front of another one that fails on demand, and can be given another one in its place:
 * a truth that is away, or was restored from a snapshot. For tests. Any thread. */
#ifndef STORE_FICKLE_STORE_H
#define STORE_FICKLE_STORE_H

#include "store/store.h"

/* inner is borrowed. */
struct store *fickle_new(struct store *inner) MUST_CHECK;
/* Everything fails with ERR_UNAVAILABLE from now on, or does no more. Waits for calls under way. */
void fickle_fail(struct store *store, bool failing);
/* Of all calls, one in n fails; 0: none. */
void fickle_fail_sometimes(struct store *store, unsigned n);
/* Transactions come too late from now on: what they compare has changed. */
void fickle_conflict(struct store *store, bool conflicting);
/* What was here is gone, this is in its place; watches fail once. The old one may be closed when
 * no watch of it is open any more. */
void fickle_replace(struct store *store, struct store *inner);
/* What store_past says from now on (0 before). */
void fickle_set_past(struct store *store, uint64_t value);
/* What becomes of each transaction is said by a function, which is called on the caller's thread
 * before it and after one that happened, and may wait. False, before: it fails with
 * ERR_UNAVAILABLE; after: its answer is lost, ERR_TIMEOUT. NULL: nothing any more; calls of the
 * function may be under way still. */
typedef bool (*fickle_judge)(void *context, const struct store_txn *txn, bool happened);
void fickle_judge_commits(struct store *store, fickle_judge judge, void *context);
/* Watches lose the next batch that has changes, and do not say so. */
void fickle_lose_batch(struct store *store);

#endif
