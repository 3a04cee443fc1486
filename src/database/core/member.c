/* What is to be done with one server, as a table, and the walk over it: see core.h. Pure; any
 * thread.
 *
 * The first row whose guard fits is the order. Rows that stop a writer come first: nothing may keep
 * a server running that has lost the right to write. Every order is idempotent: its guard is false
 * once the facts show that it is done, and true again after a crash in the middle of it. */
#include "base/text.h"
#include "database/core/internal.h"

typedef bool duty_guard(struct core *core, struct database_order *order);

static bool in_phase(const struct core *core, enum model_database_phase phase)
{
    return core->group->phase == phase;
}

static bool process_is(const struct core *core, enum database_process process)
{
    return core->facts->process == process;
}

static bool runs(const struct core *core)
{
    return !process_is(core, DATABASE_PROCESS_DOWN) && !process_is(core, DATABASE_PROCESS_STOPPING);
}

static bool has_data(const struct core *core)
{
    return core->facts->data == DATABASE_DATA;
}

/* It accepts writes, or is about to. */
static bool is_primary(const struct core *core)
{
    return process_is(core, DATABASE_PROCESS_WRITER) ||
           (process_is(core, DATABASE_PROCESS_STARTING) && !core->facts->standby);
}

/* ---- stopping ---- */

static bool lost_its_lease_long_ago(struct core *core, struct database_order *order)
{
    (void)order;
    bool stops = process_is(core, DATABASE_PROCESS_STOPPING) && !core->facts->standby;
    bool primary = is_primary(core) || (stops && !core->facts->clean);
    return primary && !core_may_write(core) &&
           (core->facts->deadline.ns == 0 || core_reached(core, core->facts->deadline));
}

static bool lost_its_lease(struct core *core, struct database_order *order)
{
    (void)order;
    return is_primary(core) && !core_may_write(core);
}

static bool fences_too_slowly(struct core *core, struct database_order *order)
{
    (void)order;
    return in_phase(core, MODEL_DATABASE_FENCING) && core->is_writer &&
           core->group->operation == MODEL_DATABASE_FAILOVER &&
           process_is(core, DATABASE_PROCESS_STOPPING) &&
           core_reached(core, core_later(core->facts->since, CORE_FAST_MS));
}

static bool is_to_be_fenced(struct core *core, struct database_order *order)
{
    (void)order;
    return in_phase(core, MODEL_DATABASE_FENCING) && core->is_writer && runs(core);
}

static bool leaves(struct core *core, struct database_order *order)
{
    (void)order;
    return core->facts->stopping && runs(core);
}

static bool is_unwanted(const struct core *core)
{
    return !core_is_wanted(core->self) && !core->holds;
}

static bool is_to_stop(struct core *core, struct database_order *order)
{
    (void)order;
    return is_unwanted(core) && runs(core);
}

static bool is_leaving(struct core *core, struct database_order *order)
{
    (void)order;
    return core->facts->stopping;
}

static bool is_to_vanish(struct core *core, struct database_order *order)
{
    (void)order;
    bool idle = in_phase(core, MODEL_DATABASE_STOPPED) || in_phase(core, MODEL_DATABASE_NEW);
    bool needed = core->is_writer && (!idle || core_is_kept(core));
    return core->self != NULL && core->self->member->deleted && !core->holds && !needed &&
           process_is(core, DATABASE_PROCESS_DOWN);
}

static bool is_kept_down(struct core *core, struct database_order *order)
{
    (void)order;
    return is_unwanted(core);
}

static bool stops(struct core *core, struct database_order *order)
{
    (void)order;
    return process_is(core, DATABASE_PROCESS_STOPPING);
}

static bool starts(struct core *core, struct database_order *order)
{
    (void)order;
    return process_is(core, DATABASE_PROCESS_STARTING);
}

static bool is_stuck(struct core *core, struct database_order *order)
{
    if (text_empty(core->facts->stuck) || core->self->member->rebuild > core->facts->rebuild) {
        return false;
    }
    order->sentence = core->facts->stuck;
    return true;
}

/* ---- the first data ---- */

static bool makes_the_data(struct core *core, struct database_order *order)
{
    (void)order;
    return in_phase(core, MODEL_DATABASE_NEW) && core->is_writer && !has_data(core);
}

/* ---- an election ---- */

