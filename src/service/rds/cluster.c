/* DB clusters: create and describe. Called as handlers on API threads.
 *
 * A cluster belongs to a replication group: one of its own, or that of the global cluster (or of
 * the cluster it is a replica of). Its servers are its instances. Invariant: a region has a
 * cluster of a group once at most. */
#include "service/rds/cluster.h"

#include "base/random.h"
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <inttypes.h>

/* ---- create ---- */

static json_t *standard(struct aws_call *call)
{
    return json_pack(
        "{s:o, s:s, s:s, s:i, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:i, s:s, "
        "s:s, s:i}",
        "AvailabilityZones",
        json_pack("[o, o, o]", json_sprintf("%sa", call->region), json_sprintf("%sb", call->region),
                  json_sprintf("%sc", call->region)),
        "DatabaseInsightsMode", "standard", "EngineLifecycleSupport",
        "open-source-rds-extended-support", "BackupRetentionPeriod", 1, "PreferredBackupWindow",
        "03:00-03:30", "PreferredMaintenanceWindow", "sun:04:00-sun:04:30", "StorageEncrypted", 0,
        "IAMDatabaseAuthenticationEnabled", 0, "DeletionProtection", 0, "HttpEndpointEnabled", 0,
        "CopyTagsToSnapshot", 0, "CrossAccountClone", 0, "AutoMinorVersionUpgrade", 1,
        "AllocatedStorage", 1, "EngineMode", "provisioned", "NetworkType", "IPV4", "Port",
        MODEL_DATABASE_PORT);
}

static int judge_cluster(struct rds_world *world, const json_t *in, const char *id, struct err *err)
{
    struct aws_call *call = world->call;
    if (rds_find(world, RDS_CLUSTER, call->region, id) != NULL) {
        return aws_error(call, err, "DBClusterAlreadyExistsFault", "DB Cluster already exists: %s",
                         id);
    }
    if (rds_count(world, RDS_CLUSTER, call->region) >= RDS_CLUSTERS_LIMIT) {
        return aws_error(call, err, "DBClusterQuotaExceededFault",
                         "You have reached the maximum number of DB Clusters allowed: %u",
                         RDS_CLUSTERS_LIMIT);
    }
    return rds_judge_kept(call, RDS_CLUSTER, in, err);
}

int rds_make_cluster(struct rds_world *world, const json_t *in, struct rds_item **ret_cluster,
                     struct err *err)
{
    struct aws_call *call = world->call;
    const char *id = NULL;
    const char *engine = NULL;
    const char *parameters = NULL;
    const char *subnets = NULL;
    json_t *tags = NULL;
    char resource[27];
    int rc = rds_identifier(call, in, "DBClusterIdentifier", &id, err);
    rc = rc == 0 ? rds_judge_engine(world, in, &engine, err) : rc;
    rc = rc == 0 ? judge_cluster(world, in, id, err) : rc;
    rc = rc == 0 ? rds_choose_group(world, RDS_CLUSTER_PARAMETERS,
                                    tree_text(in, "DBClusterParameterGroupName"), engine,
                                    &parameters, err)
                 : rc;
    rc =
        rc == 0 ? rds_choose_subnets(world, tree_text(in, "DBSubnetGroupName"), &subnets, err) : rc;
    rc = rc == 0 ? rds_new_tags(world, RDS_CLUSTER, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    random_text(resource, sizeof resource - 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    json_t *tree = json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:[], s:o}", "ResourceId",
                             json_sprintf("cluster-%s", resource), "Engine", engine,
                             "ParameterGroup", parameters, "Subnets", subnets, "Global", "", "Tags",
                             tags, "SecurityGroups", "Shown", standard(call));
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making a cluster");
    }
    (void)json_object_set_new(rds_object(tree, "Shown"), "DBSubnetGroup",
                              json_string(subnets)); /* memory: writing finds it */
    *ret_cluster = rds_new_item(world, RDS_CLUSTER, call->region, id, tree);
    return rds_keep(call, RDS_CLUSTER, in, true, tree, err);
}

void rds_join_group(struct rds_world *world, struct rds_item *cluster,
                    const struct rds_group *group)
{
    const char *joined = arena_printf(world->call->arena, "%020" PRId64, world->call->now.ns);
    (void)json_object_set_new(cluster->tree, "Group", json_string(group->g.id)); /* memory: found
                                                                                  * by writing */
    (void)json_object_set_new(cluster->tree, "Joined", json_string(joined));     /* as above */
    cluster->mark = RDS_WRITE;
}

size_t rds_group_clusters(const struct rds_world *world, const struct rds_group *group)
{
    size_t count = 0;
    for (const struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL; i = i->next) {
        count += !rds_gone(i) && rds_group_of(world, i) == group ? 1 : 0;
    }
    return count;
}

int rds_usable_cluster(struct rds_world *world, const struct rds_item *cluster, struct err *err)
{
    return json_is_true(json_object_get(cluster->tree, "Deleting"))
               ? aws_error(world->call, err, "InvalidDBClusterStateFault",
                           "DB cluster %s is being deleted.", cluster->id)
               : 0;
}

/* A cluster that is first in its group: it has the master user and the first database. */
static int fill_group(struct rds_world *world, struct rds_item *cluster, struct rds_group *group,
                      const json_t *in, struct err *err)
{
    const struct rds_item *global = rds_find_global(world, tree_text(cluster->tree, "Global"));
    const char *database = tree_text(in, "DatabaseName");
    if (database[0] == '\0' && global != NULL) {
        database = tree_text(global->tree, "DatabaseName");
    }
    int rc = rds_judge_master(world->call, in, database, err);
    rc = rc == 0 ? rds_set_password(world, group, in, err) : rc;
    group->g.master = tree_text(in, "MasterUsername");
    group->g.database = database;
    rds_join_group(world, cluster, group);
    return rc == 0 ? rds_settle_group(world, group, err) : rc;
}

