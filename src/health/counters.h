/* The room's own copy of the counters that health.h declares: relaxed atomics, written by the
 * thread that does the work, read by any. */
#ifndef HEALTH_COUNTERS_H
#define HEALTH_COUNTERS_H

#include "health/health.h"

#include <stdatomic.h>

struct counters {
#define X(name, help) _Atomic uint64_t name;
    HEALTH_COUNTERS(X)
#undef X
};

#define COUNTERS_ADD(counters, name)                                                               \
    ((void)atomic_fetch_add_explicit(&(counters)->name, 1, memory_order_relaxed))

#endif
