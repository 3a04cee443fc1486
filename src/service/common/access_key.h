/* Storing an access key, for all who make one: the handler of CreateKey and the daemon's first
 * start. Any thread. */
#ifndef SERVICE_COMMON_ACCESS_KEY_H
#define SERVICE_COMMON_ACCESS_KEY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/access_key.h"
#include "store/store.h"

#include <stdbool.h>

/* Puts the key's record, and wipes every copy of the secret that it made on the way. fresh:
 * ERR_CONFLICT when there is a key of that id; otherwise it is replaced. */
int service_access_key_put(struct store *store, const struct model_access_key *key, bool fresh,
                           struct arena *arena, struct err *err) MUST_CHECK;

#endif
