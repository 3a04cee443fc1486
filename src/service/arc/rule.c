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
#include "service/arc/resource.h"

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

/* {"ASSERTION":..} or {"GATING":..} */
static json_t *show_listed(struct aws_call *call, const json_t *tree)
{
    return json_pack("{s:o}", is_gating(tree) ? "GATING" : "ASSERTION", show_rule(call, tree));
}

/* ---- create ---- */

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
static int read_controls(struct aws_call *call, const json_t *rule, const char *panel,
                         const char *member, json_t **ret_ids, struct err *err)
{
    const json_t *arns = json_object_get(rule, member);
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

static int judge_wait(struct aws_call *call, const json_t *rule, struct err *err)
{
    return json_integer_value(json_object_get(rule, "WaitPeriodMs")) >= 0
               ? 0
               : arc_invalid(call, err, "WaitPeriodMs must not be negative.");
}

static int judge_config(struct aws_call *call, const json_t *rule, size_t controls, struct err *err)
{
    const json_t *config = json_object_get(rule, "RuleConfig");
    enum model_arc_rule_type type = MODEL_ARC_ATLEAST;
    int64_t threshold = json_integer_value(json_object_get(config, "Threshold"));
    int rc = judge_wait(call, rule, err);
    if (rc != 0) {
        return rc;
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
    return threshold >= 0 ? 0 : arc_invalid(call, err, "Threshold must not be negative.");
}

static int judge_panel(struct aws_call *call, const char *panel, const char *name,
                       const char *except, struct err *err)
{
    struct arc_list list = {.count = 0};
    int rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_RULES, panel), &list, err);
    if (rc == 0 && arc_name_taken(&list, name, except)) {
        return arc_invalid(call, err, "The control panel has a safety rule named %s already.",
                           name);
    }
    return rc == 0 && except[0] == '\0'
               ? arc_quota(call, "control panel", list.count, "safety rules", MODEL_ARC_RULES, err)
               : rc;
}

/* A rule that was read from a request. */
struct draft {
    const json_t *rule; /* the member of the request */
    bool gating;
    json_t *controls; /* ids, kept */
    json_t *targets;  /* the same; NULL for an assertion rule */
};

static int put_rule(struct aws_call *call, struct store_txn *txn, const char *panel,
                    const struct draft *draft, const json_t *in, json_t **ret_tree, struct err *err)
{
    const json_t *rule = draft->rule;
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    model_arc_new_id(MODEL_ARC_RULE, id);
    int rc = arc_new_tags(call, in, &tags, err);
    if (rc != 0) {
        return rc;
    }
    *ret_tree = tree_keep(
        call,
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:O, s:O, s:O, s:O*, s:o}", "v", MODEL_VERSION, "Id",
                  id, "Panel", panel, "Kind", draft->gating ? "GATING" : "ASSERTION", "Name",
                  tree_text(rule, "Name"), "WaitPeriodMs", json_object_get(rule, "WaitPeriodMs"),
                  "RuleConfig", json_object_get(rule, "RuleConfig"), "Controls", draft->controls,
                  "Targets", draft->targets, "Tags", tags));
    return arc_put_new(call, txn, MODEL_ARC_RULE, panel, id, in, *ret_tree, err);
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

static int read_draft(struct aws_call *call, const char *panel, struct draft *draft,
                      struct err *err)
{
    const json_t *rule = draft->rule;
    int rc = read_controls(call, rule, panel, draft->gating ? "GatingControls" : "AssertedControls",
                           &draft->controls, err);
    if (rc == 0 && draft->gating) {
        rc = read_controls(call, rule, panel, "TargetControls", &draft->targets, err);
        rc = rc == 0 ? judge_targets(call, draft->controls, draft->targets, err) : rc;
    }
    return rc == 0 ? judge_config(call, rule, json_array_size(draft->controls), err) : rc;
}

static int create(struct aws_call *call, struct store_txn *txn, const json_t *in, json_t **ret_tree,
                  struct err *err)
{
    const json_t *gating = json_object_get(in, "GatingRule");
    struct draft draft = {.rule = gating != NULL ? gating : json_object_get(in, "AssertionRule"),
                          .gating = gating != NULL};
    struct arc_item panel = {.key = NULL};
    int rc = arc_load_member(call, draft.rule, "ControlPanelArn", MODEL_ARC_PANEL, &panel, err);
    rc = rc == 0 ? arc_guard(call, txn, panel.name.id, err) : rc;
    rc = rc == 0 ? judge_panel(call, panel.name.id, tree_text(draft.rule, "Name"), "", err) : rc;
    rc = rc == 0 ? read_draft(call, panel.name.id, &draft, err) : rc;
    if (rc == 0) {
        store_txn_require_present(txn, panel.key);
        rc = put_rule(call, txn, panel.name.id, &draft, in, ret_tree, err);
    }
    return rc;
}

