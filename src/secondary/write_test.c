/* Tests of write.c against the memory store: what a transfer makes of the stored records. */
#include "secondary/write.h"

#include "base/text.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "model/zone.h"
#include "store/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ZONE "Z0000000001"

static struct store *store;
static struct arena arena;
static struct err err;

static void put(const char *key, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    err = (struct err)ERR_INIT;
    store = store_memory_open();
    put(path_join(&arena, PATH_ZONES, ZONE),
        "{\"v\":1,\"Id\":\"" ZONE "\",\"Name\":\"example.com.\",\"CallerReference\":\"1\","
        "\"RecordCount\":0,\"Created\":1,\"Later\":\"kept\"}");
    put(path_tags(&arena, "hostedzone", ZONE),
        "{\"v\":1,\"Tags\":[{\"Key\":\"leeward:primary\",\"Value\":\"192.0.2.1\"}]}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    arena_done(&arena);
    return 0;
}

static struct zonefile_set set_of(const char *name, const char *value)
{
    const char **values = arena_array(&arena, 1, sizeof *values);
    values[0] = value;
    return (struct zonefile_set){
        .name = name, .type = RR_A, .ttl_s = 60, .values = values, .value_count = 1};
}

static struct write_base begin(void)
{
    struct write_base base;
    assert_int_equal(write_begin(store, ZONE, &arena, &base, &err), 0);
    return base;
}

static int try_write(const struct write_base *base, const struct incoming_result *result,
                     size_t *changes)
{
    return write_zone(store, ZONE, wall_now(), base, result, &arena, changes, &err);
}

static size_t write_whole(uint32_t serial, struct zonefile_set *sets, size_t count)
{
    struct incoming_result result = {
        .kind = INCOMING_WHOLE, .serial = serial, .zone = {.sets = sets, .set_count = count}};
    size_t changes = 0;
    struct write_base base = begin();
    assert_int_equal(try_write(&base, &result, &changes), 0);
    return changes;
}

static size_t write_steps(uint32_t serial, const struct incoming_step *steps, size_t count)
{
    struct incoming_result result = {
        .kind = INCOMING_STEPS, .serial = serial, .steps = steps, .step_count = count};
    size_t changes = 0;
    struct write_base base = begin();
    assert_int_equal(try_write(&base, &result, &changes), 0);
    return changes;
}

/* "value value" of a stored record set; "" when there is none. */
static const char *stored(const char *name)
{
    struct store_entry entry;
    struct model_record_set record;
    int rc = store_get(store, path_record(&arena, ZONE, name, "A", ""), &arena, &entry, &err);
    if (rc == -ENOENT) {
        err_clear(&err);
        return "";
    }
    assert_int_equal(rc, 0);
    assert_int_equal(model_record_set_decode(entry.value, entry.size, ZONE, &arena, &record, &err),
                     0);
    const char *text = "";
    for (size_t i = 0; i < record.value_count; i++) {
        text = arena_printf(&arena, "%s%s%s", text, i != 0 ? " " : "", record.values[i]);
    }
    return text;
}

static void assert_count(int64_t count)
{
    struct store_entry entry;
    struct model_zone zone;
    size_t keys = 0;
    assert_int_equal(store_get(store, path_join(&arena, PATH_ZONES, ZONE), &arena, &entry, &err),
                     0);
    assert_int_equal(model_zone_decode(entry.value, entry.size, &arena, &zone, &err), 0);
    assert_int_equal(zone.record_count, count);
    assert_non_null(strstr(entry.value, "\"Later\":\"kept\""));
    assert_int_equal(store_count(store, path_zone_records(&arena, ZONE), &keys, &err), 0);
    assert_int_equal(keys, count);
}

static void the_first_transfer_replaces_what_was_there(void **state)
{
    (void)state;
    struct zonefile_set first[] = {set_of("old.example.com.", "192.0.2.9")};
    assert_false(begin().has_serial);
    assert_int_equal(write_whole(5, first, 1), 1);
    struct zonefile_set second[] = {set_of("a.example.com.", "192.0.2.1"),
                                    set_of("b.example.com.", "192.0.2.2")};
    assert_int_equal(write_whole(6, second, 2), 3);
    assert_string_equal(stored("old.example.com."), "");
    assert_string_equal(stored("a.example.com."), "192.0.2.1");
    assert_count(2);
    assert_true(begin().has_serial);
    assert_int_equal(begin().serial, 6);
    assert_true(begin().transferred.ns > 0);
}

static void what_is_the_same_is_not_written(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1"),
                                  set_of("b.example.com.", "192.0.2.2")};
    assert_int_equal(write_whole(5, sets, 2), 2);
    sets[1].values[0] = "192.0.2.3";
    assert_int_equal(write_whole(6, sets, 2), 1);
    sets[0].ttl_s = 61;
    assert_int_equal(write_whole(7, sets, 2), 1);
    assert_count(2);
}

