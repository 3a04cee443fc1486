/* Watches of an embedded backend: see hub.h. Called by the memory and SQLite backends; any thread.
 * The hub's lock guards every field of every watch but the arena, which belongs to the thread in
 * store_hub_next. Invariant: a watch that is not `pending` has been told everything under its
 * prefix up to `position`, and nothing after it concerns it up to the hub's revision. */
#include "store/hub.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/txn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct store_hub_watch {
    struct store_watch base;
    struct store_hub *hub;
    struct store_hub_watch *next;
    char *prefix;
    pthread_cond_t changed;
    struct arena arena; /* the last batch */
    int64_t position;   /* everything up to here was read or is of no concern */
    int64_t told;       /* revision of the last batch */
    bool pending;       /* there may be changes after position */
    bool interrupted;
    bool lost; /* must start again from a snapshot; sticky */
};

void store_hub_init(struct store_hub *hub, struct store *store, int64_t revision,
                    store_hub_read read)
{
    *hub = (struct store_hub){.revision = revision, .read = read, .store = store};
    (void)pthread_mutex_init(&hub->lock, NULL); /* cannot fail with default attributes */
}

void store_hub_done(struct store_hub *hub)
{
    assert(hub->watches == NULL);
    (void)pthread_mutex_destroy(&hub->lock);
}

/* Whether one of the operations may touch a key under the prefix. */
static bool concerns(const struct store_txn *txn, const char *prefix)
{
    if (txn == NULL) {
        return true;
    }
    for (size_t i = 0; i < txn->op_count; i++) {
        const struct store_op *op = &txn->ops[i];
        if (text_starts(op->key, prefix) ||
            (op->type == STORE_OP_DELETE_PREFIX && text_starts(prefix, op->key))) {
            return true;
        }
    }
    return false;
}

void store_hub_publish(struct store_hub *hub, int64_t revision, const struct store_txn *txn)
{
    (void)pthread_mutex_lock(&hub->lock);
    hub->revision = MAX(hub->revision, revision);
    for (struct store_hub_watch *watch = hub->watches; watch != NULL; watch = watch->next) {
        if (watch->pending || watch->position >= revision) {
            continue;
        }
        if (concerns(txn, watch->prefix)) {
            watch->pending = true;
            (void)pthread_cond_signal(&watch->changed);
        } else {
            watch->position = revision;
        }
    }
    (void)pthread_mutex_unlock(&hub->lock);
}

static void lose(struct store_hub_watch *watch)
{
    watch->lost = true;
    (void)pthread_cond_signal(&watch->changed);
}

void store_hub_reset(struct store_hub *hub, int64_t revision)
{
    (void)pthread_mutex_lock(&hub->lock);
    hub->revision = revision;
    for (struct store_hub_watch *watch = hub->watches; watch != NULL; watch = watch->next) {
        lose(watch);
    }
    (void)pthread_mutex_unlock(&hub->lock);
}

void store_hub_lose(struct store_watch *watch)
{
    struct store_hub_watch *self = CONTAINER_OF(watch, struct store_hub_watch, base);
    (void)pthread_mutex_lock(&self->hub->lock);
    lose(self);
    (void)pthread_mutex_unlock(&self->hub->lock);
}

struct store_watch *store_hub_open(struct store_hub *hub, const char *prefix, int64_t after)
{
    struct store_hub_watch *watch = memory_new(sizeof *watch);
    watch->base.store = hub->store;
    watch->hub = hub;
    watch->prefix = memory_strdup(prefix);
    watch->position = after;
    watch->told = after;
    thread_condition_init(&watch->changed);
    arena_init(&watch->arena, 0);
    (void)pthread_mutex_lock(&hub->lock);
    /* A start before the newest revision reads at once: history or ERR_COMPACTED. */
    watch->pending = after < hub->revision;
    watch->next = hub->watches;
    hub->watches = watch;
    (void)pthread_mutex_unlock(&hub->lock);
    return &watch->base;
}

