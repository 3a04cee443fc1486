/* States of routing controls: see control_map.h. A sorted array: there are some hundred. */
#include "health/control_map.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct control_map {
    struct control_change *entries; /* sorted by panel and id; none is CONTROL_GONE */
    size_t count;
    size_t capacity;
};

static int order(const struct control_change *entry, const char *panel, const char *id)
{
    int difference = strcmp(entry->panel, panel);
    return difference != 0 ? difference : strcmp(entry->id, id);
}

/* Where it is, or would be. */
static size_t position(const struct control_map *map, const char *panel, const char *id)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&map->entries[middle], panel, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct control_map *map, size_t at, const char *panel, const char *id)
{
    return at < map->count && order(&map->entries[at], panel, id) == 0;
}

bool control_list_names(const struct control_list *list, const struct model_arc_name *control)
{
    for (size_t i = 0; i < list->count && !list->complete; i++) {
        if (order(&list->changes[i], control->panel, control->id) == 0) {
            return true;
        }
    }
    return list->complete;
}

struct control_map *control_map_new(void)
{
    return memory_new(sizeof(struct control_map));
}

void control_map_free(struct control_map *take_map)
{
    if (take_map != NULL) {
        free(take_map->entries);
        free(take_map);
    }
}

static void put(struct control_map *map, const struct control_change *change)
{
    size_t at = position(map, change->panel, change->id);
    if (is_at(map, at, change->panel, change->id)) {
        map->entries[at].state = change->state;
        return;
    }
    if (map->count == map->capacity) {
        map->capacity = MAX(map->capacity * 2, (size_t)16);
        map->entries = memory_resize(map->entries, map->capacity, sizeof *map->entries);
    }
    (void)memmove(map->entries + at + 1, map->entries + at,
                  (map->count - at) * sizeof *map->entries);
    map->entries[at] = *change;
    map->count++;
}

static void drop(struct control_map *map, const struct control_change *change)
{
    size_t at = position(map, change->panel, change->id);
    if (is_at(map, at, change->panel, change->id)) {
        (void)memmove(map->entries + at, map->entries + at + 1,
                      (map->count - at - 1) * sizeof *map->entries);
        map->count--;
    }
}

void control_map_apply(struct control_map *map, const struct control_list *list)
{
    if (list->complete) {
        map->count = 0;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->changes[i].state == CONTROL_GONE) {
            drop(map, &list->changes[i]);
        } else {
            put(map, &list->changes[i]);
        }
    }
}

enum control_state control_map_find(const struct control_map *map,
                                    const struct model_arc_name *control)
{
    size_t at = position(map, control->panel, control->id);
    return is_at(map, at, control->panel, control->id) ? map->entries[at].state : CONTROL_GONE;
}
