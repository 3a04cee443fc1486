/* The feed: see feed.h. Two threads: the follower waits on the store's watch and hands batches to
 * the compiler; the reporter keeps node/<node>/dns up to date under a lease, so that a node that is
 * gone is not waited for. When the store fails, DNS keeps its answers and the follower starts over
 * from a snapshot, with a pause that grows to FEED_RETRY_MAX_MS. Revisions that touch no DNS record
 * are not reported: reports would cause reports. Keys of signed zones are opened here and go along
 * with the changes. Invariant: `applied` never names a revision whose
 * records are not all in the zone set. */
#include "daemon/feed.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/load.h"
#include "daemon/signing.h"
#include "dns/wire/rdata.h"
#include "model/location.h"
#include "model/path.h"
#include "model/zone.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FEED_PAGE 1000U     /* records read from the store at once */
#define FEED_CATCH_UP_MS 10 /* then the watch says how far it has come, changes or not */
#define FEED_RETRY_FIRST_MS 100
#define FEED_RETRY_MAX_MS 5000
#define FEED_FIRST_TRIES 5
#define FEED_LEASE_MS 15000
#define FEED_KEEPALIVE_S 4

struct feed {
    struct store *store;
    struct store *truth; /* the reporter's */
    const struct seal *seal;
    struct compiler *compiler;
    struct transfers *transfers;
    struct signing_problems *problems;
    bool signing;   /* a zone's signatures are being made; follower only */
    char *node_key; /* node/<node>/dns */
    pthread_t follower;
    pthread_t reporter;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* applied went up, or stop */
    struct store_watch *watch;
    int64_t watch_after;
    bool stop;
    _Atomic int64_t applied;
    struct log_limit bad_records;
};

/* ---- applying, on the compiler thread ---- */

struct application {
    struct feed *feed;
    const struct store_change *changes;
    size_t count;
    const struct signing_zones *signing;
};

/* On the compiler thread, or one that loads. */
static void report_bad(void *context, const char *key, const struct err *err)
{
    struct feed *feed = context;
    if (log_limit_allows(&feed->bad_records, 10)) {
        log_error("feed.record_left_out", F("key", key), F("reason", err),
                  F("next", "the other records are served; delete or correct this one"));
    }
}

static void put_zone(struct feed *feed, struct zone_database *database,
                     const struct store_entry *entry, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct model_zone zone;
    if (model_zone_decode(entry->value, entry->size, arena, &zone, &err) != 0) {
        report_bad(feed, entry->key, &err);
        return;
    }
    zone.created_revision = entry->created_revision; /* clocks of two writers may disagree */
    zone_database_put_zone(database, &zone);
}

static void put_record(struct feed *feed, struct zone_database *database,
                       const struct store_entry *entry, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct zone_put *put = NULL;
    if (load_prepare(entry, arena, &put, &err) != 0) {
        report_bad(feed, entry->key, &err);
        return;
    }
    zone_database_put(database, put);
}

static void put_collection(struct feed *feed, struct zone_database *database,
                           const struct store_entry *entry, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct model_cidr_collection collection;
    if (model_cidr_collection_decode(entry->value, entry->size, arena, &collection, &err) != 0) {
        report_bad(feed, entry->key, &err);
        return;
    }
    collection.id = entry->key + strlen(PATH_COLLECTIONS);
    zone_database_put_collection(database, &collection);
}

static void delete_record(struct feed *feed, struct zone_database *database, const char *key,
                          struct arena *arena)
{
    struct path_record_parts parts;
    struct err err = ERR_INIT;
    uint16_t type = 0;
    if (path_record_split(arena, key, &parts) == 0) {
        type = rr_type_from_text(parts.type);
    }
    if (type == 0) {
        (void)err_set(&err, ERR_CORRUPT, "not the key of a record"); /* reported below */
        report_bad(feed, key, &err);
        return;
    }
    zone_database_delete_record(database, parts.zone_id, parts.name, type, parts.set_identifier);
}

