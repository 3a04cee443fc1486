/* Answers that depend on where the client is: latency, geolocation, geoproximity and CIDR records.
 *
 * A ZONE_MAP answer is compiled from all records of a group (struct zone_mix, whose choices are the
 * records); behind the choices stands the table that chooses. Which records are healthy is compiled
 * in, so a status change makes a new map and swaps one pointer. Choosing is pure: no allocation, no
 * lock; what it needs to know of the client comes in a struct zone_client, which tells back how
 * many bits of the address mattered.
 * - Geolocation: subdivision, country, continent, default; an unhealthy one gives way to the next
 *   larger; with none healthy the smallest that there is.
 * - Latency and geoproximity: the nearest healthy one, of all when none is healthy. A client whose
 *   place is unknown is where this server stands (client->home); without that, the first record.
 * - CIDR: the longest block that holds the client's address and whose location has a record; an
 *   unhealthy one gives way to the next shorter, then the default.
 * Thread: any reader inside a snapshot read section. */
#ifndef DNS_ZONE_MAP_H
#define DNS_ZONE_MAP_H

#include "base/macro.h"
#include "dns/zone/zone_set.h"
#include "model/location.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What of the client a map asks for. */
enum zone_map_kind { ZONE_MAP_GEO, ZONE_MAP_NEAREST, ZONE_MAP_CIDR };

struct zone_client {
    uint8_t family;      /* 4 or 6; 0: no address */
    uint8_t bits;        /* of the address that count */
    uint8_t scope;       /* most bits that a choice depended on; maps raise it */
    uint8_t address[16]; /* bytes behind the prefix are zero */
    struct model_place place;
    const struct model_place *home; /* where this server stands; NULL: unknown */
};

/* True when the choice depends on client->place, which must be filled then. */
bool zone_map_needs_place(const struct zone_answer *map);
/* The number of the choice for this client; -1: none. */
int zone_map_choose(const struct zone_answer *map, struct zone_client *client);
/* The record, in the order in which they were compiled, that a choice stands for. */
size_t zone_map_record(const struct zone_answer *map, size_t choice);

static inline const struct zone_answer *zone_map_pick(const struct zone_answer *map,
                                                      struct zone_client *client)
{
    int choice = zone_map_choose(map, client);
    return choice >= 0 ? zone_mix(map)->choices[choice].answer : NULL;
}

/* ---- for the owner: making maps ---- */

struct zone_cidr; /* a collection's blocks, for lookups; immutable */

/* One malloc block. */
struct zone_cidr *zone_cidr_new(const struct model_cidr_collection *collection) MUST_CHECK;

/* What a record of such a policy is for. Strings and table are borrowed. */
struct zone_spot {
    uint64_t geo; /* zone_geo_key() */
    bool placed;  /* the resource's coordinates are known */
    float x;      /* on the unit sphere */
    float y;
    float z;
    int8_t bias;
    const char *location;           /* CIDR: "*" for the default */
    const struct zone_cidr *blocks; /* NULL: no such collection */
};

/* A continent, or a country ("*": the default) with or without a subdivision; "" for what does not
 * apply. */
uint64_t zone_geo_key(const char *continent, const char *country, const char *subdivision);
void zone_spot_place(struct zone_spot *spot, double latitude, double longitude);

struct zone_map_source {
    const struct zone_answer *answer; /* may be NULL: an alias that has nothing to give */
    bool healthy;
    struct zone_spot spot;
};

/* One malloc block; count is 1 to 4096. */
struct zone_answer *zone_map_compile(enum zone_map_kind kind, const struct zone_map_source *sources,
                                     size_t count) MUST_CHECK;
/* True when every client is given some choice. */
bool zone_map_always(const struct zone_answer *map);
/* Bytes of the block: what a copy has to copy. */
size_t zone_map_size(const struct zone_answer *map) PURE;
/* The same choice for every client. Answers of other kinds and NULL differ from any. */
bool zone_map_same(const struct zone_answer *a, const struct zone_answer *b) PURE;

#endif
