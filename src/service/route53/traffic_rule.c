/* The rules of a traffic policy's document: what each type refers to, and the members that make a
 * record set one of its policy; see traffic.h. Called by traffic_document.c on API threads. Each
 * type is one row of a table. Invariant: every reference of a rule that was read has exactly one of
 * endpoint and rule. */
#include "base/text.h"
#include "service/route53/traffic.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLACE_PREFIX "aws:route53:"

/* One reference while it is read. */
struct reading {
    struct aws_call *call;
    const struct traffic_document *document;
    const char *where; /* "rule 'x', Items 3" */
    json_t *json;
};

/* ---- members ---- */

/* true, false, or one of them as a string. */
static int read_flag(const struct reading *reading, const char *member, bool fallback,
                     bool *ret_flag, struct err *err)
{
    const json_t *value = json_object_get(reading->json, member);
    const char *text = json_string_value(value);
    if (value == NULL) {
        *ret_flag = fallback;
    } else if (json_is_true(value) || (text != NULL && text_equal_nocase(text, "true"))) {
        *ret_flag = true;
    } else if (json_is_false(value) || (text != NULL && text_equal_nocase(text, "false"))) {
        *ret_flag = false;
    } else {
        return traffic_invalid(reading->call, err, "%s: %s must be true or false", reading->where,
                               member);
    }
    return 0;
}

/* A whole number, or one as a string. */
static int read_number(const struct reading *reading, const char *member, int64_t low, int64_t high,
                       int64_t *number, struct err *err)
{
    const json_t *value = json_object_get(reading->json, member);
    const char *text = json_string_value(value);
    bool good = json_is_integer(value);
    if (good) {
        *number = json_integer_value(value);
        good = *number >= low && *number <= high;
    } else if (text != NULL) {
        good = text_to_i64(text, low, high, number) == 0;
    }
    return good ? 0
                : traffic_invalid(reading->call, err,
                                  "%s: %s must be a whole number from %lld to %lld", reading->where,
                                  member, (long long)low, (long long)high);
}

/* Degrees with at most two decimals, as the text that a record set has; its range is the model's
 * to judge. */
static int read_degrees(const struct reading *reading, const json_t *object, const char *member,
                        const char **ret_text, struct err *err)
{
    const json_t *value = json_object_get(object, member);
    if (json_is_string(value)) {
        *ret_text = json_string_value(value);
        return 0;
    }
    double degrees = json_number_value(value);
    const char *text = arena_printf(reading->call->arena, "%.2f", degrees);
    double rounded = 0;
    if (!json_is_number(value) || fabs(degrees) > 180 || text_to_double(text, &rounded) != 0 ||
        fabs(rounded - degrees) > 1e-9) {
        return traffic_invalid(reading->call, err,
                               "%s: %s must be a number of degrees with at most two decimals",
                               reading->where, member);
    }
    *ret_text = text;
    return 0;
}

/* "aws:route53:us-east-1" or "us-east-1". */
static const char *bare_place(const char *place)
{
    return text_starts(place, PLACE_PREFIX) ? place + strlen(PLACE_PREFIX) : place;
}

/* ---- the policies' own members ---- */

static int read_weight(const struct reading *reading, json_t **ret_policy, struct err *err)
{
    int64_t weight = 0;
    int rc = read_number(reading, "Weight", 0, 255, &weight, err);
    *ret_policy = json_pack("{s:I}", "Weight", (json_int_t)weight);
    return rc;
}

static int read_multivalue(const struct reading *reading, json_t **ret_policy, struct err *err)
{
    (void)reading;
    (void)err;
    *ret_policy = json_pack("{s:b}", "MultiValueAnswer", 1);
    return 0;
}

static int read_region(const struct reading *reading, json_t **ret_policy, struct err *err)
{
    const char *region = bare_place(route53_text(reading->json, "Region"));
    *ret_policy = json_pack("{s:s}", "Region", region);
    return region[0] != '\0'
               ? 0
               : traffic_invalid(reading->call, err, "%s has no Region", reading->where);
}

