/* DB clusters: modify, delete, stop, start, reboot, fail over, promote. Called as handlers on API
 * threads. Each writes what is wanted; the agents carry it out. Invariant: the master password of a
 * group is changed by the cluster that writes alone. */
#include "base/text.h"
#include "service/rds/cluster.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"
#include "service/rds/snapshot.h"

/* The cluster of a request, which is not being deleted. */
static int find(struct rds_world *world, const json_t *in, struct rds_item **ret_cluster,
                struct err *err)
{
    int rc = rds_named(world, RDS_CLUSTER, tree_text(in, "DBClusterIdentifier"), ret_cluster, err);
    rc = rc == 0 ? rds_usable_cluster(world, *ret_cluster, err) : rc;
    return rc == 0 && rds_group_of(world, *ret_cluster) == NULL
               ? aws_error(world->call, err, "InvalidDBClusterStateFault",
                           "DB cluster %s has no replication group.", (*ret_cluster)->id)
               : rc;
}

static int run(struct aws_call *call, rds_changer change, const json_t *in, const char *status,
               json_t **ret_out, struct err *err)
{
    struct rds_world world;
    struct rds_item *cluster = NULL;
    int rc = rds_change(call, change, in, &cluster, &world, err);
    return rc == 0
               ? rds_answer("DBCluster", rds_show_cluster(&world, cluster, status), ret_out, err)
               : rc;
}

/* ---- modify ---- */

static int modify_password(struct rds_world *world, const struct rds_item *cluster,
                           const json_t *in, struct err *err)
{
    const char *password = tree_text(in, "MasterUserPassword");
    if (password[0] == '\0') {
        return 0;
    }
    if (!rds_cluster_writes(world, cluster)) {
        return rds_combination(world->call, err,
                               "The master user belongs to the cluster that writes: change its "
                               "password there.");
    }
    int rc = rds_judge_password(world->call, password, err);
    return rc == 0 ? rds_set_password(world, rds_group_of(world, cluster), in, err) : rc;
}

static void modify_port(struct rds_group *group, const struct rds_item *cluster, const json_t *in)
{
    const json_t *port = json_object_get(in, "Port");
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t count =
        port != NULL ? rds_cluster_members(group, cluster->region, cluster->id, members) : 0;
    for (size_t i = 0; i < count; i++) {
        rds_set_port(members[i], port);
    }
}

static int modify_groups(struct rds_world *world, struct rds_item *cluster, const json_t *in,
                         struct err *err)
{
    const char *wanted = tree_text(in, "DBClusterParameterGroupName");
    const char *own = tree_text(in, "DBInstanceParameterGroupName");
    const char *engine = tree_text(cluster->tree, "Engine");
    const char *name = NULL;
    int rc = 0;
    if (own[0] != '\0') {
        rc = rds_choose_group(world, RDS_PARAMETERS, own, engine, &name, err);
        struct rds_item *i = NULL;
        while (rc == 0 && (i = rds_next_instance(world, cluster, i)) != NULL) {
            (void)json_object_set_new(i->tree, "ParameterGroup",
                                      json_string(name)); /* memory: writing finds it */
            rc = rds_settle_member(world, i, false, err);
        }
    }
    if (rc != 0 || wanted[0] == '\0') {
        return rc;
    }
    rc = rds_choose_group(world, RDS_CLUSTER_PARAMETERS, wanted, engine, &name, err);
    if (rc != 0) {
        return rc;
    }
    (void)json_object_set_new(cluster->tree, "ParameterGroup", json_string(name)); /* as above */
    rc = rds_settle_cluster(world, cluster, false, err);
    return rc == 0 && rds_cluster_writes(world, cluster)
               ? rds_settle_group(world, rds_group_of(world, cluster), err)
               : rc;
}

