/* DB cluster snapshots: create, describe, delete, restore. Called as handlers on API threads.
 *
 * A snapshot is a base backup of one member, which the agent of the member's region takes and
 * keeps (db/snapshot/..); here stands what the API shows of it, with the master user's name and
 * verifier as they were. A cluster that is restored is a NEW group whose first data come from the
 * snapshot (db/restore/..). Invariant: what a restored group has not done yet keeps its snapshot.
 */
#include "service/rds/snapshot.h"

#include "base/text.h"
#include "service/rds/cluster.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <string.h>

/* ---- create ---- */

/* A member of the cluster that has the data: a reader rather than the writer. */
static const struct rds_member *choose(const struct rds_item *cluster, struct rds_group *group)
{
    const struct rds_member *found = rds_candidate(group, cluster, true);
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t count = rds_cluster_members(group, cluster->region, cluster->id, members);
    for (size_t i = 0; i < count && found == NULL; i++) {
        found = members[i]->seen.system_id != 0 ? members[i] : NULL;
    }
    return found;
}

static json_t *make_tree(struct rds_world *world, const struct rds_item *cluster,
                         const struct rds_group *group, const char *snapshot, json_t *take_tags)
{
    const json_t *given = json_object_get(cluster->tree, "Shown");
    bool encrypted = json_is_true(json_object_get(given, "StorageEncrypted"));
    (void)world; /* nothing of it is kept */
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:{s:s, s:s, s:O*, s:O*, s:s, s:b, s:O*, "
        "s:s, s:s, s:s, s:s}}",
        "ResourceId", snapshot, "Engine", tree_text(cluster->tree, "Engine"), "Verifier",
        group->g.verifier, "Database", group->g.database, "Cluster", cluster->id, "Tags", take_tags,
        "Shown", "DBClusterIdentifier", cluster->id, "EngineMode", "provisioned",
        "AllocatedStorage", json_object_get(given, "AllocatedStorage"), "Port",
        json_object_get(given, "Port"), "MasterUsername", group->g.master, "StorageEncrypted",
        encrypted ? 1 : 0, "KmsKeyId", json_object_get(given, "KmsKeyId"), "ClusterCreateTime",
        tree_text(cluster->tree, "Created"), "LicenseModel", "postgresql-license", "SnapshotType",
        "manual", "VpcId", "vpc-leeward");
}

int rds_make_snapshot(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                      const char *member, struct rds_item **ret_snapshot, struct err *err)
{
    struct aws_call *call = world->call;
    const char *id = NULL;
    json_t *tags = NULL;
    struct rds_group *group = rds_group_of(world, cluster);
    int rc = rds_identifier(call, in, member, &id, err);
    if (rc == 0 && rds_find(world, RDS_SNAPSHOT, call->region, id) != NULL) {
        rc = aws_error(call, err, "DBClusterSnapshotAlreadyExistsFault",
                       "Cannot create the cluster snapshot because one with the identifier %s "
                       "already exists.",
                       id);
    }
    if (rc == 0 && rds_count(world, RDS_SNAPSHOT, call->region) >= RDS_SNAPSHOTS_LIMIT) {
        rc = aws_error(call, err, "SnapshotQuotaExceededFault",
                       "There are %u manual snapshots already.", RDS_SNAPSHOTS_LIMIT);
    }
    rc = rc == 0 ? rds_new_tags(world, RDS_SNAPSHOT, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    const struct rds_member *source = group != NULL ? choose(cluster, group) : NULL;
    if (source == NULL) {
        json_decref(tags);
        return aws_error(call, err, "InvalidDBClusterStateFault",
                         "No instance of DB cluster %s has data that a snapshot could be taken of.",
                         cluster->id);
    }
    struct rds_snapshot *snapshot = rds_new_snapshot(world);
    snapshot->s.group = group->g.id;
    snapshot->s.region = call->region;
    snapshot->s.member = source->m.id;
    snapshot->s.name = id;
    snapshot->s.final = text_equal(member, "FinalDBSnapshotIdentifier");
    json_t *tree = make_tree(world, cluster, group, snapshot->s.id, tags);
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making a snapshot");
    }
    *ret_snapshot = rds_new_item(world, RDS_SNAPSHOT, call->region, id, tree);
    return rds_event(world, call->region, id, "db-cluster-snapshot", "backup", err,
                     "Creating manual cluster snapshot");
}

