/* Records of the policies that look at where the client is, as members of a change batch: that no
 * two of a group are for the same place, that regions and CIDR locations exist, and which records
 * use a CIDR collection; see batch.h. Called by the stages of a batch, on API threads. Invariant:
 * for every stored CIDR record there is a key r53/cidr-use/<collection>/<record's key>, written in
 * the record's transaction, so a collection that is used can be told. */
#include "base/text.h"
#include "model/location.h"
#include "model/path.h"
#include "service/route53/batch.h"

#include <errno.h>
#include <string.h>

/* ---- one place, one record ---- */

bool batch_same_place(const struct model_record_set *a, const struct model_record_set *b)
{
    switch (a->policy) {
    case MODEL_LATENCY:
        return text_equal(a->region, b->region);
    case MODEL_GEOLOCATION:
        return text_equal(a->continent, b->continent) && text_equal(a->country, b->country) &&
               text_equal(a->subdivision, b->subdivision);
    case MODEL_CIDR:
        return text_equal(a->collection_id, b->collection_id) &&
               text_equal(a->cidr_location, b->cidr_location);
    case MODEL_GEOPROXIMITY:
        return text_equal(a->region, b->region) &&
               text_equal(a->local_zone_group, b->local_zone_group) &&
               a->has_coordinates == b->has_coordinates &&
               !(a->latitude < b->latitude || a->latitude > b->latitude) &&
               !(a->longitude < b->longitude || a->longitude > b->longitude);
    case MODEL_SIMPLE:
    case MODEL_FAILOVER:
    case MODEL_WEIGHTED:
    case MODEL_MULTIVALUE:
        break;
    }
    return false;
}

static const char *what_place(const struct model_record_set *record)
{
    return record->policy == MODEL_LATENCY       ? "region"
           : record->policy == MODEL_GEOLOCATION ? "geolocation"
           : record->policy == MODEL_CIDR        ? "CIDR location"
                                                 : "geoproximity location";
}

void batch_judge_place(struct batch *batch, const struct batch_slot *slot,
                       const struct batch_slot *slots, size_t count)
{
    const struct model_record_set *record = slot->after;
    for (size_t i = 0; i < count; i++) {
        const struct model_record_set *other = slots[i].after;
        if (other == NULL || other == record || other->policy != record->policy) {
            continue;
        }
        if (batch_same_place(record, other)) {
            batch_problem(
                batch,
                "RRSet with DNS name %s, type %s, SetIdentifier %s cannot be created as a "
                "%s set with the same %s exists with the same name and type.",
                record->name, slot->type, record->set_identifier, model_policy_name(record->policy),
                what_place(record));
            return;
        }
        if (record->policy == MODEL_CIDR &&
            !text_equal(record->collection_id, other->collection_id)) {
            batch_problem(batch,
                          "RRSet with DNS name %s, type %s, SetIdentifier %s cannot be created as "
                          "all cidr sets with the same name and type must use the same collection.",
                          record->name, slot->type, record->set_identifier);
            return;
        }
    }
}

/* ---- what a record names exists ---- */

static void judge_region(struct batch *batch, const char *name, const char *what)
{
    const struct service_context *context = service_context(batch->call);
    if (name[0] != '\0' &&
        model_region_find(context->regions, context->region_count, name) == NULL) {
        batch_problem(batch,
                      "Invalid %s '%s': it is none of AWS's, and the configuration has no "
                      "region-coordinates for it.",
                      what, name);
    }
}

static int judge_collection(struct batch *batch, const struct model_record_set *record,
                            struct err *err)
{
    struct aws_call *call = batch->call;
    struct store_entry entry;
    struct model_cidr_collection collection;
    const char *key = path_join(call->arena, PATH_COLLECTIONS, record->collection_id);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        batch_problem(batch, "The CIDR collection with id %s does not exist.",
                      record->collection_id);
        return 0;
    }
    if (rc == 0) {
        rc = model_cidr_collection_decode(entry.value, entry.size, call->arena, &collection, err);
    }
    if (rc != 0) {
        return rc;
    }
    bool found = text_equal(record->cidr_location, "*");
    for (size_t i = 0; i < collection.count && !found; i++) {
        found = text_equal(collection.locations[i].name, record->cidr_location);
    }
    if (!found) {
        batch_problem(batch, "The CIDR location %s does not exist in the CIDR collection %s.",
                      record->cidr_location, record->collection_id);
    }
    /* Neither the collection nor the location goes away before the record is there. */
    store_txn_require_revision(batch->txn, key, entry.changed_revision);
    return 0;
}

int batch_judge_location(struct batch *batch, const struct batch_slot *slot, struct err *err)
{
    const struct model_record_set *record = slot->after;
    if (record->policy == MODEL_LATENCY || record->policy == MODEL_GEOPROXIMITY) {
        judge_region(batch, record->region, "region");
        judge_region(batch, record->local_zone_group, "Local Zone group");
    }
    return record->policy == MODEL_CIDR ? judge_collection(batch, record, err) : 0;
}

/* ---- which records use a collection ---- */

static const char *use_key(struct batch *batch, const char *collection_id, const char *record_key)
{
    return arena_printf(batch->call->arena, PATH_COLLECTION_USES "%s/%s", collection_id,
                        record_key + strlen(PATH_RECORDS));
}

int batch_write_use(struct batch *batch, const struct batch_slot *slot, struct err *err)
{
    const char *before = "";
    const char *after = "";
    if (slot->stored.key != NULL) {
        json_t *stored = NULL;
        int rc = route53_parse(batch->call, &slot->stored, &stored, err);
        if (rc != 0) {
            return rc;
        }
        before = route53_text(json_object_get(stored, "CidrRoutingConfig"), "CollectionId");
    }
    if (slot->after != NULL && slot->after->policy == MODEL_CIDR) {
        after = slot->after->collection_id;
    }
    if (text_equal(before, after)) {
        return 0;
    }
    if (before[0] != '\0') {
        store_txn_delete(batch->txn, use_key(batch, before, slot->key));
    }
    if (after[0] == '\0') {
        return 0;
    }
    const char *key = use_key(batch, after, slot->key);
    if (strlen(key) > STORE_KEY_LIMIT) {
        return aws_error(batch->call, err, "InvalidInput",
                         "Name and SetIdentifier are too long together for a CIDR record");
    }
    return route53_put(batch->txn, key, route53_keep(batch->call, json_pack("{s:i}", "v", 1)), err);
}
