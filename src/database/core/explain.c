/* Where a group stands, in sentences, and the tables as text: see core.h. Pure; any thread. */
#include "base/text.h"
#include "database/core/internal.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *seconds(const struct core *core, int64_t ns)
{
    return arena_printf(core->arena, "%" PRId64 ".%01" PRId64 " s", ns / TIME_S,
                        ns % TIME_S / (100 * TIME_MS));
}

static void say_lease(struct core *core, struct buf *out)
{
    const struct model_database_lease *lease = core->lease;
    if (lease == NULL) {
        buf_puts(out, "Nobody has held the lease yet.\n");
        return;
    }
    const char *holder = core_name(core, lease->holder);
    int64_t age = mono_since(core->view->now, core->view->lease_since);
    switch (lease->state) {
    case MODEL_DATABASE_LEASE_FREE:
        buf_printf(out, "The lease of epoch %" PRId64 " is free.\n", lease->epoch);
        break;
    case MODEL_DATABASE_LEASE_RELEASED:
        buf_printf(out, "%s has given the lease of epoch %" PRId64 " up: its server had stopped.\n",
                   holder, lease->epoch);
        break;
    case MODEL_DATABASE_LEASE_HELD:
        buf_printf(
            out, "%s holds the lease of epoch %" PRId64 " for %s; it was renewed %s ago%s.\n",
            holder, lease->epoch, seconds(core, lease->length_ms * TIME_MS), seconds(core, age),
            age > lease->length_ms * TIME_MS ? ", so it has run out" : "");
        if (lease->unfenced) {
            buf_puts(out, "Its server does not end by itself when the lease does.\n");
        }
        break;
    }
}

/* Of a lease that is held. Who asks without having watched it goes by the time that is written in
 * it: good enough for a sentence. */
static bool seems_over(const struct core *core)
{
    const struct model_database_lease *lease = core->lease;
    return core->view->now.ns >= database_lease_void_at(core->view).ns ||
           (lease->at.ns > 0 &&
            core->view->wall.ns - lease->at.ns > 2 * lease->length_ms * TIME_MS);
}

static void say_unfenced(const struct core *core, struct buf *out)
{
    const struct database_sight *holder = core_find(core->view, core->lease->holder);
    const char *attached = holder != NULL ? holder->member->attached : "";
    buf_printf(out,
               "The server of %s does not end by itself, so nobody takes over before it is certain "
               "that it does not write. The fence command of its attachment %s makes that certain, "
               "where a region's agent has one; else stop the server by hand, make sure that "
               "nothing starts it, and say so: leeward db confirm-fenced %s\n",
               core_name(core, core->lease->holder), text_empty(attached) ? "" : attached,
               core->group->name);
}

/* A lease that ran out, and yet nobody does anything. */
static void say_why_not(struct core *core, struct buf *out)
{
    const struct model_database_group *group = core->group;
    if (!core->held || !seems_over(core)) {
        return;
    }
    if (!group->automatic && group->operation != MODEL_DATABASE_FAILOVER) {
        buf_puts(out, "Failover is manual: ask for it with FailoverGlobalCluster and "
                      "AllowDataLoss, or bring the writer back.\n");
    } else if (!core_could_elect(core)) {
        buf_puts(out, group->mode == MODEL_DATABASE_SYNCHRONOUS
                          ? "The members that may have every commit are not all heard of: bring "
                            "one of them or the writer back, or accept a loss with "
                            "FailoverGlobalCluster and AllowDataLoss.\n"
                          : "No member that could take over is heard of: bring the writer or a "
                            "reader back.\n");
    } else if (core->lease->confirmed) {
        buf_puts(out, "It was confirmed that the writer's server does not write.\n");
    } else if (core->lease->unfenced) {
        say_unfenced(core, out);
    }
}

