/* Parameter groups, of DB clusters and of DB instances: both kinds are the same but for their
 * names. Called as handlers on API threads. What a group sets is written into the servers' settings
 * in the same transaction. Invariant: a group that a cluster or instance names stays, and has
 * judged values of one family's parameters. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <inttypes.h>
#include <string.h>

struct noun {
    enum rds_kind kind;
    const char *name;   /* of requests and trees */
    const char *arn;    /* of trees */
    const char *member; /* of answers that show one */
    const char *list;
};

static const struct noun of_cluster = {RDS_CLUSTER_PARAMETERS, "DBClusterParameterGroupName",
                                       "DBClusterParameterGroupArn", "DBClusterParameterGroup",
                                       "DBClusterParameterGroups"};
static const struct noun of_instance = {RDS_PARAMETERS, "DBParameterGroupName",
                                        "DBParameterGroupArn", "DBParameterGroup",
                                        "DBParameterGroups"};

static const char *const engines[] = {"aurora-postgresql", "postgres"};

static json_t *show(struct aws_call *call, const struct noun *noun, const char *name,
                    const char *family, const char *description)
{
    return json_pack("{s:s, s:s, s:s, s:s}", noun->name, name, "DBParameterGroupFamily", family,
                     "Description", description, noun->arn,
                     rds_arn(call, noun->kind, call->region, name));
}

static json_t *show_item(struct aws_call *call, const struct noun *noun,
                         const struct rds_item *item)
{
    return show(call, noun, item->id, tree_text(item->tree, "Family"),
                tree_text(item->tree, "Description"));
}

/* The engine whose default group has that name, or NULL. */
static const char *default_engine(struct aws_call *call, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (text_equal_nocase(rds_default_group(call, engines[i]), name)) {
            return engines[i];
        }
    }
    return NULL;
}

/* ---- create ---- */

struct state {
    const struct noun *noun;
    struct rds_item *item;
};

static int judge_new(struct rds_world *world, const struct noun *noun, const json_t *in,
                     const char *id, struct err *err)
{
    struct aws_call *call = world->call;
    const char *family = tree_text(in, "DBParameterGroupFamily");
    bool known = false;
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        known = known || text_equal(rds_family(call, engines[i]), family);
    }
    if (!known) {
        return rds_invalid(call, err,
                           "ParameterGroupFamily %.64s is not a valid parameter group family: "
                           "those that are there are aurora-postgresql%u and postgres%u.",
                           family, rds_built_major, rds_built_major);
    }
    if (rds_find(world, noun->kind, call->region, id) != NULL) {
        return aws_error(call, err, "DBParameterGroupAlreadyExistsFault",
                         "Parameter group %s already exists", id);
    }
    if (rds_count(world, noun->kind, call->region) >= RDS_GROUPS_LIMIT) {
        return aws_error(call, err, "DBParameterGroupQuotaExceededFault",
                         "There are %u parameter groups already.", RDS_GROUPS_LIMIT);
    }
    return 0;
}

static int create(struct rds_world *world, const json_t *in, void *argument, struct err *err)
{
    struct state *state = argument;
    struct aws_call *call = world->call;
    const char *id = NULL;
    json_t *tags = NULL;
    int rc = rds_load_kind(world, state->noun->kind, err);
    rc = rc == 0 ? rds_long_identifier(call, in, state->noun->name, &id, err) : rc;
    rc = rc == 0 ? judge_new(world, state->noun, in, id, err) : rc;
    rc = rc == 0 ? rds_judge_text(call, in, "Description", err) : rc;
    rc = rc == 0 ? rds_new_tags(world, state->noun->kind, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    json_t *tree =
        json_pack("{s:s, s:s, s:o, s:{}}", "Family", tree_text(in, "DBParameterGroupFamily"),
                  "Description", tree_text(in, "Description"), "Tags", tags, "Parameters");
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making a parameter group");
    }
    state->item = rds_new_item(world, state->noun->kind, call->region, id, tree);
    return 0;
}

