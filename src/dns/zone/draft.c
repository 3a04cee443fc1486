/* From edits to nodes: a publish first drafts every name that has edits (draft_build), then its
 * groups are decided (group.c), and then the drafts take their places (draft_apply). Called by
 * zone_database_publish on the owner's thread.
 *
 * Until draft_apply readers see the old node, whole; after it, the new one. Invariant: every name
 * between an existing name and the apex exists, as an empty non-terminal if need be; `children`
 * counts the names directly below. */
#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "dns/zone/denial.h"
#include "dns/zone/internal.h"
#include "dns/zone/signature.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Names of a signed zone that change together: a millisecond's signatures. */
#define SIGNED_BATCH 8U

/* A large zone's table is in no cache: the entries of so many names are asked for ahead. */
#define APPLY_AHEAD 8U

/* A plain RRset (leaf) or one routed record, while a name's records are put together. */
struct item {
    struct zone_answer *leaf;
    struct zone_record *record;
    const char *set_identifier;
    struct zone_group *group; /* the one it was in */
    uint16_t type;
    uint16_t generation;
    bool edited;
};

struct items {
    struct item *list;
    size_t count;
    size_t capacity;
};

static void items_add(struct items *items, struct item item)
{
    if (items->count == items->capacity) {
        items->capacity = items->capacity * 2 + 8;
        items->list = memory_resize(items->list, items->capacity, sizeof items->list[0]);
    }
    /* By type, then set identifier; usually it belongs at the end. */
    size_t at = items->count++;
    while (at > 0) {
        const struct item *before = &items->list[at - 1];
        if (before->type < item.type || (before->type == item.type &&
                                         strcmp(before->set_identifier, item.set_identifier) < 0)) {
            break;
        }
        items->list[at] = *before;
        at--;
    }
    items->list[at] = item;
}

static struct item *items_find(struct items *items, uint16_t type, const char *set_identifier)
{
    for (size_t i = 0; i < items->count; i++) {
        if (items->list[i].type == type &&
            text_equal(items->list[i].set_identifier, set_identifier)) {
            return &items->list[i];
        }
    }
    return NULL;
}

struct zone_answer *draft_owned_leaf(const struct zone_slot *slot)
{
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } leaf = {.borrowed = zone_slot_answer(slot)};
    return leaf.owned;
}

static void items_of_node(struct zone_database *database, const struct zone_node *node,
                          struct items *items)
{
    for (unsigned i = 0; i < node->slot_count; i++) {
        const struct zone_slot *slot = &node->slots[i];
        if (slot->group == 0) {
            items_add(items, (struct item){.leaf = draft_owned_leaf(slot),
                                           .set_identifier = "",
                                           .type = slot->type,
                                           .generation = slot->generation});
            continue;
        }
        struct zone_group *group = database->groups[slot->group];
        for (struct zone_record *record = group->records; record != NULL; record = record->next) {
            items_add(items, (struct item){.record = record,
                                           .set_identifier = record->set_identifier,
                                           .group = group,
                                           .type = slot->type,
                                           .generation = record->generation});
        }
    }
}

static void drop_item(struct zone_database *database, struct item *item)
{
    database_retire(database, item->leaf);
    record_free(database, item->record);
    item->leaf = NULL;
    item->record = NULL;
}

/* The edit's RRset or record takes the item's place; what it held is left to the item. */
static void apply_edit(struct zone_database *database, struct items *items, struct zone_edit *edit)
{
    struct item *there = items_find(items, edit->type, edit->set_identifier);
    if (there != NULL) {
        drop_item(database, there);
        if (edit->kind == EDIT_DELETE) {
            size_t at = (size_t)(there - items->list);
            items->count--;
            (void)memmove(there, there + 1, (items->count - at) * sizeof *there);
            return;
        }
    } else if (edit->kind == EDIT_DELETE) {
        return;
    }
    struct item item = {.leaf = edit->leaf,
                        .record = edit->record,
                        .set_identifier = edit->record != NULL ? edit->record->set_identifier : "",
                        .type = edit->type,
                        .generation = edit->generation,
                        .edited = true};
    if (edit->record != NULL) {
        edit->record->generation = edit->generation;
    }
    edit->leaf = NULL;
    edit->record = NULL;
    if (there != NULL) {
        *there = item;
    } else {
        items_add(items, item);
    }
}

