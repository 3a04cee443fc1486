/* Access keys at hand, for the API: those used last, opened, as long as nothing changed among the
 * keys in the store. What the store says of changes is looked at before each use, in memory, so a
 * key that is gone is gone with the next request. Thread: any. */
#ifndef DAEMON_KEYRING_H
#define DAEMON_KEYRING_H

#include "aws/server.h"
#include "base/err.h"
#include "base/macro.h"
#include "seal/seal.h"
#include "store/store.h"

struct keyring;

/* Both outlive it. store: one whose watches wait for nobody, so the embedded one or a replica. */
struct keyring *keyring_new(struct store *store, const struct seal *seal) MUST_CHECK;
void keyring_free(struct keyring *take_keyring);

/* As credentials_lookup. */
int keyring_lookup(struct keyring *keyring, const char *access_key_id,
                   struct aws_credential *ret_credential, struct err *err) MUST_CHECK;

#endif
