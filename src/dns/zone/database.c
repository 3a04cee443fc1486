/* The zone database's public face: see database.h. Called by the compiler thread in daemon, which
 * owns it, and by TestDNSAnswer's and the DNS workers' readers through zone_database_readers.
 *
 * A publish has four steps: draft every changed name; decide every group the change touches; swap
 * slots and put drafts in place; link zones. What was replaced is freed after a grace period, as
 * one batch. Invariant: between calls nothing is drafted or changed; what bulk.c queued waits for
 * the publish that follows. */
#include "dns/zone/database.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "dns/zone/internal.h"
#include "dns/zone/journal.h"
#include "dns/zone/signature.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define TRIM_EDITS 50000U               /* names changed by one publish */
#define NAMES_AHEAD 4000000             /* of a new zone: there is room for so many at the start */
#define SIGN_AT_ONCE 1000U              /* names of a new zone that are signed before it is shown */
#define JOURNAL_PAUSE_NS TIME_S         /* between serials that move for new signatures alone */
#define JOURNAL_RETRY_NS (20 * TIME_MS) /* a serial waits until it may be served */

uint64_t database_hash(const struct zone_database *database, const void *key, size_t length)
{
    return hash_bytes(&database->key, key, length);
}

struct zone_database *zone_database_new(void)
{
    struct zone_database *database = memory_new(sizeof *database);
    random_bytes(&database->key, sizeof database->key);
    random_bytes(&database->set.hash_seed, sizeof database->set.hash_seed);
    random_bytes(&database->set.hash_factor, sizeof database->set.hash_factor);
    database->set.hash_factor |= 1U; /* odd: multiplying loses nothing */
    (void)SNAPSHOT_PUBLISH(&database->set.zones, zone_table_new(1)); /* there was none */
    database->by_id = zone_table_new(1);
    database->by_apex = zone_table_new(1);
    database->subjects = zone_table_new(1);
    database->group_capacity = 1;
    database->group_count = 1;
    database->groups = memory_array(1, sizeof(struct zone_group *));
    database->queue_last = &database->queue_first;
    database->waiting_last = &database->waiting;
    database->flips_last = &database->flips;
    database->clock = wall_now;
    return database;
}

void zone_database_set_regions(struct zone_database *database, const struct model_region *regions,
                               size_t count)
{
    database->regions = regions;
    database->region_count = count;
}

struct zone_set *zone_database_readers(struct zone_database *database)
{
    return &database->set;
}

/* ---- retiring ---- */

struct batch {
    size_t count;
    void *memory[];
};

static void free_batch(void *object)
{
    struct batch *batch = object;
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->memory[i]);
    }
    free(batch);
}

void database_retire(struct zone_database *database, void *take_memory)
{
    if (take_memory == NULL) {
        return;
    }
    if (database->retired_count == database->retired_capacity) {
        database->retired_capacity = database->retired_capacity * 2 + 64;
        database->retired =
            memory_resize(database->retired, database->retired_capacity, sizeof(void *));
    }
    database->retired[database->retired_count++] = take_memory;
}

/* Not while a change of health is shown piece by piece: aliases whose turn has not come are still
 * answered by the mix that their target had. */
static void flush_retired(struct zone_database *database)
{
    if (database->retired_count == 0 || database->flips != NULL) {
        return;
    }
    size_t size = database->retired_count * sizeof(void *);
    struct batch *batch = memory_new(sizeof *batch + size);
    batch->count = database->retired_count;
    (void)memcpy(batch->memory, database->retired, size);
    free(database->retired);
    database->retired = NULL;
    database->retired_count = 0;
    database->retired_capacity = 0;
    snapshot_retire(batch, free_batch);
}

/* ---- putting and deleting ---- */

void zone_database_put_zone(struct zone_database *database, const struct model_zone *zone)
{
    uint8_t apex[NAME_WIRE_LIMIT];
    int length = name_from_text(zone->name, true, apex);
    if (length < 0) {
        return; /* refused before it was stored: such a zone cannot be asked for */
    }
    struct zone_owner *owner = owner_get(database, zone->id);
    owner->generation = database->generation;
    if (owner->known) {
        return; /* a zone's name and age never change */
    }
    owner->created_revision = zone->created_revision;
    int64_t names = MIN(MAX(zone->record_count, 1), NAMES_AHEAD); /* a hint, no more */
    owner_name(database, owner, apex, (size_t)length, (size_t)names);
    owner_mark_dirty(database, owner);
}

