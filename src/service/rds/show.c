/* Trees of global clusters, DB clusters and DB instances: see show.h. Called by handlers on API
 * threads. Invariant: what was given is shown as it was given ("Shown"), and what is a fact comes
 * from the records of the database. */
#include "service/rds/show.h"

#include "base/text.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"

#include <string.h>

static void set(json_t *tree, const char *member, json_t *take_value)
{
    (void)json_object_set_new(tree, member, take_value); /* memory: the answer lacks it */
}

static void set_text(json_t *tree, const char *member, const char *text)
{
    set(tree, member, json_string(text));
}

int rds_answer(const char *member, json_t *take_shown, json_t **ret_out, struct err *err)
{
    return tree_answer(take_shown != NULL ? json_pack("{s:o}", member, take_shown) : NULL, ret_out,
                       err);
}

const char *rds_engine_version(const struct rds_world *world, const char *region)
{
    const struct model_database_region *found = rds_find_region(world, region);
    return found != NULL && !text_empty(found->engine_version) ? found->engine_version
                                                               : rds_built_version;
}

/* What was given, and what all kinds have. */
static json_t *begin(struct rds_world *world, const struct rds_item *item)
{
    json_t *tree = json_deep_copy(json_object_get(item->tree, "Shown"));
    if (tree == NULL) {
        tree = json_object();
    }
    set(tree, "TagList", rds_show_tags(json_object_get(item->tree, "Tags")));
    set_text(tree, "Engine", tree_text(item->tree, "Engine"));
    set_text(tree, "EngineVersion", rds_engine_version(world, item->region));
    return tree;
}

/* Newer clients look for the certificate authority here. */
static void show_authority(json_t *tree)
{
    json_t *authority = json_object_get(tree, "CACertificateIdentifier");
    if (authority != NULL) {
        set(tree, "CertificateDetails", json_pack("{s:O}", "CAIdentifier", authority));
    }
}

/* ---- endpoints ---- */

static const char *zone_of(const struct rds_world *world, const char *region)
{
    const struct model_database_region *found = rds_find_region(world, region);
    return found != NULL && found->zone != NULL ? found->zone : "";
}

/* Those who come first among a cluster's members: the writer, or for reading the others. */
static const struct rds_member *best(const struct rds_group *group, const struct rds_item *cluster,
                                     bool reading)
{
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t count = rds_cluster_members(group, cluster->region, cluster->id, members);
    const struct rds_member *found = NULL;
    for (size_t i = 0; i < count; i++) {
        bool writer = text_equal(members[i]->m.id, group->g.writer);
        if (found == NULL || writer != reading) {
            found = members[i];
        }
        if (writer && !reading) {
            break;
        }
    }
    return found != NULL && !text_empty(found->m.address) ? found : NULL;
}

static void show_endpoints(struct rds_world *world, const struct rds_item *cluster, json_t *tree)
{
    struct arena *arena = world->call->arena;
    const struct rds_group *group = rds_group_of(world, cluster);
    const char *zone = zone_of(world, cluster->region);
    if (group == NULL) {
        return;
    }
    if (zone[0] != '\0') {
        set_text(tree, "Endpoint",
                 model_database_writer_endpoint(arena, zone, cluster->region, cluster->id));
        set_text(tree, "ReaderEndpoint",
                 model_database_reader_endpoint(arena, zone, cluster->region, cluster->id));
        return;
    }
    const struct rds_member *writer = best(group, cluster, false);
    const struct rds_member *reader = best(group, cluster, true);
    if (writer != NULL && reader != NULL) {
        set_text(tree, "Endpoint", writer->m.address);
        set_text(tree, "ReaderEndpoint", reader->m.address);
    }
}

/* ---- clusters ---- */

