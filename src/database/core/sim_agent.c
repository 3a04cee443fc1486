/* The simulator's agents: see sim.h. They do what src/database/agent does, with the promises of
 * core.h; each has its own clock, its own late view of the store, and no other memory than what it
 * says in struct sim_agent. */
#include "base/text.h"
#include "database/core/sim.h"

#include <string.h>

#define REQUEST_TIMEOUT TIME_S

struct sight_of_server {
    struct database_follower followers[SIM_MEMBERS];
    const char *synchronous[SIM_MEMBERS];
};

void sim_agent_restart(struct sim *sim, int agent)
{
    struct sim_agent *self = &sim->agents[agent];
    struct sim_agent fresh = {.alive = true,
                              .cut_off = self->cut_off,
                              .life = self->life + 1,
                              .offset = self->offset,
                              .drift = self->drift,
                              .order_upstream = -1};
    *self = fresh;
    int64_t now = sim_local(sim, agent);
    self->lease_since = now;
    self->phase_since = now;
    self->unwritable_since = now;
    self->alone_since = now;
    self->idle_since = now;
    self->deadline = sim->servers[agent].file_deadline;
    self->dirty = true;
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        self->heard[i] = now;
    }
}

/* ---- what it knows ---- */

static void receive_view(struct sim *sim, int agent)
{
    struct sim_agent *self = &sim->agents[agent];
    int64_t missing = sim->store.revision - self->view.revision;
    if (self->cut_off || sim->store_away || missing == 0 || sim->now < self->view_delay) {
        return;
    }
    const struct sim_snapshot *next = &sim->store;
    if (missing < (int64_t)SIM_SNAPSHOTS && self->view.revision != 0) {
        int64_t revision = self->view.revision + 1 + sim_below(sim, missing);
        next = &sim->snapshots[(size_t)revision % SIM_SNAPSHOTS];
    }
    int64_t now = sim_local(sim, agent);
    const struct model_database_group *old = &self->view.group.group;
    const struct model_database_group *new = &next->group.group;
    if (next->lease_revision != self->view.lease_revision) {
        self->lease_since = now;
    }
    if (old->phase != new->phase || old->epoch != new->epoch || old->target != new->target) {
        self->phase_since = now;
    }
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        if (next->seen[i].revision != self->view.seen[i].revision) {
            self->heard[i] = now;
        }
    }
    sim_copy_snapshot(&self->view, next);
    self->view_delay = sim->now + sim_below(sim, 20 * TIME_MS);
    self->dirty = true;
}

void sim_build_view(struct sim *sim, int agent, struct database_view *view,
                    struct database_sight sights[SIM_MEMBERS])
{
    struct sim_agent *self = &sim->agents[agent];
    size_t count = 0;
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        if (self->view.wanted[i]) {
            sights[count++] = (struct database_sight){
                .member = &self->view.members[i],
                .seen = self->view.seen[i].there ? &self->view.seen[i].seen : NULL,
                .heard = {self->heard[i]}};
        }
    }
    int64_t since = self->lease_since;
    if (sim->mistake == SIM_SHORT_WAIT) {
        since -= self->view.lease.length_ms * TIME_MS / 2;
    }
    *view = (struct database_view){
        .group = &self->view.group.group,
        .group_revision = self->view.group_revision,
        .lease = self->view.lease_revision != 0 ? &self->view.lease : NULL,
        .lease_revision = self->view.lease_revision,
        .lease_since = {since},
        .fenced = sim->mistake == SIM_NO_CERTAINTY ||
                  (self->fenced != 0 && self->fenced == self->view.lease_revision),
        .phase_since = {self->phase_since},
        .members = sights,
        .member_count = count,
        .self = sim_ids[agent],
        .now = {sim_local(sim, agent)},
        .wall = {sim->now * 3},
    };
}

static void add_followers(const struct sim *sim, int agent, struct sight_of_server *sight,
                          struct database_facts *facts)
{
    const struct sim_server *server = &sim->servers[agent];
    facts->followers = sight->followers;
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        if (i == agent || (server->followed & 1U << i) == 0) {
            continue;
        }
        const struct sim_server *reader = &sim->servers[i];
        bool streaming = reader->receiving && reader->upstream == agent;
        bool whole = streaming && server->known[i] >= server->end;
        sight->followers[facts->follower_count++] = (struct database_follower){
            .member = sim_ids[i],
            .streaming = streaming,
            .flushed = server->known[i],
            .replayed = server->known[i],
            .whole_at = {server->known[i] >= server->end ? sim_local(sim, agent)
                                                         : server->written_local[server->known[i]]},
            .lag_ms = whole       ? 0
                      : streaming ? (int64_t)(server->end - server->known[i]) * 10
                                  : -1};
    }
}

