/* A copy of another store in <directory>/replica.db: the part of a replica that knows its file.
 * Private to this room; replica.c drives it.
 *
 * The copy has the revisions of its original: what is put into it brings its own. It is read
 * through store.h like any store and never written so. Every transaction keeps a checksum over all
 * entries (a sum of keyed hashes, in which order does not matter), which is compared when the file
 * is opened. Nothing is synced but at checkpoints: after a loss of power the copy is a moment
 * older. Thread: reads from any, and copy_tidy; all else that writes (this header) from one.
 * Invariant: what readers see is one state of the original, or ERR_UNAVAILABLE; before the first
 * state, an empty store at revision 0. */
#ifndef STORE_SQLITE_COPY_H
#define STORE_SQLITE_COPY_H

#include "base/time.h"
#include "store/store.h"

#include <stdbool.h>

#define COPY_FILE "replica.db"

struct copy_state {
    bool complete; /* it holds a state of the original */
    int64_t revision;
    struct wall heard; /* when it last knew that this was the original's newest state */
    uint64_t past;     /* of which past of the original (store_past); 0: not known */
};

/* Opens the file, and reads and checks all of it. One that is damaged, or not ours, is set aside
 * and the copy begins anew; *ret_damage says why (ERR_NONE: nothing was wrong). */
int copy_open(const char *directory, struct store **ret_store, struct err *ret_damage,
              struct err *err) MUST_CHECK;
struct copy_state copy_state(struct store *store);
/* A reader met damage. */
bool copy_suspect(struct store *store);
/* What is damaged goes: the files are renamed to replica.db.damaged (and replica.db.damaged-wal),
 * in place of what was set aside before. Reads fail with ERR_UNAVAILABLE until the copy is whole
 * again. */
int copy_set_aside(struct store *store, struct err *err) MUST_CHECK;

/* Applies the batch as one transaction. ERR_CONFLICT when its changes do not follow from what is
 * here: something is missing in between. On any error nothing changed. */
int copy_apply(struct store *store, const struct store_batch *batch, struct wall heard,
               struct err *err) MUST_CHECK;
/* The copy is still its original's newest state, of this past; not for every time it is heard. */
int copy_heard(struct store *store, struct wall heard, uint64_t past, struct err *err) MUST_CHECK;

/* Moves a long log of changes into the file, which takes the disk's time and none of copy_apply's.
 * To be called every now and then. */
void copy_tidy(struct store *store);

/* ---- all of it anew, as one transaction that readers see only when it is committed ---- */

int copy_sync_begin(struct store *store, struct err *err) MUST_CHECK;
/* The next entries of the original, in the order of keys; last: there are no more behind them. */
int copy_sync_page(struct store *store, const struct store_entry *entries, size_t count, bool last,
                   struct err *err) MUST_CHECK;
/* What changed while the pages were read, in the order of revisions; some of it may be in the pages
 * already. */
int copy_sync_changes(struct store *store, const struct store_batch *batch, struct err *err)
    MUST_CHECK;
/* What stands there now, in the transaction; *ret_found: something does. */
int copy_sync_get(struct store *store, const char *key, struct arena *arena, bool *ret_found,
                  struct store_entry *ret_entry, struct err *err) MUST_CHECK;
/* Ends it, at this revision of this past. Watches start over, unless nothing differed. */
int copy_sync_commit(struct store *store, int64_t revision, uint64_t past, struct wall heard,
                     size_t *ret_differences, struct err *err) MUST_CHECK;
/* Leaves everything as it was. */
void copy_sync_abandon(struct store *store);

/* ---- what changed last ---- */

#define COPY_RECENT 32U

/* Keys that were put or deleted last, in no order: where a history that is not this one differs
 * first. They live until the next call of this header. */
size_t copy_recent(struct store *store, const char *ret_keys[COPY_RECENT]);

#endif