static json_t *show_members(struct rds_world *world, const struct rds_item *cluster)
{
    const struct rds_group *group = rds_group_of(world, cluster);
    json_t *list = json_array();
    struct rds_item *instance = NULL;
    while ((instance = rds_next_instance(world, cluster, instance)) != NULL) {
        const struct rds_member *member = rds_member_of(world, instance);
        bool writer = group != NULL && member != NULL && text_equal(member->m.id, group->g.writer);
        json_t *one =
            json_pack("{s:s, s:b, s:s, s:I}", "DBInstanceIdentifier", instance->id,
                      "IsClusterWriter", writer ? 1 : 0, "DBClusterParameterGroupStatus",
                      rds_waits_for_reboot(instance, member) ? "pending-reboot" : "in-sync",
                      "PromotionTier", member != NULL ? (json_int_t)member->m.tier : (json_int_t)1);
        (void)json_array_append_new(list, one); /* memory: the answer lacks it */
    }
    return list;
}

/* Clusters of one group that are in no global cluster: replicas of the one that writes. */
static void show_replication(struct rds_world *world, const struct rds_item *cluster, json_t *tree)
{
    const struct rds_group *group = rds_group_of(world, cluster);
    const struct rds_item *writer = group != NULL ? rds_writer_cluster(world, group) : NULL;
    json_t *replicas = json_array();
    bool global = tree_text(cluster->tree, "Global")[0] != '\0';
    if (!global && writer != NULL && writer != cluster) {
        set_text(tree, "ReplicationSourceIdentifier", rds_item_arn(world->call, writer));
    }
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL && !global; i = i->next) {
        if (writer == cluster && i != cluster && !rds_gone(i) && rds_group_of(world, i) == group) {
            /* memory: the answer lacks it */
            (void)json_array_append_new(replicas, json_string(rds_item_arn(world->call, i)));
        }
    }
    set(tree, "ReadReplicaIdentifiers", replicas);
}

static json_t *show_groups(const json_t *ids)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_t *one = json_pack("{s:O, s:s}", "VpcSecurityGroupId", json_array_get(ids, i),
                                "Status", "active");
        (void)json_array_append_new(list, one); /* memory: the answer lacks it */
    }
    return list;
}

json_t *rds_show_cluster(struct rds_world *world, const struct rds_item *cluster,
                         const char *status)
{
    const json_t *stored = cluster->tree;
    const struct rds_group *group = rds_group_of(world, cluster);
    json_t *tree = begin(world, cluster);
    set_text(tree, "DBClusterIdentifier", cluster->id);
    set_text(tree, "DBClusterArn", rds_item_arn(world->call, cluster));
    set_text(tree, "DbClusterResourceId", tree_text(stored, "ResourceId"));
    set_text(tree, "ClusterCreateTime", tree_text(stored, "Created"));
    set_text(tree, "Status", status != NULL ? status : rds_cluster_status(world, cluster));
    set_text(tree, "DBClusterParameterGroup", tree_text(stored, "ParameterGroup"));
    set(tree, "VpcSecurityGroups", show_groups(json_object_get(stored, "SecurityGroups")));
    set(tree, "AssociatedRoles", json_array());
    set(tree, "DBClusterMembers", show_members(world, cluster));
    set(tree, "MultiAZ",
        json_boolean(json_array_size(json_object_get(tree, "DBClusterMembers")) > 1));
    if (group != NULL) {
        set_text(tree, "MasterUsername", group->g.master);
        if (!text_empty(group->g.database)) {
            set_text(tree, "DatabaseName", group->g.database);
        }
    }
    if (tree_text(stored, "Global")[0] != '\0') {
        set_text(tree, "GlobalWriteForwardingStatus", "disabled");
        set(tree, "GlobalWriteForwardingRequested", json_false());
        const struct rds_item *global = rds_find_global(world, tree_text(stored, "Global"));
        set_text(tree, "GlobalClusterIdentifier", global != NULL ? global->id : "");
    }
    show_authority(tree);
    (void)json_object_del(tree, "CACertificateIdentifier"); /* where it is there */
    show_replication(world, cluster, tree);
    show_endpoints(world, cluster, tree);
    return tree;
}

/* ---- instances ---- */

