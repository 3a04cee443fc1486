/* Tests of follow.h with a store in memory that fails on demand. What the follower says is kept as
 * a picture of the store; at rest it must be what the store has. */
#include "store/follow.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_NS (20 * TIME_S)
#define TEXT 64

struct fixture {
    struct store *inner;
    struct store *other; /* what was put in its place; or NULL */
    struct store *store;
    struct store_follower *follower;
    struct err err;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    char value[TEXT]; /* of key "a/key"; "": it is not there */
    unsigned reads;   /* of everything */
    unsigned batches; /* with changes */
    unsigned failures;
    int64_t longest_retry_ms;
    bool went_back; /* a batch brought what had been read before */
    int64_t known;
};

static void put(struct store *store, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct err err = ERR_INIT;
    int64_t revision = 0;
    store_txn_put(txn, "a/key", value, strlen(value));
    store_txn_put(txn, "b/key", value, strlen(value));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static int read_all(void *context, int64_t *revision, struct err *err)
{
    struct fixture *fixture = context;
    struct arena arena CLEANUP(arena_done);
    struct store_list list;
    arena_init(&arena, 0);
    int rc = store_range(fixture->store, "a/", NULL, 0, &arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    thread_lock(&fixture->mutex);
    IGNORE_RESULT(text_copy(fixture->value, TEXT, list.count != 0 ? list.entries[0].value : ""));
    fixture->reads++;
    fixture->known = list.revision;
    (void)pthread_cond_signal(&fixture->changed);
    thread_unlock(&fixture->mutex);
    *revision = list.revision;
    return 0;
}

static void take_batch(void *context, const struct store_batch *batch)
{
    struct fixture *fixture = context;
    thread_lock(&fixture->mutex);
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_change *change = &batch->changes[i];
        bool deleted = change->type == STORE_DELETE;
        IGNORE_RESULT(text_copy(fixture->value, TEXT, deleted ? "" : change->entry.value));
        fixture->went_back |= change->entry.changed_revision <= fixture->known ||
                              !text_equal(change->entry.key, "a/key");
        fixture->known = change->entry.changed_revision;
    }
    fixture->batches += batch->count != 0 ? 1 : 0;
    (void)pthread_cond_signal(&fixture->changed);
    thread_unlock(&fixture->mutex);
}

static void failed(void *context, const struct err *err, int64_t retry_ms)
{
    struct fixture *fixture = context;
    thread_lock(&fixture->mutex);
    fixture->failures += err->kind == ERR_UNAVAILABLE ? 1 : 1000;
    fixture->longest_retry_ms = MAX(fixture->longest_retry_ms, retry_ms);
    (void)pthread_cond_signal(&fixture->changed);
    thread_unlock(&fixture->mutex);
}

static void wait_value(struct fixture *fixture, const char *value)
{
    struct mono until = mono_from_now(PATIENCE_NS);
    thread_lock(&fixture->mutex);
    while (!text_equal(fixture->value, value)) {
        assert_true(thread_wait_until(&fixture->changed, &fixture->mutex, until));
    }
    thread_unlock(&fixture->mutex);
}

static void wait_failures(struct fixture *fixture, unsigned count)
{
    struct mono until = mono_from_now(PATIENCE_NS);
    thread_lock(&fixture->mutex);
    while (fixture->failures < count) {
        assert_true(thread_wait_until(&fixture->changed, &fixture->mutex, until));
    }
    thread_unlock(&fixture->mutex);
}

static int new_follower(struct fixture *fixture)
{
    struct store_follower_config config = {
        .store = fixture->store,
        .prefix = "a/",
        .thread = "test-follower",
        .read_all = read_all,
        .take_batch = take_batch,
        .failed = failed,
        .context = fixture,
    };
    return store_follower_new(&config, &fixture->follower, &fixture->err);
}

static void start(struct fixture *fixture)
{
    assert_int_equal(new_follower(fixture), 0);
    assert_int_equal(store_follower_start(fixture->follower, &fixture->err), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    thread_sync_init(&fixture->mutex, &fixture->changed);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_follower_free(fixture->follower);
    store_close(fixture->store);
    store_close(fixture->inner);
    store_close(fixture->other);
    thread_sync_done(&fixture->mutex, &fixture->changed);
    free(fixture);
    return 0;
}

/* ---- tests ---- */

static void everything_is_read_before_the_thread_starts(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->inner, "one");
    assert_int_equal(new_follower(fixture), 0);
    assert_string_equal(fixture->value, "one");
    assert_int_equal(fixture->reads, 1);
}

static void every_change_arrives_once(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->inner, "one");
    assert_int_equal(new_follower(fixture), 0);
    put(fixture->inner, "two"); /* before the thread */
    assert_int_equal(store_follower_start(fixture->follower, &fixture->err), 0);
    wait_value(fixture, "two");
    put(fixture->inner, "three");
    wait_value(fixture, "three");
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_delete(txn, "a/key");
    assert_int_equal(store_commit(fixture->inner, txn, &revision, &fixture->err), 0);
    wait_value(fixture, "");
    assert_false(fixture->went_back);
    assert_int_equal(fixture->batches, 3);
    assert_int_equal(fixture->reads, 1);
}

