/* CreateKey, ListKeys, DeleteKey: who may call the API. Handlers on API threads; access keys are
 * records in the store (model/access_key.h). Invariants: a secret leaves in the answer of CreateKey
 * and nowhere else (the store has it sealed); an admin key is always left. */
#include "base/text.h"
#include "model/access_key.h"
#include "model/path.h"
#include "service/common/access_key.h"
#include "service/common/context.h"
#include "service/leeward/handlers.h"

/* Deletions that meet a concurrent change start again this often. */
#define ATTEMPTS 16

static json_t *set_created(json_t *key, struct wall created)
{
    char text[TIME_TEXT];
    wall_format(created, text);
    if (key != NULL && json_object_set_new(key, "Created", json_string(text)) != 0) {
        json_decref(key);
        return NULL;
    }
    return key;
}

/* ---- CreateKey ---- */

static void release(void *tree)
{
    model_access_key_release(tree);
}

int leeward_create_key(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    enum model_role role = MODEL_ROLE_VIEWER;
    if (model_role_parse(leeward_text(in, "Role"), &role) != 0) {
        return err_set(err, ERR_INTERNAL, "the model's roles are not those of the records");
    }
    size_t count = 0;
    int rc = store_count(service_context(call)->store, PATH_ACCESS_KEYS, &count, err);
    if (rc != 0) {
        return rc;
    }
    if (count >= LEEWARD_KEYS_LIMIT) {
        return aws_error(call, err, "LimitExceededException",
                         "there are %zu access keys already: delete some that are not used", count);
    }
    const char *comment = json_string_value(json_object_get(in, "Comment"));
    struct model_access_key key;
    model_access_key_generate(call->arena, role, comment != NULL ? comment : "", call->now, &key);
    rc = service_access_key_put(service_context(call)->store, service_context(call)->seal, &key,
                                true, err);
    if (rc == 0) {
        json_t *answer = json_pack("{s:s, s:s, s:s, s:s}", "Id", key.id, "Secret", key.secret.data,
                                   "Role", model_role_name(role), "Comment", key.comment);
        /* Our own reference goes last, and wipes the secret. */
        arena_defer(call->arena, release, json_incref(answer));
        rc = leeward_answer(set_created(answer, key.created), ret_out, err);
    }
    secret_wipe(&key.secret);
    return rc;
}

/* ---- ListKeys ---- */

static json_t *key_summary(struct arena *arena, const struct store_entry *entry)
{
    struct err err = ERR_INIT;
    struct model_access_key key;
    if (model_access_key_decode(entry->value, entry->size, arena, &key, &err) != 0) {
        /* Shown, so that it can be deleted. */
        return json_pack("{s:s, s:s}", "Id", path_tail(arena, entry->key, PATH_ACCESS_KEYS),
                         "Comment", err.message);
    }
    secret_wipe(&key.secret);
    return set_created(json_pack("{s:s, s:s, s:s}", "Id", key.id, "Role", model_role_name(key.role),
                                 "Comment", key.comment),
                       key.created);
}

int leeward_list_keys(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    (void)in; /* the operation has no members */
    struct store_list list;
    int rc = store_range(service_context(call)->store, PATH_ACCESS_KEYS, NULL, 0, call->arena,
                         &list, err);
    if (rc != 0) {
        return rc;
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < list.count; i++) {
        if (json_array_append_new(keys, key_summary(call->arena, &list.entries[i])) != 0) {
            json_decref(keys);
            return err_set(err, ERR_MEMORY, "out of memory listing access keys");
        }
    }
    return leeward_answer(json_pack("{s:o}", "Keys", keys), ret_out, err);
}

/* ---- DeleteKey ---- */

static bool is_admin(struct arena *arena, const struct store_entry *entry)
{
    struct err ignored = ERR_INIT; /* a damaged key is no admin's */
    struct model_access_key key;
    bool admin = model_access_key_decode(entry->value, entry->size, arena, &key, &ignored) == 0 &&
                 key.role == MODEL_ROLE_ADMIN;
    secret_wipe(&key.secret);
    return admin;
}

/* Judges the deletion and fills txn with compares on what it relied on. */
static int judge(struct aws_call *call, const char *id, struct store_txn *txn, struct err *err)
{
    struct store_list list;
    const char *path = path_join(call->arena, PATH_ACCESS_KEYS, id);
    const struct store_entry *found = NULL;
    const struct store_entry *other_admin = NULL;
    int rc = store_range(service_context(call)->store, PATH_ACCESS_KEYS, NULL, 0, call->arena,
                         &list, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct store_entry *entry = &list.entries[i];
        if (text_equal(entry->key, path)) {
            found = entry;
        } else if (other_admin == NULL && is_admin(call->arena, entry)) {
            other_admin = entry;
        }
    }
    if (found == NULL) {
        return aws_error(call, err, "NotFoundException",
                         "there is no access key %s (`leeward key list` shows them)", id);
    }
    if (is_admin(call->arena, found)) {
        if (other_admin == NULL) {
            return aws_error(call, err, "LastAdminKeyException",
                             "%s is the last admin key: make another one first "
                             "(`leeward key create --role admin`)",
                             id);
        }
        /* Two deletions at once each see the other's key: the second then fails here. */
        store_txn_require_revision(txn, other_admin->key, other_admin->changed_revision);
    }
    store_txn_require_revision(txn, path, found->changed_revision);
    store_txn_delete(txn, path);
    return 0;
}

int leeward_delete_key(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    const char *id = leeward_text(in, "Id");
    (void)ret_out; /* the operation has no output */
    int rc = 0;
    for (int i = 0; i < ATTEMPTS; i++) {
        struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
        rc = judge(call, id, txn, err);
        if (rc != 0) {
            return rc;
        }
        int64_t revision = 0;
        rc = store_commit(service_context(call)->store, txn, &revision, err);
        if (rc == 0 || err->kind != ERR_CONFLICT) {
            return rc;
        }
    }
    return rc;
}