/* The server's log must not grow any more, and it must run to be chosen. */
static bool is_electing(const struct core *core)
{
    bool lone = in_phase(core, MODEL_DATABASE_NEW) && core->is_writer && core->facts->standby;
    bool promoting = in_phase(core, MODEL_DATABASE_PROMOTING) && !core->holds;
    return lone || promoting || in_phase(core, MODEL_DATABASE_ELECTING);
}

static bool is_to_be_candidate(struct core *core, struct database_order *order)
{
    (void)order;
    return is_electing(core) && has_data(core) && process_is(core, DATABASE_PROCESS_DOWN) &&
           (core->facts->standby || (core->is_target && !core->is_writer));
}

static bool is_to_be_cut(struct core *core, struct database_order *order)
{
    (void)order;
    bool planned = in_phase(core, MODEL_DATABASE_PROMOTING) &&
                   core->group->operation == MODEL_DATABASE_SWITCHOVER;
    return is_electing(core) && !planned && process_is(core, DATABASE_PROCESS_READER) &&
           !core->facts->cut;
}

/* ---- the writer ---- */

static bool writer_has_no_data(struct core *core, struct database_order *order)
{
    (void)order;
    return core->is_writer && !in_phase(core, MODEL_DATABASE_NEW) && !has_data(core);
}

static bool changes_synchronous(struct core *core, struct database_order *order)
{
    struct core_synchronous next;
    if (!core->holds || !core->is_writer || in_phase(core, MODEL_DATABASE_FENCING)) {
        return false;
    }
    core_synchronous(core, &next);
    order->synchronous = next.names;
    order->synchronous_count = next.count;
    if (next.set) {
        order->sentence = next.why;
    }
    return next.set;
}

/* What promises something about commits is changed first. */
static bool may_begin_to_write(struct core *core)
{
    struct core_synchronous next;
    bool said = core->lease != NULL && (core->lease->unfenced || !core->facts->unfenced);
    if (!core_may_write(core) || in_phase(core, MODEL_DATABASE_FENCING) || !has_data(core) ||
        !said) {
        return false;
    }
    core_synchronous(core, &next);
    return !next.record && !next.set;
}

/* Its promotion was broken off when the server had forgotten that it is a reader, and had not begun
 * the timeline that it was to write on. Started as a writer, it would go on with the old one. */
static bool is_half_promoted(const struct core *core)
{
    const struct model_database_turn *turn = core_turn(core->group);
    return turn != NULL && text_equal(turn->writer, core->view->self) && !core->facts->standby &&
           core->facts->timeline != 0 && core->facts->timeline < turn->timeline;
}

static bool is_to_write(struct core *core, struct database_order *order)
{
    (void)order;
    return process_is(core, DATABASE_PROCESS_DOWN) && !core->facts->standby &&
           !is_half_promoted(core) && may_begin_to_write(core);
}

static bool is_to_be_promoted(struct core *core, struct database_order *order)
{
    const struct model_database_turn *turn = core_turn(core->group);
    order->timeline = turn != NULL ? turn->timeline : core->facts->timeline + 1;
    return process_is(core, DATABASE_PROCESS_READER) && may_begin_to_write(core);
}

static bool is_to_run_before_promotion(struct core *core, struct database_order *order)
{
    (void)order;
    return core->is_writer && core->holds && has_data(core) && core->facts->standby &&
           process_is(core, DATABASE_PROCESS_DOWN);
}

static bool is_to_begin_promotion_again(struct core *core, struct database_order *order)
{
    const struct model_database_turn *turn = core_turn(core->group);
    order->timeline = turn != NULL ? turn->timeline : 0;
    return core->is_writer && core->holds && has_data(core) && is_half_promoted(core) &&
           process_is(core, DATABASE_PROCESS_DOWN);
}

static bool is_to_write_down(struct core *core, struct database_order *order)
{
    (void)order;
    return in_phase(core, MODEL_DATABASE_PREPARING) && core->is_writer &&
           process_is(core, DATABASE_PROCESS_WRITER) && !core->facts->checkpointed;
}

/* ---- readers ---- */

/* The writer is known, and its log can be followed. */
static bool follows(const struct core *core)
{
    return !core->is_writer && !text_empty(core->group->writer) &&
           (in_phase(core, MODEL_DATABASE_STEADY) || in_phase(core, MODEL_DATABASE_PREPARING) ||
            in_phase(core, MODEL_DATABASE_FENCING));
}