static void say_phase(struct core *core, struct buf *out)
{
    const struct model_database_group *group = core->group;
    struct core_choice choice = {.why = ""};
    const char *target = core_name(core, group->target);
    switch (group->phase) {
    case MODEL_DATABASE_NEW:
        buf_printf(out, "Next: %s makes the data, and takes the lease.\n",
                   core_name(core, group->writer));
        break;
    case MODEL_DATABASE_STEADY:
        if (!core->held) {
            buf_printf(out, "Next: %s takes the lease and starts its server.\n",
                       core_name(core, group->writer));
        }
        break;
    case MODEL_DATABASE_PREPARING:
        buf_printf(out,
                   "Next: the writer stops as soon as everything is written down and %s has "
                   "nearly caught up.\n",
                   target);
        break;
    case MODEL_DATABASE_FENCING:
        buf_puts(out, "Next: the writer's server stops, and its agent gives the lease up.\n");
        break;
    case MODEL_DATABASE_ELECTING:
        core_elect(core, &choice);
        if (choice.member != NULL) {
            buf_printf(out, "Next: %s is chosen: %s.\n", core_name(core, choice.member->member->id),
                       choice.why);
        } else {
            buf_printf(out, "Nobody can be chosen: %s.\n", choice.why);
        }
        break;
    case MODEL_DATABASE_PROMOTING:
        buf_printf(out,
                   core->held ? "Next: %s finishes its promotion.\n"
                              : "Next: %s takes the lease once it has all that it needs.\n",
                   target);
        break;
    case MODEL_DATABASE_STOPPED:
        buf_puts(out, "Next: nothing, until it is started.\n");
        break;
    }
}

static void say_commits(const struct core *core, struct buf *out)
{
    const struct model_database_group *group = core->group;
    switch (group->mode) {
    case MODEL_DATABASE_ASYNCHRONOUS:
        buf_puts(out, "Commits do not wait for other members.\n");
        break;
    case MODEL_DATABASE_BOUNDED:
        buf_printf(out, "Commits wait while no other member is within %" PRId64 " ms.\n",
                   group->rpo_ms);
        break;
    case MODEL_DATABASE_SYNCHRONOUS:
        if (group->synchronous_count == 0) {
            buf_printf(out,
                       "Commits are synchronous, but no other member has all of them: nobody "
                       "may take over from %s without consent to a loss.\n",
                       core_name(core, group->writer));
            break;
        }
        buf_puts(out, "Commits are synchronous; every one is on ");
        for (size_t i = 0; i < group->synchronous_count; i++) {
            buf_printf(out, "%s%s", i == 0 ? "" : " or ", core_name(core, group->synchronous[i]));
        }
        buf_puts(out, " too.\n");
        break;
    }
}

/* What is wanted is said above; here what the server does. */
static void say_what_commits_do(const struct core *core, struct buf *out)
{
    const struct database_sight *writer = core->writer;
    if (writer != NULL && writer->seen != NULL &&
        writer->seen->condition == MODEL_DATABASE_WRITER && !text_empty(writer->seen->commits)) {
        buf_printf(out, "%s, by its agent: %s.\n", core_name(core, core->group->writer),
                   writer->seen->commits);
    }
    if (core->group->alone_waits && core->group->mode != MODEL_DATABASE_ASYNCHRONOUS) {
        buf_puts(out, "While no other member is there, commits wait for one, for as long as it "
                      "takes (leeward:alone=wait).\n");
    }
}