static void apply_change(struct feed *feed, struct zone_database *database,
                         const struct store_change *change, struct arena *arena)
{
    const char *key = change->entry.key;
    if (text_starts(key, PATH_ZONES)) {
        if (change->type == STORE_PUT) {
            put_zone(feed, database, &change->entry, arena);
        } else {
            zone_database_delete_zone(database, key + strlen(PATH_ZONES));
        }
    } else if (text_starts(key, PATH_COLLECTIONS)) {
        if (change->type == STORE_PUT) {
            put_collection(feed, database, &change->entry, arena);
        } else {
            zone_database_delete_collection(database, key + strlen(PATH_COLLECTIONS));
        }
    } else if (text_starts(key, PATH_RECORDS) || text_starts(key, PATH_TRAFFIC_RECORDS)) {
        if (change->type == STORE_PUT) {
            put_record(feed, database, &change->entry, arena);
        } else {
            delete_record(feed, database, key, arena);
        }
    } else if (feed->transfers != NULL && change->type == STORE_PUT) {
        (void)transfers_put(feed->transfers, database, &change->entry, arena);
    } else if (feed->transfers != NULL) {
        (void)transfers_delete(feed->transfers, database, key, arena);
    }
}

static void apply(struct zone_database *database, void *argument)
{
    const struct application *application = argument;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    for (size_t i = 0; i < application->count; i++) {
        apply_change(application->feed, database, &application->changes[i], &arena);
        if (arena.used > (1U << 20U)) { /* nothing decoded is kept */
            arena_done(&arena);
        }
    }
    signing_apply(application->signing, database);
    if (application->feed->transfers != NULL) {
        transfers_publish(application->feed->transfers);
    }
    zone_database_publish(database);
}

static int apply_changes(struct feed *feed, const struct store_change *changes, size_t count,
                         struct err *err)
{
    struct arena arena CLEANUP(arena_done); /* holds the keys until the database has them */
    struct signing_zones signing;
    arena_init(&arena, 0);
    arena_keep_secret(&arena);
    int rc = signing_read(feed->store, feed->seal, changes, count, &arena, &signing, err);
    if (rc != 0) {
        return rc;
    }
    struct application application = {
        .feed = feed, .changes = changes, .count = count, .signing = &signing};
    compiler_run(feed->compiler, apply, &application);
    signing_problems_note(feed->problems, &signing);
    feed->signing = feed->signing || signing.count != 0;
    return 0;
}

static void sign_some(struct zone_database *database, void *argument)
{
    bool *signing = argument;
    *signing = zone_database_refresh(database, wall_now()) == 0;
}

static void set_applied(struct feed *feed, int64_t revision)
{
    thread_lock(&feed->mutex);
    atomic_store_explicit(&feed->applied, revision, memory_order_release);
    (void)pthread_cond_signal(&feed->changed);
    thread_unlock(&feed->mutex);
}

/* ---- the snapshot ---- */

/* A snapshot after a lost watch: what DNS knew before counts as old until the snapshot brings it
 * again, and goes when it did not. Answers stay meanwhile. */
static void begin_reload(struct zone_database *database, void *argument)
{
    const struct feed *feed = argument;
    zone_database_mark(database);
    if (feed->transfers != NULL) {
        transfers_mark(feed->transfers);
    }
}

static void end_reload(struct zone_database *database, void *argument)
{
    const struct feed *feed = argument;
    zone_database_sweep(database);
    if (feed->transfers != NULL) {
        transfers_sweep(feed->transfers, database);
        transfers_publish(feed->transfers);
    }
    zone_database_publish(database);
}

