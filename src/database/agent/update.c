/* What a worker commits: transitions of its group, what a failover lost, the end of its records.
 * The worker's thread. Logs each transition that it won. Invariant: a lease that this member holds
 * is written by the renewing thread alone, unless that has let go of it. */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "database/agent/worker_internal.h"
#include "database/fence/lease_file.h"

#include <string.h>

/* The lease as this process knows it: newer than the watch, where it renews it itself. */
static void freshen(const struct worker *worker, struct database_view *view)
{
    struct lease_view held;
    lease_look(worker->agent->leases, worker->hold, &held);
    if (worker->renewing && held.standing == LEASE_HELD && held.revision > view->lease_revision) {
        view->lease_revision = held.revision;
    }
    view->fenced = fencer_done(worker->agent->fencer, worker->group, view->lease_revision);
}

/* Asks for the fence of a writer that does not end by itself, where this agent can. */
static void want_fence(const struct worker *worker, const struct view_group *group,
                       const struct database_view *view, struct mono *again)
{
    struct mono due = {.ns = INT64_MAX};
    const struct view_member *self = view_member_find(group, worker->member);
    if (database_wants_fence(view, &due) && self != NULL) {
        fencer_ask(worker->agent->fencer, group, self->member.region);
    }
    again->ns = MIN(again->ns, due.ns);
}

static void put_event(struct store_txn *txn, struct arena *arena,
                      const struct model_database_event *event)
{
    const char *value = model_database_event_encode(arena, event);
    store_txn_put(txn, model_database_event_key(arena, event->region, event->at), value,
                  strlen(value));
}

struct written {
    const char *group_key;
    const char *group_value;
    const char *lease_key;
    const char *lease_value;
};

static int commit(struct worker *worker, const struct view_group *group,
                  const struct database_view *view, const struct database_update *update,
                  struct arena *arena, int64_t *ret_revision, struct err *err)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct written written = {.group_key = model_database_group_key(arena, group->group.id),
                              .lease_key = model_database_lease_key(arena, group->group.id)};
    store_txn_require_revision(txn, written.group_key, view->group_revision);
    store_txn_require_revision(txn, written.lease_key, view->lease_revision);
    if (update->writes_group) {
        written.group_value =
            model_database_group_encode(arena, &update->group, &group->group_record.stored);
        store_txn_put(txn, written.group_key, written.group_value, strlen(written.group_value));
    }
    if (update->writes_lease) {
        written.lease_value =
            model_database_lease_encode(arena, &update->lease, &group->lease_record.stored);
        store_txn_put(txn, written.lease_key, written.lease_value, strlen(written.lease_value));
    }
    if (update->writes_loss) {
        const char *value = model_database_loss_encode(arena, &update->loss,
                                                       &(const struct model_stored){.value = NULL});
        store_txn_put(txn, model_database_loss_key(arena, group->group.id, update->loss.epoch),
                      value, strlen(value));
    }
    for (size_t i = 0; i < update->event_count; i++) {
        put_event(txn, arena, &update->events[i]);
    }
    int rc = store_commit(worker->agent->config.lease_store, txn, ret_revision, err);
    if (rc == 0 && written.group_value != NULL) {
        view_learn(worker->agent->view, written.group_key, written.group_value, *ret_revision);
    }
    if (rc == 0 && written.lease_value != NULL) {
        view_learn(worker->agent->view, written.lease_key, written.lease_value, *ret_revision);
    }
    return rc;
}

/* Stops the renewals, so that the lease's revision stands still. */
static void let_go(struct worker *worker, struct database_view *view)
{
    struct lease_view held;
    if (!worker->renewing) {
        return;
    }
    lease_end(worker->agent->leases, worker->hold, &held);
    worker->renewing = false;
    if (held.standing == LEASE_HELD && held.revision > view->lease_revision) {
        view->lease_revision = held.revision;
    }
}

static void begin_renewing(struct worker *worker, const struct model_database_lease *lease,
                           int64_t revision, int64_t sent_ns)
{
    lease_begin(worker->agent->leases, worker->hold, worker->hands.file, lease, revision, sent_ns);
    worker->renewing = true;
}

static void log_update(const struct worker *worker, const struct database_update *update)
{
    log_info("database.group_changed", F("group", worker->group),
             F("transition", database_transition_name(update->transition)), F("by", worker->member),
             F("epoch", update->group.epoch),
             F("phase", model_database_phase_name(update->group.phase)),
             F("why", update->sentence));
}

/* A lease that this member gives away: its deadline means nothing any more, whatever becomes of the
 * transaction. */
static void revoke(const struct worker *worker, const struct view_group *group,
                   const struct database_update *update)
{
    if (worker->hands.file != NULL && group->lease_record.revision != 0 &&
        text_equal(group->lease.holder, worker->member) &&
        update->lease.state != MODEL_DATABASE_LEASE_HELD && group->lease.epoch > 0) {
        fence_lease_revoke(worker->hands.file, group->lease.epoch);
    }
}

