/* Unit tests of journals: whatever happens to a zone, the differences lead from any earlier state
 * to the present one, and what was kept step by step is what a fresh journal would hold. */
#include "dns/zone/journal.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "dns/sign/sign.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NAMES 24U
#define ROUNDS 400U
#define KEPT 16U

/* ---- a zone ---- */

struct fixture {
    struct zone_database *database;
    struct random random;
    unsigned moved;
    uint32_t serial;
    uint32_t floor;
    bool waits; /* no serial may be served that was not yet */
};

static void moved(void *context, const char *zone_id, const uint8_t *apex, uint32_t serial)
{
    struct fixture *fixture = context;
    assert_string_equal("Z1", zone_id);
    assert_int_equal(7, apex[0]);
    assert_true(fixture->moved == 0 || serial_compare(serial, fixture->serial) > 0);
    fixture->moved++;
    fixture->serial = serial;
}

static void put(struct fixture *fixture, const char *name, uint16_t type, const char **values,
                size_t count, const struct model_record_set *more)
{
    struct err err = ERR_INIT;
    struct model_record_set record =
        more != NULL
            ? *more
            : (struct model_record_set){.set_identifier = "", .health_check_id = "", .region = ""};
    record.zone_id = "Z1";
    record.name = name;
    record.type = type;
    record.ttl_s = 60;
    record.values = values;
    record.value_count = count;
    assert_int_equal(0, zone_database_put_record(fixture->database, &record, &err));
}

static void put_soa(struct fixture *fixture, const char *text)
{
    put(fixture, "example.com.", RR_SOA, &text, 1, NULL);
}

static uint32_t floor_of(void *context, const char *zone_id)
{
    const struct fixture *fixture = context;
    assert_string_equal("Z1", zone_id);
    return fixture->floor;
}

static bool may_serve(void *context, const char *zone_id, uint32_t serial)
{
    const struct fixture *fixture = context;
    assert_string_equal("Z1", zone_id);
    assert_true(serial_compare(serial, fixture->serial) > 0);
    return !fixture->waits;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    fixture->database = zone_database_new();
    random_init(&fixture->random, 7);
    struct model_zone zone = {.id = "Z1", .name = "example.com.", .created_revision = 1};
    zone_database_put_zone(fixture->database, &zone);
    struct zone_serials serials = {
        .context = fixture, .moved = moved, .floor = floor_of, .may_serve = may_serve};
    zone_database_keep_serials(fixture->database, &serials);
    put_soa(fixture, "ns.example.com. host.example.com. 1 7200 900 1209600 300");
    const char *ns = "ns.example.com.";
    put(fixture, "example.com.", RR_NS, &ns, 1, NULL);
    zone_database_set_transfers(fixture->database, "Z1", true);
    zone_database_publish(fixture->database);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    zone_database_free(fixture->database);
    snapshot_drain();
    free(fixture);
    return 0;
}

static struct zone_journal *journal_of(struct fixture *fixture)
{
    static const uint8_t apex[] = "\7example\3com";
    bool exists = false;
    struct zone_journal *journal =
        zone_journal_find(zone_database_readers(fixture->database), apex, sizeof apex, &exists);
    assert_true(exists);
    return journal;
}

static void set_status(struct fixture *fixture, unsigned down)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct model_status *status = memory_new(sizeof *status + 3 * sizeof status->entries[0]);
    status->count = 3;
    for (unsigned i = 0; i < 3; i++) {
        status->entries[i] =
            (struct model_status_entry){.check_id = ids[i], .healthy = (down >> i & 1U) == 0};
    }
    (void)zone_database_set_status(fixture->database, status);
    free(status);
}

static void change_plain(struct fixture *fixture, const char *name)
{
    const char *values[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};
    uint32_t choice = random_below(&fixture->random, 5);
    if (choice < 3) {
        put(fixture, name, RR_A, values, choice + 1, NULL);
    } else {
        zone_database_delete_record(fixture->database, "Z1", name, RR_A, "");
    }
}