static int load_prefix(struct feed *feed, const char *prefix, int64_t *first_revision,
                       int64_t *last_revision, struct err *err)
{
    char *after CLEANUP(memory_cleanup) = NULL;
    for (bool more = true; more;) {
        struct arena arena CLEANUP(arena_done);
        struct store_list list;
        arena_init(&arena, 0);
        int rc = store_range(feed->store, prefix, after, FEED_PAGE, &arena, &list, err);
        if (rc != 0) {
            return err_wrap(err, "reading %s", prefix);
        }
        struct store_change *changes = arena_array(&arena, list.count, sizeof *changes);
        for (size_t i = 0; i < list.count; i++) {
            changes[i] = (struct store_change){.type = STORE_PUT, .entry = list.entries[i]};
        }
        rc = apply_changes(feed, changes, list.count, err);
        if (rc != 0) {
            return rc;
        }
        *first_revision = *first_revision == 0 ? list.revision : *first_revision;
        *last_revision = list.revision;
        more = list.more && list.count != 0;
        if (more) {
            free(after);
            after = memory_strdup(list.entries[list.count - 1].key);
        }
    }
    return 0;
}

/* Applies everything up to `target` from the watch, so that pages read at different revisions are
 * one state. */
static int catch_up(struct feed *feed, int64_t reached, int64_t target, struct err *err)
{
    while (reached < target) {
        struct store_batch batch;
        int rc = store_watch_next(feed->watch, FEED_CATCH_UP_MS, &batch, err);
        if (rc != 0 && err->kind == ERR_TIMEOUT) { /* a store that is behind: it will come */
            err_clear(err);
            continue;
        }
        if (rc != 0) {
            return rc;
        }
        rc = apply_changes(feed, batch.changes, batch.count, err);
        if (rc != 0) {
            return rc;
        }
        reached = batch.revision;
    }
    while (feed->signing) { /* a signed zone is not shown unsigned after a restart */
        compiler_run(feed->compiler, sign_some, &feed->signing);
    }
    set_applied(feed, reached);
    return 0;
}

static int open_watch(struct feed *feed, int64_t after, struct err *err)
{
    struct store_watch *watch = NULL;
    int rc = store_watch_open(feed->store, PATH_ROUTE53, after, &watch, err);
    if (rc != 0) {
        return rc;
    }
    thread_lock(&feed->mutex);
    struct store_watch *old = feed->watch;
    feed->watch = watch;
    bool stop = feed->stop;
    thread_unlock(&feed->mutex);
    store_watch_close(old);
    if (stop) {
        store_watch_interrupt(watch);
    }
    return 0;
}

/* Zones and collections before records, which are loaded for the zones that are known; nobody sees
 * a zone before the sweep. The watch is opened before anything is read: one that was opened after
 * might begin in a store that was filled anew meanwhile, and not know. */
static int load_snapshot(struct feed *feed, struct err *err)
{
    struct load_revisions revisions = {0};
    int64_t start = 0;
    int rc = store_revision(feed->store, &start, err);
    rc = rc != 0 ? rc : open_watch(feed, start, err);
    if (rc != 0) {
        return rc;
    }
    compiler_run(feed->compiler, begin_reload, feed);
    rc = load_prefix(feed, PATH_COLLECTIONS, &revisions.first, &revisions.last, err);
    rc = rc != 0 ? rc : load_prefix(feed, PATH_ZONES, &revisions.first, &revisions.last, err);
    rc =
        rc != 0 ? rc : load_records(feed->store, feed->compiler, report_bad, feed, &revisions, err);
    for (const char *const *prefix = transfers_prefixes;
         rc == 0 && feed->transfers != NULL && *prefix != NULL; prefix++) {
        rc = load_prefix(feed, *prefix, &revisions.first, &revisions.last, err);
    }
    rc = rc != 0 ? rc : load_prefix(feed, PATH_DNSSEC, &revisions.first, &revisions.last, err);
    rc = rc != 0 ? rc
                 : load_prefix(feed, PATH_TRAFFIC_RECORDS, &revisions.first, &revisions.last, err);
    if (rc != 0) {
        return rc;
    }
    if (revisions.last < start) { /* filled anew before the watch was there */
        return err_set(err, ERR_COMPACTED, "the store went back while it was read");
    }
    compiler_run(feed->compiler, end_reload, feed);
    return catch_up(feed, start, revisions.last, err);
}

