/* What the group's transitions change besides phase, epoch and lease, and the events that tell of
 * them: see group_table.c. Pure; any thread. update->group and update->lease are copies of the
 * view's, already with the new phase, epoch and lease. */
#include "base/text.h"
#include "database/core/group_guards.h"

/* ---- events ---- */

static void tell(const struct core *core, struct database_update *update, const char *member,
                 const char *category, const char *message)
{
    const struct database_sight *sight = core_find(core->view, member);
    if (sight == NULL || update->event_count == DATABASE_UPDATE_EVENTS) {
        return;
    }
    update->events[update->event_count++] = (struct model_database_event){
        .region = sight->member->region,
        .source = sight->member->cluster,
        .type = "db-cluster",
        .category = category,
        .message = message,
        .at = core->view->wall,
    };
}

static const char *category(const struct core *core)
{
    return core_is_global(core->group) ? "global-failover" : "failover";
}

static const char *operation_word(enum model_database_operation operation)
{
    return operation == MODEL_DATABASE_SWITCHOVER ? "switchover" : "failover";
}

static const char *cluster_of(const struct core *core, const char *member)
{
    const struct database_sight *sight = core_find(core->view, member);
    return sight != NULL && !text_empty(sight->member->cluster)
               ? arena_printf(core->arena, "DB cluster %s in Region %s", sight->member->cluster,
                              sight->member->region)
               : core_name(core, member);
}

static const char *subject(const struct core *core, const char *member)
{
    return core_is_global(core->group)
               ? cluster_of(core, member)
               : arena_printf(core->arena, "DB instance %s", core_name(core, member));
}

/* At the old writer and, in another region, at the new one. */
static void tell_both(const struct core *core, struct database_update *update, const char *old,
                      const char *new, const char *message)
{
    tell(core, update, new, category(core), message);
    const struct database_sight *a = core_find(core->view, old);
    const struct database_sight *b = core_find(core->view, new);
    if (a != NULL && (b == NULL || !text_equal(a->member->region, b->member->region))) {
        tell(core, update, old, category(core), message);
    }
}

/* ---- what changes ---- */

static void begin(struct database_update *update, enum model_database_operation operation,
                  const char *target)
{
    update->group.operation = operation;
    update->group.target = target;
}

