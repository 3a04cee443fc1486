/* Routing controls' settings: create, describe, list, rename, delete, and which health checks
 * follow one. Called as handlers on API threads. States are state.c's.
 *
 * Choices of ours: names are unique within a panel. A control cannot be deleted while a safety rule
 * or a RECOVERY_CONTROL health check names it: a check without its control would leave DNS with
 * nothing to follow. Invariant: a control has a state for as long as it is there, and whoever makes
 * or deletes one, or makes a rule or a check that names one, writes the panel's guard. */
#include "base/text.h"
#include "model/check.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/arc/handlers.h"
#include "service/arc/support.h"

#include <string.h>

#define SCAN_BATCH 512U

json_t *arc_show_control(struct aws_call *call, const json_t *tree)
{
    const char *panel = tree_text(tree, "Panel");
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "ControlPanelArn",
                     arc_arn(call, MODEL_ARC_PANEL, "", panel), "RoutingControlArn",
                     arc_arn(call, MODEL_ARC_CONTROL, panel, tree_text(tree, "Id")), "Name",
                     tree_text(tree, "Name"), "Status", "DEPLOYED", "Owner", call->account_id);
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    json_t *tree;
    bool repeated;
};

/* The panel that is named, or the cluster's default one. */
static int find_panel(struct aws_call *call, const json_t *in, struct arc_item *ret_panel,
                      struct err *err)
{
    const char *arn = tree_text(in, "ControlPanelArn");
    struct arc_item cluster = {.key = NULL};
    int rc =
        arc_load(call, tree_text(in, "ClusterArn"), MODEL_ARC_CLUSTER, "ClusterArn", &cluster, err);
    if (rc != 0) {
        return rc;
    }
    if (arn[0] == '\0') {
        arn = arc_arn(call, MODEL_ARC_PANEL, "", tree_text(cluster.tree, "DefaultPanel"));
    }
    rc = arc_load(call, arn, MODEL_ARC_PANEL, "ControlPanelArn", ret_panel, err);
    if (rc == 0 && !text_equal(tree_text(ret_panel->tree, "Cluster"), cluster.name.id)) {
        rc = arc_invalid(call, err, "The control panel %s is not of the cluster %s.", arn,
                         tree_text(in, "ClusterArn"));
    }
    return rc;
}

/* The quota of a cluster, over all its panels. */
static int judge_cluster(struct aws_call *call, const char *cluster, struct err *err)
{
    struct arc_list panels;
    size_t controls = 0;
    int rc = arc_range(call, PATH_ARC_PANELS, &panels, err);
    for (size_t i = 0; rc == 0 && i < panels.count; i++) {
        size_t count = 0;
        if (text_equal(tree_text(panels.items[i].tree, "Cluster"), cluster)) {
            rc = store_count(
                service_context(call)->store,
                model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panels.items[i].name.id), &count,
                err);
            controls += count;
        }
    }
    return rc == 0 && controls >= MODEL_ARC_CLUSTER_CONTROLS
               ? aws_error(call, err, "ServiceQuotaExceededException",
                           "The cluster has %zu routing controls already, and can have no more "
                           "than %u.",
                           controls, MODEL_ARC_CLUSTER_CONTROLS)
               : rc;
}

static int judge_control(struct aws_call *call, const struct arc_item *panel, const char *name,
                         struct err *err)
{
    struct arc_list list;
    int rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panel->name.id),
                       &list, err);
    if (rc == 0 && arc_name_taken(&list, name, "")) {
        return arc_conflict(call, err, "The control panel has a routing control named %s already.",
                            name);
    }
    if (rc == 0 && list.count >= MODEL_ARC_PANEL_CONTROLS) {
        return aws_error(call, err, "ServiceQuotaExceededException",
                         "The control panel has %zu routing controls already, and can have no "
                         "more than %u.",
                         list.count, MODEL_ARC_PANEL_CONTROLS);
    }
    return rc == 0 ? judge_cluster(call, tree_text(panel->tree, "Cluster"), err) : rc;
}

