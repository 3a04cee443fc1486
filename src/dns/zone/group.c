/* Groups of routed records: who depends on which check or alias target, and deciding anew what a
 * change touches. Called by database.c and owner.c on the owner's thread.
 *
 * Deciding goes round by round (first in, first out) until nothing changes, and only then are the
 * slots swapped, so that readers never see a half-decided state. Aliases may form cycles: the depth
 * of a group counts the aliases behind it and stops at ZONE_ALIAS_LIMIT, which bounds the rounds;
 * an alias at the limit has no answer and is unhealthy. */
#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "dns/zone/denial.h"
#include "dns/zone/internal.h"
#include "dns/zone/signature.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- subjects and edges ---- */

struct subject_key {
    enum subject_kind kind;
    uint16_t type;
    size_t length;
    const void *key;
};

static bool same_subject(const void *object, const void *wanted)
{
    const struct zone_subject *subject = object;
    const struct subject_key *key = wanted;
    return subject->kind == key->kind && subject->type == key->type &&
           subject->key_length == key->length && memcmp(subject->key, key->key, key->length) == 0;
}

static uint64_t subject_hash(const void *object, const void *context)
{
    (void)context; /* the hash is kept */
    return ((const struct zone_subject *)object)->hash;
}

static struct zone_subject *find_subject(const struct zone_database *database,
                                         const struct subject_key *key, uint64_t *ret_hash)
{
    *ret_hash = database_hash(database, key->key, key->length) + key->type;
    return zone_table_find(database->subjects, *ret_hash, same_subject, key);
}

struct zone_subject *subject_find(const struct zone_database *database, enum subject_kind kind,
                                  const void *key, size_t length, uint16_t type)
{
    struct subject_key wanted = {.kind = kind, .type = type, .length = length, .key = key};
    uint64_t hash = 0;
    return find_subject(database, &wanted, &hash);
}

void edge_connect(struct zone_database *database, struct zone_edge *edge, struct zone_group *group,
                  enum subject_kind kind, const void *key, size_t length, uint16_t type)
{
    struct subject_key wanted = {.kind = kind, .type = type, .length = length, .key = key};
    uint64_t hash = 0;
    struct zone_subject *subject = find_subject(database, &wanted, &hash);
    if (subject == NULL) {
        subject = memory_new(sizeof *subject + length + 1);
        subject->hash = hash;
        subject->kind = kind;
        subject->type = type;
        subject->key_length = length;
        (void)memcpy(subject->key, key, length);
        if (kind == SUBJECT_CHECK) {
            subject->healthy = check_is_healthy(database, (const char *)subject->key, NULL);
        } else if (kind == SUBJECT_TARGET) {
            database->target_count++;
        }
        if (!zone_table_has_room(database->subjects, 1)) {
            struct zone_table *old = database->subjects;
            database->subjects = zone_table_grown(old, old->live + 1, subject_hash, NULL);
            free(old);
        }
        zone_table_insert(database->subjects, hash, subject);
    }
    *edge = (struct zone_edge){
        .next = subject->edges, .link = &subject->edges, .group = group, .subject = subject};
    if (subject->edges != NULL) {
        subject->edges->link = &edge->next;
    }
    subject->edges = edge;
    subject->edge_count++;
}

void edge_cut(struct zone_database *database, struct zone_edge *edge)
{
    if (edge->link == NULL) {
        return;
    }
    *edge->link = edge->next;
    if (edge->next != NULL) {
        edge->next->link = edge->link;
    }
    struct zone_subject *subject = edge->subject;
    subject->edge_count--;
    if (subject->flip_next == edge) {
        subject->flip_next = edge->next;
    }
    if (subject->edges == NULL) {
        flip_forget(database, subject);
        zone_table_remove(database->subjects, subject->hash, subject);
        database->target_count -= subject->kind == SUBJECT_TARGET ? 1U : 0U;
        free(subject);
    }
    *edge = (struct zone_edge){0};
}

static int compare_down(const void *key, const void *element)
{
    return strcmp(key, ((const struct zone_down *)element)->id);
}

bool check_is_healthy(const struct zone_database *database, const char *check_id,
                      struct wall *ret_since)
{
    if (database->down_count == 0) {
        return true;
    }
    const struct zone_down *down = bsearch(check_id, database->down, database->down_count,
                                           sizeof *database->down, compare_down);
    if (down != NULL && ret_since != NULL) {
        *ret_since = down->since;
    }
    return down == NULL;
}

/* ---- records ---- */

static const char *keep_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = *at;
    (void)memcpy(kept, text, size);
    *at += size;
    return kept;
}

