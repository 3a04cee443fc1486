/* Changes of health that are shown piece by piece: what readers find in between. Names are pairs of
 * failover records, whose first address ends in 1 and whose second one in 2. */
#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"
#include "dns/zone/database.h"
#include "dns/zone/zone_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 1000U
#define PIECE 64U
#define TEXT 64U

static struct zone_database *database;

static void put(const char *name, const char *value, const char *check, const char *target)
{
    struct model_alias alias = {
        .zone_id = "Z1", .name = target != NULL ? target : "", .evaluate_target_health = true};
    struct model_record_set record = {.zone_id = "Z1",
                                      .name = name,
                                      .type = RR_A,
                                      .policy = MODEL_FAILOVER,
                                      .failover = check != NULL ? MODEL_PRIMARY : MODEL_SECONDARY,
                                      .set_identifier = check != NULL ? "p" : "s",
                                      .health_check_id = check != NULL ? check : "",
                                      .region = "",
                                      .ttl_s = 60,
                                      .alias = target != NULL ? &alias : NULL,
                                      .values = &value,
                                      .value_count = target != NULL ? 0 : 1};
    struct err err = ERR_INIT;
    assert_int_equal(0, zone_database_put_record(database, &record, &err));
}

static void put_pair(const char *letter, unsigned number, const char *check)
{
    char name[TEXT];
    (void)snprintf(name, sizeof name, "%s%u.example.", letter, number);
    put(name, "192.0.2.1", check, NULL);
    put(name, "192.0.2.2", NULL, NULL);
}

/* What readers get for that name. */
static const struct zone_answer *answer_of(const char *letter, unsigned number)
{
    char text[TEXT];
    uint8_t wire[NAME_WIRE_LIMIT];
    struct zone_name name;
    (void)snprintf(text, sizeof text, "%s%u.example.", letter, number);
    int length = name_from_text(text, true, wire);
    const struct zone_set *set = zone_database_readers(database);
    assert_int_equal(length, zone_name_read(&name, set, wire, (size_t)length));
    const struct zone *zone = zone_set_find(set, &name, 0);
    assert_non_null(zone);
    const struct zone_node *node = zone_find(zone, &name, 0);
    assert_non_null(node);
    const struct zone_answer *answer = zone_slot_answer(zone_node_slot(node, RR_A));
    assert_non_null(answer);
    return answer;
}

static unsigned last_byte(const struct zone_answer *leaf)
{
    return zone_leaf(leaf)->rrs[leaf->size - 1];
}

/* The last byte of the address. */
static unsigned served(const char *letter, unsigned number)
{
    return last_byte(answer_of(letter, number));
}

/* How many of the names are answered by the second address. */
static unsigned turned(const char *letter, unsigned count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        found += served(letter, i) == 2 ? 1U : 0U;
    }
    return found;
}

/* The checks whose letters are in `down`, in order, are. */
static struct model_status *table_of(const char *down)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct model_status *status =
        memory_new(sizeof *status + ARRAY_SIZE(ids) * sizeof status->entries[0]);
    status->count = ARRAY_SIZE(ids);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        status->entries[i] = (struct model_status_entry){.check_id = ids[i], .healthy = true};
        for (const char *at = down; *at != '\0'; at++) {
            status->entries[i].healthy = status->entries[i].healthy && *at != ids[i][0];
        }
    }
    return status;
}

static size_t begin(const char *down, size_t *ret_left)
{
    struct model_status *status = table_of(down);
    size_t count = zone_database_begin_status(database, status, PIECE, ret_left);
    free(status);
    return count;
}

/* All that is left; returns how many answers changed. */
static size_t finish(size_t left)
{
    size_t count = 0;
    unsigned pieces = 0;
    while (left != 0) {
        count += zone_database_continue_status(database, PIECE, &left);
        assert_in_range(pieces++, 0, 100000);
    }
    return count;
}

static int set_up(void **state)
{
    (void)state;
    database = zone_database_new();
    struct model_zone zone = {.id = "Z1", .name = "example.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    for (unsigned i = 0; i < NAMES; i++) {
        put_pair("a", i, "a");
        put_pair("b", i, "b");
    }
    put_pair("c", 0, "c");
    zone_database_publish(database);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zone_database_free(database);
    snapshot_drain();
    return 0;
}

