/* Resource record sets: from a request's tree or a store value to struct model_record_set; see
 * zone.h. Called by service/route53 (which judges what clients sent) and by the daemon's compiler
 * feed (which trusts what was judged before), on any thread. Strings are copied into the caller's
 * arena. Invariant: a record that came through here has a known type, either an alias or at least
 * one value, and the members that its policy needs. */
#include "model/record_set.h"

#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "model/fields.h"
#include "model/record_set_flat.h"

#include <errno.h>
#include <string.h>

#define VALUES_LIMIT 1000U
#define TTL_LIMIT 2147483647
#define SET_IDENTIFIER_LIMIT 128U

/* Route 53's record types (RRType of the service model). */
static const char *const type_names[] = {"SOA",   "A",    "TXT",   "NS",   "CNAME", "MX",
                                         "NAPTR", "PTR",  "SRV",   "SPF",  "AAAA",  "CAA",
                                         "DS",    "TLSA", "SSHFP", "SVCB", "HTTPS"};

static const char *const policy_names[] = {
    [MODEL_SIMPLE] = "simple",
    [MODEL_FAILOVER] = "failover",
    [MODEL_WEIGHTED] = "weighted",
    [MODEL_MULTIVALUE] = "multivalue",
    [MODEL_LATENCY] = "latency",
    [MODEL_GEOLOCATION] = "geolocation",
    [MODEL_GEOPROXIMITY] = "geoproximity",
    [MODEL_CIDR] = "cidr",
};

/* The member that makes a record one of a policy. */
static const struct {
    const char *member;
    enum model_policy policy;
} policy_members[] = {
    {"Weight", MODEL_WEIGHTED},
    {"Region", MODEL_LATENCY},
    {"GeoLocation", MODEL_GEOLOCATION},
    {"Failover", MODEL_FAILOVER},
    {"MultiValueAnswer", MODEL_MULTIVALUE},
    {"GeoProximityLocation", MODEL_GEOPROXIMITY},
    {"CidrRoutingConfig", MODEL_CIDR},
};

#define POLICY_LIST                                                                                \
    "[Weight, Region, Failover, GeoLocation, MultiValueAnswer, or CidrRoutingConfig]"
#define CONTENT_LIST "[AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]"

const char *model_policy_name(enum model_policy policy)
{
    return policy_names[policy];
}

static int read_name(const char *name, struct arena *arena, const char **ret_name, struct err *err)
{
    char canonical[NAME_TEXT_LIMIT];
    if (name_canonical(name, canonical) != 0) {
        return err_set(err, ERR_INVALID, "Invalid domain name '%.180s'", name);
    }
    *ret_name = arena_strdup(arena, canonical);
    return 0;
}

static int read_type(const char *text, uint16_t *ret_type, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
        if (text_equal(text, type_names[i])) {
            *ret_type = rr_type_from_text(text);
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "Invalid request: record type '%.32s' is not offered", text);
}

static int read_values(const json_t *json, struct arena *arena, struct model_record_set *record,
                       struct err *err)
{
    const json_t *list = json_object_get(json, "ResourceRecords");
    size_t count = json_array_size(list);
    if (count == 0 || count > VALUES_LIMIT) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: ResourceRecords must have 1 to %u members", VALUES_LIMIT);
    }
    record->values = arena_array(arena, count, sizeof *record->values);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_string(json_object_get(item, "Value"))) {
            return err_set(err, ERR_INVALID, "Invalid request: a ResourceRecord has no Value");
        }
        int rc = fields_text(item, "Value", arena, &record->values[i], err);
        if (rc != 0) {
            return rc;
        }
    }
    record->value_count = count;
    return 0;
}

static int read_alias(const json_t *target, struct arena *arena, struct model_record_set *record,
                      struct err *err)
{
    struct model_alias *alias = arena_alloc(arena, sizeof *alias);
    const char *zone_id = "";
    const char *name = "";
    int rc = fields_text(target, "HostedZoneId", arena, &zone_id, err);
    if (rc == 0) {
        rc = fields_text(target, "DNSName", arena, &name, err);
    }
    if (rc == 0) {
        rc = fields_boolean(target, "EvaluateTargetHealth", false, &alias->evaluate_target_health,
                            err);
    }
    if (rc == 0) {
        rc = read_name(name, arena, &alias->name, err);
    }
    if (rc != 0) {
        return rc;
    }
    alias->zone_id =
        text_starts(zone_id, "/hostedzone/") ? zone_id + strlen("/hostedzone/") : zone_id;
    if (alias->zone_id[0] == '\0' || strlen(alias->zone_id) > MODEL_ZONE_ID_LIMIT) {
        return err_set(err, ERR_INVALID, "Invalid request: AliasTarget has no valid HostedZoneId");
    }
    record->alias = alias;
    return 0;
}

