/* The room as a whole: checks in a memory store, real servers, the published table. */
#include "health/health.h"

#include "base/macro.h"
#include "base/snapshot.h"
#include "health/test_support.h"
#include "model/path.h"
#include "store/memory.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "11111111-2222-4333-8444-555555555555"
#define FAST "leeward:interval-ms=100 leeward:failures-down=1 leeward:successes-up=1"
#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER_BAD "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

struct fixture {
    struct store *store;
    struct test_board *board;
    struct test_server *server;
    struct health *health;
    char config[256];
};

static void start(struct fixture *fixture)
{
    fixture->health = test_health_start(fixture->store, fixture->board);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.store = store_memory_open(), .board = test_board_new()};
    fixture.server = test_server_new(SERVER_ANSWER, ANSWER_OK, strlen(ANSWER_OK));
    (void)snprintf(fixture.config, sizeof fixture.config,
                   "\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\",\"Port\":%u,"
                   "\"ResourcePath\":\"/health\",\"RequestInterval\":10,\"FailureThreshold\":1",
                   test_server_port(fixture.server));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    health_stop(fixture->health);
    test_server_free(fixture->server);
    store_close(fixture->store);
    test_board_free(fixture->board);
    snapshot_drain();
    return 0;
}

static void a_failing_endpoint_flips_the_published_table_and_back(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    assert_true(test_board_healthy(fixture->board, ID));
    test_server_set(fixture->server, SERVER_ANSWER, ANSWER_BAD, strlen(ANSWER_BAD));
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    test_server_set(fixture->server, SERVER_ANSWER, ANSWER_OK, strlen(ANSWER_OK));
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    bool in_order = false;
    assert_true(test_board_publications(fixture->board, &in_order) >= 3);
    assert_true(in_order);
}

static struct health_view describe(const struct fixture *fixture, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct health_view view = {.healthy = false};
    assert_int_equal(health_describe(fixture->health, ID, arena, &view, &err), 0);
    return view;
}

static bool has_result(void *context)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    return describe(context, &arena).observations[0].checked.ns != 0;
}

static void a_check_is_described_with_what_was_seen_last(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    struct health_view view;
    assert_int_equal(health_describe(fixture->health, "unknown", &arena, &view, &err), -ENOENT);
    assert_true(test_wait(has_result, fixture));
    view = describe(fixture, &arena);
    assert_true(view.healthy);
    assert_int_equal(view.count, 1);
    assert_string_equal(view.observations[0].region, "us-east-1");
    assert_string_equal(view.observations[0].address, "127.0.0.1");
    assert_string_equal(view.observations[0].status,
                        "Success: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1");
    assert_string_equal(view.observations[0].last_failure, "");
    assert_true(view.observations[0].latency_us > 0);
    test_server_set(fixture->server, SERVER_ANSWER, ANSWER_BAD, strlen(ANSWER_BAD));
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    view = describe(fixture, &arena);
    assert_false(view.healthy);
    assert_false(view.observations[0].healthy);
    assert_string_equal(
        view.observations[0].last_failure,
        "Failure: HTTP Status Code 503, Service Unavailable. Resolved IP: 127.0.0.1");
    assert_true(view.observations[0].last_failure_at.ns > 0);
    assert_true(view.since.ns > 0);
}

static void a_killed_endpoint_is_published_within_the_interval(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    assert_true(test_wait(has_result, fixture));
    struct mono down = mono_now();
    struct mono decided = {0};
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, &decided));
    int64_t published_ms = mono_since(mono_now(), down) / TIME_MS;
    print_message("# published %lld ms after the endpoint went\n", (long long)published_ms);
    /* 100 ms and a few; the rest is for a busy machine. Route 53's own interval is 10 s. */
    assert_in_range(published_ms, 0, 9000);
    assert_in_range(mono_since(decided, down), 0, published_ms * TIME_MS + TIME_MS);
    test_server_up(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
}

static void an_endpoint_that_hangs_is_found_by_the_timeout(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST " leeward:timeout-ms=100");
    start(fixture);
    assert_true(test_wait(has_result, fixture));
    struct mono down = mono_now();
    test_server_set(fixture->server, SERVER_SILENT, NULL, 0);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    print_message("# found after %lld ms\n", (long long)(mono_since(mono_now(), down) / TIME_MS));
}