void zone_database_delete_zone(struct zone_database *database, const char *zone_id)
{
    struct zone_owner *zone = owner_find(database, zone_id);
    if (zone == NULL) {
        return;
    }
    zone_table_remove(database->by_id, database_hash(database, zone_id, strlen(zone_id)), zone);
    owner_drop_edits(database, zone);
    zone->doomed = true;
    owner_mark_dirty(database, zone);
}

bool put_is_plain(const struct model_record_set *record)
{
    return record->policy == MODEL_SIMPLE && record->alias == NULL &&
           record->health_check_id[0] == '\0' && record->set_identifier[0] == '\0';
}

struct zone_put {
    struct zone_answer *leaf;
    struct zone_record *record;
    const char *zone_id;
    const char *set_identifier;
    uint16_t type;
    uint16_t length;
    uint8_t wire[];
};

int zone_put_new(const struct model_record_set *record, struct arena *arena,
                 struct zone_put **ret_put, struct err *err)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(record->name, true, wire);
    if (length < 0) {
        return err_set(err, ERR_INVALID, "record in zone %s: %s is no name", record->zone_id,
                       record->name);
    }
    struct zone_answer *leaf = NULL;
    struct zone_record *made = NULL;
    int r =
        put_is_plain(record) ? leaf_compile(record, &leaf, err) : record_new(record, &made, err);
    if (r < 0) {
        return r;
    }
    struct zone_put *put = arena_alloc(arena, sizeof *put + (size_t)length);
    *put = (struct zone_put){.leaf = leaf,
                             .record = made,
                             .zone_id = arena_strdup(arena, record->zone_id),
                             .set_identifier = arena_strdup(arena, record->set_identifier),
                             .type = record->type,
                             .length = (uint16_t)length};
    (void)memcpy(put->wire, wire, (size_t)length);
    *ret_put = put;
    return 0;
}

void zone_database_put(struct zone_database *database, struct zone_put *take_put)
{
    struct zone_put *put = take_put;
    assert(put != NULL);
    struct zone_owner *zone = owner_get(database, put->zone_id);
    struct zone_edit *edit =
        owner_edit(database, zone, put->wire, put->length, put->set_identifier);
    edit->kind = EDIT_PUT;
    edit->type = put->type;
    edit->leaf = put->leaf;
    edit->record = put->record;
    if (put->record != NULL && put->record->where != NULL) {
        where_resolve(database, put->record->where);
    }
}

int zone_database_put_record(struct zone_database *database, const struct model_record_set *record,
                             struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct zone_put *put = NULL;
    arena_init(&arena, 0);
    int rc = zone_put_new(record, &arena, &put, err);
    if (rc == 0) {
        zone_database_put(database, put);
    }
    return rc;
}

static void delete_edit(struct zone_database *database, struct zone_owner *zone,
                        const uint8_t *wire, size_t length, uint16_t type,
                        const char *set_identifier)
{
    struct zone_edit *edit = owner_edit(database, zone, wire, length, set_identifier);
    edit->kind = EDIT_DELETE;
    edit->type = type;
}

void zone_database_delete_record(struct zone_database *database, const char *zone_id,
                                 const char *name, uint16_t type, const char *set_identifier)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(name, true, wire);
    struct zone_owner *zone = owner_find(database, zone_id);
    if (length >= 0 && zone != NULL) {
        delete_edit(database, zone, wire, (size_t)length, type, set_identifier);
    }
}

/* ---- signing ---- */

static bool same_keys(const struct zone_owner *zone, const struct zone_signing *signing)
{
    bool same = zone->signing_count == signing->count && zone->signing_silent == signing->silent;
    for (size_t i = 0; same && i < signing->count; i++) {
        uint8_t there[SIGN_DNSKEY_SIZE];
        uint8_t fresh[SIGN_DNSKEY_SIZE];
        same = sign_key_rdata(zone->signing[i], there) == sign_key_rdata(signing->keys[i], fresh) &&
               memcmp(there, fresh, sizeof there) == 0;
    }
    return same;
}

static void drop_signing(struct zone_owner *zone)
{
    for (size_t i = 0; i < zone->signing_count; i++) {
        sign_key_unref(zone->signing[i]);
    }
    free(zone->signing);
    zone->signing = NULL;
    zone->signing_count = 0;
}