static void a_large_change_is_shown_piece_by_piece_and_wholly(void **state)
{
    (void)state;
    size_t left = 0;
    assert_int_equal(begin("a", &left), PIECE); /* the first names at once */
    assert_int_equal(left, NAMES - PIECE);
    assert_int_equal(turned("a", NAMES), PIECE);
    assert_int_equal(zone_database_continue_status(database, PIECE, &left), PIECE);
    assert_int_equal(left, NAMES - 2 * PIECE);
    assert_int_equal(turned("a", NAMES), 2 * PIECE);
    assert_int_equal(finish(left), NAMES - 2 * PIECE);
    assert_int_equal(turned("a", NAMES), NAMES);
    assert_int_equal(turned("b", NAMES), 0);
    assert_int_equal(zone_database_continue_status(database, PIECE, &left), 0);
}

static void a_small_change_is_shown_at_once_while_a_large_one_goes_on(void **state)
{
    (void)state;
    size_t left = 0;
    (void)begin("a", &left);
    size_t before = left;
    assert_int_equal(begin("ac", &left), 1);
    assert_int_equal(served("c", 0), 2);
    assert_int_equal(left, before); /* that has its own turns */
    (void)begin("a", &left);
    assert_int_equal(served("c", 0), 1);
    (void)finish(left);
    assert_int_equal(turned("a", NAMES), NAMES);
    assert_int_equal(served("c", 0), 1);
}

static void a_second_large_change_begins_at_once_and_takes_turns(void **state)
{
    (void)state;
    size_t left = 0;
    (void)begin("a", &left);
    (void)begin("ab", &left);
    assert_int_equal(turned("b", NAMES), PIECE);
    for (unsigned i = 0; i < 10; i++) {
        (void)zone_database_continue_status(database, PIECE, &left);
    }
    assert_in_range(turned("a", NAMES), 5 * PIECE, 7 * PIECE);
    assert_in_range(turned("b", NAMES), 5 * PIECE, 7 * PIECE);
    (void)finish(left);
    assert_int_equal(turned("a", NAMES) + turned("b", NAMES), 2 * NAMES);
}

static void a_change_that_is_taken_back_turns_back_first_what_it_turned(void **state)
{
    (void)state;
    size_t left = 0;
    (void)begin("a", &left);
    (void)zone_database_continue_status(database, 2 * (size_t)PIECE, &left);
    assert_int_equal(turned("a", NAMES), 3 * PIECE);
    assert_int_equal(begin("", &left), PIECE);
    assert_int_equal(turned("a", NAMES), 2 * PIECE);
    assert_int_equal(finish(left), 2 * PIECE); /* the others were never touched */
    assert_int_equal(turned("a", NAMES), 0);
}

static void a_whole_change_in_between_leaves_nothing_undone(void **state)
{
    (void)state;
    size_t left = 0;
    (void)begin("a", &left);
    struct model_status *status = table_of("ab");
    (void)zone_database_set_status(database, status);
    free(status);
    assert_int_equal(turned("a", NAMES), NAMES);
    assert_int_equal(turned("b", NAMES), NAMES);
    assert_int_equal(zone_database_continue_status(database, PIECE, &left), 0);
    assert_int_equal(left, 0);
}

static void many_aliases_of_one_name_follow_it_in_pieces(void **state)
{
    (void)state;
    char name[TEXT];
    size_t left = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "alias%u.example.", i);
        put(name, NULL, NULL, "c0.example.");
    }
    zone_database_publish(database);
    (void)begin("c", &left);
    assert_int_equal(served("c", 0), 2);
    assert_int_equal(left, NAMES);
    assert_int_equal(finish(left), NAMES);
    assert_int_equal(turned("alias", NAMES), NAMES);
}

