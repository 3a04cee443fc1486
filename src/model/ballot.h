/* What one site says of all its health checks: its ballots, which it sends to the other sites.
 *
 * Filled by health/, carried by peer/ (which knows nothing of checks), counted by health/ of
 * another site. The number of entries is the number of checks that are probed, whatever their
 * state. Thread: any; immutable once handed over. */
#ifndef MODEL_BALLOT_H
#define MODEL_BALLOT_H

#include "base/macro.h"
#include "base/time.h"

#include <stddef.h>
#include <stdint.h>

#define MODEL_BALLOT_ID 16U
/* Entries of one table: as many checks as a node probes. */
#define MODEL_BALLOTS_LIMIT 100000U
/* Sites of a cluster, this one included. */
#define MODEL_SITES_LIMIT 15U
/* A table that was made longer ago than this does not vote. */
#define MODEL_BALLOT_AGE_MS 5000
/* For a verdict to change, tables of more than half of the sites must be younger than this. What is
 * shown to have been heard is up to two periods of a second old, on any network. So a site that is
 * cut off from most others stops changing verdicts before the first vote of theirs stops counting:
 * else its own would win when the last votes it has heard run out one after the other. */
#define MODEL_BALLOT_RECENT_MS 2500
/* Bytes of a site's name, with its NUL: a label of a domain name. */
#define MODEL_SITE_NAME 64U

enum model_vote {
    MODEL_VOTE_NONE, /* abstains: not looked at yet, or not to be probed */
    MODEL_VOTE_HEALTHY,
    MODEL_VOTE_UNHEALTHY,
};

struct model_ballot {
    uint8_t id[MODEL_BALLOT_ID]; /* model_ballot_id of the check's id */
    uint8_t vote;                /* enum model_vote */
    uint32_t age_ms;             /* of the vote, when the table was made; UINT32_MAX: or more */
};

struct model_ballots {
    struct mono made; /* on the clock of this machine */
    size_t count;
    struct model_ballot entries[]; /* by id, ascending; none twice */
};

/* A hash of a check's id, the same everywhere. */
void model_ballot_id(const char *check_id, uint8_t id[MODEL_BALLOT_ID]);

#endif
