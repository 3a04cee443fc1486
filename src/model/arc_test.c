/* Names, keys, states and rules of routing controls: model/arc.h. */
#include "model/arc.h"

#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PREFIX "arn:aws:route53-recovery-control::123456789012:"
#define PANEL "0123456789abcdef0123456789abcdef"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void an_arn_that_parses_is_written_the_same_again(void **state)
{
    static const struct {
        const char *arn;
        enum model_arc_kind kind;
        const char *key;
    } rows[] = {
        {PREFIX "cluster/1fd0ee2e-6f0c-4d2d-8c3c-0a4bd2b9a3f1", MODEL_ARC_CLUSTER,
         "arc/cluster/1fd0ee2e-6f0c-4d2d-8c3c-0a4bd2b9a3f1"},
        {PREFIX "controlpanel/" PANEL, MODEL_ARC_PANEL, "arc/panel/" PANEL},
        {PREFIX "controlpanel/" PANEL "/routingcontrol/0123456789abcdef", MODEL_ARC_CONTROL,
         "arc/control/" PANEL "/0123456789abcdef"},
        {PREFIX "controlpanel/" PANEL "/safetyrule/fedcba9876543210", MODEL_ARC_RULE,
         "arc/rule/" PANEL "/fedcba9876543210"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct model_arc_name name;
        assert_int_equal(model_arc_parse(rows[i].arn, &name), 0);
        assert_int_equal(name.kind, rows[i].kind);
        assert_string_equal(model_arc_arn(&arena, name.account, name.kind, name.panel, name.id),
                            rows[i].arn);
        assert_string_equal(model_arc_key(&arena, name.kind, name.panel, name.id), rows[i].key);
    }
}

static void what_is_no_arn_of_ours_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "arn",
        "arn:aws:route53-recovery-control:us-west-2:123456789012:cluster/"
        "1fd0ee2e-6f0c-4d2d-8c3c-0a4bd2b9a3f1",
        "arn:aws:route53-recovery-control::12345678901:controlpanel/" PANEL,
        PREFIX "cluster/",
        PREFIX "cluster/short",
        PREFIX "controlpanel/" PANEL "0",
        PREFIX "controlpanel/" PANEL "/",
        PREFIX "controlpanel/" PANEL "/routingcontrol/",
        PREFIX "controlpanel/" PANEL "/routingcontrol/0123456789abcde",
        PREFIX "controlpanel/" PANEL "/routingcontrol/0123456789abcdef0",
        PREFIX "controlpanel/" PANEL "/routingcontrol/0123456789ABCDEF",
        PREFIX "controlpanel/" PANEL "/gate/0123456789abcdef",
        PREFIX "controlpanel/../../../../../../../../../../..",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct model_arc_name name;
        assert_int_equal(model_arc_parse(texts[i], &name), -EINVAL);
    }
}

static void new_ids_make_arns_that_parse(void **state)
{
    (void)state;
    for (unsigned kind = MODEL_ARC_CLUSTER; kind <= MODEL_ARC_RULE; kind++) {
        char id[MODEL_ARC_ID];
        struct model_arc_name name;
        model_arc_new_id((enum model_arc_kind)kind, id);
        const char *arn =
            model_arc_arn(&arena, "123456789012", (enum model_arc_kind)kind, PANEL, id);
        assert_true(strlen(arn) < MODEL_ARC_ARN);
        assert_int_equal(model_arc_parse(arn, &name), 0);
        assert_int_equal(name.kind, kind);
        assert_string_equal(name.id, id);
    }
}

static void a_state_survives_the_store(void **state)
{
    (void)state;
    struct model_arc_state before = {.on = true, .changed = {.ns = 1763715600123 * TIME_MS}};
    struct model_arc_state after;
    struct err err = ERR_INIT;
    const char *text = model_arc_state_encode(&arena, PANEL, &before);
    assert_int_equal(model_arc_state_decode(text, strlen(text), &arena, &after, &err), 0);
    assert_true(after.on);
    assert_int_equal(after.changed.ns, before.changed.ns);
}

static void a_state_of_a_later_version_keeps_what_is_not_known(void **state)
{
    (void)state;
    static const char text[] =
        "{\"v\":3,\"State\":\"Off\",\"Panel\":\"" PANEL "\",\"Changed\":5,\"Reason\":\"drill\"}";
    struct model_arc_state held;
    struct err err = ERR_INIT;
    assert_int_equal(model_arc_state_decode(text, strlen(text), &arena, &held, &err), 0);
    held.on = true;
    const char *changed = model_arc_state_encode(&arena, PANEL, &held);
    assert_int_equal(model_arc_state_decode(changed, strlen(changed), &arena, &held, &err), 0);
    assert_true(held.on);
    assert_non_null(strstr(changed, "\"Reason\":\"drill\""));
    assert_non_null(strstr(changed, "\"v\":3"));
}

