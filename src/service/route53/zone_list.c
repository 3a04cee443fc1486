/* Listing hosted zones: by id, by name, and how many. Called as handlers on API threads.
 * ListHostedZones pages by id; ListHostedZonesByName by name with reversed labels, then id, which
 * is the order of the r53/name keys. Invariant: a page's next marker is the first zone not shown.
 */
#include "base/text.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/zone.h"

#include <errno.h>
#include <string.h>

#define SCAN_BATCH 256U

struct listing {
    size_t size;               /* of a page */
    const char *delegation_id; /* "" for all */
    json_t *zones;
    const char *next; /* id of the first zone that did not fit; NULL at the end */
};

static int add_zones(struct aws_call *call, const struct store_list *list, struct listing *listing,
                     struct err *err)
{
    for (size_t i = 0; i < list->count && listing->next == NULL; i++) {
        struct model_zone zone;
        int rc = model_zone_decode(list->entries[i].value, list->entries[i].size, call->arena,
                                   &zone, err);
        if (rc != 0) {
            return rc;
        }
        if (listing->delegation_id[0] != '\0' &&
            !text_equal(zone.delegation_set_id, listing->delegation_id)) {
            continue;
        }
        if (json_array_size(listing->zones) == listing->size) {
            listing->next = zone.id;
        } else {
            (void)json_array_append_new(listing->zones, route53_zone_show(&zone));
        }
    }
    return 0;
}

static int collect(struct aws_call *call, const char *from, struct listing *listing,
                   struct err *err)
{
    struct store_list list;
    int rc = route53_page(call, PATH_ZONES, from, SCAN_BATCH, &list, err);
    while (rc == 0) {
        rc = add_zones(call, &list, listing, err);
        if (rc != 0 || listing->next != NULL || !list.more) {
            return rc;
        }
        rc = store_range(service_context(call)->store, PATH_ZONES, list.entries[list.count - 1].key,
                         SCAN_BATCH, call->arena, &list, err);
    }
    return rc;
}

static int judge_delegation(struct aws_call *call, const char *id, struct err *err)
{
    struct store_entry entry;
    if (id[0] == '\0') {
        return 0;
    }
    int rc = store_get(service_context(call)->store, path_join(call->arena, PATH_DELEGATIONS, id),
                       call->arena, &entry, err);
    if (rc == -ENOENT) {
        rc = aws_error(call, err, "NoSuchDelegationSet",
                       "A reusable delegation set with the ID %.32s does not exist.", id);
    }
    return rc;
}

int route53_list_hosted_zones(struct aws_call *call, const json_t *in, json_t **ret_out,
                              struct err *err)
{
    const char *marker = route53_bare_id(route53_text(in, "Marker"));
    struct listing listing = {
        .delegation_id = route53_bare_id(route53_text(in, "DelegationSetId")),
        .zones = route53_keep(call, json_array()),
    };
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &listing.size, err);
    if (rc == 0) {
        rc = judge_delegation(call, listing.delegation_id, err);
    }
    if (rc == 0) {
        const char *from = marker[0] != '\0' ? path_join(call->arena, PATH_ZONES, marker) : NULL;
        rc = collect(call, from, &listing, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:O, s:s, s:b, s:s*, s:o}", "HostedZones", listing.zones,
                                    "Marker", marker, "IsTruncated", listing.next != NULL,
                                    "NextMarker", listing.next, "MaxItems",
                                    json_sprintf("%zu", listing.size)),
                          ret_out, err);
}

/* ---- by name ---- */

/* Where the page starts: NULL for the first zone, else a key. */
static int start_of(struct aws_call *call, const json_t *in, const char **ret_from, struct err *err)
{
    const char *name = route53_text(in, "DNSName");
    const char *id = route53_bare_id(route53_text(in, "HostedZoneId"));
    char canonical[NAME_TEXT_LIMIT];
    if (name[0] == '\0') {
        *ret_from = NULL;
        return id[0] == '\0' ? 0
                             : aws_error(call, err, "InvalidInput",
                                         "HostedZoneId cannot be specified without DNSName");
    }
    if (name_canonical(name, canonical) != 0) {
        return aws_error(call, err, "InvalidDomainName", "%.150s is not a valid domain name", name);
    }
    *ret_from = path_zone_name(call->arena, canonical, id);
    return route53_check_key(call, *ret_from, "DNSName", err);
}

static int show_by_name(struct aws_call *call, const struct store_list *list, size_t size,
                        json_t *zones, struct model_zone *ret_next, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *id = path_tail(call->arena, list->entries[i].key, PATH_ZONE_NAMES);
        struct store_entry entry;
        struct model_zone zone;
        int rc = id == NULL
                     ? -ENOENT
                     : store_get(service_context(call)->store,
                                 path_join(call->arena, PATH_ZONES, id), call->arena, &entry, err);
        if (rc == -ENOENT) { /* deleted since the index was read */
            err_clear(err);
            continue;
        }
        if (rc == 0) {
            rc = model_zone_decode(entry.value, entry.size, call->arena, &zone, err);
        }
        if (rc != 0) {
            return rc;
        }
        if (i == size) {
            *ret_next = zone;
        } else {
            (void)json_array_append_new(zones, route53_zone_show(&zone));
        }
    }
    return 0;
}

int route53_list_hosted_zones_by_name(struct aws_call *call, const json_t *in, json_t **ret_out,
                                      struct err *err)
{
    json_t *zones = route53_keep(call, json_array());
    struct model_zone next = {.id = NULL};
    struct store_list list;
    const char *from = NULL;
    size_t size = 0;
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &size, err);
    if (rc == 0) {
        rc = start_of(call, in, &from, err);
    }
    if (rc == 0) {
        rc = route53_page(call, PATH_ZONE_NAMES, from, size, &list, err);
    }
    if (rc == 0) {
        rc = show_by_name(call, &list, size, zones, &next, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(
        json_pack("{s:O, s:s*, s:s*, s:b, s:s*, s:s*, s:o}", "HostedZones", zones, "DNSName",
                  json_string_value(json_object_get(in, "DNSName")), "HostedZoneId",
                  json_string_value(json_object_get(in, "HostedZoneId")), "IsTruncated",
                  next.id != NULL, "NextDNSName", next.name, "NextHostedZoneId", next.id,
                  "MaxItems", json_sprintf("%zu", size)),
        ret_out, err);
}

int route53_get_hosted_zone_count(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    size_t count = 0;
    (void)in; /* the operation has no members */
    int rc = store_count(service_context(call)->store, PATH_ZONES, &count, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:I}", "HostedZoneCount", (json_int_t)count), ret_out, err);
}
