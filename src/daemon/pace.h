/* How fast a change of health that touches many names is shown. Each piece of it takes a processor
 * from whoever else needs it, which may be a DNS worker; so the compiler rests between pieces, for
 * as long as the whole still ends in time. Pure. */
#ifndef DAEMON_PACE_H
#define DAEMON_PACE_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

/* From the decision on. What is late beyond it goes on without rests, in larger pieces. */
#define PACE_GOAL_NS INT64_C(120000000)

/* The piece that was shown last. */
struct pace {
    int64_t since_ns; /* from the decision to now */
    int64_t used_ns;  /* processor time the piece took */
    size_t names;     /* in the piece; at least 1 */
    size_t left;      /* names in the pieces to come */
};

/* Nanoseconds to rest before the next piece: such that the pieces to come, each taking as long as
 * this one did, end at PACE_GOAL_NS; never more than PACE_REST_LIMIT times what the piece took. */
#define PACE_REST_LIMIT 7
int64_t pace_rest(const struct pace *pace) PURE;

#endif
