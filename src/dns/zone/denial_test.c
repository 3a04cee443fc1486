/* Unit tests of the NSEC chain's order, and of signing as the database shows it: in slices, in one
 * step, again when signatures run out. */
#include "base/bytes.h"
#include "base/snapshot.h"
#include "base/time.h"
#include "dns/sign/sign.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"
#include "dns/zone/test_record.h"
#include "dns/zone/zone_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_S INT64_C(86400)

static const struct wall start = {INT64_C(1800000000) * TIME_S};

static size_t key_of(const char *name, uint8_t key[ZONE_DENIAL_KEY_LIMIT])
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(name, false, wire);
    assert_true(length > 0);
    return zone_denial_key(wire, (size_t)length - 1, key);
}

static void keys_are_in_the_canonical_order_of_rfc_4034(void **state)
{
    (void)state;
    /* Section 6.1's example, and labels that begin alike. */
    static const char *const names[] = {
        "example.",         "a.example.",      "yljkjljk.a.example.", "z.a.example.",
        "zabc.a.example.",  "z.example.",      "\\001.z.example.",    "*.z.example.",
        "\\200.z.example.", "z\\000.example.", "z\\001.example.",     "z-.example.",
    };
    uint8_t before[ZONE_DENIAL_KEY_LIMIT];
    size_t before_size = key_of(names[0], before);
    for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
        uint8_t key[ZONE_DENIAL_KEY_LIMIT];
        size_t size = key_of(names[i], key);
        int order = memcmp(before, key, MIN(before_size, size));
        if (order > 0 || (order == 0 && before_size >= size)) {
            fail_msg("%s does not stand behind %s", names[i], names[i - 1]);
        }
        (void)memcpy(before, key, size);
        before_size = size;
    }
}

static struct zone_database *new_database(unsigned names)
{
    struct zone_database *database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    test_record_put(database, "example.", RR_SOA,
                    "ns.example. host.example. 1 7200 900 1209600 300");
    for (unsigned i = 0; i < names; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "n%u.example.", i);
        test_record_put(database, name, RR_A, "192.0.2.1");
    }
    zone_database_publish(database);
    return database;
}

static void sign(struct zone_database *database)
{
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    assert_int_equal(0, sign_key_generate(SIGN_ENTRY_KEY, &key, &err));
    struct zone_signing signing = {.keys = &key, .count = 1};
    zone_database_set_signing(database, "Z1", &signing);
    sign_key_unref(key);
    zone_database_publish(database);
}

static const struct zone *the_zone(struct zone_database *database, struct zone_name *name)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text("n1.example.", false, wire);
    assert_true(length > 0);
    const struct zone_set *set = zone_database_readers(database);
    assert_int_equal(length, zone_name_read(name, set, wire, (size_t)length));
    return zone_set_find(set, name, 0);
}

/* Expiration of the signature over n1.example. A; 0: there is none. */
static uint32_t expiration(struct zone_database *database)
{
    struct zone_name name;
    const struct zone *zone = the_zone(database, &name);
    const struct zone_slot *slot = zone_node_slot(zone_find(zone, &name, 0), RR_A);
    const struct zone_answer *leaf = zone_slot_answer(slot);
    if (leaf->signatures == 0) {
        return 0;
    }
    struct bytes_reader reader =
        bytes_reader(zone_leaf(leaf)->rrs + leaf->size + ZONE_RR_FIXED, SIGN_RRSIG_FIXED);
    (void)bytes_get(&reader, 8);
    return bytes_get_u32(&reader);
}

static const struct zone_security *shown(struct zone_database *database)
{
    struct zone_name name;
    return SNAPSHOT_LOAD(&the_zone(database, &name)->security);
}

static int64_t finish(struct zone_database *database, struct wall now)
{
    int64_t wait = 0;
    while ((wait = zone_database_refresh(database, now)) == 0) {
    }
    return wait;
}

static void a_zone_is_shown_signed_only_when_all_of_it_is(void **state)
{
    (void)state;
    struct zone_database *database = new_database(200);
    (void)finish(database, start);
    sign(database);
    unsigned slices = 0;
    int64_t wait = 0;
    while (wait == 0) {
        assert_null(shown(database));
        wait = zone_database_refresh(database, start);
        slices++;
    }
    assert_non_null(shown(database));
    assert_true(slices > 10);
    /* Each name's place in the chain is its own. */
    for (unsigned i = 0; i < 200; i++) {
        uint8_t key[ZONE_DENIAL_KEY_LIMIT];
        char name[64];
        (void)snprintf(name, sizeof name, "n%u.", i);
        size_t size = key_of(name, key);
        const struct zone_denial *denial = zone_denial_find(shown(database), key, size);
        assert_non_null(denial);
        assert_int_equal(size, denial->key_size);
        assert_memory_equal(key, denial->bytes, size);
    }
    zone_database_set_signing(database, "Z1", NULL);
    zone_database_publish(database);
    assert_null(shown(database));
    zone_database_free(database);
    snapshot_drain();
}

static void signatures_are_made_again_when_seven_days_are_left(void **state)
{
    (void)state;
    struct zone_database *database = new_database(10);
    (void)finish(database, start);
    sign(database);
    assert_true(finish(database, start) > 0);
    uint32_t first = expiration(database);
    int64_t lasts = first - start.ns / TIME_S;
    assert_true(lasts >= 10 * DAY_S && lasts <= 14 * DAY_S);
    struct wall later = {start.ns + (lasts - 7 * DAY_S - 60) * TIME_S};
    (void)finish(database, later);
    assert_int_equal(first, expiration(database));
    later.ns += INT64_C(7200) * TIME_S;
    (void)finish(database, later);
    assert_true(expiration(database) > first);
    zone_database_free(database);
    snapshot_drain();
}

static void a_clock_that_was_set_back_has_signatures_made_anew(void **state)
{
    (void)state;
    struct zone_database *database = new_database(10);
    (void)finish(database, start);
    sign(database);
    (void)finish(database, start);
    struct wall earlier = {start.ns - 30 * DAY_S * TIME_S};
    (void)finish(database, earlier);
    assert_true(expiration(database) < (uint32_t)(start.ns / TIME_S));
    assert_true(expiration(database) > (uint32_t)(earlier.ns / TIME_S));
    zone_database_free(database);
    snapshot_drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_in_the_canonical_order_of_rfc_4034),
        cmocka_unit_test(a_zone_is_shown_signed_only_when_all_of_it_is),
        cmocka_unit_test(signatures_are_made_again_when_seven_days_are_left),
        cmocka_unit_test(a_clock_that_was_set_back_has_signatures_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
