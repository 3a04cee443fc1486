/* Health checks: from a HealthCheckConfig to struct model_check, as Route 53 judges it; see
 * check.h. Called by service/route53 for requests and by health/ and the services for store values,
 * on any thread. Strings are copied into the caller's arena. Invariant: a check that came through
 * here can be probed as it is: it has a target, a port, a path that starts with '/', and no control
 * character in anything that is sent to the target. */
#include "model/check.h"

#include "base/text.h"
#include "model/fields.h"
#include "model/zone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHILDREN_LIMIT 255U
#define REGIONS_LIMIT 64U
#define REGIONS_LEAST 3U

static const char *const type_names[] = {
    [MODEL_CHECK_HTTP] = "HTTP",
    [MODEL_CHECK_HTTPS] = "HTTPS",
    [MODEL_CHECK_HTTP_STR_MATCH] = "HTTP_STR_MATCH",
    [MODEL_CHECK_HTTPS_STR_MATCH] = "HTTPS_STR_MATCH",
    [MODEL_CHECK_TCP] = "TCP",
    [MODEL_CHECK_CALCULATED] = "CALCULATED",
    [MODEL_CHECK_CLOUDWATCH_METRIC] = "CLOUDWATCH_METRIC",
    [MODEL_CHECK_RECOVERY_CONTROL] = "RECOVERY_CONTROL",
};

const char *model_check_type_name(enum model_check_type type)
{
    return type_names[type];
}

static int refuse(struct err *err, const char *reason)
{
    return err_set(err, ERR_INVALID, "Invalid parameter : %s", reason);
}

static int read_type(const json_t *config, enum model_check_type *ret_type, struct err *err)
{
    const char *name = json_string_value(json_object_get(config, "Type"));
    for (size_t i = 0; name != NULL && i < ARRAY_SIZE(type_names); i++) {
        if (text_equal(name, type_names[i])) {
            *ret_type = (enum model_check_type)i;
            return 0;
        }
    }
    return refuse(err, "Type is not a health check type.");
}

static bool is_https(enum model_check_type type)
{
    return type == MODEL_CHECK_HTTPS || type == MODEL_CHECK_HTTPS_STR_MATCH;
}

static bool matches_string(enum model_check_type type)
{
    return type == MODEL_CHECK_HTTP_STR_MATCH || type == MODEL_CHECK_HTTPS_STR_MATCH;
}

/* Of those who send a request to an endpoint. */
static bool is_basic(enum model_check_type type)
{
    return type <= MODEL_CHECK_TCP;
}

struct numbers {
    int64_t port;
    int64_t interval;
    int64_t failures;
    int64_t threshold;
};

static int read_numbers(const json_t *config, struct numbers *numbers, struct err *err)
{
    int rc = fields_integer(config, "Port", 1, 65535, 0, &numbers->port, err);
    if (rc == 0) {
        rc = fields_integer(config, "RequestInterval", 10, 30, 30, &numbers->interval, err);
    }
    if (rc == 0) {
        rc = fields_integer(config, "FailureThreshold", 1, 10, 3, &numbers->failures, err);
    }
    if (rc == 0) {
        rc = fields_integer(config, "HealthThreshold", 0, 256, -1, &numbers->threshold, err);
    }
    if (rc == 0 && numbers->interval != 10 && numbers->interval != 30) {
        return refuse(err, "RequestInterval must be 10 or 30.");
    }
    return rc;
}

static int read_switches(const json_t *config, struct model_check *check, struct err *err)
{
    int rc = fields_boolean(config, "MeasureLatency", false, &check->measure_latency, err);
    if (rc == 0) {
        rc = fields_boolean(config, "Inverted", false, &check->inverted, err);
    }
    if (rc == 0) {
        rc = fields_boolean(config, "Disabled", false, &check->disabled, err);
    }
    if (rc == 0) {
        rc = fields_boolean(config, "EnableSNI", is_https(check->type), &check->enable_sni, err);
    }
    return rc;
}

static int read_texts(const json_t *config, struct arena *arena, struct model_check *check,
                      struct err *err)
{
    const char *path = "";
    int rc = fields_text(config, "IPAddress", arena, &check->ip_address, err);
    if (rc == 0) {
        rc = fields_text(config, "FullyQualifiedDomainName", arena, &check->host_name, err);
    }
    if (rc == 0) {
        rc = fields_text(config, "SearchString", arena, &check->search_string, err);
    }
    if (rc == 0) {
        rc = fields_text(config, "ResourcePath", arena, &path, err);
    }
    if (rc == 0) {
        check->resource_path = path[0] == '/' ? path : arena_printf(arena, "/%s", path);
        rc = fields_texts(config, "ChildHealthChecks", CHILDREN_LIMIT, arena, &check->children,
                          &check->child_count, err);
    }
    return rc;
}

