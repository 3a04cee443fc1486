/* The watcher: see watch.h. It keeps the stored bytes of each check and of its tags, with the
 * revisions they came from, and reports a check when one of them changed. Only the follower's
 * thread (before it runs: watch_new) touches the items. */
#include "health/watch.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "model/path.h"
#include "store/follow.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 1000U

struct stored {
    void *value; /* NULL: there is none */
    size_t size;
    int64_t revision; /* of its last change, deletion included */
};

struct watch_item {
    char *id;
    struct stored check;
    struct stored tags;
    bool seen;     /* in the snapshot that is being read */
    bool changed;  /* to be reported */
    bool reported; /* the receiver has it */
};

struct watch {
    struct watch_config config;
    struct watch_item **items; /* sorted by id */
    size_t count;
    size_t capacity;
    struct store_follower *follower;
};

/* ---- items ---- */

static size_t position(const struct watch *watch, const char *id)
{
    size_t low = 0;
    size_t high = watch->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(watch->items[middle]->id, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* NULL when there are too many. */
static struct watch_item *find_or_add(struct watch *watch, const char *id)
{
    size_t at = position(watch, id);
    if (at < watch->count && text_equal(watch->items[at]->id, id)) {
        return watch->items[at];
    }
    if (watch->count >= WATCH_CHECKS_LIMIT) {
        static struct log_limit limit;
        if (log_limit_allows(&limit, 1)) {
            log_error("health.too_many_checks", F("limit", WATCH_CHECKS_LIMIT), F("left_out", id),
                      F("next", "it counts as healthy and is not probed"));
        }
        return NULL;
    }
    if (watch->count == watch->capacity) {
        watch->capacity = MAX(watch->capacity * 2, (size_t)64);
        watch->items = memory_resize(watch->items, watch->capacity, sizeof(struct watch_item *));
    }
    struct watch_item *item = memory_new(sizeof *item);
    item->id = memory_strdup(id);
    (void)memmove(watch->items + at + 1, watch->items + at,
                  (watch->count - at) * sizeof(struct watch_item *));
    watch->items[at] = item;
    watch->count++;
    return item;
}

static void free_item(struct watch_item *item)
{
    free(item->check.value);
    free(item->tags.value);
    free(item->id);
    free(item);
}

/* Values older than what is known are left: a change may be seen twice around a snapshot. Returns
 * whether something changed. */
static bool keep(struct stored *stored, const void *value, size_t size, int64_t revision)
{
    if (revision <= stored->revision) {
        return false;
    }
    free(stored->value);
    stored->value = value != NULL ? memory_dup(value, size) : NULL;
    stored->size = size;
    stored->revision = revision;
    return true;
}

/* ---- reporting ---- */

static void report_item(struct watch *watch, struct watch_item *item)
{
    const struct watch_config *config = &watch->config;
    item->changed = false;
    if (item->check.value == NULL) {
        if (item->reported) {
            config->removed(config->context, item->id);
            item->reported = false;
        }
        return;
    }
    struct check_record *record = NULL;
    struct err err = ERR_INIT;
    int rc = check_record_decode(item->check.value, item->check.size, item->tags.value,
                                 item->tags.size, &record, &err);
    if (rc != 0) {
        log_error("health.check_unreadable", F("check", item->id), F("error", &err),
                  F("next", item->reported ? "its last settings stay" : "it counts as healthy"));
        return;
    }
    item->reported = true;
    config->changed(config->context, record);
}

/* Reports what changed, and forgets items without a value. */
static void report(struct watch *watch)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct watch_item *item = watch->items[i];
        if (item->changed) {
            report_item(watch, item);
        }
        if (item->check.value == NULL && item->tags.value == NULL) {
            free_item(item);
        } else {
            watch->items[kept++] = item;
        }
    }
    watch->count = kept;
}

/* ---- the snapshot ---- */

static struct stored *part_of(struct watch_item *item, bool tags)
{
    return tags ? &item->tags : &item->check;
}

/* A store that was restored from an older snapshot has other revisions: none is known any more. */
static void forget_revisions(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        watch->items[i]->check.revision = 0;
        watch->items[i]->tags.revision = 0;
    }
}

/* *known: the revision up to which the items are known. *ret_revision: that of the store at the
 * first page, as changes after it come by the watch. */
