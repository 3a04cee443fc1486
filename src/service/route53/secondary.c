/* Zones with a primary, see secondary.h. Called by the handlers that change records, tags and
 * zones, inside their transactions. Invariant: no API call changes a record of such a zone, and
 * what is stored about a primary's serial goes with the tag that it belongs to. */
#include "service/route53/secondary.h"

#include "model/path.h"
#include "model/transfer.h"

#include <errno.h>

int route53_secondary_find(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                           bool *ret_found, struct err *err)
{
    struct store_entry entry;
    struct model_transfer transfer = {.primary_count = 0};
    const char *key = path_tags(call->arena, "hostedzone", zone_id);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        store_txn_require_absent(txn, key);
        *ret_found = false;
        return 0;
    }
    rc = rc != 0 ? rc : model_transfer_decode(entry.value, entry.size, call->arena, &transfer, err);
    if (rc == 0) {
        store_txn_require_revision(txn, key, entry.changed_revision);
        *ret_found = transfer.primary_count != 0;
    }
    return rc;
}

int route53_secondary_refuse(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                             struct err *err)
{
    bool found = false;
    int rc = route53_secondary_find(call, txn, zone_id, &found, err);
    if (rc == 0 && found) {
        return aws_error(
            call, err, "InvalidInput",
            "The records of hosted zone %s come from its primary (tag " MODEL_ZONE_PRIMARY
            "): change them there, or remove the tag",
            zone_id);
    }
    return rc;
}

int route53_secondary_allow(struct aws_call *call, const char *zone_id, struct err *err)
{
    size_t count = 0;
    const char *places = arena_printf(call->arena, PATH_TRAFFIC_PLACES "%s/", zone_id);
    int rc = store_count(service_context(call)->store, places, &count, err);
    if (rc == 0 && count != 0) {
        return aws_error(call, err, "InvalidInput",
                         "Tag " MODEL_ZONE_PRIMARY
                         ": hosted zone %s has %zu traffic policy instances; delete them first",
                         zone_id, count);
    }
    return rc;
}

void route53_secondary_forget(struct aws_call *call, struct store_txn *txn, const char *zone_id)
{
    store_txn_delete(txn, path_join(call->arena, PATH_SECONDARIES, zone_id));
}