static int create_group(struct aws_call *call, const struct noun *noun, const json_t *in,
                        json_t **ret_out, struct err *err)
{
    struct state state = {.noun = noun};
    int rc = rds_change(call, create, in, &state, NULL, err);
    return rc == 0 ? rds_answer(noun->member, show_item(call, noun, state.item), ret_out, err) : rc;
}

/* ---- modify ---- */

static int modify_one(struct rds_world *world, const json_t *wanted, json_t *parameters,
                      struct err *err)
{
    struct aws_call *call = world->call;
    const char *name = tree_text(wanted, "ParameterName");
    const char *value = tree_text(wanted, "ParameterValue");
    const char *method = tree_text(wanted, "ApplyMethod");
    const struct rds_parameter *parameter = rds_find_parameter(name);
    if (parameter == NULL) {
        return rds_invalid(call, err, "Could not find parameter with name: %.64s", name);
    }
    if (!parameter->modifiable) {
        return rds_invalid(call, err, "The parameter %s cannot be modified.", parameter->name);
    }
    const char *wrong = rds_judge_parameter(call->arena, parameter, value);
    if (wrong != NULL) {
        return rds_invalid(call, err, "Invalid parameter value: %.64s for: %s %s", value,
                           parameter->name, wrong);
    }
    if (parameter->is_static && text_equal(method, "immediate")) {
        return rds_combination(call, err,
                               "cannot use immediate apply method for static parameter: %s",
                               parameter->name);
    }
    json_t *one = json_pack("{s:s, s:s}", "Value", value, "Method",
                            parameter->is_static ? "pending-reboot"
                            : method[0] != '\0'  ? method
                                                 : "immediate");
    return json_object_set_new(parameters, parameter->name, one) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "setting a parameter");
}

/* All servers that the group belongs to, and bounds of groups of servers. */
static int settle(struct rds_world *world, const struct rds_item *group, struct err *err)
{
    int rc = rds_load_kind(world, RDS_CLUSTER_PARAMETERS, err);
    rc = rc == 0 ? rds_load_kind(world, RDS_PARAMETERS, err) : rc;
    enum rds_kind kind = group->kind == RDS_PARAMETERS ? RDS_INSTANCE : RDS_CLUSTER;
    for (struct rds_item *i = world->items[kind]; rc == 0 && i != NULL; i = i->next) {
        if (rds_gone(i) || !text_equal(i->region, group->region) ||
            !text_equal(tree_text(i->tree, "ParameterGroup"), group->id)) {
            continue;
        }
        rc = kind == RDS_INSTANCE ? rds_settle_member(world, i, false, err)
                                  : rds_settle_cluster(world, i, false, err);
        if (rc == 0 && kind == RDS_CLUSTER && rds_cluster_writes(world, i)) {
            rc = rds_settle_group(world, rds_group_of(world, i), err);
        }
    }
    return rc;
}

#define PARAMETERS_AT_ONCE 20U /* as on AWS */

static int modify(struct rds_world *world, const json_t *in, void *argument, struct err *err)
{
    struct state *state = argument;
    const char *name = tree_text(in, state->noun->name);
    const json_t *wanted = json_object_get(in, "Parameters");
    if (default_engine(world->call, name) != NULL) {
        return aws_error(world->call, err, "InvalidDBParameterGroupStateFault",
                         "The parameter group %s is a default group and cannot be modified.", name);
    }
    if (json_array_size(wanted) > PARAMETERS_AT_ONCE) {
        return rds_invalid(world->call, err, "At most %u parameters can be modified at once.",
                           PARAMETERS_AT_ONCE);
    }
    int rc = rds_named(world, state->noun->kind, name, &state->item, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(wanted); i++) {
        rc = modify_one(world, json_array_get(wanted, i),
                        rds_object(state->item->tree, "Parameters"), err);
    }
    if (rc == 0) {
        state->item->mark = RDS_WRITE;
        rc = settle(world, state->item, err);
    }
    return rc;
}

