/* DB instances: create and describe. Called as handlers on API threads.
 *
 * An instance is a server: a member of its cluster's replication group, or the one member of a
 * group of its own (engine postgres, without a cluster). The first instance of the cluster that
 * writes is to make the data, all others copy it. Invariant: an instance is shown while its member
 * is there. */
#include "base/text.h"
#include "service/rds/cluster.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

/* ---- create ---- */

static json_t *standard(bool clustered)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:s, "
                     "s:s, s:s, s:i, s:b, s:b}",
                     "DatabaseInsightsMode", "standard", "EngineLifecycleSupport",
                     "open-source-rds-extended-support", "CACertificateIdentifier",
                     "rds-ca-rsa2048-g1", "BackupTarget", "region", "DedicatedLogVolume", 0,
                     "BackupRetentionPeriod", 1, "PreferredBackupWindow", "03:00-03:30",
                     "PreferredMaintenanceWindow", "sun:04:00-sun:04:30", "StorageEncrypted", 0,
                     "IAMDatabaseAuthenticationEnabled", 0, "DeletionProtection", 0,
                     "CopyTagsToSnapshot", 0, "AutoMinorVersionUpgrade", 1, "PubliclyAccessible", 0,
                     "StorageType", clustered ? "aurora" : "gp2", "LicenseModel",
                     "postgresql-license", "NetworkType", "IPV4", "AllocatedStorage",
                     clustered ? 1 : 20, "MultiAZ", 0, "PerformanceInsightsEnabled", 0);
}

/* What the cluster has, and its instances not. */
static int judge_clustered(struct aws_call *call, const json_t *in, struct err *err)
{
    static const struct {
        const char *member;
        const char *what;
    } refused[] = {
        {"MasterUsername", "master user name"},
        {"MasterUserPassword", "master user password"},
        {"DBName", "database name"},
        {"Port", "database endpoint port"},
        {"BackupRetentionPeriod", "backup retention period"},
        {"AllocatedStorage", "allocated storage"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (json_object_get(in, refused[i].member) != NULL) {
            return rds_combination(call, err,
                                   "The requested DB Instance will be a member of a DB Cluster. "
                                   "Set %s for the DB Cluster.",
                                   refused[i].what);
        }
    }
    return 0;
}

static int judge(struct rds_world *world, const json_t *in, const char *id, struct err *err)
{
    struct aws_call *call = world->call;
    if (rds_find(world, RDS_INSTANCE, call->region, id) != NULL) {
        return aws_error(call, err, "DBInstanceAlreadyExistsFault",
                         "DB Instance already exists: %s", id);
    }
    if (rds_count(world, RDS_INSTANCE, call->region) >= RDS_INSTANCES_LIMIT) {
        return aws_error(call, err, "InstanceQuotaExceededFault",
                         "You have reached the maximum number of DB Instances allowed: %u",
                         RDS_INSTANCES_LIMIT);
    }
    int rc = rds_judge_class(call, tree_text(in, "DBInstanceClass"), err);
    return rc == 0 ? rds_judge_kept(call, RDS_INSTANCE, in, err) : rc;
}

/* The cluster that it is to be in; NULL: none. */
static int find_cluster(struct rds_world *world, const json_t *in, struct rds_item **ret_cluster,
                        struct err *err)
{
    const char *wanted = tree_text(in, "DBClusterIdentifier");
    if (wanted[0] == '\0') {
        *ret_cluster = NULL;
        return 0;
    }
    int rc = rds_named(world, RDS_CLUSTER, wanted, ret_cluster, err);
    rc = rc == 0 ? rds_usable_cluster(world, *ret_cluster, err) : rc;
    rc = rc == 0 ? judge_clustered(world->call, in, err) : rc;
    return rc == 0 ? rds_judge_inherited(world, *ret_cluster, in, true, err) : rc;
}

/* In the cluster's zones by turns. */
static json_t *choose_zone(struct rds_world *world, const struct rds_item *cluster)
{
    size_t before = 0;
    const json_t *zones = NULL;
    if (cluster != NULL) {
        zones = json_object_get(json_object_get(cluster->tree, "Shown"), "AvailabilityZones");
        for (struct rds_item *i = rds_next_instance(world, cluster, NULL); i != NULL;
             i = rds_next_instance(world, cluster, i)) {
            before++;
        }
    }
    json_t *zone =
        json_array_size(zones) != 0 ? json_array_get(zones, before % json_array_size(zones)) : NULL;
    return zone != NULL ? json_incref(zone) : json_sprintf("%sa", world->call->region);
}

/* The item, without its place in a group. */
static int make_item(struct rds_world *world, const json_t *in, struct rds_item **ret_instance,
                     struct err *err)
{
    struct aws_call *call = world->call;
    struct rds_item *cluster = NULL;
    const char *id = NULL;
    const char *engine = NULL;
    const char *parameters = NULL;
    const char *subnets = NULL;
    json_t *tags = NULL;
    int rc = rds_identifier(call, in, "DBInstanceIdentifier", &id, err);
    rc = rc == 0 ? rds_judge_engine(world, in, &engine, err) : rc;
    rc = rc == 0 ? judge(world, in, id, err) : rc;
    rc = rc == 0 ? find_cluster(world, in, &cluster, err) : rc;
    rc = rc == 0 ? rds_choose_group(world, RDS_PARAMETERS, tree_text(in, "DBParameterGroupName"),
                                    engine, &parameters, err)
                 : rc;
    rc =
        rc == 0 ? rds_choose_subnets(world, tree_text(in, "DBSubnetGroupName"), &subnets, err) : rc;
    rc = rc == 0 ? rds_new_tags(world, RDS_INSTANCE, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    json_t *tree =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:[], s:o}", "Engine", engine, "Cluster",
                  cluster != NULL ? cluster->id : "", "ParameterGroup", parameters, "Subnets",
                  cluster != NULL ? tree_text(cluster->tree, "Subnets") : subnets, "Tags", tags,
                  "SecurityGroups", "Shown", standard(cluster != NULL));
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making an instance");
    }
    (void)json_object_set_new(rds_object(tree, "Shown"), "AvailabilityZone",
                              choose_zone(world, cluster)); /* memory: writing finds it */
    *ret_instance = rds_new_item(world, RDS_INSTANCE, call->region, id, tree);
    return rds_keep(call, RDS_INSTANCE, in, true, tree, err);
}

