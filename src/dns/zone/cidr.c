/* CIDR blocks for lookups: see cidr.h. Made by the owner's thread when a collection changes, one
 * malloc block; read by map.c on any thread. Invariant: each family's ranges are sorted, without
 * gaps, from the first address to the last. */
#include "dns/zone/cidr.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct range {
    uint64_t first;
    uint32_t block; /* index + 1; 0: none */
};

/* Behind it: blocks, IPv4 ranges, IPv6 ranges, names. Names are of fixed size. */
struct zone_cidr {
    const struct cidr_block *blocks;
    const struct range *ranges[2];
    char (*names)[MODEL_CIDR_LOCATION_LIMIT + 1];
    size_t range_count[2];
    size_t block_count;
    size_t location_count;
};

static uint64_t high_bits(const uint8_t address[16])
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value = value << 8U | address[i];
    }
    return value;
}

static uint64_t behind(unsigned bits)
{
    return bits >= 64 ? 0 : UINT64_MAX >> bits;
}

/* ---- making ---- */

static int compare_blocks(const void *a, const void *b)
{
    const struct cidr_block *left = a;
    const struct cidr_block *right = b;
    if (left->family != right->family) {
        return left->family < right->family ? -1 : 1;
    }
    if (left->first != right->first) {
        return left->first < right->first ? -1 : 1;
    }
    return (left->bits > right->bits) - (left->bits < right->bits); /* a parent comes first */
}

static void add_range(struct range *ranges, size_t *count, uint64_t first, uint32_t block)
{
    if (*count != 0 && ranges[*count - 1].first == first) {
        ranges[*count - 1].block = block;
    } else {
        ranges[(*count)++] = (struct range){.first = first, .block = block};
    }
}

/* Ends the blocks, from the innermost one, that end before `next`; gives the one still open. */
static uint32_t close_blocks(const struct cidr_block *blocks, uint32_t open, uint64_t next,
                             struct range *ranges, size_t *count)
{
    while (open != 0 && blocks[open - 1].last < next) {
        uint64_t last = blocks[open - 1].last;
        open = blocks[open - 1].parent;
        if (last != UINT64_MAX) {
            add_range(ranges, count, last + 1, open);
        }
    }
    return open;
}

/* The ranges and parents of the blocks [from, to), all of one family. */
static void cut_ranges(struct cidr_block *blocks, size_t from, size_t to, struct range *ranges,
                       size_t *count)
{
    uint32_t open = 0;
    add_range(ranges, count, 0, 0);
    for (size_t i = from; i < to; i++) {
        open = close_blocks(blocks, open, blocks[i].first, ranges, count);
        blocks[i].parent = open;
        open = (uint32_t)i + 1;
        add_range(ranges, count, blocks[i].first, open);
    }
    while (open != 0) {
        uint64_t last = blocks[open - 1].last;
        open = blocks[open - 1].parent;
        if (last != UINT64_MAX) {
            add_range(ranges, count, last + 1, open);
        }
    }
}

struct zone_cidr *zone_cidr_new(const struct model_cidr_collection *collection)
{
    size_t count = 0;
    for (size_t i = 0; i < collection->count; i++) {
        count += collection->locations[i].count;
    }
    size_t ranges = 2 * count + 1;
    assert(collection->count < UINT16_MAX && count < UINT32_MAX / 2);
    struct zone_cidr *cidr = memory_new(sizeof *cidr + count * sizeof cidr->blocks[0] +
                                        2 * ranges * sizeof cidr->ranges[0][0] +
                                        collection->count * sizeof cidr->names[0]);
    struct cidr_block *blocks = (struct cidr_block *)(void *)(cidr + 1);
    struct range *all = (struct range *)(void *)(blocks + count);
    char(*names)[MODEL_CIDR_LOCATION_LIMIT + 1] = (void *)(all + 2 * ranges);
    for (size_t i = 0; i < collection->count; i++) {
        const struct model_cidr_location *location = &collection->locations[i];
        (void)memcpy(names[i], location->name, strnlen(location->name, MODEL_CIDR_LOCATION_LIMIT));
        for (size_t j = 0; j < location->count; j++) {
            const struct model_cidr *block = &location->blocks[j];
            uint64_t first = high_bits(block->address);
            blocks[cidr->block_count++] = (struct cidr_block){.first = first,
                                                              .last = first | behind(block->bits),
                                                              .location = (uint16_t)i,
                                                              .bits = block->bits,
                                                              .family = block->family};
        }
    }
    if (count != 0) {
        qsort(blocks, count, sizeof *blocks, compare_blocks);
    }
    size_t split = 0;
    while (split < count && blocks[split].family == 4) {
        split++;
    }
    cut_ranges(blocks, 0, split, all, &cidr->range_count[0]);
    cut_ranges(blocks, split, count, all + ranges, &cidr->range_count[1]);
    cidr->blocks = blocks;
    cidr->ranges[0] = all;
    cidr->ranges[1] = all + ranges;
    cidr->names = names;
    cidr->location_count = collection->count;
    return cidr;
}

/* ---- looking up ---- */

/* The fewest bits that keep an address inside [first, last]. */
static uint8_t bits_within(uint64_t address, uint64_t first, uint64_t last)
{
    unsigned bits = 0;
    if (first != 0) { /* first - 1 must not share them */
        bits = (unsigned)__builtin_clzll(address ^ (first - 1)) + 1U;
    }
    if (last != UINT64_MAX) {
        bits = MAX(bits, (unsigned)__builtin_clzll(address ^ (last + 1)) + 1U);
    }
    return (uint8_t)bits;
}

struct cidr_match cidr_find(const struct zone_cidr *cidr, const struct zone_client *client)
{
    struct cidr_match match = {.block = NULL};
    if (cidr == NULL || client->family == 0) {
        return match;
    }
    size_t family = client->family == 4 ? 0 : 1;
    const struct range *ranges = cidr->ranges[family];
    uint64_t address = high_bits(client->address);
    size_t low = 0;
    size_t high = cidr->range_count[family];
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].first <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    uint64_t last = high < cidr->range_count[family] ? ranges[high].first - 1 : UINT64_MAX;
    match.block = ranges[low].block != 0 ? &cidr->blocks[ranges[low].block - 1] : NULL;
    match.scope = bits_within(address, ranges[low].first, last);
    return match;
}

const struct cidr_block *cidr_parent(const struct zone_cidr *cidr, const struct cidr_block *block)
{
    return block->parent != 0 ? &cidr->blocks[block->parent - 1] : NULL;
}

int cidr_location(const struct zone_cidr *cidr, const char *name)
{
    for (size_t i = 0; i < cidr->location_count; i++) {
        if (strcmp(cidr->names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

size_t cidr_location_count(const struct zone_cidr *cidr)
{
    return cidr != NULL ? cidr->location_count : 0;
}
