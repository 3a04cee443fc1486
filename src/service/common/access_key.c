/* Access keys in the store: see access_key.h. Called on API threads and, at start, on the main
 * one; keeps nothing. Invariant: no secret reaches the store but sealed. */
#include "service/common/access_key.h"

#include "base/text.h"
#include "model/path.h"

#include <stdlib.h>
#include <string.h>

int service_access_key_put(struct store *store, const struct seal *seal,
                           const struct model_access_key *key, bool fresh, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *path = path_join(&arena, PATH_ACCESS_KEYS, key->id);
    char *sealed = NULL;
    int rc = seal_wrap(seal, path, key->secret.data, key->secret.length, &arena, &sealed, err);
    if (rc != 0) {
        return rc;
    }
    struct model_access_key record = *key;
    record.sealed = sealed;
    json_t *tree = model_access_key_encode(&record);
    secret_wipe(&record.secret);
    char *value = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    model_access_key_release(tree);
    if (value == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for an access key");
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (fresh) {
        store_txn_require_absent(txn, path);
    }
    store_txn_put(txn, path, value, strlen(value));
    free(value);
    int64_t revision = 0;
    return store_commit(store, txn, &revision, err);
}

int service_access_key_get(struct store *store, const struct seal *seal, const char *id,
                           struct arena *arena, struct model_access_key *ret_key, struct err *err)
{
    struct store_entry entry;
    struct model_access_key key;
    const char *path = path_join(arena, PATH_ACCESS_KEYS, id);
    int rc = store_get(store, path, arena, &entry, err);
    rc = rc != 0 ? rc : model_access_key_decode(entry.value, entry.size, arena, &key, err);
    if (rc != 0) {
        return rc;
    }
    if (!text_empty(key.sealed)) {
        struct seal_data secret;
        rc = seal_unwrap(seal, path, key.sealed, arena, &secret, err);
        if (rc == 0 && secret_set(&key.secret, secret.data, secret.size) != 0) {
            rc = err_set(err, ERR_CORRUPT, "%s: its secret is too long", path);
        }
    }
    if (rc == 0) {
        *ret_key = key;
    }
    secret_wipe(&key.secret);
    return rc;
}