void zone_database_set_signing(struct zone_database *database, const char *zone_id,
                               const struct zone_signing *signing)
{
    static const struct zone_signing none = {0};
    signing = signing != NULL ? signing : &none;
    struct zone_owner *zone =
        signing->count != 0 ? owner_get(database, zone_id) : owner_find(database, zone_id);
    if (zone == NULL || same_keys(zone, signing)) {
        return;
    }
    drop_signing(zone);
    if (signing->count != 0) {
        zone->signing = memory_array(signing->count, sizeof(struct sign_key *));
    }
    for (size_t i = 0; i < signing->count; i++) {
        zone->signing[i] = sign_key_ref(signing->keys[i]);
    }
    zone->signing_count = signing->count;
    zone->signing_silent = signing->silent;
    zone->signing_changed = true;
    owner_mark_dirty(database, zone);
}

void zone_database_set_interrupt(struct zone_database *database, void (*interrupt)(void *context),
                                 void *context)
{
    database->interrupt = interrupt;
    database->interrupt_context = context;
}

int64_t zone_database_refresh(struct zone_database *database, struct wall now)
{
    database->now = now;
    bool more = late_show(database);
    int64_t wait = more ? 0 : signer_refresh(database);
    if (wait != 0 && late_sign(database)) {
        wait = 0;
    }
    group_decide_all(database);
    (void)group_commit(database); /* the count is of no use here */
    int64_t since = now.ns - database->journal_ns;
    if (wait != 0 || since < 0 || since >= JOURNAL_PAUSE_NS) {
        database->journal_ns = now.ns; /* signatures that are made anew may follow a little later */
        journal_publish(database);
    }
    flush_retired(database);
    return database->touched != NULL ? MIN(wait, JOURNAL_RETRY_NS) : wait;
}

/* ---- transfers ---- */

void zone_database_set_transfers(struct zone_database *database, const char *zone_id, bool allowed)
{
    struct zone_owner *zone =
        allowed ? owner_get(database, zone_id) : owner_find(database, zone_id);
    if (zone == NULL || zone->transfers == allowed) {
        return;
    }
    zone->transfers = allowed;
    owner_mark_dirty(database, zone);
}

void zone_database_keep_serials(struct zone_database *database, const struct zone_serials *serials)
{
    database->serials = *serials;
}

/* ---- reloading ---- */

void zone_database_mark(struct zone_database *database)
{
    database->generation++;
    database->nothing_old = database->by_id->live == 0;
    database->loading = true;
}

/* True when the name has an edit of this generation that puts that record. */
static bool put_again(const struct zone_database *database, const struct zone_pending *pending,
                      uint16_t type, const char *set_identifier)
{
    for (const struct zone_edit *edit = pending != NULL ? pending->first : NULL; edit != NULL;
         edit = edit->next) {
        if (edit->kind == EDIT_PUT && edit->generation == database->generation &&
            edit->type == type && text_equal(edit->set_identifier, set_identifier)) {
            return true;
        }
    }
    return false;
}

struct sweep {
    struct zone_database *database;
    struct zone_owner *zone;
    char **doomed; /* ids of zones */
    size_t doomed_count;
};

static void sweep_node(void *object, void *context)
{
    const struct zone_node *node = object;
    const struct sweep *sweep = context;
    struct zone_database *database = sweep->database;
    const struct zone *zone = &sweep->zone->zone;
    uint8_t wire[NAME_WIRE_LIMIT];
    size_t length = (size_t)node->name_length + zone->apex_length;
    assert(length <= sizeof wire);
    (void)memcpy(wire, zone_node_name(node), node->name_length);
    (void)memcpy(wire + node->name_length, zone->apex, zone->apex_length);
    const struct zone_pending *pending = owner_pending(database, sweep->zone, wire);
    for (unsigned i = 0; i < node->slot_count; i++) {
        const struct zone_slot *slot = &node->slots[i];
        if (slot->group == 0) {
            if (slot->generation != database->generation &&
                !put_again(database, pending, slot->type, "")) {
                delete_edit(database, sweep->zone, wire, length, slot->type, "");
            }
            continue;
        }
        for (const struct zone_record *record = database->groups[slot->group]->records;
             record != NULL; record = record->next) {
            if (record->generation != database->generation &&
                !put_again(database, pending, slot->type, record->set_identifier)) {
                delete_edit(database, sweep->zone, wire, length, slot->type,
                            record->set_identifier);
            }
        }
    }
}

