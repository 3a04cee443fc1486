/* Carrying out orders: see database/core/core.h for what each means. The worker's thread. Does not
 * log. Every order may be broken off or fail, and is given again then. Invariant: what is
 * remembered (worker->notes) is changed after the deed, never before; but for what a deed makes
 * untrue. */
#include "base/memory.h"
#include "base/text.h"
#include "database/agent/worker_internal.h"
#include "model/database_names.h"

#include <string.h>

static const struct model_database_member *member_of(const struct view_group *group, const char *id)
{
    const struct view_member *found = id[0] != '\0' ? view_member_find(group, id) : NULL;
    return found != NULL ? &found->member : NULL;
}

/* What was compared, put aside, and so on, was of data that are other ones now. */
static void forget(struct worker *worker)
{
    worker->notes.lineage = DATABASE_LINEAGE_UNKNOWN;
    worker->notes.lineage_timeline = 0;
    worker->notes.aside = false;
    worker->notes.rewind_failed = false;
    worker->notes.log_asked.ns = 0;
    worker->notes.log_gone = false;
    worker->notes.configured = 0;
    worker->notes.timeline = 0;
    worker->notes.streamed = 0;
    synchronous_forget(&worker->notes.synchronous);
    worker->sight.controlled = false;
    worker->sight.parent_timeline = 0;
}

static void note_upstream(struct worker *worker, const char *upstream)
{
    if (!text_equal(worker->notes.upstream, upstream)) {
        worker->notes.log_asked.ns = 0;
        worker->notes.log_gone = false;
    }
    IGNORE_RESULT(text_copy(worker->notes.upstream, sizeof worker->notes.upstream, upstream));
    worker->notes.cut = false;
}

/* What is a reader stays one, whatever is set: only its promotion makes it a writer. */
static int configure_with(struct worker *worker, const struct view_group *group,
                          const struct database_order *order, bool as_standby, bool plain,
                          bool reload, struct err *err)
{
    bool standby = as_standby || worker->sight.facts.standby;
    const struct model_database_member *self = member_of(group, worker->member);
    struct synchronous *known = &worker->notes.synchronous;
    bool waits = !standby && known->text[0] != '\0';
    const struct hands_settings settings = {.standby = standby,
                                            .plain = plain,
                                            .upstream =
                                                standby ? member_of(group, order->upstream) : NULL,
                                            .synchronous = waits ? known->text : "",
                                            .strict = waits && known->strict,
                                            .reload = reload};
    int rc = self == NULL ? err_set(err, ERR_NOT_FOUND, "the member's record is gone")
                          : hands_configure(&worker->hands, group, self, &settings, err);
    if (standby) {
        synchronous_forget(known);
    }
    return rc;
}

static int configure(struct worker *worker, const struct view_group *group,
                     const struct database_order *order, bool standby, bool plain, struct err *err)
{
    return configure_with(worker, group, order, standby, plain, false, err);
}

static int clone_data(struct worker *worker, const struct view_group *group,
                      const struct database_order *order, struct err *err)
{
    const struct model_database_member *upstream = member_of(group, order->upstream);
    const struct model_database_member *self = member_of(group, worker->member);
    if (upstream == NULL || self == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the member to copy from is gone");
    }
    forget(worker);
    int rc = hands_copy(&worker->hands, group, upstream, NULL, err);
    rc = rc != 0 ? rc : configure(worker, group, order, true, false, err);
    if (rc == 0) {
        note_upstream(worker, order->upstream);
        worker->notes.rebuild = self->rebuild;
    }
    return rc;
}

/* Starts the server as it is configured. One that a parameter group keeps from starting starts
 * without what the groups say, and is told that when it runs (CONFIGURE): what cannot be waits for
 * a restart, or is refused, and the server serves. */