static int read_location(const struct reading *reading, json_t **ret_policy, struct err *err)
{
    const char *continent = route53_text(reading->json, "Continent");
    const char *country = route53_text(reading->json, "Country");
    const char *subdivision = route53_text(reading->json, "Subdivision");
    bool is_default = false;
    int rc = read_flag(reading, "IsDefault", text_equal(country, "*"), &is_default, err);
    bool other = continent[0] != '\0' || subdivision[0] != '\0' ||
                 (country[0] != '\0' && !text_equal(country, "*"));
    if (rc == 0 && is_default && other) {
        rc = traffic_invalid(reading->call, err, "%s: the default cannot have a location",
                             reading->where);
    }
    if (rc == 0 && !is_default && !other) {
        rc = traffic_invalid(reading->call, err,
                             "%s has neither IsDefault nor a Continent or Country", reading->where);
    }
    /* AWS's own documents name the continent of a country, too. */
    bool whole = country[0] == '\0';
    *ret_policy = is_default ? json_pack("{s:{s:s}}", "GeoLocation", "CountryCode", "*")
                             : json_pack("{s:{s:s*, s:s*, s:s*}}", "GeoLocation", "ContinentCode",
                                         whole && continent[0] != '\0' ? continent : NULL,
                                         "CountryCode", whole ? NULL : country, "SubdivisionCode",
                                         subdivision[0] != '\0' ? subdivision : NULL);
    return rc;
}

static int pack_coordinates(const struct reading *reading, const json_t *object, int64_t bias,
                            json_t **ret_policy, struct err *err)
{
    const char *latitude = "";
    const char *longitude = "";
    int rc = read_degrees(reading, object, "Latitude", &latitude, err);
    if (rc == 0) {
        rc = read_degrees(reading, object, "Longitude", &longitude, err);
    }
    *ret_policy = json_pack("{s:{s:{s:s, s:s}, s:I}}", "GeoProximityLocation", "Coordinates",
                            "Latitude", latitude, "Longitude", longitude, "Bias", (json_int_t)bias);
    return rc;
}

/* Documents name a Local Zone, "us-east-1-atl-1a"; record sets the group that it is in,
 * "us-east-1-atl-1". */
static const char *zone_group(const struct reading *reading, const char *name)
{
    size_t length = strlen(name);
    bool zone = length >= 2 && name[length - 1] >= 'a' && name[length - 1] <= 'z' &&
                text_is_digit(name[length - 2]);
    return zone ? arena_memdup(reading->call->arena, name, length - 1) : name;
}

/* What version 2023-05-09 has instead of Region, Latitude and Longitude. */
static int read_typed_place(const struct reading *reading, int64_t bias, json_t **ret_policy,
                            struct err *err)
{
    static const char *const known[] = {"Type", "LocationName", "Latitude", "Longitude", NULL};
    json_t *place = json_object_get(reading->json, "Location");
    const char *type = route53_text(place, "Type");
    const char *name = bare_place(route53_text(place, "LocationName"));
    if (!json_is_object(place)) {
        return traffic_invalid(reading->call, err, "%s has no Location", reading->where);
    }
    int rc = traffic_members(reading->call, place, known, reading->where, err);
    if (rc != 0) {
        return rc;
    }
    if (text_equal(type, "Coordinate")) {
        return pack_coordinates(reading, place, bias, ret_policy, err);
    }
    bool region = text_equal(type, "Region");
    if (name[0] == '\0' || (!region && !text_equal(type, "LocalZone"))) {
        return traffic_invalid(reading->call, err,
                               "%s: Location must have the Type Region or LocalZone with a "
                               "LocationName, or Coordinate",
                               reading->where);
    }
    *ret_policy =
        json_pack("{s:{s:s, s:I}}", "GeoProximityLocation", region ? "AWSRegion" : "LocalZoneGroup",
                  region ? name : zone_group(reading, name), "Bias", (json_int_t)bias);
    return 0;
}

