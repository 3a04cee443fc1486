/* Keeping journals: which names may have changed, what of it readers see, the serial, the ring of
 * steps. Called by database.c, draft.c and group.c on the owner's thread; see journal.h.
 *
 * While a publish or a status change makes answers visible, the names and types it touches are only
 * noted (journal_touch). At its end each is flattened and compared with what the journal has; when
 * anything differs, the serial moves once, the served SOA with it, and one step is recorded. A
 * serial that a restart could go behind (zone_serials.may_serve) waits, and the notes with it: the
 * zone stays listed. Invariant: the journal's RRsets are what readers of the zone set see at its
 * serial, but for what is noted. */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"
#include "dns/zone/denial.h"
#include "dns/zone/journal_internal.h"
#include "dns/zone/signature.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SOA_NUMBERS 20U /* serial, refresh, retry, expire, minimum */
#define TOUCHED_KEPT 1024U
#define OPENED_A_TURN 10000U /* names; then health has its turn */
#define RRSET_COST 64U       /* of the allocation, the index and the chunk, about */

static size_t cost(const struct zone_rrset *rrset)
{
    return rrset != NULL ? rrset->size + RRSET_COST : 0;
}

/* ---- RRsets ---- */

struct rrset_key {
    const uint8_t *owner;
    size_t length;
    uint16_t type;
};

static bool same_rrset(const void *object, const void *wanted)
{
    const struct zone_rrset *rrset = object;
    const struct rrset_key *key = wanted;
    return rrset->type == key->type && rrset->owner_length == key->length &&
           memcmp(rrset->bytes, key->owner, key->length) == 0;
}

