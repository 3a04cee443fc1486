/* Access keys in the store: the first one, and looking one up for the API. */
#ifndef DAEMON_CREDENTIALS_H
#define DAEMON_CREDENTIALS_H

#include "aws/server.h"
#include "base/err.h"
#include "base/macro.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdio.h>

/* Before the API starts, main thread. With LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY in
 * the environment that key is an admin key from now on; else, when the store holds no key at all,
 * one is made and written to `out`, once; it is kept only when that succeeded. store is read,
 * truth written; they may be the same. */
int credentials_prepare(struct store *store, struct store *truth, const struct seal *seal,
                        FILE *out, struct err *err) MUST_CHECK;
/* Where keys are: in the truth, and in this site's replica of it, which may be the same. */
struct credentials_place {
    struct store *replica;
    struct store *truth;
    const struct seal *seal;
    bool in_step;            /* the replica is not behind the truth */
    bool away;               /* the truth is not there */
    struct keyring *keyring; /* of the replica (keyring.h); NULL: none */
};

/* As aws_server_config.credential wants it. The replica is asked first, and the truth for what the
 * replica does not know. A call that changes something asks a truth that is there and ahead of the
 * replica, which may hold a key that was deleted. While the truth is away the replica's word
 * counts: what can change then is this site's alone, and the operator of a site that is cut off has
 * to get in. Any thread. */
int credentials_find(const struct credentials_place *place, const char *access_key_id, bool changes,
                     struct aws_credential *ret_credential, struct err *err) MUST_CHECK;
/* In this store alone. Any thread. */
int credentials_lookup(struct store *store, const struct seal *seal, const char *access_key_id,
                       struct aws_credential *ret_credential, struct err *err) MUST_CHECK;

#endif
