/* Global clusters: create, describe, modify, delete, and clusters that leave them. Called as
 * handlers on API threads.
 *
 * A global cluster is a name for a replication group with clusters in several regions; it is seen
 * from every region. Made from a cluster, it takes that one's group over, which is renamed; made
 * empty, it gets its group with its first cluster. Invariant: a cluster's "Global" is the resource
 * id of the global cluster whose group it belongs to. */
#include "base/random.h"
#include "base/text.h"
#include "service/rds/cluster.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <string.h>

/* ---- create ---- */

/* The cluster that it is made from, which is in none, and has no replicas. */
static int judge_source(struct rds_world *world, const json_t *in, struct rds_item **ret_source,
                        struct err *err)
{
    static const char *const refused[] = {"Engine", "EngineVersion", "DatabaseName",
                                          "StorageEncrypted"};
    struct rds_item *source = NULL;
    const char *wanted = tree_text(in, "SourceDBClusterIdentifier");
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (json_object_get(in, refused[i]) != NULL) {
            return rds_combination(world->call, err,
                                   "When creating global cluster from existing db cluster, value "
                                   "for %s should not be specified since it will be inherited from "
                                   "source cluster",
                                   refused[i]);
        }
    }
    int rc = rds_named_anywhere(world, RDS_CLUSTER, wanted, &source, err);
    rc = rc == 0 ? rds_usable_cluster(world, source, err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct rds_group *group = rds_group_of(world, source);
    if (tree_text(source->tree, "Global")[0] != '\0' || group == NULL ||
        rds_group_clusters(world, group) != 1) {
        return aws_error(world->call, err, "InvalidDBClusterStateFault",
                         "Source cluster %s belongs to a global cluster, or is replicated, "
                         "already.",
                         source->id);
    }
    *ret_source = source;
    return 0;
}

/* What the tags of a cluster said of its group is said by those of the global cluster now. */
static void copy_settings(const struct rds_item *source, json_t *tags)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(source->tree, "Tags"), key, value)
    {
        if (text_starts(key, "leeward:") && json_object_get(tags, key) == NULL) {
            (void)json_object_set(tags, key, value); /* memory: writing finds it */
        }
    }
}

static int judge_new(struct rds_world *world, const char *id, struct err *err)
{
    if (rds_find(world, RDS_GLOBAL, "", id) != NULL) {
        return aws_error(world->call, err, "GlobalClusterAlreadyExistsFault",
                         "Global cluster already exists: %s", id);
    }
    if (rds_count(world, RDS_GLOBAL, "") >= RDS_GLOBALS_LIMIT) {
        return aws_error(world->call, err, "GlobalClusterQuotaExceededFault",
                         "You have reached the maximum number of global clusters allowed: %u",
                         RDS_GLOBALS_LIMIT);
    }
    return 0;
}

static json_t *make_tree(const json_t *in, const struct rds_item *source, const char *engine,
                         json_t *take_tags)
{
    char resource[17];
    random_text(resource, sizeof resource - 1, "0123456789abcdef");
    const json_t *shown = source != NULL ? json_object_get(source->tree, "Shown") : in;
    const char *support = tree_text(shown, "EngineLifecycleSupport");
    return json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:{s:s, s:b, s:b}}", "ResourceId",
        json_sprintf("cluster-%s", resource), "Engine", engine, "DatabaseName",
        tree_text(in, "DatabaseName"), "Group",
        source != NULL ? tree_text(source->tree, "Group") : "", "Tags", take_tags, "Shown",
        "EngineLifecycleSupport", support[0] != '\0' ? support : "open-source-rds-extended-support",
        "DeletionProtection", json_is_true(json_object_get(in, "DeletionProtection")) ? 1 : 0,
        "StorageEncrypted", json_is_true(json_object_get(shown, "StorageEncrypted")) ? 1 : 0);
}

static int create(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    const char *id = NULL;
    const char *engine = NULL;
    struct rds_item *source = NULL;
    json_t *tags = NULL;
    bool copied = tree_text(in, "SourceDBClusterIdentifier")[0] != '\0';
    int rc = rds_identifier(world->call, in, "GlobalClusterIdentifier", &id, err);
    rc = rc == 0 ? judge_new(world, id, err) : rc;
    if (rc == 0) {
        rc = copied ? judge_source(world, in, &source, err)
                    : rds_judge_engine(world, in, &engine, err);
    }
    rc = rc == 0 ? rds_judge_text(world->call, in, "EngineLifecycleSupport", err) : rc;
    rc = rc == 0 ? rds_judge_database(world->call, tree_text(in, "DatabaseName"), err) : rc;
    rc = rc == 0 ? rds_new_tags(world, RDS_GLOBAL, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    if (source != NULL) {
        copy_settings(source, tags);
        engine = tree_text(source->tree, "Engine");
    }
    json_t *tree = make_tree(in, source, engine, tags);
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making a global cluster");
    }
    struct rds_item *global = rds_new_item(world, RDS_GLOBAL, "", id, tree);
    *(struct rds_item **)state = global;
    if (source == NULL) {
        return 0;
    }
    struct rds_group *group = rds_group_of(world, source);
    group->g.region = "";
    group->g.name = global->id;
    (void)json_object_set(source->tree, "Global",
                          json_object_get(tree, "ResourceId")); /* memory: writing finds it */
    source->mark = RDS_WRITE;
    return rds_settle_group(world, group, err);
}

