/* The compiler thread: see compiler.h. A mailbox of two parts under one mutex: a queue of work
 * items whose callers wait, and the newest status table. The database is touched by this thread
 * only. */
#include "daemon/compiler.h"

#include "base/memory.h"
#include "base/snapshot.h"
#include "base/thread.h"
#include "daemon/pace.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 300000
#define FLIP_AT_ONCE 1000U /* names of a change of health that are shown without a rest */
#define FLIP_PIECE 256U    /* and in one go after these: 0.1 ms */
#define FLIP_LATE 4096U    /* the same behind time, when other work has every second turn: 2 ms */

struct work {
    struct work *next;
    void (*run)(struct zone_database *database, void *argument);
    void *argument;
    bool done;
};

/* A change of health that is being shown; of several, all of them together. */
struct flip {
    bool active;
    bool had_turn;       /* what was done last was a piece of it */
    struct mono decided; /* the oldest of them */
    struct mono next;    /* the compiler rests until then */
    size_t count;        /* answers chosen anew so far */
    size_t left;         /* names to come, about */
};

struct compiler {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;     /* for the thread: something to do */
    pthread_cond_t finished; /* for callers: some work is done */
    struct work *first;
    struct work **last;
    struct model_status *status; /* not applied yet; NULL when there is none */
    bool status_was_last;        /* the newest message handled was a status */
    bool stop;
    struct flip flip; /* the thread's own */
    struct zone_database *database;
    _Atomic int64_t delay_last_us;
    _Atomic int64_t delay_worst_us;
    _Atomic uint64_t flips;
    _Atomic int64_t published_ns; /* monotonic */
    uint64_t publications;        /* of the database, at that time */
};

static struct model_status *copy_status(const struct model_status *status)
{
    size_t size = sizeof *status + status->count * sizeof status->entries[0];
    size_t text = 0;
    for (size_t i = 0; i < status->count; i++) {
        text += strlen(status->entries[i].check_id) + 1;
    }
    struct model_status *copy = memory_new(size + text);
    (void)memcpy(copy, status, size);
    char *at = (char *)copy + size;
    for (size_t i = 0; i < status->count; i++) {
        size_t length = strlen(status->entries[i].check_id) + 1;
        (void)memcpy(at, status->entries[i].check_id, length);
        copy->entries[i].check_id = at;
        at += length;
    }
    return copy;
}

static void note_flips(struct compiler *compiler, size_t flips, struct mono decided)
{
    if (flips == 0) {
        return;
    }
    int64_t delay = mono_since(mono_now(), decided) / TIME_US;
    atomic_store_explicit(&compiler->delay_last_us, delay, memory_order_relaxed);
    if (delay > atomic_load_explicit(&compiler->delay_worst_us, memory_order_relaxed)) {
        atomic_store_explicit(&compiler->delay_worst_us, delay, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&compiler->flips, flips, memory_order_relaxed);
}

static int64_t processor_time(void)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used); /* every Linux has it */
    return used.tv_sec * TIME_S + used.tv_nsec;
}

/* After a piece of so many names that began when the thread had used `before`. */
static void end_piece(struct compiler *compiler, size_t names, int64_t before)
{
    struct flip *flip = &compiler->flip;
    if (flip->left == 0) {
        note_flips(compiler, flip->count, flip->decided);
        *flip = (struct flip){.had_turn = true};
        return;
    }
    struct mono now = mono_now();
    struct pace pace = {.since_ns = mono_since(now, flip->decided),
                        .used_ns = processor_time() - before,
                        .names = names,
                        .left = flip->left};
    flip->next.ns = now.ns + pace_rest(&pace);
}

/* All of a small change; of a large one the first names, the others piece by piece. */
static void apply_status(struct compiler *compiler, const struct model_status *status)
{
    struct flip *flip = &compiler->flip;
    size_t left = 0;
    int64_t before = processor_time();
    size_t count = zone_database_begin_status(compiler->database, status, FLIP_AT_ONCE, &left);
    if (left <= flip->left) { /* none of it waits, whatever did before */
        note_flips(compiler, count, status->decided);
    } else {
        flip->count += count;
        flip->decided = flip->active ? flip->decided : status->decided;
        flip->active = true;
    }
    flip->left = left;
    if (flip->active) {
        end_piece(compiler, FLIP_AT_ONCE, before);
    }
}