/* Everything that names the cluster follows. */
static int rename_cluster(struct rds_world *world, struct rds_item **cluster, const json_t *in,
                          struct err *err)
{
    struct rds_group *group = rds_group_of(world, *cluster);
    const char *id = NULL;
    if (tree_text(in, "NewDBClusterIdentifier")[0] == '\0') {
        return 0;
    }
    int rc = rds_identifier(world->call, in, "NewDBClusterIdentifier", &id, err);
    if (rc != 0 || text_equal(id, (*cluster)->id)) {
        return rc;
    }
    if (rds_find(world, RDS_CLUSTER, (*cluster)->region, id) != NULL) {
        return aws_error(world->call, err, "DBClusterAlreadyExistsFault",
                         "DB Cluster already exists: %s", id);
    }
    struct rds_item *i = NULL;
    while ((i = rds_next_instance(world, *cluster, i)) != NULL) {
        (void)json_object_set_new(i->tree, "Cluster", json_string(id)); /* memory: writing finds */
        i->mark = RDS_WRITE;
    }
    for (size_t at = 0; at < group->member_count; at++) {
        struct rds_member *member = group->members[at];
        if (text_equal(member->m.region, (*cluster)->region) &&
            text_equal(member->m.cluster, (*cluster)->id)) {
            member->m.cluster = id;
            member->mark = RDS_WRITE;
        }
    }
    if (text_equal(group->g.region, (*cluster)->region) &&
        text_equal(group->g.name, (*cluster)->id)) {
        group->g.name = id;
        group->mark = RDS_WRITE;
    }
    const char *before = (*cluster)->id;
    *cluster = rds_rename(world, *cluster, id);
    return rds_event(world, (*cluster)->region, id, "db-cluster", "notification", err,
                     "Renamed DB cluster from %s to %s", before, id);
}

static int modify(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    int rc = find(world, in, &cluster, err);
    rc = rc == 0 ? rds_judge_version(world, in, tree_text(cluster->tree, "Engine"), err) : rc;
    rc = rc == 0 ? rds_judge_kept(world->call, RDS_CLUSTER, in, err) : rc;
    if (rc != 0) {
        return rc;
    }
    cluster->mark = RDS_WRITE;
    rc = rds_keep(world->call, RDS_CLUSTER, in, false, cluster->tree, err);
    rc = rc == 0 ? modify_password(world, cluster, in, err) : rc;
    rc = rc == 0 ? modify_groups(world, cluster, in, err) : rc;
    modify_port(rds_group_of(world, cluster), cluster, in);
    rc = rc == 0 ? rename_cluster(world, &cluster, in, err) : rc;
    *(struct rds_item **)state = cluster;
    return rc;
}

RDS_HANDLER(modify_cluster)
{
    return run(call, modify, in, NULL, ret_out, err);
}

/* ---- delete ---- */

static int judge_deletion(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                          struct err *err)
{
    struct aws_call *call = world->call;
    bool skip = json_is_true(json_object_get(in, "SkipFinalSnapshot"));
    bool final = tree_text(in, "FinalDBSnapshotIdentifier")[0] != '\0';
    struct rds_item *i = NULL;
    if (json_is_true(
            json_object_get(json_object_get(cluster->tree, "Shown"), "DeletionProtection"))) {
        return rds_combination(call, err,
                               "Cannot delete protected Cluster, please disable deletion "
                               "protection and try again.");
    }
    if (tree_text(cluster->tree, "Global")[0] != '\0') {
        return aws_error(call, err, "InvalidDBClusterStateFault",
                         "This cluster is a part of a global cluster, please remove it from "
                         "globalcluster first");
    }
    while ((i = rds_next_instance(world, cluster, i)) != NULL) {
        if (!json_is_true(json_object_get(i->tree, "Deleting"))) {
            return aws_error(call, err, "InvalidDBClusterStateFault",
                             "Cluster cannot be deleted, it still contains DB instances in "
                             "non-deleting state.");
        }
    }
    if (skip == final) {
        return rds_combination(call, err,
                               final ? "FinalDBSnapshotIdentifier can not be specified when "
                                       "deleting a DB cluster with SkipFinalSnapshot"
                                     : "FinalDBSnapshotIdentifier is required unless "
                                       "SkipFinalSnapshot is specified.");
    }
    if (rds_cluster_writes(world, cluster) &&
        rds_group_clusters(world, rds_group_of(world, cluster)) > 1) {
        return aws_error(call, err, "InvalidDBClusterStateFault",
                         "Other clusters replicate this one: promote or delete them first.");
    }
    return 0;
}

