/* Hosted zones and resource record sets as plain records, and their store encoding.
 *
 * A store value is a JSON object {"v":1, ...} whose members have the names of Route 53's shapes (a
 * record set's value is the ResourceRecordSet itself plus "v"), so what a client sent is what is
 * kept; members this version does not know survive a read and write. The structs are what the data
 * planes work with. Thread: any; a decoded record lives in the arena it was decoded into. */
#ifndef MODEL_ZONE_H
#define MODEL_ZONE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define MODEL_VERSION 1
#define MODEL_ZONE_ID_LIMIT 32U
#define MODEL_CHECK_ID_LIMIT 64U

/* {"v":1,"Id":"Z..","Name":"example.com.","CallerReference":..,"Comment":..,"RecordCount":n,"Created":seconds,
 *  "DelegationSetId":..,"NameServers":[..]} */
struct model_zone {
    const char *id;   /* "Z0123456789ABCDEFGHIJ", without /hostedzone/ */
    const char *name; /* canonical text form: lower case, octal escapes, trailing dot */
    const char *caller_reference;
    const char *comment;           /* "" when none */
    const char *delegation_set_id; /* "" when none */
    const char **name_servers;
    size_t name_server_count;
    int64_t record_count;
    int64_t created_s;        /* wall clock, seconds: for people */
    int64_t created_revision; /* of its store entry, set by who read it; of two zones with one name
                               * the older is served. Not part of the encoding. */
};

enum model_policy {
    MODEL_SIMPLE,
    MODEL_FAILOVER,
    MODEL_WEIGHTED,
    MODEL_MULTIVALUE,
    MODEL_LATENCY,
    MODEL_GEOLOCATION,
    MODEL_GEOPROXIMITY,
    MODEL_CIDR,
};

enum model_failover { MODEL_PRIMARY, MODEL_SECONDARY };

struct model_alias {
    const char *zone_id; /* of the target; an id unknown to Leeward means a service endpoint name */
    const char *name;    /* canonical */
    bool evaluate_target_health;
};

struct model_record_set {
    const char *zone_id;
    const char *name; /* canonical */
    uint16_t type;    /* RR type number */
    enum model_policy policy;
    const char *set_identifier;  /* "" for a simple record */
    const char *health_check_id; /* "" when none */
    uint8_t weight;              /* weighted: 0 to 255 */
    enum model_failover failover;
    const char *region; /* latency, and geoproximity's AWSRegion; else "" */
    /* Geolocation: a continent, or a country ("*": the default) with or without a subdivision. */
    const char *continent;
    const char *country;
    const char *subdivision;
    /* Geoproximity: where the resource is is one of region, group and coordinates. */
    const char *local_zone_group;
    bool has_coordinates;
    double latitude;
    double longitude;
    int8_t bias;
    /* CIDR: the location is one of the collection's, or "*", the default. */
    const char *collection_id;
    const char *cidr_location;
    uint32_t ttl_s;
    const char **values; /* presentation form, as the client sent them */
    size_t value_count;
    const struct model_alias *alias; /* NULL when values are given */
    const char *traffic_instance_id; /* that it belongs to; "" when none */
    const json_t *json;              /* the ResourceRecordSet; borrowed or NULL */
};

const char *model_policy_name(enum model_policy policy);

/* value/size as the store gave them. ERR_CORRUPT with the reason when it is none. Strings live in
 * the arena. */
int model_zone_decode(const void *value, size_t size, struct arena *arena,
                      struct model_zone *ret_zone, struct err *err) MUST_CHECK;
json_t *model_zone_encode(const struct model_zone *zone) MUST_CHECK;

/* zone_id comes from the key (path.h). */
int model_record_set_decode(const void *value, size_t size, const char *zone_id,
                            struct arena *arena, struct model_record_set *ret_record,
                            struct err *err) MUST_CHECK;
/* From the ResourceRecordSet tree of a request or a store value. ERR_INVALID says what is wrong
 * with it as a record on its own, in AWS's words where they are known (bad type, TTL missing, value
 * does not parse, alias and values together, policy members that exclude each other, ...). The name
 * is made canonical. */
int model_record_set_from_json(const json_t *json, const char *zone_id, struct arena *arena,
                               struct model_record_set *ret_record, struct err *err) MUST_CHECK;

#endif
