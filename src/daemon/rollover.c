/* The rollover of zone-signing keys: see rollover.h. Called by daemon.c; the work is on a thread of
 * its own. A step is one transaction that compares the zone's DNSSEC record, which every change of
 * its keys puts anew: it happens whole or not at all, and after a crash the next look finds the
 * state that the store has. Invariant: a zone is never left without a key that signs. */
#include "daemon/rollover.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "model/dnssec.h"
#include "model/path.h"
#include "model/rollover.h"
#include "service/route53/signing_key.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PAGE 256U       /* zones read at once */
#define KEYS_LIMIT 8U   /* more than a rollover makes */
#define LOOK_MOST 3600  /* seconds between two looks */
#define LOOKS_A_WAIT 10 /* so that the waits of a short period are kept about */

struct rollover {
    struct store *store;
    const struct seal *seal;
    int64_t period_s;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;
};

/* One zone under the eyes. */
struct look {
    struct store *store;
    const struct seal *seal;
    struct wall now;
    const char *zone_id;
    const char *dnssec_key;
    int64_t dnssec_revision;
    struct model_dnssec dnssec;
    struct model_signing_key keys[KEYS_LIMIT]; /* zone-signing keys */
    size_t count;
    struct arena *arena;
};

static int put_json(struct store_txn *txn, const char *key, json_t *take_tree, struct err *err)
{
    char *text = take_tree != NULL ? json_dumps(take_tree, JSON_COMPACT) : NULL;
    json_decref(take_tree);
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "writing %s", key);
    }
    store_txn_put(txn, key, text, strlen(text));
    free(text);
    return 0;
}

static int put_key(const struct look *look, struct store_txn *txn, struct model_signing_key *key,
                   enum model_key_status status, struct err *err)
{
    key->status = status;
    key->modified_s = look->now.ns / TIME_S;
    return put_json(txn, signing_key_place(look->arena, look->zone_id, key),
                    model_signing_key_encode(key), err);
}

static int publish_key(const struct look *look, struct store_txn *txn, struct err *err)
{
    struct model_signing_key key;
    int rc = signing_key_make(look->seal, look->arena, look->now, look->zone_id, "", "", &key, err);
    if (rc == 0) {
        /* Two keys may have one tag, which names the record: then the next look makes another. */
        store_txn_require_absent(txn, signing_key_place(look->arena, look->zone_id, &key));
        rc = put_key(look, txn, &key, MODEL_KEY_PUBLISHED, err);
    }
    return rc;
}

static int fill(struct look *look, const struct model_rollover *next, struct store_txn *txn,
                struct err *err)
{
    int rc = 0;
    switch (next->step) {
    case MODEL_ROLLOVER_PUBLISH:
        return publish_key(look, txn, err);
    case MODEL_ROLLOVER_SWITCH:
        rc = put_key(look, txn, &look->keys[next->active], MODEL_KEY_RETIRED, err);
        return rc != 0 ? rc : put_key(look, txn, &look->keys[next->other], MODEL_KEY_ACTIVE, err);
    case MODEL_ROLLOVER_REMOVE:
        store_txn_delete(txn,
                         signing_key_place(look->arena, look->zone_id, &look->keys[next->other]));
        return 0;
    case MODEL_ROLLOVER_NONE:
        break;
    }
    return 0;
}

static int write_step(struct look *look, const struct model_rollover *next, struct err *err)
{
    static const char *const events[] = {
        [MODEL_ROLLOVER_PUBLISH] = "signing.key_published",
        [MODEL_ROLLOVER_SWITCH] = "signing.key_switched",
        [MODEL_ROLLOVER_REMOVE] = "signing.key_removed",
    };
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    struct model_dnssec dnssec = {
        .signing = true, .modified_s = look->now.ns / TIME_S, .stored = look->dnssec.stored};
    int64_t revision = 0;
    store_txn_require_revision(txn, look->dnssec_key, look->dnssec_revision);
    int rc = put_json(txn, look->dnssec_key, model_dnssec_encode(&dnssec), err);
    rc = rc != 0 ? rc : fill(look, next, txn, err);
    rc = rc != 0 ? rc : store_commit(look->store, txn, &revision, err);
    if (rc == 0) {
        log_info(events[next->step], F("zone", look->zone_id), F("revision", revision));
    }
    return rc;
}

static void leave_alone(const struct look *look, struct err *err)
{
    log_error("signing.keys_not_replaced", F("zone", look->zone_id), F("reason", err),
              F("next", "its zone-signing key stays until the record is mended"));
    err_clear(err);
}

static int read_keys(struct look *look, struct err *err)
{
    struct store_list list;
    int rc = store_range(look->store, path_zone_keys(look->arena, look->zone_id), NULL, KEYS_LIMIT,
                         look->arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        rc = model_signing_key_decode(list.entries[i].value, list.entries[i].size, look->arena,
                                      &look->keys[look->count++], err);
    }
    return rc;
}