static void change_routed(struct fixture *fixture, const char *name, enum model_policy policy)
{
    static const char *const ids[] = {"a", "b", "c"};
    const char *values[] = {"198.51.100.1", "198.51.100.2", "198.51.100.3"};
    uint32_t which = random_below(&fixture->random, 3);
    if (random_below(&fixture->random, 4) == 0) {
        zone_database_delete_record(fixture->database, "Z1", name, RR_A, ids[which]);
        return;
    }
    struct model_record_set more = {.policy = policy,
                                    .set_identifier = ids[which],
                                    .health_check_id = ids[random_below(&fixture->random, 3)],
                                    .region = "",
                                    .weight = (uint8_t)random_below(&fixture->random, 20)};
    put(fixture, name, RR_A, &values[which], 1, &more);
}

static void change_alias(struct fixture *fixture, const char *name, const char *target)
{
    struct model_alias alias = {.zone_id = "Z1", .name = target, .evaluate_target_health = true};
    struct model_record_set more = {
        .set_identifier = "", .health_check_id = "", .region = "", .alias = &alias};
    put(fixture, name, RR_A, NULL, 0, &more);
}

static void change_something(struct fixture *fixture)
{
    char name[64];
    char target[64];
    uint32_t n = random_below(&fixture->random, NAMES);
    (void)snprintf(name, sizeof name, "n%u.example.com.", n);
    (void)snprintf(target, sizeof target, "n%u.example.com.",
                   random_below(&fixture->random, NAMES));
    if (n < 8) {
        change_plain(fixture, name);
    } else if (n < 13) {
        change_routed(fixture, name, MODEL_WEIGHTED);
    } else if (n < 18) {
        change_routed(fixture, name, MODEL_MULTIVALUE);
    } else {
        change_alias(fixture, name, target);
    }
}

/* ---- contents as sets of records ---- */

struct line {
    size_t size;
    uint8_t bytes[400];
};

struct lines {
    struct line *list;
    size_t count;
    size_t capacity;
};

static struct line line_of(const struct zone_rrset *rrset, const struct zone_record_view *view)
{
    struct line line = {.size = 0};
    struct bytes_writer out = bytes_writer(line.bytes, sizeof line.bytes);
    bytes_put(&out, rrset->bytes, rrset->owner_length);
    bytes_put_u16(&out, view->type);
    bytes_put_u32(&out, view->ttl);
    bytes_put(&out, view->rdata, view->size);
    assert_false(out.failed);
    line.size = out.at;
    return line;
}

static size_t find(const struct lines *lines, const struct line *line)
{
    for (size_t i = 0; i < lines->count; i++) {
        if (lines->list[i].size == line->size &&
            memcmp(lines->list[i].bytes, line->bytes, line->size) == 0) {
            return i;
        }
    }
    return lines->count;
}

static void add(struct lines *lines, const struct zone_rrset *rrset,
                const struct zone_rrset *except)
{
    struct zone_record_view view;
    for (size_t at = 0; rrset != NULL && zone_rrset_next(rrset, &at, &view);) {
        if (except != NULL && zone_rrset_has(except, &view)) {
            continue;
        }
        if (lines->count == lines->capacity) {
            lines->capacity = lines->capacity * 2 + 64;
            lines->list = memory_resize(lines->list, lines->capacity, sizeof lines->list[0]);
        }
        struct line line = line_of(rrset, &view);
        assert_int_equal(lines->count, find(lines, &line)); /* none twice */
        lines->list[lines->count++] = line;
    }
}

static void take(struct lines *lines, const struct zone_rrset *rrset,
                 const struct zone_rrset *except)
{
    struct zone_record_view view;
    for (size_t at = 0; rrset != NULL && zone_rrset_next(rrset, &at, &view);) {
        if (except != NULL && zone_rrset_has(except, &view)) {
            continue;
        }
        struct line line = line_of(rrset, &view);
        size_t there = find(lines, &line);
        if (lines->list == NULL || there >= lines->count) {
            fail_msg("a record goes that was not there");
            return;
        }
        lines->list[there] = lines->list[--lines->count];
    }
}

