/* Taking one snapshot: a thread that tries until the backup is whole, it cannot be, or it is not
 * wanted any more. Of a server that runs: of a reader that has caught up rather than of the writer;
 * of one that is stopped: of its files. It neither reads nor writes the store. Started and ended by
 * the thread of snapshots.c. Invariant: a failure leaves nothing behind. */
#ifndef DATABASE_AGENT_SNAPSHOT_TAKER_H
#define DATABASE_AGENT_SNAPSHOT_TAKER_H

#include "base/err.h"
#include "base/macro.h"
#include "database/agent/internal.h"
#include "model/database_names.h"

#include <stdbool.h>

#define SNAPSHOT_MESSAGE 256U

struct snapshot_taker;

/* ended(context) is called from its thread at the end, and must not wait. */
int snapshot_taker_start(struct database_agent *agent,
                         const struct model_database_snapshot *snapshot,
                         void (*ended)(void *context), void *context,
                         struct snapshot_taker **ret_taker, struct err *err) MUST_CHECK;
/* Asks it to end, without waiting. */
void snapshot_taker_stop(struct snapshot_taker *taker);
/* A group changed: what it does is broken off, to be begun anew, where it is in the way. */
void snapshot_taker_look(struct snapshot_taker *taker);
/* Waits for its end. */
void snapshot_taker_join(struct snapshot_taker *take_taker);

const char *snapshot_taker_id(const struct snapshot_taker *taker);

struct snapshot_progress {
    bool ended;
    bool stopped; /* it ended because it was asked to */
    struct model_database_snapshot_seen seen;
    char message[SNAPSHOT_MESSAGE]; /* seen.message */
};
void snapshot_taker_progress(struct snapshot_taker *taker, struct snapshot_progress *ret_progress);

#endif
