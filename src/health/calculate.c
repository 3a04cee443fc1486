/* Calculated checks: see calculate.h. Pure; any thread. */
#include "health/calculate.h"

bool calculate_verdict(const enum calculate_child *children, size_t count, uint32_t threshold)
{
    size_t healthy = 0;
    for (size_t i = 0; i < count; i++) {
        healthy += children[i] != CALCULATE_UNHEALTHY ? 1 : 0;
    }
    return healthy >= threshold;
}
