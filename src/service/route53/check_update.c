/* UpdateHealthCheck: the members that are sent replace those that are there, ResetElements empties
 * some first. Called as a handler on API threads. Type, RequestInterval and MeasureLatency cannot
 * be sent; an IP address can be changed, but neither added nor removed. Invariant: the version goes
 * up by one with every update, and an update that names another version changes nothing. */
#include "base/text.h"
#include "service/route53/check.h"
#include "service/route53/handlers.h"

#include <string.h>

/* Every member of UpdateHealthCheckRequest that is one of HealthCheckConfig. */
static const char *const members[] = {
    "IPAddress",       "Port",
    "ResourcePath",    "FullyQualifiedDomainName",
    "SearchString",    "FailureThreshold",
    "Inverted",        "Disabled",
    "HealthThreshold", "ChildHealthChecks",
    "EnableSNI",       "Regions",
    "AlarmIdentifier", "InsufficientDataHealthStatus",
};

struct update {
    const json_t *in;
    json_t *tree; /* kept */
};

static int judge_version(struct aws_call *call, const struct update *update,
                         const struct route53_check *check, struct err *err)
{
    const json_t *version = json_object_get(update->in, "HealthCheckVersion");
    if (version != NULL && json_integer_value(version) != check->model.version) {
        return aws_error(
            call, err, "HealthCheckVersionMismatch",
            "The health check version in the request (%lld) does not match that of the "
            "health check (%lld).",
            (long long)json_integer_value(version), (long long)check->model.version);
    }
    return 0;
}

static int merge(struct aws_call *call, const json_t *in, json_t *config, struct err *err)
{
    const json_t *resets = json_object_get(in, "ResetElements");
    bool had_address = json_object_get(config, "IPAddress") != NULL;
    for (size_t i = 0; i < json_array_size(resets); i++) {
        const char *member = json_string_value(json_array_get(resets, i));
        if (member != NULL) {
            (void)json_object_del(config, member); /* absent is what is wanted */
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_t *value = json_object_get(in, members[i]);
        if (value != NULL && json_object_set(config, members[i], value) != 0) {
            return err_set(err, ERR_MEMORY, "updating the health check");
        }
    }
    if (had_address != (json_object_get(config, "IPAddress") != NULL)) {
        return aws_error(call, err, "InvalidInput",
                         "Invalid parameter : IPAddress can be neither added to nor removed from a "
                         "health check.");
    }
    return 0;
}

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct update *update = state;
    struct route53_check check;
    int rc = route53_check_load(call, route53_text(update->in, "HealthCheckId"), &check, err);
    if (rc == 0) {
        rc = judge_version(call, update, &check, err);
    }
    if (rc == 0) {
        rc = merge(call, update->in, check.config, err);
    }
    if (rc == 0) {
        rc = route53_check_judge(call, txn, check.config, err);
    }
    if (rc != 0) {
        return rc;
    }
    (void)json_object_set_new(check.tree, "HealthCheckVersion",
                              json_integer(check.model.version + 1));
    store_txn_require_revision(txn, check.key, check.revision);
    update->tree = check.tree;
    return route53_put(txn, check.key, check.tree, err);
}

int route53_update_health_check(struct aws_call *call, const json_t *in, json_t **ret_out,
                                struct err *err)
{
    struct update update = {.in = in};
    int rc = route53_transact(call, update_step, &update, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:o}", "HealthCheck", route53_check_show(update.tree)),
                          ret_out, err);
}
