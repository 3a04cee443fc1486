/* Names put in bulk: what comes of them is what comes of records put one by one; and zones that
 * load are not shown before they are whole. */
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"
#include "dns/zone/internal.h"
#include "dns/zone/test_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 300U
#define RECORDS 60U
#define PAGE 7U

struct fixture {
    struct zone_database *database;
    struct arena arena;
};

static const struct model_zone zones[] = {
    {.id = "Z1", .name = "example.com.", .created_revision = 1, .record_count = 40},
    {.id = "Z2", .name = "sub.example.com.", .created_revision = 2},
    {.id = "Z3", .name = "example.com.", .created_revision = 3},
};

static const char *const names[] = {
    "example.com.",       "www.example.com.",       "\\052.example.com.", "a.b.c.example.com.",
    "b.c.example.com.",   "\\052.b.c.example.com.", "cut.example.com.",   "w.example.com.",
    "alias.example.com.", "sub.example.com.",       "x.sub.example.com.", "x.y.sub.example.com.",
    "example.org.",       "z.example.com.",         "c.example.com.",     "d.cut.example.com.",
};

static void begin(struct fixture *fixture)
{
    fixture->database = zone_database_new();
    arena_init(&fixture->arena, 0);
}

static void end(struct fixture *fixture)
{
    zone_database_free(fixture->database);
    arena_done(&fixture->arena);
    snapshot_drain();
}

static void put_zones(struct fixture *fixture)
{
    for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
        zone_database_put_zone(fixture->database, &zones[i]);
    }
}

static struct zone_puts *puts_new(struct fixture *fixture, size_t capacity)
{
    return zone_puts_new(zone_database_places(fixture->database, &fixture->arena), &fixture->arena,
                         capacity);
}

static void add(struct zone_puts *puts, const struct model_record_set *record)
{
    struct err err = ERR_INIT;
    assert_int_equal(zone_puts_add(puts, record, &err), 0);
}

/* ---- equality with single puts ---- */

/* A record of any kind; its parts live in the arena. */
static struct model_record_set random_record(struct random *random, struct arena *arena)
{
    static const char *const ids[] = {"Z1", "Z1", "Z2", "Z3", "Z9"};
    const char **value = arena_array(arena, 1, sizeof *value);
    struct model_record_set record =
        test_record(ids[random_below(random, ARRAY_SIZE(ids))],
                    names[random_below(random, ARRAY_SIZE(names))], value);
    switch (random_below(random, 7)) {
    case 0:
        record.type = RR_TXT;
        *value = "\"some text\"";
        break;
    case 1:
        record.type = RR_NS;
        *value = "ns.example.net.";
        break;
    case 2:
        record.type = RR_AAAA;
        *value = "2001:db8::1";
        break;
    case 3:
        record.type = RR_MX;
        record.policy = MODEL_WEIGHTED;
        record.weight = 1;
        record.set_identifier = random_below(random, 2) == 0 ? "a" : "b";
        *value = "10 mail.example.net.";
        break;
    case 4: {
        struct model_alias *alias = arena_alloc(arena, sizeof *alias);
        *alias = (struct model_alias){.zone_id = "Z1",
                                      .name = names[random_below(random, ARRAY_SIZE(names))]};
        record.alias = alias;
        record.value_count = 0;
        record.type = RR_AAAA;
        break;
    }
    default:
        *value = arena_printf(arena, "192.0.2.%u", (unsigned)random_below(random, 256));
        break;
    }
    return record;
}

static bool same_key(const struct model_record_set *a, const struct model_record_set *b)
{
    return a->type == b->type && strcmp(a->zone_id, b->zone_id) == 0 &&
           strcmp(a->name, b->name) == 0 && strcmp(a->set_identifier, b->set_identifier) == 0;
}

/* A page of records with different keys, as a store gives them. */
static void put_random_page(struct fixture *one, struct fixture *bulk, struct random *random)
{
    struct model_record_set page[PAGE];
    struct zone_puts *puts = puts_new(bulk, PAGE);
    for (size_t count = 0; count < PAGE; count++) {
        struct err err = ERR_INIT;
        bool fresh = false;
        while (!fresh) {
            page[count] = random_record(random, &one->arena);
            fresh = true;
            for (size_t i = 0; fresh && i < count; i++) {
                fresh = !same_key(&page[i], &page[count]);
            }
        }
        assert_int_equal(zone_database_put_record(one->database, &page[count], &err), 0);
        add(puts, &page[count]);
    }
    zone_database_put_all(bulk->database, puts);
    zone_database_publish(bulk->database);
    zone_database_publish(one->database);
}