static void a_damaged_state_is_named(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "{\"v\":1}",
        "{\"v\":1,\"State\":\"on\"}",
        "{\"v\":1,\"State\":\"On\",\"Changed\":-1}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct model_arc_state out;
        struct err err = ERR_INIT;
        assert_true(model_arc_state_decode(texts[i], strlen(texts[i]), NULL, &out, &err) < 0);
        assert_int_equal(err.kind, ERR_CORRUPT);
        assert_true(text_starts(err.message, "routing control's state"));
    }
}

static void a_rule_is_read_with_its_criterion(void **state)
{
    static const char text[] =
        "{\"v\":1,\"Id\":\"fedcba9876543210\",\"Panel\":\"" PANEL "\",\"Kind\":\"GATING\","
        "\"Name\":\"gate\",\"WaitPeriodMs\":5000,\"RuleConfig\":{\"Type\":\"EXACTLY\","
        "\"Threshold\":2,\"Inverted\":true},\"Controls\":[\"a\",\"b\"],\"Targets\":[\"c\"],"
        "\"Later\":{}}";
    (void)state;
    struct model_arc_rule rule;
    struct err err = ERR_INIT;
    assert_int_equal(model_arc_rule_decode(text, sizeof text - 1, &arena, &rule, &err), 0);
    assert_string_equal(rule.id, "fedcba9876543210");
    assert_string_equal(rule.name, "gate");
    assert_int_equal(rule.kind, MODEL_ARC_GATING);
    assert_int_equal(rule.type, MODEL_ARC_EXACTLY);
    assert_int_equal(rule.threshold, 2);
    assert_int_equal(rule.wait_ms, 5000);
    assert_true(rule.inverted);
    assert_int_equal(rule.control_count, 2);
    assert_int_equal(rule.target_count, 1);
    assert_string_equal(rule.targets[0], "c");
}

/* It was taken once, and a rule that is not read stops all changes of its panel. */
static void a_threshold_that_nobody_looks_at_may_be_anything(void **state)
{
    static const char text[] = "{\"v\":1,\"Id\":\"a\",\"Kind\":\"ASSERTION\",\"Name\":\"a\","
                               "\"WaitPeriodMs\":0,\"RuleConfig\":{\"Type\":\"AND\","
                               "\"Threshold\":-5},\"Controls\":[\"a\"]}";
    (void)state;
    struct model_arc_rule rule;
    struct err err = ERR_INIT;
    assert_int_equal(model_arc_rule_decode(text, sizeof text - 1, &arena, &rule, &err), 0);
    assert_int_equal(rule.type, MODEL_ARC_AND);
}

static void a_rule_of_an_unknown_kind_or_type_is_not_read(void **state)
{
    static const char *const texts[] = {
        "{\"v\":1,\"Kind\":\"OTHER\",\"RuleConfig\":{\"Type\":\"OR\"}}",
        "{\"v\":1,\"Kind\":\"GATING\",\"RuleConfig\":{\"Type\":\"NONE\"}}",
        "{\"v\":1,\"Kind\":\"GATING\"}",
        "{\"v\":1,\"Kind\":\"GATING\",\"WaitPeriodMs\":-1}",
        "[]",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct model_arc_rule rule;
        struct err err = ERR_INIT;
        assert_true(model_arc_rule_decode(texts[i], strlen(texts[i]), &arena, &rule, &err) < 0);
        assert_int_equal(err.kind, ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arn_that_parses_is_written_the_same_again),
        cmocka_unit_test(what_is_no_arn_of_ours_is_refused),
        cmocka_unit_test(new_ids_make_arns_that_parse),
        cmocka_unit_test(a_state_survives_the_store),
        cmocka_unit_test(a_state_of_a_later_version_keeps_what_is_not_known),
        cmocka_unit_test(a_damaged_state_is_named),
        cmocka_unit_test(a_rule_is_read_with_its_criterion),
        cmocka_unit_test(a_threshold_that_nobody_looks_at_may_be_anything),
        cmocka_unit_test(a_rule_of_an_unknown_kind_or_type_is_not_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
