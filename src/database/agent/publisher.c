/* Writing what is seen: see publisher.h. The thread collects all that is due into one transaction
 * that wants the members to be there; when one is not, each goes by itself. Logs failures, a line a
 * second. Invariant: of one member, what is written later was seen later. */
#include "database/agent/publisher.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 128U       /* written at once: as many as there may be workers */
#define SLOTS_LIMIT 512U /* with those of workers that are gone: they are written a last time */
#define MESSAGE 512U
#define RATE_MS 1000
#define IDLE_MS 10000
#define RETRY_MS 200
#define REST_MS 500

/* With the texts that it points to. */
struct seen_copy {
    struct model_database_seen seen;
    char message[MESSAGE];
    char commits[MESSAGE];
    char action[MESSAGE];
    char upstream[MODEL_DATABASE_ID];
    char site[MESSAGE];
};

struct publisher_slot {
    char group[MODEL_DATABASE_ID];
    char member[MODEL_DATABASE_ID];
    bool filled;
    bool busy;    /* being written */
    bool removed; /* the thread frees it, once what was put last is written, or was tried */
    bool changed; /* `now` differs from `written` */
    bool resting; /* PUBLISHER_REST was said last */
    struct seen_copy now;
    struct seen_copy written;
    struct mono due;
    struct mono last;   /* write */
    struct mono rested; /* nothing is written before */
    int64_t heartbeat_ns;
};

struct publisher {
    struct store *store;
    pthread_t thread;
    bool stopping;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct publisher_slot *slots[SLOTS_LIMIT];
    size_t count;
};

static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = text != NULL ? strnlen(text, size - 1) : 0;
    (void)memcpy(out, text != NULL ? text : "", length);
    out[length] = '\0';
    text_mend(out);
}

static void copy_seen(struct seen_copy *out, const struct model_database_seen *seen)
{
    out->seen = *seen;
    copy_text(out->message, sizeof out->message, seen->message);
    copy_text(out->commits, sizeof out->commits, seen->commits);
    copy_text(out->action, sizeof out->action, seen->action);
    copy_text(out->upstream, sizeof out->upstream, seen->upstream);
    copy_text(out->site, sizeof out->site, seen->site);
    out->seen.message = out->message;
    out->seen.commits = out->commits;
    out->seen.action = out->action;
    out->seen.upstream = out->upstream;
    out->seen.site = out->site;
}

/* All but positions, lags and the time. */
/* NULL is as good as nothing. */
static bool same_text(const char *a, const char *b)
{
    return text_equal(a != NULL ? a : "", b != NULL ? b : "");
}

static bool differs(const struct model_database_seen *a, const struct model_database_seen *b)
{
    return a->condition != b->condition || a->system_id != b->system_id ||
           a->timeline != b->timeline || a->clean != b->clean || a->epoch != b->epoch ||
           a->reboot != b->reboot || a->rebuild != b->rebuild ||
           a->pending_reboot != b->pending_reboot || (a->lag_bytes < 0) != (b->lag_bytes < 0) ||
           !text_equal(a->message, b->message) || !text_equal(a->action, b->action) ||
           a->streamed != b->streamed || !same_text(a->commits, b->commits) ||
           !text_equal(a->upstream, b->upstream) || !text_equal(a->site, b->site);
}

static bool moved(const struct model_database_seen *a, const struct model_database_seen *b)
{
    return a->received != b->received || a->replayed != b->replayed ||
           a->lag_bytes != b->lag_bytes || a->lag_ms != b->lag_ms;
}

void publisher_put(struct publisher *publisher, struct publisher_slot *slot,
                   const struct model_database_seen *seen, int64_t heartbeat_ns,
                   enum publisher_haste haste)
{
    thread_lock(&publisher->mutex);
    bool rests = haste == PUBLISHER_REST;
    if (rests != slot->resting) {
        slot->resting = rests;
        slot->rested.ns = rests ? mono_now().ns + MIN(REST_MS * TIME_MS, heartbeat_ns) : 0;
    }
    bool first = !slot->filled;
    bool matters = first || differs(seen, &slot->written.seen);
    bool moves = first || moved(seen, &slot->written.seen);
    copy_seen(&slot->now, seen);
    slot->filled = true;
    slot->heartbeat_ns = heartbeat_ns;
    if (matters || (moves && haste == PUBLISHER_HURRY)) {
        slot->due = mono_now();
        slot->changed = true;
    } else if (moves && !slot->changed) {
        slot->due = (struct mono){.ns = slot->last.ns + RATE_MS * TIME_MS};
        slot->changed = true;
    }
    (void)pthread_cond_signal(&publisher->changed); /* cannot fail */
    thread_unlock(&publisher->mutex);
}

