/* Unit tests of key exchanges: whatever is done to a signed zone's keys, every signature that is
 * served is by a key that is among its DNSKEY records, and verifies. */
#include "base/bytes.h"
#include "base/snapshot.h"
#include "base/time.h"
#include "dns/sign/sign.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"
#include "dns/zone/zone_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 120U
#define ZSKS 4U

static const struct wall start = {INT64_C(1800000000) * TIME_S};

struct fixture {
    struct zone_database *database;
    struct sign_key *entry;
    struct sign_key *zone[ZSKS];
    const struct zone *shown;
};

static void put(struct zone_database *database, const char *name, uint16_t type, const char *value)
{
    struct model_record_set record = {.zone_id = "Z1",
                                      .name = name,
                                      .type = type,
                                      .set_identifier = "",
                                      .health_check_id = "",
                                      .region = "",
                                      .ttl_s = 60,
                                      .values = &value,
                                      .value_count = 1};
    struct err err = ERR_INIT;
    assert_int_equal(0, zone_database_put_record(database, &record, &err));
}

static void set_keys(struct fixture *fixture, const unsigned *zone_keys, size_t count,
                     unsigned silent)
{
    struct sign_key *keys[ZSKS + 1] = {fixture->entry};
    for (size_t i = 0; i < count; i++) {
        keys[i + 1] = fixture->zone[zone_keys[i]];
    }
    struct zone_signing signing = {.keys = keys, .count = count + 1, .silent = silent << 1U};
    zone_database_set_signing(fixture->database, "Z1", &signing);
    zone_database_publish(fixture->database);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = ERR_INIT;
    assert_non_null(fixture);
    fixture->database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.", .created_revision = 1};
    (void)zone_database_refresh(fixture->database, start);
    assert_int_equal(0, sign_key_generate(SIGN_ENTRY_KEY, &fixture->entry, &err));
    for (size_t i = 0; i < ZSKS; i++) {
        assert_int_equal(0, sign_key_generate(SIGN_ZONE_KEY, &fixture->zone[i], &err));
    }
    zone_database_put_zone(fixture->database, &zone);
    put(fixture->database, "example.", RR_SOA, "ns.example. host.example. 1 7200 900 1209600 300");
    for (unsigned i = 0; i < NAMES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "n%u.example.", i);
        put(fixture->database, name, RR_A, "192.0.2.1");
    }
    set_keys(fixture, (const unsigned[]){0}, 1, 0);
    struct zone_name name;
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text("example.", false, wire);
    const struct zone_set *set = zone_database_readers(fixture->database);
    assert_int_equal(length, zone_name_read(&name, set, wire, (size_t)length));
    fixture->shown = zone_set_find(set, &name, 0);
    assert_non_null(fixture->shown);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    zone_database_free(fixture->database);
    snapshot_drain();
    sign_key_unref(fixture->entry);
    for (size_t i = 0; i < ZSKS; i++) {
        sign_key_unref(fixture->zone[i]);
    }
    free(fixture);
    return 0;
}

static const struct zone_security *security(const struct fixture *fixture)
{
    const struct zone_security *shown = SNAPSHOT_LOAD(&fixture->shown->security);
    assert_non_null(shown);
    return shown;
}

/* The DNSKEY RDATA that are served; how many. */
static size_t served_keys(const struct fixture *fixture, const uint8_t *keys[16])
{
    const struct zone_answer *dnskey =
        atomic_load_explicit(&security(fixture)->dnskey, memory_order_acquire);
    struct bytes_reader reader = bytes_reader(zone_leaf(dnskey)->rrs, dnskey->size);
    size_t count = 0;
    while (bytes_left(&reader) != 0) {
        (void)bytes_get(&reader, ZONE_RR_FIXED);
        keys[count++] = bytes_get(&reader, SIGN_DNSKEY_SIZE);
    }
    return count;
}

static bool serves_key(const struct fixture *fixture, const struct sign_key *key)
{
    const uint8_t *keys[16];
    uint8_t rdata[SIGN_DNSKEY_SIZE];
    size_t count = served_keys(fixture, keys);
    (void)sign_key_rdata(key, rdata);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(keys[i], rdata, sizeof rdata) == 0) {
            return true;
        }
    }
    return false;
}

