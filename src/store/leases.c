/* Lease timing: see leases.h. Called by the memory and SQLite backends on any thread; the thread
 * here calls the backend's end function. The lock guards the table. */
#include "store/leases.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/thread.h"
#include "store/txn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS TIME_S /* after the backend failed to delete the keys */

enum lease_state {
    LEASE_LIVE,
    LEASE_EXPIRED, /* its keys go as soon as the backend can */
    LEASE_ENDING,  /* some thread is deleting its keys */
};

struct store_lease {
    int64_t id;
    int64_t ttl_ns;
    struct mono deadline; /* of the next action on it */
    enum lease_state state;
};

void store_leases_init(struct store_leases *leases, store_lease_end end, void *context)
{
    *leases = (struct store_leases){.end = end, .context = context};
    thread_sync_init(&leases->lock, &leases->changed);
}

void store_leases_done(struct store_leases *leases)
{
    (void)pthread_mutex_lock(&leases->lock);
    leases->stopping = true;
    bool running = leases->running;
    (void)pthread_cond_signal(&leases->changed);
    (void)pthread_mutex_unlock(&leases->lock);
    if (running) {
        thread_join(leases->thread);
    }
    thread_sync_done(&leases->lock, &leases->changed);
    free(leases->items);
}

/* The place of id in the table, or where it belongs. */
static size_t place(const struct store_leases *leases, int64_t id)
{
    size_t low = 0;
    size_t high = leases->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (leases->items[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct store_lease *find(const struct store_leases *leases, int64_t id)
{
    size_t at = place(leases, id);
    return at < leases->count && leases->items[at].id == id ? &leases->items[at] : NULL;
}

static void drop(struct store_leases *leases, int64_t id)
{
    size_t at = place(leases, id);
    assert(at < leases->count && leases->items[at].id == id);
    leases->count--;
    (void)memmove(&leases->items[at], &leases->items[at + 1],
                  (leases->count - at) * sizeof *leases->items);
}

/* The lease that is due next, NULL when none can be. */
static struct store_lease *earliest(const struct store_leases *leases)
{
    struct store_lease *first = NULL;
    for (size_t i = 0; i < leases->count; i++) {
        struct store_lease *lease = &leases->items[i];
        if (lease->state != LEASE_ENDING &&
            (first == NULL || lease->deadline.ns < first->deadline.ns)) {
            first = lease;
        }
    }
    return first;
}

/* Deletes the keys of a lease whose state is LEASE_ENDING; the lock is released meanwhile. The
 * table may move: the lease is looked up anew. */
static int end(struct store_leases *leases, int64_t id, enum lease_state state_on_failure,
               struct err *err)
{
    (void)pthread_mutex_unlock(&leases->lock);
    int rc = leases->end(leases->context, id, err);
    (void)pthread_mutex_lock(&leases->lock);
    if (rc == 0) {
        drop(leases, id);
        return 0;
    }
    struct store_lease *lease = find(leases, id);
    assert(lease != NULL);
    lease->state = state_on_failure;
    if (state_on_failure == LEASE_EXPIRED) {
        lease->deadline.ns = mono_now().ns + RETRY_NS;
    }
    (void)pthread_cond_signal(&leases->changed);
    return rc;
}

static void *run(void *context)
{
    struct store_leases *leases = context;
    (void)pthread_mutex_lock(&leases->lock);
    while (!leases->stopping) {
        struct store_lease *lease = earliest(leases);
        if (lease == NULL) {
            (void)pthread_cond_wait(&leases->changed, &leases->lock); /* cannot fail */
        } else if (mono_since(mono_now(), lease->deadline) < 0) {
            (void)thread_wait_until(&leases->changed, &leases->lock, lease->deadline);
        } else {
            struct err err = ERR_INIT;
            lease->state = LEASE_ENDING;
            (void)end(leases, lease->id, LEASE_EXPIRED, &err); /* tried again in a second */
        }
    }
    (void)pthread_mutex_unlock(&leases->lock);
    return NULL;
}

static int start(struct store_leases *leases, struct err *err)
{
    if (leases->running) {
        return 0;
    }
    int rc = thread_start(&leases->thread, "store-leases", run, leases, err);
    leases->running = rc == 0;
    return rc;
}

int64_t store_leases_new_id(struct store_leases *leases)
{
    (void)pthread_mutex_lock(&leases->lock);
    int64_t id = 0;
    while (id == 0 || find(leases, id) != NULL) {
        random_bytes(&id, sizeof id);
        id &= INT64_MAX;
    }
    (void)pthread_mutex_unlock(&leases->lock);
    return id;
}

static int add(struct store_leases *leases, int64_t id, int64_t ttl_ms, struct err *err)
{
    int rc = start(leases, err);
    if (rc != 0) {
        return rc;
    }
    if (leases->count == leases->capacity) {
        leases->capacity = leases->capacity == 0 ? 16 : leases->capacity * 2;
        leases->items = memory_resize(leases->items, leases->capacity, sizeof *leases->items);
    }
    size_t at = place(leases, id);
    (void)memmove(&leases->items[at + 1], &leases->items[at],
                  (leases->count - at) * sizeof *leases->items);
    leases->count++;
    leases->items[at] = (struct store_lease){
        .id = id, .ttl_ns = ttl_ms * TIME_MS, .deadline = {mono_now().ns + ttl_ms * TIME_MS}};
    (void)pthread_cond_signal(&leases->changed);
    return 0;
}

int store_leases_add(struct store_leases *leases, int64_t id, int64_t ttl_ms, struct err *err)
{
    (void)pthread_mutex_lock(&leases->lock);
    int rc = leases->count < STORE_LEASE_LIMIT
                 ? add(leases, id, ttl_ms, err)
                 : err_set(err, ERR_LIMIT, "there are %u leases already", STORE_LEASE_LIMIT);
    (void)pthread_mutex_unlock(&leases->lock);
    return rc;
}

int store_leases_restore(struct store_leases *leases, int64_t id, int64_t ttl_ms, struct err *err)
{
    (void)pthread_mutex_lock(&leases->lock);
    int rc = add(leases, id, ttl_ms, err);
    (void)pthread_mutex_unlock(&leases->lock);
    return rc;
}

/* The lease while it is live. One that ran out is dead from that moment on, even when the thread
 * has not come to it yet. */
static struct store_lease *find_live(const struct store_leases *leases, int64_t id, struct mono now)
{
    struct store_lease *lease = find(leases, id);
    return lease != NULL && lease->state == LEASE_LIVE && mono_since(now, lease->deadline) < 0
               ? lease
               : NULL;
}

bool store_leases_live(struct store_leases *leases, int64_t id)
{
    (void)pthread_mutex_lock(&leases->lock);
    bool live = find_live(leases, id, mono_now()) != NULL;
    (void)pthread_mutex_unlock(&leases->lock);
    return live;
}

int store_leases_keepalive(struct store_leases *leases, int64_t id, struct err *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&leases->lock);
    struct mono now = mono_now();
    struct store_lease *lease = find_live(leases, id, now);
    if (lease == NULL) {
        rc = store_lease_unknown(id, err);
    } else {
        /* The thread wakes at the old deadline and finds the new one. */
        lease->deadline.ns = now.ns + lease->ttl_ns;
    }
    (void)pthread_mutex_unlock(&leases->lock);
    return rc;
}

int store_leases_revoke(struct store_leases *leases, int64_t id, struct err *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&leases->lock);
    struct store_lease *lease = find_live(leases, id, mono_now());
    if (lease == NULL) {
        rc = store_lease_unknown(id, err);
    } else {
        lease->state = LEASE_ENDING;
        rc = end(leases, id, LEASE_LIVE, err);
    }
    (void)pthread_mutex_unlock(&leases->lock);
    return rc;
}
