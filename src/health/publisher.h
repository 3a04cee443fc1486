/* When the status table is published: before the loop waits again; but an improvement that comes
 * within 10 ms of the last publication waits for the end of these, together with others.
 *
 * Called by check_table.c on the health loop. Ownership: the published table belongs to the
 * publisher until it is retired (base/snapshot.h). Invariant: generations go up by one; the loop
 * never waits while a change for the worse is unpublished. */
#ifndef HEALTH_PUBLISHER_H
#define HEALTH_PUBLISHER_H

#include "base/macro.h"
#include "base/time.h"
#include "health/counters.h"
#include "model/status.h"

#include <stdbool.h>

#include <uv.h>

struct publisher;

struct publisher_config {
    uv_loop_t *loop;
    struct counters *counters;
    /* Makes the table of now; generation and decided are filled in by the publisher. */
    struct model_status *(*build)(void *context);
    /* Frees a table; any thread. */
    void (*dispose)(void *status);
    void *context;
    void (*published)(void *context, const struct model_status *status);
    void *published_context;
};

struct publisher *publisher_new(const struct publisher_config *config) MUST_CHECK;
/* Something changed; worse: somebody became unhealthy. */
void publisher_changed(struct publisher *publisher, bool worse, struct mono decided);
void publisher_now(struct publisher *publisher);
/* Retires the last table. */
void publisher_close(struct publisher *take_publisher);

#endif
