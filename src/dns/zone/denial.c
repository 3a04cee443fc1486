/* The NSEC chain, on the owner's side: see denial.h. Called by draft.c when names change, by
 * group.c when a routed name has or has no records now, and by signature.c when signatures run out,
 * on the owner's thread. Invariants: the first entry is the apex; an entry below a delegation has
 * no NSEC, and each other one, once the zone is shown, has one whose next name is the next other
 * one. */
#include "dns/zone/denial.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "dns/wire/rdata.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_LIMIT 128U
#define TYPES_LIMIT (UINT8_MAX + 4U) /* a node's, and RRSIG, NSEC, DNSKEY */
#define WINDOW_SIZE 32U
#define NSEC_LIMIT (NAME_WIRE_LIMIT + 256U * (2U + WINDOW_SIZE))
#define OWNER_QUESTION 0xc00cU

/* Where an entry is, or would be. */
struct place {
    size_t chunk;
    size_t at; /* of the first entry that is not before the key; may be the chunk's count */
    bool exact;
};

static struct zone_denial_index *index_of(const struct zone_signer *signer)
{
    return SNAPSHOT_LOAD(&signer->security.names);
}

static struct zone_denial_chunk *chunk_at(const struct zone_denial_index *index, size_t at)
{
    return atomic_load_explicit(&index->chunks[at], memory_order_relaxed);
}

static int compare(const struct zone_denial *entry, const uint8_t *key, size_t size)
{
    int order = memcmp(entry->bytes, key, MIN(entry->key_size, size));
    return order != 0 ? order : (int)entry->key_size - (int)size;
}

