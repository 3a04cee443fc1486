/* The group machine as a table, and the walk over it: see core.h. Pure; any thread.
 *
 * The first row whose phase, doer and guard fit is done, in one transaction that compares the
 * group's and the lease's revisions. Rows of ANY may be done by every agent at the same time: one
 * wins. Every row can be done again after a crash, because the next view shows whether it happened.
 * Invariant: the lease is given away only by FREE (its length was waited for) and RELEASE (its
 * holder's server is down), and taken only where nobody holds it; and the epoch goes up with every
 * one of FREE and RELEASE. */
#include "base/text.h"
#include "database/core/group_guards.h"

#include <string.h>

#define NEW (1U << MODEL_DATABASE_NEW)
#define STEADY (1U << MODEL_DATABASE_STEADY)
#define PREPARING (1U << MODEL_DATABASE_PREPARING)
#define FENCING (1U << MODEL_DATABASE_FENCING)
#define ELECTING (1U << MODEL_DATABASE_ELECTING)
#define PROMOTING (1U << MODEL_DATABASE_PROMOTING)
#define STOPPED (1U << MODEL_DATABASE_STOPPED)
#define SAME (-1)

#define ROW(name, phases, next, doer, effect, up, test, change, says)                              \
    {                                                                                              \
        .transition = DATABASE_TRANSITION_##name, .from = (phases), .to = (next), .who = (doer),   \
        .lease = (effect), .epoch = (up), .guard = guard_##test, .apply = (change),                \
        .guard_text = #test, .sentence = (says)                                                    \
    }

