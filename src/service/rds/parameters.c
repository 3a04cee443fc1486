/* Parameters and what is effective of parameter groups: see parameters.h. Called by handlers on API
 * threads. Invariant: what reaches a member's settings was judged, and is a parameter of the table
 * that may be changed. */
#include "service/rds/parameters.h"

#include "base/text.h"
#include "service/rds/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STRING_LIMIT 1024U /* bytes; all of a server's fit into its configuration */

/* ---- the table ---- */

const struct rds_parameter *rds_find_parameter(const char *name)
{
    for (size_t i = 0; i < rds_parameter_count; i++) {
        if (text_equal_nocase(rds_parameter_table[i].name, name)) {
            return &rds_parameter_table[i];
        }
    }
    return NULL;
}

/* Whether a comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    const char *at = list;
    while (*at != '\0') {
        size_t piece = strcspn(at, ",");
        if (piece == length && strncmp(at, word, length) == 0) {
            return true;
        }
        at += piece + (at[piece] == ',');
    }
    return false;
}

static const char *judge_number(struct arena *arena, const struct rds_parameter *parameter,
                                const char *value)
{
    double number = 0;
    int64_t whole = 0;
    bool is_number = parameter->type == RDS_INTEGER
                         ? text_to_i64(value, INT64_MIN, INT64_MAX, &whole) == 0
                         : text_to_double(value, &number) == 0;
    number = parameter->type == RDS_INTEGER ? (double)whole : number;
    if (is_number && number >= parameter->low && number <= parameter->high) {
        return NULL;
    }
    return arena_printf(arena, "allowed values are: %.15g-%.15g", parameter->low, parameter->high);
}

const char *rds_judge_parameter(struct arena *arena, const struct rds_parameter *parameter,
                                const char *value)
{
    switch (parameter->type) {
    case RDS_BOOLEAN:
        return has_word("0,1,on,off,true,false,yes,no", value) ? NULL : "allowed values are: 0,1";
    case RDS_INTEGER:
    case RDS_REAL:
        return judge_number(arena, parameter, value);
    case RDS_WORD:
        return has_word(parameter->words, value)
                   ? NULL
                   : arena_printf(arena, "allowed values are: %s", parameter->words);
    case RDS_STRING:
        break;
    }
    if (strlen(value) > STRING_LIMIT) {
        return "it is too long";
    }
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return "it may not have line breaks or other control characters";
        }
    }
    return NULL;
}

/* ---- groups ---- */

const char *rds_family(struct aws_call *call, const char *engine)
{
    return arena_printf(call->arena, "%s%u", engine, rds_built_major);
}

const char *rds_default_group(struct aws_call *call, const char *engine)
{
    return arena_printf(call->arena, "default.%s", rds_family(call, engine));
}

int rds_choose_group(struct rds_world *world, enum rds_kind kind, const char *name,
                     const char *engine, const char **ret_name, struct err *err)
{
    struct aws_call *call = world->call;
    const char *standard = rds_default_group(call, engine);
    const char *id = rds_lower(call, name);
    struct rds_item *group = NULL;
    if (id[0] == '\0' || text_equal(id, standard)) {
        *ret_name = standard;
        return 0;
    }
    int rc = rds_named(world, kind, id, &group, err);
    if (rc != 0) {
        return rc;
    }
    if (!text_equal(tree_text(group->tree, "Family"), rds_family(call, engine))) {
        return rds_combination(call, err,
                               "The parameter group %s of the family %s cannot be used for %s, "
                               "whose family is %s.",
                               group->id, tree_text(group->tree, "Family"), engine,
                               rds_family(call, engine));
    }
    *ret_name = group->id;
    return 0;
}

json_t *rds_group_parameters(const struct rds_world *world, enum rds_kind kind, const char *region,
                             const char *name)
{
    const struct rds_item *group = rds_find(world, kind, region, name);
    return group != NULL ? json_object_get(group->tree, "Parameters") : NULL;
}

/* ---- what is effective ---- */

struct settings {
    const struct model_database_member *before;
    struct model_database_setting *list;
    size_t count;
    bool reboot;
    bool waits;
};

static const char *setting_of(const struct model_database_setting *list, size_t count,
                              const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(list[i].name, name)) {
            return list[i].value;
        }
    }
    return NULL;
}

/* One parameter of the groups; one that is to wait for a reboot stays as it was before. */
static void settle_one(struct settings *settings, const char *name, const json_t *parameter)
{
    const struct rds_parameter *known = rds_find_parameter(name);
    const char *value = tree_text(parameter, "Value");
    const char *before =
        setting_of(settings->before->settings, settings->before->setting_count, name);
    bool waits = text_equal(tree_text(parameter, "Method"), "pending-reboot") && known != NULL &&
                 !known->is_static && !settings->reboot &&
                 !text_equal(before != NULL ? before : "", value);
    settings->waits = settings->waits || waits;
    value = waits ? before : value;
    if (value != NULL && setting_of(settings->list, settings->count, name) == NULL) {
        settings->list[settings->count++] =
            (struct model_database_setting){.name = name, .value = value};
    }
}

static void settle_all(struct settings *settings, json_t *parameters)
{
    const char *name = NULL;
    json_t *parameter = NULL;
    json_object_foreach(parameters, name, parameter)
    {
        settle_one(settings, name, parameter);
    }
}

