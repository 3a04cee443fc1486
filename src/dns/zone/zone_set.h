/* What the answer path reads: zones, names, and the answer of each name and type as it is now.
 *
 *   zone_set --table--> zone --table--> node --slot (one a type)--> answer
 *
 * Everything reachable is immutable after it became visible, but for the atomic members; the owner
 * of the zone database (database.h) swaps pointers and retires what it replaced. Answers are
 * compiled ahead: health is never looked at here.
 * Thread: any reader inside a snapshot read section; what it finds is borrowed until the section
 * ends. */
#ifndef DNS_ZONE_ZONE_SET_H
#define DNS_ZONE_ZONE_SET_H

#include "base/macro.h"
#include "base/snapshot.h"
#include "dns/wire/name.h"
#include "dns/zone/table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- answers ---- */

enum zone_answer_kind {
    ZONE_LEAF,       /* one RRset, ready to be copied */
    ZONE_MULTIVALUE, /* up to ZONE_MULTIVALUE_LIMIT of the choices, evenly */
    ZONE_WEIGHTED,   /* one of the choices, by weight */
    ZONE_MAP,        /* one of the choices, by where the client is (map.h) */
};

#define ZONE_MULTIVALUE_LIMIT 8U
/* Choices inside choices: aliases may stand before aliases this many times. */
#define ZONE_ALIAS_LIMIT 32U

struct zone_answer {
    uint8_t kind;       /* enum zone_answer_kind */
    uint8_t signatures; /* leaf of a signed zone: RRSIG records behind its RRs */
    uint16_t count;     /* RRs of a leaf, choices of the others */
    uint32_t size;      /* leaf: bytes of rrs; weighted: sum of the weights; multivalue: the TTL;
                           map: enum zone_map_kind */
};

/* The RRs in wire form, the owner of each a compression pointer to offset 12 (the question's
 * name), RDATA not compressed. In a signed zone their RRSIG records follow, in the same form, each
 * of the zone's rrsig_size bytes (struct zone_security); `count` and `size` are without them. */
struct zone_leaf {
    struct zone_answer head;
    uint8_t rrs[];
};

/* `answer` may be a mix itself (an alias to a routed name), or NULL (an alias without a target:
 * the name has no such records while this choice is taken). */
struct zone_choice {
    const struct zone_answer *answer;
    uint32_t below; /* weighted: cumulative weight, this choice included; map: map.c's */
};

struct zone_mix {
    struct zone_answer head;
    struct zone_choice choices[];
};

#define ZONE_RR_FIXED 12U /* owner pointer, type, class, TTL, RDATA length */
#define ZONE_RR_TTL 6U    /* offset of the TTL in such an RR */

static inline const struct zone_leaf *zone_leaf(const struct zone_answer *answer)
{
    return (const struct zone_leaf *)(const void *)answer;
}

static inline const struct zone_mix *zone_mix(const struct zone_answer *answer)
{
    return (const struct zone_mix *)(const void *)answer;
}

/* ---- names ---- */

struct zone_slot {
    _Atomic(const struct zone_answer *) answer; /* NULL: nothing to give now */
    uint32_t group;                             /* the owner's: 0 for a plain RRset */
    uint16_t type;
    uint16_t generation; /* the owner's: when it was put last */
};

enum zone_node_flag {
    ZONE_NODE_WILDCARD = 1U, /* has a child "*" */
    ZONE_NODE_CUT = 2U,      /* NS below the apex: a delegation */
    ZONE_NODE_CNAME = 4U,
};

/* A name that exists, empty non-terminals too. Behind the slots stand the labels in front of the
 * zone's name. */
struct zone_node {
    uint32_t children; /* the owner's: names directly below */
    _Atomic uint8_t flags;
    uint8_t slot_count;
    uint8_t name_length; /* bytes of the labels in front of the zone's name */
    struct zone_slot slots[];
};

#define ZONE_NODE_USUAL 40U /* bytes of a node with one slot and a short name */

static inline const uint8_t *zone_node_name(const struct zone_node *node)
{
    return (const uint8_t *)&node->slots[node->slot_count];
}

static inline bool zone_node_has(const struct zone_node *node, enum zone_node_flag flag)
{
    return (atomic_load_explicit(&node->flags, memory_order_relaxed) & (unsigned)flag) != 0;
}

/* The slot of that type; NULL when the name has none. */
static inline const struct zone_slot *zone_node_slot(const struct zone_node *node, uint16_t type)
{
    for (unsigned i = 0; i < node->slot_count; i++) {
        if (node->slots[i].type == type) {
            return &node->slots[i];
        }
    }
    return NULL;
}

static inline const struct zone_answer *zone_slot_answer(const struct zone_slot *slot)
{
    return atomic_load_explicit(&slot->answer, memory_order_acquire);
}

/* ---- signed zones ---- */

/* A name of the NSEC chain. `nsec` is a leaf of one NSEC record and its signatures; NULL for a name
 * below a delegation, whose `cut` is the delegation's entry. */
struct zone_denial {
    _Atomic(const struct zone_answer *) nsec;
    _Atomic(const struct zone_denial *) cut;
    uint16_t key_size;
    uint8_t name_length; /* the labels in front of the zone's name */
    uint8_t bytes[];     /* the key (zone_denial_key), then these labels */
};

/* Names in canonical order (RFC 4034 section 6.1). A name that comes or goes makes a new chunk; an
 * NSEC that changes is one pointer. */
