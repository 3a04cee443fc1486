/* What grows in the folders of servers, bounded: what was put aside of old writers
 * (<database.directory>/<member>/aside), by age and count; logs, by size. Called by the snapshots
 * thread. */
#ifndef DATABASE_AGENT_BOUNDS_H
#define DATABASE_AGENT_BOUNDS_H

#include "base/time.h"

struct database_agent;

/* Removes what is older than config.aside_days; and of each server, what is beyond the newest
 * config.aside_count, unless a loss record says that it has transactions that are nowhere else:
 * these stay for their age. The record of a loss says before that it is not kept any more. Does
 * nothing while the store is away, since what is needed is not known. */
void bounds_sweep_aside(const struct database_agent *agent, struct wall now);
/* Turns the logs over that have become large. */
void bounds_turn_logs(const struct database_agent *agent);

#endif
