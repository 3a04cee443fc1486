/* Lookups of the answer path: see zone_set.h. Called by the DNS workers for each query, and by the
 * owner of the database for its own lookups; no allocation, no lock.
 *
 * A name is hashed from its root to its front, a label at a time, so that one pass gives the hash
 * of every suffix: the zones', the closest encloser's, the name's. The hash is keyed with a secret
 * of the process; only names that authenticated clients put in are ever inserted. */
#include "dns/zone/zone_set.h"

#include "dns/zone/internal.h"

#include <string.h>

#define WORD 8U

static ALWAYS_INLINE uint64_t load64(const uint8_t *bytes)
{
    uint64_t word;
    (void)memcpy(&word, bytes, sizeof word);
    return word;
}

static ALWAYS_INLINE uint64_t mix(uint64_t hash, uint64_t word, uint64_t factor)
{
    hash = (hash ^ word) * factor;
    return hash ^ hash >> 32U;
}

/* One label with its length byte. Reads up to 8 bytes past it, which the caller provides. */
static ALWAYS_INLINE uint64_t hash_label(uint64_t hash, const uint8_t *label, size_t size,
                                         uint64_t factor)
{
    while (size > WORD) {
        hash = mix(hash, load64(label), factor);
        label += WORD;
        size -= WORD;
    }
    /* The bytes past the label are shifted out: 1 to 8 are left. */
    uint64_t last = load64(label);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    last <<= 8U * (WORD - size);
#else
    last >>= 8U * (WORD - size);
#endif
    return mix(hash, last, factor);
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
        if (length == 0) {
            break;
        }
        if (UNLIKELY(length > NAME_LABEL_LIMIT)) {
            return 0; /* a compression pointer, or a label type nobody uses */
        }
        name->offset[labels++] = (uint8_t)at;
        at += 1U + length;
    }
    size_t total = at + 1;
    name->labels = (uint8_t)labels;
    name->length = (uint8_t)total;
    /* Length bytes are below 'A', so the whole name is folded at once. */
    size_t i = 0;
    for (; i + WORD <= size && i < total; i += WORD) {
        uint64_t word = lower64(load64(data + i));
        (void)memcpy(name->wire + i, &word, sizeof word);
    }
    if (i < total) {
        uint8_t tail[WORD] = {0};
        (void)memcpy(tail, data + i, total - i);
        uint64_t word = lower64(load64(tail));
        (void)memcpy(name->wire + i, &word, sizeof word);
    }
    uint64_t hash = set->hash_seed;
    name->offset[labels] = (uint8_t)at;
    name->hash[labels] = hash;
    for (size_t end = at; labels-- > 0;) {
        size_t start = name->offset[labels];
        hash = hash_label(hash, name->wire + start, end - start, set->hash_factor);
        name->hash[labels] = hash;
        end = start;
    }
    return total;
}

uint64_t zone_name_wildcard_hash(const struct zone_name *name, const struct zone_set *set,
                                 unsigned label)
{
    static const uint8_t star[WORD + 2] = {1, '*'};
    return hash_label(name->hash[label], star, 2, set->hash_factor);
}

struct bytes_key {
    const uint8_t *bytes;
    size_t length;
};

static ALWAYS_INLINE bool same_bytes(const uint8_t *a, const uint8_t *b, size_t length)
{
    while (length >= WORD) {
        if (load64(a) != load64(b)) {
            return false;
        }
        a += WORD;
        b += WORD;
        length -= WORD;
    }
    while (length-- > 0) {
        if (*a++ != *b++) {
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

const struct zone *zone_set_find(const struct zone_set *set, const struct zone_name *name,
                                 unsigned first)
{
    const struct zone_table *table = SNAPSHOT_LOAD(&set->zones);
    for (unsigned label = first; label <= name->labels; label++) {
        unsigned depth = name->labels - label;
        uint64_t bits = atomic_load_explicit(&set->depths[depth / 64], memory_order_relaxed);
        if ((bits >> depth % 64 & 1U) == 0) {
            continue;
        }
        unsigned offset = name->offset[label];
        struct bytes_key key = {name->wire + offset, name->length - offset};
        const struct zone *zone = zone_table_find(table, name->hash[label], same_zone, &key);
        if (zone != NULL) {
            return zone;
        }
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
