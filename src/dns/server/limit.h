/* Response rate limiting for one worker; private to this room.
 *
 * A source that is not known to be one (UDP, no good cookie) may draw so many responses a second,
 * counted for each network (IPv4 /24, IPv6 /56) and class of response; negative responses for each
 * zone besides, and at most four times as many for all zones. Beyond that every slip-th response
 * becomes an empty one with TC set, no larger than its query, so that a real client comes back over
 * TCP; the others are dropped.
 *
 * The table is of fixed size: sets of four buckets, one cache line each; a new source takes the
 * bucket that is fullest of tokens. Nothing allocates or locks. Thread: the worker's. */
#ifndef DNS_SERVER_LIMIT_H
#define DNS_SERVER_LIMIT_H

#include "base/macro.h"
#include "base/time.h"
#include "dns/answer/answer.h"
#include "dns/server/server.h"
#include "dns/server/udp.h"

#include <stddef.h>
#include <stdint.h>

enum limit_verdict { LIMIT_SEND, LIMIT_SLIP, LIMIT_DROP };

struct limit_set;

struct limit {
    int64_t cost_ns; /* of one response; 0: nothing is limited */
    unsigned slip;
    struct limit_set *sets;
    const struct dns_prefix *exempt; /* borrowed */
    size_t exempt_count;
    uint64_t key[3];
};

/* rate: responses a second in this worker, 0 for no limit. */
void limit_init(struct limit *limit, unsigned rate, unsigned slip, const struct dns_prefix *exempt,
                size_t exempt_count);
void limit_done(struct limit *limit);

/* What to do with a response over UDP; only where cost_ns is not 0. Takes a token. */
enum limit_verdict limit_judge(struct limit *limit, const union socket_address *source,
                               const struct answer_outcome *outcome, const uint8_t *response,
                               struct mono now);
/* Makes the response one with TC and nothing but the question; returns its size. */
size_t limit_truncate(const struct answer_outcome *outcome, uint8_t *response);

bool limit_prefix_contains(const struct dns_prefix *prefix, const union socket_address *address);

#endif