/* It can be asked. */
static bool writer_answers(const struct core *core)
{
    return follows(core) && core->writer != NULL && core->writer->seen != NULL &&
           core->writer->seen->condition == MODEL_DATABASE_WRITER;
}

static enum database_lineage lineage(const struct core *core)
{
    const struct database_facts *facts = core->facts;
    const struct model_database_turn *turn = core_turn(core->group);
    bool waits = process_is(core, DATABASE_PROCESS_READER) && facts->replayed_all;
    enum database_lineage known = database_lineage_by_record(core->group, facts->timeline,
                                                             waits ? facts->replayed : facts->end);
    if (known == DATABASE_LINEAGE_UNKNOWN && turn != NULL &&
        facts->lineage_timeline == turn->timeline) {
        return facts->lineage;
    }
    return known;
}

static bool is_foreign(const struct core *core)
{
    const struct database_sight *writer = core->writer;
    return has_data(core) && writer_answers(core) && writer->seen->system_id != 0 &&
           core->facts->system_id != 0 && writer->seen->system_id != core->facts->system_id;
}

/* Its own data are all that there is of the database should the writer vanish meanwhile: only while
 * that is heard of. */
static bool has_lost_the_log(const struct core *core)
{
    return core->facts->log_gone && text_equal(core->facts->upstream, core->group->writer) &&
           database_is_heard(core->view, core->writer);
}

static bool is_to_be_made_anew(const struct core *core)
{
    return writer_answers(core) && core->facts->data != DATABASE_NO_DATA &&
           (core->self->member->rebuild > core->facts->rebuild || core->facts->rewind_failed ||
            has_lost_the_log(core) || is_foreign(core));
}

static bool has_diverged(const struct core *core)
{
    return follows(core) && has_data(core) && lineage(core) == DATABASE_DIVERGED;
}

static bool cannot_follow(struct core *core, struct database_order *order)
{
    if (writer_answers(core) && has_lost_the_log(core)) {
        order->sentence =
            "the writer has not got the log any more that comes next here: it is made "
            "anew from the writer";
    }
    return runs(core) && (is_to_be_made_anew(core) || (has_diverged(core) && follows(core)));
}

/* A reader of the writer's has nothing that the writer has not. */
static bool has_nothing_alone(const struct core *core)
{
    return core->facts->standby && !is_foreign(core) && lineage(core) == DATABASE_FOLLOWS;
}

static bool is_to_be_put_aside(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    return process_is(core, DATABASE_PROCESS_DOWN) && !core->facts->aside && writer_answers(core) &&
           ((is_to_be_made_anew(core) && !has_nothing_alone(core)) || has_diverged(core));
}

static bool is_to_be_discarded(struct core *core, struct database_order *order)
{
    (void)order;
    return process_is(core, DATABASE_PROCESS_DOWN) && is_to_be_made_anew(core);
}

static bool is_to_be_rewound(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    bool unfinished = core->facts->data == DATABASE_REWINDING;
    return process_is(core, DATABASE_PROCESS_DOWN) && writer_answers(core) &&
           (unfinished || has_diverged(core));
}

static bool is_to_be_cloned(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    return core->facts->data == DATABASE_NO_DATA && process_is(core, DATABASE_PROCESS_DOWN) &&
           writer_answers(core);
}

static bool is_to_be_compared(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    bool settled = process_is(core, DATABASE_PROCESS_READER) &&
                   text_equal(core->facts->upstream, core->group->writer);
    return writer_answers(core) && has_data(core) && !settled &&
           lineage(core) == DATABASE_LINEAGE_UNKNOWN;
}

static bool is_to_start(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    return follows(core) && has_data(core) && process_is(core, DATABASE_PROCESS_DOWN) &&
           lineage(core) == DATABASE_FOLLOWS;
}

static bool is_to_follow(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    return follows(core) && process_is(core, DATABASE_PROCESS_READER) &&
           !text_equal(core->facts->upstream, core->group->writer) &&
           lineage(core) == DATABASE_FOLLOWS;
}

/* Nothing comes, and there is something that could: the writer may have thrown away what comes next
 * here, because this reader was gone for too long. */
