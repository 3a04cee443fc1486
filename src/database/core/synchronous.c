/* Which members a commit waits for: see internal.h. Pure; any thread.
 *
 * Two things say so: the setting of the writer's server (E: one of these must have a commit before
 * it is acknowledged; none: it does not wait) and the group's record (R: one of these has every
 * commit that was ever acknowledged; none: nobody but the writer is known to). An election believes
 * the record, so it must be true at every moment, also between two steps:
 *
 *   R may be emptied at any time: it promises less.
 *   R may grow while E is within it: what was true of some of them is true of some of more.
 *   R may become {s} when E is {s}, every sender knows, and s has the log up to a place that was
 *     the end of it after that: then s has what was before, and what comes waits for s.
 *   E may become {s} when R is empty, or has s. E is emptied only when R is empty.
 *
 * One member is enough, in another region than the writer's where there is one that streams. When
 * none streams for a lease's length, the writer goes on alone, and nobody may take over from it
 * without consent to a loss; with alone_waits it waits as long as there is a member with data.
 *
 * Bounded: nothing is recorded. E is everybody who has followed this writer, dead or alive: a bound
 * that forgets a dead reader is none. Nobody waits before database_free_until; afterwards a commit
 * waits for the first of E that has it, so it goes on at the readers' pace, or, without any, not at
 * all. A reader that has not followed this writer yet does not count: neither one that is being
 * made, nor the old writer after a failover, unless alone_waits. */
#include "base/text.h"
#include "database/core/internal.h"

#include <string.h>

static const struct database_follower *find_follower(const struct core *core, const char *member)
{
    for (size_t i = 0; i < core->facts->follower_count; i++) {
        if (text_equal(core->facts->followers[i].member, member)) {
            return &core->facts->followers[i];
        }
    }
    return NULL;
}

static bool contains(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool recorded(const struct core *core, const char *name)
{
    return contains(core->group->synchronous, core->group->synchronous_count, name);
}

static bool in_force(const struct core *core, const char *name)
{
    return contains(core->facts->synchronous, core->facts->synchronous_count, name);
}

static bool elsewhere(const struct core *core, const struct database_sight *sight)
{
    return !text_equal(sight->member->region, core->self->member->region);
}

/* a is to be preferred: another region, then who is waited for already, then who has most. */
static bool preferred(const struct core *core, const struct database_sight *a,
                      const struct database_sight *b)
{
    if (b == NULL) {
        return true;
    }
    bool far = elsewhere(core, a);
    if (far != elsewhere(core, b)) {
        return far;
    }
    bool known = in_force(core, a->member->id);
    if (known != in_force(core, b->member->id)) {
        return known;
    }
    const struct database_follower *first = find_follower(core, a->member->id);
    const struct database_follower *second = find_follower(core, b->member->id);
    model_lsn has = first != NULL ? first->flushed : 0;
    model_lsn other = second != NULL ? second->flushed : 0;
    return has != other ? has > other : strcmp(a->member->id, b->member->id) < 0;
}

/* Before the promotion nobody follows yet: who lives is expected to. */
static const struct database_sight *best_partner(const struct core *core, bool streaming)
{
    const struct database_sight *found = NULL;
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight == core->self || !core_is_wanted(sight)) {
            continue;
        }
        const struct database_follower *follower = find_follower(core, sight->member->id);
        bool fits = streaming ? follower != NULL && follower->streaming
                              : database_is_heard(core->view, sight);
        if (fits && preferred(core, sight, found)) {
            found = sight;
        }
    }
    return found;
}

static bool has_copy(const struct database_sight *sight)
{
    return sight->seen != NULL && sight->seen->system_id != 0 && sight->seen->timeline != 0;
}

/* Whom the writer waits for although nobody streams, when it may not go on alone. */
static const char *absent_partner(const struct core *core)
{
    const struct database_sight *found = NULL;
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        bool other = sight != core->self && core_is_wanted(sight);
        if (other && in_force(core, sight->member->id)) {
            return sight->member->id;
        }
        if (other && has_copy(sight) && preferred(core, sight, found)) {
            found = sight;
        }
    }
    return found != NULL ? found->member->id : NULL;
}

/* NULL: alone. */
static const char *partner(struct core *core)
{
    const struct database_facts *facts = core->facts;
    if (facts->process != DATABASE_PROCESS_WRITER) {
        bool promotes = facts->standby && facts->synchronous_count == 0;
        const struct database_sight *expected = promotes ? best_partner(core, false) : NULL;
        const char *last = facts->synchronous_count != 0 ? facts->synchronous[0] : NULL;
        return expected != NULL                           ? expected->member->id
               : last == NULL && core->group->alone_waits ? absent_partner(core)
                                                          : last;
    }
    const struct database_sight *found = best_partner(core, true);
    if (found != NULL) {
        return found->member->id;
    }
    if (core->group->alone_waits) {
        return absent_partner(core);
    }
    struct mono patience = core_later(facts->alone_since, core->group->lease_ms);
    if (facts->synchronous_count == 0 || !core_has_others(core) || core_reached(core, patience)) {
        return NULL;
    }
    return facts->synchronous[0];
}

