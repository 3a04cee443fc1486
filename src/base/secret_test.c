/* Tests of secret.h. */
#include "base/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool all_zero(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum |= bytes[i];
    }
    return sum == 0;
}

static void set_takes_up_to_the_limit(void **state)
{
    (void)state;
    char wide[SECRET_LIMIT + 1];
    (void)memset(wide, 'k', sizeof wide);
    struct secret secret = {0};
    assert_int_equal(secret_set(&secret, wide, SECRET_LIMIT), 0);
    assert_int_equal(secret.length, SECRET_LIMIT);
    assert_int_equal(secret.data[SECRET_LIMIT], '\0');
    assert_int_equal(secret_set(&secret, wide, SECRET_LIMIT + 1), -ENOSPC);
    assert_int_equal(secret.length, SECRET_LIMIT); /* as it was */
    assert_int_equal(secret_set(&secret, NULL, 0), 0);
    assert_int_equal(secret.length, 0);
}

static void a_shorter_secret_leaves_nothing_of_a_longer_one(void **state)
{
    (void)state;
    struct secret secret = {0};
    assert_int_equal(secret_set(&secret, "a long secret", 13), 0);
    assert_int_equal(secret_set(&secret, "short", 5), 0);
    assert_string_equal(secret.data, "short");
    assert_true(all_zero(secret.data + 5, sizeof secret.data - 5));
}

static void wiping_leaves_zeroes(void **state)
{
    (void)state;
    struct secret secret = {0};
    assert_int_equal(secret_set(&secret, "key", 3), 0);
    secret_wipe(&secret);
    assert_true(all_zero(&secret, sizeof secret));
    char memory[32];
    (void)memset(memory, 'x', sizeof memory);
    secret_wipe_memory(memory, sizeof memory);
    assert_true(all_zero(memory, sizeof memory));
}

static void comparison_sees_every_byte(void **state)
{
    (void)state;
    unsigned char a[32] = {0};
    unsigned char b[32] = {0};
    assert_true(secret_same_bytes(a, b, sizeof a));
    assert_true(secret_same_bytes(a, b, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        assert_false(secret_same_bytes(a, b, sizeof a));
        assert_true(secret_same_bytes(a, b, i));
        b[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_takes_up_to_the_limit),
        cmocka_unit_test(a_shorter_secret_leaves_nothing_of_a_longer_one),
        cmocka_unit_test(wiping_leaves_zeroes),
        cmocka_unit_test(comparison_sees_every_byte),
    };
    return cmocka_run_group_tests_name("base secret", tests, NULL, NULL);
}