static uint64_t key_hash(const struct zone_database *database, const struct rrset_key *key)
{
    return database_hash(database, key->owner, key->length) +
           key->type * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t rrset_hash(const void *object, const void *context)
{
    const struct zone_rrset *rrset = object;
    struct rrset_key key = {rrset->bytes, rrset->owner_length, rrset->type};
    return key_hash(context, &key);
}

static struct zone_rrset *rrset_new(const struct rrset_key *key, const struct flat *flat)
{
    size_t size = flat->bytes.length;
    struct zone_rrset *rrset = memory_new(sizeof *rrset + size);
    atomic_init(&rrset->references, 1);
    rrset->type = key->type;
    rrset->count = (uint16_t)MIN(flat->count, (size_t)UINT16_MAX);
    rrset->owner_length = (uint8_t)key->length;
    rrset->size = (uint32_t)size;
    (void)memcpy(rrset->bytes, flat->bytes.data, size);
    return rrset;
}

/* What readers are given for that name and type now; NULL when nothing. flat is scratch. */
static struct zone_rrset *rrset_now(const struct rrset_key *key, const struct zone_answer *answer,
                                    struct flat *flat)
{
    journal_flatten(flat, key->owner, key->length, answer);
    return flat->count != 0 ? rrset_new(key, flat) : NULL;
}

/* ---- the working set; the mutex is held, or nobody else sees the journal yet ---- */

static uint32_t place_take(struct zone_journal *journal)
{
    return journal->free_count != 0 ? journal->free_numbers[--journal->free_count]
                                    : journal->numbers++;
}

static void place_give(struct zone_journal *journal, uint32_t number)
{
    if (journal->free_count == journal->free_capacity) {
        journal->free_capacity = journal->free_capacity * 2 + 16;
        journal->free_numbers =
            memory_resize(journal->free_numbers, journal->free_capacity, sizeof(uint32_t));
    }
    journal->free_numbers[journal->free_count++] = number;
}

/* The chunk of that number, not shared with any copy. */
static struct journal_chunk *chunk_for(struct zone_journal *journal, uint32_t number)
{
    size_t at = number / JOURNAL_CHUNK;
    if (at == journal->chunk_count) {
        if (at == journal->chunk_capacity) {
            journal->chunk_capacity = journal->chunk_capacity * 2 + 4;
            journal->chunks = memory_resize(journal->chunks, journal->chunk_capacity,
                                            sizeof(struct journal_chunk *));
        }
        journal->chunks[at] = memory_new(sizeof(struct journal_chunk));
        atomic_init(&journal->chunks[at]->references, 1);
        journal->chunk_count++;
    }
    struct journal_chunk *chunk = journal->chunks[at];
    if (atomic_load_explicit(&chunk->references, memory_order_acquire) == 1) {
        return chunk; /* new references are only taken under the mutex */
    }
    struct journal_chunk *fresh = memory_new(sizeof *fresh);
    atomic_init(&fresh->references, 1);
    for (size_t i = 0; i < JOURNAL_CHUNK; i++) {
        fresh->rrsets[i] = journal_rrset_ref(chunk->rrsets[i]);
    }
    journal_chunk_unref(chunk);
    journal->chunks[at] = fresh;
    return fresh;
}

/* Puts `after` where `before` is; either may be NULL. Takes a reference to `after` and drops the
 * working set's to `before`. */
static void replace(struct zone_database *database, struct zone_journal *journal,
                    struct zone_rrset *before, struct zone_rrset *after)
{
    const struct zone_rrset *either = before != NULL ? before : after;
    uint64_t hash = rrset_hash(either, database);
    uint32_t number = before != NULL ? before->number : place_take(journal);
    if (before != NULL && after != NULL) {
        zone_table_replace(journal->index, hash, before, after);
    } else if (before != NULL) {
        zone_table_remove(journal->index, hash, before);
        place_give(journal, number);
    } else {
        if (!zone_table_has_room(journal->index, 1)) {
            struct zone_table *old = journal->index;
            journal->index = zone_table_grown(old, old->live / 2 + 8, rrset_hash, database);
            free(old);
        }
        zone_table_insert(journal->index, hash, after);
    }
    if (after != NULL) {
        after->number = number;
    }
    journal->bytes += cost(after);
    journal->bytes -= cost(before);
    chunk_for(journal, number)->rrsets[number % JOURNAL_CHUNK] = journal_rrset_ref(after);
    journal_rrset_unref(before);
}

/* ---- signed zones ---- */

static size_t shown_rrsig_size(const struct zone_owner *zone)
{
    const struct zone_security *security = SNAPSHOT_LOAD(&zone->zone.security);
    return security != NULL ? security->rrsig_size : 0;
}

/* The records that only a signed zone has; NULL when there are none. */
static const struct zone_answer *security_answer(const struct zone_owner *zone,
                                                 const uint8_t *relative, size_t length,
                                                 uint16_t type)
{
    const struct zone_security *security = SNAPSHOT_LOAD(&zone->zone.security);
    if (security == NULL || (type == RR_DNSKEY && length != 0)) {
        return NULL;
    }
    if (type == RR_DNSKEY) {
        return atomic_load_explicit(&security->dnskey, memory_order_relaxed);
    }
    const struct zone_denial *entry = denial_entry(zone->signer, relative, length);
    return entry != NULL ? atomic_load_explicit(&entry->nsec, memory_order_relaxed) : NULL;
}

/* ---- the SOA ---- */

static uint32_t leaf_serial(const struct zone_answer *leaf)
{
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    (void)bytes_get(&reader, leaf->size - SOA_NUMBERS);
    return bytes_get_u32(&reader);
}

static void leaf_set_serial(struct zone_answer *leaf, uint32_t serial)
{
    struct bytes_writer writer = bytes_writer(
        ((struct zone_leaf *)(void *)leaf)->rrs + leaf->size - SOA_NUMBERS, sizeof serial);
    bytes_put_u32(&writer, serial);
}

static bool is_soa(const struct zone_answer *leaf)
{
    return leaf != NULL && leaf->kind == ZONE_LEAF && leaf->count == 1 &&
           leaf->size >= ZONE_RR_FIXED + SOA_NUMBERS;
}

static struct zone_node *node_of(struct zone_database *database, const struct zone_owner *zone,
                                 const uint8_t *wire, size_t length)
{
    struct zone_name name;
    return zone_name_read(&name, &database->set, wire, length) != 0
               ? zone_find_for_owner(&zone->zone, &name, 0)
               : NULL;
}

/* The slot whose SOA a serial can be written into; NULL when the zone has none. */
static struct zone_slot *soa_slot(struct zone_database *database, const struct zone_owner *zone,
                                  struct zone_node **ret_node)
{
    struct zone_node *node = node_of(database, zone, zone->zone.apex, zone->zone.apex_length);
    for (unsigned i = 0; node != NULL && i < node->slot_count; i++) {
        struct zone_slot *slot = &node->slots[i];
        if (slot->type == RR_SOA && slot->group == 0 && is_soa(zone_slot_answer(slot))) {
            *ret_node = node;
            return slot;
        }
    }
    return NULL;
}

/* The serial in the zone's own SOA now: as it was put, where there is no journal. */
static uint32_t shown_serial(struct zone_database *database, const struct zone_owner *zone)
{
    struct zone_node *node = NULL;
    const struct zone_slot *slot = soa_slot(database, zone, &node);
    return slot != NULL ? leaf_serial(zone_slot_answer(slot)) : 0;
}

/* Readers see the serial from now on, in the SOA and in negative answers. A signed zone signs its
 * SOA again here. Gives back the SOA as an RRset; NULL when there is none. */
static struct zone_rrset *show_serial(struct zone_database *database, struct zone_owner *zone,
                                      uint32_t serial, struct flat *flat)
{
    struct zone_node *node = NULL;
    struct zone_slot *slot = soa_slot(database, zone, &node);
    if (slot == NULL) {
        return NULL;
    }
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } old = {.borrowed = zone_slot_answer(slot)};
    if (leaf_serial(old.borrowed) != serial) {
        struct zone_answer *fresh =
            leaf_new(zone_leaf(old.borrowed)->rrs, old.borrowed->size, old.borrowed->count);
        leaf_set_serial(fresh, serial);
        if (zone->signer != NULL && old.borrowed->signatures != 0) {
            struct zone_answer *plain = fresh;
            fresh = signer_leaf(database, zone->signer, zone->zone.apex, plain, false);
            free(plain);
        }
        atomic_store_explicit(&slot->answer, fresh, memory_order_release);
        database_retire(database, old.owned);
        owner_set_negative(database, zone, node);
    }
    struct rrset_key key = {zone->zone.apex, zone->zone.apex_length, RR_SOA};
    flat->rrsig_size = shown_rrsig_size(zone);
    return rrset_now(&key, zone_slot_answer(slot), flat);
}