/* clang-format off */
const struct core_row core_rows[] = {
    ROW(CHOOSE_FIRST, NEW, SAME, CORE_ANY, CORE_KEEP, false, first_is_gone, apply_first,
        "another member makes the data"),
    ROW(TAKE_FIRST, NEW, MODEL_DATABASE_STEADY, CORE_WRITER, CORE_TAKE, false, first_has_data, apply_first_turn,
        "the data are made"),
    ROW(TAKE_WITH_DATA, NEW, MODEL_DATABASE_PROMOTING, CORE_WRITER, CORE_TAKE, false, first_has_readers_data, apply_take,
        "a reader of another group becomes the writer of its own"),
    ROW(VOID, STEADY | PREPARING | FENCING | PROMOTING, MODEL_DATABASE_ELECTING, CORE_ANY, CORE_FREE, true, lease_ran_out, apply_void,
        "the writer did not renew its lease: another one is sought"),
    ROW(REFUSE, STEADY, SAME, CORE_ANY, CORE_KEEP, false, request_is_impossible, apply_refuse,
        "the request was refused"),
    ROW(BEGIN_FAILOVER, STEADY | PREPARING, MODEL_DATABASE_FENCING, CORE_ANY, CORE_KEEP, false, failover_is_asked_for, apply_begin_failover,
        "a failover was asked for: the writer is to stop"),
    ROW(BEGIN_SWITCHOVER, STEADY, MODEL_DATABASE_PREPARING, CORE_ANY, CORE_KEEP, false, switchover_is_asked_for, apply_begin_switchover,
        "a switchover was asked for: writer and target make ready"),
    ROW(BEGIN_REPLACEMENT, STEADY, MODEL_DATABASE_PREPARING, CORE_ANY, CORE_KEEP, false, writer_is_deleted, apply_begin_switchover,
        "the writer is deleted: another member takes over before"),
    ROW(BEGIN_STOP, STEADY, MODEL_DATABASE_FENCING, CORE_ANY, CORE_KEEP, false, writer_is_to_stop, apply_begin_stop,
        "the writer is to stop"),
    ROW(CANCEL, PREPARING | FENCING, MODEL_DATABASE_STEADY, CORE_ANY, CORE_KEEP, false, is_taken_back, apply_give_up,
        "it was cancelled before the writer had given up its lease"),
    ROW(GIVE_UP, PREPARING | FENCING, MODEL_DATABASE_STEADY, CORE_ANY, CORE_KEEP, false, takes_too_long, apply_give_up,
        "it took too long, and the writer goes on"),
    ROW(FENCE, PREPARING, MODEL_DATABASE_FENCING, CORE_HOLDER, CORE_KEEP, false, is_prepared, NULL,
        "writer and target are ready: the writer stops"),
    ROW(HAND_OVER, FENCING, MODEL_DATABASE_PROMOTING, CORE_HOLDER, CORE_RELEASE, true, closed_its_log, apply_close,
        "the writer has stopped: the target takes over once it has all of the log"),
    ROW(STOP_FAILED, FENCING, MODEL_DATABASE_STEADY, CORE_HOLDER, CORE_KEEP, false, did_not_close_its_log, apply_give_up,
        "the writer did not end cleanly, and starts again"),
    ROW(RELEASE_FOR_FAILOVER, FENCING, MODEL_DATABASE_ELECTING, CORE_HOLDER, CORE_RELEASE, true, is_down_for_failover, apply_close,
        "the writer has stopped: the readers say what they have"),
    ROW(RELEASE_STOPPED, FENCING, MODEL_DATABASE_STOPPED, CORE_HOLDER, CORE_RELEASE, true, is_down_for_stop, apply_close,
        "the writer has stopped, as it was asked to"),
    ROW(RELEASE_LEAVING, STEADY | PREPARING | PROMOTING, MODEL_DATABASE_ELECTING, CORE_HOLDER, CORE_RELEASE, true, leaves, apply_leave,
        "the daemon of the writer ends: another one is sought"),
    ROW(RELEASE_ALONE, STEADY | PREPARING, MODEL_DATABASE_STEADY, CORE_HOLDER, CORE_RELEASE, true, leaves_alone, apply_leave_alone,
        "the daemon of the writer ends, and nobody else can take over"),
    ROW(YIELD, STEADY | PREPARING | PROMOTING, MODEL_DATABASE_ELECTING, CORE_HOLDER, CORE_RELEASE, true, cannot_write, apply_yield,
        "the writer's server cannot write: another one is sought"),
    ROW(STOP_IDLE, STEADY | FENCING, MODEL_DATABASE_STOPPED, CORE_ANY, CORE_KEEP, false, writer_need_not_stop, apply_end,
        "the writer is to stop, and does not run"),
    ROW(ALL_STOPPED, ELECTING, MODEL_DATABASE_STOPPED, CORE_ANY, CORE_KEEP, false, nobody_is_wanted, apply_end,
        "all members are to stop"),
    ROW(ELECT, ELECTING, MODEL_DATABASE_PROMOTING, CORE_ANY, CORE_KEEP, false, somebody_is_elected, apply_elect,
        "a new writer was chosen"),
    ROW(TARGET_LOST, PROMOTING, MODEL_DATABASE_ELECTING, CORE_ANY, CORE_KEEP, true, target_is_lost, NULL,
        "the chosen one did not take over: another one is sought"),
    ROW(TAKE_BACK, PROMOTING, MODEL_DATABASE_STEADY, CORE_TARGET, CORE_TAKE, false, target_is_the_old_writer, apply_confirm,
        "the old writer goes on, with everything"),
    ROW(TAKE, PROMOTING, SAME, CORE_TARGET, CORE_TAKE, false, target_has_everything, apply_take,
        "the new writer holds the lease and is being promoted"),
    ROW(TAKE_AGAIN, STEADY, SAME, CORE_WRITER, CORE_TAKE, false, lease_is_left, apply_confirm,
        "the writer is back"),
    ROW(CONFIRM, PROMOTING, MODEL_DATABASE_STEADY, CORE_HOLDER, CORE_KEEP, false, is_promoted, apply_confirm,
        "the new writer accepts writes"),
    ROW(START_AGAIN, STOPPED, MODEL_DATABASE_STEADY, CORE_ANY, CORE_KEEP, false, is_wanted_again, apply_end,
        "the group is started"),
    ROW(ELECT_AGAIN, STEADY | STOPPED, MODEL_DATABASE_ELECTING, CORE_ANY, CORE_KEEP, true, writer_does_not_return, NULL,
        "the writer does not come back: another one is sought"),
    ROW(RECORD_SYNCHRONOUS, STEADY | PREPARING | FENCING | PROMOTING, SAME, CORE_HOLDER, CORE_KEEP, false, synchronous_changes, apply_synchronous,
        ""),
    ROW(RECORD_FENCE, STEADY | PREPARING | FENCING | PROMOTING, SAME, CORE_HOLDER, CORE_RENEW, false, fence_changes, apply_fence,
        "whether the writer's server ends by itself with its lease is another than the lease says"),
    ROW(RENEW, STEADY | PREPARING | FENCING | PROMOTING, SAME, CORE_HOLDER, CORE_RENEW, false, renewal_is_due, NULL,
        ""),
};
/* clang-format on */
const size_t core_row_count = ARRAY_SIZE(core_rows);

const char *database_transition_name(enum database_transition transition)
{
    static const char *const names[] = {
#define X(name) #name,
        DATABASE_TRANSITIONS(X)
#undef X
    };
    return (size_t)transition < ARRAY_SIZE(names) ? names[transition] : "?";
}