static int delete_step(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    struct rds_item *snapshot = NULL;
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    const char *final = tree_text(in, "FinalDBSnapshotIdentifier");
    int rc = find(world, in, &cluster, err);
    rc = rc == 0 ? judge_deletion(world, cluster, in, err) : rc;
    rc = rc == 0 && final[0] != '\0'
             ? rds_make_snapshot(world, cluster, in, "FinalDBSnapshotIdentifier", &snapshot, err)
             : rc;
    if (rc != 0) {
        return rc;
    }
    size_t count =
        rds_cluster_members(rds_group_of(world, cluster), cluster->region, cluster->id, members);
    for (size_t i = 0; i < count; i++) {
        members[i]->m.deleted = true;
        members[i]->mark = RDS_WRITE;
        if (!members[i]->is_seen && rds_find_region(world, cluster->region) == NULL) {
            members[i]->mark = RDS_DROP;
        }
    }
    (void)json_object_set_new(cluster->tree, "Deleting",
                              json_true()); /* memory: writing finds it */
    cluster->mark = RDS_WRITE;
    rds_sweep(world);
    *(struct rds_item **)state = cluster;
    return rds_event(world, cluster->region, cluster->id, "db-cluster", "deletion", err,
                     rds_gone(cluster) ? "DB cluster deleted" : "DB cluster is being deleted");
}

RDS_HANDLER(delete_cluster)
{
    return run(call, delete_step, in, "deleting", ret_out, err);
}

/* ---- stop and start ---- */

static int judge_rest(struct rds_world *world, const struct rds_item *cluster, const char *wanted,
                      struct err *err)
{
    const char *status = rds_cluster_status(world, cluster);
    if (rds_group_clusters(world, rds_group_of(world, cluster)) > 1) {
        return aws_error(world->call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s belongs to a database of several clusters, which cannot be "
                         "stopped.",
                         cluster->id);
    }
    if (!text_equal(status, wanted) || rds_next_instance(world, cluster, NULL) == NULL) {
        return aws_error(
            world->call, err, "InvalidDBClusterStateFault",
            "DbCluster %s is in %s state%s, but expected it to be %s.", cluster->id, status,
            rds_next_instance(world, cluster, NULL) == NULL ? " without instances" : "", wanted);
    }
    return 0;
}

static int set_rest(struct rds_world *world, const json_t *in, bool stopped, void *state,
                    struct err *err)
{
    struct rds_item *cluster = NULL;
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    int rc = find(world, in, &cluster, err);
    rc = rc == 0 ? judge_rest(world, cluster, stopped ? "available" : "stopped", err) : rc;
    if (rc != 0) {
        return rc;
    }
    size_t count =
        rds_cluster_members(rds_group_of(world, cluster), cluster->region, cluster->id, members);
    for (size_t i = 0; i < count; i++) {
        members[i]->m.stopped = stopped;
        members[i]->mark = RDS_WRITE;
    }
    *(struct rds_item **)state = cluster;
    return rds_event(world, cluster->region, cluster->id, "db-cluster", "notification", err,
                     stopped ? "DB cluster is being stopped" : "DB cluster is being started");
}

static int stop(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    return set_rest(world, in, true, state, err);
}

static int start(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    return set_rest(world, in, false, state, err);
}

RDS_HANDLER(stop_cluster)
{
    return run(call, stop, in, "stopping", ret_out, err);
}

RDS_HANDLER(start_cluster)
{
    return run(call, start, in, "starting", ret_out, err);
}

/* ---- reboot ---- */

