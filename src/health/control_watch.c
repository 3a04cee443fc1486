/* The watcher of routing controls: see control_watch.h. Everything here runs on the follower's
 * thread (before that: in control_watch_new). Invariant: what is reported is, in order, the way
 * from nothing to the states in the store. */
#include "health/control_watch.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "store/follow.h"

#include <stdlib.h>
#include <string.h>

struct control_watch {
    struct control_watch_config config;
    struct store_follower *follower;
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
        if (model_arc_state_decode(entry->value, entry->size, NULL, &state, &err) != 0) {
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

static int read_all(void *context, int64_t *revision, struct err *err)
{
    struct control_watch *watch = context;
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
    *revision = states.revision;
    report(watch, list);
    return 0;
}

static void take_batch(void *context, const struct store_batch *batch)
{
    struct control_list *list = new_list(batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        add(list, &batch->changes[i].entry, batch->changes[i].type == STORE_DELETE);
    }
    report(context, list);
}

static void note_failure(void *context, const struct err *err, int64_t retry_ms)
{
    static struct log_limit limit;
    struct control_watch *watch = context;
    COUNTERS_ADD(watch->config.counters, store_errors);
    if (log_limit_allows(&limit, 1)) {
        log_warn("health.controls_lost", F("error", err), F("retry_ms", retry_ms),
                 F("next", "the last known states of routing controls stay"));
    }
}

int control_watch_new(const struct control_watch_config *config, struct control_watch **ret_watch,
                      struct err *err)
{
    struct control_watch *watch = memory_new(sizeof *watch);
    watch->config = *config;
    struct store_follower_config follower = {
        .store = config->store,
        .prefix = PATH_ARC_STATES,
        .thread = "health-arc",
        .read_all = read_all,
        .take_batch = take_batch,
        .failed = note_failure,
        .context = watch,
    };
    int rc = store_follower_new(&follower, &watch->follower, err);
    if (rc != 0) {
        control_watch_free(watch);
        return rc;
    }
    *ret_watch = watch;
    return 0;
}

int control_watch_start(struct control_watch *watch, struct err *err)
{
    return store_follower_start(watch->follower, err);
}

void control_watch_free(struct control_watch *take_watch)
{
    if (take_watch != NULL) {
        store_follower_free(take_watch->follower);
        free(take_watch);
    }
}
