/* DB clusters: what CreateDBCluster and RestoreDBClusterFromSnapshot share, and what global
 * clusters do with clusters. Private to this room. Thread: the call's. */
#ifndef SERVICE_RDS_CLUSTER_H
#define SERVICE_RDS_CLUSTER_H

#include "service/rds/support.h"

/* Judges what all new clusters have and makes the item, without a group: ParameterGroup, Subnets,
 * Tags, Shown. */
int rds_make_cluster(struct rds_world *world, const json_t *in, struct rds_item **ret_cluster,
                     struct err *err) MUST_CHECK;
/* The cluster belongs to the group from now on. */
void rds_join_group(struct rds_world *world, struct rds_item *cluster,
                    const struct rds_group *group);
/* Clusters of a group. */
size_t rds_group_clusters(const struct rds_world *world, const struct rds_group *group);
/* Takes a reader's cluster out of its group, into a new one that it is to write. */
int rds_detach_cluster(struct rds_world *world, struct rds_item *cluster, struct err *err)
    MUST_CHECK;
/* InvalidDBClusterStateFault when it is being deleted. */
int rds_usable_cluster(struct rds_world *world, const struct rds_item *cluster, struct err *err)
    MUST_CHECK;

#endif
