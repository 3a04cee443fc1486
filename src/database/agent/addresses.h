/* Addresses for members that the API made before it knew what their region offers: they have none,
 * and get one of this agent's. Called by the groups thread. */
#ifndef DATABASE_AGENT_ADDRESSES_H
#define DATABASE_AGENT_ADDRESSES_H

#include "database/agent/internal.h"
#include "database/agent/view.h"

#include <stddef.h>

/* Gives one address at most, and says so to the view: the next look goes on. Logs. groups: all. */
void addresses_assign(struct database_agent *agent, struct view_group *const *groups, size_t count);

#endif