static int start(struct worker *worker, const struct view_group *group,
                 const struct database_order *order, bool standby, struct err *err)
{
    const struct model_database_member *self = member_of(group, worker->member);
    const struct database_facts *facts = &worker->sight.facts;
    bool old_writer = facts->data == DATABASE_DATA && !facts->standby;
    int rc = configure(worker, group, order, standby, false, err);
    if (rc != 0 || self == NULL) {
        return rc;
    }
    if (standby && old_writer && order->upstream[0] != '\0') {
        worker->notes.returned_whole = true; /* all that it has, the writer has */
    }
    rc = hands_start(&worker->hands, err);
    bool ended = rc != 0 && err->kind == ERR_UNAVAILABLE && self->setting_count != 0;
    if (!ended) {
        return rc;
    }
    struct err why = *err;
    err_clear(err);
    worker->notes.configured = 0;
    rc = configure(worker, group, order, standby, true, err);
    rc = rc != 0 ? rc : hands_start(&worker->hands, err);
    if (rc == 0) {
        worker_tell_refusal(worker, self, &why);
    }
    return rc;
}

static int start_reader(struct worker *worker, const struct view_group *group,
                        const struct database_order *order, struct err *err)
{
    note_upstream(worker, order->upstream);
    int rc = hands_drop_timelines(&worker->hands, &group->group, order->timeline, err);
    rc = rc != 0 ? rc : start(worker, group, order, true, err);
    if (rc == 0) {
        worker->notes.cut = order->upstream[0] == '\0';
    }
    return rc;
}

static int start_writer(struct worker *worker, const struct view_group *group,
                        const struct database_order *order, struct err *err)
{
    note_upstream(worker, "");
    worker->notes.synchronous.strict = true; /* where it waits: no session is there to be ended */
    return start(worker, group, order, false, err);
}

/* Broken off half-way, a reader follows neither the one nor the other for certain. */
static int follow(struct worker *worker, const struct view_group *group,
                  const struct database_order *order, struct err *err)
{
    note_upstream(worker, "");
    int rc = configure(worker, group, order, true, false, err);
    if (rc == 0) {
        note_upstream(worker, order->upstream);
    }
    return rc;
}

static int cut(struct worker *worker, const struct view_group *group, struct err *err)
{
    model_lsn received = 0;
    const struct model_database_member *self = member_of(group, worker->member);
    if (self == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the member's record is gone");
    }
    note_upstream(worker, ""); /* broken off half-way, it follows nobody for certain */
    int rc = hands_cut(&worker->hands, group, self, &received, err);
    if (rc == 0) {
        note_upstream(worker, "");
        worker->notes.cut = true;
    }
    return rc;
}

static int promote(struct worker *worker, const struct database_order *order, struct err *err)
{
    const struct worker_sight *sight = &worker->sight;
    int rc = hands_promote(&worker->hands, sight->facts.timeline, order->timeline, err);
    if (rc == 0) {
        forget(worker);
        note_upstream(worker, "");
    }
    return rc;
}

static int set_synchronous(struct worker *worker, const struct view_group *group,
                           const struct database_order *order, struct err *err)
{
    const struct model_database_member *self = member_of(group, worker->member);
    return self == NULL ? err_set(err, ERR_NOT_FOUND, "the member's record is gone")
                        : synchronous_set(worker, group, self,
                                          member_of(group, worker->notes.upstream), order, err);
}

static int compare(struct worker *worker, const struct view_group *group,
                   const struct database_order *order, struct err *err)
{
    const struct model_database_member *upstream = member_of(group, order->upstream);
    const struct view_member *writer = view_member_find(group, order->upstream);
    model_lsn fork = 0;
    if (upstream == NULL || writer == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the writer's record is gone");
    }
    if (worker->sight.facts.process == DATABASE_PROCESS_READER &&
        text_equal(worker->notes.upstream, order->upstream)) {
        worker_ask_for_log(worker, group, upstream);
        return 0;
    }
    int rc = hands_fork(&worker->hands, group, upstream, &fork, err);
    if (rc == 0) {
        const struct model_database_group *record = &group->group;
        worker->notes.lineage =
            fork >= worker->sight.facts.end ? DATABASE_FOLLOWS : DATABASE_DIVERGED;
        worker->notes.lineage_timeline = record->history_count != 0
                                             ? record->history[record->history_count - 1].timeline
                                             : writer->seen.timeline;
    }
    return rc;
}