static struct place find(const struct zone_signer *signer, const uint8_t *key, size_t size)
{
    const struct zone_denial_index *index = index_of(signer);
    size_t low = 0;
    size_t high = index->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (compare(chunk_at(index, middle)->entries[0], key, size) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct zone_denial_chunk *chunk = chunk_at(index, low);
    size_t first = 0;
    size_t behind = chunk->count;
    while (first < behind) {
        size_t middle = first + (behind - first) / 2;
        if (compare(chunk->entries[middle], key, size) < 0) {
            first = middle + 1;
        } else {
            behind = middle;
        }
    }
    return (struct place){.chunk = low,
                          .at = first,
                          .exact = first < chunk->count &&
                                   compare(chunk->entries[first], key, size) == 0};
}

/* The entry at the place, which moves to the next; NULL at the end. */
static struct zone_denial *step(const struct zone_signer *signer, struct place *place)
{
    const struct zone_denial_index *index = index_of(signer);
    while (place->chunk < index->count && place->at >= chunk_at(index, place->chunk)->count) {
        place->chunk++;
        place->at = 0;
    }
    return place->chunk < index->count ? chunk_at(index, place->chunk)->entries[place->at++] : NULL;
}

/* The entry in front of the place, which moves there; NULL at the start. */
static struct zone_denial *step_back(const struct zone_signer *signer, struct place *place)
{
    const struct zone_denial_index *index = index_of(signer);
    if (place->at == 0) {
        if (place->chunk == 0) {
            return NULL;
        }
        place->at = chunk_at(index, --place->chunk)->count;
    }
    return chunk_at(index, place->chunk)->entries[--place->at];
}

struct zone_denial *denial_entry(const struct zone_signer *signer, const uint8_t *relative,
                                 size_t length)
{
    uint8_t key[ZONE_DENIAL_KEY_LIMIT];
    size_t size = zone_denial_key(relative, length, key);
    struct place place = find(signer, key, size);
    return place.exact ? step(signer, &place) : NULL;
}

struct zone_denial *denial_first(const struct zone_signer *signer)
{
    return chunk_at(index_of(signer), 0)->entries[0];
}

struct zone_denial *denial_after(const struct zone_signer *signer, const uint8_t *key, size_t size)
{
    struct place place = find(signer, key, size);
    if (place.exact) {
        place.at++;
    }
    return step(signer, &place);
}

/* ---- entries come and go ---- */

static struct zone_denial *entry_new(const uint8_t *relative, size_t length)
{
    uint8_t key[ZONE_DENIAL_KEY_LIMIT];
    size_t size = zone_denial_key(relative, length, key);
    struct zone_denial *entry = memory_new(sizeof *entry + size + length);
    entry->key_size = (uint16_t)size;
    entry->name_length = (uint8_t)length;
    (void)memcpy(entry->bytes, key, size);
    if (length != 0) {
        (void)memcpy(entry->bytes + size, relative, length);
    }
    return entry;
}

static struct zone_denial_chunk *chunk_new(struct zone_denial *const *entries, size_t count)
{
    struct zone_denial_chunk *chunk =
        memory_new(sizeof *chunk + CHUNK_LIMIT * sizeof(struct zone_denial *));
    chunk->count = count;
    (void)memcpy(chunk->entries, entries, count * sizeof(struct zone_denial *));
    return chunk;
}

/* An index with one chunk more at `at` + 1, or without the one at `at`. */
static struct zone_denial_index *index_copy(const struct zone_denial_index *index, size_t at,
                                            bool more)
{
    size_t count = more ? index->count + 1 : index->count - 1;
    struct zone_denial_index *copy = memory_new(sizeof *copy + count * sizeof copy->chunks[0]);
    copy->count = count;
    for (size_t from = 0, to = 0; from < index->count; from++) {
        if (from == at && !more) {
            continue;
        }
        atomic_init(&copy->chunks[to++], chunk_at(index, from));
        to += from == at ? 1U : 0U;
    }
    return copy;
}

static void publish_index(struct zone_database *database, struct zone_signer *signer,
                          struct zone_denial_index *fresh)
{
    database_retire(database, SNAPSHOT_PUBLISH(&signer->security.names, fresh));
}

static void insert(struct zone_database *database, struct zone_signer *signer,
                   struct zone_denial *take_entry)
{
    struct place place = find(signer, take_entry->bytes, take_entry->key_size);
    assert(!place.exact);
    struct zone_denial_index *index = index_of(signer);
    struct zone_denial_chunk *old = chunk_at(index, place.chunk);
    struct zone_denial *entries[CHUNK_LIMIT + 1];
    (void)memcpy(entries, old->entries, place.at * sizeof(struct zone_denial *));
    entries[place.at] = take_entry;
    (void)memcpy(entries + place.at + 1, old->entries + place.at,
                 (old->count - place.at) * sizeof(struct zone_denial *));
    size_t count = old->count + 1;
    signer->name_count++;
    if (count <= CHUNK_LIMIT && signer->state != SIGNER_LIVE) { /* nobody reads it yet */
        (void)memcpy(old->entries, entries, count * sizeof(struct zone_denial *));
        old->count = count;
        return;
    }
    if (count <= CHUNK_LIMIT) {
        atomic_store_explicit(&index->chunks[place.chunk], chunk_new(entries, count),
                              memory_order_release);
    } else {
        /* At the end names usually come in order: leave the full chunk full. */
        size_t half = place.chunk + 1 == index->count ? CHUNK_LIMIT : count / 2;
        struct zone_denial_index *fresh = index_copy(index, place.chunk, true);
        atomic_init(&fresh->chunks[place.chunk], chunk_new(entries, half));
        atomic_init(&fresh->chunks[place.chunk + 1], chunk_new(entries + half, count - half));
        publish_index(database, signer, fresh);
    }
    database_retire(database, old);
}

static void take_out(struct zone_database *database, struct zone_signer *signer,
                     struct zone_denial *entry)
{
    struct place place = find(signer, entry->bytes, entry->key_size);
    assert(place.exact);
    struct zone_denial_index *index = index_of(signer);
    struct zone_denial_chunk *old = chunk_at(index, place.chunk);
    signer->name_count--;
    if (old->count == 1) {
        publish_index(database, signer, index_copy(index, place.chunk, false));
    } else {
        struct zone_denial_chunk *fresh = chunk_new(old->entries, old->count);
        fresh->count--;
        (void)memmove(fresh->entries + place.at, fresh->entries + place.at + 1,
                      (fresh->count - place.at) * sizeof(struct zone_denial *));
        atomic_store_explicit(&index->chunks[place.chunk], fresh, memory_order_release);
    }
    database_retire(database, old);
}

/* The entry's NSEC, to be retired. */
static struct zone_answer *owned_nsec(const struct zone_denial *entry)
{
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } nsec = {.borrowed = atomic_load_explicit(&entry->nsec, memory_order_relaxed)};
    return nsec.owned;
}

