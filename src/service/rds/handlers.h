/* The handlers of this room, one file a noun. Private to it. Each is called by the codec on an API
 * thread with a validated tree, and answers with a tree of the model. */
#ifndef SERVICE_RDS_HANDLERS_H
#define SERVICE_RDS_HANDLERS_H

#include "aws/service.h"

#define RDS_HANDLER(name)                                                                          \
    int rds_##name(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)

RDS_HANDLER(create_global);
RDS_HANDLER(describe_globals);
RDS_HANDLER(modify_global);
RDS_HANDLER(failover_global);
RDS_HANDLER(switchover_global);
RDS_HANDLER(remove_from_global);
RDS_HANDLER(delete_global);

RDS_HANDLER(create_cluster);
RDS_HANDLER(describe_clusters);
RDS_HANDLER(modify_cluster);
RDS_HANDLER(delete_cluster);
RDS_HANDLER(promote_cluster);
RDS_HANDLER(failover_cluster);
RDS_HANDLER(start_cluster);
RDS_HANDLER(stop_cluster);
RDS_HANDLER(reboot_cluster);

RDS_HANDLER(create_instance);
RDS_HANDLER(describe_instances);
RDS_HANDLER(modify_instance);
RDS_HANDLER(delete_instance);
RDS_HANDLER(reboot_instance);

RDS_HANDLER(create_cluster_parameters);
RDS_HANDLER(modify_cluster_parameters);
RDS_HANDLER(describe_cluster_parameter_groups);
RDS_HANDLER(describe_cluster_parameters);
RDS_HANDLER(delete_cluster_parameters);
RDS_HANDLER(create_parameters);
RDS_HANDLER(modify_parameters);
RDS_HANDLER(describe_parameter_groups);
RDS_HANDLER(describe_parameters);
RDS_HANDLER(delete_parameters);

RDS_HANDLER(create_subnets);
RDS_HANDLER(describe_subnets);
RDS_HANDLER(modify_subnets);
RDS_HANDLER(delete_subnets);

RDS_HANDLER(create_snapshot);
RDS_HANDLER(describe_snapshots);
RDS_HANDLER(delete_snapshot);
RDS_HANDLER(restore_cluster);

RDS_HANDLER(describe_engine_versions);
RDS_HANDLER(describe_instance_options);
RDS_HANDLER(describe_events);

RDS_HANDLER(add_tags);
RDS_HANDLER(list_tags);
RDS_HANDLER(remove_tags);

#endif
