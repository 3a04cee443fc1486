/* When the group's transitions happen: see group_table.c. Pure; any thread. A guard that waits for
 * a time puts it into core->again (core_reached). */
#include "database/core/group_guards.h"

#include "base/text.h"

static bool has_data(const struct core *core)
{
    return core->facts->data == DATABASE_DATA;
}

static bool is_down(const struct core *core)
{
    return core->facts->process == DATABASE_PROCESS_DOWN;
}

/* Its log has an end. The processes may take their time to go. */
static bool has_closed(const struct core *core)
{
    bool stops = core->facts->process == DATABASE_PROCESS_STOPPING && !core->facts->standby;
    return core->facts->clean && (is_down(core) || stops);
}

static enum model_database_operation operation(const struct core *core)
{
    return core->group->operation;
}

/* ---- the first writer ---- */

bool guard_first_is_gone(struct core *core, struct core_plan *plan)
{
    if (core->writer != NULL && !core->writer->member->deleted) {
        return false;
    }
    for (size_t i = 0; i < core->view->member_count; i++) {
        if (core_is_wanted(&core->view->members[i])) {
            plan->choice.member = &core->view->members[i];
            return true;
        }
    }
    return false;
}

bool guard_first_has_data(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return has_data(core) && !core->facts->standby && !core->facts->stopping &&
           core_is_wanted(core->self);
}

bool guard_first_has_readers_data(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return has_data(core) && core->facts->standby && core->facts->cut &&
           core->facts->process == DATABASE_PROCESS_READER && core_is_wanted(core->self);
}

/* ---- requests ---- */

bool guard_request_is_impossible(struct core *core, struct core_plan *plan)
{
    if (operation(core) != MODEL_DATABASE_SWITCHOVER &&
        operation(core) != MODEL_DATABASE_FAILOVER) {
        return false;
    }
    const char *why = core_refusal(core);
    if (why == NULL) {
        return false;
    }
    plan->reason =
        arena_printf(core->arena, "the %s was refused: %s",
                     operation(core) == MODEL_DATABASE_SWITCHOVER ? "switchover" : "failover", why);
    return true;
}

bool guard_failover_is_asked_for(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return operation(core) == MODEL_DATABASE_FAILOVER && core->held;
}

bool guard_switchover_is_asked_for(struct core *core, struct core_plan *plan)
{
    if (operation(core) != MODEL_DATABASE_SWITCHOVER || !core->held) {
        return false;
    }
    plan->choice.member = core->target != NULL ? core->target : core_successor(core);
    return plan->choice.member != NULL;
}

bool guard_writer_is_deleted(struct core *core, struct core_plan *plan)
{
    if (core->writer == NULL || !core->writer->member->deleted || !core->held) {
        return false;
    }
    plan->choice.member = core_successor(core);
    return plan->choice.member != NULL;
}

static bool is_to_stop(const struct core *core)
{
    if (core->writer == NULL) {
        return false;
    }
    /* One that is deleted goes on until another one has everything, stopped or not. */
    const struct model_database_member *member = core->writer->member;
    return member->deleted ? !core_has_others(core) : member->stopped;
}

bool guard_writer_is_to_stop(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return core->held && is_to_stop(core);
}

bool guard_writer_need_not_stop(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return !core->held && is_to_stop(core);
}

bool guard_is_taken_back(struct core *core, struct core_plan *plan)
{
    switch (operation(core)) {
    case MODEL_DATABASE_SWITCHOVER:
        if (!core_is_wanted(core->target)) {
            plan->reason = "the switchover was cancelled: its target is gone";
            return true;
        }
        return false;
    case MODEL_DATABASE_NO_OPERATION:
        if (core->group->phase == MODEL_DATABASE_PREPARING) {
            plan->reason = "the switchover was cancelled";
            return true;
        }
        return !is_to_stop(core);
    case MODEL_DATABASE_FAILOVER:
    case MODEL_DATABASE_FAILOVER_AUTOMATIC:
        break;
    }
    return false;
}

