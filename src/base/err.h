/* Errors: one catalogue of kinds, and one value that carries kind, code and a sentence.
 *
 * Functions return 0 or a negative errno. Those that can fail for several reasons take
 * `struct err *err` last (never NULL) and fill it on failure. Nothing here allocates or logs.
 * Thread: any; a struct err belongs to its caller. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macro.h"

#include <stdbool.h>

/* X(name, errno, text, retryable) */
#define ERR_KINDS(X)                                                                               \
    X(NONE, 0, "no error", false)                                                                  \
    X(INVALID, EINVAL, "invalid input", false)                                                     \
    X(NOT_FOUND, ENOENT, "not found", false)                                                       \
    X(EXISTS, EEXIST, "already exists", false)                                                     \
    X(CONFLICT, EAGAIN, "changed by somebody else", true)                                          \
    X(DENIED, EACCES, "not allowed", false)                                                        \
    X(LIMIT, E2BIG, "limit exceeded", false)                                                       \
    X(MEMORY, ENOMEM, "out of memory", true)                                                       \
    X(UNAVAILABLE, EHOSTUNREACH, "unavailable", true)                                              \
    X(TIMEOUT, ETIMEDOUT, "timed out", true)                                                       \
    X(CANCELLED, ECANCELED, "cancelled", false)                                                    \
    X(CORRUPT, EBADMSG, "damaged data", false)                                                     \
    X(IO, EIO, "input/output error", true)                                                         \
    X(COMPACTED, ESTALE, "history compacted", false)                                               \
    X(UNSUPPORTED, ENOTSUP, "not supported", false)                                                \
    X(INTERNAL, EPROTO, "internal error", false)

enum err_kind {
#define X(name, number, text, retryable) ERR_##name,
    ERR_KINDS(X)
#undef X
};

struct err {
    enum err_kind kind;
    int code;          /* negative errno, 0 when none */
    char message[256]; /* a sentence for the operator, no trailing full stop or newline */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .kind = ERR_NONE, .code = 0, .message = ""                                                 \
    }

/* Fills *err and returns its negative errno, so that callers write `return err_set(...)`. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...) PRINTF(3, 4) COLD;
/* As err_set, with ": <text of errno_value>" appended; the kind is chosen from errno_value. */
int err_set_errno(struct err *err, int errno_value, const char *format, ...) PRINTF(3, 4) COLD;
/* Puts "<formatted>: " before the message that is there; returns err->code. */
int err_wrap(struct err *err, const char *format, ...) PRINTF(2, 3) COLD;
/* Empties it. */
void err_clear(struct err *err);

const char *err_kind_name(enum err_kind kind);
const char *err_kind_text(enum err_kind kind);
bool err_kind_retryable(enum err_kind kind);

#endif
