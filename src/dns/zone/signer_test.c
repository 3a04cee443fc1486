/* Unit tests of key exchanges: whatever is done to a signed zone's keys, every signature that is
 * served is by a key that is among its DNSKEY records, and verifies. */
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

#define NAMES 120U
#define ZSKS 4U

static const struct wall start = {INT64_C(1800000000) * TIME_S};

struct fixture {
    struct zone_database *database;
    struct sign_key *entry;
    struct sign_key *zone[ZSKS];
    const struct zone *shown;
};

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
    test_record_put(fixture->database, "example.", RR_SOA,
                    "ns.example. host.example. 1 7200 900 1209600 300");
    for (unsigned i = 0; i < NAMES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "n%u.example.", i);
        test_record_put(fixture->database, name, RR_A, "192.0.2.1");
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

#define ALIASES 300U

/* fail.example. of two records, ALIASES aliases of it, and a multivalue name of 20. */
static void put_routed(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    for (unsigned i = 0; i < 20; i++) {
        char set[16];
        char address[32];
        (void)snprintf(set, sizeof set, "s%02u", i);
        (void)snprintf(address, sizeof address, "192.0.2.%u", 100 + i);
        const char *value = address;
        struct model_record_set record = {.zone_id = "Z1",
                                          .name = i < 2 ? "fail.example." : "many.example.",
                                          .type = RR_A,
                                          .set_identifier = set,
                                          .health_check_id = i % 2 == 0 ? "c1" : "",
                                          .region = "",
                                          .policy = i < 2 ? MODEL_FAILOVER : MODEL_MULTIVALUE,
                                          .failover = i == 0 ? MODEL_PRIMARY : MODEL_SECONDARY,
                                          .values = &value,
                                          .value_count = 1};
        assert_int_equal(0, zone_database_put_record(fixture->database, &record, &err));
    }
    for (unsigned i = 0; i < ALIASES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "a%u.example.", i);
        struct model_alias alias = {.zone_id = "Z1",
                                    .name = i % 10 == 0 ? "many.example." : "fail.example.",
                                    .evaluate_target_health = true};
        struct model_record_set record = {.zone_id = "Z1",
                                          .name = name,
                                          .type = RR_A,
                                          .set_identifier = "",
                                          .health_check_id = "",
                                          .region = "",
                                          .alias = &alias};
        assert_int_equal(0, zone_database_put_record(fixture->database, &record, &err));
    }
    zone_database_publish(fixture->database);
}

static void set_health(struct fixture *fixture, bool healthy)
{
    struct model_status *status = calloc(1, sizeof *status + sizeof status->entries[0]);
    assert_non_null(status);
    status->count = 1;
    status->entries[0] = (struct model_status_entry){.check_id = "c1", .healthy = healthy};
    (void)zone_database_set_status(fixture->database, status);
    free(status);
}

static void verify_choice(const struct fixture *fixture, const uint8_t *owner,
                          const struct zone_answer *answer)
{
    if (answer->kind == ZONE_LEAF) {
        verify(fixture, owner, answer);
        return;
    }
    for (unsigned i = 0; i < answer->count; i++) {
        verify(fixture, owner, zone_mix(answer)->choices[i].answer);
    }
}

/* Every alias verifies; how many answer with that address's last byte. */
static unsigned verify_aliases(const struct fixture *fixture, uint8_t last)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    unsigned count = 0;
    for (unsigned i = 0; i < ALIASES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "a%u.example.", i);
        const struct zone_answer *answer = answer_of(fixture, name, wire);
        verify_choice(fixture, wire, answer);
        if (answer->kind == ZONE_LEAF) {
            count += zone_leaf(answer)->rrs[answer->size - 1] == last ? 1 : 0;
        }
    }
    return count;
}

static void a_flip_that_is_signed_ahead_is_shown_at_once(void **state)
{
    struct fixture *fixture = *state;
    put_routed(fixture);
    finish(fixture);
    for (unsigned flip = 0; flip < 4; flip++) {
        set_health(fixture, flip % 2 != 0);
        assert_int_equal(ALIASES - ALIASES / 10,
                         verify_aliases(fixture, flip % 2 != 0 ? 100 : 101));
    }
}

static void a_flip_that_is_not_signed_yet_is_valid_at_every_moment(void **state)
{
    struct fixture *fixture = *state;
    put_routed(fixture);
    /* Nothing was signed ahead: this and the flips that come in between wait for signatures. */
    unsigned slices = 0;
    set_health(fixture, false);
    assert_true(verify_aliases(fixture, 101) < ALIASES / 2);
    set_health(fixture, true);
    (void)verify_aliases(fixture, 101);
    set_health(fixture, false);
    while (verify_aliases(fixture, 101) < ALIASES - ALIASES / 10) {
        (void)zone_database_refresh(fixture->database, start);
        assert_true(++slices < 1000);
    }
    assert_true(slices > 5);
    /* Names and keys that go while they wait. */
    set_health(fixture, true);
    zone_database_delete_record(fixture->database, "Z1", "a1.example.", RR_A, "");
    zone_database_publish(fixture->database);
    finish(fixture);
}

static void groups_that_wait_may_go_with_their_zone(void **state)
{
    struct fixture *fixture = *state;
    put_routed(fixture);
    set_health(fixture, false);
    for (unsigned i = 0; i < ALIASES; i += 2) {
        char name[32];
        (void)snprintf(name, sizeof name, "a%u.example.", i);
        zone_database_delete_record(fixture->database, "Z1", name, RR_A, "");
    }
    test_record_put(fixture->database, "a3.example.", RR_A, "192.0.2.9"); /* no alias any more */
    zone_database_publish(fixture->database);
    (void)zone_database_refresh(fixture->database, start);
    zone_database_delete_zone(fixture->database, "Z1");
    zone_database_publish(fixture->database);
    finish(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flip_that_is_signed_ahead_is_shown_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_flip_that_is_not_signed_yet_is_valid_at_every_moment,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_that_wait_may_go_with_their_zone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            keys_replaced_in_one_call_leave_no_moment_that_does_not_validate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            keys_replaced_again_and_again_before_all_is_signed_validate_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_key_is_shown_and_signs_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
