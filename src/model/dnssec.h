/* DNSSEC as records: whether a zone is signed, and its keys. The private half of a key is sealed
 * (seal/seal.h) for the key's place in the store; this room does not open it. Thread: any; strings
 * of a decoded record live in the arena. */
#ifndef MODEL_DNSSEC_H
#define MODEL_DNSSEC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/keep.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Flags of a DNSKEY, RFC 4034 section 2.1.1. */
#define MODEL_FLAGS_ZONE_KEY 256U
#define MODEL_FLAGS_SIGNING_KEY 257U

/* Key-signing keys that Route 53 allows a zone. */
#define MODEL_SIGNING_KEYS_LIMIT 2U

/* r53/dnssec/<zone id>: {"v":1,"Status":"SIGNING"|"NOT_SIGNING","Modified":seconds}. It is put anew
 * with every change to the zone's keys, so that writers notice one another by its revision. */
struct model_dnssec {
    bool signing;
    int64_t modified_s;
    struct model_stored stored; /* borrowed from what was decoded */
};

/* A key-signing key is active or inactive. A zone-signing key goes from published (shown, so that
 * caches know it when it begins to sign) to active to retired (shown as long as caches may hold its
 * signatures): RFC 6781 section 4.1.1.1. */
enum model_key_status {
    MODEL_KEY_INACTIVE,
    MODEL_KEY_ACTIVE,
    MODEL_KEY_PUBLISHED,
    MODEL_KEY_RETIRED,
};

/* r53/ksk/<zone id>/<name> and r53/zsk/<zone id>/<key tag>:
 * {"v":1,"Name":..,"Flags":257,"KeyTag":n,"PublicKey":base64,"Digest":hex,"Sealed":..,"KmsArn":..,
 *  "Status":"ACTIVE"|"INACTIVE"|"PUBLISHED"|"RETIRED","CallerReference":..,"Created":seconds,
 *  "Modified":seconds, since when it has the status};
 * a zone-signing key has no name, digest, ARN or reference. Its algorithm is always 13. */
struct model_signing_key {
    const char *name;
    unsigned flags;
    unsigned tag;
    const char *public_key; /* base64, as in a DNSKEY record */
    const char *digest;     /* SHA-256 of the DS record, upper-case hexadecimal */
    const char *sealed;     /* the private key as PKCS#8 DER */
    const char *arn;        /* what the client calls the key; kept as it is */
    enum model_key_status status;
    const char *caller_reference;
    int64_t created_s;
    int64_t modified_s;
    struct model_stored stored; /* in the arena */
};

/* A record that was decoded keeps what a later version put into it, here and below. */
json_t *model_dnssec_encode(const struct model_dnssec *dnssec) MUST_CHECK;
int model_dnssec_decode(const void *value, size_t size, struct model_dnssec *ret_dnssec,
                        struct err *err) MUST_CHECK;
json_t *model_signing_key_encode(const struct model_signing_key *key) MUST_CHECK;
int model_signing_key_decode(const void *value, size_t size, struct arena *arena,
                             struct model_signing_key *ret_key, struct err *err) MUST_CHECK;

#endif
