/* The names of databases: see endpoint.h. One thread follows "db/" and keeps the records; another
 * one writes what the names are to be whenever they changed, and tries again when it could not.
 * Logs. Invariant: the store is never called under the lock. */
#include "database/endpoint/endpoint.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "database/endpoint/internal.h"
#include "store/follow.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 500U
#define RETRY_FIRST_MS 20
#define RETRY_LAST_MS 5000
#define REPAIR_MS 60000 /* how often the zone is looked at although nothing changed */
#define CONFLICTS 8     /* in turn, before there is a pause */

/* ---- following ---- */

static int read_all(void *context, int64_t *revision, struct err *err)
{
    struct database_endpoints *self = context;
    struct records fresh = {.items = NULL};
    struct arena arena CLEANUP(arena_done) = {0};
    struct store_list list = {.more = true};
    const char *after = NULL;
    int64_t first = 0;
    int rc = 0;
    arena_init(&arena, 0);
    while (rc == 0 && list.more) {
        rc = store_range(self->names.store, PATH_DATABASES, after, PAGE, &arena, &list, err);
        for (size_t i = 0; rc == 0 && i < list.count; i++) {
            records_put(&fresh, &list.entries[i], false, records_now());
            after = list.entries[i].key;
        }
        first = first == 0 && rc == 0 ? list.revision : first;
    }
    if (rc != 0) {
        records_done(&fresh);
        return rc;
    }
    thread_lock(&self->lock);
    for (size_t i = 0; i < fresh.count; i++) { /* what a watch told of them stays known */
        const struct record *before = records_get(&self->records, fresh.items[i].key);
        if (before != NULL && before->revision == fresh.items[i].revision) {
            fresh.items[i].told = before->told;
            fresh.items[i].read = before->read;
        }
    }
    records_done(&self->records);
    self->records = fresh;
    self->known = true;
    self->dirty = true;
    (void)pthread_cond_signal(&self->changed); /* cannot fail */
    thread_unlock(&self->lock);
    *revision = first;
    return 0;
}

/* Renewals and losses are no matter of names. */
static bool matters(const char *key)
{
    return !text_starts(key, PATH_DATABASE_LEASES) && !text_starts(key, PATH_DATABASE_LOSSES);
}

static void take_batch(void *context, const struct store_batch *batch)
{
    struct database_endpoints *self = context;
    thread_lock(&self->lock);
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_change *change = &batch->changes[i];
        if (change->type == STORE_PUT) {
            records_put(&self->records, &change->entry, true, records_now());
        } else {
            records_delete(&self->records, change->entry.key);
        }
        self->dirty |= matters(change->entry.key);
    }
    if (self->dirty) {
        (void)pthread_cond_signal(&self->changed); /* cannot fail */
    }
    thread_unlock(&self->lock);
}

static void follow_failed(void *context, const struct err *err, int64_t retry_ms)
{
    static struct log_limit limit;
    (void)context;
    if (log_limit_allows(&limit, 1)) {
        log_warn("endpoints.store_lost", F("reason", err), F("retry_ms", retry_ms));
    }
}

static int begin_to_follow(struct database_endpoints *self, struct err *err)
{
    const struct store_follower_config config = {.store = self->names.store,
                                                 .prefix = PATH_DATABASES,
                                                 .thread = "endpoints/db",
                                                 .read_all = read_all,
                                                 .take_batch = take_batch,
                                                 .failed = follow_failed,
                                                 .context = self};
    struct store_follower *follower = NULL;
    int rc = store_follower_new(&config, &follower, err);
    rc = rc != 0 ? rc : store_follower_start(follower, err);
    if (rc != 0) {
        store_follower_free(follower);
        return rc;
    }
    self->follower = follower;
    return 0;
}

/* ---- writing ---- */

struct pass {
    struct arena arena;
    struct buf text; /* of all that is wanted: what is the same need not be written */
    struct wanted_list wanted;
    const char **keep;
    size_t keep_count;
};

/* What the records say now. Under the lock; pictures live in the arena but point into records, so
 * texts are copied where they are kept. */
static void collect(struct database_endpoints *self, struct pass *pass)
{
    static struct log_limit limit;
    size_t count = 0;
    size_t first = records_find(&self->records, PATH_DATABASE_GROUPS, &count);
    pass->keep = arena_array(&pass->arena, count + 1, sizeof *pass->keep);
    for (size_t i = first; i < first + count; i++) {
        struct err err = ERR_INIT;
        struct picture picture;
        int rc =
            records_picture(&self->records, &self->records.items[i], &pass->arena, &picture, &err);
        picture.id = arena_strdup(&pass->arena, picture.id);
        if (rc == 0) {
            wanted_add(&picture, self->names.zone, &pass->arena, &pass->wanted);
            continue;
        }
        pass->keep[pass->keep_count++] = picture.id;
        if (log_limit_allows(&limit, 1)) {
            log_error("endpoints.damaged", F("group", picture.id), F("reason", &err),
                      F("next", "its names stay as they are"));
        }
    }
    self->dirty = false;
}

static void describe(struct pass *pass)
{
    for (size_t i = 0; i < pass->wanted.count; i++) {
        const struct wanted *one = &pass->wanted.items[i];
        buf_printf(&pass->text, "%s %s %s %s %s\n", one->name, one->type, one->set, one->address,
                   one->group);
    }
    for (size_t i = 0; i < pass->keep_count; i++) {
        buf_printf(&pass->text, "%s\n", pass->keep[i]);
    }
}

