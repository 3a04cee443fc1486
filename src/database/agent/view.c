/* Pictures of groups: see view.h. The follower's callbacks change raw records and build pictures;
 * both stand under one mutex, pictures are published by pointer. Logs records that are damaged:
 * what is damaged counts as absent, and the rest of the group goes on. Invariant: a picture holds
 * records of one moment, the end of a batch. */
#include "database/agent/view.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/follow.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 512U
/* Lease, group, members and what is seen of them. */
#define RECORDS_LIMIT (2U + 2U * MODEL_DATABASE_MEMBERS)

/* A record's bytes. */
struct raw {
    char *key;
    char *value; /* NUL behind it */
    size_t size;
    int64_t revision;
    struct mono heard; /* when it came */
    bool swept;        /* while everything is read anew: it has not come yet */
};

struct slot {
    char id[MODEL_DATABASE_ID];
    struct raw raws[RECORDS_LIMIT];
    size_t raw_count;
    int64_t lease_revision;
    struct mono lease_since;
    enum model_database_phase phase;
    int64_t epoch;
    char target[MODEL_DATABASE_ID];
    struct mono phase_since;    /* 0: no phase was seen yet */
    struct view_group *picture; /* NULL: no record is there */
    bool changed;
};

struct view {
    struct store *store;
    struct store_follower *follower;
    pthread_mutex_t mutex;
    void (*changed)(void *context);
    void *context;
    bool complete;
    bool overflowed; /* logged once */
    struct slot **slots;
    size_t slot_count;
};

struct mono boot_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail on Linux */
    return (struct mono){.ns = now.tv_sec * TIME_S + now.tv_nsec};
}

/* ---- pictures ---- */

void view_group_unref(struct view_group *take_group)
{
    if (take_group != NULL && atomic_fetch_sub(&take_group->references, 1) == 1) {
        arena_done(&take_group->arena);
        free(take_group);
    }
}

void view_group_cleanup(struct view_group **group)
{
    view_group_unref(*group);
}

const struct view_member *view_member_find(const struct view_group *group, const char *member)
{
    for (size_t i = 0; i < group->member_count; i++) {
        if (text_equal(group->members[i].member.id, member)) {
            return &group->members[i];
        }
    }
    return NULL;
}

static struct view_group *find_picture(const struct slot *slot)
{
    struct view_group *group = slot->picture;
    if (group != NULL) {
        (void)atomic_fetch_add(&group->references, 1);
    }
    return group;
}

static void complain(const char *key, const struct err *err)
{
    log_error("database.record_damaged", F("key", key), F("reason", err),
              F("next", "it counts as absent"));
}

static struct view_record copy_record(struct view_group *picture, const struct raw *raw)
{
    return (struct view_record){
        .revision = raw->revision,
        .stored = {.value = arena_memdup(&picture->arena, raw->value, raw->size),
                   .size = raw->size}};
}

/* "db/member/<group>/<id>" -> "<id>". */
static const char *last_part(const char *key)
{
    const char *slash = strrchr(key, '/');
    return slash != NULL ? slash + 1 : key;
}

static struct view_member *member_for(struct view_group *picture, const char *id)
{
    for (size_t i = 0; i < picture->member_count; i++) {
        if (text_equal(picture->members[i].member.id, id)) {
            return &picture->members[i];
        }
    }
    return NULL;
}

static void add_member(struct view_group *picture, const struct raw *raw)
{
    struct err err = ERR_INIT;
    if (picture->member_count == MODEL_DATABASE_MEMBERS) {
        return; /* the API refuses the 17th */
    }
    struct view_member *member = &picture->members[picture->member_count];
    member->record = copy_record(picture, raw);
    if (model_database_member_decode(raw->value, raw->size, &picture->arena, &member->member,
                                     &err) != 0) {
        complain(raw->key, &err);
        *member = (struct view_member){.record.revision = 0};
        return;
    }
    picture->member_count++;
}

