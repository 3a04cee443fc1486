/* The replica's threads: see replica.h. The follower owns the copy (sqlite/copy.h) and the watch on
 * the truth; the pulse asks the truth for its revision, so that a request that hangs does not hold
 * up changes. They share what the mutex guards.
 *
 * Invariant: the copy changes by the watch only while the truth has the copy's past, as far as
 * replica_past.c knows, and each change follows from what the copy holds (copy_apply); else
 * everything is compared before anything is shown. */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/replica_internal.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 1000U
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS 5000
#define HEARD_KEEP_NS (30 * TIME_S) /* how often a quiet truth's being there is written down */
#define PULSES_MISSED 3             /* as long as this many it counts as there */
#define BEHIND_NS (2 * TIME_S)      /* a truth that is ahead for this long is not followed */
#define STUCK_NS (15 * TIME_S)      /* then the watch is opened anew */
#define CATCH_UP_NS (30 * TIME_S)   /* for the watch to come to the pages' revision */

/* ---- shared state ---- */

static bool is_stopping(struct replica *replica)
{
    replica_lock(replica);
    bool stopping = replica->stopping;
    replica_unlock(replica);
    return stopping;
}

/* Sleeps unless it has to end. */
static void pause_ns(struct replica *replica, int64_t ns)
{
    struct mono until = mono_from_now(ns);
    replica_lock(replica);
    while (!replica->stopping && mono_since(mono_now(), until) < 0) {
        (void)thread_wait_until(&replica->changed, &replica->mutex, until);
    }
    replica_unlock(replica);
}

/* With the mutex held: compares the two revisions. */
static void judge_behind(struct replica *replica)
{
    bool behind =
        !replica->status.complete || replica->status.revision < replica->status.truth_revision;
    if (!behind) {
        replica->behind_since = (struct mono){0};
    } else if (replica->behind_since.ns == 0) {
        replica->behind_since = mono_now();
    }
}

/* After the copy changed. */
static void note_copy(struct replica *replica)
{
    struct copy_state state = copy_state(replica->copy);
    replica->moved = mono_now();
    replica_lock(replica);
    replica->status.complete = state.complete;
    replica->status.revision = state.revision;
    replica->status.truth_revision = MAX(replica->status.truth_revision, state.revision);
    judge_behind(replica);
    (void)pthread_cond_broadcast(&replica->changed);
    replica_unlock(replica);
}

/* With the mutex held. */
static void note_heard(struct replica *replica)
{
    replica->status.heard = wall_now();
    replica->pulse_at = mono_now();
}

/* Says so once, until it is over. */
static void note_problem(struct replica *replica, const struct err *err)
{
    replica_lock(replica);
    bool said = replica->status.problem[0] != '\0';
    IGNORE_RESULT(text_copy(replica->status.problem, sizeof replica->status.problem,
                            err->message)); /* the same size */
    replica->status.counters.failures++;
    replica->failed = true;
    (void)pthread_cond_broadcast(&replica->changed);
    replica_unlock(replica);
    if (!said) {
        log_warn("replica.interrupted", F("reason", err),
                 F("next", "data planes go on with what the replica holds; tried again"));
    }
}

static void note_going(struct replica *replica)
{
    replica->retry_ms = 0;
    replica_lock(replica);
    bool said = replica->status.problem[0] != '\0';
    replica->status.problem[0] = '\0';
    replica->failed = false;
    replica_unlock(replica);
    if (said) {
        log_info("replica.resumed", F("revision", copy_state(replica->copy).revision));
    }
}

static void note_damage(struct replica *replica, const struct err *damage)
{
    replica_lock(replica);
    IGNORE_RESULT(text_copy(replica->status.damage, sizeof replica->status.damage,
                            damage->message)); /* the same size */
    replica->status.counters.damages++;
    replica_unlock(replica);
    log_error("replica.damaged", F("reason", damage), F("set_aside", COPY_FILE ".damaged"),
              F("next", "it is made anew from the truth"));
}

/* ---- the pulse ---- */

static void take_pulse(struct replica *replica)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    replica_lock(replica);
    int64_t known = replica->status.complete ? replica->status.revision : 0;
    replica_unlock(replica);
    int rc = store_revision(replica->truth, &revision, &err);
    if (rc != 0) {
        replica_lock(replica);
        replica->recheck = true;
        replica->away = true;
        replica_unlock(replica);
        note_problem(replica, &err);
        return;
    }
    replica_lock(replica);
    note_heard(replica);
    replica->away = false;
    replica->went_back |= revision < known && revision < replica->status.revision;
    replica->status.truth_revision = revision;
    judge_behind(replica);
    (void)pthread_cond_broadcast(&replica->changed);
    replica_unlock(replica);
}

