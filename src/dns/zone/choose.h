/* The decision: which records of a group are served, given who is healthy (spec/route53.md
 * "Choosing a record"). Pure; any thread. */
#ifndef DNS_ZONE_CHOOSE_H
#define DNS_ZONE_CHOOSE_H

#include "base/macro.h"
#include "model/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct choose_candidate {
    bool healthy; /* its own check and, for an alias that evaluates it, its target's health; true
                     without either */
    enum model_failover failover; /* failover groups */
    uint8_t weight;               /* weighted groups */
};

/* Fills shares[i]: 0 when candidate i is not served, else its weight among those that are (1 unless
 * weighted). At least one share is not 0 when there is a candidate. Returns true when nothing was
 * healthy, so that all were treated as healthy. The policies that look at where the client is
 * (latency and later ones) are not decided here. */
bool choose(enum model_policy policy, const struct choose_candidate *candidates, size_t count,
            uint32_t *shares);
/* True when any candidate is healthy: what an alias that evaluates its target's health sees. */
bool choose_any_healthy(const struct choose_candidate *candidates, size_t count) PURE;

#endif