static void add_seen(struct view_group *picture, const struct raw *raw)
{
    struct err err = ERR_INIT;
    struct view_member *member = member_for(picture, last_part(raw->key));
    if (member == NULL) {
        return; /* its member is gone */
    }
    member->seen_record = copy_record(picture, raw);
    member->heard = raw->heard;
    if (model_database_seen_decode(raw->value, raw->size, &picture->arena, &member->seen, &err) !=
        0) {
        complain(raw->key, &err);
        member->seen_record = (struct view_record){.revision = 0};
        member->seen = (struct model_database_seen){.lag_ms = -1};
    }
}

static void add_group(struct view_group *picture, const struct raw *raw)
{
    struct err err = ERR_INIT;
    if (model_database_group_decode(raw->value, raw->size, &picture->arena, &picture->group,
                                    &err) != 0) {
        complain(raw->key, &err);
        return;
    }
    picture->group_record = copy_record(picture, raw);
}

static void add_lease(struct view_group *picture, const struct raw *raw)
{
    struct err err = ERR_INIT;
    if (model_database_lease_decode(raw->value, raw->size, &picture->arena, &picture->lease,
                                    &err) != 0) {
        complain(raw->key, &err);
        return;
    }
    picture->lease_record = copy_record(picture, raw);
}

static void note_phase(struct slot *slot, const struct model_database_group *group)
{
    const char *target = group->target != NULL ? group->target : "";
    if (slot->phase_since.ns == 0 || slot->phase != group->phase || slot->epoch != group->epoch ||
        !text_equal(slot->target, target)) {
        slot->phase = group->phase;
        slot->epoch = group->epoch;
        IGNORE_RESULT(text_copy(slot->target, sizeof slot->target, target)); /* an id */
        slot->phase_since = boot_now();
    }
}

/* Members come before what is seen of them. */
static void build(struct slot *slot)
{
    struct view_group *picture = memory_new(sizeof *picture);
    picture->references = 1;
    arena_init(&picture->arena, 0);
    picture->id = arena_strdup(&picture->arena, slot->id);
    for (size_t i = 0; i < slot->raw_count; i++) {
        const struct raw *raw = &slot->raws[i];
        if (text_starts(raw->key, PATH_DATABASE_GROUPS)) {
            add_group(picture, raw);
        } else if (text_starts(raw->key, PATH_DATABASE_LEASES)) {
            add_lease(picture, raw);
        } else if (text_starts(raw->key, PATH_DATABASE_MEMBERS)) {
            add_member(picture, raw);
        }
    }
    for (size_t i = 0; i < slot->raw_count; i++) {
        if (text_starts(slot->raws[i].key, PATH_DATABASE_SEEN)) {
            add_seen(picture, &slot->raws[i]);
        }
    }
    if (slot->lease_revision != picture->lease_record.revision) {
        slot->lease_revision = picture->lease_record.revision;
        slot->lease_since = boot_now();
    }
    note_phase(slot, &picture->group);
    picture->lease_since = slot->lease_since;
    picture->phase_since = slot->phase_since;
    view_group_unref(slot->picture);
    slot->picture = picture;
}

/* With the mutex held. */
static void publish(struct view *view)
{
    for (size_t i = 0; i < view->slot_count; i++) {
        struct slot *slot = view->slots[i];
        if (slot->changed && slot->raw_count == 0) {
            view_group_unref(slot->picture);
            slot->picture = NULL;
        } else if (slot->changed) {
            build(slot);
        }
        slot->changed = false;
    }
}

/* ---- records ---- */

static void free_raw(struct raw *raw)
{
    free(raw->key);
    free(raw->value);
}

/* The group of a key: "db/group/<group>", "db/lease/<group>", "db/member/<group>/<member>", or
 * "db/seen/..."; false: another kind of key. */
static bool group_of(const char *key, char out[MODEL_DATABASE_ID])
{
    static const char *const kinds[] = {PATH_DATABASE_GROUPS, PATH_DATABASE_LEASES,
                                        PATH_DATABASE_MEMBERS, PATH_DATABASE_SEEN};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (text_starts(key, kinds[i])) {
            const char *id = key + strlen(kinds[i]);
            return text_copy_n(out, MODEL_DATABASE_ID, id, strcspn(id, "/")) == 0;
        }
    }
    return false;
}

