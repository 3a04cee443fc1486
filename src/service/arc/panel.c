/* Control panels: create, describe, list, rename, delete. Called as handlers on API threads.
 *
 * Choices of ours: names are unique within a cluster. A panel with routing controls or safety rules
 * cannot be deleted; the default panel goes with its cluster. Invariant: whoever makes or deletes a
 * panel writes its cluster's guard, and its own for as long as it is there. */
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/arc/handlers.h"
#include "service/arc/resource.h"

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
                  const char *name, const json_t *in, json_t **ret_tree, struct err *err)
{
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    model_arc_new_id(MODEL_ARC_PANEL, id);
    int rc = arc_guard(call, txn, id, err);
    rc = rc == 0 ? arc_new_tags(call, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    *ret_tree = tree_keep(call, json_pack("{s:i, s:s, s:s, s:s, s:b, s:o}", "v", MODEL_VERSION,
                                          "Id", id, "Name", name, "Cluster", cluster, "Default",
                                          in == NULL, "Tags", tags));
    return arc_put_new(call, txn, MODEL_ARC_PANEL, "", id, in, *ret_tree, err);
}

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

/* Whether the cluster can have a panel of that name, besides the one with the id `except`. */
static int judge_name(struct aws_call *call, const char *cluster, const char *name,
                      const char *except, size_t *ret_count, struct err *err)
{
    struct arc_list list = {.count = 0};
    int rc = panels_of(call, cluster, &list, err);
    if (rc == 0 && arc_name_taken(&list, name, except)) {
        return arc_conflict(call, err, "The cluster has a control panel named %s already.", name);
    }
    *ret_count = list.count;
    return rc;
}

static int create(struct aws_call *call, struct store_txn *txn, const json_t *in, json_t **ret_tree,
                  struct err *err)
{
    const char *name = tree_text(in, "ControlPanelName");
    struct arc_item cluster = {.key = NULL};
    size_t count = 0;
    int rc = arc_load_member(call, in, "ClusterArn", MODEL_ARC_CLUSTER, &cluster, err);
    rc = rc == 0 ? arc_guard(call, txn, cluster.name.id, err) : rc;
    rc = rc == 0 ? judge_name(call, cluster.name.id, name, "", &count, err) : rc;
    rc = rc == 0 ? arc_quota(call, "cluster", count, "control panels", MODEL_ARC_PANELS, err) : rc;
    if (rc == 0) {
        store_txn_require_present(txn, cluster.key);
        rc = arc_put_panel(call, txn, cluster.name.id, name, in, ret_tree, err);
    }
    return rc;
}

/* ---- update ---- */

static int update(struct aws_call *call, struct store_txn *txn, const json_t *in,
                  const struct arc_item *item, struct err *err)
{
    const char *cluster = tree_text(item->tree, "Cluster");
    const char *name = tree_text(in, "ControlPanelName");
    size_t count = 0;
    int rc = arc_guard(call, txn, cluster, err);
    rc = rc == 0 ? judge_name(call, cluster, name, item->name.id, &count, err) : rc;
    return rc == 0 ? arc_rename(item, name, err) : rc;
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

static int remove_panel(struct aws_call *call, struct store_txn *txn, const struct arc_item *item,
                        struct err *err)
{
    int rc = arc_guard(call, txn, tree_text(item->tree, "Cluster"), err);
    rc = rc == 0 ? arc_guard_drop(call, txn, item->name.id, err) : rc;
    return rc == 0 ? judge_empty(call, item, err) : rc;
}

/* ---- the operations ---- */

static const struct arc_kind kind = {
    .kind = MODEL_ARC_PANEL,
    .arn = "ControlPanelArn",
    .member = "ControlPanel",
    .show = arc_show_panel,
    .create = create,
    .update = update,
    .remove = remove_panel,
};

ARC_HANDLER(create_panel)
{
    return arc_create(call, &kind, in, ret_out, err);
}

ARC_HANDLER(describe_panel)
{
    return arc_describe(call, &kind, in, ret_out, err);
}

ARC_HANDLER(update_panel)
{
    return arc_update(call, &kind, in, ret_out, err);
}

ARC_HANDLER(delete_panel)
{
    return arc_delete(call, &kind, in, ret_out, err);
}

ARC_HANDLER(list_panels)
{
    struct arc_item cluster = {.key = NULL};
    struct arc_list list;
    int rc = 0;
    if (tree_text(in, "ClusterArn")[0] != '\0') {
        rc = arc_load_member(call, in, "ClusterArn", MODEL_ARC_CLUSTER, &cluster, err);
        rc = rc == 0 ? panels_of(call, cluster.name.id, &list, err) : rc;
    } else {
        rc = arc_range(call, PATH_ARC_PANELS, &list, err);
    }
    return rc == 0 ? arc_answer_list(call, in, &list, "ControlPanels", arc_show_panel, ret_out, err)
                   : rc;
}