/* The leaf has signatures, and each verifies with a key that is served. */
static void verify(const struct fixture *fixture, const uint8_t *owner,
                   const struct zone_answer *leaf)
{
    const uint8_t *keys[16];
    size_t key_count = served_keys(fixture, keys);
    struct sign_rdata rdata[16];
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    struct sign_rrset rrset = {.owner = owner, .rdata = rdata, .count = leaf->count};
    for (size_t i = 0; i < leaf->count; i++) {
        (void)bytes_get_u16(&reader);
        rrset.type = bytes_get_u16(&reader);
        (void)bytes_get_u16(&reader);
        rrset.ttl = bytes_get_u32(&reader);
        rdata[i].size = bytes_get_u16(&reader);
        rdata[i].data = bytes_get(&reader, rdata[i].size);
    }
    assert_true(leaf->signatures != 0);
    size_t size = security(fixture)->rrsig_size;
    for (unsigned i = 0; i < leaf->signatures; i++) {
        const uint8_t *rrsig = zone_leaf(leaf)->rrs + leaf->size + i * size + ZONE_RR_FIXED;
        bool good = false;
        for (size_t k = 0; k < key_count; k++) {
            good = good ||
                   sign_verify(keys[k], SIGN_DNSKEY_SIZE, &rrset, rrsig, size - ZONE_RR_FIXED) == 0;
        }
        assert_true(good);
    }
}

static const struct zone_answer *answer_of(const struct fixture *fixture, const char *text,
                                           uint8_t wire[NAME_WIRE_LIMIT])
{
    struct zone_name name;
    int length = name_from_text(text, false, wire);
    const struct zone_set *set = zone_database_readers(fixture->database);
    assert_int_equal(length, zone_name_read(&name, set, wire, (size_t)length));
    const struct zone_slot *slot = zone_node_slot(zone_find(fixture->shown, &name, 0), RR_A);
    return zone_slot_answer(slot);
}

static void verify_all(const struct fixture *fixture)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    assert_true(name_from_text("example.", false, wire) > 0);
    verify(fixture, wire, atomic_load_explicit(&security(fixture)->dnskey, memory_order_acquire));
    for (unsigned i = 0; i < NAMES; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "n%u.example.", i);
        const struct zone_answer *leaf = answer_of(fixture, text, wire);
        verify(fixture, wire, leaf);
        uint8_t key[ZONE_DENIAL_KEY_LIMIT];
        size_t size = zone_denial_key(wire, strlen(text) - strlen("example."), key);
        const struct zone_denial *denial = zone_denial_find(security(fixture), key, size);
        assert_non_null(denial);
        verify(fixture, wire, atomic_load_explicit(&denial->nsec, memory_order_acquire));
    }
}

static void finish(const struct fixture *fixture)
{
    while (zone_database_refresh(fixture->database, start) == 0) {
    }
}

static void keys_replaced_in_one_call_leave_no_moment_that_does_not_validate(void **state)
{
    struct fixture *fixture = *state;
    verify_all(fixture);
    set_keys(fixture, (const unsigned[]){1}, 1, 0);
    unsigned slices = 0;
    do {
        verify_all(fixture);
        assert_true(serves_key(fixture, fixture->zone[0]));
        assert_true(serves_key(fixture, fixture->zone[1]));
        slices++;
    } while (zone_database_refresh(fixture->database, start) == 0);
    assert_true(slices > 5);
    verify_all(fixture);
    assert_false(serves_key(fixture, fixture->zone[0]));
    assert_true(serves_key(fixture, fixture->zone[1]));
}

static void keys_replaced_again_and_again_before_all_is_signed_validate_too(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 1; i < 40; i++) {
        struct err err = ERR_INIT;
        unsigned at = i % ZSKS;
        sign_key_unref(fixture->zone[at]);
        assert_int_equal(0, sign_key_generate(SIGN_ZONE_KEY, &fixture->zone[at], &err));
        set_keys(fixture, &at, 1, 0);
        (void)zone_database_refresh(fixture->database, start);
        if (i % 4 == 0) {
            verify_all(fixture);
        }
    }
    finish(fixture);
    verify_all(fixture);
    const uint8_t *keys[16];
    assert_int_equal(2, served_keys(fixture, keys));
}

static void a_silent_key_is_shown_and_signs_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint8_t wire[NAME_WIRE_LIMIT];
    finish(fixture);
    const struct zone_answer *before = answer_of(fixture, "n1.example.", wire);
    set_keys(fixture, (const unsigned[]){0, 1}, 2, 2U);
    assert_true(serves_key(fixture, fixture->zone[1]));
    finish(fixture);
    assert_ptr_equal(before, answer_of(fixture, "n1.example.", wire)); /* not signed again */
    /* The next one signs, the first stays silent: all is signed again, by one key. */
    set_keys(fixture, (const unsigned[]){0, 1}, 2, 1U);
    finish(fixture);
    const struct zone_answer *after = answer_of(fixture, "n1.example.", wire);
    assert_ptr_not_equal(before, after);
    assert_int_equal(1, after->signatures);
    assert_true(serves_key(fixture, fixture->zone[0]));
    verify_all(fixture);
    set_keys(fixture, (const unsigned[]){1}, 1, 0);
    assert_false(serves_key(fixture, fixture->zone[0]));
    assert_ptr_equal(after, answer_of(fixture, "n1.example.", wire));
    verify_all(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            keys_replaced_in_one_call_leave_no_moment_that_does_not_validate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            keys_replaced_again_and_again_before_all_is_signed_validate_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_key_is_shown_and_signs_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