/* Reads the zone, and writes what is not as it shall be. */
static int write_pass(struct database_endpoints *self, const struct pass *pass, struct err *err)
{
    struct names_result result = {0};
    int rc = -1;
    for (unsigned i = 0; rc != 0 && i < CONFLICTS && (i == 0 || err->kind == ERR_CONFLICT); i++) {
        err_clear(err);
        rc = names_write(&self->names, &pass->wanted, pass->keep, pass->keep_count, &result, err);
    }
    if (rc == 0 && result.puts + result.deletes != 0) {
        log_info("endpoints.written", F("zone", self->names.zone), F("changed", result.puts),
                 F("deleted", result.deletes));
    }
    if (rc == 0 && result.blocked != 0) {
        static struct log_limit limit;
        if (log_limit_allows(&limit, 1)) {
            log_warn("endpoints.blocked", F("zone", self->names.zone), F("count", result.blocked),
                     F("reason", "record sets of somebody else have the names"));
        }
    }
    return rc;
}

static int write_names(struct database_endpoints *self, struct err *err)
{
    struct pass pass = {.keep_count = 0};
    int rc = 0;
    arena_init(&pass.arena, 0);
    buf_init(&pass.text, 0);
    thread_lock(&self->lock);
    collect(self, &pass);
    thread_unlock(&self->lock);
    describe(&pass);
    bool written = self->written != NULL && text_equal(self->written, buf_text(&pass.text)) &&
                   mono_since(mono_now(), self->written_at) < REPAIR_MS * TIME_MS;
    if (!written) {
        rc = write_pass(self, &pass, err);
        free(self->written);
        self->written = rc == 0 ? memory_strdup(buf_text(&pass.text)) : NULL;
        self->written_at = mono_now();
    }
    buf_done(&pass.text);
    free(pass.wanted.items);
    arena_done(&pass.arena);
    return rc;
}

/* Until something changed or the time is over; false: the end. */
static bool wait_for_change(struct database_endpoints *self, int64_t wait_ms, bool retry)
{
    struct mono deadline = mono_from_now(wait_ms * TIME_MS);
    thread_lock(&self->lock);
    bool more = true;
    while (!self->stopping && more && (retry || !self->dirty)) {
        more = thread_wait_until(&self->changed, &self->lock, deadline);
    }
    bool go_on = !self->stopping;
    thread_unlock(&self->lock);
    return go_on;
}

static void *run(void *argument)
{
    static struct log_limit limit;
    struct database_endpoints *self = argument;
    int64_t retry_ms = 0;
    bool go_on = true;
    while (go_on) {
        struct err err = ERR_INIT;
        int rc = self->follower == NULL ? begin_to_follow(self, &err) : 0;
        rc = rc != 0 || self->names.zone[0] == '\0' ? rc : write_names(self, &err);
        if (rc != 0 && log_limit_allows(&limit, 1)) {
            log_warn("endpoints.not_written", F("reason", &err), F("next", "tried again"));
        }
        retry_ms = rc == 0         ? 0
                   : retry_ms == 0 ? RETRY_FIRST_MS
                                   : MIN(retry_ms * 2, (int64_t)RETRY_LAST_MS);
        go_on = wait_for_change(self, rc == 0 ? REPAIR_MS : retry_ms, rc != 0);
    }
    return NULL;
}

/* ---- life ---- */

int database_endpoints_open(const struct database_endpoints_config *config,
                            struct database_endpoints **ret_endpoints, struct err *err)
{
    struct database_endpoints *self = memory_new(sizeof *self);
    thread_sync_init(&self->lock, &self->changed);
    bool whole = config->zone[0] == '\0' || text_ends(config->zone, ".");
    self->zone = memory_printf("%s%s", config->zone, whole ? "" : ".");
    for (char *c = self->zone; *c != '\0'; c++) {
        *c = text_lower(*c);
    }
    self->names = (struct names){
        .zone = self->zone, .ttl_s = config->ttl_s != 0 ? config->ttl_s : DATABASE_ENDPOINTS_TTL_S};
    int rc = config->check_address != NULL
                 ? page_open(config->check_address, &pages_settings, &self->pages, err)
                 : 0;
    if (rc != 0) {
        database_endpoints_stop(self);
        return rc;
    }
    *ret_endpoints = self;
    return 0;
}

int database_endpoints_run(struct database_endpoints *endpoints, struct store *store,
                           struct err *err)
{
    endpoints->names.store = store;
    int rc = thread_start(&endpoints->thread, "endpoints", run, endpoints, err);
    endpoints->started = rc == 0;
    return rc != 0 || endpoints->pages == NULL ? rc : page_run(endpoints->pages, endpoints, err);
}

const struct sockaddr_storage *
database_endpoints_check_address(const struct database_endpoints *endpoints)
{
    return endpoints->pages != NULL ? page_address(endpoints->pages) : NULL;
}

void database_endpoints_stop(struct database_endpoints *take_endpoints)
{
    struct database_endpoints *self = take_endpoints;
    if (self == NULL) {
        return;
    }
    page_stop(self->pages);
    thread_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_signal(&self->changed); /* cannot fail */
    thread_unlock(&self->lock);
    if (self->started) {
        thread_join(self->thread);
    }
    store_follower_free(self->follower);
    records_done(&self->records);
    thread_sync_done(&self->lock, &self->changed);
    free(self->written);
    free(self->zone);
    free(self);
}
