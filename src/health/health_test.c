/* The room as a whole: checks in a memory store, real servers, the published table. */
#include "health/health.h"

#include "base/macro.h"
#include "base/snapshot.h"
#include "health/test_support.h"
#include "model/path.h"
#include "store/memory.h"

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
    struct err err = ERR_INIT;
    struct health_config config = {
        .store = fixture->store,
        .node = "node-1",
        .region = "us-east-1",
        .published = test_board_published,
        .context = fixture->board,
    };
    int rc = health_start(&config, &fixture->health, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(rc, 0);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_failing_endpoint_flips_the_published_table_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
