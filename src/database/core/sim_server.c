/* The simulator's servers and clients: see sim.h. Time in here is the machine's own where deadlines
 * are looked at. */
#include "base/macro.h"
#include "database/core/sim.h"

#include <string.h>

uint32_t sim_timeline(const struct sim_server *server)
{
    return server->timelines.count == 0
               ? 0
               : server->timelines.list[server->timelines.count - 1].timeline;
}

bool sim_reaches(const struct sim *sim, int from, int to)
{
    return from == to || !sim->link_cut[from][to];
}

/* A server that is promoted forgets that it is a reader before it begins its new timeline. */
static void break_promotion(struct sim *sim, struct sim_server *server)
{
    if (server->promoting && sim_chance(sim, 2)) {
        server->standby = false;
    }
    server->promoting = false;
}

void sim_crash(struct sim *sim, struct sim_server *server)
{
    if (server->process != DATABASE_PROCESS_DOWN) {
        /* One whose log is closed has said so. */
        server->clean = server->clean && server->process == DATABASE_PROCESS_STOPPING;
        server->process = DATABASE_PROCESS_DOWN;
        server->receiving = false;
        break_promotion(sim, server);
        server->acknowledged = server->end;
    }
}

static void append(struct sim *sim, struct sim_server *server, uint32_t entry)
{
    if (server->end < SIM_LOG) {
        server->written[server->end] = sim->now;
        server->written_local[server->end] = sim_local(sim, (int)(server - sim->servers));
        server->log[server->end++] = entry;
    } else {
        sim_wrong(sim, "the simulator's log is too small");
    }
}

void sim_stop(struct sim *sim, int member, bool fast)
{
    struct sim_server *server = &sim->servers[member];
    if (!fast) {
        sim_crash(sim, server);
    } else if (server->process != DATABASE_PROCESS_DOWN &&
               server->process != DATABASE_PROCESS_STOPPING) {
        server->process = DATABASE_PROCESS_STOPPING;
        server->clean = false;
        break_promotion(sim, server);
        server->acknowledged = server->end; /* who waits is told nothing */
        int64_t most = sim_chance(sim, 30) && !sim->quiet ? 15 * TIME_S : 60 * TIME_MS;
        server->changes_at = sim->now + sim_below(sim, most);
    }
}

void sim_start(struct sim *sim, int member, bool standby)
{
    struct sim_server *server = &sim->servers[member];
    server->process = DATABASE_PROCESS_STARTING;
    server->clean = false;
    server->standby = standby;
    server->receiving = false;
    server->followed = 0;
    server->whole = 0;
    server->free_until = 0;
    server->acknowledged = server->end;
    server->changes_at = sim->now + sim_below(sim, 300 * TIME_MS);
    server->module = !server->attached || !sim_chance(sim, 3);
}

/* ---- histories ---- */

size_t sim_fork(const struct sim_server *a, const struct sim_server *b)
{
    size_t fork = 0;
    for (size_t i = 0; i < a->timelines.count && i < b->timelines.count; i++) {
        const struct sim_timelines *x = &a->timelines;
        const struct sim_timelines *y = &b->timelines;
        if (x->list[i].timeline != y->list[i].timeline || x->list[i].begin != y->list[i].begin) {
            break;
        }
        size_t ends = i + 1 < x->count ? x->list[i + 1].begin : a->end;
        size_t other = i + 1 < y->count ? y->list[i + 1].begin : b->end;
        fork = MIN(ends, other);
    }
    return fork;
}

static void cut_timelines(struct sim_timelines *timelines, size_t end)
{
    while (timelines->count > 1 && timelines->list[timelines->count - 1].begin > end) {
        timelines->count--;
    }
}

void sim_rewind(struct sim_server *server, const struct sim_server *writer)
{
    /* Two servers on one timeline: pg_rewind believes that they are the same. */
    size_t fork =
        sim_timeline(server) == sim_timeline(writer) ? server->end : sim_fork(server, writer);
    server->end = MIN(server->end, fork);
    server->kept = MIN(server->kept, server->end);
    cut_timelines(&server->timelines, server->end);
    while (server->timelines.count > 1 &&
           server->timelines.list[server->timelines.count - 1].begin == server->end &&
           sim_timeline(server) != sim_timeline(writer)) {
        server->timelines.count--;
    }
    server->standby = true;
    server->clean = false;
}

void sim_copy(struct sim_server *server, const struct sim_server *writer)
{
    (void)memcpy(server->log, writer->log, writer->end * sizeof writer->log[0]);
    server->end = writer->end;
    (void)memset(server->written, 0, sizeof server->written);
    (void)memset(server->written_local, 0, sizeof server->written_local);
    server->streamed = 0;
    server->timelines = writer->timelines;
    server->data = DATABASE_DATA;
    server->standby = true;
    server->clean = false;
    server->aside = false;
    server->rewind_failed = false;
    server->log_gone = false;
    server->kept = writer->end;
    server->lineage = DATABASE_LINEAGE_UNKNOWN;
    server->upstream = -1;
    server->cut = false;
}

