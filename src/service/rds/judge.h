/* Parts of requests that several operations have: engines, classes, names of groups, passwords,
 * and how a group and its members come into being and are given orders; kept.h has what is kept to
 * be shown again. Private to this room. Thread: the call's. */
#ifndef SERVICE_RDS_JUDGE_H
#define SERVICE_RDS_JUDGE_H

#include "service/rds/support.h"

#define RDS_CLUSTERS_LIMIT 40U /* of a region: AWS's quotas */
#define RDS_INSTANCES_LIMIT 40U
#define RDS_GLOBALS_LIMIT 40U
#define RDS_GROUPS_LIMIT 50U /* parameter, subnet: of a region */
#define RDS_SNAPSHOTS_LIMIT 100U

/* "aurora-postgresql" or "postgres", and a version whose major number is the installed one's. */
int rds_judge_engine(struct rds_world *world, const json_t *in, const char **ret_engine,
                     struct err *err) MUST_CHECK;
/* The same for a version alone. */
int rds_judge_version(struct rds_world *world, const json_t *in, const char *engine,
                      struct err *err) MUST_CHECK;
int rds_judge_class(struct aws_call *call, const char *class_name, struct err *err) MUST_CHECK;
/* The master user and its password, and the name of the first database. */
int rds_judge_master(struct aws_call *call, const json_t *in, const char *database, struct err *err)
    MUST_CHECK;
int rds_judge_password(struct aws_call *call, const char *password, struct err *err) MUST_CHECK;
int rds_judge_database(struct aws_call *call, const char *database, struct err *err) MUST_CHECK;
/* A subnet group of the region: "default" for "". */
int rds_choose_subnets(struct rds_world *world, const char *name, const char **ret_name,
                       struct err *err) MUST_CHECK;
/* How many items of the kind the region has. */
size_t rds_count(const struct rds_world *world, enum rds_kind kind, const char *region);

/* ---- groups and members ---- */

/* A new group for a cluster or instance; it has no master user yet. */
int rds_make_group(struct rds_world *world, const char *engine, const char *region,
                   const char *name, struct rds_group **ret_group, struct err *err) MUST_CHECK;
/* The password of the replication role as the group has it: random when from is NULL, else that of
 * the other group. */
int rds_seal_replication(struct rds_world *world, struct rds_group *group,
                         const struct rds_group *from, struct err *err) MUST_CHECK;
/* The verifier of the request's MasterUserPassword. */
int rds_set_password(struct rds_world *world, struct rds_group *group, const json_t *in,
                     struct err *err) MUST_CHECK;
/* An address for a new member of a region, where its agent is known: InsufficientDBInstanceCapacity
 * when all are taken. Without an agent the member has none yet; the agent gives it one. */
int rds_place_member(struct rds_world *world, struct rds_member *member, struct err *err)
    MUST_CHECK;
/* Another port: the server restarts for it, as on AWS. */
void rds_set_port(struct rds_member *member, const json_t *port);

/* attach.c: makes the member one that somebody else runs, by the tag leeward:attach: where it is
 * reached comes from what its region's agent says. */
int rds_attach_member(struct rds_world *world, const struct rds_group *group,
                      struct rds_member *member, const char *name, struct err *err) MUST_CHECK;
/* What is wrong with such a name; NULL: nothing. */
const char *rds_judge_attachment(const char *name) PURE;

/* ---- orders ---- */

/* What the group's agents are to do next (database/core carries it out, or refuses it): another
 * writer, with nothing lost (SWITCHOVER) or whatever is lost (FAILOVER). */
void rds_order(struct rds_group *group, enum model_database_operation operation,
               const struct rds_member *target, const char *reason);
/* Who comes first of the members that could take over: it streams, then tier, then name; NULL:
 * nobody. cluster NULL: of any. only_ready: those that stream. */
struct rds_member *rds_candidate(struct rds_group *group, const struct rds_item *cluster,
                                 bool only_ready);
/* Why the group cannot be switched over now, a sentence of the arena; NULL: it can. */
const char *rds_unready(struct rds_world *world, const struct rds_group *group);

#endif