/* A plain RRset that has to be a member of a group for once. */
static struct zone_record *record_of_leaf(const struct item *item)
{
    struct zone_record *record = memory_new(sizeof *record);
    record->leaf = item->leaf;
    record->set_identifier = "";
    record->check_id = "";
    record->target_zone_id = "";
    record->type = item->type;
    record->policy = MODEL_SIMPLE;
    record->generation = item->generation;
    return record;
}

static struct zone_group *group_of_slot(const struct zone_database *database,
                                        const struct zone_node *node, uint16_t type)
{
    const struct zone_slot *slot = node != NULL ? zone_node_slot(node, type) : NULL;
    return slot != NULL && slot->group != 0 ? database->groups[slot->group] : NULL;
}

/* Fills the slot for the items of one type: a plain leaf, or a group. */
static void fill_slot(struct zone_database *database, struct zone_owner *zone,
                      struct zone_node *draft, struct zone_slot *slot, struct zone_group *group,
                      struct item *items, size_t count)
{
    slot->type = items[0].type;
    slot->generation = items[0].generation;
    if (count == 1 && items[0].leaf != NULL) {
        atomic_init(&slot->answer, items[0].leaf);
        if (group != NULL) {
            group_free(database, group);
        }
        return;
    }
    if (group == NULL) {
        group = group_new(database, zone, slot->type);
    }
    struct zone_record *first = NULL;
    struct zone_record **last = &first;
    for (size_t i = 0; i < count; i++) {
        if (items[i].record == NULL) {
            items[i].record = record_of_leaf(&items[i]);
        }
        *last = items[i].record;
        last = &items[i].record->next;
    }
    *last = NULL;
    group->node = draft;
    group_set_records(database, group, first);
    group_enqueue(database, group);
    slot->group = group->number;
    atomic_init(&slot->answer, group->answer);
}

struct zone_node *draft_node(unsigned slots, const uint8_t *relative, size_t length)
{
    struct zone_node *node = memory_new(sizeof *node + slots * sizeof node->slots[0] + length);
    node->slot_count = (uint8_t)slots;
    node->name_length = (uint8_t)length;
    (void)memcpy(&node->slots[slots], relative, length);
    return node;
}

unsigned draft_node_flags(uint16_t type, size_t length)
{
    unsigned flags = type == RR_CNAME ? ZONE_NODE_CNAME : 0U;
    return flags | (type == RR_NS && length != 0 ? ZONE_NODE_CUT : 0U);
}

static struct zone_node *assemble(struct zone_database *database, struct zone_owner *zone,
                                  const struct zone_pending *pending, const struct zone_node *old,
                                  struct items *items)
{
    unsigned types = 0;
    for (size_t i = 0; i < items->count; i++) {
        types += i == 0 || items->list[i].type != items->list[i - 1].type ? 1U : 0U;
    }
    assert(types <= UINT8_MAX);
    size_t length = pending->length - zone->zone.apex_length;
    struct zone_node *draft = draft_node(types, pending->wire, length);
    unsigned flags = 0;
    size_t at = 0;
    for (unsigned i = 0; i < types; i++) {
        size_t end = at + 1;
        while (end < items->count && items->list[end].type == items->list[at].type) {
            end++;
        }
        uint16_t type = items->list[at].type;
        struct zone_group *group = group_of_slot(database, old, type);
        fill_slot(database, zone, draft, &draft->slots[i], group, &items->list[at], end - at);
        /* The group is gone where a plain leaf took its place. */
        bool kept = group != NULL && draft->slots[i].group != 0;
        if (kept && group->derived != NULL) {
            /* Readers get what the group derived, signed under its own name. */
            atomic_init(&draft->slots[i].answer, zone_slot_answer(zone_node_slot(old, type)));
        }
        flags |= draft_node_flags(type, length);
        at = end;
    }
    atomic_init(&draft->flags, (uint8_t)flags);
    /* Types that are gone. */
    for (unsigned i = 0; old != NULL && i < old->slot_count; i++) {
        struct zone_group *group = group_of_slot(database, old, old->slots[i].type);
        if (group != NULL && zone_node_slot(draft, old->slots[i].type) == NULL) {
            group_free(database, group);
        }
    }
    return draft;
}

