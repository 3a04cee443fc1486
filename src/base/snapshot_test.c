/* Tests of snapshot.h with real threads. A disposed object is poisoned and kept, so that a reader
 * that still holds it sees the poison; under the thread sanitizer the poisoning itself would be a
 * race. */
#include "base/snapshot.h"

#include "base/memory.h"
#include "base/time.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define READERS 3
#define PUBLICATIONS 3000
#define POISON 0xdeadU

struct item {
    uint64_t a;
    uint64_t b; /* the same as a while it lives */
    struct item *next_dead;
};

static SNAPSHOT(struct item) slot;
static struct item *dead; /* touched by the disposing thread, and by main after a drain */
static _Atomic unsigned disposed;
static _Atomic bool stop;
static _Atomic unsigned wrong;
static _Atomic unsigned loads;

static struct item *item_new(uint64_t number)
{
    struct item *item = memory_new(sizeof *item);
    item->a = number;
    item->b = number;
    return item;
}

static void poison(void *object)
{
    struct item *item = object;
    item->a = POISON;
    item->b = ~(uint64_t)POISON;
    item->next_dead = dead;
    dead = item;
    atomic_fetch_add(&disposed, 1);
}

/* Frees what was disposed of; everything retired is, after the drain. */
static void bury(void)
{
    snapshot_drain();
    while (dead != NULL) {
        struct item *next = dead->next_dead;
        free(dead);
        dead = next;
    }
}

static int reset(void **state)
{
    (void)state;
    atomic_store(&disposed, 0);
    atomic_store(&stop, false);
    atomic_store(&wrong, 0);
    atomic_store(&loads, 0);
    free(SNAPSHOT_PUBLISH(&slot, item_new(1)));
    return 0;
}

static int release(void **state)
{
    (void)state;
    bury();
    free(SNAPSHOT_PUBLISH(&slot, NULL));
    return 0;
}

static void *read_batches(void *argument)
{
    const unsigned *index = argument;
    snapshot_thread_begin();
    uint64_t last = 0;
    for (unsigned batch = 0; !atomic_load_explicit(&stop, memory_order_relaxed); batch++) {
        for (int i = 0; i < 50; i++) {
            const struct item *item = SNAPSHOT_LOAD(&slot);
            uint64_t a = item->a;
            bool good = a == item->b && a >= last; /* whole, alive, and never an older one */
            atomic_fetch_add_explicit(&wrong, good ? 0 : 1, memory_order_relaxed);
            last = a;
        }
        atomic_fetch_add_explicit(&loads, 50, memory_order_relaxed);
        snapshot_quiescent();
        if (batch % 16 == *index) {
            snapshot_offline();
            snapshot_online();
        }
    }
    snapshot_thread_end();
    return NULL;
}

static void readers_never_see_what_was_disposed_of(void **state)
{
    (void)state;
    pthread_t threads[READERS];
    unsigned indices[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        indices[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_batches, &indices[i]), 0);
    }
    for (uint64_t i = 2; i < PUBLICATIONS + 2; i++) {
        snapshot_retire(SNAPSHOT_PUBLISH(&slot, item_new(i)), poison);
        unsigned seen = atomic_load(&loads);
        while (i % 64 == 0 && atomic_load(&loads) == seen) { /* so that they run side by side */
            (void)sched_yield();                             /* cannot fail on Linux */
        }
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    bury();
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(atomic_load(&disposed), PUBLICATIONS);
    assert_true(atomic_load(&loads) > 0);
}

struct holder {
    sem_t loaded;
    sem_t go_on;
    bool offline;
};

static void *hold(void *argument)
{
    struct holder *holder = argument;
    snapshot_thread_begin();
    const struct item *item = SNAPSHOT_LOAD(&slot);
    uint64_t a = item->a;
    if (holder->offline) {
        snapshot_offline();
    }
    (void)sem_post(&holder->loaded); /* cannot overflow */
    while (sem_wait(&holder->go_on) != 0) {
    }
    if (holder->offline) {
        snapshot_online();
    } else if (item->a != a || item->b != a) { /* still allowed to look */
        atomic_fetch_add(&wrong, 1);
    }
    snapshot_quiescent();
    snapshot_thread_end();
    return NULL;
}

static pthread_t start_holder(struct holder *holder)
{
    pthread_t thread;
    assert_int_equal(sem_init(&holder->loaded, 0, 0), 0);
    assert_int_equal(sem_init(&holder->go_on, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, hold, holder), 0);
    while (sem_wait(&holder->loaded) != 0) {
    }
    return thread;
}

static void end_holder(struct holder *holder, pthread_t thread)
{
    (void)sem_post(&holder->go_on); /* cannot overflow */
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)sem_destroy(&holder->loaded); /* nobody waits any more */
    (void)sem_destroy(&holder->go_on);
}

static void an_object_lives_as_long_as_a_reader_is_not_quiescent(void **state)
{
    (void)state;
    struct holder holder = {.offline = false};
    pthread_t thread = start_holder(&holder);
    snapshot_retire(SNAPSHOT_PUBLISH(&slot, item_new(2)), poison); /* does not block */
    /* That nothing happens can only be watched for a while. */
    struct mono start = mono_now();
    while (mono_since(mono_now(), start) < 50 * TIME_MS) {
        assert_int_equal(atomic_load(&disposed), 0);
    }
    end_holder(&holder, thread);
    snapshot_drain();
    assert_int_equal(atomic_load(&disposed), 1);
    assert_int_equal(atomic_load(&wrong), 0);
}

static void an_offline_reader_holds_nothing_up(void **state)
{
    (void)state;
    struct holder holder = {.offline = true};
    pthread_t thread = start_holder(&holder);
    snapshot_retire(SNAPSHOT_PUBLISH(&slot, item_new(2)), poison);
    snapshot_drain(); /* would wait for ever */
    assert_int_equal(atomic_load(&disposed), 1);
    end_holder(&holder, thread);
}

static void drain_waits_for_everything_retired_before(void **state)
{
    (void)state;
    for (uint64_t i = 2; i < 1002; i++) {
        snapshot_retire(SNAPSHOT_PUBLISH(&slot, item_new(i)), poison);
    }
    snapshot_drain();
    assert_int_equal(atomic_load(&disposed), 1000);
    snapshot_drain(); /* with nothing to wait for */
}

static void a_reader_may_retire_too(void **state)
{
    (void)state;
    snapshot_thread_begin();
    snapshot_retire(SNAPSHOT_PUBLISH(&slot, item_new(2)), poison);
    snapshot_offline();
    snapshot_drain();
    snapshot_online();
    snapshot_thread_end();
    assert_int_equal(atomic_load(&disposed), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_never_see_what_was_disposed_of, reset, release),
        cmocka_unit_test_setup_teardown(an_object_lives_as_long_as_a_reader_is_not_quiescent, reset,
                                        release),
        cmocka_unit_test_setup_teardown(an_offline_reader_holds_nothing_up, reset, release),
        cmocka_unit_test_setup_teardown(drain_waits_for_everything_retired_before, reset, release),
        cmocka_unit_test_setup_teardown(a_reader_may_retire_too, reset, release),
    };
    return cmocka_run_group_tests_name("base snapshot", tests, NULL, NULL);
}