void denial_open(struct zone_signer *signer, const struct zone *zone)
{
    (void)zone; /* the apex has no labels in front of the zone's name */
    struct zone_denial *apex = entry_new(NULL, 0);
    struct zone_denial_index *index = memory_new(sizeof *index + sizeof index->chunks[0]);
    index->count = 1;
    atomic_init(&index->chunks[0], chunk_new(&apex, 1));
    (void)SNAPSHOT_PUBLISH(&signer->security.names, index); /* there was none */
    signer->name_count = 1;
}

void denial_close(struct zone_database *database, struct zone_signer *signer)
{
    struct zone_denial_index *index = index_of(signer);
    for (size_t i = 0; i < index->count; i++) {
        struct zone_denial_chunk *chunk = chunk_at(index, i);
        for (size_t n = 0; n < chunk->count; n++) {
            database_retire(database, owned_nsec(chunk->entries[n]));
            database_retire(database, chunk->entries[n]);
        }
        database_retire(database, chunk);
    }
    database_retire(database, index);
}

void denial_collect(struct zone_database *database, struct zone_signer *signer,
                    const struct zone_node *node)
{
    if (node->slot_count != 0 &&
        denial_entry(signer, zone_node_name(node), node->name_length) == NULL) {
        insert(database, signer, entry_new(zone_node_name(node), node->name_length));
    }
}

/* ---- delegations ---- */

static struct zone_node *visible_node(const struct zone_database *database,
                                      const struct zone_owner *zone, const uint8_t *relative,
                                      size_t length)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    assert(length + zone->zone.apex_length <= sizeof wire);
    (void)memcpy(wire, relative, length);
    (void)memcpy(wire + length, zone->zone.apex, zone->zone.apex_length);
    struct zone_name name;
    size_t read = zone_name_read(&name, &database->set, wire, length + zone->zone.apex_length);
    assert(read != 0);
    (void)read; /* entries have valid names */
    return zone_find_for_owner(&zone->zone, &name, 0);
}

static struct zone_node *entry_node(const struct zone_database *database,
                                    const struct zone_owner *zone, const struct zone_denial *entry)
{
    return visible_node(database, zone, zone_denial_name(entry), entry->name_length);
}

static bool is_cut(const struct zone_node *node)
{
    return node != NULL && zone_node_has(node, ZONE_NODE_CUT);
}

/* Bytes of the name in front of the highest delegation above it; 0 when there is none. */
static size_t above_cut(const struct zone_database *database, const struct zone_owner *zone,
                        const uint8_t *relative, size_t length)
{
    if (atomic_load_explicit(&zone->zone.cuts, memory_order_relaxed) == 0) {
        return 0;
    }
    size_t highest = 0;
    for (size_t at = 0; at < length; at += 1U + relative[at]) {
        if (at != 0 && is_cut(visible_node(database, zone, relative + at, length - at))) {
            highest = at;
        }
    }
    return highest;
}

bool signer_authoritative(const struct zone_database *database, const struct zone_owner *zone,
                          const uint8_t *relative, size_t length)
{
    return above_cut(database, zone, relative, length) == 0;
}

static bool is_hidden(const struct zone_database *database, const struct zone_owner *zone,
                      const struct zone_denial *entry)
{
    return above_cut(database, zone, zone_denial_name(entry), entry->name_length) != 0;
}

static bool is_below(const struct zone_denial *entry, const uint8_t *key, size_t size)
{
    return entry->key_size > size && memcmp(entry->bytes, key, size) == 0;
}

/* ---- NSEC records ---- */

