/* Zones as the owner of the database knows them, and the edits that wait for the next publish.
 * Called by database.c, draft.c and group.c on the owner's thread. A zone may have edits before it
 * is known; they wait with it. Invariant: pending edits have no effect on anything visible. */
#include "base/memory.h"
#include "base/text.h"
#include "dns/zone/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define EDIT_ALIGN 16U
#define EDIT_BLOCK_FIRST 512U
#define EDIT_BLOCK_LIMIT (1U << 20U)

static bool same_id(const void *object, const void *key)
{
    return strcmp(((const struct zone_owner *)object)->id, key) == 0;
}

static uint64_t id_hash(const void *object, const void *context)
{
    const char *id = ((const struct zone_owner *)object)->id;
    return database_hash(context, id, strlen(id));
}

struct zone_owner *owner_find(const struct zone_database *database, const char *zone_id)
{
    return zone_table_find(database->by_id, database_hash(database, zone_id, strlen(zone_id)),
                           same_id, zone_id);
}

/* Makes room in a table that only the owner reads. */
static void make_room(struct zone_table **table, zone_table_hash hash, const void *context)
{
    if (!zone_table_has_room(*table, 1)) {
        struct zone_table *old = *table;
        *table = zone_table_grown(old, old->live + 1, hash, context);
        free(old);
    }
}

struct zone_owner *owner_get(struct zone_database *database, const char *zone_id)
{
    struct zone_owner *zone = owner_find(database, zone_id);
    if (zone != NULL) {
        return zone;
    }
    size_t size = strlen(zone_id) + 1;
    zone = memory_new(sizeof *zone + size);
    (void)memcpy(zone->id, zone_id, size);
    zone->pending_last = &zone->pending_first;
    arena_init(&zone->arena, 0);
    make_room(&database->by_id, id_hash, database);
    zone_table_insert(database->by_id, database_hash(database, zone_id, size - 1), zone);
    return zone;
}

void owner_name(struct zone_database *database, struct zone_owner *zone, const uint8_t *apex,
                size_t length, size_t names_wanted)
{
    struct zone_name name;
    size_t read = zone_name_read(&name, &database->set, apex, length);
    assert(read == length);
    (void)read; /* it is a name: the caller made it with name_from_text */
    zone->apex_hash = name.hash[0];
    zone->zone.labels = name.labels;
    zone->zone.number = number_take(&database->numbers);
    zone->zone.apex_length = name.length;
    (void)memcpy(zone->zone.apex, apex, length);
    struct zone_table *names = zone_table_new(MAX(names_wanted, 1U));
    struct zone_node *node = memory_new(sizeof *node);
    zone_table_insert(names, zone->apex_hash, node);
    (void)SNAPSHOT_PUBLISH(&zone->zone.names, names); /* there was none */
    zone->known = true;
}

void owner_mark_dirty(struct zone_database *database, struct zone_owner *zone)
{
    if (!zone->dirty) {
        zone->dirty = true;
        zone->next_dirty = database->dirty;
        database->dirty = zone;
    }
}

/* ---- by name ---- */

struct wire_key {
    const uint8_t *wire;
    size_t length;
};

static bool same_apex(const void *object, const void *key)
{
    const struct zone_owner *zone = object;
    const struct wire_key *wanted = key;
    return zone->zone.apex_length == wanted->length &&
           memcmp(zone->zone.apex, wanted->wire, wanted->length) == 0;
}

static uint64_t apex_hash(const void *object, const void *context)
{
    (void)context; /* the hash is kept */
    return ((const struct zone_owner *)object)->apex_hash;
}

struct zone_owner *owner_of_name(const struct zone_database *database, const uint8_t *wire)
{
    struct zone_name name;
    if (zone_name_read(&name, &database->set, wire, name_length(wire)) == 0) {
        return NULL;
    }
    for (unsigned label = 0; label <= name.labels; label++) {
        struct wire_key key = {name.wire + name.offset[label],
                               (size_t)name.length - name.offset[label]};
        struct zone_owner *zone =
            zone_table_find(database->by_apex, name.hash[label], same_apex, &key);
        if (zone != NULL) {
            return zone;
        }
    }
    return NULL;
}

struct zone_owner *owner_served(const struct zone_database *database, const struct zone_owner *zone)
{
    struct wire_key key = {zone->zone.apex, zone->zone.apex_length};
    return zone_table_find(database->by_apex, zone->apex_hash, same_apex, &key);
}

struct zone_owner *owner_visible(const struct zone_database *database,
                                 const struct zone_owner *zone)
{
    struct wire_key key = {zone->zone.apex, zone->zone.apex_length};
    return zone_table_find(SNAPSHOT_LOAD(&database->set.zones), zone->apex_hash, same_apex, &key);
}

static bool is_older(const struct zone_owner *a, const struct zone_owner *b)
{
    return a->created_revision != b->created_revision ? a->created_revision < b->created_revision
                                                      : strcmp(a->id, b->id) < 0;
}

void owner_link(struct zone_database *database, struct zone_owner *zone)
{
    struct zone_owner *head = owner_served(database, zone);
    zone->linked = true;
    if (head == NULL) {
        make_room(&database->by_apex, apex_hash, NULL);
        zone_table_insert(database->by_apex, zone->apex_hash, zone);
    } else if (is_older(zone, head)) {
        zone->next_same = head;
        zone_table_replace(database->by_apex, zone->apex_hash, head, zone);
    } else {
        while (head->next_same != NULL && is_older(head->next_same, zone)) {
            head = head->next_same;
        }
        zone->next_same = head->next_same;
        head->next_same = zone;
    }
}

