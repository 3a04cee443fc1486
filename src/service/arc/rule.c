/* Safety rules: create, describe, list, update, delete. Called as handlers on API threads; what a
 * rule means is arc/rule.h.
 *
 * Choices of ours: all controls of a rule are of its own panel, which ARC says of the rule alone; a
 * gating control is not its own target, as it could never be opened; a threshold can be reached.
 * A rule may be made that the present states break: it holds for changes. Invariant: whoever makes,
 * changes or deletes a rule writes the panel's guard, so no change is judged by rules that are not
 * those in the store. */
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/arc/handlers.h"
#include "service/arc/support.h"

#include <inttypes.h>

static bool is_gating(const json_t *tree)
{
    return text_equal(tree_text(tree, "Kind"), "GATING");
}

/* ---- as the API shows it ---- */

static json_t *show_controls(struct aws_call *call, const json_t *tree, const char *member)
{
    const json_t *ids = json_object_get(tree, member);
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *arn = arc_arn(call, MODEL_ARC_CONTROL, tree_text(tree, "Panel"),
                                  json_string_value(json_array_get(ids, i)));
        if (json_array_append_new(list, json_string(arn)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *show_rule(struct aws_call *call, const json_t *tree)
{
    const char *panel = tree_text(tree, "Panel");
    bool gating = is_gating(tree);
    json_t *targets = gating ? show_controls(call, tree, "Targets") : NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:s, s:o, s:o*}", "ControlPanelArn",
                     arc_arn(call, MODEL_ARC_PANEL, "", panel), "SafetyRuleArn",
                     arc_arn(call, MODEL_ARC_RULE, panel, tree_text(tree, "Id")), "Name",
                     tree_text(tree, "Name"), "Status", "DEPLOYED", "RuleConfig",
                     json_object_get(tree, "RuleConfig"), "WaitPeriodMs",
                     json_object_get(tree, "WaitPeriodMs"), "Owner", call->account_id,
                     gating ? "GatingControls" : "AssertedControls",
                     show_controls(call, tree, "Controls"), "TargetControls", targets);
}

/* {"AssertionRule":..} or {"GatingRule":..}; status NULL: DEPLOYED. */
static int answer_rule(struct aws_call *call, const json_t *tree, const char *status,
                       json_t **ret_out, struct err *err)
{
    return arc_answer_shown(show_rule(call, tree), is_gating(tree) ? "GatingRule" : "AssertionRule",
                            status, ret_out, err);
}

/* {"ASSERTION":..} or {"GATING":..} */
static json_t *show_listed(struct aws_call *call, const json_t *tree)
{
    return json_pack("{s:o}", is_gating(tree) ? "GATING" : "ASSERTION", show_rule(call, tree));
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    const json_t *rule; /* the member of in */
    bool gating;
    json_t *tree;
    bool repeated;
};

static bool holds_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (text_equal(json_string_value(json_array_get(list, i)), text)) {
            return true;
        }
    }
    return false;
}

/* The ids of the controls that a member names; *ret_ids is kept. txn compares that they stay. */
static int read_controls(struct aws_call *call, const struct creation *creation, const char *panel,
                         const char *member, json_t **ret_ids, struct err *err)
{
    const json_t *arns = json_object_get(creation->rule, member);
    json_t *ids = tree_keep(call, json_array());
    if (json_array_size(arns) == 0 || json_array_size(arns) > MODEL_ARC_PANEL_CONTROLS) {
        return arc_invalid(call, err, "%s must name 1 to %u routing controls.", member,
                           MODEL_ARC_PANEL_CONTROLS);
    }
    for (size_t i = 0; i < json_array_size(arns); i++) {
        const char *arn = json_string_value(json_array_get(arns, i));
        struct arc_item item = {.key = NULL};
        int rc = arc_load(call, arn, MODEL_ARC_CONTROL, member, &item, err);
        if (rc == 0 && !text_equal(item.name.panel, panel)) {
            rc = arc_invalid(call, err,
                             "The routing control %s is not of the rule's control panel.", arn);
        }
        if (rc == 0 && holds_text(ids, item.name.id)) {
            rc = arc_invalid(call, err, "%s names the routing control %s twice.", member, arn);
        }
        if (rc == 0 && json_array_append_new(ids, json_string(item.name.id)) != 0) {
            rc = err_set(err, ERR_MEMORY, "reading a safety rule");
        }
        if (rc != 0) {
            return rc;
        }
    }
    *ret_ids = ids;
    return 0;
}

