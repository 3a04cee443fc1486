/* From a traffic policy's document to the record sets of an instance; see traffic.h. Called when a
 * policy is made (with a place of no importance, to judge the document) and when an instance is
 * made or updated, on API threads. A rule that several others refer to is compiled once.
 * Invariant: all record sets that come out are ones that the model takes and DNS serves. */
#include "base/text.h"
#include "dns/wire/name.h"
#include "model/location.h"
#include "model/path.h"
#include "service/route53/traffic.h"

#include <errno.h>
#include <string.h>

/* Of no zone of ours, so that an alias goes to whichever zone holds the name. */
#define SERVICE_ZONE "service-endpoint"
#define LABEL "_tp-" /* in front of the instance's id */
#define ID_LENGTH (RANDOM_UUID_TEXT - 1U)

struct compilation {
    struct aws_call *call;
    const struct traffic_document *document;
    const struct traffic_place *place;
    struct traffic_records records;
    size_t characters;
};

/* "_tp-<instance>-<generation>-". */
static const char *label_start(struct aws_call *call, const struct traffic_place *place)
{
    return arena_printf(call->arena, LABEL "%s-%lld-", place->instance_id,
                        (long long)place->generation);
}

static const char *rule_name(const struct compilation *compilation, const struct traffic_rule *rule)
{
    const struct traffic_place *place = compilation->place;
    return arena_printf(compilation->call->arena, "%s%zu.%s", label_start(compilation->call, place),
                        rule->index, text_equal(place->zone_name, ".") ? "" : place->zone_name);
}

const char *traffic_record_prefix(struct aws_call *call, const struct traffic_place *place)
{
    const char *zone =
        path_records_from(call->arena, PATH_TRAFFIC_RECORDS, place->zone_id, place->zone_name);
    return arena_printf(call->arena, "%s%s", zone, label_start(call, place));
}

int traffic_judge_name(struct batch *batch, const char *name, struct err *err)
{
    struct store_entry entry;
    if (!text_starts(name, LABEL) || strcspn(name, ".") < strlen(LABEL) + ID_LENGTH) {
        return 0;
    }
    struct aws_call *call = batch->call;
    const char *id = arena_memdup(call->arena, name + strlen(LABEL), ID_LENGTH);
    const char *key = path_join(call->arena, PATH_TRAFFIC_INSTANCES, id);
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (rc == 0) {
        batch_problem(batch,
                      "RRSet with DNS name %s is not permitted because the name is one of the "
                      "traffic policy instance %s.",
                      name, id);
    }
    return rc;
}

/* "TTL" and "ResourceRecords", or "AliasTarget". */
static int add_content(struct compilation *compilation, json_t *tree,
                       const struct traffic_reference *reference)
{
    const struct traffic_place *place = compilation->place;
    const struct traffic_endpoint *endpoint = reference->endpoint;
    if (endpoint != NULL && endpoint->value != NULL) {
        compilation->characters += strlen(endpoint->value);
        return json_object_set_new(tree, "TTL", json_integer(place->ttl_s)) |
               json_object_set_new(tree, "ResourceRecords",
                                   json_pack("[{s:s}]", "Value", endpoint->value));
    }
    const char *zone_id = endpoint != NULL ? SERVICE_ZONE : place->zone_id;
    const char *name = endpoint != NULL ? endpoint->alias : rule_name(compilation, reference->rule);
    return json_object_set_new(tree, "AliasTarget",
                               json_pack("{s:s, s:s, s:b}", "HostedZoneId", zone_id, "DNSName",
                                         name, "EvaluateTargetHealth", reference->evaluate_health));
}

/* A region, or "" for none, has coordinates. */
static int judge_region(struct aws_call *call, const char *name, const char *where, struct err *err)
{
    const struct service_context *context = service_context(call);
    if (name[0] == '\0' ||
        model_region_find(context->regions, context->region_count, name) != NULL) {
        return 0;
    }
    return traffic_invalid(call, err,
                           "%s: '%.64s' is none of AWS's regions or Local Zones, and the "
                           "configuration has no region-coordinates for it",
                           where, name);
}

/* No two record sets of a rule, which are the last ones, are for the same place. */
static int judge_places(const struct compilation *compilation, const struct traffic_rule *rule,
                        struct err *err)
{
    const struct traffic_records *records = &compilation->records;
    const struct traffic_record *first = &records->items[records->count - rule->count];
    for (size_t i = 1; i < rule->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (batch_same_place(&first[i].model, &first[j].model)) {
                return traffic_invalid(compilation->call, err,
                                       "rule '%s' names the same place twice, in %zu and %zu",
                                       rule->id, j + 1, i + 1);
            }
        }
    }
    return 0;
}