/* A plain RRset put again as it is (a reload does that for every record): nothing to build. */
static bool unchanged(const struct zone_pending *pending, struct zone_node *old)
{
    struct zone_edit *edit = pending->first;
    assert(edit != NULL); /* a name is pending because it has edits */
    if (old == NULL || edit->next != NULL || edit->kind != EDIT_PUT || edit->leaf == NULL) {
        return false;
    }
    for (unsigned i = 0; i < old->slot_count; i++) {
        struct zone_slot *slot = &old->slots[i];
        const struct zone_answer *there = zone_slot_answer(slot);
        if (slot->type == edit->type && slot->group == 0 && there->size == edit->leaf->size &&
            memcmp(zone_leaf(there)->rrs, zone_leaf(edit->leaf)->rrs, there->size) == 0) {
            slot->generation = edit->generation;
            return true;
        }
    }
    return false;
}

static void draft_name(struct zone_database *database, struct zone_owner *zone,
                       struct zone_pending *pending)
{
    struct zone_name name;
    size_t read = zone_name_read(&name, &database->set, pending->wire, pending->length);
    assert(read == pending->length);
    (void)read; /* edits have valid names */
    struct zone_node *old = zone_find_for_owner(&zone->zone, &name, 0);
    for (struct zone_edit *edit = pending->first; edit != NULL; edit = edit->next) {
        if (edit->type == RR_SOA && pending->length == zone->zone.apex_length) {
            journal_adopt_soa(database, zone, edit->leaf);
        }
    }
    if (unchanged(pending, old)) {
        return;
    }
    struct items items = {0};
    if (old != NULL) {
        items_of_node(database, old, &items);
    }
    for (struct zone_edit *edit = pending->first; edit != NULL; edit = edit->next) {
        apply_edit(database, &items, edit);
    }
    pending->draft = assemble(database, zone, pending, old, &items);
    free(items.list);
    if (zone->signer != NULL) {
        const uint8_t *relative = zone_node_name(pending->draft);
        (void)signer_node(
            database, zone, pending->draft,
            signer_authoritative(database, zone, relative, pending->draft->name_length));
    }
    for (const struct zone_edit *edit = pending->first; edit != NULL; edit = edit->next) {
        target_touch(database, zone, pending->wire, pending->length - zone->zone.apex_length,
                     edit->type);
    }
}

void draft_build(struct zone_database *database, struct zone_owner *zone)
{
    size_t left = zone->signer != NULL ? SIGNED_BATCH : SIZE_MAX;
    struct zone_pending *pending = zone->batch;
    for (; pending != NULL && left > 0; pending = pending->next, left--) {
        if (name_is_under(pending->wire, zone->zone.apex)) {
            draft_name(database, zone, pending);
        }
    }
    zone->batch_end = pending;
}

/* ---- making visible ---- */

struct hash_context {
    const struct zone_database *database;
    const struct zone_owner *zone;
};

