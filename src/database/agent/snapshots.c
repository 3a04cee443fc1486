/* Records of snapshots, and those who take them: see snapshots.h. The thread reads all records when
 * something changed among them, starts and ends takers by them, and writes what became of them.
 * Logs. Invariants: what is seen of a snapshot is written by this thread alone; its records go
 * after its files. */
#include "database/agent/snapshots.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/bounds.h"
#include "database/agent/internal.h"
#include "database/agent/snapshot_taker.h"
#include "database/postgres/postgres.h"
#include "store/follow.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_ALL "db/snapshot" /* with what is seen of them */
#define AT_ONCE 2U
#define LOOK_MS 1000
#define AGAIN_S 600 /* a final snapshot that failed */
#define SWEEP_S 3600
#define TURN_S 60
#define EVENT_DAYS 14 /* as on AWS */
#define EVENTS_SWEPT 200U

/* One that is wanted, or to vanish, in a region of ours. */
struct record {
    const char *key;
    int64_t revision;
    struct model_database_snapshot snapshot;
    bool is_seen;
    struct model_database_snapshot_seen seen;
};

struct list {
    struct record *records; /* of an arena */
    size_t count;
};

struct snapshots {
    struct database_agent *agent;
    struct store_follower *follower;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping;
    bool stale;          /* records are to be read */
    uint64_t generation; /* goes up when something changed */
    /* The thread's own. */
    struct arena arena; /* of the records */
    struct list list;
    bool complete; /* they were read once */
    bool tidied;
    struct snapshot_taker *takers[AT_ONCE];
    size_t taker_count;
    struct mono swept;  /* events, and what was put aside */
    struct mono turned; /* logs */
};

char *snapshots_folder(const struct database_agent *agent, struct arena *arena,
                       const char *snapshot)
{
    return arena_printf(arena, "%s/snapshots/%s", agent->config.directory, snapshot);
}

static void wake(void *context)
{
    struct snapshots *all = context;
    thread_lock(&all->mutex);
    all->generation++;
    (void)pthread_cond_signal(&all->changed); /* cannot fail */
    thread_unlock(&all->mutex);
}

void snapshots_wake(struct snapshots *snapshots)
{
    if (snapshots != NULL) {
        wake(snapshots);
    }
}

/* ---- records ---- */

static bool is_ours(const struct database_agent *agent, const char *region)
{
    for (size_t i = 0; i < agent->config.region_count; i++) {
        if (text_equal(agent->config.regions[i].name, region) &&
            agent->config.regions[i].address_count != 0) {
            return true;
        }
    }
    return false;
}

static void complain(const char *key, const struct err *err)
{
    static struct log_limit limit;
    if (log_limit_allows(&limit, 1)) {
        log_error("database.record_damaged", F("key", key), F("reason", err),
                  F("next", "it counts as absent"));
    }
}

static struct record *find(const struct list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal(list->records[i].snapshot.id, id)) {
            return &list->records[i];
        }
    }
    return NULL;
}

static void take_wanted(const struct database_agent *agent, struct arena *arena,
                        const struct store_entry *entry, struct list *list)
{
    struct err err = ERR_INIT;
    struct record *record = &list->records[list->count];
    *record = (struct record){.key = entry->key, .revision = entry->changed_revision};
    if (model_database_snapshot_decode(entry->value, entry->size, arena, &record->snapshot, &err) !=
        0) {
        complain(entry->key, &err);
    } else if (is_ours(agent, record->snapshot.region)) {
        list->count++;
    }
}

static void take_seen(struct arena *arena, const struct store_entry *entry, struct list *list)
{
    struct err err = ERR_INIT;
    struct record *record = find(list, entry->key + strlen(PATH_DATABASE_SNAPSHOTS_SEEN));
    if (record == NULL) {
        return;
    }
    record->is_seen = model_database_snapshot_seen_decode(entry->value, entry->size, arena,
                                                          &record->seen, &err) == 0;
    if (!record->is_seen) {
        complain(entry->key, &err); /* it is taken again, or found whole */
    }
}