static struct lines lines_of(const struct zone_copy *copy, bool soa)
{
    struct lines lines = {0};
    if (soa) {
        add(&lines, zone_copy_soa(copy), NULL);
    }
    size_t cursor = 0;
    for (const struct zone_rrset *rrset = zone_copy_next(copy, &cursor); rrset != NULL;
         rrset = zone_copy_next(copy, &cursor)) {
        add(&lines, rrset, NULL);
    }
    return lines;
}

static void assert_same(const struct lines *a, const struct lines *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(find(b, &a->list[i]) < b->count);
    }
}

static unsigned led;

/* The old state and the difference make the new one. */
static void assert_leads(struct zone_journal *journal, const struct zone_copy *old,
                         const struct zone_copy *now)
{
    if (zone_copy_serial(old) == zone_copy_serial(now)) {
        return;
    }
    struct zone_difference *difference = zone_journal_difference(journal, zone_copy_serial(old));
    if (difference == NULL) {
        assert_true(zone_copy_serial(now) - zone_copy_serial(old) > 2); /* too long ago */
        return;
    }
    led++;
    struct lines lines = lines_of(old, true);
    const struct zone_rrset *before = zone_difference_soa(difference, false);
    const struct zone_rrset *after = zone_difference_soa(difference, true);
    take(&lines, before, after);
    for (size_t i = 0; i < zone_difference_count(difference); i++) {
        struct zone_difference_item item = zone_difference_item(difference, i);
        take(&lines, item.before, item.after);
    }
    add(&lines, after, before);
    for (size_t i = 0; i < zone_difference_count(difference); i++) {
        struct zone_difference_item item = zone_difference_item(difference, i);
        add(&lines, item.after, item.before);
    }
    struct lines wanted = lines_of(now, true);
    assert_same(&wanted, &lines);
    free(wanted.list);
    free(lines.list);
    zone_difference_free(difference);
}

/* ---- serials ---- */

static void serials_are_compared_in_their_own_arithmetic(void **state)
{
    (void)state;
    assert_int_equal(0, serial_compare(5, 5));
    assert_true(serial_compare(6, 5) > 0);
    assert_true(serial_compare(5, 6) < 0);
    assert_true(serial_compare(0, UINT32_MAX) > 0);
    assert_true(serial_compare(UINT32_MAX, 0) < 0);
    assert_true(serial_compare(UINT32_C(1) << 31U, 1) > 0);
    assert_true(serial_compare((UINT32_C(1) << 31U) + 1, 0) < 0);
}

static void a_serial_follows_the_clock_and_never_stands_still(void **state)
{
    (void)state;
    assert_int_equal(1000, serial_next(5, 1000));
    assert_int_equal(1001, serial_next(1000, 1000));
    assert_int_equal(2001, serial_next(2000, 1000));
    assert_int_equal(1, serial_next(UINT32_MAX, UINT32_MAX)); /* 0 is left out */
    assert_int_equal(5, serial_next(UINT32_MAX, (INT64_C(1) << 32U) + 5));
    assert_int_equal(UINT32_MAX, serial_next(UINT32_MAX - 1, 1000 + (INT64_C(1) << 32U) - 2001));
}

static void a_serial_of_the_operators_is_not_gone_behind(void **state)
{
    struct fixture *fixture = *state;
    struct zone_journal *journal = journal_of(fixture);
    uint32_t serial = 0;
    zone_rrset_unref(zone_journal_soa(journal, &serial));
    assert_true(serial > 1700000000);
    put_soa(fixture, "ns.example.com. host.example.com. 2 7200 900 1209600 300");
    zone_database_publish(fixture->database);
    uint32_t now = 0;
    zone_rrset_unref(zone_journal_soa(journal, &now));
    assert_int_equal(serial, now); /* nothing that can be seen changed */
    put_soa(fixture, "ns.example.com. host.example.com. 3000000000 7200 900 1209600 300");
    zone_database_publish(fixture->database);
    zone_rrset_unref(zone_journal_soa(journal, &now));
    assert_int_equal(3000000001, now);
    zone_journal_unref(journal);
}