/* ---- touching ---- */

static void list(struct zone_database *database, struct zone_owner *zone)
{
    if (!zone->listed) {
        zone->listed = true;
        zone->next_touched = database->touched;
        database->touched = zone;
    }
}

static void unlist(struct zone_database *database, struct zone_owner *zone)
{
    for (struct zone_owner **link = &database->touched; zone->listed && *link != NULL;
         link = &(*link)->next_touched) {
        if (*link == zone) {
            *link = zone->next_touched;
            zone->listed = false;
            break;
        }
    }
}

void journal_announce(struct zone_database *database, struct zone_owner *zone)
{
    if (zone->journal != NULL && !zone->journal->told) {
        list(database, zone);
    }
}

void journal_touch(struct zone_database *database, struct zone_owner *zone, const uint8_t *relative,
                   size_t length, uint16_t type)
{
    struct zone_journal *journal = zone->journal;
    if (journal == NULL) {
        return;
    }
    list(database, zone);
    journal->changed = true;
    if (!journal->keeps) {
        return;
    }
    if (journal->touched_count == journal->touched_capacity) {
        journal->touched_capacity = journal->touched_capacity * 2 + 8;
        journal->touched =
            memory_resize(journal->touched, journal->touched_capacity, sizeof journal->touched[0]);
    }
    struct zone_touch *touch = &journal->touched[journal->touched_count++];
    touch->type = type;
    touch->length = (uint8_t)length;
    (void)memcpy(touch->name, relative, length);
}

