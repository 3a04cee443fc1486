/* A worker's thread: see worker.h. Look, decide, do, publish, wait; nothing is kept that a restart
 * would need. Logs what is begun and what failed. Invariant: while an order is under way the groups
 * thread decides for this worker by the facts from when it began, commits nothing for a lease that
 * this member holds, and interrupts it when the order is another one now. */
#include "database/agent/worker.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/attach.h"
#include "database/agent/notes.h"
#include "database/agent/worker_internal.h"
#include "database/fence/lease_file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_STEADY_MS 200 /* at a server that runs, while nothing is to be done */
#define LOOK_BOUND_MS 10   /* at least so often where commits have a bound, a quarter of it */
#define LOOK_BUSY_MS 2     /* while a change of the writer waits for this server */
#define LOOK_ASIDE_MS 50   /* while it waits for another one; the store tells of that at once */
#define LOOK_DOWN_MS 1000
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS 10000
#define STUCK_AFTER 8U   /* failures in a row: about 30 s */
#define RETRY_STUCK_S 30 /* what hands did is found out by trying */
#define END_S 60         /* for a clean end */

static void ring(int event)
{
    const uint64_t one = 1;
    IGNORE_RESULT(write(event, &one, sizeof one)); /* full: it rings already */
}

static void silence(int event)
{
    uint64_t count = 0;
    IGNORE_RESULT(read(event, &count, sizeof count)); /* nothing rang */
}

/* ---- the member ---- */

static void describe(struct worker *worker, const struct model_database_member *member)
{
    struct database_agent *agent = worker->agent;
    struct arena *arena = &worker->arena;
    worker->hands.server = (struct postgres){
        .directory = arena_printf(arena, "%s/%s", agent->config.directory, worker->member),
        .binaries = agent->binaries,
        .module = agent->module,
        .name = worker->member,
        .address = arena_strdup(arena, member->address),
        .port = member->port};
    postgres_link_free(worker->hands.link);
    if (text_empty(member->attached)) {
        worker->hands.link = postgres_link_new(&worker->hands.server);
    } else {
        const struct attachment *known = attach_find(&agent->attachments, member->attached);
        bool usable = known != NULL && !text_empty(known->connection);
        worker->hands.kind = &hands_attached;
        worker->hands.attachment = usable ? known : NULL;
        worker->hands.link = usable ? postgres_link_new_to(known->connection, known->lease_file)
                                    : postgres_link_new_to("", "");
    }
    worker->described = true;
}

/* A server that does not run takes another address or port; one that runs does when it was stopped
 * for it. */
static bool is_to_be_described(const struct worker *worker,
                               const struct model_database_member *member)
{
    const struct postgres *server = &worker->hands.server;
    bool moved = worker->described &&
                 (server->port != member->port || !text_equal(server->address, member->address));
    return !worker->described || (moved && worker->hands.process.pid == 0);
}

/* It has an address, or needs none. */
static bool is_placed(const struct model_database_member *member)
{
    return member->deleted || !text_empty(member->address) || !text_empty(member->attached);
}

/* Before its first decision: what is done already. */
static void remember(struct worker *worker, const struct view_member *self)
{
    bool known = self->seen_record.revision != 0;
    worker->notes.reboot = known ? self->seen.reboot : self->member.reboot;
    worker->notes.rebuild = known ? self->seen.rebuild : self->member.rebuild;
    worker->notes.timeline = known ? self->seen.timeline : 0;
    worker->notes.streamed = known ? self->seen.streamed : 0;
    bool made = known && self->seen.system_id != 0;
    bool rested = self->member.stopped && self->seen.condition == MODEL_DATABASE_DOWN;
    worker->notes.life = !made ? WORKER_LIFE_NEW : rested ? WORKER_LIFE_RESTS : WORKER_LIFE_RUNS;
    const char *upstream = known ? self->seen.upstream : "";
    IGNORE_RESULT(text_copy(worker->notes.upstream, sizeof worker->notes.upstream, upstream));
}

/* The lease file is of the server that runs, or of one that has data. */
static void open_lease(struct worker *worker)
{
    char *run CLEANUP(memory_cleanup) = memory_printf("%s/run", worker->hands.server.directory);
    struct err err = ERR_INIT;
    bool there = worker->hands.attachment != NULL || access(run, F_OK) == 0;
    if (worker->hands.file == NULL && there) {
        IGNORE_RESULT(hands_open_lease(&worker->hands, &err)); /* said where it is needed */
    }
}

/* ---- one order ---- */

