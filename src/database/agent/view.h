/* What the store has of each group, in memory: the follower's thread fills it from "db/" and
 * publishes, for each group that changed, a picture that never changes; all other threads take
 * references to pictures and wait for newer ones. A picture stays as it is while the store is away.
 * Thread: any, but for view_start and view_stop. */
#ifndef DATABASE_AGENT_VIEW_H
#define DATABASE_AGENT_VIEW_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/database.h"
#include "model/keep.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_GROUPS_LIMIT 1024U /* followed; further ones are not, which is logged */

/* A record as the store has it; revision 0: there is none. */
struct view_record {
    int64_t revision;
    struct model_stored stored;
};

struct view_member {
    struct view_record record;
    struct model_database_member member; /* id "" when only `seen` is there */
    struct view_record seen_record;      /* revision 0: nothing was written yet */
    struct model_database_seen seen;
    struct mono heard; /* when this agent was told of the last put of `seen` */
};

/* One group at one moment. References are counted. Times are of CLOCK_BOOTTIME (boot_now). */
struct view_group {
    _Atomic int references;
    struct arena arena;
    const char *id;
    struct view_record group_record;
    struct model_database_group group;
    struct view_record lease_record;
    struct model_database_lease lease;
    struct mono lease_since; /* when this agent first saw this revision of the lease */
    struct mono phase_since; /* the same of this phase, epoch and target */
    struct view_member members[MODEL_DATABASE_MEMBERS];
    size_t member_count;
};

struct view;

/* CLOCK_BOOTTIME: the time of leases, which goes on while the machine sleeps. */
struct mono boot_now(void);

/* changed(context) is called after each change, on the follower's thread, which must not wait. */
int view_start(struct store *store, void (*changed)(void *context), void *context,
               struct view **ret_view, struct err *err) MUST_CHECK;
/* All pictures must have been given back. NULL is fine. */
void view_stop(struct view *take_view);

/* What this agent just committed, so that it need not wait for the watch to bring it. The value is
 * copied; revision: of the commit. */
void view_learn(struct view *view, const char *key, const char *value, int64_t revision);
/* Whether "db/" was ever read. */
bool view_complete(struct view *view);

/* The picture of a group; NULL: there is none. Give it back with view_group_unref. */
struct view_group *view_group_find(struct view *view, const char *group) MUST_CHECK;
/* Those of all groups, in an array of the arena. */
struct view_group **view_groups(struct view *view, struct arena *arena, size_t *ret_count)
    MUST_CHECK;
void view_group_unref(struct view_group *take_group);
/* For CLEANUP. */
void view_group_cleanup(struct view_group **group);
/* NULL: it has none of that id. Lives as long as the picture. */
const struct view_member *view_member_find(const struct view_group *group, const char *member);

#endif
