/* Access keys as records: see access_key.h. Called by the daemon (the first key), the API's
 * authentication and service/leeward (create, list, delete), on any thread. Strings live in the
 * caller's arena; the secret lives in the struct, and the tree it was read from is wiped.
 * Invariant: a decoded key has a valid id, a role and a secret, sealed or plain, never both. */
#include "model/access_key.h"

#include "base/random.h"
#include "base/text.h"
#include "model/fields.h"
#include "model/zone.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ID_PREFIX "LWAK"
#define ID_RANDOM 16U
#define SECRET_RANDOM 40U
#define COMMENT_LIMIT 1024U

static const char *const role_names[] = {
    [MODEL_ROLE_VIEWER] = "viewer",
    [MODEL_ROLE_OPERATOR] = "operator",
    [MODEL_ROLE_ADMIN] = "admin",
};

const char *model_role_name(enum model_role role)
{
    return role_names[role];
}

int model_role_parse(const char *name, enum model_role *ret_role)
{
    for (size_t i = 0; i < ARRAY_SIZE(role_names); i++) {
        if (text_equal(name, role_names[i])) {
            *ret_role = (enum model_role)i;
            return 0;
        }
    }
    return -EINVAL;
}

void model_access_key_generate(struct arena *arena, enum model_role role, const char *comment,
                               struct wall now, struct model_access_key *ret_key)
{
    *ret_key = (struct model_access_key){.role = role, .sealed = "", .created = now};
    char random[SECRET_RANDOM + 1];
    random_text(random, ID_RANDOM, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    ret_key->id = arena_printf(arena, ID_PREFIX "%s", random);
    ret_key->comment = arena_strdup(arena, comment);
    random_text(random, SECRET_RANDOM,
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    int rc = secret_set(&ret_key->secret, random, SECRET_RANDOM);
    assert(rc == 0); /* it is shorter than SECRET_LIMIT */
    secret_wipe_memory(random, sizeof random);
}

json_t *model_access_key_encode(const struct model_access_key *key)
{
    bool sealed = !text_empty(key->sealed);
    const char *secret = sealed ? key->sealed : key->secret.data;
    size_t length = sealed ? strlen(key->sealed) : key->secret.length;
    return json_pack("{s:i, s:s, s:s%, s:s, s:s, s:I}", "v", MODEL_VERSION, "Id", key->id,
                     sealed ? "Sealed" : "Secret", secret, length, "Role",
                     model_role_name(key->role), "Comment", key->comment, "Created",
                     (json_int_t)(key->created.ns / TIME_S));
}

void model_access_key_release(json_t *take_tree)
{
    const json_t *secret = json_object_get(take_tree, "Secret");
    union {
        const char *read;
        char *written;
    } text = {.read = json_string_value(secret)};
    if (text.read != NULL) {
        secret_wipe_memory(text.written, json_string_length(secret));
    }
    json_decref(take_tree);
}

bool model_access_key_id_valid(const char *id)
{
    size_t length = strlen(id);
    return length >= MODEL_ACCESS_KEY_ID_LEAST && length <= MODEL_ACCESS_KEY_ID_MOST &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

/* Exactly one of the two forms. */
static bool read_secret(const json_t *object, struct model_access_key *key)
{
    const json_t *secret = json_object_get(object, "Secret");
    if (key->sealed[0] != '\0') {
        return secret == NULL;
    }
    return json_string_length(secret) != 0 &&
           secret_set(&key->secret, json_string_value(secret), json_string_length(secret)) == 0;
}

static int read_key(const json_t *object, struct arena *arena, struct model_access_key *ret_key,
                    struct err *err)
{
    struct model_access_key key = {.id = "", .sealed = ""};
    const char *role = "";
    int64_t created = 0;
    int rc = fields_text(object, "Id", arena, &key.id, err);
    if (rc == 0) {
        rc = fields_text(object, "Role", arena, &role, err);
    }
    if (rc == 0) {
        rc = fields_text(object, "Comment", arena, &key.comment, err);
    }
    if (rc == 0) {
        rc = fields_text(object, "Sealed", arena, &key.sealed, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "Created", 0, INT64_MAX / TIME_S, 0, &created, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!model_access_key_id_valid(key.id) || model_role_parse(role, &key.role) != 0 ||
        strlen(key.comment) > COMMENT_LIMIT || !read_secret(object, &key)) {
        return err_set(err, ERR_CORRUPT, "its id, role, comment or secret is not valid");
    }
    key.created.ns = created * TIME_S;
    *ret_key = key;
    secret_wipe(&key.secret);
    return 0;
}

int model_access_key_decode(const void *value, size_t size, struct arena *arena,
                            struct model_access_key *ret_key, struct err *err)
{
    json_t *object = NULL;
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_key(object, arena, ret_key, err);
        model_access_key_release(object);
    }
    return rc == 0 ? 0 : err_wrap(err, "access key record");
}
