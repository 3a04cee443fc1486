/* Time: see time.h. Called by every room, any thread. Calendar arithmetic is the proleptic
 * Gregorian one, locale-free; leap seconds are ignored as POSIX does. */
#include "base/time.h"

#include "base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * TIME_S + now.tv_nsec;
}

struct mono mono_now(void)
{
    return (struct mono){clock_ns(CLOCK_MONOTONIC)};
}

struct wall wall_now(void)
{
    return (struct wall){clock_ns(CLOCK_REALTIME)};
}

static struct tm calendar(struct wall when, int64_t *ret_fraction_ns)
{
    int64_t seconds = when.ns / TIME_S;
    int64_t fraction = when.ns % TIME_S;
    if (fraction < 0) {
        fraction += TIME_S;
        seconds--;
    }
    *ret_fraction_ns = fraction;
    time_t posix = (time_t)seconds;
    struct tm parts = {0};
    (void)gmtime_r(&posix, &parts); /* an int64_t of nanoseconds ends in the year 2262 */
    return parts;
}

void wall_format(struct wall when, char out[TIME_TEXT])
{
    int64_t fraction = 0;
    struct tm parts = calendar(when, &fraction);
    (void)strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts); /* fits */
}

void wall_format_ms(struct wall when, char out[TIME_TEXT])
{
    int64_t fraction = 0;
    struct tm parts = calendar(when, &fraction);
    char date[TIME_TEXT];
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);                 /* fits */
    (void)snprintf(out, TIME_TEXT, "%.20s.%03dZ", date, (int)(fraction / TIME_MS)); /* fits */
}

void wall_format_http(struct wall when, char out[TIME_TEXT])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t fraction = 0;
    struct tm parts = calendar(when, &fraction);
    (void)snprintf(out, TIME_TEXT, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", /* fits */
                   days + (ptrdiff_t)3 * parts.tm_wday, parts.tm_mday,
                   months + (ptrdiff_t)3 * parts.tm_mon, (parts.tm_year + 1900) % 10000,
                   parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/* A fixed count of digits at *text; moves on. -1 when there are fewer. */
static int digits(const char **text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!text_is_digit((*text)[i])) {
            return -1;
        }
        value = value * 10 + ((*text)[i] - '0');
    }
    *text += count;
    return value;
}

static bool expect(const char **text, char c, bool wanted)
{
    if (!wanted) {
        return true;
    }
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

/* Nanoseconds of an optional fraction at *text; moves on. -1 when the point has no digit behind it.
 */
static int64_t fraction_of(const char **text)
{
    int64_t value = 0;
    int64_t unit = TIME_S;
    if (**text != '.') {
        return 0;
    }
    if (!text_is_digit((*text)[1])) {
        return -1;
    }
    for ((*text)++; text_is_digit(**text); (*text)++) {
        unit /= 10;
        value += unit * (**text - '0');
    }
    return value;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

int wall_parse(const char *text, struct wall *ret_when)
{
    bool extended = strlen(text) > 4 && text[4] == '-';
    struct tm parts = {0};
    int year = digits(&text, 4);
    bool good = expect(&text, '-', extended);
    int month = good ? digits(&text, 2) : -1;
    good = good && expect(&text, '-', extended);
    int day = good ? digits(&text, 2) : -1;
    good = good && expect(&text, 'T', true);
    int hour = good ? digits(&text, 2) : -1;
    good = good && expect(&text, ':', extended);
    int minute = good ? digits(&text, 2) : -1;
    good = good && expect(&text, ':', extended);
    int second = good ? digits(&text, 2) : -1;
    if (!good || year < 1900 || year > 2261 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60) {
        return -EINVAL;
    }
    int64_t fraction = fraction_of(&text);
    if (fraction < 0 || (!text_equal(text, "Z") && !text_equal(text, "+00:00"))) {
        return -EINVAL;
    }
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    parts.tm_mday = day;
    parts.tm_hour = hour;
    parts.tm_min = minute;
    parts.tm_sec = second;
    int64_t seconds = (int64_t)timegm(&parts); /* second 60 is the first of the next minute */
    *ret_when = (struct wall){seconds * TIME_S + fraction};
    return 0;
}
