/* The states of routing controls: route53-recovery-cluster. Called as handlers on API threads.
 *
 * A store that cannot be reached is EndpointTemporarilyUnavailableException, which tells clients to
 * try another endpoint of the cluster; an update may have happened then, and sending it again does
 * no harm. Invariant: nothing is answered from the site's own copy of the store. */
#include "base/text.h"
#include "model/path.h"
#include "service/arc/handlers.h"
#include "service/arc/support.h"
#include "service/arc/update.h"

#include <errno.h>
#include <string.h>

#define STATES_PAGE 1000U
#define STATES_STANDARD 500
#define CLUSTER_PATH "/cluster/"

/* What the store's failures are to clients of a cluster endpoint. */
static int endpoint_error(struct aws_call *call, int rc, struct err *err)
{
    bool away = rc != 0 && call->error_code == NULL &&
                (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT || err->kind == ERR_IO);
    return away ? aws_error(call, err, "EndpointTemporarilyUnavailableException",
                            "The store cannot be reached from here: %s. Try another cluster "
                            "endpoint.",
                            arena_strdup(call->arena, err->message))
                : rc;
}

/* ---- update ---- */

static int update(struct aws_call *call, const json_t *entries, const json_t *overrides,
                  json_t **ret_out, struct err *err)
{
    struct change *change = arena_alloc(call->arena, sizeof *change);
    int rc = change_read(call, entries, overrides, change, err);
    rc = rc == 0 ? change_find_overrides(call, change, err) : rc;
    rc = rc == 0 ? update_states(call, change, err) : rc;
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : endpoint_error(call, rc, err);
}

ARC_HANDLER(update_state)
{
    json_t *entries = tree_keep(call, json_pack("[O]", in));
    return update(call, entries, json_object_get(in, "SafetyRulesToOverride"), ret_out, err);
}

ARC_HANDLER(update_states)
{
    return update(call, json_object_get(in, "UpdateRoutingControlStateEntries"),
                  json_object_get(in, "SafetyRulesToOverride"), ret_out, err);
}

/* ---- get ---- */

static int read_state(struct aws_call *call, const struct model_arc_name *name,
                      struct model_arc_state *ret_state, struct err *err)
{
    struct store_entry entry;
    const char *key = model_arc_state_key(call->arena, name->panel, name->id);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return change_not_found(call, name, err);
    }
    return rc == 0 ? model_arc_state_decode(entry.value, entry.size, NULL, ret_state, err) : rc;
}

ARC_HANDLER(get_state)
{
    const char *arn = tree_text(in, "RoutingControlArn");
    struct model_arc_state state = {.on = false};
    struct arc_item item = {.key = NULL};
    int rc = arc_load(call, arn, MODEL_ARC_CONTROL, "RoutingControlArn", &item, err);
    rc = rc == 0 ? read_state(call, &item.name, &state, err) : rc;
    return rc == 0 ? tree_answer(json_pack("{s:s, s:s, s:s}", "RoutingControlArn", arn,
                                           "RoutingControlState", model_arc_state_name(state.on),
                                           "RoutingControlName", tree_text(item.tree, "Name")),
                                 ret_out, err)
                   : endpoint_error(call, rc, err);
}

/* ---- list ---- */

struct listing {
    struct arc_list panels;
    struct arc_list controls;
    struct arc_list states; /* of the controls at the same place */
    const char *cluster;    /* "": any */
};

static const struct arc_item *panel_of(const struct listing *listing, const json_t *control)
{
    for (size_t i = 0; i < listing->panels.count; i++) {
        if (text_equal(listing->panels.items[i].name.id, tree_text(control, "Panel"))) {
            return &listing->panels.items[i];
        }
    }
    return NULL;
}

static bool is_listed(const struct listing *listing, const struct arc_item *panel)
{
    return panel != NULL && (listing->cluster[0] == '\0' ||
                             text_equal(tree_text(panel->tree, "Cluster"), listing->cluster));
}

/* Keeps the controls that are shown and have their state: one that came or went between the reads
 * is left out. */