/* New controls are Off. */
static int put_control(struct aws_call *call, struct store_txn *txn, const char *panel,
                       struct creation *creation, struct err *err)
{
    static const struct model_arc_state off = {.on = false};
    char id[MODEL_ARC_ID];
    model_arc_new_id(MODEL_ARC_CONTROL, id);
    const char *key = model_arc_key(call->arena, MODEL_ARC_CONTROL, panel, id);
    const char *state = model_arc_state_encode(call->arena, panel, &off);
    creation->tree = tree_keep(
        call, json_pack("{s:i, s:s, s:s, s:s, s:{}}", "v", MODEL_VERSION, "Id", id, "Name",
                        tree_text(creation->in, "RoutingControlName"), "Panel", panel, "Tags"));
    int rc = arc_token_put(call, txn, creation->in, arc_arn(call, MODEL_ARC_CONTROL, panel, id),
                           creation->tree, err);
    store_txn_require_absent(txn, key);
    store_txn_put(txn, model_arc_state_key(call->arena, panel, id), state, strlen(state));
    return rc == 0 ? tree_put(txn, key, creation->tree, err) : rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    const char *arn = NULL;
    struct arc_item item = {.key = NULL};
    int rc = arc_token_find(call, txn, creation->in, &arn, err);
    if (rc == 0 && arn != NULL) {
        rc = arc_load(call, arn, MODEL_ARC_CONTROL, "ClientToken", &item, err);
        creation->tree = rc == 0 ? item.tree : NULL;
        creation->repeated = true;
        return rc;
    }
    rc = rc == 0 ? find_panel(call, creation->in, &item, err) : rc;
    rc = rc == 0 ? arc_guard(call, txn, tree_text(item.tree, "Cluster"), err) : rc;
    rc = rc == 0 ? arc_guard(call, txn, item.name.id, err) : rc;
    if (rc == 0) {
        rc = judge_control(call, &item, tree_text(creation->in, "RoutingControlName"), err);
    }
    if (rc == 0) {
        store_txn_require_present(txn, item.key);
        rc = put_control(call, txn, item.name.id, creation, err);
    }
    return rc;
}

ARC_HANDLER(create_control)
{
    struct creation creation = {.in = in};
    int rc = arc_transact(call, create_step, &creation, err);
    return rc == 0 ? arc_answer_shown(arc_show_control(call, creation.tree), "RoutingControl",
                                      creation.repeated ? NULL : "PENDING", ret_out, err)
                   : rc;
}

/* ---- describe, list ---- */

static int load_control(struct aws_call *call, const json_t *in, struct arc_item *ret_item,
                        struct err *err)
{
    return arc_load(call, tree_text(in, "RoutingControlArn"), MODEL_ARC_CONTROL,
                    "RoutingControlArn", ret_item, err);
}

ARC_HANDLER(describe_control)
{
    struct arc_item item = {.key = NULL};
    int rc = load_control(call, in, &item, err);
    return rc == 0 ? arc_answer_shown(arc_show_control(call, item.tree), "RoutingControl", NULL,
                                      ret_out, err)
                   : rc;
}

ARC_HANDLER(list_controls)
{
    struct arc_item panel = {.key = NULL};
    struct arc_list list;
    int rc = arc_load(call, tree_text(in, "ControlPanelArn"), MODEL_ARC_PANEL, "ControlPanelArn",
                      &panel, err);
    if (rc == 0) {
        rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panel.name.id), &list,
                       err);
    }
    return rc == 0
               ? arc_answer_list(call, in, &list, "RoutingControls", arc_show_control, ret_out, err)
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
    const char *name = tree_text(update->in, "RoutingControlName");
    struct arc_item item = {.key = NULL};
    struct arc_list list;
    int rc = load_control(call, update->in, &item, err);
    rc = rc == 0 ? arc_guard(call, txn, item.name.panel, err) : rc;
    if (rc == 0) {
        rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_CONTROLS, item.name.panel),
                       &list, err);
    }
    if (rc == 0 && arc_name_taken(&list, name, item.name.id)) {
        rc = arc_conflict(call, err, "The control panel has a routing control named %s already.",
                          name);
    }
    if (rc == 0 && json_object_set_new(item.tree, "Name", json_string(name)) != 0) {
        rc = err_set(err, ERR_MEMORY, "renaming a routing control");
    }
    if (rc == 0) {
        update->tree = item.tree;
        store_txn_require_revision(txn, item.key, item.revision);
        rc = tree_put(txn, item.key, item.tree, err);
    }
    return rc;
}

ARC_HANDLER(update_control)
{
    struct update update = {.in = in};
    int rc = arc_transact(call, update_step, &update, err);
    return rc == 0 ? arc_answer_shown(arc_show_control(call, update.tree), "RoutingControl", NULL,
                                      ret_out, err)
                   : rc;
}

/* ---- health checks that follow a control ---- */

