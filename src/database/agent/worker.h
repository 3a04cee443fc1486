/* A worker: one thread for one member of this agent's regions. It looks at its server and at its
 * group's picture, asks database/core what to do, does it, and begins again; what it sees goes to
 * the publisher. Started and ended by the groups thread. */
#ifndef DATABASE_AGENT_WORKER_H
#define DATABASE_AGENT_WORKER_H

#include "base/err.h"
#include "base/macro.h"
#include "database/agent/internal.h"
#include "database/agent/view.h"

#include <stdbool.h>

int worker_start(struct database_agent *agent, const char *group, const char *member,
                 struct worker **ret_worker, struct err *err) MUST_CHECK;
/* Asks it to end, without waiting. stop_server: after the server was stopped and its lease given
 * back. */
void worker_ask_to_end(struct worker *worker, bool stop_server);
/* Waits for its end. */
void worker_join(struct worker *take_worker);
/* Whether it ended by itself: its member is gone. */
bool worker_ended(const struct worker *worker);

/* Something changed: it looks again, unless it is busy. Any thread, while the worker is there. */
void worker_wake(struct worker *worker);

const char *worker_group(const struct worker *worker);
const char *worker_member(const struct worker *worker);
/* Something changed in the store: the worker looks again, and what it does ends early when its
 * order is another one now. Groups thread. */
void worker_look(struct worker *worker, const struct view_group *group);

#endif