static struct slot *slot_of(struct view *view, const char *id, bool make)
{
    for (size_t i = 0; i < view->slot_count; i++) {
        if (text_equal(view->slots[i]->id, id)) {
            return view->slots[i];
        }
    }
    if (!make || view->slot_count == VIEW_GROUPS_LIMIT) {
        if (make && !view->overflowed) {
            view->overflowed = true;
            log_error("database.too_many_groups", F("limit", VIEW_GROUPS_LIMIT),
                      F("next", "further ones are not looked after"));
        }
        return NULL;
    }
    struct slot *slot = memory_new(sizeof *slot);
    IGNORE_RESULT(text_copy(slot->id, sizeof slot->id, id)); /* group_of looked at its length */
    view->slots[view->slot_count++] = slot;
    return slot;
}

static struct raw *raw_of(struct slot *slot, const char *key)
{
    for (size_t i = 0; i < slot->raw_count; i++) {
        if (text_equal(slot->raws[i].key, key)) {
            return &slot->raws[i];
        }
    }
    return NULL;
}

/* anew: everything is read anew, and what it says counts; else what is older than what we know
 * comes late. */
static void put(struct view *view, const struct store_entry *entry, bool anew)
{
    char id[MODEL_DATABASE_ID];
    struct slot *slot = group_of(entry->key, id) ? slot_of(view, id, true) : NULL;
    struct raw *raw = slot != NULL ? raw_of(slot, entry->key) : NULL;
    if (slot == NULL || (raw == NULL && slot->raw_count == RECORDS_LIMIT)) {
        return;
    }
    if (raw == NULL) {
        raw = &slot->raws[slot->raw_count++];
        *raw = (struct raw){.key = memory_strdup(entry->key)};
    }
    raw->swept = false;
    if (raw->revision == entry->changed_revision ||
        (!anew && entry->changed_revision < raw->revision)) {
        return;
    }
    free(raw->value);
    raw->value = memory_new(entry->size + 1); /* the store bounds it */
    (void)memcpy(raw->value, entry->value, entry->size);
    raw->size = entry->size;
    raw->revision = entry->changed_revision;
    raw->heard = boot_now();
    slot->changed = true;
}

static void remove_raw(struct slot *slot, struct raw *raw)
{
    free_raw(raw);
    *raw = slot->raws[--slot->raw_count];
    slot->changed = true;
}

static void delete_key(struct view *view, const char *key, int64_t revision)
{
    char id[MODEL_DATABASE_ID];
    struct slot *slot = group_of(key, id) ? slot_of(view, id, false) : NULL;
    struct raw *raw = slot != NULL ? raw_of(slot, key) : NULL;
    if (raw != NULL && raw->revision < revision) {
        remove_raw(slot, raw);
    }
}

/* ---- the follower's callbacks ---- */

static void begin_sweep(struct view *view)
{
    for (size_t i = 0; i < view->slot_count; i++) {
        for (size_t k = 0; k < view->slots[i]->raw_count; k++) {
            view->slots[i]->raws[k].swept = true;
        }
    }
}

static void end_sweep(struct view *view)
{
    for (size_t i = 0; i < view->slot_count; i++) {
        struct slot *slot = view->slots[i];
        for (size_t k = slot->raw_count; k-- > 0;) {
            if (slot->raws[k].swept) {
                remove_raw(slot, &slot->raws[k]);
            }
        }
    }
}

static int read_all(void *context, int64_t *revision, struct err *err)
{
    struct view *view = context;
    struct arena arena CLEANUP(arena_done);
    struct store_list list;
    int64_t first = 0;
    arena_init(&arena, 0);
    size_t capacity = 0;
    size_t count = 0;
    struct store_entry *entries = NULL;
    const char *after = NULL;
    for (bool more = true; more;) {
        int rc = store_range(view->store, PATH_DATABASES, after, PAGE, &arena, &list, err);
        if (rc != 0) {
            return rc;
        }
        first = first == 0 ? list.revision : first; /* what came later, the watch brings again */
        struct store_entry *grown = arena_array(&arena, count + list.count + 1, sizeof *grown);
        if (count != 0) {
            (void)memcpy(grown, entries, count * sizeof *grown);
        }
        if (list.count != 0) {
            (void)memcpy(grown + count, list.entries, list.count * sizeof *grown);
        }
        entries = grown;
        count += list.count;
        capacity = count;
        more = list.more && list.count != 0;
        after = more ? list.entries[list.count - 1].key : NULL;
    }
    thread_lock(&view->mutex);
    begin_sweep(view);
    for (size_t i = 0; i < capacity; i++) {
        put(view, &entries[i], true);
    }
    end_sweep(view);
    view->complete = true;
    publish(view);
    thread_unlock(&view->mutex);
    view->changed(view->context);
    *revision = first;
    return 0;
}