static void one(struct core *core, const char *name, struct core_synchronous *next)
{
    next->names = arena_array(core->arena, 1, sizeof *next->names);
    next->names[0] = name;
    next->count = 1;
}

static bool has_all_that_counts(const struct core *core, const char *name)
{
    const struct database_follower *follower = find_follower(core, name);
    return core->facts->synchronous_settled && core->facts->synchronous_since != 0 &&
           follower != NULL && follower->flushed >= core->facts->synchronous_since;
}

/* The record is believed while the setting is within it. */
static bool record_is_true(const struct core *core)
{
    for (size_t i = 0; i < core->facts->synchronous_count; i++) {
        if (!recorded(core, core->facts->synchronous[i])) {
            return false;
        }
    }
    return core->facts->synchronous_count != 0;
}

static void toward_alone(const struct core *core, struct core_synchronous *next, const char *why)
{
    next->why = why;
    next->record = core->group->synchronous_count != 0;
    next->set = !next->record && core->facts->synchronous_count != 0;
}

static void toward_partner(struct core *core, const char *name, struct core_synchronous *next)
{
    const struct model_database_group *group = core->group;
    bool only = core->facts->synchronous_count == 1 && in_force(core, name);
    one(core, name, next);
    if (group->synchronous_count != 0 && !record_is_true(core)) {
        next->count = 0;
        next->record = true;
        next->why = "commits do not wait as the record says";
        return;
    }
    if (group->synchronous_count != 0 && !recorded(core, name)) {
        next->names = arena_array(core->arena, group->synchronous_count + 1, sizeof *next->names);
        for (size_t i = 0; i < group->synchronous_count; i++) {
            next->names[i] = group->synchronous[i];
        }
        next->names[group->synchronous_count] = name;
        next->count = group->synchronous_count + 1;
        next->record = next->count <= MODEL_DATABASE_MEMBERS;
        next->why = "commits are to wait for another member";
        return;
    }
    if (!only) {
        next->set = true;
        next->why =
            arena_printf(core->arena, "commits wait for %s from now on", core_name(core, name));
        return;
    }
    bool done = group->synchronous_count == 1 && recorded(core, name);
    next->record = !done && has_all_that_counts(core, name);
    next->why = arena_printf(core->arena, "%s has every commit", core_name(core, name));
}

/* ---- bounded ---- */

/* It has followed this writer, or does. */
static bool has_followed(const struct core *core, const struct database_sight *sight)
{
    const struct database_follower *follower = find_follower(core, sight->member->id);
    uint32_t timeline = core->facts->timeline;
    return (follower != NULL && follower->streaming) ||
           (timeline != 0 && sight->seen != NULL && sight->seen->streamed == timeline);
}

static void name_others(struct core *core, bool all, struct core_synchronous *next)
{
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight != core->self && core_is_wanted(sight) && (all || has_followed(core, sight))) {
            next->names[next->count++] = sight->member->id;
        }
    }
}

static void bound(struct core *core, struct core_synchronous *next)
{
    const struct database_facts *facts = core->facts;
    if (facts->process != DATABASE_PROCESS_WRITER) {
        return; /* what its files say is enough to begin with */
    }
    next->names = arena_array(core->arena, core->view->member_count, sizeof *next->names);
    name_others(core, false, next);
    if (next->count == 0 && core->group->alone_waits) {
        name_others(core, true, next);
    }
    bool same = next->count == facts->synchronous_count;
    for (size_t i = 0; same && i < next->count; i++) {
        same = in_force(core, next->names[i]);
    }
    next->set = !same;
    next->why = next->count == 0 ? "no other member has followed this writer: commits do not wait"
                                 : "commits wait while no other member is within the bound";
}

struct mono database_free_until(const struct database_view *view,
                                const struct database_facts *facts)
{
    struct core core;
    struct mono whole = {.ns = 0};
    core_begin(&core, view, facts, NULL);
    if (view->group->mode != MODEL_DATABASE_BOUNDED || facts->process != DATABASE_PROCESS_WRITER) {
        return whole;
    }
    for (size_t i = 0; i < facts->follower_count; i++) {
        const struct database_follower *follower = &facts->followers[i];
        if (core_is_wanted(core_find(view, follower->member)) && follower->whole_at.ns > whole.ns) {
            whole = follower->whole_at;
        }
    }
    return whole.ns == 0 ? whole : core_later(whole, view->group->rpo_ms);
}

void core_synchronous(struct core *core, struct core_synchronous *ret_next)
{
    *ret_next = (struct core_synchronous){.why = ""};
    const struct model_database_group *group = core->group;
    if (core->facts == NULL || core->self == NULL) {
        return;
    }
    if (group->mode == MODEL_DATABASE_BOUNDED && group->synchronous_count == 0) {
        bound(core, ret_next);
        return;
    }
    bool synchronous = group->mode == MODEL_DATABASE_SYNCHRONOUS;
    const char *name = synchronous ? partner(core) : NULL;
    if (name != NULL) {
        toward_partner(core, name, ret_next);
    } else {
        toward_alone(core, ret_next,
                     synchronous ? "no other member streams: commits do not wait, and nobody else "
                                   "has everything"
                                 : "commits are not synchronous any more");
    }
}
