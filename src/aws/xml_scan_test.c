/* Unit tests of the look ahead over XML bodies. */
#include "aws/xml_scan.h"

#include "aws/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int scan(const char *text)
{
    const char *reason = NULL;
    int result = xml_scan(text, strlen(text), &reason);
    assert_true((result == 0) == (reason == NULL));
    return result;
}

static void ordinary_documents_pass(void **state)
{
    (void)state;
    assert_int_equal(scan("<a/>"), 0);
    assert_int_equal(scan("\xEF\xBB\xBF <?xml version='1.0'?><a b='>'>&lt;</a>"), 0);
    assert_int_equal(scan("<!-- <a><a> --><a><![CDATA[<!DOCTYPE]]></a>"), 0);
}

static void markup_that_does_not_end_is_refused(void **state)
{
    (void)state;
    static const char *const documents[] = {"<", "<a", "<a b='", "<!--", "<![CDATA[", "<?a", "</a"};
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        assert_int_equal(scan(documents[i]), -EINVAL);
    }
}

static void what_is_no_markup_at_the_start_is_refused(void **state)
{
    (void)state;
    assert_int_equal(scan(""), -EINVAL);
    assert_int_equal(scan("a<a/>"), -EINVAL);
    assert_int_equal(scan("<!DOCTYPE a><a/>"), -EINVAL);
    assert_int_equal(scan("\x4c\x6f\xa7\x94"), -EINVAL); /* EBCDIC */
}

static void depth_is_bounded_to_the_element(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    for (unsigned i = 0; i < CODEC_DEPTH_LIMIT; i++) {
        buf_puts(&text, "<a>");
    }
    assert_int_equal(scan(buf_text(&text)), 0);
    buf_puts(&text, "<b/>");
    assert_int_equal(scan(buf_text(&text)), 0); /* an empty element adds no level of its own */
    buf_puts(&text, "<a>");
    assert_int_equal(scan(buf_text(&text)), -EINVAL);
    buf_done(&text);
}

static void attributes_are_bounded_whatever_their_values_hold(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "<a");
    for (unsigned i = 0; i < CODEC_ATTRIBUTE_LIMIT; i++) {
        buf_printf(&text, " b%u='>'", i);
    }
    size_t length = text.length;
    buf_puts(&text, "/>");
    assert_int_equal(scan(buf_text(&text)), 0);
    text.length = length;
    buf_puts(&text, " c=\"\"/>");
    assert_int_equal(scan(buf_text(&text)), -EINVAL);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_documents_pass),
        cmocka_unit_test(markup_that_does_not_end_is_refused),
        cmocka_unit_test(what_is_no_markup_at_the_start_is_refused),
        cmocka_unit_test(depth_is_bounded_to_the_element),
        cmocka_unit_test(attributes_are_bounded_whatever_their_values_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