static void add_synchronous(struct sim *sim, int agent, struct sight_of_server *sight,
                            struct database_facts *facts)
{
    struct sim_server *server = &sim->servers[agent];
    bool settled = sim->now >= server->sync_settles;
    unsigned bits = server->sync;
    if (facts->process == DATABASE_PROCESS_WRITER && !settled) {
        bits |= server->sync_before;
    }
    if (settled && server->sync_since == 0) {
        server->sync_since = server->end;
    }
    facts->synchronous = sight->synchronous;
    facts->synchronous_settled = settled;
    facts->synchronous_since = settled ? server->sync_since : 0;
    for (unsigned i = 0; i < SIM_MEMBERS; i++) {
        if ((bits & 1U << i) != 0) {
            sight->synchronous[facts->synchronous_count++] = sim_ids[i];
        }
    }
}

static void build_facts(struct sim *sim, int agent, struct sight_of_server *sight,
                        struct database_facts *facts)
{
    struct sim_agent *self = &sim->agents[agent];
    struct sim_server *server = &sim->servers[agent];
    int64_t now = sim_local(sim, agent);
    bool reads = server->process == DATABASE_PROCESS_READER;
    if (self->process != server->process || self->process_since == 0) {
        self->process = server->process;
        self->process_since = now;
    }
    if (!reads || server->receiving) {
        self->idle_since = now;
    }
    size_t count = server->timelines.count;
    *facts = (struct database_facts){
        .data = server->data,
        .process = server->promoting ? DATABASE_PROCESS_READER : server->process,
        .since = {self->process_since},
        .standby = server->standby,
        .clean = server->clean,
        .system_id = server->data == DATABASE_DATA ? 1 : 0,
        .timeline = sim_timeline(server),
        .end = server->end,
        .replayed = server->end,
        .replayed_all = reads,
        .parent = count > 1 ? server->timelines.list[count - 2].timeline : 0,
        .fork = count > 1 ? server->timelines.list[count - 1].begin : 0,
        .lag_ms = -1,
        .upstream = server->upstream < 0 ? "" : sim_ids[server->upstream],
        .receiving = server->receiving,
        .idle_since = {self->idle_since},
        .log_asked = {server->log_asked},
        .log_gone = server->log_gone,
        .cut = (server->upstream < 0 && !server->receiving) ||
               server->process == DATABASE_PROCESS_DOWN,
        .lineage = server->lineage,
        .lineage_timeline = server->lineage_timeline,
        .deadline = {server->file_epoch == self->view.lease.epoch ? self->deadline : 0},
        .checkpointed = server->checkpointed,
        .aside = server->aside,
        .rewind_failed = server->rewind_failed,
        .reboot = server->reboot,
        .rebuild = server->rebuild,
        .configured = server->configured,
        .stopping = self->stopping,
        .unfenced =
            server->attached && (!server->module || server->process == DATABASE_PROCESS_DOWN ||
                                 server->process == DATABASE_PROCESS_STARTING),
        .stuck = "",
        .unwritable_since = {self->unwritable_since},
        .alone_since = {self->alone_since},
    };
    bool streams = false;
    if (server->process == DATABASE_PROCESS_WRITER) {
        add_followers(sim, agent, sight, facts);
    }
    for (size_t i = 0; i < facts->follower_count; i++) {
        streams = streams || facts->followers[i].streaming;
    }
    if (server->process != DATABASE_PROCESS_WRITER || streams) {
        self->alone_since = now;
    }
    if (server->process == DATABASE_PROCESS_WRITER) {
        self->unwritable_since = now;
    }
    add_synchronous(sim, agent, sight, facts);
    if (sim->mistake == SIM_EARLY_RELEASE && facts->process == DATABASE_PROCESS_WRITER &&
        self->view.group.group.phase == MODEL_DATABASE_FENCING) {
        facts->process = DATABASE_PROCESS_DOWN;
        facts->clean = true;
    }
}

