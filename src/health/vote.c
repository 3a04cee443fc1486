/* The vote: see vote.h. Pure; any thread. */
#include "health/vote.h"

#define ROUTE53_PERCENT 18U

struct vote_result vote_decide(enum vote_rule rule, const struct vote_ballot *ballots, size_t sites,
                               int64_t age_limit_ns, bool present, struct mono now)
{
    struct vote_result result = {.healthy = present};
    for (size_t i = 0; i < sites; i++) {
        if (ballots[i].cast && mono_since(now, ballots[i].heard) <= age_limit_ns) {
            result.fresh++;
            result.healthy_count += ballots[i].healthy ? 1 : 0;
        }
    }
    if (result.fresh * 2 <= sites) {
        result.held = true;
        return result;
    }
    switch (rule) {
    case VOTE_EIGHTEEN_PERCENT:
        result.healthy = result.healthy_count * 100 > result.fresh * ROUTE53_PERCENT;
        break;
    case VOTE_MAJORITY:
        result.healthy = result.healthy_count * 2 > result.fresh;
        break;
    }
    return result;
}