/* An alias, or TTL and values: exactly one of both. */
static int read_content(const json_t *json, struct arena *arena, struct model_record_set *record,
                        struct err *err)
{
    const json_t *target = json_object_get(json, "AliasTarget");
    const json_t *ttl = json_object_get(json, "TTL");
    const json_t *values = json_object_get(json, "ResourceRecords");
    if (target != NULL && (ttl != NULL || values != NULL)) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: Expected exactly one of " CONTENT_LIST
                       ", but found more than one");
    }
    if (target != NULL) {
        return read_alias(target, arena, record, err);
    }
    if (ttl == NULL || values == NULL) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: Expected exactly one of " CONTENT_LIST ", but found none");
    }
    int64_t ttl_s = 0;
    int rc = fields_integer(json, "TTL", 0, TTL_LIMIT, 0, &ttl_s, err);
    if (rc != 0) {
        return rc;
    }
    record->ttl_s = (uint32_t)ttl_s;
    return read_values(json, arena, record, err);
}

/* What the policy itself wants to know. */
static int read_policy_member(const json_t *json, struct arena *arena,
                              struct model_record_set *record, struct err *err)
{
    int64_t weight = 0;
    bool multivalue = false;
    const char *failover = "";
    int rc = fields_integer(json, "Weight", 0, 255, 0, &weight, err);
    if (rc == 0) {
        rc = fields_boolean(json, "MultiValueAnswer", false, &multivalue, err);
    }
    if (rc == 0) {
        rc = fields_text(json, "Failover", arena, &failover, err);
    }
    if (rc == 0) {
        rc = record_set_read_location(json, arena, record, err);
    }
    if (rc != 0) {
        return rc;
    }
    record->weight = (uint8_t)weight;
    if (record->policy == MODEL_MULTIVALUE && !multivalue) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: Expected exactly one of " POLICY_LIST ", but found none");
    }
    if (record->policy == MODEL_FAILOVER) {
        bool primary = text_equal(failover, "PRIMARY");
        if (!primary && !text_equal(failover, "SECONDARY")) {
            return err_set(err, ERR_INVALID,
                           "Invalid request: Failover must be PRIMARY or SECONDARY");
        }
        record->failover = primary ? MODEL_PRIMARY : MODEL_SECONDARY;
    }
    return 0;
}

static int read_policy(const json_t *json, struct arena *arena, struct model_record_set *record,
                       struct err *err)
{
    unsigned found = 0;
    for (size_t i = 0; i < ARRAY_SIZE(policy_members); i++) {
        if (json_object_get(json, policy_members[i].member) != NULL) {
            record->policy = policy_members[i].policy;
            found++;
        }
    }
    int rc = fields_text(json, "SetIdentifier", arena, &record->set_identifier, err);
    if (rc == 0) {
        rc = fields_text(json, "HealthCheckId", arena, &record->health_check_id, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (strlen(record->health_check_id) > MODEL_CHECK_ID_LIMIT) {
        return err_set(err, ERR_INVALID, "Invalid request: HealthCheckId is too long");
    }
    bool identified = record->set_identifier[0] != '\0';
    /* Route 53 lets a health check stand only beside a policy, and says so like this. */
    if (!identified && (found > 0 || record->health_check_id[0] != '\0')) {
        return err_set(err, ERR_INVALID, "Invalid request: Missing field 'SetIdentifier'");
    }
    if (found > 1 || (identified && found == 0)) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: Expected exactly one of " POLICY_LIST ", but found %s",
                       found > 1 ? "more than one" : "none");
    }
    return read_policy_member(json, arena, record, err);
}

/* Everything but the values' text, which only a client's record needs to have judged. */
static int read_record(const json_t *json, const char *zone_id, struct arena *arena,
                       struct model_record_set *record, struct err *err)
{
    *record = (struct model_record_set){.zone_id = arena_strdup(arena, zone_id)};
    const char *name = "";
    const char *type = "";
    int rc = fields_text(json, "Name", arena, &name, err);
    if (rc == 0) {
        rc = fields_text(json, "Type", arena, &type, err);
    }
    if (rc == 0) {
        rc = fields_text(json, "TrafficPolicyInstanceId", arena, &record->traffic_instance_id, err);
    }
    if (rc == 0) {
        rc = read_name(name, arena, &record->name, err);
    }
    if (rc == 0) {
        rc = read_type(type, &record->type, err);
    }
    if (rc == 0) {
        rc = read_content(json, arena, record, err);
    }
    if (rc == 0) {
        rc = read_policy(json, arena, record, err);
    }
    return rc;
}

