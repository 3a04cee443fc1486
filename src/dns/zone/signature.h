/* Signatures made ahead: each leaf of a signed zone carries its RRSIG records. Private to dns/zone;
 * all of it belongs to the thread that owns the database.
 *
 *   own leafs (plain RRsets, records of groups)   signed in place, under their own owner
 *   derived answers (aliases, multivalue)         copies that a group keeps (struct zone_derived)
 *
 * A zone is signed in slices: WALK collects its names, SIGN signs name by name, and then the zone
 * is shown signed in one step. From then on what changes is signed before it is shown, and SIGN
 * goes round again when signatures run out. Invariant: a leaf's signatures are over the RRs in
 * front of them, or there are none. */
#ifndef DNS_ZONE_SIGNATURE_H
#define DNS_ZONE_SIGNATURE_H

#include "base/random.h"
#include "dns/sign/sign.h"
#include "dns/zone/internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum signer_state { SIGNER_WALK, SIGNER_SIGN, SIGNER_LIVE };

/* One of the zone's keys, or one that was and whose signatures are still served. */
struct signer_key {
    struct sign_key *key; /* referenced */
    bool silent;          /* among the DNSKEY records, and signs nothing */
    bool signs;           /* the zone's records, but for DNSKEY */
    bool leaving;         /* no longer the zone's: goes when `marked` does */
    bool marked;          /* signatures of it may stand in the zone, beside the DNSKEY records */
};

#define SIGNER_KEYS_LIMIT ((size_t)2 * ZONE_KEYS_LIMIT)

struct zone_signer {
    struct zone_security security; /* what readers see once it is shown */
    struct zone_owner *zone;
    struct zone_signer *next; /* in database->signers */
    enum signer_state state;
    struct signer_key keys[SIGNER_KEYS_LIMIT]; /* those that are leaving behind the others */
    size_t key_count;
    struct random random;
    size_t walk_at;     /* WALK: entry of the names' table */
    bool sweeping;      /* SIGN, or a round of LIVE: behind `cursor` it is not done yet */
    size_t cursor_size; /* of the key of the name done last; SIZE_MAX: none */
    uint8_t cursor[ZONE_DENIAL_KEY_LIMIT];
    uint32_t since;    /* signatures made before this moment are made again */
    uint32_t newest;   /* when the last signature was made */
    uint32_t runs_out; /* when the first signature that this round met has to be made again */
    int64_t due_s;     /* of the next round */
    size_t name_count; /* in the index */
    uint32_t nsec_ttl; /* RFC 9077: the least of the SOA's TTL and its last number */
};

/* Answers that a group made for itself, so that they are signed under its own name. */
struct zone_derived {
    struct zone_answer **leafs; /* a cache: some are not served now */
    size_t count;
    size_t used; /* leafs[0..used) are what is served */
    struct zone_answer **mixes;
    size_t mix_count;
};

/* The zone's DNSSEC as zone_database_set_signing left it: starts, changes keys, or ends. Called by
 * publish. */
void signer_settle(struct zone_database *database, struct zone_owner *zone);
/* Forgets all of it; the zone is about to go. */
void signer_close(struct zone_database *database, struct zone_owner *zone);
/* Signs the whole zone at once when it has at most `limit` names. */
void signer_complete(struct zone_database *database, struct zone_owner *zone, size_t limit);

/* Signs the leafs of a node, a draft or visible, that are not signed or have to be again; what is
 * replaced is retired, and the groups that it touches are queued. authoritative: no delegation
 * stands above it. Returns how many signatures were made. */
size_t signer_node(struct zone_database *database, struct zone_owner *zone, struct zone_node *node,
                   bool authoritative);
/* A copy of the leaf with signatures of the zone's keys, or of the entry keys (DNSKEY). */
struct zone_answer *signer_leaf(struct zone_database *database, struct zone_signer *signer,
                                const uint8_t *owner, const struct zone_answer *leaf,
                                bool entry_keys) MUST_CHECK;
/* Whether the leaf's signatures are of the zone's keys and last long enough. */
bool signer_current(struct zone_database *database, struct zone_signer *signer,
                    const struct zone_answer *leaf);
/* Whether the key signs DNSKEY records (entry_keys), or all else. */
bool signer_signs(const struct zone_signer *signer, const struct signer_key *key, bool entry_keys);
/* What readers get for the group. Called when its answer changed. */
const struct zone_answer *signer_answer(struct zone_database *database, struct zone_group *group);
/* Whether that takes signatures that are not there yet. */
bool signer_waits(struct zone_database *database, struct zone_group *group);
/* Signs what the group may answer after the next changes of health, as far as that is few: each
 * record on its own; of a multivalue group of up to ZONE_MULTIVALUE_LIMIT records all of them, and
 * all but one. */
void signer_ahead(struct zone_database *database, struct zone_group *group);
void derived_free(struct zone_database *database, struct zone_derived *take_derived);
/* True when no delegation stands above the name. (denial.c) */
bool signer_authoritative(const struct zone_database *database, const struct zone_owner *zone,
                          const uint8_t *relative, size_t length);

#endif
