/* Unit tests of the rollover over a memory store: each step is written whole, once, and what
 * concerns a zone that is not signed, or whose records are damaged, is left alone. */
#include "daemon/rollover.h"

#include "model/dnssec.h"
#include "model/path.h"
#include "seal/seal.h"
#include "service/route53/signing_key.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define DAY_S INT64_C(86400)
#define PERIOD_S (90 * DAY_S)
#define START_S INT64_C(1800000000)

static struct store *store;
static struct seal *seal;

static void put(const char *key, const char *value)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(0, store_commit(store, txn, &revision, &err));
}

static void put_zone(const char *id)
{
    struct err err = ERR_INIT;
    struct arena arena CLEANUP(arena_done);
    struct model_signing_key key;
    arena_init(&arena, 0);
    assert_int_equal(
        0, signing_key_make(seal, &arena, (struct wall){START_S * TIME_S}, id, "", "", &key, &err));
    json_t *tree = model_signing_key_encode(&key);
    char *text = json_dumps(tree, JSON_COMPACT);
    put(signing_key_place(&arena, id, &key), text);
    put(path_join(&arena, PATH_DNSSEC, id), "{\"v\":1,\"Status\":\"SIGNING\",\"Modified\":1}");
    free(text);
    json_decref(tree);
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    store = store_memory_open();
    assert_int_equal(
        0, seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &seal, &err));
    put_zone("Z1");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    seal_free(seal);
    return 0;
}

static size_t look(int64_t later_s)
{
    struct err err = ERR_INIT;
    size_t steps = 0;
    struct wall now = {(START_S + later_s) * TIME_S};
    assert_int_equal(0, rollover_look(store, seal, PERIOD_S, now, &steps, &err));
    return steps;
}

/* How many zone-signing keys the zone has in that status; each opens at its place. */
static size_t count_keys(const char *id, enum model_key_status status)
{
    struct err err = ERR_INIT;
    struct arena arena CLEANUP(arena_done);
    struct store_list list;
    size_t count = 0;
    arena_init(&arena, 0);
    assert_int_equal(0,
                     store_range(store, path_zone_keys(&arena, id), NULL, 0, &arena, &list, &err));
    for (size_t i = 0; i < list.count; i++) {
        struct model_signing_key key;
        struct seal_data data;
        assert_int_equal(0, model_signing_key_decode(list.entries[i].value, list.entries[i].size,
                                                     &arena, &key, &err));
        assert_int_equal(0,
                         seal_unwrap(seal, list.entries[i].key, key.sealed, &arena, &data, &err));
        count += key.status == status ? 1 : 0;
    }
    return count;
}

static void assert_keys(size_t active, size_t published, size_t retired)
{
    assert_int_equal(active, count_keys("Z1", MODEL_KEY_ACTIVE));
    assert_int_equal(published, count_keys("Z1", MODEL_KEY_PUBLISHED));
    assert_int_equal(retired, count_keys("Z1", MODEL_KEY_RETIRED));
}

static void a_key_is_published_signs_retires_and_goes(void **state)
{
    (void)state;
    assert_int_equal(0, look(PERIOD_S - 1));
    assert_keys(1, 0, 0);
    assert_int_equal(1, look(PERIOD_S));
    assert_keys(1, 1, 0);
    assert_int_equal(0, look(PERIOD_S + DAY_S - 1));
    assert_int_equal(1, look(PERIOD_S + DAY_S));
    assert_keys(1, 0, 1);
    assert_int_equal(0, look(PERIOD_S + 16 * DAY_S - 1));
    assert_int_equal(1, look(PERIOD_S + 16 * DAY_S));
    assert_keys(1, 0, 0);
    assert_int_equal(0, look(PERIOD_S + 16 * DAY_S));
}

static void a_zone_that_is_not_signed_is_left_alone(void **state)
{
    (void)state;
    put("r53/dnssec/Z1", "{\"v\":1,\"Status\":\"NOT_SIGNING\",\"Modified\":1}");
    assert_int_equal(0, look(2 * PERIOD_S));
    assert_keys(1, 0, 0);
}

static void a_damaged_record_holds_up_its_zone_alone(void **state)
{
    (void)state;
    put_zone("Z2");
    put("r53/zsk/Z2/99999", "{}");
    put("r53/dnssec/Z0", "{");
    assert_int_equal(1, look(PERIOD_S));
    assert_keys(1, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_published_signs_retires_and_goes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_zone_that_is_not_signed_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_record_holds_up_its_zone_alone, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