static void *pulse_main(void *argument)
{
    struct replica *replica = argument;
    while (!is_stopping(replica)) {
        take_pulse(replica);
        copy_tidy(replica->copy);
        pause_ns(replica, replica->pulse_ns);
    }
    return NULL;
}

/* ---- the follower: its watch ---- */

void replica_close_watch(struct replica *replica)
{
    replica_lock(replica);
    struct store_watch *watch = replica->watch;
    replica->watch = NULL;
    replica_unlock(replica);
    store_watch_close(watch);
}

int replica_open_watch(struct replica *replica, int64_t after, struct err *err)
{
    struct store_watch *watch = NULL;
    replica_close_watch(replica);
    int rc = store_watch_open(replica->truth, "", after, &watch, err);
    if (rc != 0) {
        return rc;
    }
    replica->moved = mono_now();
    replica_lock(replica);
    replica->watch = watch;
    if (replica->stopping) {
        store_watch_interrupt(watch);
    }
    replica_unlock(replica);
    return 0;
}

/* The next batch within a pulse. *ret_found: there is one. */
static int next_batch(struct replica *replica, struct store_batch *ret_batch, bool *ret_found,
                      struct err *err)
{
    int wait_ms = (int)(replica->pulse_ns / TIME_MS);
    int rc = store_watch_next(replica->watch, wait_ms, ret_batch, err);
    *ret_found = rc == 0;
    if (rc != 0 && err->kind == ERR_TIMEOUT) {
        err_clear(err);
        return 0;
    }
    return rc;
}

/* ---- everything anew ---- */

static int copy_pages(struct replica *replica, int64_t *ret_revision, struct err *err)
{
    char after[STORE_KEY_LIMIT + 1] = "";
    for (bool more = true; more;) {
        struct arena arena CLEANUP(arena_done);
        struct store_list list = {0};
        arena_init(&arena, 0);
        int rc = is_stopping(replica)
                     ? err_set(err, ERR_CANCELLED, "the replica ends")
                     : store_range(replica->truth, "", after, PAGE, &arena, &list, err);
        if (rc != 0) {
            return rc;
        }
        more = list.more && list.count != 0;
        rc = replica_here(replica,
                          copy_sync_page(replica->copy, list.entries, list.count, !more, err));
        if (rc != 0) {
            return rc;
        }
        *ret_revision = MAX(*ret_revision, list.revision);
        if (more) { /* keys of a store fit */
            IGNORE_RESULT(text_copy(after, sizeof after, list.entries[list.count - 1].key));
        }
        replica_lock(replica);
        note_heard(replica);
        replica_unlock(replica);
    }
    return 0;
}

