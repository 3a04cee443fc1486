/* Tests of text.h. */
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void comparisons(void **state)
{
    (void)state;
    assert_true(text_equal("a", "a"));
    assert_false(text_equal("a", "A"));
    assert_true(text_equal_nocase("WWW.Example", "www.eXAMPLE"));
    assert_false(text_equal_nocase("abc", "abcd"));
    assert_false(text_equal_nocase("abcd", "abc"));
    assert_false(text_equal_nocase("[", "{")); /* 0x20 apart, but no letters */
    assert_true(text_equal_nocase("", ""));
    assert_true(text_starts("leeward:latch", "leeward:"));
    assert_true(text_starts("x", ""));
    assert_false(text_starts("lee", "leeward"));
    assert_true(text_ends("a.example.com", ".com"));
    assert_true(text_ends("x", ""));
    assert_false(text_ends("m", ".com"));
    assert_true(text_empty(NULL));
    assert_true(text_empty(""));
    assert_false(text_empty(" "));
    assert_int_equal(text_lower('Z'), 'z');
    assert_int_equal(text_lower('@'), '@');
    assert_int_equal(text_lower('['), '[');
    assert_true(text_is_digit('0') && text_is_digit('9'));
    assert_false(text_is_digit('/') || text_is_digit(':') || text_is_digit('\0'));
}

static void whole_numbers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t low;
        int64_t high;
        int code;
        int64_t value;
    } rows[] = {
        {"0", 0, 10, 0, 0},
        {"10", 0, 10, 0, 10},
        {"007", 0, 10, 0, 7},
        {"-3", -3, 10, 0, -3},
        {"-0", 0, 10, 0, 0},
        {"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999", INT64_MIN, INT64_MAX, -ERANGE, 0},
        {"11", 0, 10, -ERANGE, 0},
        {"-1", 0, 10, -ERANGE, 0},
        {"", 0, 10, -EINVAL, 0},
        {"-", 0, 10, -EINVAL, 0},
        {"+5", 0, 10, -EINVAL, 0},
        {" 5", 0, 10, -EINVAL, 0},
        {"5 ", 0, 10, -EINVAL, 0},
        {"0x5", 0, 10, -EINVAL, 0},
        {"5.0", 0, 10, -EINVAL, 0},
        {"--5", -10, 10, -EINVAL, 0},
        {"5\n", 0, 10, -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t value = 777;
        assert_int_equal(text_to_i64(rows[i].text, rows[i].low, rows[i].high, &value),
                         rows[i].code);
        assert_true(value == (rows[i].code == 0 ? rows[i].value : 777));
    }
}

static void fractions_are_strict_and_finite(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0}, {"1.5", 1.5}, {"-2e3", -2000}, {"+.5", 0.5}, {"1E-2", 0.01}};
    static const char *const bad[] = {"",    ".",     "e5",  "1e", "1e999", "-1e999", "nan",
                                      "inf", "0x1p3", "1,5", "1 ", " 1",    "1.2.3",  "-"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        double value = 777;
        assert_int_equal(text_to_double(good[i].text, &value), 0);
        assert_true(value > good[i].value - 1e-12 && value < good[i].value + 1e-12);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        double value = 777;
        assert_int_equal(text_to_double(bad[i], &value), -EINVAL);
        assert_true(value > 776 && value < 778);
    }
}

static void copies_fit_or_leave_nothing(void **state)
{
    (void)state;
    char out[5];
    assert_int_equal(text_copy(out, sizeof out, "four"), 0);
    assert_string_equal(out, "four");
    assert_int_equal(text_copy(out, sizeof out, "fives"), -ENOSPC);
    assert_string_equal(out, "");
    assert_int_equal(text_copy_n(out, sizeof out, "abcdef", 3), 0);
    assert_string_equal(out, "abc");
    assert_int_equal(text_copy_n(out, sizeof out, NULL, 0), 0);
    assert_string_equal(out, "");
    assert_int_equal(text_copy_n(out, 0, "", 0), -ENOSPC);
}

static void what_is_no_character_is_taken_out(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"cut \xe2\x82", "cut "},
        {"\xf0\x9f\x98' is cut", "' is cut"},
        {"\x80 alone", " alone"},
        {"\xc3\xc3\xa9", "\xc3\xa9"},
        {"\xc0\x80 \xe0\x80\x80 \xf0\x80\x80\x80", "  "}, /* overlong */
        {"\xed\xa0\x80", ""},                             /* a surrogate */
        {"\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xf4\x8f\xbf\xbf"},
        {"\xf4\x90\x80\x80\xff", ""}, /* above U+10FFFF */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        assert_int_equal(text_copy(text, sizeof text, rows[i][0]), 0);
        text_mend(text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void hexadecimal_goes_there_and_back(void **state)
{
    (void)state;
    unsigned char bytes[256];
    unsigned char again[256];
    char text[513];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    text_hex(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_int_equal(text_unhex(text, again, sizeof again), 0);
    assert_memory_equal(bytes, again, sizeof bytes);
    text_hex(NULL, 0, text);
    assert_string_equal(text, "");
    assert_int_equal(text_unhex("aBCd", again, 2), 0);
    assert_memory_equal(again, "\xab\xcd", 2);
    static const char *const bad[] = {"",     "a",    "abc",  "abcde",
                                      "abcg", "ab d", "0xab", "ab\xc1\xb1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(text_unhex(bad[i], again, 2), -EINVAL);
    }
}

/* RFC 4648 section 10, and one whose digits are the last of the alphabet. */
static const struct {
    const char *plain;
    const char *coded;
} base64_rows[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xef\xfe\xfb", "/+/++w=="},
};

static void base64_vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(base64_rows); i++) {
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 0);
        text_base64(&out, base64_rows[i].plain, strlen(base64_rows[i].plain));
        assert_string_equal(buf_text(&out), base64_rows[i].coded);
        buf_reset(&out);
        const char *coded = base64_rows[i].coded;
        assert_int_equal(text_unbase64(coded, strlen(coded), &out), 0);
        assert_string_equal(buf_text(&out), base64_rows[i].plain);
    }
}

