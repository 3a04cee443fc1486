/* Endpoints: what is wanted of a group, what is written into a zone, that names follow a change of
 * the writer, and what the pages say. A memory store; no sleeps. */
#include "database/endpoint/endpoint.h"

#include "base/memory.h"
#include "base/text.h"
#include "database/endpoint/internal.h"
#include "model/path.h"
#include "model/test_database.h"
#include "model/zone.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZONE "db.example.com"
#define ZONE_ID "Z1"
#define WAIT_MS 120000

struct fixture {
    struct store *store;
    struct arena arena;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->store = store_memory_open();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static void ok(struct fixture *fixture, int rc)
{
    if (rc != 0) {
        fail_msg("%s: %s", err_kind_name(fixture->err.kind), fixture->err.message);
    }
}

static void put(struct fixture *fixture, const char *key, const char *value)
{
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put(txn, key, value, strlen(value));
    ok(fixture, store_commit(fixture->store, txn, &revision, &fixture->err));
}

/* ---- a group of two regions: a and b in the first, c in the second ---- */

static const struct model_stored fresh = {.value = NULL};

static void put_group(struct fixture *fixture, const struct model_database_group *group)
{
    put(fixture, model_database_group_key(&fixture->arena, TEST_GROUP),
        model_database_group_encode(&fixture->arena, group, &fresh));
}

static void put_member(struct fixture *fixture, const char *id, const char *region,
                       const char *cluster, const char *address)
{
    struct model_database_member member = test_database_member(id, region);
    member.cluster = cluster;
    member.address = address;
    put(fixture, model_database_member_key(&fixture->arena, TEST_GROUP, id),
        model_database_member_encode(&fixture->arena, &member, &fresh));
}

static void put_seen(struct fixture *fixture, const char *id,
                     enum model_database_condition condition)
{
    const struct model_database_seen seen = {
        .site = "", .condition = condition, .message = "", .action = "", .upstream = ""};
    put(fixture, model_database_seen_key(&fixture->arena, TEST_GROUP, id),
        model_database_seen_encode(&fixture->arena, &seen, &fresh));
}

static void put_lease(struct fixture *fixture, const char *holder, int64_t length_ms)
{
    const struct model_database_lease lease = {
        .epoch = 1, .holder = holder, .state = MODEL_DATABASE_LEASE_HELD, .length_ms = length_ms};
    put(fixture, model_database_lease_key(&fixture->arena, TEST_GROUP),
        model_database_lease_encode(&fixture->arena, &lease, &fresh));
}

static void put_world(struct fixture *fixture)
{
    const struct model_database_group group = test_group("a");
    put_member(fixture, "a", "us-east-1", "east", "127.1.1.1");
    put_member(fixture, "b", "us-east-1", "east", "127.1.1.2");
    put_member(fixture, "c", "eu-west-1", "west", "127.1.2.1");
    put_seen(fixture, "a", MODEL_DATABASE_WRITER);
    put_seen(fixture, "b", MODEL_DATABASE_STREAMING);
    put_seen(fixture, "c", MODEL_DATABASE_STREAMING);
    put_group(fixture, &group);
}

static void load(struct fixture *fixture, struct records *records, bool told, struct mono now)
{
    struct store_list list;
    ok(fixture,
       store_range(fixture->store, PATH_DATABASES, NULL, 0, &fixture->arena, &list, &fixture->err));
    for (size_t i = 0; i < list.count; i++) {
        records_put(records, &list.entries[i], told, now);
    }
}

/* ---- what is wanted ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of all groups, a line each, sorted. */
static char *wanted_text(struct fixture *fixture)
{
    struct records records = {.items = NULL};
    struct wanted_list list = {.items = NULL};
    struct picture picture;
    struct buf text;
    load(fixture, &records, false, records_now());
    const struct record *group =
        records_get(&records, model_database_group_key(&fixture->arena, TEST_GROUP));
    ok(fixture, records_picture(&records, group, &fixture->arena, &picture, &fixture->err));
    wanted_add(&picture, ZONE ".", &fixture->arena, &list);
    char **lines = memory_array(list.count + 1, sizeof *lines);
    for (size_t i = 0; i < list.count; i++) {
        const struct wanted *one = &list.items[i];
        lines[i] = arena_printf(&fixture->arena, "%.*s %s %s %s\n",
                                (int)(strlen(one->name) - strlen("." ZONE ".")), one->name,
                                one->type, one->set, one->address);
    }
    qsort(lines, list.count, sizeof *lines, compare_lines);
    buf_init(&text, 0);
    for (size_t i = 0; i < list.count; i++) {
        buf_puts(&text, lines[i]);
    }
    char *all = arena_strdup(&fixture->arena, buf_text(&text));
    buf_done(&text);
    free(lines);
    free(list.items);
    records_done(&records);
    return all;
}

static void a_steady_group_has_all_its_names(void **state)
{
    struct fixture *fixture = *state;
    put_world(fixture);
    assert_string_equal(wanted_text(fixture), "a.us-east-1 A  127.1.1.1\n"
                                              "b.us-east-1 A  127.1.1.2\n"
                                              "c.eu-west-1 A  127.1.2.1\n"
                                              "east.cluster-ro.us-east-1 A b 127.1.1.2\n"
                                              "east.cluster.us-east-1 A  127.1.1.1\n"
                                              "west.cluster-ro.eu-west-1 A c 127.1.2.1\n"
                                              "world.global A  127.1.1.1\n");
}

static void the_reader_name_is_the_writer_when_nobody_streams(void **state)
{
    struct fixture *fixture = *state;
    put_world(fixture);
    put_seen(fixture, "b", MODEL_DATABASE_READER);
    put_seen(fixture, "c", MODEL_DATABASE_DOWN);
    char *text = wanted_text(fixture);
    assert_non_null(strstr(text, "east.cluster-ro.us-east-1 A a 127.1.1.1\n"));
    assert_non_null(strstr(text, "west.cluster-ro.eu-west-1 A a 127.1.1.1\n"));
}

static void the_target_has_the_writers_names_while_it_is_promoted(void **state)
{
    struct fixture *fixture = *state;
    put_world(fixture);
    struct model_database_group group = test_group("a");
    group.target = "c";
    group.phase = MODEL_DATABASE_FENCING;
    put_group(fixture, &group);
    assert_non_null(strstr(wanted_text(fixture), "world.global A  127.1.1.1\n"));
    group.phase = MODEL_DATABASE_PROMOTING;
    put_group(fixture, &group);
    char *text = wanted_text(fixture);
    assert_non_null(strstr(text, "world.global A  127.1.2.1\n"));
    assert_non_null(strstr(text, "west.cluster.eu-west-1 A  127.1.2.1\n"));
    assert_null(strstr(text, "east.cluster.us-east-1"));
}

static void what_has_no_address_has_no_name(void **state)
{
    struct fixture *fixture = *state;
    const struct model_database_group group = test_group("");
    put_world(fixture);
    put_member(fixture, "b", "us-east-1", "east", "");
    put_member(fixture, "c", "eu-west-1", "west", "2001:db8::1");
    put_group(fixture, &group);
    assert_string_equal(wanted_text(fixture), "a.us-east-1 A  127.1.1.1\n"
                                              "c.eu-west-1 AAAA  2001:db8::1\n"
                                              "west.cluster-ro.eu-west-1 AAAA c 2001:db8::1\n");
}

/* ---- what is written ---- */

static void put_zone(struct fixture *fixture)
{
    put(fixture, path_join(&fixture->arena, PATH_ZONES, ZONE_ID),
        "{\"v\":1,\"Id\":\"" ZONE_ID "\",\"Name\":\"" ZONE ".\",\"CallerReference\":\"x\","
        "\"RecordCount\":2,\"Created\":1,\"NameServers\":[\"ns.example.com\"]}");
    put(fixture, path_zone_name(&fixture->arena, ZONE ".", ZONE_ID), "{}");
}

static int64_t record_count(struct fixture *fixture)
{
    struct store_entry entry;
    struct model_zone zone;
    ok(fixture, store_get(fixture->store, path_join(&fixture->arena, PATH_ZONES, ZONE_ID),
                          &fixture->arena, &entry, &fixture->err));
    ok(fixture, model_zone_decode(entry.value, entry.size, &fixture->arena, &zone, &fixture->err));
    return zone.record_count;
}

/* The address; NULL: there is no such record set. */
static const char *address_of(struct fixture *fixture, const char *name, const char *set)
{
    struct store_entry entry;
    struct model_record_set record;
    const char *full = arena_printf(&fixture->arena, "%s." ZONE ".", name);
    const char *key = path_record(&fixture->arena, ZONE_ID, full, "A", set);
    if (store_get(fixture->store, key, &fixture->arena, &entry, &fixture->err) != 0) {
        return NULL;
    }
    ok(fixture, model_record_set_decode(entry.value, entry.size, ZONE_ID, &fixture->arena, &record,
                                        &fixture->err));
    assert_int_equal(record.ttl_s, 1);
    assert_int_equal(record.value_count, 1);
    return record.values[0];
}

static const struct wanted three[] = {
    {.name = "w." ZONE ".", .type = "A", .set = "", .address = "192.0.2.1", .group = "g1"},
    {.name = "r." ZONE ".", .type = "A", .set = "m1", .address = "192.0.2.2", .group = "g1"},
    {.name = "x." ZONE ".", .type = "A", .set = "", .address = "192.0.2.3", .group = "g2"},
};

static struct names_result write_names(struct fixture *fixture, const struct wanted *items,
                                       size_t count, const char *keep)
{
    const struct names names = {.store = fixture->store, .zone = ZONE ".", .ttl_s = 1};
    struct wanted copy[8];
    struct wanted_list list = {.items = copy, .count = count};
    struct names_result result = {0};
    assert_true(count <= ARRAY_SIZE(copy));
    if (count != 0) {
        (void)memcpy(copy, items, count * sizeof *copy);
    }
    ok(fixture, names_write(&names, &list, &keep, keep != NULL ? 1 : 0, &result, &fixture->err));
    return result;
}

static void a_zone_gets_what_is_wanted_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    put_zone(fixture);
    struct names_result result = write_names(fixture, three, 3, NULL);
    assert_int_equal(result.puts, 3);
    assert_int_equal(record_count(fixture), 5);
    assert_string_equal(address_of(fixture, "w", ""), "192.0.2.1");
    assert_string_equal(address_of(fixture, "r", "m1"), "192.0.2.2");
    result = write_names(fixture, three, 3, NULL); /* again: nothing */
    assert_int_equal(result.puts + result.deletes, 0);
    struct wanted moved = three[0];
    moved.address = "192.0.2.9";
    result = write_names(fixture, &moved, 1, "g2"); /* the damaged group's stays */
    assert_int_equal(result.puts, 1);
    assert_int_equal(result.deletes, 1);
    assert_int_equal(record_count(fixture), 4);
    assert_string_equal(address_of(fixture, "w", ""), "192.0.2.9");
    assert_string_equal(address_of(fixture, "x", ""), "192.0.2.3");
    assert_null(address_of(fixture, "r", "m1"));
    result = write_names(fixture, NULL, 0, NULL);
    assert_int_equal(result.deletes, 2);
    assert_int_equal(record_count(fixture), 2);
}

