/* TSIG keys: secrets that this server and a secondary share, by name. Thread: any.
 *
 * The secret stands in the record sealed (seal/seal.h) for the record's own store key. */
#ifndef MODEL_TSIG_KEY_H
#define MODEL_TSIG_KEY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/wire/name.h"

#include <jansson.h>

/* {"v":1,"Name":"key.example.","Algorithm":"hmac-sha256","Secret":sealed,"Created":seconds} */
struct model_tsig_key {
    const char *name; /* text, lower case, trailing dot */
    const char *algorithm;
    const char *secret; /* sealed: of the secret's bytes */
    struct wall created;
    uint8_t wire[NAME_WIRE_LIMIT]; /* of name */
};

/* The name as it is kept; -EINVAL when it is no domain name, or the root. */
int model_tsig_name(const char *text, char out[NAME_TEXT_LIMIT]) MUST_CHECK;
json_t *model_tsig_key_encode(const struct model_tsig_key *key) MUST_CHECK;
int model_tsig_key_decode(const void *value, size_t size, struct arena *arena,
                          struct model_tsig_key *ret_key, struct err *err) MUST_CHECK;

#endif
