/* Logging: see log.h. Any thread; the level is the only state. Invariant: whatever the values hold,
 * a line is one line, and a value cannot forge a field. */
#include "base/log.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE 2048U
#define LOG_VALUE                                                                                  \
    512U /* of a text value; what a client sends must not push the other fields out                \
          */

static _Atomic int threshold = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct log_field log_text(const char *key, const char *value)
{
    return (struct log_field){key, LOG_TEXT, {.text = value}};
}

struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){key, LOG_I64, {.i64 = value}};
}

struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){key, LOG_U64, {.u64 = value}};
}

struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){key, LOG_BOOL, {.flag = value}};
}

struct log_field log_double(const char *key, double value)
{
    return (struct log_field){key, LOG_DOUBLE, {.number = value}};
}

struct log_field log_wall(const char *key, struct wall value)
{
    return (struct log_field){key, LOG_WALL, {.wall = value}};
}

struct log_field log_err(const char *key, const struct err *value)
{
    return (struct log_field){key, LOG_ERR, {.err = value}};
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

int log_parse_level(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (text_equal(text, level_names[i])) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static void put_escaped(struct buf *out, const char *text)
{
    bool plain = text[0] != '\0' && strnlen(text, LOG_VALUE + 1) <= LOG_VALUE;
    for (const char *p = text; plain && *p != '\0'; p++) {
        plain = plain && (unsigned char)*p > ' ' && (unsigned char)*p < 0x7f && *p != '"' &&
                *p != '=' && *p != '\\';
    }
    if (plain) {
        buf_puts(out, text);
        return;
    }
    buf_putc(out, '"');
    size_t written = 0;
    for (const char *p = text; *p != '\0' && written < LOG_VALUE; p++, written++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)c);
        } else if (c < ' ' ||
                   c >= 0x7f) { /* above too: a terminal may take it for a control byte */
            buf_printf(out, "\\x%02x", (unsigned)c);
        } else {
            buf_putc(out, (char)c);
        }
    }
    buf_puts(out, text[written] != '\0' ? "...\"" : "\"");
}

static void put_value(struct buf *out, const struct log_field *field)
{
    char when[TIME_TEXT];
    switch (field->type) {
    case LOG_TEXT:
        put_escaped(out, field->value.text != NULL ? field->value.text : "");
        break;
    case LOG_I64:
        buf_printf(out, "%" PRId64, field->value.i64);
        break;
    case LOG_U64:
        buf_printf(out, "%" PRIu64, field->value.u64);
        break;
    case LOG_BOOL:
        buf_puts(out, field->value.flag ? "true" : "false");
        break;
    case LOG_DOUBLE:
        buf_printf(out, "%.6g", field->value.number);
        break;
    case LOG_WALL:
        wall_format_ms(field->value.wall, when);
        buf_puts(out, when);
        break;
    case LOG_ERR:
        put_escaped(out, field->value.err->message);
        break;
    }
}

size_t log_format(char *out, size_t size, struct wall now, enum log_level level, const char *event,
                  const struct log_field *fields, size_t count)
{
    struct buf line CLEANUP(buf_done);
    buf_init(&line, 0);
    char when[TIME_TEXT];
    wall_format_ms(now, when);
    buf_printf(&line, "%s level=%s event=%s", when, level_names[level], event);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&line, " %s=", fields[i].key);
        put_value(&line, &fields[i]);
    }
    size_t length = MIN(line.length, size - 1);
    (void)memcpy(out, buf_text(&line), length);
    out[length] = '\0';
    return length;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed)) {
        return;
    }
    char line[LOG_LINE];
    size_t length = log_format(line, sizeof line - 1, wall_now(), level, event, fields, count);
    line[length++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written; /* nowhere to report it */
}

bool log_limit_allows(struct log_limit *limit, uint32_t per_second)
{
    uint64_t second = (uint64_t)(mono_now().ns / TIME_S) << 32U;
    uint64_t state = atomic_load_explicit(&limit->state, memory_order_relaxed);
    uint64_t next = 0;
    do { /* second and count change together: nobody counts in a window that is over */
        /* Another thread may be in a later second already. */
        next = state >= second ? state : second;
        if ((uint32_t)next >= per_second) {
            return false;
        }
        next++;
    } while (!atomic_compare_exchange_weak_explicit(&limit->state, &state, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}
