/* When probes start: a steady period with a phase of the check's own, so that thousands do not fire
 * together. Pure; called by runner.c. Invariant: the times after the first depend on the phase and
 * the interval alone, however long a probe takes. */
#ifndef HEALTH_SCHEDULE_H
#define HEALTH_SCHEDULE_H

#include "base/macro.h"
#include "base/time.h"
#include "model/check.h"

#include <stdint.h>

struct schedule {
    int64_t interval_ns;
    int64_t phase_ns; /* 0 to interval_ns - 1 */
};

/* The interval of a check: its tag, or RequestInterval. */
int64_t schedule_interval(const struct model_check *check);
/* hash: of the check's id, and what else should spread it (the node). */
struct schedule schedule_make(int64_t interval_ns, uint64_t hash);
/* The first start: within the interval or a second from now, whichever is shorter. */
struct mono schedule_first(const struct schedule *schedule, uint64_t hash, struct mono now);
/* The first time of the period after `after`. */
struct mono schedule_next(const struct schedule *schedule, struct mono after);

#endif