int record_new(const struct model_record_set *record, struct zone_record **ret_record,
               struct err *err)
{
    struct zone_answer *leaf = NULL;
    uint8_t target[NAME_WIRE_LIMIT];
    int target_length = 0;
    if (record->alias != NULL) {
        target_length = name_from_text(record->alias->name, true, target);
        if (target_length < 0) {
            return err_set(err, ERR_INVALID, "record %s in zone %s: alias target %s is no name",
                           record->name, record->zone_id, record->alias->name);
        }
    } else {
        int r = leaf_compile(record, &leaf, err);
        if (r < 0) {
            return r;
        }
    }
    const char *target_zone_id = record->alias != NULL ? record->alias->zone_id : "";
    struct zone_record *made =
        memory_new(sizeof *made + (size_t)target_length + strlen(record->set_identifier) +
                   strlen(record->health_check_id) + strlen(target_zone_id) + 3);
    char *at = (char *)(made + 1);
    if (record->alias != NULL) {
        (void)memcpy(at, target, (size_t)target_length);
        made->target_name = (const uint8_t *)at;
        at += target_length;
        made->evaluate_target = record->alias->evaluate_target_health;
    }
    made->leaf = leaf;
    made->set_identifier = keep_text(&at, record->set_identifier);
    made->check_id = keep_text(&at, record->health_check_id);
    made->target_zone_id = keep_text(&at, target_zone_id);
    made->type = record->type;
    made->policy = (uint8_t)record->policy;
    made->weight = record->weight;
    made->secondary = record->policy == MODEL_FAILOVER && record->failover == MODEL_SECONDARY;
    made->where = policy_is_map(record->policy) ? where_new(record) : NULL;
    *ret_record = made;
    return 0;
}

void record_free(struct zone_database *database, struct zone_record *take_record)
{
    if (take_record == NULL) {
        return;
    }
    edge_cut(database, &take_record->check);
    edge_cut(database, &take_record->target);
    if (take_record->where != NULL) {
        edge_cut(database, &take_record->where->collection);
        free(take_record->where);
    }
    database_retire(database, take_record->leaf);
    free(take_record);
}

/* ---- groups ---- */

struct zone_group *group_new(struct zone_database *database, struct zone_owner *zone, uint16_t type)
{
    struct zone_group *group = memory_new(sizeof *group);
    group->zone = zone;
    group->type = type;
    group->healthy = true;
    if (database->free_count != 0) {
        group->number = database->free_numbers[--database->free_count];
    } else {
        if (database->group_count == database->group_capacity) {
            database->group_capacity = database->group_capacity * 2 + 16;
            database->groups = memory_resize(database->groups, database->group_capacity,
                                             sizeof(struct zone_group *));
        }
        assert(database->group_count < UINT32_MAX);
        group->number = (uint32_t)database->group_count++;
    }
    database->groups[group->number] = group;
    return group;
}

void group_set_records(struct zone_database *database, struct zone_group *group,
                       struct zone_record *take_records)
{
    group->records = take_records;
    group->policy = MODEL_SIMPLE;
    /* A plain record beside routed ones can only be on its way out: the policy is the others'. */
    for (struct zone_record *record = take_records; record != NULL; record = record->next) {
        if (record->policy != MODEL_SIMPLE) {
            group->policy = record->policy;
            break;
        }
    }
    for (struct zone_record *record = take_records; record != NULL; record = record->next) {
        if (record->check_id[0] != '\0' && record->check.link == NULL) {
            edge_connect(database, &record->check, group, SUBJECT_CHECK, record->check_id,
                         strlen(record->check_id), 0);
        }
        if (record->target_name != NULL && record->target.link == NULL) {
            edge_connect(database, &record->target, group, SUBJECT_TARGET, record->target_name,
                         name_length(record->target_name), group->type);
        }
        struct zone_where *where = record->where;
        if (where != NULL && where->collection_id != NULL && where->collection.link == NULL) {
            edge_connect(database, &where->collection, group, SUBJECT_COLLECTION,
                         where->collection_id, strlen(where->collection_id), 0);
        }
    }
}

void group_free(struct zone_database *database, struct zone_group *take_group)
{
    assert(!take_group->changed);
    derived_free(database, take_group->derived);
    take_group->derived = NULL;
    if (database->free_count == database->free_capacity) {
        database->free_capacity = database->free_capacity * 2 + 16;
        database->free_numbers =
            memory_resize(database->free_numbers, database->free_capacity, sizeof(uint32_t));
    }
    database->free_numbers[database->free_count++] = take_group->number;
    database->groups[take_group->number] = NULL;
    database_retire(database, take_group->mix);
    take_group->dead = true;
    group_bury(take_group); /* or when its turn comes */
}

