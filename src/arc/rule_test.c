/* Safety rules: table by table, and against a naive model (arc/rule.h). */
#include "arc/rule.h"

#include "base/random.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CONTROLS 4U
#define NOW_MS ((int64_t)1763715600000)
#define LONG_AGO_MS (NOW_MS - 1000000)

static const char *const ids[CONTROLS] = {"a", "b", "c", "d"};

/* ---- one panel of four controls ---- */

struct scene {
    struct arc_control controls[CONTROLS];
    struct model_arc_rule rules[4];
    struct arc_panel panel;
    struct arena arena;
    struct arc_judgement judgement;
};

/* "1010": a and c are On; all changed long ago. */
static void scene_open(struct scene *scene, const char *states)
{
    *scene = (struct scene){.panel = {.control_count = CONTROLS}};
    arena_init(&scene->arena, 0);
    for (size_t i = 0; i < CONTROLS; i++) {
        scene->controls[i] = (struct arc_control){
            .id = ids[i],
            .name = ids[i],
            .state = {.on = states[i] == '1', .changed = {.ns = LONG_AGO_MS * TIME_MS}}};
    }
    scene->panel.controls = scene->controls;
    scene->panel.rules = scene->rules;
}

static void scene_close(struct scene *scene)
{
    arena_done(&scene->arena);
}

/* Letters of controls, as a list of ids. */
static const char **list(struct scene *scene, const char *letters)
{
    const char **out = arena_array(&scene->arena, strlen(letters) + 1, sizeof *out);
    for (size_t i = 0; letters[i] != '\0'; i++) {
        out[i] = arena_memdup(&scene->arena, &letters[i], 1);
    }
    return out;
}

static struct model_arc_rule *add_rule(struct scene *scene, enum model_arc_rule_type type,
                                       int64_t threshold, const char *controls, const char *targets)
{
    struct model_arc_rule *rule = &scene->rules[scene->panel.rule_count++];
    *rule = (struct model_arc_rule){
        .id = arena_printf(&scene->arena, "rule%zu", scene->panel.rule_count),
        .name = "r",
        .kind = targets[0] != '\0' ? MODEL_ARC_GATING : MODEL_ARC_ASSERTION,
        .type = type,
        .threshold = threshold,
        .controls = list(scene, controls),
        .control_count = strlen(controls),
        .targets = list(scene, targets),
        .target_count = strlen(targets),
    };
    return rule;
}

/* wanted: "1--0" turns a on and d off. Whether it is allowed. */
static bool ask(struct scene *scene, const char *wanted, const char *override)
{
    struct arc_change changes[CONTROLS];
    struct arc_request request = {.changes = changes,
                                  .overrides = &override,
                                  .override_count = override != NULL ? 1 : 0,
                                  .now = {.ns = NOW_MS * TIME_MS}};
    for (size_t i = 0; i < CONTROLS; i++) {
        if (wanted[i] != '-') {
            changes[request.change_count++] =
                (struct arc_change){.control = i, .on = wanted[i] == '1'};
        }
    }
    arc_judge(&scene->panel, &request, &scene->arena, &scene->judgement);
    return scene->judgement.blocking == 0;
}

static void expect(const char *states, enum model_arc_rule_type type, int64_t threshold,
                   bool inverted, const char *controls, const char *targets, const char *wanted,
                   enum arc_verdict verdict)
{
    struct scene scene;
    scene_open(&scene, states);
    add_rule(&scene, type, threshold, controls, targets)->inverted = inverted;
    (void)ask(&scene, wanted, NULL); /* the finding is looked at */
    if (scene.judgement.findings[0].verdict != verdict) {
        fail_msg("%s -> %s is %s: %s", states, wanted,
                 arc_verdict_name(scene.judgement.findings[0].verdict),
                 scene.judgement.findings[0].reason);
    }
    scene_close(&scene);
}

/* ---- tables ---- */

