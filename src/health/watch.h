/* The list of checks, as the store has it: a snapshot first, then every change, on a thread of its
 * own.
 *
 * Called by health.c. The thread watches r53/ and keeps r53/check/ and r53/tags/healthcheck/ apart
 * from the rest, so that a check and its tags that were written together arrive together. When the
 * store fails it keeps the last list, says so in the log, and connects again with growing pauses;
 * when the history is gone it reads a new snapshot and reports the differences. Ownership: the
 * store is borrowed. Invariant: `changed` and `removed` describe, in order, the way from the list
 * that was reported to the list in the store. */
#ifndef HEALTH_WATCH_H
#define HEALTH_WATCH_H

#include "base/err.h"
#include "base/macro.h"
#include "health/check_record.h"
#include "health/counters.h"
#include "store/store.h"

/* Checks beyond these are left out, and that is logged: more than one node can probe. */
#define WATCH_CHECKS_LIMIT 100000U

struct watch;

struct watch_config {
    struct store *store;
    struct counters *counters;
    void (*changed)(void *context, struct check_record *take_record);
    void (*removed)(void *context, const char *check_id);
    void *context;
};

/* Reads the snapshot and reports it, on the calling thread. */
int watch_new(const struct watch_config *config, struct watch **ret_watch, struct err *err)
    MUST_CHECK;
/* Starts the thread: from now on it reports. */
int watch_start(struct watch *watch, struct err *err) MUST_CHECK;
/* Ends the thread, if it was started; nothing is reported after. NULL is fine. */
void watch_free(struct watch *take_watch);

#endif
