/* Where clients and records are, for the policies that look at it: places of addresses, regions and
 * their coordinates, the locations that geolocation records may name, and CIDR collections with
 * their store encoding. Plain records and tables; what they mean for an answer is decided in
 * dns/zone (map.h). Thread: any; a decoded collection lives in its arena. */
#ifndef MODEL_LOCATION_H
#define MODEL_LOCATION_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* ---- where an address is ---- */

/* What a location database knows of an address; "" and false where it knows nothing. */
struct model_place {
    char continent[3];   /* "EU" */
    char country[3];     /* ISO 3166-1 alpha-2 */
    char subdivision[4]; /* ISO 3166-2 without the country */
    bool placed;         /* the coordinates are known */
    float latitude;      /* degrees, north positive */
    float longitude;     /* degrees, east positive */
    uint8_t bits;        /* all addresses with this prefix in common are at this place */
};

/* ---- regions ---- */

struct model_region {
    const char *name;
    float latitude;
    float longitude;
};

/* A region or Local Zone group by name: one of `own` (count of them, may be NULL), else one of
 * AWS's. NULL when it is neither. */
const struct model_region *model_region_find(const struct model_region *own, size_t count,
                                             const char *name);
/* "NAME=LATITUDE,LONGITUDE" as the configuration has it. The name lives in the arena. ERR_INVALID
 * says what is wrong. */
int model_region_parse(const char *text, struct arena *arena, struct model_region *ret_region,
                       struct err *err) MUST_CHECK;

/* ---- locations that geolocation records may name ---- */

/* "" where a member does not apply. The default is the country "*". */
struct model_geo_location {
    const char *continent;
    const char *country;
    const char *subdivision;
    const char *name; /* of the subdivision, else the country, else the continent */
};

/* In AWS's order: the default, countries by code, each followed by its subdivisions, continents. */
const struct model_geo_location *model_geo_locations(size_t *ret_count);
/* NULL when AWS's list does not have it. */
const struct model_geo_location *model_geo_location_find(const char *continent, const char *country,
                                                         const char *subdivision);

/* ---- CIDR blocks and collections ---- */

#define MODEL_CIDR_TEXT 50U           /* characters of a block: the API's bound, NUL not counted */
#define MODEL_CIDR_BLOCKS_LIMIT 1000U /* of a collection: Route 53's quota */
#define MODEL_CIDR_LOCATION_LIMIT 16U /* characters of a location's name */
#define MODEL_COLLECTION_ID_LIMIT 36U /* a UUID */
#define MODEL_CIDR_LONGEST_V4 24U
#define MODEL_CIDR_LONGEST_V6 48U

struct model_cidr {
    uint8_t family; /* 4 or 6 */
    uint8_t bits;
    uint8_t address[16]; /* bytes behind the prefix are zero */
};

/* "192.0.2.0/24", "2001:db8::/32": 1 to 24 and 1 to 48 bits (Route 53's bounds), no bit set behind
 * the prefix. ERR_INVALID says what is wrong. */
int model_cidr_parse(const char *text, struct model_cidr *ret_cidr, struct err *err) MUST_CHECK;
/* Canonical text (RFC 5952 for IPv6). */
void model_cidr_format(const struct model_cidr *cidr, char out[MODEL_CIDR_TEXT + 1]);
bool model_cidr_same(const struct model_cidr *a, const struct model_cidr *b) PURE;

struct model_cidr_location {
    const char *name;
    struct model_cidr *blocks;
    size_t count;
};

/* {"v":1,"Id":..,"Name":..,"CallerReference":..,"Version":n,"Locations":{"name":["block",..],..}}
 */
struct model_cidr_collection {
    const char *id;
    const char *name;
    const char *caller_reference;
    int64_t version;
    struct model_cidr_location *locations; /* by name */
    size_t count;
    struct model_stored stored; /* in the arena */
};

int model_cidr_collection_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_cidr_collection *ret_collection, struct err *err)
    MUST_CHECK;
/* NULL when memory is out. Locations without blocks are left out. One that was decoded keeps what a
 * later version put into it. */
json_t *model_cidr_collection_encode(const struct model_cidr_collection *collection) MUST_CHECK;

#endif