static void sweep_zone(void *object, void *context)
{
    struct sweep *sweep = context;
    struct zone_database *database = sweep->database;
    struct zone_owner *zone = object;
    if (zone->known && zone->generation != database->generation) {
        sweep->doomed = memory_resize(sweep->doomed, sweep->doomed_count + 1, sizeof(char *));
        sweep->doomed[sweep->doomed_count++] = zone->id;
        return;
    }
    sweep->zone = zone;
    /* Puts of before the mark that were never published. */
    for (struct zone_pending *pending = zone->pending_first; pending != NULL;
         pending = pending->next) {
        for (struct zone_edit *edit = pending->first; edit != NULL; edit = edit->next) {
            if (edit->kind == EDIT_PUT && edit->generation != database->generation &&
                !put_again(database, pending, edit->type, edit->set_identifier)) {
                delete_edit(database, zone, pending->wire, pending->length, edit->type,
                            edit->set_identifier);
            }
        }
    }
    if (zone->known) {
        zone_table_each(SNAPSHOT_LOAD(&zone->zone.names), sweep_node, sweep);
    }
}

static void release(void *object, void *context)
{
    struct zone_owner *zone = object;
    if (zone->held) {
        zone->held = false;
        owner_mark_dirty(context, zone);
    }
}

void zone_database_sweep(struct zone_database *database)
{
    struct sweep sweep = {.database = database};
    database->loading = false;
    zone_table_each(database->by_id, release, database);
    if (database->nothing_old) {
        return; /* the first load: all there is came after the mark */
    }
    zone_table_each(database->by_id, sweep_zone, &sweep);
    for (size_t i = 0; i < sweep.doomed_count; i++) {
        zone_database_delete_zone(database, sweep.doomed[i]);
    }
    free(sweep.doomed);
    collections_sweep(database);
}

/* ---- publishing ---- */

struct touch {
    struct zone_database *database;
    const struct zone_owner *zone;
};

/* Aliases whose target may be found elsewhere now. */
static void touch_subject(void *object, void *context)
{
    const struct zone_subject *subject = object;
    const struct touch *touch = context;
    if (subject->kind != SUBJECT_TARGET) {
        return;
    }
    bool under = name_is_under(subject->key, touch->zone->zone.apex);
    for (struct zone_edge *edge = subject->edges; edge != NULL; edge = edge->next) {
        const struct zone_record *record = CONTAINER_OF(edge, struct zone_record, target);
        if (under || strcmp(record->target_zone_id, touch->zone->id) == 0) {
            group_enqueue(touch->database, edge->group);
        }
    }
}

static void discard_node(void *object, void *context)
{
    draft_discard_node(context, object);
}

static uint64_t served_hash(const void *object, const void *context)
{
    (void)context; /* the hash is kept */
    return ((const struct zone_owner *)object)->apex_hash;
}

static void count_depth(struct zone_database *database, unsigned labels, bool more)
{
    size_t *count = &database->depth_count[labels];
    *count = more ? *count + 1 : *count - 1;
    _Atomic uint64_t *bits = &database->set.depths[labels / 64];
    uint64_t bit = UINT64_C(1) << labels % 64;
    uint64_t now = atomic_load_explicit(bits, memory_order_relaxed);
    atomic_store_explicit(bits, *count != 0 ? now | bit : now & ~bit, memory_order_release);
}

/* Readers find the zone that is served for this apex from now on, which may be none. */
static void serve(struct zone_database *database, struct zone_owner *zone)
{
    struct zone_owner *fresh = owner_served(database, zone);
    struct zone_table *zones = SNAPSHOT_LOAD(&database->set.zones);
    struct zone_owner *old = owner_visible(database, zone);
    if (fresh != NULL && fresh->held) { /* the one before it is served meanwhile */
        fresh = old != zone || !zone->doomed ? old : NULL;
    }
    if (fresh == old) {
        return;
    }
    if (old == NULL) {
        if (!zone_table_has_room(zones, 1)) {
            struct zone_table *grown = zone_table_grown(zones, zones->live + 1, served_hash, NULL);
            database_retire(database, SNAPSHOT_PUBLISH(&database->set.zones, grown));
            zones = grown;
        }
        zone_table_insert(zones, zone->apex_hash, fresh);
        count_depth(database, zone->zone.labels, true);
    } else if (fresh == NULL) {
        zone_table_remove(zones, zone->apex_hash, old);
        count_depth(database, zone->zone.labels, false);
    } else {
        zone_table_replace(zones, zone->apex_hash, old, fresh);
    }
    if (fresh != NULL) {
        journal_announce(database, fresh);
    }
}

