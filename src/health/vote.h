/* The vote over several checkers (sites) on one check: a pure function of their ballots, the rule,
 * the present verdict and the time.
 *
 * Called by check_table.c with this site's ballot alone; with several sites, by what receives their
 * tables. A ballot that was not heard of for longer than it counts is left out. Invariant: the
 * verdict changes only when ballots of more than half of the known sites are recent. */
#ifndef HEALTH_VOTE_H
#define HEALTH_VOTE_H

#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

enum vote_rule {
    VOTE_EIGHTEEN_PERCENT, /* healthy while more than 18 % say so: Route 53's rule */
    VOTE_MAJORITY,         /* healthy while more than half say so */
};

struct vote_ballot {
    bool cast; /* false: a known site that was never heard of */
    bool healthy;
    struct mono heard; /* when its table arrived */
};

struct vote_ages {
    int64_t counts_ns; /* a ballot of this age still counts */
    int64_t recent_ns; /* and of this age it still is recent; smaller */
};

struct vote_result {
    bool healthy;
    bool held;    /* too few recent ballots: the present verdict stays */
    size_t fresh; /* ballots that counted */
    size_t healthy_count;
};

/* ballots: one for each known site, this one included; at least one. */
struct vote_result vote_decide(enum vote_rule rule, const struct vote_ballot *ballots, size_t sites,
                               const struct vote_ages *ages, bool present, struct mono now);

#endif