static void what_others_wrote_stays(void **state)
{
    struct fixture *fixture = *state;
    const char *key = path_record(&fixture->arena, ZONE_ID, "w." ZONE ".", "A", "");
    put_zone(fixture);
    put(fixture, key,
        "{\"v\":1,\"Name\":\"w." ZONE ".\",\"Type\":\"A\",\"TTL\":1,"
        "\"ResourceRecords\":[{\"Value\":\"198.51.100.1\"}]}");
    struct names_result result = write_names(fixture, three, 3, NULL);
    assert_int_equal(result.blocked, 1);
    assert_int_equal(result.puts, 2);
    assert_string_equal(address_of(fixture, "w", ""), "198.51.100.1");
    result = write_names(fixture, NULL, 0, NULL);
    assert_int_equal(result.deletes, 2);
    assert_string_equal(address_of(fixture, "w", ""), "198.51.100.1");
}

static void without_a_zone_nothing_is_written(void **state)
{
    struct fixture *fixture = *state;
    const struct names names = {.store = fixture->store, .zone = ZONE ".", .ttl_s = 1};
    const struct wanted_list none = {.items = NULL};
    struct names_result result;
    assert_int_not_equal(names_write(&names, &none, NULL, 0, &result, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
    put_zone(fixture);
    put(fixture, path_tags(&fixture->arena, "hostedzone", ZONE_ID),
        "{\"v\":1,\"Tags\":[{\"Key\":\"leeward:primary\",\"Value\":\"192.0.2.53\"}]}");
    assert_int_not_equal(names_write(&names, &none, NULL, 0, &result, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
}

/* ---- all of it ---- */

/* Waits for changes of the zone until the name has the address. */
static void wait_for_address(struct fixture *fixture, struct store_watch *watch, const char *name,
                             const char *address)
{
    struct mono end = mono_from_now(WAIT_MS * TIME_MS);
    for (;;) {
        const char *now = address_of(fixture, name, "");
        struct store_batch batch;
        if (now != NULL && text_equal(now, address)) {
            return;
        }
        err_clear(&fixture->err);
        if (mono_since(mono_now(), end) > 0) {
            fail_msg("%s is %s, not %s", name, now != NULL ? now : "nothing", address);
        }
        IGNORE_RESULT(store_watch_next(watch, 1000, &batch, &fixture->err)); /* looked at above */
    }
}

static void names_follow_the_writer(void **state)
{
    struct fixture *fixture = *state;
    struct database_endpoints *endpoints = NULL;
    struct store_watch *watch = NULL;
    const struct database_endpoints_config config = {.zone = ZONE};
    put_world(fixture);
    put_zone(fixture);
    ok(fixture, store_watch_open(fixture->store, PATH_RECORDS, 0, &watch, &fixture->err));
    ok(fixture, database_endpoints_open(&config, &endpoints, &fixture->err));
    ok(fixture, database_endpoints_run(endpoints, fixture->store, &fixture->err));
    wait_for_address(fixture, watch, "world.global", "127.1.1.1");
    for (int i = 0; i < 10; i++) {
        const struct model_database_group group = test_group(i % 2 == 0 ? "c" : "a");
        struct mono start = mono_now();
        put_group(fixture, &group);
        wait_for_address(fixture, watch, "world.global", i % 2 == 0 ? "127.1.2.1" : "127.1.1.1");
        print_message("# the name followed after %lld us\n",
                      (long long)(mono_since(mono_now(), start) / TIME_US));
    }
    store_watch_close(watch);
    database_endpoints_stop(endpoints);
}

/* ---- pages ---- */

static unsigned ask(struct fixture *fixture, const char *path, const char *local, bool told,
                    int64_t age_ms)
{
    struct database_endpoints endpoints = {.known = true};
    struct mono now = records_now();
    struct buf body;
    buf_init(&body, 0);
    thread_sync_init(&endpoints.lock, &endpoints.changed);
    load(fixture, &endpoints.records, told, (struct mono){now.ns - age_ms * TIME_MS});
    enum page_status status = pages_say(&endpoints, path, local, now, &body);
    assert_true(body.length > 1);
    records_done(&endpoints.records);
    thread_sync_done(&endpoints.lock, &endpoints.changed);
    buf_done(&body);
    return status;
}

static void pages_say_who_writes_and_who_reads(void **state)
{
    struct fixture *fixture = *state;
    put_world(fixture);
    put_lease(fixture, "a", 10000);
    const struct {
        const char *path;
        const char *local;
        unsigned status;
    } cases[] = {
        {"/writer", "127.1.1.1", 200},    {"/reader", "127.1.1.1", 503},
        {"/health", "127.1.1.1", 200},    {"/writer", "127.1.1.2", 503},
        {"/reader", "127.1.1.2", 200},    {"/health", "127.1.2.1", 200},
        {"/a/writer", "127.0.0.1", 200},  {"/us-east-1/b/reader", "127.0.0.1", 200},
        {"/eu-west-1/b/reader", "", 404}, {"/writer", "127.0.0.1", 404},
        {"/", "127.1.1.1", 404},          {"", "127.1.1.1", 404},
        {"/writer/", "127.1.1.1", 404},   {"/a/b/c/writer", "127.1.1.1", 404},
        {"/primary", "127.1.1.1", 404},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(ask(fixture, cases[i].path, cases[i].local, true, 100), cases[i].status);
    }
}

static void a_writer_without_a_renewed_lease_is_none(void **state)
{
    struct fixture *fixture = *state;
    put_world(fixture);
    assert_int_equal(ask(fixture, "/a/writer", "", true, 0), 503); /* there is none */
    put_lease(fixture, "b", 10000);
    assert_int_equal(ask(fixture, "/a/writer", "", true, 0), 503); /* another one's */
    put_lease(fixture, "a", 10000);
    assert_int_equal(ask(fixture, "/a/writer", "", false, 0), 503); /* of unknown age */
    assert_int_equal(ask(fixture, "/a/writer", "", true, 9000), 200);
    assert_int_equal(ask(fixture, "/a/writer", "", true, 11000), 503);
    assert_int_equal(ask(fixture, "/b/reader", "", true, 11000), 200);
    assert_int_equal(ask(fixture, "/b/reader", "", true, 31000), 503); /* nobody looks at it */
    struct model_database_group group = test_group("a");
    group.phase = MODEL_DATABASE_FENCING;
    put_group(fixture, &group);
    assert_int_equal(ask(fixture, "/a/writer", "", true, 0), 503);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_steady_group_has_all_its_names),
        TEST(the_reader_name_is_the_writer_when_nobody_streams),
        TEST(the_target_has_the_writers_names_while_it_is_promoted),
        TEST(what_has_no_address_has_no_name),
        TEST(a_zone_gets_what_is_wanted_and_no_more),
        TEST(what_others_wrote_stays),
        TEST(without_a_zone_nothing_is_written),
        TEST(names_follow_the_writer),
        TEST(pages_say_who_writes_and_who_reads),
        TEST(a_writer_without_a_renewed_lease_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