static int read_list(const struct database_agent *agent, struct arena *arena, struct list *ret_list,
                     struct err *err)
{
    struct store_list found = {.count = 0};
    int rc = store_range(agent->config.store, PATH_ALL, NULL, 0, arena, &found, err);
    if (rc != 0) {
        return rc;
    }
    *ret_list =
        (struct list){.records = arena_array(arena, found.count + 1, sizeof(struct record))};
    for (size_t i = 0; i < found.count; i++) {
        if (text_starts(found.entries[i].key, PATH_DATABASE_SNAPSHOTS)) {
            take_wanted(agent, arena, &found.entries[i], ret_list);
        }
    }
    for (size_t i = 0; i < found.count; i++) {
        if (text_starts(found.entries[i].key, PATH_DATABASE_SNAPSHOTS_SEEN)) {
            take_seen(arena, &found.entries[i], ret_list);
        }
    }
    return 0;
}

int snapshots_need(const struct database_agent *agent, const char *member, bool *ret_needed,
                   struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct list list = {.count = 0};
    arena_init(&arena, 0);
    int rc = read_list(agent, &arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    *ret_needed = false;
    for (size_t i = 0; i < list.count; i++) {
        const struct record *record = &list.records[i];
        bool pending =
            !record->is_seen || record->seen.state == MODEL_DATABASE_SNAPSHOT_CREATING ||
            (record->seen.state == MODEL_DATABASE_SNAPSHOT_FAILED && record->snapshot.final);
        *ret_needed = *ret_needed || (pending && !record->snapshot.deleted &&
                                      text_equal(record->snapshot.member, member));
    }
    return 0;
}

/* ---- writing ---- */

static void put_event(struct store_txn *txn, struct arena *arena, const struct record *record,
                      const char *category, const char *message)
{
    const struct model_database_event event = {
        .region = record->snapshot.region,
        .source = text_empty(record->snapshot.name) ? record->snapshot.id : record->snapshot.name,
        .type = "db-cluster-snapshot",
        .category = category,
        .message = message,
        .at = wall_now()};
    const char *value = model_database_event_encode(arena, &event);
    store_txn_put(txn, model_database_event_key(arena, event.region, event.at), value,
                  strlen(value));
}

static void put_end(struct store_txn *txn, struct arena *arena, const struct record *record,
                    const struct model_database_snapshot_seen *seen)
{
    if (seen->state == MODEL_DATABASE_SNAPSHOT_AVAILABLE) {
        put_event(txn, arena, record, "backup", "Manual cluster snapshot created");
    } else if (seen->state == MODEL_DATABASE_SNAPSHOT_FAILED) {
        put_event(txn, arena, record, "failure",
                  arena_printf(arena, "Manual cluster snapshot failed: %s.%s", seen->message,
                               record->snapshot.final
                                   ? " The cluster's data stay; it is tried again every ten "
                                     "minutes, until it is taken, or deleted."
                                   : ""));
    }
}

/* 0 as well when the snapshot is gone. */
static int write_seen(const struct snapshots *all, const struct record *record,
                      const struct model_database_snapshot_seen *seen)
{
    static struct log_limit limit;
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    struct model_database_snapshot_seen now = *seen;
    int64_t revision = 0;
    arena_init(&arena, 0);
    now.at = wall_now();
    const char *value = model_database_snapshot_seen_encode(
        &arena, &now, &(const struct model_stored){.value = NULL});
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_present(txn, record->key);
    store_txn_put(txn, model_database_snapshot_seen_key(&arena, record->snapshot.id), value,
                  strlen(value));
    put_end(txn, &arena, record, &now);
    int rc = store_commit(all->agent->config.store, txn, &revision, &err);
    if (rc != 0 && err.kind != ERR_CONFLICT && log_limit_allows(&limit, 1)) {
        log_warn("database.snapshot_not_written", F("snapshot", record->snapshot.name),
                 F("reason", &err), F("next", "tried again"));
    }
    return err.kind == ERR_CONFLICT ? 0 : rc;
}

/* ---- deletion ---- */

static int remove_records(const struct snapshots *all, const struct record *record, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    int64_t revision = 0;
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_revision(txn, record->key, record->revision);
    store_txn_delete(txn, record->key);
    store_txn_delete(txn, model_database_snapshot_seen_key(&arena, record->snapshot.id));
    return store_commit(all->agent->config.store, txn, &revision, err);
}

static int remove_folder(const struct snapshots *all, const char *snapshot, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct postgres backup = {.directory = snapshots_folder(all->agent, &arena, snapshot),
                                    .binaries = all->agent->binaries};
    return postgres_remove(&backup, true, err);
}

static void remove_snapshot(const struct snapshots *all, const struct record *record)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    int rc = remove_folder(all, record->snapshot.id, &err);
    rc = rc != 0 ? rc : remove_records(all, record, &err);
    if (rc == 0) {
        log_info("database.snapshot_removed", F("snapshot", record->snapshot.name));
    } else if (err.kind != ERR_CONFLICT && log_limit_allows(&limit, 1)) {
        log_warn("database.snapshot_not_removed", F("snapshot", record->snapshot.name),
                 F("reason", &err), F("next", "tried again"));
    }
}

