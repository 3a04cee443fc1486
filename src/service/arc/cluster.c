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
#include "service/arc/support.h"

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

struct creation {
    const json_t *in;
    json_t *tree;
    bool repeated;
};

static int judge_cluster(struct aws_call *call, const char *name, struct err *err)
{
    struct arc_list list;
    int rc = arc_range(call, PATH_ARC_CLUSTERS, &list, err);
    if (rc == 0 && arc_name_taken(&list, name, "")) {
        return arc_conflict(call, err, "There is a cluster named %s already.", name);
    }
    if (rc == 0 && list.count >= MODEL_ARC_CLUSTERS) {
        return aws_error(call, err, "ServiceQuotaExceededException",
                         "There are %zu clusters already, and an account can have no more than %u.",
                         list.count, MODEL_ARC_CLUSTERS);
    }
    return rc;
}

static int put_cluster(struct aws_call *call, struct store_txn *txn, struct creation *creation,
                       struct err *err)
{
    const char *network = tree_text(creation->in, "NetworkType");
    const char *panel = NULL;
    char id[MODEL_ARC_ID];
    json_t *tags = NULL;
    json_t *ignored = NULL;
    model_arc_new_id(MODEL_ARC_CLUSTER, id);
    int rc = arc_new_tags(call, creation->in, &tags, err);
    if (rc == 0) {
        rc = arc_put_panel(call, txn, id, DEFAULT_PANEL, true, NULL, &panel, &ignored, err);
    }
    if (rc != 0) {
        json_decref(tags);
        return rc;
    }
    creation->tree = tree_keep(
        call, json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "v", MODEL_VERSION, "Id", id, "Name",
                        tree_text(creation->in, "ClusterName"), "DefaultPanel", panel,
                        "NetworkType", network[0] != '\0' ? network : "IPV4", "Tags", tags));
    const char *key = model_arc_key(call->arena, MODEL_ARC_CLUSTER, "", id);
    store_txn_require_absent(txn, key);
    rc = arc_guard(call, txn, id, err);
    if (rc == 0) {
        rc = arc_token_put(call, txn, creation->in, arc_arn(call, MODEL_ARC_CLUSTER, "", id),
                           creation->tree, err);
    }
    return rc == 0 ? tree_put(txn, key, creation->tree, err) : rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    struct arc_item item = {.key = NULL};
    const char *arn = NULL;
    int rc = arc_token_find(call, txn, creation->in, &arn, err);
    if (rc == 0 && arn != NULL) {
        rc = arc_load(call, arn, MODEL_ARC_CLUSTER, "ClientToken", &item, err);
        creation->tree = rc == 0 ? item.tree : NULL;
        creation->repeated = true;
        return rc;
    }
    if (rc == 0) {
        rc = arc_guard(call, txn, ARC_CLUSTERS_GUARD, err);
    }
    if (rc == 0) {
        rc = judge_cluster(call, tree_text(creation->in, "ClusterName"), err);
    }
    return rc == 0 ? put_cluster(call, txn, creation, err) : rc;
}

ARC_HANDLER(create_cluster)
{
    struct creation creation = {.in = in};
    int rc = arc_transact(call, create_step, &creation, err);
    return rc == 0 ? arc_answer_shown(arc_show_cluster(call, creation.tree), "Cluster",
                                      creation.repeated ? NULL : "PENDING", ret_out, err)
                   : rc;
}

/* ---- describe, list, update ---- */

ARC_HANDLER(describe_cluster)
{
    struct arc_item item = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "ClusterArn"), MODEL_ARC_CLUSTER, "ClusterArn", &item, err);
    return rc == 0
               ? arc_answer_shown(arc_show_cluster(call, item.tree), "Cluster", NULL, ret_out, err)
               : rc;
}

ARC_HANDLER(list_clusters)
{
    struct arc_list list;
    int rc = arc_range(call, PATH_ARC_CLUSTERS, &list, err);
    return rc == 0 ? arc_answer_list(call, in, &list, "Clusters", arc_show_cluster, ret_out, err)
                   : rc;
}

struct update {
    const json_t *in;
    json_t *tree;
};

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct update *update = state;
    struct arc_item item = {.key = NULL};
    int rc = arc_load(call, tree_text(update->in, "ClusterArn"), MODEL_ARC_CLUSTER, "ClusterArn",
                      &item, err);
    if (rc != 0) {
        return rc;
    }
    if (json_object_set(item.tree, "NetworkType", json_object_get(update->in, "NetworkType")) !=
        0) {
        return err_set(err, ERR_MEMORY, "updating a cluster");
    }
    update->tree = item.tree;
    store_txn_require_revision(txn, item.key, item.revision);
    return tree_put(txn, item.key, item.tree, err);
}

ARC_HANDLER(update_cluster)
{
    struct update update = {.in = in};
    int rc = arc_transact(call, update_step, &update, err);
    return rc == 0 ? arc_answer_shown(arc_show_cluster(call, update.tree), "Cluster", NULL, ret_out,
                                      err)
                   : rc;
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

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const json_t *in = ((const struct arc_input *)state)->in;
    struct arc_item cluster = {.key = NULL};
    struct arc_item panel = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "ClusterArn"), MODEL_ARC_CLUSTER, "ClusterArn", &cluster, err);
    if (rc == 0) {
        rc = arc_guard(call, txn, ARC_CLUSTERS_GUARD, err);
    }
    if (rc == 0) {
        rc = judge_empty(call, &cluster, &panel, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *guard = model_arc_guard(call->arena, cluster.name.id);
    struct store_entry entry = {.changed_revision = 0};
    rc = store_get(service_context(call)->store, guard, call->arena, &entry, err);
    if (rc != 0) {
        return rc;
    }
    /* Panels and controls that come meanwhile write the guard. */
    store_txn_require_revision(txn, guard, entry.changed_revision);
    store_txn_delete(txn, guard);
    store_txn_require_revision(txn, cluster.key, cluster.revision);
    store_txn_delete(txn, cluster.key);
    arc_token_drop(call, txn, cluster.tree);
    if (panel.key != NULL) {
        store_txn_delete(txn, panel.key);
        store_txn_delete(txn, model_arc_guard(call->arena, panel.name.id));
    }
    return 0;
}

ARC_HANDLER(delete_cluster)
{
    struct arc_input input = {.in = in};
    int rc = arc_transact(call, delete_step, &input, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}

ARC_HANDLER(get_resource_policy)
{
    struct arc_item item = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "ResourceArn"), MODEL_ARC_CLUSTER, "ResourceArn", &item, err);
    (void)ret_out; /* there is never a policy */
    return rc == 0 ? aws_error(call, err, "ResourceNotFoundException",
                               "The cluster is not shared with other accounts: it has no policy.")
                   : rc;
}