static void say_member(const struct core *core, const struct database_sight *sight, struct buf *out)
{
    const struct model_database_member *member = sight->member;
    buf_printf(out, "%s", core_name(core, member->id));
    if (sight->seen == NULL) {
        buf_puts(out, ": its agent has not said anything yet.\n");
        return;
    }
    char received[MODEL_LSN_TEXT];
    model_lsn_format(sight->seen->received, received);
    buf_printf(out, " is %s at %s on timeline %" PRIu32,
               model_database_condition_name(sight->seen->condition), received,
               sight->seen->timeline);
    if (sight->seen->lag_bytes > 0) {
        buf_printf(out, ", %" PRId64 " bytes behind", sight->seen->lag_bytes);
    }
    if (member->deleted || member->stopped) {
        buf_puts(out, member->deleted ? ", is being deleted" : ", is to be stopped");
    }
    if (!database_is_heard(core->view, sight)) {
        buf_printf(out, ", not heard of for %s",
                   seconds(core, mono_since(core->view->now, sight->heard)));
    }
    buf_printf(out, "%s%s.\n", text_empty(sight->seen->message) ? "" : ": ", sight->seen->message);
}

const char *database_explain(const struct database_view *view, const struct database_facts *facts,
                             struct arena *arena)
{
    struct core core;
    struct buf out;
    core_begin(&core, view, facts, arena);
    buf_init(&out, 0);
    const struct model_database_group *group = view->group;
    buf_printf(&out, "%s is %s in epoch %" PRId64, group->name,
               model_database_phase_name(group->phase), group->epoch);
    if (group->operation != MODEL_DATABASE_NO_OPERATION) {
        buf_printf(&out, " (%s)", model_database_operation_name(group->operation));
    }
    buf_printf(&out, "%s%s. Writer: %s.\n", text_empty(group->reason) ? "" : ": ", group->reason,
               core_name(&core, group->writer));
    say_phase(&core, &out);
    say_why_not(&core, &out);
    say_lease(&core, &out);
    say_commits(&core, &out);
    say_what_commits_do(&core, &out);
    for (size_t i = 0; i < view->member_count; i++) {
        say_member(&core, &view->members[i], &out);
    }
    const char *text = arena_strdup(arena, buf_text(&out));
    buf_done(&out);
    return text;
}

/* ---- the tables ---- */

static void dump_phases(struct buf *out, unsigned phases)
{
    const char *separator = "";
    for (unsigned i = 0; i <= MODEL_DATABASE_STOPPED; i++) {
        if ((phases & 1U << i) != 0) {
            buf_printf(out, "%s%s", separator,
                       model_database_phase_name((enum model_database_phase)i));
            separator = "|";
        }
    }
}

static const char *who_name(enum core_who who)
{
    static const char *const names[] = {[CORE_ANY] = "any agent",
                                        [CORE_HOLDER] = "the holder",
                                        [CORE_WRITER] = "the writer",
                                        [CORE_TARGET] = "the target"};
    return names[who];
}

static const char *lease_name(enum core_lease lease)
{
    static const char *const names[] = {[CORE_KEEP] = "stays",
                                        [CORE_FREE] = "is freed",
                                        [CORE_RELEASE] = "is released",
                                        [CORE_TAKE] = "is taken",
                                        [CORE_RENEW] = "is renewed"};
    return names[lease];
}

void database_dump_tables(struct buf *out)
{
    buf_puts(out, "TRANSITIONS OF A GROUP, the first that fits\n");
    for (size_t i = 0; i < core_row_count; i++) {
        const struct core_row *row = &core_rows[i];
        buf_printf(out, "%s: ", database_transition_name(row->transition));
        dump_phases(out, row->from);
        buf_printf(out, " -> %s; by %s when %s; lease %s%s\n",
                   row->to < 0 ? "same"
                               : model_database_phase_name((enum model_database_phase)row->to),
                   who_name(row->who), row->guard_text, lease_name(row->lease),
                   row->epoch ? ", epoch goes up" : "");
        if (!text_empty(row->sentence)) {
            buf_printf(out, "    %s\n", row->sentence);
        }
    }
    buf_puts(out, "\nORDERS FOR A SERVER, the first that fits\n");
    for (size_t i = 0; i < core_duty_count; i++) {
        buf_printf(out, "%s when %s\n    %s\n", database_action_name(core_duties[i].action),
                   core_duties[i].name, core_duties[i].sentence);
    }
}
