/* Names made ready by threads that load: see database.h. Threads build nodes and answers; what is
 * left to the owner's thread is to insert pointers, which zone_database_put_all does on it.
 *
 * A name goes straight into its zone's table when nobody can see the zone yet, it has no signatures
 * and no journal, and the name is new; whatever else there is becomes edits, as if put one by one.
 * Invariant: a ready name's node belongs to nobody else until one of the two has happened. */
#include "base/memory.h"
#include "dns/wire/rdata.h"
#include "dns/zone/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TYPES_LIMIT 8U     /* of a name; what is more becomes edits */
#define PUT_AHEAD 8U       /* a large zone's table is in no cache: so many entries are asked for */
#define BELOW_APEX 1U      /* flags of a ready name: directly below the zone's name, */
#define BELOW_APEX_STAR 2U /* and the wildcard there */
#define BELOW_CUT 4U       /* a delegation */

/* A zone as it was when the places were taken. */
struct zone_place {
    const char *id;
    const uint8_t *apex;
    uint8_t apex_length;
    uint8_t labels;
};

struct zone_places {
    const struct zone_set *set; /* for its secrets, which never change */
    uint16_t generation;
    size_t count;
    struct zone_place *list; /* by id */
};

struct ready {
    struct zone_node *node;
    uint64_t hash;
    const struct zone_place *place;
    unsigned flags;
};

struct zone_puts {
    const struct zone_places *places;
    struct arena *arena;
    struct ready *names;
    size_t name_count;
    struct zone_put **others;
    size_t other_count;
    size_t capacity; /* of both */
    const struct zone_place *place;
    /* The name that is being gathered; count 0: none. */
    size_t count;
    uint16_t types[TYPES_LIMIT]; /* in order */
    struct zone_answer *leafs[TYPES_LIMIT];
    struct zone_name name;
};

/* ---- places, on the owner's thread ---- */

struct gathering {
    struct zone_places *places;
    struct arena *arena;
};

static void add_place(void *object, void *context)
{
    const struct zone_owner *zone = object;
    struct gathering *gathering = context;
    struct zone_places *places = gathering->places;
    if (zone->known && !zone->doomed) {
        places->list[places->count++] = (struct zone_place){
            .id = arena_strdup(gathering->arena, zone->id),
            .apex = arena_memdup(gathering->arena, zone->zone.apex, zone->zone.apex_length),
            .apex_length = zone->zone.apex_length,
            .labels = zone->zone.labels};
    }
}

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const struct zone_place *)a)->id, ((const struct zone_place *)b)->id);
}

static int compare_id(const void *key, const void *element)
{
    return strcmp(key, ((const struct zone_place *)element)->id);
}

const struct zone_places *zone_database_places(const struct zone_database *database,
                                               struct arena *arena)
{
    struct zone_places *places = arena_alloc(arena, sizeof *places);
    places->set = &database->set;
    places->generation = database->generation;
    places->list = arena_array(arena, MAX(database->by_id->live, 1U), sizeof places->list[0]);
    struct gathering gathering = {places, arena};
    zone_table_each(database->by_id, add_place, &gathering);
    qsort(places->list, places->count, sizeof places->list[0], compare_places);
    return places;
}

/* ---- making ready, on any thread ---- */

struct zone_puts *zone_puts_new(const struct zone_places *places, struct arena *arena,
                                size_t capacity)
{
    struct zone_puts *puts = arena_alloc(arena, sizeof *puts);
    puts->places = places;
    puts->arena = arena;
    puts->capacity = capacity;
    puts->names = arena_array(arena, capacity, sizeof puts->names[0]);
    puts->others = arena_array(arena, capacity, sizeof(struct zone_put *));
    return puts;
}

