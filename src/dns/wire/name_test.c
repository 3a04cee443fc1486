/* Tests of name.h: vectors for both escape rules, limits, and Route 53's sentences. */
#include "dns/wire/name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t *wire_of(const char *text, uint8_t wire[NAME_WIRE_LIMIT])
{
    assert_true(name_from_text(text, true, wire) > 0);
    return wire;
}

static void text_becomes_lower_case_wire_form(void **state)
{
    (void)state;
    uint8_t wire[NAME_WIRE_LIMIT];
    assert_int_equal(name_from_text("WWW.Example.com", true, wire), 17);
    assert_memory_equal(wire, "\003www\007example\003com", 17);
    assert_int_equal(name_from_text("www.example.com.", false, wire), 17);
    assert_int_equal(name_from_text(".", true, wire), 1);
    assert_int_equal(wire[0], 0);
}

static void escapes_are_octal_or_decimal(void **state)
{
    (void)state;
    uint8_t wire[NAME_WIRE_LIMIT];
    assert_int_equal(name_from_text("\\052.a", true, wire), 5);
    assert_memory_equal(wire, "\001*\001a", 5);
    assert_int_equal(name_from_text("\\042.a", false, wire), 5);
    assert_memory_equal(wire, "\001*\001a", 5);
    assert_int_equal(name_from_text("a\\.b", false, wire), 5);
    assert_memory_equal(wire, "\003a.b", 5);
    /* An escaped capital is the same name. */
    assert_int_equal(name_from_text("\\101", true, wire), 3);
    assert_memory_equal(wire, "\001a", 3);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "..",    ".a",       "a..b",  "a..",      "a b",
                                      "a\tb",  "\\",    "a\\",      "\\05",  "\\400",    "\\08a",
                                      "a\\.b", "\\zzz", "\xc3\xa9", "a\x7f", "\\777.com"};
    uint8_t wire[NAME_WIRE_LIMIT];
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(name_from_text(bad[i], true, wire), -EINVAL);
        assert_int_equal(name_explain(bad[i], true, &err), -EINVAL);
        assert_int_equal(err.kind, ERR_INVALID);
    }
    assert_int_equal(name_from_text("\\256", false, wire), -EINVAL);
    assert_int_equal(name_from_text("\\25", false, wire), -EINVAL);
}

static void labels_and_names_have_their_limits(void **state)
{
    (void)state;
    uint8_t wire[NAME_WIRE_LIMIT];
    char text[NAME_TEXT_LIMIT];
    (void)memset(text, 'a', sizeof text);
    text[63] = '\0';
    assert_int_equal(name_from_text(text, true, wire), 65);
    text[63] = 'a';
    text[64] = '\0';
    assert_int_equal(name_from_text(text, true, wire), -EINVAL);
    /* 63.63.63.61 is 255 bytes of wire form: the most. */
    (void)memset(text, 'a', sizeof text);
    text[63] = text[127] = text[191] = '.';
    text[253] = '\0';
    assert_int_equal(name_from_text(text, true, wire), 255);
    char back[NAME_TEXT_LIMIT];
    name_to_text(wire, true, back);
    assert_int_equal(strlen(back), 254);
    text[253] = 'a';
    text[254] = '\0';
    assert_int_equal(name_from_text(text, true, wire), -EINVAL);
    /* 127 labels of one byte. */
    for (size_t i = 0; i < 127; i++) {
        text[2 * i] = 'x';
        text[2 * i + 1] = '.';
    }
    text[254] = '\0';
    assert_int_equal(name_from_text(text, true, wire), 255);
    assert_int_equal(name_labels(wire), 127);
    (void)memcpy(text + 254, "x", 2);
    assert_int_equal(name_from_text(text, true, wire), -EINVAL);
}

