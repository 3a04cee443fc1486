/* Lists of traffic policies, of their versions and of instances; see traffic.h. Called as handlers
 * on API threads. All are in the order of their keys: policies by the time of their making,
 * versions by number, instances by hosted zone, then by name with reversed labels, then by type.
 * Invariant: a next page starts with the first item that this one did not show. */
#include "base/text.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/traffic.h"

#include <errno.h>
#include <string.h>

/* ---- policies and versions ---- */

static json_t *show_summary(const json_t *head)
{
    return json_pack("{s:s, s:s, s:s, s:O, s:O}", "Id", route53_text(head, "Id"), "Name",
                     route53_text(head, "Name"), "Type", route53_text(head, "Type"),
                     "LatestVersion", json_object_get(head, "LatestVersion"), "TrafficPolicyCount",
                     json_object_get(head, "TrafficPolicyCount"));
}

struct page {
    json_t *items; /* kept */
    json_t *next;  /* the tree behind them; NULL when there is none */
    size_t size;
};

static int read_page(struct aws_call *call, const json_t *in, const char *prefix, const char *from,
                     route53_show show, struct page *page, struct err *err)
{
    struct store_list list;
    page->items = route53_keep(call, json_array());
    page->next = NULL;
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &page->size, err);
    if (rc == 0) {
        rc = route53_page(call, prefix, from, page->size, &list, err);
    }
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        json_t *tree = NULL;
        rc = route53_parse(call, &list.entries[i], &tree, err);
        if (rc == 0 && i == page->size) {
            page->next = tree;
        } else if (rc == 0) {
            (void)json_array_append_new(page->items, show(tree));
        }
    }
    return rc;
}

int route53_list_traffic_policies(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    const char *marker = route53_text(in, "TrafficPolicyIdMarker");
    const char *from =
        marker[0] != '\0' ? path_join(call->arena, PATH_TRAFFIC_HEADS, marker) : NULL;
    struct page page;
    int rc = read_page(call, in, PATH_TRAFFIC_HEADS, from, show_summary, &page, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:O, s:b, s:s, s:o}", "TrafficPolicySummaries", page.items,
                                    "IsTruncated", page.next != NULL, "TrafficPolicyIdMarker",
                                    route53_text(page.next, "Id"), "MaxItems",
                                    json_sprintf("%zu", page.size)),
                          ret_out, err);
}

int route53_list_traffic_policy_versions(struct aws_call *call, const json_t *in, json_t **ret_out,
                                         struct err *err)
{
    const char *id = route53_text(in, "Id");
    const char *marker = route53_text(in, "TrafficPolicyVersionMarker");
    const char *prefix =
        arena_printf(call->arena, "%s/", path_join(call->arena, PATH_TRAFFIC_VERSIONS, id));
    struct traffic_policy policy;
    struct page page;
    int64_t version = 0;
    if (marker[0] != '\0' &&
        text_to_i64(marker, 1, ROUTE53_TRAFFIC_VERSIONS_LIMIT, &version) != 0) {
        return aws_error(call, err, "InvalidInput",
                         "TrafficPolicyVersionMarker must be a version, not '%.4s'", marker);
    }
    int rc = traffic_policy_load(call, id, 0, &policy, err);
    if (rc == 0) {
        rc = read_page(call, in, prefix,
                       version != 0 ? path_traffic_version(call->arena, id, version) : NULL,
                       traffic_policy_show, &page, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_t *next =
        page.next != NULL
            ? json_sprintf("%lld",
                           (long long)json_integer_value(json_object_get(page.next, "Version")))
            : json_string("");
    return route53_answer(json_pack("{s:O, s:b, s:o, s:o}", "TrafficPolicies", page.items,
                                    "IsTruncated", page.next != NULL, "TrafficPolicyVersionMarker",
                                    next, "MaxItems", json_sprintf("%zu", page.size)),
                          ret_out, err);
}

/* ---- instances ---- */

struct instance_page {
    const char *prefix;
    const char *from; /* NULL: the first */
    bool by_zone;     /* all are of one zone */
};

/* Where a page starts that goes on in this zone. */
static int start_of(struct aws_call *call, const json_t *in, const char *prefix,
                    const char *zone_id, const char **ret_from, struct err *err)
{
    const char *name = route53_text(in, "TrafficPolicyInstanceNameMarker");
    const char *type = route53_text(in, "TrafficPolicyInstanceTypeMarker");
    char canonical[NAME_TEXT_LIMIT] = "";
    *ret_from = NULL;
    if (zone_id[0] == '\0' && name[0] == '\0' && type[0] == '\0') {
        return 0;
    }
    if (zone_id[0] == '\0' || (name[0] == '\0' && type[0] != '\0')) {
        return aws_error(call, err, "InvalidInput",
                         "A marker for a name needs one for the hosted zone, and one for a type "
                         "needs one for the name");
    }
    if (name[0] != '\0' && name_canonical(name, canonical) != 0) {
        return aws_error(call, err, "InvalidInput", "%.150s is not a valid domain name", name);
    }
    *ret_from = name[0] != '\0' ? path_traffic_place(call->arena, prefix, zone_id, canonical, type)
                                : path_records_from(call->arena, prefix, zone_id, "");
    return route53_check_key(call, *ret_from, "TrafficPolicyInstanceNameMarker", err);
}

/* One that went since the page was read is left out. */
static int add_instance(struct aws_call *call, const json_t *index, int64_t served, json_t *items,
                        struct err *err)
{
    struct traffic_instance instance;
    int rc = traffic_instance_load(call, route53_text(index, "Id"), &instance, err);
    if (rc == 0) {
        (void)json_array_append_new(items, traffic_instance_show(&instance, served));
        return 0;
    }
    if (call->error_code == NULL) { /* anything but NoSuchTrafficPolicyInstance */
        return rc;
    }
    call->error_code = NULL;
    err_clear(err);
    return 0;
}

static int list_instances(struct aws_call *call, const json_t *in, const struct instance_page *page,
                          json_t **ret_out, struct err *err)
{
    struct store_list list = {.count = 0};
    json_t *items = route53_keep(call, json_array());
    const json_t *next = NULL;
    int64_t served = -1;
    size_t size = 0;
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &size, err);
    if (rc == 0) {
        rc = route53_served(call, &served, err);
    }
    if (rc == 0) {
        rc = route53_page(call, page->prefix, page->from, size, &list, err);
    }
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        json_t *index = NULL;
        rc = route53_parse(call, &list.entries[i], &index, err);
        if (rc == 0 && i == size) {
            next = index;
        } else if (rc == 0) {
            rc = add_instance(call, index, served, items, err);
        }
    }
    if (rc != 0) {
        return rc;
    }
    const char *zone =
        page->by_zone ? NULL : json_string_value(json_object_get(next, "HostedZoneId"));
    return route53_answer(json_pack("{s:O, s:b, s:s*, s:s*, s:s*, s:o}", "TrafficPolicyInstances",
                                    items, "IsTruncated", next != NULL, "HostedZoneIdMarker", zone,
                                    "TrafficPolicyInstanceNameMarker",
                                    json_string_value(json_object_get(next, "Name")),
                                    "TrafficPolicyInstanceTypeMarker",
                                    json_string_value(json_object_get(next, "TrafficPolicyType")),
                                    "MaxItems", json_sprintf("%zu", size)),
                          ret_out, err);
}