static void continue_flip(struct compiler *compiler)
{
    struct flip *flip = &compiler->flip;
    int64_t before = processor_time();
    size_t names = mono_since(mono_now(), flip->decided) < PACE_GOAL_NS ? FLIP_PIECE : FLIP_LATE;
    flip->count += zone_database_continue_status(compiler->database, names, &flip->left);
    flip->had_turn = true;
    end_piece(compiler, names, before);
}

static bool flip_is_due(const struct compiler *compiler, struct mono now)
{
    return compiler->flip.active && now.ns >= compiler->flip.next.ns;
}

static void note_publication(struct compiler *compiler)
{
    uint64_t publications = zone_database_publications(compiler->database);
    if (publications != compiler->publications) {
        compiler->publications = publications;
        atomic_store_explicit(&compiler->published_ns, mono_now().ns, memory_order_relaxed);
    }
}

/* Inside a publish that signs: a change of health does not wait for its end. */
static void apply_waiting_status(void *context)
{
    struct compiler *compiler = context;
    thread_lock(&compiler->mutex);
    struct model_status *status = compiler->status;
    compiler->status = NULL;
    thread_unlock(&compiler->mutex);
    if (status != NULL) {
        apply_status(compiler, status);
        free(status);
    } else if (flip_is_due(compiler, mono_now())) {
        continue_flip(compiler);
    }
}

/* Signs for about a millisecond where there is something to sign; returns when it has to be called
 * next, on the clock that the condition waits on. The mutex is held at call and return. */
static struct mono sign_slice(struct compiler *compiler)
{
    thread_unlock(&compiler->mutex);
    struct mono next = {mono_now().ns + zone_database_refresh(compiler->database, wall_now())};
    snapshot_quiescent();
    thread_lock(&compiler->mutex);
    return next;
}

/* The same for a piece of a change of health. */
static void flip_slice(struct compiler *compiler)
{
    thread_unlock(&compiler->mutex);
    continue_flip(compiler);
    snapshot_quiescent();
    thread_lock(&compiler->mutex);
}

static void wait_for_work(struct compiler *compiler, struct mono until)
{
    snapshot_offline();
    (void)thread_wait_until(&compiler->wake, &compiler->mutex, until); /* looked at anew */
    snapshot_online();
}

/* One message, the mutex held at call and return, not in between. */
static void handle_one(struct compiler *compiler)
{
    /* Status goes first; but where tables come without end, work has every second turn. */
    bool work_has_turn = compiler->status == NULL || compiler->status_was_last;
    struct work *work = work_has_turn ? compiler->first : NULL;
    struct model_status *status = work == NULL ? compiler->status : NULL;
    compiler->status_was_last = work == NULL;
    compiler->flip.had_turn = false;
    if (work == NULL) {
        compiler->status = NULL;
    } else {
        compiler->first = work->next;
        if (compiler->first == NULL) {
            compiler->last = &compiler->first;
        }
    }
    thread_unlock(&compiler->mutex);
    if (status != NULL) {
        apply_status(compiler, status);
        free(status);
    } else if (work != NULL) {
        work->run(compiler->database, work->argument);
        note_publication(compiler);
    }
    thread_lock(&compiler->mutex);
    if (work != NULL) {
        work->done = true;
        (void)pthread_cond_broadcast(&compiler->finished);
    }
}

/* On a busy processor a flip comes in between the workers' turns, and a long one lets them in
 * often: Linux 6.12 and later take what a thread asks for as its slice. Elsewhere nothing changes.
 */
static void ask_for_short_slices(void)
{
    /* struct sched_attr, which sched.h and linux/sched/types.h cannot both give: sched_setattr(2).
     */
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime;
        uint64_t deadline;
        uint64_t period;
    } attributes = {.size = sizeof attributes,
                    .policy = SCHED_OTHER,
                    .nice = getpriority(PRIO_PROCESS, 0),
                    .runtime = SLICE_NS};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0); /* refused: as any other thread */
}