/* A member that keeps the data of a cluster without instances: it serves again. */
static struct rds_member *find_keeper(struct rds_group *group, const struct rds_item *cluster)
{
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t count = rds_cluster_members(group, cluster->region, cluster->id, members);
    for (size_t i = 0; i < count; i++) {
        if (text_empty(members[i]->m.instance)) {
            return members[i];
        }
    }
    return NULL;
}

/* The server that somebody else runs, which it is to be; "": one of ours. */
static const char *attachment_of(const struct rds_item *instance)
{
    return tree_text(json_object_get(instance->tree, "Tags"), "leeward:attach");
}

static int place(struct rds_world *world, struct rds_item *instance, struct rds_group *group,
                 struct rds_member *member, const json_t *in, struct err *err)
{
    const char *attachment = attachment_of(instance);
    const json_t *tier = json_object_get(in, "PromotionTier");
    member->m.region = instance->region;
    member->m.cluster = tree_text(instance->tree, "Cluster");
    member->m.instance = instance->id;
    member->m.tier = tier != NULL ? json_integer_value(tier) : 1;
    member->m.stopped = false;
    member->mark = RDS_WRITE;
    (void)json_object_set_new(instance->tree, "ResourceId",
                              json_string(member->m.id)); /* memory: writing finds it */
    (void)json_object_set_new(instance->tree, "Group", json_string(group->g.id)); /* as above */
    int rc = 0;
    if (attachment[0] != '\0') {
        rc = rds_attach_member(world, group, member, attachment, err);
    } else if (text_empty(member->m.address)) {
        rc = rds_place_member(world, member, err);
    }
    return rc == 0 ? rds_settle_member(world, instance, true, err) : rc;
}