struct zone_denial_chunk {
    size_t count; /* never 0 */
    struct zone_denial *entries[];
};

struct zone_denial_index {
    size_t count; /* never 0: the apex is the first name */
    _Atomic(struct zone_denial_chunk *) chunks[];
};

struct zone_security {
    SNAPSHOT(struct zone_denial_index) names;
    _Atomic(const struct zone_answer *) dnskey; /* leaf */
    size_t rrsig_size;        /* of one RRSIG record: owner pointer, fixed part, RDATA */
    _Atomic uint32_t version; /* odd while names or the chain change: who proved something with both
                                 looks again when it moved */
};

#define ZONE_DENIAL_KEY_LIMIT (2U * NAME_WIRE_LIMIT)

/* The labels in front of a zone's name (lower case, `length` bytes) so that memcmp, the shorter
 * first, is canonical order: from the last label to the first, each ended by 0, with 0 and 1
 * escaped. Returns the key's size. */
size_t zone_denial_key(const uint8_t *relative, size_t length, uint8_t key[ZONE_DENIAL_KEY_LIMIT]);
/* The last name of the chain that is the key's or stands before it; NULL when the chain has no
 * NSEC there. */
const struct zone_denial *zone_denial_find(const struct zone_security *security, const uint8_t *key,
                                           size_t size);

static inline const uint8_t *zone_denial_name(const struct zone_denial *denial)
{
    return denial->bytes + denial->key_size;
}

/* ---- zones ---- */

/* Zones counted at once; further ones have number 0. */
#define ZONE_NUMBERS 65536U

struct zone_journal;

struct zone {
    SNAPSHOT(struct zone_table) names;
    _Atomic(const struct zone_answer *) negative; /* SOA with the TTL of negative answers (RFC 2308
                                                     section 3); NULL: the zone has no SOA */
    _Atomic uint32_t cuts;                        /* delegations in the zone */
    uint32_t number;     /* its own, for counting: no two zones of one time have the same modulo
                            ZONE_NUMBERS; 0 (shared): not counted */
    uint8_t labels;      /* of apex, without the root */
    uint8_t apex_length; /* with the root label */
    uint8_t apex[NAME_WIRE_LIMIT];
    SNAPSHOT(struct zone_security) security; /* NULL: not signed, or not wholly yet */
    _Atomic(struct zone_journal *) journal;  /* what transfers read (journal.h); NULL: none are
                                                allowed */
};

struct zone_set {
    SNAPSHOT(struct zone_table) zones;
    _Atomic uint64_t depths[3]; /* bit n: there is a zone of n labels */
    uint64_t hash_seed;
    uint64_t hash_factor;
};

/* A name that is looked for: in lower case, with the hash of each of its suffixes. Not to be
 * copied: it may point into itself. */
struct zone_name {
    const uint8_t *wire;
    const uint8_t *offset;            /* of each label in wire; [labels]: of the root */
    uint8_t labels;                   /* without the root: at most 127 */
    uint8_t length;                   /* with the root label */
    uint64_t hash[NAME_LABELS_LIMIT]; /* of the suffix that starts with label i; [labels]: root */
    uint8_t own_offset[NAME_LABELS_LIMIT];
    uint8_t own_wire[NAME_WIRE_LIMIT + 1 + NAME_PADDING];
};

/* Of a valid name in lower case whose labels are known already; wire and offset are borrowed;
 * NAME_PADDING bytes of zero stand behind the name. */
void zone_name_set(struct zone_name *name, const struct zone_set *set, const uint8_t *wire,
                   size_t length, const uint8_t *offset, unsigned labels) HOT;
/* Reads an uncompressed name of any case from the front of data. Returns its length, 0 when it is
 * none. */
size_t zone_name_read(struct zone_name *name, const struct zone_set *set, const uint8_t *data,
                      size_t size) HOT;
/* The hash of "*" below the suffix of `name` that starts with `label`. */
uint64_t zone_name_wildcard_hash(const struct zone_name *name, const struct zone_set *set,
                                 unsigned label);

/* The zone with the longest name that is the suffix from some label >= first on; NULL when there is
 * none. */
const struct zone *zone_set_find(const struct zone_set *set, const struct zone_name *name,
                                 unsigned first) HOT;
/* The node of the suffix of `name`, in the zone, that starts with `label`; NULL when it does not
 * exist. */
const struct zone_node *zone_find(const struct zone *zone, const struct zone_name *name,
                                  unsigned label) HOT;
/* Fetch what zone_find of the whole name will read, for those that have something else to do
 * meanwhile: first of the table, and once that has come, of the node. Nothing depends on them. */
static ALWAYS_INLINE const _Atomic uint64_t *zone_fetch_entry(const struct zone *zone,
                                                              const struct zone_name *name)
{
    const _Atomic uint64_t *entry = zone_table_entry(SNAPSHOT_LOAD(&zone->names), name->hash[0]);
    PREFETCH(entry);
    return entry;
}

static ALWAYS_INLINE void zone_fetch_node(const _Atomic uint64_t *entry)
{
    const char *node = zone_table_object(atomic_load_explicit(entry, memory_order_acquire));
    PREFETCH(node);
    PREFETCH(node + ZONE_NODE_USUAL);
}

/* The node "*" below that suffix. */
const struct zone_node *zone_find_wildcard(const struct zone *zone, const struct zone_set *set,
                                           const struct zone_name *name, unsigned label);

#endif