/* ---- the group ---- */

static void write_lease_file(struct sim_server *server, int64_t epoch, int64_t deadline)
{
    server->file_deadline =
        epoch > server->file_epoch ? deadline : MAX(server->file_deadline, deadline);
    server->file_epoch = epoch;
}

static void hold(struct sim *sim, const struct sim_request *request, int64_t from)
{
    struct sim_agent *self = &sim->agents[request->agent];
    int64_t deadline = database_lease_deadline((struct mono){from}, &request->lease).ns;
    if (sim->mistake == SIM_LATE_DEADLINE) {
        deadline = sim_local(sim, request->agent) + request->lease.length_ms * TIME_MS;
    }
    if (request->transition != DATABASE_TRANSITION_RENEW) {
        self->unwritable_since = sim_local(sim, request->agent);
    }
    write_lease_file(&sim->servers[request->agent], request->lease.epoch, deadline);
    self->deadline = sim->servers[request->agent].file_deadline;
    sim_note(sim, "%s: %s: deadline in %.3f s", sim_ids[request->agent],
             database_transition_name(request->transition),
             (double)(self->deadline - sim_local(sim, request->agent)) / 1e9);
}

void sim_answer(struct sim *sim, const struct sim_request *request, bool ok)
{
    struct sim_agent *self = &sim->agents[request->agent];
    self->dirty = true;
    if (request->seen) {
        self->put = false;
        return;
    }
    self->sent = false;
    bool late = request->transition != DATABASE_TRANSITION_RENEW &&
                sim_local(sim, request->agent) >
                    database_lease_deadline((struct mono){request->sent_local}, &request->lease).ns;
    if (ok && request->holds && !late) {
        hold(sim, request, request->sent_local);
    }
}

/* Whether there is something new since it looked last. */
static uint64_t digest(const struct database_facts *facts)
{
    const uint64_t parts[] = {facts->data,
                              facts->process,
                              facts->standby,
                              facts->clean,
                              facts->timeline,
                              facts->end,
                              facts->receiving,
                              facts->log_gone,
                              facts->cut,
                              facts->lineage,
                              (uint64_t)facts->deadline.ns,
                              facts->checkpointed,
                              facts->aside,
                              facts->rewind_failed,
                              facts->configured,
                              facts->stopping,
                              facts->unfenced,
                              (uint64_t)sim_index(facts->upstream),
                              facts->synchronous_count,
                              facts->synchronous_settled,
                              facts->synchronous_since};
    uint64_t hash = 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        hash = (hash ^ parts[i]) * UINT64_C(0x9E3779B97F4A7C15);
    }
    for (size_t i = 0; i < facts->follower_count; i++) {
        const struct database_follower *follower = &facts->followers[i];
        hash = (hash ^ follower->flushed ^ (uint64_t)follower->streaming << 40U ^
                (uint64_t)follower->lag_ms << 41U) *
               UINT64_C(0x9E3779B97F4A7C15);
    }
    return hash;
}

static void follow_group(struct sim *sim, int agent, const struct database_view *view,
                         const struct database_facts *facts, struct arena *arena)
{
    struct sim_agent *self = &sim->agents[agent];
    int64_t now = sim_local(sim, agent);
    struct database_update update;
    if (self->sent && now < self->sent_until) {
        self->wakes_at = MIN(self->wakes_at, self->sent_until);
        return;
    }
    self->sent = false;
    database_group_next(view, facts, arena, &update);
    self->wakes_at = MIN(self->wakes_at, update.again.ns);
    if (update.transition == DATABASE_TRANSITION_NONE) {
        return;
    }
    struct sim_request request = {.agent = agent,
                                  .life = self->life,
                                  .sent_local = now,
                                  .group_revision = view->group_revision,
                                  .lease_revision = view->lease_revision,
                                  .writes_group = update.writes_group,
                                  .writes_lease = update.writes_lease,
                                  .writes_loss = update.writes_loss,
                                  .holds = update.holds,
                                  .transition = update.transition,
                                  .lease = update.lease};
    sim_copy_group(&request.group, &update.group);
    self->sent = true;
    self->sent_until = now + REQUEST_TIMEOUT;
    self->wakes_at = MIN(self->wakes_at, self->sent_until);
    sim_send(sim, &request);
    if (sim->mistake == SIM_LATE_DEADLINE && update.transition == DATABASE_TRANSITION_RENEW) {
        hold(sim, &request, now);
    }
}