/* ---- the threads ---- */

/* Sleeps, but wakes at once when the feed stops. Returns whether it goes on. */
static bool pause_ms(struct feed *feed, int64_t milliseconds)
{
    struct mono until = mono_from_now(milliseconds * TIME_MS);
    thread_lock(&feed->mutex);
    while (!feed->stop && thread_wait_until(&feed->changed, &feed->mutex, until)) {
        /* applied went up */
    }
    bool going = !feed->stop;
    thread_unlock(&feed->mutex);
    return going;
}

/* While a zone's signatures are being made, other changes are applied, and none is reported. */
static int follow(struct feed *feed, struct err *err)
{
    int64_t reached = feed_applied_revision(feed);
    for (;;) {
        struct store_batch batch = {.count = 0};
        int rc = store_watch_next(feed->watch, feed->signing ? FEED_CATCH_UP_MS : -1, &batch, err);
        if (rc != 0 && err->kind == ERR_TIMEOUT) {
            err_clear(err);
            rc = 0;
        }
        if (rc == 0 && batch.count != 0) { /* else somebody's revision, such as our own report's */
            rc = apply_changes(feed, batch.changes, batch.count, err);
            reached = batch.revision;
        }
        if (rc != 0) {
            return rc;
        }
        if (feed->signing) {
            compiler_run(feed->compiler, sign_some, &feed->signing);
        }
        if (!feed->signing && reached != feed_applied_revision(feed)) {
            set_applied(feed, reached);
        }
    }
}

static void *follower_main(void *argument)
{
    struct feed *feed = argument;
    int64_t wait_ms = FEED_RETRY_FIRST_MS;
    for (;;) {
        struct err err = ERR_INIT;
        (void)follow(feed, &err); /* only returns with an error */
        if (err.kind == ERR_CANCELLED) {
            return NULL;
        }
        do {
            log_warn("feed.interrupted", F("reason", &err), F("retry_ms", wait_ms),
                     F("next", "DNS keeps its answers; the feed starts over from a snapshot"));
            if (!pause_ms(feed, wait_ms)) {
                return NULL;
            }
            wait_ms = MIN(wait_ms * 2, (int64_t)FEED_RETRY_MAX_MS);
            err_clear(&err);
        } while (load_snapshot(feed, &err) != 0 && err.kind != ERR_CANCELLED);
        if (err.kind == ERR_CANCELLED) {
            return NULL;
        }
        wait_ms = FEED_RETRY_FIRST_MS;
        log_info("feed.restored", F("revision", feed_applied_revision(feed)));
    }
}

/* Writes the revision under the lease, granting one where there is none (any more). */
static int report(struct feed *feed, int64_t revision, int64_t *lease, struct err *err)
{
    int rc = *lease != 0 ? 0 : store_lease_grant(feed->truth, FEED_LEASE_MS, lease, err);
    if (rc != 0) {
        return rc;
    }
    char value[64];
    int length = snprintf(value, sizeof value, "{\"v\":1,\"Revision\":%" PRId64 "}", revision);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put_leased(txn, feed->node_key, value, (size_t)length, *lease);
    int64_t written = 0;
    rc = store_commit(feed->truth, txn, &written, err);
    if (rc != 0 && err->kind == ERR_NOT_FOUND) { /* the lease ran out: the next call grants anew */
        *lease = 0;
    }
    return rc;
}

/* Waits until `applied` differs from reported, or the keepalive is due. Returns whether to go on.
 */
static bool wait_for_progress(struct feed *feed, int64_t reported)
{
    struct mono until = mono_from_now(FEED_KEEPALIVE_S * TIME_S);
    thread_lock(&feed->mutex);
    while (!feed->stop && feed_applied_revision(feed) == reported &&
           thread_wait_until(&feed->changed, &feed->mutex, until)) {
        /* woken for nothing */
    }
    bool going = !feed->stop;
    thread_unlock(&feed->mutex);
    return going;
}

