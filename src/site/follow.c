/* The thread of a site: see site_start. It reads the members, then waits on the watch of
 * site/member/ with short turns; in between it keeps the lease of site/live/<name>, and its own
 * record true to what the daemon was started with. Invariants: it never takes a store's failure for
 * an empty list: members stay as they were until they are read again; and whether this site is one
 * of them, only the truth says: the replica's list makes it ask. */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "model/path.h"
#include "site/certificate.h"
#include "site/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TURN_MS 1000
#define KEEP_MS (SITE_LEASE_MS / 4)

struct site {
    struct site_config config;
    struct arena arena; /* of the texts in config.self */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool stopping;
    struct store_watch *watch;          /* guarded by mutex where it changes */
    struct mono kept;                   /* when the lease was kept alive last */
    int64_t lease;                      /* 0: none */
    bool recorded;                      /* the own record says what self says, or there is none */
    bool removed;                       /* as the truth said last */
    bool tell;                          /* that, to who listens */
    char fingerprint[SITE_FINGERPRINT]; /* of the certificate that the own record must name */
    struct wall started;
};

static bool is_stopping(struct site *site)
{
    thread_lock(&site->mutex);
    bool stopping = site->stopping;
    thread_unlock(&site->mutex);
    return stopping;
}

/* ---- the own record ---- */

static bool is_own(const struct site *site, const struct site_member *member)
{
    return text_equal(member->name, site->config.self.name) &&
           text_equal(member->fingerprint, site->fingerprint);
}