static int keep_aside(struct worker *worker, const struct view_group *group,
                      const struct database_order *order, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct postgres_lost lost = {.total = 0};
    const struct model_database_member *upstream = member_of(group, order->upstream);
    arena_init(&arena, 0);
    if (upstream == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the writer's record is gone");
    }
    const char *name = arena_printf(&arena, "epoch-%lld", (long long)group->group.epoch);
    int rc = hands_put_aside(&worker->hands, group, upstream, name, &arena, &lost, err);
    const char *aside = arena_printf(&arena, "%s/aside/%s", worker->hands.server.directory, name);
    if (rc == 0 && lost.total >= 0) { /* else it is not known, and stays so */
        rc = worker_complete_loss(worker, group, &lost, aside, err);
    }
    if (rc == 0) {
        worker->notes.aside = true;
    }
    return rc;
}

static int rewind_data(struct worker *worker, const struct view_group *group,
                       const struct database_order *order, struct err *err)
{
    const struct model_database_member *upstream = member_of(group, order->upstream);
    if (upstream == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the writer's record is gone");
    }
    int rc = hands_rewind(&worker->hands, group, upstream, err);
    if (rc != 0) {
        worker->notes.rewind_failed = worker->notes.rewind_failed || err->kind == ERR_UNSUPPORTED;
        worker->sight.controlled = false;
        return rc;
    }
    forget(worker);
    rc = configure(worker, group, order, true, false, err);
    if (rc == 0) {
        note_upstream(worker, order->upstream);
    }
    return rc;
}

static int configure_all(struct worker *worker, const struct view_group *group, struct err *err)
{
    const struct model_database_member *self = member_of(group, worker->member);
    struct worker_notes *notes = &worker->notes;
    bool writer = worker->sight.facts.process == DATABASE_PROCESS_WRITER;
    if (self == NULL) {
        return err_set(err, ERR_NOT_FOUND, "the member's record is gone");
    }
    if (writer && notes->synchronous.conforms) {
        notes->synchronous.strict = true; /* commits were seen to wait, if they are to */
    }
    const struct database_order order = {.upstream = notes->upstream};
    int rc = configure_with(worker, group, &order, !writer, false, true, err);
    rc = rc != 0 ? rc : hands_roles(&worker->hands, group, worker->member, writer, err);
    if (rc == 0 && notes->returned_whole) {
        const struct postgres_lost nothing = {.total = 0};
        rc = worker_complete_loss(worker, group, &nothing, "", err);
        notes->returned_whole = rc != 0;
    }
    if (rc == 0) {
        notes->configured = worker_fingerprint(group, self, writer);
    }
    return rc;
}

static int reboot(struct worker *worker, const struct view_group *group, struct err *err)
{
    const struct model_database_member *self = member_of(group, worker->member);
    int64_t wanted = self != NULL ? self->reboot : worker->notes.reboot;
    int rc = hands_stop(&worker->hands, POSTGRES_FAST, err);
    if (rc == 0) {
        worker->notes.life =
            wanted > worker->notes.reboot ? WORKER_LIFE_REBOOTS : worker->notes.life;
        worker->notes.reboot = wanted;
    }
    return rc;
}

static int remove_all(struct worker *worker, const struct view_group *group, struct err *err)
{
    int rc = hands_stop(&worker->hands, POSTGRES_FAST, err);
    rc = rc != 0 ? rc : hands_remove(&worker->hands, err);
    return rc != 0 ? rc : worker_remove_records(worker, group, err);
}