int model_record_set_decode(const void *value, size_t size, const char *zone_id,
                            struct arena *arena, struct model_record_set *ret_record,
                            struct err *err)
{
    return record_set_flat(value, size, zone_id, arena, ret_record)
               ? 0
               : record_set_decode_tree(value, size, zone_id, arena, ret_record, err);
}

int record_set_decode_tree(const void *value, size_t size, const char *zone_id, struct arena *arena,
                           struct model_record_set *ret_record, struct err *err)
{
    json_t *object = NULL;
    struct model_record_set record;
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_record(object, zone_id, arena, &record, err);
        json_decref(object);
    }
    if (rc != 0) {
        return err_set(err, ERR_CORRUPT, "record set: %.200s", arena_strdup(arena, err->message));
    }
    *ret_record = record;
    return 0;
}

static bool routable(uint16_t type)
{
    return type != RR_SOA && type != RR_NS && type != RR_DS;
}

static int check_policy(const struct model_record_set *record, struct err *err)
{
    if (record->policy == MODEL_SIMPLE) {
        return 0;
    }
    char type[16];
    rr_type_to_text(record->type, type);
    if (!routable(record->type)) {
        return err_set(err, ERR_INVALID,
                       "RRSet of type %s with DNS name %.150s cannot have a SetIdentifier", type,
                       record->name);
    }
    int rc = record_set_judge_location(record, err);
    if (rc != 0) {
        return rc;
    }
    if (record->policy == MODEL_MULTIVALUE && record->type == RR_CNAME) {
        return err_set(err, ERR_INVALID,
                       "RRSet of type CNAME with DNS name %.150s cannot be a multivalue answer",
                       record->name);
    }
    if (record->policy == MODEL_MULTIVALUE && record->alias != NULL) {
        return err_set(err, ERR_INVALID,
                       "RRSet with DNS name %.150s cannot be both an alias and a multivalue answer",
                       record->name);
    }
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_values(const struct model_record_set *record, struct arena *arena, struct err *err)
{
    if ((record->type == RR_CNAME || record->type == RR_SOA) && record->value_count > 1) {
        return err_set(err, ERR_INVALID,
                       "RRSet of type %s with DNS name %.150s can have only one value",
                       record->type == RR_SOA ? "SOA" : "CNAME", record->name);
    }
    uint8_t rdata[4096]; /* a value has at most 4,000 characters */
    for (size_t i = 0; i < record->value_count; i++) {
        if (rdata_from_text(record->type, record->values[i], rdata, sizeof rdata, err) < 0) {
            return err_set(err, ERR_INVALID, "Invalid Resource Record: '%.220s'",
                           arena_strdup(arena, err->message));
        }
    }
    const char **sorted = arena_memdup(arena, record->values, record->value_count * sizeof *sorted);
    qsort(sorted, record->value_count, sizeof *sorted, compare_texts);
    for (size_t i = 1; i < record->value_count; i++) {
        if (text_equal(sorted[i - 1], sorted[i])) {
            return err_set(err, ERR_INVALID, "Duplicate Resource Record: '%.200s'", sorted[i]);
        }
    }
    return 0;
}

int model_record_set_from_json(const json_t *json, const char *zone_id, struct arena *arena,
                               struct model_record_set *ret_record, struct err *err)
{
    struct model_record_set record;
    int rc = read_record(json, zone_id, arena, &record, err);
    if (rc == 0) {
        rc = check_policy(&record, err);
    }
    if (rc == 0 && record.alias == NULL) {
        rc = check_values(&record, arena, err);
    }
    if (rc == 0 && record.alias != NULL && (record.type == RR_NS || record.type == RR_SOA)) {
        rc = err_set(err, ERR_INVALID, "RRSet of type %s with DNS name %.150s cannot be an alias",
                     record.type == RR_NS ? "NS" : "SOA", record.name);
    }
    if (rc == 0 && record.type == RR_NS && text_starts(record.name, "\\052.")) {
        rc = err_set(err, ERR_INVALID, "RRSet of type NS with DNS name %.150s cannot be a wildcard",
                     record.name);
    }
    if (rc != 0) {
        err->kind = ERR_INVALID; /* a member of another kind, too, is the client's mistake here */
        err->code = -EINVAL;
        return err->code;
    }
    record.json = json;
    *ret_record = record;
    return 0;
}
