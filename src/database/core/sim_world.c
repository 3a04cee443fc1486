/* The simulator's operator, faults and judge: see sim.h. */
#include "base/memory.h"
#include "base/text.h"
#include "database/core/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_LIMIT (400 * TIME_S)

int64_t sim_below(struct sim *sim, int64_t bound)
{
    return bound <= 0 ? 0 : (int64_t)(random_next(&sim->random) % (uint64_t)bound);
}

bool sim_chance(struct sim *sim, uint32_t in)
{
    return random_below(&sim->random, in) == 0;
}

int64_t sim_local(const struct sim *sim, int agent)
{
    const struct sim_agent *self = &sim->agents[agent];
    return self->offset + sim->now + sim->now / 1000000 * self->drift;
}

void sim_wrong(struct sim *sim, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (sim->trace) {
        (void)printf("# %9.3f WRONG: %s\n", (double)sim->now / 1e9, text);
    }
    if (text_empty(sim->wrong)) {
        (void)snprintf(sim->wrong, sizeof sim->wrong, "seed %llu, step %zu, %.3f s: %s",
                       (unsigned long long)sim->seed, sim->step, (double)sim->now / 1e9, text);
    }
}

void sim_note(const struct sim *sim, const char *format, ...)
{
    if (!sim->trace) {
        return;
    }
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)printf("# %9.3f %s\n", (double)sim->now / 1e9, text);
}

/* ---- the beginning ---- */

static const enum model_database_mode modes[] = {
    MODEL_DATABASE_ASYNCHRONOUS, MODEL_DATABASE_SYNCHRONOUS, MODEL_DATABASE_BOUNDED};
static const char *const regions[SIM_MEMBERS] = {"east", "west", "west", "south"};

static void add_member(struct sim *sim, int member)
{
    sim->store.members[member] = (struct model_database_member){.group = "grp",
                                                                .id = sim_ids[member],
                                                                .region = regions[member],
                                                                .cluster = regions[member],
                                                                .instance = sim_ids[member],
                                                                .tier = 1};
    sim->store.wanted[member] = true;
    sim->store.seen[member].there = false;
}

static void begin_server(struct sim_server *server)
{
    *server = (struct sim_server){.upstream = -1, .module = true};
}

void sim_begin(struct sim *sim, uint64_t seed, enum sim_mistake mistake)
{
    struct sim_snapshot *snapshots = sim->snapshots;
    bool trace = sim->trace;
    *sim = (struct sim){.seed = seed,
                        .mistake = mistake,
                        .trace = trace,
                        .snapshots = snapshots,
                        .epoch_writer = -1,
                        .now = TIME_S};
    if (snapshots == NULL) {
        sim->snapshots = memory_array(SIM_SNAPSHOTS, sizeof *snapshots);
    }
    random_init(&sim->random, seed);
    struct model_database_group group = {
        .id = "grp",
        .engine = "postgres",
        .region = "",
        .name = "global",
        .mode = modes[sim_below(sim, 3)],
        .lease_ms = 1000 + sim_below(sim, 4) * 1000,
        .rpo_ms = SIM_RPO_MS,
        .alone_waits = sim_chance(sim, 3),
        .automatic = !sim_chance(sim, 8),
        .phase = MODEL_DATABASE_NEW,
        .epoch = 1,
        .writer = sim_ids[0],
        .target = "",
    };
    if (mistake == SIM_NO_WAITING) {
        group.mode = MODEL_DATABASE_SYNCHRONOUS;
    } else if (mistake == SIM_NO_BOUND) {
        group.mode = MODEL_DATABASE_BOUNDED;
    }
    sim_copy_group(&sim->store.group, &group);
    sim->store.group_revision = 1;
    int members = 2 + (int)sim_below(sim, SIM_MEMBERS - 1);
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        begin_server(&sim->servers[i]);
        sim->agents[i].offset = sim_below(sim, 1000 * TIME_S);
        sim->agents[i].drift = sim_below(sim, 10000) - 5000;
        sim->servers[i].attached = sim_chance(sim, 4) || mistake == SIM_NO_CERTAINTY;
        sim_agent_restart(sim, i);
        if (i < members) {
            add_member(sim, i);
        }
    }
    sim_store_changed(sim);
    sim_note(sim, "%s, lease %lld ms, %d members", model_database_mode_name(group.mode),
             (long long)group.lease_ms, members);
}