static void set_busy(struct worker *worker, const struct database_order *order)
{
    silence(worker->interrupt);
    thread_lock(&worker->mutex);
    worker->busy = order != NULL;
    if (order != NULL) {
        worker->action = order->action;
        IGNORE_RESULT(
            text_copy(worker->action_upstream, sizeof worker->action_upstream, order->upstream));
        worker->facts = worker->sight.facts;
    }
    thread_unlock(&worker->mutex);
    if (order != NULL && atomic_load(&worker->ending) && !atomic_load(&worker->stop_server)) {
        ring(worker->interrupt);
    }
}

static void tell(const struct worker *worker, const struct view_group *group, const char *category,
                 const char *message)
{
    const struct view_member *self = view_member_find(group, worker->member);
    if (self != NULL) {
        worker_tell(worker, &self->member, category, message);
    }
}

/* It needs hands: a full disk, for example. It is tried again all the same, since nobody tells when
 * there is room. */
static void note_stuck(struct worker *worker, const struct view_group *group,
                       const struct database_order *order, const struct err *err)
{
    bool before = worker->notes.stuck[0] != '\0';
    (void)snprintf(worker->notes.stuck, sizeof worker->notes.stuck, /* cut is fine */
                   "%s: %s (tried again every %d s)", database_action_name(order->action),
                   err->message, RETRY_STUCK_S);
    worker->not_before = mono_from_now(RETRY_STUCK_S * TIME_S);
    if (!before) {
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        tell(worker, group, "failure",
             arena_printf(&arena, "The server needs attention: %s", worker->notes.stuck));
    }
}

static void note_failure(struct worker *worker, const struct view_group *group,
                         const struct database_order *order, const struct err *err)
{
    worker->failures = worker->failed == order->action ? worker->failures + 1 : 1;
    worker->failed = order->action;
    int64_t pause = RETRY_FIRST_MS;
    for (unsigned i = 1; i < worker->failures && pause < RETRY_LAST_MS; i++) {
        pause *= 2;
    }
    worker->not_before = mono_from_now(MIN(pause, RETRY_LAST_MS) * TIME_MS);
    if (worker->failures >= STUCK_AFTER) {
        note_stuck(worker, group, order, err);
    }
    log_warn("database.order_failed", F("group", worker->group), F("member", worker->member),
             F("order", database_action_name(order->action)), F("reason", err),
             F("failures", worker->failures), F("next", "decided anew after a pause"));
}

static void note_success(struct worker *worker, const struct view_group *group,
                         const struct database_order *order)
{
    if (worker->notes.stuck[0] != '\0') {
        tell(worker, group, "recovery", "The server does not need attention any more.");
    }
    if (worker->failed == order->action || worker->notes.stuck[0] != '\0') {
        worker->failures = 0;
        worker->notes.stuck[0] = '\0';
        worker->not_before = (struct mono){.ns = 0};
    }
}

/* A snapshot of the data is wanted before they go; or that is not known. */
static bool is_needed(const struct worker *worker)
{
    struct err err = ERR_INIT;
    bool needed = true;
    return snapshots_need(worker->agent, worker->member, &needed, &err) != 0 || needed;
}

/* Whether it ended and things are to be looked at again at once. */
static bool carry_out(struct worker *worker, const struct view_group *group,
                      const struct database_order *order)
{
    struct err err = ERR_INIT;
    bool waits = order->action == DATABASE_ACTION_WAIT ||
                 order->action == DATABASE_ACTION_NEED_HANDS ||
                 (order->action == DATABASE_ACTION_REMOVE && is_needed(worker));
    bool paused = worker->failures != 0 && worker->failed == order->action &&
                  mono_since(mono_now(), worker->not_before) < 0;
    if (waits || paused) {
        return false;
    }
    struct mono began = mono_now();
    set_busy(worker, order);
    int rc = worker_execute(worker, group, order, &err);
    set_busy(worker, NULL);
    silence(worker->interrupt);
    if (rc != 0 && err.kind != ERR_CANCELLED) {
        note_failure(worker, group, order, &err);
        return true;
    }
    if (rc == 0 || worker->notes.stuck[0] == '\0') {
        note_success(worker, group, order);
    }
    log_info(rc == 0 ? "database.order_done" : "database.order_broken_off",
             F("group", worker->group), F("member", worker->member),
             F("order", database_action_name(order->action)),
             F("ms", mono_since(mono_now(), began) / TIME_MS), F("why", order->sentence));
    return true;
}

/* What to do although hands are needed: what failed, or nothing, because it is not to be done any
 * more. */
static void try_again(struct worker *worker, const struct view_group *group,
                      const struct database_view *view, struct arena *arena,
                      struct database_order *order)
{
    bool due = mono_since(mono_now(), worker->not_before) >= 0;
    if (order->action != DATABASE_ACTION_NEED_HANDS || worker->notes.stuck[0] == '\0' || !due) {
        return;
    }
    worker->sight.facts.stuck = "";
    database_member_next(view, &worker->sight.facts, arena, order);
    if (order->action == DATABASE_ACTION_WAIT || order->action == DATABASE_ACTION_NEED_HANDS) {
        note_success(worker, group, order);
    }
}

