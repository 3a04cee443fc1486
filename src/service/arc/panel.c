/* Control panels: create, describe, list, rename, delete. Called as handlers on API threads.
 *
 * Choices of ours: names are unique within a cluster. A panel with routing controls or safety rules
 * cannot be deleted; the default panel goes with its cluster. Invariant: whoever makes or deletes a
 * panel writes its cluster's guard, and its own for as long as it is there. */
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/arc/handlers.h"
#include "service/arc/support.h"

static size_t count_controls(struct aws_call *call, const char *panel)
{
    struct err ignored = ERR_INIT;
    size_t count = 0;
    /* A number that is shown: 0 when the store fails after the panel was read. */
    IGNORE_RESULT(store_count(service_context(call)->store,
                              model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panel), &count,
                              &ignored));
    return count;
}

json_t *arc_show_panel(struct aws_call *call, const json_t *tree)
{
    const char *id = tree_text(tree, "Id");
    return json_pack("{s:s, s:s, s:b, s:s, s:I, s:s, s:s}", "ControlPanelArn",
                     arc_arn(call, MODEL_ARC_PANEL, "", id), "ClusterArn",
                     arc_arn(call, MODEL_ARC_CLUSTER, "", tree_text(tree, "Cluster")),
                     "DefaultControlPanel", json_is_true(json_object_get(tree, "Default")), "Name",
                     tree_text(tree, "Name"), "RoutingControlCount",
                     (json_int_t)count_controls(call, id), "Status", "DEPLOYED", "Owner",
                     call->account_id);
}

/* ---- create ---- */

int arc_put_panel(struct aws_call *call, struct store_txn *txn, const char *cluster,
                  const char *name, bool is_default, const json_t *in, const char **ret_id,
                  json_t **ret_tree, struct err *err)
{
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    model_arc_new_id(MODEL_ARC_PANEL, id);
    int rc = arc_new_tags(call, in, &tags, err);
    if (rc == 0) {
        rc = arc_guard(call, txn, id, err);
    }
    if (rc != 0) {
        json_decref(tags);
        return rc;
    }
    json_t *tree = tree_keep(call, json_pack("{s:i, s:s, s:s, s:s, s:b, s:o}", "v", MODEL_VERSION,
                                             "Id", id, "Name", name, "Cluster", cluster, "Default",
                                             is_default, "Tags", tags));
    const char *key = model_arc_key(call->arena, MODEL_ARC_PANEL, "", id);
    store_txn_require_absent(txn, key);
    if (in != NULL) {
        rc = arc_token_put(call, txn, in, arc_arn(call, MODEL_ARC_PANEL, "", id), tree, err);
    }
    if (rc == 0) {
        rc = tree_put(txn, key, tree, err);
    }
    *ret_id = arena_strdup(call->arena, id);
    *ret_tree = tree;
    return rc;
}

struct creation {
    const json_t *in;
    json_t *tree;
    bool repeated;
};

/* The panels of one cluster. */
static int panels_of(struct aws_call *call, const char *cluster, struct arc_list *ret_list,
                     struct err *err)
{
    struct arc_list list;
    int rc = arc_range(call, PATH_ARC_PANELS, &list, err);
    size_t kept = 0;
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (text_equal(tree_text(list.items[i].tree, "Cluster"), cluster)) {
            list.items[kept++] = list.items[i];
        }
    }
    *ret_list = (struct arc_list){.items = list.items, .count = kept};
    return rc;
}