static uint64_t node_hash(const void *object, const void *context)
{
    const struct zone_node *node = object;
    const struct hash_context *c = context;
    uint8_t wire[NAME_WIRE_LIMIT];
    size_t length = (size_t)node->name_length + c->zone->zone.apex_length;
    assert(length <= sizeof wire);
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, c->zone->zone.apex, c->zone->zone.apex_length);
    struct zone_name name;
    size_t read = zone_name_read(&name, &c->database->set, wire, length);
    assert(read == length);
    (void)read; /* nodes have valid names */
    return name.hash[0];
}

struct zone_table *draft_names_with_room(struct zone_database *database, struct zone_owner *zone,
                                         size_t more)
{
    struct zone_table *names = SNAPSHOT_LOAD(&zone->zone.names);
    if (!zone_table_has_room(names, more)) {
        struct hash_context context = {database, zone};
        /* Slack, so that a table of many tombstones is not rebuilt at every insertion. */
        struct zone_table *grown =
            zone_table_grown(names, MAX(more, names->live / 8 + 2), node_hash, &context);
        database_retire(database, SNAPSHOT_PUBLISH(&zone->zone.names, grown));
        names = grown;
        if (zone->signer != NULL) {
            zone->signer->walk_at = 0;
        }
    }
    return names;
}

void draft_set_flag(struct zone_node *node, enum zone_node_flag flag, bool on)
{
    unsigned flags = atomic_load_explicit(&node->flags, memory_order_relaxed);
    flags = on ? flags | (unsigned)flag : flags & ~(unsigned)flag;
    atomic_store_explicit(&node->flags, (uint8_t)flags, memory_order_release);
}

static bool is_star(const struct zone_name *name, unsigned label)
{
    const uint8_t *at = name->wire + name->offset[label];
    return at[0] == 1 && at[1] == '*';
}

void draft_adopt(struct zone_database *database, struct zone_owner *zone,
                 const struct zone_name *name, unsigned label)
{
    while (name->labels - label > zone->zone.labels) {
        unsigned above = label + 1;
        struct zone_node *parent = zone_find_for_owner(&zone->zone, name, above);
        bool made = parent == NULL;
        if (made) {
            size_t length = (size_t)name->length - name->offset[above] - zone->zone.apex_length;
            parent = draft_node(0, name->wire + name->offset[above], length);
        }
        parent->children++;
        if (is_star(name, label)) {
            draft_set_flag(parent, ZONE_NODE_WILDCARD, true);
        }
        if (!made) {
            return;
        }
        zone_table_insert(draft_names_with_room(database, zone, 1), name->hash[above], parent);
        label = above;
    }
}

/* The name at `label` has ceased to exist: so do empty non-terminals that stood for it alone. */
static void disown(struct zone_database *database, struct zone_owner *zone,
                   const struct zone_name *name, unsigned label)
{
    while (name->labels - label > zone->zone.labels) {
        unsigned above = label + 1;
        struct zone_node *parent = zone_find_for_owner(&zone->zone, name, above);
        assert(parent != NULL && parent->children != 0);
        parent->children--;
        if (is_star(name, label)) {
            draft_set_flag(parent, ZONE_NODE_WILDCARD, false);
        }
        if (parent->children != 0 || parent->slot_count != 0 || parent->name_length == 0) {
            return;
        }
        zone_table_remove(SNAPSHOT_LOAD(&zone->zone.names), name->hash[above], parent);
        database_retire(database, parent);
        label = above;
    }
}

static bool is_cut(const struct zone_node *node)
{
    return node != NULL && zone_node_has(node, ZONE_NODE_CUT);
}

void owner_set_negative(struct zone_database *database, struct zone_owner *zone,
                        const struct zone_node *apex)
{
    const struct zone_slot *soa = zone_node_slot(apex, RR_SOA);
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } old;
    struct zone_answer *fresh = leaf_negative(soa != NULL ? zone_slot_answer(soa) : NULL,
                                              (size_t)ZONE_RR_FIXED + SIGN_RRSIG_FIXED +
                                                  zone->zone.apex_length + SIGN_SIGNATURE_SIZE);
    old.borrowed = SNAPSHOT_PUBLISH(&zone->zone.negative, fresh);
    database_retire(database, old.owned);
}