/* ---- takers ---- */

static void end_taker(struct snapshots *all, size_t at)
{
    struct snapshot_taker *taker = all->takers[at];
    all->takers[at] = all->takers[--all->taker_count];
    snapshot_taker_join(taker);
}

static void note(const struct record *record, const struct snapshot_progress *progress)
{
    if (progress->seen.state == MODEL_DATABASE_SNAPSHOT_AVAILABLE) {
        log_info("database.snapshot_taken", F("snapshot", record->snapshot.name),
                 F("bytes", progress->seen.bytes));
    } else {
        log_error("database.snapshot_failed", F("snapshot", record->snapshot.name),
                  F("reason", progress->message),
                  F("next", record->snapshot.final ? "tried again" : "nothing is kept of it"));
    }
}

static void look_at_taker(struct snapshots *all, size_t at)
{
    struct snapshot_taker *taker = all->takers[at];
    struct record *record = find(&all->list, snapshot_taker_id(taker));
    struct snapshot_progress progress;
    if (record == NULL || record->snapshot.deleted) {
        snapshot_taker_stop(taker);
    }
    snapshot_taker_look(taker);
    snapshot_taker_progress(taker, &progress);
    if (record == NULL || progress.stopped) {
        if (progress.ended) {
            end_taker(all, at);
        }
        return;
    }
    bool tells = !record->is_seen || progress.ended ||
                 record->seen.percent != progress.seen.percent ||
                 !text_equal(record->seen.message, progress.message);
    if (tells && write_seen(all, record, &progress.seen) == 0) {
        record->is_seen = true; /* until it is read again */
        record->seen = progress.seen;
        record->seen.message = arena_strdup(&all->arena, progress.message);
        record->seen.at = wall_now();
        if (progress.ended) {
            note(record, &progress);
            end_taker(all, at);
        }
    }
}

static bool is_taken(const struct snapshots *all, const char *id)
{
    for (size_t i = 0; i < all->taker_count; i++) {
        if (text_equal(snapshot_taker_id(all->takers[i]), id)) {
            return true;
        }
    }
    return false;
}

static bool is_due(const struct record *record)
{
    if (!record->is_seen || record->seen.state == MODEL_DATABASE_SNAPSHOT_CREATING) {
        return true;
    }
    return record->seen.state == MODEL_DATABASE_SNAPSHOT_FAILED && record->snapshot.final &&
           wall_now().ns - record->seen.at.ns >= AGAIN_S * TIME_S;
}

