/* Scalars between text on the wire and values of a tree. Called by every decoder and encoder, on
 * the request's thread; keeps nothing. Invariant: a tree's timestamps are ISO 8601 in UTC, its
 * blobs are base64, its strings are UTF-8, whatever the protocol sent. */
#include "aws/internal.h"
#include "base/text.h"
#include "base/time.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_TEXT 64U /* bytes a number or date may have on the wire */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The text without the white space around it, as a string. -EINVAL when too long for a number. */
static int trim(const char *text, size_t length, char out[NUMBER_TEXT])
{
    while (length != 0 && is_space(text[0])) {
        text++;
        length--;
    }
    while (length != 0 && is_space(text[length - 1])) {
        length--;
    }
    return text_copy_n(out, NUMBER_TEXT, text, length) < 0 ? -EINVAL : 0;
}

static int take(json_t *value, json_t **ret_value)
{
    if (value == NULL) {
        return -ENOMEM;
    }
    *ret_value = value;
    return 0;
}

static int time_value(struct wall when, json_t **ret_value)
{
    char text[TIME_TEXT];
    if (when.ns % TIME_S == 0) {
        wall_format(when, text);
    } else {
        wall_format_ms(when, text);
    }
    return take(json_string(text), ret_value);
}

int codec_time_from_epoch(double seconds, json_t **ret_value)
{
    /* Years 1900 to 2261, what wall_parse reads. */
    if (!isfinite(seconds) || seconds < -2208988800.0 || seconds >= 9214646400.0) {
        return -EINVAL;
    }
    double whole = floor(seconds);
    /* Milliseconds, as AWS keeps them; a double holds no more than microseconds here. */
    double millis = floor((seconds - whole) * 1000.0 + 0.5);
    return time_value((struct wall){.ns = (int64_t)whole * TIME_S + (int64_t)millis * TIME_MS},
                      ret_value);
}

/* "Sat, 21 Nov 2026 09:48:44 GMT" (RFC 7231 section 7.1.1.1) as ISO 8601. */
static int parse_http_date(const char *text, struct wall *ret_when)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (strlen(text) != 29 || text[3] != ',' || !text_equal(text + 25, " GMT")) {
        return -EINVAL;
    }
    unsigned month = 0;
    while (month < 12 && memcmp(months + (size_t)month * 3, text + 8, 3) != 0) {
        month++;
    }
    char iso[TIME_TEXT];
    (void)snprintf(iso, sizeof iso, "%.4s-%02u-%.2sT%.8sZ", text + 12, month % 12 + 1, text + 5,
                   text + 17); /* fits */
    return month < 12 ? wall_parse(iso, ret_when) : -EINVAL;
}

static int read_time(const char *text, json_t **ret_value)
{
    struct wall when;
    if (wall_parse(text, &when) == 0 || parse_http_date(text, &when) == 0) {
        return time_value(when, ret_value);
    }
    double seconds = 0;
    if (text_to_double(text, &seconds) == 0) {
        return codec_time_from_epoch(seconds, ret_value);
    }
    return -EINVAL;
}

static int read_boolean(const char *text, json_t **ret_value)
{
    if (text_equal_nocase(text, "true") || text_equal(text, "1")) {
        return take(json_true(), ret_value);
    }
    if (text_equal_nocase(text, "false") || text_equal(text, "0")) {
        return take(json_false(), ret_value);
    }
    return -EINVAL;
}

static int read_integer(const char *text, int64_t low, int64_t high, json_t **ret_value)
{
    int64_t value = 0;
    if (text[0] == '+') {
        text++;
    }
    int result = text_to_i64(text, low, high, &value);
    return result < 0 ? -EINVAL : take(json_integer(value), ret_value);
}

static int read_string(const char *text, size_t length, json_t **ret_value)
{
    json_t *value = json_stringn(text, length); /* NULL too when it is no UTF-8 */
    if (value == NULL || memchr(text, '\0', length) != NULL) {
        json_decref(value);
        return -EINVAL;
    }
    *ret_value = value;
    return 0;
}

static int read_blob(const char *text, size_t length, json_t **ret_value)
{
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, HTTP_BODY_LIMIT);
    int result = text_unbase64(text, length, &bytes);
    if (result < 0) {
        return -EINVAL;
    }
    return read_string(text, length, ret_value);
}