/* ---- streaming ---- */

/* As PostgreSQL judges: by timelines alone, and by what is there. */
static bool can_stream(const struct sim_server *reader, const struct sim_server *writer)
{
    enum database_lineage lineage = database_lineage_by_list(
        writer->timelines.list, writer->timelines.count, sim_timeline(reader), reader->end);
    return lineage == DATABASE_FOLLOWS && reader->end <= writer->end && reader->end >= writer->kept;
}

static void check_prefix(struct sim *sim, int reader, int writer)
{
    const struct sim_server *a = &sim->servers[reader];
    const struct sim_server *b = &sim->servers[writer];
    if (memcmp(a->log, b->log, a->end * sizeof a->log[0]) != 0) {
        sim_wrong(sim, "%s streams from %s, and their logs differ", sim_ids[reader],
                  sim_ids[writer]);
    }
}

static bool sends(const struct sim_server *server)
{
    return server->process == DATABASE_PROCESS_WRITER ||
           (server->process == DATABASE_PROCESS_STOPPING && !server->standby);
}

static void receive(struct sim *sim, int member)
{
    struct sim_server *server = &sim->servers[member];
    struct sim_server *writer = server->upstream < 0 ? NULL : &sim->servers[server->upstream];
    bool connected = writer != NULL && server->process == DATABASE_PROCESS_READER &&
                     !server->promoting && sends(writer) &&
                     sim_reaches(sim, member, server->upstream);
    if (!connected) {
        server->receiving = false;
        server->connects_at = sim->now + sim_below(sim, 100 * TIME_MS);
        return;
    }
    if (!server->receiving) {
        if (sim->now < server->connects_at || writer->process != DATABASE_PROCESS_WRITER ||
            !can_stream(server, writer)) {
            return;
        }
        check_prefix(sim, member, server->upstream);
        server->receiving = true;
    }
    size_t missing = writer->end - server->end;
    size_t part =
        missing == 0 || sim_chance(sim, 4) ? 0 : 1 + (size_t)sim_below(sim, (int64_t)missing);
    if (server->slow) {
        part = sim_chance(sim, 3) ? MIN(part, 1) : 0;
    }
    part = sim->quiet ? missing : part;
    (void)memcpy(server->log + server->end, writer->log + server->end,
                 part * sizeof server->log[0]);
    (void)memset(server->written_local + server->end, 0, part * sizeof server->written_local[0]);
    server->end += part;
    server->timelines = writer->timelines;
    cut_timelines(&server->timelines, server->end);
    writer->followed |= 1U << member;
    writer->whole = MAX(writer->whole, server->end);
    if (server->end == writer->end) {
        server->streamed = sim_timeline(writer);
    }
    if (!sim_chance(sim, 3)) {
        writer->known[member] = server->end;
    }
}

/* ---- processes ---- */

/* A writer closes its log first; its end comes after what it has still to send. */
static void close_log(struct sim *sim, struct sim_server *server)
{
    append(sim, server, SIM_MARK);
    server->clean = true;
    server->changes_at = sim->now + sim_below(sim, sim_chance(sim, 30) ? TIME_S : 60 * TIME_MS);
}

static void finish_stop(struct sim *sim, int member)
{
    struct sim_server *server = &sim->servers[member];
    if (!server->standby) {
        for (int i = 0; i < (int)SIM_MEMBERS; i++) { /* who streams gets everything */
            struct sim_server *reader = &sim->servers[i];
            if (reader->receiving && reader->upstream == member && i != member) {
                size_t missing = server->end - reader->end;
                (void)memcpy(reader->log + reader->end, server->log + reader->end,
                             missing * sizeof reader->log[0]);
                reader->end = server->end;
                reader->timelines = server->timelines;
            }
        }
    }
    server->process = DATABASE_PROCESS_DOWN;
    server->clean = true;
    server->receiving = false;
}

static void finish_promotion(struct sim *sim, struct sim_server *server)
{
    server->promoting = false;
    if (server->timelines.count == SIM_TIMELINES) {
        sim_wrong(sim, "the simulator has too few timelines");
        return;
    }
    uint32_t timeline =
        sim->mistake == SIM_ANY_TIMELINE ? sim_timeline(server) + 1 : server->promotes_to;
    if (timeline <= sim_timeline(server)) {
        sim_wrong(sim, "a promotion to timeline %u from %u", timeline, sim_timeline(server));
    }
    server->timelines.list[server->timelines.count++] =
        (struct database_timeline){timeline, server->end};
    append(sim, server, SIM_MARK);
    server->acknowledged = server->end;
    server->followed = 0;
    server->whole = 0;
    server->free_until = 0;
    server->standby = false;
    server->receiving = false;
    server->process = DATABASE_PROCESS_WRITER;
}