void sim_done(struct sim *sim)
{
    free(sim->snapshots);
    sim->snapshots = NULL;
}

/* ---- the operator ---- */

static int any_wanted(struct sim *sim)
{
    int member = (int)sim_below(sim, SIM_MEMBERS);
    return sim->store.wanted[member] && !sim->store.members[member].deleted ? member : -1;
}

static size_t count_wanted(const struct sim *sim)
{
    size_t count = 0;
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        count += sim->store.wanted[i] && !sim->store.members[i].deleted ? 1 : 0;
    }
    return count;
}

static void group_changed(struct sim *sim)
{
    sim->store.group_revision = sim->store.revision + 1;
    sim_store_changed(sim);
}

static void ask(struct sim *sim, enum model_database_operation operation, const char *target)
{
    struct model_database_group *group = &sim->store.group.group;
    bool fits =
        group->phase == MODEL_DATABASE_STEADY ||
        (operation == MODEL_DATABASE_FAILOVER &&
         (group->phase == MODEL_DATABASE_PREPARING || group->phase == MODEL_DATABASE_ELECTING));
    if (!fits) {
        return;
    }
    group->operation = operation;
    group->target = target;
    sim_note(sim, "operator: %s to %s", model_database_operation_name(operation), target);
    group_changed(sim);
}

static void stop_or_start_all(struct sim *sim)
{
    bool stopped = sim_chance(sim, 2);
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        sim->store.members[i].stopped = stopped;
    }
    sim_note(sim, "operator: %s all", stopped ? "stops" : "starts");
    sim_store_changed(sim);
}

static void add_or_delete(struct sim *sim)
{
    int member = (int)sim_below(sim, SIM_MEMBERS);
    if (!sim->store.wanted[member]) {
        add_member(sim, member);
        sim_note(sim, "operator: adds %s", sim_ids[member]);
        sim_store_changed(sim);
    } else if (count_wanted(sim) > 2 && !sim->store.members[member].deleted) {
        sim->store.members[member].deleted = true;
        sim_note(sim, "operator: deletes %s", sim_ids[member]);
        sim_store_changed(sim);
    }
}

static void operator_step(struct sim *sim)
{
    struct model_database_group *group = &sim->store.group.group;
    int member = any_wanted(sim);
    const char *target = member < 0 || sim_chance(sim, 4) ? "" : sim_ids[member];
    switch (sim_below(sim, 12)) {
    case 11:
        group->mode = modes[sim_below(sim, 3)];
        group->alone_waits = sim_chance(sim, 3);
        sim_note(sim, "operator: %s%s", model_database_mode_name(group->mode),
                 group->alone_waits ? ", alone it waits" : "");
        group_changed(sim);
        break;
    case 0:
    case 1:
    case 2:
        ask(sim, MODEL_DATABASE_SWITCHOVER, target);
        break;
    case 3:
        if (sim_chance(sim, 3)) {
            sim->off_line = true;
            ask(sim, MODEL_DATABASE_FAILOVER, target);
        }
        break;
    case 4:
        add_or_delete(sim);
        break;
    case 5:
        stop_or_start_all(sim);
        break;
    case 6:
        group->lease_ms = 1000 + sim_below(sim, 4) * 1000;
        group_changed(sim);
        break;
    case 7:
        if (member >= 0) {
            sim->store.members[member].reboot++;
            sim_store_changed(sim);
        }
        break;
    case 8:
        if (member >= 0 && sim_chance(sim, 4)) {
            sim->store.members[member].rebuild++;
            sim_store_changed(sim);
        }
        break;
    case 9:
        if (member >= 0) {
            sim->store.members[member].stopped = !sim->store.members[member].stopped;
            sim_note(sim, "operator: %s %s", target,
                     sim->store.members[member].stopped ? "stopped" : "started");
            sim_store_changed(sim);
        }
        break;
    case 10:
        if (group->phase == MODEL_DATABASE_PREPARING) {
            group->operation = MODEL_DATABASE_NO_OPERATION;
            group_changed(sim);
        }
        break;
    default:
        break;
    }
}

