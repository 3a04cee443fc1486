/* The states of routing controls, as the store has them: all of them first, then every change, on a
 * thread of its own.
 *
 * Called by health.c. The thread watches arc/state/: what changed in one transaction arrives as one
 * list. When the store fails the last states stay, and it connects again with growing pauses; when
 * the history is gone it reads everything anew. Ownership: the store is borrowed. */
#ifndef HEALTH_CONTROL_WATCH_H
#define HEALTH_CONTROL_WATCH_H

#include "base/err.h"
#include "base/macro.h"
#include "health/control_map.h"
#include "health/counters.h"
#include "store/store.h"

struct control_watch;

struct control_watch_config {
    struct store *store;
    struct counters *counters;
    void (*changed)(void *context, struct control_list *take_list);
    void *context;
};

/* Reads all states and reports them, on the calling thread. */
int control_watch_new(const struct control_watch_config *config, struct control_watch **ret_watch,
                      struct err *err) MUST_CHECK;
/* Starts the thread: from now on it reports. */
int control_watch_start(struct control_watch *watch, struct err *err) MUST_CHECK;
/* Ends the thread, if it was started; nothing is reported after. NULL is fine. */
void control_watch_free(struct control_watch *take_watch);

#endif