static void carry_out(struct worker *worker, const struct view_group *group,
                      struct database_view *view, const struct database_update *update,
                      struct arena *arena, bool *ret_committed)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    if (update->holds && hands_open_lease(&worker->hands, &err) != 0) {
        log_error("database.no_lease_file", F("member", worker->member), F("reason", &err),
                  F("next", "tried again"));
        return;
    }
    if (update->writes_lease) {
        let_go(worker, view);
        revoke(worker, group, update);
    }
    int64_t sent_ns = boot_now().ns;
    int rc = commit(worker, group, view, update, arena, &revision, &err);
    if (rc == 0) {
        if (update->holds) {
            begin_renewing(worker, &update->lease, revision, sent_ns);
        }
        log_update(worker, update);
        *ret_committed = true;
    } else if (err.kind != ERR_CONFLICT && log_limit_allows(&limit, 1)) {
        log_warn("database.group_not_changed", F("group", worker->group),
                 F("transition", database_transition_name(update->transition)), F("reason", &err),
                 F("next", "decided anew"));
    }
}

/* The lease is this member's in the store, and this process does not renew it: it just started, or
 * the answer of the transaction that took it did not come. */
static void adopt(struct worker *worker, const struct view_group *group)
{
    struct err err = ERR_INIT;
    if (!worker->renewing && hands_open_lease(&worker->hands, &err) == 0) {
        begin_renewing(worker, &group->lease, group->lease_record.revision, 0);
    }
}

/* Somebody else has it, or nobody. */
static void drop_lost(struct worker *worker, const struct view_group *group)
{
    struct lease_view held;
    lease_look(worker->agent->leases, worker->hold, &held);
    bool ours = group->lease_record.revision != 0 &&
                group->lease.state == MODEL_DATABASE_LEASE_HELD && !group->lease.confirmed &&
                text_equal(group->lease.holder, worker->member) && held.epoch == group->lease.epoch;
    if (worker->renewing && (held.standing == LEASE_LOST || !ours) &&
        group->lease_record.revision >= held.revision) {
        lease_end(worker->agent->leases, worker->hold, &held);
        worker->renewing = false;
    }
}

void worker_update(struct worker *worker, const struct view_group *group, struct mono *ret_again,
                   bool *ret_committed)
{
    struct arena arena CLEANUP(arena_done);
    struct database_view view;
    struct database_update update;
    arena_init(&arena, 0);
    drop_lost(worker, group);
    worker_fill_view(group, worker->member, &arena, &view);
    freshen(worker, &view);
    database_group_next(&view, &worker->sight.facts, &arena, &update);
    *ret_again = update.again;
    *ret_committed = false;
    if (worker->renewing) {
        lease_note(worker->agent->leases, worker->hold, group->group.lease_ms,
                   worker->sight.facts.end, worker->sight.facts.timeline);
    }
    want_fence(worker, group, &view, ret_again);
    if (update.transition == DATABASE_TRANSITION_NONE) {
        return;
    }
    if (update.transition == DATABASE_TRANSITION_RENEW) {
        adopt(worker, group); /* renewals have a thread of their own */
        ret_again->ns = boot_now().ns + group->lease.length_ms / 8 * TIME_MS;
        return;
    }
    carry_out(worker, group, &view, &update, &arena, ret_committed);
    if (!*ret_committed) { /* somebody else won, and the watch will tell; or the store is away */
        ret_again->ns = boot_now().ns + 50 * TIME_MS;
    }
}

void worker_update_for_busy(struct worker *worker, const struct view_group *group,
                            const struct database_facts *facts)
{
    struct arena arena CLEANUP(arena_done);
    struct database_view view;
    struct database_update update;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    arena_init(&arena, 0);
    bool ours =
        group->lease_record.revision != 0 && text_equal(group->lease.holder, worker->member);
    if (ours || text_equal(group->group.writer, worker->member)) {
        return;
    }
    worker_fill_view(group, worker->member, &arena, &view);
    view.fenced = fencer_done(worker->agent->fencer, worker->group, view.lease_revision);
    database_group_next(&view, facts, &arena, &update);
    if (update.transition != DATABASE_TRANSITION_NONE && !update.holds &&
        commit(worker, group, &view, &update, &arena, &revision, &err) == 0) {
        log_update(worker, &update);
    }
}

int worker_remove_records(struct worker *worker, const struct view_group *group, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    int64_t revision = 0;
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_delete(txn, model_database_member_key(&arena, group->id, worker->member));
    store_txn_delete(txn, model_database_seen_key(&arena, group->id, worker->member));
    const struct view_member *self = view_member_find(group, worker->member);
    if (self != NULL && !text_empty(self->member.instance)) {
        put_event(txn, &arena,
                  &(const struct model_database_event){.region = self->member.region,
                                                       .source = self->member.instance,
                                                       .type = "db-instance",
                                                       .category = "deletion",
                                                       .message = "DB instance deleted",
                                                       .at = wall_now()});
    }
    return store_commit(worker->agent->config.store, txn, &revision, err);
}

