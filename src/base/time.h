/* Time: one unit (nanoseconds, int64_t) and two types that cannot be mixed up: a point on the
 * monotonic clock, and a point on the wall clock (since 1970, UTC). Pure code takes `now` as an
 * argument. Thread: any. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

#define TIME_US ((int64_t)1000)
#define TIME_MS ((int64_t)1000000)
#define TIME_S ((int64_t)1000000000)

struct mono {
    int64_t ns;
};

struct wall {
    int64_t ns;
};

struct mono mono_now(void);
struct wall wall_now(void);

static inline int64_t mono_since(struct mono now, struct mono then)
{
    return now.ns - then.ns;
}

static inline struct mono mono_from_now(int64_t ns)
{
    return (struct mono){.ns = mono_now().ns + ns};
}

/* "2026-11-21T09:48:44Z" needs TIME_TEXT bytes, with milliseconds ("...44.123Z") too. */
#define TIME_TEXT 32U
void wall_format(struct wall when, char out[TIME_TEXT]);
void wall_format_ms(struct wall when, char out[TIME_TEXT]);
/* ISO 8601 in UTC ("2026-11-21T09:48:44[.fraction]Z") or SigV4's basic form ("20261121T094844Z").
 */
int wall_parse(const char *text, struct wall *ret_when) MUST_CHECK;
/* RFC 7231 section 7.1.1.1 date, as HTTP headers carry it. */
void wall_format_http(struct wall when, char out[TIME_TEXT]);

#endif
