/* FailoverGlobalCluster and SwitchoverGlobalCluster. Called as handlers on API threads.
 *
 * Planned, nothing may be lost: both sides are healthy now, and the agents take it back by
 * themselves when one of them is not any more. With AllowDataLoss: the writer is fenced, or its
 * lease runs out, and the target takes over with what it has. Invariant: without AllowDataLoss
 * nothing is ever ordered that may lose data. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/show.h"

struct wish {
    bool loss; /* AllowDataLoss */
    struct rds_item *global;
};

static int invalid_global(struct rds_world *world, const struct rds_item *global, const char *why,
                          struct err *err)
{
    return aws_error(world->call, err, "InvalidGlobalClusterStateFault",
                     "Global cluster %s cannot do that now: %s", global->id, why);
}

/* The target as its ARN, or as the identifier of one of the clusters. */
static int find_target(struct rds_world *world, const struct rds_item *global, const char *text,
                       struct rds_item **ret_cluster, struct err *err)
{
    const struct rds_group *group = rds_group_of(world, global);
    struct rds_item *found = NULL;
    const char *lower = rds_lower(world->call, text);
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL && group != NULL; i = i->next) {
        if (!rds_gone(i) && rds_group_of(world, i) == group &&
            (text_equal(rds_item_arn(world->call, i), lower) || text_equal(i->id, lower))) {
            if (found != NULL) {
                return rds_invalid(world->call, err, "Several clusters are called %s: say its ARN.",
                                   i->id);
            }
            found = i;
        }
    }
    if (found == NULL) {
        return rds_not_found(world->call, RDS_CLUSTER, text, err);
    }
    *ret_cluster = found;
    return 0;
}

/* Both sides are healthy; the message says what else can be done. */
static int judge_planned(struct rds_world *world, const struct wish *wish,
                         const struct rds_group *group, const struct rds_member *target,
                         const struct rds_item *cluster, struct err *err)
{
    const char *why = rds_unready(world, group);
    if (why == NULL && target == NULL) {
        why = arena_printf(world->call->arena, "no instance of %s receives the writer's log",
                           cluster->id);
    }
    if (why == NULL) {
        return 0;
    }
    return aws_error(world->call, err, "InvalidGlobalClusterStateFault",
                     "Global cluster %s cannot be switched over without a loss of data: %s. Wait "
                     "until it is healthy; or accept the loss of what %s has not received: call "
                     "FailoverGlobalCluster with AllowDataLoss, or, with a client that does not "
                     "know that, RemoveFromGlobalCluster for %s.",
                     wish->global->id, why, cluster->id, cluster->id);
}

static int judge_lossy(struct rds_world *world, const struct wish *wish, struct rds_group *group,
                       const struct rds_item *cluster, struct rds_member **target, struct err *err)
{
    if (group->g.phase == MODEL_DATABASE_NEW || group->g.phase == MODEL_DATABASE_STOPPED) {
        return invalid_global(
            world, wish->global,
            group->g.phase == MODEL_DATABASE_NEW ? "it has no data yet." : "it is stopped.", err);
    }
    if (group->g.phase != MODEL_DATABASE_STEADY && group->g.phase != MODEL_DATABASE_ELECTING) {
        return invalid_global(world, wish->global, "it is changing its writer.", err);
    }
    if (*target == NULL) {
        *target = rds_candidate(group, cluster, false);
    }
    bool has_data = *target != NULL && (*target)->seen.system_id != 0;
    return has_data ? 0
                    : aws_error(world->call, err, "InvalidDBClusterStateFault",
                                "No instance of cluster %s has the data yet.", cluster->id);
}

static int change_writer(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct wish *wish = state;
    struct aws_call *call = world->call;
    struct rds_item *cluster = NULL;
    int rc =
        rds_named(world, RDS_GLOBAL, tree_text(in, "GlobalClusterIdentifier"), &wish->global, err);
    rc = rc == 0 ? find_target(world, wish->global, tree_text(in, "TargetDbClusterIdentifier"),
                               &cluster, err)
                 : rc;
    if (rc != 0 || cluster == NULL) {
        return rc;
    }
    struct rds_group *group = rds_group_of(world, wish->global);
    struct rds_member *target = rds_candidate(group, cluster, true);
    if (rds_cluster_writes(world, cluster)) {
        return aws_error(call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s is the writer of global cluster %s already.", cluster->id,
                         wish->global->id);
    }
    if (wish->loss) {
        rc = judge_lossy(world, wish, group, cluster, &target, err);
    } else {
        rc = judge_planned(world, wish, group, target, cluster, err);
    }
    if (rc != 0) {
        return rc;
    }
    rds_order(group, wish->loss ? MODEL_DATABASE_FAILOVER : MODEL_DATABASE_SWITCHOVER, target,
              arena_printf(call->arena, "%s was called.", call->operation));
    (void)json_object_set_new(wish->global->tree, "Order",
                              json_string(call->operation)); /* memory: writing finds it */
    wish->global->mark = RDS_WRITE;
    return rds_event(world, cluster->region, cluster->id, "db-cluster", "global-failover", err,
                     "Global %s to DB cluster %s in Region %s started.",
                     wish->loss ? "failover" : "switchover", cluster->id, cluster->region);
}

static int answer(struct aws_call *call, const json_t *in, bool loss, const char *status,
                  json_t **ret_out, struct err *err)
{
    struct rds_world world;
    struct wish wish = {.loss = loss};
    int rc = rds_change(call, change_writer, in, &wish, &world, err);
    return rc == 0 ? rds_answer("GlobalCluster", rds_show_global(&world, wish.global, status),
                                ret_out, err)
                   : rc;
}

RDS_HANDLER(failover_global)
{
    bool loss = json_is_true(json_object_get(in, "AllowDataLoss"));
    bool planned = json_is_true(json_object_get(in, "Switchover"));
    if (loss && planned) {
        return rds_combination(call, err,
                               "AllowDataLoss and Switchover cannot be specified together.");
    }
    return answer(call, in, loss, "failing-over", ret_out, err);
}

RDS_HANDLER(switchover_global)
{
    return answer(call, in, false, "switching-over", ret_out, err);
}
