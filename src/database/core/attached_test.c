/* Decisions about a writer whose server does not end by itself: it is attached, and has not loaded
 * the module. See core.h, promise 9. */
#include "database/core/core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The writer is attached, and its lease has run out; the agent of b asks. */
static int set_up_attached(void **state)
{
    int rc = set_up(state);
    as_reader(B);
    members[A].attached = "site";
    lease.unfenced = true;
    view.lease_since.ns = NOW - 11 * TIME_S;
    return rc;
}

/* The agent of a asks, whose lease is good. */
static void as_writer(enum database_process process)
{
    view.self = "a";
    view.lease_since.ns = NOW - TIME_S;
    facts.process = process;
    facts.standby = false;
    facts.upstream = "";
    facts.deadline.ns = NOW + 7 * TIME_S;
    facts.unfenced = true;
}

static bool wants_fence(void)
{
    struct mono again;
    return database_wants_fence(&view, &again);
}

static void nobody_follows_it_before_it_is_fenced(void **state)
{
    (void)state;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
    assert_true(wants_fence());
    view.fenced = true;
    assert_false(wants_fence());
    assert_int_equal(next(), DATABASE_TRANSITION_VOID);
    assert_int_equal(update.lease.state, MODEL_DATABASE_LEASE_FREE);
    assert_false(update.lease.unfenced);
}

static void a_lease_that_has_not_run_out_is_not_void_by_a_fence(void **state)
{
    (void)state;
    struct mono again;
    view.lease_since.ns = NOW - TIME_S;
    assert_false(database_wants_fence(&view, &again));
    assert_int_equal(again.ns, NOW + 9 * TIME_S);
    view.fenced = true;
    assert_int_equal(next(), DATABASE_TRANSITION_NONE);
}

static void nobody_is_fenced_for_nothing(void **state)
{
    (void)state;
    group.automatic = false;
    assert_false(wants_fence());
    group.operation = MODEL_DATABASE_FAILOVER;
    assert_true(wants_fence());
    sights[B].heard.ns = NOW - 60 * TIME_S;
    sights[C].heard = sights[B].heard; /* who would take over? */
    assert_false(wants_fence());
    sights[B].heard.ns = NOW;
    view.self = "a";
    assert_false(wants_fence());
    view.self = "b";
    lease.unfenced = false;
    assert_false(wants_fence());
}

static void a_confirmed_lease_is_void_at_once_and_not_renewed(void **state)
{
    (void)state;
    lease.confirmed = true;
    view.lease_since.ns = NOW;
    group.automatic = false;
    assert_false(wants_fence());
    assert_int_equal(next(), DATABASE_TRANSITION_VOID);
    assert_non_null(strstr(update.group.reason, "confirmed"));
    as_writer(DATABASE_PROCESS_WRITER);
    assert_int_equal(next(), DATABASE_TRANSITION_VOID);
    assert_int_equal(ordered(), DATABASE_ACTION_STOP_FAST);
}

static void a_lease_that_is_taken_says_whether_its_server_ends_by_itself(void **state)
{
    (void)state;
    group.phase = MODEL_DATABASE_PROMOTING;
    group.operation = MODEL_DATABASE_SWITCHOVER;
    group.epoch = 2;
    group.target = "b";
    group.fence = 500;
    lease.state = MODEL_DATABASE_LEASE_RELEASED;
    view.phase_since = view.now;
    facts.unfenced = true;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_true(update.lease.unfenced);
    facts.unfenced = false;
    assert_int_equal(next(), DATABASE_TRANSITION_TAKE);
    assert_false(update.lease.unfenced);
}

static void it_does_not_begin_to_write_before_the_lease_says_so(void **state)
{
    (void)state;
    as_writer(DATABASE_PROCESS_DOWN);
    lease.unfenced = false;
    assert_int_equal(ordered(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_FENCE);
    assert_true(update.writes_lease && update.holds && !update.writes_group);
    assert_true(update.lease.unfenced);
    lease.unfenced = true;
    assert_int_not_equal(next(), DATABASE_TRANSITION_RECORD_FENCE);
    assert_int_equal(ordered(), DATABASE_ACTION_START_WRITER);
}

static void the_lease_says_so_when_the_module_was_seen(void **state)
{
    (void)state;
    as_writer(DATABASE_PROCESS_WRITER);
    facts.unfenced = false;
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_FENCE);
    assert_false(update.lease.unfenced);
    assert_int_equal(update.lease.renewals, 1);
}

static void explain_says_what_hands_must_do(void **state)
{
    (void)state;
    const char *text = database_explain(&view, NULL, &arena);
    assert_non_null(strstr(text, "does not end by itself, so nobody takes over"));
    assert_non_null(strstr(text, "attachment site"));
    assert_non_null(strstr(text, "leeward db confirm-fenced orders"));
    /* Who has not watched the lease goes by what is written in it. */
    view.lease_since = view.now;
    view.wall.ns = 100 * TIME_S;
    lease.at.ns = 90 * TIME_S;
    assert_null(strstr(database_explain(&view, NULL, &arena), "confirm-fenced"));
    lease.at.ns = 70 * TIME_S;
    assert_non_null(strstr(database_explain(&view, NULL, &arena), "confirm-fenced"));
    lease.confirmed = true;
    text = database_explain(&view, NULL, &arena);
    assert_null(strstr(text, "confirm-fenced"));
    assert_non_null(strstr(text, "It was confirmed that the writer's server does not write."));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_attached, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_follows_it_before_it_is_fenced),
        TEST(a_lease_that_has_not_run_out_is_not_void_by_a_fence),
        TEST(nobody_is_fenced_for_nothing),
        TEST(a_confirmed_lease_is_void_at_once_and_not_renewed),
        TEST(a_lease_that_is_taken_says_whether_its_server_ends_by_itself),
        TEST(it_does_not_begin_to_write_before_the_lease_says_so),
        TEST(the_lease_says_so_when_the_module_was_seen),
        TEST(explain_says_what_hands_must_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
