/* Who becomes the writer: see internal.h. Pure; any thread.
 *
 * In this order: the one that the operator named, if the operator accepts a loss; the old writer,
 * which has everything; whoever has all of a log that was closed; with synchronous commits, the
 * most advanced once all have reported that could have a commit alone; otherwise the most advanced
 * of those that reported in time. Invariant: without consent nobody is chosen who lacks a commit
 * that was acknowledged in synchronous mode, or before a clean end while the old writer may return.
 */
#include "base/text.h"
#include "database/core/internal.h"

#include <string.h>

/* It reported what it has, and nothing comes to it any more. */
static bool reported(const struct core *core, const struct database_sight *sight)
{
    if (!core_may_serve(core, sight) || sight->seen == NULL ||
        sight->seen->epoch != core->group->epoch) {
        return false;
    }
    enum model_database_condition condition = sight->seen->condition;
    return core_is_reading(sight) || condition == MODEL_DATABASE_DOWN ||
           condition == MODEL_DATABASE_RETURNING;
}

static bool on_line(const struct core *core, const struct database_sight *sight)
{
    return database_lineage_by_record(core->group, sight->seen->timeline, sight->seen->received) ==
           DATABASE_FOLLOWS;
}

/* The old writer gave the lease up because its server could not write. */
static bool gave_up(const struct core *core, const struct database_sight *sight)
{
    return core->lease != NULL && core->lease->state == MODEL_DATABASE_LEASE_RELEASED &&
           core->group->operation == MODEL_DATABASE_FAILOVER_AUTOMATIC && core->group->fence == 0 &&
           text_equal(core->lease->holder, sight->member->id);
}

static bool same_region(const struct database_sight *a, const struct database_sight *b)
{
    return a != NULL && b != NULL && text_equal(a->member->region, b->member->region);
}

/* a comes before b. */
static bool is_better(const struct core *core, const struct database_sight *a,
                      const struct database_sight *b)
{
    if (b == NULL) {
        return true;
    }
    if (a->seen->received != b->seen->received) {
        return a->seen->received > b->seen->received;
    }
    if ((a == core->target) != (b == core->target)) {
        return a == core->target;
    }
    bool near = same_region(a, core->writer);
    if (near != same_region(b, core->writer)) {
        return near;
    }
    if (a->member->tier != b->member->tier) {
        return a->member->tier < b->member->tier;
    }
    return strcmp(a->member->id, b->member->id) < 0;
}

/* Of those that reported and have at least `least`; the old writer is left to its own rule. */
static const struct database_sight *best(const struct core *core, model_lsn least, bool any_line)
{
    const struct database_sight *found = NULL;
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight != core->writer && reported(core, sight) && sight->seen->received >= least &&
            (any_line || on_line(core, sight)) && is_better(core, sight, found)) {
            found = sight;
        }
    }
    return found;
}

/* A member that lives and will report. */
static const struct database_sight *awaited(const struct core *core)
{
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (core_is_wanted(sight) && !reported(core, sight) &&
            database_is_heard(core->view, sight) && core_is_reading(sight)) {
            return sight;
        }
    }
    return NULL;
}

/* A member of the synchronous ones that did not report; NULL: all did. */
static const char *missing_synchronous(const struct core *core)
{
    for (size_t i = 0; i < core->group->synchronous_count; i++) {
        const struct database_sight *sight = core_find(core->view, core->group->synchronous[i]);
        if (sight == NULL || !reported(core, sight) || !on_line(core, sight)) {
            return core->group->synchronous[i];
        }
    }
    return NULL;
}

static void choose(struct core_choice *choice, const struct database_sight *member, bool loses,
                   const char *why)
{
    *choice = (struct core_choice){member, loses, why};
}

static void wait_for(struct core_choice *choice, const char *why)
{
    *choice = (struct core_choice){NULL, false, why};
}

/* With the operator's consent to a loss. */
static bool elect_named(struct core *core, struct core_choice *choice)
{
    if (core->target == NULL) {
        return false;
    }
    if (reported(core, core->target)) {
        choose(choice, core->target, core->target != core->writer,
               "it was asked for, and a loss is accepted");
        return true;
    }
    if (!core_phase_lasts(core, core->group->lease_ms)) {
        wait_for(choice, arena_printf(core->arena, "%s was asked for and has not reported yet",
                                      core_name(core, core->group->target)));
        return true;
    }
    return false;
}

static void elect_synchronous(struct core *core, struct core_choice *choice)
{
    const char *missing = missing_synchronous(core);
    const struct database_sight *found = best(core, 0, false);
    if (core->group->synchronous_count == 0) {
        wait_for(choice, arena_printf(
                             core->arena,
                             "commits were on %s alone: it must come back, or the operator accepts "
                             "a loss (FailoverGlobalCluster with AllowDataLoss)",
                             core_name(core, core->group->writer)));
    } else if (missing != NULL || found == NULL) {
        wait_for(choice, arena_printf(
                             core->arena,
                             "%s may be the only one with some commit: it or %s must come back, or "
                             "the operator accepts a loss (FailoverGlobalCluster with "
                             "AllowDataLoss)",
                             core_name(core, missing), core_name(core, core->group->writer)));
    } else {
        choose(choice, found, true,
               "all members that commits waited for have reported, and it "
               "has as much as any of them");
    }
}

