/* Counting, inversion, disabling and the latch, as tables of results and what comes out. */
#include "health/count.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* results: '+' passed, '-' failed, 'R' latch reset. expected: the outcome after each, '1' or '0'.
 */
struct row {
    struct count_rules rules;
    const char *results;
    const char *expected;
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        char got[64] = "";
        struct count_state state = count_begin();
        struct count_outcome outcome = count_outcome_begin(&row->rules, state.raw, false);
        assert_int_equal(strlen(row->results), strlen(row->expected));
        for (size_t at = 0; row->results[at] != '\0'; at++) {
            enum count_cause cause = COUNT_LATCH_RESET;
            if (row->results[at] != 'R') {
                state = count_result(&row->rules, &state, row->results[at] == '+');
                cause = COUNT_VERDICT;
            }
            outcome = count_outcome_step(&row->rules, &outcome, state.raw, cause);
            got[at] = outcome.healthy ? '1' : '0';
        }
        assert_string_equal(got, row->expected);
    }
}

static void the_threshold_counts_consecutive_results_both_ways(void **state)
{
    (void)state;
    const struct row rows[] = {
        {{.failures_down = 1, .successes_up = 1}, "-+-+", "0101"},
        {{.failures_down = 3, .successes_up = 3}, "---+++", "110001"},
        {{.failures_down = 3, .successes_up = 3}, "--+--+---", "111111110"},
        {{.failures_down = 3, .successes_up = 3}, "---++-+++", "110000001"},
        {{.failures_down = 1, .successes_up = 3}, "-+++-", "00010"},
        {{.failures_down = 2, .successes_up = 1}, "--+--", "10110"},
    };
    run_rows(rows, ARRAY_SIZE(rows));
}

static void an_inverted_check_is_the_opposite_from_the_start(void **state)
{
    (void)state;
    const struct row rows[] = {
        {{.failures_down = 2, .successes_up = 2, .inverted = true}, "+--++", "00110"},
    };
    run_rows(rows, ARRAY_SIZE(rows));
    struct count_rules rules = {.failures_down = 2, .successes_up = 2, .inverted = true};
    assert_false(count_outcome_begin(&rules, true, false).healthy);
}

static void a_disabled_check_is_healthy_and_inverted_unhealthy(void **state)
{
    (void)state;
    const struct row rows[] = {
        {{.failures_down = 1, .successes_up = 1, .disabled = true}, "--++", "1111"},
        {{.failures_down = 1, .successes_up = 1, .disabled = true, .inverted = true}, "-+", "00"},
        {{.failures_down = 1, .successes_up = 1, .disabled = true, .latch = true}, "-+", "11"},
    };
    run_rows(rows, ARRAY_SIZE(rows));
}

static void a_latched_check_stays_unhealthy_until_it_is_reset(void **state)
{
    (void)state;
    const struct row rows[] = {
        {{.failures_down = 1, .successes_up = 1, .latch = true}, "+-+++R++", "10000111"},
        /* reset while it still fails: it follows, and latches at the next fall */
        {{.failures_down = 1, .successes_up = 1, .latch = true}, "-R-+-+", "000100"},
        {{.failures_down = 2, .successes_up = 2, .latch = true}, "-+--++++", "11100000"},
        /* born unhealthy is no fall */
        {{.failures_down = 1, .successes_up = 1, .latch = true, .inverted = true}, "+-+-", "0100"},
    };
    run_rows(rows, ARRAY_SIZE(rows));
}

static void a_stored_latch_holds_and_is_dropped_with_its_tag(void **state)
{
    (void)state;
    struct count_rules rules = {.failures_down = 1, .successes_up = 1, .latch = true};
    struct count_outcome outcome = count_outcome_begin(&rules, true, true);
    assert_true(outcome.latched);
    assert_false(outcome.healthy);
    rules.latch = false;
    outcome = count_outcome_step(&rules, &outcome, true, COUNT_RULES_CHANGED);
    assert_false(outcome.latched);
    assert_true(outcome.healthy);
}

static void a_change_of_rules_never_latches(void **state)
{
    (void)state;
    struct count_rules rules = {.failures_down = 1, .successes_up = 1};
    struct count_outcome outcome = count_outcome_begin(&rules, true, false);
    rules.latch = true;
    rules.inverted = true;
    outcome = count_outcome_step(&rules, &outcome, true, COUNT_RULES_CHANGED);
    assert_false(outcome.healthy);
    assert_false(outcome.latched);
}