static void an_assertion_rule_judges_what_would_be(void **state)
{
    (void)state;
    /* Turning off and turning on alike. */
    expect("1000", MODEL_ARC_ATLEAST, 1, false, "abc", "", "0---", ARC_BLOCKS);
    expect("1000", MODEL_ARC_ATLEAST, 1, false, "abc", "", "01--", ARC_SATISFIED);
    expect("1100", MODEL_ARC_ATLEAST, 1, false, "abc", "", "0---", ARC_SATISFIED);
    expect("0000", MODEL_ARC_ATLEAST, 2, false, "abc", "", "1---", ARC_BLOCKS);
    expect("0000", MODEL_ARC_ATLEAST, 2, false, "abc", "", "11--", ARC_SATISFIED);
    expect("0000", MODEL_ARC_AND, 0, false, "abc", "", "11--", ARC_BLOCKS);
    expect("0000", MODEL_ARC_AND, 0, false, "abc", "", "111-", ARC_SATISFIED);
    expect("1000", MODEL_ARC_OR, 0, false, "abc", "", "0---", ARC_BLOCKS);
    expect("1000", MODEL_ARC_OR, 0, false, "abc", "", "0-1-", ARC_SATISFIED);
    expect("1000", MODEL_ARC_EXACTLY, 1, false, "abc", "", "-1--", ARC_BLOCKS);
    expect("1000", MODEL_ARC_EXACTLY, 1, false, "abc", "", "01--", ARC_SATISFIED);
    expect("1000", MODEL_ARC_EXACTLY, 1, false, "abc", "", "0---", ARC_BLOCKS);
    expect("1100", MODEL_ARC_EXACTLY, 0, false, "abc", "", "00--", ARC_SATISFIED);
}

static void an_inverted_rule_wants_the_contrary(void **state)
{
    (void)state;
    expect("1000", MODEL_ARC_ATLEAST, 2, true, "abc", "", "-1--", ARC_BLOCKS);
    expect("0000", MODEL_ARC_ATLEAST, 2, true, "abc", "", "-1--", ARC_SATISFIED);
    expect("1100", MODEL_ARC_AND, 0, true, "abc", "", "--1-", ARC_BLOCKS);
    expect("0000", MODEL_ARC_OR, 0, true, "abc", "", "1---", ARC_BLOCKS);
    expect("0010", MODEL_ARC_OR, 0, true, "abc", "", "--0-", ARC_SATISFIED);
    expect("0001", MODEL_ARC_OR, 0, true, "d", "a", "1---", ARC_BLOCKS);
}

static void a_rule_is_not_concerned_with_what_does_not_change(void **state)
{
    (void)state;
    /* Other controls, and controls that are set to what they are. */
    expect("0000", MODEL_ARC_ATLEAST, 1, false, "abc", "", "---1", ARC_UNCONCERNED);
    expect("0000", MODEL_ARC_ATLEAST, 1, false, "abc", "", "000-", ARC_UNCONCERNED);
    expect("0000", MODEL_ARC_ATLEAST, 1, false, "abc", "", "0--1", ARC_UNCONCERNED);
    expect("0000", MODEL_ARC_OR, 0, false, "d", "ab", "--1-", ARC_UNCONCERNED);
    expect("1000", MODEL_ARC_OR, 0, false, "d", "ab", "1---", ARC_UNCONCERNED);
}

static void a_gate_is_judged_as_it_is_before_the_change(void **state)
{
    (void)state;
    expect("0000", MODEL_ARC_OR, 0, false, "d", "ab", "1---", ARC_BLOCKS);
    expect("0001", MODEL_ARC_OR, 0, false, "d", "ab", "1---", ARC_SATISFIED);
    expect("1001", MODEL_ARC_OR, 0, false, "d", "ab", "0---", ARC_SATISFIED);
    /* Opened in the same change: too late. Closed in the same change: still open. */
    expect("0000", MODEL_ARC_OR, 0, false, "d", "ab", "1--1", ARC_BLOCKS);
    expect("0001", MODEL_ARC_OR, 0, false, "d", "ab", "1--0", ARC_SATISFIED);
    /* The gate itself may always change. */
    expect("0000", MODEL_ARC_OR, 0, false, "d", "ab", "---1", ARC_UNCONCERNED);
    expect("0011", MODEL_ARC_AND, 0, false, "cd", "ab", "11--", ARC_SATISFIED);
    expect("0010", MODEL_ARC_AND, 0, false, "cd", "ab", "11--", ARC_BLOCKS);
    expect("0010", MODEL_ARC_EXACTLY, 1, false, "cd", "ab", "11--", ARC_SATISFIED);
}

