/* The watcher of routing controls: see control_watch.h. The mutex guards what control_watch_free
 * needs to end the thread; the rest is the thread's own. Invariant: what is reported is, in order,
 * the way from nothing to the states in the store. */
#include "health/control_watch.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "health/thread.h"
#include "model/path.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MS 10000
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 5000

struct control_watch {
    struct control_watch_config config;
    int64_t revision; /* everything up to it has been reported */
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stopped;
    bool stopping;
    struct store_watch *store_watch; /* NULL while there is none */
};

/* ---- lists ---- */

static struct control_list *new_list(size_t capacity)
{
    return memory_new(sizeof(struct control_list) + capacity * sizeof(struct control_change));
}

/* Adds what an entry says; deleted: that it is gone. A value that cannot be read is logged and left
 * out, so that what was known before stays. */
static void add(struct control_list *list, const struct store_entry *entry, bool deleted)
{
    struct control_change change = {.state = CONTROL_GONE};
    struct model_arc_state state = {.on = false};
    struct err err = ERR_INIT;
    const char *panel =
        text_starts(entry->key, PATH_ARC_STATES) ? entry->key + strlen(PATH_ARC_STATES) : "/";
    const char *slash = strchr(panel, '/');
    if (slash == NULL ||
        text_copy_n(change.panel, sizeof change.panel, panel, (size_t)(slash - panel)) != 0 ||
        text_copy(change.id, sizeof change.id, slash + 1) != 0 || change.id[0] == '\0') {
        return; /* none of ours */
    }
    if (!deleted) {
        if (model_arc_state_decode(entry->value, entry->size, &state, &err) != 0) {
            log_error("health.control_unreadable", F("control", entry->key), F("error", &err),
                      F("next", "its last state stays"));
            return;
        }
        change.state = state.on ? CONTROL_ON : CONTROL_OFF;
    }
    list->changes[list->count++] = change;
}

/* Hands the list over. */
static void report(struct control_watch *watch, struct control_list *take_list)
{
    if (take_list->count == 0 && !take_list->complete) {
        free(take_list);
        return;
    }
    watch->config.changed(watch->config.context, take_list);
}

static int read_all(struct control_watch *watch, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list states;
    arena_init(&arena, 0);
    int rc = store_range(watch->config.store, PATH_ARC_STATES, NULL, 0, &arena, &states, err);
    if (rc != 0) {
        return err_wrap(err, "reading the states of routing controls");
    }
    struct control_list *list = new_list(states.count);
    list->complete = true;
    for (size_t i = 0; i < states.count; i++) {
        add(list, &states.entries[i], false);
    }
    watch->revision = states.revision;
    report(watch, list);
    return 0;
}

static void take_batch(struct control_watch *watch, const struct store_batch *batch)
{
    struct control_list *list = new_list(batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        add(list, &batch->changes[i].entry, batch->changes[i].type == STORE_DELETE);
    }
    report(watch, list);
    watch->revision = MAX(watch->revision, batch->revision);
}

/* ---- the thread ---- */

static bool is_stopping(struct control_watch *watch)
{
    thread_lock(&watch->mutex);
    bool stopping = watch->stopping;
    thread_unlock(&watch->mutex);
    return stopping;
}

/* Publishes the store's watch, so that control_watch_free can interrupt it. */
static void set_store_watch(struct control_watch *watch, struct store_watch *store_watch)
{
    thread_lock(&watch->mutex);
    watch->store_watch = store_watch;
    if (store_watch != NULL && watch->stopping) {
        store_watch_interrupt(store_watch);
    }
    thread_unlock(&watch->mutex);
}

/* Follows the store until it fails, the history is gone, or the thread shall end. */
static int follow(struct control_watch *watch, int64_t *retry_ms, struct err *err)
{
    struct store_watch *store_watch = NULL;
    int rc =
        store_watch_open(watch->config.store, PATH_ARC_STATES, watch->revision, &store_watch, err);
    if (rc != 0) {
        return rc;
    }
    set_store_watch(watch, store_watch);
    do {
        struct store_batch batch;
        err_clear(err);
        rc = store_watch_next(store_watch, WAIT_MS, &batch, err);
        if (rc == 0) {
            take_batch(watch, &batch);
        } else if (err->kind == ERR_TIMEOUT) {
            rc = 0;
        }
        if (rc == 0) {
            *retry_ms = 0;
        }
    } while (rc == 0);
    set_store_watch(watch, NULL);
    store_watch_close(store_watch);
    return rc;
}

static void pause_before_retry(struct control_watch *watch, int64_t pause_ms)
{
    struct timespec until = thread_deadline(pause_ms);
    int rc = 0;
    thread_lock(&watch->mutex);
    while (!watch->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&watch->stopped, &watch->mutex, &until);
    }
    thread_unlock(&watch->mutex);
}

static void *run_watch(void *argument)
{
    struct control_watch *watch = argument;
    static struct log_limit limit;
    int64_t retry_ms = 0;
    bool all_wanted = false;
    thread_begin("health-arc");
    while (!is_stopping(watch)) {
        struct err err = ERR_INIT;
        int rc = all_wanted ? read_all(watch, &err) : 0;
        if (rc == 0) {
            all_wanted = false;
            rc = follow(watch, &retry_ms, &err);
        }
        if (is_stopping(watch) || rc == 0) {
            continue;
        }
        if (err.kind == ERR_COMPACTED) {
            all_wanted = true;
            continue;
        }
        retry_ms = retry_ms == 0 ? RETRY_FIRST_MS : MIN(retry_ms * 2, RETRY_LAST_MS);
        COUNTERS_ADD(watch->config.counters, store_errors);
        if (log_limit_allows(&limit, 1)) {
            log_warn("health.controls_lost", F("error", &err), F("retry_ms", retry_ms),
                     F("next", "the last known states of routing controls stay"));
        }
        pause_before_retry(watch, retry_ms);
    }
    return NULL;
}

/* ---- life ---- */

int control_watch_new(const struct control_watch_config *config, struct control_watch **ret_watch,
                      struct err *err)
{
    struct control_watch *watch = memory_new(sizeof *watch);
    watch->config = *config;
    thread_sync_init(&watch->mutex, &watch->stopped);
    int rc = read_all(watch, err);
    if (rc != 0) {
        control_watch_free(watch);
        return rc;
    }
    *ret_watch = watch;
    return 0;
}

int control_watch_start(struct control_watch *watch, struct err *err)
{
    int rc = pthread_create(&watch->thread, NULL, run_watch, watch);
    if (rc != 0) {
        return err_set_errno(err, rc, "cannot start the thread that watches routing controls");
    }
    watch->started = true;
    return 0;
}

void control_watch_free(struct control_watch *take_watch)
{
    if (take_watch == NULL) {
        return;
    }
    thread_lock(&take_watch->mutex);
    take_watch->stopping = true;
    if (take_watch->store_watch != NULL) {
        store_watch_interrupt(take_watch->store_watch);
    }
    (void)pthread_cond_signal(&take_watch->stopped); /* cannot fail on Linux */
    thread_unlock(&take_watch->mutex);
    if (take_watch->started) {
        (void)pthread_join(take_watch->thread, NULL); /* ours, joined once */
    }
    thread_sync_done(&take_watch->mutex, &take_watch->stopped);
    free(take_watch);
}