static void elect_most_advanced(struct core *core, bool consent, struct core_choice *choice)
{
    int64_t patience =
        MIN(MAX(core->group->lease_ms / 20, CORE_ELECTION_LEAST_MS), CORE_ELECTION_MOST_MS);
    const struct database_sight *late = awaited(core);
    if (late != NULL && !core_phase_lasts(core, patience)) {
        wait_for(choice, arena_printf(core->arena, "%s has not reported yet",
                                      core_name(core, late->member->id)));
        return;
    }
    const struct database_sight *found = best(core, 0, false);
    if (found == NULL && consent) {
        found = best(core, 0, true);
    }
    if (found != NULL) {
        choose(choice, found, true, "it is the most advanced of those that reported");
    } else {
        wait_for(choice, arena_printf(core->arena,
                                      "no member has reported that could take over: %s must come "
                                      "back, or a reader that followed it",
                                      core_name(core, core->group->writer)));
    }
}

static void elect(struct core *core, struct core_choice *ret_choice)
{
    const struct model_database_group *group = core->group;
    bool consent = group->operation == MODEL_DATABASE_FAILOVER;
    if (consent && elect_named(core, ret_choice)) {
        return;
    }
    if (!consent && core->writer != NULL && reported(core, core->writer) &&
        !gave_up(core, core->writer)) {
        choose(ret_choice, core->writer, false,
               "it came back before another was chosen, and has "
               "everything");
        return;
    }
    const struct database_sight *whole = group->fence != 0 ? best(core, group->fence, false) : NULL;
    if (whole != NULL) {
        choose(ret_choice, whole, false, "it has all of the log that the writer closed");
        return;
    }
    if (group->mode == MODEL_DATABASE_SYNCHRONOUS && !consent) {
        elect_synchronous(core, ret_choice);
        return;
    }
    if (!consent && !group->automatic) {
        wait_for(ret_choice,
                 arena_printf(core->arena,
                              "failover is manual: %s must come back, or FailoverGlobalCluster is "
                              "asked for",
                              core_name(core, group->writer)));
        return;
    }
    if (!consent && group->fence != 0 && !core_phase_lasts(core, group->lease_ms)) {
        wait_for(ret_choice, arena_printf(core->arena,
                                          "%s stopped cleanly, and nobody else has all of its log "
                                          "yet",
                                          core_name(core, group->writer)));
        return;
    }
    elect_most_advanced(core, consent, ret_choice);
}

void core_elect(struct core *core, struct core_choice *ret_choice)
{
    elect(core, ret_choice);
    if (ret_choice->member == NULL && core->writer != NULL && reported(core, core->writer) &&
        core_phase_lasts(core, core->group->lease_ms)) {
        choose(ret_choice, core->writer, false, "nobody else can take over, and it has everything");
    }
}

bool core_could_elect(const struct core *core)
{
    const struct model_database_group *group = core->group;
    bool consent = group->operation == MODEL_DATABASE_FAILOVER;
    if (!consent && group->mode == MODEL_DATABASE_SYNCHRONOUS) {
        for (size_t i = 0; i < group->synchronous_count; i++) {
            const struct database_sight *sight = core_find(core->view, group->synchronous[i]);
            if (!core_is_wanted(sight) || !database_is_heard(core->view, sight)) {
                return false;
            }
        }
        return group->synchronous_count != 0;
    }
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight != core->writer && core_is_wanted(sight) &&
            database_is_heard(core->view, sight) && core_is_reading(sight) &&
            (consent || on_line(core, sight))) {
            return true;
        }
    }
    return false;
}

/* ---- planned ---- */

static bool is_ready(const struct core *core, const struct database_sight *sight)
{
    return sight != core->writer && core_is_wanted(sight) && database_is_heard(core->view, sight) &&
           sight->seen->condition == MODEL_DATABASE_STREAMING;
}

static bool comes_first(const struct core *core, const struct database_sight *a,
                        const struct database_sight *b)
{
    if (b == NULL) {
        return true;
    }
    bool near = same_region(a, core->writer);
    if (near != same_region(b, core->writer)) {
        return near;
    }
    if (a->member->tier != b->member->tier) {
        return a->member->tier < b->member->tier;
    }
    return is_better(core, a, b);
}

const struct database_sight *core_successor(const struct core *core)
{
    const struct database_sight *found = NULL;
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (is_ready(core, sight) && comes_first(core, sight, found)) {
            found = sight;
        }
    }
    return found;
}

const char *core_refusal(const struct core *core)
{
    const struct model_database_group *group = core->group;
    bool planned = group->operation == MODEL_DATABASE_SWITCHOVER;
    if (text_empty(group->target)) {
        return planned && core_successor(core) == NULL
                   ? "no reader streams that could become the writer"
                   : NULL;
    }
    const char *name = core_name(core, group->target);
    if (!core_is_wanted(core->target)) {
        return arena_printf(core->arena, "%s is not there, is stopped, or is being deleted", name);
    }
    if (core->target == core->writer) {
        return arena_printf(core->arena, "%s is the writer already", name);
    }
    if (!planned) {
        return NULL;
    }
    if (!database_is_heard(core->view, core->target)) {
        return arena_printf(core->arena, "nothing is heard of %s", name);
    }
    return is_ready(core, core->target)
               ? NULL
               : arena_printf(core->arena, "%s does not stream from the writer", name);
}
