/* The simulator's store: see sim.h. A request arrives late or never, and its answer too; what
 * arrives is judged by its compares at that moment. */
#include "base/text.h"
#include "database/core/sim.h"

#include <string.h>

const char *const sim_ids[SIM_MEMBERS] = {"db-a", "db-b", "db-c", "db-d"};

int sim_index(const char *id)
{
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        if (id != NULL && text_equal(sim_ids[i], id)) {
            return i;
        }
    }
    return -1;
}

static const char *intern(const char *id)
{
    int index = sim_index(id);
    return index < 0 ? "" : sim_ids[index];
}

void sim_copy_group(struct sim_group *to, const struct model_database_group *from)
{
    struct sim_group copy = {.group = *from};
    for (size_t i = 0; i < from->synchronous_count; i++) {
        copy.synchronous[i] = intern(from->synchronous[i]);
    }
    for (size_t i = 0; i < from->history_count; i++) {
        copy.history[i] = from->history[i];
        copy.history[i].writer = intern(from->history[i].writer);
        copy.history[i].before = intern(from->history[i].before);
    }
    copy.group.writer = intern(from->writer);
    copy.group.target = intern(from->target);
    copy.group.reason = "";
    *to = copy;
    to->group.synchronous = to->synchronous;
    to->group.history = to->history;
}

void sim_copy_snapshot(struct sim_snapshot *to, const struct sim_snapshot *from)
{
    *to = *from;
    to->group.group.synchronous = to->group.synchronous;
    to->group.group.history = to->group.history;
}

void sim_store_changed(struct sim *sim)
{
    sim->store.revision++;
    sim_copy_snapshot(&sim->snapshots[(size_t)sim->store.revision % SIM_SNAPSHOTS], &sim->store);
}

/* ---- what must hold when somebody takes over ---- */

static void check_take(struct sim *sim, const struct sim_request *request)
{
    const struct sim_server *target = &sim->servers[request->agent];
    const struct model_database_group *before = &sim->store.group.group;
    if (before->phase == MODEL_DATABASE_NEW ||
        text_equal(before->writer, sim_ids[request->agent])) {
        return;
    }
    size_t lost = 0;
    static bool has[SIM_ROWS];
    (void)memset(has, 0, sizeof has);
    for (size_t i = 0; i < target->end; i++) {
        if (target->log[i] != SIM_MARK) {
            has[target->log[i]] = true;
        }
    }
    for (uint32_t row = 0; row < sim->rows; row++) {
        if (sim->acknowledged[row] && !has[row] && !sim->booked[row]) {
            sim->booked[row] = true;
            lost++;
        }
    }
    sim->takes++;
    sim->lossy += lost != 0 ? 1 : 0;
    sim_note(sim, "%s takes over (%s), %zu acknowledged rows are not in its log",
             sim_ids[request->agent], model_database_operation_name(before->operation), lost);
    if (lost == 0) {
        return;
    }
    if (before->operation == MODEL_DATABASE_SWITCHOVER) {
        sim_wrong(sim, "a switchover to %s loses %zu acknowledged rows", sim_ids[request->agent],
                  lost);
    } else if (sim->elected_in == MODEL_DATABASE_SYNCHRONOUS &&
               before->operation != MODEL_DATABASE_FAILOVER) {
        sim_wrong(sim, "a failover to %s loses %zu acknowledged rows in synchronous mode",
                  sim_ids[request->agent], lost);
    } else if (!request->writes_loss) {
        sim_wrong(sim, "a failover to %s loses %zu acknowledged rows, and there is no record of it",
                  sim_ids[request->agent], lost);
    }
}

/* ---- requests ---- */

void sim_send(struct sim *sim, const struct sim_request *request)
{
    for (size_t i = 0; i < SIM_PENDING; i++) {
        if (sim->requests[i].active) {
            continue;
        }
        struct sim_request *slot = &sim->requests[i];
        *slot = *request;
        sim_copy_group(&slot->group, &request->group.group);
        slot->active = true;
        bool lost = sim->agents[request->agent].cut_off || sim->store_away;
        int64_t delay = 1 + sim_below(sim, 20 * TIME_MS);
        if (!sim->quiet && sim_chance(sim, 100)) {
            delay = sim_below(sim, 3 * TIME_S);
        }
        slot->arrives_at = lost ? INT64_MAX : sim->now + delay;
        bool silent = lost || (!sim->quiet && sim_chance(sim, 40));
        slot->answers_at = silent ? INT64_MAX : slot->arrives_at + 1 + sim_below(sim, 20 * TIME_MS);
        if (slot->arrives_at == INT64_MAX) {
            slot->active = false;
        }
        return;
    }
    sim_note(sim, "a request of %s is dropped", sim_ids[request->agent]);
}

static bool compares(const struct sim *sim, const struct sim_request *request)
{
    return sim->mistake == SIM_NO_COMPARE ||
           (request->lease_revision == sim->store.lease_revision &&
            request->group_revision == sim->store.group_revision);
}

static void arrive(struct sim *sim, struct sim_request *request)
{
    struct sim_snapshot *store = &sim->store;
    request->arrived = true;
    int64_t revision = store->revision + 1;
    if (request->seen) {
        struct sim_seen *seen = &store->seen[request->agent];
        *seen = (struct sim_seen){true, request->record, revision};
        request->ok = true;
    } else {
        request->ok = compares(sim, request);
    }
    if (!request->ok) {
        return;
    }
    if (request->writes_lease && request->lease.state == MODEL_DATABASE_LEASE_HELD &&
        request->transition != DATABASE_TRANSITION_RENEW) {
        check_take(sim, request);
    }
    if (request->transition == DATABASE_TRANSITION_ELECT) {
        sim->elected_in = store->group.group.mode;
    }
    if (request->writes_group) {
        sim_note(sim, "%s: %s: %s -> %s, epoch %lld", sim_ids[request->agent],
                 database_transition_name(request->transition),
                 model_database_phase_name(store->group.group.phase),
                 model_database_phase_name(request->group.group.phase),
                 (long long)request->group.group.epoch);
        sim_copy_group(&store->group, &request->group.group);
        store->group_revision = revision;
    }
    if (request->writes_lease) {
        store->lease = request->lease;
        store->lease.holder = intern(request->lease.holder);
        store->lease_revision = revision;
    }
    sim->transitions[request->seen ? 0 : request->transition]++;
    sim_store_changed(sim);
}

void sim_store_step(struct sim *sim)
{
    for (size_t i = 0; i < SIM_PENDING; i++) {
        struct sim_request *request = &sim->requests[i];
        if (!request->active) {
            continue;
        }
        if (!request->arrived && sim->now >= request->arrives_at) {
            if (sim->store_away) {
                request->active = false;
                continue;
            }
            arrive(sim, request);
        }
        if (request->arrived && sim->now >= request->answers_at) {
            request->active = false;
            const struct sim_agent *agent = &sim->agents[request->agent];
            if (agent->alive && agent->life == request->life && !agent->cut_off) {
                sim_answer(sim, request, request->ok);
            }
        } else if (request->arrived && request->answers_at == INT64_MAX) {
            request->active = false;
        }
    }
}