/* ---- the thread ---- */

static void add_to(struct store_txn *txn, struct arena *arena, const struct publisher_slot *slot,
                   const struct seen_copy *copy)
{
    const char *value =
        model_database_seen_encode(arena, &copy->seen, &(const struct model_stored){.value = NULL});
    store_txn_require_present(txn, model_database_member_key(arena, slot->group, slot->member));
    store_txn_put(txn, model_database_seen_key(arena, slot->group, slot->member), value,
                  strlen(value));
}

/* Whether it was written, or is of a member that is gone. */
static bool commit(struct publisher *publisher, const struct store_txn *txn, bool *ret_conflict)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    int rc = store_commit(publisher->store, txn, &revision, &err);
    *ret_conflict = rc != 0 && err.kind == ERR_CONFLICT;
    if (rc != 0 && err.kind != ERR_CONFLICT && log_limit_allows(&limit, 1)) {
        log_warn("database.seen_not_written", F("reason", &err), F("next", "tried again"));
    }
    return rc == 0;
}

/* The mutex is not held. */
static bool write_each(struct publisher *publisher, struct publisher_slot *const *slots,
                       const struct seen_copy *copies, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        struct arena arena CLEANUP(arena_done);
        bool gone = false;
        arena_init(&arena, 0);
        struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
        add_to(txn, &arena, slots[i], &copies[i]);
        all = (commit(publisher, txn, &gone) || gone) && all;
    }
    return all;
}

static bool write_all(struct publisher *publisher, struct publisher_slot *const *slots,
                      const struct seen_copy *copies, size_t count)
{
    struct arena arena CLEANUP(arena_done);
    bool gone = false;
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    for (size_t i = 0; i < count; i++) {
        add_to(txn, &arena, slots[i], &copies[i]);
    }
    return commit(publisher, txn, &gone) ||
           (gone && (count == 1 || write_each(publisher, slots, copies, count)));
}

static bool is_due(const struct publisher_slot *slot, struct mono now)
{
    bool old = mono_since(now, slot->last) >= slot->heartbeat_ns;
    bool rests = mono_since(now, slot->rested) < 0;
    return slot->filled && !rests && ((slot->changed && mono_since(now, slot->due) >= 0) || old);
}

static struct mono next_due(const struct publisher *publisher)
{
    struct mono next = mono_from_now(IDLE_MS * TIME_MS);
    for (size_t i = 0; i < publisher->count; i++) {
        const struct publisher_slot *slot = publisher->slots[i];
        int64_t due = slot->last.ns + slot->heartbeat_ns;
        due = slot->changed ? MIN(due, slot->due.ns) : due;
        if (slot->filled) {
            next.ns = MIN(next.ns, MAX(due, slot->rested.ns));
        }
    }
    return next;
}

static void drop(struct publisher *publisher, struct publisher_slot *take_slot)
{
    for (size_t i = 0; i < publisher->count; i++) {
        if (publisher->slots[i] == take_slot) {
            publisher->slots[i] = publisher->slots[--publisher->count];
            break;
        }
    }
    free(take_slot);
}

static void finish(struct publisher_slot *slot, const struct seen_copy *copy, bool written)
{
    slot->busy = false;
    slot->last = mono_now();
    if (!written) {
        slot->changed = true;
        slot->due = mono_from_now(RETRY_MS * TIME_MS);
        return;
    }
    copy_seen(&slot->written, &copy->seen);
    slot->changed = differs(&slot->now.seen, &copy->seen) || moved(&slot->now.seen, &copy->seen);
    if (slot->changed) {
        bool matters = differs(&slot->now.seen, &copy->seen);
        slot->due = mono_from_now(matters || slot->removed ? 0 : RATE_MS * TIME_MS);
    }
}