/* First step: what the change asks for, without showing any of it. */
static void prepare(struct zone_database *database, struct zone_owner *zone)
{
    if (zone->doomed ? zone->linked : zone->known && !zone->linked) {
        struct touch touch = {database, zone};
        if (zone->doomed) {
            owner_unlink(database, zone);
        } else {
            owner_link(database, zone);
        }
        if (database->target_count != 0) {
            zone_table_each(database->subjects, touch_subject, &touch);
        }
    }
    zone->held = database->loading && !zone->doomed && owner_visible(database, zone) != zone;
    if (zone->doomed && zone->known) {
        zone_table_each(SNAPSHOT_LOAD(&zone->zone.names), discard_node, database);
    } else if (zone->known) {
        zone->batch = zone->pending_first;
        draft_build(database, zone);
    }
}

/* Decides what is drafted, and shows it. True when a signed zone has more names to come. */
static bool show_drafts(struct zone_database *database)
{
    bool more = false;
    group_decide_all(database);
    (void)group_commit(database); /* the count is of no use here */
    for (struct zone_owner *zone = database->dirty; zone != NULL; zone = zone->next_dirty) {
        if (zone->known && !zone->doomed) {
            draft_apply(database, zone);
            more = more || zone->batch != NULL;
        }
    }
    group_decide_all(database); /* what a delegation that went has uncovered */
    (void)group_commit(database);
    return more;
}

/* Between two batches nothing is drafted: whoever has changes of health puts them in. */
static void draft_more(struct zone_database *database, bool interrupt)
{
    if (interrupt && database->interrupt != NULL) {
        database->interrupt(database->interrupt_context);
    }
    for (struct zone_owner *zone = database->dirty; zone != NULL; zone = zone->next_dirty) {
        if (zone->known && !zone->doomed && zone->batch != NULL) {
            draft_build(database, zone);
        }
    }
}

static void retire_zone(struct zone_database *database, struct zone_owner *take_zone)
{
    signer_close(database, take_zone);
    drop_signing(take_zone);
    journal_close(database, take_zone);
    union {
        const struct zone_answer *borrowed;
        struct zone_answer *owned;
    } negative = {.borrowed = SNAPSHOT_LOAD(&take_zone->zone.negative)};
    database_retire(database, negative.owned);
    database_retire(database, SNAPSHOT_LOAD(&take_zone->zone.names));
    number_give(&database->numbers, take_zone->zone.number);
    free(take_zone->pending);
    arena_done(&take_zone->arena);
    database_retire(database, take_zone);
}

/* Gives the memory of a large change's edits back to the kernel: it lies between what stays. */
static void trim_memory(size_t edits)
{
#ifdef __GLIBC__
    if (edits >= TRIM_EDITS) {
        (void)malloc_trim(0); /* nothing to give back is fine */
    }
#else
    (void)edits; /* other allocators do it by themselves */
#endif
}

uint64_t zone_database_publications(const struct zone_database *database)
{
    return database->publications;
}

void zone_database_publish(struct zone_database *database)
{
    database->publications++;
    size_t edits = 0;
    bool doomed = false; /* then what readers still find is retired: nothing may come in between */
    collections_publish(database);
    for (struct zone_owner *zone = database->dirty; zone != NULL; zone = zone->next_dirty) {
        doomed = doomed || zone->doomed;
        edits += zone->pending != NULL ? zone->pending->live : 0;
        prepare(database, zone);
    }
    while (show_drafts(database)) {
        draft_more(database, !doomed);
    }
    while (database->dirty != NULL) {
        struct zone_owner *zone = database->dirty;
        database->dirty = zone->next_dirty;
        zone->dirty = false;
        bool shown = zone->known && !zone->held;
        if (shown && !zone->doomed) {
            signer_settle(database, zone);
            if (owner_visible(database, zone) == NULL) {
                signer_complete(database, zone, SIGN_AT_ONCE);
            }
        }
        if (shown) {
            journal_settle(database, zone); /* its serial is what is seen first */
            serve(database, zone);
        }
        if (zone->doomed) {
            retire_zone(database, zone);
        }
    }
    journal_publish(database);
    flush_retired(database);
    trim_memory(edits);
}

