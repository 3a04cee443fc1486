/* One check's probes: see runner.h. */
#include "health/runner.h"

#include "base/memory.h"
#include "health/schedule.h"

#include <stdlib.h>

#define LATE (50 * TIME_MS)

struct runner {
    uv_timer_t timer; /* first: freed by its close callback */
    struct runner_config config;
    const struct model_check *check;
    struct schedule schedule;
    struct mono due; /* of the next probe */
    struct probe *probe;
    struct probe_memory memory;
    bool overdue;
    bool repeated; /* the running probe repeats one that was slept through */
};

static void due(uv_timer_t *timer);

static void wait_until(struct runner *runner, struct mono when)
{
    runner->due = when;
    uv_update_time(runner->config.loop);
    int64_t wait = MAX(mono_since(when, mono_now()), 0);
    /* Rounded up: a timer that is early would fire twice for one time. Has a callback. */
    (void)uv_timer_start(&runner->timer, due, (uint64_t)((wait + TIME_MS - 1) / TIME_MS), 0);
}

static void probed(void *context, const struct probe_result *result);

static void start(struct runner *runner)
{
    COUNTERS_ADD(runner->config.counters, probes_started);
    runner->probe =
        probe_start(runner->config.engine, runner->check, &runner->memory, probed, runner);
}

static void probed(void *context, const struct probe_result *result)
{
    struct runner *runner = context;
    struct runner_config config = runner->config;
    runner->probe = NULL;
    if (result->passed) {
        COUNTERS_ADD(config.counters, probes_passed);
    } else {
        COUNTERS_ADD(config.counters, probes_failed);
    }
    /* Once: a loop that is always late must still find a dead endpoint. */
    bool repeats = !result->passed && result->fault == PROBE_FAULT_SLEPT && !runner->repeated;
    runner->repeated = repeats;
    if (repeats || runner->overdue) {
        runner->overdue = false;
        start(runner);
    }
    if (repeats) {
        return;
    }
    config.done(config.context, result); /* may free the runner: last */
}

static void due(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    struct mono now = mono_now();
    if (probe_engine_is_busy(runner->config.engine)) {
        /* In the loop's next turn: 0 would still be this one. Has a callback. */
        (void)uv_timer_start(timer, due, 1, 0);
        return;
    }
    if (mono_since(now, runner->due) > LATE) {
        COUNTERS_ADD(runner->config.counters, probes_late);
    }
    /* From the later of both: times that were slept through are not made up for. */
    struct mono from = {MAX(runner->due.ns, now.ns)};
    wait_until(runner, schedule_next(&runner->schedule, from));
    if (runner->probe == NULL) {
        start(runner);
    } else if (!runner->overdue) {
        runner->overdue = true;
        COUNTERS_ADD(runner->config.counters, probes_overdue);
    }
}

struct runner *runner_new(const struct runner_config *config, const struct model_check *check)
{
    struct runner *runner = memory_new(sizeof *runner);
    runner->config = *config;
    runner->check = check;
    runner->schedule = schedule_make(schedule_interval(check), config->hash);
    (void)uv_timer_init(config->loop, &runner->timer); /* always 0 */
    runner->timer.data = runner;
    wait_until(runner, schedule_first(&runner->schedule, config->hash, mono_now()));
    return runner;
}

void runner_change(struct runner *runner, const struct model_check *check)
{
    probe_cancel(runner->probe);
    runner->probe = NULL;
    runner->overdue = false;
    runner->repeated = false;
    probe_memory_done(&runner->memory);
    runner->check = check;
    runner->schedule = schedule_make(schedule_interval(check), runner->config.hash);
    wait_until(runner, mono_now());
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void runner_free(struct runner *take_runner)
{
    if (take_runner == NULL) {
        return;
    }
    probe_cancel(take_runner->probe);
    probe_memory_done(&take_runner->memory);
    uv_close((uv_handle_t *)&take_runner->timer, timer_closed);
}