static int judge_panel(struct aws_call *call, const char *cluster, const char *name,
                       struct err *err)
{
    struct arc_list list;
    int rc = panels_of(call, cluster, &list, err);
    if (rc == 0 && arc_name_taken(&list, name, "")) {
        return arc_conflict(call, err, "The cluster has a control panel named %s already.", name);
    }
    if (rc == 0 && list.count >= MODEL_ARC_PANELS) {
        return aws_error(call, err, "ServiceQuotaExceededException",
                         "The cluster has %zu control panels already, and can have no more than "
                         "%u.",
                         list.count, MODEL_ARC_PANELS);
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    const char *name = tree_text(creation->in, "ControlPanelName");
    const char *arn = NULL;
    const char *id = NULL;
    struct arc_item item = {.key = NULL};
    int rc = arc_token_find(call, txn, creation->in, &arn, err);
    if (rc == 0 && arn != NULL) {
        rc = arc_load(call, arn, MODEL_ARC_PANEL, "ClientToken", &item, err);
        creation->tree = rc == 0 ? item.tree : NULL;
        creation->repeated = true;
        return rc;
    }
    if (rc == 0) {
        rc = arc_load(call, tree_text(creation->in, "ClusterArn"), MODEL_ARC_CLUSTER, "ClusterArn",
                      &item, err);
    }
    if (rc == 0) {
        rc = arc_guard(call, txn, item.name.id, err);
    }
    if (rc == 0) {
        rc = judge_panel(call, item.name.id, name, err);
    }
    if (rc == 0) {
        store_txn_require_present(txn, item.key);
        rc = arc_put_panel(call, txn, item.name.id, name, false, creation->in, &id, &creation->tree,
                           err);
    }
    return rc;
}

ARC_HANDLER(create_panel)
{
    struct creation creation = {.in = in};
    int rc = arc_transact(call, create_step, &creation, err);
    return rc == 0 ? arc_answer_shown(arc_show_panel(call, creation.tree), "ControlPanel",
                                      creation.repeated ? NULL : "PENDING", ret_out, err)
                   : rc;
}

/* ---- describe, list ---- */

ARC_HANDLER(describe_panel)
{
    struct arc_item item = {.key = NULL};
    int rc = arc_load(call, tree_text(in, "ControlPanelArn"), MODEL_ARC_PANEL, "ControlPanelArn",
                      &item, err);
    return rc == 0 ? arc_answer_shown(arc_show_panel(call, item.tree), "ControlPanel", NULL,
                                      ret_out, err)
                   : rc;
}

ARC_HANDLER(list_panels)
{
    const char *arn = tree_text(in, "ClusterArn");
    struct arc_item cluster = {.key = NULL};
    struct arc_list list;
    int rc = 0;
    if (arn[0] != '\0') {
        rc = arc_load(call, arn, MODEL_ARC_CLUSTER, "ClusterArn", &cluster, err);
        rc = rc == 0 ? panels_of(call, cluster.name.id, &list, err) : rc;
    } else {
        rc = arc_range(call, PATH_ARC_PANELS, &list, err);
    }
    return rc == 0 ? arc_answer_list(call, in, &list, "ControlPanels", arc_show_panel, ret_out, err)
                   : rc;
}

/* ---- update ---- */

struct update {
    const json_t *in;
    json_t *tree;
};

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct update *update = state;
    const char *name = tree_text(update->in, "ControlPanelName");
    struct arc_item item = {.key = NULL};
    struct arc_list list;
    int rc = arc_load(call, tree_text(update->in, "ControlPanelArn"), MODEL_ARC_PANEL,
                      "ControlPanelArn", &item, err);
    if (rc == 0) {
        rc = arc_guard(call, txn, tree_text(item.tree, "Cluster"), err);
    }
    if (rc == 0) {
        rc = panels_of(call, tree_text(item.tree, "Cluster"), &list, err);
    }
    if (rc == 0 && arc_name_taken(&list, name, item.name.id)) {
        rc = arc_conflict(call, err, "The cluster has a control panel named %s already.", name);
    }
    if (rc == 0 && json_object_set_new(item.tree, "Name", json_string(name)) != 0) {
        rc = err_set(err, ERR_MEMORY, "renaming a control panel");
    }
    if (rc == 0) {
        update->tree = item.tree;
        store_txn_require_revision(txn, item.key, item.revision);
        rc = tree_put(txn, item.key, item.tree, err);
    }
    return rc;
}

ARC_HANDLER(update_panel)
{
    struct update update = {.in = in};
    int rc = arc_transact(call, update_step, &update, err);
    return rc == 0 ? arc_answer_shown(arc_show_panel(call, update.tree), "ControlPanel", NULL,
                                      ret_out, err)
                   : rc;
}

/* ---- delete ---- */

static int judge_empty(struct aws_call *call, const struct arc_item *panel, struct err *err)
{
    static const char *const prefixes[][2] = {{PATH_ARC_CONTROLS, "routing controls"},
                                              {PATH_ARC_RULES, "safety rules"}};
    if (json_is_true(json_object_get(panel->tree, "Default"))) {
        return arc_conflict(call, err,
                            "The default control panel cannot be deleted: it goes with its "
                            "cluster.");
    }
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        size_t count = 0;
        int rc =
            store_count(service_context(call)->store,
                        model_arc_prefix(call->arena, prefixes[i][0], panel->name.id), &count, err);
        if (rc == 0 && count != 0) {
            rc = arc_conflict(call, err, "The control panel has %zu %s: delete them first.", count,
                              prefixes[i][1]);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const json_t *in = ((const struct arc_input *)state)->in;
    struct arc_item panel = {.key = NULL};
    struct store_entry guard = {.changed_revision = 0};
    int rc = arc_load(call, tree_text(in, "ControlPanelArn"), MODEL_ARC_PANEL, "ControlPanelArn",
                      &panel, err);
    if (rc == 0) {
        rc = arc_guard(call, txn, tree_text(panel.tree, "Cluster"), err);
    }
    const char *guard_key = rc == 0 ? model_arc_guard(call->arena, panel.name.id) : NULL;
    if (rc == 0) {
        rc = store_get(service_context(call)->store, guard_key, call->arena, &guard, err);
    }
    if (rc == 0) {
        rc = judge_empty(call, &panel, err);
    }
    if (rc == 0) {
        store_txn_require_revision(txn, guard_key, guard.changed_revision);
        store_txn_delete(txn, guard_key);
        store_txn_require_revision(txn, panel.key, panel.revision);
        store_txn_delete(txn, panel.key);
        arc_token_drop(call, txn, panel.tree);
    }
    return rc;
}

ARC_HANDLER(delete_panel)
{
    struct arc_input input = {.in = in};
    int rc = arc_transact(call, delete_step, &input, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}