/* Adds the ids of the checks in the list that follow the control. */
static int add_followers(const struct store_list *list, const struct model_arc_name *control,
                         struct arena *arena, json_t *ids, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        struct model_check check;
        struct model_arc_name name;
        if (memmem(entry->value, entry->size, control->id, strlen(control->id)) == NULL) {
            continue; /* most are passed here */
        }
        int rc = model_check_decode(entry->value, entry->size, NULL, 0, arena, &check, err);
        if (rc != 0) {
            return rc;
        }
        if (check.type == MODEL_CHECK_RECOVERY_CONTROL &&
            model_arc_parse(check.routing_control, &name) == 0 &&
            text_equal(name.id, control->id) && text_equal(name.panel, control->panel)) {
            (void)json_array_append_new(ids, json_string(check.id)); /* shown as absent then */
        }
    }
    return 0;
}

/* *ret_ids is kept. */
static int find_followers(struct aws_call *call, const struct model_arc_name *control,
                          json_t **ret_ids, struct err *err)
{
    json_t *ids = tree_keep(call, json_array());
    const char *after = NULL;
    bool more = true;
    while (more) {
        struct arena arena CLEANUP(arena_done);
        struct store_list list;
        arena_init(&arena, 0);
        int rc = store_range(service_context(call)->store, PATH_CHECKS, after, SCAN_BATCH, &arena,
                             &list, err);
        if (rc == 0) {
            rc = add_followers(&list, control, &arena, ids, err);
        }
        if (rc != 0) {
            return rc;
        }
        more = list.more;
        after = more ? arena_strdup(call->arena, list.entries[list.count - 1].key) : NULL;
    }
    *ret_ids = ids;
    return 0;
}

static const char *token_of_id(const void *list, size_t index)
{
    return json_string_value(json_array_get(list, index));
}

ARC_HANDLER(list_health_checks)
{
    struct arc_item item = {.key = NULL};
    struct arc_page page = {.first = 0};
    json_t *ids = NULL;
    int rc = load_control(call, in, &item, err);
    rc = rc == 0 ? find_followers(call, &item.name, &ids, err) : rc;
    if (rc == 0) {
        rc = arc_paginate(call, in, 1000, ids, json_array_size(ids), token_of_id, &page, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_t *shown = json_array();
    for (size_t i = page.first; i < page.end; i++) {
        (void)json_array_append(shown, json_array_get(ids, i)); /* fails with the answer */
    }
    return tree_answer(json_pack("{s:o, s:s*}", "HealthCheckIds", shown, "NextToken", page.next),
                       ret_out, err);
}

/* ---- delete ---- */

static bool names_control(const json_t *rule, const char *member, const char *id)
{
    const json_t *list = json_object_get(rule, member);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (text_equal(json_string_value(json_array_get(list, i)), id)) {
            return true;
        }
    }
    return false;
}

static int judge_unused(struct aws_call *call, const struct arc_item *control, struct err *err)
{
    struct arc_list rules;
    json_t *checks = NULL;
    int rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_RULES, control->name.panel),
                       &rules, err);
    for (size_t i = 0; rc == 0 && i < rules.count; i++) {
        const json_t *rule = rules.items[i].tree;
        if (names_control(rule, "Controls", control->name.id) ||
            names_control(rule, "Targets", control->name.id)) {
            rc = arc_conflict(call, err, "The safety rule %s names the routing control.",
                              tree_text(rule, "Name"));
        }
    }
    rc = rc == 0 ? find_followers(call, &control->name, &checks, err) : rc;
    if (rc == 0 && json_array_size(checks) != 0) {
        rc = arc_conflict(call, err,
                          "%zu health checks follow the routing control, such as %s: delete them "
                          "first.",
                          json_array_size(checks), json_string_value(json_array_get(checks, 0)));
    }
    return rc;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const json_t *in = ((const struct arc_input *)state)->in;
    struct arc_item item = {.key = NULL};
    int rc = load_control(call, in, &item, err);
    rc = rc == 0 ? arc_guard(call, txn, item.name.panel, err) : rc;
    rc = rc == 0 ? judge_unused(call, &item, err) : rc;
    if (rc == 0) {
        store_txn_require_revision(txn, item.key, item.revision);
        store_txn_delete(txn, item.key);
        store_txn_delete(txn, model_arc_state_key(call->arena, item.name.panel, item.name.id));
        arc_token_drop(call, txn, item.tree);
    }
    return rc;
}

ARC_HANDLER(delete_control)
{
    struct arc_input input = {.in = in};
    int rc = arc_transact(call, delete_step, &input, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}