static int join_cluster(struct rds_world *world, struct rds_item *instance, const json_t *in,
                        struct err *err)
{
    struct aws_call *call = world->call;
    struct rds_item *cluster = NULL;
    int rc = rds_named(world, RDS_CLUSTER, tree_text(instance->tree, "Cluster"), &cluster, err);
    if (rc != 0) {
        return rc;
    }
    struct rds_group *group = rds_group_of(world, cluster);
    if (!text_equal(tree_text(cluster->tree, "Engine"), tree_text(instance->tree, "Engine"))) {
        return rds_combination(call, err, "The engine of the cluster %s is %s.", cluster->id,
                               tree_text(cluster->tree, "Engine"));
    }
    struct rds_member *member =
        attachment_of(instance)[0] == '\0' ? find_keeper(group, cluster) : NULL;
    if (member != NULL) {
        return place(world, instance, group, member, in, err);
    }
    if (group->g.phase == MODEL_DATABASE_STOPPED) {
        return aws_error(call, err, "InvalidDBClusterStateFault",
                         "DB cluster %s is stopped: start it first.", cluster->id);
    }
    if (group->member_count == MODEL_DATABASE_MEMBERS) {
        return aws_error(call, err, "InstanceQuotaExceededFault",
                         "The cluster, with all it replicates to, has %u instances already.",
                         MODEL_DATABASE_MEMBERS);
    }
    member = rds_new_member(world, group);
    member->m.port = (uint16_t)json_integer_value(
        json_object_get(json_object_get(cluster->tree, "Shown"), "Port"));
    if (text_empty(group->g.writer) && group->g.phase == MODEL_DATABASE_NEW &&
        rds_writer_cluster(world, group) == cluster) {
        group->g.writer = member->m.id;
        group->mark = RDS_WRITE;
    }
    return place(world, instance, group, member, in, err);
}

/* A server that is in no cluster. */
static int stand_alone(struct rds_world *world, struct rds_item *instance, const json_t *in,
                       struct err *err)
{
    struct aws_call *call = world->call;
    struct rds_group *group = NULL;
    const char *engine = tree_text(instance->tree, "Engine");
    const json_t *port = json_object_get(in, "Port");
    if (!text_equal(engine, "postgres")) {
        return rds_combination(call, err,
                               "Instances of %s belong to a DB cluster: DBClusterIdentifier is "
                               "missing.",
                               engine);
    }
    int rc = rds_judge_master(call, in, tree_text(in, "DBName"), err);
    rc = rc == 0 ? rds_make_group(world, engine, call->region, instance->id, &group, err) : rc;
    rc = rc == 0 ? rds_set_password(world, group, in, err) : rc;
    if (rc != 0 || group == NULL) {
        return rc;
    }
    struct rds_member *member = rds_new_member(world, group);
    member->m.port = port != NULL ? (uint16_t)json_integer_value(port) : MODEL_DATABASE_PORT;
    group->g.master = tree_text(in, "MasterUsername");
    group->g.database = tree_text(in, "DBName");
    group->g.writer = member->m.id;
    rc = place(world, instance, group, member, in, err);
    return rc == 0 ? rds_settle_group(world, group, err) : rc;
}

static int create(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *instance = NULL;
    int rc = make_item(world, in, &instance, err);
    if (rc != 0 || instance == NULL) {
        return rc;
    }
    rc = tree_text(instance->tree, "Cluster")[0] != '\0' ? join_cluster(world, instance, in, err)
                                                         : stand_alone(world, instance, in, err);
    *(struct rds_item **)state = instance;
    return rc == 0 ? rds_event(world, instance->region, instance->id, "db-instance", "creation",
                               err, "DB instance is being created")
                   : rc;
}

RDS_HANDLER(create_instance)
{
    struct rds_world world;
    struct rds_item *instance = NULL;
    int rc = rds_change(call, create, in, &instance, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    return rc == 0 ? rds_answer("DBInstance", rds_show_instance(&world, instance, "creating"),
                                ret_out, err)
                   : rc;
}

/* ---- describe ---- */

static const struct rds_filter filters[] = {
    {"db-cluster-id", "DBClusterIdentifier"},
    {"db-instance-id", "DBInstanceIdentifier"},
    {"dbi-resource-id", "DbiResourceId"},
    {"engine", "Engine"},
    {"domain", "Domain"},
};

RDS_HANDLER(describe_instances)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *id = tree_text(in, "DBInstanceIdentifier");
    int rc = rds_load(call, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    rc = rc == 0 && id[0] != '\0' ? rds_named(&world, RDS_INSTANCE, id, &only, err) : rc;
    if (rc != 0) {
        return rc;
    }
    for (struct rds_item *i = world.items[RDS_INSTANCE]; i != NULL; i = i->next) {
        if (i == only || (only == NULL && !rds_gone(i) && text_equal(i->region, call->region))) {
            rds_shown_add(call, &list, i->id, rds_show_instance(&world, i, NULL));
        }
    }
    return rds_answer_list(call, in, &list, "DBInstances", filters, ARRAY_SIZE(filters), ret_out,
                           err);
}