/* ---- update ---- */

static int update(struct aws_call *call, struct store_txn *txn, const json_t *in,
                  const struct arc_item *item, bool gating, struct err *err)
{
    const char *name = tree_text(in, "Name");
    json_t *wait = json_object_get(in, "WaitPeriodMs");
    if (is_gating(item->tree) != gating) {
        return arc_invalid(call, err, "The safety rule %s is of the other kind.",
                           tree_text(item->tree, "Name"));
    }
    int rc = arc_guard(call, txn, item->name.panel, err);
    rc = rc == 0 ? judge_panel(call, item->name.panel, name, item->name.id, err) : rc;
    rc = rc == 0 ? judge_wait(call, in, err) : rc;
    if (rc == 0 && json_object_set(item->tree, "WaitPeriodMs", wait) != 0) {
        rc = err_set(err, ERR_MEMORY, "updating a safety rule");
    }
    return rc == 0 ? arc_rename(item, name, err) : rc;
}

static int update_assertion(struct aws_call *call, struct store_txn *txn, const json_t *in,
                            const struct arc_item *item, struct err *err)
{
    return update(call, txn, in, item, false, err);
}

static int update_gating(struct aws_call *call, struct store_txn *txn, const json_t *in,
                         const struct arc_item *item, struct err *err)
{
    return update(call, txn, in, item, true, err);
}

/* ---- the operations ---- */

static int remove_rule(struct aws_call *call, struct store_txn *txn, const struct arc_item *item,
                       struct err *err)
{
    return arc_guard(call, txn, item->name.panel, err);
}

static const struct arc_kind assertion_kind = {
    .kind = MODEL_ARC_RULE,
    .arn = "SafetyRuleArn",
    .member = "AssertionRule",
    .show = show_rule,
    .create = create,
    .update = update_assertion,
    .remove = remove_rule,
};

static const struct arc_kind gating_kind = {
    .kind = MODEL_ARC_RULE,
    .arn = "SafetyRuleArn",
    .member = "GatingRule",
    .show = show_rule,
    .create = create,
    .update = update_gating,
    .remove = remove_rule,
};

/* The kind of which the request has a member, which is *ret_rule. */
static int choose(struct aws_call *call, const json_t *in, const char *assertion,
                  const char *gating, const struct arc_kind **ret_kind, const json_t **ret_rule,
                  struct err *err)
{
    const json_t *rule = json_object_get(in, gating);
    *ret_kind = rule != NULL ? &gating_kind : &assertion_kind;
    *ret_rule = rule != NULL ? rule : json_object_get(in, assertion);
    return (rule != NULL) != (json_object_get(in, assertion) != NULL)
               ? 0
               : arc_invalid(call, err, "Either %s or %s must be given.", assertion, gating);
}

ARC_HANDLER(create_rule)
{
    const struct arc_kind *kind = NULL;
    const json_t *rule = NULL;
    int rc = choose(call, in, "AssertionRule", "GatingRule", &kind, &rule, err);
    rc = rc == 0 ? arc_create(call, kind, in, ret_out, err) : rc;
    /* What is missing, taken or too much: the model has no other error for it. */
    if (rc != 0 && call->error_code != NULL &&
        !text_equal(call->error_code, "InternalServerException")) {
        call->error_code = "ValidationException";
        call->error_members = NULL; /* goes with the arena */
    }
    return rc;
}

ARC_HANDLER(describe_rule)
{
    struct arc_item item = {.key = NULL};
    int rc = arc_load_member(call, in, "SafetyRuleArn", MODEL_ARC_RULE, &item, err);
    return rc == 0 ? arc_answer(call, is_gating(item.tree) ? &gating_kind : &assertion_kind,
                                item.tree, NULL, ret_out, err)
                   : rc;
}

ARC_HANDLER(list_rules)
{
    return arc_list_of_panel(call, in, PATH_ARC_RULES, "SafetyRules", show_listed, ret_out, err);
}

ARC_HANDLER(update_rule)
{
    const struct arc_kind *kind = NULL;
    const json_t *rule = NULL;
    int rc = choose(call, in, "AssertionRuleUpdate", "GatingRuleUpdate", &kind, &rule, err);
    return rc == 0 ? arc_update(call, kind, rule, ret_out, err) : rc;
}

ARC_HANDLER(delete_rule)
{
    return arc_delete(call, &assertion_kind, in, ret_out, err);
}