static int judge_config(struct aws_call *call, const json_t *rule, size_t controls, struct err *err)
{
    const json_t *config = json_object_get(rule, "RuleConfig");
    enum model_arc_rule_type type = MODEL_ARC_ATLEAST;
    int64_t threshold = json_integer_value(json_object_get(config, "Threshold"));
    if (json_integer_value(json_object_get(rule, "WaitPeriodMs")) < 0) {
        return arc_invalid(call, err, "WaitPeriodMs must not be negative.");
    }
    if (model_arc_rule_type_parse(tree_text(config, "Type"), &type) != 0) {
        return arc_invalid(call, err, "The type of a rule is ATLEAST, AND, OR or EXACTLY.");
    }
    int64_t least = type == MODEL_ARC_ATLEAST ? 1 : 0;
    bool counts = type == MODEL_ARC_ATLEAST || type == MODEL_ARC_EXACTLY;
    if (counts && (threshold < least || threshold > (int64_t)controls)) {
        return arc_invalid(call, err,
                           "Threshold must be %" PRId64
                           " to %zu, the number of the rule's controls, not %" PRId64 ".",
                           least, controls, threshold);
    }
    return 0;
}

static int judge_panel(struct aws_call *call, const char *panel, const char *name,
                       const char *except, struct err *err)
{
    struct arc_list list;
    int rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_RULES, panel), &list, err);
    if (rc == 0 && arc_name_taken(&list, name, except)) {
        return arc_invalid(call, err, "The control panel has a safety rule named %s already.",
                           name);
    }
    if (rc == 0 && except[0] == '\0' && list.count >= MODEL_ARC_RULES) {
        return aws_error(call, err, "ServiceQuotaExceededException",
                         "The control panel has %zu safety rules already, and can have no more "
                         "than %u.",
                         list.count, MODEL_ARC_RULES);
    }
    return rc;
}

static int put_rule(struct aws_call *call, struct store_txn *txn, const char *panel,
                    struct creation *creation, json_t *controls, json_t *targets, struct err *err)
{
    const json_t *rule = creation->rule;
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    model_arc_new_id(MODEL_ARC_RULE, id);
    int rc = arc_new_tags(call, creation->in, &tags, err);
    if (rc != 0) {
        return rc;
    }
    creation->tree = tree_keep(
        call,
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:O, s:O, s:O, s:O*, s:o}", "v", MODEL_VERSION, "Id",
                  id, "Panel", panel, "Kind", creation->gating ? "GATING" : "ASSERTION", "Name",
                  tree_text(rule, "Name"), "WaitPeriodMs", json_object_get(rule, "WaitPeriodMs"),
                  "RuleConfig", json_object_get(rule, "RuleConfig"), "Controls", controls,
                  "Targets", targets, "Tags", tags));
    const char *key = model_arc_key(call->arena, MODEL_ARC_RULE, panel, id);
    store_txn_require_absent(txn, key);
    rc = arc_token_put(call, txn, creation->in, arc_arn(call, MODEL_ARC_RULE, panel, id),
                       creation->tree, err);
    return rc == 0 ? tree_put(txn, key, creation->tree, err) : rc;
}

static int judge_targets(struct aws_call *call, const json_t *controls, const json_t *targets,
                         struct err *err)
{
    for (size_t i = 0; i < json_array_size(targets); i++) {
        if (holds_text(controls, json_string_value(json_array_get(targets, i)))) {
            return arc_invalid(call, err,
                               "A gating control cannot be a target of its own rule: it could "
                               "never be opened.");
        }
    }
    return 0;
}

static int make_rule(struct aws_call *call, struct store_txn *txn, struct creation *creation,
                     struct err *err)
{
    struct arc_item panel = {.key = NULL};
    json_t *controls = NULL;
    json_t *targets = NULL;
    int rc = arc_load(call, tree_text(creation->rule, "ControlPanelArn"), MODEL_ARC_PANEL,
                      "ControlPanelArn", &panel, err);
    rc = rc == 0 ? arc_guard(call, txn, panel.name.id, err) : rc;
    rc =
        rc == 0 ? judge_panel(call, panel.name.id, tree_text(creation->rule, "Name"), "", err) : rc;
    if (rc == 0) {
        rc =
            read_controls(call, creation, panel.name.id,
                          creation->gating ? "GatingControls" : "AssertedControls", &controls, err);
    }
    if (rc == 0 && creation->gating) {
        rc = read_controls(call, creation, panel.name.id, "TargetControls", &targets, err);
        rc = rc == 0 ? judge_targets(call, controls, targets, err) : rc;
    }
    rc = rc == 0 ? judge_config(call, creation->rule, json_array_size(controls), err) : rc;
    if (rc == 0) {
        store_txn_require_present(txn, panel.key);
        rc = put_rule(call, txn, panel.name.id, creation, controls, targets, err);
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    struct arc_item item = {.key = NULL};
    const char *arn = NULL;
    int rc = arc_token_find(call, txn, creation->in, &arn, err);
    if (rc == 0 && arn == NULL) {
        return make_rule(call, txn, creation, err);
    }
    rc = rc == 0 ? arc_load(call, arn, MODEL_ARC_RULE, "ClientToken", &item, err) : rc;
    creation->tree = rc == 0 ? item.tree : NULL;
    creation->repeated = true;
    return rc;
}

ARC_HANDLER(create_rule)
{
    const json_t *assertion = json_object_get(in, "AssertionRule");
    const json_t *gating = json_object_get(in, "GatingRule");
    struct creation creation = {
        .in = in, .rule = gating != NULL ? gating : assertion, .gating = gating != NULL};
    if ((assertion != NULL) == (gating != NULL)) {
        return arc_invalid(call, err, "Either AssertionRule or GatingRule must be given.");
    }
    int rc = arc_transact(call, create_step, &creation, err);
    return rc == 0 ? answer_rule(call, creation.tree, creation.repeated ? NULL : "PENDING", ret_out,
                                 err)
                   : rc;
}

/* ---- describe, list ---- */

ARC_HANDLER(describe_rule)
{
    struct arc_item item = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "SafetyRuleArn"), MODEL_ARC_RULE, "SafetyRuleArn", &item, err);
    return rc == 0 ? answer_rule(call, item.tree, NULL, ret_out, err) : rc;
}