/* The fence command of another member's server: it may take its time, and fail. */
static void fence(struct sim *sim, int agent, const struct database_view *view)
{
    struct sim_agent *self = &sim->agents[agent];
    struct mono again;
    if (!database_wants_fence(view, &again)) {
        self->wakes_at = MIN(self->wakes_at, again.ns);
        return;
    }
    self->wakes_at = MIN(self->wakes_at, sim_local(sim, agent) + 100 * TIME_MS);
    if (sim_chance(sim, 10)) {
        sim_note(sim, "%s fences %s", sim_ids[agent], view->lease->holder);
        sim_crash(sim, &sim->servers[sim_index(view->lease->holder)]);
        self->fenced = view->lease_revision;
        self->dirty = true;
        sim->fences++;
    }
}

/* ---- the server ---- */

static int64_t duration(struct sim *sim, enum database_action action)
{
    switch (action) {
    case DATABASE_ACTION_INITIALISE:
    case DATABASE_ACTION_CLONE:
    case DATABASE_ACTION_REWIND:
        return sim_below(sim, 2 * TIME_S);
    case DATABASE_ACTION_CHECKPOINT:
    case DATABASE_ACTION_KEEP_ASIDE:
        return sim_below(sim, 500 * TIME_MS);
    case DATABASE_ACTION_WAIT:
    case DATABASE_ACTION_NEED_HANDS:
    case DATABASE_ACTION_STOP_FAST:
    case DATABASE_ACTION_STOP_IMMEDIATE:
    case DATABASE_ACTION_START_WRITER:
    case DATABASE_ACTION_START_READER:
    case DATABASE_ACTION_FOLLOW:
    case DATABASE_ACTION_CUT:
    case DATABASE_ACTION_PROMOTE:
    case DATABASE_ACTION_SET_SYNCHRONOUS:
    case DATABASE_ACTION_COMPARE:
    case DATABASE_ACTION_DISCARD:
    case DATABASE_ACTION_CONFIGURE:
    case DATABASE_ACTION_REBOOT:
    case DATABASE_ACTION_REMOVE:
        break;
    }
    return sim_below(sim, 20 * TIME_MS);
}

static void put_aside(struct sim *sim, int agent, const struct sim_server *writer)
{
    struct sim_server *server = &sim->servers[agent];
    for (size_t i = sim_fork(server, writer); i < server->end; i++) {
        if (server->log[i] != SIM_MARK) {
            sim->reported[server->log[i]] = true;
        }
    }
    server->aside = true;
}

static void remove_member(struct sim *sim, int agent)
{
    struct sim_server *server = &sim->servers[agent];
    for (size_t i = 0; i < server->end; i++) {
        if (server->log[i] != SIM_MARK) {
            sim->gone[server->log[i]] = true;
        }
    }
    server->data = DATABASE_NO_DATA;
    server->end = 0;
    server->timelines.count = 0;
    sim->store.wanted[agent] = false;
    sim->store.seen[agent].there = false;
    sim_store_changed(sim);
}

static void discard(struct sim_server *server, int64_t rebuild)
{
    server->data = DATABASE_NO_DATA;
    server->rebuild = rebuild;
    server->rewind_failed = false;
    server->log_gone = false;
    server->kept = 0;
    server->end = 0;
    server->timelines.count = 0;
}

static unsigned bits_of(const struct database_order *order)
{
    unsigned bits = 0;
    for (size_t i = 0; i < order->synchronous_count; i++) {
        bits |= 1U << (unsigned)sim_index(order->synchronous[i]);
    }
    return bits;
}

/* A reader that follows asks for what comes next; any other one, whether it can follow. */
static void compare(struct sim *sim, int agent, const struct sim_server *writer)
{
    struct sim_server *server = &sim->servers[agent];
    if (server->process == DATABASE_PROCESS_READER &&
        server->upstream == (int)(writer - sim->servers)) {
        server->log_asked = sim_local(sim, agent);
        server->log_gone = server->end < writer->kept;
        sim->made_anew += server->log_gone ? 1 : 0;
        return;
    }
    server->lineage = database_lineage_by_list(writer->timelines.list, writer->timelines.count,
                                               sim_timeline(server), server->end);
    server->lineage_timeline = sim_timeline(writer);
}

