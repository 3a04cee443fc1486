/* Tests of buf.h. */
#include "base/buf.h"

#include "base/test_wipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buffer_is_an_empty_string(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 0);
    assert_string_equal(buf_text(&buf), "");
    buf_put(&buf, NULL, 0);
    buf_puts(&buf, "");
    buf_printf(&buf, "%s", "");
    assert_string_equal(buf_text(&buf), "");
    assert_false(buf_failed(&buf));
}

static void appends_add_up_across_growth(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 0);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&buf, "%03d", i);
        buf_putc(&buf, ',');
        buf_put(&buf, "\0x", 2);
        assert_int_equal(buf_text(&buf)[buf.length], '\0');
    }
    assert_int_equal(buf.length, 6000);
    assert_memory_equal(buf_text(&buf) + 5994, "999,\0x", 6);
}

static void the_limit_holds_to_the_byte_and_the_contents_stay(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 10);
    buf_puts(&buf, "0123456789");
    assert_false(buf_failed(&buf));
    buf_putc(&buf, 'x');
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "0123456789");
    buf_reset(&buf);
    assert_false(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "");
    buf_printf(&buf, "%s", "0123456789a");
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "");
    buf_reset(&buf);
    buf_put(&buf, "x", SIZE_MAX); /* refused before it is read */
    assert_true(buf_failed(&buf));
}

static void the_error_is_sticky_even_for_what_would_fit(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 4);
    buf_puts(&buf, "too long");
    buf_puts(&buf, "ok");
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "");
    size_t length = 77;
    assert_null(buf_take(&buf, &length));
    assert_int_equal(length, 77); /* written on success only */
}

static void take_hands_the_memory_over(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_done);
    buf_init(&buf, 100);
    buf_puts(&buf, "first");
    size_t length = 0;
    char *taken = buf_take(&buf, &length);
    assert_int_equal(length, 5);
    buf_puts(&buf, "second");
    assert_string_equal(taken, "first");
    assert_string_equal(buf_text(&buf), "second");
    free(taken);
    buf_reset(&buf);
    taken = buf_take(&buf, &length);
    assert_string_equal(taken, "");
    assert_int_equal(length, 0);
    free(taken);
    taken = buf_take(&buf, &length); /* never held anything */
    assert_string_equal(taken, "");
    free(taken);
}

static void a_secret_buffer_is_wiped_where_it_grows_and_goes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    buf_keep_secret(&buf);
    test_wiped = 0;
    for (int i = 0; i < 200; i++) {
        buf_putc(&buf, 's');
    }
    assert_int_equal(buf.length, 200);
    assert_int_equal(strspn(buf_text(&buf), "s"), 200);
    assert_in_range(test_wiped, 100, 200); /* of the first memory */
    size_t capacity = buf.capacity;
    test_wiped = 0;
    buf_done(&buf);
    assert_int_equal(test_wiped, capacity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_string),
        cmocka_unit_test(appends_add_up_across_growth),
        cmocka_unit_test(the_limit_holds_to_the_byte_and_the_contents_stay),
        cmocka_unit_test(the_error_is_sticky_even_for_what_would_fit),
        cmocka_unit_test(take_hands_the_memory_over),
        cmocka_unit_test(a_secret_buffer_is_wiped_where_it_grows_and_goes),
    };
    return cmocka_run_group_tests_name("base buf", tests, NULL, NULL);
}
