/* Clusters: create, describe, list, update, delete, and the policy that none has. Called as
 * handlers on API threads.
 *
 * Choices of ours: a cluster is ready when it is made; the answer to CreateCluster alone says
 * PENDING, as callers wait for DEPLOYED. Names are unique. A cluster can be deleted when nothing
 * but its empty default panel is left, which goes with it. Policies belong to sharing between
 * accounts, of which there is one: GetResourcePolicy finds none. Invariant: a cluster has exactly
 * one default panel. */
#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/arc/handlers.h"
#include "service/arc/resource.h"

#define DEFAULT_PANEL "DefaultControlPanel"

/* "https://api.example:4566/cluster/<id>": the path tells the cluster to ListRoutingControls. */
static json_t *endpoints(struct aws_call *call, const char *id)
{
    struct service_views *views = &service_context(call)->views;
    struct err ignored = ERR_INIT;
    json_t *list = NULL;
    if (views->api_endpoints(views->context, &list, &ignored) != 0) {
        return NULL; /* out of memory: the answer fails */
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *endpoint = json_array_get(list, i);
        json_t *url = json_sprintf("%s/cluster/%s", tree_text(endpoint, "Endpoint"), id);
        if (json_object_set_new(endpoint, "Endpoint", url) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *arc_show_cluster(struct aws_call *call, const json_t *tree)
{
    const char *id = tree_text(tree, "Id");
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "ClusterArn",
                     arc_arn(call, MODEL_ARC_CLUSTER, "", id), "ClusterEndpoints",
                     endpoints(call, id), "Name", tree_text(tree, "Name"), "Status", "DEPLOYED",
                     "Owner", call->account_id, "NetworkType", tree_text(tree, "NetworkType"));
}

/* ---- create ---- */

static int judge_cluster(struct aws_call *call, const char *name, struct err *err)
{
    struct arc_list list = {.count = 0};
    int rc = arc_range(call, PATH_ARC_CLUSTERS, &list, err);
    if (rc == 0 && arc_name_taken(&list, name, "")) {
        return arc_conflict(call, err, "There is a cluster named %s already.", name);
    }
    return rc == 0 ? arc_quota(call, "account", list.count, "clusters", MODEL_ARC_CLUSTERS, err)
                   : rc;
}

static int put_cluster(struct aws_call *call, struct store_txn *txn, const json_t *in,
                       json_t **ret_tree, struct err *err)
{
    const char *network = tree_text(in, "NetworkType");
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    json_t *panel = NULL;
    model_arc_new_id(MODEL_ARC_CLUSTER, id);
    int rc = arc_guard(call, txn, id, err);
    rc = rc == 0 ? arc_put_panel(call, txn, id, DEFAULT_PANEL, NULL, &panel, err) : rc;
    rc = rc == 0 ? arc_new_tags(call, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    *ret_tree = tree_keep(call, json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "v", MODEL_VERSION,
                                          "Id", id, "Name", tree_text(in, "ClusterName"),
                                          "DefaultPanel", tree_text(panel, "Id"), "NetworkType",
                                          network[0] != '\0' ? network : "IPV4", "Tags", tags));
    return arc_put_new(call, txn, MODEL_ARC_CLUSTER, "", id, in, *ret_tree, err);
}

static int create(struct aws_call *call, struct store_txn *txn, const json_t *in, json_t **ret_tree,
                  struct err *err)
{
    int rc = arc_guard(call, txn, ARC_CLUSTERS_GUARD, err);
    rc = rc == 0 ? judge_cluster(call, tree_text(in, "ClusterName"), err) : rc;
    return rc == 0 ? put_cluster(call, txn, in, ret_tree, err) : rc;
}

/* ---- update ---- */

static int update(struct aws_call *call, struct store_txn *txn, const json_t *in,
                  const struct arc_item *item, struct err *err)
{
    (void)call; /* nothing to judge */
    (void)txn;  /* as above */
    return json_object_set(item->tree, "NetworkType", json_object_get(in, "NetworkType")) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "updating a cluster");
}

/* ---- delete ---- */

/* The default panel, when it is all there is, and is empty. */
static int judge_empty(struct aws_call *call, const struct arc_item *cluster,
                       struct arc_item *ret_panel, struct err *err)
{
    struct arc_list panels;
    int rc = arc_range(call, PATH_ARC_PANELS, &panels, err);
    for (size_t i = 0; rc == 0 && i < panels.count; i++) {
        const struct arc_item *panel = &panels.items[i];
        if (!text_equal(tree_text(panel->tree, "Cluster"), cluster->name.id)) {
            continue;
        }
        if (!json_is_true(json_object_get(panel->tree, "Default"))) {
            return arc_conflict(call, err, "The cluster has the control panel %s: delete it first.",
                                tree_text(panel->tree, "Name"));
        }
        *ret_panel = *panel;
    }
    if (rc != 0) {
        return rc;
    }
    size_t controls = 0;
    rc = store_count(service_context(call)->store,
                     model_arc_prefix(call->arena, PATH_ARC_CONTROLS, ret_panel->name.id),
                     &controls, err);
    return rc == 0 && controls != 0
               ? arc_conflict(call, err,
                              "The cluster's default control panel has %zu routing controls: "
                              "delete them first.",
                              controls)
               : rc;
}

/* Panels and controls that come meanwhile write the cluster's guard. */
static int remove_cluster(struct aws_call *call, struct store_txn *txn, const struct arc_item *item,
                          struct err *err)
{
    struct arc_item panel = {.key = NULL};
    int rc = arc_guard(call, txn, ARC_CLUSTERS_GUARD, err);
    rc = rc == 0 ? arc_guard_drop(call, txn, item->name.id, err) : rc;
    rc = rc == 0 ? judge_empty(call, item, &panel, err) : rc;
    if (rc == 0 && panel.key != NULL) {
        store_txn_delete(txn, panel.key);
        store_txn_delete(txn, model_arc_guard(call->arena, panel.name.id));
    }
    return rc;
}

/* ---- the operations ---- */

static const struct arc_kind kind = {
    .kind = MODEL_ARC_CLUSTER,
    .arn = "ClusterArn",
    .member = "Cluster",
    .show = arc_show_cluster,
    .create = create,
    .update = update,
    .remove = remove_cluster,
};

ARC_HANDLER(create_cluster)
{
    return arc_create(call, &kind, in, ret_out, err);
}

ARC_HANDLER(describe_cluster)
{
    return arc_describe(call, &kind, in, ret_out, err);
}

ARC_HANDLER(update_cluster)
{
    return arc_update(call, &kind, in, ret_out, err);
}

ARC_HANDLER(delete_cluster)
{
    return arc_delete(call, &kind, in, ret_out, err);
}

ARC_HANDLER(list_clusters)
{
    struct arc_list list;
    int rc = arc_range(call, PATH_ARC_CLUSTERS, &list, err);
    return rc == 0 ? arc_answer_list(call, in, &list, "Clusters", arc_show_cluster, ret_out, err)
                   : rc;
}

ARC_HANDLER(get_resource_policy)
{
    struct arc_item item = {.key = NULL};
    int rc = arc_load_member(call, in, "ResourceArn", MODEL_ARC_CLUSTER, &item, err);
    (void)ret_out; /* there is never a policy */
    return rc == 0 ? aws_error(call, err, "ResourceNotFoundException",
                               "The cluster is not shared with other accounts: it has no policy.")
                   : rc;
}