static int modify_group(struct aws_call *call, const struct noun *noun, const json_t *in,
                        json_t **ret_out, struct err *err)
{
    struct state state = {.noun = noun};
    int rc = rds_change(call, modify, in, &state, NULL, err);
    return rc == 0 ? tree_answer(json_pack("{s:s}", noun->name, state.item->id), ret_out, err) : rc;
}

/* ---- delete ---- */

static int delete_step(struct rds_world *world, const json_t *in, void *argument, struct err *err)
{
    struct state *state = argument;
    const char *name = tree_text(in, state->noun->name);
    if (default_engine(world->call, name) != NULL) {
        return aws_error(world->call, err, "InvalidDBParameterGroupStateFault",
                         "The parameter group %s is a default group and cannot be deleted.", name);
    }
    int rc = rds_named(world, state->noun->kind, name, &state->item, err);
    if (rc != 0) {
        return rc;
    }
    enum rds_kind kind = state->noun->kind == RDS_PARAMETERS ? RDS_INSTANCE : RDS_CLUSTER;
    for (const struct rds_item *i = world->items[kind]; i != NULL; i = i->next) {
        if (!rds_gone(i) && text_equal(i->region, state->item->region) &&
            text_equal(tree_text(i->tree, "ParameterGroup"), state->item->id)) {
            return aws_error(world->call, err, "InvalidDBParameterGroupStateFault",
                             "One or more database instances are still members of this parameter "
                             "group %s, so the group cannot be deleted: %s",
                             state->item->id, i->id);
        }
    }
    state->item->mark = RDS_DROP;
    return 0;
}

static int delete_group(struct aws_call *call, const struct noun *noun, const json_t *in,
                        struct err *err)
{
    struct state state = {.noun = noun};
    return rds_change(call, delete_step, in, &state, NULL, err);
}

/* ---- describe groups ---- */

static int describe_groups(struct aws_call *call, const struct noun *noun, const json_t *in,
                           json_t **ret_out, struct err *err)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *name = tree_text(in, noun->name);
    const char *engine = default_engine(call, name);
    int rc = rds_load(call, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, noun->kind, err) : rc;
    rc = rc == 0 && name[0] != '\0' && engine == NULL
             ? rds_named(&world, noun->kind, name, &only, err)
             : rc;
    /* In the order of names: those that are not default ones, before and after them. */
    bool shown[ARRAY_SIZE(engines)] = {false};
    for (struct rds_item *i = rc == 0 ? world.items[noun->kind] : NULL;; i = i->next) {
        for (size_t e = 0; e < ARRAY_SIZE(engines); e++) {
            const char *standard = rds_default_group(call, engines[e]);
            bool wanted = rc == 0 && only == NULL && (engine == NULL || engine == engines[e]);
            bool due =
                i == NULL || (text_equal(i->region, call->region) && strcmp(standard, i->id) < 0);
            if (wanted && due && !shown[e]) {
                rds_shown_add(call, &list, standard,
                              show(call, noun, standard, rds_family(call, engines[e]),
                                   arena_printf(call->arena, "Default parameter group for %s",
                                                rds_family(call, engines[e]))));
                shown[e] = true;
            }
        }
        if (i == NULL) {
            break;
        }
        if (engine == NULL &&
            (i == only || (only == NULL && text_equal(i->region, call->region)))) {
            rds_shown_add(call, &list, i->id, show_item(call, noun, i));
        }
    }
    return rc == 0 ? rds_answer_list(call, in, &list, noun->list, NULL, 0, ret_out, err) : rc;
}

/* ---- describe parameters ---- */

