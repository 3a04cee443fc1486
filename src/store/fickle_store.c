/* A store that fails on demand: see fickle_store.h. Every call holds the lock for reading, so that
 * a replaced store is not in use any more; a watch waits in short turns for the same reason. */
#include "store/fickle_store.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/time.h"
#include "store/backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TURN_MS 5

struct fickle {
    struct store base;
    pthread_rwlock_t lock; /* over inner and generation */
    struct store *inner;
    unsigned generation;
    _Atomic bool failing;
    _Atomic unsigned odds;
    _Atomic bool lose;
    _Atomic bool conflicting;
    _Atomic uint64_t past;
    pthread_mutex_t judging; /* guards what follows */
    fickle_judge judge;      /* NULL: none */
    void *judge_context;
};

struct fickle_watch {
    struct store_watch base;
    struct store_watch *inner; /* NULL: it belonged to one that is gone */
    unsigned generation;
    _Atomic bool interrupted;
};

static struct fickle *fickle_of(struct store *store)
{
    return CONTAINER_OF(store, struct fickle, base);
}

/* With the lock, when it returns 0. */
static int enter(struct fickle *self, struct err *err)
{
    unsigned odds = atomic_load(&self->odds);
    unsigned number = 0;
    random_bytes(&number, sizeof number);
    (void)pthread_rwlock_rdlock(&self->lock); /* cannot fail */
    if (atomic_load(&self->failing) || (odds != 0 && number % odds == 0)) {
        (void)pthread_rwlock_unlock(&self->lock); /* as above */
        return err_set(err, ERR_UNAVAILABLE, "the store is away");
    }
    return 0;
}

static int leave(struct fickle *self, int rc)
{
    (void)pthread_rwlock_unlock(&self->lock);
    return rc;
}

static int get(struct store *store, const char *key, struct arena *arena,
               struct store_entry *ret_entry, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_get(self->inner, key, arena, ret_entry, err));
}

static int range(struct store *store, const char *prefix, const char *after, size_t limit,
                 bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    struct fickle *self = fickle_of(store);
    (void)bare; /* more than was asked for */
    int rc = enter(self, err);
    return rc != 0
               ? rc
               : leave(self, store_range(self->inner, prefix, after, limit, arena, ret_list, err));
}

static int ranges(struct store *store, const char *const *prefixes, size_t prefix_count,
                  struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc
                   : leave(self, store_ranges(self->inner, prefixes, prefix_count, arena, ret_lists,
                                              err));
}

static int count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_count(self->inner, prefix, ret_count, err));
}

static int revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_revision(self->inner, ret_revision, err));
}

/* Without the lock: it may wait. */
static bool goes_well(struct fickle *self, const struct store_txn *txn, bool happened)
{
    thread_lock(&self->judging);
    fickle_judge judge = self->judge;
    void *context = self->judge_context;
    thread_unlock(&self->judging);
    return judge == NULL || judge(context, txn, happened);
}

static int commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                  struct err *err)
{
    struct fickle *self = fickle_of(store);
    int64_t revision = 0;
    if (!goes_well(self, txn, false)) {
        return err_set(err, ERR_UNAVAILABLE, "the store is away");
    }
    int rc = enter(self, err);
    if (rc == 0 && atomic_load(&self->conflicting)) {
        return leave(self, err_set(err, ERR_CONFLICT, "somebody else was first"));
    }
    rc = rc != 0 ? rc : leave(self, store_commit(self->inner, txn, &revision, err));
    if (rc == 0 && !goes_well(self, txn, true)) {
        return err_set(err, ERR_TIMEOUT, "no answer came");
    }
    if (rc == 0) {
        *ret_revision = revision;
    }
    return rc;
}

static int watch_open(struct store *store, const char *prefix, int64_t after,
                      struct store_watch **ret_watch, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    if (rc != 0) {
        return rc;
    }
    struct fickle_watch *watch = memory_new(sizeof *watch);
    watch->base.store = store;
    watch->generation = self->generation;
    rc = leave(self, store_watch_open(self->inner, prefix, after, &watch->inner, err));
    if (rc != 0) {
        free(watch);
        return rc;
    }
    *ret_watch = &watch->base;
    return 0;
}

static int turn(struct fickle *self, struct fickle_watch *watch, struct store_batch *ret_batch,
                struct err *err)
{
    int rc = enter(self, err);
    if (rc != 0) {
        return rc;
    }
    if (watch->generation != self->generation) {
        return leave(self, err_set(err, ERR_UNAVAILABLE, "the store was replaced"));
    }
    struct store_batch batch = {0};
    rc = store_watch_next(watch->inner, TURN_MS, &batch, err);
    if (rc == 0 && batch.count != 0 && atomic_exchange(&self->lose, false)) {
        rc = err_set(err, ERR_TIMEOUT, "nothing");
    }
    if (rc == 0) {
        *ret_batch = batch;
    }
    return leave(self, rc);
}

