/* The probes of one check, one after the other, on its schedule.
 *
 * Called by check_table.c on the health loop. Ownership: the runner owns its timer and the running
 * probe; the check is borrowed until it is replaced or the runner freed. Invariant: never two
 * probes of one check at once; one that is due while the former runs starts when that ends. */
#ifndef HEALTH_RUNNER_H
#define HEALTH_RUNNER_H

#include "base/macro.h"
#include "health/counters.h"
#include "health/probe/probe.h"

#include <stdint.h>

#include <uv.h>

struct runner;

struct runner_config {
    uv_loop_t *loop;
    struct probe_engine *engine;
    struct counters *counters;
    uint64_t hash;   /* spreads the phase */
    probe_done done; /* after each probe; may free the runner. Not after one that failed while this
                        process slept: it is repeated at once, and the second result counts */
    void *context;
};

/* The first probe starts within the interval or a second. */
struct runner *runner_new(const struct runner_config *config, const struct model_check *check)
    MUST_CHECK;
/* The check changed: a running probe is given up, and the next starts in the loop's next turn. */
void runner_change(struct runner *runner, const struct model_check *check);
/* No callback after. NULL is fine. */
void runner_free(struct runner *take_runner);

#endif
