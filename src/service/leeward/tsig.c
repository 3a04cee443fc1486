/* CreateTsigKey, ListTsigKeys, DeleteTsigKey: secrets that name servers sign transfers with.
 * Handlers on API threads; keys are records in the store (model/tsig_key.h). Invariant: a secret
 * leaves in the answer of CreateTsigKey and nowhere else (the store has it sealed). */
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "model/access_key.h"
#include "model/path.h"
#include "model/tsig_key.h"
#include "seal/seal.h"
#include "service/common/context.h"
#include "service/leeward/handlers.h"

#include <stdlib.h>

#define KEYS_LIMIT 1000U
/* Of a secret; TSIG_SECRET_LEAST and _LIMIT of dns/tsig, which this room does not see. */
#define SECRET_LEAST 16U
#define SECRET_MOST 192U
#define SECRET_TEXT (SECRET_MOST / 3U * 4U + 4U)

struct tsig_secret {
    uint8_t data[SECRET_MOST];
    size_t size;
    char text[SECRET_TEXT + 1]; /* base64 */
};

static void wipe(void *object)
{
    secret_wipe_memory(object, sizeof(struct tsig_secret));
}

static void release(void *tree)
{
    model_access_key_release(tree); /* whatever has a member Secret */
}

/* ---- CreateTsigKey ---- */

static int set_text(struct tsig_secret *secret, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, SECRET_TEXT);
    text_base64(&text, secret->data, secret->size);
    int rc = text_copy(secret->text, sizeof secret->text, buf_text(&text));
    if (text.length != 0) {
        secret_wipe_memory(text.data, text.length);
    }
    return rc == 0 ? 0 : err_set(err, ERR_INTERNAL, "a TSIG secret does not fit its text");
}

/* As given, or as long as the algorithm's MAC: RFC 8945 section 8. */
static int make_secret(struct aws_call *call, const char *given, const char *algorithm,
                       struct tsig_secret *secret, struct err *err)
{
    if (given == NULL) {
        int64_t bits = 0;
        if (text_to_i64(algorithm + strlen("hmac-sha"), 256, 512, &bits) != 0) {
            return err_set(err, ERR_INTERNAL, "the model's algorithms are not those of TSIG");
        }
        secret->size = (size_t)bits / 8;
        random_bytes(secret->data, secret->size);
        return set_text(secret, err);
    }
    struct buf data CLEANUP(buf_done);
    buf_init(&data, SECRET_MOST);
    bool fits = text_unbase64(given, strlen(given), &data) == 0 && !buf_failed(&data) &&
                data.length >= SECRET_LEAST;
    if (fits) {
        secret->size = data.length;
        (void)memcpy(secret->data, data.data, data.length);
    }
    if (data.length != 0) {
        secret_wipe_memory(data.data, data.length);
    }
    return fits ? set_text(secret, err)
                : aws_error(call, err, "InvalidInputException",
                            "Secret is not the base64 form of %u to %u bytes", SECRET_LEAST,
                            SECRET_MOST);
}