/* What many aliases have not left yet must stay, even when nobody else is answered by it. */
static void aliases_that_wait_are_answered_by_what_their_target_was(void **state)
{
    (void)state;
    static const char *values[] = {"192.0.2.1", "192.0.2.2"};
    struct model_alias alias = {.zone_id = "Z1", .name = "mixed.example."};
    char name[TEXT];
    struct err err = ERR_INIT;
    struct model_record_set record = {
        .zone_id = "Z1", .name = "mixed.example.", .type = RR_A, .region = "", .ttl_s = 60};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        record.policy = MODEL_WEIGHTED;
        record.weight = 1;
        record.set_identifier = values[i];
        record.health_check_id = i == 0 ? "c" : "";
        record.values = &values[i];
        record.value_count = 1;
        assert_int_equal(0, zone_database_put_record(database, &record, &err));
    }
    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof name, "alias%u.example.", i);
        record = (struct model_record_set){.zone_id = "Z1",
                                           .name = name,
                                           .type = RR_A,
                                           .region = "",
                                           .set_identifier = "",
                                           .health_check_id = "",
                                           .alias = &alias};
        assert_int_equal(0, zone_database_put_record(database, &record, &err));
    }
    zone_database_publish(database);
    size_t left = 0;
    (void)begin("c", &left);
    while (left != 0) {
        zone_database_publish(database);
        snapshot_drain();
        unsigned both = 0;
        for (unsigned i = 0; i < NAMES; i++) {
            const struct zone_answer *answer = answer_of("alias", i);
            both += answer->kind == ZONE_WEIGHTED ? 1U : 0U;
            for (unsigned j = 0; answer->kind == ZONE_WEIGHTED && j < answer->count; j++) {
                assert_int_equal(last_byte(zone_mix(answer)->choices[j].answer), j + 1);
            }
        }
        assert_in_range(both, left, NAMES);
        (void)zone_database_continue_status(database, PIECE, &left);
    }
    assert_int_equal(turned("alias", NAMES), NAMES);
}

static void publishes_in_between_see_and_lose_nothing(void **state)
{
    (void)state;
    size_t left = 0;
    (void)begin("a", &left);
    /* Names that had their turn and others go, and new ones come. */
    for (unsigned i = 0; i < NAMES; i += 2) {
        char name[TEXT];
        (void)snprintf(name, sizeof name, "a%u.example.", i);
        zone_database_delete_record(database, "Z1", name, RR_A, "p");
        zone_database_delete_record(database, "Z1", name, RR_A, "s");
        put_pair("new", i / 2, "a");
    }
    zone_database_publish(database);
    assert_int_equal(turned("new", NAMES / 2), NAMES / 2); /* by the newest table */
    (void)finish(left);
    for (unsigned i = 1; i < NAMES; i += 2) {
        assert_int_equal(served("a", i), 2);
    }
    /* And all that depends on the check goes while it waits. */
    (void)begin("", &left);
    zone_database_delete_zone(database, "Z1");
    zone_database_publish(database);
    (void)zone_database_continue_status(database, PIECE, &left);
    assert_int_equal(left, 0);
}

/* Tables, pieces and publishes in any order: at the end every name is as the last table says. */
static void any_order_ends_with_what_the_last_table_says(void **state)
{
    (void)state;
    static const char *const tables[] = {"", "a", "b", "ab", "c", "ac", "bc", "abc"};
    struct random random;
    random_init(&random, 11);
    for (unsigned round = 0; round < 20; round++) {
        const char *down = "";
        size_t left = 0;
        for (unsigned step = random_below(&random, 30); step > 0; step--) {
            if (random_below(&random, 3) != 0) {
                (void)zone_database_continue_status(database, 1 + random_below(&random, 300),
                                                    &left);
                continue;
            }
            down = tables[random_below(&random, ARRAY_SIZE(tables))];
            (void)begin(down, &left);
            if (random_below(&random, 3) == 0) {
                unsigned number = random_below(&random, NAMES);
                put_pair("a", number, random_below(&random, 2) == 0 ? "a" : "b");
                put_pair("a", number, "a");
                zone_database_publish(database);
            }
        }
        (void)begin(down, &left);
        (void)finish(left);
        bool a = strchr(down, 'a') != NULL;
        bool b = strchr(down, 'b') != NULL;
        assert_int_equal(turned("a", NAMES), a ? NAMES : 0);
        assert_int_equal(turned("b", NAMES), b ? NAMES : 0);
        assert_int_equal(served("c", 0), strchr(down, 'c') != NULL ? 2 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_change_is_shown_piece_by_piece_and_wholly, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_small_change_is_shown_at_once_while_a_large_one_goes_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_large_change_begins_at_once_and_takes_turns,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_that_is_taken_back_turns_back_first_what_it_turned,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_whole_change_in_between_leaves_nothing_undone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_aliases_of_one_name_follow_it_in_pieces, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(aliases_that_wait_are_answered_by_what_their_target_was,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(publishes_in_between_see_and_lose_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(any_order_ends_with_what_the_last_table_says, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
