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
#include "service/arc/resource.h"

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

/* The panel that is named, or the cluster's default one. */
static int find_panel(struct aws_call *call, const json_t *in, struct arc_item *ret_panel,
                      struct err *err)
{
    const char *arn = tree_text(in, "ControlPanelArn");
    struct arc_item cluster = {.key = NULL};
    int rc = arc_load_member(call, in, "ClusterArn", MODEL_ARC_CLUSTER, &cluster, err);
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
    return rc == 0 ? arc_quota(call, "cluster", controls, "routing controls",
                               MODEL_ARC_CLUSTER_CONTROLS, err)
                   : rc;
}

/* Whether the panel can have a control of that name, besides the one with the id `except`. */
static int judge_name(struct aws_call *call, const char *panel, const char *name,
                      const char *except, size_t *ret_count, struct err *err)
{
    struct arc_list list = {.count = 0};
    int rc = arc_range(call, model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panel), &list, err);
    if (rc == 0 && arc_name_taken(&list, name, except)) {
        return arc_conflict(call, err, "The control panel has a routing control named %s already.",
                            name);
    }
    *ret_count = list.count;
    return rc;
}

static int judge_control(struct aws_call *call, const struct arc_item *panel, const char *name,
                         struct err *err)
{
    size_t count = 0;
    int rc = judge_name(call, panel->name.id, name, "", &count, err);
    rc = rc == 0 ? arc_quota(call, "control panel", count, "routing controls",
                             MODEL_ARC_PANEL_CONTROLS, err)
                 : rc;
    return rc == 0 ? judge_cluster(call, tree_text(panel->tree, "Cluster"), err) : rc;
}

/* New controls are Off. */
static int put_control(struct aws_call *call, struct store_txn *txn, const char *panel,
                       const json_t *in, json_t **ret_tree, struct err *err)
{
    static const struct model_arc_state off = {.on = false};
    char id[MODEL_ARC_ID];
    model_arc_new_id(MODEL_ARC_CONTROL, id);
    const char *state = model_arc_state_encode(call->arena, panel, &off);
    *ret_tree = tree_keep(call, json_pack("{s:i, s:s, s:s, s:s, s:{}}", "v", MODEL_VERSION, "Id",
                                          id, "Name", tree_text(in, "RoutingControlName"), "Panel",
                                          panel, "Tags"));
    store_txn_put(txn, model_arc_state_key(call->arena, panel, id), state, strlen(state));
    return arc_put_new(call, txn, MODEL_ARC_CONTROL, panel, id, in, *ret_tree, err);
}

static int create(struct aws_call *call, struct store_txn *txn, const json_t *in, json_t **ret_tree,
                  struct err *err)
{
    struct arc_item panel = {.key = NULL};
    int rc = find_panel(call, in, &panel, err);
    rc = rc == 0 ? arc_guard(call, txn, tree_text(panel.tree, "Cluster"), err) : rc;
    rc = rc == 0 ? arc_guard(call, txn, panel.name.id, err) : rc;
    rc = rc == 0 ? judge_control(call, &panel, tree_text(in, "RoutingControlName"), err) : rc;
    if (rc == 0) {
        store_txn_require_present(txn, panel.key);
        rc = put_control(call, txn, panel.name.id, in, ret_tree, err);
    }
    return rc;
}

/* ---- update ---- */

static int update(struct aws_call *call, struct store_txn *txn, const json_t *in,
                  const struct arc_item *item, struct err *err)
{
    const char *name = tree_text(in, "RoutingControlName");
    size_t count = 0;
    int rc = arc_guard(call, txn, item->name.panel, err);
    rc = rc == 0 ? judge_name(call, item->name.panel, name, item->name.id, &count, err) : rc;
    return rc == 0 ? arc_rename(item, name, err) : rc;
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

static int remove_control(struct aws_call *call, struct store_txn *txn, const struct arc_item *item,
                          struct err *err)
{
    int rc = arc_guard(call, txn, item->name.panel, err);
    rc = rc == 0 ? judge_unused(call, item, err) : rc;
    if (rc == 0) {
        store_txn_delete(txn, model_arc_state_key(call->arena, item->name.panel, item->name.id));
    }
    return rc;
}

/* ---- the operations ---- */

static const struct arc_kind kind = {
    .kind = MODEL_ARC_CONTROL,
    .arn = "RoutingControlArn",
    .member = "RoutingControl",
    .show = arc_show_control,
    .create = create,
    .update = update,
    .remove = remove_control,
};

ARC_HANDLER(create_control)
{
    return arc_create(call, &kind, in, ret_out, err);
}

ARC_HANDLER(describe_control)
{
    return arc_describe(call, &kind, in, ret_out, err);
}

ARC_HANDLER(update_control)
{
    return arc_update(call, &kind, in, ret_out, err);
}

ARC_HANDLER(delete_control)
{
    return arc_delete(call, &kind, in, ret_out, err);
}

ARC_HANDLER(list_controls)
{
    return arc_list_of_panel(call, in, PATH_ARC_CONTROLS, "RoutingControls", arc_show_control,
                             ret_out, err);
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
    int rc = arc_load_member(call, in, kind.arn, kind.kind, &item, err);
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