static void steps_change_single_values(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1"),
                                  set_of("b.example.com.", "192.0.2.2")};
    assert_int_equal(write_whole(5, sets, 2), 2);
    const struct incoming_step steps[] = {
        {.added = true, .type = RR_A, .ttl_s = 60, .name = "a.example.com.", .value = "192.0.2.7"},
        {.added = false, .type = RR_A, .name = "b.example.com.", .value = "192.0.2.2"},
        {.added = true, .type = RR_A, .ttl_s = 60, .name = "c.example.com.", .value = "192.0.2.8"},
        {.added = false, .type = RR_A, .name = "c.example.com.", .value = "192.0.2.8"},
        {.added = true, .type = RR_A, .ttl_s = 60, .name = "c.example.com.", .value = "192.0.2.9"},
    };
    assert_int_equal(write_steps(6, steps, ARRAY_SIZE(steps)), 3);
    assert_string_equal(stored("a.example.com."), "192.0.2.1 192.0.2.7");
    assert_string_equal(stored("b.example.com."), "");
    assert_string_equal(stored("c.example.com."), "192.0.2.9");
    assert_count(2);
    /* Again, as after an interruption: the same state. */
    assert_int_equal(write_steps(6, steps, ARRAY_SIZE(steps)), 0);
    assert_count(2);
}

static void a_large_zone_takes_several_transactions(void **state)
{
    (void)state;
    enum { COUNT = 10001 };
    struct zonefile_set *sets = arena_array(&arena, COUNT, sizeof *sets);
    for (unsigned i = 0; i < COUNT; i++) {
        sets[i] = set_of(arena_printf(&arena, "h%u.example.com.", i), "192.0.2.1");
    }
    assert_int_equal(write_whole(5, sets, COUNT), COUNT);
    assert_count(COUNT);
    assert_int_equal(write_whole(6, sets, 1), COUNT - 1);
    assert_count(1);
}

static void what_could_not_be_read_again_is_refused(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1"),
                                  set_of("b.example.com.", "192.0.2.1")};
    sets[1].values = arena_array(&arena, ZONEFILE_VALUES_LIMIT + 1, sizeof(char *));
    for (sets[1].value_count = 0; sets[1].value_count <= ZONEFILE_VALUES_LIMIT;) {
        sets[1].values[sets[1].value_count++] = "192.0.2.1";
    }
    struct incoming_result result = {
        .kind = INCOMING_WHOLE, .serial = 4, .zone = {.sets = sets, .set_count = 2}};
    struct write_base base = begin();
    size_t changes = 0;
    assert_int_not_equal(try_write(&base, &result, &changes), 0);
    assert_non_null(strstr(err.message, "b.example.com."));
    assert_count(0);
}

static void a_zone_that_is_gone_is_not_written(void **state)
{
    (void)state;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct write_base base = begin();
    int64_t revision = 0;
    size_t changes = 0;
    struct incoming_result result = {.kind = INCOMING_WHOLE, .serial = 5};
    store_txn_delete(txn, path_join(&arena, PATH_ZONES, ZONE));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
    assert_int_equal(try_write(&base, &result, &changes), -ENOENT);
}

