/* The other pure parts: calculated checks, the vote, the schedule. */
#include "base/macro.h"
#include "health/calculate.h"
#include "health/schedule.h"
#include "health/vote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_calculated_check_counts_its_healthy_children(void **state)
{
    (void)state;
    const enum calculate_child children[] = {CALCULATE_HEALTHY, CALCULATE_UNHEALTHY,
                                             CALCULATE_UNKNOWN};
    const bool expected[] = {true, true, true, false, false};
    for (uint32_t threshold = 0; threshold < ARRAY_SIZE(expected); threshold++) {
        assert_int_equal(calculate_verdict(children, 3, threshold), expected[threshold]);
    }
    assert_true(calculate_verdict(NULL, 0, 0));
    assert_false(calculate_verdict(NULL, 0, 1));
}

struct vote_row {
    enum vote_rule rule;
    const char *ballots; /* '1', '0'; 'o' old, '.' never heard of */
    bool present;
    bool healthy;
    bool held;
};

static void the_vote_follows_fresh_ballots_of_a_majority_of_sites(void **state)
{
    (void)state;
    const struct vote_row rows[] = {
        {VOTE_EIGHTEEN_PERCENT, "1", false, true, false},
        {VOTE_EIGHTEEN_PERCENT, "0", true, false, false},
        {VOTE_EIGHTEEN_PERCENT, "100", false, true, false}, /* 33 % */
        {VOTE_EIGHTEEN_PERCENT, "00000", true, false, false},
        {VOTE_EIGHTEEN_PERCENT, "100000", true, false, false}, /* 16.7 % */
        {VOTE_EIGHTEEN_PERCENT, "10000", false, true, false},  /* 20 % */
        {VOTE_MAJORITY, "100", true, false, false},
        {VOTE_MAJORITY, "110", false, true, false},
        {VOTE_MAJORITY, "10", true, false, false}, /* half is no majority */
        {VOTE_MAJORITY, "0oo", true, true, true},
        {VOTE_MAJORITY, "0..", false, false, true},
        {VOTE_EIGHTEEN_PERCENT, "00oo", true, true, true}, /* half of the sites is too few */
        {VOTE_EIGHTEEN_PERCENT, "000oo", true, false, false},
        {VOTE_EIGHTEEN_PERCENT, "o", true, true, true},
    };
    const struct vote_ages ages = {.counts_ns = 5 * TIME_S, .recent_ns = 5 * TIME_S};
    struct mono now = {100 * TIME_S};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vote_ballot ballots[8];
        size_t sites = 0;
        for (; rows[i].ballots[sites] != '\0'; sites++) {
            char c = rows[i].ballots[sites];
            int64_t age = c == 'o' ? 5 * TIME_S + 1 : 5 * TIME_S;
            ballots[sites] = (struct vote_ballot){
                .cast = c != '.', .healthy = c == '1' || c == 'o', .heard = {now.ns - age}};
        }
        struct vote_result result =
            vote_decide(rows[i].rule, ballots, sites, &ages, rows[i].present, now);
        assert_int_equal(result.healthy, rows[i].healthy);
        assert_int_equal(result.held, rows[i].held);
    }
}

static void what_is_no_longer_recent_counts_and_lets_nothing_change(void **state)
{
    (void)state;
    const struct vote_ages ages = {.counts_ns = 5 * TIME_S, .recent_ns = 2 * TIME_S};
    struct mono now = {100 * TIME_S};
    struct vote_ballot ballots[] = {
        {.cast = true, .healthy = false, .heard = now},
        {.cast = true, .healthy = false, .heard = {now.ns - 2 * TIME_S}},
        {.cast = true, .healthy = true, .heard = {now.ns - 5 * TIME_S}},
    };
    struct vote_result result = vote_decide(VOTE_EIGHTEEN_PERCENT, ballots, 3, &ages, true, now);
    assert_true(result.healthy && !result.held);
    result = vote_decide(VOTE_MAJORITY, ballots, 3, &ages, true, now);
    assert_true(!result.healthy && !result.held);
    ballots[1].heard.ns--;
    result = vote_decide(VOTE_MAJORITY, ballots, 3, &ages, true, now);
    assert_true(result.healthy && result.held);
    assert_int_equal(result.fresh, 3);
}

static void probes_keep_their_phase_however_long_one_takes(void **state)
{
    (void)state;
    struct schedule schedule = schedule_make(TIME_S, 1234567890123ULL);
    struct mono at = schedule_next(&schedule, (struct mono){50 * TIME_S});
    for (int i = 0; i < 100; i++) {
        struct mono late = {at.ns + (int64_t)(i % 7) * 100 * TIME_MS};
        struct mono next = schedule_next(&schedule, late);
        assert_true(next.ns > late.ns);
        assert_true(next.ns - late.ns <= TIME_S);
        assert_int_equal((next.ns - at.ns) % TIME_S, 0);
        at = next;
    }
    assert_int_equal(schedule_next(&schedule, at).ns - at.ns, TIME_S);
    struct schedule zero = schedule_make(TIME_S, 0);
    assert_int_equal(schedule_next(&zero, (struct mono){-1}).ns, 0);
    assert_int_equal(schedule_next(&zero, (struct mono){-TIME_S}).ns, 0);
    assert_int_equal(schedule_next(&zero, (struct mono){0}).ns, TIME_S);
}

static void first_probes_are_spread_over_a_second_at_most(void **state)
{
    (void)state;
    struct mono now = {TIME_S * 1000};
    for (uint64_t hash = 1; hash < 100; hash++) {
        uint64_t mixed = hash * 0x9E3779B97F4A7C15ULL;
        struct schedule slow = schedule_make(30 * TIME_S, mixed);
        struct schedule fast = schedule_make(100 * TIME_MS, mixed);
        assert_in_range(schedule_first(&slow, mixed, now).ns, now.ns, now.ns + TIME_S);
        assert_in_range(schedule_first(&fast, mixed, now).ns, now.ns, now.ns + 100 * TIME_MS);
    }
}

static void the_interval_is_the_tag_or_the_request_interval(void **state)
{
    (void)state;
    struct model_check check = {.request_interval_s = 30};
    assert_int_equal(schedule_interval(&check), 30 * TIME_S);
    check.options.interval_ms = 100;
    assert_int_equal(schedule_interval(&check), 100 * TIME_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_calculated_check_counts_its_healthy_children),
        cmocka_unit_test(the_vote_follows_fresh_ballots_of_a_majority_of_sites),
        cmocka_unit_test(what_is_no_longer_recent_counts_and_lets_nothing_change),
        cmocka_unit_test(probes_keep_their_phase_however_long_one_takes),
        cmocka_unit_test(first_probes_are_spread_over_a_second_at_most),
        cmocka_unit_test(the_interval_is_the_tag_or_the_request_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
