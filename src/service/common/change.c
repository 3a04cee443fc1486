/* Wanted changes of routing control states: see change.h. Called by service/arc and service/leeward
 * on API threads. Invariant: a judgement is of the panel that it was given, and of the call's time;
 * callers say no only for what the store said. */
#include "service/common/change.h"

#include "base/text.h"
#include "service/common/context.h"
#include "service/common/tree.h"

#include <errno.h>
#include <string.h>

int change_not_found(struct aws_call *call, const struct model_arc_name *name, struct err *err)
{
    static const char *const types[] = {
        [MODEL_ARC_CLUSTER] = "cluster",
        [MODEL_ARC_PANEL] = "controlpanel",
        [MODEL_ARC_CONTROL] = "routingcontrol",
        [MODEL_ARC_RULE] = "safetyrule",
    };
    const char *arn = model_arc_arn(call->arena, name->account, name->kind, name->panel, name->id);
    (void)aws_error_with(
        call, err, "ResourceNotFoundException",
        json_pack("{s:s, s:s}", "resourceId", arn, "resourceType", types[name->kind]),
        "There is no %s %s.", model_arc_kind_name(name->kind), arn);
    return -EINVAL;
}

/* ---- the request ---- */

static int read_name(struct aws_call *call, const char *arn, enum model_arc_kind kind,
                     struct model_arc_name *ret_name, struct err *err)
{
    if (model_arc_parse(arn, ret_name) != 0 || ret_name->kind != kind) {
        return aws_error(call, err, "ValidationException", "'%.256s' is not the ARN of a %s.", arn,
                         model_arc_kind_name(kind));
    }
    return text_equal(ret_name->account, call->account_id) ? 0
                                                           : change_not_found(call, ret_name, err);
}

static bool same_name(const struct model_arc_name *a, const struct model_arc_name *b)
{
    return text_equal(a->id, b->id) && text_equal(a->panel, b->panel);
}

static struct change_part *part_of(struct change *change, const char *panel_id)
{
    for (size_t i = 0; i < change->part_count; i++) {
        if (text_equal(change->parts[i].panel_id, panel_id)) {
            return &change->parts[i];
        }
    }
    struct change_part *part = &change->parts[change->part_count++];
    (void)memcpy(part->panel_id, panel_id, strlen(panel_id) + 1); /* both are MODEL_ARC_ID long */
    return part;
}

static int read_entries(struct aws_call *call, const json_t *entries, struct change *change,
                        struct err *err)
{
    size_t count = json_array_size(entries);
    if (count == 0) {
        return aws_error(call, err, "ValidationException",
                         "At least one routing control's state must be given.");
    }
    if (count > MODEL_ARC_CHANGES) {
        return aws_error_with(
            call, err, "ServiceLimitExceededException",
            json_pack("{s:s, s:s}", "limitCode", "RoutingControlsPerUpdateRoutingControlStates",
                      "serviceCode", "route53-recovery-cluster"),
            "%zu routing control states cannot change together, but %u.", count, MODEL_ARC_CHANGES);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(entries, i);
        struct model_arc_name *name = &change->names[i];
        int rc =
            read_name(call, tree_text(entry, "RoutingControlArn"), MODEL_ARC_CONTROL, name, err);
        for (size_t j = 0; rc == 0 && j < i; j++) {
            if (same_name(name, &change->names[j])) {
                rc = aws_error(call, err, "ValidationException",
                               "The routing control %s is given twice.",
                               tree_text(entry, "RoutingControlArn"));
            }
        }
        if (rc != 0) {
            return rc;
        }
        change->on[i] = text_equal(tree_text(entry, "RoutingControlState"), "On");
        (void)part_of(change, name->panel); /* makes it */
    }
    change->count = count;
    return 0;
}

int change_read(struct aws_call *call, const json_t *entries, const json_t *overrides,
                struct change *ret_change, struct err *err)
{
    size_t count = json_array_size(overrides);
    *ret_change = (struct change){.count = 0};
    if (count > CHANGE_OVERRIDES_LIMIT) {
        return aws_error(call, err, "ValidationException",
                         "At most %u safety rules can be overridden at once.",
                         CHANGE_OVERRIDES_LIMIT);
    }
    int rc = read_entries(call, entries, ret_change, err);
    ret_change->overrides = arena_array(call->arena, count + 1, sizeof *ret_change->overrides);
    ret_change->override_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *arn = json_string_value(json_array_get(overrides, i));
        rc =
            read_name(call, arn != NULL ? arn : "", MODEL_ARC_RULE, &ret_change->overrides[i], err);
    }
    return rc;
}

/* ---- the judgement ---- */

/* The changes of the part, by their places in its panel. */
static int place_changes(struct aws_call *call, const struct change *change,
                         struct change_part *part, struct err *err)
{
    part->count = 0;
    for (size_t i = 0; i < change->count; i++) {
        if (!text_equal(change->names[i].panel, part->panel_id)) {
            continue;
        }
        size_t at = arc_panel_find(&part->panel.panel, change->names[i].id);
        if (at == part->panel.panel.control_count) {
            return change_not_found(call, &change->names[i], err);
        }
        part->changes[part->count++] = (struct arc_change){.control = at, .on = change->on[i]};
    }
    return 0;
}

