/* Access keys: who may call the API, and with which role. Thread: any. */
#ifndef MODEL_ACCESS_KEY_H
#define MODEL_ACCESS_KEY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"
#include "base/time.h"

#include <stdbool.h>

#include <jansson.h>

/* Each includes what stands before it. */
enum model_role { MODEL_ROLE_VIEWER, MODEL_ROLE_OPERATOR, MODEL_ROLE_ADMIN };

/* {"v":1,"Id":"LW...","Sealed":..,"Role":"admin","Comment":..,"Created":seconds}. Sealed is the
 * secret as seal/seal.h seals it for the key's place in the store; this room looks at it no closer
 * (service/common/access_key.h does). Records of version 0.1 had "Secret" in plain instead. */
struct model_access_key {
    const char *id;       /* see model_access_key_id_valid */
    const char *sealed;   /* "" when only the secret is known */
    struct secret secret; /* empty when only the sealed text is known */
    enum model_role role;
    const char *comment;
    struct wall created;
};

/* The bounds IAM gives an access key id: 16 to 128 of [A-Za-z0-9_]. */
#define MODEL_ACCESS_KEY_ID_LEAST 16U
#define MODEL_ACCESS_KEY_ID_MOST 128U
bool model_access_key_id_valid(const char *id);

const char *model_role_name(enum model_role role);
int model_role_parse(const char *name, enum model_role *ret_role) MUST_CHECK;
/* A fresh id ("LWAK" and 16 of [A-Z2-7]) and secret (40 of [A-Za-z0-9+/]). */
void model_access_key_generate(struct arena *arena, enum model_role role, const char *comment,
                               struct wall now, struct model_access_key *ret_key);
/* With "Sealed"; in plain, as version 0.1 wrote it, only where `sealed` is empty. */
json_t *model_access_key_encode(const struct model_access_key *key) MUST_CHECK;
/* Wipes the tree's own copy of the secret, then gives the reference back. For the last reference;
 * NULL is fine. */
void model_access_key_release(json_t *take_tree);
int model_access_key_decode(const void *value, size_t size, struct arena *arena,
                            struct model_access_key *ret_key, struct err *err) MUST_CHECK;

#endif
