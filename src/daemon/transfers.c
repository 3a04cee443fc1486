/* Settings of transfers from the store, serials to it: see transfers.h. Called by the feed on the
 * compiler's thread; a keeper thread writes to the store, so that the compiler never waits for it.
 *
 * A serial follows the clock, so a restart finds one that is ahead by itself, except where more
 * changes than seconds have passed. Only such zones have a record (node/<node>/serial/<zone>): a
 * ceiling some way above the serial, raised before the serial reaches it. Invariant: what a zone
 * serves is behind the clock or its ceiling in the store, and a start begins above both; only where
 * the store does not take the ceiling within a second, secondaries come first. */
#include "daemon/transfers.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/thread.h"
#include "dns/zone/journal.h"
#include "model/path.h"
#include "model/transfer.h"
#include "model/tsig_key.h"

#include <stdlib.h>
#include <string.h>

#define CEILING_AHEAD 1000U
#define CEILING_NEAR 500U
#define KEEPER_RETRY_S 1
#define CEILING_WAIT TIME_S /* for the store, before a serial is served without */

struct zone_setting {
    char *id;
    struct arena arena; /* of rules */
    struct model_transfer rules;
    unsigned generation;
};

struct key_setting {
    char *store_key;
    struct tsig_key *key; /* NULL: it cannot be used */
    unsigned generation;
};

struct ceiling {
    struct ceiling *next;
    uint32_t serial;
    uint32_t stored;   /* 0: no record */
    uint32_t floor;    /* the record at our start; 0: none */
    struct mono asked; /* since when a serial waits for it; 0: none does */
    bool due;
    char id[];
};

struct transfers {
    struct transfers_config config;
    struct zone_setting **zones;
    size_t zone_count;
    struct key_setting **keys;
    size_t key_count;
    unsigned generation;
    bool changed;
    uint32_t started; /* by the clock; serials up to it may have been served before */

    pthread_t keeper;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct ceiling *ceilings;
    bool stop;
};

const char *const transfers_prefixes[] = {PATH_TSIG, PATH_ZONE_TAGS, NULL};

/* ---- ceilings ---- */

static struct ceiling *ceiling_find(struct transfers *transfers, const char *id)
{
    struct ceiling *ceiling = transfers->ceilings;
    while (ceiling != NULL && !text_equal(ceiling->id, id)) {
        ceiling = ceiling->next;
    }
    return ceiling;
}

static struct ceiling *ceiling_get(struct transfers *transfers, const char *id)
{
    struct ceiling *ceiling = ceiling_find(transfers, id);
    if (ceiling == NULL) {
        size_t size = strlen(id) + 1;
        ceiling = memory_new(sizeof *ceiling + size);
        (void)memcpy(ceiling->id, id, size);
        ceiling->next = transfers->ceilings;
        transfers->ceilings = ceiling;
    }
    return ceiling;
}

static bool ahead_of_clock(uint32_t serial)
{
    return serial_compare(serial, (uint32_t)(wall_now().ns / TIME_S)) > 0;
}

static void serial_moved(void *context, const char *zone_id, const uint8_t *apex, uint32_t serial)
{
    struct transfers *transfers = context;
    transfer_notify(transfers->config.transfer, zone_id, apex, serial);
    bool ahead = ahead_of_clock(serial);
    thread_lock(&transfers->mutex);
    struct ceiling *ceiling =
        ahead ? ceiling_get(transfers, zone_id) : ceiling_find(transfers, zone_id);
    if (ceiling != NULL) {
        ceiling->serial = serial;
        ceiling->due = ahead && (ceiling->stored == 0 ||
                                 serial_compare(serial + CEILING_NEAR, ceiling->stored) > 0);
        ceiling->asked = ceiling->due ? ceiling->asked : (struct mono){0};
        if (ceiling->due) {
            (void)pthread_cond_signal(&transfers->wake);
        }
    }
    thread_unlock(&transfers->mutex);
}

