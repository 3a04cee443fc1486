/* Quotas, and the answers to features that are not there yet: query logging (none) and DNSSEC (not
 * signing). Called as handlers on API threads. Invariant: the numbers are the ones that the other
 * files enforce (support.h). */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/zone.h"

#define PAGE_LIMIT 100

struct limit {
    const char *type;
    size_t value;
    const char *prefix; /* of what is counted */
};

static const struct limit limits[] = {
    {"MAX_HEALTH_CHECKS_BY_OWNER", ROUTE53_CHECKS_LIMIT, PATH_CHECKS},
    {"MAX_HOSTED_ZONES_BY_OWNER", ROUTE53_ZONES_LIMIT, PATH_ZONES},
    {"MAX_REUSABLE_DELEGATION_SETS_BY_OWNER", ROUTE53_DELEGATION_SETS_LIMIT, PATH_DELEGATIONS},
    {"MAX_TRAFFIC_POLICIES_BY_OWNER", ROUTE53_TRAFFIC_POLICIES_LIMIT, PATH_TRAFFIC_HEADS},
    {"MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER", ROUTE53_TRAFFIC_INSTANCES_LIMIT,
     PATH_TRAFFIC_INSTANCES},
};

static json_t *show(const char *type, size_t value, size_t count)
{
    return json_pack("{s:{s:s, s:I}, s:I}", "Limit", "Type", type, "Value", (json_int_t)value,
                     "Count", (json_int_t)count);
}

int route53_get_account_limit(struct aws_call *call, const json_t *in, json_t **ret_out,
                              struct err *err)
{
    const char *type = route53_text(in, "Type");
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        size_t count = 0;
        if (!text_equal(type, limits[i].type)) {
            continue;
        }
        int rc = store_count(service_context(call)->store, limits[i].prefix, &count, err);
        if (rc != 0) {
            return rc;
        }
        return route53_answer(show(type, limits[i].value, count), ret_out, err);
    }
    return aws_error(call, err, "InvalidInput", "%.64s is not a type of limit", type);
}

int route53_get_hosted_zone_limit(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    const char *type = route53_text(in, "Type");
    struct route53_zone zone;
    int rc = route53_zone_load(call, route53_text(in, "HostedZoneId"), &zone, err);
    if (rc != 0) {
        return rc;
    }
    if (!text_equal(type, "MAX_RRSETS_BY_ZONE")) {
        return aws_error(call, err, "HostedZoneNotPrivate",
                         "The hosted zone %.32s is a public hosted zone, not a private one.",
                         zone.model.id);
    }
    return route53_answer(show(type, ROUTE53_RECORDS_LIMIT, (size_t)zone.model.record_count),
                          ret_out, err);
}

int route53_list_query_logging_configs(struct aws_call *call, const json_t *in, json_t **ret_out,
                                       struct err *err)
{
    const char *zone_id = route53_text(in, "HostedZoneId");
    const char *size = route53_text(in, "MaxResults");
    struct route53_zone zone;
    int64_t number = 0;
    if (route53_text(in, "NextToken")[0] != '\0') {
        return aws_error(call, err, "InvalidPaginationToken",
                         "The value for NextToken is not one that a previous answer gave.");
    }
    if (size[0] != '\0' && text_to_i64(size, 1, PAGE_LIMIT, &number) != 0) {
        return aws_error(call, err, "InvalidInput", "MaxResults must be a number from 1 to %d",
                         PAGE_LIMIT);
    }
    int rc = zone_id[0] != '\0' ? route53_zone_load(call, zone_id, &zone, err) : 0;
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:[]}", "QueryLoggingConfigs"), ret_out, err);
}