void journal_adopt_soa(struct zone_database *database, struct zone_owner *zone,
                       struct zone_answer *leaf)
{
    struct zone_journal *journal = zone->journal;
    if (zone->opening && is_soa(leaf)) {
        zone->stored = leaf_serial(leaf);
        leaf_set_serial(leaf, shown_serial(database, zone));
    }
    if (journal != NULL && is_soa(leaf)) {
        journal->stored = leaf_serial(leaf);
        if (serial_compare(journal->stored, journal->serial) > 0) {
            journal_touch(database, zone, zone->zone.apex, 0, RR_SOA);
        }
        leaf_set_serial(leaf, journal->serial);
    }
}

struct touching {
    struct zone_database *database;
    struct zone_owner *zone;
};

static void touch_node(void *object, void *context)
{
    const struct zone_node *node = object;
    const struct touching *touching = context;
    journal_touch_node(touching->database, touching->zone, node);
    journal_touch(touching->database, touching->zone, zone_node_name(node), node->name_length,
                  RR_NSEC);
}

void journal_touch_all(struct zone_database *database, struct zone_owner *zone)
{
    struct touching touching = {database, zone};
    if (zone->journal != NULL && zone->journal->keeps) {
        zone_table_each(SNAPSHOT_LOAD(&zone->zone.names), touch_node, &touching);
        journal_touch(database, zone, zone->zone.apex, 0, RR_DNSKEY);
    }
}

void journal_touch_node(struct zone_database *database, struct zone_owner *zone,
                        const struct zone_node *node)
{
    for (unsigned i = 0; node != NULL && zone->journal != NULL && i < node->slot_count; i++) {
        journal_touch(database, zone, zone_node_name(node), node->name_length, node->slots[i].type);
    }
}

/* ---- steps ---- */

static void drop_oldest(struct zone_journal *journal)
{
    struct journal_step *step = journal->steps[journal->step_first];
    journal->steps[journal->step_first] = NULL;
    journal->step_first = (journal->step_first + 1) % JOURNAL_STEPS;
    journal->step_count--;
    journal->step_bytes -= step->bytes;
    journal_step_unref(step);
}

/* Takes the step in; the mutex is held. What is longer than the zone itself helps nobody. */
static void push_step(struct zone_journal *journal, struct journal_step *take_step)
{
    size_t limit = MIN((size_t)JOURNAL_BYTES, journal->bytes + JOURNAL_BYTES / 64);
    if (journal->step_count == JOURNAL_STEPS) {
        drop_oldest(journal);
    }
    journal->steps[(journal->step_first + journal->step_count) % JOURNAL_STEPS] = take_step;
    journal->step_count++;
    journal->step_bytes += take_step->bytes;
    while (journal->step_bytes > limit) {
        drop_oldest(journal);
    }
}

static void step_add(struct zone_journal *journal, struct zone_rrset *before,
                     struct zone_rrset *take_after)
{
    struct journal_step *step = journal->building;
    if (step == NULL || step->count == journal->building_capacity) {
        journal->building_capacity = journal->building_capacity * 2 + 4;
        bool first = step == NULL;
        step = memory_resize(step, 1,
                             sizeof *step + journal->building_capacity * sizeof step->items[0]);
        if (first) {
            atomic_init(&step->references, 1);
            step->count = 0;
            step->bytes = sizeof *step;
        }
        journal->building = step;
    }
    step->items[step->count++] = (struct journal_item){journal_rrset_ref(before), take_after};
    step->bytes += sizeof step->items[0] + cost(before);
}

