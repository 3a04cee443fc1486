/* Tests of thread.h: what a thread begins with, and waits that end. */
#include "base/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned turns;
    char name[16];
    bool blocked;
};

static void *look_around(void *argument)
{
    struct shared *shared = argument;
    sigset_t mask;
    (void)sigemptyset(&mask);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    shared->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPIPE) == 1;
    (void)pthread_getname_np(pthread_self(), shared->name, sizeof shared->name);
    return NULL;
}

static void a_thread_has_its_name_and_gets_no_signal(void **state)
{
    (void)state;
    struct shared shared = {.turns = 0};
    struct err err = ERR_INIT;
    pthread_t thread;
    sigset_t mask;
    assert_int_equal(thread_start(&thread, "look-around", look_around, &shared, &err), 0);
    thread_join(thread);
    assert_string_equal(shared.name, "look-around");
    assert_true(shared.blocked);
    (void)sigemptyset(&mask);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0); /* who started it still does */
}

static void a_wait_ends_with_its_deadline(void **state)
{
    (void)state;
    struct shared shared = {.turns = 0};
    struct mono before = mono_now();
    struct mono until = mono_from_now(20 * TIME_MS);
    thread_sync_init(&shared.mutex, &shared.changed);
    thread_lock(&shared.mutex);
    while (thread_wait_until(&shared.changed, &shared.mutex, until)) {
        /* woken for nothing */
    }
    thread_unlock(&shared.mutex);
    assert_true(mono_since(mono_now(), before) >= 20 * TIME_MS);
    thread_sync_done(&shared.mutex, &shared.changed);
}

static void *take_turns(void *argument)
{
    struct shared *shared = argument;
    thread_lock(&shared->mutex);
    shared->turns++;
    (void)pthread_cond_signal(&shared->changed);
    thread_unlock(&shared->mutex);
    return NULL;
}

static void a_wait_ends_with_a_signal(void **state)
{
    (void)state;
    struct shared shared = {.turns = 0};
    struct err err = ERR_INIT;
    struct mono until = mono_from_now(60 * TIME_S);
    pthread_t thread;
    thread_sync_init(&shared.mutex, &shared.changed);
    assert_int_equal(thread_start(&thread, "turns", take_turns, &shared, &err), 0);
    thread_lock(&shared.mutex);
    while (shared.turns == 0) {
        assert_true(thread_wait_until(&shared.changed, &shared.mutex, until));
    }
    thread_unlock(&shared.mutex);
    thread_join(thread);
    thread_sync_done(&shared.mutex, &shared.changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_gets_no_signal),
        cmocka_unit_test(a_wait_ends_with_its_deadline),
        cmocka_unit_test(a_wait_ends_with_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
