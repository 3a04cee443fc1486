/* What a restart must not forget: verdicts kept in a store, real servers, and the table that is
 * published before anything was probed. */
#include "base/macro.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "health/health.h"
#include "health/test_support.h"
#include "health/verdict_store.h"
#include "store/memory.h"
#include "store/sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "11111111-2222-4333-8444-555555555555"
#define PREFIX "node/node-1/verdict/"
#define FAST "leeward:interval-ms=100 leeward:failures-down=1 leeward:successes-up=1"
/* So slow that a restarted daemon does not probe within a test. */
#define SLOW "leeward:interval-ms=300000 leeward:failures-down=3 leeward:successes-up=3"
#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define UNHEALTHY                                                                                  \
    "{\"v\":1,\"Vote\":false,\"VoteSince\":\"2026-11-20T01:02:03.004Z\",\"Healthy\":false,"        \
    "\"Since\":\"2026-11-20T01:02:04.005Z\",\"Latched\":false}"

struct fixture {
    struct store *store;
    struct test_board *board;
    struct test_server *server;
    struct health *health;
    char folder[64]; /* of the SQLite store; "" for the memory store */
    char config[256];
};

static void start(struct fixture *fixture)
{
    fixture->health = test_health_start(fixture->store, fixture->board);
}

static void stop(struct fixture *fixture)
{
    health_stop(fixture->health);
    fixture->health = NULL;
}

static void open_store(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    if (fixture->folder[0] == '\0') {
        fixture->store = store_memory_open();
    } else if (store_sqlite_open(fixture->folder, &fixture->store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void begin(struct fixture *fixture)
{
    open_store(fixture);
    fixture->board = test_board_new();
    fixture->server = test_server_new(SERVER_ANSWER, ANSWER_OK, strlen(ANSWER_OK));
    (void)snprintf(fixture->config, sizeof fixture->config,
                   "\"Type\":\"HTTP\",\"IPAddress\":\"127.0.0.1\",\"Port\":%u,"
                   "\"ResourcePath\":\"/health\",\"RequestInterval\":10,\"FailureThreshold\":1",
                   test_server_port(fixture->server));
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.store = NULL};
    begin(&fixture);
    *state = &fixture;
    return 0;
}

static int set_up_on_disk(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.folder = "/tmp/leeward-restart-test.XXXXXX"};
    assert_non_null(mkdtemp(fixture.folder));
    begin(&fixture);
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
    if (fixture->folder[0] != '\0') {
        static const char *const files[] = {"leeward.db", "leeward.db-wal", "leeward.db-shm",
                                            "leeward.lock", ""};
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
            char path[128];
            (void)snprintf(path, sizeof path, "%s/%s", fixture->folder, files[i]);
            (void)remove(path); /* those that are there; the folder last */
        }
    }
    return 0;
}

static void put(const struct fixture *fixture, const char *id, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct err err = ERR_INIT;
    char key[128];
    int64_t revision = 0;
    (void)snprintf(key, sizeof key, PREFIX "%s", id);
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(store_commit(fixture->store, txn, &revision, &err), 0);
}

struct record_wait {
    struct store *store;
    const char *id;
    const char *part; /* NULL: there is no record */
};

static bool record_is(void *context)
{
    const struct record_wait *wait = context;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct store_entry entry;
    char key[128];
    arena_init(&arena, 0);
    (void)snprintf(key, sizeof key, PREFIX "%s", wait->id);
    if (store_get(wait->store, key, &arena, &entry, &err) != 0) {
        return wait->part == NULL;
    }
    return wait->part != NULL && strstr(entry.value, wait->part) != NULL;
}

static bool recorded(const struct fixture *fixture, const char *id, const char *part)
{
    struct record_wait wait = {.store = fixture->store, .id = id, .part = part};
    return test_wait(record_is, &wait);
}

static struct health_view describe(const struct fixture *fixture, const char *id,
                                   struct arena *arena)
{
    struct err err = ERR_INIT;
    struct health_view view = {.healthy = false};
    assert_int_equal(health_describe(fixture->health, id, arena, &view, &err), 0);
    return view;
}

static void assert_same_time(struct wall kept, struct wall before)
{
    assert_in_range(before.ns - kept.ns, 0, TIME_MS); /* kept in milliseconds */
}

