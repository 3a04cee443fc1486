/* Renewing leases: see leases.h. All that is shared stands under one mutex, which is not held while
 * the store works; what is under way is marked in the hold. A renewal whose answer did not come is
 * looked for in the store: only when it is there does it count. Logs. Invariant: the file is
 * extended only for a renewal that is known to have happened, from the time before it was sent. */
#include "database/agent/leases.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/fence/lease_file.h"

#include <stdlib.h>
#include <string.h>

#define MARGIN_MS 100
#define RETRY_MS 50
#define IDLE_S 60

struct lease_hold {
    char group[MODEL_DATABASE_ID];
    char member[MODEL_DATABASE_ID];
    struct fence_lease *file;
    enum lease_standing standing;
    bool busy;    /* the thread works on it */
    bool failing; /* the last renewal did not work: logged once */
    int64_t epoch;
    int64_t wanted_ms; /* length */
    int64_t length_ms; /* as in the record */
    int64_t renewals;
    int64_t revision; /* of the record; 0: to be looked at */
    int64_t deadline_ns;
    int64_t sent_ns; /* of the renewal whose answer did not come; 0: none */
    int64_t sent_ms; /* its length */
    bool unfenced;   /* as in the record */
    model_lsn flushed;
    uint32_t timeline;
    struct mono due; /* of the next renewal */
};

struct leases {
    struct leases_config config;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* for the thread, and for who waits for it */
    bool stopping;
    struct lease_hold *holds[LEASES_LIMIT];
    size_t count;
};

int64_t lease_margin_ms(int64_t length_ms)
{
    return MAX(length_ms / 10, MARGIN_MS);
}

/* What the record must promise so that nobody voids it before the file's deadline. */
static int64_t length_for(const struct lease_hold *hold, int64_t now_ns)
{
    int64_t promised = atomic_load(&hold->file->deadline_ns);
    int64_t left_ms = promised > now_ns ? (promised - now_ns) / TIME_MS + 1 : 0;
    int64_t needed = hold->wanted_ms;
    if (left_ms + lease_margin_ms(needed) > needed) {
        needed = left_ms + lease_margin_ms(left_ms) + 1;
    }
    return MIN(needed, MODEL_DATABASE_LEASE_MAX_MS);
}

/* With the mutex held: a renewal that was begun at sent_ns happened. */
static void extend(struct lease_hold *hold, int64_t sent_ns, int64_t length_ms)
{
    int64_t deadline = sent_ns + (length_ms - lease_margin_ms(length_ms)) * TIME_MS;
    hold->length_ms = length_ms;
    hold->deadline_ns = MAX(hold->deadline_ns, deadline);
    if (hold->epoch <= 0 || fence_lease_extend(hold->file, hold->epoch, deadline) != 0) {
        hold->standing =
            LEASE_LOST; /* of an epoch that was revoked, or of a record that is wrong */
    }
}

static void lose(struct lease_hold *hold, const char *reason)
{
    fence_lease_revoke(hold->file, hold->epoch);
    hold->standing = LEASE_LOST;
    log_error("database.lease_lost", F("group", hold->group), F("member", hold->member),
              F("epoch", hold->epoch), F("reason", reason), F("next", "the writer is stopped"));
}

/* ---- one renewal; the hold is busy, the mutex is not held ---- */

/* What a hold's renewal needs, copied. */
struct renewal {
    struct model_database_lease lease;
    int64_t revision;
    int64_t sent_ns;
};

static int put(struct leases *leases, const char *group, const struct renewal *renewal,
               int64_t *ret_revision, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *key = model_database_lease_key(&arena, group);
    const char *value = model_database_lease_encode(&arena, &renewal->lease,
                                                    &(const struct model_stored){.value = NULL});
    store_txn_require_revision(txn, key, renewal->revision);
    store_txn_put(txn, key, value, strlen(value));
    return store_commit(leases->config.store, txn, ret_revision, err);
}

/* Looks what became of the record. ERR_CONFLICT: it is not this member's any more. */
static int look(struct leases *leases, const struct lease_hold *hold, int64_t epoch,
                struct model_database_lease *ret_lease, int64_t *ret_revision, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct model_database_lease lease;
    arena_init(&arena, 0);
    const char *key = model_database_lease_key(&arena, hold->group);
    int rc = store_get(leases->config.store, key, &arena, &entry, err);
    if (rc != 0) {
        return err->kind == ERR_NOT_FOUND ? err_set(err, ERR_CONFLICT, "its record is gone") : rc;
    }
    rc = model_database_lease_decode(entry.value, entry.size, &arena, &lease, err);
    if (rc != 0) {
        return rc;
    }
    if (lease.state != MODEL_DATABASE_LEASE_HELD || lease.epoch != epoch ||
        !text_equal(lease.holder, hold->member)) {
        return err_set(err, ERR_CONFLICT, "it is %s in epoch %lld, held by '%s'",
                       model_database_lease_state_name(lease.state), (long long)lease.epoch,
                       lease.holder);
    }
    if (lease.confirmed) {
        return err_set(err, ERR_CONFLICT, "somebody confirmed that its server does not write");
    }
    lease.holder = hold->member;
    *ret_lease = lease;
    *ret_revision = entry.changed_revision;
    return 0;
}