static void a_wait_period_holds_up_all_that_the_rule_guards(void **state)
{
    static const struct {
        int64_t changed_ms; /* of control a */
        int64_t wait_ms;
        bool allowed;
    } rows[] = {
        {NOW_MS - 4999, 5000, false},
        {NOW_MS - 5000, 5000, true},
        {NOW_MS, 5000, false},
        {NOW_MS, 0, true},
        {0, 5000, true},
        /* A clock ahead of ours by less than the period, and by more. */
        {NOW_MS + 4000, 5000, false},
        {NOW_MS + 5001, 5000, true},
        {NOW_MS + 600000, 5000, true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene;
        scene_open(&scene, "1100");
        add_rule(&scene, MODEL_ARC_OR, 0, "abc", "")->wait_ms = rows[i].wait_ms;
        scene.controls[0].state.changed.ns = rows[i].changed_ms * TIME_MS;
        assert_int_equal(ask(&scene, "--1-", NULL), rows[i].allowed);
        assert_true(ask(&scene, "---1", NULL)); /* d is none of its controls */
        scene_close(&scene);
    }
}

static void a_gating_rules_wait_period_is_that_of_its_targets(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "0001");
    add_rule(&scene, MODEL_ARC_OR, 0, "d", "ab")->wait_ms = 5000;
    scene.controls[3].state.changed.ns = (NOW_MS - 1) * TIME_MS; /* the gate: a moment ago */
    assert_true(ask(&scene, "1---", NULL));
    scene.controls[1].state.changed.ns = (NOW_MS - 1) * TIME_MS; /* a target */
    assert_false(ask(&scene, "1---", NULL));
    scene_close(&scene);
}

static void an_overridden_rule_is_passed_over_with_its_wait_period(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "1000");
    add_rule(&scene, MODEL_ARC_ATLEAST, 1, "abc", "")->wait_ms = 5000;
    add_rule(&scene, MODEL_ARC_OR, 0, "d", "a");
    scene.controls[0].state.changed.ns = NOW_MS * TIME_MS;
    assert_false(ask(&scene, "0---", NULL));
    assert_int_equal(scene.judgement.blocking, 2);
    assert_false(ask(&scene, "0---", "rule1"));
    assert_int_equal(scene.judgement.findings[0].verdict, ARC_OVERRIDDEN);
    assert_int_equal(scene.judgement.findings[1].verdict, ARC_BLOCKS);
    assert_false(ask(&scene, "0---", "rule9"));
    scene.panel.rule_count = 1;
    assert_true(ask(&scene, "0---", "rule1"));
    scene_close(&scene);
}

static void all_blocking_rules_are_named_with_reasons(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "1000");
    add_rule(&scene, MODEL_ARC_ATLEAST, 1, "abc", "");
    add_rule(&scene, MODEL_ARC_OR, 0, "d", "a");
    struct model_arc_rule *waiting = add_rule(&scene, MODEL_ARC_EXACTLY, 1, "ab", "");
    waiting->wait_ms = 5000;
    scene.controls[1].state.changed.ns = (NOW_MS - 1500) * TIME_MS;
    assert_false(ask(&scene, "0---", NULL));
    assert_int_equal(scene.judgement.blocking, 3);
    assert_string_equal(scene.judgement.findings[0].reason,
                        "at least 1 of its 3 asserted controls (a, b, c) must be On after the "
                        "change, and 0 would be");
    assert_string_equal(scene.judgement.findings[1].reason,
                        "at least 1 of its 1 gating controls (d) must be On before its targets may "
                        "change, and 0 are");
    assert_string_equal(scene.judgement.findings[2].reason,
                        "exactly 1 of its 2 asserted controls (a, b) must be On after the change, "
                        "and 0 would be; and a wait period of 5000 ms is not over: its controls "
                        "may change again in 3500 ms");
    scene_close(&scene);
}

static void a_rule_that_names_what_is_not_there_counts_it_as_off(void **state)
{
    (void)state;
    expect("1000", MODEL_ARC_AND, 0, false, "az", "", "-1--", ARC_UNCONCERNED);
    expect("0000", MODEL_ARC_AND, 0, false, "az", "", "1---", ARC_BLOCKS);
}

