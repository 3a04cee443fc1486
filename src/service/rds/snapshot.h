/* Snapshots of DB clusters. Private to this room. Thread: the call's. */
#ifndef SERVICE_RDS_SNAPSHOT_H
#define SERVICE_RDS_SNAPSHOT_H

#include "service/rds/support.h"

/* A new snapshot of the cluster, named by that member of the request. */
int rds_make_snapshot(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                      const char *member, struct rds_item **ret_snapshot, struct err *err)
    MUST_CHECK;

#endif