/* One record set; where: for the error, "rule 'x', 3". */
static int add_record(struct compilation *compilation, const char *name, const char *where,
                      const struct traffic_reference *reference, struct err *err)
{
    struct aws_call *call = compilation->call;
    struct traffic_records *records = &compilation->records;
    struct traffic_record *record = &records->items[records->count];
    json_t *tree =
        route53_keep(call, json_pack("{s:i, s:s, s:s, s:s}", "v", MODEL_VERSION, "Name", name,
                                     "Type", compilation->document->type, "TrafficPolicyInstanceId",
                                     compilation->place->instance_id));
    int failed = tree == NULL || add_content(compilation, tree, reference) != 0;
    if (failed == 0 && reference->policy != NULL) {
        json_t *policy = json_deep_copy(reference->policy);
        failed = json_object_update(tree, policy) |
                 json_object_set_new(tree, "SetIdentifier", json_string(reference->identifier));
        json_decref(policy);
        if (reference->health_check[0] != '\0') {
            failed |=
                json_object_set_new(tree, "HealthCheckId", json_string(reference->health_check));
        }
    }
    if (failed != 0) {
        return err_set(err, ERR_MEMORY, "compiling the traffic policy");
    }
    if (model_record_set_from_json(tree, compilation->place->zone_id, call->arena, &record->model,
                                   err) != 0) {
        const char *message = arena_strdup(call->arena, err->message);
        static const char shape[] = "Invalid request: ";
        return traffic_invalid(call, err, "%s: %s", where,
                               text_starts(message, shape) ? message + strlen(shape) : message);
    }
    int rc = judge_region(call, record->model.region, where, err);
    if (rc == 0) {
        rc = judge_region(call, record->model.local_zone_group, where, err);
    }
    if (rc != 0) {
        return rc;
    }
    record->tree = route53_keep(call, batch_record_normal(tree, &record->model));
    records->count++;
    return record->tree != NULL ? 0 : err_set(err, ERR_MEMORY, "compiling the traffic policy");
}

static int add_rule(struct compilation *compilation, const struct traffic_rule *rule,
                    struct err *err)
{
    struct aws_call *call = compilation->call;
    const char *name = rule_name(compilation, rule);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rule->count; i++) {
        const struct traffic_reference *reference = &rule->references[i];
        rc = add_record(compilation, name,
                        arena_printf(call->arena, "rule '%s', %s", rule->id, reference->identifier),
                        reference, err);
    }
    return rc == 0 ? judge_places(compilation, rule, err) : rc;
}

static int add_rules(struct compilation *compilation, struct err *err)
{
    const struct traffic_document *document = compilation->document;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < document->rule_count; i++) {
        if (document->rules[i].visit == TRAFFIC_DONE) {
            rc = add_rule(compilation, &document->rules[i], err);
        }
    }
    return rc;
}

/* How many record sets it will be. InvalidInput when a rule's name does not fit. */
static int survey(const struct compilation *compilation, size_t *ret_count, struct err *err)
{
    const struct traffic_document *document = compilation->document;
    char canonical[NAME_TEXT_LIMIT];
    size_t count = 1;
    for (size_t i = 0; i < document->rule_count; i++) {
        const struct traffic_rule *rule = &document->rules[i];
        if (rule->visit != TRAFFIC_DONE) {
            continue;
        }
        count += rule->count;
        if (name_canonical(rule_name(compilation, rule), canonical) != 0) {
            return aws_error(compilation->call, err, "InvalidInput",
                             "The name of the hosted zone %.150s is too long for traffic policies",
                             compilation->place->zone_name);
        }
    }
    *ret_count = count;
    return 0;
}

static int judge_size(const struct compilation *compilation, size_t count, struct err *err)
{
    if (count > TRAFFIC_RECORDS_LIMIT) {
        return traffic_invalid(compilation->call, err,
                               "it has more than %u references, each of which is a record set",
                               TRAFFIC_RECORDS_LIMIT);
    }
    if (compilation->characters > TRAFFIC_VALUES_LIMIT) {
        return traffic_invalid(compilation->call, err,
                               "the values that it refers to have more than %u characters together",
                               TRAFFIC_VALUES_LIMIT);
    }
    return 0;
}

int traffic_compile(struct aws_call *call, const struct traffic_document *document,
                    const struct traffic_place *place, struct traffic_records *ret_records,
                    struct err *err)
{
    struct compilation compilation = {.call = call, .document = document, .place = place};
    size_t count = 0;
    int rc = survey(&compilation, &count, err);
    if (rc == 0) {
        rc = judge_size(&compilation, count, err);
    }
    if (rc != 0) {
        return rc;
    }
    compilation.records.items = arena_array(call->arena, count, sizeof *compilation.records.items);
    const struct traffic_reference start = {.endpoint = document->start_endpoint,
                                            .rule = document->start_rule,
                                            .evaluate_health = true,
                                            .health_check = ""};
    rc = add_record(&compilation, place->name, "the start", &start, err);
    if (rc == 0) {
        rc = add_rules(&compilation, err);
    }
    if (rc == 0) {
        rc = judge_size(&compilation, count, err);
    }
    if (rc == 0) {
        *ret_records = compilation.records;
    }
    return rc;
}