int change_find_overrides(struct aws_call *call, const struct change *change, struct err *err)
{
    for (size_t i = 0; i < change->override_count; i++) {
        const struct model_arc_name *name = &change->overrides[i];
        struct store_entry entry;
        const char *key = model_arc_key(call->arena, MODEL_ARC_RULE, name->panel, name->id);
        int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
        if (rc == -ENOENT) {
            return change_not_found(call, name, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static const struct model_arc_name *first_of(const struct change *change, const char *panel_id)
{
    for (size_t i = 0; i < change->count; i++) {
        if (text_equal(change->names[i].panel, panel_id)) {
            return &change->names[i];
        }
    }
    return &change->names[0];
}

int change_no_panel(struct aws_call *call, const struct change *change,
                    const struct change_part *part, struct err *err)
{
    return change_not_found(call, first_of(change, part->panel_id), err);
}

int change_judge_part(struct aws_call *call, const struct change *change, struct change_part *part,
                      struct err *err)
{
    const char **overrides =
        arena_array(call->arena, change->override_count + 1, sizeof *overrides);
    for (size_t i = 0; i < change->override_count; i++) {
        overrides[i] = change->overrides[i].id;
    }
    int rc = place_changes(call, change, part, err);
    if (rc == 0) {
        struct arc_request request = {.changes = part->changes,
                                      .change_count = part->count,
                                      .overrides = overrides,
                                      .override_count = change->override_count,
                                      .now = call->now};
        arc_judge(&part->panel.panel, &request, call->arena, &part->judgement);
    }
    return rc;
}

static int load_and_judge(struct aws_call *call, const struct change *change,
                          struct change_part *part, struct err *err)
{
    struct service_context *context = service_context(call);
    int rc = controls_load(context->store, context->controls, part->panel_id, true, call->arena,
                           &part->panel, err);
    if (rc == -ENOENT) {
        return change_no_panel(call, change, part, err);
    }
    return rc == 0 ? change_judge_part(call, change, part, err) : rc;
}

int change_judge(struct aws_call *call, struct change *change, struct err *err)
{
    int rc = change_find_overrides(call, change, err);
    for (size_t i = 0; rc == 0 && i < change->part_count; i++) {
        rc = load_and_judge(call, change, &change->parts[i], err);
    }
    return rc;
}

size_t change_blocking(const struct change *change)
{
    size_t count = 0;
    for (size_t i = 0; i < change->part_count; i++) {
        count += change->parts[i].judgement.blocking;
    }
    return count;
}

/* ---- the refusal ---- */

struct refusal {
    struct buf text;
    json_t *rules;
    const char *first; /* ARN */
};

static void add_rule(struct aws_call *call, struct refusal *refusal, const char *panel_id,
                     const struct model_arc_rule *rule, const char *reason)
{
    const char *arn =
        model_arc_arn(call->arena, call->account_id, MODEL_ARC_RULE, panel_id, rule->id);
    refusal->first = refusal->first != NULL ? refusal->first : arn;
    buf_printf(&refusal->text,
               "%s safety rule %s (%s): ", json_array_size(refusal->rules) != 0 ? ";" : "",
               rule->name, arn);
    buf_puts(&refusal->text, reason);
    (void)json_array_append_new(refusal->rules,
                                json_pack("{s:s, s:s, s:s}", "safetyRuleArn", arn, "name",
                                          rule->name, "reason", reason)); /* the text says it too */
}

int change_refuse(struct aws_call *call, const struct change *change, struct err *err)
{
    size_t count = change_blocking(change);
    struct refusal refusal = {.rules = json_array()};
    buf_init(&refusal.text, 0);
    buf_printf(&refusal.text, "The change is blocked by %zu safety rule%s:", count,
               count == 1 ? "" : "s");
    for (size_t i = 0; i < change->part_count; i++) {
        const struct change_part *part = &change->parts[i];
        for (size_t j = 0; j < part->panel.panel.rule_count; j++) {
            if (part->judgement.findings[j].verdict == ARC_BLOCKS) {
                add_rule(call, &refusal, part->panel_id, &part->panel.panel.rules[j],
                         part->judgement.findings[j].reason);
            }
        }
    }
    buf_putc(&refusal.text, '.');
    /* The message whole: what an error holds is shorter. */
    int rc = aws_error_with(call, err, "ConflictException",
                            json_pack("{s:s, s:s, s:s, s:o}", "message", buf_text(&refusal.text),
                                      "resourceId", refusal.first != NULL ? refusal.first : "",
                                      "resourceType", "safetyrule", "blockingRules", refusal.rules),
                            "%s", buf_text(&refusal.text));
    buf_done(&refusal.text);
    return rc;
}