RDS_HANDLER(create_global)
{
    struct rds_world world;
    struct rds_item *global = NULL;
    int rc = rds_change(call, create, in, &global, &world, err);
    return rc == 0 ? rds_answer("GlobalCluster", rds_show_global(&world, global, "creating"),
                                ret_out, err)
                   : rc;
}

/* ---- describe ---- */

/* Whether one of the filter's values names a cluster of the global cluster. */
static bool has_cluster(struct rds_world *world, const struct rds_item *global,
                        const json_t *filter)
{
    const json_t *values = json_object_get(filter, "Values");
    const struct rds_group *group = rds_group_of(world, global);
    for (size_t i = 0; group != NULL && i < json_array_size(values); i++) {
        const char *wanted = json_string_value(json_array_get(values, i));
        for (struct rds_item *c = world->items[RDS_CLUSTER]; c != NULL; c = c->next) {
            if (!rds_gone(c) && rds_group_of(world, c) == group &&
                (text_equal_nocase(wanted, c->id) ||
                 text_equal_nocase(wanted, rds_item_arn(world->call, c)))) {
                return true;
            }
        }
    }
    return false;
}

/* DescribeGlobalClusters has a filter of its own, db-cluster-id; there is "region" besides,
 * which every global cluster passes. */
static int passes(struct rds_world *world, const struct rds_item *global, const json_t *in,
                  bool *ret_passes, struct err *err)
{
    const json_t *wanted = json_object_get(in, "Filters");
    *ret_passes = true;
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *filter = json_array_get(wanted, i);
        const char *name = tree_text(filter, "Name");
        if (text_equal(name, "db-cluster-id")) {
            *ret_passes = *ret_passes && has_cluster(world, global, filter);
        } else if (!text_equal(name, "region")) {
            return rds_invalid(world->call, err, "Unrecognized filter name: %.64s", name);
        }
    }
    return 0;
}

RDS_HANDLER(describe_globals)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *id = tree_text(in, "GlobalClusterIdentifier");
    int rc = rds_load(call, &world, err);
    rc = rc == 0 && id[0] != '\0' ? rds_named(&world, RDS_GLOBAL, id, &only, err) : rc;
    for (struct rds_item *i = world.items[RDS_GLOBAL]; rc == 0 && i != NULL; i = i->next) {
        bool shown = false;
        rc = passes(&world, i, in, &shown, err);
        if (rc == 0 && shown && !rds_gone(i) && (only == NULL || i == only)) {
            rds_shown_add(call, &list, i->id, rds_show_global(&world, i, NULL));
        }
    }
    if (rc != 0) {
        return rc;
    }
    return rds_answer_page(call, in, &list, "GlobalClusters", ret_out, err);
}

/* ---- modify ---- */

static int rename_global(struct rds_world *world, struct rds_item **global, const json_t *in,
                         struct err *err)
{
    const char *id = NULL;
    struct rds_group *group = rds_group_of(world, *global);
    if (tree_text(in, "NewGlobalClusterIdentifier")[0] == '\0') {
        return 0;
    }
    int rc = rds_identifier(world->call, in, "NewGlobalClusterIdentifier", &id, err);
    if (rc != 0 || text_equal(id, (*global)->id)) {
        return rc;
    }
    rc = judge_new(world, id, err);
    if (rc != 0) {
        return rc;
    }
    *global = rds_rename(world, *global, id);
    if (group != NULL) {
        group->g.name = (*global)->id;
        group->mark = RDS_WRITE;
    }
    return 0;
}

static int modify(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *global = NULL;
    json_t *protection = json_object_get(in, "DeletionProtection");
    int rc = rds_named(world, RDS_GLOBAL, tree_text(in, "GlobalClusterIdentifier"), &global, err);
    rc = rc == 0 ? rds_judge_version(world, in, tree_text(global->tree, "Engine"), err) : rc;
    if (rc != 0) {
        return rc;
    }
    if (protection != NULL) {
        (void)json_object_set(rds_object(global->tree, "Shown"), "DeletionProtection",
                              protection); /* memory: writing finds it */
    }
    global->mark = RDS_WRITE;
    rc = rename_global(world, &global, in, err);
    *(struct rds_item **)state = global;
    return rc;
}