/* *steps goes up when something was written. */
static int look_at_zone(struct look *look, const struct store_entry *entry, int64_t period_s,
                        size_t *steps, struct err *err)
{
    int rc = model_dnssec_decode(entry->value, entry->size, &look->dnssec, err);
    if (rc == 0 && !look->dnssec.signing) {
        return 0;
    }
    rc = rc != 0 ? rc : read_keys(look, err);
    if (rc != 0 && err->kind == ERR_CORRUPT) {
        leave_alone(look, err);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    struct model_rollover next =
        model_rollover_next(look->keys, look->count, look->now.ns / TIME_S, period_s);
    if (next.step == MODEL_ROLLOVER_NONE) {
        return 0;
    }
    rc = write_step(look, &next, err);
    if (rc != 0 && err->kind == ERR_CONFLICT) { /* somebody else was faster */
        err_clear(err);
        return 0;
    }
    *steps += rc == 0 ? 1 : 0;
    return rc;
}

int rollover_look(struct store *store, const struct seal *seal, int64_t period_s, struct wall now,
                  size_t *ret_steps, struct err *err)
{
    char *after CLEANUP(memory_cleanup) = NULL;
    size_t steps = 0;
    for (bool more = true; more;) {
        struct arena arena CLEANUP(arena_done);
        struct store_list list;
        arena_init(&arena, 0);
        arena_keep_secret(&arena);
        int rc = store_range(store, PATH_DNSSEC, after, PAGE, &arena, &list, err);
        for (size_t i = 0; rc == 0 && i < list.count; i++) {
            const struct store_entry *entry = &list.entries[i];
            struct look look = {.store = store,
                                .seal = seal,
                                .now = now,
                                .zone_id = entry->key + strlen(PATH_DNSSEC),
                                .dnssec_key = entry->key,
                                .dnssec_revision = entry->changed_revision,
                                .arena = &arena};
            rc = look_at_zone(&look, entry, period_s, &steps, err);
        }
        if (rc != 0) {
            return err_wrap(err, "replacing zone-signing keys");
        }
        more = list.more && list.count != 0;
        if (more) {
            free(after);
            after = memory_strdup(list.entries[list.count - 1].key);
        }
    }
    *ret_steps = steps;
    return 0;
}

/* ---- the thread ---- */

static void pause_until_next(struct rollover *rollover)
{
    int64_t wait_s = MAX(rollover->period_s / 3 / LOOKS_A_WAIT, 1);
    struct mono until = mono_from_now(MIN(wait_s, LOOK_MOST) * TIME_S);
    while (!rollover->stop && thread_wait_until(&rollover->wake, &rollover->mutex, until)) {
        /* woken for nothing */
    }
}

static void *rollover_main(void *argument)
{
    struct rollover *rollover = argument;
    thread_lock(&rollover->mutex);
    while (!rollover->stop) {
        struct err err = ERR_INIT;
        size_t steps = 0;
        thread_unlock(&rollover->mutex);
        if (rollover_look(rollover->store, rollover->seal, rollover->period_s, wall_now(), &steps,
                          &err) != 0) {
            log_warn("signing.rollover_failed", F("reason", &err),
                     F("next", "keys stay as they are; tried again at the next look"));
        }
        thread_lock(&rollover->mutex);
        pause_until_next(rollover);
    }
    thread_unlock(&rollover->mutex);
    return NULL;
}

static void rollover_free(struct rollover *rollover)
{
    thread_sync_done(&rollover->mutex, &rollover->wake);
    free(rollover);
}

int rollover_start(struct store *store, const struct seal *seal, int64_t period_s,
                   struct rollover **ret_rollover, struct err *err)
{
    if (period_s == 0) {
        *ret_rollover = NULL;
        return 0;
    }
    struct rollover *rollover = memory_new(sizeof *rollover);
    rollover->store = store;
    rollover->seal = seal;
    rollover->period_s = period_s;
    thread_sync_init(&rollover->mutex, &rollover->wake);
    int rc = thread_start(&rollover->thread, "rollover", rollover_main, rollover, err);
    if (rc != 0) {
        rollover_free(rollover);
        return rc;
    }
    *ret_rollover = rollover;
    return 0;
}

void rollover_stop(struct rollover *take_rollover)
{
    if (take_rollover == NULL) {
        return;
    }
    thread_lock(&take_rollover->mutex);
    take_rollover->stop = true;
    (void)pthread_cond_signal(&take_rollover->wake);
    thread_unlock(&take_rollover->mutex);
    thread_join(take_rollover->thread);
    rollover_free(take_rollover);
}