struct comparison {
    const struct zone_database *other;
    const struct zone *zone;
    size_t nodes;
};

static void assert_same_node(void *object, void *context)
{
    const struct zone_node *node = object;
    struct comparison *comparison = context;
    uint8_t wire[NAME_WIRE_LIMIT];
    struct zone_name name;
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, comparison->zone->apex, comparison->zone->apex_length);
    assert_int_not_equal(zone_name_read(&name, &comparison->other->set, wire,
                                        (size_t)node->name_length + comparison->zone->apex_length),
                         0);
    const struct zone_node *other = zone_find(comparison->zone, &name, 0);
    assert_non_null(other);
    assert_int_equal(node->children, other->children);
    assert_int_equal(atomic_load(&node->flags), atomic_load(&other->flags));
    assert_int_equal(node->slot_count, other->slot_count);
    for (unsigned i = 0; i < node->slot_count; i++) {
        const struct zone_answer *a = zone_slot_answer(&node->slots[i]);
        const struct zone_answer *b = zone_slot_answer(&other->slots[i]);
        assert_int_equal(node->slots[i].type, other->slots[i].type);
        assert_int_equal(node->slots[i].group == 0, other->slots[i].group == 0);
        assert_int_equal(node->slots[i].generation, other->slots[i].generation);
        assert_int_equal(a == NULL, b == NULL);
        if (a != NULL && b != NULL) {
            assert_int_equal(a->kind, b->kind);
            assert_int_equal(a->count, b->count);
            assert_int_equal(a->size, b->size);
            if (a->kind == ZONE_LEAF) {
                assert_memory_equal(zone_leaf(a)->rrs, zone_leaf(b)->rrs, a->size);
            }
        }
    }
    comparison->nodes++;
}

static void assert_same_zone(const struct zone_database *a, const struct zone_database *b,
                             const char *id)
{
    const struct zone_owner *x = owner_find(a, id);
    const struct zone_owner *y = owner_find(b, id);
    assert_int_equal(x == NULL, y == NULL);
    if (x == NULL || !x->known) {
        return;
    }
    struct comparison comparison = {.other = b, .zone = &y->zone};
    zone_table_each(SNAPSHOT_LOAD(&x->zone.names), assert_same_node, &comparison);
    assert_int_equal(comparison.nodes, SNAPSHOT_LOAD(&y->zone.names)->live);
    assert_int_equal(atomic_load(&x->zone.cuts), atomic_load(&y->zone.cuts));
    assert_int_equal(owner_visible(a, x) == x, owner_visible(b, y) == y);
}

/* The same records one by one, and in pages: of a first load, of a reload over what is there, or
 * with no mark at all. */
static void what_is_put_in_bulk_is_what_single_puts_make(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct random random;
        struct fixture one;
        struct fixture bulk;
        random_init(&random, round + 1);
        begin(&one);
        begin(&bulk);
        for (unsigned pass = 0; pass < 2; pass++) {
            bool marked = random_below(&random, 4) != 0;
            if (marked) {
                zone_database_mark(one.database);
                zone_database_mark(bulk.database);
            }
            put_zones(&one);
            put_zones(&bulk);
            for (unsigned done = 0; done < RECORDS; done += PAGE) {
                put_random_page(&one, &bulk, &random);
            }
            if (marked) {
                zone_database_sweep(one.database);
                zone_database_sweep(bulk.database);
                zone_database_publish(one.database);
                zone_database_publish(bulk.database);
            }
            assert_same_zone(one.database, bulk.database, "Z1");
            assert_same_zone(one.database, bulk.database, "Z2");
            assert_same_zone(one.database, bulk.database, "Z3");
            assert_same_zone(one.database, bulk.database, "Z9");
        }
        end(&one);
        end(&bulk);
    }
}

/* ---- what is seen meanwhile ---- */

