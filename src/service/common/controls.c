/* Control panels out of the store, and the cache of them: see controls.h. Invariant: what is handed
 * out was true at one revision of the store; a shape never changes once it is in the cache. */
#include "service/common/controls.h"

#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "service/common/combine.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* With changes that came before: a store that hangs holds all of them up. */
#define PATIENCE (200 * TIME_MS)
/* Routing controls that one transaction changes at most: some tens of kilobytes. */
#define TOGETHER 100U

#define PANELS_LIMIT ((size_t)MODEL_ARC_CLUSTERS * MODEL_ARC_PANELS)

/* What stays the same while states change. */
struct shape {
    _Atomic size_t references;
    struct arena arena;
    const char **ids;
    const char **names;
    struct model_arc_rule *rules;
    size_t control_count;
    size_t rule_count;
};

struct cached {
    char id[MODEL_ARC_ID];
    int64_t guard;
    uint64_t past; /* of the store; the guard's revision is of it alone */
    struct shape *shape;
    struct model_arc_state *states;
};

struct controls_cache {
    struct combiner *combiner;
    pthread_mutex_t mutex; /* over the rest */
    struct cached panels[PANELS_LIMIT];
    size_t count;
};

/* ---- shapes ---- */

static struct shape *shape_ref(struct shape *shape)
{
    (void)atomic_fetch_add_explicit(&shape->references, 1, memory_order_relaxed);
    return shape;
}

static void shape_unref(void *take_shape)
{
    struct shape *shape = take_shape;
    if (atomic_fetch_sub_explicit(&shape->references, 1, memory_order_acq_rel) == 1) {
        arena_done(&shape->arena);
        free(shape);
    }
}

static int read_name(const struct store_entry *entry, struct arena *arena, const char **ret_name,
                     struct err *err)
{
    json_error_t error;
    json_t *tree = json_loadb(entry->value, entry->size, 0, &error);
    const char *name = json_string_value(json_object_get(tree, "Name"));
    if (name != NULL) {
        *ret_name = arena_strdup(arena, name);
    }
    json_decref(tree);
    return name != NULL ? 0 : err_set(err, ERR_CORRUPT, "the value of %s has no name", entry->key);
}

static int fill_shape(struct shape *shape, const struct store_list *controls,
                      const struct store_list *rules, struct err *err)
{
    int rc = 0;
    shape->ids = arena_array(&shape->arena, controls->count + 1, sizeof *shape->ids);
    shape->names = arena_array(&shape->arena, controls->count + 1, sizeof *shape->names);
    shape->rules = arena_array(&shape->arena, rules->count + 1, sizeof *shape->rules);
    for (size_t i = 0; rc == 0 && i < controls->count; i++) {
        const struct store_entry *entry = &controls->entries[i];
        shape->ids[i] = path_tail(&shape->arena, entry->key, PATH_ARC_CONTROLS);
        rc = read_name(entry, &shape->arena, &shape->names[i], err);
        shape->control_count++;
    }
    for (size_t i = 0; rc == 0 && i < rules->count; i++) {
        rc = model_arc_rule_decode(rules->entries[i].value, rules->entries[i].size, &shape->arena,
                                   &shape->rules[i], err);
        shape->rule_count++;
    }
    return rc;
}

/* ---- the cache ---- */

struct controls_cache *controls_cache_new(void)
{
    struct controls_cache *cache = memory_new(sizeof *cache);
    cache->combiner = combiner_new(PATIENCE, TOGETHER);
    (void)pthread_mutex_init(&cache->mutex, NULL); /* cannot fail on Linux */
    return cache;
}

struct combiner *controls_combiner(const struct controls_cache *cache)
{
    return cache != NULL ? cache->combiner : NULL;
}

static void drop(struct cached *cached)
{
    if (cached->shape != NULL) {
        shape_unref(cached->shape);
    }
    free(cached->states);
    *cached = (struct cached){.guard = 0};
}