/* A cluster that takes its data from another one. */
static int join_as_reader(struct rds_world *world, struct rds_item *cluster,
                          const struct rds_group *group, const json_t *in, struct err *err)
{
    struct aws_call *call = world->call;
    static const char *const refused[] = {"MasterUsername", "MasterUserPassword", "DatabaseName"};
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (tree_text(in, refused[i])[0] != '\0') {
            return rds_combination(call, err,
                                   "%s cannot be specified for a cluster that replicates another "
                                   "one: it has what that one has.",
                                   refused[i]);
        }
    }
    if (!text_equal(group->g.engine, tree_text(cluster->tree, "Engine"))) {
        return rds_combination(call, err, "The engine of the cluster must be %s, as of the others.",
                               group->g.engine);
    }
    for (const struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL; i = i->next) {
        if (!rds_gone(i) && text_equal(i->region, call->region) && i != cluster &&
            rds_group_of(world, i) == group) {
            return rds_invalid(call, err,
                               "The DB cluster %s of the region %s belongs to the same database "
                               "already.",
                               i->id, i->region);
        }
    }
    rds_join_group(world, cluster, group);
    return 0;
}

static int join_global(struct rds_world *world, struct rds_item *cluster, const json_t *in,
                       struct err *err)
{
    struct rds_item *global = NULL;
    int rc = rds_named(world, RDS_GLOBAL, tree_text(in, "GlobalClusterIdentifier"), &global, err);
    if (rc != 0) {
        return rc;
    }
    struct rds_group *group = rds_group_of(world, global);
    (void)json_object_set(cluster->tree, "Global",
                          json_object_get(global->tree, "ResourceId")); /* memory: writing finds */
    if (!text_equal(tree_text(global->tree, "Engine"), tree_text(cluster->tree, "Engine"))) {
        return rds_combination(world->call, err, "The global cluster's engine is %s.",
                               tree_text(global->tree, "Engine"));
    }
    if (group != NULL && rds_group_clusters(world, group) != 0) {
        return join_as_reader(world, cluster, group, in, err);
    }
    rc = rds_make_group(world, tree_text(global->tree, "Engine"), "", global->id, &group, err);
    (void)json_object_set_new(global->tree, "Group", json_string(group->g.id)); /* as above */
    global->mark = RDS_WRITE;
    return rc == 0 ? fill_group(world, cluster, group, in, err) : rc;
}

static int join_source(struct rds_world *world, struct rds_item *cluster, const json_t *in,
                       struct err *err)
{
    struct rds_item *source = NULL;
    int rc = rds_named_anywhere(world, RDS_CLUSTER, tree_text(in, "ReplicationSourceIdentifier"),
                                &source, err);
    rc = rc == 0 ? rds_usable_cluster(world, source, err) : rc;
    if (rc == 0 && tree_text(source->tree, "Global")[0] != '\0') {
        return aws_error(world->call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s belongs to a global cluster: add a cluster to that.",
                         source->id);
    }
    return rc == 0 ? join_as_reader(world, cluster, rds_group_of(world, source), in, err) : rc;
}

static int create(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *cluster = NULL;
    struct rds_group *group = NULL;
    int rc = rds_make_cluster(world, in, &cluster, err);
    if (rc != 0 || cluster == NULL) {
        return rc;
    }
    if (tree_text(in, "GlobalClusterIdentifier")[0] != '\0') {
        rc = join_global(world, cluster, in, err);
    } else if (tree_text(in, "ReplicationSourceIdentifier")[0] != '\0') {
        rc = join_source(world, cluster, in, err);
    } else {
        rc = rds_make_group(world, tree_text(cluster->tree, "Engine"), cluster->region, cluster->id,
                            &group, err);
        rc = rc == 0 ? fill_group(world, cluster, group, in, err) : rc;
    }
    *(struct rds_item **)state = cluster;
    return rc == 0 ? rds_event(world, cluster->region, cluster->id, "db-cluster", "creation", err,
                               "DB cluster created")
                   : rc;
}

RDS_HANDLER(create_cluster)
{
    struct rds_world world;
    struct rds_item *cluster = NULL;
    int rc = rds_change(call, create, in, &cluster, &world, err);
    return rc == 0 ? rds_answer("DBCluster", rds_show_cluster(&world, cluster, "creating"), ret_out,
                                err)
                   : rc;
}

/* ---- describe ---- */

static const struct rds_filter filters[] = {
    {"db-cluster-id", "DBClusterIdentifier"},
    {"db-cluster-resource-id", "DbClusterResourceId"},
    {"engine", "Engine"},
    {"clone-group-id", "CloneGroupId"},
    {"domain", "Domain"},
};

RDS_HANDLER(describe_clusters)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *id = tree_text(in, "DBClusterIdentifier");
    int rc = rds_load(call, &world, err);
    rc = rc == 0 && id[0] != '\0' ? rds_named(&world, RDS_CLUSTER, id, &only, err) : rc;
    if (rc != 0) {
        return rc;
    }
    for (struct rds_item *i = world.items[RDS_CLUSTER]; i != NULL; i = i->next) {
        if (i == only || (only == NULL && !rds_gone(i) && text_equal(i->region, call->region))) {
            rds_shown_add(call, &list, i->id, rds_show_cluster(&world, i, NULL));
        }
    }
    return rds_answer_list(call, in, &list, "DBClusters", filters, ARRAY_SIZE(filters), ret_out,
                           err);
}
