/* Lookups of the answer path: see zone_set.h. Called by the DNS workers for each query, and by the
 * owner of the database for its own lookups; no allocation, no lock.
 *
 * A name is hashed from its root to its front, a label at a time, so that one pass gives the hash
 * of every suffix: the zones', the closest encloser's, the name's. A label's last word reaches into
 * the labels behind it, which are part of the suffix too, or into the zeroes behind the name: so no
 * word is cut. The hash is keyed with a secret
 * of the process; only names that authenticated clients put in are ever inserted. */
#include "dns/zone/zone_set.h"

#include "dns/zone/internal.h"

#include <endian.h>
#include <string.h>

#define WORD 8U
#define DEPTHS_A_WORD 64U

static ALWAYS_INLINE uint64_t load64(const uint8_t *bytes)
{
    uint64_t word;
    (void)memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

static ALWAYS_INLINE uint32_t load32(const uint8_t *bytes)
{
    uint32_t word;
    (void)memcpy(&word, bytes, sizeof word);
    return word;
}

/* Both halves of the product: every bit of the word reaches the bucket and the tag. */
static ALWAYS_INLINE uint64_t mix(uint64_t hash, uint64_t word, uint64_t factor)
{
    hash ^= word;
    return (uint64_t)WIDE_PRODUCT(hash, factor) ^ (uint64_t)(WIDE_PRODUCT(hash, factor) >> 64U);
}

/* ASCII upper case to lower case in eight bytes at once; bytes of 0x80 and above stay. */
static ALWAYS_INLINE uint64_t lower64(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = word & 0x7f * ones;
    uint64_t from_a = low + (0x80 - 'A') * ones;
    uint64_t above_z = low + (0x80 - 'Z' - 1) * ones;
    uint64_t upper = (from_a ^ above_z) & ~word & 0x80 * ones;
    return word | upper >> 2U;
}

void zone_name_set(struct zone_name *name, const struct zone_set *set, const uint8_t *wire,
                   size_t length, const uint8_t *offset, unsigned labels)
{
    name->wire = wire;
    name->offset = offset;
    name->labels = (uint8_t)labels;
    name->length = (uint8_t)length;
    uint64_t hash = set->hash_seed;
    name->hash[labels] = hash;
    size_t end = length - 1;
    while (labels-- > 0) {
        size_t start = offset[labels];
        size_t at = start;
        do {
            hash = mix(hash, load64(wire + at), set->hash_factor);
            at += WORD;
        } while (at < end);
        name->hash[labels] = hash;
        end = start;
    }
}

/* Copies the name in lower case; length bytes are below 'A', so all of it is folded at once. */
static void fold(uint8_t *out, const uint8_t *data, size_t length, size_t size)
{
    size_t i = 0;
    for (; i + WORD <= size && i < length; i += WORD) {
        uint64_t word = htole64(lower64(load64(data + i)));
        (void)memcpy(out + i, &word, sizeof word);
    }
    if (i < length) {
        uint8_t tail[WORD] = {0};
        (void)memcpy(tail, data + i, length - i);
        uint64_t word = htole64(lower64(load64(tail)));
        (void)memcpy(out + i, &word, sizeof word);
    }
}

size_t zone_name_read(struct zone_name *name, const struct zone_set *set, const uint8_t *data,
                      size_t size)
{
    size_t at = 0;
    unsigned labels = 0;
    for (;;) {
        if (UNLIKELY(at >= size || at >= NAME_WIRE_LIMIT)) {
            return 0;
        }
        uint8_t length = data[at];
        name->own_offset[labels] = (uint8_t)at;
        if (length == 0) {
            break;
        }
        if (UNLIKELY(length > NAME_LABEL_LIMIT)) {
            return 0; /* a compression pointer, or a label type nobody uses */
        }
        labels++;
        at += 1U + length;
    }
    fold(name->own_wire, data, at + 1, size);
    (void)memset(name->own_wire + at + 1, 0, NAME_PADDING);
    zone_name_set(name, set, name->own_wire, at + 1, name->own_offset, labels);
    return at + 1;
}

uint64_t zone_name_wildcard_hash(const struct zone_name *name, const struct zone_set *set,
                                 unsigned label)
{
    uint64_t behind = load64(name->wire + name->offset[label]);
    return mix(name->hash[label], behind << 16U | (unsigned)'*' << 8U | 1U, set->hash_factor);
}

struct bytes_key {
    const uint8_t *bytes;
    size_t length;
};

/* Without a byte at a time: the last word overlaps what was compared before it. */
static ALWAYS_INLINE bool same_bytes(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (LIKELY(length >= WORD)) {
        for (size_t i = 0; i + WORD < length; i += WORD) {
            if (load64(a + i) != load64(b + i)) {
                return false;
            }
        }
        return load64(a + length - WORD) == load64(b + length - WORD);
    }
    if (length >= 4) {
        return load32(a) == load32(b) && load32(a + length - 4) == load32(b + length - 4);
    }
    for (size_t i = 0; i < length; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static ALWAYS_INLINE bool same_zone(const void *object, const void *key)
{
    const struct zone *zone = object;
    const struct bytes_key *wanted = key;
    return zone->apex_length == wanted->length &&
           same_bytes(zone->apex, wanted->bytes, wanted->length);
}

static ALWAYS_INLINE bool same_node(const void *object, const void *key)
{
    const struct zone_node *node = object;
    const struct bytes_key *wanted = key;
    return node->name_length == wanted->length &&
           same_bytes(zone_node_name(node), wanted->bytes, wanted->length);
}

static ALWAYS_INLINE const struct zone *find_apex(const struct zone_set *set,
                                                  const struct zone_name *name, unsigned label)
{
    unsigned offset = name->offset[label];
    struct bytes_key key = {name->wire + offset, name->length - offset};
    return zone_table_find(SNAPSHOT_LOAD(&set->zones), name->hash[label], same_zone, &key);
}

/* Among the suffixes of more labels than one word has bits. */
static COLD const struct zone *find_deep(const struct zone_set *set, const struct zone_name *name,
                                         unsigned label)
{
    for (; name->labels - label >= DEPTHS_A_WORD; label++) {
        unsigned depth = name->labels - label;
        uint64_t bits =
            atomic_load_explicit(&set->depths[depth / DEPTHS_A_WORD], memory_order_relaxed);
        const struct zone *zone =
            (bits >> depth % DEPTHS_A_WORD & 1U) != 0 ? find_apex(set, name, label) : NULL;
        if (zone != NULL) {
            return zone;
        }
    }
    return NULL;
}

const struct zone *zone_set_find(const struct zone_set *set, const struct zone_name *name,
                                 unsigned first)
{
    unsigned depth = name->labels - first;
    if (UNLIKELY(depth >= DEPTHS_A_WORD)) {
        const struct zone *zone = find_deep(set, name, first);
        if (zone != NULL) {
            return zone;
        }
        depth = DEPTHS_A_WORD - 1;
    }
    unsigned label = name->labels - depth;
    /* The depth of the label is at the top; each round goes on to the next that has a zone. */
    uint64_t bits = atomic_load_explicit(&set->depths[0], memory_order_relaxed)
                    << (DEPTHS_A_WORD - 1 - depth);
    while (bits != 0) {
        unsigned skip = (unsigned)__builtin_clzll(bits);
        const struct zone *zone = find_apex(set, name, label + skip);
        if (LIKELY(zone != NULL)) {
            return zone;
        }
        label += skip + 1;
        bits = bits << skip << 1U;
    }
    return NULL;
}

struct zone_node *zone_find_for_owner(const struct zone *zone, const struct zone_name *name,
                                      unsigned label)
{
    const struct zone_table *table = SNAPSHOT_LOAD(&zone->names);
    struct bytes_key key = {name->wire + name->offset[label],
                            (size_t)name->length - name->offset[label] - zone->apex_length};
    return zone_table_find(table, name->hash[label], same_node, &key);
}

const struct zone_node *zone_find(const struct zone *zone, const struct zone_name *name,
                                  unsigned label)
{
    const struct zone_table *table = SNAPSHOT_LOAD(&zone->names);
    unsigned offset = name->offset[label];
    struct bytes_key key = {name->wire + offset, (size_t)name->length - offset - zone->apex_length};
    return zone_table_find(table, name->hash[label], same_node, &key);
}

const struct zone_node *zone_find_wildcard(const struct zone *zone, const struct zone_set *set,
                                           const struct zone_name *name, unsigned label)
{
    const struct zone_table *table = SNAPSHOT_LOAD(&zone->names);
    unsigned offset = name->offset[label];
    uint8_t wire[NAME_WIRE_LIMIT + 2];
    wire[0] = 1;
    wire[1] = '*';
    size_t below = (size_t)name->length - offset - zone->apex_length;
    (void)memcpy(wire + 2, name->wire + offset, below);
    struct bytes_key key = {wire, below + 2};
    return zone_table_find(table, zone_name_wildcard_hash(name, set, label), same_node, &key);
}
