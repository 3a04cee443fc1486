/* Lease timing of an embedded backend: which leases exist and when each runs out. Private to this
 * room.
 *
 * Deadlines are on the monotonic clock. A thread, started with the first lease, ends those that ran
 * out by calling the backend, which deletes their keys. Threads: any; the table has its own lock
 * and never calls the backend under it. Invariant: a lease that is not live takes no keys and no
 * keepalive any more; it stays in the table until its keys are gone. */
#ifndef STORE_LEASES_H
#define STORE_LEASES_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Leases are held by daemons, not by clients of the API: this is a guard, not a quota. */
#define STORE_LEASE_LIMIT 16384U

/* Deletes the lease's keys in one transaction. On failure it is called again after a second. */
typedef int (*store_lease_end)(void *context, int64_t lease, struct err *err);

struct store_lease;

struct store_leases {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool stopping;
    struct store_lease *items; /* sorted by id */
    size_t count;
    size_t capacity;
    store_lease_end end;
    void *context;
};

void store_leases_init(struct store_leases *leases, store_lease_end end, void *context);
/* Stops the thread. Leases that live stay as the backend stored them. */
void store_leases_done(struct store_leases *leases);

/* A fresh id, not in use. */
int64_t store_leases_new_id(struct store_leases *leases);
/* Live from now. ERR_LIMIT, or ERR_IO when no thread can be started. */
int store_leases_add(struct store_leases *leases, int64_t id, int64_t ttl_ms, struct err *err)
    MUST_CHECK;
/* The same for one that was stored, whatever the limit: a process may die between the two. */
int store_leases_restore(struct store_leases *leases, int64_t id, int64_t ttl_ms, struct err *err)
    MUST_CHECK;
bool store_leases_live(struct store_leases *leases, int64_t id);
/* ERR_NOT_FOUND when it is not live. */
int store_leases_keepalive(struct store_leases *leases, int64_t id, struct err *err) MUST_CHECK;
/* Ends the lease now; when the backend fails it lives on as before. ERR_NOT_FOUND as above. */
int store_leases_revoke(struct store_leases *leases, int64_t id, struct err *err) MUST_CHECK;

#endif