static bool is_seen(struct fixture *fixture, const char *zone_id)
{
    const struct zone_owner *zone = owner_find(fixture->database, zone_id);
    return zone != NULL && owner_visible(fixture->database, zone) == zone;
}

static void put_page(struct fixture *fixture, const char *zone_id, const char *name)
{
    const char *value = "192.0.2.1";
    struct model_record_set record = test_record(zone_id, name, &value);
    struct zone_puts *puts = puts_new(fixture, 1);
    add(puts, &record);
    zone_database_put_all(fixture->database, puts);
    zone_database_publish(fixture->database);
}

static void a_zone_that_loads_is_shown_when_it_is_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    zone_database_mark(fixture.database);
    zone_database_put_zone(fixture.database, &zones[1]);
    zone_database_publish(fixture.database);
    assert_false(is_seen(&fixture, "Z2"));
    put_page(&fixture, "Z2", "www.sub.example.com.");
    put_page(&fixture, "Z2", "sub.example.com.");
    assert_false(is_seen(&fixture, "Z2"));
    zone_database_sweep(fixture.database);
    assert_false(is_seen(&fixture, "Z2"));
    zone_database_publish(fixture.database);
    assert_true(is_seen(&fixture, "Z2"));
    /* Again: what is seen stays, what is new waits. */
    zone_database_mark(fixture.database);
    zone_database_put_zone(fixture.database, &zones[0]);
    zone_database_put_zone(fixture.database, &zones[1]);
    put_page(&fixture, "Z2", "www.sub.example.com.");
    assert_true(is_seen(&fixture, "Z2"));
    assert_false(is_seen(&fixture, "Z1"));
    zone_database_sweep(fixture.database);
    zone_database_publish(fixture.database);
    assert_true(is_seen(&fixture, "Z2"));
    assert_true(is_seen(&fixture, "Z1"));
    end(&fixture);
}

static void the_younger_zone_of_a_name_is_served_until_the_older_is_loaded(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture);
    zone_database_put_zone(fixture.database, &zones[2]);
    put_page(&fixture, "Z3", "www.example.com.");
    assert_true(is_seen(&fixture, "Z3"));
    zone_database_mark(fixture.database);
    zone_database_put_zone(fixture.database, &zones[2]);
    zone_database_put_zone(fixture.database, &zones[0]);
    put_page(&fixture, "Z1", "www.example.com.");
    put_page(&fixture, "Z3", "www.example.com.");
    assert_true(is_seen(&fixture, "Z3"));
    zone_database_delete_zone(fixture.database, "Z3");
    zone_database_publish(fixture.database);
    assert_false(is_seen(&fixture, "Z1"));
    zone_database_sweep(fixture.database);
    zone_database_publish(fixture.database);
    assert_true(is_seen(&fixture, "Z1"));
    end(&fixture);
}

/* Made ready before a mark, or for a zone that went: as good as put one by one. */
static void names_that_were_made_ready_long_ago_are_put_all_the_same(void **state)
{
    (void)state;
    const char *value = "192.0.2.1";
    struct fixture fixture;
    begin(&fixture);
    put_zones(&fixture);
    zone_database_publish(fixture.database);
    struct zone_puts *puts = puts_new(&fixture, 2);
    struct model_record_set record = test_record("Z1", "www.example.com.", &value);
    add(puts, &record);
    record = test_record("Z2", "www.sub.example.com.", &value);
    add(puts, &record);
    zone_database_mark(fixture.database);
    put_zones(&fixture);
    zone_database_delete_zone(fixture.database, "Z2");
    zone_database_put_all(fixture.database, puts);
    zone_database_sweep(fixture.database);
    zone_database_publish(fixture.database);
    const struct zone_owner *zone = owner_find(fixture.database, "Z1");
    assert_int_equal(SNAPSHOT_LOAD(&zone->zone.names)->live, 2);
    zone = owner_find(fixture.database, "Z2");
    assert_true(zone != NULL && !zone->known && zone->pending->live == 1);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_bulk_is_what_single_puts_make),
        cmocka_unit_test(a_zone_that_loads_is_shown_when_it_is_whole),
        cmocka_unit_test(the_younger_zone_of_a_name_is_served_until_the_older_is_loaded),
        cmocka_unit_test(names_that_were_made_ready_long_ago_are_put_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