static int write_record(struct site *site, const struct store_entry *entry, struct arena *arena,
                        struct err *err)
{
    bool changed = false;
    json_t *tree CLEANUP(site_release) = json_loadb(entry->value, entry->size, 0, NULL);
    if (tree == NULL) {
        return err_set(err, ERR_CORRUPT, "the record of this site cannot be read");
    }
    int rc = site_member_update(tree, &site->config.self, &changed, err);
    const char *value = rc == 0 ? site_dump(tree, arena) : NULL;
    if (rc != 0 || !changed || value == NULL) {
        return rc;
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_require_revision(txn, entry->key, entry->changed_revision);
    store_txn_put(txn, entry->key, value, strlen(value));
    return store_commit(site->config.truth, txn, &revision, err);
}

static void set_removed(struct site *site, bool removed)
{
    if (site->removed == removed) {
        return;
    }
    site->removed = removed;
    site->tell = true;
    if (removed) {
        log_warn("site.removed", F("site", site->config.self.name),
                 F("next", "it is no member: it talks with no other site, votes no more, and keeps "
                           "its health verdicts as they are, until it joins again"));
    } else {
        log_info("site.member_again", F("site", site->config.self.name));
    }
}

/* One that is no member (any more) does not make itself one. Nor is it one whose name another
 * machine has by now. */
static int record(struct site *site, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct site_member member = {.name = ""};
    arena_init(&arena, 0);
    if (site->recorded) {
        return 0;
    }
    const char *key = path_join(&arena, PATH_SITE_MEMBERS, site->config.self.name);
    int rc = store_get(site->config.truth, key, &arena, &entry, err);
    bool absent = rc == -ENOENT;
    if (absent) {
        err_clear(err);
        rc = 0;
    } else if (rc == 0) {
        rc = site_member_decode(entry.value, entry.size, &arena, &member, err);
    }
    if (rc != 0) {
        return rc;
    }
    set_removed(site, absent || !is_own(site, &member));
    rc = site->removed ? 0 : write_record(site, &entry, &arena, err);
    site->recorded = rc == 0;
    return rc;
}

/* ---- living ---- */

static void stop_living(struct site *site)
{
    struct err ignored = ERR_INIT; /* else it runs out by itself */
    if (site->lease != 0) {
        IGNORE_RESULT(store_lease_revoke(site->config.truth, site->lease, &ignored));
        site->lease = 0;
    }
}

static int put_live(struct site *site, const char *value, struct arena *arena, struct err *err)
{
    const char *name = site->config.self.name;
    int64_t lease = 0;
    int64_t revision = 0;
    int rc = store_lease_grant(site->config.truth, SITE_LEASE_MS, &lease, err);
    if (rc != 0) {
        return rc;
    }
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_present(txn, path_join(arena, PATH_SITE_MEMBERS, name));
    store_txn_put_leased(txn, path_join(arena, PATH_SITE_LIVE, name), value, strlen(value), lease);
    rc = store_commit(site->config.truth, txn, &revision, err);
    site->recorded = site->recorded && (rc == 0 || err->kind != ERR_CONFLICT);
    site->lease = rc == 0 ? lease : 0; /* else it runs out by itself */
    return rc;
}

static int live(struct site *site, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    if (site->lease != 0) {
        int kept = store_lease_keepalive(site->config.truth, site->lease, err);
        if (kept == 0 || err->kind != ERR_NOT_FOUND) {
            return kept;
        }
        err_clear(err);
        site->lease = 0;
    }
    char when[TIME_TEXT];
    wall_format(site->started, when);
    json_t *tree CLEANUP(site_release) =
        json_pack("{s:i, s:s, s:s, s:s}", "v", 1, "Node", site->config.self.node, "Version",
                  site->config.self.version, "Started", when);
    const char *value = tree != NULL ? site_dump(tree, &arena) : NULL;
    return value != NULL ? put_live(site, value, &arena, err)
                         : err_set(err, ERR_MEMORY, "saying that this site lives");
}

static void keep(struct site *site)
{
    static struct log_limit limit;
    struct mono now = mono_now();
    struct err err = ERR_INIT;
    bool settled = site->recorded && (site->lease != 0 || site->removed);
    if (settled && mono_since(now, site->kept) < KEEP_MS * TIME_MS) {
        return;
    }
    site->kept = now;
    int rc = record(site, &err);
    if (rc == 0 && site->removed) {
        stop_living(site);
    } else if (rc == 0) {
        rc = live(site, &err);
    }
    if (rc != 0 && log_limit_allows(&limit, 1)) {
        log_debug("site.not_recorded", F("error", &err), F("next", "tries again"));
    }
}

/* ---- following ---- */

static void set_watch(struct site *site, struct store_watch *watch)
{
    thread_lock(&site->mutex);
    struct store_watch *old = site->watch;
    site->watch = watch;
    thread_unlock(&site->mutex);
    if (old != NULL) {
        store_watch_close(old);
    }
}

/* The list first, then the watch from there on: nothing is missed between. */
static int read_members(struct site *site, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct site_member *members = NULL;
    struct store_watch *watch = NULL;
    size_t count = 0;
    int64_t revision = 0;
    int rc = store_revision(site->config.replica, &revision, err);
    rc = rc != 0 ? rc : site_members(site->config.replica, &arena, &members, &count, err);
    if (rc == 0 && site->watch == NULL) {
        rc = store_watch_open(site->config.replica, PATH_SITE_MEMBERS, revision, &watch, err);
        if (rc == 0) {
            set_watch(site, watch);
        }
    }
    if (rc != 0) {
        return rc;
    }
    bool listed = false;
    for (size_t i = 0; i < count; i++) {
        listed = listed || is_own(site, &members[i]);
    }
    site->recorded = site->recorded && listed != site->removed; /* else the truth is asked */
    site->tell = false;
    site->config.changed(site->config.context, members, count, site->removed);
    return 0;
}

/* One turn: waits for a change; false when the list has to be read from the start. */
static bool follow(struct site *site)
{
    struct err err = ERR_INIT;
    struct store_batch batch;
    int rc = store_watch_next(site->watch, TURN_MS, &batch, &err);
    if (rc == 0 && batch.count != 0) {
        rc = read_members(site, &err);
    }
    if (rc == 0 || err.kind == ERR_TIMEOUT || err.kind == ERR_CANCELLED) {
        return true;
    }
    set_watch(site, NULL);
    return false;
}

static void rest(struct site *site)
{
    struct mono until = mono_from_now(TURN_MS * TIME_MS);
    thread_lock(&site->mutex);
    if (!site->stopping) {
        (void)thread_wait_until(&site->wanted, &site->mutex, until); /* a turn is over */
    }
    thread_unlock(&site->mutex);
}

static void *run(void *argument)
{
    struct site *site = argument;
    while (!is_stopping(site)) {
        struct err err = ERR_INIT;
        keep(site);
        if ((site->watch == NULL || site->tell) && read_members(site, &err) != 0) {
            rest(site);
        }
        if (site->watch != NULL && !follow(site)) {
            rest(site);
        }
    }
    stop_living(site);
    set_watch(site, NULL);
    return NULL;
}

/* ---- life ---- */

static const char *const *copy_texts(struct arena *arena, const char *const *texts, size_t count)
{
    const char **copy = arena_array(arena, count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = arena_strdup(arena, texts[i]);
    }
    return copy;
}

static void free_site(struct site *site)
{
    arena_done(&site->arena);
    thread_sync_done(&site->mutex, &site->wanted);
    free(site);
}

int site_start(const struct site_config *config, struct site **ret_site, struct err *err)
{
    struct site *site = memory_new(sizeof *site);
    const struct site_self *self = &config->self;
    arena_init(&site->arena, 0);
    site->config = *config;
    site->config.certificate = NULL; /* borrowed for this call */
    site->started = wall_now();
    site->config.self = (struct site_self){
        .name = arena_strdup(&site->arena, self->name),
        .node = arena_strdup(&site->arena, self->node),
        .version = arena_strdup(&site->arena, self->version),
        .regions = copy_texts(&site->arena, self->regions, self->region_count),
        .region_count = self->region_count,
        .api = arena_strdup(&site->arena, self->api),
        .dns = copy_texts(&site->arena, self->dns, self->dns_count),
        .dns_count = self->dns_count,
        .peer = arena_strdup(&site->arena, self->peer),
    };
    thread_sync_init(&site->mutex, &site->wanted);
    int rc = certificate_fingerprint(config->certificate, site->fingerprint, err);
    rc = rc != 0 ? rc : thread_start(&site->thread, "site", run, site, err);
    if (rc != 0) {
        free_site(site);
        return rc;
    }
    *ret_site = site;
    return 0;
}

void site_stop(struct site *take_site)
{
    if (take_site == NULL) {
        return;
    }
    thread_lock(&take_site->mutex);
    take_site->stopping = true;
    if (take_site->watch != NULL) {
        store_watch_interrupt(take_site->watch);
    }
    (void)pthread_cond_signal(&take_site->wanted); /* cannot fail on Linux */
    thread_unlock(&take_site->mutex);
    thread_join(take_site->thread);
    free_site(take_site);
}
