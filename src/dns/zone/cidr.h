/* The blocks of a CIDR collection, for lookups by longest prefix. Private to dns/zone (map.c).
 *
 * Blocks nest or are disjoint, so their bounds cut the address space into ranges, each with the
 * longest block that holds it; a lookup is one binary search over the ranges. A block's parent is
 * the next shorter one around it. Addresses count by their first 64 bits: no block is longer.
 * Thread: any; immutable. */
#ifndef DNS_ZONE_CIDR_H
#define DNS_ZONE_CIDR_H

#include "base/macro.h"
#include "dns/zone/map.h"

#include <stddef.h>
#include <stdint.h>

struct cidr_block {
    uint64_t first; /* address, its first 64 bits */
    uint64_t last;
    uint32_t parent; /* index + 1; 0: none */
    uint16_t location;
    uint8_t bits;
    uint8_t family;
};

struct cidr_match {
    const struct cidr_block *block; /* the longest that holds the address; NULL: none */
    uint8_t scope; /* all addresses that share this many bits have the same blocks */
};

/* NULL has no blocks and no locations. */
struct cidr_match cidr_find(const struct zone_cidr *cidr, const struct zone_client *client);
const struct cidr_block *cidr_parent(const struct zone_cidr *cidr, const struct cidr_block *block);
/* -1: there is no such location. */
int cidr_location(const struct zone_cidr *cidr, const char *name);
size_t cidr_location_count(const struct zone_cidr *cidr);

#endif
