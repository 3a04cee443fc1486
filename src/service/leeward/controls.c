/* ListRoutingControls: states and safety rules in words. ExplainRoutingControlStates: what a change
 * of routing controls would do, before it is made. Handlers on API threads. It reads and judges
 * with the functions that UpdateRoutingControlStates uses (service/common/change.h), from the store
 * and not the cache. Invariant: nothing is written, and what is said is what an update at the same
 * moment would have done. */
#include "base/text.h"
#include "model/path.h"
#include "service/common/change.h"
#include "service/common/context.h"
#include "service/common/tree.h"
#include "service/leeward/handlers.h"

/* ---- what there is ---- */

static void add_controls(struct aws_call *call, const struct controls_panel *panel,
                         const char *panel_name, json_t *list)
{
    for (size_t i = 0; i < panel->panel.control_count; i++) {
        const struct arc_control *control = &panel->panel.controls[i];
        const char *arn =
            model_arc_arn(call->arena, call->account_id, MODEL_ARC_CONTROL, panel->id, control->id);
        char changed[TIME_TEXT];
        wall_format_ms(control->state.changed, changed);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "RoutingControlArn", arn, "Name",
                            control->name, "ControlPanelName", panel_name, "State",
                            model_arc_state_name(control->state.on), "Changed",
                            control->state.changed.ns != 0 ? changed : ""));
    }
}

static void add_rules(struct aws_call *call, const struct controls_panel *panel,
                      const char *panel_name, json_t *list)
{
    for (size_t i = 0; i < panel->panel.rule_count; i++) {
        const struct model_arc_rule *rule = &panel->panel.rules[i];
        const char *arn =
            model_arc_arn(call->arena, call->account_id, MODEL_ARC_RULE, panel->id, rule->id);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "SafetyRuleArn", arn, "Name", rule->name,
                            "ControlPanelName", panel_name, "Kind",
                            rule->kind == MODEL_ARC_GATING ? "GATING" : "ASSERTION", "Meaning",
                            arc_rule_text(&panel->panel, rule, call->arena)));
    }
}

static int add_panel(struct aws_call *call, const struct store_entry *entry, json_t *controls,
                     json_t *rules, struct err *err)
{
    struct service_context *context = service_context(call);
    struct controls_panel panel;
    json_t *tree = NULL;
    int rc = tree_parse(call, entry, &tree, err);
    if (rc == 0) {
        rc = controls_load(context->store, context->controls, tree_text(tree, "Id"), true,
                           call->arena, &panel, err);
    }
    if (rc != 0 && err->kind == ERR_NOT_FOUND) { /* it went meanwhile */
        err_clear(err);
        return 0;
    }
    if (rc == 0) {
        add_controls(call, &panel, tree_text(tree, "Name"), controls);
        add_rules(call, &panel, tree_text(tree, "Name"), rules);
    }
    return rc;
}

int leeward_list_controls(struct aws_call *call, const json_t *in, json_t **ret_out,
                          struct err *err)
{
    struct store_list panels;
    json_t *controls = tree_keep(call, json_array());
    json_t *rules = tree_keep(call, json_array());
    (void)in; /* the operation has no members */
    int rc = store_range(service_context(call)->store, PATH_ARC_PANELS, NULL, 0, call->arena,
                         &panels, err);
    for (size_t i = 0; rc == 0 && i < panels.count; i++) {
        rc = add_panel(call, &panels.entries[i], controls, rules, err);
    }
    return rc == 0 ? leeward_answer(
                         json_pack("{s:O, s:O}", "RoutingControls", controls, "SafetyRules", rules),
                         ret_out, err)
                   : rc;
}

/* ---- what a change would do ---- */

static json_t *controls_json(struct aws_call *call, const struct change *change)
{
    json_t *list = json_array();
    for (size_t i = 0; i < change->part_count; i++) {
        const struct change_part *part = &change->parts[i];
        for (size_t j = 0; j < part->count; j++) {
            const struct arc_control *control =
                &part->panel.panel.controls[part->changes[j].control];
            const char *arn = model_arc_arn(call->arena, call->account_id, MODEL_ARC_CONTROL,
                                            part->panel_id, control->id);
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:s}", "RoutingControlArn", arn, "Name",
                                control->name, "Before", model_arc_state_name(control->state.on),
                                "After", model_arc_state_name(part->changes[j].on)));
        }
    }
    return list;
}

static json_t *rules_json(struct aws_call *call, const struct change *change)
{
    json_t *list = json_array();
    for (size_t i = 0; i < change->part_count; i++) {
        const struct change_part *part = &change->parts[i];
        for (size_t j = 0; j < part->panel.panel.rule_count; j++) {
            const struct model_arc_rule *rule = &part->panel.panel.rules[j];
            const struct arc_finding *finding = &part->judgement.findings[j];
            const char *arn = model_arc_arn(call->arena, call->account_id, MODEL_ARC_RULE,
                                            part->panel_id, rule->id);
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "SafetyRuleArn", arn, "Name",
                                rule->name, "Kind",
                                rule->kind == MODEL_ARC_GATING ? "GATING" : "ASSERTION", "Verdict",
                                arc_verdict_name(finding->verdict), "Reason", finding->reason));
        }
    }
    return list;
}

int leeward_explain_states(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err)
{
    struct change *change = arena_alloc(call->arena, sizeof *change);
    int rc = change_read(call, json_object_get(in, "UpdateRoutingControlStateEntries"),
                         json_object_get(in, "SafetyRulesToOverride"), change, err);
    if (rc == 0) {
        rc = change_judge(call, change, err);
    }
    return rc == 0 ? leeward_answer(json_pack("{s:b, s:o, s:o}", "Allowed",
                                              change_blocking(change) == 0, "Controls",
                                              controls_json(call, change), "SafetyRules",
                                              rules_json(call, change)),
                                    ret_out, err)
                   : rc;
}
