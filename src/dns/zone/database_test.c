/* Unit tests of the zone database's own contract; what is answered is tested in dns/answer. */
#include "dns/zone/database.h"

#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"
#include "dns/zone/test_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FLIPPED 1000U

static struct zone_database *database;

static int set_up(void **state)
{
    (void)state;
    database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.com.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zone_database_free(database);
    snapshot_drain();
    return 0;
}

static void put(const struct model_record_set *record)
{
    struct err err = ERR_INIT;
    assert_int_equal(0, zone_database_put_record(database, record, &err));
}

static void put_pair(const char *name, const char *check)
{
    const char *first = "192.0.2.1";
    const char *second = "192.0.2.2";
    struct model_record_set record = test_record(TEST_RECORD_ZONE, name, &first);
    record.policy = MODEL_FAILOVER;
    record.failover = MODEL_PRIMARY;
    record.set_identifier = "p";
    record.health_check_id = check;
    put(&record);
    record.failover = MODEL_SECONDARY;
    record.set_identifier = "s";
    record.health_check_id = "";
    record.values = &second;
    put(&record);
}

static size_t set_status(const char *check, bool healthy)
{
    struct model_status *status = memory_new(sizeof *status + sizeof status->entries[0]);
    status->count = 1;
    status->entries[0] = (struct model_status_entry){.check_id = check, .healthy = healthy};
    size_t changed = zone_database_set_status(database, status);
    free(status);
    return changed;
}

static void a_status_change_touches_only_what_depends_on_the_check(void **state)
{
    (void)state;
    char name[64];
    for (unsigned i = 0; i < FLIPPED; i++) {
        (void)snprintf(name, sizeof name, "h%u.example.com.", i);
        put_pair(name, i == 0 ? "one" : "many");
    }
    struct model_alias alias = {.zone_id = "Z1", .name = "h0.example.com."};
    struct model_record_set record = test_record(TEST_RECORD_ZONE, "alias.example.com.", NULL);
    record.value_count = 0;
    record.alias = &alias;
    put(&record);
    zone_database_publish(database);
    assert_int_equal(0, set_status("one", true));
    assert_int_equal(2, set_status("one", false)); /* the alias too */
    assert_int_equal(0, set_status("one", false));
    assert_int_equal(FLIPPED - 1 + 2, set_status("many", false)); /* "one" is back */
    assert_int_equal(FLIPPED - 1, set_status("nobody's", false)); /* "many" is back */
    assert_int_equal(0, zone_database_set_status(database, NULL));
}

/* Tables of three checks, "1" for one that is down: each change of table against what differs. */
static void only_checks_that_differ_from_the_last_table_are_decided_again(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b", "c"};
    static const char *const tables[] = {"110", "011", "111", "000", "010", "101", "000"};
    static const size_t changes[] = {2, 2, 1, 3, 1, 3, 2};
    put_pair("a.example.com.", "a");
    put_pair("b.example.com.", "b");
    put_pair("c.example.com.", "c");
    zone_database_publish(database);
    struct model_status *status =
        memory_new(sizeof *status + ARRAY_SIZE(ids) * sizeof status->entries[0]);
    status->count = ARRAY_SIZE(ids);
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(ids); j++) {
            status->entries[j] =
                (struct model_status_entry){.check_id = ids[j], .healthy = tables[i][j] == '0'};
        }
        assert_int_equal(changes[i], zone_database_set_status(database, status));
    }
    free(status);
}

static void a_check_that_was_down_before_its_record_came_counts(void **state)
{
    (void)state;
    assert_int_equal(0, set_status("c", false));
    put_pair("www.example.com.", "c");
    zone_database_publish(database);
    assert_int_equal(1, set_status("c", true));
}

static bool count_routed(void *context, const char *zone_id, const char *name, uint16_t type)
{
    assert_string_equal("Z1", zone_id);
    assert_int_equal(RR_A, type);
    assert_non_null(strstr(name, ".example.com."));
    unsigned *left = context;
    return --*left != 0;
}