static uint32_t serial_floor(void *context, const char *zone_id)
{
    struct transfers *transfers = context;
    thread_lock(&transfers->mutex);
    const struct ceiling *ceiling = ceiling_find(transfers, zone_id);
    uint32_t floor = ceiling != NULL ? ceiling->floor : 0;
    thread_unlock(&transfers->mutex);
    return floor != 0 && serial_compare(floor, transfers->started) > 0 ? floor : transfers->started;
}

/* A serial that is behind neither the clock nor its ceiling waits for the store, but not for long:
 * when the store is not there, answers must still reach the secondaries. */
static bool may_serve(void *context, const char *zone_id, uint32_t serial)
{
    struct transfers *transfers = context;
    if (!ahead_of_clock(serial)) {
        return true;
    }
    struct mono now = mono_now();
    thread_lock(&transfers->mutex);
    struct ceiling *ceiling = ceiling_get(transfers, zone_id);
    bool safe = ceiling->stored != 0 && serial_compare(serial, ceiling->stored) <= 0;
    if (!safe) {
        ceiling->asked = ceiling->asked.ns != 0 ? ceiling->asked : now;
        ceiling->serial = serial;
        ceiling->due = true;
        (void)pthread_cond_signal(&transfers->wake);
        safe = mono_since(now, ceiling->asked) > CEILING_WAIT;
    }
    thread_unlock(&transfers->mutex);
    return safe;
}

void transfers_keep_serials(struct transfers *transfers, struct zone_database *database)
{
    struct zone_serials serials = {
        .context = transfers, .moved = serial_moved, .floor = serial_floor, .may_serve = may_serve};
    zone_database_keep_serials(database, &serials);
}

/* value 0 deletes the record. */
static int write_ceiling(struct transfers *transfers, const char *id, uint32_t value,
                         struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *prefix = arena_printf(&arena, "%s%s/serial/", PATH_NODES, transfers->config.node);
    const char *key = path_join(&arena, prefix, id);
    const char *text = arena_printf(&arena, "{\"v\":1,\"Serial\":%lu}", (unsigned long)value);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (value != 0) {
        store_txn_put(txn, key, text, strlen(text));
    } else {
        store_txn_delete(txn, key);
    }
    int64_t revision = 0;
    return store_commit(transfers->config.store, txn, &revision, err);
}

static struct ceiling *first_due(struct transfers *transfers)
{
    struct ceiling *ceiling = transfers->ceilings;
    while (ceiling != NULL && !ceiling->due) {
        ceiling = ceiling->next;
    }
    return ceiling;
}

static void pause_keeper(struct transfers *transfers)
{
    struct mono until = mono_from_now(KEEPER_RETRY_S * TIME_S);
    while (!transfers->stop && thread_wait_until(&transfers->wake, &transfers->mutex, until)) {
        /* another serial is due: it waits as well */
    }
}

static void *keeper_main(void *argument)
{
    struct transfers *transfers = argument;
    thread_lock(&transfers->mutex);
    while (!transfers->stop) {
        struct ceiling *ceiling = first_due(transfers);
        if (ceiling == NULL) {
            (void)pthread_cond_wait(&transfers->wake, &transfers->mutex);
            continue;
        }
        struct err err = ERR_INIT;
        uint32_t value = ceiling->serial + CEILING_AHEAD;
        value = value != 0 ? value : 1;
        thread_unlock(&transfers->mutex);
        int rc = write_ceiling(transfers, ceiling->id, value, &err); /* ceilings never go */
        thread_lock(&transfers->mutex);
        if (rc == 0) {
            ceiling->stored = value;
            ceiling->asked = (struct mono){0};
            ceiling->due = serial_compare(ceiling->serial + CEILING_NEAR, value) > 0;
            continue;
        }
        log_warn("transfers.serial_not_kept", F("zone", ceiling->id), F("reason", &err),
                 F("next", "tried again in a second; only a restart before that matters"));
        pause_keeper(transfers);
    }
    thread_unlock(&transfers->mutex);
    return NULL;
}

