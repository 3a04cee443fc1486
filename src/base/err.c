/* Errors: see err.h. Called by every room, any thread; owns nothing. Invariant: a filled struct err
 * has a message that ends in a NUL and a code that belongs to its kind. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
    int number;
    bool retryable;
} kinds[] = {
#define X(name, number, text, retryable) [ERR_##name] = {#name, text, number, retryable},
    ERR_KINDS(X)
#undef X
};

static enum err_kind kind_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
        return ERR_IO;
    case EPERM:
        return ERR_DENIED;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case ENETDOWN:
    case EPIPE:
        return ERR_UNAVAILABLE;
    default:
        break;
    }
    for (size_t i = 1; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].number == errno_value) {
            return (enum err_kind)i;
        }
    }
    return ERR_IO;
}

int err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args); /* cut when too long */
    va_end(args);
    err->kind = kind;
    err->code = -kinds[kind].number;
    return err->code;
}

int err_set_errno(struct err *err, int errno_value, const char *format, ...)
{
    int code = errno_value < 0 ? -errno_value : errno_value;
    char text[128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args); /* cut when too long */
    va_end(args);
    size_t used = strlen(err->message);
    const char *reason = strerror_r(code, text, sizeof text);
    (void)snprintf(err->message + used, sizeof err->message - used, ": %s", reason); /* as above */
    err->kind = kind_of_errno(code);
    err->code = -code;
    return err->code;
}

int err_wrap(struct err *err, const char *format, ...)
{
    char old[sizeof err->message];
    (void)memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof err->message, format, args); /* cut when too long */
    va_end(args);
    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof err->message - used, ": %s", old); /* as above */
    return err->code;
}

void err_clear(struct err *err)
{
    err->kind = ERR_NONE;
    err->code = 0;
    err->message[0] = '\0';
}

const char *err_kind_name(enum err_kind kind)
{
    return kinds[kind].name;
}

const char *err_kind_text(enum err_kind kind)
{
    return kinds[kind].text;
}

bool err_kind_retryable(enum err_kind kind)
{
    return kinds[kind].retryable;
}
