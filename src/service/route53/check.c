/* Health checks: create, get, list, count, delete. Called as handlers on API threads.
 *
 * Choices of ours: private and loopback addresses are allowed (Route 53 refuses them; here they are
 * the main use). CLOUDWATCH_METRIC is refused until alarms are there. A RECOVERY_CONTROL check's
 * routing control must exist, and cannot be deleted while the check is there. A check that records
 * name may be deleted, as on Route 53; DNS then takes it for healthy. One that a calculated check
 * names may not (HealthCheckInUse). A deleted check's caller reference stays taken for a day, under
 * a lease, so that a late retry does not make the check again; with very many of them it is free at
 * once, as the store's leases are needed elsewhere too. Invariant: a calculated check's children
 * exist. Whoever adds children writes the guard record, whoever deletes a check compares it. */
#include "service/route53/check.h"

#include "base/random.h"
#include "base/text.h"
#include "model/arc.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/route53/handlers.h"

#include <errno.h>
#include <string.h>

#define REFERENCE_KIND "healthcheck"
#define REFERENCE_KEEP_MS ((int64_t)24 * 3600 * 1000)
#define REFERENCES_LIMIT (ROUTE53_CHECKS_LIMIT + 2000U) /* with those of deleted checks */
#define SCAN_BATCH 512U

int route53_check_load(struct aws_call *call, const char *id, struct route53_check *ret_check,
                       struct err *err)
{
    const char *bare = route53_bare_id(id);
    struct store_entry entry;
    struct route53_check check = {.key = path_join(call->arena, PATH_CHECKS, bare)};
    int rc = strlen(bare) > MODEL_CHECK_ID_LIMIT || bare[0] == '\0'
                 ? -ENOENT
                 : store_get(service_context(call)->store, check.key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        (void)aws_error(call, err, "NoSuchHealthCheck",
                        "A health check with id %.64s does not exist.", bare);
        return -EINVAL;
    }
    if (rc == 0) {
        rc = model_check_decode(entry.value, entry.size, NULL, 0, call->arena, &check.model, err);
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &check.tree, err);
    }
    if (rc == 0) {
        check.revision = entry.changed_revision;
        check.config = json_object_get(check.tree, "HealthCheckConfig");
        *ret_check = check;
    }
    return rc;
}

json_t *route53_check_show(const json_t *tree)
{
    return json_pack("{s:s, s:s, s:I, s:O}", "Id", route53_text(tree, "Id"), "CallerReference",
                     route53_text(tree, "CallerReference"), "HealthCheckVersion",
                     json_integer_value(json_object_get(tree, "HealthCheckVersion")),
                     "HealthCheckConfig", json_object_get(tree, "HealthCheckConfig"));
}

/* ---- judging a configuration ---- */

static void set_default(json_t *config, const char *member, json_t *take_value)
{
    if (json_object_get(config, member) == NULL) {
        (void)json_object_set_new(config, member, take_value); /* a default that is not shown */
    } else {
        json_decref(take_value);
    }
}

static void fill_defaults(json_t *config, const struct model_check *check)
{
    set_default(config, "Inverted", json_boolean(check->inverted));
    set_default(config, "Disabled", json_boolean(check->disabled));
    if (check->type == MODEL_CHECK_CALCULATED) {
        set_default(config, "ChildHealthChecks", json_array());
        return;
    }
    if (check->type == MODEL_CHECK_RECOVERY_CONTROL) {
        return;
    }
    set_default(config, "Port", json_integer(check->port));
    set_default(config, "RequestInterval", json_integer(check->request_interval_s));
    set_default(config, "FailureThreshold", json_integer(check->failure_threshold));
    set_default(config, "MeasureLatency", json_boolean(check->measure_latency));
    set_default(config, "EnableSNI", json_boolean(check->enable_sni));
}

