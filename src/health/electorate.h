/* Who votes: the known sites, when the newest table of each was made, and the vote over one check.
 * Pure; the health loop has one, the simulation one for each site. A site that is known alone
 * decides by its own results, as if there were no votes.
 *
 * Invariant: slot ELECTORATE_SELF is this site, the others follow in the order they were given; a
 * table that is older than the newest of that site changes nothing. */
#ifndef HEALTH_ELECTORATE_H
#define HEALTH_ELECTORATE_H

#include "base/macro.h"
#include "base/time.h"
#include "health/vote.h"
#include "model/ballot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELECTORATE_SELF 0U

struct electorate_site {
    char name[MODEL_SITE_NAME];
    bool ever;         /* a table of it came */
    bool fresh;        /* its votes count, at the last electorate_refresh */
    bool recent;       /* and let verdicts change */
    struct mono heard; /* when the newest was made, at the earliest */
};

struct electorate {
    struct electorate_site sites[MODEL_SITES_LIMIT];
    size_t count; /* 0 and 1: alone */
    size_t fresh; /* sites at the last electorate_refresh, this one included */
    bool held;    /* too few of them are recent */
};

static inline bool electorate_is_alone(const struct electorate *electorate)
{
    return electorate->count <= 1;
}

/* Known sites from now on: own, whether it is among the names or not, and others up to
 * MODEL_SITES_LIMIT in all; those beyond have no vote and are not counted. ret_from: for each slot
 * the slot that the site had before, or MODEL_SITES_LIMIT. */
void electorate_set(struct electorate *electorate, const char *const *names, size_t count,
                    const char *own, size_t ret_from[MODEL_SITES_LIMIT]);
/* The slot of another site whose table came; MODEL_SITES_LIMIT when it is to be left aside: it is
 * unknown, ourselves, or an older one. */
size_t electorate_hear(struct electorate *electorate, const char *name, struct mono made);
/* Says anew who is fresh, and whether that, or whether verdicts are held, differs from before: then
 * every check is decided anew. */
bool electorate_refresh(struct electorate *electorate, struct mono now);

/* The verdict over one check: own vote and those of the others by slot (enum model_vote). */
struct vote_result electorate_decide(const struct electorate *electorate, enum vote_rule rule,
                                     enum model_vote own, const uint8_t *votes, bool present,
                                     struct mono now);

#endif
