/* Turns: the order, what waits for what, and patience. */
#include "service/common/turns.h"

#include "base/macro.h"
#include "base/time.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#define CALLERS 5U

struct caller {
    struct turns *turns;
    const char *const *names;
    size_t count;
    pthread_t thread;
    unsigned place; /* the first is 1 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned served;
static unsigned working;

static void *call(void *argument)
{
    struct caller *caller = argument;
    struct turn turn;
    (void)turns_enter(caller->turns, &turn, caller->names, caller->count); /* however long */
    (void)pthread_mutex_lock(&lock);
    caller->place = ++served;
    assert_int_equal(++working, 1);
    (void)pthread_mutex_unlock(&lock);
    (void)sched_yield(); /* others may try */
    (void)pthread_mutex_lock(&lock);
    working--;
    (void)pthread_mutex_unlock(&lock);
    turns_leave(caller->turns, &turn);
    return NULL;
}

static void those_who_want_the_same_go_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    static const char *const one[] = {"a"};
    static const char *const two[] = {"b", "a"};
    struct turns *turns = turns_new(60 * TIME_S);
    struct caller callers[CALLERS];
    struct turn turn;
    served = 0;
    working = 0;
    assert_int_equal(turns_enter(turns, &turn, one, 1), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){
            .turns = turns, .names = i % 2 != 0 ? two : one, .count = i % 2 != 0 ? 2 : 1};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
        while (turns_count(turns) != i + 2) {
            (void)sched_yield();
        }
    }
    turns_leave(turns, &turn);
    for (size_t i = 0; i < CALLERS; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].place, i + 1);
    }
    assert_int_equal(turns_count(turns), 0);
    turns_free(turns);
}

static void those_who_want_something_else_do_not_wait(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    struct turns *turns = turns_new(60 * TIME_S);
    struct turn first;
    struct turn second;
    assert_int_equal(turns_enter(turns, &first, names, 2), 0);
    assert_int_equal(turns_enter(turns, &second, names + 2, 1), 0);
    turns_leave(turns, &first);
    turns_leave(turns, &second);
    turns_free(turns);
}

static void patience_ends(void **state)
{
    (void)state;
    static const char *const names[] = {"a"};
    struct turns *turns = turns_new(5 * TIME_MS);
    struct turn first;
    struct turn second;
    assert_int_equal(turns_enter(turns, &first, names, 1), 0);
    assert_true(turns_enter(turns, &second, names, 1) >= 5 * TIME_MS);
    turns_leave(turns, &first);
    turns_leave(turns, &second);
    turns_free(turns);
}

static void without_turns_nobody_waits(void **state)
{
    (void)state;
    static const char *const names[] = {"a"};
    struct turn first;
    struct turn second;
    assert_int_equal(turns_enter(NULL, &first, names, 1), 0);
    assert_int_equal(turns_enter(NULL, &second, names, 1), 0);
    turns_leave(NULL, &first);
    turns_leave(NULL, &second);
    turns_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_want_the_same_go_in_the_order_in_which_they_came),
        cmocka_unit_test(those_who_want_something_else_do_not_wait),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(without_turns_nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