static void take_batch(void *context, const struct store_batch *batch)
{
    struct view *view = context;
    if (batch->count == 0) {
        return;
    }
    thread_lock(&view->mutex);
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_change *change = &batch->changes[i];
        if (change->type == STORE_PUT) {
            put(view, &change->entry, false);
        } else {
            delete_key(view, change->entry.key, change->entry.changed_revision);
        }
    }
    publish(view);
    thread_unlock(&view->mutex);
    view->changed(view->context);
}

static void failed(void *context, const struct err *err, int64_t retry_ms)
{
    static struct log_limit limit;
    (void)context;
    if (log_limit_allows(&limit, 1)) {
        log_warn("database.store_away", F("reason", err), F("retry_ms", retry_ms),
                 F("next", "what was known stays; readers go on, writers until their lease ends"));
    }
}

/* ---- for all ---- */

void view_learn(struct view *view, const char *key, const char *value, int64_t revision)
{
    const struct store_entry entry = {
        .key = key, .value = value, .size = strlen(value), .changed_revision = revision};
    thread_lock(&view->mutex);
    put(view, &entry, false);
    publish(view);
    thread_unlock(&view->mutex);
}

bool view_complete(struct view *view)
{
    thread_lock(&view->mutex);
    bool complete = view->complete;
    thread_unlock(&view->mutex);
    return complete;
}

struct view_group *view_group_find(struct view *view, const char *group)
{
    thread_lock(&view->mutex);
    const struct slot *slot = slot_of(view, group, false);
    struct view_group *found = slot != NULL ? find_picture(slot) : NULL;
    thread_unlock(&view->mutex);
    return found;
}

struct view_group **view_groups(struct view *view, struct arena *arena, size_t *ret_count)
{
    size_t count = 0;
    thread_lock(&view->mutex);
    struct view_group **groups =
        arena_array(arena, view->slot_count + 1, sizeof(struct view_group *));
    for (size_t i = 0; i < view->slot_count; i++) {
        struct view_group *group = find_picture(view->slots[i]);
        if (group != NULL) {
            groups[count++] = group;
        }
    }
    thread_unlock(&view->mutex);
    *ret_count = count;
    return groups;
}

int view_start(struct store *store, void (*changed)(void *context), void *context,
               struct view **ret_view, struct err *err)
{
    struct view *view = memory_new(sizeof *view);
    view->store = store;
    view->changed = changed;
    view->context = context;
    view->slots = memory_array(VIEW_GROUPS_LIMIT, sizeof(struct slot *));
    (void)pthread_mutex_init(&view->mutex, NULL); /* cannot fail for a plain one */
    struct store_follower_config config = {.store = store,
                                           .prefix = PATH_DATABASES,
                                           .thread = "db-view",
                                           .read_all = read_all,
                                           .take_batch = take_batch,
                                           .failed = failed,
                                           .context = view,
                                           .later = true};
    int rc = store_follower_new(&config, &view->follower, err);
    rc = rc != 0 ? rc : store_follower_start(view->follower, err);
    if (rc != 0) {
        view_stop(view);
        return rc;
    }
    *ret_view = view;
    return 0;
}

void view_stop(struct view *take_view)
{
    if (take_view == NULL) {
        return;
    }
    store_follower_free(take_view->follower);
    for (size_t i = 0; i < take_view->slot_count; i++) {
        struct slot *slot = take_view->slots[i];
        for (size_t k = 0; k < slot->raw_count; k++) {
            free_raw(&slot->raws[k]);
        }
        view_group_unref(slot->picture);
        free(slot);
    }
    (void)pthread_mutex_destroy(&take_view->mutex); /* nobody has it */
    free(take_view->slots);
    free(take_view);
}
