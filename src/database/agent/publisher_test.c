/* What workers see, on its way to the store: the newest of it arrives whatever the store does
 * meanwhile, members that are gone hold nobody up, and slots may go at any moment. */
#include "database/agent/publisher.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/test_records.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEARTBEAT (3600 * TIME_S) /* never, but where it is what a test is about */

struct fixture {
    struct store *inner;
    struct store *store;
    struct publisher *publisher;
    struct publisher_slot *slot; /* of db-a */
    struct arena arena;
    struct err err;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* guards and tells of what follows */
    bool hang;              /* transactions wait before they happen */
    bool hanging;           /* one does */
    unsigned happened;
};

static bool judge(void *context, const struct store_txn *txn, bool happened)
{
    struct fixture *fixture = context;
    (void)txn;
    thread_lock(&fixture->mutex);
    fixture->happened += happened ? 1 : 0;
    while (!happened && fixture->hang) {
        fixture->hanging = true;
        (void)pthread_cond_broadcast(&fixture->changed);
        (void)thread_wait_until(&fixture->changed, &fixture->mutex, mono_from_now(TIME_S));
    }
    fixture->hanging = false;
    thread_unlock(&fixture->mutex);
    return true;
}

static void set_hang(struct fixture *fixture, bool hang)
{
    thread_lock(&fixture->mutex);
    fixture->hang = hang;
    (void)pthread_cond_broadcast(&fixture->changed);
    thread_unlock(&fixture->mutex);
}

static bool hangs(void *context)
{
    struct fixture *fixture = context;
    thread_lock(&fixture->mutex);
    bool hanging = fixture->hanging;
    thread_unlock(&fixture->mutex);
    return hanging;
}

static bool beats(void *context)
{
    struct fixture *fixture = context;
    thread_lock(&fixture->mutex);
    bool some = fixture->happened >= 5;
    thread_unlock(&fixture->mutex);
    return some;
}

static unsigned count(struct fixture *fixture)
{
    thread_lock(&fixture->mutex);
    unsigned happened = fixture->happened;
    thread_unlock(&fixture->mutex);
    return happened;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    thread_sync_init(&fixture->mutex, &fixture->changed);
    arena_init(&fixture->arena, 0);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    fickle_judge_commits(fixture->store, judge, fixture);
    IGNORE_RESULT(test_put_member(fixture->inner, "db-a", "east"));
    IGNORE_RESULT(test_put_member(fixture->inner, "db-b", "east"));
    assert_int_equal(publisher_start(fixture->store, &fixture->publisher, &fixture->err), 0);
    fixture->slot = publisher_add(fixture->publisher, TEST_GROUP, "db-a");
    *state = fixture;
    return 0;
}

/* Slots first, as the agent does. */
static void stop(struct fixture *fixture)
{
    if (fixture->slot != NULL) {
        publisher_remove(fixture->publisher, fixture->slot);
        fixture->slot = NULL;
    }
    publisher_stop(fixture->publisher);
    fixture->publisher = NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    set_hang(fixture, false);
    stop(fixture);
    store_close(fixture->store);
    store_close(fixture->inner);
    arena_done(&fixture->arena);
    thread_sync_done(&fixture->mutex, &fixture->changed);
    free(fixture);
    return 0;
}

static struct model_database_seen seen_of(const char *message, model_lsn received)
{
    return (struct model_database_seen){.site = "here",
                                        .condition = MODEL_DATABASE_STREAMING,
                                        .message = message,
                                        .action = "",
                                        .upstream = "db-b",
                                        .received = received,
                                        .lag_bytes = -1,
                                        .lag_ms = -1};
}

/* ---- what is waited for ---- */

struct wanted {
    struct fixture *fixture;
    const char *member;
    const char *message;
    model_lsn received;
};

static bool is_there(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct model_database_seen seen;
    arena_init(&arena, 0);
    return test_get_seen(wanted->fixture->inner, wanted->member, &arena, &seen) &&
           text_equal(seen.message, wanted->message) && seen.received == wanted->received;
}

