/* Which members commits wait for, decided step by step: core.h. */
#include "database/core/core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As its server is: b must have what is committed. */
static void commits_wait_for_b(void)
{
    names[0] = "b";
    facts.synchronous = names;
    facts.synchronous_count = 1;
}

/* And so it is recorded, in a group that is to lose nothing. */
static void is_synchronous_with_b(void)
{
    commits_wait_for_b();
    group.mode = MODEL_DATABASE_SYNCHRONOUS;
    group.synchronous = names;
    group.synchronous_count = 1;
}

static void one_member_in_another_region_is_waited_for_before_it_is_recorded(void **state)
{
    (void)state;
    group.mode = MODEL_DATABASE_SYNCHRONOUS;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 1);
    assert_string_equal(order.synchronous[0], "b");
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    commits_wait_for_b();
    facts.synchronous_since = 510;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    followers[0].flushed = 510;
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_SYNCHRONOUS);
    assert_int_equal(update.group.synchronous_count, 1);
    assert_string_equal(update.group.synchronous[0], "b");
}

static void a_change_of_the_synchronous_member_is_recorded_before_it_is_made(void **state)
{
    (void)state;
    is_synchronous_with_b();
    facts.synchronous_since = 510;
    followers[0].streaming = false;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_SYNCHRONOUS);
    assert_int_equal(update.group.synchronous_count, 2);
    group.synchronous = update.group.synchronous;
    group.synchronous_count = 2;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_string_equal(order.synchronous[0], "c");
}

static void a_writer_whom_nobody_follows_goes_on_alone_after_a_while(void **state)
{
    (void)state;
    is_synchronous_with_b();
    facts.follower_count = 0;
    facts.alone_since.ns = INT64_MAX; /* its only follower is not wanted any more */
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    facts.alone_since.ns = NOW - 10 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_SYNCHRONOUS);
    assert_int_equal(update.group.synchronous_count, 0);
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT); /* not before it is recorded */
    group.synchronous_count = 0;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 0);
}

static void whoever_followed_a_bounded_writer_counts_also_when_it_is_gone(void **state)
{
    (void)state;
    group.mode = MODEL_DATABASE_BOUNDED;
    facts.follower_count = 0;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT); /* nobody has followed it yet */
    seen[B].streamed = 1;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 1);
    assert_string_equal(order.synchronous[0], "b");
    commits_wait_for_b();
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    facts.follower_count = 2; /* c begins to stream */
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 2);
    facts.follower_count = 0;
    members[B].deleted = true; /* by which the operator gives it up */
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 0);
    group.alone_waits = true;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
    assert_int_equal(order.synchronous_count, 1);
    assert_string_equal(order.synchronous[0], "c");
}

static void an_old_writer_does_not_count_before_it_followed_the_new_one(void **state)
{
    (void)state;
    group.mode = MODEL_DATABASE_BOUNDED;
    facts.follower_count = 0;
    facts.timeline = 2;
    seen[B].streamed = 1;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    seen[B].streamed = 2;
    assert_int_equal(ordered(), DATABASE_ACTION_SET_SYNCHRONOUS);
}

static void bounded_commits_flow_for_the_bound_after_what_the_best_reader_has(void **state)
{
    (void)state;
    assert_int_equal(database_free_until(&view, &facts).ns, 0);
    group.mode = MODEL_DATABASE_BOUNDED;
    assert_int_equal(database_free_until(&view, &facts).ns, 0);
    followers[0].whole_at.ns = NOW - 300 * TIME_MS;
    followers[1].whole_at.ns = NOW - 900 * TIME_MS;
    assert_int_equal(database_free_until(&view, &facts).ns, NOW + 700 * TIME_MS);
    members[B].deleted = true;
    assert_int_equal(database_free_until(&view, &facts).ns, NOW + 100 * TIME_MS);
    facts.process = DATABASE_PROCESS_READER;
    assert_int_equal(database_free_until(&view, &facts).ns, 0);
}

static void a_writer_that_may_not_go_on_alone_waits(void **state)
{
    (void)state;
    is_synchronous_with_b();
    group.alone_waits = true;
    facts.follower_count = 0;
    facts.alone_since.ns = NOW - 900 * TIME_S;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    members[B].deleted = true; /* then for another one that has data */
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_SYNCHRONOUS);
    assert_int_equal(update.group.synchronous_count, 2);
    seen[C].system_id = 0; /* and for nobody when there is none */
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_SYNCHRONOUS);
    assert_int_equal(update.group.synchronous_count, 0);
}

static void what_commits_wait_for_is_said(void **state)
{
    (void)state;
    assert_string_equal(database_commits(&view, &facts, &arena), "commits do not wait");
    commits_wait_for_b();
    assert_string_equal(database_commits(&view, &facts, &arena),
                        "commits wait for b (west), and that is being changed");
    group.mode = MODEL_DATABASE_SYNCHRONOUS;
    assert_string_equal(database_commits(&view, &facts, &arena),
                        "every commit is on b (west) before it is acknowledged");
    followers[0].streaming = false;
    assert_string_equal(database_commits(&view, &facts, &arena),
                        "commits wait for b (west), which does not stream");
    group.mode = MODEL_DATABASE_BOUNDED;
    assert_string_equal(database_commits(&view, &facts, &arena),
                        "commits wait for b (west): none is within 1000 ms");
    followers[0].whole_at.ns = NOW;
    assert_string_equal(database_commits(&view, &facts, &arena),
                        "commits do not wait: of b (west) one is within 1000 ms");
    seen[A].commits = database_commits(&view, &facts, &arena);
    group.alone_waits = true;
    const char *text = database_explain(&view, NULL, &arena);
    assert_non_null(strstr(text, "a (east), by its agent: commits do not wait: of b (west)"));
    assert_non_null(strstr(text, "commits wait for one, for as long as it takes"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_member_in_another_region_is_waited_for_before_it_is_recorded),
        TEST(a_change_of_the_synchronous_member_is_recorded_before_it_is_made),
        TEST(a_writer_whom_nobody_follows_goes_on_alone_after_a_while),
        TEST(whoever_followed_a_bounded_writer_counts_also_when_it_is_gone),
        TEST(an_old_writer_does_not_count_before_it_followed_the_new_one),
        TEST(bounded_commits_flow_for_the_bound_after_what_the_best_reader_has),
        TEST(a_writer_that_may_not_go_on_alone_waits),
        TEST(what_commits_wait_for_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
