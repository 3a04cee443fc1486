/* What is seen of a server: from its process, its files, and its own views, as core wants it. The
 * worker's thread. Does not log. Invariant: what cannot be found out is said to be unknown. */
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "database/agent/worker_internal.h"
#include "database/fence/lease_file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OBSERVE_MS 1000
#define END_OF_LOG_S 86400
#define NEAR_BYTES 8388608 /* a reader that was so near has followed */

static enum database_process process_of(struct worker *worker, const struct worker_sight *sight)
{
    if (worker->hands.process.pid == 0) {
        return DATABASE_PROCESS_DOWN;
    }
    if (worker->notes.closed == worker->hands.process.pid) {
        return DATABASE_PROCESS_STOPPING; /* also when its pid file is gone already */
    }
    switch (postgres_ready(&worker->hands.server, &worker->hands.process)) {
    case POSTGRES_STANDBY:
        return sight->viewed && !sight->view.recovery ? DATABASE_PROCESS_WRITER
                                                      : DATABASE_PROCESS_READER;
    case POSTGRES_READY:
        return DATABASE_PROCESS_WRITER;
    case POSTGRES_STOPPING:
        return DATABASE_PROCESS_STOPPING;
    case POSTGRES_ENDED:
        return DATABASE_PROCESS_DOWN;
    case POSTGRES_STARTING:
        break;
    }
    return DATABASE_PROCESS_STARTING;
}

static enum database_data data_of(const struct worker *worker)
{
    struct err err = ERR_INIT;
    enum postgres_data data = POSTGRES_NO_DATA;
    if (postgres_data(&worker->hands.server, &data, &err) != 0) {
        return DATABASE_NO_DATA;
    }
    return data == POSTGRES_DATA        ? DATABASE_DATA
           : data == POSTGRES_REWINDING ? DATABASE_REWINDING
                                        : DATABASE_NO_DATA;
}

static bool has_signal(const struct worker *worker)
{
    char *path CLEANUP(memory_cleanup) =
        memory_printf("%s/data/standby.signal", worker->hands.server.directory);
    return access(path, F_OK) == 0;
}

/* Of a server that does not run: its files, once. */
static void see_files(struct worker *worker, struct worker_sight *sight)
{
    struct err err = ERR_INIT;
    if (sight->controlled || sight->facts.data == DATABASE_NO_DATA) {
        return;
    }
    if (postgres_control(&worker->hands.server, &sight->control, &err) != 0) {
        return;
    }
    const struct postgres_limit limit = {.until = mono_from_now(END_OF_LOG_S * TIME_S),
                                         .interrupt = worker->hands.interrupt};
    sight->end = sight->control.end;
    sight->controlled = (sight->control.clean && sight->end != 0) ||
                        postgres_end_of_log(&worker->hands.server, &limit, &sight->end, &err) == 0;
}

static void see_followers(struct worker_sight *sight)
{
    const struct postgres_view *view = &sight->view;
    bool any = false;
    for (size_t i = 0; i < view->replica_count; i++) {
        const struct postgres_replica *replica = &view->replicas[i];
        sight->followers[i] = (struct database_follower){.member = replica->name,
                                                         .streaming = replica->streaming,
                                                         .flushed = replica->flushed,
                                                         .replayed = replica->replayed,
                                                         .lag_ms = replica->lag_ms};
        any = any || replica->streaming;
    }
    sight->facts.followers = sight->followers;
    sight->facts.follower_count = view->replica_count;
    if (any) {
        sight->facts.alone_since = (struct mono){.ns = INT64_MAX};
    } else if (sight->facts.alone_since.ns == 0 || sight->facts.alone_since.ns == INT64_MAX) {
        sight->facts.alone_since = boot_now();
    }
}

/* By its own views; a server that does not answer keeps what was seen last. */
static void see_running(struct worker *worker, struct worker_sight *sight)
{
    struct err err = ERR_INIT;
    const struct postgres_limit limit = {.until = mono_from_now(OBSERVE_MS * TIME_MS),
                                         .interrupt = worker->hands.interrupt};
    if (sight->kept && sight->viewed && sight->view.recovery) {
        worker_take_view(worker);
        return;
    }
    sight->asked = boot_now();
    sight->fresh = postgres_observe(worker->hands.link, &limit, &sight->view, &err) == 0;
    sight->viewed = sight->viewed || sight->fresh;
    if (sight->viewed) {
        worker_take_view(worker);
    }
}

void worker_take_view(struct worker *worker)
{
    struct worker_sight *sight = &worker->sight;
    struct database_facts *facts = &sight->facts;
    const struct postgres_view *view = &sight->view;
    facts->process = view->recovery ? DATABASE_PROCESS_READER : DATABASE_PROCESS_WRITER;
    facts->system_id = view->system_id;
    facts->timeline = view->recovery ? MAX(view->timeline, worker->notes.timeline) : view->timeline;
    worker->notes.timeline = facts->timeline;
    facts->end = view->recovery ? MAX(view->received, view->replayed) : view->flushed;
    facts->replayed = view->recovery ? view->replayed : view->flushed;
    facts->replayed_all = view->recovery && !view->replaying;
    facts->receiving = view->recovery && view->receiving;
    facts->paused = view->recovery && view->paused;
    facts->lag_ms = view->recovery ? view->lag_ms : -1;
    if (!view->recovery) {
        see_followers(sight);
    } else if (view->receiving && view->lag_bytes >= 0 && view->lag_bytes <= NEAR_BYTES) {
        worker->notes.streamed = facts->timeline;
    }
}