/* What `leeward db confirm-fenced` does: only of a lease that stood still for its length. */
static void confirm_by_hand(struct sim *sim)
{
    struct sim_snapshot *store = &sim->store;
    if (sim->stands_at != store->lease_revision) {
        sim->stands_at = store->lease_revision;
        sim->stands_since = sim->now;
    }
    if (store->lease_revision == 0 || !store->lease.unfenced || store->lease.confirmed ||
        sim->now - sim->stands_since <= store->lease.length_ms * TIME_MS || !sim_chance(sim, 100)) {
        return;
    }
    sim_note(sim, "operator: makes certain that %s does not write", store->lease.holder);
    sim_crash(sim, &sim->servers[sim_index(store->lease.holder)]);
    store->lease.confirmed = true;
    store->lease_revision = store->revision + 1;
    sim_store_changed(sim);
    sim->confirmed++;
}

/* ---- faults ---- */

static void break_something(struct sim *sim)
{
    int member = (int)sim_below(sim, SIM_MEMBERS);
    int other = (int)sim_below(sim, SIM_MEMBERS);
    struct sim_agent *agent = &sim->agents[member];
    switch (sim_below(sim, 16)) {
    case 15:
        sim_note(sim, "fault: %s throws its log away", sim_ids[member]);
        sim->servers[member].kept = sim->servers[member].end;
        break;
    case 12:
    case 13:
        sim_note(sim, "fault: %s receives slowly", sim_ids[member]);
        sim->servers[member].slow = true;
        break;
    case 11:
        sim_note(sim, "fault: the watch of %s stands still", sim_ids[member]);
        agent->view_delay = sim->now + sim_below(sim, 8 * TIME_S);
        break;
    case 0:
        sim_note(sim, "fault: server %s crashes", sim_ids[member]);
        sim_crash(sim, &sim->servers[member]);
        break;
    case 1:
        sim_note(sim, "fault: host %s is lost", sim_ids[member]);
        sim_crash(sim, &sim->servers[member]);
        agent->alive = false;
        break;
    case 2:
    case 3:
        sim_note(sim, "fault: agent %s is paused", sim_ids[member]);
        agent->paused = true;
        break;
    case 4:
        sim_note(sim, "fault: agent %s begins anew", sim_ids[member]);
        sim_agent_restart(sim, member);
        break;
    case 5:
    case 6:
        sim_note(sim, "fault: agent %s is cut off from the store", sim_ids[member]);
        agent->cut_off = true;
        break;
    case 7:
        sim->link_cut[member][other] = true;
        sim->link_cut[other][member] = true;
        break;
    case 8:
        sim_note(sim, "fault: the store is away");
        sim->store_away = sim_chance(sim, 3);
        break;
    case 9:
        sim_note(sim, "fault: the daemon of %s ends", sim_ids[member]);
        agent->stopping = true;
        break;
    case 10:
        sim_note(sim, "fault: region %s is cut off", sim_ids[member]);
        agent->cut_off = true;
        for (size_t i = 0; i < SIM_MEMBERS; i++) {
            sim->link_cut[member][i] = true;
            sim->link_cut[i][member] = true;
        }
        break;
    default:
        sim->servers[member].broken = sim_chance(sim, 4);
        break;
    }
}

static void mend_member(struct sim *sim, int member)
{
    struct sim_agent *agent = &sim->agents[member];
    agent->paused = false;
    agent->cut_off = false;
    sim->servers[member].broken = false;
    sim->servers[member].slow = false;
    for (size_t i = 0; i < SIM_MEMBERS; i++) {
        sim->link_cut[member][i] = false;
        sim->link_cut[i][member] = false;
    }
    if (!agent->alive || agent->stopping) {
        sim_agent_restart(sim, member);
    }
}

static void faults_step(struct sim *sim)
{
    if (sim_chance(sim, 150)) {
        break_something(sim);
    }
    if (sim_chance(sim, 120)) {
        mend_member(sim, (int)sim_below(sim, SIM_MEMBERS));
    }
    if (sim->store_away && sim_chance(sim, 150)) {
        sim->store_away = false;
    }
    if (sim_chance(sim, 250)) {
        operator_step(sim);
    }
    if (!sim->store_away) {
        confirm_by_hand(sim);
    }
}

/* ---- the end ---- */

static void mend_everything(struct sim *sim)
{
    sim->quiet = true;
    sim->store_away = false;
    sim->store.group.group.automatic = true;
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        mend_member(sim, i);
        sim->store.members[i].stopped = false;
    }
    sim_note(sim, "everything is mended");
    group_changed(sim);
}