static bool fence_holds(const struct sim *sim, int member)
{
    const struct sim_server *server = &sim->servers[member];
    return sim->mistake == SIM_NO_FENCE || !server->module ||
           sim_local(sim, member) < server->file_deadline;
}

static void process_step(struct sim *sim, int member)
{
    struct sim_server *server = &sim->servers[member];
    if (server->promoting && sim->now >= server->changes_at) {
        finish_promotion(sim, server);
    }
    if (server->process == DATABASE_PROCESS_STARTING && sim->now >= server->changes_at) {
        if (server->broken) {
            sim_crash(sim, server);
        } else {
            server->process = server->standby ? DATABASE_PROCESS_READER : DATABASE_PROCESS_WRITER;
        }
    }
    if (server->process == DATABASE_PROCESS_STOPPING && sim->now >= server->changes_at) {
        if (!server->standby && !server->clean) {
            close_log(sim, server);
        } else {
            finish_stop(sim, member);
        }
    }
    /* The module ends a writer that is over its deadline. */
    if (server->process == DATABASE_PROCESS_WRITER && !fence_holds(sim, member) &&
        sim_chance(sim, 10)) {
        sim_stop(sim, member, !sim_chance(sim, 3));
    }
}

void sim_servers_step(struct sim *sim)
{
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        process_step(sim, i);
    }
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        receive(sim, i);
    }
}

void sim_set_synchronous(struct sim *sim, int member, unsigned bits)
{
    struct sim_server *server = &sim->servers[member];
    bool settled = sim->now >= server->sync_settles;
    server->waited_before =
        settled ? server->sync != 0 : server->waited_before && server->sync != 0;
    server->sync_before = settled ? server->sync : server->sync_before | server->sync;
    server->sync = bits;
    server->sync_settles = sim->now + sim_below(sim, 50 * TIME_MS);
    server->sync_since = 0;
}

/* ---- clients ---- */

bool sim_has_row(const struct sim_server *server, uint32_t row)
{
    for (size_t i = 0; i < server->end; i++) {
        if (server->log[i] == row) {
            return true;
        }
    }
    return false;
}

/* What is older than the bound is somewhere else too. */
static void check_bound(struct sim *sim, int member)
{
    const struct sim_server *server = &sim->servers[member];
    int64_t age = server->whole < server->end ? sim->now - server->written[server->whole] : 0;
    int64_t most = SIM_RPO_MS * TIME_MS / 100 * 102; /* clocks run at different speeds */
    if (server->whole < server->acknowledged && server->written[server->whole] != 0 && age > most) {
        sim_wrong(sim, "%s acknowledges freely, and what it wrote %.3f s ago is nowhere else",
                  sim_ids[member], (double)age / 1e9);
    }
}

/* Somebody who counts says that he has it, or nobody counts. */
static bool is_replicated(struct sim *sim, int member, size_t place)
{
    const struct sim_server *server = &sim->servers[member];
    bool settled = sim->now >= server->sync_settles;
    if (sim->mistake == SIM_NO_WAITING || server->sync == 0 ||
        (!settled && !server->waited_before)) {
        return true;
    }
    if (sim_local(sim, member) < server->free_until) {
        check_bound(sim, member);
        return true;
    }
    unsigned counts = server->sync | (settled ? 0 : server->sync_before);
    for (unsigned i = 0; i < SIM_MEMBERS; i++) {
        if ((counts & 1U << i) != 0 && server->known[i] > place) {
            return true;
        }
    }
    return false;
}

static void acknowledge(struct sim *sim, int member, uint32_t row)
{
    struct sim_server *server = &sim->servers[member];
    int64_t epoch = server->file_epoch;
    if (epoch < sim->last_epoch ||
        (epoch == sim->last_epoch && sim->epoch_writer >= 0 && sim->epoch_writer != member)) {
        sim_wrong(sim, "%s acknowledges row %u in epoch %lld, after %s did in epoch %lld",
                  sim_ids[member], row, (long long)epoch,
                  sim->epoch_writer < 0 ? "nobody" : sim_ids[sim->epoch_writer],
                  (long long)sim->last_epoch);
    }
    sim->last_epoch = epoch;
    sim->epoch_writer = member;
    sim->acknowledged[row] = true;
}

void sim_clients_step(struct sim *sim)
{
    for (int i = 0; i < (int)SIM_MEMBERS; i++) {
        struct sim_server *server = &sim->servers[i];
        if (server->process != DATABASE_PROCESS_WRITER) {
            continue;
        }
        while (server->acknowledged < server->end && fence_holds(sim, i) &&
               is_replicated(sim, i, server->acknowledged) && !sim_chance(sim, 20)) {
            uint32_t row = server->log[server->acknowledged++];
            if (row != SIM_MARK) {
                acknowledge(sim, i, row);
            }
        }
        if (sim->rows < SIM_ROWS && fence_holds(sim, i) && !sim_chance(sim, 3) &&
            server->end - server->acknowledged < 20) {
            append(sim, server, sim->rows++);
        }
    }
}