static const char *allowed(struct arena *arena, const struct rds_parameter *parameter)
{
    switch (parameter->type) {
    case RDS_BOOLEAN:
        return "0,1";
    case RDS_INTEGER:
    case RDS_REAL:
        return arena_printf(arena, "%.15g-%.15g", parameter->low, parameter->high);
    case RDS_WORD:
        return parameter->words;
    case RDS_STRING:
        break;
    }
    return NULL;
}

static json_t *show_parameter(struct arena *arena, const struct rds_parameter *parameter,
                              const json_t *set)
{
    static const char *const types[] = {"boolean", "integer", "float", "string", "string"};
    const char *value = set != NULL ? tree_text(set, "Value") : parameter->standard;
    const char *method = set != NULL            ? tree_text(set, "Method")
                         : parameter->is_static ? "pending-reboot"
                                                : "immediate";
    return json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s, s:s*, s:b, s:s}", "ParameterName",
                     parameter->name, "ParameterValue", value[0] != '\0' ? value : NULL,
                     "Description", parameter->text, "Source",
                     set != NULL             ? "user"
                     : parameter->modifiable ? "engine-default"
                                             : "system",
                     "ApplyType", parameter->is_static ? "static" : "dynamic", "DataType",
                     types[parameter->type], "AllowedValues", allowed(arena, parameter),
                     "IsModifiable", parameter->modifiable ? 1 : 0, "ApplyMethod", method);
}

static const struct rds_filter filters[] = {{"parameter-name", "ParameterName"}};

static int describe(struct aws_call *call, const struct noun *noun, const json_t *in,
                    json_t **ret_out, struct err *err)
{
    struct rds_world world = {.call = call};
    struct rds_shown list = {.count = 0};
    struct rds_item *item = NULL;
    const char *name = tree_text(in, noun->name);
    const char *source = tree_text(in, "Source");
    int rc =
        default_engine(call, name) == NULL ? rds_named(&world, noun->kind, name, &item, err) : 0;
    const json_t *set = item != NULL ? json_object_get(item->tree, "Parameters") : NULL;
    for (size_t i = 0; rc == 0 && i < rds_parameter_count; i++) {
        const struct rds_parameter *parameter = &rds_parameter_table[i];
        json_t *one = show_parameter(call->arena, parameter, json_object_get(set, parameter->name));
        if (source[0] != '\0' && !text_equal(tree_text(one, "Source"), source)) {
            json_decref(one);
        } else {
            rds_shown_add(call, &list, parameter->name, one);
        }
    }
    return rc == 0 ? rds_answer_list(call, in, &list, "Parameters", filters, ARRAY_SIZE(filters),
                                     ret_out, err)
                   : rc;
}

/* ---- the operations ---- */

RDS_HANDLER(create_cluster_parameters)
{
    return create_group(call, &of_cluster, in, ret_out, err);
}

RDS_HANDLER(modify_cluster_parameters)
{
    return modify_group(call, &of_cluster, in, ret_out, err);
}

RDS_HANDLER(delete_cluster_parameters)
{
    (void)ret_out; /* there is no answer */
    return delete_group(call, &of_cluster, in, err);
}

RDS_HANDLER(describe_cluster_parameter_groups)
{
    return describe_groups(call, &of_cluster, in, ret_out, err);
}

RDS_HANDLER(describe_cluster_parameters)
{
    return describe(call, &of_cluster, in, ret_out, err);
}

RDS_HANDLER(create_parameters)
{
    return create_group(call, &of_instance, in, ret_out, err);
}

RDS_HANDLER(modify_parameters)
{
    return modify_group(call, &of_instance, in, ret_out, err);
}

RDS_HANDLER(delete_parameters)
{
    (void)ret_out; /* there is no answer */
    return delete_group(call, &of_instance, in, err);
}

RDS_HANDLER(describe_parameter_groups)
{
    return describe_groups(call, &of_instance, in, ret_out, err);
}

RDS_HANDLER(describe_parameters)
{
    return describe(call, &of_instance, in, ret_out, err);
}
