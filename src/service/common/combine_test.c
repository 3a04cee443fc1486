/* Combining: the order, who is taken along and who waits for whom, and patience. */
#include "service/common/combine.h"

#include "base/macro.h"
#include "base/time.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#define CALLERS 5U
#define WEIGHT ((size_t)100)

static const char *const a[] = {"a"};
static const char *const b[] = {"b"};
static const char *const both[] = {"b", "a"};

/* A call that is made on a thread of its own. */
struct caller {
    struct combiner *combiner;
    struct combine_call call;
    pthread_t thread;
    unsigned place;      /* in the order in which work was done; the first is 1 */
    unsigned round;      /* the same for calls that were worked for together */
    atomic_bool *closed; /* its work is not over while this is so; NULL: at once */
};

static atomic_uint places;
static atomic_uint rounds;
static atomic_uint working; /* on "a" */

static void work(struct combine_call *first)
{
    struct caller *leader = first->work;
    unsigned round = atomic_fetch_add(&rounds, 1) + 1;
    bool of_a = first->count > 1 || first->names == a;
    if (of_a && leader->closed == NULL) {
        assert_int_equal(atomic_fetch_add(&working, 1), 0);
    }
    while (leader->closed != NULL && atomic_load(leader->closed)) {
        (void)sched_yield();
    }
    for (struct combine_call *call = first; call != NULL; call = call->with) {
        struct caller *caller = call->work;
        caller->place = atomic_fetch_add(&places, 1) + 1;
        caller->round = round;
    }
    if (of_a && leader->closed == NULL) {
        (void)atomic_fetch_sub(&working, 1);
    }
}

static void *run(void *argument)
{
    struct caller *caller = argument;
    combine(caller->combiner, &caller->call, work);
    return NULL;
}

/* Returns once the combiner has it. */
static void start(struct combiner *combiner, struct caller *caller, const char *const *names,
                  size_t count, size_t weight, atomic_bool *closed)
{
    size_t before = combiner_count(combiner);
    *caller =
        (struct caller){.combiner = combiner,
                        .closed = closed,
                        .call = {.names = names, .count = count, .weight = weight, .work = caller}};
    assert_int_equal(pthread_create(&caller->thread, NULL, run, caller), 0);
    while (combiner_count(combiner) == before) {
        (void)sched_yield();
    }
}

/* The first, whose work lasts. */
static void start_long(struct combiner *combiner, struct caller *caller, const char *const *names,
                       size_t count, atomic_bool *closed)
{
    unsigned before = atomic_load(&rounds);
    atomic_store(closed, true);
    start(combiner, caller, names, count, 1, closed);
    while (atomic_load(&rounds) == before) {
        (void)sched_yield();
    }
}

static void join(struct caller *callers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(callers[i].thread, NULL);
    }
}

static struct combiner *begin(int64_t patience_ns, size_t weight)
{
    atomic_store(&places, 0);
    atomic_store(&rounds, 0);
    atomic_store(&working, 0);
    return combiner_new(patience_ns, weight);
}

static void end(struct combiner *combiner)
{
    assert_int_equal(combiner_count(combiner), 0);
    combiner_free(combiner);
}

/* ---- tests ---- */

static void who_comes_alone_works_at_once(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, WEIGHT);
    struct caller caller = {
        .call = {.names = a, .count = 1, .weight = WEIGHT * 2, .work = &caller}};
    combine(combiner, &caller.call, work);
    assert_int_equal(caller.place, 1);
    assert_int_equal(caller.call.waited_ns, 0);
    assert_null(caller.call.with);
    end(combiner);
}

static void those_who_wait_are_worked_for_together_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, WEIGHT);
    struct caller callers[CALLERS];
    atomic_bool closed;
    start_long(combiner, &callers[0], a, 1, &closed);
    for (size_t i = 1; i < CALLERS; i++) {
        start(combiner, &callers[i], a, 1, 1, NULL);
    }
    assert_int_equal(atomic_load(&places), 0);
    atomic_store(&closed, false);
    join(callers, CALLERS);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].place, i + 1);
        assert_int_equal(callers[i].round, i == 0 ? 1 : 2);
        assert_true((callers[i].call.waited_ns != 0) == (i != 0));
    }
    end(combiner);
}