static int create(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    int rc = rds_named(world, RDS_CLUSTER, tree_text(in, "DBClusterIdentifier"), &cluster, err);
    rc = rc == 0 ? rds_usable_cluster(world, cluster, err) : rc;
    return rc == 0
               ? rds_make_snapshot(world, cluster, in, "DBClusterSnapshotIdentifier", state, err)
               : rc;
}

RDS_HANDLER(create_snapshot)
{
    struct rds_world world;
    struct rds_item *snapshot = NULL;
    int rc = rds_change(call, create, in, &snapshot, &world, err);
    return rc == 0 ? rds_answer("DBClusterSnapshot",
                                rds_show_snapshot(&world, snapshot, "creating"), ret_out, err)
                   : rc;
}

/* ---- describe ---- */

json_t *rds_show_snapshot(struct rds_world *world, const struct rds_item *item, const char *status)
{
    const struct rds_snapshot *snapshot =
        rds_find_snapshot(world, tree_text(item->tree, "ResourceId"));
    json_t *tree = json_deep_copy(json_object_get(item->tree, "Shown"));
    const char *now = status != NULL ? status : rds_snapshot_status(world, item);
    json_int_t percent =
        snapshot != NULL && snapshot->is_seen ? (json_int_t)snapshot->seen.percent : 0;
    json_t *more = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:b, s:[s]}", "DBClusterSnapshotIdentifier",
        item->id, "DBClusterSnapshotArn", rds_item_arn(world->call, item), "SnapshotCreateTime",
        tree_text(item->tree, "Created"), "Engine", tree_text(item->tree, "Engine"),
        "EngineVersion", rds_engine_version(world, item->region), "Status", now, "PercentProgress",
        text_equal(now, "available") ? 100 : percent, "TagList",
        rds_show_tags(json_object_get(item->tree, "Tags")), "IAMDatabaseAuthenticationEnabled", 0,
        "AvailabilityZones", arena_printf(world->call->arena, "%sa", item->region));
    if (tree != NULL && json_object_update(tree, more) != 0) {
        json_decref(tree);
        tree = NULL;
    }
    json_decref(more);
    return tree;
}

static bool is_shown(struct aws_call *call, const struct rds_item *item, const json_t *in)
{
    const char *cluster = tree_text(in, "DBClusterIdentifier");
    const char *type = tree_text(in, "SnapshotType");
    return !rds_gone(item) && text_equal(item->region, call->region) &&
           (cluster[0] == '\0' || rds_names(call, cluster, tree_text(item->tree, "Cluster"))) &&
           (type[0] == '\0' || text_equal(type, "manual"));
}

static const struct rds_filter filters[] = {
    {"db-cluster-id", "DBClusterIdentifier"},
    {"db-cluster-snapshot-id", "DBClusterSnapshotIdentifier"},
    {"snapshot-type", "SnapshotType"},
    {"engine", "Engine"},
};

RDS_HANDLER(describe_snapshots)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *id = tree_text(in, "DBClusterSnapshotIdentifier");
    int rc = rds_load(call, &world, err);
    rc = rc == 0 && id[0] != '\0' ? rds_named(&world, RDS_SNAPSHOT, id, &only, err) : rc;
    if (rc != 0) {
        return rc;
    }
    for (struct rds_item *i = world.items[RDS_SNAPSHOT]; i != NULL; i = i->next) {
        if ((only == NULL || i == only) && is_shown(call, i, in)) {
            rds_shown_add(call, &list, i->id, rds_show_snapshot(&world, i, NULL));
        }
    }
    return rds_answer_list(call, in, &list, "DBClusterSnapshots", filters, ARRAY_SIZE(filters),
                           ret_out, err);
}

/* ---- delete ---- */

/* A group that is being made of it still needs it. */
static bool is_used(const struct rds_world *world, const char *snapshot)
{
    for (const struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL; i = i->next) {
        const struct rds_group *group = rds_group_of(world, i);
        if (!rds_gone(i) && group != NULL && group->g.phase == MODEL_DATABASE_NEW &&
            text_equal(tree_text(i->tree, "Snapshot"), snapshot)) {
            return true;
        }
    }
    return false;
}