void group_bury(struct zone_group *group)
{
    if (group->dead && !group->queued && !group->waiting && !group->ahead) {
        free(group);
    }
}

void group_enqueue(struct zone_database *database, struct zone_group *group)
{
    if (!group->queued) {
        group->queued = true;
        group->next_queued = NULL;
        *database->queue_last = group;
        database->queue_last = &group->next_queued;
    }
}

void subject_touch(struct zone_database *database, struct zone_subject *subject)
{
    if (database->flipping) {
        if (subject->edge_count > database->flip_room) {
            flip_wait(database, subject, subject->kind == SUBJECT_CHECK);
            return;
        }
        database->flip_room -= subject->edge_count;
    }
    flip_forget(database, subject);
    for (struct zone_edge *edge = subject->edges; edge != NULL; edge = edge->next) {
        group_enqueue(database, edge->group);
    }
}

void target_touch(struct zone_database *database, const struct zone_owner *zone,
                  const uint8_t *relative, size_t relative_length, uint16_t type)
{
    if (database->target_count == 0) {
        return;
    }
    uint8_t wire[NAME_WIRE_LIMIT];
    assert(relative_length + zone->zone.apex_length <= sizeof wire);
    (void)memcpy(wire, relative, relative_length);
    (void)memcpy(wire + relative_length, zone->zone.apex, zone->zone.apex_length);
    struct zone_subject *subject = subject_find(database, SUBJECT_TARGET, wire,
                                                relative_length + zone->zone.apex_length, type);
    if (subject != NULL) {
        subject_touch(database, subject);
    }
}

/* ---- deciding ---- */

const struct zone_slot *target_slot(const struct zone_database *database,
                                    const struct zone_record *record)
{
    struct zone_owner *zone = owner_find(database, record->target_zone_id);
    if (zone == NULL || !zone->known) {
        /* The id of a service endpoint, or of a zone elsewhere: served from here when a zone of
         * ours holds the name. */
        zone = owner_of_name(database, record->target_name);
    }
    if (zone == NULL || !name_is_under(record->target_name, zone->zone.apex)) {
        return NULL;
    }
    const struct zone_node *node = owner_node(database, zone, record->target_name);
    return node != NULL ? zone_node_slot(node, record->type) : NULL;
}

struct zone_target target_resolve(struct zone_database *database, const struct zone_record *record)
{
    const struct zone_slot *slot = target_slot(database, record);
    if (slot == NULL) {
        return (struct zone_target){.exists = false};
    }
    if (slot->group == 0) {
        return (struct zone_target){
            .exists = true, .healthy = true, .depth = 1, .answer = zone_slot_answer(slot)};
    }
    const struct zone_group *group = database->groups[slot->group];
    unsigned depth = group->depth + 1U;
    if (depth > ZONE_ALIAS_LIMIT) {
        return (struct zone_target){.exists = true, .depth = depth};
    }
    return (struct zone_target){
        .exists = true, .healthy = group->healthy, .depth = depth, .answer = group->answer};
}

static void need_scratch(struct zone_database *database, size_t count)
{
    if (count > database->scratch) {
        database->scratch = count * 2;
        database->candidates =
            memory_resize(database->candidates, database->scratch, sizeof database->candidates[0]);
        database->sources =
            memory_resize(database->sources, database->scratch, sizeof database->sources[0]);
        database->choices =
            memory_resize(database->choices, database->scratch, sizeof(struct zone_answer *));
        database->shares =
            memory_resize(database->shares, database->scratch, sizeof database->shares[0]);
    }
}

size_t group_candidates(struct zone_database *database, struct zone_group *group,
                        unsigned *ret_depth)
{
    size_t count = 0;
    unsigned depth = 0;
    for (const struct zone_record *record = group->records; record != NULL; record = record->next) {
        if (record->policy != group->policy || count == ZONE_GROUP_LIMIT) {
            continue;
        }
        need_scratch(database, count + 1);
        bool healthy = record->check.subject == NULL || record->check.subject->healthy;
        const struct zone_answer *answer = record->leaf;
        if (record->target_name != NULL) {
            struct zone_target target = target_resolve(database, record);
            answer = target.answer;
            depth = MAX(depth, target.depth);
            healthy = healthy && (target.healthy || !record->evaluate_target) &&
                      target.depth <= ZONE_ALIAS_LIMIT;
        }
        if (record->where != NULL) {
            struct zone_map_source *source = &database->sources[count];
            *source = (struct zone_map_source){
                .answer = answer, .healthy = healthy, .spot = record->where->spot};
            if (record->where->collection_id != NULL) {
                source->spot.blocks = collection_blocks(database, record->where->collection_id);
            }
        }
        database->choices[count] = answer;
        database->candidates[count++] = (struct choose_candidate){
            .healthy = healthy,
            .failover = record->secondary ? MODEL_SECONDARY : MODEL_PRIMARY,
            .weight = record->weight};
    }
    *ret_depth = MIN(depth, ZONE_ALIAS_LIMIT);
    return count;
}

