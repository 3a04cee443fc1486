/* Publication: see publisher.h. Timers run before the loop polls and socket events after it, so a
 * pending change is looked for at both ends of the poll (prepare and check handles):
 * the flips of one turn are one publication. */
#include "health/publisher.h"

#include "base/memory.h"
#include "base/snapshot.h"

#include <stdlib.h>

/* How far apart publications are that bring nothing but improvements. */
#define IMPROVEMENT_MS 10

struct publisher {
    struct publisher_config config;
    struct model_status *current;
    uint64_t generation;
    struct mono decided;
    struct mono last; /* publication */
    bool soon;        /* at the end of this turn */
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    unsigned open_handles;
};

void publisher_now(struct publisher *publisher)
{
    const struct publisher_config *config = &publisher->config;
    (void)uv_timer_stop(&publisher->timer); /* always 0 */
    publisher->soon = false;
    publisher->last = mono_now();
    struct model_status *fresh = config->build(config->context);
    fresh->generation = ++publisher->generation;
    fresh->decided = publisher->decided;
    struct model_status *old = publisher->current;
    publisher->current = fresh;
    COUNTERS_ADD(config->counters, publications);
    config->published(config->published_context, fresh);
    if (old != NULL) {
        snapshot_retire(old, config->dispose);
    }
}

static void on_timer(uv_timer_t *timer)
{
    publisher_now(timer->data);
}

static void publish_soon(struct publisher *publisher)
{
    if (publisher->soon) {
        publisher_now(publisher);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    publish_soon(prepare->data);
}

static void on_check(uv_check_t *check)
{
    publish_soon(check->data);
}

struct publisher *publisher_new(const struct publisher_config *config)
{
    struct publisher *publisher = memory_new(sizeof *publisher);
    publisher->config = *config;
    publisher->decided = mono_now();
    publisher->timer.data = publisher;
    publisher->prepare.data = publisher;
    publisher->check.data = publisher;
    publisher->open_handles = 3;
    /* All of these always return 0. */
    (void)uv_timer_init(config->loop, &publisher->timer);
    (void)uv_prepare_init(config->loop, &publisher->prepare);
    (void)uv_check_init(config->loop, &publisher->check);
    (void)uv_prepare_start(&publisher->prepare, on_prepare);
    (void)uv_check_start(&publisher->check, on_check);
    return publisher;
}

void publisher_changed(struct publisher *publisher, bool worse, struct mono decided)
{
    publisher->decided = decided;
    int64_t since = mono_since(mono_now(), publisher->last);
    if (worse || since >= IMPROVEMENT_MS * TIME_MS) {
        publisher->soon = true;
    } else if (!uv_is_active((const uv_handle_t *)&publisher->timer)) {
        uint64_t wait = (uint64_t)(IMPROVEMENT_MS - since / TIME_MS);
        uv_update_time(publisher->config.loop);
        (void)uv_timer_start(&publisher->timer, on_timer, wait, 0); /* has a callback */
    }
}

static void handle_closed(uv_handle_t *handle)
{
    struct publisher *publisher = handle->data;
    if (--publisher->open_handles == 0) {
        free(publisher);
    }
}

void publisher_close(struct publisher *take_publisher)
{
    if (take_publisher->current != NULL) {
        snapshot_retire(take_publisher->current, take_publisher->config.dispose);
    }
    uv_close((uv_handle_t *)&take_publisher->timer, handle_closed);
    uv_close((uv_handle_t *)&take_publisher->prepare, handle_closed);
    uv_close((uv_handle_t *)&take_publisher->check, handle_closed);
}