int route53_list_traffic_policy_instances(struct aws_call *call, const json_t *in, json_t **ret_out,
                                          struct err *err)
{
    struct instance_page page = {.prefix = PATH_TRAFFIC_PLACES};
    const char *zone_id = route53_bare_id(route53_text(in, "HostedZoneIdMarker"));
    int rc = start_of(call, in, page.prefix, zone_id, &page.from, err);
    return rc == 0 ? list_instances(call, in, &page, ret_out, err) : rc;
}

int route53_list_traffic_policy_instances_by_hosted_zone(struct aws_call *call, const json_t *in,
                                                         json_t **ret_out, struct err *err)
{
    struct instance_page page = {.by_zone = true};
    struct route53_zone zone;
    int rc = route53_zone_load(call, route53_text(in, "HostedZoneId"), &zone, err);
    if (rc == 0) {
        page.prefix = path_records_from(call->arena, PATH_TRAFFIC_PLACES, zone.model.id, "");
        rc = start_of(call, in, PATH_TRAFFIC_PLACES, zone.model.id, &page.from, err);
    }
    return rc == 0 ? list_instances(call, in, &page, ret_out, err) : rc;
}

int route53_list_traffic_policy_instances_by_policy(struct aws_call *call, const json_t *in,
                                                    json_t **ret_out, struct err *err)
{
    const char *id = route53_text(in, "TrafficPolicyId");
    int64_t version = json_integer_value(json_object_get(in, "TrafficPolicyVersion"));
    const char *zone_id = route53_bare_id(route53_text(in, "HostedZoneIdMarker"));
    struct instance_page page = {.prefix = path_traffic_uses(call->arena, id, version)};
    struct traffic_policy policy;
    int rc = traffic_policy_load(call, id, version, &policy, err);
    if (rc == 0) {
        rc = start_of(call, in, page.prefix, zone_id, &page.from, err);
    }
    return rc == 0 ? list_instances(call, in, &page, ret_out, err) : rc;
}

int route53_get_traffic_policy_instance_count(struct aws_call *call, const json_t *in,
                                              json_t **ret_out, struct err *err)
{
    size_t count = 0;
    (void)in;
    int rc = store_count(service_context(call)->store, PATH_TRAFFIC_INSTANCES, &count, err);
    return rc == 0
               ? route53_answer(json_pack("{s:I}", "TrafficPolicyInstanceCount", (json_int_t)count),
                                ret_out, err)
               : rc;
}
