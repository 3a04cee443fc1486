/* The table of Route 53's operations: see route53.h. Read by the API server when it starts and for
 * every call, on any thread; constant. Invariant: every route53 operation of
 * src/aws/operations.list has its handler here (the server checks). */
#include "service/route53/handlers.h"
#include "service/route53/route53.h"

static const struct aws_binding bindings[] = {
    {"CreateHostedZone", route53_create_hosted_zone},
    {"GetHostedZone", route53_get_hosted_zone},
    {"ListHostedZones", route53_list_hosted_zones},
    {"ListHostedZonesByName", route53_list_hosted_zones_by_name},
    {"GetHostedZoneCount", route53_get_hosted_zone_count},
    {"UpdateHostedZoneComment", route53_update_hosted_zone_comment},
    {"DeleteHostedZone", route53_delete_hosted_zone},
    {"GetHostedZoneLimit", route53_get_hosted_zone_limit},
    {"GetAccountLimit", route53_get_account_limit},
    {"ListQueryLoggingConfigs", route53_list_query_logging_configs},
    {"GetDNSSEC", route53_get_dnssec},
    {"CreateKeySigningKey", route53_create_key_signing_key},
    {"ActivateKeySigningKey", route53_activate_key_signing_key},
    {"DeactivateKeySigningKey", route53_deactivate_key_signing_key},
    {"DeleteKeySigningKey", route53_delete_key_signing_key},
    {"EnableHostedZoneDNSSEC", route53_enable_hosted_zone_dnssec},
    {"DisableHostedZoneDNSSEC", route53_disable_hosted_zone_dnssec},
    {"ChangeResourceRecordSets", route53_change_resource_record_sets},
    {"ListResourceRecordSets", route53_list_resource_record_sets},
    {"GetChange", route53_get_change},
    {"TestDNSAnswer", route53_test_dns_answer},
    {"CreateHealthCheck", route53_create_health_check},
    {"GetHealthCheck", route53_get_health_check},
    {"ListHealthChecks", route53_list_health_checks},
    {"GetHealthCheckCount", route53_get_health_check_count},
    {"UpdateHealthCheck", route53_update_health_check},
    {"DeleteHealthCheck", route53_delete_health_check},
    {"GetHealthCheckStatus", route53_get_health_check_status},
    {"GetHealthCheckLastFailureReason", route53_get_health_check_last_failure_reason},
    {"GetCheckerIpRanges", route53_get_checker_ip_ranges},
    {"ChangeTagsForResource", route53_change_tags_for_resource},
    {"ListTagsForResource", route53_list_tags_for_resource},
    {"ListTagsForResources", route53_list_tags_for_resources},
    {"CreateReusableDelegationSet", route53_create_reusable_delegation_set},
    {"GetReusableDelegationSet", route53_get_reusable_delegation_set},
    {"ListReusableDelegationSets", route53_list_reusable_delegation_sets},
    {"DeleteReusableDelegationSet", route53_delete_reusable_delegation_set},
};

const struct aws_service service_route53 = {
    .name = "route53",
    .bindings = bindings,
    .count = sizeof bindings / sizeof bindings[0],
    .global = true,
};