/* The instance's own group comes first. */
int rds_settle_member(struct rds_world *world, struct rds_item *instance, bool reboot,
                      struct err *err)
{
    struct rds_member *member = rds_member_of(world, instance);
    int rc = rds_load_kind(world, RDS_PARAMETERS, err);
    rc = rc == 0 ? rds_load_kind(world, RDS_CLUSTER_PARAMETERS, err) : rc;
    if (rc != 0 || member == NULL) {
        return rc;
    }
    const struct rds_item *cluster =
        rds_find(world, RDS_CLUSTER, instance->region, tree_text(instance->tree, "Cluster"));
    json_t *own = rds_group_parameters(world, RDS_PARAMETERS, instance->region,
                                       tree_text(instance->tree, "ParameterGroup"));
    json_t *shared = cluster != NULL
                         ? rds_group_parameters(world, RDS_CLUSTER_PARAMETERS, instance->region,
                                                tree_text(cluster->tree, "ParameterGroup"))
                         : NULL;
    size_t most = json_object_size(own) + json_object_size(shared);
    struct settings settings = {
        .before = &member->m,
        .list = arena_array(world->call->arena, most + 1, sizeof(struct model_database_setting)),
        .reboot = reboot,
    };
    settle_all(&settings, own);
    settle_all(&settings, shared);
    member->m.settings = settings.list;
    member->m.setting_count = settings.count;
    member->mark = RDS_WRITE;
    instance->mark = RDS_WRITE;
    return json_object_set_new(instance->tree, "PendingReboot", json_boolean(settings.waits)) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "settling parameters");
}

int rds_settle_cluster(struct rds_world *world, const struct rds_item *cluster, bool reboot,
                       struct err *err)
{
    int rc = 0;
    for (struct rds_item *i = world->items[RDS_INSTANCE]; rc == 0 && i != NULL; i = i->next) {
        bool ours = !rds_gone(i) && text_equal(i->region, cluster->region) &&
                    text_equal(tree_text(i->tree, "Cluster"), cluster->id);
        rc = ours ? rds_settle_member(world, i, reboot, err) : 0;
    }
    return rc;
}

/* ---- a group's settings ---- */

/* The global cluster, the cluster or the instance without one that the group is: whose tags count.
 */
static const struct rds_item *owner_of(const struct rds_world *world, const struct rds_group *group)
{
    for (enum rds_kind kind = RDS_GLOBAL; kind <= RDS_INSTANCE; kind++) {
        for (const struct rds_item *i = world->items[kind]; i != NULL; i = i->next) {
            if (!rds_gone(i) && text_equal(tree_text(i->tree, "Group"), group->g.id) &&
                (kind != RDS_CLUSTER || rds_writer_cluster(world, group) == i)) {
                return i;
            }
        }
    }
    return NULL;
}

static int64_t tag_number(const json_t *tags, const char *name, int64_t fallback)
{
    int64_t number = fallback;
    IGNORE_RESULT(text_to_i64(tree_text(tags, name), 0, INT64_MAX, &number)); /* it was judged */
    return number;
}

/* In milliseconds; 0: there is no such parameter. */
static int64_t bound_of(const struct rds_world *world, const struct rds_group *group)
{
    const struct rds_item *cluster = rds_writer_cluster(world, group);
    int64_t seconds = 0;
    if (cluster == NULL) {
        return 0;
    }
    const json_t *parameters = rds_group_parameters(world, RDS_CLUSTER_PARAMETERS, cluster->region,
                                                    tree_text(cluster->tree, "ParameterGroup"));
    const char *value = tree_text(json_object_get(parameters, RDS_RPO_PARAMETER), "Value");
    IGNORE_RESULT(text_to_i64(value, 1, INT32_MAX, &seconds)); /* it was judged */
    return MIN(seconds, INT32_MAX / 1000) * 1000;
}

int rds_settle_group(struct rds_world *world, struct rds_group *group, struct err *err)
{
    const struct rds_item *owner = owner_of(world, group);
    int rc = rds_load_kind(world, RDS_CLUSTER_PARAMETERS, err);
    if (rc != 0 || owner == NULL) {
        return rc;
    }
    const json_t *tags = json_object_get(owner->tree, "Tags");
    const char *mode = tree_text(tags, "leeward:mode");
    int64_t bound = tag_number(tags, "leeward:rpo-ms", bound_of(world, group));
    struct model_database_group *g = &group->g;
    g->lease_ms = tag_number(tags, "leeward:lease-ms", MODEL_DATABASE_LEASE_MS);
    g->alone_waits = text_equal(tree_text(tags, "leeward:alone"), "wait");
    g->automatic = !text_equal(tree_text(tags, "leeward:failover"), "manual");
    g->mode = bound != 0 ? MODEL_DATABASE_BOUNDED : MODEL_DATABASE_ASYNCHRONOUS;
    g->mode = text_equal(mode, "synchronous") ? MODEL_DATABASE_SYNCHRONOUS : g->mode;
    g->mode = text_equal(mode, "asynchronous") ? MODEL_DATABASE_ASYNCHRONOUS : g->mode;
    g->mode = text_equal(mode, "bounded") ? MODEL_DATABASE_BOUNDED : g->mode;
    g->rpo_ms = g->mode == MODEL_DATABASE_BOUNDED && bound == 0 ? 1000 : bound;
    g->bound_follows = text_empty(mode) && text_empty(tree_text(tags, "leeward:rpo-ms"));
    group->mark = RDS_WRITE;
    return 0;
}