/* ---- waiting ---- */

/* Looking costs the server, and with it who waits for it. */
static int64_t look_ms(const struct worker *worker, const struct view_group *group)
{
    const struct model_database_group *record = &group->group;
    bool writer = text_equal(record->writer, worker->member);
    bool target = text_equal(record->target, worker->member);
    if (worker->sight.facts.process == DATABASE_PROCESS_DOWN) {
        return LOOK_DOWN_MS;
    }
    switch (record->phase) {
    case MODEL_DATABASE_PREPARING:
    case MODEL_DATABASE_FENCING:
        return writer ? LOOK_BUSY_MS : LOOK_ASIDE_MS;
    case MODEL_DATABASE_PROMOTING:
        return target ? LOOK_BUSY_MS : LOOK_ASIDE_MS;
    case MODEL_DATABASE_ELECTING:
        return LOOK_BUSY_MS;
    case MODEL_DATABASE_NEW:
    case MODEL_DATABASE_STEADY:
    case MODEL_DATABASE_STOPPED:
        break;
    }
    if (worker->sight.facts.process == DATABASE_PROCESS_STARTING) {
        return LOOK_BUSY_MS;
    }
    return record->mode == MODEL_DATABASE_BOUNDED
               ? MIN(LOOK_STEADY_MS, MAX(record->rpo_ms / 4, LOOK_BOUND_MS))
               : LOOK_STEADY_MS;
}

static void rest(struct worker *worker, const struct view_group *group, struct mono again)
{
    int64_t ns = look_ms(worker, group) * TIME_MS;
    if (again.ns != INT64_MAX) {
        ns = MIN(ns, MAX(again.ns - boot_now().ns, 0));
    }
    struct pollfd waited[] = {{.fd = worker->wake, .events = POLLIN},
                              {.fd = worker->hands.process.fd, .events = POLLIN}};
    const struct timespec time = {.tv_sec = ns / TIME_S, .tv_nsec = ns % TIME_S};
    if (worker->hands.process.pid == 0) {
        waited[1].fd = -1;
    }
    IGNORE_RESULT(ppoll(waited, ARRAY_SIZE(waited), &time, NULL)); /* early is fine */
    silence(worker->wake);
}

static void idle(struct worker *worker)
{
    struct pollfd waited = {.fd = worker->wake, .events = POLLIN};
    IGNORE_RESULT(poll(&waited, 1, LOOK_DOWN_MS)); /* early is fine */
    silence(worker->wake);
}

/* ---- the thread ---- */

static struct mono earlier(struct mono a, struct mono b)
{
    return a.ns < b.ns ? a : b;
}

/* Looks, decides and acts once. */
static void turn(struct worker *worker, const struct view_group *group)
{
    struct arena arena CLEANUP(arena_done);
    struct database_view view;
    struct database_order order;
    struct mono again;
    bool committed = false;
    arena_init(&arena, 0);
    open_lease(worker);
    worker_see(worker, group);
    worker_tell_life(worker, group);
    if (worker->hands.kind == &hands_managed) {
        notes_keep(worker, group);
    }
    worker_update(worker, group, &again, &committed);
    worker->sight.kept = committed && group->group.phase == MODEL_DATABASE_PROMOTING;
    if (committed) {
        return; /* the picture is another one */
    }
    worker_fill_view(group, worker->member, &arena, &view);
    database_member_next(&view, &worker->sight.facts, &arena, &order);
    worker_publish(worker, group, &view, &order);
    try_again(worker, group, &view, &arena, &order);
    if (!carry_out(worker, group, &order)) {
        rest(worker, group, earlier(again, order.again));
    } else if (order.action == DATABASE_ACTION_REMOVE && worker->failures == 0) {
        atomic_store(&worker->ended, true);
    }
}

/* A clean end is over when the server does not run and the lease is not held, or when there is no
 * more time. */