static bool arrives(struct fixture *fixture, const char *member, const char *message,
                    model_lsn received)
{
    struct wanted wanted = {
        .fixture = fixture, .member = member, .message = message, .received = received};
    return test_becomes(is_there, &wanted);
}

static void put(struct fixture *fixture, const char *message, model_lsn received,
                enum publisher_haste haste)
{
    const struct model_database_seen seen = seen_of(message, received);
    publisher_put(fixture->publisher, fixture->slot, &seen, HEARTBEAT, haste);
}

/* ---- tests ---- */

static void what_is_seen_is_written_with_its_time(void **state)
{
    struct fixture *fixture = *state;
    struct model_database_seen seen;
    put(fixture, "one", 100, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "one", 100));
    assert_true(test_get_seen(fixture->inner, "db-a", &fixture->arena, &seen));
    assert_true(seen.at.ns != 0);
    assert_string_equal(seen.upstream, "db-b");
    assert_string_equal(seen.site, "here");
    assert_int_equal(seen.condition, MODEL_DATABASE_STREAMING);
    put(fixture, "two", 100, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "two", 100));
}

static void positions_alone_are_written_together_and_the_last_one_arrives(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "", 1, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "", 1));
    unsigned before = count(fixture);
    for (model_lsn received = 2; received <= 200; received++) {
        put(fixture, "", received, PUBLISHER_USUAL);
    }
    assert_true(arrives(fixture, "db-a", "", 200));
    assert_true(count(fixture) - before < 100); /* one, or some where this takes seconds */
    put(fixture, "", 201, PUBLISHER_HURRY);
    assert_true(arrives(fixture, "db-a", "", 201));
}

static void the_same_again_is_not_written_again(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "one", 1));
    put(fixture, "one", 1, PUBLISHER_HURRY);
    put(fixture, "two", 1, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "two", 1));
    assert_int_equal(count(fixture), 2);
}

static void while_the_store_is_away_the_newest_waits(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->store, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    put(fixture, "two", 2, PUBLISHER_USUAL);
    test_pause(50);
    put(fixture, "three", 3, PUBLISHER_USUAL);
    fickle_fail(fixture->store, false);
    assert_true(arrives(fixture, "db-a", "three", 3));
}

static void what_changes_while_it_is_written_is_written_next(void **state)
{
    struct fixture *fixture = *state;
    set_hang(fixture, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(test_becomes(hangs, fixture));
    put(fixture, "two", 2, PUBLISHER_USUAL);
    set_hang(fixture, false);
    assert_true(arrives(fixture, "db-a", "two", 2));
    assert_int_equal(count(fixture), 2);
}

static void a_member_that_is_gone_holds_up_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct model_database_seen seen = seen_of("well", 1);
    struct publisher_slot *gone = publisher_add(fixture->publisher, TEST_GROUP, "db-gone");
    struct publisher_slot *other = publisher_add(fixture->publisher, TEST_GROUP, "db-b");
    set_hang(fixture, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(test_becomes(hangs, fixture)); /* so that what follows is one transaction */
    publisher_put(fixture->publisher, gone, &seen, HEARTBEAT, PUBLISHER_USUAL);
    publisher_put(fixture->publisher, other, &seen, HEARTBEAT, PUBLISHER_USUAL);
    put(fixture, "two", 2, PUBLISHER_USUAL);
    set_hang(fixture, false);
    assert_true(arrives(fixture, "db-b", "well", 1));
    assert_true(arrives(fixture, "db-a", "two", 2));
    assert_false(test_get_seen(fixture->inner, "db-gone", &fixture->arena, &seen));
    publisher_remove(fixture->publisher, gone);
    publisher_remove(fixture->publisher, other);
}

static void remove_slot(struct fixture *fixture)
{
    publisher_remove(fixture->publisher, fixture->slot);
    fixture->slot = NULL;
}

static void a_slot_may_go_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    set_hang(fixture, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(test_becomes(hangs, fixture));
    remove_slot(fixture);
    set_hang(fixture, false);
    assert_true(arrives(fixture, "db-a", "one", 1));
    stop(fixture);
    assert_int_equal(count(fixture), 1);
}

static void the_last_that_was_seen_is_written_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    set_hang(fixture, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(test_becomes(hangs, fixture));
    put(fixture, "one", 2, PUBLISHER_USUAL); /* a position, for which there is time otherwise */
    remove_slot(fixture);
    set_hang(fixture, false);
    stop(fixture);
    struct wanted wanted = {.fixture = fixture, .member = "db-a", .message = "one", .received = 2};
    assert_true(is_there(&wanted));
}

static void the_end_does_not_wait_for_a_store_that_is_away(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->store, true);
    put(fixture, "one", 1, PUBLISHER_USUAL);
    stop(fixture);
    struct wanted wanted = {.fixture = fixture, .member = "db-a", .message = "one", .received = 1};
    assert_false(is_there(&wanted));
}

