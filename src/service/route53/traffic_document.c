/* Reading a traffic policy's document: version, type, endpoints, and how rules hang together; see
 * traffic.h. Called when a policy is made, and again when an instance is compiled, on API threads.
 * The format is AWS's "Traffic Policy Document Format"; numbers and truth values may be strings in
 * it. Where that page is silent: members that it does not name are refused, as a misspelt one would
 * be without effect; endpoints and rules that nothing leads to are allowed.
 * Invariant: from the start on, rules form no circle and are at most TRAFFIC_DEPTH_LIMIT deep. */
#include "base/text.h"
#include "service/route53/traffic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ID_LIMIT 255U

int traffic_invalid(struct aws_call *call, struct err *err, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* longer ones are cut */
    va_end(args);
    return aws_error(call, err, "InvalidTrafficPolicyDocument",
                     "The traffic policy document is not valid: %s", message);
}

/* Members that are nothing but text, wherever they are. */
static bool is_text(const char *name)
{
    static const char *const texts[] = {"AWSPolicyFormatVersion",
                                        "RecordType",
                                        "StartEndpoint",
                                        "StartRule",
                                        "Type",
                                        "Value",
                                        "RuleType",
                                        "EndpointReference",
                                        "RuleReference",
                                        "HealthCheck",
                                        "Region",
                                        "Continent",
                                        "Country",
                                        "Subdivision",
                                        "LocationName"};
    size_t i = 0;
    while (i < ARRAY_SIZE(texts) && !text_equal(texts[i], name)) {
        i++;
    }
    return i < ARRAY_SIZE(texts);
}

int traffic_members(struct aws_call *call, json_t *object, const char *const *known,
                    const char *where, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        size_t i = 0;
        while (known[i] != NULL && !text_equal(known[i], name)) {
            i++;
        }
        if (known[i] == NULL) {
            return traffic_invalid(call, err, "%.300s cannot have a member '%.64s'", where, name);
        }
        if (is_text(name) && !json_is_string(value)) {
            return traffic_invalid(call, err, "%.300s: %s must be a string", where, name);
        }
    }
    return 0;
}

/* ---- endpoints ---- */

struct service {
    const char *type;
    const char *suffix; /* of a name that is whole already; NULL: every name is */
};

static const struct service services[] = {
    {"cloudfront", NULL},
    {"application-load-balancer", NULL},
    {"elastic-load-balancer", NULL},
    {"network-load-balancer", NULL},
    {"elastic-beanstalk", NULL},
    {"s3-website", ".s3-website"},
};

static int read_service(struct aws_call *call, const struct traffic_document *document,
                        const struct service *service, const json_t *json,
                        struct traffic_endpoint *endpoint, struct err *err)
{
    const char *value = route53_text(json, "Value");
    const char *region = route53_text(json, "Region");
    bool website = service->suffix != NULL;
    if (!text_equal(document->type, "A") && (website || !text_equal(document->type, "AAAA"))) {
        return traffic_invalid(call, err, "endpoint '%s' of type %s needs the RecordType A%s",
                               endpoint->id, service->type, website ? "" : " or AAAA");
    }
    if (!website && region[0] != '\0') {
        return traffic_invalid(call, err, "endpoint '%s' of type %s cannot have a Region",
                               endpoint->id, service->type);
    }
    if (!website || strstr(value, service->suffix) != NULL) {
        endpoint->alias = arena_strdup(call->arena, value);
        return 0;
    }
    if (region[0] == '\0') {
        return traffic_invalid(call, err, "endpoint '%s' of type s3-website has no Region",
                               endpoint->id);
    }
    endpoint->alias = arena_printf(call->arena, "%s.s3-website-%s.amazonaws.com", value, region);
    return 0;
}