static void show_place(struct rds_world *world, const struct rds_item *instance,
                       const struct rds_member *member, json_t *tree)
{
    const char *zone = zone_of(world, instance->region);
    const char *address = member->m.address;
    if (!text_empty(address)) {
        address = zone[0] != '\0' ? model_database_instance_endpoint(world->call->arena, zone,
                                                                     instance->region, instance->id)
                                  : address;
        set(tree, "Endpoint",
            json_pack("{s:s, s:i}", "Address", address, "Port", (int)member->m.port));
    }
    set(tree, "PromotionTier", json_integer(member->m.tier));
    set(tree, "DbInstancePort", json_integer(0)); /* as AWS shows it */
    if (member->seen.condition == MODEL_DATABASE_STUCK) {
        set(tree, "StatusInfos",
            json_pack("[{s:s, s:b, s:s, s:s}]", "StatusType", "server", "Normal", 0, "Status",
                      "error", "Message", member->seen.message));
    }
}

/* Replication of a reader, as AWS shows it for read replicas; nothing is said of what is new. */
static void show_lag(const struct rds_group *group, const struct rds_member *member, json_t *tree)
{
    bool reads = !text_equal(member->m.id, group->g.writer);
    if (reads && member->is_seen && member->seen.condition >= MODEL_DATABASE_READER &&
        member->seen.condition <= MODEL_DATABASE_STREAMING) {
        bool flows = member->seen.condition == MODEL_DATABASE_STREAMING;
        set(tree, "StatusInfos",
            json_pack("[{s:s, s:b, s:s, s:s}]", "StatusType", "read replication", "Normal",
                      flows ? 1 : 0, "Status", flows ? "replicating" : "stopped", "Message",
                      member->seen.message));
    }
}

/* "default:postgres-15": PostgreSQL has no other ones. */
static const char *option_group(struct rds_world *world, const struct rds_item *instance)
{
    const char *version = rds_engine_version(world, instance->region);
    return arena_printf(world->call->arena, "default:%s-%.*s", tree_text(instance->tree, "Engine"),
                        (int)strcspn(version, "."), version);
}

json_t *rds_show_instance(struct rds_world *world, const struct rds_item *instance,
                          const char *status)
{
    const json_t *stored = instance->tree;
    const char *cluster = tree_text(stored, "Cluster");
    const struct rds_group *group = rds_group_of(world, instance);
    const struct rds_member *member = rds_member_of(world, instance);
    const struct rds_item *owner = rds_find(world, RDS_CLUSTER, instance->region, cluster);
    const json_t *network = owner != NULL ? owner->tree : stored;
    json_t *tree = begin(world, instance);
    if (owner != NULL) {
        rds_show_inherited(owner, tree);
    }
    show_authority(tree);
    set_text(tree, "DBInstanceIdentifier", instance->id);
    set_text(tree, "DBInstanceArn", rds_item_arn(world->call, instance));
    set_text(tree, "DbiResourceId", tree_text(stored, "ResourceId"));
    set_text(tree, "InstanceCreateTime", tree_text(stored, "Created"));
    set_text(tree, "DBInstanceStatus",
             status != NULL ? status : rds_instance_status(world, instance));
    set(tree, "DBParameterGroups",
        json_pack("[{s:s, s:s}]", "DBParameterGroupName", tree_text(stored, "ParameterGroup"),
                  "ParameterApplyStatus",
                  rds_waits_for_reboot(instance, member) ? "pending-reboot" : "in-sync"));
    set(tree, "VpcSecurityGroups", show_groups(json_object_get(network, "SecurityGroups")));
    set(tree, "OptionGroupMemberships",
        json_pack("[{s:s, s:s}]", "OptionGroupName", option_group(world, instance), "Status",
                  "in-sync"));
    set(tree, "DBSecurityGroups", json_array());
    set(tree, "PendingModifiedValues", json_object());
    set(tree, "AssociatedRoles", json_array());
    set(tree, "DBSubnetGroup",
        rds_show_subnets(world, instance->region, tree_text(network, "Subnets")));
    if (cluster[0] != '\0') {
        set_text(tree, "DBClusterIdentifier", cluster);
    }
    if (group != NULL) {
        set_text(tree, "MasterUsername", group->g.master);
        if (!text_empty(group->g.database)) {
            set_text(tree, "DBName", group->g.database);
        }
    }
    if (group != NULL && member != NULL) {
        show_lag(group, member, tree);
        show_place(world, instance, member, tree);
    }
    return tree;
}