static void *compiler_main(void *argument)
{
    struct compiler *compiler = argument;
    ask_for_short_slices();
    snapshot_thread_begin(); /* TestDNSAnswer reads the zone set here */
    thread_lock(&compiler->mutex);
    struct mono refresh = {0}; /* signatures come behind health and edits */
    while (!compiler->stop || compiler->first != NULL) {
        struct mono now = mono_now();
        bool message = compiler->first != NULL || compiler->status != NULL;
        bool flip = flip_is_due(compiler, now);
        if (message && !(flip && !compiler->flip.had_turn)) {
            handle_one(compiler);
            snapshot_quiescent();
            refresh = mono_now(); /* there may be something new to sign */
        } else if (flip) {
            flip_slice(compiler);
            refresh = mono_now();
        } else if (!compiler->flip.active && now.ns >= refresh.ns) {
            refresh = sign_slice(compiler);
        } else {
            wait_for_work(compiler, compiler->flip.active ? compiler->flip.next : refresh);
        }
    }
    thread_unlock(&compiler->mutex);
    snapshot_thread_end();
    return NULL;
}

int compiler_start(struct compiler **ret_compiler, struct err *err)
{
    struct compiler *compiler = memory_new(sizeof *compiler);
    thread_sync_init(&compiler->mutex, &compiler->wake);
    thread_condition_init(&compiler->finished);
    compiler->last = &compiler->first;
    compiler->database = zone_database_new();
    zone_database_set_interrupt(compiler->database, apply_waiting_status, compiler);
    atomic_store_explicit(&compiler->published_ns, mono_now().ns, memory_order_relaxed);
    int rc = thread_start(&compiler->thread, "compiler", compiler_main, compiler, err);
    if (rc != 0) {
        zone_database_free(compiler->database);
        free(compiler);
        return rc;
    }
    *ret_compiler = compiler;
    return 0;
}

void compiler_stop(struct compiler *take_compiler)
{
    struct compiler *compiler = take_compiler;
    if (compiler == NULL) {
        return;
    }
    thread_lock(&compiler->mutex);
    compiler->stop = true;
    (void)pthread_cond_signal(&compiler->wake);
    thread_unlock(&compiler->mutex);
    thread_join(compiler->thread);
    zone_database_free(compiler->database);
    free(compiler->status);
    (void)pthread_cond_destroy(&compiler->finished);
    (void)pthread_cond_destroy(&compiler->wake);
    (void)pthread_mutex_destroy(&compiler->mutex);
    free(compiler);
}

void compiler_run(struct compiler *compiler,
                  void (*work)(struct zone_database *database, void *argument), void *argument)
{
    struct work item = {.run = work, .argument = argument};
    thread_lock(&compiler->mutex);
    *compiler->last = &item;
    compiler->last = &item.next;
    (void)pthread_cond_signal(&compiler->wake);
    while (!item.done) {
        (void)pthread_cond_wait(&compiler->finished, &compiler->mutex);
    }
    thread_unlock(&compiler->mutex);
}

void compiler_set_status(struct compiler *compiler, const struct model_status *status)
{
    struct model_status *fresh = copy_status(status);
    thread_lock(&compiler->mutex);
    struct model_status *old = compiler->status;
    if (old != NULL && old->decided.ns < fresh->decided.ns && old->generation < fresh->generation) {
        fresh->decided = old->decided; /* the delay counts from the oldest change not applied */
    }
    compiler->status = fresh;
    (void)pthread_cond_signal(&compiler->wake);
    thread_unlock(&compiler->mutex);
    free(old);
}

struct zone_set *compiler_zones(struct compiler *compiler)
{
    return zone_database_readers(compiler->database);
}

struct mono compiler_published(struct compiler *compiler)
{
    return (struct mono){atomic_load_explicit(&compiler->published_ns, memory_order_relaxed)};
}

struct compiler_delay compiler_delay(struct compiler *compiler)
{
    return (struct compiler_delay){
        .last_us = atomic_load_explicit(&compiler->delay_last_us, memory_order_relaxed),
        .worst_us = atomic_load_explicit(&compiler->delay_worst_us, memory_order_relaxed),
        .flips = atomic_load_explicit(&compiler->flips, memory_order_relaxed)};
}