/* Pages were read at several revisions: the watch makes them one state. */
int replica_catch_up(struct replica *replica, int64_t target, int64_t *reached, struct err *err)
{
    struct mono since = mono_now();
    while (*reached < target) {
        struct store_batch batch = {0};
        bool found = false;
        int rc = next_batch(replica, &batch, &found, err);
        if (rc == 0 && found) {
            rc = replica_here(replica, copy_sync_changes(replica->copy, &batch, err));
            *reached = batch.revision;
        }
        if (rc == 0 && mono_since(mono_now(), since) > CATCH_UP_NS) {
            rc = err_set(err, ERR_TIMEOUT, "the truth's watch does not come to revision %lld",
                         (long long)target);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int fill_copy(struct replica *replica, int64_t *reached, struct err *err)
{
    int64_t target = *reached;
    int rc = copy_pages(replica, &target, err);
    return rc != 0 ? rc : replica_catch_up(replica, target, reached, err);
}

static int synchronise(struct replica *replica, struct err *err)
{
    struct copy_state before = copy_state(replica->copy);
    struct mono started = mono_now();
    int64_t reached = 0;
    size_t differences = 0;
    replica_lock(replica);
    replica->went_back = false; /* judged by a pulse before this */
    replica_unlock(replica);
    int rc = store_revision(replica->truth, &reached, err);
    uint64_t past = store_past(replica->truth);
    rc = rc != 0 ? rc : replica_open_watch(replica, reached, err);
    rc = rc != 0 ? rc : replica_here(replica, copy_sync_begin(replica->copy, err));
    if (rc != 0) {
        return rc;
    }
    rc = fill_copy(replica, &reached, err);
    if (rc == 0 && store_past(replica->truth) != past) {
        rc = err_set(err, ERR_UNAVAILABLE, "the truth became another one while it was read");
    }
    if (rc != 0) {
        copy_sync_abandon(replica->copy);
        return rc;
    }
    rc = replica_here(
        replica, copy_sync_commit(replica->copy, reached, past, wall_now(), &differences, err));
    if (rc != 0) {
        return rc;
    }
    replica->compare_all = false;
    replica_lock(replica);
    replica->status.counters.synchronisations++;
    replica->status.truth_revision = reached;
    replica->recheck = false;
    replica->went_back = false;
    replica_unlock(replica);
    note_copy(replica);
    log_info("replica.synchronised", F("revision", reached), F("before", before.revision),
             F("differences", differences),
             F("milliseconds", mono_since(mono_now(), started) / TIME_MS));
    return 0;
}

/* ---- following ---- */

static bool worth_waiting_for(const struct err *err)
{
    return err->kind != ERR_CONFLICT && err->kind != ERR_CORRUPT && err->kind != ERR_INTERNAL;
}

static int64_t next_pause(struct replica *replica)
{
    replica->retry_ms =
        replica->retry_ms == 0 ? RETRY_FIRST_MS : MIN(replica->retry_ms * 2, RETRY_LAST_MS);
    return replica->retry_ms * TIME_MS;
}

/* A disk that is full does not cost the batch: it waits here. */
static int apply(struct replica *replica, const struct store_batch *batch, struct err *err)
{
    int rc = copy_apply(replica->copy, batch, wall_now(), err);
    while (rc != 0 && worth_waiting_for(err) && !is_stopping(replica)) {
        note_problem(replica, err);
        pause_ns(replica, next_pause(replica));
        err_clear(err);
        rc = copy_apply(replica->copy, batch, wall_now(), err);
    }
    if (replica_here(replica, rc) != 0) {
        return rc;
    }
    replica_lock(replica);
    replica->status.counters.batches += batch->count != 0 ? 1 : 0;
    replica->status.counters.changes += batch->count;
    note_heard(replica);
    replica_unlock(replica);
    note_copy(replica);
    return 0;
}

/* Between changes: writes down that the truth is there, and sees that the watch is, too. */
static int keep(struct replica *replica, struct err *err)
{
    struct mono now = mono_now();
    replica_lock(replica);
    struct wall heard = replica->status.heard;
    bool behind = replica->behind_since.ns != 0;
    bool lately = replica->pulse_at.ns != 0 && !replica->away;
    replica_unlock(replica);
    if (copy_suspect(replica->copy)) {
        return replica_here(
            replica, err_set(err, ERR_CORRUPT, "%s was damaged while it was in use", COPY_FILE));
    }
    struct copy_state state = copy_state(replica->copy);
    uint64_t past = state.past != 0 ? state.past : store_past(replica->truth);
    if (lately && (heard.ns - state.heard.ns > HEARD_KEEP_NS || past != state.past)) {
        int rc = copy_heard(replica->copy, heard, past, err);
        if (rc != 0) {
            return replica_here(replica, rc);
        }
    }
    if (behind && lately && mono_since(now, replica->moved) > STUCK_NS) {
        replica_close_watch(replica); /* opened again at once */
    }
    if (lately) {
        note_going(replica);
    }
    return 0;
}

/* Returns when everything is to be compared, or with an error. */
static int follow(struct replica *replica, struct err *err)
{
    int rc = 0;
    while (rc == 0 && !replica->compare_all) {
        struct store_batch batch = {0};
        bool found = false;
        rc = replica_look_back(replica, err);
        if (rc != 0 || replica->compare_all) {
            return rc;
        }
        if (replica->watch == NULL) {
            rc = replica_open_watch(replica, copy_state(replica->copy).revision, err);
        }
        rc = rc != 0 ? rc : next_batch(replica, &batch, &found, err);
        if (rc == 0 && replica_is_other_past(replica)) {
            return 0; /* the batch is not of our past */
        }
        rc = rc != 0 || !found ? rc : apply(replica, &batch, err);
        rc = rc != 0 ? rc : keep(replica, err);
    }
    return rc;
}

static void handle(struct replica *replica, const struct err *err)
{
    replica_close_watch(replica);
    if (err->kind == ERR_CANCELLED) {
        return;
    }
    if (replica->here && (err->kind == ERR_CORRUPT || err->kind == ERR_INTERNAL)) {
        replica->rebuild = true;
        note_damage(replica, err);
        return;
    }
    if (err->kind == ERR_COMPACTED || (replica->here && err->kind == ERR_CONFLICT)) {
        REPLICA_COUNT(replica, gaps, 1);
        log_warn("replica.gap", F("reason", err),
                 F("next", "everything is read again and compared; answers stay until then"));
        if (!replica->compare_all) {
            replica->compare_all = true;
            return; /* at once, the first time */
        }
    }
    replica_lock(replica);
    replica->recheck |= !replica->here;
    replica_unlock(replica);
    note_problem(replica, err);
    pause_ns(replica, next_pause(replica));
}

static int step(struct replica *replica, struct err *err)
{
    if (replica->rebuild) {
        int rc = replica_here(replica, copy_set_aside(replica->copy, err));
        note_copy(replica);
        if (rc != 0) {
            return rc;
        }
        replica->rebuild = false;
        replica->compare_all = true;
    }
    if (replica->compare_all) {
        int rc = synchronise(replica, err);
        if (rc != 0) {
            return rc;
        }
        note_going(replica);
    }
    return follow(replica, err);
}

static void *follower_main(void *argument)
{
    struct replica *replica = argument;
    while (!is_stopping(replica)) {
        struct err err = ERR_INIT;
        replica->here = false;
        if (step(replica, &err) != 0) {
            handle(replica, &err);
        }
    }
    replica_close_watch(replica);
    return NULL;
}

/* ---- life ---- */

static void replica_free(struct replica *replica)
{
    store_close(replica->copy);
    thread_sync_done(&replica->mutex, &replica->changed);
    free(replica->proofs);
    free(replica);
}

static void interrupt(struct replica *replica)
{
    replica_lock(replica);
    replica->stopping = true;
    if (replica->watch != NULL) {
        store_watch_interrupt(replica->watch);
    }
    (void)pthread_cond_broadcast(&replica->changed);
    replica_unlock(replica);
}

static int start_threads(struct replica *replica, struct err *err)
{
    int rc = thread_start(&replica->follower, "replica", follower_main, replica, err);
    if (rc != 0) {
        return rc;
    }
    rc = thread_start(&replica->pulse, "replica-pulse", pulse_main, replica, err);
    if (rc != 0) {
        interrupt(replica);
        thread_join(replica->follower);
    }
    return rc;
}

int replica_start(const struct replica_config *config, struct replica **ret_replica,
                  struct err *err)
{
    struct replica *replica = memory_new(sizeof *replica);
    struct err damage = ERR_INIT;
    unsigned pulse_ms = config->pulse_ms != 0 ? config->pulse_ms : REPLICA_PULSE_MS;
    replica->truth = config->truth;
    replica->pulse_ns = (int64_t)pulse_ms * TIME_MS;
    replica->proofs = memory_array(COPY_RECENT, sizeof *replica->proofs);
    thread_sync_init(&replica->mutex, &replica->changed);
    int rc = copy_open(config->directory, &replica->copy, &damage, err);
    if (rc != 0) {
        replica_free(replica);
        return err_wrap(err, "opening the replica");
    }
    if (damage.kind != ERR_NONE) {
        note_damage(replica, &damage);
    }
    struct copy_state state = copy_state(replica->copy);
    replica->status.heard = state.heard;
    replica->compare_all = !state.complete;
    replica->recheck = state.complete;
    note_copy(replica);
    replica->status.truth_revision = 0;
    log_info("replica.opened", F("revision", state.revision), F("complete", state.complete),
             F("heard", state.heard));
    rc = start_threads(replica, err);
    if (rc != 0) {
        replica_free(replica);
        return rc;
    }
    *ret_replica = replica;
    return 0;
}

/* With the mutex held. */
static bool in_step(const struct replica *replica)
{
    struct mono now = mono_now();
    return replica->status.complete && replica->pulse_at.ns != 0 &&
           mono_since(now, replica->pulse_at) < PULSES_MISSED * replica->pulse_ns &&
           replica->status.problem[0] == '\0' &&
           (replica->behind_since.ns == 0 || mono_since(now, replica->behind_since) < BEHIND_NS);
}

bool replica_wait(struct replica *replica, unsigned wait_ms)
{
    struct mono until = mono_from_now((int64_t)wait_ms * TIME_MS);
    replica_lock(replica);
    while (!replica->failed && !replica->stopping) {
        bool complete = replica->status.complete;
        bool level = complete && replica->pulse_at.ns != 0 && replica->behind_since.ns == 0;
        if (level || (complete && mono_since(mono_now(), until) >= 0)) {
            break;
        }
        if (complete) {
            (void)thread_wait_until(&replica->changed, &replica->mutex, until);
        } else {
            (void)pthread_cond_wait(&replica->changed, &replica->mutex); /* cannot fail */
        }
    }
    bool complete = replica->status.complete;
    replica_unlock(replica);
    return complete;
}

struct store *replica_store(struct replica *replica)
{
    return replica->copy;
}

void replica_status(struct replica *replica, struct replica_status *ret_status)
{
    replica_lock(replica);
    *ret_status = replica->status;
    ret_status->in_step = in_step(replica);
    ret_status->away = replica->away;
    replica_unlock(replica);
}

void replica_stop(struct replica *take_replica)
{
    if (take_replica == NULL) {
        return;
    }
    interrupt(take_replica);
    thread_join(take_replica->follower);
    thread_join(take_replica->pulse);
    replica_free(take_replica);
}
