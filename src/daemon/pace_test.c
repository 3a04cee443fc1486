/* Tests of the rests between the pieces of a large change of health: what is computed for one
 * piece, and whole changes played through with a clock of the test's own. */
#include "daemon/pace.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void there_is_no_rest_after_the_last_piece_or_behind_time(void **state)
{
    (void)state;
    const struct pace last = {.since_ns = TIME_MS, .used_ns = TIME_MS, .names = 1, .left = 0};
    const struct pace late = {
        .since_ns = PACE_GOAL_NS, .used_ns = TIME_MS, .names = 1, .left = 100};
    const struct pace never = {.since_ns = INT64_MAX / 2, .used_ns = 1, .names = 1, .left = 1};
    assert_int_equal(pace_rest(&last), 0);
    assert_int_equal(pace_rest(&late), 0);
    assert_int_equal(pace_rest(&never), 0);
}

static void what_fits_with_difficulty_gets_no_rest(void **state)
{
    (void)state;
    const struct pace tight = {
        .since_ns = 0, .used_ns = TIME_MS, .names = 100, .left = 100 * (PACE_GOAL_NS / TIME_MS)};
    assert_int_equal(pace_rest(&tight), 0);
}

static void rests_share_out_the_time_there_is(void **state)
{
    (void)state;
    /* A third of the time is work: two parts of rest for one of it. */
    const size_t pieces = (size_t)(PACE_GOAL_NS / (3 * TIME_MS));
    const struct pace third = {.since_ns = 0, .used_ns = TIME_MS, .names = 10, .left = 10 * pieces};
    assert_int_equal(pace_rest(&third), 2 * TIME_MS);
}

static void a_change_of_few_names_is_not_drawn_out(void **state)
{
    (void)state;
    const struct pace few = {.since_ns = 0, .used_ns = 100000, .names = 256, .left = 256};
    assert_int_equal(pace_rest(&few), PACE_REST_LIMIT * 100000);
}

/* Where each piece takes `stretch` times its processor time, as on a processor that is shared, and
 * each rest is as long as it was asked for and late_ns more; returns when all are shown. */
static int64_t play(size_t names, int64_t ns_a_name, int64_t stretch, int64_t late_ns,
                    int64_t *ret_longest)
{
    const size_t piece = 256;
    int64_t now = 0;
    int64_t busy = 0; /* without a rest in between */
    *ret_longest = 0;
    while (names > 0) {
        struct pace pace = {.names = MIN(piece, names)};
        names -= pace.names;
        pace.used_ns = (int64_t)pace.names * ns_a_name;
        pace.left = names;
        now += pace.used_ns * stretch;
        busy += pace.used_ns;
        *ret_longest = MAX(*ret_longest, busy);
        pace.since_ns = now;
        int64_t rest = pace_rest(&pace);
        if (rest > 0) {
            now += rest + late_ns;
            busy = 0;
        }
    }
    return now;
}

static void a_hundred_thousand_names_are_in_time_and_leave_most_of_the_processor(void **state)
{
    (void)state;
    int64_t longest = 0;
    int64_t took = play(100000, 450, 1, 60000, &longest);
    assert_in_range(took, 100 * TIME_MS, PACE_GOAL_NS + 2 * TIME_MS);
    assert_in_range(longest, 0, 3 * TIME_MS); /* at the end, for the rests that were long */
}

static void a_processor_that_is_shared_ends_in_time_still(void **state)
{
    (void)state;
    int64_t longest = 0;
    assert_in_range(play(100000, 450, 2, 60000, &longest), 0, 180 * TIME_MS);
    /* Every rest ends as late as a busy kernel may make it. */
    assert_in_range(play(100000, 450, 2, 4 * TIME_MS, &longest), 0, 220 * TIME_MS);
}

static void more_names_than_there_is_time_for_are_shown_without_rests(void **state)
{
    (void)state;
    int64_t longest = 0;
    assert_in_range(play(1000000, 450, 1, 60000, &longest), 450 * TIME_MS, 452 * TIME_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_no_rest_after_the_last_piece_or_behind_time),
        cmocka_unit_test(what_fits_with_difficulty_gets_no_rest),
        cmocka_unit_test(rests_share_out_the_time_there_is),
        cmocka_unit_test(a_change_of_few_names_is_not_drawn_out),
        cmocka_unit_test(a_hundred_thousand_names_are_in_time_and_leave_most_of_the_processor),
        cmocka_unit_test(a_processor_that_is_shared_ends_in_time_still),
        cmocka_unit_test(more_names_than_there_is_time_for_are_shown_without_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
