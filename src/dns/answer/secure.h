/* DNSSEC in a response, for clients that want it (DO): signatures behind RRsets, and the NSEC
 * records that prove what is not there (RFC 4035 section 3.1). All of it was signed ahead. Private
 * to dns/answer; on the answer path: no allocation, no lock.
 *
 * Names and chain are two structures that change one after the other; when that happens between
 * finding the name and proving something, `again` says that the answer has to be made anew. */
#ifndef DNS_ANSWER_SECURE_H
#define DNS_ANSWER_SECURE_H

#include "base/macro.h"
#include "dns/wire/message.h"
#include "dns/zone/zone_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One for each name of a CNAME chain that a wildcard stood in for, and two for a denial. */
#define SECURE_PROOFS_LIMIT 16U

struct secure_proof {
    const struct zone_denial *denial;
    const struct zone_answer *nsec;
    size_t rrsig_size;
    size_t apex_at; /* where in the message the zone's name stands */
};

struct secure {
    const struct zone_security *zone; /* of the zone that answers now; NULL: no signatures */
    uint32_t version;                 /* of its names and chain when they were first looked at */
    uint8_t count;
    uint8_t written; /* of proofs */
    bool proving;    /* something was to be proved */
    bool again;
    struct secure_proof proofs[SECURE_PROOFS_LIMIT];
};

/* A new response. */
static inline void secure_init(struct secure *secure)
{
    secure->zone = NULL;
    secure->count = 0;
    secure->written = 0;
    secure->proving = false;
    secure->again = false;
}

/* The zone answers from now on, to a client that set DO. */
void secure_enter(struct secure *secure, const struct zone *zone);
/* The leaf with its signatures. False when they did not fit; nothing was written then. */
bool secure_put(const struct secure *secure, struct message_writer *writer,
                enum message_section section, const struct zone_answer *leaf, size_t owner_at) HOT;
/* Only the signatures of a leaf; false when there are none, or they did not fit. */
bool secure_put_signatures(const struct secure *secure, struct message_writer *writer,
                           const struct zone_answer *leaf, size_t owner_at);
/* The NSEC of, or in front of, the name that has these labels in front of the zone's: it will be in
 * the response. */
void secure_prove(struct secure *secure, const uint8_t *relative, size_t length, size_t apex_at);
/* Writes what is to be proved into the authority section; false when it did not fit. */
bool secure_put_proofs(struct secure *secure, struct message_writer *writer);

#endif