bool guard_takes_too_long(struct core *core, struct core_plan *plan)
{
    bool prepares = core->group->phase == MODEL_DATABASE_PREPARING;
    if (operation(core) != MODEL_DATABASE_SWITCHOVER ||
        !core_phase_lasts(core, prepares ? CORE_PREPARE_MS : CORE_FENCE_MS)) {
        return false;
    }
    plan->reason =
        arena_printf(core->arena,
                     prepares ? "the switchover was given up: %s did not catch up in time"
                              : "the switchover was given up: %s did not stop in time",
                     core_name(core, prepares ? core->group->target : core->group->writer));
    return true;
}

/* ---- the holder ---- */

bool guard_is_prepared(struct core *core, struct core_plan *plan)
{
    (void)plan;
    const struct database_facts *facts = core->facts;
    if (operation(core) != MODEL_DATABASE_SWITCHOVER || !facts->checkpointed ||
        facts->process != DATABASE_PROCESS_WRITER) {
        return false;
    }
    for (size_t i = 0; i < facts->follower_count; i++) {
        const struct database_follower *follower = &facts->followers[i];
        if (follower->streaming && text_equal(follower->member, core->group->target) &&
            follower->replayed + CORE_NEAR_BYTES >= facts->end) {
            return true;
        }
    }
    return false;
}

bool guard_closed_its_log(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return operation(core) == MODEL_DATABASE_SWITCHOVER && has_closed(core) && has_data(core) &&
           core->facts->end != 0;
}

bool guard_did_not_close_its_log(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return operation(core) == MODEL_DATABASE_SWITCHOVER && is_down(core) && !core->facts->clean;
}

bool guard_is_down_for_failover(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return operation(core) == MODEL_DATABASE_FAILOVER && is_down(core);
}

bool guard_is_down_for_stop(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return operation(core) != MODEL_DATABASE_SWITCHOVER &&
           operation(core) != MODEL_DATABASE_FAILOVER && is_down(core);
}

bool guard_leaves(struct core *core, struct core_plan *plan)
{
    (void)plan;
    bool promotes = core->group->phase == MODEL_DATABASE_PROMOTING;
    return core->facts->stopping && is_down(core) &&
           (promotes || (core->group->automatic && core_could_elect(core)));
}

bool guard_leaves_alone(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return core->facts->stopping && is_down(core);
}

bool guard_cannot_write(struct core *core, struct core_plan *plan)
{
    const struct database_facts *facts = core->facts;
    if (facts->process == DATABASE_PROCESS_WRITER || !core->group->automatic ||
        !core_could_elect(core)) {
        return false;
    }
    int64_t patience = core->group->phase == MODEL_DATABASE_PROMOTING
                           ? CORE_PROMOTION_MS
                           : MAX(core->group->lease_ms, CORE_UNWRITABLE_MS);
    struct mono until = core_later(facts->unwritable_since, patience);
    if (text_empty(facts->stuck) && !core_reached(core, until)) {
        return false;
    }
    plan->reason =
        arena_printf(core->arena, "%s cannot write%s%s", core_name(core, core->view->self),
                     text_empty(facts->stuck) ? "" : ": ", facts->stuck);
    return is_down(core);
}

bool guard_is_promoted(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return core->is_writer && core->facts->process == DATABASE_PROCESS_WRITER;
}

bool guard_synchronous_changes(struct core *core, struct core_plan *plan)
{
    if (!core->is_writer) {
        return false;
    }
    core_synchronous(core, &plan->synchronous);
    plan->reason = plan->synchronous.why;
    return plan->synchronous.record;
}

/* Said in the lease before it begins to write; that it does end by itself, once that is seen. */
bool guard_fence_changes(struct core *core, struct core_plan *plan)
{
    (void)plan;
    const struct database_facts *facts = core->facts;
    if (!core->is_writer || facts->unfenced == core->lease->unfenced) {
        return false;
    }
    bool begins = core->group->phase != MODEL_DATABASE_FENCING &&
                  (facts->process == DATABASE_PROCESS_READER || is_down(core));
    return facts->process == DATABASE_PROCESS_WRITER || (facts->unfenced && begins);
}

bool guard_renewal_is_due(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return core->facts->deadline.ns == 0 ||
           core_reached(core, database_lease_renew_at(core->facts->deadline, core->lease));
}