static void see_history(struct worker *worker, struct worker_sight *sight)
{
    uint32_t timeline = sight->facts.timeline;
    if (timeline > 1 && (sight->parent_timeline != timeline || sight->parent == 0)) {
        hands_parent(&worker->hands, timeline, &sight->parent, &sight->fork);
        sight->parent_timeline = timeline;
    }
    bool known = timeline > 1 && sight->parent_timeline == timeline;
    sight->facts.parent = known ? sight->parent : 0;
    sight->facts.fork = known ? sight->fork : 0;
}

static struct mono deadline_of(const struct worker *worker, const struct view_group *group)
{
    const struct fence_lease *file = worker->hands.file;
    bool ours = file != NULL && group->lease_record.revision != 0 &&
                atomic_load(&file->epoch) == group->lease.epoch;
    return (struct mono){.ns = ours ? atomic_load(&file->deadline_ns) : 0};
}

static void see_holding(struct worker *worker, const struct view_group *group)
{
    struct worker_sight *sight = &worker->sight;
    bool holds = group->lease_record.revision != 0 &&
                 group->lease.state == MODEL_DATABASE_LEASE_HELD &&
                 text_equal(group->lease.holder, worker->member);
    if (!holds || sight->facts.process == DATABASE_PROCESS_WRITER) {
        sight->unwritable_since.ns = 0;
    } else if (sight->unwritable_since.ns == 0 || sight->unwritable_epoch != group->lease.epoch) {
        sight->unwritable_since = boot_now();
    }
    sight->unwritable_epoch = group->lease.epoch;
    sight->facts.unwritable_since = sight->unwritable_since;
}

static const struct model_database_member *self_of(const struct view_group *group, const char *self)
{
    const struct view_member *found = view_member_find(group, self);
    return found != NULL ? &found->member : NULL;
}

/* A server of our own. */
static void see_own(struct worker *worker)
{
    struct err err = ERR_INIT;
    bool running = false;
    struct worker_sight *sight = &worker->sight;
    struct database_facts *facts = &sight->facts;
    sight->fresh = false;
    IGNORE_RESULT(hands_look(&worker->hands, &running, &err)); /* not running is what we see then */
    if (worker->hands.process.pid != sight->pid) {
        sight->pid = worker->hands.process.pid;
        sight->viewed = false;
        sight->controlled = false;
        worker->notes.closed = 0;
    }
    facts->data = data_of(worker);
    facts->process = process_of(worker, sight);
    facts->standby = has_signal(worker);
    if (facts->process == DATABASE_PROCESS_READER || facts->process == DATABASE_PROCESS_WRITER) {
        see_running(worker, sight);
    } else if (facts->process == DATABASE_PROCESS_DOWN ||
               (facts->process == DATABASE_PROCESS_STOPPING && worker->notes.closed != 0)) {
        see_files(worker, sight);
        facts->clean = sight->controlled && sight->control.clean;
        facts->end = sight->controlled ? sight->end : 0;
        facts->timeline =
            sight->controlled ? MAX(sight->control.timeline, worker->notes.timeline) : 0;
        facts->system_id = sight->controlled ? sight->control.system_id : 0;
        facts->replayed_all = false;
    }
}

void worker_see(struct worker *worker, const struct view_group *group)
{
    struct worker_sight *sight = &worker->sight;
    struct database_facts *facts = &sight->facts;
    const struct worker_notes *notes = &worker->notes;
    const struct model_database_member *member = self_of(group, worker->member);
    bool own = worker->hands.kind == &hands_managed;
    struct database_facts before = *facts;
    facts->followers = NULL;
    facts->follower_count = 0;
    facts->lag_ms = -1;
    facts->receiving = false;
    facts->paused = false;
    facts->clean = false;
    if (own) {
        see_own(worker);
    } else {
        worker_see_attached(worker, group);
    }
    if (facts->process != before.process || before.since.ns == 0) {
        facts->since = boot_now();
        facts->alone_since =
            (struct mono){.ns = facts->process == DATABASE_PROCESS_WRITER ? facts->since.ns : 0};
    }
    see_history(worker, sight);
    see_holding(worker, group);
    bool follows = facts->process == DATABASE_PROCESS_READER &&
                   text_equal(notes->upstream, group->group.writer);
    if (!follows || facts->end != before.end || sight->idle_since.ns == 0) {
        worker->notes.vain = 0;
        sight->idle_since = boot_now(); /* a receiver that is there may end before anything came */
    }
    facts->idle_since = sight->idle_since;
    facts->log_asked = notes->log_asked;
    facts->log_gone = notes->log_gone;
    facts->upstream = notes->upstream;
    facts->cut = facts->process == DATABASE_PROCESS_DOWN ||
                 (facts->process == DATABASE_PROCESS_READER && notes->cut);
    facts->lineage = notes->lineage;
    facts->lineage_timeline = notes->lineage_timeline;
    facts->deadline = deadline_of(worker, group);
    facts->checkpointed =
        notes->checkpointed_ns != 0 && notes->checkpointed_ns == group->phase_since.ns;
    facts->aside = notes->aside;
    facts->rewind_failed = notes->rewind_failed;
    facts->reboot = notes->reboot;
    facts->rebuild = notes->rebuild;
    facts->configured =
        member != NULL && notes->configured != 0 &&
        notes->configured ==
            worker_fingerprint(group, member, facts->process == DATABASE_PROCESS_WRITER);
    synchronous_see(worker, group);
    facts->stopping = atomic_load(&worker->ending) && atomic_load(&worker->stop_server) &&
                      (own || facts->process == DATABASE_PROCESS_WRITER || before.stopping);
    facts->stuck = own || notes->stuck[0] != '\0' ? notes->stuck : worker->hands.attached.trouble;
}