static int put_key(struct aws_call *call, const struct model_tsig_key *key, const char *path,
                   struct err *err)
{
    json_t *tree = model_tsig_key_encode(key);
    char *value = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    json_decref(tree);
    if (value == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for a TSIG key");
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_absent(txn, path);
    store_txn_put(txn, path, value, strlen(value));
    free(value);
    int64_t revision = 0;
    int rc = store_commit(service_context(call)->store, txn, &revision, err);
    return rc != 0 && err->kind == ERR_CONFLICT
               ? aws_error(call, err, "TsigKeyAlreadyExistsException",
                           "there is a TSIG key %.200s already: delete it first, or choose "
                           "another name",
                           key->name)
               : rc;
}

static int check_count(struct aws_call *call, struct err *err)
{
    size_t count = 0;
    int rc = store_count(service_context(call)->store, PATH_TSIG, &count, err);
    return rc == 0 && count >= KEYS_LIMIT
               ? aws_error(call, err, "LimitExceededException",
                           "there are %zu TSIG keys already: delete some that are not used", count)
               : rc;
}

static json_t *with_created(json_t *take_answer, struct wall created)
{
    char text[TIME_TEXT];
    wall_format(created, text);
    if (take_answer != NULL &&
        json_object_set_new(take_answer, "Created", json_string(text)) != 0) {
        json_decref(take_answer);
        return NULL;
    }
    return take_answer;
}

int leeward_create_tsig_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err)
{
    const char *algorithm = json_string_value(json_object_get(in, "Algorithm"));
    struct model_tsig_key key = {.algorithm = algorithm != NULL ? algorithm : "hmac-sha256",
                                 .created = call->now};
    char name[NAME_TEXT_LIMIT];
    if (model_tsig_name(leeward_text(in, "Name"), name) != 0) {
        return aws_error(call, err, "InvalidInputException", "'%.200s' is no domain name",
                         leeward_text(in, "Name"));
    }
    key.name = name;
    struct tsig_secret *secret = arena_alloc(call->arena, sizeof *secret);
    arena_defer(call->arena, wipe, secret);
    int rc = make_secret(call, json_string_value(json_object_get(in, "Secret")), key.algorithm,
                         secret, err);
    rc = rc != 0 ? rc : check_count(call, err);
    const char *path = path_join(call->arena, PATH_TSIG, name);
    char *sealed = NULL;
    rc = rc != 0 ? rc
                 : seal_wrap(service_context(call)->seal, path, secret->data, secret->size,
                             call->arena, &sealed, err);
    key.secret = sealed;
    rc = rc != 0 ? rc : put_key(call, &key, path, err);
    if (rc != 0) {
        return rc;
    }
    json_t *answer = with_created(json_pack("{s:s, s:s, s:s}", "Name", key.name, "Algorithm",
                                            key.algorithm, "Secret", secret->text),
                                  key.created);
    if (answer != NULL) { /* our own reference goes last, and wipes the secret */
        arena_defer(call->arena, release, json_incref(answer));
    }
    return leeward_answer(answer, ret_out, err);
}

/* ---- ListTsigKeys ---- */

static json_t *summary(struct arena *arena, const struct store_entry *entry)
{
    struct err err = ERR_INIT;
    struct model_tsig_key key;
    if (model_tsig_key_decode(entry->value, entry->size, arena, &key, &err) != 0) {
        /* Shown, so that it can be deleted. */
        return json_pack("{s:s, s:s}", "Name", path_tail(arena, entry->key, PATH_TSIG), "Algorithm",
                         err.message);
    }
    return with_created(json_pack("{s:s, s:s}", "Name", key.name, "Algorithm", key.algorithm),
                        key.created);
}

int leeward_list_tsig_keys(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err)
{
    (void)in; /* the operation has no members */
    struct store_list list;
    int rc = store_range(service_context(call)->store, PATH_TSIG, NULL, 0, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < list.count; i++) {
        if (json_array_append_new(keys, summary(call->arena, &list.entries[i])) != 0) {
            json_decref(keys);
            return err_set(err, ERR_MEMORY, "out of memory listing TSIG keys");
        }
    }
    return leeward_answer(json_pack("{s:o}", "Keys", keys), ret_out, err);
}

/* ---- DeleteTsigKey ---- */

int leeward_delete_tsig_key(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err)
{
    (void)ret_out; /* the operation has no output */
    const char *wanted = leeward_text(in, "Name");
    char name[NAME_TEXT_LIMIT];
    const char *path =
        path_join(call->arena, PATH_TSIG, model_tsig_name(wanted, name) == 0 ? name : wanted);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_present(txn, path);
    store_txn_delete(txn, path);
    int64_t revision = 0;
    int rc = store_commit(service_context(call)->store, txn, &revision, err);
    return rc != 0 && err->kind == ERR_CONFLICT
               ? aws_error(call, err, "NotFoundException",
                           "there is no TSIG key %.200s (`leeward tsig list` shows them)", wanted)
               : rc;
}