/* The group's first data: a snapshot's, or none. */
static int make_first_data(struct worker *worker, const struct view_group *group, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct model_database_restore restore;
    const struct database_agent *agent = worker->agent;
    arena_init(&arena, 0);
    forget(worker);
    const char *key = model_database_restore_key(&arena, group->id);
    int rc = store_get(agent->config.store, key, &arena, &entry, err);
    if (rc != 0 && err->kind == ERR_NOT_FOUND) {
        err_clear(err);
        return hands_create(&worker->hands, group, err);
    }
    rc = rc != 0 ? rc
                 : model_database_restore_decode(entry.value, entry.size, &arena, &restore, err);
    rc = rc != 0 ? rc
                 : hands_restore(&worker->hands, group,
                                 snapshots_folder(agent, &arena, restore.snapshot), err);
    const struct model_database_member *self = member_of(group, worker->member);
    if (rc == 0 && self != NULL) {
        worker_tell(worker, self, "restoration", "DB instance restored from a snapshot");
    }
    return rc;
}

/* For a switchover it is enough that the log has an end: the processes go while others go on. Only
 * a server that wrote is asked so: what pg_control says of one that starts is of the run before. */
static int stop_fast(struct worker *worker, const struct view_group *group, struct err *err)
{
    struct worker_sight *sight = &worker->sight;
    bool hands_over = group->group.phase == MODEL_DATABASE_FENCING &&
                      group->group.operation == MODEL_DATABASE_SWITCHOVER &&
                      sight->facts.process == DATABASE_PROCESS_WRITER &&
                      worker->hands.kind->close != NULL;
    if (!hands_over) {
        return hands_stop(&worker->hands, POSTGRES_FAST, err);
    }
    struct postgres_control control;
    int rc = hands_close(&worker->hands, &control, err);
    if (rc == 0) {
        sight->control = control;
        sight->end = control.end;
        sight->controlled = control.end != 0;
        worker->notes.closed = worker->hands.process.pid;
    }
    return rc;
}

int worker_execute(struct worker *worker, const struct view_group *group,
                   const struct database_order *order, struct err *err)
{
    switch (order->action) {
    case DATABASE_ACTION_INITIALISE:
        return make_first_data(worker, group, err);
    case DATABASE_ACTION_CLONE:
        return clone_data(worker, group, order, err);
    case DATABASE_ACTION_START_WRITER:
        return start_writer(worker, group, order, err);
    case DATABASE_ACTION_START_READER:
        return start_reader(worker, group, order, err);
    case DATABASE_ACTION_FOLLOW:
        return follow(worker, group, order, err);
    case DATABASE_ACTION_CUT:
        return cut(worker, group, err);
    case DATABASE_ACTION_CHECKPOINT: {
        int64_t phase = group->phase_since.ns;
        int rc = hands_checkpoint(&worker->hands, err);
        worker->notes.checkpointed_ns = rc == 0 ? phase : worker->notes.checkpointed_ns;
        return rc;
    }
    case DATABASE_ACTION_STOP_FAST:
        return stop_fast(worker, group, err);
    case DATABASE_ACTION_STOP_IMMEDIATE:
        return hands_stop(&worker->hands, POSTGRES_IMMEDIATE, err);
    case DATABASE_ACTION_PROMOTE:
        return promote(worker, order, err);
    case DATABASE_ACTION_SET_SYNCHRONOUS:
        return set_synchronous(worker, group, order, err);
    case DATABASE_ACTION_COMPARE:
        return compare(worker, group, order, err);
    case DATABASE_ACTION_KEEP_ASIDE:
        return keep_aside(worker, group, order, err);
    case DATABASE_ACTION_REWIND:
        return rewind_data(worker, group, order, err);
    case DATABASE_ACTION_DISCARD:
        forget(worker);
        return hands_discard(&worker->hands, err);
    case DATABASE_ACTION_CONFIGURE:
        return configure_all(worker, group, err);
    case DATABASE_ACTION_REBOOT:
        return reboot(worker, group, err);
    case DATABASE_ACTION_REMOVE:
        return remove_all(worker, group, err);
    case DATABASE_ACTION_WAIT:
    case DATABASE_ACTION_NEED_HANDS:
        break;
    }
    return 0;
}