static void problems_read_as_route53_words_them(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(name_explain("example.org..", true, &err), -EINVAL);
    assert_string_equal(err.message, "FATAL problem: DomainLabelEmpty (Domain label is empty) "
                                     "encountered with 'example.org..'");
    char text[80];
    (void)memset(text, 'a', sizeof text);
    (void)memcpy(text + 64, ".com", 5);
    assert_int_equal(name_explain(text, true, &err), -EINVAL);
    text[64] = '\0';
    char want[256];
    (void)snprintf(want, sizeof want,
                   "FATAL problem: DomainLabelTooLong (Domain label is too long) encountered "
                   "with '%s'",
                   text);
    assert_string_equal(err.message, want);
    assert_int_equal(name_explain("has space", true, &err), -EINVAL);
    assert_string_equal(err.message,
                        "FATAL problem: UnsupportedCharacter (Value contains unsupported "
                        "characters) encountered with ' '");
    assert_int_equal(name_explain("caf\xc3\xa9.example", true, &err), -EINVAL);
    assert_non_null(strstr(err.message, "'\xc3\xa9'"));
    assert_int_equal(name_explain("fine.example", true, &err), 0);
}

static void canonical_form_is_lower_case_octal_with_a_dot(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } names[] = {
        {"Example.COM", "example.com."},
        {"*.example.com", "\\052.example.com."},
        {"\\052.example.com.", "\\052.example.com."},
        {"_dmarc.a-b.c", "_dmarc.a-b.c."},
        {"a!b.c", "a\\041b.c."},
        {"\\056.c", "\\056.c."},
        {"\\000\\377.c", "\\000\\377.c."},
        {".", "."},
    };
    char out[NAME_TEXT_LIMIT];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(name_canonical(names[i].text, out), 0);
        assert_string_equal(out, names[i].want);
    }
    assert_int_equal(name_canonical("a..b", out), -EINVAL);
}

static void every_byte_survives_both_text_forms(void **state)
{
    (void)state;
    for (int octal = 0; octal <= 1; octal++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            if (byte >= 'A' && byte <= 'Z') {
                continue;
            }
            uint8_t wire[4] = {2, (uint8_t)byte, (uint8_t)byte, 0};
            char text[NAME_TEXT_LIMIT];
            uint8_t back[NAME_WIRE_LIMIT];
            name_to_text(wire, octal != 0, text);
            assert_int_equal(name_from_text(text, octal != 0, back), 4);
            assert_memory_equal(back, wire, 4);
        }
    }
}

static void wire_names_of_others_are_checked(void **state)
{
    (void)state;
    assert_int_equal(name_check((const uint8_t *)"\003www\000x", 6), 5);
    assert_int_equal(name_check((const uint8_t *)"", 1), 1);
    assert_int_equal(name_check((const uint8_t *)"\003www", 4), -EINVAL);
    assert_int_equal(name_check((const uint8_t *)"\003ww", 3), -EINVAL);
    assert_int_equal(name_check((const uint8_t *)"\100", 2), -EINVAL);
    assert_int_equal(name_check((const uint8_t *)"\300\014", 2), -EINVAL);
    assert_int_equal(name_check(NULL, 0), -EINVAL);
    uint8_t longest[300];
    (void)memset(longest, 1, sizeof longest);
    assert_int_equal(name_check(longest, sizeof longest), -EINVAL);
}

static void names_compare_by_whole_labels(void **state)
{
    (void)state;
    uint8_t a[NAME_WIRE_LIMIT];
    uint8_t b[NAME_WIRE_LIMIT];
    assert_true(name_equal(wire_of("a.b", a), wire_of("A.B.", b)));
    assert_false(name_equal(wire_of("a.b", a), wire_of("a.b.c", b)));
    assert_false(name_equal(wire_of("a.b", a), wire_of("a.c", b)));
    assert_true(name_is_under(wire_of("x.a.b", a), wire_of("a.b", b)));
    assert_true(name_is_under(wire_of("a.b", a), wire_of("a.b", b)));
    assert_true(name_is_under(wire_of("a.b", a), wire_of(".", b)));
    assert_false(name_is_under(wire_of("xa.b", a), wire_of("a.b", b)));
    assert_false(name_is_under(wire_of("b", a), wire_of("a.b", b)));
    assert_int_equal(name_labels(wire_of("x.a.b", a)), 3);
    assert_int_equal(name_length(a), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_lower_case_wire_form),
        cmocka_unit_test(escapes_are_octal_or_decimal),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(labels_and_names_have_their_limits),
        cmocka_unit_test(problems_read_as_route53_words_them),
        cmocka_unit_test(canonical_form_is_lower_case_octal_with_a_dot),
        cmocka_unit_test(every_byte_survives_both_text_forms),
        cmocka_unit_test(wire_names_of_others_are_checked),
        cmocka_unit_test(names_compare_by_whole_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