static int read_proximity(const struct reading *reading, json_t **ret_policy, struct err *err)
{
    const char *region = bare_place(route53_text(reading->json, "Region"));
    bool placed = json_object_get(reading->json, "Latitude") != NULL ||
                  json_object_get(reading->json, "Longitude") != NULL;
    int64_t bias = 0;
    int rc = json_object_get(reading->json, "Bias") == NULL
                 ? 0
                 : read_number(reading, "Bias", -99, 99, &bias, err);
    if (rc != 0) {
        return rc;
    }
    if (reading->document->local_zones) {
        if (region[0] != '\0' || placed) {
            return traffic_invalid(reading->call, err,
                                   "%s: version 2023-05-09 has a Location instead of Region, "
                                   "Latitude and Longitude",
                                   reading->where);
        }
        return read_typed_place(reading, bias, ret_policy, err);
    }
    if ((region[0] != '\0') == placed || json_object_get(reading->json, "Location") != NULL) {
        return traffic_invalid(reading->call, err,
                               "%s must have either a Region, or a Latitude and a Longitude",
                               reading->where);
    }
    if (placed) {
        return pack_coordinates(reading, reading->json, bias, ret_policy, err);
    }
    *ret_policy = json_pack("{s:{s:s, s:I}}", "GeoProximityLocation", "AWSRegion", region, "Bias",
                            (json_int_t)bias);
    return 0;
}

/* ---- the types of rules ---- */

#define REFERENCE "EndpointReference", "RuleReference", "EvaluateTargetHealth", "HealthCheck"

static const char *const pair_members[] = {REFERENCE, NULL};
static const char *const weighted_members[] = {REFERENCE, "Weight", NULL};
static const char *const multivalue_members[] = {"EndpointReference", "HealthCheck", NULL};
static const char *const region_members[] = {REFERENCE, "Region", NULL};
static const char *const geo_members[] = {REFERENCE, "IsDefault",   "Continent",
                                          "Country", "Subdivision", NULL};
static const char *const proximity_members[] = {REFERENCE, "Region",   "Latitude", "Longitude",
                                                "Bias",    "Location", NULL};

struct form {
    const char *type;
    const char *list;    /* NULL: Primary and Secondary */
    const char *spelled; /* the list, as Terraform writes it; or NULL */
    const char *const *members;
    size_t limit;
    int (*read)(const struct reading *reading, json_t **ret_policy, struct err *err);
};

static const struct form forms[] = {
    {"failover", NULL, NULL, pair_members, 2, NULL},
    {"weighted", "Items", NULL, weighted_members, TRAFFIC_RULE_LIMIT, read_weight},
    {"multivalue", "Items", NULL, multivalue_members, TRAFFIC_MULTIVALUE_LIMIT, read_multivalue},
    {"latency", "Regions", NULL, region_members, TRAFFIC_RULE_LIMIT, read_region},
    {"geo", "Locations", NULL, geo_members, TRAFFIC_RULE_LIMIT, read_location},
    {"geoproximity", "GeoproximityLocations", "GeoProximityLocations", proximity_members,
     TRAFFIC_RULE_LIMIT, read_proximity},
};

/* The endpoint or the rule that is named. */
static int read_target(const struct reading *reading, struct traffic_reference *reference,
                       struct err *err)
{
    const struct traffic_document *document = reading->document;
    const char *endpoint = route53_text(reading->json, "EndpointReference");
    const char *rule = route53_text(reading->json, "RuleReference");
    if ((endpoint[0] != '\0') == (rule[0] != '\0')) {
        return traffic_invalid(reading->call, err,
                               "%s must have either an EndpointReference or a RuleReference",
                               reading->where);
    }
    for (size_t i = 0; i < document->endpoint_count; i++) {
        if (text_equal(document->endpoints[i].id, endpoint)) {
            reference->endpoint = &document->endpoints[i];
            return 0;
        }
    }
    for (size_t i = 0; i < document->rule_count; i++) {
        if (text_equal(document->rules[i].id, rule)) {
            reference->rule = &document->rules[i];
            return 0;
        }
    }
    return traffic_invalid(reading->call, err, "%s refers to '%.255s', which is not defined",
                           reading->where, rule[0] != '\0' ? rule : endpoint);
}

