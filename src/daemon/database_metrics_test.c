/* Metrics of databases: what stands on the page for a database with a writer and a reader, and
 * nothing where there is none. A memory store. */
#include "daemon/database_metrics.h"

#include "base/text.h"
#include "base/time.h"
#include "model/test_database.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct store *store;
static struct arena arena;
static struct buf page;
static const struct model_stored fresh = {.value = NULL};

static int set_up(void **state)
{
    (void)state;
    store = store_memory_open();
    arena_init(&arena, 0);
    buf_init(&page, 1U << 20U);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&page);
    arena_done(&arena);
    store_close(store);
    return 0;
}

static void put(const char *key, const char *value)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static void put_member(const char *id, enum model_database_condition condition, int64_t lag_bytes,
                       int64_t lag_ms)
{
    const struct model_database_member member = test_database_member(id, "east");
    const struct model_database_seen seen = {.site = "",
                                             .condition = condition,
                                             .message = "",
                                             .action = "",
                                             .upstream = "",
                                             .lag_bytes = lag_bytes,
                                             .lag_ms = lag_ms,
                                             .at = wall_now()};
    put(model_database_member_key(&arena, TEST_GROUP, id),
        model_database_member_encode(&arena, &member, &fresh));
    put(model_database_seen_key(&arena, TEST_GROUP, id),
        model_database_seen_encode(&arena, &seen, &fresh));
}

static void put_database(void)
{
    struct model_database_turn turn = {.epoch = 3,
                                       .writer = "db-a",
                                       .before = "db-b",
                                       .timeline = 2,
                                       .confirmed = true,
                                       .operation = MODEL_DATABASE_FAILOVER_AUTOMATIC,
                                       .at = {.ns = 1700000000 * TIME_S}};
    struct model_database_group group = test_group("db-a");
    group.name = "orders";
    group.epoch = 3;
    group.history = &turn;
    group.history_count = 1;
    const struct model_database_lease lease = {.epoch = 3,
                                               .holder = "",
                                               .state = MODEL_DATABASE_LEASE_FREE,
                                               .length_ms = 10000,
                                               .at = wall_now()};
    put(model_database_group_key(&arena, TEST_GROUP),
        model_database_group_encode(&arena, &group, &fresh));
    put(model_database_lease_key(&arena, TEST_GROUP),
        model_database_lease_encode(&arena, &lease, &fresh));
    put_member("db-a", MODEL_DATABASE_WRITER, -1, -1);
    put_member("db-b", MODEL_DATABASE_STREAMING, 8192, 1500);
}

static void assert_says(const char *line)
{
    if (strstr(buf_text(&page), line) == NULL) {
        fail_msg("not on the page: %s\n%s", line, buf_text(&page));
    }
}

static void a_database_is_told_of_with_all_its_servers(void **state)
{
    (void)state;
    put_database();
    database_metrics_render(store, &page);
    assert_says("\nleeward_database_epoch{database=\"orders\",region=\"\"} 3\n");
    assert_says("\nleeward_database_phase{database=\"orders\",region=\"\",phase=\"STEADY\"} 1\n");
    assert_says("\nleeward_database_lease_remaining_seconds{database=\"orders\",region=\"\"} 0\n");
    assert_says("\nleeward_database_last_change_timestamp_seconds{database=\"orders\",region=\"\","
                "operation=\"FAILOVER_AUTOMATIC\"} 1700000000\n");
    assert_says("\nleeward_database_writer{database=\"orders\",instance=\"db-a\",region=\"east\"} "
                "1\n");
    assert_says("\nleeward_database_writer{database=\"orders\",instance=\"db-b\",region=\"east\"} "
                "0\n");
    assert_says("\nleeward_database_lag_bytes{database=\"orders\",instance=\"db-b\",region="
                "\"east\"} 8192\n");
    assert_says("\nleeward_database_lag_seconds{database=\"orders\",instance=\"db-b\",region="
                "\"east\"} 1.5\n");
    assert_says("\nleeward_database_condition{database=\"orders\",instance=\"db-b\",region="
                "\"east\",condition=\"STREAMING\"} 1\n");
    assert_null(strstr(buf_text(&page), "lag_bytes{database=\"orders\",instance=\"db-a\""));
}

static void a_damaged_record_is_left_out(void **state)
{
    (void)state;
    put_database();
    put(model_database_seen_key(&arena, TEST_GROUP, "db-b"), "{\"v\":1,");
    put(model_database_lease_key(&arena, TEST_GROUP), "[]");
    database_metrics_render(store, &page);
    assert_null(strstr(buf_text(&page), "instance=\"db-b\""));
    assert_null(strstr(buf_text(&page), "lease_remaining_seconds{"));
    assert_says("\nleeward_database_writer{database=\"orders\",instance=\"db-a\"");
}

static void without_databases_there_is_nothing(void **state)
{
    (void)state;
    put("db/region/east", "{}");
    database_metrics_render(store, &page);
    assert_int_equal(page.length, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_database_is_told_of_with_all_its_servers),
        TEST(a_damaged_record_is_left_out),
        TEST(without_databases_there_is_nothing),
    };
    return cmocka_run_group_tests_name("daemon/database_metrics", tests, NULL, NULL);
}
