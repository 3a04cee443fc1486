/* Fuzzes the reading of record sets, as a stored value and as a client's tree: what a client may
 * send must be readable from the store as well. Run by libFuzzer, and over its corpus in the
 * ordinary tests. */
#include "base/text.h"
#include "model/record_set_flat.h"
#include "model/zone.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the quick decoder reads, the general one reads as the same. */
static void compare_decoders(const uint8_t *data, size_t size, struct arena *arena)
{
    struct model_record_set flat;
    struct model_record_set tree;
    struct err err = ERR_INIT;
    if (!record_set_flat(data, size, "Z1", arena, &flat)) {
        return;
    }
    bool same = record_set_decode_tree(data, size, "Z1", arena, &tree, &err) == 0 &&
                text_equal(flat.zone_id, tree.zone_id) && text_equal(flat.name, tree.name) &&
                flat.type == tree.type && flat.policy == tree.policy &&
                text_equal(flat.set_identifier, tree.set_identifier) &&
                text_equal(flat.health_check_id, tree.health_check_id) &&
                text_equal(flat.region, tree.region) &&
                text_equal(flat.traffic_instance_id, tree.traffic_instance_id) &&
                flat.weight == tree.weight && flat.failover == tree.failover &&
                flat.ttl_s == tree.ttl_s && flat.alias == NULL && tree.alias == NULL &&
                flat.json == tree.json && flat.value_count == tree.value_count;
    for (size_t i = 0; same && i < flat.value_count; i++) {
        same = text_equal(flat.values[i], tree.values[i]);
    }
    if (!same) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct model_record_set record;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    compare_decoders(data, size, &arena);
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