static bool is_to_ask_for_log(struct core *core, struct database_order *order)
{
    order->upstream = core->group->writer;
    const struct database_facts *facts = core->facts;
    if (!writer_answers(core) || !process_is(core, DATABASE_PROCESS_READER) || facts->receiving ||
        !text_equal(facts->upstream, core->group->writer)) {
        return false;
    }
    const struct model_database_seen *writer = core->writer->seen;
    bool more = writer->received > facts->end || writer->timeline != facts->timeline;
    struct mono due = core_later(facts->idle_since, CORE_IDLE_MS);
    if (facts->log_asked.ns != 0) {
        due.ns = MAX(due.ns, core_later(facts->log_asked, CORE_ASK_MS).ns);
    }
    return more && core_reached(core, due);
}

/* ---- any that runs ---- */

static bool is_settled(const struct core *core)
{
    return (process_is(core, DATABASE_PROCESS_WRITER) ||
            process_is(core, DATABASE_PROCESS_READER)) &&
           in_phase(core, MODEL_DATABASE_STEADY);
}

static bool is_to_reboot(struct core *core, struct database_order *order)
{
    (void)order;
    return is_settled(core) && core->self->member->reboot > core->facts->reboot;
}

/* It is configured before it starts again, for as much as its writer has. */
static bool is_held_up(struct core *core, struct database_order *order)
{
    (void)order;
    return is_settled(core) && process_is(core, DATABASE_PROCESS_READER) && core->facts->paused;
}

static bool is_to_be_configured(struct core *core, struct database_order *order)
{
    (void)order;
    return is_settled(core) && !core->facts->configured;
}

static bool is_well(struct core *core, struct database_order *order)
{
    if (process_is(core, DATABASE_PROCESS_WRITER)) {
        order->sentence = "it is the writer";
    } else if (process_is(core, DATABASE_PROCESS_READER)) {
        order->sentence =
            core->facts->receiving ? "it follows the writer" : "it waits for a writer";
    } else if (core->facts->data == DATABASE_NO_DATA) {
        order->sentence = "it waits for a writer whose data it can copy";
    } else {
        order->sentence = core->is_writer ? "it waits for the lease"
                                          : "it waits for a writer whose log it can follow";
    }
    return true;
}

#define DUTY(order, test, says)                                                                    \
    {                                                                                              \
        .name = #test, .action = DATABASE_ACTION_##order, .guard = (test), .sentence = (says)      \
    }

/* clang-format off */
const struct core_duty core_duties[] = {
    DUTY(STOP_IMMEDIATE, lost_its_lease_long_ago, "it may not write any more, and has not stopped"),
    DUTY(STOP_FAST, lost_its_lease, "it may not write any more"),
    DUTY(STOP_IMMEDIATE, fences_too_slowly, "a failover does not wait for a slow stop"),
    DUTY(STOP_FAST, is_to_be_fenced, "another member takes over, or it is to stop"),
    DUTY(STOP_FAST, leaves, "the daemon ends"),
    DUTY(STOP_FAST, is_to_stop, "it is not wanted to run"),
    DUTY(WAIT, is_leaving, "the daemon ends"),
    DUTY(REMOVE, is_to_vanish, "it was deleted"),
    DUTY(WAIT, is_kept_down, "it is not wanted to run"),
    DUTY(WAIT, stops, "it is stopping"),
    DUTY(WAIT, starts, "it is starting"),
    DUTY(NEED_HANDS, is_stuck, "somebody must act"),
    DUTY(INITIALISE, makes_the_data, "the group's data are made here"),
    DUTY(NEED_HANDS, writer_has_no_data, "the writer's data are gone: fail over to another member, which accepts the loss of what only it had"),
    DUTY(START_READER, is_to_be_candidate, "it starts without following anybody, so that it can be chosen"),
    DUTY(CUT, is_to_be_cut, "a writer is sought: what it has must be final"),
    DUTY(SET_SYNCHRONOUS, changes_synchronous, "the members that commits wait for change"),
    DUTY(START_WRITER, is_to_write, "it holds the lease"),
    DUTY(START_READER, is_to_run_before_promotion, "it holds the lease, and is promoted once it runs"),
    DUTY(START_READER, is_to_begin_promotion_again, "its promotion was broken off half-way, and begins again"),
    DUTY(PROMOTE, is_to_be_promoted, "it holds the lease"),
    DUTY(CHECKPOINT, is_to_write_down, "a switchover is being prepared: its stop is to be short"),
    DUTY(STOP_FAST, cannot_follow, "it has something that the writer has not"),
    DUTY(KEEP_ASIDE, is_to_be_put_aside, "what the writer has not is put aside before it is destroyed"),
    DUTY(DISCARD, is_to_be_discarded, "it is made anew from the writer"),
    DUTY(REWIND, is_to_be_rewound, "it goes back to where its log and the writer's part"),
    DUTY(CLONE, is_to_be_cloned, "it copies the writer's data"),
    DUTY(COMPARE, is_to_be_compared, "whether it can follow the writer is not known yet"),
    DUTY(START_READER, is_to_start, "it is a reader of the writer"),
    DUTY(FOLLOW, is_to_follow, "the writer is another one"),
    DUTY(COMPARE, is_to_ask_for_log, "nothing comes from the writer: whether it has the log that comes next here is not known"),
    DUTY(REBOOT, is_to_reboot, "a reboot was asked for"),
    DUTY(REBOOT, is_held_up, "it cannot replay what its writer does with more connections, workers, prepared transactions or locks than it has"),
    DUTY(CONFIGURE, is_to_be_configured, "its settings are not as wanted"),
    DUTY(WAIT, is_well, "there is nothing to do"),
};
/* clang-format on */
const size_t core_duty_count = ARRAY_SIZE(core_duties);