static int check_regions(const json_t *config, struct arena *arena, struct err *err)
{
    const char **regions = NULL;
    size_t count = 0;
    int rc = fields_texts(config, "Regions", REGIONS_LIMIT, arena, &regions, &count, err);
    if (rc == 0 && json_object_get(config, "Regions") != NULL && count < REGIONS_LEAST) {
        rc = refuse(err, "At least 3 regions must be specified.");
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        for (size_t j = 0; rc == 0 && j < i; j++) {
            if (text_equal(regions[i], regions[j])) {
                rc = refuse(err, "Regions must not be specified twice.");
            }
        }
    }
    return rc;
}

/* Letters, digits and what else names of hosts are made of; it goes into a Host header. */
static bool host_name_is_valid(const char *name)
{
    if (strlen(name) > 255 || name[0] == '.') {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        char lower = text_lower(*c);
        if (!text_is_digit(lower) && (lower < 'a' || lower > 'z') && lower != '-' && lower != '_' &&
            lower != '.') {
            return false;
        }
        if (c[0] == '.' && c[1] == '.') {
            return false;
        }
    }
    return true;
}

/* It goes into a request line: visible ASCII only. */
static bool path_is_valid(const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f) {
            return false;
        }
    }
    return strlen(path) <= 256; /* 255, and the slash that may have been put before it */
}

static bool address_is_valid(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static int check_tcp(const json_t *config, const struct model_check *check, struct err *err)
{
    if (json_object_get(config, "Port") == NULL) {
        return refuse(err, "TCP health checks must have a port specified.");
    }
    if (json_object_get(config, "ResourcePath") != NULL) {
        return refuse(err, "TCP health checks must not have a resource path specified.");
    }
    if (check->ip_address[0] != '\0' && check->host_name[0] != '\0') {
        return err_set(err, ERR_INVALID,
                       "TCP health checks that have IP address must not have a fully qualified "
                       "domain name specified.");
    }
    return 0;
}

static int check_strings(const struct model_check *check, struct err *err)
{
    if (check->ip_address[0] == '\0' && check->host_name[0] == '\0') {
        return refuse(err,
                      "Basic health checks must have an IP address or a fully qualified domain "
                      "name specified.");
    }
    if (check->ip_address[0] != '\0' && !address_is_valid(check->ip_address)) {
        return refuse(err, "IPAddress is not a valid IPv4 or IPv6 address.");
    }
    if (!host_name_is_valid(check->host_name)) {
        return refuse(err, "FullyQualifiedDomainName is not a valid domain name.");
    }
    if (!path_is_valid(check->resource_path)) {
        return refuse(err, "ResourcePath is too long or has characters that a path cannot have.");
    }
    if (matches_string(check->type) && check->search_string[0] == '\0') {
        return refuse(err, "String matching health checks must have a search string specified.");
    }
    if (!matches_string(check->type) && check->search_string[0] != '\0') {
        return refuse(err,
                      "Only string matching health checks can have a search string specified.");
    }
    if (strlen(check->search_string) > 255) {
        return refuse(err, "SearchString must have at most 255 characters.");
    }
    return 0;
}

/* The members that only some other kind of check has. */
static int refuse_members(const json_t *config, const char *const *members, size_t count,
                          const char *kind, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(config, members[i]) != NULL) {
            return err_set(err, ERR_INVALID,
                           "Invalid parameter : %s health checks must not have %s "
                           "specified.",
                           kind, members[i]);
        }
    }
    return 0;
}

static int check_basic(const json_t *config, struct model_check *check, struct err *err)
{
    static const char *const foreign[] = {"ChildHealthChecks", "HealthThreshold",
                                          "InsufficientDataHealthStatus", "RoutingControlArn"};
    if (json_object_get(config, "AlarmIdentifier") != NULL) {
        return refuse(err, "Basic health checks must not have an metric region specified.");
    }
    int rc = refuse_members(config, foreign, ARRAY_SIZE(foreign), "Basic", err);
    if (rc == 0 && check->type == MODEL_CHECK_TCP) {
        rc = check_tcp(config, check, err);
    }
    if (rc == 0) {
        rc = check_strings(check, err);
    }
    if (rc == 0 && check->port == 0) {
        check->port = is_https(check->type) ? 443 : 80;
    }
    return rc;
}