void controls_cache_free(struct controls_cache *take_cache)
{
    if (take_cache == NULL) {
        return;
    }
    for (size_t i = 0; i < take_cache->count; i++) {
        drop(&take_cache->panels[i]);
    }
    combiner_free(take_cache->combiner);
    (void)pthread_mutex_destroy(&take_cache->mutex); /* nobody uses it any more */
    free(take_cache);
}

/* With the mutex held. */
static struct cached *find(struct controls_cache *cache, const char *panel_id)
{
    for (size_t i = 0; i < cache->count; i++) {
        if (text_equal(cache->panels[i].id, panel_id)) {
            return &cache->panels[i];
        }
    }
    return NULL;
}

static void hand_out(struct shape *shape, const struct model_arc_state *states, struct arena *arena,
                     struct controls_panel *ret_panel)
{
    struct arc_control *controls = arena_array(arena, shape->control_count + 1, sizeof *controls);
    for (size_t i = 0; i < shape->control_count; i++) {
        controls[i] =
            (struct arc_control){.id = shape->ids[i], .name = shape->names[i], .state = states[i]};
    }
    arena_defer(arena, shape_unref, shape_ref(shape));
    ret_panel->panel = (struct arc_panel){.controls = controls,
                                          .control_count = shape->control_count,
                                          .rules = shape->rules,
                                          .rule_count = shape->rule_count};
}

static bool load_cached(struct controls_cache *cache, const char *panel_id, uint64_t past,
                        struct arena *arena, struct controls_panel *ret_panel)
{
    (void)pthread_mutex_lock(&cache->mutex); /* cannot fail here */
    const struct cached *cached = find(cache, panel_id);
    bool found = cached != NULL && cached->past == past;
    if (found) {
        *ret_panel = (struct controls_panel){.id = arena_strdup(arena, panel_id),
                                             .guard = cached->guard,
                                             .past = past,
                                             .cached = true};
        hand_out(cached->shape, cached->states, arena, ret_panel);
    }
    (void)pthread_mutex_unlock(&cache->mutex);
    return found;
}

/* Keeps what was read. A slow reader may put something older in place of something newer, which
 * costs the next update a second look; a store that was set back to an old copy has lower guards.
 */
static void keep(struct controls_cache *cache, const struct controls_panel *panel,
                 struct shape *shape, const struct model_arc_state *states)
{
    (void)pthread_mutex_lock(&cache->mutex); /* cannot fail here */
    struct cached *cached = find(cache, panel->id);
    if (cached == NULL && cache->count == PANELS_LIMIT) {
        /* Panels that are gone: nobody asks for them, any place is good. */
        cached = &cache->panels[(uint64_t)panel->guard % PANELS_LIMIT];
        drop(cached);
    } else if (cached == NULL) {
        cached = &cache->panels[cache->count++];
    }
    if ((panel->guard != cached->guard || panel->past != cached->past) &&
        text_copy(cached->id, sizeof cached->id, panel->id) == 0) {
        drop(cached);
        IGNORE_RESULT(text_copy(cached->id, sizeof cached->id, panel->id)); /* fitted above */
        cached->guard = panel->guard;
        cached->past = panel->past;
        cached->shape = shape_ref(shape);
        cached->states = memory_dup(states, (shape->control_count + 1) * sizeof *states);
    }
    (void)pthread_mutex_unlock(&cache->mutex);
}

bool controls_stands(struct store *store, const struct controls_panel *panel)
{
    return store_past(store) == panel->past;
}

void controls_changed(struct controls_cache *cache, const struct controls_panel *panel,
                      int64_t guard)
{
    if (cache == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&cache->mutex); /* cannot fail here */
    struct cached *cached = find(cache, panel->id);
    if (cached != NULL && cached->guard == panel->guard && cached->past == panel->past) {
        cached->guard = guard;
        for (size_t i = 0; i < cached->shape->control_count; i++) {
            cached->states[i] = panel->panel.controls[i].state;
        }
    }
    (void)pthread_mutex_unlock(&cache->mutex);
}

