/* Access keys in the store: their secrets are sealed (seal/seal.h) for the place they stand at, and
 * opened only where a request is authenticated. Called by the daemon and service/leeward. Thread:
 * any. */
#ifndef SERVICE_COMMON_ACCESS_KEY_H
#define SERVICE_COMMON_ACCESS_KEY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/access_key.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdbool.h>

/* Seals the key's secret and commits the record. fresh: ERR_CONFLICT when the id is taken; else a
 * key of that id is replaced. */
int service_access_key_put(struct store *store, const struct seal *seal,
                           const struct model_access_key *key, bool fresh, struct err *err)
    MUST_CHECK;
/* The key with its secret, which the caller wipes; strings live in the arena. ERR_NOT_FOUND; or as
 * seal_unwrap fails. */
int service_access_key_get(struct store *store, const struct seal *seal, const char *id,
                           struct arena *arena, struct model_access_key *ret_key, struct err *err)
    MUST_CHECK;

#endif