static void note_failure(struct leases *leases, struct lease_hold *hold, const struct err *err)
{
    if (!hold->failing) {
        hold->failing = true;
        log_warn("database.lease_not_renewed", F("group", hold->group), F("member", hold->member),
                 F("reason", err), F("left_ms", (hold->deadline_ns - fence_lease_now()) / TIME_MS),
                 F("next", "tried again until the writer has to stop"));
    }
    if (err->kind == ERR_CONFLICT) {
        lose(hold, err->message);
        leases->config.changed(leases->config.context);
    }
    hold->due = mono_from_now(RETRY_MS * TIME_MS);
}

static void note_success(struct leases *leases, struct lease_hold *hold,
                         const struct renewal *renewal, int64_t revision)
{
    hold->revision = revision;
    hold->renewals = renewal->lease.renewals;
    hold->sent_ns = 0;
    extend(hold, renewal->sent_ns, renewal->lease.length_ms);
    hold->due =
        mono_from_now(hold->length_ms / 4 * TIME_MS - (fence_lease_now() - renewal->sent_ns));
    if (hold->failing) {
        hold->failing = false;
        log_info("database.lease_renewed_again", F("group", hold->group),
                 F("member", hold->member));
        leases->config.changed(leases->config.context);
    }
}

/* The mutex is held at the start and at the end, not while the store works. */
static void renew(struct leases *leases, struct lease_hold *hold)
{
    struct err err = ERR_INIT;
    struct model_database_lease seen = {0};
    int64_t revision = hold->revision;
    int64_t epoch = hold->epoch;
    hold->busy = true;
    if (revision == 0) { /* the answer did not come, or we just started */
        thread_unlock(&leases->mutex);
        int rc = look(leases, hold, epoch, &seen, &revision, &err);
        thread_lock(&leases->mutex);
        if (rc != 0) {
            hold->busy = false;
            note_failure(leases, hold, &err);
            return;
        }
        bool happened = hold->sent_ns != 0 && seen.renewals > hold->renewals;
        if (happened) {
            extend(hold, hold->sent_ns, hold->sent_ms);
        }
        hold->renewals = seen.renewals;
        hold->unfenced = seen.unfenced;
        hold->sent_ns = happened ? 0 : hold->sent_ns;
    }
    int64_t now = fence_lease_now();
    struct renewal renewal = {.revision = revision,
                              .sent_ns = now,
                              .lease = {.epoch = epoch,
                                        .holder = hold->member,
                                        .state = MODEL_DATABASE_LEASE_HELD,
                                        .length_ms = length_for(hold, now),
                                        .renewals = hold->renewals + 1,
                                        .unfenced = hold->unfenced,
                                        .flushed = hold->flushed,
                                        .timeline = hold->timeline,
                                        .at = wall_now()}};
    thread_unlock(&leases->mutex);
    int rc = put(leases, hold->group, &renewal, &revision, &err);
    thread_lock(&leases->mutex);
    hold->busy = false;
    if (rc == 0) {
        note_success(leases, hold, &renewal, revision);
        return;
    }
    hold->revision = 0;
    if (err.kind == ERR_CONFLICT) { /* perhaps a renewal of our own whose answer did not come */
        hold->due = mono_now();
        return;
    }
    if (hold->sent_ns ==
        0) { /* of several without an answer, any may be the one: the first counts */
        hold->sent_ns = renewal.sent_ns;
        hold->sent_ms = renewal.lease.length_ms;
    }
    hold->sent_ms = MIN(hold->sent_ms, renewal.lease.length_ms);
    note_failure(leases, hold, &err);
}

/* ---- the thread ---- */

/* The next that is due; NULL with the time when there will be one. */
static struct lease_hold *next_due(struct leases *leases, struct mono *ret_due)
{
    struct lease_hold *first = NULL;
    for (size_t i = 0; i < leases->count; i++) {
        struct lease_hold *hold = leases->holds[i];
        if (hold->standing == LEASE_HELD && (first == NULL || hold->due.ns < first->due.ns)) {
            first = hold;
        }
    }
    *ret_due = first != NULL ? first->due : mono_from_now(IDLE_S * TIME_S);
    return first != NULL && mono_since(mono_now(), first->due) >= 0 ? first : NULL;
}

static void *run(void *argument)
{
    struct leases *leases = argument;
    thread_lock(&leases->mutex);
    while (!leases->stopping) {
        struct mono due;
        struct lease_hold *hold = next_due(leases, &due);
        if (hold != NULL) {
            renew(leases, hold);
            (void)pthread_cond_broadcast(&leases->changed); /* cannot fail */
        } else {
            (void)thread_wait_until(&leases->changed, &leases->mutex, due);
        }
    }
    thread_unlock(&leases->mutex);
    return NULL;
}