/* One name and type as it is now against what the journal has. */
static bool compare(struct zone_database *database, struct zone_owner *zone,
                    const struct zone_touch *touch, struct flat *flat)
{
    struct zone_journal *journal = zone->journal;
    uint8_t wire[NAME_WIRE_LIMIT];
    struct rrset_key key = {wire, (size_t)touch->length + journal->apex_length, touch->type};
    assert(key.length <= sizeof wire);
    (void)memcpy(wire, touch->name, touch->length);
    (void)memcpy(wire + touch->length, journal->apex, journal->apex_length);
    const struct zone_answer *answer = NULL;
    if (touch->type == RR_NSEC || touch->type == RR_DNSKEY) {
        answer = security_answer(zone, touch->name, touch->length, touch->type);
    } else {
        const struct zone_node *node = node_of(database, zone, wire, key.length);
        const struct zone_slot *slot = node != NULL ? zone_node_slot(node, touch->type) : NULL;
        answer = slot != NULL ? zone_slot_answer(slot) : NULL;
    }
    struct zone_rrset *now = rrset_now(&key, answer, flat);
    bool is_apex_soa = touch->type == RR_SOA && touch->length == 0;
    struct zone_rrset *before =
        is_apex_soa ? journal->soa
                    : zone_table_find(journal->index, key_hash(database, &key), same_rrset, &key);
    bool same = before == now || (before != NULL && now != NULL && before->size == now->size &&
                                  memcmp(before->bytes, now->bytes, now->size) == 0);
    if (is_apex_soa) {
        journal_rrset_unref(now); /* made again, with the serial */
        return !same || serial_compare(journal->stored, journal->serial) > 0;
    }
    if (same) {
        journal_rrset_unref(now);
        return false;
    }
    /* At once, so that a name that is touched twice is compared with what it has become. */
    step_add(journal, before, now);
    (void)pthread_mutex_lock(&journal->mutex);
    replace(database, journal, before, now);
    (void)pthread_mutex_unlock(&journal->mutex);
    return true;
}

static uint32_t next_serial(const struct zone_database *database,
                            const struct zone_journal *journal)
{
    uint32_t previous =
        serial_compare(journal->stored, journal->serial) > 0 ? journal->stored : journal->serial;
    return serial_next(previous, database->clock().ns / TIME_S);
}

static bool may_serve(struct zone_database *database, const struct zone_owner *zone,
                      uint32_t serial)
{
    const struct zone_serials *serials = &database->serials;
    return serials->may_serve == NULL || serials->may_serve(serials->context, zone->id, serial);
}

static void tell(struct zone_database *database, const struct zone_owner *zone)
{
    const struct zone_serials *serials = &database->serials;
    struct zone_journal *journal = zone->journal;
    if (serials->moved != NULL && journal->soa != NULL && owner_visible(database, zone) == zone) {
        journal->told = true;
        serials->moved(serials->context, zone->id, zone->zone.apex, journal->serial);
    }
}

/* Compares all that was noted. True when anything differs. */
static bool compare_touched(struct zone_database *database, struct zone_owner *zone,
                            struct flat *flat)
{
    struct zone_journal *journal = zone->journal;
    bool changed = !journal->keeps && journal->changed;
    flat->rrsig_size = shown_rrsig_size(zone);
    for (size_t i = 0; i < journal->touched_count; i++) {
        changed = compare(database, zone, &journal->touched[i], flat) || changed;
    }
    journal->changed = false;
    journal->touched_count = 0;
    if (journal->touched_capacity > TOUCHED_KEPT) {
        free(journal->touched);
        journal->touched = NULL;
        journal->touched_capacity = 0;
    }
    return changed;
}

/* The journal is at the serial from now on; the SOA is counted over to it. */
static void move(struct zone_journal *journal, uint32_t serial, struct zone_rrset *take_soa)
{
    if (!journal->keeps) {
        journal_rrset_unref(journal->soa);
        journal->soa = take_soa;
        journal->serial = serial;
        return;
    }
    if (journal->building == NULL) {
        step_add(journal, NULL, NULL); /* the SOA alone */
        journal->building->count = 0;
    }
    struct journal_step *step = journal->building;
    journal->building = NULL;
    journal->building_capacity = 0;
    (void)pthread_mutex_lock(&journal->mutex);
    step->from = journal->serial;
    step->soa = journal->soa;
    journal->soa = take_soa;
    journal->serial = serial;
    push_step(journal, step);
    if (step->soa == NULL) { /* nothing could be transferred at that serial */
        while (journal->step_count != 0) {
            drop_oldest(journal);
        }
    }
    (void)pthread_mutex_unlock(&journal->mutex);
}

