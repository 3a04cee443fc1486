/* Tests of random.h. Statistical bounds are more than six standard deviations wide: a failure means
 * a fault, not bad luck. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void bytes_differ_and_stay_inside_their_room(void **state)
{
    (void)state;
    unsigned char a[64];
    unsigned char b[64];
    (void)memset(a, 0, sizeof a);
    (void)memset(b, 0, sizeof b);
    random_bytes(a, 63);
    random_bytes(b, 63);
    assert_memory_not_equal(a, b, 63);
    assert_int_equal(a[63], 0);
    random_bytes(a, 0);
}

static void text_uses_the_whole_alphabet_evenly(void **state)
{
    (void)state;
    static const char alphabet[] = "abcdefghij";
    char text[20001];
    unsigned counts[256] = {0};
    random_text(text, 20000, alphabet);
    assert_int_equal(strlen(text), 20000);
    for (const char *p = text; *p != '\0'; p++) {
        counts[(unsigned char)*p]++;
    }
    for (const char *p = alphabet; *p != '\0'; p++) {
        assert_in_range(counts[(unsigned char)*p], 1700, 2300);
    }
    random_text(text, 3, "x");
    assert_string_equal(text, "xxx");
    random_text(text, 0, "x");
    assert_string_equal(text, "");
}

static void uuids_are_version_four_and_differ(void **state)
{
    (void)state;
    char a[RANDOM_UUID_TEXT];
    char b[RANDOM_UUID_TEXT];
    for (int i = 0; i < 100; i++) {
        random_uuid(a);
        random_uuid(b);
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(a), 36);
        assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
        assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
}

static void a_seed_repeats_and_none_does_not(void **state)
{
    (void)state;
    struct random a;
    struct random b;
    random_init(&a, 7);
    random_init(&b, 7);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(random_next(&a), random_next(&b));
    }
    random_init(&b, 8);
    assert_int_not_equal(random_next(&a), random_next(&b));
    random_init(&a, 0);
    random_init(&b, 0);
    assert_int_not_equal(random_next(&a), random_next(&b));
}

static void below_stays_below_and_is_even(void **state)
{
    (void)state;
    static const uint32_t bounds[] = {1, 2, 3, 7, 100, UINT32_MAX};
    struct random random;
    random_init(&random, 42);
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        for (int j = 0; j < 1000; j++) {
            assert_true(random_below(&random, bounds[i]) < bounds[i]);
        }
    }
    unsigned counts[7] = {0};
    for (int j = 0; j < 70000; j++) {
        counts[random_below(&random, 7)]++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        assert_in_range(counts[i], 9400, 10600);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_differ_and_stay_inside_their_room),
        cmocka_unit_test(text_uses_the_whole_alphabet_evenly),
        cmocka_unit_test(uuids_are_version_four_and_differ),
        cmocka_unit_test(a_seed_repeats_and_none_does_not),
        cmocka_unit_test(below_stays_below_and_is_even),
    };
    return cmocka_run_group_tests_name("base random", tests, NULL, NULL);
}