static uint32_t serial_of(struct fixture *fixture)
{
    struct zone_journal *journal = journal_of(fixture);
    assert_non_null(journal);
    uint32_t serial = 0;
    zone_rrset_unref(zone_journal_soa(journal, &serial));
    zone_journal_unref(journal);
    return serial;
}

static void a_serial_waits_until_a_restart_would_not_go_behind_it(void **state)
{
    struct fixture *fixture = *state;
    uint32_t before = serial_of(fixture);
    const char *value = "192.0.2.1";
    fixture->waits = true;
    put(fixture, "www.example.com.", RR_A, &value, 1, NULL);
    zone_database_publish(fixture->database);
    assert_int_equal(before, serial_of(fixture));
    int64_t wait = zone_database_refresh(fixture->database, wall_now());
    assert_true(wait > 0 && wait <= 20 * TIME_MS);
    assert_int_equal(before, serial_of(fixture));
    fixture->waits = false;
    assert_true(zone_database_refresh(fixture->database, wall_now()) > TIME_S);
    assert_true(serial_compare(serial_of(fixture), before) > 0);
    struct zone_journal *journal = journal_of(fixture);
    struct zone_difference *difference = zone_journal_difference(journal, before);
    assert_int_equal(1, zone_difference_count(difference));
    zone_difference_free(difference);
    zone_journal_unref(journal);
}

static void a_zone_is_transferred_once_its_first_serial_may_be_served(void **state)
{
    struct fixture *fixture = *state;
    zone_database_set_transfers(fixture->database, "Z1", false);
    zone_database_publish(fixture->database);
    unsigned before = fixture->moved;
    fixture->waits = true;
    fixture->floor = (uint32_t)(wall_now().ns / TIME_S) + 5000;
    zone_database_set_transfers(fixture->database, "Z1", true);
    zone_database_publish(fixture->database);
    assert_null(journal_of(fixture));
    (void)zone_database_refresh(fixture->database, wall_now());
    assert_null(journal_of(fixture));
    put_soa(fixture, "ns.example.com. host.example.com. 4 7200 900 1209600 300");
    zone_database_publish(fixture->database);
    assert_int_equal(before, fixture->moved);
    fixture->waits = false;
    (void)zone_database_refresh(fixture->database, wall_now());
    assert_int_equal(fixture->floor + 1, serial_of(fixture));
    assert_int_equal(before + 1, fixture->moved);
    fixture->waits = true; /* and one that is deleted while it waits leaves nothing */
    zone_database_set_transfers(fixture->database, "Z1", false);
    zone_database_publish(fixture->database);
    fixture->floor += 5000;
    zone_database_set_transfers(fixture->database, "Z1", true);
    zone_database_publish(fixture->database);
    zone_database_delete_zone(fixture->database, "Z1");
    zone_database_publish(fixture->database);
    (void)zone_database_refresh(fixture->database, wall_now());
}

/* ---- contents ---- */

static void run_changes(struct fixture *fixture, bool refresh)
{
    struct zone_copy *old[KEPT] = {NULL};
    struct zone_journal *journal = journal_of(fixture);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t i = random_below(&fixture->random, 4) + 1; i > 0; i--) {
            change_something(fixture);
        }
        zone_database_publish(fixture->database);
        set_status(fixture, random_below(&fixture->random, 8));
        for (int i = 0; refresh && i < 3; i++) {
            (void)zone_database_refresh(fixture->database, wall_now());
        }
        struct zone_copy *now = zone_journal_copy(journal);
        assert_non_null(now);
        for (unsigned i = 0; i < KEPT; i++) {
            if (old[i] != NULL) {
                assert_leads(journal, old[i], now);
            }
        }
        unsigned place = random_below(&fixture->random, KEPT);
        zone_copy_free(old[place]);
        old[place] = now;
    }
    struct zone_copy *kept = zone_journal_copy(journal);
    zone_journal_unref(journal);
    /* A fresh journal looks at the zone itself. */
    zone_database_set_transfers(fixture->database, "Z1", false);
    zone_database_publish(fixture->database);
    assert_null(journal_of(fixture));
    zone_database_set_transfers(fixture->database, "Z1", true);
    zone_database_publish(fixture->database);
    journal = journal_of(fixture);
    struct zone_copy *fresh = zone_journal_copy(journal);
    assert_true(serial_compare(zone_copy_serial(fresh), zone_copy_serial(kept)) > 0);
    struct lines a = lines_of(kept, false);
    struct lines b = lines_of(fresh, false);
    assert_same(&a, &b);
    free(a.list);
    free(b.list);
    zone_copy_free(kept);
    zone_copy_free(fresh);
    zone_journal_unref(journal);
    for (unsigned i = 0; i < KEPT; i++) {
        zone_copy_free(old[i]);
    }
}