static int read_endpoint(struct aws_call *call, const struct traffic_document *document,
                         json_t *json, struct traffic_endpoint *endpoint, struct err *err)
{
    static const char *const known[] = {"Type", "Region", "Value", NULL};
    const char *type = route53_text(json, "Type");
    const char *where = arena_printf(call->arena, "endpoint '%s'", endpoint->id);
    if (!json_is_object(json)) {
        return traffic_invalid(call, err, "%s is not an object", where);
    }
    int rc = traffic_members(call, json, known, where, err);
    if (rc != 0) {
        return rc;
    }
    if (route53_text(json, "Value")[0] == '\0') {
        return traffic_invalid(call, err, "%s has no Value", where);
    }
    if (text_equal(type, "value")) {
        if (json_object_get(json, "Region") != NULL) {
            return traffic_invalid(call, err, "%s of type value cannot have a Region", where);
        }
        endpoint->value = arena_strdup(call->arena, route53_text(json, "Value"));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
        if (text_equal(type, services[i].type)) {
            return read_service(call, document, &services[i], json, endpoint, err);
        }
    }
    return traffic_invalid(call, err, "%s has the Type '%.64s', which is none", where, type);
}

/* ---- the parts ---- */

/* A member that is an object, or absent (NULL). */
static int read_part(struct aws_call *call, const json_t *root, const char *member,
                     json_t **ret_part, struct err *err)
{
    json_t *part = json_object_get(root, member);
    const char *id = NULL;
    json_t *value = NULL;
    if (part != NULL && !json_is_object(part)) {
        return traffic_invalid(call, err, "%s is not an object", member);
    }
    json_object_foreach(part, id, value)
    {
        if (id[0] == '\0' || strlen(id) > ID_LIMIT) {
            return traffic_invalid(call, err, "an id in %s does not have 1 to %u characters",
                                   member, ID_LIMIT);
        }
    }
    *ret_part = part;
    return 0;
}

static int read_endpoints(struct aws_call *call, const json_t *root,
                          struct traffic_document *document, struct err *err)
{
    json_t *part = NULL;
    const char *id = NULL;
    json_t *value = NULL;
    int rc = read_part(call, root, "Endpoints", &part, err);
    document->endpoints =
        arena_array(call->arena, json_object_size(part), sizeof *document->endpoints);
    json_object_foreach(part, id, value)
    {
        struct traffic_endpoint *endpoint = &document->endpoints[document->endpoint_count++];
        *endpoint = (struct traffic_endpoint){.id = arena_strdup(call->arena, id)};
        rc = rc != 0 ? rc : read_endpoint(call, document, value, endpoint, err);
    }
    return rc;
}

static int read_rules(struct aws_call *call, const json_t *root, struct traffic_document *document,
                      struct err *err)
{
    json_t *part = NULL;
    const char *id = NULL;
    json_t *value = NULL;
    int rc = read_part(call, root, "Rules", &part, err);
    document->rules = arena_array(call->arena, json_object_size(part), sizeof *document->rules);
    json_object_foreach(part, id, value)
    {
        size_t index = document->rule_count++;
        document->rules[index] = (struct traffic_rule){
            .id = arena_strdup(call->arena, id), .json = value, .index = index};
    }
    for (size_t i = 0; rc == 0 && i < document->rule_count; i++) {
        rc = traffic_rule_read(call, document, &document->rules[i], err);
    }
    return rc;
}

static int read_start(struct aws_call *call, const json_t *root, struct traffic_document *document,
                      struct err *err)
{
    const char *endpoint = route53_text(root, "StartEndpoint");
    const char *rule = route53_text(root, "StartRule");
    if ((endpoint[0] != '\0') == (rule[0] != '\0')) {
        return traffic_invalid(call, err, "it must have either a StartEndpoint or a StartRule");
    }
    for (size_t i = 0; i < document->endpoint_count; i++) {
        if (text_equal(document->endpoints[i].id, endpoint)) {
            document->start_endpoint = &document->endpoints[i];
            return 0;
        }
    }
    for (size_t i = 0; i < document->rule_count; i++) {
        if (text_equal(document->rules[i].id, rule)) {
            document->start_rule = &document->rules[i];
            return 0;
        }
    }
    return traffic_invalid(call, err, "the start '%.255s' is not defined",
                           rule[0] != '\0' ? rule : endpoint);
}