static void no_more_are_taken_along_than_the_weight_allows(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, 10);
    struct caller callers[CALLERS];
    atomic_bool closed;
    start_long(combiner, &callers[0], a, 1, &closed);
    start(combiner, &callers[1], a, 1, 4, NULL);
    start(combiner, &callers[2], a, 1, 6, NULL);
    start(combiner, &callers[3], a, 1, 7, NULL);
    start(combiner, &callers[4], a, 1, 3, NULL);
    atomic_store(&closed, false);
    join(callers, CALLERS);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].place, i + 1);
        assert_int_equal(callers[i].round, (i + 1) / 2 + 1);
    }
    end(combiner);
}

static void a_light_one_does_not_pass_a_heavy_one_that_came_before(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, 10);
    struct caller callers[4];
    atomic_bool closed;
    start_long(combiner, &callers[0], a, 1, &closed);
    start(combiner, &callers[1], a, 1, 8, NULL);
    start(combiner, &callers[2], a, 1, 8, NULL);
    start(combiner, &callers[3], a, 1, 1, NULL);
    atomic_store(&closed, false);
    join(callers, ARRAY_SIZE(callers));
    for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
        assert_int_equal(callers[i].place, i + 1);
    }
    assert_int_equal(callers[2].round, 3);
    assert_int_equal(callers[3].round, 3);
    end(combiner);
}

/* While a and b are at work there come a, both, b, a: the first goes when a is free, the others
 * wait for b, as who wants both came before them. */
static void who_wants_more_is_not_taken_along_nor_passed_over(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, WEIGHT);
    struct caller long_a;
    struct caller long_b;
    struct caller callers[4];
    atomic_bool a_closed;
    atomic_bool b_closed;
    start_long(combiner, &long_a, a, 1, &a_closed);
    start_long(combiner, &long_b, b, 1, &b_closed);
    start(combiner, &callers[0], a, 1, 1, NULL);
    start(combiner, &callers[1], both, 2, 1, NULL);
    start(combiner, &callers[2], b, 1, 1, NULL);
    start(combiner, &callers[3], a, 1, 1, NULL);
    atomic_store(&a_closed, false);
    (void)pthread_join(callers[0].thread, NULL);
    (void)pthread_join(long_a.thread, NULL);
    assert_int_equal(combiner_count(combiner), 4);
    atomic_store(&b_closed, false);
    (void)pthread_join(long_b.thread, NULL);
    join(callers + 1, 3);
    for (size_t i = 1; i < ARRAY_SIZE(callers); i++) {
        assert_int_equal(callers[i].round,
                         callers[1].round); /* it takes both of the others along */
        assert_int_equal(callers[i].place, callers[1].place + i - 1);
    }
    assert_true(callers[0].round < callers[1].round);
    end(combiner);
}

static void those_who_want_something_else_do_not_wait(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, WEIGHT);
    struct caller first;
    struct caller second = {.call = {.names = b, .count = 1, .weight = 1, .work = &second}};
    atomic_bool closed;
    start_long(combiner, &first, a, 1, &closed);
    combine(combiner, &second.call, work);
    assert_int_equal(second.place, 1);
    atomic_store(&closed, false);
    join(&first, 1);
    end(combiner);
}

/* It leads, although the first still does, and takes along who waits behind it. */
static void patience_ends(void **state)
{
    (void)state;
    struct combiner *combiner = begin(5 * TIME_MS, WEIGHT);
    struct caller first;
    struct caller late = {.call = {.names = a, .count = 1, .weight = 1, .work = &late}};
    atomic_bool closed;
    start_long(combiner, &first, a, 1, &closed);
    combine(combiner, &late.call, work);
    assert_int_equal(late.place, 1);
    assert_true(late.call.waited_ns >= 5 * TIME_MS);
    atomic_store(&closed, false);
    join(&first, 1);
    assert_int_equal(first.place, 2);
    end(combiner);
}