/* With the mutex held. */
static void wait_until_idle(struct leases *leases, const struct lease_hold *hold)
{
    while (hold->busy) {
        (void)thread_wait_until(&leases->changed, &leases->mutex, mono_from_now(TIME_S));
    }
}

static void fill_view(const struct lease_hold *hold, struct lease_view *ret_view)
{
    *ret_view = (struct lease_view){.standing = hold->standing,
                                    .epoch = hold->epoch,
                                    .deadline_ns = hold->deadline_ns,
                                    .stop_ns = hold->deadline_ns == 0
                                                   ? 0
                                                   : hold->deadline_ns -
                                                         lease_margin_ms(hold->length_ms) * TIME_MS,
                                    .revision = hold->revision};
}

void lease_look(struct leases *leases, const struct lease_hold *hold, struct lease_view *ret_view)
{
    thread_lock(&leases->mutex);
    fill_view(hold, ret_view);
    thread_unlock(&leases->mutex);
}

void lease_begin(struct leases *leases, struct lease_hold *hold, struct fence_lease *file,
                 const struct model_database_lease *lease, int64_t revision, int64_t sent_ns)
{
    thread_lock(&leases->mutex);
    wait_until_idle(leases, hold);
    hold->file = file;
    hold->standing = LEASE_HELD;
    hold->failing = false;
    hold->epoch = lease->epoch;
    hold->wanted_ms = lease->length_ms;
    hold->length_ms = lease->length_ms;
    hold->renewals = lease->renewals;
    hold->unfenced = lease->unfenced;
    hold->flushed = lease->flushed;
    hold->timeline = lease->timeline;
    hold->revision = revision;
    hold->sent_ns = 0;
    hold->deadline_ns = 0;
    if (sent_ns != 0) {
        extend(hold, sent_ns, lease->length_ms);
        hold->due = mono_from_now(lease->length_ms / 4 * TIME_MS);
    } else {
        hold->due = mono_now();
    }
    (void)pthread_cond_broadcast(&leases->changed); /* cannot fail */
    thread_unlock(&leases->mutex);
}

void lease_note(struct leases *leases, struct lease_hold *hold, int64_t length_ms,
                model_lsn flushed, uint32_t timeline)
{
    thread_lock(&leases->mutex);
    hold->wanted_ms = length_ms;
    hold->flushed = flushed != 0 ? flushed : hold->flushed;
    hold->timeline = timeline != 0 ? timeline : hold->timeline;
    thread_unlock(&leases->mutex);
}

void lease_end(struct leases *leases, struct lease_hold *hold, struct lease_view *ret_view)
{
    thread_lock(&leases->mutex);
    wait_until_idle(leases, hold);
    fill_view(hold, ret_view);
    hold->standing = LEASE_NOT_HELD;
    hold->file = NULL;
    thread_unlock(&leases->mutex);
}

struct lease_hold *leases_add(struct leases *leases, const char *group, const char *member)
{
    struct lease_hold *hold = memory_new(sizeof *hold);
    thread_lock(&leases->mutex);
    bool fits = leases->count < LEASES_LIMIT &&
                text_copy(hold->group, sizeof hold->group, group) == 0 &&
                text_copy(hold->member, sizeof hold->member, member) == 0;
    if (fits) {
        leases->holds[leases->count++] = hold;
    }
    thread_unlock(&leases->mutex);
    if (!fits) {
        free(hold);
        return NULL;
    }
    return hold;
}

void leases_remove(struct leases *leases, struct lease_hold *take_hold)
{
    thread_lock(&leases->mutex);
    wait_until_idle(leases, take_hold);
    for (size_t i = 0; i < leases->count; i++) {
        if (leases->holds[i] == take_hold) {
            leases->holds[i] = leases->holds[--leases->count];
            break;
        }
    }
    thread_unlock(&leases->mutex);
    free(take_hold);
}

int leases_start(const struct leases_config *config, struct leases **ret_leases, struct err *err)
{
    struct leases *leases = memory_new(sizeof *leases);
    leases->config = *config;
    thread_sync_init(&leases->mutex, &leases->changed);
    int rc = thread_start(&leases->thread, "db-leases", run, leases, err);
    if (rc != 0) {
        thread_sync_done(&leases->mutex, &leases->changed);
        free(leases);
        return rc;
    }
    *ret_leases = leases;
    return 0;
}

void leases_stop(struct leases *take_leases)
{
    if (take_leases == NULL) {
        return;
    }
    thread_lock(&take_leases->mutex);
    take_leases->stopping = true;
    (void)pthread_cond_broadcast(&take_leases->changed); /* cannot fail */
    thread_unlock(&take_leases->mutex);
    thread_join(take_leases->thread);
    thread_sync_done(&take_leases->mutex, &take_leases->changed);
    free(take_leases);
}
