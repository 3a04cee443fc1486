/* A zone's DNSSEC state as the handlers of this room read and change it. Private to this room.
 * Thread: the call's; memory: the call's arena. */
#ifndef SERVICE_ROUTE53_SIGNING_H
#define SERVICE_ROUTE53_SIGNING_H

#include "model/dnssec.h"
#include "service/route53/zone.h"

struct route53_signing {
    struct route53_zone zone;
    struct model_dnssec dnssec;
    const char *key;                /* of the DNSSEC record */
    int64_t revision;               /* of it; 0: there is none yet */
    struct model_signing_key *keys; /* key-signing keys, by name */
    size_t count;
};

/* The zone's state. NoSuchHostedZone. */
int route53_signing_load(struct aws_call *call, const char *zone_id,
                         struct route53_signing *ret_signing, struct err *err) MUST_CHECK;
/* Puts the DNSSEC record anew and lets the transaction fail when somebody else changed it, or
 * deleted the zone, since it was read. */
int route53_signing_touch(struct aws_call *call, struct store_txn *txn,
                          const struct route53_signing *signing, bool signing_now, struct err *err)
    MUST_CHECK;
/* Puts the key's record. */
int route53_signing_put(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                        const struct model_signing_key *key, struct err *err) MUST_CHECK;
/* A fresh key pair for the zone, sealed for the place it will stand at: with a name a key-signing
 * key, with "" a zone-signing key. It is active. */
int route53_signing_make(struct aws_call *call, const struct model_zone *zone, const char *name,
                         struct model_signing_key *ret_key, struct err *err) MUST_CHECK;
/* Whether the private half can be opened here. */
bool route53_signing_opens(struct aws_call *call, const char *zone_id,
                           const struct model_signing_key *key);
/* Whether a zone of ours above this one has a DS record for the key. */
int route53_signing_in_parent(struct aws_call *call, const struct model_zone *zone,
                              const struct model_signing_key *key, bool *ret_found, struct err *err)
    MUST_CHECK;
/* "TAG 13 2 DIGEST", in the arena. */
const char *route53_signing_ds(struct aws_call *call, const struct model_signing_key *key);
/* For DeleteHostedZone: refuses while there are key-signing keys, and takes the rest away. */
int route53_signing_delete_zone(struct aws_call *call, struct store_txn *txn,
                                const struct route53_zone *zone, struct err *err) MUST_CHECK;

#endif