/* The gathered name becomes a node. */
static void end_name(struct zone_puts *puts)
{
    if (puts->count == 0) {
        return;
    }
    const struct zone_name *name = &puts->name;
    size_t length = (size_t)name->length - puts->place->apex_length;
    struct zone_node *node = draft_node((unsigned)puts->count, name->wire, length);
    unsigned node_flags = 0;
    for (size_t i = 0; i < puts->count; i++) {
        struct zone_slot *slot = &node->slots[i];
        slot->type = puts->types[i];
        slot->generation = puts->places->generation;
        atomic_init(&slot->answer, puts->leafs[i]);
        node_flags |= draft_node_flags(slot->type, length);
    }
    atomic_init(&node->flags, (uint8_t)node_flags);
    unsigned flags = 0;
    if (name->labels == puts->place->labels + 1U) {
        flags |= BELOW_APEX;
        flags |= name->wire[0] == 1 && name->wire[1] == '*' ? BELOW_APEX_STAR : 0U;
    }
    flags |= (node_flags & ZONE_NODE_CUT) != 0 ? BELOW_CUT : 0U;
    puts->names[puts->name_count++] =
        (struct ready){.node = node, .hash = name->hash[0], .place = puts->place, .flags = flags};
    puts->count = 0;
}

static void add_leaf(struct zone_puts *puts, uint16_t type, struct zone_answer *take_leaf)
{
    size_t at = puts->count++;
    for (; at > 0 && puts->types[at - 1] > type; at--) {
        puts->types[at] = puts->types[at - 1];
        puts->leafs[at] = puts->leafs[at - 1];
    }
    puts->types[at] = type;
    puts->leafs[at] = take_leaf;
}

/* Whether the gathered name is that one and takes a further record of the type. */
static bool takes(const struct zone_puts *puts, const struct zone_place *place, const uint8_t *wire,
                  size_t length, uint16_t type)
{
    bool same = puts->count != 0 && puts->count < TYPES_LIMIT && puts->place == place &&
                puts->name.length == length && memcmp(puts->name.wire, wire, length) == 0;
    for (size_t i = 0; same && i < puts->count; i++) {
        same = puts->types[i] != type;
    }
    return same;
}

/* NULL when there was no such zone, or it is no zone for the name. */
static const struct zone_place *place_of(struct zone_puts *puts, const char *zone_id,
                                         const uint8_t *wire)
{
    if (puts->place == NULL || strcmp(puts->place->id, zone_id) != 0) {
        end_name(puts);
        puts->place = bsearch(zone_id, puts->places->list, puts->places->count,
                              sizeof puts->places->list[0], compare_id);
    }
    return puts->place != NULL && name_is_under(wire, puts->place->apex) ? puts->place : NULL;
}

int zone_puts_add(struct zone_puts *puts, const struct model_record_set *record, struct err *err)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = put_is_plain(record) ? name_from_text(record->name, true, wire) : -1;
    const struct zone_place *place = length > 0 ? place_of(puts, record->zone_id, wire) : NULL;
    if (place == NULL || length == place->apex_length) { /* an apex is always there already */
        assert(puts->other_count < puts->capacity);
        struct zone_put *put = NULL;
        int rc = zone_put_new(record, puts->arena, &put, err);
        if (rc == 0) {
            puts->others[puts->other_count++] = put;
        }
        return rc;
    }
    struct zone_answer *leaf = NULL;
    int rc = leaf_compile(record, &leaf, err);
    if (rc != 0) {
        return rc;
    }
    if (!takes(puts, place, wire, (size_t)length, record->type)) {
        end_name(puts);
        assert(puts->name_count < puts->capacity);
        size_t read = zone_name_read(&puts->name, puts->places->set, wire, (size_t)length);
        assert(read == (size_t)length);
        (void)read; /* it is a name: name_from_text made it */
    }
    add_leaf(puts, record->type, leaf);
    return 0;
}

/* ---- putting, on the owner's thread ---- */

/* Ready names of one zone, one after another. */
struct run {
    const struct zone_place *place;
    struct zone_owner *zone;
    struct zone_node *apex; /* NULL: all become edits */
};

static bool same_name(const void *object, const void *key)
{
    const struct zone_node *node = object;
    const struct zone_node *wanted = key;
    return node->name_length == wanted->name_length &&
           memcmp(zone_node_name(node), zone_node_name(wanted), node->name_length) == 0;
}

static bool has_no_name(const void *object, const void *key)
{
    (void)key; /* there is one such node */
    return ((const struct zone_node *)object)->name_length == 0;
}

