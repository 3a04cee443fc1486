/* Turns: of calls that want to change the same things, one is at work and the others wait in the
 * order in which they came. A turn is a courtesy, not a lock: what must not happen twice is
 * prevented by compares in the store, which calls at other sites meet as well. It saves calls at
 * one site from judging by what another one is about to change, and from losing to it time and
 * again.
 *
 * Bounds: each waiting call is an API thread, of which there are few, and waits as long as there
 * is patience; then it goes on without its turn. Thread: any. Memory: a turn is its caller's. */
#ifndef SERVICE_COMMON_TURNS_H
#define SERVICE_COMMON_TURNS_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

struct turns;

struct turn {
    struct turn *next;
    const char *const *names; /* of what is to be changed; the caller's until turns_leave */
    size_t count;
};

struct turns *turns_new(int64_t patience_ns) MUST_CHECK;
/* Nobody is in it. */
void turns_free(struct turns *take_turns);

/* Fills *turn and waits until nobody who came before wants one of the names, or patience ends.
 * Returns the nanoseconds that it waited, 0 for none. turns NULL: nobody ever waits. Each call is
 * followed by turns_leave. */
int64_t turns_enter(struct turns *turns, struct turn *turn, const char *const *names, size_t count);
void turns_leave(struct turns *turns, struct turn *turn);
/* Those at work and those who wait. */
size_t turns_count(struct turns *turns);

#endif