ARC_HANDLER(list_rules)
{
    struct arc_item panel = {.key = NULL};
    struct arc_list list = {.count = 0};
    int rc = arc_load(call, tree_text(in, "ControlPanelArn"), MODEL_ARC_PANEL, "ControlPanelArn",
                      &panel, err);
    if (rc == 0) {
        rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_RULES, panel.name.id), &list,
                       err);
    }
    return rc == 0 ? arc_answer_list(call, in, &list, "SafetyRules", show_listed, ret_out, err)
                   : rc;
}

/* ---- update ---- */

struct update {
    const json_t *rule;
    bool gating;
    json_t *tree;
};

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct update *update = state;
    const char *name = tree_text(update->rule, "Name");
    json_t *wait = json_object_get(update->rule, "WaitPeriodMs");
    struct arc_item item = {.key = NULL};
    int rc = arc_load(call, tree_text(update->rule, "SafetyRuleArn"), MODEL_ARC_RULE,
                      "SafetyRuleArn", &item, err);
    if (rc == 0 && is_gating(item.tree) != update->gating) {
        rc = arc_invalid(call, err, "The safety rule %s is of the other kind.",
                         tree_text(item.tree, "Name"));
    }
    rc = rc == 0 ? arc_guard(call, txn, item.name.panel, err) : rc;
    rc = rc == 0 ? judge_panel(call, item.name.panel, name, item.name.id, err) : rc;
    if (rc == 0 && json_integer_value(wait) < 0) {
        rc = arc_invalid(call, err, "WaitPeriodMs must not be negative.");
    }
    if (rc == 0 && (json_object_set_new(item.tree, "Name", json_string(name)) != 0 ||
                    json_object_set(item.tree, "WaitPeriodMs", wait) != 0)) {
        rc = err_set(err, ERR_MEMORY, "updating a safety rule");
    }
    if (rc == 0) {
        update->tree = item.tree;
        store_txn_require_revision(txn, item.key, item.revision);
        rc = tree_put(txn, item.key, item.tree, err);
    }
    return rc;
}

ARC_HANDLER(update_rule)
{
    const json_t *assertion = json_object_get(in, "AssertionRuleUpdate");
    const json_t *gating = json_object_get(in, "GatingRuleUpdate");
    struct update update = {.rule = gating != NULL ? gating : assertion, .gating = gating != NULL};
    if ((assertion != NULL) == (gating != NULL)) {
        return arc_invalid(call, err,
                           "Either AssertionRuleUpdate or GatingRuleUpdate must be given.");
    }
    int rc = arc_transact(call, update_step, &update, err);
    return rc == 0 ? answer_rule(call, update.tree, NULL, ret_out, err) : rc;
}

/* ---- delete ---- */

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const json_t *in = ((const struct arc_input *)state)->in;
    struct arc_item item = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "SafetyRuleArn"), MODEL_ARC_RULE, "SafetyRuleArn", &item, err);
    rc = rc == 0 ? arc_guard(call, txn, item.name.panel, err) : rc;
    if (rc == 0) {
        store_txn_require_revision(txn, item.key, item.revision);
        store_txn_delete(txn, item.key);
        arc_token_drop(call, txn, item.tree);
    }
    return rc;
}

ARC_HANDLER(delete_rule)
{
    struct arc_input input = {.in = in};
    int rc = arc_transact(call, delete_step, &input, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}
