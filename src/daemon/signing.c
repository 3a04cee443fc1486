/* The keys of signed zones: see signing.h. Called by the feed for each batch. A zone's keys are
 * read anew, all of them, when any record about them changes: what is read may be newer than the
 * change, never older, and its own change follows. Invariant: a zone gets all its keys or is left
 * as it is. */
#include "daemon/signing.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "dns/sign/sign.h"
#include "model/dnssec.h"
#include "model/path.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The zone that a key of the store is about; NULL when it is about no zone's keys. */
static const char *zone_of(const char *key, struct arena *arena)
{
    static const char *const prefixes[] = {PATH_DNSSEC, PATH_SIGNING_KEYS, PATH_ZONE_KEYS};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (text_starts(key, prefixes[i])) {
            const char *id = key + strlen(prefixes[i]);
            return arena_memdup(arena, id, strcspn(id, "/"));
        }
    }
    return NULL;
}

static void add_zone(struct signing_zones *zones, const char *id)
{
    for (size_t i = 0; i < zones->count; i++) {
        if (text_equal(zones->zones[i].id, id)) {
            return;
        }
    }
    zones->zones[zones->count++] = (struct signing_zone){.id = id};
}

static void unref_key(void *key)
{
    sign_key_unref(key);
}

static int open_key(const struct seal *seal, const struct store_entry *entry, struct arena *arena,
                    struct sign_key **ret_key, bool *ret_silent, struct err *err)
{
    struct model_signing_key record;
    struct seal_data data;
    struct sign_key *key = NULL;
    int rc = model_signing_key_decode(entry->value, entry->size, arena, &record, err);
    if (rc != 0 || record.status == MODEL_KEY_INACTIVE) {
        *ret_key = NULL;
        return rc;
    }
    rc = seal_unwrap(seal, entry->key, record.sealed, arena, &data, err);
    rc = rc != 0 ? rc : sign_key_load((uint16_t)record.flags, data.data, data.size, &key, err);
    if (rc == 0) {
        arena_defer(arena, unref_key, key);
        *ret_key = key;
        *ret_silent = record.status != MODEL_KEY_ACTIVE;
    }
    return rc;
}

/* Adds the keys below the prefix that are to be seen. */
static int read_keys(struct store *store, const struct seal *seal, const char *prefix,
                     struct arena *arena, struct signing_zone *zone, struct sign_key **keys,
                     struct err *err)
{
    struct store_list list;
    int rc = store_range(store, prefix, NULL, ZONE_KEYS_LIMIT, arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count && zone->problem == NULL; i++) {
        struct err reason = ERR_INIT;
        struct sign_key *key = NULL;
        bool silent = false;
        if (open_key(seal, &list.entries[i], arena, &key, &silent, &reason) != 0) {
            zone->problem = arena_strdup(arena, reason.message);
        } else if (key != NULL && zone->signing.count < ZONE_KEYS_LIMIT) {
            zone->signing.silent |= (silent ? 1U : 0U) << zone->signing.count;
            keys[zone->signing.count++] = key;
        }
    }
    return rc;
}

static int read_zone(struct store *store, const struct seal *seal, struct arena *arena,
                     struct signing_zone *zone, struct err *err)
{
    struct store_entry entry;
    struct model_dnssec dnssec;
    struct sign_key **keys = arena_array(arena, ZONE_KEYS_LIMIT, sizeof(struct sign_key *));
    int rc = store_get(store, path_join(arena, PATH_DNSSEC, zone->id), arena, &entry, err);
    if (rc == -ENOENT) { /* the zone is gone, or never was signed */
        err_clear(err);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (model_dnssec_decode(entry.value, entry.size, &dnssec, err) != 0) {
        zone->problem = arena_strdup(arena, err->message);
        err_clear(err);
        return 0;
    }
    if (!dnssec.signing) {
        return 0;
    }
    zone->signing.keys = keys;
    rc = read_keys(store, seal, path_signing_keys(arena, zone->id), arena, zone, keys, err);
    rc = rc != 0 ? rc
                 : read_keys(store, seal, path_zone_keys(arena, zone->id), arena, zone, keys, err);
    if (rc == 0 && zone->problem == NULL && zone->signing.count == 0) {
        zone->problem = "the zone is to be signed and has no active key";
    }
    return rc;
}

int signing_read(struct store *store, const struct seal *seal, const struct store_change *changes,
                 size_t count, struct arena *arena, struct signing_zones *ret_zones,
                 struct err *err)
{
    struct signing_zones zones = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        const char *id = zone_of(changes[i].entry.key, arena);
        if (id != NULL) {
            zones.zones =
                zones.zones != NULL ? zones.zones : arena_array(arena, count, sizeof *zones.zones);
            add_zone(&zones, id);
        }
    }
    int rc = 0;
    for (size_t i = 0; i < zones.count && rc == 0; i++) {
        rc = read_zone(store, seal, arena, &zones.zones[i], err);
    }
    if (rc != 0) {
        return err_wrap(err, "reading the keys of signed zones");
    }
    *ret_zones = zones;
    return 0;
}