static void each_routed_visits_groups_with_a_policy_until_told_to_stop(void **state)
{
    (void)state;
    const char *value = "192.0.2.1";
    struct model_record_set plain = test_record(TEST_RECORD_ZONE, "plain.example.com.", &value);
    put(&plain);
    put_pair("a.example.com.", "c");
    put_pair("b.example.com.", "c");
    zone_database_publish(database);
    unsigned left = 10;
    zone_database_each_routed(database, count_routed, &left);
    assert_int_equal(8, left);
    left = 1;
    zone_database_each_routed(database, count_routed, &left);
    assert_int_equal(0, left);
    zone_database_delete_zone(database, "Z1");
    zone_database_publish(database);
    left = 10;
    zone_database_each_routed(database, count_routed, &left);
    assert_int_equal(10, left);
}

static void records_that_do_not_parse_are_left_out_with_a_reason(void **state)
{
    (void)state;
    const char *bad = "192.0.2.256";
    struct err err = ERR_INIT;
    struct model_record_set record = test_record(TEST_RECORD_ZONE, "www.example.com.", &bad);
    assert_int_equal(-EINVAL, zone_database_put_record(database, &record, &err));
    assert_int_equal(ERR_INVALID, err.kind);
    assert_non_null(strstr(err.message, "www.example.com."));
    err_clear(&err);
    record = test_record(TEST_RECORD_ZONE, "..", &bad);
    assert_int_equal(-EINVAL, zone_database_put_record(database, &record, &err));
}

static void what_is_not_there_is_deleted_without_a_trace(void **state)
{
    (void)state;
    zone_database_delete_zone(database, "Z9");
    zone_database_delete_record(database, "Z9", "www.example.com.", RR_A, "");
    zone_database_delete_record(database, "Z1", "www.example.com.", RR_A, "");
    zone_database_delete_record(database, "Z1", "..", RR_A, "");
    zone_database_delete_record(database, "Z1", "www.example.org.", RR_A, "");
    zone_database_publish(database);
    zone_database_delete_zone(database, "Z1");
    zone_database_delete_zone(database, "Z1");
    zone_database_publish(database);
}

static void explain_refuses_what_is_no_name(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct zone_explanation why;
    struct err err = ERR_INIT;
    assert_int_equal(-EINVAL,
                     zone_database_explain(database, "a..b", RR_A, NULL, &arena, &why, &err));
    assert_int_equal(
        0, zone_database_explain(database, "example.org.", RR_A, NULL, &arena, &why, &err));
    assert_string_equal("", why.zone_id);
    assert_int_equal(0, why.candidate_count);
    arena_done(&arena);
}

/* Two aliases at each of 30 names to the next: a thousand million ways to nothing. */
static void explaining_aliases_that_lead_nowhere_takes_no_time(void **state)
{
    (void)state;
    char name[32];
    char next[32];
    struct model_alias alias = {.zone_id = "Z1", .name = next};
    for (unsigned level = 0; level < 30; level++) {
        (void)snprintf(name, sizeof name, "l%u.example.com.", level);
        (void)snprintf(next, sizeof next, "l%u.example.com.", level + 1);
        struct model_record_set record = test_record(TEST_RECORD_ZONE, name, NULL);
        record.value_count = 0;
        record.alias = &alias;
        record.policy = MODEL_WEIGHTED;
        record.weight = 1;
        record.set_identifier = "a";
        put(&record);
        record.set_identifier = "b";
        put(&record);
    }
    zone_database_publish(database);
    struct arena arena;
    struct zone_explanation why;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    assert_int_equal(
        0, zone_database_explain(database, "l0.example.com.", RR_A, NULL, &arena, &why, &err));
    assert_int_equal(2, why.candidate_count);
    assert_int_equal(0, why.candidates[0].value_count);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        TEST(a_status_change_touches_only_what_depends_on_the_check),
        TEST(only_checks_that_differ_from_the_last_table_are_decided_again),
        TEST(a_check_that_was_down_before_its_record_came_counts),
        TEST(each_routed_visits_groups_with_a_policy_until_told_to_stop),
        TEST(records_that_do_not_parse_are_left_out_with_a_reason),
        TEST(what_is_not_there_is_deleted_without_a_trace),
        TEST(explain_refuses_what_is_no_name),
        TEST(explaining_aliases_that_lead_nowhere_takes_no_time),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
