/* Access keys: see credentials.h. Invariant: a secret leaves the process only in the one line that
 * announces a fresh key. */
#include "daemon/credentials.h"

#include "base/text.h"
#include "base/time.h"
#include "daemon/keyring.h"
#include "model/access_key.h"
#include "model/path.h"
#include "service/common/access_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_printable(const char *text)
{
    while (*text >= ' ' && *text <= '~') {
        text++;
    }
    return *text == '\0';
}

static int use_environment(struct store *store, struct store *truth, const struct seal *seal,
                           const char *id, const char *secret, struct arena *arena, struct err *err)
{
    struct model_access_key key;
    int rc = service_access_key_get(store, seal, id, arena, &key, err);
    if (rc == 0) {
        bool same = key.role == MODEL_ROLE_ADMIN && key.secret.length == strlen(secret) &&
                    secret_same_bytes(key.secret.data, secret, key.secret.length);
        secret_wipe(&key.secret);
        if (same) {
            return 0;
        }
    }
    if (rc != 0 && err->kind != ERR_NOT_FOUND) {
        return rc;
    }
    key = (struct model_access_key){.id = id,
                                    .sealed = "",
                                    .role = MODEL_ROLE_ADMIN,
                                    .comment = "from the environment",
                                    .created = wall_now()};
    if (!model_access_key_id_valid(id) || !is_printable(secret) ||
        secret_set(&key.secret, secret, strlen(secret)) != 0) {
        return err_set(err, ERR_INVALID,
                       "LEEWARD_ACCESS_KEY_ID needs 16 to 128 of A-Z, a-z, 0-9 and _, and "
                       "LEEWARD_SECRET_ACCESS_KEY at most %u printable ASCII characters",
                       SECRET_LIMIT);
    }
    rc = service_access_key_put(truth, seal, &key, false, err);
    secret_wipe(&key.secret);
    return rc;
}

int credentials_prepare(struct store *store, struct store *truth, const struct seal *seal,
                        FILE *out, struct err *err)
{
    const char *id =
        getenv("LEEWARD_ACCESS_KEY_ID"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    const char *secret =
        getenv("LEEWARD_SECRET_ACCESS_KEY"); /* NOLINT(concurrency-mt-unsafe): as above */
    if (text_empty(id) != text_empty(secret)) {
        return err_set(err, ERR_INVALID,
                       "LEEWARD_ACCESS_KEY_ID and LEEWARD_SECRET_ACCESS_KEY go together");
    }
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    if (!text_empty(id)) {
        return use_environment(store, truth, seal, id, secret, &arena, err);
    }
    size_t keys = 0;
    int rc = store_count(store, PATH_ACCESS_KEYS, &keys, err);
    if (rc != 0 || keys != 0) {
        return rc;
    }
    struct model_access_key key;
    model_access_key_generate(&arena, MODEL_ROLE_ADMIN, "made at the first start", wall_now(),
                              &key);
    /* Shown before it is stored: a key that is stored and was never shown would lock everybody out.
     */
    if (fprintf(out, "admin key (shown only now): %s %s\n", key.id, key.secret.data) < 0 ||
        fflush(out) != 0) {
        rc = err_set_errno(err, errno,
                           "the admin key of the first start cannot be written to standard output "
                           "(or choose one with LEEWARD_ACCESS_KEY_ID and "
                           "LEEWARD_SECRET_ACCESS_KEY)");
    } else {
        rc = service_access_key_put(truth, seal, &key, true, err);
    }
    secret_wipe(&key.secret);
    return rc;
}

static enum aws_role role_of(enum model_role role)
{
    switch (role) {
    case MODEL_ROLE_ADMIN:
        return AWS_ROLE_ADMIN;
    case MODEL_ROLE_OPERATOR:
        return AWS_ROLE_OPERATOR;
    case MODEL_ROLE_VIEWER:
        break;
    }
    return AWS_ROLE_VIEWER;
}

int credentials_lookup(struct store *store, const struct seal *seal, const char *access_key_id,
                       struct aws_credential *ret_credential, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    struct model_access_key key;
    if (!model_access_key_id_valid(access_key_id)) {
        return err_set(err, ERR_NOT_FOUND, "no such access key");
    }
    int rc = service_access_key_get(store, seal, access_key_id, &arena, &key, err);
    if (rc != 0) {
        return rc;
    }
    ret_credential->secret = key.secret;
    ret_credential->role = role_of(key.role);
    secret_wipe(&key.secret);
    return 0;
}

int credentials_find(const struct credentials_place *place, const char *access_key_id, bool changes,
                     struct aws_credential *ret_credential, struct err *err)
{
    bool doubtful = changes && !place->in_step && !place->away;
    if (doubtful && place->replica != place->truth) {
        int rc = credentials_lookup(place->truth, place->seal, access_key_id, ret_credential, err);
        if (rc == 0 || (err->kind != ERR_UNAVAILABLE && err->kind != ERR_TIMEOUT)) {
            return rc;
        }
        err_clear(err);
    }
    int rc =
        place->keyring != NULL
            ? keyring_lookup(place->keyring, access_key_id, ret_credential, err)
            : credentials_lookup(place->replica, place->seal, access_key_id, ret_credential, err);
    if (rc != 0 && place->replica != place->truth) { /* made elsewhere, a moment ago? */
        err_clear(err);
        rc = credentials_lookup(place->truth, place->seal, access_key_id, ret_credential, err);
    }
    return rc;
}