const char *database_action_name(enum database_action action)
{
    static const char *const names[] = {
#define X(name, what) #name,
        DATABASE_ACTIONS(X)
#undef X
    };
    return (size_t)action < ARRAY_SIZE(names) ? names[action] : "?";
}

void database_member_next(const struct database_view *view, const struct database_facts *facts,
                          struct arena *arena, struct database_order *ret_order)
{
    struct core core;
    core_begin(&core, view, facts, arena);
    for (size_t i = 0; i < core_duty_count; i++) {
        const struct core_duty *duty = &core_duties[i];
        struct database_order order = {
            .action = duty->action, .sentence = duty->sentence, .upstream = ""};
        if (duty->guard(&core, &order)) {
            *ret_order = order;
            break;
        }
    }
    ret_order->again = core.again;
}

/* ---- what is written down of it ---- */

int64_t database_final_epoch(const struct database_view *view, const struct database_facts *facts)
{
    struct core core;
    core_begin(&core, view, facts, NULL);
    bool electing =
        in_phase(&core, MODEL_DATABASE_ELECTING) || in_phase(&core, MODEL_DATABASE_PROMOTING);
    if (!electing || core.holds || !has_data(&core) || facts->stopping || !facts->cut) {
        return 0;
    }
    bool reader = facts->standby && process_is(&core, DATABASE_PROCESS_READER);
    bool down = !facts->standby && process_is(&core, DATABASE_PROCESS_DOWN);
    return reader || down ? view->group->epoch : 0;
}

enum model_database_condition database_condition(const struct database_view *view,
                                                 const struct database_facts *facts)
{
    struct core core;
    core_begin(&core, view, facts, NULL);
    switch (facts->process) {
    case DATABASE_PROCESS_STARTING:
        return MODEL_DATABASE_STARTING;
    case DATABASE_PROCESS_WRITER:
        return MODEL_DATABASE_WRITER;
    case DATABASE_PROCESS_READER:
        return facts->receiving && text_equal(facts->upstream, view->group->writer)
                   ? MODEL_DATABASE_STREAMING
                   : MODEL_DATABASE_READER;
    case DATABASE_PROCESS_STOPPING:
        return MODEL_DATABASE_DOWN;
    case DATABASE_PROCESS_DOWN:
        break;
    }
    if (!text_empty(facts->stuck)) {
        return MODEL_DATABASE_STUCK;
    }
    if (facts->data == DATABASE_NO_DATA) {
        return core_is_wanted(core.self) ? MODEL_DATABASE_CREATING : MODEL_DATABASE_ABSENT;
    }
    bool returns = facts->data == DATABASE_REWINDING ||
                   (!facts->standby && !core.is_writer && !in_phase(&core, MODEL_DATABASE_NEW));
    return returns && core_is_wanted(core.self) ? MODEL_DATABASE_RETURNING : MODEL_DATABASE_DOWN;
}