/* ---- health ---- */

/* The unhealthy ones of a table, in its order: they are few on a good day. */
static void keep_down(struct zone_database *database, const struct model_status *status)
{
    size_t count = 0;
    for (size_t i = 0; status != NULL && i < status->count; i++) {
        count += status->entries[i].healthy ? 0U : 1U;
    }
    database->down = NULL;
    database->down_count = 0;
    if (count == 0) {
        return;
    }
    database->down = memory_array(count, sizeof database->down[0]);
    for (size_t i = 0; i < status->count; i++) {
        const struct model_status_entry *entry = &status->entries[i];
        struct zone_down *down = &database->down[database->down_count];
        if (!entry->healthy && text_copy(down->id, sizeof down->id, entry->check_id) == 0) {
            down->since = entry->since;
            database->down_count++;
        }
    }
}

static void update_check(struct zone_database *database, const char *check_id, bool healthy)
{
    assert(check_id != NULL);
    struct zone_subject *subject =
        subject_find(database, SUBJECT_CHECK, check_id, strlen(check_id), 0);
    if (subject != NULL && subject->healthy != healthy) {
        subject->healthy = healthy;
        subject_touch(database, subject);
    }
}

/* Both lists are in order: what is in one alone has changed, and nothing else is looked at. */
static void update_changed(struct zone_database *database, const struct zone_down *old,
                           size_t old_count)
{
    const struct zone_down *fresh = database->down;
    const struct zone_down *old_end = old != NULL ? old + old_count : NULL;
    const struct zone_down *fresh_end = fresh != NULL ? fresh + database->down_count : NULL;
    while (old != old_end || fresh != fresh_end) {
        int order = old == old_end ? 1 : fresh == fresh_end ? -1 : strcmp(old->id, fresh->id);
        if (order < 0) {
            update_check(database, old->id, true);
        } else if (order > 0) {
            update_check(database, fresh->id, false);
        }
        old = order <= 0 ? old + 1 : old; /* either may be NULL, to which nothing is added */
        fresh = order >= 0 ? fresh + 1 : fresh;
    }
}

/* The journals follow when all is shown: the serial moves once for one change of health. */
static size_t end_piece(struct zone_database *database, bool take, size_t *ret_left)
{
    size_t count = flip_piece(database, take);
    if (database->flips == NULL) {
        journal_publish(database);
    }
    flush_retired(database);
    *ret_left = database->flip_left;
    return count;
}

size_t zone_database_begin_status(struct zone_database *database, const struct model_status *status,
                                  size_t names, size_t *ret_left)
{
    struct zone_down *old = database->down;
    size_t old_count = database->down_count;
    keep_down(database, status);
    size_t left = database->flip_left;
    database->flipping = true;
    database->flip_room = names;
    update_changed(database, old, old_count);
    database->flipping = false;
    free(old);
    /* What waits from before has its own turns, unless nothing may. */
    return end_piece(database, database->flip_left > left || names == SIZE_MAX, ret_left);
}

size_t zone_database_continue_status(struct zone_database *database, size_t names, size_t *ret_left)
{
    database->flip_room = names;
    return end_piece(database, true, ret_left);
}

size_t zone_database_set_status(struct zone_database *database, const struct model_status *status)
{
    size_t left = 0;
    return zone_database_begin_status(database, status, SIZE_MAX, &left);
}

/* ---- the end ---- */

static void doom_zone(void *object, void *context)
{
    struct zone_database *database = context;
    struct zone_owner *zone = object;
    owner_drop_edits(database, zone);
    zone->doomed = true;
    owner_mark_dirty(database, zone);
}

void zone_database_free(struct zone_database *take_database)
{
    if (take_database == NULL) {
        return;
    }
    zone_table_each(take_database->by_id, doom_zone, take_database);
    zone_database_publish(take_database);
    late_drop(take_database);
    collections_free(take_database);
    free(take_database->by_id);
    free(take_database->by_apex);
    free(take_database->subjects);
    free(SNAPSHOT_LOAD(&take_database->set.zones));
    free(take_database->groups);
    free(take_database->free_numbers);
    free(take_database->down);
    free(take_database->candidates);
    free(take_database->sources);
    free(take_database->choices);
    free(take_database->shares);
    free(take_database->retired);
    free(take_database);
}
