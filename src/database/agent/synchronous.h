/* Which members a writer's commits wait for, on the real server: what its files say, what its
 * processes do, and changing both (promises 8 and 9 of database/core/core.h). Part of the worker:
 * its thread. */
#ifndef DATABASE_AGENT_SYNCHRONOUS_H
#define DATABASE_AGENT_SYNCHRONOUS_H

#include "base/err.h"
#include "base/macro.h"
#include "database/agent/view.h"
#include "database/core/core.h"
#include "database/postgres/postgres.h"

#include <stdbool.h>

struct worker;

#define SYNCHRONOUS_SAMPLES 64U

/* What the worker remembers. */
struct synchronous {
    bool known;                      /* `text` is what the files say */
    char text[POSTGRES_SYNCHRONOUS]; /* synchronous_standby_names; "": commits do not wait */
    bool strict;                     /* no commit is acknowledged without one of them */
    bool conforms;                   /* all processes do as `text` says; seen last */
    bool settled;                    /* and strictly */
    model_lsn since;                 /* an end of the log after that; 0: not looked at again yet */
    /* Ends of the log on our disk, and times before which all that was acknowledged is there:
     * oldest first, spread over twice the bound. */
    struct {
        struct mono at;
        model_lsn end;
    } samples[SYNCHRONOUS_SAMPLES];
    size_t sample_count;
};

/* The files say something new, which is not known. */
void synchronous_forget(struct synchronous *synchronous);
/* Into worker->sight.facts: members that may release a commit, and whether all processes agree; the
 * other facts are there already. Into the lease file: until when a bounded group's commits may be
 * acknowledged that no other member has. */
void synchronous_see(struct worker *worker, const struct view_group *group);
/* Carries SET_SYNCHRONOUS out. self: the worker's member. */
int synchronous_set(struct worker *worker, const struct view_group *group,
                    const struct model_database_member *self,
                    const struct model_database_member *upstream,
                    const struct database_order *order, struct err *err) MUST_CHECK;

#endif
