/* Every operation's handler, by the file that holds it; the table is in service.c. Private to this
 * room. Each is an aws_handler: in is borrowed and validated against the model, *ret_out is a new
 * reference, errors carry AWS's code. */
#ifndef SERVICE_ROUTE53_HANDLERS_H
#define SERVICE_ROUTE53_HANDLERS_H

#include "aws/service.h"

#define ROUTE53_HANDLER(name)                                                                      \
    int name(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)

/* zone.c */
ROUTE53_HANDLER(route53_create_hosted_zone);
ROUTE53_HANDLER(route53_get_hosted_zone);
ROUTE53_HANDLER(route53_update_hosted_zone_comment);
ROUTE53_HANDLER(route53_delete_hosted_zone);
/* zone_list.c */
ROUTE53_HANDLER(route53_list_hosted_zones);
ROUTE53_HANDLER(route53_list_hosted_zones_by_name);
ROUTE53_HANDLER(route53_get_hosted_zone_count);
/* change.c */
ROUTE53_HANDLER(route53_change_resource_record_sets);
/* change_status.c */
ROUTE53_HANDLER(route53_get_change);
/* list.c */
ROUTE53_HANDLER(route53_list_resource_record_sets);
/* test_answer.c */
ROUTE53_HANDLER(route53_test_dns_answer);
/* check.c */
ROUTE53_HANDLER(route53_create_health_check);
ROUTE53_HANDLER(route53_get_health_check);
ROUTE53_HANDLER(route53_list_health_checks);
ROUTE53_HANDLER(route53_get_health_check_count);
ROUTE53_HANDLER(route53_delete_health_check);
/* check_update.c */
ROUTE53_HANDLER(route53_update_health_check);
/* check_status.c */
ROUTE53_HANDLER(route53_get_health_check_status);
ROUTE53_HANDLER(route53_get_health_check_last_failure_reason);
ROUTE53_HANDLER(route53_get_checker_ip_ranges);
/* tags.c */
ROUTE53_HANDLER(route53_change_tags_for_resource);
ROUTE53_HANDLER(route53_list_tags_for_resource);
ROUTE53_HANDLER(route53_list_tags_for_resources);
/* delegation.c */
ROUTE53_HANDLER(route53_create_reusable_delegation_set);
ROUTE53_HANDLER(route53_get_reusable_delegation_set);
ROUTE53_HANDLER(route53_list_reusable_delegation_sets);
ROUTE53_HANDLER(route53_delete_reusable_delegation_set);
/* traffic_policy.c */
ROUTE53_HANDLER(route53_create_traffic_policy);
ROUTE53_HANDLER(route53_create_traffic_policy_version);
ROUTE53_HANDLER(route53_get_traffic_policy);
ROUTE53_HANDLER(route53_update_traffic_policy_comment);
ROUTE53_HANDLER(route53_delete_traffic_policy);
/* traffic_instance.c */
ROUTE53_HANDLER(route53_create_traffic_policy_instance);
ROUTE53_HANDLER(route53_get_traffic_policy_instance);
ROUTE53_HANDLER(route53_update_traffic_policy_instance);
ROUTE53_HANDLER(route53_delete_traffic_policy_instance);
/* traffic_list.c */
ROUTE53_HANDLER(route53_list_traffic_policies);
ROUTE53_HANDLER(route53_list_traffic_policy_versions);
ROUTE53_HANDLER(route53_list_traffic_policy_instances);
ROUTE53_HANDLER(route53_list_traffic_policy_instances_by_hosted_zone);
ROUTE53_HANDLER(route53_list_traffic_policy_instances_by_policy);
ROUTE53_HANDLER(route53_get_traffic_policy_instance_count);
/* cidr.c */
ROUTE53_HANDLER(route53_create_cidr_collection);
ROUTE53_HANDLER(route53_change_cidr_collection);
ROUTE53_HANDLER(route53_delete_cidr_collection);
/* cidr_list.c */
ROUTE53_HANDLER(route53_list_cidr_collections);
ROUTE53_HANDLER(route53_list_cidr_locations);
ROUTE53_HANDLER(route53_list_cidr_blocks);
/* geo.c */
ROUTE53_HANDLER(route53_list_geo_locations);
ROUTE53_HANDLER(route53_get_geo_location);
/* limits.c */
ROUTE53_HANDLER(route53_get_account_limit);
ROUTE53_HANDLER(route53_get_hosted_zone_limit);
ROUTE53_HANDLER(route53_list_query_logging_configs);
/* dnssec.c */
ROUTE53_HANDLER(route53_get_dnssec);
ROUTE53_HANDLER(route53_create_key_signing_key);
ROUTE53_HANDLER(route53_activate_key_signing_key);
ROUTE53_HANDLER(route53_deactivate_key_signing_key);
ROUTE53_HANDLER(route53_delete_key_signing_key);
ROUTE53_HANDLER(route53_enable_hosted_zone_dnssec);
ROUTE53_HANDLER(route53_disable_hosted_zone_dnssec);

#endif
