/* Applying the changes of a batch, in the order they were sent, to the slots; see batch.h. Called
 * by change.c on API threads. A record set may be changed once in a batch, or deleted and then put;
 * everything else is refused as Route 53 does. Invariant: a slot's `after` is what the name would
 * hold if the batch ended here. */
#include "service/route53/batch.h"

#include <string.h>

/* "[name='www.example.com.', type='A']", with the set identifier where there is one. */
static const char *describe(const struct batch *batch, const struct batch_item *item)
{
    const struct model_record_set *record = &item->record;
    if (record->set_identifier[0] == '\0') {
        return arena_printf(batch->call->arena, "[name='%s', type='%s']", record->name, item->type);
    }
    return arena_printf(batch->call->arena, "[name='%s', type='%s', set-identifier='%s']",
                        record->name, item->type, record->set_identifier);
}

static int apply_delete(struct batch *batch, struct batch_slot *slot, const struct batch_item *item,
                        struct err *err)
{
    json_t *stored = NULL;
    if (slot->after == NULL) {
        batch_problem(batch, "Tried to delete resource record set %s but it was not found",
                      describe(batch, item));
        return 0;
    }
    int rc = route53_parse(batch->call, &slot->stored, &stored, err);
    if (rc != 0) {
        return rc;
    }
    if (!batch_record_same(stored, item->tree)) {
        batch_problem(batch,
                      "Tried to delete resource record set %s but the values provided do not match "
                      "the current values",
                      describe(batch, item));
    } else {
        slot->after = NULL;
    }
    return 0;
}

static void apply_put(struct batch *batch, struct batch_slot *slot, const struct batch_item *item)
{
    if (item->action == BATCH_CREATE && slot->after != NULL) {
        batch_problem(batch, "Tried to create resource record set %s but it already exists",
                      describe(batch, item));
        return;
    }
    slot->after = &item->record;
    slot->tree = item->tree;
}

/* Whether the record set that is there belongs to a traffic policy instance that is not the
 * batch's own. */
static bool owned_elsewhere(const struct batch *batch, const struct batch_slot *slot)
{
    const char *id = slot->after != NULL ? slot->after->traffic_instance_id : "";
    return id[0] != '\0' &&
           (batch->traffic_instance_id == NULL || strcmp(id, batch->traffic_instance_id) != 0);
}

int batch_apply(struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct batch_item *item = &batch->items[i];
        struct batch_slot *slot = batch_find(batch, item->key);
        bool after_delete = slot->changes == 1 && slot->last == BATCH_DELETE;
        if (slot->changes > 0 && (!after_delete || item->action == BATCH_DELETE)) {
            batch_problem(
                batch,
                "The request contains an invalid set of changes for a resource record set "
                "'%s %s'",
                item->type, item->record.name);
            continue;
        }
        if (owned_elsewhere(batch, slot)) {
            batch_problem(batch,
                          "Tried to change resource record set %s but it belongs to the traffic "
                          "policy instance %s and changes only with it",
                          describe(batch, item), slot->after->traffic_instance_id);
            continue;
        }
        slot->changes++;
        slot->last = item->action;
        if (item->action == BATCH_DELETE) {
            int rc = apply_delete(batch, slot, item, err);
            if (rc != 0) {
                return rc;
            }
        } else {
            apply_put(batch, slot, item);
        }
    }
    return 0;
}