static void match(struct listing *listing)
{
    size_t kept = 0;
    size_t at = 0;
    for (size_t i = 0; i < listing->controls.count; i++) {
        const struct arc_item *control = &listing->controls.items[i];
        const char *tail = control->key + strlen(PATH_ARC_CONTROLS);
        while (at < listing->states.count &&
               strcmp(listing->states.items[at].key + strlen(PATH_ARC_STATES), tail) < 0) {
            at++;
        }
        if (at < listing->states.count &&
            text_equal(listing->states.items[at].key + strlen(PATH_ARC_STATES), tail) &&
            is_listed(listing, panel_of(listing, control->tree))) {
            listing->controls.items[kept] = *control;
            listing->states.items[kept++] = listing->states.items[at];
        }
    }
    listing->controls.count = kept;
}

static const char *token_of_control(const void *list, size_t index)
{
    return ((const struct arc_list *)list)->items[index].key + strlen(PATH_ARC_CONTROLS);
}

static json_t *show(struct aws_call *call, const struct listing *listing, size_t index)
{
    const json_t *control = listing->controls.items[index].tree;
    const struct arc_item *panel = panel_of(listing, control);
    const char *panel_id = tree_text(control, "Panel");
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ControlPanelArn",
                     arc_arn(call, MODEL_ARC_PANEL, "", panel_id), "ControlPanelName",
                     panel != NULL ? tree_text(panel->tree, "Name") : "", "RoutingControlArn",
                     arc_arn(call, MODEL_ARC_CONTROL, panel_id, tree_text(control, "Id")),
                     "RoutingControlName", tree_text(control, "Name"), "RoutingControlState",
                     tree_text(listing->states.items[index].tree, "State"), "Owner",
                     call->account_id);
}

/* The cluster whose endpoint was called, by the endpoint's own path (cluster.c): "" where there is
 * none in it. One that is not there any more is an error: its endpoints are out of date. */
static int find_cluster(struct aws_call *call, const char **ret_id, struct err *err)
{
    const char *tail =
        text_starts(call->path, CLUSTER_PATH) ? call->path + strlen(CLUSTER_PATH) : "";
    size_t length = strcspn(tail, "/");
    char *id = arena_array(call->arena, length + 1, 1);
    (void)memcpy(id, tail, length); /* the rest is 0 */
    if (length != 0) {
        struct arc_item cluster;
        int rc = arc_load(call, arc_arn(call, MODEL_ARC_CLUSTER, "", id), MODEL_ARC_CLUSTER,
                          "The endpoint's cluster", &cluster, err);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_id = id;
    return 0;
}

static int read_listing(struct aws_call *call, const char *panel_arn, struct listing *listing,
                        struct err *err)
{
    const char *controls = PATH_ARC_CONTROLS;
    const char *states = PATH_ARC_STATES;
    int rc = find_cluster(call, &listing->cluster, err);
    if (rc == 0 && panel_arn[0] != '\0') {
        struct arc_item panel;
        listing->cluster = ""; /* whose ever the panel is */
        rc = arc_load(call, panel_arn, MODEL_ARC_PANEL, "ControlPanelArn", &panel, err);
        if (rc == 0) {
            controls = model_arc_prefix(call->arena, PATH_ARC_CONTROLS, panel.name.id);
            states = model_arc_prefix(call->arena, PATH_ARC_STATES, panel.name.id);
        }
    }
    rc = rc == 0 ? arc_range(call, PATH_ARC_PANELS, &listing->panels, err) : rc;
    rc = rc == 0 ? arc_range(call, controls, &listing->controls, err) : rc;
    return rc == 0 ? arc_range(call, states, &listing->states, err) : rc;
}

ARC_HANDLER(list_states)
{
    struct listing listing = {.cluster = ""};
    struct arc_page page = {.first = 0};
    int rc = read_listing(call, tree_text(in, "ControlPanelArn"), &listing, err);
    if (rc == 0) {
        size_t standard = json_object_get(in, "MaxResults") != NULL ? STATES_PAGE : STATES_STANDARD;
        match(&listing);
        rc = arc_paginate(call, in, standard, &listing.controls, listing.controls.count,
                          token_of_control, &page, err);
    }
    if (rc != 0) {
        return endpoint_error(call, rc, err);
    }
    json_t *list = json_array();
    for (size_t i = page.first; i < page.end; i++) {
        if (json_array_append_new(list, show(call, &listing, i)) != 0) {
            json_decref(list);
            return err_set(err, ERR_MEMORY, "listing routing controls");
        }
    }
    return tree_answer(json_pack("{s:o, s:s*}", "RoutingControls", list, "NextToken", page.next),
                       ret_out, err);
}
