/* Choosing among the records of a group: see choose.h. Called when a group is compiled, on the
 * owner's thread, never for a query. Invariant: some record is served as long as there is one. */
#include "dns/zone/choose.h"

bool choose_any_healthy(const struct choose_candidate *candidates, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].healthy) {
            return true;
        }
    }
    return false;
}

/* The PRIMARY while it is eligible, else the SECONDARY; with nothing healthy all are eligible, so
 * that the PRIMARY is returned (rule 2). */
static void choose_failover(const struct choose_candidate *candidates, size_t count, bool all,
                            uint32_t *shares)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        bool eligible = all || candidates[i].healthy;
        if (eligible && (best == count || (candidates[i].failover == MODEL_PRIMARY &&
                                           candidates[best].failover != MODEL_PRIMARY))) {
            best = i;
        }
    }
    for (size_t i = 0; i < count; i++) {
        shares[i] = i == best ? 1 : 0;
    }
}

/* Weights among the eligible. Those of weight 0 stand in when no other is eligible, evenly
 * (rule 4). */
static void choose_weighted(const struct choose_candidate *candidates, size_t count, bool all,
                            uint32_t *shares)
{
    bool weight_found = false;
    for (size_t i = 0; i < count; i++) {
        bool eligible = all || candidates[i].healthy;
        shares[i] = eligible ? candidates[i].weight : 0;
        weight_found = weight_found || shares[i] != 0;
    }
    for (size_t i = 0; i < count && !weight_found; i++) {
        shares[i] = all || candidates[i].healthy ? 1 : 0;
    }
}

bool choose(enum model_policy policy, const struct choose_candidate *candidates, size_t count,
            uint32_t *shares)
{
    bool all = !choose_any_healthy(candidates, count);
    switch (policy) {
    case MODEL_FAILOVER:
        choose_failover(candidates, count, all, shares);
        break;
    case MODEL_WEIGHTED:
        choose_weighted(candidates, count, all, shares);
        break;
    case MODEL_SIMPLE:
    case MODEL_MULTIVALUE:
    case MODEL_LATENCY:
    case MODEL_GEOLOCATION:
    case MODEL_GEOPROXIMITY:
    case MODEL_CIDR:
        for (size_t i = 0; i < count; i++) {
            shares[i] = all || candidates[i].healthy ? 1 : 0;
        }
        break;
    }
    return all && count != 0;
}