void apply_end(const struct core *core, const struct core_plan *plan,
               struct database_update *update)
{
    (void)core;
    (void)plan;
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

void apply_first(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    (void)core;
    update->group.writer = plan->choice.member->member->id;
}

/* The history with one turn more; when it is full, the oldest is forgotten. */
static struct model_database_turn *add_turn(const struct core *core, struct database_update *update)
{
    const struct model_database_group *group = core->group;
    size_t dropped = group->history_count >= MODEL_DATABASE_HISTORY ? 1 : 0;
    size_t kept = group->history_count - dropped;
    struct model_database_turn *turns = arena_array(core->arena, kept + 1, sizeof *turns);
    for (size_t i = 0; i < kept; i++) {
        turns[i] = group->history[dropped + i];
    }
    update->group.history = turns;
    update->group.history_count = kept + 1;
    turns[kept] = (struct model_database_turn){.epoch = update->group.epoch,
                                               .writer = core->view->self,
                                               .before = group->writer,
                                               .operation = group->operation,
                                               .at = core->view->wall};
    return &turns[kept];
}

void apply_first_turn(const struct core *core, const struct core_plan *plan,
                      struct database_update *update)
{
    (void)plan;
    struct model_database_turn *turn = add_turn(core, update);
    turn->before = "";
    turn->timeline = core->facts->timeline;
    turn->confirmed = true;
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

void apply_void(const struct core *core, const struct core_plan *plan,
                struct database_update *update)
{
    (void)plan;
    if (core->group->operation != MODEL_DATABASE_FAILOVER) {
        begin(update, MODEL_DATABASE_FAILOVER_AUTOMATIC, "");
    }
    update->group.fence = 0;
    tell(core, update, core->group->writer, category(core),
         arena_printf(core->arena,
                      "%s failover to another member started: %s did not renew its "
                      "lease.",
                      core_is_global(core->group) ? "Global" : "A",
                      subject(core, core->group->writer)));
}

void apply_refuse(const struct core *core, const struct core_plan *plan,
                  struct database_update *update)
{
    tell(core, update, core->group->writer, category(core),
         arena_printf(core->arena, "%s.", plan->reason));
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

void apply_begin_failover(const struct core *core, const struct core_plan *plan,
                          struct database_update *update)
{
    (void)plan;
    tell_both(core, update, core->group->writer, core->group->target,
              arena_printf(core->arena, "%s failover to %s started; a loss of data is accepted.",
                           core_is_global(core->group) ? "Global" : "A",
                           subject(core, core->group->target)));
}

void apply_begin_switchover(const struct core *core, const struct core_plan *plan,
                            struct database_update *update)
{
    const char *target = plan->choice.member->member->id;
    begin(update, MODEL_DATABASE_SWITCHOVER, target);
    tell_both(
        core, update, core->group->writer, target,
        core_is_global(core->group)
            ? arena_printf(core->arena, "Global switchover to %s started.", subject(core, target))
            : arena_printf(core->arena, "Started failover to %s.", subject(core, target)));
}

void apply_begin_stop(const struct core *core, const struct core_plan *plan,
                      struct database_update *update)
{
    (void)core;
    (void)plan;
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

void apply_give_up(const struct core *core, const struct core_plan *plan,
                   struct database_update *update)
{
    tell_both(core, update, core->group->writer, core->group->target,
              arena_printf(core->arena, "%s to %s was cancelled. %s.",
                           core_is_global(core->group) ? "Global switchover" : "Failover",
                           subject(core, core->group->target), plan->reason));
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

void apply_close(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    (void)plan;
    update->group.fence = core->facts->clean ? core->facts->end : 0;
    if (core->group->operation == MODEL_DATABASE_SWITCHOVER) {
        tell(core, update, core->group->writer, category(core),
             arena_printf(core->arena, "The old writer, %s, was shut down.",
                          subject(core, core->group->writer)));
    }
}

void apply_leave(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    apply_close(core, plan, update);
    if (core->group->operation != MODEL_DATABASE_FAILOVER) {
        begin(update, MODEL_DATABASE_FAILOVER_AUTOMATIC, "");
    }
}

void apply_leave_alone(const struct core *core, const struct core_plan *plan,
                       struct database_update *update)
{
    apply_close(core, plan, update);
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
}

/* That its log was closed does not make it able to write: see gave_up in election.c. */
void apply_yield(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    begin(update, MODEL_DATABASE_FAILOVER_AUTOMATIC, "");
    update->group.fence = 0;
    tell(core, update, core->group->writer, "failure",
         arena_printf(core->arena, "%s. Another member takes over.", plan->reason));
}

void apply_elect(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    update->group.target = plan->choice.member->member->id;
    if (plan->choice.loses && core->group->operation != MODEL_DATABASE_FAILOVER) {
        update->group.operation = MODEL_DATABASE_FAILOVER_AUTOMATIC;
    }
}

/* What the writer of before is known to have had. */
static model_lsn known_end(const struct core *core)
{
    model_lsn known = core->group->fence;
    if (core->lease != NULL) {
        known = MAX(known, core->lease->flushed);
    }
    if (core->writer != NULL && core->writer->seen != NULL) {
        known = MAX(known, core->writer->seen->received);
    }
    return known;
}

static void record_loss(const struct core *core, struct database_update *update)
{
    const struct model_database_group *group = core->group;
    model_lsn fork = core->facts->end;
    model_lsn known = known_end(core);
    update->writes_loss = true;
    update->loss = (struct model_database_loss){
        .epoch = group->epoch,
        .writer = group->writer,
        .successor = core->view->self,
        .fork = fork,
        .known = known,
        .bytes = known > fork ? (int64_t)MIN(known - fork, (model_lsn)INT64_MAX) : 0,
        .lag_ms = core->facts->lag_ms,
        .aside = "",
        .at = core->view->wall,
    };
}

/* The bound that the cluster of the new writer has by its parameter group, as on AWS; none: commits
 * do not wait. What commits wait for is settled before it begins to write. */
static void follow_bound(const struct core *core, struct database_update *update)
{
    const struct model_database_member *self = core->self->member;
    int64_t seconds = 0;
    for (size_t i = 0; i < self->setting_count; i++) {
        if (text_equal(self->settings[i].name, MODEL_DATABASE_BOUND)) {
            IGNORE_RESULT(text_to_i64(self->settings[i].value, 1, INT32_MAX / 1000, &seconds));
        }
    }
    update->group.mode = seconds != 0 ? MODEL_DATABASE_BOUNDED : MODEL_DATABASE_ASYNCHRONOUS;
    update->group.rpo_ms = seconds * 1000;
}

void apply_take(const struct core *core, const struct core_plan *plan,
                struct database_update *update)
{
    (void)plan;
    const struct database_facts *facts = core->facts;
    const struct model_database_group *group = core->group;
    bool moves = !text_empty(group->writer) && !core->is_writer;
    if (moves && !core_has_all(core) && group->operation != MODEL_DATABASE_SWITCHOVER) {
        record_loss(core, update);
    }
    uint32_t highest = facts->timeline;
    for (size_t i = 0; i < group->history_count; i++) {
        highest = MAX(highest, group->history[i].timeline);
    }
    struct model_database_turn *turn = add_turn(core, update);
    turn->timeline = highest + 1;
    turn->parent = facts->timeline;
    turn->fork = facts->end;
    update->group.writer = core->view->self;
    update->group.target = core->view->self;
    update->group.synchronous = NULL;
    update->group.synchronous_count = 0;
    if (moves && group->bound_follows) {
        follow_bound(core, update);
    }
}

void apply_confirm(const struct core *core, const struct core_plan *plan,
                   struct database_update *update)
{
    (void)plan;
    const struct database_facts *facts = core->facts;
    const struct model_database_group *group = core->group;
    size_t count = group->history_count;
    const char *word = operation_word(group->operation);
    const char *name = subject(core, core->view->self);
    begin(update, MODEL_DATABASE_NO_OPERATION, "");
    update->group.fence = 0;
    if (count == 0 || group->history[count - 1].confirmed) {
        return;
    }
    struct model_database_turn *turns =
        arena_memdup(core->arena, group->history, count * sizeof *turns);
    struct model_database_turn *turn = &turns[count - 1];
    if (facts->parent != 0 && facts->timeline != turn->parent) {
        turn->timeline = facts->timeline;
        turn->parent = facts->parent;
        turn->fork = facts->fork;
    }
    turn->confirmed = true;
    update->group.history = turns;
    tell_both(core, update, turn->before, core->view->self,
              core_is_global(group)
                  ? arena_printf(core->arena,
                                 "Global %s to %s finished. It is ready for connections.", word,
                                 name)
                  : arena_printf(core->arena, "Completed failover to %s.", name));
}

void apply_synchronous(const struct core *core, const struct core_plan *plan,
                       struct database_update *update)
{
    update->group.synchronous = plan->synchronous.names;
    update->group.synchronous_count = plan->synchronous.count;
    if (core->group->synchronous_count == 0 || plan->synchronous.count == 0) {
        tell(core, update, core->group->writer, "notification",
             arena_printf(core->arena, "Synchronous commits: %s.", plan->synchronous.why));
    }
}

void apply_fence(const struct core *core, const struct core_plan *plan,
                 struct database_update *update)
{
    (void)plan;
    update->lease.unfenced = core->facts->unfenced;
}