static void base64_of_every_length_goes_there_and_back(void **state)
{
    (void)state;
    unsigned char bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 37 + 5);
    }
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct buf coded CLEANUP(buf_done);
        struct buf plain CLEANUP(buf_done);
        buf_init(&coded, 0);
        buf_init(&plain, 0);
        text_base64(&coded, bytes, size);
        assert_int_equal(coded.length, (size + 2) / 3 * 4);
        assert_int_equal(text_unbase64(buf_text(&coded), coded.length, &plain), 0);
        assert_int_equal(plain.length, size);
        assert_memory_equal(buf_text(&plain), bytes, size);
    }
}

static void base64_refuses_everything_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",    "Zg===", "====", "=Zg=", "Z===",    "Zm=v",  "Zg==Zg==",
        "Zm9-", "Zm9_", "Zm9v\n", "Zm 9",  "Zh==", "Zm9=", "\xc1m9v", "Zm9vZ", "Zg=a",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf out CLEANUP(buf_done);
        buf_init(&out, 0);
        assert_int_equal(text_unbase64(bad[i], strlen(bad[i]), &out), -EINVAL);
    }
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    assert_int_equal(text_unbase64("Zm\0v", 4, &out), -EINVAL);
    struct buf small CLEANUP(buf_done);
    buf_init(&small, 3);
    assert_int_equal(text_unbase64("Zm9vYmFy", 8, &small), -ENOSPC);
}

static void uri_encoding_is_sigv4s(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    text_uri_encode(&out, "AZaz09-._~", 10, false);
    assert_string_equal(buf_text(&out), "AZaz09-._~");
    buf_reset(&out);
    text_uri_encode(&out, "a b/c+d%*\xc3\xa9", 11, false);
    assert_string_equal(buf_text(&out), "a%20b%2Fc%2Bd%25%2A%C3%A9");
    buf_reset(&out);
    text_uri_encode(&out, "/a b/", 5, true);
    assert_string_equal(buf_text(&out), "/a%20b/");
}

static void uri_decoding_is_strict(void **state)
{
    (void)state;
    struct buf out CLEANUP(buf_done);
    buf_init(&out, 0);
    assert_int_equal(text_uri_decode(&out, "a%20b%2fc+d", 11, true), 0);
    assert_string_equal(buf_text(&out), "a b/c d");
    buf_reset(&out);
    assert_int_equal(text_uri_decode(&out, "c+d", 3, false), 0);
    assert_string_equal(buf_text(&out), "c+d");
    static const char *const bad[] = {"%", "%2", "%2g", "%g2", "a%", "%00", "%%20", "% 20"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        buf_reset(&out);
        assert_int_equal(text_uri_decode(&out, bad[i], strlen(bad[i]), true), -EINVAL);
    }
    buf_reset(&out);
    assert_int_equal(text_uri_decode(&out, "a\0b", 3, true), -EINVAL);
    struct buf small CLEANUP(buf_done);
    buf_init(&small, 2);
    assert_int_equal(text_uri_decode(&small, "abc", 3, true), -ENOSPC);
}

static void every_byte_survives_uri_encoding(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char byte = (char)c;
        struct buf coded CLEANUP(buf_done);
        struct buf plain CLEANUP(buf_done);
        buf_init(&coded, 0);
        buf_init(&plain, 0);
        text_uri_encode(&coded, &byte, 1, false);
        assert_int_equal(text_uri_decode(&plain, buf_text(&coded), coded.length, true), 0);
        assert_int_equal(plain.length, 1);
        assert_int_equal(buf_text(&plain)[0], byte);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons),
        cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(fractions_are_strict_and_finite),
        cmocka_unit_test(copies_fit_or_leave_nothing),
        cmocka_unit_test(what_is_no_character_is_taken_out),
        cmocka_unit_test(hexadecimal_goes_there_and_back),
        cmocka_unit_test(base64_vectors_both_ways),
        cmocka_unit_test(base64_of_every_length_goes_there_and_back),
        cmocka_unit_test(base64_refuses_everything_else),
        cmocka_unit_test(uri_encoding_is_sigv4s),
        cmocka_unit_test(uri_decoding_is_strict),
        cmocka_unit_test(every_byte_survives_uri_encoding),
    };
    return cmocka_run_group_tests_name("base text", tests, NULL, NULL);
}
