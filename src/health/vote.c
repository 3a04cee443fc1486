/* The vote: see vote.h. Pure; any thread. */
#include "health/vote.h"

#define ROUTE53_PERCENT 18U

struct vote_result vote_decide(enum vote_rule rule, const struct vote_ballot *ballots, size_t sites,
                               const struct vote_ages *ages, bool present, struct mono now)
{
    struct vote_result result = {.healthy = present};
    size_t recent = 0;
    for (size_t i = 0; i < sites; i++) {
        int64_t age = mono_since(now, ballots[i].heard);
        if (ballots[i].cast && age <= ages->counts_ns) {
            result.fresh++;
            result.healthy_count += ballots[i].healthy ? 1 : 0;
            recent += age <= ages->recent_ns ? 1 : 0;
        }
    }
    if (recent * 2 <= sites) {
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