static void what_stays_as_it_is_is_written_with_each_heartbeat(void **state)
{
    struct fixture *fixture = *state;
    const struct model_database_seen seen = seen_of("one", 1);
    publisher_put(fixture->publisher, fixture->slot, &seen, 10 * TIME_MS, PUBLISHER_USUAL);
    assert_true(test_becomes(beats, fixture));
}

static void while_somebody_waits_for_the_store_nothing_is_written_for_a_while(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "one", 1, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-a", "one", 1));
    struct mono before = mono_now();
    put(fixture, "two", 2, PUBLISHER_REST);
    (void)usleep(20 * 1000); /* time to do it wrong */
    unsigned written = count(fixture);
    if (mono_since(mono_now(), before) <
        200 * TIME_MS) { /* else this machine is too slow to tell */
        assert_int_equal(written, 1);
    }
    assert_true(arrives(fixture, "db-a", "two", 2)); /* however long it goes on */
    put(fixture, "three", 3, PUBLISHER_REST);
    put(fixture, "four", 4, PUBLISHER_USUAL); /* the end of the rest, if it was one */
    assert_true(arrives(fixture, "db-a", "four", 4));
}

static void long_texts_are_cut_at_whole_characters(void **state)
{
    struct fixture *fixture = *state;
    struct model_database_seen seen;
    char text[2048] = "x";
    for (size_t i = 1; i + 2 < sizeof text; i += 2) { /* at an odd place each */
        text[i] = (char)0xc3;
        text[i + 1] = (char)0xa9;
    }
    put(fixture, text, 1, PUBLISHER_USUAL);
    const struct model_database_seen last = seen_of("short", 2);
    struct publisher_slot *other = publisher_add(fixture->publisher, TEST_GROUP, "db-b");
    publisher_put(fixture->publisher, other, &last, HEARTBEAT, PUBLISHER_USUAL);
    assert_true(arrives(fixture, "db-b", "short", 2));
    assert_true(test_get_seen(fixture->inner, "db-a", &fixture->arena, &seen));
    assert_true(strlen(seen.message) > 100 && strlen(seen.message) < sizeof text);
    publisher_remove(fixture->publisher, other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_seen_is_written_with_its_time),
        TEST(positions_alone_are_written_together_and_the_last_one_arrives),
        TEST(the_same_again_is_not_written_again),
        TEST(while_the_store_is_away_the_newest_waits),
        TEST(what_changes_while_it_is_written_is_written_next),
        TEST(a_member_that_is_gone_holds_up_nobody),
        TEST(a_slot_may_go_while_it_is_written),
        TEST(the_last_that_was_seen_is_written_at_the_end),
        TEST(the_end_does_not_wait_for_a_store_that_is_away),
        TEST(what_stays_as_it_is_is_written_with_each_heartbeat),
        TEST(while_somebody_waits_for_the_store_nothing_is_written_for_a_while),
        TEST(long_texts_are_cut_at_whole_characters),
    };
    return cmocka_run_group_tests_name("database/agent publisher", tests, NULL, NULL);
}