/* ---- global clusters ---- */

static json_t *show_global_member(struct rds_world *world, const struct rds_group *group,
                                  const struct rds_item *cluster)
{
    bool writes = rds_writer_cluster(world, group) == cluster;
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t count = rds_cluster_members(group, cluster->region, cluster->id, members);
    bool connected = writes;
    json_t *readers = json_array();
    for (size_t i = 0; i < count; i++) {
        connected = connected || members[i]->seen.condition == MODEL_DATABASE_STREAMING;
    }
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL && writes; i = i->next) {
        if (i != cluster && !rds_gone(i) && rds_group_of(world, i) == group) {
            /* memory: the answer lacks it */
            (void)json_array_append_new(readers, json_string(rds_item_arn(world->call, i)));
        }
    }
    return json_pack("{s:s, s:o, s:b, s:s, s:s}", "DBClusterArn",
                     rds_item_arn(world->call, cluster), "Readers", readers, "IsWriter",
                     writes ? 1 : 0, "GlobalWriteForwardingStatus", "disabled",
                     "SynchronizationStatus", connected ? "connected" : "pending-resync");
}

static const char *member_arn(struct rds_world *world, const struct rds_group *group,
                              const char *member)
{
    const struct rds_member *found = rds_find_member(group, member);
    return found != NULL ? rds_arn(world->call, RDS_CLUSTER, found->m.region, found->m.cluster)
                         : NULL;
}

/* From where to where, while it lasts. */
static json_t *show_failover(struct rds_world *world, const struct rds_group *group,
                             const char *status)
{
    const struct model_database_group *g = &group->g;
    const struct model_database_turn *last =
        g->history_count != 0 ? &g->history[g->history_count - 1] : NULL;
    /* Once the target was promoted it is the writer, and where it came from is history. */
    bool turned = text_empty(g->target) || text_equal(g->target, g->writer);
    const char *from = turned && last != NULL ? last->before : g->writer;
    bool pending = g->phase == MODEL_DATABASE_STEADY || g->phase == MODEL_DATABASE_PREPARING;
    return json_pack("{s:s, s:s*, s:s*, s:b}", "Status", pending ? "pending" : status,
                     "FromDbClusterArn", member_arn(world, group, from), "ToDbClusterArn",
                     member_arn(world, group, g->target), "IsDataLossAllowed",
                     g->operation == MODEL_DATABASE_FAILOVER ? 1 : 0);
}

json_t *rds_show_global(struct rds_world *world, const struct rds_item *global, const char *status)
{
    struct aws_call *call = world->call;
    const struct rds_group *group = rds_group_of(world, global);
    const char *now = status != NULL ? status : rds_global_status(world, global);
    json_t *tree = begin(world, global);
    json_t *members = json_array();
    const char *region = call->region;
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL && group != NULL; i = i->next) {
        if (!rds_gone(i) && rds_group_of(world, i) == group) {
            region = rds_writer_cluster(world, group) == i ? i->region : region;
            /* memory: the answer lacks it */
            (void)json_array_append_new(members, show_global_member(world, group, i));
        }
    }
    set(tree, "GlobalClusterMembers", members);
    set_text(tree, "GlobalClusterIdentifier", global->id);
    set_text(tree, "GlobalClusterResourceId", tree_text(global->tree, "ResourceId"));
    set_text(tree, "GlobalClusterArn", rds_item_arn(call, global));
    set_text(tree, "EngineVersion", rds_engine_version(world, region));
    set_text(tree, "Status", now);
    if (group != NULL && zone_of(world, region)[0] != '\0') {
        set_text(tree, "Endpoint",
                 model_database_global_endpoint(call->arena, zone_of(world, region), global->id));
    }
    if (group != NULL && !text_empty(group->g.database)) {
        set_text(tree, "DatabaseName", group->g.database);
    }
    if (group != NULL && (text_equal(now, "failing-over") || text_equal(now, "switching-over"))) {
        set(tree, "FailoverState", show_failover(world, group, now));
    }
    return tree;
}