static int judge_child(struct aws_call *call, struct store_txn *txn, const char *id,
                       struct err *err)
{
    const char *key = path_join(call->arena, PATH_CHECKS, id);
    struct store_entry entry;
    struct model_check child;
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return aws_error(call, err, "InvalidInput",
                         "Invalid parameter : The child health check %.64s does not exist.", id);
    }
    if (rc == 0) {
        rc = model_check_decode(entry.value, entry.size, NULL, 0, call->arena, &child, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (child.type == MODEL_CHECK_CALCULATED) { /* the check itself, too */
        return aws_error(call, err, "InvalidInput",
                         "Invalid parameter : The child health check %.64s is a calculated health "
                         "check.",
                         id);
    }
    store_txn_require_present(txn, key); /* its type never changes */
    return 0;
}

/* It must be there, and stay: the panel's guard is compared by whoever deletes a control. */
static int judge_routing_control(struct aws_call *call, struct store_txn *txn, const char *arn,
                                 struct err *err)
{
    static const char value[] = "{\"v\":1}";
    struct model_arc_name name;
    struct store_entry entry;
    int rc = -ENOENT;
    if (model_arc_parse(arn, &name) == 0 && name.kind == MODEL_ARC_CONTROL &&
        text_equal(name.account, call->account_id)) {
        const char *key = model_arc_key(call->arena, name.kind, name.panel, name.id);
        rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
        store_txn_require_present(txn, key);
    }
    if (rc == -ENOENT) {
        return aws_error(call, err, "InvalidInput",
                         "Invalid parameter : The routing control %.256s does not exist.", arn);
    }
    if (rc == 0) {
        store_txn_put(txn, model_arc_guard(call->arena, name.panel), value, sizeof value - 1);
    }
    return rc;
}

int route53_check_judge(struct aws_call *call, struct store_txn *txn, json_t *config,
                        struct err *err)
{
    struct model_check check;
    int rc = model_check_from_json(config, call->arena, &check, err);
    if (rc != 0) {
        return aws_error(call, err, "InvalidInput", "%s", arena_strdup(call->arena, err->message));
    }
    if (check.type == MODEL_CHECK_CLOUDWATCH_METRIC) {
        return aws_error(call, err, "InvalidInput",
                         "Health checks of type %s are not offered yet by Leeward",
                         model_check_type_name(check.type));
    }
    rc = check.type == MODEL_CHECK_RECOVERY_CONTROL
             ? judge_routing_control(call, txn, check.routing_control, err)
             : 0;
    for (size_t i = 0; rc == 0 && i < check.child_count; i++) {
        rc = judge_child(call, txn, check.children[i], err);
    }
    if (rc == 0) {
        fill_defaults(config, &check);
        if (check.child_count > 0) {
            route53_check_guard(txn);
        }
    }
    return rc;
}

void route53_check_guard(struct store_txn *txn)
{
    store_txn_put(txn, PATH_CHECK_GUARD, "{\"v\":1}", strlen("{\"v\":1}"));
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    json_t *tree; /* of the new check, or the one that is there; kept */
};

/* The reference was used before: fine when the settings are the same. */
static int repeat_creation(struct aws_call *call, struct creation *creation,
                           const struct store_entry *reference, const json_t *config,
                           struct err *err)
{
    json_t *value = NULL;
    struct route53_check check;
    int rc = route53_parse(call, reference, &value, err);
    if (rc == 0) {
        rc = route53_check_load(call, route53_text(value, "Id"), &check, err);
    }
    if (rc == 0 && json_equal(check.config, config)) {
        creation->tree = check.tree;
        return 0;
    }
    if (rc != 0 && call->error_code == NULL) {
        return rc;
    }
    return aws_error(call, err, "HealthCheckAlreadyExists",
                     "A health check with the caller reference %.64s has already been created with "
                     "different settings or has been deleted.",
                     route53_text(creation->in, "CallerReference"));
}

static int judge_count(struct aws_call *call, struct err *err)
{
    size_t count = 0;
    int rc = store_count(service_context(call)->store, PATH_CHECKS, &count, err);
    if (rc == 0 && count >= ROUTE53_CHECKS_LIMIT) {
        rc = aws_error(call, err, "TooManyHealthChecks",
                       "Limits Exceeded: MAX_HEALTH_CHECKS_BY_OWNER - Cannot create more health "
                       "checks.");
    }
    return rc;
}

static int put_new(struct aws_call *call, struct store_txn *txn, struct creation *creation,
                   const char *reference_key, json_t *config, struct err *err)
{
    char id[RANDOM_UUID_TEXT];
    random_uuid(id);
    creation->tree = route53_keep(
        call, json_pack("{s:i, s:s, s:s, s:i, s:O}", "v", 1, "Id", id, "CallerReference",
                        route53_text(creation->in, "CallerReference"), "HealthCheckVersion", 1,
                        "HealthCheckConfig", config));
    const char *key = path_join(call->arena, PATH_CHECKS, id);
    store_txn_require_absent(txn, key);
    store_txn_require_absent(txn, reference_key);
    int rc = route53_put(txn, key, creation->tree, err);
    if (rc == 0) {
        json_t *reference = route53_keep(call, json_pack("{s:i, s:s}", "v", 1, "Id", id));
        rc = route53_put(txn, reference_key, reference, err);
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    const char *reference_key =
        path_reference(call->arena, REFERENCE_KIND, route53_text(creation->in, "CallerReference"));
    json_t *config =
        route53_keep(call, json_deep_copy(json_object_get(creation->in, "HealthCheckConfig")));
    struct store_entry reference;
    int rc = route53_check_key(call, reference_key, "CallerReference", err);
    if (rc == 0) {
        rc = route53_check_judge(call, txn, config, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = store_get(service_context(call)->store, reference_key, call->arena, &reference, err);
    if (rc == 0) {
        return repeat_creation(call, creation, &reference, config, err);
    }
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = judge_count(call, err);
    return rc == 0 ? put_new(call, txn, creation, reference_key, config, err) : rc;
}

int route53_create_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                                struct err *err)
{
    struct creation creation = {.in = in};
    int rc = route53_transact(call, create_step, &creation, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(
        json_pack("{s:o, s:o}", "HealthCheck", route53_check_show(creation.tree), "Location",
                  json_sprintf("/2013-04-01/healthcheck/%s", route53_text(creation.tree, "Id"))),
        ret_out, err);
}

/* ---- get, list, count ---- */

int route53_get_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                             struct err *err)
{
    struct route53_check check;
    int rc = route53_check_load(call, route53_text(in, "HealthCheckId"), &check, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:o}", "HealthCheck", route53_check_show(check.tree)),
                          ret_out, err);
}

int route53_list_health_checks(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    return route53_list_by_id(call, in, PATH_CHECKS, "HealthChecks", route53_check_show, ret_out,
                              err);
}

int route53_get_health_check_count(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    size_t count = 0;
    (void)in; /* the operation has no members */
    int rc = store_count(service_context(call)->store, PATH_CHECKS, &count, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:I}", "HealthCheckCount", (json_int_t)count), ret_out, err);
}

/* ---- delete ---- */

struct deletion {
    const char *id;
    int64_t lease;
};

static bool names_child(const struct model_check *check, const char *id)
{
    for (size_t i = 0; i < check->child_count; i++) {
        if (text_equal(check->children[i], id)) {
            return true;
        }
    }
    return false;
}

/* HealthCheckInUse when one of these checks is calculated from the check. */
static int judge_parents(struct aws_call *call, const struct store_list *list, const char *id,
                         struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        struct model_check parent;
        if (memmem(entry->value, entry->size, id, strlen(id)) == NULL) { /* most are passed here */
            continue;
        }
        int rc = model_check_decode(entry->value, entry->size, NULL, 0, call->arena, &parent, err);
        if (rc != 0) {
            return rc;
        }
        if (names_child(&parent, id)) {
            return aws_error(
                call, err, "HealthCheckInUse",
                "The health check %.64s is in use by the calculated health check %.64s.", id,
                parent.id);
        }
    }
    return 0;
}

static int judge_unused(struct aws_call *call, struct store_txn *txn, const char *id,
                        struct err *err)
{
    struct store *store = service_context(call)->store;
    struct store_entry guard = {.changed_revision = 0};
    int rc = store_get(store, PATH_CHECK_GUARD, call->arena, &guard, err);
    if (rc != 0 && rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    store_txn_require_revision(txn, PATH_CHECK_GUARD, guard.changed_revision);
    if (guard.changed_revision == 0) { /* no check was ever calculated */
        return 0;
    }
    const char *after = NULL;
    for (;;) {
        struct store_list list;
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        rc = store_range(store, PATH_CHECKS, after, SCAN_BATCH, &arena, &list, err);
        if (rc == 0) {
            rc = judge_parents(call, &list, id, err);
        }
        if (rc != 0 || !list.more) {
            return rc;
        }
        after = arena_strdup(call->arena, list.entries[list.count - 1].key);
    }
}

/* The reference goes with the check, or stays for a day. */
static int release_reference(struct aws_call *call, struct store_txn *txn,
                             const struct model_check *check, struct deletion *deletion,
                             struct err *err)
{
    struct store *store = service_context(call)->store;
    const char *reference = path_reference(call->arena, REFERENCE_KIND, check->caller_reference);
    size_t references = 0;
    int rc = store_count(store, PATH_REFS REFERENCE_KIND "/", &references, err);
    if (rc == 0 && references >= REFERENCES_LIMIT) {
        store_txn_delete(txn, reference);
        return 0;
    }
    if (rc == 0 && deletion->lease == 0) {
        rc = store_lease_grant(store, REFERENCE_KEEP_MS, &deletion->lease, err);
    }
    if (rc == 0) {
        const char *value = arena_printf(call->arena, "{\"v\":1,\"Id\":\"%s\"}", check->id);
        store_txn_put_leased(txn, reference, value, strlen(value), deletion->lease);
    }
    return rc;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct deletion *deletion = state;
    struct route53_check check;
    int rc = route53_check_load(call, deletion->id, &check, err);
    if (rc == 0) {
        rc = judge_unused(call, txn, check.model.id, err);
    }
    if (rc == 0) {
        rc = release_reference(call, txn, &check.model, deletion, err);
    }
    if (rc != 0) {
        return rc;
    }
    store_txn_require_revision(txn, check.key, check.revision);
    store_txn_delete(txn, check.key);
    store_txn_delete(txn, path_tags(call->arena, "healthcheck", check.model.id));
    return 0;
}

int route53_delete_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                                struct err *err)
{
    struct deletion deletion = {.id = route53_text(in, "HealthCheckId")};
    int rc = route53_transact(call, delete_step, &deletion, err);
    if (rc != 0 && deletion.lease != 0) {
        struct err ignored = ERR_INIT;
        /* It holds nothing; when this fails it runs out by itself. */
        int revoked = store_lease_revoke(service_context(call)->store, deletion.lease, &ignored);
        (void)revoked;
    }
    (void)ret_out; /* no output */
    return rc;
}