RDS_HANDLER(modify_global)
{
    struct rds_world world;
    struct rds_item *global = NULL;
    int rc = rds_change(call, modify, in, &global, &world, err);
    return rc == 0
               ? rds_answer("GlobalCluster", rds_show_global(&world, global, NULL), ret_out, err)
               : rc;
}

/* ---- a cluster leaves ---- */

/* The last one: its group is its own again. */
static int leave_last(struct rds_world *world, struct rds_item *global, struct rds_item *cluster,
                      struct err *err)
{
    struct rds_group *group = rds_group_of(world, cluster);
    group->g.region = cluster->region;
    group->g.name = cluster->id;
    (void)json_object_set_new(cluster->tree, "Global", json_string("")); /* memory: writing finds */
    (void)json_object_set_new(global->tree, "Group", json_string(""));   /* as above */
    cluster->mark = RDS_WRITE;
    global->mark = RDS_WRITE;
    copy_settings(global, rds_object(cluster->tree, "Tags"));
    return rds_settle_group(world, group, err);
}

static int leave(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct aws_call *call = world->call;
    struct rds_item *global = NULL;
    struct rds_item *cluster = NULL;
    int rc = rds_named(world, RDS_GLOBAL, tree_text(in, "GlobalClusterIdentifier"), &global, err);
    rc = rc == 0 ? rds_named_anywhere(world, RDS_CLUSTER, tree_text(in, "DbClusterIdentifier"),
                                      &cluster, err)
                 : rc;
    if (rc != 0) {
        return rc;
    }
    struct rds_group *group = rds_group_of(world, global);
    if (group == NULL || rds_group_of(world, cluster) != group) {
        return rds_not_found(call, RDS_CLUSTER, tree_text(in, "DbClusterIdentifier"), err);
    }
    if (group->g.operation != MODEL_DATABASE_NO_OPERATION) {
        return aws_error(call, err, "InvalidGlobalClusterStateFault",
                         "Global cluster %s is changing its writer: wait until it is available.",
                         global->id);
    }
    *(struct rds_item **)state = global;
    if (rds_group_clusters(world, group) == 1) {
        return leave_last(world, global, cluster, err);
    }
    if (rds_cluster_writes(world, cluster)) {
        return aws_error(call, err, "InvalidGlobalClusterStateFault",
                         "Cluster %s is the writer of global cluster %s: switch over to another "
                         "one, or remove the others first.",
                         cluster->id, global->id);
    }
    rc = rds_detach_cluster(world, cluster, err);
    return rc == 0 ? rds_event(world, cluster->region, cluster->id, "db-cluster", "notification",
                               err, "Removed from global cluster %s", global->id)
                   : rc;
}

RDS_HANDLER(remove_from_global)
{
    struct rds_world world;
    struct rds_item *global = NULL;
    int rc = rds_change(call, leave, in, &global, &world, err);
    return rc == 0
               ? rds_answer("GlobalCluster", rds_show_global(&world, global, NULL), ret_out, err)
               : rc;
}

/* ---- delete ---- */

static int delete_step(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct aws_call *call = world->call;
    struct rds_item *global = NULL;
    int rc = rds_named(world, RDS_GLOBAL, tree_text(in, "GlobalClusterIdentifier"), &global, err);
    if (rc != 0) {
        return rc;
    }
    const struct rds_group *group = rds_group_of(world, global);
    if (json_is_true(
            json_object_get(json_object_get(global->tree, "Shown"), "DeletionProtection"))) {
        return rds_combination(call, err,
                               "This Global Cluster cannot be deleted because deletion protection "
                               "is enabled.");
    }
    if (group != NULL && rds_group_clusters(world, group) != 0) {
        return aws_error(call, err, "InvalidGlobalClusterStateFault",
                         "Global Cluster %s is not empty: remove its clusters first.",
                         rds_item_arn(call, global));
    }
    global->mark = RDS_DROP;
    *(struct rds_item **)state = global;
    return 0;
}

RDS_HANDLER(delete_global)
{
    struct rds_world world;
    struct rds_item *global = NULL;
    int rc = rds_change(call, delete_step, in, &global, &world, err);
    return rc == 0 ? rds_answer("GlobalCluster", rds_show_global(&world, global, "deleting"),
                                ret_out, err)
                   : rc;
}
