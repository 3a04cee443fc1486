/* Records of the policies that look at where the client is: their place, key or CIDR location, made
 * when a record is put; see internal.h. Called by group.c on the owner's thread. Invariant: the
 * role says in words what the record is for, as explain.c shows it. */
#include "base/memory.h"
#include "base/text.h"
#include "dns/zone/internal.h"

#include <stdio.h>
#include <string.h>

#define ROLE_LIMIT 160U

bool policy_is_map(enum model_policy policy)
{
    return policy == MODEL_LATENCY || policy == MODEL_GEOLOCATION || policy == MODEL_GEOPROXIMITY ||
           policy == MODEL_CIDR;
}

enum zone_map_kind policy_map_kind(enum model_policy policy)
{
    return policy == MODEL_GEOLOCATION ? ZONE_MAP_GEO
           : policy == MODEL_CIDR      ? ZONE_MAP_CIDR
                                       : ZONE_MAP_NEAREST;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void describe_geolocation(const struct model_record_set *record, char role[ROLE_LIMIT])
{
    const struct model_geo_location *known = model_geo_location_find(
        or_empty(record->continent), or_empty(record->country), or_empty(record->subdivision));
    const char *subdivision = or_empty(record->subdivision);
    if (text_equal(record->country, "*")) {
        (void)snprintf(role, ROLE_LIMIT, "default");
        return;
    }
    (void)snprintf(role, ROLE_LIMIT, "%s%s%s%s%s", /* cut when it is longer */
                   or_empty(record->continent), or_empty(record->country),
                   subdivision[0] != '\0' ? "-" : "", subdivision, known != NULL ? ": " : "");
    size_t length = strlen(role);
    (void)snprintf(role + length, ROLE_LIMIT - length, "%s", known != NULL ? known->name : "");
}

static void describe(const struct model_record_set *record, char role[ROLE_LIMIT])
{
    const char *region = or_empty(record->region);
    char bias[16] = "";
    if (record->policy == MODEL_GEOLOCATION) {
        describe_geolocation(record, role);
        return;
    }
    if (record->policy == MODEL_CIDR) {
        bool any = text_equal(record->cidr_location, "*");
        (void)snprintf(role, ROLE_LIMIT, "%s%s", any ? "default" : "location ",
                       any ? "" : record->cidr_location);
        return;
    }
    if (record->bias != 0) {
        (void)snprintf(bias, sizeof bias, ", bias %+d", record->bias);
    }
    if (record->has_coordinates) {
        (void)snprintf(role, ROLE_LIMIT, "at %.2f,%.2f%s", record->latitude, record->longitude,
                       bias);
    } else {
        const char *group = or_empty(record->local_zone_group);
        (void)snprintf(role, ROLE_LIMIT, "%s%s", group[0] != '\0' ? group : region, bias);
    }
}

static const char *keep(char **at, const char *text)
{
    char *kept = *at;
    size_t size = strlen(text) + 1;
    (void)memcpy(kept, text, size);
    *at += size;
    return kept;
}

struct zone_where *where_new(const struct model_record_set *record)
{
    char role[ROLE_LIMIT];
    describe(record, role);
    const char *location = or_empty(record->cidr_location);
    const char *collection = or_empty(record->collection_id);
    const char *region = or_empty(record->local_zone_group);
    region = region[0] != '\0' ? region : or_empty(record->region);
    struct zone_where *where = memory_new(sizeof *where + strlen(role) + strlen(location) +
                                          strlen(collection) + strlen(region) + 4);
    char *at = where->text;
    (void)keep(&at, role); /* stands at text */
    where->spot.bias = record->bias;
    if (record->policy == MODEL_CIDR) {
        where->spot.location = keep(&at, location);
        where->collection_id = keep(&at, collection);
    } else if (record->policy == MODEL_GEOLOCATION) {
        where->spot.geo = zone_geo_key(or_empty(record->continent), or_empty(record->country),
                                       or_empty(record->subdivision));
    } else if (record->has_coordinates) {
        zone_spot_place(&where->spot, record->latitude, record->longitude);
    } else {
        where->region = keep(&at, region);
    }
    return where;
}

void where_resolve(const struct zone_database *database, struct zone_where *where)
{
    const struct model_region *region =
        where->region != NULL
            ? model_region_find(database->regions, database->region_count, where->region)
            : NULL;
    if (region != NULL) {
        zone_spot_place(&where->spot, (double)region->latitude, (double)region->longitude);
    }
}