static void *reporter_main(void *argument)
{
    struct feed *feed = argument;
    int64_t lease = 0;
    int64_t reported = -1;
    bool failing = false; /* said once, until it is over */
    while (wait_for_progress(feed, reported)) {
        struct err err = ERR_INIT;
        int64_t applied = feed_applied_revision(feed);
        int rc = applied != reported || lease == 0
                     ? report(feed, applied, &lease, &err)
                     : store_lease_keepalive(feed->truth, lease, &err);
        if (rc == 0) {
            reported = applied;
            if (failing) {
                log_info("feed.report_restored", F("revision", applied));
            }
            failing = false;
            continue;
        }
        if (err.kind == ERR_NOT_FOUND) {
            lease = 0;
        } else if (!failing) {
            failing = true;
            log_warn("feed.report_failed", F("reason", &err),
                     F("next", "changes stay PENDING until it succeeds; tried every second"));
        }
        reported = -1;
        if (err.kind != ERR_NOT_FOUND && !pause_ms(feed, 1000)) {
            break;
        }
    }
    if (lease != 0) {
        struct err err = ERR_INIT;
        IGNORE_RESULT(
            store_lease_revoke(feed->truth, lease, &err)); /* else it runs out by itself */
    }
    return NULL;
}

static void feed_free(struct feed *feed)
{
    store_watch_close(feed->watch);
    signing_problems_free(feed->problems);
    thread_sync_done(&feed->mutex, &feed->changed);
    free(feed->node_key);
    free(feed);
}

static struct feed *feed_new(struct store *store, struct store *truth, const struct seal *seal,
                             struct compiler *compiler, struct transfers *transfers,
                             const char *node)
{
    struct feed *feed = memory_new(sizeof *feed);
    thread_sync_init(&feed->mutex, &feed->changed);
    feed->store = store;
    feed->truth = truth;
    feed->seal = seal;
    feed->problems = signing_problems_new();
    feed->compiler = compiler;
    feed->transfers = transfers;
    feed->node_key = memory_printf("%s%s/dns", PATH_NODES, node);
    return feed;
}

static void interrupt(struct feed *feed)
{
    thread_lock(&feed->mutex);
    feed->stop = true;
    (void)pthread_cond_broadcast(&feed->changed);
    store_watch_interrupt(feed->watch);
    thread_unlock(&feed->mutex);
}

int feed_start(struct store *store, struct store *truth, const struct seal *seal,
               struct compiler *compiler, struct transfers *transfers, const char *node,
               struct feed **ret_feed, struct err *err)
{
    struct feed *feed = feed_new(store, truth, seal, compiler, transfers, node);
    int rc = load_snapshot(feed, err);
    for (int i = 0; rc != 0 && err->kind == ERR_COMPACTED && i < FEED_FIRST_TRIES; i++) {
        err_clear(err); /* a replica that was filled anew meanwhile */
        rc = load_snapshot(feed, err);
    }
    if (rc != 0) {
        feed_free(feed);
        return err_wrap(err, "loading zones");
    }
    rc = thread_start(&feed->follower, "feed", follower_main, feed, err);
    if (rc != 0) {
        feed_free(feed);
        return rc;
    }
    rc = thread_start(&feed->reporter, "feed-reporter", reporter_main, feed, err);
    if (rc != 0) {
        interrupt(feed);
        thread_join(feed->follower);
        feed_free(feed);
        return rc;
    }
    *ret_feed = feed;
    return 0;
}

void feed_stop(struct feed *take_feed)
{
    if (take_feed != NULL) {
        interrupt(take_feed);
        thread_join(take_feed->follower);
        thread_join(take_feed->reporter);
        feed_free(take_feed);
    }
}

int64_t feed_applied_revision(struct feed *feed)
{
    return atomic_load_explicit(&feed->applied, memory_order_acquire);
}

const char **feed_problems(struct feed *feed, struct arena *arena)
{
    return signing_problems_list(feed->problems, arena);
}