/* ---- who watches ---- */

/* Somebody else takes over once the lease is void. */
static bool has_heirs(const struct core *core)
{
    return (core->group->automatic || operation(core) == MODEL_DATABASE_FAILOVER) &&
           core_could_elect(core);
}

bool guard_lease_ran_out(struct core *core, struct core_plan *plan)
{
    if (!core->held || core->holds) {
        return false;
    }
    if (core->lease->confirmed) { /* after it had run out: nobody renews it any more */
        plan->reason = arena_printf(
            core->arena, "it was confirmed that %s does not write: another one is sought",
            core_name(core, core->lease->holder));
        return true;
    }
    bool ends = !core->lease->unfenced || core->view->fenced;
    return ends && has_heirs(core) && core_reached(core, database_lease_void_at(core->view));
}

bool database_wants_fence(const struct database_view *view, struct mono *ret_again)
{
    struct core core;
    core_begin(&core, view, NULL, NULL);
    bool wants = core.held && core.lease->unfenced && !core.lease->confirmed && !view->fenced &&
                 !text_equal(core.lease->holder, view->self) && has_heirs(&core) &&
                 core_reached(&core, database_lease_void_at(view));
    *ret_again = core.again;
    return wants;
}

bool guard_nobody_is_wanted(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return !core_has_others(core) && core->writer != NULL && !core_is_wanted(core->writer);
}

bool guard_somebody_is_elected(struct core *core, struct core_plan *plan)
{
    core_elect(core, &plan->choice);
    return plan->choice.member != NULL;
}

static bool is_taken(const struct core *core)
{
    return core->held;
}

bool guard_target_is_lost(struct core *core, struct core_plan *plan)
{
    if (is_taken(core)) {
        return false;
    }
    if (!core_may_serve(core, core->target)) {
        plan->reason = "the new writer is gone before it took over";
        return true;
    }
    if (!core_phase_lasts(core, core_target_ms(core))) {
        return false;
    }
    plan->reason = arena_printf(core->arena, "%s did not take over in time",
                                core_name(core, core->group->target));
    return true;
}

bool guard_writer_does_not_return(struct core *core, struct core_plan *plan)
{
    (void)plan;
    if (core->group->phase == MODEL_DATABASE_STOPPED) {
        return core_may_serve(core, core->writer) ||
               (core_has_others(core) && (core->writer == NULL || core->writer->member->deleted));
    }
    if (core->held || !core_could_elect(core)) {
        return false;
    }
    return operation(core) == MODEL_DATABASE_FAILOVER ||
           (core->group->automatic && core_phase_lasts(core, core->group->lease_ms));
}

bool guard_is_wanted_again(struct core *core, struct core_plan *plan)
{
    (void)plan;
    const struct model_database_turn *turn = core_turn(core->group);
    bool promoted = turn == NULL || turn->confirmed; /* else it is chosen, and promoted, anew */
    return promoted && core_may_serve(core, core->writer) && core->lease != NULL &&
           core->lease->state == MODEL_DATABASE_LEASE_RELEASED &&
           text_equal(core->lease->holder, core->group->writer);
}

/* ---- who takes over ---- */

bool guard_target_is_the_old_writer(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return !is_taken(core) && core->is_writer && has_data(core) && !core->facts->standby &&
           is_down(core) && !core->facts->stopping && core_may_serve(core, core->self);
}

bool guard_target_has_everything(struct core *core, struct core_plan *plan)
{
    (void)plan;
    const struct database_facts *facts = core->facts;
    if (is_taken(core) || !has_data(core) || !facts->standby || facts->stopping ||
        facts->process != DATABASE_PROCESS_READER || !core_is_wanted(core->self)) {
        return false;
    }
    return operation(core) == MODEL_DATABASE_SWITCHOVER ? core_has_all(core) : facts->cut;
}

bool guard_lease_is_left(struct core *core, struct core_plan *plan)
{
    (void)plan;
    return !core->held && has_data(core) && !core->facts->standby && !core->facts->stopping &&
           core_may_serve(core, core->self);
}