static void of_two_writers_one_wins(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1")};
    struct write_base base = begin();
    size_t changes = 0;
    struct incoming_result result = {
        .kind = INCOMING_WHOLE, .serial = 4, .zone = {.sets = sets, .set_count = 1}};
    assert_int_equal(write_whole(5, sets, 1), 1);
    assert_int_not_equal(try_write(&base, &result, &changes), 0);
    assert_int_equal(err.kind, ERR_CONFLICT);
    assert_int_equal(begin().serial, 5);
    base = begin();
    assert_int_equal(write_whole(6, sets, 1), 0);
    assert_int_not_equal(write_checked(store, ZONE, wall_now(), &base, &arena, &err), 0);
    assert_int_equal(begin().serial, 6);
}

static void a_check_keeps_serial_and_time_of_transfer(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1")};
    assert_int_equal(write_whole(5, sets, 1), 1);
    struct write_base base = begin();
    struct wall later = {.ns = base.checked.ns + 5 * TIME_S};
    assert_int_equal(write_checked(store, ZONE, later, &base, &arena, &err), 0);
    assert_int_equal(begin().serial, 5);
    assert_int_equal(begin().transferred.ns, base.transferred.ns);
    assert_int_equal(begin().checked.ns, later.ns);
}

static void nothing_is_written_once_the_tag_is_gone(void **state)
{
    (void)state;
    struct zonefile_set sets[] = {set_of("a.example.com.", "192.0.2.1")};
    struct incoming_result result = {
        .kind = INCOMING_WHOLE, .serial = 4, .zone = {.sets = sets, .set_count = 1}};
    struct write_base base = begin();
    size_t changes = 0;
    put(path_tags(&arena, "hostedzone", ZONE), "{\"v\":1,\"Tags\":[]}");
    assert_int_not_equal(try_write(&base, &result, &changes), 0);
    assert_string_equal(stored("a.example.com."), "");
    assert_int_equal(write_begin(store, ZONE, &arena, &base, &err), -ENOENT);
}

static void an_interrupted_write_forgets_the_serial(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct zonefile_set *sets = arena_array(&arena, COUNT, sizeof *sets);
    assert_int_equal(write_whole(5, sets, 0), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        sets[i] = set_of(arena_printf(&arena, "h%u.example.com.", i), "192.0.2.1");
    }
    char *huge = arena_alloc(&arena, STORE_VALUE_LIMIT + 1);
    (void)memset(huge, 'x', STORE_VALUE_LIMIT);
    huge[STORE_VALUE_LIMIT] = '\0';
    sets[COUNT - 1] = set_of("z.example.com.", huge); /* the store refuses it, and its batch */
    struct incoming_result result = {
        .kind = INCOMING_WHOLE, .serial = 6, .zone = {.sets = sets, .set_count = COUNT}};
    struct write_base base = begin();
    size_t changes = 0;
    assert_true(base.has_serial);
    assert_int_not_equal(try_write(&base, &result, &changes), 0);
    assert_false(begin().has_serial);
    assert_int_equal(write_whole(6, sets, COUNT - 1), COUNT - 1 - 4000);
    assert_true(begin().has_serial);
    assert_count(COUNT - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_first_transfer_replaces_what_was_there),
        TEST(what_is_the_same_is_not_written),
        TEST(steps_change_single_values),
        TEST(a_large_zone_takes_several_transactions),
        TEST(what_could_not_be_read_again_is_refused),
        TEST(a_zone_that_is_gone_is_not_written),
        TEST(of_two_writers_one_wins),
        TEST(a_check_keeps_serial_and_time_of_transfer),
        TEST(nothing_is_written_once_the_tag_is_gone),
        TEST(an_interrupted_write_forgets_the_serial),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