static int read_prefix(struct watch *watch, const char *prefix, bool tags, int64_t *known,
                       int64_t *ret_revision, struct err *err)
{
    char after[STORE_KEY_LIMIT + 1] = "";
    int64_t revision = 0;
    bool more = true;
    while (more) {
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        struct store_list page;
        int rc = store_range(watch->config.store, prefix, after[0] != '\0' ? after : NULL, PAGE,
                             &arena, &page, err);
        if (rc != 0) {
            return rc;
        }
        if (page.revision < *known) {
            forget_revisions(watch);
            *known = 0;
        }
        revision = revision == 0 ? page.revision : revision;
        for (size_t i = 0; i < page.count; i++) {
            const struct store_entry *entry = &page.entries[i];
            const char *id = path_tail(&arena, entry->key, prefix);
            struct watch_item *item = id != NULL ? find_or_add(watch, id) : NULL;
            if (item != NULL) {
                item->seen = true;
                item->changed |=
                    keep(part_of(item, tags), entry->value, entry->size, entry->changed_revision);
            }
        }
        more = page.more && page.count > 0 &&
               text_copy(after, sizeof after, page.entries[page.count - 1].key) == 0;
    }
    *ret_revision = revision;
    return 0;
}

/* What was there and is not in the snapshot has been deleted. */
static void forget_unseen(struct watch *watch, bool tags, int64_t revision)
{
    for (size_t i = 0; i < watch->count; i++) {
        struct watch_item *item = watch->items[i];
        struct stored *stored = part_of(item, tags);
        if (!item->seen && stored->value != NULL) {
            item->changed |= keep(stored, NULL, 0, MAX(revision, stored->revision + 1));
        }
        item->seen = false;
    }
}

static int read_snapshot(void *context, int64_t *known, struct err *err)
{
    struct watch *watch = context;
    int64_t revision = 0;
    int64_t tags_revision = 0;
    for (size_t i = 0; i < watch->count; i++) {
        watch->items[i]->seen = false;
    }
    int rc = read_prefix(watch, PATH_CHECKS, false, known, &revision, err);
    if (rc != 0) {
        return err_wrap(err, "reading the health checks");
    }
    forget_unseen(watch, false, revision);
    rc = read_prefix(watch, PATH_CHECK_TAGS, true, known, &tags_revision, err);
    if (rc != 0) {
        return err_wrap(err, "reading the health checks' tags");
    }
    forget_unseen(watch, true, tags_revision);
    *known = MIN(revision, tags_revision);
    report(watch);
    return 0;
}

/* ---- changes ---- */

static void take_change(struct watch *watch, const struct store_change *change)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct store_entry *entry = &change->entry;
    bool tags = text_starts(entry->key, PATH_CHECK_TAGS);
    if (!tags && !text_starts(entry->key, PATH_CHECKS)) {
        return;
    }
    const char *id = path_tail(&arena, entry->key, tags ? PATH_CHECK_TAGS : PATH_CHECKS);
    struct watch_item *item = id != NULL ? find_or_add(watch, id) : NULL;
    if (item == NULL) {
        return;
    }
    bool put = change->type == STORE_PUT;
    item->changed |= keep(part_of(item, tags), put ? entry->value : NULL, put ? entry->size : 0,
                          entry->changed_revision);
}

static void take_batch(void *context, const struct store_batch *batch)
{
    struct watch *watch = context;
    for (size_t i = 0; i < batch->count; i++) {
        take_change(watch, &batch->changes[i]);
    }
    if (batch->count > 0) {
        report(watch);
    }
}

static void note_failure(void *context, const struct err *err, int64_t retry_ms)
{
    static struct log_limit limit;
    struct watch *watch = context;
    COUNTERS_ADD(watch->config.counters, store_errors);
    if (log_limit_allows(&limit, 1)) {
        log_warn("health.store_lost", F("error", err), F("retry_ms", retry_ms),
                 F("next", "the last known checks are probed meanwhile"));
    }
}

/* ---- life ---- */

int watch_new(const struct watch_config *config, struct watch **ret_watch, struct err *err)
{
    struct watch *watch = memory_new(sizeof *watch);
    watch->config = *config;
    struct store_follower_config follower = {
        .store = config->store,
        .prefix = PATH_ROUTE53,
        .thread = "health-watch",
        .read_all = read_snapshot,
        .take_batch = take_batch,
        .failed = note_failure,
        .context = watch,
    };
    int rc = store_follower_new(&follower, &watch->follower, err);
    if (rc != 0) {
        watch_free(watch);
        return rc;
    }
    *ret_watch = watch;
    return 0;
}

int watch_start(struct watch *watch, struct err *err)
{
    return store_follower_start(watch->follower, err);
}

void watch_free(struct watch *take_watch)
{
    if (take_watch == NULL) {
        return;
    }
    store_follower_free(take_watch->follower);
    for (size_t i = 0; i < take_watch->count; i++) {
        free_item(take_watch->items[i]);
    }
    free(take_watch->items);
    free(take_watch);
}