/* The failover that ended this member's writing: its epoch; 0: there was none. */
static int64_t lost_epoch(const struct view_group *group, const char *member)
{
    for (size_t i = group->group.history_count; i-- > 0;) {
        if (text_equal(group->group.history[i].before, member)) {
            return group->group.history[i].epoch;
        }
    }
    return 0;
}

void worker_tell(const struct worker *worker, const struct model_database_member *self,
                 const char *category, const char *message)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    bool instance = !text_empty(self->instance);
    const struct model_database_event event = {.region = self->region,
                                               .source = instance ? self->instance : self->cluster,
                                               .type = instance ? "db-instance" : "db-cluster",
                                               .category = category,
                                               .message = message,
                                               .at = wall_now()};
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    arena_init(&arena, 0);
    put_event(txn, &arena, &event);
    /* without the store there is the log */
    IGNORE_RESULT(store_commit(worker->agent->config.store, txn, &revision, &err));
}

void worker_tell_life(struct worker *worker, const struct view_group *group)
{
    const struct view_member *self = view_member_find(group, worker->member);
    enum database_process process = worker->sight.facts.process;
    bool runs = process == DATABASE_PROCESS_WRITER || process == DATABASE_PROCESS_READER;
    bool rests = process == DATABASE_PROCESS_DOWN && self != NULL && self->member.stopped;
    enum worker_life before = worker->notes.life;
    if (self == NULL || self->member.deleted) {
        return;
    }
    worker->notes.life = runs                                 ? WORKER_LIFE_RUNS
                         : rests && before != WORKER_LIFE_NEW ? WORKER_LIFE_RESTS
                                                              : before;
    if (worker->notes.life == before) {
        return;
    }
    if (!runs) {
        worker_tell(worker, &self->member, "notification", "DB instance stopped");
    } else if (before == WORKER_LIFE_NEW) {
        worker_tell(worker, &self->member, "creation", "DB instance created");
    } else if (before == WORKER_LIFE_REBOOTS) {
        worker_tell(worker, &self->member, "availability", "DB instance restarted");
    } else {
        worker_tell(worker, &self->member, "notification", "DB instance started");
    }
}

void worker_tell_refusal(struct worker *worker, const struct model_database_member *self,
                         const struct err *why)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    worker_tell(worker, self, "failure",
                arena_printf(&arena,
                             "The server does not start with the parameters of its groups, and "
                             "runs without them: %s",
                             why->message));
    log_error("database.parameters_refused", F("group", worker->group), F("member", worker->member),
              F("reason", why), F("next", "it runs without them"));
}

int worker_complete_loss(struct worker *worker, const struct view_group *group,
                         const struct postgres_lost *lost, const char *aside, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct model_database_loss loss = {.epoch = lost_epoch(group, worker->member),
                                       .writer = worker->member,
                                       .successor = group->group.writer,
                                       .at = wall_now()};
    arena_init(&arena, 0);
    const char *key = model_database_loss_key(&arena, group->id, loss.epoch);
    int rc = store_get(worker->agent->config.store, key, &arena, &entry, err);
    if (rc != 0 && err->kind != ERR_NOT_FOUND) {
        return rc;
    }
    struct model_stored before = {.value = NULL};
    int64_t known = 0;
    if (rc == 0) {
        before = (struct model_stored){.value = entry.value, .size = entry.size};
        known = entry.changed_revision;
        rc = model_database_loss_decode(entry.value, entry.size, &arena, &loss, err);
    } else {
        err_clear(err);
        rc = 0;
    }
    bool nothing = lost->total == 0 && lost->end == 0;
    if (rc != 0 || (known == 0 && lost->total == 0) || (nothing && loss.exact)) {
        return rc;
    }
    loss.fork = nothing ? loss.fork : lost->fork;
    loss.end = nothing ? loss.fork : lost->end;
    loss.bytes = (int64_t)(lost->end > lost->fork ? lost->end - lost->fork : 0);
    loss.transactions = lost->total;
    loss.exact = true;
    loss.aside = aside;
    const char *value = model_database_loss_encode(&arena, &loss, &before);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_revision(txn, key, known);
    store_txn_put(txn, key, value, strlen(value));
    const struct view_member *self = view_member_find(group, worker->member);
    if (self != NULL) {
        const struct model_database_event event = {
            .region = self->member.region,
            .source = self->member.instance,
            .type = "db-instance",
            .category = "notification",
            .message = nothing
                           ? "The old writer came back. It had nothing that is not in the database."
                           : arena_printf(&arena,
                                          "The old writer came back. %lld transactions that it had "
                                          "alone are not in the database; they are kept in %s.",
                                          (long long)lost->total, aside),
            .at = wall_now()};
        put_event(txn, &arena, &event);
    }
    int64_t revision = 0;
    rc = store_commit(worker->agent->config.store, txn, &revision, err);
    log_info("database.lost_writes", F("group", worker->group), F("member", worker->member),
             F("epoch", loss.epoch), F("transactions", loss.transactions), F("bytes", loss.bytes),
             F("aside", aside));
    return rc;
}
