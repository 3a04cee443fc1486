/* Logging: one line is a level, a constant event name and typed fields, written to stderr.
 *
 *     log_info("zone.published", F("zone", name), F("serial", serial));
 *
 * F picks the field's type with _Generic; there is none for struct secret, so logging one does not
 * compile. Values are escaped one by one. Only daemon, cli and the top function of a service log;
 * everything below returns an error. Thread: any; a line is one write(2). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_type { LOG_TEXT, LOG_I64, LOG_U64, LOG_BOOL, LOG_DOUBLE, LOG_WALL, LOG_ERR };

struct log_field {
    const char *key;
    enum log_type type;
    union {
        const char *text;
        int64_t i64;
        uint64_t u64;
        bool flag;
        double number;
        struct wall wall;
        const struct err *err;
    } value;
};

struct log_field log_text(const char *key, const char *value);
struct log_field log_i64(const char *key, int64_t value);
struct log_field log_u64(const char *key, uint64_t value);
struct log_field log_bool(const char *key, bool value);
struct log_field log_double(const char *key, double value);
struct log_field log_wall(const char *key, struct wall value);
struct log_field log_err(const char *key, const struct err *value);

#define F(key, value)                                                                              \
    _Generic((value),                                                                              \
        char *: log_text,                                                                          \
        const char *: log_text,                                                                    \
        bool: log_bool,                                                                            \
        int: log_i64,                                                                              \
        long: log_i64,                                                                             \
        long long: log_i64,                                                                        \
        unsigned char: log_u64,                                                                    \
        unsigned short: log_u64,                                                                   \
        unsigned: log_u64,                                                                         \
        unsigned long: log_u64,                                                                    \
        unsigned long long: log_u64,                                                               \
        double: log_double,                                                                        \
        struct wall: log_wall,                                                                     \
        struct err *: log_err,                                                                     \
        const struct err *: log_err)(key, value)

/* Lines below level are dropped. Default: LOG_INFO. */
void log_set_level(enum log_level level);
/* -EINVAL for anything but debug, info, warn, error. */
int log_parse_level(const char *text, enum log_level *ret_level) MUST_CHECK;
/* Formats without writing: for tests. Returns the length, at most size - 1. */
size_t log_format(char *out, size_t size, struct wall now, enum log_level level, const char *event,
                  const struct log_field *fields, size_t count);
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count);

/* At most `per_second` lines a second go out; the rest are dropped. Any threads may share one. */
struct log_limit {
    _Atomic uint64_t state; /* the second, and in the low half how many were asked for in it */
};
bool log_limit_allows(struct log_limit *limit, uint32_t per_second);

#define LOG_AT(level, event, ...)                                                                  \
    log_write(level, event, (const struct log_field[]){__VA_ARGS__},                               \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)

#endif
