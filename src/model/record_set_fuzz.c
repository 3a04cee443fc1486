/* Fuzzes the reading of record sets, as a stored value and as a client's tree: what a client may
 * send must be readable from the store as well. Run by libFuzzer, and over its corpus in the
 * ordinary tests. */
#include "model/zone.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct model_record_set record;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    int stored = model_record_set_decode((const char *)data, size, "Z1", &arena, &record, &err);
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json) && json_integer_value(json_object_get(json, "v")) >= 1 &&
        model_record_set_from_json(json, "Z1", &arena, &record, &err) == 0 && stored != 0) {
        abort();
    }
    json_decref(json);
    arena_done(&arena);
    return 0;
}
