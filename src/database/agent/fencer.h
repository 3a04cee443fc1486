/* The fencer: a thread that makes certain that a writer which does not end by itself does not write
 * any more, by the fence command of its attachment, so that another member may take over. Asked by
 * workers when database/core says so (database_wants_fence); it remembers, for each group, the
 * revision of the lease that it has made certain of. Failures are logged, told as an event once for
 * each lease, and tried again. Thread: any, but for start and stop. */
#ifndef DATABASE_AGENT_FENCER_H
#define DATABASE_AGENT_FENCER_H

#include "base/err.h"
#include "base/macro.h"
#include "database/agent/view.h"

#include <stdbool.h>
#include <stdint.h>

struct database_agent;
struct fencer;

int fencer_start(struct database_agent *agent, struct fencer **ret_fencer, struct err *err)
    MUST_CHECK;
/* A command that runs is ended. NULL is fine. */
void fencer_stop(struct fencer *take_fencer);

/* Of the holder of the group's lease, as the picture has it; by a member of that region, in which a
 * failure is told. Without a command for it here, or a fencer, nothing happens. Does not wait. */
void fencer_ask(struct fencer *fencer, const struct view_group *group, const char *region);
/* Whether that was done for this revision of the group's lease; NULL: no. */
bool fencer_done(struct fencer *fencer, const char *group, int64_t revision);

#endif
