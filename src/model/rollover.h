/* When a signed zone's zone-signing key is replaced: the pre-publish rollover of RFC 6781 section
 * 4.1.1.1, as a decision. Pure: keys and the clock in, one step out; who calls it writes the step
 * down in one transaction, so that a crash loses nothing. Thread: any.
 *
 *   ACTIVE for a period      -> PUBLISH  a fresh key, which signs nothing yet
 *   PUBLISHED long enough    -> SWITCH   it signs; the one before is RETIRED, and still shown
 *   RETIRED long enough      -> REMOVE   nobody can hold a signature of it any more */
#ifndef MODEL_ROLLOVER_H
#define MODEL_ROLLOVER_H

#include "model/dnssec.h"

#include <stddef.h>
#include <stdint.h>

/* A day: the TTL of DNSKEY records (an hour), and servers that are behind. */
#define MODEL_ROLLOVER_PUBLISH_S INT64_C(86400)
/* Signatures last 14 days at most, and no cache keeps a record longer than its signature (RFC 4035
 * section 5.3.3). */
#define MODEL_ROLLOVER_RETIRE_S (INT64_C(15) * 86400)

enum model_rollover_step {
    MODEL_ROLLOVER_NONE,
    MODEL_ROLLOVER_PUBLISH,
    MODEL_ROLLOVER_SWITCH,
    MODEL_ROLLOVER_REMOVE,
};

/* Its step, and the keys concerned: indices into those given. */
struct model_rollover {
    enum model_rollover_step step;
    size_t active; /* SWITCH: the key that retires */
    size_t other;  /* SWITCH: the key that signs from now on; REMOVE: the key that goes */
};

/* keys: the zone's zone-signing keys. period_s: how long a key signs; 0: for ever. A period of less
 * than 45 days shortens both waits to a third of it, which is for tests. A clock that was set back
 * makes it wait. */
struct model_rollover model_rollover_next(const struct model_signing_key *keys, size_t count,
                                          int64_t now_s, int64_t period_s);

#endif
