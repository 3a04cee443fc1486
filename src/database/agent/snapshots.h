/* Snapshots of this agent's regions: db/snapshot/<id> says what is wanted, this makes it so in
 * <database.directory>/snapshots/<id> (database/postgres: a verified base backup) and writes what
 * became of it to db/snapshot-seen/<id>, with an event at the end. One thread looks at the records
 * and is the only one that writes; each snapshot is taken by a thread of its own, a few at once.
 *
 * What was not finished when an agent ended is begun anew by the next one; a snapshot is available
 * only once its backup is whole. A final snapshot that failed is tried again as long as it is
 * wanted, because the data that it is to keep are not removed before. Thread: any, but for start
 * and stop. */
#ifndef DATABASE_AGENT_SNAPSHOTS_H
#define DATABASE_AGENT_SNAPSHOTS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>

struct database_agent;
struct snapshots;

int snapshots_start(struct database_agent *agent, struct snapshots **ret_snapshots, struct err *err)
    MUST_CHECK;
/* What is under way is broken off. NULL is fine. */
void snapshots_stop(struct snapshots *take_snapshots);
/* A group changed: a backup that would be in the way of a new writer is broken off. NULL is fine.
 */
void snapshots_wake(struct snapshots *snapshots);

/* Whether a snapshot is to be taken of this member's data, by the store's present records. */
int snapshots_need(const struct database_agent *agent, const char *member, bool *ret_needed,
                   struct err *err) MUST_CHECK;
/* Where it is kept. */
char *snapshots_folder(const struct database_agent *agent, struct arena *arena,
                       const char *snapshot) MUST_CHECK;

#endif
