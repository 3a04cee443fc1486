/* The tables of ARC's operations; see arc.h. Invariant: one binding for each line of
 * src/aws/operations.list of the two services (aws_server_start checks). */
#include "service/arc/arc.h"
#include "service/arc/handlers.h"

/* Where AWS has the configuration, and all its clients sign for it. */
#define HOME_REGION "us-west-2"

static const struct aws_binding config_bindings[] = {
    {"CreateCluster", arc_create_cluster},
    {"DescribeCluster", arc_describe_cluster},
    {"ListClusters", arc_list_clusters},
    {"UpdateCluster", arc_update_cluster},
    {"DeleteCluster", arc_delete_cluster},
    {"CreateControlPanel", arc_create_panel},
    {"DescribeControlPanel", arc_describe_panel},
    {"ListControlPanels", arc_list_panels},
    {"UpdateControlPanel", arc_update_panel},
    {"DeleteControlPanel", arc_delete_panel},
    {"CreateRoutingControl", arc_create_control},
    {"DescribeRoutingControl", arc_describe_control},
    {"ListRoutingControls", arc_list_controls},
    {"UpdateRoutingControl", arc_update_control},
    {"DeleteRoutingControl", arc_delete_control},
    {"ListAssociatedRoute53HealthChecks", arc_list_health_checks},
    {"CreateSafetyRule", arc_create_rule},
    {"DescribeSafetyRule", arc_describe_rule},
    {"ListSafetyRules", arc_list_rules},
    {"UpdateSafetyRule", arc_update_rule},
    {"DeleteSafetyRule", arc_delete_rule},
    {"GetResourcePolicy", arc_get_resource_policy},
    {"TagResource", arc_tag_resource},
    {"UntagResource", arc_untag_resource},
    {"ListTagsForResource", arc_list_tags},
};

const struct aws_service service_arc_config = {
    .name = "route53-recovery-control-config",
    .bindings = config_bindings,
    .count = ARRAY_SIZE(config_bindings),
    .global = true,
    .home = HOME_REGION,
};

static const struct aws_binding cluster_bindings[] = {
    {"GetRoutingControlState", arc_get_state},
    {"ListRoutingControls", arc_list_states},
    {"UpdateRoutingControlState", arc_update_state},
    {"UpdateRoutingControlStates", arc_update_states},
};

const struct aws_service service_arc_cluster = {
    .name = "route53-recovery-cluster",
    .bindings = cluster_bindings,
    .count = ARRAY_SIZE(cluster_bindings),
    .global = true,
    .home = HOME_REGION,
};