static void apply_name(struct zone_database *database, struct zone_owner *zone,
                       const struct zone_pending *pending)
{
    struct zone_name name;
    size_t read = zone_name_read(&name, &database->set, pending->wire, pending->length);
    assert(read == pending->length);
    (void)read; /* edits have valid names */
    struct zone_node *draft = pending->draft;
    struct zone_node *old = zone_find_for_owner(&zone->zone, &name, 0);
    struct zone_table *names = SNAPSHOT_LOAD(&zone->zone.names);
    struct denial_change change = {0};
    if (zone->signer != NULL) {
        denial_prepare(database, zone, pending->wire, pending->length - zone->zone.apex_length,
                       draft, &change);
        denial_begin(zone->signer);
    }
    journal_touch_node(database, zone, old);
    journal_touch_node(database, zone, draft);
    uint32_t cuts = is_cut(draft) ? 1 : 0;
    uint32_t cuts_before = is_cut(old) ? 1 : 0;
    /* Readers look for delegations while there are any: count before one shows, after one goes. */
    (void)atomic_fetch_add_explicit(&zone->zone.cuts, cuts, memory_order_acq_rel);
    if (old != NULL) {
        draft->children = old->children;
        draft_set_flag(draft, ZONE_NODE_WILDCARD, zone_node_has(old, ZONE_NODE_WILDCARD));
    }
    if (draft->slot_count == 0 && draft->children == 0 && draft->name_length != 0) {
        if (old != NULL) {
            zone_table_remove(names, name.hash[0], old);
            disown(database, zone, &name, 0);
        }
        free(draft);
    } else if (old != NULL) {
        zone_table_replace(names, name.hash[0], old, draft);
        if (draft->name_length == 0) {
            owner_set_negative(database, zone, draft);
        }
    } else {
        zone_table_insert(draft_names_with_room(database, zone, 1), name.hash[0], draft);
        draft_adopt(database, zone, &name, 0);
    }
    (void)atomic_fetch_sub_explicit(&zone->zone.cuts, cuts_before, memory_order_acq_rel);
    if (zone->signer != NULL) {
        denial_apply(database, zone, &change);
        denial_end(zone->signer);
    }
    database_retire(database, old);
}

void draft_apply(struct zone_database *database, struct zone_owner *zone)
{
    if (zone->pending != NULL && zone->batch == zone->pending_first) {
        (void)draft_names_with_room(database, zone,
                                    zone->pending->live); /* once, not by doubling */
    }
    const struct zone_pending *ahead = zone->batch;
    for (unsigned i = 0; i < APPLY_AHEAD && ahead != zone->batch_end; i++) {
        ahead = ahead->next;
    }
    for (; zone->batch != zone->batch_end; zone->batch = zone->batch->next) {
        if (ahead != zone->batch_end) {
            const struct zone_table *names = SNAPSHOT_LOAD(&zone->zone.names);
            PREFETCH(&names->entries[ahead->hash & names->mask]);
            ahead = ahead->next;
        }
        if (zone->batch->draft != NULL) {
            apply_name(database, zone, zone->batch);
            zone->batch->draft = NULL;
        }
    }
    if (zone->batch == NULL) {
        owner_drop_edits(database, zone);
    }
}

void draft_discard_node(struct zone_database *database, struct zone_node *take_node)
{
    struct items items = {0};
    items_of_node(database, take_node, &items);
    for (size_t i = 0; i < items.count; i++) {
        drop_item(database, &items.list[i]);
    }
    free(items.list);
    for (unsigned i = 0; i < take_node->slot_count; i++) {
        if (take_node->slots[i].group != 0) {
            group_free(database, database->groups[take_node->slots[i].group]);
        }
    }
    database_retire(database, take_node);
}