static void a_store_that_fails_is_tried_with_growing_pauses(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    put(fixture->inner, "one");
    wait_value(fixture, "one");
    fickle_fail(fixture->store, true);
    wait_failures(fixture, 3);
    assert_string_equal(fixture->value, "one"); /* stays */
    put(fixture->inner, "two");
    fickle_fail(fixture->store, false);
    wait_value(fixture, "two");
    assert_in_range(fixture->longest_retry_ms, 200, 5000);
    assert_true(fixture->failures < 1000);
    put(fixture->inner, "three");
    wait_value(fixture, "three");
    assert_false(fixture->went_back);
}

static void a_store_with_another_past_is_read_anew(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 10; i++) {
        put(fixture->inner, i < 9 ? "before" : "one");
    }
    start(fixture);
    fixture->other = store_memory_open();
    put(fixture->other, "restored"); /* at a lower revision */
    fickle_replace(fixture->store, fixture->other);
    wait_value(fixture, "restored");
    put(fixture->other, "later");
    wait_value(fixture, "later");
}

static void a_store_with_another_past_is_noticed_before_the_thread_starts(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 10; i++) {
        put(fixture->inner, "before");
    }
    assert_int_equal(new_follower(fixture), 0);
    fixture->other = store_memory_open();
    put(fixture->other, "restored");
    fickle_replace(fixture->store, fixture->other);
    assert_int_equal(store_follower_start(fixture->follower, &fixture->err), 0);
    wait_value(fixture, "restored");
}

static void a_store_that_is_away_at_first_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->store, true);
    assert_int_not_equal(new_follower(fixture), 0);
    assert_int_equal(fixture->err.kind, ERR_UNAVAILABLE);
    assert_null(fixture->follower);
}

static void it_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    start(fixture); /* waits for changes */
    struct mono before = mono_now();
    store_follower_free(fixture->follower);
    start(fixture);
    fickle_fail(fixture->store, true);
    wait_failures(fixture, 4); /* waits before it tries again */
    store_follower_free(fixture->follower);
    fixture->follower = NULL;
    assert_true(mono_since(mono_now(), before) < 60 * TIME_S);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(everything_is_read_before_the_thread_starts),
        TEST(every_change_arrives_once),
        TEST(a_store_that_fails_is_tried_with_growing_pauses),
        TEST(a_store_with_another_past_is_read_anew),
        TEST(a_store_with_another_past_is_noticed_before_the_thread_starts),
        TEST(a_store_that_is_away_at_first_is_an_error),
        TEST(it_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