int codec_scalar_read(const struct codec_shape *shape, const char *text, size_t length,
                      json_t **ret_value)
{
    char trimmed[NUMBER_TEXT] = "";
    enum codec_type type = (enum codec_type)shape->type;
    if (type == CODEC_STRING) {
        return read_string(text, length, ret_value);
    }
    if (type == CODEC_BLOB) {
        return read_blob(text, length, ret_value);
    }
    int result = trim(text, length, trimmed);
    if (result < 0) {
        return result;
    }
    double number = 0;
    switch (type) {
    case CODEC_INTEGER:
        return read_integer(trimmed, INT32_MIN, INT32_MAX, ret_value);
    case CODEC_LONG:
        return read_integer(trimmed, INT64_MIN, INT64_MAX, ret_value);
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
        return text_to_double(trimmed, &number) < 0 ? -EINVAL : take(json_real(number), ret_value);
    case CODEC_BOOLEAN:
        return read_boolean(trimmed, ret_value);
    case CODEC_TIMESTAMP:
        return read_time(trimmed, ret_value);
    case CODEC_STRING:
    case CODEC_BLOB:
    case CODEC_STRUCTURE:
    case CODEC_LIST:
    case CODEC_MAP:
    case CODEC_DOCUMENT:
        break;
    }
    return -EINVAL;
}

/* The shortest text that reads back as the same number. */
static void write_real(struct buf *out, double number)
{
    char text[NUMBER_TEXT];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number); /* fits */
        double back = 0;
        if (text_to_double(text, &back) == 0 && back == number) {
            break;
        }
    }
    buf_puts(out, text);
}

static int write_time(enum codec_time format, const char *text, struct buf *out)
{
    struct wall when;
    if (wall_parse(text, &when) < 0) {
        return -EINVAL;
    }
    char formatted[TIME_TEXT];
    if (format == CODEC_TIME_UNIX) {
        int64_t seconds = when.ns / TIME_S - (when.ns % TIME_S < 0 ? 1 : 0);
        int64_t millis = (when.ns - seconds * TIME_S) / TIME_MS;
        buf_printf(out, "%" PRId64, seconds);
        if (millis != 0) {
            buf_printf(out, ".%03d", (int)millis);
        }
    } else if (format == CODEC_TIME_RFC822) {
        wall_format_http(when, formatted);
        buf_puts(out, formatted);
    } else {
        buf_puts(out, text);
    }
    return 0;
}

int codec_scalar_write(const struct codec_member *member, enum codec_time default_time,
                       const json_t *value, struct buf *out)
{
    enum codec_time time =
        member->time != CODEC_TIME_DEFAULT ? (enum codec_time)member->time : default_time;
    switch ((enum codec_type)member->shape->type) {
    case CODEC_STRING:
    case CODEC_BLOB:
        if (!json_is_string(value)) {
            return -EINVAL;
        }
        buf_put(out, json_string_value(value), json_string_length(value));
        return 0;
    case CODEC_INTEGER:
    case CODEC_LONG:
        if (!json_is_integer(value) ||
            (member->shape->type == CODEC_INTEGER &&
             (json_integer_value(value) < INT32_MIN || json_integer_value(value) > INT32_MAX))) {
            return -EINVAL;
        }
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return 0;
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
        if (!json_is_number(value)) {
            return -EINVAL;
        }
        write_real(out, json_number_value(value));
        return 0;
    case CODEC_BOOLEAN:
        if (!json_is_boolean(value)) {
            return -EINVAL;
        }
        buf_puts(out, json_is_true(value) ? "true" : "false");
        return 0;
    case CODEC_TIMESTAMP:
        return json_is_string(value) ? write_time(time, json_string_value(value), out) : -EINVAL;
    case CODEC_STRUCTURE:
    case CODEC_LIST:
    case CODEC_MAP:
    case CODEC_DOCUMENT:
        break;
    }
    return -EINVAL;
}

const char *codec_type_name(enum codec_type type)
{
    static const char *const names[] = {
        [CODEC_STRUCTURE] = "structure", [CODEC_LIST] = "list",       [CODEC_MAP] = "map",
        [CODEC_STRING] = "string",       [CODEC_INTEGER] = "integer", [CODEC_LONG] = "long",
        [CODEC_FLOAT] = "float",         [CODEC_DOUBLE] = "double",   [CODEC_BOOLEAN] = "boolean",
        [CODEC_TIMESTAMP] = "timestamp", [CODEC_BLOB] = "blob",       [CODEC_DOCUMENT] = "document",
    };
    assert((size_t)type < ARRAY_SIZE(names));
    return names[type];
}