/* ---- the store ---- */

enum { GUARDS, CONTROLS, STATES, RULES, PARTS };

/* One state of the panel: all of it is read at one moment. Nothing else has its guard's key as the
 * beginning of its own. */
static int read_panel(struct store *store, const char *panel_id, struct arena *arena,
                      struct store_list lists[PARTS], struct err *err)
{
    const char *const prefixes[] = {
        [GUARDS] = model_arc_guard(arena, panel_id),
        [CONTROLS] = model_arc_prefix(arena, PATH_ARC_CONTROLS, panel_id),
        [STATES] = model_arc_prefix(arena, PATH_ARC_STATES, panel_id),
        [RULES] = model_arc_prefix(arena, PATH_ARC_RULES, panel_id),
    };
    int rc = store_ranges(store, prefixes, PARTS, arena, lists, err);
    if (rc == 0 &&
        (lists[GUARDS].count == 0 || !text_equal(lists[GUARDS].entries[0].key, prefixes[GUARDS]))) {
        rc = err_set(err, ERR_NOT_FOUND, "there is no such control panel");
    }
    return rc;
}

/* The states in the order of the controls: both lists are sorted by control. What later versions
 * put into them lives as long as the shape. */
static int match_states(struct shape *shape, const struct store_list *list, struct arena *arena,
                        struct model_arc_state **ret_states, struct err *err)
{
    struct model_arc_state *states = arena_array(arena, shape->control_count + 1, sizeof *states);
    bool matches = list->count == shape->control_count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && matches && i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        matches = text_equal(path_tail(arena, entry->key, PATH_ARC_STATES), shape->ids[i]);
        rc = model_arc_state_decode(entry->value, entry->size, &shape->arena, &states[i], err);
    }
    if (rc == 0 && !matches) {
        rc = err_set(err, ERR_CORRUPT, "routing controls and their states do not match");
    }
    *ret_states = states;
    return rc;
}

static int load_stored(struct store *store, struct controls_cache *cache, const char *panel_id,
                       struct arena *arena, struct controls_panel *ret_panel, struct err *err)
{
    struct store_list lists[PARTS];
    struct model_arc_state *states = NULL;
    uint64_t past = store_past(store);
    int rc = read_panel(store, panel_id, arena, lists, err);
    if (rc != 0) {
        return rc;
    }
    int64_t guard = lists[GUARDS].entries[0].changed_revision;
    struct shape *shape = memory_new(sizeof *shape);
    atomic_init(&shape->references, 1);
    arena_init(&shape->arena, 0);
    rc = fill_shape(shape, &lists[CONTROLS], &lists[RULES], err);
    if (rc == 0) {
        rc = match_states(shape, &lists[STATES], arena, &states, err);
    }
    if (rc == 0) {
        /* Of a past that began meanwhile nobody knows whether this is of it: it does not stand. */
        *ret_panel = (struct controls_panel){
            .id = arena_strdup(arena, panel_id), .guard = guard, .past = past};
        hand_out(shape, states, arena, ret_panel);
        if (cache != NULL && controls_stands(store, ret_panel)) {
            keep(cache, ret_panel, shape, states);
        }
    }
    shape_unref(shape);
    return rc == 0 ? 0 : err_wrap(err, "control panel %s", panel_id);
}

int controls_load(struct store *store, struct controls_cache *cache, const char *panel_id,
                  bool fresh, struct arena *arena, struct controls_panel *ret_panel,
                  struct err *err)
{
    if (!fresh && cache != NULL &&
        load_cached(cache, panel_id, store_past(store), arena, ret_panel)) {
        return 0;
    }
    return load_stored(store, cache, panel_id, arena, ret_panel, err);
}