/* policy: a new reference, or NULL when it could not be made. */
static int read_reference(const struct reading *reading, const struct form *form,
                          json_t *take_policy, struct traffic_reference *reference, struct err *err)
{
    json_t *policy = take_policy;
    int rc = 0;
    if (!json_is_object(reading->json)) {
        rc = traffic_invalid(reading->call, err, "%s is not an object", reading->where);
    }
    if (rc == 0) {
        rc = traffic_members(reading->call, reading->json, form->members, reading->where, err);
    }
    if (rc == 0) {
        rc = read_target(reading, reference, err);
    }
    if (rc == 0) {
        rc = read_flag(reading, "EvaluateTargetHealth", true, &reference->evaluate_health, err);
    }
    if (rc == 0 && form->read != NULL) {
        rc = form->read(reading, &policy, err);
    }
    reference->policy = route53_keep(reading->call, policy);
    reference->health_check = route53_text(reading->json, "HealthCheck");
    if (rc == 0 && policy == NULL) { /* text that is no UTF-8 does not come through the codec */
        rc = err_set(err, ERR_MEMORY, "reading the traffic policy document");
    }
    return rc;
}

static int read_pair(struct aws_call *call, const struct traffic_document *document,
                     struct traffic_rule *rule, const struct form *form, struct err *err)
{
    static const char *const members[] = {"Primary", "Secondary"};
    static const char *const known[] = {"RuleType", "Primary", "Secondary", NULL};
    const char *where = arena_printf(call->arena, "rule '%s'", rule->id);
    int rc = traffic_members(call, rule->json, known, where, err);
    rule->references = arena_array(call->arena, 2, sizeof *rule->references);
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        struct traffic_reference *reference = &rule->references[rule->count++];
        struct reading reading = {call, document,
                                  arena_printf(call->arena, "%s, %s", where, members[i]),
                                  json_object_get(rule->json, members[i])};
        *reference = (struct traffic_reference){.identifier = i == 0 ? "primary" : "secondary"};
        if (reading.json == NULL) {
            return traffic_invalid(call, err, "%s has no %s", where, members[i]);
        }
        rc = read_reference(&reading, form,
                            json_pack("{s:s}", "Failover", i == 0 ? "PRIMARY" : "SECONDARY"),
                            reference, err);
    }
    const struct traffic_reference *first = &rule->references[0];
    if (rc == 0 && first->endpoint != NULL && first->endpoint->value != NULL &&
        first->health_check[0] == '\0') {
        rc = traffic_invalid(
            call, err, "%s, Primary: an endpoint of type value must have a HealthCheck", where);
    }
    return rc;
}

static int read_list(struct aws_call *call, const struct traffic_document *document,
                     struct traffic_rule *rule, const struct form *form, struct err *err)
{
    const char *known[] = {"RuleType", form->list, form->spelled, NULL};
    const char *where = arena_printf(call->arena, "rule '%s'", rule->id);
    const json_t *list = json_object_get(rule->json, form->list);
    int rc = traffic_members(call, rule->json, known, where, err);
    if (list == NULL && form->spelled != NULL) {
        list = json_object_get(rule->json, form->spelled);
    }
    size_t count = json_array_size(list);
    if (rc == 0 && (count == 0 || count > form->limit)) {
        rc = traffic_invalid(call, err, "%s must have 1 to %zu %s", where, form->limit, form->list);
    }
    if (rc != 0) {
        return rc;
    }
    rule->references = arena_array(call->arena, count, sizeof *rule->references);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct traffic_reference *reference = &rule->references[rule->count++];
        struct reading reading = {call, document,
                                  arena_printf(call->arena, "%s, %s %zu", where, form->list, i + 1),
                                  json_array_get(list, i)};
        *reference =
            (struct traffic_reference){.identifier = arena_printf(call->arena, "%zu", i + 1)};
        rc = read_reference(&reading, form, NULL, reference, err);
    }
    return rc;
}

int traffic_rule_read(struct aws_call *call, const struct traffic_document *document,
                      struct traffic_rule *rule, struct err *err)
{
    const char *type = route53_text(rule->json, "RuleType");
    if (!json_is_object(rule->json)) {
        return traffic_invalid(call, err, "rule '%s' is not an object", rule->id);
    }
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (text_equal(type, forms[i].type)) {
            return forms[i].list == NULL ? read_pair(call, document, rule, &forms[i], err)
                                         : read_list(call, document, rule, &forms[i], err);
        }
    }
    return traffic_invalid(call, err, "rule '%s' has the RuleType '%.64s', which is none", rule->id,
                           type);
}