static void checks_come_change_and_go_while_it_runs(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    /* Disabled, it is healthy; enabled again it begins anew and falls again. */
    char config[320];
    (void)snprintf(config, sizeof config, "%s,\"Disabled\":true", fixture->config);
    test_put_check(fixture->store, ID, config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    (void)snprintf(config, sizeof config, "%s,\"Disabled\":true,\"Inverted\":true",
                   fixture->config);
    test_put_check(fixture->store, ID, config, FAST);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    (void)snprintf(config, sizeof config, "%s,\"Inverted\":true", fixture->config);
    test_put_check(fixture->store, ID, config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    test_delete_check(fixture->store, ID);
    assert_true(test_board_wait_gone(fixture->board, ID));
    test_server_up(fixture->server);
    unsigned connections = test_server_connections(fixture->server);
    test_put_check(fixture->store, "other", fixture->config, "leeward:interval-ms=300000");
    assert_true(test_board_wait(fixture->board, "other", true, NULL));
    assert_in_range(test_server_connections(fixture->server), connections, connections + 1);
}

static bool was_called(void *context)
{
    return test_server_connections(context) >= 1;
}

static void an_update_of_the_endpoint_keeps_the_state_until_results_say_otherwise(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    test_server_set(fixture->server, SERVER_ANSWER, ANSWER_BAD, strlen(ANSWER_BAD));
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    unsigned changes = test_board_changes(fixture->board, ID);
    struct test_server *other = test_server_new(SERVER_ANSWER, ANSWER_BAD, strlen(ANSWER_BAD));
    char config[256];
    (void)snprintf(config, sizeof config,
                   "\"Type\":\"TCP\",\"IPAddress\":\"127.0.0.1\",\"Port\":%u,"
                   "\"RequestInterval\":10,\"FailureThreshold\":1",
                   test_server_port(other));
    test_put_check(fixture->store, ID, config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    assert_int_equal(test_board_changes(fixture->board, ID), changes + 1);
    assert_true(test_wait(was_called, other)); /* the server notices on a thread of its own */
    test_server_free(other);
}

static void a_calculated_check_follows_its_children_in_the_same_table(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST);
    test_put_check(fixture->store, "all",
                   "\"Type\":\"CALCULATED\",\"HealthThreshold\":2,"
                   "\"ChildHealthChecks\":[\"" ID "\",\"missing\"]",
                   NULL);
    test_put_check(fixture->store, "any",
                   "\"Type\":\"CALCULATED\",\"HealthThreshold\":1,"
                   "\"ChildHealthChecks\":[\"" ID "\",\"missing\"]",
                   NULL);
    start(fixture);
    assert_true(test_board_healthy(fixture->board, "all"));
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    assert_false(test_board_healthy(fixture->board, "all"));
    assert_true(test_board_healthy(fixture->board, "any"));
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct err err = ERR_INIT;
    struct health_view view;
    assert_int_equal(health_describe(fixture->health, "all", &arena, &view, &err), 0);
    assert_int_equal(view.count, 0);
    assert_false(view.healthy);
    /* Without its child a calculated check counts it as healthy; the parent may go first, too. */
    test_delete_check(fixture->store, ID);
    assert_true(test_board_wait(fixture->board, "all", true, NULL));
    test_delete_check(fixture->store, "all");
    assert_true(test_board_wait_gone(fixture->board, "all"));
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
}

#define VERDICT_KEY "node/node-1/verdict/" ID

struct latch_wait {
    struct store *store;
    bool present;
};

static bool latch_is(void *context)
{
    const struct latch_wait *wait = context;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct store_entry entry;
    arena_init(&arena, 0);
    return (store_get(wait->store, VERDICT_KEY, &arena, &entry, &err) == 0) == wait->present;
}

static bool latch_stored(const struct fixture *fixture, bool present)
{
    struct latch_wait wait = {.store = fixture->store, .present = present};
    return test_wait(latch_is, &wait);
}

static void a_latch_survives_a_restart_and_is_reset_by_hand(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    test_put_check(fixture->store, ID, fixture->config, FAST " leeward:latch=true");
    start(fixture);
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    assert_true(latch_stored(fixture, true));
    struct wall since = describe(fixture, &arena).since;
    test_server_up(fixture->server);
    health_stop(fixture->health);
    start(fixture);
    assert_false(test_board_healthy(fixture->board, ID));
    assert_true(test_wait(has_result, fixture));
    struct health_view view = describe(fixture, &arena);
    assert_true(view.latched);
    assert_false(view.healthy);
    assert_true(view.observations[0].healthy);
    assert_in_range(view.since.ns, since.ns - TIME_MS, since.ns);
    assert_int_equal(health_reset_latch(fixture->health, "unknown", &err), -ENOENT);
    assert_int_equal(health_reset_latch(fixture->health, ID, &err), 0);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    assert_true(latch_stored(fixture, false));
}

static void a_latch_goes_with_its_tag_and_with_its_check(void **state)
{
    struct fixture *fixture = *state;
    test_put_check(fixture->store, ID, fixture->config, FAST " leeward:latch=true");
    start(fixture);
    test_server_down(fixture->server);
    assert_true(latch_stored(fixture, true));
    test_server_up(fixture->server);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    assert_true(latch_stored(fixture, false));
    test_put_check(fixture->store, ID, fixture->config, FAST " leeward:latch=true");
    test_server_down(fixture->server);
    assert_true(latch_stored(fixture, true));
    test_delete_check(fixture->store, ID);
    assert_true(latch_stored(fixture, false));
    /* One that is left over from a time when nobody looked. */
    health_stop(fixture->health);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct err err = ERR_INIT;
    int64_t revision = 0;
    store_txn_put(txn, VERDICT_KEY, "{}", 2);
    assert_int_equal(store_commit(fixture->store, txn, &revision, &err), 0);
    start(fixture);
    assert_true(latch_stored(fixture, false));
}

static void compacted_history_leads_to_a_new_snapshot(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    start(fixture);
    for (int i = 0; i < 50; i++) {
        char id[16];
        int64_t revision = 0;
        (void)snprintf(id, sizeof id, "c-%d", i);
        test_put_check(fixture->store, id, fixture->config, "leeward:interval-ms=300000");
        assert_int_equal(store_revision(fixture->store, &revision, &err), 0);
        assert_int_equal(store_compact(fixture->store, revision, &err), 0);
        if (i % 2 == 0) {
            test_delete_check(fixture->store, id);
            assert_int_equal(store_revision(fixture->store, &revision, &err), 0);
            assert_int_equal(store_compact(fixture->store, revision, &err), 0);
        }
    }
    assert_true(test_board_wait(fixture->board, "c-49", true, NULL));
    assert_true(test_board_wait_gone(fixture->board, "c-48"));
    assert_true(test_board_wait(fixture->board, "c-1", true, NULL));
}

static bool probed_much(void *context)
{
    const struct fixture *fixture = context;
    struct health_counters counters;
    health_count(fixture->health, &counters);
    return counters.probes_started >= 600 && counters.probes_passed >= 1;
}

static bool failed_much(void *context)
{
    const struct fixture *fixture = context;
    struct health_counters counters;
    health_count(fixture->health, &counters);
    return counters.probes_failed >= 300;
}

static void many_checks_are_probed_and_stopping_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    size_t files = test_open_files();
    for (int i = 0; i < 300; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c-%03d", i);
        test_put_check(fixture->store, id, fixture->config, FAST);
    }
    start(fixture);
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, "c-000", false, NULL));
    assert_true(test_board_wait(fixture->board, "c-299", false, NULL));
    assert_true(test_wait(failed_much, fixture));
    test_server_up(fixture->server);
    assert_true(test_board_wait(fixture->board, "c-150", true, NULL));
    assert_true(test_wait(probed_much, fixture));
    struct health_counters counters;
    health_count(fixture->health, &counters);
    assert_true(counters.publications >= 3);
    assert_true(health_loop_lag_us(fixture->health) >= 0);
    bool in_order = false;
    assert_true(test_board_publications(fixture->board, &in_order) > 0);
    assert_true(in_order);
    health_stop(fixture->health);
    fixture->health = NULL;
    for (int i = 0; i < 200 && test_open_files() > files; i++) {
        (void)poll(NULL, 0, 10); /* the server closes its ends on a thread of its own */
    }
    assert_in_range(test_open_files(), 0, files);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_failing_endpoint_flips_the_published_table_and_back),
        TEST(a_check_is_described_with_what_was_seen_last),
        TEST(a_killed_endpoint_is_published_within_the_interval),
        TEST(an_endpoint_that_hangs_is_found_by_the_timeout),
        TEST(checks_come_change_and_go_while_it_runs),
        TEST(an_update_of_the_endpoint_keeps_the_state_until_results_say_otherwise),
        TEST(a_calculated_check_follows_its_children_in_the_same_table),
        TEST(a_latch_survives_a_restart_and_is_reset_by_hand),
        TEST(a_latch_goes_with_its_tag_and_with_its_check),
        TEST(compacted_history_leads_to_a_new_snapshot),
        TEST(many_checks_are_probed_and_stopping_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
