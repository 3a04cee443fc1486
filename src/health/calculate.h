/* CALCULATED checks: a threshold over the states of other checks. Pure; called by check_table.c.
 *
 * Threshold 0 is always healthy, more than there are children never (HealthThreshold in the Route
 * 53 API reference). A child that does not exist counts as healthy: AWS calls the effect of a
 * deleted check unpredictable, so the rule for a check without results is used. Calculated checks
 * do not nest: a calculated child counts as one that does not exist. */
#ifndef HEALTH_CALCULATE_H
#define HEALTH_CALCULATE_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum calculate_child {
    CALCULATE_UNKNOWN,
    CALCULATE_HEALTHY,
    CALCULATE_UNHEALTHY,
};

bool calculate_verdict(const enum calculate_child *children, size_t count, uint32_t threshold) PURE;

#endif
