/* ListResourceRecordSets: in the order of the record keys, which is Route 53's (name with reversed
 * labels, type, set identifier). Called as a handler on API threads. Invariant: the next page
 * starts with the first record set that this one did not show. */
#include "base/text.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/zone.h"

#include <string.h>

/* Where the page starts. *ret_exact: a record set that is itself the first, if it exists; else a
 * key that sorts just before the first; NULL for the first of the zone. */
static int start_of(struct aws_call *call, const struct model_zone *zone, const json_t *in,
                    const char **ret_from, struct err *err)
{
    const char *name = route53_text(in, "StartRecordName");
    const char *type = route53_text(in, "StartRecordType");
    const char *identifier = route53_text(in, "StartRecordIdentifier");
    char canonical[NAME_TEXT_LIMIT];
    *ret_from = NULL;
    if (name[0] == '\0' && type[0] == '\0' && identifier[0] == '\0') {
        return 0;
    }
    if (name[0] == '\0') {
        return aws_error(call, err, "InvalidInput",
                         "StartRecordType and StartRecordIdentifier cannot be specified without "
                         "StartRecordName");
    }
    if (type[0] == '\0' && identifier[0] != '\0') {
        return aws_error(call, err, "InvalidInput",
                         "StartRecordIdentifier cannot be specified without StartRecordType");
    }
    if (name_canonical(name, canonical) != 0) {
        return aws_error(call, err, "InvalidInput", "%.150s is not a valid domain name", name);
    }
    /* Without a type, the name's prefix sorts just before all its records. */
    *ret_from = type[0] == '\0' ? path_name_records(call->arena, zone->id, canonical)
                                : path_record(call->arena, zone->id, canonical, type, identifier);
    return route53_check_key(call, *ret_from, "StartRecordName with StartRecordIdentifier", err);
}

static int show(struct aws_call *call, const struct store_list *list, size_t size, json_t *records,
                json_t **ret_next, struct err *err)
{
    *ret_next = NULL;
    for (size_t i = 0; i < list->count; i++) {
        json_t *record = NULL;
        int rc = route53_parse(call, &list->entries[i], &record, err);
        if (rc != 0) {
            return rc;
        }
        if (i == size) {
            *ret_next = record;
        } else {
            (void)json_object_del(record, "v");
            if (json_object_get(record, "TrafficPolicyInstanceId") != NULL) {
                /* What it is made of is its policy's business. */
                (void)json_object_del(record, "AliasTarget");
                (void)json_object_del(record, "TTL");
                (void)json_object_del(record, "ResourceRecords");
            }
            (void)json_array_append(records, record);
        }
    }
    return 0;
}

int route53_list_resource_record_sets(struct aws_call *call, const json_t *in, json_t **ret_out,
                                      struct err *err)
{
    struct route53_zone zone;
    struct store_list list;
    json_t *records = route53_keep(call, json_array());
    json_t *next = NULL;
    const char *from = NULL;
    size_t size = 0;
    int rc = route53_zone_load(call, route53_text(in, "HostedZoneId"), &zone, err);
    if (rc == 0) {
        rc = route53_page_size(call, in, ROUTE53_RECORDS_PAGE_LIMIT, &size, err);
    }
    if (rc == 0) {
        rc = start_of(call, &zone.model, in, &from, err);
    }
    if (rc == 0) {
        rc = route53_page(call, path_zone_records(call->arena, zone.model.id), from, size, &list,
                          err);
    }
    if (rc == 0) {
        rc = show(call, &list, size, records, &next, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(
        json_pack("{s:O, s:b, s:o, s:s*, s:s*, s:s*}", "ResourceRecordSets", records, "IsTruncated",
                  next != NULL, "MaxItems", json_sprintf("%zu", size), "NextRecordName",
                  json_string_value(json_object_get(next, "Name")), "NextRecordType",
                  json_string_value(json_object_get(next, "Type")), "NextRecordIdentifier",
                  json_string_value(json_object_get(next, "SetIdentifier"))),
        ret_out, err);
}
