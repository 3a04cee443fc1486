/* Name resolution off the loop: A records only, the system's resolver, nothing cached.
 *
 * Called by engine.c on the health loop. getaddrinfo(3) cannot be interrupted, so it runs on a
 * bounded set of threads that are started as needed; a lookup that is cancelled is forgotten by the
 * loop and its thread's answer dropped. Ownership: the pool outlives its loop side until the last
 * thread is done with it. Invariant: at most LOOKUP_THREADS names are being asked for; the rest
 * wait in order. */
#ifndef HEALTH_PROBE_LOOKUP_H
#define HEALTH_PROBE_LOOKUP_H

#include "base/err.h"
#include "base/macro.h"

#include <netinet/in.h>
#include <stdbool.h>

#include <uv.h>

#define LOOKUP_THREADS 64U
#define LOOKUP_NAME 256U

struct lookup;
struct lookup_pool;

struct lookup_answer {
    bool found;
    struct in_addr address; /* when found */
    const char *reason;     /* when not: why; static text */
    bool host_fault; /* not found because this host lacked memory, descriptors or the like: the
                        name was not asked for */
};

typedef void (*lookup_done)(void *context, const struct lookup_answer *answer);

int lookup_pool_new(uv_loop_t *loop, struct lookup_pool **ret_pool, struct err *err) MUST_CHECK;
/* Forgets all lookups; nothing is called any more. */
void lookup_pool_close(struct lookup_pool *take_pool);

/* name is copied. done is called once, on the loop, later than this call. */
struct lookup *lookup_start(struct lookup_pool *pool, const char *name, lookup_done done,
                            void *context) MUST_CHECK;
/* Whether all threads are busy with other names, so that this one was not asked for yet. */
bool lookup_waits(const struct lookup *lookup);
/* done is not called; NULL is fine. */
void lookup_cancel(struct lookup *take_lookup);

#endif
