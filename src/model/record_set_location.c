/* Where the records of the policies that look at the client are: see record_set.h. Called by
 * record_set.c, on any thread. Invariant: a latency record has a region; a geolocation record one
 * continent, or a country with or without subdivision; a geoproximity record exactly one of region,
 * Local Zone group and coordinates; a CIDR record a collection and a location. */
#include "base/text.h"
#include "model/fields.h"
#include "model/location.h"
#include "model/record_set.h"

#include <string.h>

#define REGION_LIMIT 64U
#define BIAS_LIMIT 99

static int read_geolocation(const json_t *geo, struct arena *arena, struct model_record_set *record,
                            struct err *err)
{
    int rc = fields_text(geo, "ContinentCode", arena, &record->continent, err);
    if (rc == 0) {
        rc = fields_text(geo, "CountryCode", arena, &record->country, err);
    }
    if (rc == 0) {
        rc = fields_text(geo, "SubdivisionCode", arena, &record->subdivision, err);
    }
    if (rc != 0) {
        return rc;
    }
    bool continent = record->continent[0] != '\0';
    bool country = record->country[0] != '\0';
    bool subdivision = record->subdivision[0] != '\0';
    if (continent == country || (subdivision && !country)) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: GeoLocation must have either a ContinentCode, or a "
                       "CountryCode with or without a SubdivisionCode");
    }
    if ((continent && strlen(record->continent) != 2) || strlen(record->country) > 2 ||
        strlen(record->subdivision) > 3) {
        return err_set(err, ERR_INVALID, "Invalid request: a code of GeoLocation is too long");
    }
    return 0;
}

/* "[-+]?[0-9]{1,whole}(\.[0-9]{0,2})?" within the limit: what the API takes. */
static int read_degrees(const json_t *coordinates, const char *member, size_t whole, double limit,
                        struct arena *arena, double *ret_degrees, struct err *err)
{
    const char *text = "";
    int rc = fields_text(coordinates, member, arena, &text, err);
    if (rc != 0) {
        return rc;
    }
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    size_t before = strspn(digits, "0123456789");
    size_t point = digits[before] == '.';
    size_t behind = point != 0 ? strspn(digits + before + 1, "0123456789") : 0;
    double degrees = 0;
    const char *number = text[0] == '+' ? text + 1 : text;
    /* "12." is fine for AWS: the point is cut off. */
    char *trimmed = arena_strdup(arena, number);
    if (point != 0 && behind == 0) {
        trimmed[strlen(trimmed) - 1] = '\0';
    }
    if (before == 0 || before > whole || behind > 2 || digits[before + point + behind] != '\0' ||
        text_to_double(trimmed, &degrees) != 0 || degrees < -limit || degrees > limit) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: '%.20s' is not a %s with at most two decimals", text,
                       member);
    }
    *ret_degrees = degrees;
    return 0;
}

static int read_proximity(const json_t *where, struct arena *arena, struct model_record_set *record,
                          struct err *err)
{
    const json_t *coordinates = json_object_get(where, "Coordinates");
    int64_t bias = 0;
    int rc = fields_text(where, "AWSRegion", arena, &record->region, err);
    if (rc == 0) {
        rc = fields_text(where, "LocalZoneGroup", arena, &record->local_zone_group, err);
    }
    if (rc == 0) {
        rc = fields_integer(where, "Bias", -BIAS_LIMIT, BIAS_LIMIT, 0, &bias, err);
    }
    if (rc != 0) {
        return rc;
    }
    record->bias = (int8_t)bias;
    unsigned given =
        (record->region[0] != '\0') + (record->local_zone_group[0] != '\0') + (coordinates != NULL);
    if (given != 1) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: Expected exactly one of [AWSRegion, LocalZoneGroup, or "
                       "Coordinates] in GeoProximityLocation, but found %s",
                       given == 0 ? "none" : "more than one");
    }
    if (coordinates != NULL) {
        record->has_coordinates = true;
        rc = read_degrees(coordinates, "Latitude", 2, 90, arena, &record->latitude, err);
        rc = rc != 0
                 ? rc
                 : read_degrees(coordinates, "Longitude", 3, 180, arena, &record->longitude, err);
    }
    return rc;
}

static int read_cidr(const json_t *config, struct arena *arena, struct model_record_set *record,
                     struct err *err)
{
    int rc = fields_text(config, "CollectionId", arena, &record->collection_id, err);
    if (rc == 0) {
        rc = fields_text(config, "LocationName", arena, &record->cidr_location, err);
    }
    if (rc == 0 && (record->collection_id[0] == '\0' || record->cidr_location[0] == '\0' ||
                    strlen(record->collection_id) > MODEL_COLLECTION_ID_LIMIT ||
                    strlen(record->cidr_location) > MODEL_CIDR_LOCATION_LIMIT)) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: CidrRoutingConfig must have a CollectionId and a "
                       "LocationName");
    }
    return rc;
}

int record_set_read_location(const json_t *json, struct arena *arena,
                             struct model_record_set *record, struct err *err)
{
    record->continent = "";
    record->country = "";
    record->subdivision = "";
    record->local_zone_group = "";
    record->collection_id = "";
    record->cidr_location = "";
    record->region = "";
    switch (record->policy) {
    case MODEL_GEOLOCATION:
        return read_geolocation(json_object_get(json, "GeoLocation"), arena, record, err);
    case MODEL_GEOPROXIMITY:
        return read_proximity(json_object_get(json, "GeoProximityLocation"), arena, record, err);
    case MODEL_CIDR:
        return read_cidr(json_object_get(json, "CidrRoutingConfig"), arena, record, err);
    case MODEL_LATENCY:
    case MODEL_SIMPLE:
    case MODEL_FAILOVER:
    case MODEL_WEIGHTED:
    case MODEL_MULTIVALUE:
        break;
    }
    int rc = fields_text(json, "Region", arena, &record->region, err);
    if (rc == 0 && record->policy == MODEL_LATENCY &&
        (record->region[0] == '\0' || strlen(record->region) > REGION_LIMIT)) {
        return err_set(err, ERR_INVALID, "Invalid request: Region must have 1 to %u characters",
                       REGION_LIMIT);
    }
    return rc;
}

int record_set_judge_location(const struct model_record_set *record, struct err *err)
{
    if (record->policy == MODEL_GEOLOCATION &&
        model_geo_location_find(record->continent, record->country, record->subdivision) == NULL) {
        return err_set(err, ERR_INVALID,
                       "Invalid request: GeoLocation [ContinentCode=%s, CountryCode=%s, "
                       "SubdivisionCode=%s] is not supported",
                       record->continent, record->country, record->subdivision);
    }
    return 0;
}