bool denial_always(const struct zone_answer *answer)
{
    if (answer == NULL || answer->kind == ZONE_LEAF) {
        return answer != NULL;
    }
    if (answer->kind == ZONE_MAP && !zone_map_always(answer)) {
        return false;
    }
    bool multivalue = answer->kind == ZONE_MULTIVALUE;
    for (size_t i = 0; i < answer->count; i++) {
        const struct zone_answer *choice = zone_mix(answer)->choices[i].answer;
        /* NOLINTNEXTLINE(misc-no-recursion): ZONE_ALIAS_LIMIT bounds it */
        if (denial_always(choice) == multivalue) {
            return multivalue;
        }
    }
    return !multivalue;
}

static int compare_types(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* RFC 4034 section 4.1.2. */
static void put_bitmap(struct bytes_writer *out, const uint16_t *types, size_t count)
{
    size_t i = 0;
    while (i < count) {
        unsigned window = types[i] >> 8U;
        uint8_t bits[WINDOW_SIZE] = {0};
        unsigned size = 0;
        for (; i < count && types[i] >> 8U == window; i++) {
            unsigned low = types[i] & 0xffU;
            bits[low / 8] |= (uint8_t)(0x80U >> low % 8);
            size = low / 8 + 1;
        }
        bytes_put_u8(out, (uint8_t)window);
        bytes_put_u8(out, (uint8_t)size);
        bytes_put(out, bits, size);
    }
}

/* What a query for the slot may find. */
static const struct zone_answer *served(const struct zone_database *database,
                                        const struct zone_slot *slot)
{
    return slot->group != 0 ? database->groups[slot->group]->answer : zone_slot_answer(slot);
}

/* The NSEC of the name, without signatures. */
static struct zone_answer *nsec_new(const struct zone_database *database,
                                    const struct zone_signer *signer, const struct zone_node *node,
                                    const struct zone_denial *next)
{
    uint16_t types[TYPES_LIMIT];
    size_t count = 0;
    bool cut = is_cut(node);
    for (unsigned i = 0; i < node->slot_count; i++) {
        const struct zone_slot *slot = &node->slots[i];
        bool counts = !cut || slot->type == RR_NS || slot->type == RR_DS;
        if (counts && denial_always(served(database, slot))) {
            types[count++] = slot->type;
        }
    }
    if (node->name_length == 0) {
        types[count++] = RR_DNSKEY;
    }
    types[count++] = RR_RRSIG;
    types[count++] = RR_NSEC;
    qsort(types, count, sizeof types[0], compare_types);
    const struct zone *zone = &signer->zone->zone;
    uint8_t rr[ZONE_RR_FIXED + NSEC_LIMIT];
    struct bytes_writer out = bytes_writer(rr, sizeof rr);
    bytes_put_u16(&out, OWNER_QUESTION);
    bytes_put_u16(&out, RR_NSEC);
    bytes_put_u16(&out, 1); /* class IN */
    bytes_put_u32(&out, signer->nsec_ttl);
    size_t size_at = out.at;
    bytes_put_u16(&out, 0);
    bytes_put(&out, zone_denial_name(next), next->name_length);
    bytes_put(&out, zone->apex, zone->apex_length);
    put_bitmap(&out, types, count);
    bytes_patch_u16(&out, size_at, (uint16_t)(out.at - ZONE_RR_FIXED));
    assert(!out.failed);
    return leaf_new(rr, out.at, 1);
}

static struct zone_answer *nsec_signed(struct zone_database *database, struct zone_signer *signer,
                                       const struct zone_denial *entry,
                                       struct zone_answer *take_nsec)
{
    const struct zone *zone = &signer->zone->zone;
    uint8_t owner[NAME_WIRE_LIMIT];
    (void)memcpy(owner, zone_denial_name(entry), entry->name_length);
    (void)memcpy(owner + entry->name_length, zone->apex, zone->apex_length);
    struct zone_answer *made = signer_leaf(database, signer, owner, take_nsec, false);
    free(take_nsec);
    return made;
}

/* The next name of the chain behind the key; the apex behind the last. */
static struct zone_denial *next_of(const struct zone_database *database,
                                   const struct zone_owner *zone, const uint8_t *key, size_t size,
                                   bool cut)
{
    const struct zone_signer *signer = zone->signer;
    struct place place = find(signer, key, size);
    place.at += place.exact ? 1U : 0U;
    struct zone_denial *entry = step(signer, &place);
    while (entry != NULL &&
           ((cut && is_below(entry, key, size)) || is_hidden(database, zone, entry))) {
        entry = step(signer, &place);
    }
    return entry != NULL ? entry : denial_first(signer);
}

/* The name of the chain before the key; NULL before the apex. */
static struct zone_denial *previous_of(const struct zone_database *database,
                                       const struct zone_owner *zone, const uint8_t *key,
                                       size_t size)
{
    const struct zone_signer *signer = zone->signer;
    struct place place = find(signer, key, size);
    struct zone_denial *entry = step_back(signer, &place);
    while (entry != NULL && is_hidden(database, zone, entry)) {
        entry = step_back(signer, &place);
    }
    return entry;
}

/* ---- changes ---- */

static void add_item(struct denial_change *change, struct denial_item item)
{
    if (change->count == change->capacity) {
        change->capacity = change->capacity * 2 + 4;
        change->items = memory_resize(change->items, change->capacity, sizeof change->items[0]);
    }
    change->items[change->count++] = item;
}

/* The name stands above others whose being in the chain changes with it: gives each its state. The
 * chain's names among them are left as items without an NSEC, in order. */
static void sort_out_below(struct zone_database *database, struct zone_owner *zone,
                           const uint8_t *key, size_t size, struct zone_denial *cut,
                           struct denial_change *change)
{
    struct place place = find(zone->signer, key, size);
    place.at += place.exact ? 1U : 0U;
    struct zone_denial *entry = NULL;
    while ((entry = step(zone->signer, &place)) != NULL && is_below(entry, key, size)) {
        if (cut != NULL && (cut->key_size == size || is_below(entry, cut->bytes, cut->key_size))) {
            add_item(change, (struct denial_item){.entry = entry, .cut = cut});
            continue;
        }
        struct zone_node *node = entry_node(database, zone, entry);
        cut = is_cut(node) ? entry : NULL;
        signer_node(database, zone, node, true);
        add_item(change, (struct denial_item){.entry = entry});
    }
}

/* Signs NSEC records for the items of the chain; the last one's next name is `next`. */
static void sign_items(struct zone_database *database, struct zone_owner *zone,
                       struct denial_change *change, const struct zone_denial *subject,
                       const struct zone_node *subject_node, struct zone_denial *next)
{
    struct zone_signer *signer = zone->signer;
    for (size_t i = change->count; i-- > 0;) {
        struct denial_item *item = &change->items[i];
        if (item->cut != NULL) {
            continue;
        }
        const struct zone_node *node =
            item->entry == subject ? subject_node : entry_node(database, zone, item->entry);
        /* A name that signing has not come to yet is left to it. */
        bool later = signer->state != SIGNER_LIVE && item->entry != change->added &&
                     atomic_load_explicit(&item->entry->nsec, memory_order_relaxed) == NULL;
        if (!later && node != NULL) {
            item->nsec =
                nsec_signed(database, signer, item->entry, nsec_new(database, signer, node, next));
        }
        next = item->entry;
    }
}

void denial_prepare(struct zone_database *database, struct zone_owner *zone,
                    const uint8_t *relative, size_t length, const struct zone_node *node,
                    struct denial_change *ret_change)
{
    struct zone_signer *signer = zone->signer;
    struct denial_change change = {0};
    uint8_t key[ZONE_DENIAL_KEY_LIMIT];
    size_t size = zone_denial_key(relative, length, key);
    struct place place = find(signer, key, size);
    struct zone_denial *entry = place.exact ? step(signer, &place) : NULL;
    bool wanted = length == 0 || (node != NULL && node->slot_count != 0);
    if (wanted && entry == NULL) {
        entry = change.added = entry_new(relative, length);
    } else if (!wanted) {
        change.removed = entry;
    }
    *ret_change = change;
    if (entry == NULL || signer->state == SIGNER_WALK) {
        return;
    }
    size_t above = above_cut(database, zone, relative, length);
    if (above != 0) {
        if (wanted) {
            add_item(ret_change, (struct denial_item){.entry = entry,
                                                      .cut = denial_entry(signer, relative + above,
                                                                          length - above)});
        }
        return;
    }
    bool cut = wanted && is_cut(node);
    bool was_cut = change.added == NULL && is_cut(visible_node(database, zone, relative, length));
    struct zone_denial *next = next_of(database, zone, key, size, cut || was_cut);
    struct zone_denial *previous =
        change.added != NULL || !wanted ? previous_of(database, zone, key, size) : NULL;
    if (previous != NULL) {
        add_item(ret_change, (struct denial_item){.entry = previous});
    }
    if (wanted) {
        add_item(ret_change, (struct denial_item){.entry = entry});
    }
    if (cut != was_cut || (cut && change.added != NULL)) {
        sort_out_below(database, zone, key, size, cut ? entry : NULL, ret_change);
    }
    sign_items(database, zone, ret_change, entry, node, next);
}

void denial_apply(struct zone_database *database, struct zone_owner *zone,
                  struct denial_change *take_change)
{
    struct zone_signer *signer = zone->signer;
    for (size_t i = 0; i < take_change->count; i++) {
        struct denial_item *item = &take_change->items[i];
        struct zone_answer *old = owned_nsec(item->entry);
        if (item->cut == NULL && item->nsec == NULL) {
            continue;
        }
        if (item->cut != NULL) {
            atomic_store_explicit(&item->entry->cut, item->cut, memory_order_release);
        }
        atomic_store_explicit(&item->entry->nsec, item->nsec, memory_order_release);
        if (item->cut == NULL) {
            atomic_store_explicit(&item->entry->cut, NULL, memory_order_release);
        }
        journal_touch(database, zone, zone_denial_name(item->entry), item->entry->name_length,
                      RR_NSEC);
        database_retire(database, old);
    }
    if (take_change->added != NULL) {
        insert(database, signer, take_change->added);
    }
    if (take_change->removed != NULL) {
        take_out(database, signer, take_change->removed);
        journal_touch(database, zone, zone_denial_name(take_change->removed),
                      take_change->removed->name_length, RR_NSEC);
        database_retire(database, owned_nsec(take_change->removed));
        database_retire(database, take_change->removed);
    }
    free(take_change->items);
    *take_change = (struct denial_change){0};
}

void denial_begin(struct zone_signer *signer)
{
    atomic_fetch_add_explicit(&signer->security.version, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void denial_end(struct zone_signer *signer)
{
    atomic_fetch_add_explicit(&signer->security.version, 1, memory_order_seq_cst);
}

bool denial_renew(struct zone_database *database, struct zone_owner *zone,
                  struct zone_denial *entry, bool force)
{
    struct zone_signer *signer = zone->signer;
    const struct zone_node *node = entry_node(database, zone, entry);
    const uint8_t *name = zone_denial_name(entry);
    size_t above = above_cut(database, zone, name, entry->name_length);
    struct zone_answer *old = owned_nsec(entry);
    struct zone_answer *fresh = NULL;
    const struct zone_denial *cut = NULL;
    if (above != 0) {
        cut = denial_entry(signer, name + above, entry->name_length - above);
    } else {
        assert(node != NULL);
        fresh = nsec_new(database, signer, node,
                         next_of(database, zone, entry->bytes, entry->key_size, is_cut(node)));
        bool same = old != NULL && old->size == fresh->size &&
                    memcmp(zone_leaf(old)->rrs, zone_leaf(fresh)->rrs, old->size) == 0;
        if (!force && same && signer_current(database, signer, old)) {
            free(fresh);
            return false;
        }
        fresh = nsec_signed(database, signer, entry, fresh);
    }
    atomic_store_explicit(&entry->cut, cut, memory_order_release);
    atomic_store_explicit(&entry->nsec, fresh, memory_order_release);
    journal_touch(database, zone, name, entry->name_length, RR_NSEC);
    database_retire(database, old);
    return fresh != NULL;
}
