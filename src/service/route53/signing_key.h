/* A zone's DNSSEC keys: making one, and where it stands in the store. Thread: any; what is made
 * lives in the arena, the private half sealed. */
#ifndef SERVICE_ROUTE53_SIGNING_KEY_H
#define SERVICE_ROUTE53_SIGNING_KEY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/dnssec.h"
#include "seal/seal.h"

/* A fresh key pair, active, sealed for its place. With a name it is a key-signing key, whose digest
 * is for the zone's name; with "" a zone-signing key, and zone_name is not looked at. */
int signing_key_make(const struct seal *seal, struct arena *arena, struct wall now,
                     const char *zone_id, const char *zone_name, const char *name,
                     struct model_signing_key *ret_key, struct err *err) MUST_CHECK;
/* The key of its record in the store, in the arena. */
const char *signing_key_place(struct arena *arena, const char *zone_id,
                              const struct model_signing_key *key) MUST_CHECK;

#endif