static void look_at_record(struct snapshots *all, const struct record *record)
{
    struct err err = ERR_INIT;
    if (is_taken(all, record->snapshot.id)) {
        return;
    }
    if (record->snapshot.deleted) {
        remove_snapshot(all, record);
    } else if (is_due(record) && all->taker_count < AT_ONCE &&
               snapshot_taker_start(all->agent, &record->snapshot, wake, all,
                                    &all->takers[all->taker_count], &err) == 0) {
        all->taker_count++;
    }
}

/* ---- what is left in the folder ---- */

static void look_at_folder(const struct snapshots *all, const char *id)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    enum postgres_data data = POSTGRES_NO_DATA;
    arena_init(&arena, 0);
    const struct postgres backup = {.directory = snapshots_folder(all->agent, &arena, id)};
    if (id[0] == '.' || find(&all->list, id) != NULL || postgres_data(&backup, &data, &err) != 0) {
        return;
    }
    if (data == POSTGRES_DATA) {
        log_warn("database.snapshot_unknown", F("folder", backup.directory),
                 F("next", "it is kept: remove it by hand if nobody needs it"));
    } else if (remove_folder(all, id, &err) != 0) {
        log_warn("database.snapshot_not_removed", F("folder", backup.directory), F("reason", &err),
                 F("next", "tried again at the next start"));
    }
}