static void differences_lead_from_any_state_to_the_present(void **state)
{
    led = 0;
    run_changes(*state, false);
    assert_true(led > (size_t)ROUNDS * KEPT / 2);
}

static size_t count_type(const struct zone_copy *copy, uint16_t type)
{
    size_t count = 0;
    size_t cursor = 0;
    for (const struct zone_rrset *rrset = zone_copy_next(copy, &cursor); rrset != NULL;
         rrset = zone_copy_next(copy, &cursor)) {
        struct zone_record_view view;
        for (size_t at = 0; zone_rrset_next(rrset, &at, &view);) {
            count += view.type == type ? 1U : 0U;
        }
    }
    return count;
}

static void a_signed_zone_is_kept_with_its_signatures(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    for (unsigned i = 0; i < 100; i++) {
        change_something(fixture);
    }
    zone_database_publish(fixture->database);
    assert_int_equal(0, sign_key_generate(SIGN_ENTRY_KEY, &key, &err));
    struct zone_signing signing = {.keys = &key, .count = 1};
    zone_database_set_signing(fixture->database, "Z1", &signing);
    zone_database_publish(fixture->database);
    for (unsigned i = 0; i < 1000 && zone_database_refresh(fixture->database, wall_now()) == 0;
         i++) {
    }
    struct zone_journal *journal = journal_of(fixture);
    struct zone_copy *copy = zone_journal_copy(journal);
    assert_int_equal(1, count_type(copy, RR_DNSKEY));
    assert_true(count_type(copy, RR_NSEC) > 5);
    assert_true(count_type(copy, RR_RRSIG) > count_type(copy, RR_NSEC));
    assert_int_equal(2, zone_copy_soa(copy)->count);
    zone_copy_free(copy);
    zone_journal_unref(journal);
    led = 0;
    run_changes(fixture, true);
    assert_true(led > ROUNDS);
    zone_database_set_signing(fixture->database, "Z1", NULL);
    zone_database_publish(fixture->database);
    journal = journal_of(fixture);
    copy = zone_journal_copy(journal);
    assert_int_equal(0, count_type(copy, RR_RRSIG) + count_type(copy, RR_NSEC));
    zone_copy_free(copy);
    zone_journal_unref(journal);
    sign_key_unref(key);
}

/* Until nothing is to be signed and no serial waits for the clock. */
static void refresh_all(struct fixture *fixture)
{
    for (int64_t wait = 0; wait <= 20 * TIME_MS;) {
        wait = zone_database_refresh(fixture->database, wall_now());
        struct timespec pause = {.tv_nsec = wait <= 20 * TIME_MS ? wait : 0};
        (void)nanosleep(&pause, NULL);
    }
}

