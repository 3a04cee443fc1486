/* Unit tests of table.c: against a plain array of what ought to be there, over random puts,
 * replacements and deletions, with hashes bad enough to collide. */
#include "dns/zone/table.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 700U
#define STEPS 200000U

struct object {
    uint64_t hash;
    unsigned key;
};

static bool same_key(const void *object, const void *key)
{
    return ((const struct object *)object)->key == *(const unsigned *)key;
}

static uint64_t object_hash(const void *object, const void *context)
{
    (void)context;
    return ((const struct object *)object)->hash;
}

static void count_object(void *object, void *context)
{
    assert_non_null(object);
    (*(size_t *)context)++;
}

static struct object *new_object(unsigned key)
{
    struct object *object = memory_new(sizeof *object);
    object->key = key;
    /* Tags and places both collide. */
    object->hash = (uint64_t)(key % 5) << 48U | key % 64;
    return object;
}

static void check_all(const struct zone_table *table, struct object *const *model, size_t live)
{
    for (unsigned key = 0; key < KEYS; key++) {
        struct object probe = {.hash = (uint64_t)(key % 5) << 48U | key % 64};
        assert_ptr_equal(model[key], zone_table_find(table, probe.hash, same_key, &key));
    }
    size_t count = 0;
    zone_table_each(table, count_object, &count);
    assert_int_equal(live, count);
    assert_int_equal(live, table->live);
}

static void finds_what_is_there_and_nothing_else_after_random_changes(void **state)
{
    (void)state;
    struct object *model[KEYS] = {0};
    struct random random;
    random_init(&random, 7);
    struct zone_table *table = zone_table_new(0);
    size_t live = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned key = random_below(&random, KEYS);
        struct object *there = model[key];
        if (there == NULL) {
            if (!zone_table_has_room(table, 1)) {
                struct zone_table *old = table;
                table = zone_table_grown(old, 1, object_hash, NULL);
                free(old);
            }
            model[key] = new_object(key);
            zone_table_insert(table, model[key]->hash, model[key]);
            live++;
        } else if (random_below(&random, 3) == 0) {
            model[key] = new_object(key);
            zone_table_replace(table, there->hash, there, model[key]);
            free(there);
        } else {
            model[key] = NULL;
            zone_table_remove(table, there->hash, there);
            free(there);
            live--;
        }
        if (step % 4096 == 0) {
            check_all(table, model, live);
        }
    }
    check_all(table, model, live);
    for (unsigned key = 0; key < KEYS; key++) {
        free(model[key]);
    }
    free(table);
}

static void room_for_what_was_asked_is_there_from_the_start(void **state)
{
    (void)state;
    for (size_t count = 0; count < 100; count++) {
        struct zone_table *table = zone_table_new(count);
        assert_true(zone_table_has_room(table, count));
        assert_false(zone_table_has_room(table, table->mask + 1));
        free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there_and_nothing_else_after_random_changes),
        cmocka_unit_test(room_for_what_was_asked_is_there_from_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