/* Who was taken along has no patience to lose: its work is under way. (Should the machine stand
 * still for longer than patience, it is not taken along.) */
static void who_was_taken_along_waits_for_the_end(void **state)
{
    (void)state;
    struct combiner *combiner = begin(50 * TIME_MS, WEIGHT);
    struct caller callers[3];
    atomic_bool closed;
    atomic_bool second_closed = true;
    start_long(combiner, &callers[0], a, 1, &closed);
    start(combiner, &callers[1], a, 1, 1, &second_closed);
    start(combiner, &callers[2], a, 1, 1, NULL);
    atomic_store(&closed, false);
    while (atomic_load(&rounds) < 2) {
        (void)sched_yield();
    }
    if (atomic_load(&rounds) == 2 && combiner_count(combiner) == 1) {
        struct mono since = mono_now();
        while (mono_since(mono_now(), since) < 60 * TIME_MS) {
            (void)sched_yield();
        }
        assert_int_equal(atomic_load(&rounds), 2);
        assert_int_equal(combiner_count(combiner), 1);
    }
    atomic_store(&second_closed, false);
    join(callers, ARRAY_SIZE(callers));
    end(combiner);
}

static void without_a_combiner_nobody_waits(void **state)
{
    (void)state;
    struct caller caller = {.call = {.names = a, .count = 1, .weight = 1, .work = &caller}};
    combiner_free(begin(0, 0));
    combine(NULL, &caller.call, work);
    assert_int_equal(caller.place, 1);
    combiner_free(NULL);
}

/* ---- all at once ---- */

#define CROWD 8U
#define CALLS 300U

struct crowd {
    struct combiner *combiner;
    pthread_t thread;
    unsigned number;
    unsigned done;
};

static atomic_uint served;

static void serve(struct combine_call *first)
{
    size_t weight = 0;
    assert_int_equal(atomic_fetch_add(&working, 1), 0);
    for (struct combine_call *call = first; call != NULL; call = call->with) {
        ((struct crowd *)call->work)->done++;
        weight += call->weight;
        (void)atomic_fetch_add(&served, 1);
    }
    assert_true(weight <= 4);
    (void)atomic_fetch_sub(&working, 1);
}

static void *call_often(void *argument)
{
    struct crowd *crowd = argument;
    for (unsigned i = 0; i < CALLS; i++) {
        bool one = (i + crowd->number) % 3 != 0;
        struct combine_call call = {
            .names = one ? a : both, .count = one ? 1 : 2, .weight = 1, .work = crowd};
        combine(crowd->combiner, &call, serve);
        assert_int_equal(crowd->done, i + 1);
    }
    return NULL;
}

static void each_call_is_done_once_and_none_beside_another(void **state)
{
    (void)state;
    struct combiner *combiner = begin(60 * TIME_S, 4);
    struct crowd crowd[CROWD];
    atomic_store(&served, 0);
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = (struct crowd){.combiner = combiner, .number = i};
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, call_often, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        (void)pthread_join(crowd[i].thread, NULL);
    }
    assert_int_equal(atomic_load(&served), CROWD * CALLS);
    end(combiner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_alone_works_at_once),
        cmocka_unit_test(those_who_wait_are_worked_for_together_in_the_order_in_which_they_came),
        cmocka_unit_test(no_more_are_taken_along_than_the_weight_allows),
        cmocka_unit_test(a_light_one_does_not_pass_a_heavy_one_that_came_before),
        cmocka_unit_test(who_wants_more_is_not_taken_along_nor_passed_over),
        cmocka_unit_test(those_who_want_something_else_do_not_wait),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(who_was_taken_along_waits_for_the_end),
        cmocka_unit_test(without_a_combiner_nobody_waits),
        cmocka_unit_test(each_call_is_done_once_and_none_beside_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