static int delete_step(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *item = NULL;
    int rc =
        rds_named(world, RDS_SNAPSHOT, tree_text(in, "DBClusterSnapshotIdentifier"), &item, err);
    if (rc != 0) {
        return rc;
    }
    const char *id = tree_text(item->tree, "ResourceId");
    const char *status = rds_snapshot_status(world, item);
    if ((!text_equal(status, "available") && !text_equal(status, "failed")) || is_used(world, id)) {
        return aws_error(world->call, err, "InvalidDBClusterSnapshotStateFault",
                         "Cluster snapshot %s is %s.", item->id,
                         is_used(world, id) ? "being restored" : status);
    }
    struct rds_snapshot *snapshot = rds_find_snapshot(world, id);
    if (snapshot != NULL) {
        snapshot->s.deleted = true;
        snapshot->mark = RDS_WRITE;
    }
    (void)json_object_set_new(item->tree, "Deleting", json_true()); /* memory: writing finds it */
    item->mark = RDS_WRITE;
    *(struct rds_item **)state = item;
    return rds_event(world, item->region, item->id, "db-cluster-snapshot", "deletion", err,
                     "Deleted manual cluster snapshot");
}

RDS_HANDLER(delete_snapshot)
{
    struct rds_world world;
    struct rds_item *item = NULL;
    int rc = rds_change(call, delete_step, in, &item, &world, err);
    return rc == 0 ? rds_answer("DBClusterSnapshot", rds_show_snapshot(&world, item, "deleted"),
                                ret_out, err)
                   : rc;
}

/* ---- restore ---- */

static int find_snapshot(struct rds_world *world, const json_t *in, struct rds_item **ret_item,
                         struct err *err)
{
    struct rds_item *item = NULL;
    int rc =
        rds_named_anywhere(world, RDS_SNAPSHOT, tree_text(in, "SnapshotIdentifier"), &item, err);
    if (rc != 0) {
        return rc;
    }
    const char *status = rds_snapshot_status(world, item);
    if (!text_equal(item->region, world->call->region)) {
        return rds_invalid(world->call, err, "Cluster snapshot %s is kept in %s: restore it there.",
                           item->id, item->region);
    }
    *ret_item = item;
    return text_equal(status, "available")
               ? 0
               : aws_error(world->call, err, "InvalidDBClusterSnapshotStateFault",
                           "Cluster snapshot %s is %s, but expected it to be available.", item->id,
                           status);
}

static int put_restore(struct rds_world *world, const struct rds_group *group, const char *snapshot,
                       struct err *err)
{
    struct arena *arena = world->call->arena;
    const struct model_database_restore restore = {.snapshot = snapshot};
    const char *text = model_database_restore_encode(arena, &restore, NULL);
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "restoring a snapshot");
    }
    store_txn_put(world->txn, model_database_restore_key(arena, group->g.id), text, strlen(text));
    return 0;
}

static int restore(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *item = NULL;
    struct rds_item *cluster = NULL;
    struct rds_group *group = NULL;
    int rc = find_snapshot(world, in, &item, err);
    rc = rc == 0 ? rds_make_cluster(world, in, &cluster, err) : rc;
    if (item == NULL) {
        return rc;
    }
    if (rc == 0 &&
        !text_equal(tree_text(item->tree, "Engine"), tree_text(cluster->tree, "Engine"))) {
        rc = rds_combination(world->call, err, "The engine of snapshot %s is %s.", item->id,
                             tree_text(item->tree, "Engine"));
    }
    rc = rc == 0 ? rds_make_group(world, tree_text(item->tree, "Engine"), cluster->region,
                                  cluster->id, &group, err)
                 : rc;
    if (rc != 0) {
        return rc;
    }
    const char *snapshot = tree_text(item->tree, "ResourceId");
    group->g.master = tree_text(json_object_get(item->tree, "Shown"), "MasterUsername");
    group->g.verifier = tree_text(item->tree, "Verifier");
    group->g.database = tree_text(item->tree, "Database");
    group->g.reason = "It was asked for, and its data are to be restored from a snapshot.";
    (void)json_object_set_new(cluster->tree, "Snapshot",
                              json_string(snapshot)); /* memory: writing finds it */
    rds_join_group(world, cluster, group);
    rc = rds_settle_group(world, group, err);
    rc = rc == 0 ? put_restore(world, group, snapshot, err) : rc;
    *(struct rds_item **)state = cluster;
    return rc == 0 ? rds_event(world, cluster->region, cluster->id, "db-cluster", "creation", err,
                               "DB cluster restored from snapshot %s", item->id)
                   : rc;
}

RDS_HANDLER(restore_cluster)
{
    struct rds_world world;
    struct rds_item *cluster = NULL;
    int rc = rds_change(call, restore, in, &cluster, &world, err);
    return rc == 0 ? rds_answer("DBCluster", rds_show_cluster(&world, cluster, "creating"), ret_out,
                                err)
                   : rc;
}
