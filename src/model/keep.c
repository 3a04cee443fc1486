/* Members of later versions: see keep.h. Pure; any thread. */
#include "model/keep.h"

json_t *model_keep(json_t *take_fresh, const struct model_stored *before)
{
    json_t *old = before->value != NULL ? json_loadb(before->value, before->size, 0, NULL) : NULL;
    json_t *version = json_object_get(old, "v");
    int failed = 0;
    if (take_fresh != NULL && json_is_object(old)) {
        if (json_integer_value(version) > json_integer_value(json_object_get(take_fresh, "v"))) {
            failed |= json_object_set(take_fresh, "v", version);
        }
        failed |= json_object_update_missing(take_fresh, old);
    }
    json_decref(old);
    if (failed != 0) {
        json_decref(take_fresh);
        return NULL;
    }
    return take_fresh;
}