/* ---- how the rules hang together ---- */

/* Depth first; the depth of the calls is bounded by TRAFFIC_DEPTH_LIMIT. */
// NOLINTNEXTLINE(misc-no-recursion): bounded, and a tree is walked most plainly so
static int walk(struct aws_call *call, struct traffic_rule *rule, unsigned depth, struct err *err)
{
    if (rule->visit == TRAFFIC_OPEN) {
        return traffic_invalid(call, err, "rule '%s' leads back to itself", rule->id);
    }
    if (depth + (rule->visit == TRAFFIC_DONE ? rule->height : 1) > TRAFFIC_DEPTH_LIMIT) {
        return traffic_invalid(call, err, "more than %u rules below one another",
                               TRAFFIC_DEPTH_LIMIT);
    }
    if (rule->visit == TRAFFIC_DONE) {
        return 0;
    }
    rule->visit = TRAFFIC_OPEN;
    rule->height = 1;
    for (size_t i = 0; i < rule->count; i++) {
        struct traffic_rule *next = rule->references[i].rule;
        if (next == NULL) {
            continue;
        }
        int rc = walk(call, next, depth + 1, err);
        if (rc != 0) {
            return rc;
        }
        rule->height = MAX(rule->height, next->height + 1);
    }
    rule->visit = TRAFFIC_DONE;
    return 0;
}

/* ---- the whole ---- */

static int read_top(struct aws_call *call, json_t *root, struct traffic_document *document,
                    struct err *err)
{
    static const char *const known[] = {"AWSPolicyFormatVersion",
                                        "RecordType",
                                        "StartEndpoint",
                                        "StartRule",
                                        "Endpoints",
                                        "Rules",
                                        NULL};
    static const char *const types[] = {"A",     "AAAA", "CAA", "CNAME", "MX",
                                        "NAPTR", "PTR",  "SPF", "SRV",   "TXT"};
    const char *version = route53_text(root, "AWSPolicyFormatVersion");
    const char *type = route53_text(root, "RecordType");
    int rc = traffic_members(call, root, known, "the document", err);
    if (rc != 0) {
        return rc;
    }
    document->local_zones = text_equal(version, "2023-05-09");
    if (!document->local_zones && !text_equal(version, "2015-10-01")) {
        return traffic_invalid(call, err,
                               "AWSPolicyFormatVersion must be \"2015-10-01\" or \"2023-05-09\"");
    }
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (text_equal(type, types[i])) {
            document->type = types[i];
            return 0;
        }
    }
    return traffic_invalid(call, err, "RecordType '%.32s' is none that a policy can have", type);
}

int traffic_document_read(struct aws_call *call, const char *text,
                          struct traffic_document *ret_document, struct err *err)
{
    json_error_t error;
    struct traffic_document document = {.type = ""};
    json_t *root = route53_keep(call, json_loads(text, JSON_REJECT_DUPLICATES, &error));
    if (root == NULL) {
        return traffic_invalid(call, err, "line %d, column %d: %s", error.line, error.column,
                               error.text);
    }
    if (!json_is_object(root)) {
        return traffic_invalid(call, err, "it is not a JSON object");
    }
    int rc = read_top(call, root, &document, err);
    if (rc == 0) {
        rc = read_endpoints(call, root, &document, err);
    }
    if (rc == 0) {
        rc = read_rules(call, root, &document, err);
    }
    if (rc == 0) {
        rc = read_start(call, root, &document, err);
    }
    if (rc == 0 && document.start_rule != NULL) {
        rc = walk(call, document.start_rule, 0, err);
    }
    if (rc == 0) {
        *ret_document = document;
    }
    return rc;
}
