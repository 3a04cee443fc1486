/* Storing an access key: see access_key.h. Called by service/leeward on API threads and by the
 * daemon on its main thread. Invariant: the secret is left in the store and in the caller's key
 * alone. */
#include "service/common/access_key.h"

#include "base/secret.h"
#include "model/path.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int service_access_key_put(struct store *store, const struct model_access_key *key, bool fresh,
                           struct arena *arena, struct err *err)
{
    json_t *tree = model_access_key_encode(key);
    char *value = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    model_access_key_release(tree);
    if (value == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for an access key");
    }
    const char *path = path_join(arena, PATH_ACCESS_KEYS, key->id);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (fresh) {
        store_txn_require_absent(txn, path);
    }
    store_txn_put(txn, path, value, strlen(value));
    secret_wipe_memory(value, strlen(value));
    free(value);
    int64_t revision = 0;
    return store_commit(store, txn, &revision, err);
}