/* What the checks without an endpoint must not have. */
static const char *const endpoint_members[] = {
    "IPAddress",    "Port",    "ResourcePath",   "FullyQualifiedDomainName",
    "SearchString", "Regions", "MeasureLatency", "RequestInterval",
    "EnableSNI",    NULL,
};

/* true and false both count as present for the API, but a client that sends the default means no
 * harm. */
static int refuse_endpoint_members(const json_t *config, const char *kind, struct err *err)
{
    for (size_t i = 0; endpoint_members[i] != NULL; i++) {
        const json_t *member = json_object_get(config, endpoint_members[i]);
        if (member != NULL && !json_is_false(member)) {
            return refuse_members(config, &endpoint_members[i], 1, kind, err);
        }
    }
    return 0;
}

static int check_calculated(const json_t *config, struct model_check *check, int64_t threshold,
                            struct err *err)
{
    static const char *const foreign[] = {"AlarmIdentifier", "InsufficientDataHealthStatus",
                                          "RoutingControlArn", "FailureThreshold"};
    int rc = refuse_endpoint_members(config, "Calculated", err);
    if (rc == 0) {
        rc = refuse_members(config, foreign, ARRAY_SIZE(foreign), "Calculated", err);
    }
    if (rc != 0) {
        return rc;
    }
    if (threshold < 0) {
        return refuse(err, "Calculated health checks must have a health threshold specified.");
    }
    check->health_threshold = (uint32_t)threshold;
    for (size_t i = 0; i < check->child_count; i++) {
        if (check->children[i][0] == '\0' || strlen(check->children[i]) > MODEL_CHECK_ID_LIMIT) {
            return refuse(err, "ChildHealthChecks holds something that is not a health check id.");
        }
        for (size_t j = 0; j < i; j++) {
            if (text_equal(check->children[i], check->children[j])) {
                return refuse(err, "ChildHealthChecks must not name a health check twice.");
            }
        }
    }
    return 0;
}

static int check_indirect(const json_t *config, struct arena *arena, struct model_check *check,
                          struct err *err)
{
    bool metric = check->type == MODEL_CHECK_CLOUDWATCH_METRIC;
    const char *kind = metric ? "CloudWatch metric" : "Recovery control";
    int rc = refuse_endpoint_members(config, kind, err);
    if (rc != 0) {
        return rc;
    }
    if (metric && !json_is_object(json_object_get(config, "AlarmIdentifier"))) {
        return refuse(err,
                      "CloudWatch metric health checks must have an alarm identifier specified.");
    }
    if (!metric && json_string_length(json_object_get(config, "RoutingControlArn")) == 0) {
        return refuse(err,
                      "Recovery control health checks must have a routing control ARN specified.");
    }
    if (!metric) {
        rc = fields_text(config, "RoutingControlArn", arena, &check->routing_control, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!metric && (check->inverted || json_object_get(config, "FailureThreshold") != NULL)) {
        return refuse(err, "Recovery control health checks cannot be inverted or have thresholds.");
    }
    return 0;
}

static int read_config(const json_t *config, struct arena *arena, struct model_check *check,
                       struct err *err)
{
    *check = (struct model_check){.id = "", .caller_reference = "", .routing_control = ""};
    struct numbers numbers = {0};
    int rc = read_type(config, &check->type, err);
    if (rc == 0) {
        rc = read_numbers(config, &numbers, err);
    }
    if (rc == 0) {
        rc = read_switches(config, check, err);
    }
    if (rc == 0) {
        rc = read_texts(config, arena, check, err);
    }
    if (rc == 0) {
        rc = check_regions(config, arena, err);
    }
    if (rc != 0) {
        return rc;
    }
    check->port = (uint16_t)numbers.port;
    check->request_interval_s = (uint32_t)numbers.interval;
    check->failure_threshold = (uint32_t)numbers.failures;
    if (is_basic(check->type)) {
        return check_basic(config, check, err);
    }
    if (check->type == MODEL_CHECK_CALCULATED) {
        return check_calculated(config, check, numbers.threshold, err);
    }
    return check_indirect(config, arena, check, err);
}

int model_check_from_json(const json_t *config, struct arena *arena, struct model_check *ret_check,
                          struct err *err)
{
    struct model_check check;
    if (read_config(config, arena, &check, err) != 0) {
        err->kind = ERR_INVALID; /* a member of another kind, too, is the client's mistake here */
        err->code = -EINVAL;
        return err->code;
    }
    *ret_check = check;
    return 0;
}