/* Reads the history after the watch's position, without the lock. *ret_found: there is a batch to
 * give. */
static int read_history(struct store_hub_watch *watch, struct store_batch *ret_batch,
                        bool *ret_found, struct err *err)
{
    struct store_hub *hub = watch->hub;
    int64_t position = watch->position;
    struct store_batch batch = {0};
    (void)pthread_mutex_unlock(&hub->lock);
    int rc = hub->read(hub->store, watch->prefix, position, &watch->arena, &batch, err);
    (void)pthread_mutex_lock(&hub->lock);
    if (rc != 0) {
        return rc;
    }
    watch->position = MAX(watch->position, batch.revision);
    watch->pending = watch->position < hub->revision;
    *ret_found = batch.count != 0;
    if (*ret_found) {
        watch->told = batch.revision;
        *ret_batch = batch;
    }
    return 0;
}

/* Nothing came in time: at least how far the watch has come, when that is news. */
static int timed_out(struct store_hub_watch *watch, struct store_batch *ret_batch, struct err *err)
{
    if (watch->position <= watch->told) {
        return err_set(err, ERR_TIMEOUT, "nothing changed under %.160s in time", watch->prefix);
    }
    watch->told = watch->position;
    *ret_batch = (struct store_batch){.revision = watch->position};
    return 0;
}

static int wait_for_batch(struct store_hub_watch *watch, int timeout_ms, struct mono deadline,
                          struct store_batch *ret_batch, struct err *err)
{
    bool late = false;
    for (;;) {
        if (watch->interrupted) {
            return err_set(err, ERR_CANCELLED, "the watch was interrupted");
        }
        if (watch->lost) {
            return err_set(err, ERR_COMPACTED, "the store was filled anew: its history is gone");
        }
        if (watch->pending) {
            bool found = false;
            int rc = read_history(watch, ret_batch, &found, err);
            if (rc != 0 || (found && !watch->lost)) {
                return rc;
            }
            continue;
        }
        if (late) {
            return timed_out(watch, ret_batch, err);
        }
        if (timeout_ms < 0) {
            (void)pthread_cond_wait(&watch->changed, &watch->hub->lock); /* cannot fail */
        } else {
            /* A wait that is over before it begins would still be a turn of the scheduler's. */
            late =
                timeout_ms == 0 || !thread_wait_until(&watch->changed, &watch->hub->lock, deadline);
        }
    }
}

int store_hub_next(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                   struct err *err)
{
    struct store_hub_watch *self = CONTAINER_OF(watch, struct store_hub_watch, base);
    struct mono deadline = mono_from_now(MAX(timeout_ms, 0) * TIME_MS);
    arena_done(&self->arena); /* the last batch ends here */
    (void)pthread_mutex_lock(&self->hub->lock);
    int rc = wait_for_batch(self, timeout_ms, deadline, ret_batch, err);
    (void)pthread_mutex_unlock(&self->hub->lock);
    return rc;
}

void store_hub_interrupt(struct store_watch *watch)
{
    struct store_hub_watch *self = CONTAINER_OF(watch, struct store_hub_watch, base);
    (void)pthread_mutex_lock(&self->hub->lock);
    self->interrupted = true;
    (void)pthread_cond_signal(&self->changed);
    (void)pthread_mutex_unlock(&self->hub->lock);
}

void store_hub_close(struct store_watch *take_watch)
{
    struct store_hub_watch *self = CONTAINER_OF(take_watch, struct store_hub_watch, base);
    struct store_hub *hub = self->hub;
    (void)pthread_mutex_lock(&hub->lock);
    struct store_hub_watch **link = &hub->watches;
    while (*link != self) {
        link = &(*link)->next;
    }
    *link = self->next;
    (void)pthread_mutex_unlock(&hub->lock);
    (void)pthread_cond_destroy(&self->changed);
    arena_done(&self->arena);
    free(self->prefix);
    free(self);
}