static int load_ceilings(struct transfers *transfers, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *prefix = arena_printf(&arena, "%s%s/serial/", PATH_NODES, transfers->config.node);
    struct store_list list;
    int rc = store_range(transfers->config.store, prefix, NULL, 0, &arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const struct store_entry *entry = &list.entries[i];
        const char *id = path_tail(&arena, entry->key, prefix);
        json_t *value = json_loadb(entry->value, entry->size, 0, NULL);
        json_int_t serial = json_integer_value(json_object_get(value, "Serial"));
        json_decref(value);
        if (id != NULL && serial > 0 && serial <= UINT32_MAX) {
            struct ceiling *ceiling = ceiling_get(transfers, id);
            ceiling->serial = (uint32_t)serial;
            ceiling->stored = (uint32_t)serial;
            ceiling->floor = (uint32_t)serial;
        }
    }
    return rc;
}

/* At a clean end the exact serials are known: those behind the clock need no record. */
static void settle(struct transfers *transfers)
{
    for (struct ceiling *ceiling = transfers->ceilings; ceiling != NULL; ceiling = ceiling->next) {
        struct err err = ERR_INIT;
        uint32_t value = ahead_of_clock(ceiling->serial) ? ceiling->serial : 0;
        /* What is there already is safe, too. */
        IGNORE_RESULT(value != ceiling->stored ? write_ceiling(transfers, ceiling->id, value, &err)
                                               : 0);
    }
}

/* ---- settings ---- */