/* ---- against a naive model ---- */

struct naive {
    bool before[CONTROLS];
    bool after[CONTROLS];
};

static bool naive_criterion(const struct model_arc_rule *rule, const bool *on, const char *controls)
{
    int64_t count = 0;
    for (const char *c = controls; *c != '\0'; c++) {
        count += on[*c - 'a'] ? 1 : 0;
    }
    bool table[] = {
        [MODEL_ARC_ATLEAST] = count >= rule->threshold,
        [MODEL_ARC_AND] = count == (int64_t)strlen(controls),
        [MODEL_ARC_OR] = count > 0,
        [MODEL_ARC_EXACTLY] = count == rule->threshold,
    };
    return rule->inverted ? !table[rule->type] : table[rule->type];
}

static bool naive_blocks(const struct naive *naive, const struct model_arc_rule *rule,
                         const char *controls, const char *targets)
{
    bool gating = targets[0] != '\0';
    bool touched = false;
    for (const char *c = gating ? targets : controls; *c != '\0'; c++) {
        touched = touched || naive->before[*c - 'a'] != naive->after[*c - 'a'];
    }
    return touched && !naive_criterion(rule, gating ? naive->before : naive->after, controls);
}

static const char *some_controls(struct random *random, struct arena *arena, bool may_be_empty)
{
    char text[CONTROLS + 1];
    size_t length = 0;
    do {
        length = 0;
        for (size_t i = 0; i < CONTROLS; i++) {
            if (random_below(random, 2) == 1) {
                text[length++] = ids[i][0];
            }
        }
    } while (length == 0 && !may_be_empty);
    text[length] = '\0';
    return arena_strdup(arena, text);
}

static void random_changes_are_judged_as_a_naive_model_does(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 20261121);
    for (unsigned round = 0; round < 20000; round++) {
        struct scene scene;
        struct naive naive;
        char states[CONTROLS + 1] = "0000";
        char wanted[CONTROLS + 1] = "----";
        const char *controls[4];
        const char *targets[4];
        size_t blocking = 0;
        for (size_t i = 0; i < CONTROLS; i++) {
            states[i] = "01"[random_below(&random, 2)];
            wanted[i] = "01-"[random_below(&random, 3)];
            naive.before[i] = states[i] == '1';
            naive.after[i] = wanted[i] == '-' ? naive.before[i] : wanted[i] == '1';
        }
        scene_open(&scene, states);
        for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
            controls[i] = some_controls(&random, &scene.arena, false);
            targets[i] =
                random_below(&random, 2) == 1 ? some_controls(&random, &scene.arena, true) : "";
            struct model_arc_rule *rule =
                add_rule(&scene, (enum model_arc_rule_type)random_below(&random, 4),
                         random_below(&random, CONTROLS + 1), controls[i], targets[i]);
            rule->inverted = random_below(&random, 2) == 1;
            blocking += naive_blocks(&naive, rule, controls[i], targets[i]) ? 1 : 0;
        }
        (void)ask(&scene, wanted, NULL); /* counted below */
        if (scene.judgement.blocking != blocking) {
            fail_msg("round %u: %s -> %s: %zu rules block, not %zu", round, states, wanted,
                     scene.judgement.blocking, blocking);
        }
        scene_close(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assertion_rule_judges_what_would_be),
        cmocka_unit_test(an_inverted_rule_wants_the_contrary),
        cmocka_unit_test(a_rule_is_not_concerned_with_what_does_not_change),
        cmocka_unit_test(a_gate_is_judged_as_it_is_before_the_change),
        cmocka_unit_test(a_wait_period_holds_up_all_that_the_rule_guards),
        cmocka_unit_test(a_gating_rules_wait_period_is_that_of_its_targets),
        cmocka_unit_test(an_overridden_rule_is_passed_over_with_its_wait_period),
        cmocka_unit_test(all_blocking_rules_are_named_with_reasons),
        cmocka_unit_test(a_rule_that_names_what_is_not_there_counts_it_as_off),
        cmocka_unit_test(random_changes_are_judged_as_a_naive_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