void signing_apply(const struct signing_zones *zones, struct zone_database *database)
{
    for (size_t i = 0; i < zones->count; i++) {
        const struct signing_zone *zone = &zones->zones[i];
        if (zone->problem == NULL) {
            zone_database_set_signing(database, zone->id,
                                      zone->signing.count != 0 ? &zone->signing : NULL);
        }
    }
}

/* ---- problems ---- */

struct problem {
    struct problem *next;
    char *zone_id;
    char *text;
};

struct signing_problems {
    pthread_mutex_t mutex;
    struct problem *first;
    size_t count;
};

struct signing_problems *signing_problems_new(void)
{
    struct signing_problems *problems = memory_new(sizeof *problems);
    (void)pthread_mutex_init(&problems->mutex, NULL); /* cannot fail with default attributes */
    return problems;
}

/* Takes the zone's problem out of the list. Returns whether there was one. */
static bool forget(struct signing_problems *problems, const char *zone_id)
{
    for (struct problem **at = &problems->first; *at != NULL; at = &(*at)->next) {
        struct problem *problem = *at;
        if (text_equal(problem->zone_id, zone_id)) {
            *at = problem->next;
            free(problem->zone_id);
            free(problem->text);
            free(problem);
            problems->count--;
            return true;
        }
    }
    return false;
}

void signing_problems_free(struct signing_problems *take_problems)
{
    if (take_problems == NULL) {
        return;
    }
    while (take_problems->first != NULL) {
        (void)forget(take_problems, take_problems->first->zone_id);
    }
    (void)pthread_mutex_destroy(&take_problems->mutex);
    free(take_problems);
}

static void note_zone(struct signing_problems *problems, const struct signing_zone *zone)
{
    bool had = forget(problems, zone->id);
    if (zone->problem == NULL) {
        if (had) {
            log_info("signing.restored", F("zone", zone->id));
        }
        return;
    }
    log_error("signing.keys_unusable", F("zone", zone->id), F("reason", zone->problem),
              F("next", "the zone goes on with the keys it is served with"));
    struct problem *problem = memory_new(sizeof *problem);
    *problem = (struct problem){.next = problems->first,
                                .zone_id = memory_strdup(zone->id),
                                .text = memory_printf("%s: %s", zone->id, zone->problem)};
    problems->first = problem;
    problems->count++;
}

void signing_problems_note(struct signing_problems *problems, const struct signing_zones *zones)
{
    (void)pthread_mutex_lock(&problems->mutex);
    for (size_t i = 0; i < zones->count; i++) {
        note_zone(problems, &zones->zones[i]);
    }
    (void)pthread_mutex_unlock(&problems->mutex);
}

const char **signing_problems_list(struct signing_problems *problems, struct arena *arena)
{
    (void)pthread_mutex_lock(&problems->mutex);
    const char **list = arena_array(arena, problems->count + 1, sizeof *list);
    size_t count = 0;
    for (const struct problem *at = problems->first; at != NULL; at = at->next) {
        list[count++] = arena_strdup(arena, at->text);
    }
    (void)pthread_mutex_unlock(&problems->mutex);
    return list;
}