/* Orders that need the writer. */
static void finish_with_writer(struct sim *sim, int agent, const struct database_order *order)
{
    struct sim_server *server = &sim->servers[agent];
    int upstream = sim->agents[agent].order_upstream;
    const struct sim_server *writer = upstream < 0 ? NULL : &sim->servers[upstream];
    if (writer == NULL || writer->process != DATABASE_PROCESS_WRITER ||
        !sim_reaches(sim, agent, upstream)) {
        return;
    }
    if (order->action == DATABASE_ACTION_CLONE) {
        sim_copy(server, writer);
    } else if (order->action == DATABASE_ACTION_COMPARE) {
        compare(sim, agent, writer);
    } else if (order->action == DATABASE_ACTION_KEEP_ASIDE) {
        put_aside(sim, agent, writer);
    } else if (sim_chance(sim, 10) || sim_fork(server, writer) < writer->kept) {
        server->rewind_failed = true;
    } else {
        server->data = DATABASE_DATA;
        server->lineage = DATABASE_LINEAGE_UNKNOWN;
        sim_rewind(server, writer);
    }
}

static void finish_order(struct sim *sim, int agent, const struct database_order *order)
{
    struct sim_server *server = &sim->servers[agent];
    switch (order->action) {
    case DATABASE_ACTION_WAIT:
    case DATABASE_ACTION_NEED_HANDS:
        break;
    case DATABASE_ACTION_INITIALISE:
        server->data = DATABASE_DATA;
        server->standby = false;
        server->clean = true;
        server->end = 1;
        server->log[0] = SIM_MARK;
        server->timelines = (struct sim_timelines){.list = {{1, 0}}, .count = 1};
        break;
    case DATABASE_ACTION_CLONE:
    case DATABASE_ACTION_COMPARE:
    case DATABASE_ACTION_KEEP_ASIDE:
    case DATABASE_ACTION_REWIND:
        finish_with_writer(sim, agent, order);
        break;
    case DATABASE_ACTION_STOP_FAST:
        sim_stop(sim, agent, true);
        break;
    case DATABASE_ACTION_STOP_IMMEDIATE:
        sim_stop(sim, agent, false);
        break;
    case DATABASE_ACTION_START_WRITER:
        sim_start(sim, agent, false);
        break;
    case DATABASE_ACTION_START_READER:
        server->log_gone = server->log_gone && server->upstream == sim_index(order->upstream);
        server->upstream = sim_index(order->upstream);
        server->cut = false;
        server->aside = false;
        sim_start(sim, agent, true);
        break;
    case DATABASE_ACTION_FOLLOW:
        server->log_gone = false;
        server->upstream = sim_index(order->upstream);
        server->receiving = false;
        server->lineage = DATABASE_LINEAGE_UNKNOWN;
        break;
    case DATABASE_ACTION_CUT:
        server->upstream = -1;
        server->receiving = false;
        break;
    case DATABASE_ACTION_CHECKPOINT:
        server->checkpointed = true;
        break;
    case DATABASE_ACTION_PROMOTE:
        if (server->process == DATABASE_PROCESS_READER && !server->promoting) {
            server->promoting = true;
            server->promotes_to = order->timeline;
            server->receiving = false;
            server->changes_at = sim->now + sim_below(sim, 100 * TIME_MS);
        }
        break;
    case DATABASE_ACTION_SET_SYNCHRONOUS:
        sim_set_synchronous(sim, agent, bits_of(order));
        break;
    case DATABASE_ACTION_DISCARD:
        discard(server, sim->agents[agent].view.members[agent].rebuild);
        break;
    case DATABASE_ACTION_CONFIGURE:
        server->configured = true;
        break;
    case DATABASE_ACTION_REBOOT:
        server->reboot = sim->agents[agent].view.members[agent].reboot;
        sim_stop(sim, agent, true);
        break;
    case DATABASE_ACTION_REMOVE:
        if (!sim->agents[agent].cut_off) {
            remove_member(sim, agent);
        }
        break;
    }
}

