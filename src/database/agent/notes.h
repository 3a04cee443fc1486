/* What is remembered of each server beside it, so that an agent that starts while the store is away
 * can start readers. Never a writer: that wants a lease, and a lease wants the store. A reader that
 * is started so has the configuration of before, whatever became of its group since; workers adopt
 * it once the store answers. */
#ifndef DATABASE_AGENT_NOTES_H
#define DATABASE_AGENT_NOTES_H

#include "database/agent/internal.h"
#include "database/agent/worker_internal.h"

/* Keeps what is to be known of this worker's server, when it is other than what was kept last. The
 * worker's thread. */
void notes_keep(struct worker *worker, const struct view_group *group);

/* Starts the readers that do not run; does not wait for them. Before there are workers, on the
 * groups thread. Returns how many. */
size_t notes_start_readers(const struct database_agent *agent);

#endif