static void another_endpoint_keeps_the_state_and_starts_the_count_again(void **state)
{
    (void)state;
    struct count_rules rules = {.failures_down = 2, .successes_up = 2};
    struct count_state count = count_begin();
    count = count_result(&rules, &count, false);
    count = count_target_changed(&count);
    count = count_result(&rules, &count, false);
    assert_true(count.raw);
    count = count_result(&rules, &count, false);
    assert_false(count.raw);
    assert_false(count_target_changed(&count).raw);
}

static void tags_replace_the_threshold(void **state)
{
    (void)state;
    struct model_check check = {.failure_threshold = 3};
    assert_int_equal(count_rules_of(&check).failures_down, 3);
    assert_int_equal(count_rules_of(&check).successes_up, 3);
    check.options.failures_down = 1;
    check.options.successes_up = 7;
    assert_int_equal(count_rules_of(&check).failures_down, 1);
    assert_int_equal(count_rules_of(&check).successes_up, 7);
    struct model_check calculated = {.type = MODEL_CHECK_CALCULATED};
    assert_int_equal(count_rules_of(&calculated).failures_down, 1);
}

struct restart_row {
    struct count_rules rules;
    struct count_kept kept;
    bool raw;
    bool healthy;
    bool latched;
};

static void a_restart_keeps_the_verdict_and_makes_nothing_healthy(void **state)
{
    (void)state;
    const struct count_rules plain = {.failures_down = 3, .successes_up = 3};
    const struct count_rules inverted = {.failures_down = 3, .successes_up = 3, .inverted = true};
    const struct count_rules latch = {.failures_down = 3, .successes_up = 3, .latch = true};
    const struct count_rules disabled = {.failures_down = 3, .successes_up = 3, .disabled = true};
    const struct restart_row rows[] = {
        {plain, {.vote = false, .healthy = false}, false, false, false},
        {inverted, {.vote = false, .healthy = true}, false, true, false},
        /* inverted meanwhile */
        {inverted, {.vote = false, .healthy = false}, true, false, false},
        {plain, {.vote = false, .healthy = true}, false, false, false},
        {latch, {.vote = true, .healthy = false, .latched = true}, true, false, true},
        {latch, {.vote = false, .healthy = false, .latched = true}, false, false, true},
        /* reset while it failed */
        {latch, {.vote = false, .healthy = false}, false, false, false},
        /* the tag is gone */
        {plain, {.vote = true, .healthy = false, .latched = true}, true, true, false},
        {disabled, {.vote = false, .healthy = true}, true, true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct count_state count = count_restore(&rows[i].rules, &rows[i].kept);
        struct count_outcome outcome =
            count_outcome_begin(&rows[i].rules, count.raw, rows[i].kept.latched);
        assert_int_equal(count.raw, rows[i].raw);
        assert_int_equal(count.run, 0);
        assert_int_equal(outcome.healthy, rows[i].healthy);
        assert_int_equal(outcome.latched, rows[i].latched);
    }
}

static void what_is_as_in_the_beginning_is_not_kept(void **state)
{
    (void)state;
    struct count_rules rules = {.failures_down = 1, .successes_up = 1};
    struct count_state count = count_begin();
    struct count_outcome outcome = count_outcome_begin(&rules, true, false);
    assert_false(count_keeps(&rules, &count, count.raw, &outcome));
    count = count_result(&rules, &count, false);
    assert_true(count_keeps(&rules, &count, count.raw, &outcome));
    rules.disabled = true;
    assert_false(count_keeps(&rules, &count, count.raw, &outcome));
    outcome.latched = true;
    assert_true(count_keeps(&rules, &count, count.raw, &outcome));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threshold_counts_consecutive_results_both_ways),
        cmocka_unit_test(an_inverted_check_is_the_opposite_from_the_start),
        cmocka_unit_test(a_disabled_check_is_healthy_and_inverted_unhealthy),
        cmocka_unit_test(a_latched_check_stays_unhealthy_until_it_is_reset),
        cmocka_unit_test(a_stored_latch_holds_and_is_dropped_with_its_tag),
        cmocka_unit_test(a_change_of_rules_never_latches),
        cmocka_unit_test(another_endpoint_keeps_the_state_and_starts_the_count_again),
        cmocka_unit_test(tags_replace_the_threshold),
        cmocka_unit_test(a_restart_keeps_the_verdict_and_makes_nothing_healthy),
        cmocka_unit_test(what_is_as_in_the_beginning_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