static void begin_run(struct zone_database *database, struct run *run,
                      const struct zone_place *place, uint16_t generation)
{
    struct zone_owner *zone = owner_get(database, place->id);
    bool straight = zone->known && !zone->doomed && zone->signer == NULL && zone->journal == NULL &&
                    !zone->opening && generation == database->generation &&
                    owner_visible(database, zone) != zone;
    run->place = place;
    run->zone = zone;
    run->apex = straight ? zone_table_find(SNAPSHOT_LOAD(&zone->zone.names), zone->apex_hash,
                                           has_no_name, NULL)
                         : NULL;
}

static size_t whole_name(const struct ready *ready, uint8_t wire[NAME_WIRE_LIMIT])
{
    assert(ready->place != NULL);
    size_t length = ready->node->name_length;
    (void)memcpy(wire, zone_node_name(ready->node), length);
    (void)memcpy(wire + length, ready->place->apex, ready->place->apex_length);
    return length + ready->place->apex_length;
}

/* False when the name has to become edits. */
static bool insert(struct zone_database *database, const struct run *run, const struct ready *ready)
{
    struct zone_owner *zone = run->zone;
    struct zone_node *node = ready->node;
    uint8_t wire[NAME_WIRE_LIMIT];
    if (zone->pending != NULL) {
        (void)whole_name(ready, wire);
        if (owner_pending(database, zone, wire) != NULL) {
            return false;
        }
    }
    struct zone_table *names = draft_names_with_room(database, zone, 1);
    if (zone_table_find(names, ready->hash, same_name, node) != NULL) {
        return false;
    }
    zone_table_insert(names, ready->hash, node);
    if ((ready->flags & BELOW_APEX) != 0) {
        run->apex->children++;
        if ((ready->flags & BELOW_APEX_STAR) != 0) {
            draft_set_flag(run->apex, ZONE_NODE_WILDCARD, true);
        }
    } else {
        struct zone_name name;
        size_t length = whole_name(ready, wire);
        size_t read = zone_name_read(&name, &database->set, wire, length);
        assert(read == length);
        (void)read; /* a ready name is one */
        draft_adopt(database, zone, &name, 0);
    }
    if ((ready->flags & BELOW_CUT) != 0) {
        (void)atomic_fetch_add_explicit(&zone->zone.cuts, 1, memory_order_acq_rel);
    }
    if (database->target_count != 0) {
        for (unsigned i = 0; i < node->slot_count; i++) {
            target_touch(database, zone, zone_node_name(node), node->name_length,
                         node->slots[i].type);
        }
    }
    return true;
}

static void edit(struct zone_database *database, struct zone_owner *zone, const struct ready *ready)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    size_t length = whole_name(ready, wire);
    for (unsigned i = 0; i < ready->node->slot_count; i++) {
        struct zone_edit *put = owner_edit(database, zone, wire, length, "");
        put->kind = EDIT_PUT;
        put->type = ready->node->slots[i].type;
        put->leaf = draft_owned_leaf(&ready->node->slots[i]);
    }
    free(ready->node);
}

void zone_database_put_all(struct zone_database *database, struct zone_puts *take_puts)
{
    struct zone_puts *puts = take_puts;
    struct run run = {0};
    end_name(puts);
    for (size_t i = 0; i < puts->name_count; i++) {
        const struct ready *ready = &puts->names[i];
        if (run.place != ready->place) {
            begin_run(database, &run, ready->place, puts->places->generation);
        }
        if (run.apex != NULL && i + PUT_AHEAD < puts->name_count) {
            const struct zone_table *names = SNAPSHOT_LOAD(&run.zone->zone.names);
            PREFETCH(&names->entries[ready[PUT_AHEAD].hash & names->mask]);
        }
        if (run.apex == NULL || !insert(database, &run, ready)) {
            edit(database, run.zone, ready);
        }
    }
    for (size_t i = 0; i < puts->other_count; i++) {
        zone_database_put(database, puts->others[i]);
    }
    puts->name_count = 0;
    puts->other_count = 0;
}
