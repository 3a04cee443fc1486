/* Alias targets: a target in a zone of ours must lie in that zone and hold records of the alias's
 * type; an id that is no zone of ours is a service endpoint's and is left alone. See batch.h.
 * Called by batch_judge.c on API threads. A later deletion of the target is allowed, as Route 53
 * allows it: the alias then has no answer. Invariant: nothing is written. */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/batch.h"

#include <errno.h>
#include <string.h>

/* The first slot whose key is not before the prefix. */
static size_t first_slot(const struct batch *batch, const char *prefix)
{
    size_t low = 0;
    size_t high = batch->slot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(batch->slots[middle].key, prefix) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether a record whose key starts with prefix will be there after the batch. */
static int stands(const struct batch *batch, const char *prefix, bool *ret_stands, struct err *err)
{
    bool touched = false;
    for (size_t i = first_slot(batch, prefix);
         i < batch->slot_count && text_starts(batch->slots[i].key, prefix); i++) {
        touched = true;
        if (batch->slots[i].after != NULL) {
            *ret_stands = true;
            return 0;
        }
    }
    *ret_stands = false;
    if (touched) { /* all that is there goes */
        return 0;
    }
    struct store_list list;
    int rc = store_range(service_context(batch->call)->store, prefix, NULL, 1, batch->call->arena,
                         &list, err);
    if (rc == 0) {
        *ret_stands = list.count > 0;
    }
    return rc;
}

/* The zone an alias points into; *ret_known false when it is none of ours. */
static int target_zone(const struct batch *batch, const char *zone_id, struct model_zone *ret_zone,
                       bool *ret_known, struct err *err)
{
    if (text_equal(zone_id, batch->zone.model.id)) {
        *ret_zone = batch->zone.model;
        *ret_known = true;
        return 0;
    }
    struct store_entry entry;
    const char *key = path_join(batch->call->arena, PATH_ZONES, zone_id);
    int rc = store_get(service_context(batch->call)->store, key, batch->call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        *ret_known = false;
        return 0;
    }
    if (rc == 0) {
        rc = model_zone_decode(entry.value, entry.size, batch->call->arena, ret_zone, err);
    }
    if (rc == 0) {
        *ret_known = true;
        store_txn_require_present(batch->txn, key);
    }
    return rc;
}

int batch_judge_alias(struct batch *batch, const struct batch_slot *slot, struct err *err)
{
    const struct model_record_set *record = slot->after;
    const struct model_alias *alias = record->alias;
    if (alias == NULL || record->traffic_instance_id[0] != '\0') {
        return 0; /* an instance's points to what is written with it */
    }
    struct model_zone zone;
    bool known = false;
    int rc = target_zone(batch, alias->zone_id, &zone, &known, err);
    if (rc != 0 || !known) {
        return rc;
    }
    const char *target = arena_printf(batch->call->arena, "%s, type %s in zone %s", alias->name,
                                      slot->type, alias->zone_id);
    if (text_equal(zone.id, record->zone_id) && text_equal(alias->name, record->name)) {
        batch_problem(batch,
                      "Tried to create an alias that targets %s, but that is the alias itself",
                      target);
        return 0;
    }
    bool inside = route53_zone_holds(&zone, alias->name);
    bool found = false;
    if (inside) {
        rc = stands(batch, path_record(batch->call->arena, zone.id, alias->name, slot->type, ""),
                    &found, err);
    } else {
        batch_problem(
            batch,
            "Tried to create an alias that targets %s, but the alias target name does not "
            "lie within the target zone",
            target);
    }
    if (rc == 0 && !found) {
        batch_problem(batch,
                      "Tried to create an alias that targets %s, but that target was not found",
                      target);
    }
    return rc;
}