static void an_unhealthy_check_begins_unhealthy_since_then(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    assert_true(recorded(fixture, ID, "\"Vote\":false"));
    struct health_view before = describe(fixture, ID, &arena);
    stop(fixture);
    test_put_check(fixture->store, ID, fixture->config, SLOW);
    start(fixture);
    struct health_view view = describe(fixture, ID, &arena);
    assert_false(view.healthy);
    assert_false(view.latched);
    assert_false(view.observations[0].healthy);
    assert_same_time(view.since, before.since);
    assert_same_time(view.observations[0].since, before.observations[0].since);
    assert_int_equal(view.observations[0].checked.ns, 0);
    assert_false(test_board_healthy(fixture->board, ID));
    assert_int_equal(test_board_changes(fixture->board, ID), 1);
    /* The way back, and nothing is left. */
    test_server_up(fixture->server);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    assert_true(recorded(fixture, ID, NULL));
    stop(fixture);
    start(fixture);
    assert_true(test_board_healthy(fixture->board, ID));
}

static void
an_inverted_check_keeps_its_verdict_but_not_one_from_before_it_was_inverted(void **state)
{
    struct fixture *fixture = *state;
    char inverted[320];
    (void)snprintf(inverted, sizeof inverted, "%s,\"Inverted\":true", fixture->config);
    test_put_check(fixture->store, ID, inverted, FAST);
    start(fixture);
    assert_false(test_board_healthy(fixture->board, ID));
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, true, NULL));
    assert_true(recorded(fixture, ID, "\"Healthy\":true"));
    stop(fixture);
    test_put_check(fixture->store, ID, inverted, SLOW);
    start(fixture);
    assert_true(test_board_healthy(fixture->board, ID));
    stop(fixture);
    put(fixture, ID, UNHEALTHY); /* as of the same check when it was not inverted */
    start(fixture);
    assert_false(test_board_healthy(fixture->board, ID));
    assert_true(recorded(fixture, ID, NULL));
}

#define CALCULATED                                                                                 \
    "\"Type\":\"CALCULATED\",\"HealthThreshold\":1,\"ChildHealthChecks\":[\"" ID "\"]"

static void a_calculated_check_keeps_its_time_and_does_not_latch_at_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    /* One id sorts before its child's, one behind. */
    test_put_check(fixture->store, "0", CALCULATED, "leeward:latch=true");
    test_put_check(fixture->store, "9", CALCULATED, NULL);
    start(fixture);
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, ID, false, NULL));
    assert_true(recorded(fixture, "0", "\"Latched\":true"));
    assert_int_equal(health_reset_latch(fixture->health, "0", &err), 0);
    assert_true(recorded(fixture, "0", "\"Latched\":false"));
    assert_true(recorded(fixture, "9", "\"Healthy\":false"));
    struct wall since = describe(fixture, "9", &arena).since;
    stop(fixture);
    test_put_check(fixture->store, ID, fixture->config, SLOW);
    start(fixture);
    assert_false(test_board_healthy(fixture->board, "0"));
    assert_false(test_board_healthy(fixture->board, "9"));
    assert_false(describe(fixture, "0", &arena).latched);
    assert_same_time(describe(fixture, "9", &arena).since, since);
    test_server_up(fixture->server);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    assert_true(test_board_wait(fixture->board, "0", true, NULL));
    assert_true(recorded(fixture, "0", NULL));
    assert_true(recorded(fixture, "9", NULL));
}

static void a_disabled_check_keeps_no_vote(void **state)
{
    struct fixture *fixture = *state;
    char disabled[320];
    (void)snprintf(disabled, sizeof disabled, "%s,\"Disabled\":true", fixture->config);
    test_put_check(fixture->store, ID, fixture->config, FAST);
    start(fixture);
    test_server_down(fixture->server);
    assert_true(recorded(fixture, ID, "\"Vote\":false"));
    test_put_check(fixture->store, ID, disabled, FAST);
    assert_true(recorded(fixture, ID, NULL));
}