/* ---- the lease ---- */

static model_lsn known_flushed(const struct core *core)
{
    return core->facts != NULL ? core->facts->end : 0;
}

/* A holder that was given a long lease may write until its deadline: a shorter one must not end
 * before. So a lease is shortened by and by. */
static int64_t least_length_ms(const struct core *core)
{
    int64_t left = mono_since(core->facts->deadline, core->view->now);
    struct model_database_lease lease = {.length_ms = MODEL_DATABASE_LEASE_MIN_MS};
    while (mono_since(database_lease_deadline(core->view->now, &lease), core->view->now) < left) {
        lease.length_ms += MAX(left / TIME_MS / 50, 1);
    }
    return lease.length_ms;
}

static void change_lease(const struct core *core, const struct core_row *row,
                         struct database_update *update)
{
    struct model_database_lease *lease = &update->lease;
    switch (row->lease) {
    case CORE_KEEP:
        return;
    case CORE_FREE: /* what its holder said last stays: known_end in group_effects.c */
        lease->state = MODEL_DATABASE_LEASE_FREE;
        lease->unfenced = false;
        lease->confirmed = false;
        lease->holder = "";
        lease->epoch = update->group.epoch;
        break;
    case CORE_RELEASE:
        lease->state = MODEL_DATABASE_LEASE_RELEASED;
        lease->unfenced = false;
        lease->flushed = known_flushed(core);
        lease->timeline = core->facts->timeline;
        break;
    case CORE_TAKE:
        *lease = (struct model_database_lease){.epoch = update->group.epoch,
                                               .holder = core->view->self,
                                               .state = MODEL_DATABASE_LEASE_HELD,
                                               .length_ms = core->group->lease_ms,
                                               .unfenced = core->facts->unfenced,
                                               .flushed = known_flushed(core),
                                               .timeline = core->facts->timeline};
        update->holds = true;
        break;
    case CORE_RENEW:
        lease->renewals++;
        lease->length_ms = MAX(core->group->lease_ms, least_length_ms(core));
        lease->flushed = MAX(lease->flushed, known_flushed(core));
        lease->timeline = core->facts->timeline;
        update->holds = true;
        break;
    }
    lease->at = core->view->wall;
    update->writes_lease = true;
}

/* ---- the walk ---- */

static bool may_do(const struct core *core, const struct core_row *row)
{
    if ((row->from & 1U << core->group->phase) == 0) {
        return false;
    }
    switch (row->who) {
    case CORE_ANY:
        return core->self != NULL;
    case CORE_HOLDER:
        return core->holds;
    case CORE_WRITER:
        return core->is_writer && core->facts != NULL;
    case CORE_TARGET:
        break;
    }
    return core->is_target && core->facts != NULL;
}

static void fill(const struct core *core, const struct core_row *row, const struct core_plan *plan,
                 struct database_update *update)
{
    update->transition = row->transition;
    update->group = *core->group;
    update->lease = core->lease != NULL ? *core->lease : (struct model_database_lease){0};
    update->writes_group = row->lease != CORE_RENEW;
    const char *reason = text_empty(plan->reason) ? row->sentence : plan->reason;
    update->sentence = text_empty(reason) ? "the lease is renewed" : reason;
    if (update->writes_group) {
        update->group.reason = reason;
    }
    if (row->to != SAME) {
        update->group.phase = (enum model_database_phase)row->to;
        update->group.since = core->view->wall;
    }
    if (row->epoch) {
        update->group.epoch++;
    }
    change_lease(core, row, update);
    if (row->apply != NULL) {
        row->apply(core, plan, update);
    }
}

void database_group_next(const struct database_view *view, const struct database_facts *facts,
                         struct arena *arena, struct database_update *ret_update)
{
    struct core core;
    core_begin(&core, view, facts, arena);
    *ret_update = (struct database_update){.sentence = ""};
    for (size_t i = 0; i < core_row_count; i++) {
        struct core_plan plan = {.reason = "", .choice = {.why = ""}, .synchronous = {.why = ""}};
        const struct core_row *row = &core_rows[i];
        if (may_do(&core, row) && row->guard(&core, &plan)) {
            if (text_empty(plan.reason) && !text_empty(plan.choice.why)) {
                plan.reason =
                    arena_printf(arena, "%s becomes the writer: %s",
                                 core_name(&core, plan.choice.member->member->id), plan.choice.why);
            }
            fill(&core, row, &plan, ret_update);
            break;
        }
    }
    ret_update->again = core.again;
}