/* False when the serial may not be served yet. */
static bool publish_zone(struct zone_database *database, struct zone_owner *zone, struct flat *flat)
{
    struct zone_journal *journal = zone->journal;
    uint32_t serial = next_serial(database, journal);
    if (journal->changed && !may_serve(database, zone, serial)) {
        return false;
    }
    if (compare_touched(database, zone, flat)) {
        move(journal, serial, show_serial(database, zone, serial, flat));
        tell(database, zone);
    } else if (!journal->told) {
        tell(database, zone);
    }
    return true;
}

/* ---- opening and closing ---- */

struct filling {
    struct zone_database *database;
    struct zone_owner *zone;
    struct flat flat;
};

static void fill_rrset(struct filling *filling, const struct rrset_key *key,
                       const struct zone_answer *answer)
{
    struct zone_rrset *rrset = rrset_now(key, answer, &filling->flat);
    if (rrset != NULL) {
        replace(filling->database, filling->zone->journal, NULL, rrset);
        journal_rrset_unref(rrset); /* the chunk holds it */
    }
}

static void fill_node(void *object, void *context)
{
    const struct zone_node *node = object;
    struct filling *filling = context;
    const struct zone *zone = &filling->zone->zone;
    uint8_t wire[NAME_WIRE_LIMIT];
    struct rrset_key key = {wire, (size_t)node->name_length + zone->apex_length, 0};
    assert(key.length <= sizeof wire);
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, zone->apex, zone->apex_length);
    for (unsigned i = 0; i < node->slot_count; i++) {
        key.type = node->slots[i].type;
        if (key.type == RR_SOA && node->name_length == 0) {
            continue;
        }
        fill_rrset(filling, &key, zone_slot_answer(&node->slots[i]));
    }
    key.type = RR_NSEC;
    fill_rrset(filling, &key,
               security_answer(filling->zone, zone_node_name(node), node->name_length, RR_NSEC));
    if (node->name_length == 0) {
        key.type = RR_DNSKEY;
        fill_rrset(filling, &key, security_answer(filling->zone, wire, 0, RR_DNSKEY));
    }
}

static struct zone_journal *journal_new(const struct zone_owner *zone)
{
    struct zone_journal *journal = memory_new(sizeof *journal + strlen(zone->id) + 1);
    atomic_init(&journal->references, 1);
    (void)pthread_mutex_init(&journal->mutex, NULL); /* cannot fail on Linux */
    (void)memcpy(journal->id, zone->id, strlen(zone->id) + 1);
    journal->apex_length = zone->zone.apex_length;
    (void)memcpy(journal->apex, zone->zone.apex, zone->zone.apex_length);
    journal->keeps = zone->transfers;
    journal->index = zone_table_new(zone->transfers ? SNAPSHOT_LOAD(&zone->zone.names)->live : 0);
    if (zone->transfers) {
        journal->steps = memory_array(JOURNAL_STEPS, sizeof(struct journal_step *));
    }
    return journal;
}

/* Whether the first serial may be served; else what nothing goes behind is shown meanwhile. The
 * second after the clock's is only waited for: no need to write it down. */
static bool first_serial(struct zone_database *database, struct zone_owner *zone, uint32_t *serial)
{
    uint32_t before = *serial;
    uint32_t now = (uint32_t)(database->clock().ns / TIME_S);
    *serial = serial_next(before, now);
    if (database->serials.may_serve == NULL || serial_compare(*serial, now) <= 0 ||
        (*serial != now + 1 && may_serve(database, zone, *serial))) {
        return true;
    }
    struct flat flat = {.count = 0};
    buf_init(&flat.bytes, 0);
    journal_rrset_unref(show_serial(database, zone, before, &flat));
    buf_done(&flat.bytes);
    return false;
}