static void unreadable_records_are_ignored_and_go(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {
        "",
        "no JSON",
        "[]",
        "{\"v\":1}",
        "{\"v\":2,\"Vote\":false,\"VoteSince\":\"2026-11-20T01:02:03.004Z\",\"Healthy\":false,"
        "\"Since\":\"2026-11-20T01:02:03.004Z\",\"Latched\":true}",
        "{\"v\":1,\"Vote\":\"false\",\"VoteSince\":\"2026-11-20T01:02:03.004Z\",\"Healthy\":false,"
        "\"Since\":\"2026-11-20T01:02:03.004Z\",\"Latched\":true}",
        "{\"v\":1,\"Vote\":false,\"VoteSince\":\"yesterday\",\"Healthy\":false,"
        "\"Since\":\"2026-11-20T01:02:03.004Z\",\"Latched\":true}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c-%zu", i);
        test_put_check(fixture->store, id, fixture->config, SLOW " leeward:latch=true");
        put(fixture, id, values[i]);
    }
    test_put_check(fixture->store, "good", fixture->config, SLOW);
    put(fixture, "good", UNHEALTHY);
    put(fixture, "gone", UNHEALTHY);
    start(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c-%zu", i);
        assert_true(test_board_healthy(fixture->board, id));
        assert_true(recorded(fixture, id, NULL));
    }
    assert_false(test_board_healthy(fixture->board, "good"));
    assert_true(recorded(fixture, "good", "\"Since\":\"2026-11-20T01:02:04.005Z\""));
    assert_true(recorded(fixture, "gone", NULL));
}

/* From now on no file of this process grows, or one does again: the disk is full, as it were. */
static void refuse_writes(bool refuse)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN); /* cannot fail with these */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = refuse ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool was_refused(void *context)
{
    struct health_counters counters;
    health_count(context, &counters);
    return counters.store_errors >= 2;
}

static void nothing_is_lost_while_the_store_refuses_writes(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        test_put_check(fixture->store, ids[i], fixture->config, FAST);
    }
    test_put_check(fixture->store, "goes", fixture->config, FAST);
    start(fixture);
    refuse_writes(true);
    test_server_down(fixture->server);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_true(test_board_wait(fixture->board, ids[i], false, NULL));
    }
    assert_true(test_wait(was_refused, fixture->health));
    refuse_writes(false);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_true(recorded(fixture, ids[i], "\"Vote\":false"));
    }
    test_delete_check(fixture->store, "goes");
    assert_true(recorded(fixture, "goes", NULL));
    /* Recovered while the store refuses: the records go later, and at the end at the latest. */
    refuse_writes(true);
    test_server_up(fixture->server);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_true(test_board_wait(fixture->board, ids[i], true, NULL));
    }
    test_server_down(fixture->server);
    assert_true(test_board_wait(fixture->board, "b", false, NULL));
    refuse_writes(false);
    stop(fixture);
    store_close(fixture->store);
    open_store(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        test_put_check(fixture->store, ids[i], fixture->config, SLOW);
    }
    start(fixture);
    assert_false(test_board_healthy(fixture->board, "b"));
}

static void the_newest_of_many_changes_is_what_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct counters counters = {0};
    struct verdict_writer *writer = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(verdict_writer_start(fixture->store, "node-1", &counters, &writer, &err), 0);
    refuse_writes(true);
    for (int i = 0; i < 20000; i++) {
        char id[16];
        struct verdict verdict = {.since = {TIME_S * i}};
        (void)snprintf(id, sizeof id, "c-%02d", i % 16);
        verdict_write(writer, id, i % 3 == 0 ? NULL : &verdict);
    }
    refuse_writes(false);
    verdict_writer_stop(writer);
    struct arena arena CLEANUP(arena_done);
    struct verdict_list list;
    arena_init(&arena, 0);
    assert_int_equal(verdict_load(fixture->store, "node-1", &arena, &list, &err), 0);
    for (int i = 20000 - 16; i < 20000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c-%02d", i % 16);
        const struct verdict_entry *entry = verdict_find(&list, id);
        if (i % 3 == 0) {
            assert_null(entry);
        } else {
            assert_non_null(entry);
            assert_true(entry->readable);
            assert_int_equal(entry->verdict.since.ns, TIME_S * i);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ON_DISK(name) cmocka_unit_test_setup_teardown(name, set_up_on_disk, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_unhealthy_check_begins_unhealthy_since_then),
        TEST(an_inverted_check_keeps_its_verdict_but_not_one_from_before_it_was_inverted),
        TEST(a_calculated_check_keeps_its_time_and_does_not_latch_at_a_restart),
        TEST(a_disabled_check_keeps_no_vote),
        TEST(unreadable_records_are_ignored_and_go),
        TEST_ON_DISK(nothing_is_lost_while_the_store_refuses_writes),
        TEST_ON_DISK(the_newest_of_many_changes_is_what_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