void owner_unlink(struct zone_database *database, struct zone_owner *zone)
{
    struct zone_owner *head = owner_served(database, zone);
    zone->linked = false;
    if (head != zone) {
        while (head != NULL && head->next_same != zone) {
            head = head->next_same;
        }
        assert(head != NULL);
        head->next_same = zone->next_same;
    } else if (zone->next_same != NULL) {
        zone_table_replace(database->by_apex, zone->apex_hash, zone, zone->next_same);
    } else {
        zone_table_remove(database->by_apex, zone->apex_hash, zone);
    }
    zone->next_same = NULL;
}

/* ---- edits ---- */

static bool same_pending(const void *object, const void *key)
{
    const struct zone_pending *pending = object;
    const struct wire_key *wanted = key;
    return pending->length == wanted->length &&
           memcmp(pending->wire, wanted->wire, wanted->length) == 0;
}

static uint64_t pending_hash(const void *object, const void *context)
{
    (void)context; /* the hash is kept */
    return ((const struct zone_pending *)object)->hash;
}

struct zone_pending *owner_pending(const struct zone_database *database,
                                   const struct zone_owner *zone, const uint8_t *wire)
{
    struct zone_name name;
    size_t length = zone_name_read(&name, &database->set, wire, name_length(wire));
    struct wire_key key = {wire, length};
    return zone->pending != NULL ? zone_table_find(zone->pending, name.hash[0], same_pending, &key)
                                 : NULL;
}

struct zone_node *owner_node(const struct zone_database *database, const struct zone_owner *zone,
                             const uint8_t *wire)
{
    const struct zone_pending *pending = owner_pending(database, zone, wire);
    if (pending != NULL && pending->draft != NULL) {
        return pending->draft;
    }
    struct zone_name name;
    size_t length = zone_name_read(&name, &database->set, wire, name_length(wire));
    assert(length >= zone->zone.apex_length && zone->known);
    (void)length; /* only the assertion looks at it */
    return zone_find_for_owner(&zone->zone, &name, 0);
}

bool owner_shows(const struct zone_database *database, const struct zone_owner *zone,
                 const struct zone_node *node)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    size_t length = (size_t)node->name_length + zone->zone.apex_length;
    assert(length <= sizeof wire);
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, zone->zone.apex, zone->zone.apex_length);
    struct zone_name name;
    return zone_name_read(&name, &database->set, wire, length) == length &&
           zone_find_for_owner(&zone->zone, &name, 0) == node;
}

/* Memory for edits. A large change's comes in large blocks, which can be given back whole: what
 * stays of the change is not strewn over their pages. */
static void *edit_memory(struct zone_owner *zone, size_t size)
{
    size = (size + EDIT_ALIGN - 1) / EDIT_ALIGN * EDIT_ALIGN;
    if (size > zone->room_left) {
        zone->room_size = MIN(MAX(zone->room_size * 2, EDIT_BLOCK_FIRST), EDIT_BLOCK_LIMIT);
        zone->room_left = MAX(zone->room_size, size);
        zone->room = arena_alloc(&zone->arena, zone->room_left);
    }
    void *memory = zone->room;
    zone->room += size;
    zone->room_left -= size;
    return memory;
}

struct zone_edit *owner_edit(struct zone_database *database, struct zone_owner *zone,
                             const uint8_t *wire, size_t length, const char *set_identifier)
{
    struct zone_name name;
    size_t read = zone_name_read(&name, &database->set, wire, length);
    assert(read == length);
    (void)read; /* it is a name: the caller made it with name_from_text */
    if (zone->pending == NULL) {
        zone->pending = zone_table_new(1);
    }
    struct wire_key key = {wire, length};
    struct zone_pending *pending = zone_table_find(zone->pending, name.hash[0], same_pending, &key);
    if (pending == NULL) {
        pending = edit_memory(zone, sizeof *pending + length);
        pending->hash = name.hash[0];
        pending->length = length;
        (void)memcpy(pending->wire, wire, length);
        *zone->pending_last = pending;
        zone->pending_last = &pending->next;
        make_room(&zone->pending, pending_hash, NULL);
        zone_table_insert(zone->pending, pending->hash, pending);
    }
    struct zone_edit *edit = edit_memory(zone, sizeof *edit);
    edit->set_identifier =
        set_identifier[0] != '\0' ? arena_strdup(&zone->arena, set_identifier) : "";
    edit->generation = database->generation;
    if (pending->last != NULL) {
        pending->last->next = edit;
    } else {
        pending->first = edit;
    }
    pending->last = edit;
    owner_mark_dirty(database, zone);
    return edit;
}

void owner_drop_edits(struct zone_database *database, struct zone_owner *zone)
{
    for (struct zone_pending *pending = zone->pending_first; pending != NULL;
         pending = pending->next) {
        for (struct zone_edit *edit = pending->first; edit != NULL; edit = edit->next) {
            free(edit->leaf); /* never published */
            record_free(database, edit->record);
        }
    }
    free(zone->pending);
    zone->pending = NULL;
    zone->pending_first = NULL;
    zone->pending_last = &zone->pending_first;
    arena_done(&zone->arena);
    zone->room = NULL;
    zone->room_left = 0;
    zone->room_size = 0;
}
