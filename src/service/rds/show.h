/* What Describe operations and answers show: statuses and endpoints, derived from what is wanted,
 * what was decided and what is seen; and the trees of the model. Private to this room. Thread: the
 * call's. Trees are new references; NULL when memory is out. */
#ifndef SERVICE_RDS_SHOW_H
#define SERVICE_RDS_SHOW_H

#include "service/rds/support.h"

/* ---- statuses: a word of AWS's ---- */

const char *rds_instance_status(const struct rds_world *world, const struct rds_item *instance);
const char *rds_cluster_status(const struct rds_world *world, const struct rds_item *cluster);
const char *rds_global_status(const struct rds_world *world, const struct rds_item *global);
const char *rds_snapshot_status(const struct rds_world *world, const struct rds_item *item);
/* Whether a member's settings wait for a restart. */
bool rds_waits_for_reboot(const struct rds_item *instance, const struct rds_member *member);
/* Of the instances of the cluster, those in the order in which they are shown. */
struct rds_item *rds_next_instance(const struct rds_world *world, const struct rds_item *cluster,
                                   struct rds_item *after);

/* ---- trees; status NULL: as it is ---- */

json_t *rds_show_global(struct rds_world *world, const struct rds_item *global, const char *status);
json_t *rds_show_cluster(struct rds_world *world, const struct rds_item *cluster,
                         const char *status);
json_t *rds_show_instance(struct rds_world *world, const struct rds_item *instance,
                          const char *status);
json_t *rds_show_snapshot(struct rds_world *world, const struct rds_item *item, const char *status);
json_t *rds_show_subnets(struct rds_world *world, const char *region, const char *name);

/* {"<member>": shown} */
int rds_answer(const char *member, json_t *take_shown, json_t **ret_out, struct err *err)
    MUST_CHECK;
/* "15.18": of the region's servers, or what this was built with. */
const char *rds_engine_version(const struct rds_world *world, const char *region);

#endif