void worker_fill_view(const struct view_group *group, const char *self, struct arena *arena,
                      struct database_view *ret_view)
{
    struct database_sight *sights =
        arena_array(arena, MAX(group->member_count, 1U), sizeof *sights);
    for (size_t i = 0; i < group->member_count; i++) {
        const struct view_member *member = &group->members[i];
        sights[i] = (struct database_sight){
            .member = &member->member,
            .seen = member->seen_record.revision != 0 ? &member->seen : NULL,
            .heard = member->heard};
    }
    *ret_view =
        (struct database_view){.group = &group->group,
                               .group_revision = group->group_record.revision,
                               .lease = group->lease_record.revision != 0 ? &group->lease : NULL,
                               .lease_revision = group->lease_record.revision,
                               .lease_since = group->lease_since,
                               .phase_since = group->phase_since,
                               .members = sights,
                               .member_count = group->member_count,
                               .self = self,
                               .now = boot_now(),
                               .wall = wall_now()};
}

/* FNV-1a, with the NUL of each text. */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (const char *at = text != NULL ? text : "";; at++) {
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
        if (*at == '\0') {
            return hash;
        }
    }
}

uint64_t worker_fingerprint(const struct view_group *group,
                            const struct model_database_member *member, bool writer)
{
    uint64_t hash = mix(UINT64_C(14695981039346656037), writer ? "writer" : "reader");
    for (size_t i = 0; i < member->setting_count; i++) {
        hash = mix(mix(hash, member->settings[i].name), member->settings[i].value);
    }
    for (size_t i = 0; i < group->member_count; i++) {
        const struct model_database_member *other = &group->members[i].member;
        char port[8];
        (void)snprintf(port, sizeof port, "%u", (unsigned)other->port); /* at most 5 digits */
        hash = other->deleted ? hash : mix(mix(mix(hash, other->id), other->address), port);
    }
    if (writer) {
        hash = mix(mix(hash, group->group.master), group->group.verifier);
    }
    return hash != 0 ? hash : 1;
}

/* Writing takes the store's disks, and the servers', from who waits for them. While the writer
 * moves by a switchover, nobody decides by what is seen of others. */
static enum publisher_haste haste_of(const struct model_database_group *group)
{
    bool moves = group->phase == MODEL_DATABASE_FENCING || group->phase == MODEL_DATABASE_PROMOTING;
    if (moves && group->operation == MODEL_DATABASE_SWITCHOVER) {
        return PUBLISHER_REST;
    }
    return group->phase == MODEL_DATABASE_ELECTING ? PUBLISHER_HURRY : PUBLISHER_USUAL;
}

void worker_publish(struct worker *worker, const struct view_group *group,
                    const struct database_view *view, const struct database_order *order)
{
    struct arena arena CLEANUP(arena_done);
    const struct worker_sight *sight = &worker->sight;
    const struct database_facts *facts = &sight->facts;
    arena_init(&arena, 0);
    bool waits = order->action == DATABASE_ACTION_WAIT;
    bool reader = facts->process == DATABASE_PROCESS_READER;
    struct model_database_seen seen = {
        .site = worker->agent->config.site,
        .condition = database_condition(view, facts),
        .message = waits ? worker->hands.attached.trouble : order->sentence,
        .action = waits ? "" : database_action_name(order->action),
        .system_id = facts->system_id,
        .timeline = facts->timeline,
        .received = facts->end,
        .replayed = facts->replayed,
        .clean = facts->clean,
        .lag_bytes = reader && sight->viewed ? sight->view.lag_bytes : -1,
        .lag_ms = reader ? facts->lag_ms : -1,
        .epoch = database_final_epoch(view, facts),
        .reboot = facts->reboot,
        .rebuild = facts->rebuild,
        .pending_reboot = sight->viewed && sight->view.pending_restart,
        .upstream = facts->upstream,
        .streamed = worker->notes.streamed,
        .commits = database_commits(view, facts, &arena)};
    publisher_put(worker->agent->publisher, worker->slot, &seen, database_heartbeat(&group->group),
                  haste_of(&group->group));
}