static struct zone_setting *setting_find(struct transfers *transfers, const char *id,
                                         size_t *ret_at)
{
    size_t low = 0;
    size_t high = transfers->zone_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(transfers->zones[middle]->id, id);
        if (order == 0) {
            *ret_at = middle;
            return transfers->zones[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *ret_at = low;
    return NULL;
}

static void zone_setting_free(struct zone_setting *take_zone)
{
    arena_done(&take_zone->arena);
    free(take_zone->id);
    free(take_zone);
}

static void zone_remove(struct transfers *transfers, struct zone_database *database, const char *id)
{
    size_t at = 0;
    struct zone_setting *zone = setting_find(transfers, id, &at);
    if (zone == NULL) {
        return;
    }
    transfers->zone_count--;
    (void)memmove(&transfers->zones[at], &transfers->zones[at + 1],
                  (transfers->zone_count - at) * sizeof(struct zone_setting *));
    transfers->changed = true;
    zone_database_set_transfers(database, id, false);
    zone_setting_free(zone);
}

static void zone_put(struct transfers *transfers, struct zone_database *database,
                     const struct store_entry *entry, const char *id)
{
    struct err err = ERR_INIT;
    struct zone_setting *fresh = memory_new(sizeof *fresh);
    arena_init(&fresh->arena, 0);
    fresh->id = memory_strdup(id);
    fresh->generation = transfers->generation;
    int rc = model_transfer_decode(entry->value, entry->size, &fresh->arena, &fresh->rules, &err);
    if (rc != 0) {
        log_error("transfers.tags_left_out", F("zone", id), F("reason", &err),
                  F("next", "nobody may transfer the zone; set its tags again"));
    }
    bool journal = fresh->rules.peer_count != 0 || fresh->rules.target_count != 0;
    if (rc != 0 || (!journal && fresh->rules.primary_count == 0)) {
        zone_remove(transfers, database, id);
        zone_setting_free(fresh);
        return;
    }
    size_t at = 0;
    struct zone_setting *old = setting_find(transfers, id, &at);
    if (old != NULL) {
        zone_setting_free(old);
    } else {
        transfers->zones = memory_resize(transfers->zones, transfers->zone_count + 1,
                                         sizeof(struct zone_setting *));
        (void)memmove(&transfers->zones[at + 1], &transfers->zones[at],
                      (transfers->zone_count - at) * sizeof(struct zone_setting *));
        transfers->zone_count++;
    }
    transfers->zones[at] = fresh;
    transfers->changed = true;
    zone_database_set_transfers(database, id, journal);
}

static void key_remove(struct transfers *transfers, const char *store_key)
{
    for (size_t i = 0; i < transfers->key_count; i++) {
        struct key_setting *key = transfers->keys[i];
        if (text_equal(key->store_key, store_key)) {
            transfers->keys[i] = transfers->keys[--transfers->key_count];
            transfers->changed = true;
            tsig_key_unref(key->key);
            free(key->store_key);
            free(key);
            return;
        }
    }
}

static int open_key(struct transfers *transfers, const struct store_entry *entry,
                    struct arena *arena, struct tsig_key **ret_key, struct err *err)
{
    struct model_tsig_key record;
    struct seal_data secret;
    enum tsig_algorithm algorithm = TSIG_HMAC_SHA256;
    int rc = model_tsig_key_decode(entry->value, entry->size, arena, &record, err);
    if (rc == 0 && tsig_algorithm_parse(record.algorithm, &algorithm) != 0) {
        rc = err_set(err, ERR_UNSUPPORTED, "algorithm %.32s", record.algorithm);
    }
    if (rc == 0 && transfers->config.seal == NULL) {
        rc = err_set(err, ERR_DENIED, "there is no key to open secrets with");
    }
    rc = rc != 0
             ? rc
             : seal_unwrap(transfers->config.seal, entry->key, record.secret, arena, &secret, err);
    return rc != 0
               ? rc
               : tsig_key_new(record.wire, algorithm, secret.data, secret.size, 0, ret_key, err);
}

static void key_put(struct transfers *transfers, const struct store_entry *entry)
{
    struct err err = ERR_INIT;
    struct tsig_key *key = NULL;
    struct arena arena CLEANUP(arena_done); /* wipes the secret */
    arena_init(&arena, 0);
    if (open_key(transfers, entry, &arena, &key, &err) != 0) {
        log_error("transfers.key_left_out", F("key", entry->key), F("reason", &err),
                  F("next", "messages signed with it are refused; delete it and make it again"));
    }
    key_remove(transfers, entry->key);
    struct key_setting *fresh = memory_new(sizeof *fresh);
    fresh->store_key = memory_strdup(entry->key);
    fresh->key = key;
    fresh->generation = transfers->generation;
    transfers->keys =
        memory_resize(transfers->keys, transfers->key_count + 1, sizeof(struct key_setting *));
    transfers->keys[transfers->key_count++] = fresh;
    transfers->changed = true;
}

bool transfers_put(struct transfers *transfers, struct zone_database *database,
                   const struct store_entry *entry, struct arena *arena)
{
    if (text_starts(entry->key, PATH_TSIG)) {
        key_put(transfers, entry);
        return true;
    }
    const char *id = path_tail(arena, entry->key, PATH_ZONE_TAGS);
    if (id != NULL) {
        zone_put(transfers, database, entry, id);
    }
    return id != NULL;
}

bool transfers_delete(struct transfers *transfers, struct zone_database *database, const char *key,
                      struct arena *arena)
{
    if (text_starts(key, PATH_TSIG)) {
        key_remove(transfers, key);
        return true;
    }
    const char *id = path_tail(arena, key, PATH_ZONE_TAGS);
    if (id != NULL) {
        zone_remove(transfers, database, id);
    }
    return id != NULL;
}

void transfers_mark(struct transfers *transfers)
{
    transfers->generation++;
}

void transfers_sweep(struct transfers *transfers, struct zone_database *database)
{
    for (size_t i = transfers->zone_count; i-- > 0;) {
        if (transfers->zones[i]->generation != transfers->generation) {
            char *id CLEANUP(memory_cleanup) = memory_strdup(transfers->zones[i]->id);
            zone_remove(transfers, database, id);
        }
    }
    for (size_t i = transfers->key_count; i-- > 0;) {
        if (transfers->keys[i]->generation != transfers->generation) {
            char *key CLEANUP(memory_cleanup) = memory_strdup(transfers->keys[i]->store_key);
            key_remove(transfers, key);
        }
    }
}

static void publish_primaries(struct transfers *transfers, struct tsig_keys *keys)
{
    struct secondary_zone *zones CLEANUP(memory_cleanup) =
        memory_array(transfers->zone_count + 1, sizeof *zones);
    size_t count = 0;
    for (size_t i = 0; i < transfers->zone_count; i++) {
        const struct zone_setting *zone = transfers->zones[i];
        if (zone->rules.primary_count != 0) {
            zones[count++] = (struct secondary_zone){.zone_id = zone->id,
                                                     .primaries = zone->rules.primaries,
                                                     .primary_count = zone->rules.primary_count};
        }
    }
    secondary_configure(transfers->config.secondary, zones, count, keys);
}

void transfers_publish(struct transfers *transfers)
{
    if (!transfers->changed) {
        return;
    }
    transfers->changed = false;
    struct transfer_zone *zones CLEANUP(memory_cleanup) =
        memory_array(transfers->zone_count + 1, sizeof *zones);
    struct tsig_key **usable CLEANUP(memory_cleanup) =
        memory_array(transfers->key_count + 1, sizeof(struct tsig_key *));
    size_t count = 0;
    for (size_t i = 0; i < transfers->zone_count; i++) {
        zones[i] = (struct transfer_zone){.zone_id = transfers->zones[i]->id,
                                          .rules = transfers->zones[i]->rules};
    }
    for (size_t i = 0; i < transfers->key_count; i++) {
        if (transfers->keys[i]->key != NULL) {
            usable[count++] = transfers->keys[i]->key;
        }
    }
    struct tsig_keys *keys = tsig_keys_new(usable, count);
    if (transfers->config.secondary != NULL) {
        publish_primaries(transfers, keys);
    }
    transfer_configure(transfers->config.transfer, zones, transfers->zone_count, keys);
    tsig_keys_unref(keys);
}

/* ---- start and stop ---- */

static void transfers_free(struct transfers *transfers)
{
    for (size_t i = 0; i < transfers->zone_count; i++) {
        zone_setting_free(transfers->zones[i]);
    }
    for (size_t i = 0; i < transfers->key_count; i++) {
        tsig_key_unref(transfers->keys[i]->key);
        free(transfers->keys[i]->store_key);
        free(transfers->keys[i]);
    }
    while (transfers->ceilings != NULL) {
        struct ceiling *ceiling = transfers->ceilings;
        transfers->ceilings = ceiling->next;
        free(ceiling);
    }
    free(transfers->zones);
    free(transfers->keys);
    (void)pthread_cond_destroy(&transfers->wake);
    (void)pthread_mutex_destroy(&transfers->mutex);
    free(transfers);
}

int transfers_start(const struct transfers_config *config, struct transfers **ret_transfers,
                    struct err *err)
{
    struct transfers *transfers = memory_new(sizeof *transfers);
    transfers->config = *config;
    transfers->started = (uint32_t)(wall_now().ns / TIME_S);
    thread_sync_init(&transfers->mutex, &transfers->wake);
    int rc = load_ceilings(transfers, err);
    if (rc == 0) {
        rc = thread_start(&transfers->keeper, "serials", keeper_main, transfers, err);
    }
    if (rc != 0) {
        transfers_free(transfers);
        return err_wrap(err, "preparing transfers");
    }
    *ret_transfers = transfers;
    return 0;
}

void transfers_stop(struct transfers *take_transfers)
{
    if (take_transfers == NULL) {
        return;
    }
    thread_lock(&take_transfers->mutex);
    take_transfers->stop = true;
    (void)pthread_cond_signal(&take_transfers->wake);
    thread_unlock(&take_transfers->mutex);
    thread_join(take_transfers->keeper);
    settle(take_transfers);
    transfers_free(take_transfers);
}
