/* Decisions about a writer whose server does not end by itself: it is attached, and has not loaded
 * the module. See core.h, promise 9. */
#include "base/text.h"
#include "database/core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * TIME_S)

static struct arena arena;

/* a is attached, the writer, and holds the lease; b streams from it. */
static struct model_database_turn turns[1];
static struct model_database_group group;
static struct model_database_lease lease;
static struct model_database_member members[2];
static struct model_database_seen seen[2];
static struct database_sight sights[2];
static struct database_view view;
static struct database_facts facts;
static struct database_update update;
static struct database_order order;

static int set_up(void **state)
{
    static const char *const ids[] = {"a", "b"};
    (void)state;
    arena_init(&arena, 0);
    turns[0] = (struct model_database_turn){
        .epoch = 1, .writer = "a", .before = "", .timeline = 1, .confirmed = true};
    group = (struct model_database_group){.id = "grp",
                                          .region = "",
                                          .name = "orders",
                                          .lease_ms = 10000,
                                          .automatic = true,
                                          .phase = MODEL_DATABASE_STEADY,
                                          .epoch = 1,
                                          .writer = "a",
                                          .target = "",
                                          .reason = "",
                                          .history = turns,
                                          .history_count = 1};
    lease = (struct model_database_lease){.epoch = 1,
                                          .holder = "a",
                                          .state = MODEL_DATABASE_LEASE_HELD,
                                          .length_ms = 10000,
                                          .unfenced = true,
                                          .flushed = 500,
                                          .timeline = 1};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        members[i] = (struct model_database_member){.group = "grp",
                                                    .id = ids[i],
                                                    .region = "east",
                                                    .cluster = "east",
                                                    .instance = ids[i],
                                                    .attached = i == 0 ? "site" : "",
                                                    .tier = 1};
        seen[i] = (struct model_database_seen){.condition = i == 0 ? MODEL_DATABASE_WRITER
                                                                   : MODEL_DATABASE_STREAMING,
                                               .message = "",
                                               .system_id = 7,
                                               .timeline = 1,
                                               .received = 500,
                                               .upstream = i == 0 ? "" : "a"};
        sights[i] = (struct database_sight){
            .member = &members[i], .seen = &seen[i], .heard = {NOW - 100 * TIME_MS}};
    }
    view = (struct database_view){.group = &group,
                                  .group_revision = 10,
                                  .lease = &lease,
                                  .lease_revision = 11,
                                  .lease_since = {NOW - 11 * TIME_S},
                                  .phase_since = {NOW - 100 * TIME_S},
                                  .members = sights,
                                  .member_count = 2,
                                  .self = "b",
                                  .now = {NOW}};
    facts = (struct database_facts){.data = DATABASE_DATA,
                                    .process = DATABASE_PROCESS_READER,
                                    .standby = true,
                                    .system_id = 7,
                                    .timeline = 1,
                                    .end = 500,
                                    .replayed = 500,
                                    .replayed_all = true,
                                    .upstream = "a",
                                    .receiving = true,
                                    .configured = true,
                                    .stuck = "",
                                    .alone_since = {NOW},
                                    .unwritable_since = {NOW},
                                    .synchronous_settled = true};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
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

static enum database_transition next(void)
{
    database_group_next(&view, &facts, &arena, &update);
    return update.transition;
}

static enum database_action duty(void)
{
    database_member_next(&view, &facts, &arena, &order);
    return order.action;
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
    sights[1].heard.ns = NOW - 60 * TIME_S; /* who would take over? */
    assert_false(wants_fence());
    sights[1].heard.ns = NOW;
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
    assert_int_equal(duty(), DATABASE_ACTION_STOP_FAST);
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
    assert_int_equal(duty(), DATABASE_ACTION_WAIT);
    assert_int_equal(next(), DATABASE_TRANSITION_RECORD_FENCE);
    assert_true(update.writes_lease && update.holds && !update.writes_group);
    assert_true(update.lease.unfenced);
    lease.unfenced = true;
    assert_int_not_equal(next(), DATABASE_TRANSITION_RECORD_FENCE);
    assert_int_equal(duty(), DATABASE_ACTION_START_WRITER);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