static bool is_same_order(const struct database_order *a, const struct database_order *b,
                          int upstream)
{
    return a->action == b->action && upstream == sim_index(b->upstream) &&
           a->timeline == b->timeline && a->synchronous_count == b->synchronous_count;
}

static void obey(struct sim *sim, int agent, const struct database_view *view,
                 const struct database_facts *facts, struct arena *arena)
{
    struct sim_agent *self = &sim->agents[agent];
    struct database_order order;
    database_member_next(view, facts, arena, &order);
    self->wakes_at = MIN(self->wakes_at, order.again.ns);
    if (self->order_done != 0 && is_same_order(&self->order, &order, self->order_upstream)) {
        if (sim->now < self->order_done) {
            return;
        }
        self->order_done = 0;
        finish_order(sim, agent, &order);
        return;
    }
    sim->actions[order.action]++;
    self->order = order;
    self->order_upstream = sim_index(order.upstream);
    self->order_done = sim->now + 1 + duration(sim, order.action);
    if (order.action == DATABASE_ACTION_REWIND) {
        sim->servers[agent].data = DATABASE_REWINDING;
    }
    if (order.action != DATABASE_ACTION_WAIT) {
        sim_note(sim, "%s: %s %s: %s", sim_ids[agent], database_action_name(order.action),
                 order.upstream, order.sentence);
    }
}

/* ---- what it says ---- */

static void report(struct sim *sim, int agent, const struct database_view *view,
                   const struct database_facts *facts)
{
    struct sim_agent *self = &sim->agents[agent];
    int64_t now = sim_local(sim, agent);
    struct model_database_seen seen = {.site = "",
                                       .condition = database_condition(view, facts),
                                       .message = "",
                                       .action = "",
                                       .system_id = facts->system_id,
                                       .timeline = facts->timeline,
                                       .received = facts->end,
                                       .replayed = facts->replayed,
                                       .clean = facts->clean,
                                       .lag_bytes = -1,
                                       .lag_ms = -1,
                                       .epoch = database_final_epoch(view, facts),
                                       .upstream = "",
                                       .streamed = sim->servers[agent].streamed,
                                       .commits = ""};
    bool changed = seen.condition != self->last_put.condition ||
                   seen.epoch != self->last_put.epoch || seen.timeline != self->last_put.timeline ||
                   seen.streamed != self->last_put.streamed;
    if ((self->put && now < self->put_until) ||
        (!changed && now - self->put_at < database_heartbeat(view->group))) {
        return;
    }
    struct sim_request request = {
        .seen = true, .agent = agent, .life = self->life, .sent_local = now, .record = seen};
    sim_copy_group(&request.group, view->group);
    self->put = true;
    self->put_until = now + REQUEST_TIMEOUT;
    self->put_at = now;
    self->last_put = seen;
    sim_send(sim, &request);
}

void sim_agents_step(struct sim *sim)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        struct sim_agent *self = &sim->agents[i];
        if (!self->alive || self->paused) {
            continue;
        }
        receive_view(sim, i);
        if (self->view.revision == 0 || !self->view.wanted[i]) {
            continue;
        }
        struct database_view view;
        struct database_sight sights[SIM_MEMBERS];
        struct sight_of_server sight;
        struct database_facts facts;
        if (self->view.group.group.phase != MODEL_DATABASE_PREPARING) {
            sim->servers[i].checkpointed = false;
        }
        sim_build_view(sim, i, &view, sights);
        build_facts(sim, i, &sight, &facts);
        report(sim, i, &view, &facts);
        sim->servers[i].free_until =
            sim->mistake == SIM_NO_BOUND && view.group->mode == MODEL_DATABASE_BOUNDED
                ? INT64_MAX
                : database_free_until(&view, &facts).ns;
        uint64_t sees = digest(&facts);
        bool due = sim_local(sim, i) >= self->wakes_at ||
                   (self->order_done != 0 && sim->now >= self->order_done);
        if (!self->dirty && !due && sees == self->saw) {
            continue;
        }
        self->dirty = false;
        self->saw = sees;
        self->wakes_at = INT64_MAX;
        follow_group(sim, i, &view, &facts, &arena);
        fence(sim, i, &view);
        obey(sim, i, &view, &facts, &arena);
        arena_reset(&arena);
    }
    arena_done(&arena);
}
