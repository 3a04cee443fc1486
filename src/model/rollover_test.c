/* Unit tests of the rollover's decisions, over a simulated year. */
#include "model/rollover.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_S INT64_C(86400)
#define PERIOD_S (90 * DAY_S)

static struct model_signing_key key(unsigned tag, enum model_key_status status, int64_t since)
{
    return (struct model_signing_key){
        .flags = MODEL_FLAGS_ZONE_KEY, .tag = tag, .status = status, .modified_s = since};
}

/* What the daemon does with a step. */
static size_t apply(struct model_signing_key *keys, size_t count, struct model_rollover step,
                    int64_t now)
{
    static unsigned tag = 100;
    switch (step.step) {
    case MODEL_ROLLOVER_PUBLISH:
        keys[count++] = key(tag++, MODEL_KEY_PUBLISHED, now);
        break;
    case MODEL_ROLLOVER_SWITCH:
        keys[step.active] = key(keys[step.active].tag, MODEL_KEY_RETIRED, now);
        keys[step.other] = key(keys[step.other].tag, MODEL_KEY_ACTIVE, now);
        break;
    case MODEL_ROLLOVER_REMOVE:
        keys[step.other] = keys[--count];
        break;
    case MODEL_ROLLOVER_NONE:
        break;
    }
    return count;
}

static void a_key_is_shown_before_it_signs_and_after(void **state)
{
    (void)state;
    struct model_signing_key keys[4] = {key(1, MODEL_KEY_ACTIVE, 0)};
    size_t count = 1;
    int64_t at[4] = {0};
    for (int64_t now = 0; now < 400 * DAY_S; now += 3600) {
        struct model_rollover step = model_rollover_next(keys, count, now, PERIOD_S);
        if (step.step != MODEL_ROLLOVER_NONE && at[step.step] == 0) {
            at[step.step] = now;
        }
        count = apply(keys, count, step, now);
        unsigned active = 0;
        for (size_t i = 0; i < count; i++) {
            active += keys[i].status == MODEL_KEY_ACTIVE ? 1 : 0;
        }
        assert_int_equal(1, active);
        assert_in_range(count, 1, 2);
    }
    assert_int_equal(PERIOD_S, at[MODEL_ROLLOVER_PUBLISH]);
    assert_int_equal(PERIOD_S + DAY_S, at[MODEL_ROLLOVER_SWITCH]);
    assert_int_equal(PERIOD_S + 16 * DAY_S, at[MODEL_ROLLOVER_REMOVE]);
    assert_true(keys[0].tag != 1);
}

static void nothing_happens_without_a_period_or_an_active_key(void **state)
{
    (void)state;
    struct model_signing_key keys[] = {key(1, MODEL_KEY_ACTIVE, 0)};
    assert_int_equal(MODEL_ROLLOVER_NONE, model_rollover_next(keys, 1, INT64_MAX, 0).step);
    assert_int_equal(MODEL_ROLLOVER_NONE, model_rollover_next(keys, 0, DAY_S, 1).step);
    keys[0].status = MODEL_KEY_RETIRED;
    assert_int_equal(MODEL_ROLLOVER_NONE, model_rollover_next(keys, 1, INT64_MAX, 1).step);
}

static void a_clock_that_was_set_back_waits(void **state)
{
    (void)state;
    struct model_signing_key keys[] = {key(1, MODEL_KEY_ACTIVE, 0),
                                       key(2, MODEL_KEY_PUBLISHED, 100 * DAY_S)};
    assert_int_equal(MODEL_ROLLOVER_NONE, model_rollover_next(keys, 2, 50 * DAY_S, PERIOD_S).step);
    assert_int_equal(MODEL_ROLLOVER_SWITCH,
                     model_rollover_next(keys, 2, 101 * DAY_S, PERIOD_S).step);
}

static void waits_are_a_third_of_a_short_period(void **state)
{
    (void)state;
    struct model_signing_key keys[] = {key(1, MODEL_KEY_ACTIVE, 0), key(2, MODEL_KEY_PUBLISHED, 9)};
    assert_int_equal(MODEL_ROLLOVER_NONE, model_rollover_next(keys, 2, 10, 6).step);
    struct model_rollover step = model_rollover_next(keys, 2, 11, 6);
    assert_int_equal(MODEL_ROLLOVER_SWITCH, step.step);
    assert_int_equal(0, step.active);
    assert_int_equal(1, step.other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_shown_before_it_signs_and_after),
        cmocka_unit_test(nothing_happens_without_a_period_or_an_active_key),
        cmocka_unit_test(a_clock_that_was_set_back_waits),
        cmocka_unit_test(waits_are_a_third_of_a_short_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
