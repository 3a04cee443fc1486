/* The schedule of probes: see schedule.h. Pure; any thread. */
#include "health/schedule.h"

/* All of a new list is probed within this time. */
#define FIRST_SPREAD TIME_S

int64_t schedule_interval(const struct model_check *check)
{
    if (check->options.interval_ms != 0) {
        return check->options.interval_ms * TIME_MS;
    }
    return (int64_t)check->request_interval_s * TIME_S;
}

static int64_t spread(uint64_t hash, int64_t width)
{
    return (int64_t)(hash % (uint64_t)width);
}

struct schedule schedule_make(int64_t interval_ns, uint64_t hash)
{
    int64_t interval = MAX(interval_ns, TIME_MS);
    return (struct schedule){.interval_ns = interval, .phase_ns = spread(hash, interval)};
}

struct mono schedule_first(const struct schedule *schedule, uint64_t hash, struct mono now)
{
    return (struct mono){now.ns + spread(hash, MIN(schedule->interval_ns, FIRST_SPREAD))};
}

struct mono schedule_next(const struct schedule *schedule, struct mono after)
{
    int64_t since_phase = after.ns - schedule->phase_ns;
    int64_t periods = since_phase / schedule->interval_ns;
    if (since_phase < 0 && since_phase % schedule->interval_ns != 0) {
        periods--; /* division rounds towards zero; the period before is wanted */
    }
    return (struct mono){schedule->phase_ns + (periods + 1) * schedule->interval_ns};
}