static int reboot(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    int rc = find(world, in, &cluster, err);
    if (rc != 0) {
        return rc;
    }
    size_t count =
        rds_cluster_members(rds_group_of(world, cluster), cluster->region, cluster->id, members);
    if (count == 0 || !text_equal(rds_cluster_status(world, cluster), "available")) {
        return aws_error(world->call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s is not available, or has no instances.", cluster->id);
    }
    for (size_t i = 0; i < count; i++) {
        members[i]->m.reboot++;
        members[i]->mark = RDS_WRITE;
    }
    *(struct rds_item **)state = cluster;
    rc = rds_settle_cluster(world, cluster, true, err);
    return rc == 0 ? rds_event(world, cluster->region, cluster->id, "db-cluster", "notification",
                               err, "DB cluster restart was asked for")
                   : rc;
}

RDS_HANDLER(reboot_cluster)
{
    return run(call, reboot, in, "rebooting", ret_out, err);
}

/* ---- fail over within a cluster ---- */

static int choose_target(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                         struct rds_member **ret_member, struct err *err)
{
    const char *wanted = tree_text(in, "TargetDBInstanceIdentifier");
    struct rds_group *group = rds_group_of(world, cluster);
    struct rds_item *instance = NULL;
    if (wanted[0] == '\0') {
        *ret_member = rds_candidate(group, cluster, true);
        return *ret_member != NULL ? 0
                                   : aws_error(world->call, err, "InvalidDBClusterStateFault",
                                               "DB cluster %s has no other instance that can take "
                                               "over.",
                                               cluster->id);
    }
    int rc = rds_named(world, RDS_INSTANCE, wanted, &instance, err);
    if (rc != 0) {
        return rc;
    }
    struct rds_member *member = rds_find_member(group, tree_text(instance->tree, "ResourceId"));
    bool ours = member != NULL && text_equal(member->m.cluster, cluster->id) &&
                text_equal(member->m.region, cluster->region);
    if (!ours || text_equal(member->m.id, group->g.writer) ||
        member->seen.condition != MODEL_DATABASE_STREAMING) {
        return aws_error(world->call, err, "InvalidDBInstanceStateFault",
                         "Instance %s cannot be the target of a failover: it is no reader of the "
                         "cluster that replicates now.",
                         instance->id);
    }
    *ret_member = member;
    return 0;
}

static int failover(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    struct rds_member *target = NULL;
    int rc = find(world, in, &cluster, err);
    if (rc != 0) {
        return rc;
    }
    const char *unready = rds_unready(world, rds_group_of(world, cluster));
    if (!rds_cluster_writes(world, cluster)) {
        unready = "another cluster of its database has the writer";
    }
    if (unready != NULL) {
        return aws_error(world->call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s cannot fail over: %s.", cluster->id, unready);
    }
    rc = choose_target(world, cluster, in, &target, err);
    if (rc != 0 || target == NULL) {
        return rc;
    }
    rds_order(rds_group_of(world, cluster), MODEL_DATABASE_SWITCHOVER, target,
              "FailoverDBCluster was called.");
    *(struct rds_item **)state = cluster;
    return rds_event(world, cluster->region, cluster->id, "db-cluster", "failover", err,
                     "Started failover to DB instance: %s", target->m.instance);
}

RDS_HANDLER(failover_cluster)
{
    return run(call, failover, in, "failing-over", ret_out, err);
}

/* ---- out of a group ---- */

int rds_detach_cluster(struct rds_world *world, struct rds_item *cluster, struct err *err)
{
    struct rds_group *from = rds_group_of(world, cluster);
    struct rds_group *to = NULL;
    struct rds_member *best = rds_candidate(from, cluster, false);
    int rc = rds_make_group(world, from->g.engine, cluster->region, cluster->id, &to, err);
    rc = rc == 0 ? rds_seal_replication(world, to, from, err) : rc;
    if (rc != 0 || to == NULL) {
        return rc;
    }
    to->g.epoch = from->g.epoch;
    to->g.database = from->g.database;
    to->g.master = from->g.master;
    to->g.verifier = from->g.verifier;
    to->g.writer = best != NULL ? best->m.id : "";
    to->g.reason = "It left another group, whose data it goes on with.";
    for (size_t i = from->member_count; i-- > 0;) {
        struct rds_member *member = from->members[i];
        if (text_equal(member->m.region, cluster->region) &&
            text_equal(member->m.cluster, cluster->id)) {
            rds_move_member(world, from, to, member);
        }
    }
    struct rds_item *instance = NULL;
    while ((instance = rds_next_instance(world, cluster, instance)) != NULL) {
        (void)json_object_set_new(instance->tree, "Group",
                                  json_string(to->g.id)); /* memory: writing finds it */
        instance->mark = RDS_WRITE;
    }
    (void)json_object_set_new(cluster->tree, "Global", json_string("")); /* as above */
    rds_join_group(world, cluster, to);
    return rds_settle_group(world, to, err);
}

static int promote(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    int rc = find(world, in, &cluster, err);
    if (rc != 0) {
        return rc;
    }
    if (rds_cluster_writes(world, cluster) || tree_text(cluster->tree, "Global")[0] != '\0') {
        return aws_error(
            world->call, err, "InvalidDBClusterStateFault",
            "DB cluster %s is no read replica of another cluster%s.", cluster->id,
            tree_text(cluster->tree, "Global")[0] != '\0' ? "; use RemoveFromGlobalCluster" : "");
    }
    *(struct rds_item **)state = cluster;
    rc = rds_detach_cluster(world, cluster, err);
    return rc == 0 ? rds_event(world, cluster->region, cluster->id, "db-cluster", "notification",
                               err, "Promoted read replica cluster")
                   : rc;
}

RDS_HANDLER(promote_cluster)
{
    return run(call, promote, in, "promoting", ret_out, err);
}