/* Once, when the records are known. */
static void tidy(const struct snapshots *all)
{
    char *path CLEANUP(memory_cleanup) =
        memory_printf("%s/snapshots", all->agent->config.directory);
    DIR *folder = opendir(path);
    struct dirent *entry = NULL;
    while (folder != NULL &&
           (entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        look_at_folder(all, entry->d_name);
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
}

/* ---- events ---- */

/* The oldest of them, once an hour: also where nobody calls the API, which does so too. */
static void sweep_events(const struct database_agent *agent, const char *region)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list list = {.count = 0};
    struct err err = ERR_INIT;
    int64_t oldest = wall_now().ns - EVENT_DAYS * INT64_C(86400) * TIME_S;
    int64_t revision = 0;
    bool any = false;
    arena_init(&arena, 0);
    const char *prefix = arena_printf(&arena, "%s%s/", PATH_DATABASE_EVENTS, region);
    if (store_range(agent->config.store, prefix, NULL, EVENTS_SWEPT, &arena, &list, &err) != 0) {
        return; /* an hour later */
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    for (size_t i = 0; i < list.count; i++) {
        struct model_database_event event = {.region = ""};
        if (model_database_event_decode(list.entries[i].value, list.entries[i].size, &arena, &event,
                                        &err) != 0 ||
            event.at.ns < oldest) {
            store_txn_delete(txn, list.entries[i].key);
            any = true;
        }
    }
    if (any) {
        IGNORE_RESULT(store_commit(agent->config.store, txn, &revision, &err)); /* an hour later */
    }
}

static void sweep(struct snapshots *all)
{
    if (all->turned.ns == 0 || mono_since(mono_now(), all->turned) >= TURN_S * TIME_S) {
        all->turned = mono_now();
        bounds_turn_logs(all->agent);
    }
    if (all->swept.ns != 0 && mono_since(mono_now(), all->swept) < SWEEP_S * TIME_S) {
        return;
    }
    all->swept = mono_now();
    for (size_t i = 0; i < all->agent->config.region_count; i++) {
        sweep_events(all->agent, all->agent->config.regions[i].name);
    }
    bounds_sweep_aside(all->agent, wall_now());
}

/* ---- the thread ---- */

/* Whether the records are as they were read. */
static bool refresh(struct snapshots *all, bool stale)
{
    struct err err = ERR_INIT;
    struct arena arena;
    struct list list = {.count = 0};
    if (!stale) {
        return true;
    }
    arena_init(&arena, 0);
    if (read_list(all->agent, &arena, &list, &err) != 0) {
        arena_done(&arena);
        return false;
    }
    arena_done(&all->arena);
    all->arena = arena;
    all->list = list;
    all->complete = true;
    return true;
}

static void look(struct snapshots *all)
{
    for (size_t i = all->taker_count; i-- > 0;) {
        look_at_taker(all, i);
    }
    if (!all->complete) {
        return;
    }
    if (!all->tidied) {
        tidy(all);
        all->tidied = true;
    }
    for (size_t i = 0; i < all->list.count; i++) {
        look_at_record(all, &all->list.records[i]);
    }
    sweep(all);
}

static void *run(void *argument)
{
    struct snapshots *all = argument;
    thread_lock(&all->mutex);
    while (!all->stopping) {
        uint64_t seen = all->generation;
        bool stale = all->stale;
        all->stale = false;
        thread_unlock(&all->mutex);
        bool fresh = refresh(all, stale);
        look(all);
        thread_lock(&all->mutex);
        all->stale = all->stale || !fresh;
        if (seen == all->generation && !all->stopping) {
            (void)thread_wait_until(&all->changed, &all->mutex, mono_from_now(LOOK_MS * TIME_MS));
        }
    }
    thread_unlock(&all->mutex);
    return NULL;
}

static void note_change(struct snapshots *all)
{
    thread_lock(&all->mutex);
    all->stale = true;
    thread_unlock(&all->mutex);
    wake(all);
}

static int read_all(void *context, int64_t *revision, struct err *err)
{
    struct snapshots *all = context;
    int rc = store_revision(all->agent->config.store, revision, err);
    note_change(all);
    return rc;
}

static void take_batch(void *context, const struct store_batch *batch)
{
    if (batch->count != 0) {
        note_change(context);
    }
}

static void failed(void *context, const struct err *err, int64_t retry_ms)
{
    (void)context;
    (void)err;
    (void)retry_ms; /* the view says so already */
}

int snapshots_start(struct database_agent *agent, struct snapshots **ret_snapshots, struct err *err)
{
    struct snapshots *all = memory_new(sizeof *all);
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/snapshots", agent->config.directory);
    all->agent = agent;
    arena_init(&all->arena, 0);
    thread_sync_init(&all->mutex, &all->changed);
    struct store_follower_config config = {.store = agent->config.store,
                                           .prefix = PATH_ALL,
                                           .thread = "db-snap-view",
                                           .read_all = read_all,
                                           .take_batch = take_batch,
                                           .failed = failed,
                                           .context = all,
                                           .later = true};
    int rc = mkdir(path, 0700) != 0 && errno != EEXIST ? err_set_errno(err, errno, "%s", path) : 0;
    rc = rc != 0 ? rc : store_follower_new(&config, &all->follower, err);
    rc = rc != 0 ? rc : store_follower_start(all->follower, err);
    rc = rc != 0 ? rc : thread_start(&all->thread, "db-snapshots", run, all, err);
    all->started = rc == 0;
    if (rc != 0) {
        snapshots_stop(all);
        return rc;
    }
    *ret_snapshots = all;
    return 0;
}

void snapshots_stop(struct snapshots *take_snapshots)
{
    struct snapshots *all = take_snapshots;
    if (all == NULL) {
        return;
    }
    store_follower_free(all->follower);
    if (all->started) {
        thread_lock(&all->mutex);
        all->stopping = true;
        (void)pthread_cond_signal(&all->changed); /* cannot fail */
        thread_unlock(&all->mutex);
        thread_join(all->thread);
    }
    for (size_t i = 0; i < all->taker_count; i++) {
        snapshot_taker_stop(all->takers[i]);
    }
    while (all->taker_count != 0) {
        end_taker(all, all->taker_count - 1);
    }
    thread_sync_done(&all->mutex, &all->changed);
    arena_done(&all->arena);
    free(all);
}
