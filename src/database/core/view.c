/* What is looked up in a view: see internal.h. Pure; any thread. */
#include "base/text.h"
#include "database/core/internal.h"

const struct database_sight *core_find(const struct database_view *view, const char *member)
{
    for (size_t i = 0; i < view->member_count; i++) {
        if (!text_empty(member) && text_equal(view->members[i].member->id, member)) {
            return &view->members[i];
        }
    }
    return NULL;
}

void core_begin(struct core *core, const struct database_view *view,
                const struct database_facts *facts, struct arena *arena)
{
    const struct model_database_group *group = view->group;
    const struct model_database_lease *lease = view->lease;
    *core = (struct core){
        .view = view,
        .facts = facts,
        .arena = arena,
        .group = group,
        .lease = lease,
        .self = core_find(view, view->self),
        .writer = core_find(view, group->writer),
        .target = core_find(view, group->target),
        .is_writer = !text_empty(view->self) && text_equal(view->self, group->writer),
        .is_target = !text_empty(view->self) && text_equal(view->self, group->target),
        .again = CORE_NEVER,
    };
    if (lease != NULL && lease->state == MODEL_DATABASE_LEASE_HELD &&
        lease->epoch == group->epoch) {
        core->held = true;
        core->holds = facts != NULL && core->self != NULL && !lease->confirmed &&
                      text_equal(lease->holder, view->self);
    }
}

struct mono core_later(struct mono when, int64_t ms)
{
    int64_t ns = ms * TIME_MS;
    return (struct mono){when.ns > INT64_MAX - ns ? INT64_MAX : when.ns + ns};
}

bool core_reached(struct core *core, struct mono when)
{
    if (core->view->now.ns >= when.ns) {
        return true;
    }
    core->again.ns = MIN(core->again.ns, when.ns);
    return false;
}

bool core_phase_lasts(struct core *core, int64_t ms)
{
    return core_reached(core, core_later(core->view->phase_since, ms));
}

const char *core_name(const struct core *core, const char *member)
{
    const struct database_sight *sight = core_find(core->view, member);
    if (sight == NULL || text_empty(sight->member->instance)) {
        return text_empty(member) ? "nobody" : member;
    }
    return arena_printf(core->arena, "%s (%s)", sight->member->instance, sight->member->region);
}

bool core_is_wanted(const struct database_sight *sight)
{
    return sight != NULL && !sight->member->deleted && !sight->member->stopped;
}

bool core_may_serve(const struct core *core, const struct database_sight *sight)
{
    return core_is_wanted(sight) || (sight != NULL && sight == core->writer &&
                                     sight->member->deleted && core_has_others(core));
}

bool core_is_reading(const struct database_sight *sight)
{
    return sight != NULL && sight->seen != NULL &&
           (sight->seen->condition == MODEL_DATABASE_READER ||
            sight->seen->condition == MODEL_DATABASE_STREAMING);
}

bool core_has_all(const struct core *core)
{
    const struct database_facts *facts = core->facts;
    return core->group->fence != 0 && facts->end >= core->group->fence &&
           database_lineage_by_record(core->group, facts->timeline, facts->end) == DATABASE_FOLLOWS;
}

bool core_is_kept(const struct core *core)
{
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight != core->writer && !sight->member->deleted) {
            return true;
        }
    }
    return false;
}

bool core_has_others(const struct core *core)
{
    for (size_t i = 0; i < core->view->member_count; i++) {
        const struct database_sight *sight = &core->view->members[i];
        if (sight != core->writer && core_is_wanted(sight)) {
            return true;
        }
    }
    return false;
}

const struct model_database_turn *core_turn(const struct model_database_group *group)
{
    return group->history_count == 0 ? NULL : &group->history[group->history_count - 1];
}

bool core_is_global(const struct model_database_group *group)
{
    return text_empty(group->region);
}

bool core_may_write(struct core *core)
{
    return core->holds && core->is_writer && core->facts->deadline.ns != 0 &&
           !core_reached(core, database_lease_stop_at(core->facts->deadline, core->lease));
}

int64_t core_target_ms(const struct core *core)
{
    int64_t half = MIN(MAX(core->group->lease_ms / 2, CORE_TARGET_LEAST_MS), CORE_TARGET_MOST_MS);
    bool planned = core->group->operation == MODEL_DATABASE_SWITCHOVER;
    bool heard = core->target != NULL && database_is_heard(core->view, core->target);
    return planned || !heard ? half : CORE_TARGET_MS;
}
