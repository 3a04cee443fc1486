/* Operations on resources of any kind: see resource.h. Called as handlers, by the files of the
 * kinds. Invariant: a value is only written over one that is as it was read. */
#include "service/arc/resource.h"

struct operation {
    const struct arc_kind *kind;
    const json_t *in;
    json_t *tree;  /* what was made or changed */
    bool repeated; /* it had been made before */
};

int arc_answer(struct aws_call *call, const struct arc_kind *kind, const json_t *tree,
               const char *status, json_t **ret_out, struct err *err)
{
    json_t *shown = kind->show(call, tree);
    if (status != NULL && json_object_set_new(shown, "Status", json_string(status)) != 0) {
        json_decref(shown);
        shown = NULL;
    }
    return tree_answer(json_pack("{s:o}", kind->member, shown), ret_out, err);
}

static int load(struct aws_call *call, const struct operation *operation, struct arc_item *ret_item,
                struct err *err)
{
    const struct arc_kind *kind = operation->kind;
    return arc_load_member(call, operation->in, kind->arn, kind->kind, ret_item, err);
}

/* ---- create ---- */

int arc_put_new(struct aws_call *call, struct store_txn *txn, enum model_arc_kind kind,
                const char *panel, const char *id, const json_t *in, json_t *tree, struct err *err)
{
    const char *key = model_arc_key(call->arena, kind, panel, id);
    int rc = arc_token_put(call, txn, in, arc_arn(call, kind, panel, id), tree, err);
    store_txn_require_absent(txn, key);
    return rc == 0 ? tree_put(txn, key, tree, err) : rc;
}

int arc_rename(const struct arc_item *item, const char *name, struct err *err)
{
    return json_object_set_new(item->tree, "Name", json_string(name)) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "renaming a resource");
}

int arc_quota(struct aws_call *call, const char *owner, size_t count, const char *what,
              unsigned limit, struct err *err)
{
    return count < limit ? 0
                         : aws_error(call, err, "ServiceQuotaExceededException",
                                     "The %s has %zu %s already, and can have no more than %u.",
                                     owner, count, what, limit);
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct operation *operation = state;
    struct arc_item item = {.key = NULL};
    const char *arn = NULL;
    int rc = arc_token_find(call, txn, operation->in, &arn, err);
    if (rc == 0 && arn == NULL) {
        return operation->kind->create(call, txn, operation->in, &operation->tree, err);
    }
    rc = rc == 0 ? arc_load(call, arn, operation->kind->kind, "ClientToken", &item, err) : rc;
    operation->tree = item.tree;
    operation->repeated = true;
    return rc;
}

int arc_create(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err)
{
    struct operation operation = {.kind = kind, .in = in};
    int rc = arc_transact(call, create_step, &operation, err);
    return rc == 0 ? arc_answer(call, kind, operation.tree, operation.repeated ? NULL : "PENDING",
                                ret_out, err)
                   : rc;
}

/* ---- describe, list, update, delete ---- */

int arc_list_of_panel(struct aws_call *call, const json_t *in, const char *prefix,
                      const char *member, arc_show show, json_t **ret_out, struct err *err)
{
    struct arc_item panel = {.key = NULL};
    struct arc_list list = {.count = 0};
    int rc = arc_load_member(call, in, "ControlPanelArn", MODEL_ARC_PANEL, &panel, err);
    if (rc == 0) {
        rc = arc_range(call, model_arc_prefix(call->arena, prefix, panel.name.id), &list, err);
    }
    return rc == 0 ? arc_answer_list(call, in, &list, member, show, ret_out, err) : rc;
}

int arc_describe(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
                 json_t **ret_out, struct err *err)
{
    struct operation operation = {.kind = kind, .in = in};
    struct arc_item item = {.key = NULL};
    int rc = load(call, &operation, &item, err);
    return rc == 0 ? arc_answer(call, kind, item.tree, NULL, ret_out, err) : rc;
}

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct operation *operation = state;
    struct arc_item item = {.key = NULL};
    int rc = load(call, operation, &item, err);
    rc = rc == 0 ? operation->kind->update(call, txn, operation->in, &item, err) : rc;
    if (rc != 0) {
        return rc;
    }
    operation->tree = item.tree;
    store_txn_require_revision(txn, item.key, item.revision);
    return tree_put(txn, item.key, item.tree, err);
}

int arc_update(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err)
{
    struct operation operation = {.kind = kind, .in = in};
    int rc = arc_transact(call, update_step, &operation, err);
    return rc == 0 ? arc_answer(call, kind, operation.tree, NULL, ret_out, err) : rc;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const struct operation *operation = state;
    struct arc_item item = {.key = NULL};
    int rc = load(call, operation, &item, err);
    rc = rc == 0 ? operation->kind->remove(call, txn, &item, err) : rc;
    if (rc == 0) {
        store_txn_require_revision(txn, item.key, item.revision);
        store_txn_delete(txn, item.key);
        arc_token_drop(call, txn, item.tree);
    }
    return rc;
}

int arc_delete(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err)
{
    struct operation operation = {.kind = kind, .in = in};
    int rc = arc_transact(call, delete_step, &operation, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}
