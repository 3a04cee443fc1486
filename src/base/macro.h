/* Compiler attributes and small macros: the one place for GNU extensions (double-underscore
 * spelling, so that -Wpedantic stays on everywhere). Included by every header that needs one. */
#ifndef BASE_MACRO_H
#define BASE_MACRO_H

#include <stddef.h>

/* Runs fn(&variable) when the variable leaves its scope. Control plane only, never in the answer
 * path. */
#define CLEANUP(fn) __attribute__((__cleanup__(fn)))
/* The result must be looked at; to ignore it on purpose, cast to void and say why. */
#define MUST_CHECK __attribute__((__warn_unused_result__))
/* Ignores such a result on purpose, with the reason beside it (gcc warns at a plain cast to void).
 */
#define IGNORE_RESULT(call) ((void)!(call))
#define PRINTF(fmt, args) __attribute__((__format__(__printf__, fmt, args)))
#define NORETURN __attribute__((__noreturn__))
#define PURE __attribute__((__pure__))
/* Seen from shared libraries, although everything is hidden by default. */
#define EXPORTED __attribute__((__visibility__("default")))
#define UNUSED __attribute__((__unused__))
#define HOT __attribute__((__hot__))
#define COLD __attribute__((__cold__))
#define ALWAYS_INLINE inline __attribute__((__always_inline__))
#define NONNULL(...) __attribute__((__nonnull__(__VA_ARGS__)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A hint: the memory at address is read soon. Any address is fine. */
#define PREFETCH(address) __builtin_prefetch(address)
/* The same for what is written soon. */
#define PREFETCH_WRITE(address) __builtin_prefetch(address, 1)
/* The product of two 64-bit numbers in 128 bits. */
#define WIDE_PRODUCT(a, b) (__extension__((unsigned __int128)(a) * (b)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
/* The struct that holds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