static bool same_answer(const struct zone_answer *a, const struct zone_answer *b)
{
    return a != NULL && a->kind == ZONE_MAP ? zone_map_same(a, b) : mix_same(a, b);
}

/* What the group's slot has to hold; takes a fresh mix where several are served, or where one is
 * served to some clients. */
static const struct zone_answer *compose(struct zone_database *database, struct zone_group *group,
                                         size_t count)
{
    size_t served = 0;
    size_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (database->shares[i] != 0) {
            served++;
            last = i;
        }
    }
    struct zone_answer *mix = NULL;
    enum model_policy policy = (enum model_policy)group->policy;
    if (count != 0 && policy_is_map(policy)) {
        mix = zone_map_compile(policy_map_kind(policy), database->sources, count);
    } else if (served > 1) {
        mix = mix_compile(group->policy != MODEL_MULTIVALUE, database->choices, database->shares,
                          count);
    }
    if (mix != NULL && same_answer(mix, group->mix)) {
        free(mix);
        return group->mix;
    }
    database_retire(database, group->mix);
    group->mix = mix;
    if (served == 0) {
        return NULL;
    }
    return mix != NULL ? mix : database->choices[last];
}

void group_mark(struct zone_database *database, struct zone_group *group)
{
    if (!group->changed) {
        group->changed = true;
        group->next_changed = database->changed;
        database->changed = group;
    }
}

static void decide(struct zone_database *database, struct zone_group *group)
{
    unsigned depth = 0;
    size_t count = group_candidates(database, group, &depth);
    bool healthy = choose_any_healthy(database->candidates, count);
    group->fallback =
        choose((enum model_policy)group->policy, database->candidates, count, database->shares);
    const struct zone_answer *answer = compose(database, group, count);
    bool same = answer == group->answer;
    if (group->derived != NULL && !database->flipping) {
        late_ahead(database, group); /* what it may answer next may be another thing now */
    }
    if (same && healthy == group->healthy && depth == group->depth) {
        return;
    }
    group->answer = answer;
    group->healthy = healthy;
    group->depth = (uint8_t)depth;
    if (!same) {
        group_mark(database, group);
    }
    target_touch(database, group->zone, zone_node_name(group->node), group->node->name_length,
                 group->type);
}

void group_decide_all(struct zone_database *database)
{
    while (database->queue_first != NULL) {
        struct zone_group *group = database->queue_first;
        database->queue_first = group->next_queued;
        if (database->queue_first == NULL) {
            database->queue_last = &database->queue_first;
        }
        group->queued = false;
        if (group->dead) {
            group_bury(group);
        } else {
            decide(database, group);
        }
    }
}

/* Shows the answer in the group's slot. When the name has or has no such records from now on, the
 * chain of a signed zone says so in the same step. */
static void show(struct zone_database *database, struct zone_group *group, struct zone_slot *slot)
{
    const struct zone_answer *answer = signer_answer(database, group);
    struct zone_owner *zone = group->zone;
    if (LIKELY(zone->signer == NULL) ||
        denial_always(zone_slot_answer(slot)) == denial_always(answer) ||
        !owner_shows(database, zone, group->node)) {
        atomic_store_explicit(&slot->answer, answer, memory_order_release);
        return;
    }
    struct denial_change change;
    denial_prepare(database, zone, zone_node_name(group->node), group->node->name_length,
                   group->node, &change);
    denial_begin(zone->signer);
    atomic_store_explicit(&slot->answer, answer, memory_order_release);
    denial_apply(database, zone, &change);
    denial_end(zone->signer);
}

size_t group_show(struct zone_database *database, struct zone_group *group)
{
    size_t count = 0;
    group->unshown = false;
    journal_touch(database, group->zone, zone_node_name(group->node), group->node->name_length,
                  group->type);
    for (unsigned i = 0; i < group->node->slot_count; i++) {
        struct zone_slot *slot = &group->node->slots[i];
        if (slot->group == group->number) {
            show(database, group, slot);
            count++;
        }
    }
    return count;
}

size_t group_commit(struct zone_database *database)
{
    size_t count = 0;
    while (database->changed != NULL) {
        struct zone_group *group = database->changed;
        database->changed = group->next_changed;
        group->changed = false;
        count += group_show(database, group);
        if (group->derived != NULL) {
            late_ahead(database, group);
        }
    }
    return count;
}
