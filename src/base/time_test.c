/* Tests of time.h. */
#include "base/time.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The second column is what `date -u -d TEXT +%s` prints. */
static const struct {
    const char *text;
    int64_t seconds;
} points[] = {
    {"1970-01-01T00:00:00Z", 0},           {"1969-12-31T23:59:59Z", -1},
    {"1900-01-01T00:00:00Z", -2208988800}, {"2000-02-29T12:00:00Z", 951825600},
    {"2024-02-29T23:59:59Z", 1709251199},  {"2024-03-01T00:00:00Z", 1709251200},
    {"2026-11-21T09:48:44Z", 1795254524},  {"2038-01-19T03:14:08Z", 2147483648},
    {"2100-02-28T23:59:59Z", 4107542399},  {"2261-12-31T23:59:59Z", 9214646399},
};

static void points_are_formatted_and_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        char text[TIME_TEXT];
        struct wall when = {points[i].seconds * TIME_S};
        wall_format(when, text);
        assert_string_equal(text, points[i].text);
        struct wall back = {0};
        assert_int_equal(wall_parse(text, &back), 0);
        assert_true(back.ns == when.ns);
    }
}

static void every_day_of_four_centuries_goes_there_and_back(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    for (int64_t day = -25567; day < 106600; day++) { /* 1900 to 2261 */
        struct wall when = {(day * 86400 + (day + 25567) % 86400) * TIME_S};
        struct wall back = {0};
        wall_format(when, text);
        assert_int_equal(wall_parse(text, &back), 0);
        assert_true(back.ns == when.ns);
    }
}

static void milliseconds_are_cut_not_rounded(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    wall_format_ms((struct wall){1795254524 * TIME_S + 999999999}, text);
    assert_string_equal(text, "2026-11-21T09:48:44.999Z");
    wall_format_ms((struct wall){-1}, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    wall_format_ms((struct wall){0}, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

static void the_ends_of_the_range_still_fit(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    wall_format_ms((struct wall){INT64_MAX}, text);
    assert_string_equal(text, "2262-04-11T23:47:16.854Z");
    wall_format_ms((struct wall){INT64_MIN}, text);
    assert_string_equal(text, "1677-09-21T00:12:43.145Z");
    wall_format_http((struct wall){INT64_MIN}, text);
    assert_string_equal(text, "Tue, 21 Sep 1677 00:12:43 GMT");
}

static void other_forms_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"20261121T094844Z", 1795254524 * TIME_S},
        {"2026-11-21T09:48:44.5Z", 1795254524 * TIME_S + 500 * TIME_MS},
        {"2026-11-21T09:48:44.123456789Z", 1795254524 * TIME_S + 123456789},
        {"2026-11-21T09:48:44.1234567899999Z", 1795254524 * TIME_S + 123456789},
        {"2026-11-21T09:48:44+00:00", 1795254524 * TIME_S},
        {"2016-12-31T23:59:60Z", 1483228800 * TIME_S}, /* a leap second */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct wall when = {0};
        assert_int_equal(wall_parse(rows[i].text, &when), 0);
        assert_true(when.ns == rows[i].ns);
    }
}

static void what_is_no_point_in_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11-21",
        "2026-11-21T09:48:44",
        "2026-11-21 09:48:44Z",
        "2026-11-21T09:48:44Zx",
        "2026-11-21T09:48:44z",
        "2026-11-21T09:48:44.Z",
        "2026-11-21T09:48:44,5Z",
        "2026-11-21T09:48:44+01:00",
        "2026-11-21T09:48Z",
        "2026-11-21T0948:44Z",
        "2026-1121T09:48:44Z",
        "20261121T09:48:44Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-32T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:60:00Z",
        "2026-11-21T09:48:61Z",
        "1899-12-31T23:59:59Z",
        "2262-01-01T00:00:00Z",
        "-026-11-21T09:48:44Z",
        "+2026-11-21T09:48:44Z",
        " 2026-11-21T09:48:44Z",
        "2026-11-21T-1:48:44Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct wall when = {777};
        assert_int_equal(wall_parse(bad[i], &when), -EINVAL);
        assert_true(when.ns == 777);
    }
}

static void http_dates_are_rfc_7231s(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* the RFC's own example */
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT"},
        {1795254524, "Sat, 21 Nov 2026 09:48:44 GMT"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[TIME_TEXT];
        wall_format_http((struct wall){rows[i].seconds * TIME_S}, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void clocks_go_forward(void **state)
{
    (void)state;
    struct mono start = mono_now();
    for (int i = 0; i < 1000; i++) {
        struct mono now = mono_now();
        assert_true(mono_since(now, start) >= 0);
        start = now;
    }
    assert_true(wall_now().ns > 1700000000 * TIME_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_formatted_and_parsed),
        cmocka_unit_test(every_day_of_four_centuries_goes_there_and_back),
        cmocka_unit_test(milliseconds_are_cut_not_rounded),
        cmocka_unit_test(the_ends_of_the_range_still_fit),
        cmocka_unit_test(other_forms_parse),
        cmocka_unit_test(what_is_no_point_in_time_is_refused),
        cmocka_unit_test(http_dates_are_rfc_7231s),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests_name("base time", tests, NULL, NULL);
}
