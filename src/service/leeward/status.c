/* GetStatus, ExplainAnswer, ResetHealthCheck: what is seen and served. Handlers on API threads;
 * they read the store and the views of the data planes (service/common/context.h). Invariant: a
 * record that cannot be read shows as damaged, and does not hide the others. */
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "model/check.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/common/context.h"
#include "service/leeward/handlers.h"

#include <assert.h>

/* ---- zones ---- */

static json_t *zone_summary(struct arena *arena, const struct store_entry *entry)
{
    struct err err = ERR_INIT;
    struct model_zone zone;
    if (model_zone_decode(entry->value, entry->size, arena, &zone, &err) != 0) {
        return json_pack("{s:s, s:s}", "Id", path_tail(arena, entry->key, PATH_ZONES), "Name",
                         err.message);
    }
    return json_pack("{s:s, s:s, s:I}", "Id", zone.id, "Name", zone.name, "RecordCount",
                     (json_int_t)zone.record_count);
}

static int add_zones(struct aws_call *call, json_t *status, struct err *err)
{
    struct store_list list;
    int rc =
        store_range(service_context(call)->replica, PATH_ZONES, NULL, 0, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    json_t *zones = json_array();
    for (size_t i = 0; i < list.count; i++) {
        if (json_array_append_new(zones, zone_summary(call->arena, &list.entries[i])) != 0) {
            json_decref(zones);
            return err_set(err, ERR_MEMORY, "out of memory listing zones");
        }
    }
    return json_object_set_new(status, "Zones", zones) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "out of memory listing zones");
}

/* ---- health checks ---- */

static bool is_http(enum model_check_type type)
{
    return type == MODEL_CHECK_HTTP || type == MODEL_CHECK_HTTPS ||
           type == MODEL_CHECK_HTTP_STR_MATCH || type == MODEL_CHECK_HTTPS_STR_MATCH;
}

static bool is_tls(enum model_check_type type)
{
    return type == MODEL_CHECK_HTTPS || type == MODEL_CHECK_HTTPS_STR_MATCH;
}

/* "https://www.example.com:443/health at 192.0.2.1", "tcp://192.0.2.1:5432",
 * "at least 2 of 3 checks" */
static const char *describe_target(struct arena *arena, const struct model_check *check)
{
    if (check->type == MODEL_CHECK_CALCULATED) {
        return arena_printf(arena, "at least %u of %zu checks", check->health_threshold,
                            check->child_count);
    }
    bool named = !text_empty(check->host_name);
    const char *host = named ? check->host_name : check->ip_address;
    bool v6 = !named && strchr(host, ':') != NULL;
    const char *at = named && !text_empty(check->ip_address)
                         ? arena_printf(arena, " at %s", check->ip_address)
                         : "";
    if (is_http(check->type)) {
        return arena_printf(arena, "%s://%s%s%s:%u%s%s", is_tls(check->type) ? "https" : "http",
                            v6 ? "[" : "", host, v6 ? "]" : "", check->port,
                            text_empty(check->resource_path) ? "/" : check->resource_path, at);
    }
    return check->type == MODEL_CHECK_TCP ? arena_printf(arena, "tcp://%s%s%s:%u%s", v6 ? "[" : "",
                                                         host, v6 ? "]" : "", check->port, at)
                                          : "";
}

static json_t *check_summary(struct aws_call *call, const struct store_entry *entry)
{
    struct service_views *views = &service_context(call)->views;
    struct err err = ERR_INIT;
    struct model_check check;
    const char *id = path_tail(call->arena, entry->key, PATH_CHECKS);
    if (model_check_decode(entry->value, entry->size, NULL, 0, call->arena, &check, &err) != 0) {
        return json_pack("{s:s, s:s}", "Id", id, "Target", err.message);
    }
    json_t *summary =
        json_pack("{s:s, s:s, s:s, s:b, s:b}", "Id", id, "Type", model_check_type_name(check.type),
                  "Target", describe_target(call->arena, &check), "Disabled", check.disabled,
                  "Inverted", check.inverted);
    json_t *status = NULL;
    /* A check that was made a moment ago has no status yet: it is absent then. */
    if (summary != NULL && views->check_status(views->context, id, &status, &err) == 0 &&
        json_object_set_new(summary, "Status", status) != 0) {
        json_decref(summary);
        return NULL;
    }
    return summary;
}

static int add_checks(struct aws_call *call, json_t *status, struct err *err)
{
    struct store_list list;
    int rc =
        store_range(service_context(call)->replica, PATH_CHECKS, NULL, 0, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    json_t *checks = json_array();
    for (size_t i = 0; i < list.count; i++) {
        if (json_array_append_new(checks, check_summary(call, &list.entries[i])) != 0) {
            json_decref(checks);
            return err_set(err, ERR_MEMORY, "out of memory listing health checks");
        }
    }
    return json_object_set_new(status, "HealthChecks", checks) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "out of memory listing health checks");
}

/* ---- the operations ---- */

static int add_views(struct aws_call *call, json_t *status, struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    json_t *node = NULL;
    json_t *routed = NULL;
    json_t *secondaries = NULL;
    bool more = false;
    int rc = views->node(views->context, &node, err);
    if (rc == 0 && json_object_set_new(status, "Node", node) != 0) {
        rc = err_set(err, ERR_MEMORY, "out of memory describing the node");
    }
    if (rc == 0) {
        rc = views->routed(views->context, &routed, &more, err);
    }
    if (rc == 0 &&
        (json_object_set_new(status, "RoutedRecords", routed) != 0 ||
         json_object_set_new(status, "RoutedRecordsTruncated", json_boolean(more)) != 0)) {
        rc = err_set(err, ERR_MEMORY, "out of memory describing the records");
    }
    if (rc == 0) {
        rc = views->secondaries(views->context, &secondaries, err);
    }
    if (rc == 0 && json_object_set_new(status, "SecondaryZones", secondaries) != 0) {
        rc = err_set(err, ERR_MEMORY, "out of memory describing the zones");
    }
    return rc;
}

int leeward_get_status(struct aws_call *call, const json_t *in, json_t **ret_out, struct err *err)
{
    (void)in; /* the operation has no members */
    json_t *status = json_object();
    int rc = add_views(call, status, err);
    if (rc == 0) {
        rc = add_zones(call, status, err);
    }
    if (rc == 0) {
        rc = add_checks(call, status, err);
    }
    if (rc != 0) {
        json_decref(status);
        return rc;
    }
    *ret_out = status;
    return 0;
}

int leeward_explain_answer(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    const char *name = leeward_text(in, "Name");
    const char *client = json_string_value(json_object_get(in, "Client"));
    uint16_t type = rr_type_from_text(leeward_text(in, "Type"));
    assert(type != 0); /* the model's enum was checked */
    json_t *explanation = NULL;
    int rc =
        views->explain(views->context, name, type, client != NULL ? client : "", &explanation, err);
    if (rc != 0 && err->kind == ERR_INVALID) {
        return aws_error(call, err, "InvalidInputException", "%s",
                         arena_strdup(call->arena, err->message));
    }
    return rc != 0 ? rc : leeward_answer(explanation, ret_out, err);
}

int leeward_reset_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    struct service_views *views = &service_context(call)->views;
    const char *id = leeward_text(in, "Id");
    (void)ret_out; /* the operation has no output */
    int rc = views->reset_latch(views->context, id, err);
    if (rc != 0 && err->kind == ERR_NOT_FOUND) {
        return aws_error(call, err, "NotFoundException",
                         "there is no health check %s (`leeward status` lists them)", id);
    }
    return rc;
}