static bool may_end(const struct worker *worker, const struct view_group *group,
                    struct mono *deadline)
{
    if (!atomic_load(&worker->ending)) {
        return false;
    }
    if (deadline->ns == 0) {
        *deadline = mono_from_now(END_S * TIME_S);
    }
    bool held = group != NULL && group->lease_record.revision != 0 &&
                group->lease.state == MODEL_DATABASE_LEASE_HELD &&
                text_equal(group->lease.holder, worker->member);
    bool stopped = worker->hands.process.pid == 0 && !held;
    return !atomic_load(&worker->stop_server) || stopped || mono_since(mono_now(), *deadline) >= 0;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct mono deadline = {.ns = 0};
    while (!atomic_load(&worker->ended)) {
        struct view_group *group CLEANUP(view_group_cleanup) =
            view_group_find(worker->agent->view, worker->group);
        const struct view_member *self = group != NULL && group->group_record.revision != 0
                                             ? view_member_find(group, worker->member)
                                             : NULL;
        if (may_end(worker, group, &deadline)) {
            break;
        }
        if (self == NULL || !is_placed(&self->member)) {
            idle(worker); /* the groups thread ends us, or gives it an address */
            continue;
        }
        bool first = !worker->described;
        if (is_to_be_described(worker, &self->member)) {
            describe(worker, &self->member);
        }
        if (first) {
            remember(worker, self);
        }
        turn(worker, group);
    }
    atomic_store(&worker->ended, true);
    return NULL;
}

/* ---- the groups thread ---- */

/* A decision for a worker that is busy, by what it knew when it began. */
static void decide_for_busy(struct worker *worker, const struct view_group *group,
                            const struct database_facts *facts, enum database_action action,
                            const char *upstream)
{
    struct arena arena CLEANUP(arena_done);
    struct database_view view;
    struct database_order order;
    arena_init(&arena, 0);
    worker_fill_view(group, worker->member, &arena, &view);
    database_member_next(&view, facts, &arena, &order);
    if (order.action != action || !text_equal(order.upstream, upstream)) {
        ring(worker->interrupt);
    }
}

void worker_look(struct worker *worker, const struct view_group *group)
{
    thread_lock(&worker->mutex);
    bool busy = worker->busy;
    if (busy && view_member_find(group, worker->member) != NULL) {
        worker->facts.stopping = atomic_load(&worker->ending) &&
                                 atomic_load(&worker->stop_server) &&
                                 (worker->hands.kind == &hands_managed || worker->facts.stopping);
        decide_for_busy(worker, group, &worker->facts, worker->action, worker->action_upstream);
        worker_update_for_busy(worker, group, &worker->facts);
    }
    thread_unlock(&worker->mutex);
}

void worker_wake(struct worker *worker)
{
    ring(worker->wake);
}

const char *worker_group(const struct worker *worker)
{
    return worker->group;
}

const char *worker_member(const struct worker *worker)
{
    return worker->member;
}

bool worker_ended(const struct worker *worker)
{
    return atomic_load(&worker->ended);
}

int worker_start(struct database_agent *agent, const char *group, const char *member,
                 struct worker **ret_worker, struct err *err)
{
    struct worker *worker = memory_new(sizeof *worker);
    worker->agent = agent;
    arena_init(&worker->arena, 0);
    worker->hands = (struct hands){
        .kind = &hands_managed, .seal = agent->config.seal, .process = POSTGRES_PROCESS_NONE};
    (void)pthread_mutex_init(&worker->mutex, NULL); /* cannot fail for a plain one */
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->hands.interrupt = worker->interrupt;
    worker->hold = leases_add(agent->leases, group, member);
    worker->slot = publisher_add(agent->publisher, group, member);
    int rc = 0;
    if (text_copy(worker->group, sizeof worker->group, group) != 0 ||
        text_copy(worker->member, sizeof worker->member, member) != 0 || worker->hold == NULL) {
        rc = err_set(err, ERR_LIMIT, "member %s: an agent has at most %u", member, LEASES_LIMIT);
    } else if (worker->wake < 0 || worker->interrupt < 0) {
        rc = err_set_errno(err, errno, "member %s", member);
    }
    rc = rc != 0 ? rc : thread_start(&worker->thread, "db-worker", run, worker, err);
    if (rc != 0) {
        worker->thread = 0;
        worker_join(worker);
        return rc;
    }
    *ret_worker = worker;
    return 0;
}

void worker_ask_to_end(struct worker *worker, bool stop_server)
{
    atomic_store(&worker->stop_server, stop_server);
    atomic_store(&worker->ending, true);
    ring(worker->wake);
    if (!stop_server) {
        ring(worker->interrupt);
    }
}

static void close_event(int event)
{
    if (event >= 0) {
        (void)close(event); /* nothing is lost */
    }
}

void worker_join(struct worker *take_worker)
{
    struct worker *worker = take_worker;
    if (worker->thread != 0) {
        thread_join(worker->thread);
    }
    if (worker->hold != NULL) {
        leases_remove(worker->agent->leases, worker->hold);
    }
    publisher_remove(worker->agent->publisher, worker->slot);
    postgres_process_done(&worker->hands.process);
    postgres_link_free(worker->hands.link);
    fence_lease_close(worker->hands.file);
    close_event(worker->wake);
    close_event(worker->interrupt);
    (void)pthread_mutex_destroy(&worker->mutex); /* nobody has it */
    arena_done(&worker->arena);
    free(worker);
}
