/* Tests of err.h. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_returns_the_code_of_its_kind(void **state)
{
    (void)state;
    static const struct {
        enum err_kind kind;
        int code;
        const char *name;
        bool retryable;
    } rows[] = {
#define X(name, number, text, retryable) {ERR_##name, -(number), #name, retryable},
        ERR_KINDS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(err_set(&err, rows[i].kind, "line %d", 7), rows[i].code);
        assert_int_equal(err.code, rows[i].code);
        assert_int_equal(err.kind, rows[i].kind);
        assert_string_equal(err.message, "line 7");
        assert_string_equal(err_kind_name(rows[i].kind), rows[i].name);
        assert_int_equal(err_kind_retryable(rows[i].kind), rows[i].retryable);
        assert_true(strlen(err_kind_text(rows[i].kind)) > 0);
    }
}

static void kinds_have_distinct_codes(void **state)
{
    (void)state;
    static const int numbers[] = {
#define X(name, number, text, retryable) number,
        ERR_KINDS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(numbers[i], numbers[j]);
        }
    }
}

static void errno_chooses_the_kind_and_keeps_its_own_code(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum err_kind kind;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND},  {EACCES, ERR_DENIED},
        {EPERM, ERR_DENIED},      {ENOSPC, ERR_IO},
        {EROFS, ERR_IO},          {ECONNREFUSED, ERR_UNAVAILABLE},
        {EPIPE, ERR_UNAVAILABLE}, {EHOSTUNREACH, ERR_UNAVAILABLE},
        {ETIMEDOUT, ERR_TIMEOUT}, {ENOMEM, ERR_MEMORY},
        {EMFILE, ERR_IO},         {EIO, ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(err_set_errno(&err, rows[i].number, "opening %s", "x"), -rows[i].number);
        assert_int_equal(err.kind, rows[i].kind);
        struct err negative = ERR_INIT;
        assert_int_equal(err_set_errno(&negative, -rows[i].number, "opening x"), -rows[i].number);
        assert_string_equal(negative.message, err.message);
    }
    struct err err = ERR_INIT;
    (void)err_set_errno(&err, ENOENT, "opening %s", "/etc/x"); /* the code is tested above */
    assert_string_equal(err.message, "opening /etc/x: No such file or directory");
}

static void wrap_puts_the_context_in_front_and_keeps_code_and_kind(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_INVALID, "bad TTL");
    assert_int_equal(err_wrap(&err, "line %d", 7), -EINVAL);
    assert_int_equal(err_wrap(&err, "loading zone %s", "example.com"), -EINVAL);
    assert_string_equal(err.message, "loading zone example.com: line 7: bad TTL");
    assert_int_equal(err.kind, ERR_INVALID);
}

static void messages_are_cut_and_end_in_a_nul(void **state)
{
    (void)state;
    char wide[1000];
    (void)memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_INVALID, "%s", wide);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    (void)err_wrap(&err, "%s", wide);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    (void)err_set_errno(&err, EIO, "%s", wide);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_code_of_its_kind),
        cmocka_unit_test(kinds_have_distinct_codes),
        cmocka_unit_test(errno_chooses_the_kind_and_keeps_its_own_code),
        cmocka_unit_test(wrap_puts_the_context_in_front_and_keeps_code_and_kind),
        cmocka_unit_test(messages_are_cut_and_end_in_a_nul),
    };
    return cmocka_run_group_tests_name("base err", tests, NULL, NULL);
}
