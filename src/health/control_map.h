/* The states of routing controls, as the checks that follow them see them: what the store said
 * last. The health loop owns the map; lists are made by control_watch.c and handed over. Invariant:
 * the map is what results from all lists that were applied, in order. */
#ifndef HEALTH_CONTROL_MAP_H
#define HEALTH_CONTROL_MAP_H

#include "base/macro.h"
#include "model/arc.h"

#include <stdbool.h>
#include <stddef.h>

enum control_state { CONTROL_GONE, CONTROL_OFF, CONTROL_ON };

struct control_change {
    char panel[MODEL_ARC_ID];
    char id[MODEL_ARC_ID];
    enum control_state state;
};

/* What changed at one revision, or all there is. */
struct control_list {
    bool complete; /* what it does not name is gone */
    size_t count;
    struct control_change changes[];
};

/* Whether it says something about the control. */
bool control_list_names(const struct control_list *list, const struct model_arc_name *control);

struct control_map;

struct control_map *control_map_new(void) MUST_CHECK;
void control_map_free(struct control_map *take_map);
void control_map_apply(struct control_map *map, const struct control_list *list);
/* CONTROL_GONE when it was never heard of. */
enum control_state control_map_find(const struct control_map *map,
                                    const struct model_arc_name *control);

#endif
