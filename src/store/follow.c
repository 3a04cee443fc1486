/* Following a part of a store: see follow.h. The watch is opened before anything is read: one that
 * was opened after might begin in a store that was filled anew meanwhile, and not know. The mutex
 * guards what store_follower_free needs to end the thread; the rest is the thread's own (before it
 * runs: store_follower_new's). */
#include "store/follow.h"

#include "base/memory.h"
#include "base/thread.h"

#include <stdlib.h>

#define WAIT_MS 10000
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 5000
#define FIRST_TRIES 5 /* a store that is filled anew meanwhile */

struct store_follower {
    struct store_follower_config config;
    int64_t revision; /* everything up to it has been handed over */
    int64_t retry_ms; /* 0: the store was there just now */
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stopped;
    bool stopping;
    struct store_watch *watch; /* NULL while there is none; guarded where it changes */
};

static bool is_stopping(struct store_follower *follower)
{
    thread_lock(&follower->mutex);
    bool stopping = follower->stopping;
    thread_unlock(&follower->mutex);
    return stopping;
}

/* Publishes the watch, so that store_follower_free can interrupt it. */
static void set_watch(struct store_follower *follower, struct store_watch *take_watch)
{
    thread_lock(&follower->mutex);
    struct store_watch *old = follower->watch;
    follower->watch = take_watch;
    if (take_watch != NULL && follower->stopping) {
        store_watch_interrupt(take_watch);
    }
    thread_unlock(&follower->mutex);
    store_watch_close(old);
}

/* Opens the watch and reads everything. */
static int begin(struct store_follower *follower, struct err *err)
{
    const struct store_follower_config *config = &follower->config;
    struct store_watch *watch = NULL;
    int64_t start = 0;
    int rc = store_revision(config->store, &start, err);
    rc = rc != 0 ? rc : store_watch_open(config->store, config->prefix, start, &watch, err);
    if (rc != 0) {
        return rc;
    }
    set_watch(follower, watch);
    rc = config->read_all(config->context, &follower->revision, err);
    if (rc == 0 && follower->revision < start) {
        rc = err_set(err, ERR_COMPACTED, "the store went back while it was read");
    }
    if (rc != 0) {
        set_watch(follower, NULL);
    }
    return rc;
}

/* Without the changes that were read with everything. */
static void hand_over(struct store_follower *follower, struct store_batch batch)
{
    while (batch.count > 0 && batch.changes->entry.changed_revision <= follower->revision) {
        batch.changes++;
        batch.count--;
    }
    follower->config.take_batch(follower->config.context, &batch);
    follower->revision = MAX(follower->revision, batch.revision);
}

/* Until the store fails, the history is gone, or the thread shall end: with an error. */
static void follow(struct store_follower *follower, struct err *err)
{
    int rc = 0;
    while (rc == 0) {
        struct store_batch batch;
        rc = store_watch_next(follower->watch, WAIT_MS, &batch, err);
        if (rc == 0) {
            hand_over(follower, batch);
        } else if (err->kind == ERR_TIMEOUT) {
            err_clear(err);
            rc = 0;
        }
        follower->retry_ms = rc == 0 ? 0 : follower->retry_ms;
    }
    set_watch(follower, NULL);
}

static void pause_before_retry(struct store_follower *follower)
{
    struct mono until = mono_from_now(follower->retry_ms * TIME_MS);
    thread_lock(&follower->mutex);
    while (!follower->stopping && thread_wait_until(&follower->stopped, &follower->mutex, until)) {
        /* woken for nothing */
    }
    thread_unlock(&follower->mutex);
}

static void *run(void *argument)
{
    struct store_follower *follower = argument;
    const struct store_follower_config *config = &follower->config;
    while (!is_stopping(follower)) {
        struct err err = ERR_INIT;
        if (follower->watch != NULL || begin(follower, &err) == 0) {
            follow(follower, &err);
        }
        if (err.kind == ERR_COMPACTED || is_stopping(follower)) {
            continue;
        }
        follower->retry_ms =
            follower->retry_ms == 0 ? RETRY_FIRST_MS : MIN(follower->retry_ms * 2, RETRY_LAST_MS);
        config->failed(config->context, &err, follower->retry_ms);
        pause_before_retry(follower);
    }
    return NULL;
}

int store_follower_new(const struct store_follower_config *config,
                       struct store_follower **ret_follower, struct err *err)
{
    struct store_follower *follower = memory_new(sizeof *follower);
    follower->config = *config;
    thread_sync_init(&follower->mutex, &follower->stopped);
    int rc = config->later ? 0 : begin(follower, err);
    for (unsigned i = 1; rc != 0 && err->kind == ERR_COMPACTED && i < FIRST_TRIES; i++) {
        err_clear(err);
        rc = begin(follower, err);
    }
    if (rc != 0) {
        store_follower_free(follower);
        return rc;
    }
    *ret_follower = follower;
    return 0;
}

int store_follower_start(struct store_follower *follower, struct err *err)
{
    int rc = thread_start(&follower->thread, follower->config.thread, run, follower, err);
    follower->started = rc == 0;
    return rc;
}

void store_follower_free(struct store_follower *take_follower)
{
    if (take_follower == NULL) {
        return;
    }
    thread_lock(&take_follower->mutex);
    take_follower->stopping = true;
    if (take_follower->watch != NULL) {
        store_watch_interrupt(take_follower->watch);
    }
    (void)pthread_cond_signal(&take_follower->stopped); /* cannot fail on Linux */
    thread_unlock(&take_follower->mutex);
    if (take_follower->started) {
        thread_join(take_follower->thread);
    }
    store_watch_close(take_follower->watch);
    thread_sync_done(&take_follower->mutex, &take_follower->stopped);
    free(take_follower);
}