static void a_signed_zone_that_is_not_transferred_has_a_serial_that_moves(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct sign_key *key = NULL;
    zone_database_set_transfers(fixture->database, "Z1", false);
    assert_int_equal(0, sign_key_generate(SIGN_ENTRY_KEY, &key, &err));
    struct zone_signing signing = {.keys = &key, .count = 1};
    unsigned before = fixture->moved;
    zone_database_set_signing(fixture->database, "Z1", &signing);
    zone_database_publish(fixture->database);
    refresh_all(fixture);
    assert_int_equal(before + 1, fixture->moved);
    assert_null(journal_of(fixture));
    for (unsigned i = 0; i < 10; i++) {
        const char *value = i % 2 == 0 ? "192.0.2.1" : "192.0.2.2";
        put(fixture, "www.example.com.", RR_A, &value, 1, NULL);
        zone_database_publish(fixture->database);
        assert_int_equal(before + i + 2, fixture->moved); /* and moved() sees that it goes up */
    }
    zone_database_publish(fixture->database);
    assert_int_equal(before + 11, fixture->moved);
    zone_database_set_transfers(fixture->database, "Z1", true);
    zone_database_publish(fixture->database);
    refresh_all(fixture);
    uint32_t kept = serial_of(fixture);
    assert_int_equal(before + 12, fixture->moved);
    zone_database_set_transfers(fixture->database, "Z1", false);
    zone_database_publish(fixture->database);
    refresh_all(fixture);
    assert_int_equal(before + 13, fixture->moved);
    assert_true(serial_compare(fixture->serial, kept) > 0);
    zone_database_set_signing(fixture->database, "Z1", NULL);
    zone_database_publish(fixture->database);
    assert_int_equal(before + 13, fixture->moved); /* the SOA's own */
    sign_key_unref(key);
}

static void old_steps_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct zone_journal *journal = journal_of(fixture);
    uint32_t first = 0;
    zone_rrset_unref(zone_journal_soa(journal, &first));
    char text[32];
    const char *value = text;
    for (unsigned i = 0; i <= JOURNAL_STEPS; i++) {
        (void)snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
        put(fixture, "n.example.com.", RR_A, &value, 1, NULL);
        zone_database_publish(fixture->database);
    }
    assert_null(zone_journal_difference(journal, first));
    struct zone_copy *copy = zone_journal_copy(journal);
    struct zone_difference *difference =
        zone_journal_difference(journal, zone_copy_serial(copy) - 900);
    assert_non_null(difference); /* one a change: the clock is behind by now */
    assert_int_equal(1, zone_difference_count(difference));
    zone_difference_free(difference);
    zone_copy_free(copy);
    zone_journal_unref(journal);
}

/* ---- threads ---- */

static _Atomic bool ended;

static void *read_copies(void *argument)
{
    struct zone_journal *journal = argument;
    uint32_t from = 0;
    while (!atomic_load(&ended)) {
        struct zone_copy *copy = zone_journal_copy(journal);
        struct lines lines = lines_of(copy, true);
        assert_true(lines.count >= 2);
        free(lines.list);
        zone_difference_free(zone_journal_difference(journal, from));
        from = zone_copy_serial(copy);
        zone_copy_free(copy);
    }
    return NULL;
}

static void transfers_read_while_the_zone_changes(void **state)
{
    struct fixture *fixture = *state;
    struct zone_journal *journal = journal_of(fixture);
    pthread_t threads[2];
    atomic_store(&ended, false);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(0, pthread_create(&threads[i], NULL, read_copies, journal));
    }
    for (unsigned i = 0; i < 2000; i++) {
        change_something(fixture);
        zone_database_publish(fixture->database);
    }
    zone_database_delete_zone(fixture->database, "Z1");
    zone_database_publish(fixture->database);
    atomic_store(&ended, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
    }
    zone_journal_unref(journal);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serials_are_compared_in_their_own_arithmetic),
        cmocka_unit_test(a_serial_follows_the_clock_and_never_stands_still),
        TEST(a_serial_of_the_operators_is_not_gone_behind),
        TEST(a_serial_waits_until_a_restart_would_not_go_behind_it),
        TEST(a_zone_is_transferred_once_its_first_serial_may_be_served),
        TEST(differences_lead_from_any_state_to_the_present),
        TEST(a_signed_zone_is_kept_with_its_signatures),
        TEST(a_signed_zone_that_is_not_transferred_has_a_serial_that_moves),
        TEST(old_steps_are_forgotten),
        TEST(transfers_read_while_the_zone_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