static bool is_well(const struct sim *sim)
{
    const struct model_database_group *group = &sim->store.group.group;
    int writer = sim_index(group->writer);
    if (group->phase != MODEL_DATABASE_STEADY || writer < 0 ||
        group->operation != MODEL_DATABASE_NO_OPERATION ||
        sim->servers[writer].process != DATABASE_PROCESS_WRITER ||
        sim->servers[writer].acknowledged != sim->servers[writer].end) {
        return false;
    }
    size_t others = 0;
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        const struct sim_server *server = &sim->servers[i];
        if (!sim->store.wanted[i] || i == writer) {
            continue;
        }
        others++;
        if (sim->store.members[i].deleted || !server->receiving || server->upstream != writer ||
            server->end != sim->servers[writer].end) {
            return false;
        }
    }
    bool synchronous = group->mode == MODEL_DATABASE_SYNCHRONOUS && others != 0;
    return group->synchronous_count == (synchronous ? 1 : 0);
}

static void judge(struct sim *sim)
{
    int writer = sim_index(sim->store.group.group.writer);
    const struct sim_server *server = &sim->servers[writer];
    static bool has[SIM_ROWS];
    (void)memset(has, 0, sizeof has);
    for (size_t i = 0; i < server->end; i++) {
        if (server->log[i] != SIM_MARK) {
            has[server->log[i]] = true;
        }
    }
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        if (sim->store.wanted[i] &&
            memcmp(sim->servers[i].log, server->log, server->end * sizeof server->log[0]) != 0) {
            sim_wrong(sim, "the log of %s is not the writer's", sim_ids[i]);
        }
    }
    for (uint32_t row = 0; row < sim->rows; row++) {
        if (sim->acknowledged[row] && !has[row] && !sim->reported[row] && !sim->gone[row]) {
            sim_wrong(sim, "row %u was acknowledged, is lost, and nobody reported it", row);
        }
        if (has[row] && sim->reported[row] && !sim->off_line) {
            sim_wrong(sim, "row %u was reported as lost, and is there", row);
        }
    }
}

static void say_why_not_well(struct sim *sim)
{
    struct database_view view;
    struct database_sight sights[SIM_MEMBERS];
    struct arena arena;
    arena_init(&arena, 0);
    sim_build_view(sim, 0, &view, sights);
    char *text = arena_strdup(&arena, database_explain(&view, NULL, &arena));
    for (char *end = strchr(text, '\n'); end != NULL; end = strchr(end, '\n')) {
        *end = ' ';
    }
    sim_note(sim, "%s", text);
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        const struct sim_server *server = &sim->servers[i];
        sim_note(sim,
                 "%s: end %zu, acknowledged %zu, kept from %zu, %s, upstream %d, log gone %d, "
                 "followed by %x",
                 sim_ids[i], server->end, server->acknowledged, server->kept,
                 server->receiving ? "receives" : "does not receive", server->upstream,
                 server->log_gone, server->followed);
    }
    sim_wrong(sim, "it does not come back to one writer and its readers: %.250s", text);
    arena_done(&arena);
}

static void one_step(struct sim *sim)
{
    sim->step++;
    sim->now += sim_chance(sim, 20) ? sim_below(sim, 100 * TIME_MS) : sim_below(sim, 10 * TIME_MS);
    sim_store_step(sim);
    sim_servers_step(sim);
    sim_clients_step(sim);
    sim_agents_step(sim);
}

void sim_run(struct sim *sim, size_t steps)
{
    for (size_t i = 0; i < steps && text_empty(sim->wrong); i++) {
        one_step(sim);
        faults_step(sim);
    }
    if (!text_empty(sim->wrong)) {
        return;
    }
    mend_everything(sim);
    sim->rows = SIM_ROWS; /* nobody writes any more; rows that were not written are not looked at */
    int64_t until = sim->now + QUIET_LIMIT;
    int64_t epoch = sim->store.group.group.epoch;
    while (text_empty(sim->wrong) && !is_well(sim)) {
        one_step(sim);
        if (sim->now > until) {
            say_why_not_well(sim);
            return;
        }
    }
    if (text_empty(sim->wrong) && sim->store.group.group.epoch > epoch + 12) {
        sim_wrong(sim, "the epoch went up %lld times after the last fault",
                  (long long)(sim->store.group.group.epoch - epoch));
    }
    if (text_empty(sim->wrong)) {
        judge(sim);
    }
}