/* With the mutex held at the start and at the end. */
static void write_due(struct publisher *publisher, struct publisher_slot **slots,
                      struct seen_copy *copies)
{
    struct mono now = mono_now();
    size_t count = 0;
    for (size_t i = 0; i < publisher->count && count < BATCH; i++) {
        struct publisher_slot *slot = publisher->slots[i];
        if (is_due(slot, now)) {
            slot->busy = true;
            slot->changed = false;
            slots[count] = slot;
            copy_seen(&copies[count], &slot->now.seen);
            copies[count].seen.at = wall_now();
            count++;
        }
    }
    if (count == 0) {
        (void)thread_wait_until(&publisher->changed, &publisher->mutex, next_due(publisher));
        return;
    }
    thread_unlock(&publisher->mutex);
    bool written = write_all(publisher, slots, copies, count);
    thread_lock(&publisher->mutex);
    for (size_t i = 0; i < count; i++) {
        finish(slots[i], &copies[i], written);
        if (slots[i]->removed && (!written || !slots[i]->changed)) {
            drop(publisher, slots[i]);
        }
    }
}

static bool work_left(const struct publisher *publisher)
{
    for (size_t i = 0; i < publisher->count; i++) {
        if (publisher->slots[i]->changed && mono_since(mono_now(), publisher->slots[i]->due) >= 0) {
            return true;
        }
    }
    return false;
}

static void *run(void *argument)
{
    struct publisher *publisher = argument;
    struct publisher_slot **slots = memory_array(BATCH, sizeof(struct publisher_slot *));
    struct seen_copy *copies = memory_array(BATCH, sizeof *copies);
    thread_lock(&publisher->mutex);
    while (!publisher->stopping || work_left(publisher)) {
        write_due(publisher, slots, copies);
    }
    thread_unlock(&publisher->mutex);
    free(copies);
    free(slots);
    return NULL;
}

struct publisher_slot *publisher_add(struct publisher *publisher, const char *group,
                                     const char *member)
{
    struct publisher_slot *slot = memory_new(sizeof *slot);
    IGNORE_RESULT(text_copy(slot->group, sizeof slot->group, group)); /* the model bounds ids */
    IGNORE_RESULT(text_copy(slot->member, sizeof slot->member, member));
    thread_lock(&publisher->mutex);
    assert(publisher->count < SLOTS_LIMIT); /* workers, those being written, those to be written */
    publisher->slots[publisher->count++] = slot;
    thread_unlock(&publisher->mutex);
    return slot;
}

void publisher_remove(struct publisher *publisher, struct publisher_slot *take_slot)
{
    thread_lock(&publisher->mutex);
    take_slot->removed = true;
    take_slot->rested.ns = 0;
    if (take_slot->changed && publisher->count <= BATCH) {
        take_slot->due = mono_now();
        (void)pthread_cond_signal(&publisher->changed); /* cannot fail */
    } else if (!take_slot->busy) {
        drop(publisher, take_slot);
    }
    thread_unlock(&publisher->mutex);
}

int publisher_start(struct store *store, struct publisher **ret_publisher, struct err *err)
{
    struct publisher *publisher = memory_new(sizeof *publisher);
    publisher->store = store;
    thread_sync_init(&publisher->mutex, &publisher->changed);
    int rc = thread_start(&publisher->thread, "db-seen", run, publisher, err);
    if (rc != 0) {
        thread_sync_done(&publisher->mutex, &publisher->changed);
        free(publisher);
        return rc;
    }
    *ret_publisher = publisher;
    return 0;
}

void publisher_stop(struct publisher *take_publisher)
{
    if (take_publisher == NULL) {
        return;
    }
    thread_lock(&take_publisher->mutex);
    take_publisher->stopping = true;
    (void)pthread_cond_signal(&take_publisher->changed); /* cannot fail */
    thread_unlock(&take_publisher->mutex);
    thread_join(take_publisher->thread);
    thread_sync_done(&take_publisher->mutex, &take_publisher->changed);
    free(take_publisher);
}