/* Makes the journal and moves the serial. False: not yet. */
static bool journal_open(struct zone_database *database, struct zone_owner *zone)
{
    const struct zone_serials *serials = &database->serials;
    uint32_t stored = zone->opening ? zone->stored : shown_serial(database, zone);
    uint32_t floor = serials->floor != NULL ? serials->floor(serials->context, zone->id) : 0;
    zone->floor = serial_compare(floor, zone->floor) > 0 ? floor : zone->floor;
    uint32_t serial = serial_compare(stored, zone->floor) > 0 ? stored : zone->floor;
    zone->stored = stored;
    zone->opening = !first_serial(database, zone, &serial);
    list(database, zone); /* to be told, or to be opened */
    if (zone->opening) {
        return false;
    }
    struct zone_journal *journal = journal_new(zone);
    journal->stored = stored;
    journal->serial = serial;
    zone->journal = journal;
    struct filling filling = {.database = database, .zone = zone};
    buf_init(&filling.flat.bytes, 0);
    filling.flat.rrsig_size = shown_rrsig_size(zone);
    if (journal->keeps) {
        zone_table_each(SNAPSHOT_LOAD(&zone->zone.names), fill_node, &filling);
    }
    journal->soa = show_serial(database, zone, journal->serial, &filling.flat);
    buf_done(&filling.flat.bytes);
    if (journal->keeps) {
        atomic_store_explicit(&zone->zone.journal, journal, memory_order_release);
    }
    return true;
}

static void journal_dispose(void *object)
{
    zone_journal_unref(object);
}

void journal_close(struct zone_database *database, struct zone_owner *zone)
{
    struct zone_journal *journal = zone->journal;
    uint32_t stored = journal != NULL ? journal->stored : zone->stored;
    if (journal == NULL && !zone->opening) {
        return;
    }
    unlist(database, zone);
    zone->opening = false;
    if (journal != NULL) {
        zone->journal = NULL;
        zone->floor = journal->serial; /* should transfers come back */
        atomic_store_explicit(&zone->zone.journal, NULL, memory_order_release);
        snapshot_retire(journal, journal_dispose);
    }
    if (!zone->doomed) {
        struct flat flat = {.count = 0};
        buf_init(&flat.bytes, 0);
        journal_rrset_unref(show_serial(database, zone, stored, &flat));
        buf_done(&flat.bytes);
    }
}

void journal_settle(struct zone_database *database, struct zone_owner *zone)
{
    bool records = zone->transfers;
    bool serial = records || (shown_rrsig_size(zone) != 0 && database->serials.moved != NULL);
    struct zone_journal *journal = zone->journal;
    if (zone->doomed || !zone->known) {
        return; /* journal_close comes with the rest of it */
    }
    if (journal != NULL ? journal->keeps != records || !serial : zone->opening && !serial) {
        journal_close(database, zone);
    }
    if (serial && zone->journal == NULL) {
        (void)journal_open(database, zone); /* or it is listed */
    }
}

/* ---- publishing ---- */

/* False when the zone has to come again. opened counts names. */
static bool settle_or_publish(struct zone_database *database, struct zone_owner *zone,
                              struct flat *flat, size_t *opened)
{
    if (zone->journal != NULL) {
        return publish_zone(database, zone, flat);
    }
    if (zone->opening && *opened < OPENED_A_TURN) {
        if (!journal_open(database, zone)) {
            return false;
        }
        *opened += SNAPSHOT_LOAD(&zone->zone.names)->live;
        tell(database, zone);
    }
    return !zone->opening;
}

void journal_publish(struct zone_database *database)
{
    struct flat flat = {.count = 0};
    size_t opened = 0;
    buf_init(&flat.bytes, 0);
    struct zone_owner *listed = database->touched;
    database->touched = NULL;
    while (listed != NULL) {
        struct zone_owner *zone = listed;
        listed = zone->next_touched;
        zone->listed = false;
        if (!settle_or_publish(database, zone, &flat, &opened)) {
            list(database, zone);
        }
    }
    buf_done(&flat.bytes);
}
