/* Putting compiled answers into a response: which leaf of a weighted or multivalue answer is given,
 * and its RRs with the owner and TTL they need here. Private to dns/answer; on the answer path: no
 * allocation, no lock. */
#ifndef DNS_ANSWER_RRSET_H
#define DNS_ANSWER_RRSET_H

#include "base/macro.h"
#include "base/random.h"
#include "dns/wire/message.h"
#include "dns/zone/zone_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a compression pointer can reach (RFC 1035 section 4.1.4). */
#define RRSET_POINTER_LIMIT 0x4000U

/* What an answer stands for this time: a leaf, or a multivalue answer; NULL: nothing. */
const struct zone_answer *rrset_pick(const struct zone_answer *answer, struct random *random) HOT;
/* As rrset_pick, but always a leaf or NULL. */
const struct zone_answer *rrset_pick_leaf(const struct zone_answer *answer, struct random *random);
/* Writes what rrset_pick gave; owner_at: where in the message the owner's name stands, below
 * RRSET_POINTER_LIMIT. False when it did not fit; nothing was written then. */
bool rrset_put(struct message_writer *writer, enum message_section section,
               const struct zone_answer *picked, size_t owner_at, struct random *random) HOT;

#endif