static int watch_next(struct store_watch *watch, int timeout_ms, struct store_batch *ret_batch,
                      struct err *err)
{
    struct fickle_watch *self = CONTAINER_OF(watch, struct fickle_watch, base);
    struct mono until = {.ns = mono_now().ns + timeout_ms * TIME_MS};
    for (;;) {
        if (atomic_load(&self->interrupted)) {
            return err_set(err, ERR_CANCELLED, "the watch was interrupted");
        }
        err_clear(err);
        int rc = turn(fickle_of(watch->store), self, ret_batch, err);
        bool late = timeout_ms >= 0 && mono_since(mono_now(), until) >= 0;
        if (rc == 0 || err->kind != ERR_TIMEOUT || late) {
            return rc;
        }
    }
}

static void watch_interrupt(struct store_watch *watch)
{
    atomic_store(&CONTAINER_OF(watch, struct fickle_watch, base)->interrupted, true);
}

static void watch_close(struct store_watch *take_watch)
{
    struct fickle_watch *watch = CONTAINER_OF(take_watch, struct fickle_watch, base);
    store_watch_close(watch->inner);
    free(watch);
}

static int compact(struct store *store, int64_t number, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_compact(self->inner, number, err));
}

static int lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_lease_grant(self->inner, ttl_ms, ret_lease, err));
}

static int lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_lease_keepalive(self->inner, lease, err));
}

static int lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    struct fickle *self = fickle_of(store);
    int rc = enter(self, err);
    return rc != 0 ? rc : leave(self, store_lease_revoke(self->inner, lease, err));
}

static void close_store(struct store *take_store)
{
    struct fickle *self = fickle_of(take_store);
    (void)pthread_rwlock_destroy(&self->lock);
    (void)pthread_mutex_destroy(&self->judging); /* nobody has it */
    free(self);
}

static uint64_t past(struct store *store)
{
    return atomic_load(&fickle_of(store)->past);
}

static const struct store_backend backend = {
    .name = "fickle",
    .get = get,
    .range = range,
    .ranges = ranges,
    .count = count,
    .revision = revision,
    .past = past,
    .commit = commit,
    .watch_open = watch_open,
    .watch_next = watch_next,
    .watch_interrupt = watch_interrupt,
    .watch_close = watch_close,
    .compact = compact,
    .lease_grant = lease_grant,
    .lease_keepalive = lease_keepalive,
    .lease_revoke = lease_revoke,
    .close = close_store,
};

struct store *fickle_new(struct store *inner)
{
    struct fickle *self = memory_new(sizeof *self);
    self->base.backend = &backend;
    self->inner = inner;
    (void)pthread_rwlock_init(&self->lock, NULL);   /* cannot fail with default attributes */
    (void)pthread_mutex_init(&self->judging, NULL); /* as above */
    return &self->base;
}

void fickle_fail(struct store *store, bool failing)
{
    struct fickle *self = fickle_of(store);
    atomic_store(&self->failing, failing);
    (void)pthread_rwlock_wrlock(&self->lock); /* cannot fail; calls that were under way are over */
    (void)pthread_rwlock_unlock(&self->lock); /* as above */
}

void fickle_conflict(struct store *store, bool conflicting)
{
    atomic_store(&fickle_of(store)->conflicting, conflicting);
}

void fickle_judge_commits(struct store *store, fickle_judge judge, void *context)
{
    struct fickle *self = fickle_of(store);
    thread_lock(&self->judging);
    self->judge = judge;
    self->judge_context = context;
    thread_unlock(&self->judging);
}

void fickle_set_past(struct store *store, uint64_t value)
{
    atomic_store(&fickle_of(store)->past, value);
}

void fickle_fail_sometimes(struct store *store, unsigned n)
{
    atomic_store(&fickle_of(store)->odds, n);
}

void fickle_replace(struct store *store, struct store *inner)
{
    struct fickle *self = fickle_of(store);
    (void)pthread_rwlock_wrlock(&self->lock); /* cannot fail */
    self->inner = inner;
    self->generation++;
    (void)pthread_rwlock_unlock(&self->lock);
}

void fickle_lose_batch(struct store *store)
{
    atomic_store(&fickle_of(store)->lose, true);
}
