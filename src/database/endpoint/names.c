/* Record sets of endpoints: see names.h. Called by the thread of endpoint.c and by tests. Reads the
 * zone, compares, writes the difference: the same call again does nothing. Invariant: the
 * transaction compares the revisions of the zone, of its tags and of what traffic policies hold, as
 * service/route53/change.c does, so that no two writers judge the same zone at once. */
#include "database/endpoint/names.h"

#include "base/text.h"
#include "model/path.h"
#include "model/transfer.h"
#include "model/zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARK "DatabaseGroup"
#define PAGE 1000U

/* A record set that is in the zone. */
struct stored {
    struct path_record_parts parts;
    const char *key;
    json_t *tree;
};

struct work {
    const struct names *names;
    struct arena *arena;
    struct store_txn *txn;
    struct names_result result;
    size_t added; /* of the puts: keys that were not there */
    const char *zone_id;
    const char *zone_key;
    json_t *zone; /* its value */
    struct stored *stored;
    size_t count;
};

static int parse(const struct store_entry *entry, json_t **ret_tree, struct err *err)
{
    json_t *tree = json_loadb(entry->value, entry->size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(tree)) {
        json_decref(tree);
        return err_set(err, ERR_CORRUPT, "%.160s is no object", entry->key);
    }
    *ret_tree = tree;
    return 0;
}

static int put(struct work *work, const char *key, const json_t *tree, struct err *err)
{
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for %.160s", key);
    }
    store_txn_put(work->txn, key, text, strlen(text));
    free(text);
    return 0;
}

/* ---- the zone ---- */

/* Of several zones with this name the oldest, which is the one that is served. */
static int find_zone(struct work *work, struct err *err)
{
    struct store_list list;
    const char *name = work->names->zone;
    const char *prefix = path_zone_name(work->arena, name, "");
    int rc = store_range(work->names->store, prefix, NULL, 0, work->arena, &list, err);
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (list.entries[i].created_revision < oldest) {
            oldest = list.entries[i].created_revision;
            work->zone_id = path_tail(work->arena, list.entries[i].key, prefix);
        }
    }
    if (rc == 0 && work->zone_id == NULL) {
        return err_set(err, ERR_NOT_FOUND, "there is no hosted zone %.160s for databases",
                       work->names->zone);
    }
    return rc;
}

static int load_zone(struct work *work, struct err *err)
{
    struct store_entry entry;
    work->zone_key = path_join(work->arena, PATH_ZONES, work->zone_id);
    int rc = store_get(work->names->store, work->zone_key, work->arena, &entry, err);
    rc = rc != 0 ? rc : parse(&entry, &work->zone, err);
    if (rc == 0) {
        store_txn_require_revision(work->txn, work->zone_key, entry.changed_revision);
    }
    return rc;
}

/* A zone whose records come from another primary is not to be written to. */
static int check_primary(struct work *work, struct err *err)
{
    struct store_entry entry;
    struct model_transfer transfer = {.primary_count = 0};
    const char *key = path_tags(work->arena, "hostedzone", work->zone_id);
    int rc = store_get(work->names->store, key, work->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        store_txn_require_absent(work->txn, key);
        return 0;
    }
    rc = rc != 0 ? rc : model_transfer_decode(entry.value, entry.size, work->arena, &transfer, err);
    if (rc != 0) {
        return rc;
    }
    store_txn_require_revision(work->txn, key, entry.changed_revision);
    return transfer.primary_count == 0
               ? 0
               : err_set(
                     err, ERR_NOT_FOUND,
                     "the hosted zone %.160s has another primary: databases have no names in it",
                     work->names->zone);
}

static void free_stored(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        json_decref(work->stored[i].tree);
    }
    free(work->stored);
    json_decref(work->zone);
}

static int add_page(struct work *work, const struct store_list *list, struct err *err)
{
    struct stored *grown = realloc(work->stored, (work->count + list->count) * sizeof *grown);
    if (grown == NULL && list->count != 0) {
        return err_set(err, ERR_MEMORY, "out of memory reading a hosted zone");
    }
    work->stored = list->count != 0 ? grown : work->stored;
    for (size_t i = 0; i < list->count; i++) {
        struct stored one = {.key = list->entries[i].key};
        if (path_record_split(work->arena, one.key, &one.parts) != 0) {
            continue; /* what it is, nobody else knows either */
        }
        int rc = parse(&list->entries[i], &one.tree, err);
        if (rc != 0) {
            return rc;
        }
        work->stored[work->count++] = one;
    }
    return 0;
}

static int load_records(struct work *work, struct err *err)
{
    const char *prefix = path_zone_records(work->arena, work->zone_id);
    const char *after = NULL;
    struct store_list list = {.more = true};
    int rc = 0;
    while (rc == 0 && list.more) {
        rc = store_range(work->names->store, prefix, after, PAGE, work->arena, &list, err);
        rc = rc != 0 || list.count == 0 ? rc : add_page(work, &list, err);
        after = rc == 0 && list.count != 0 ? list.entries[list.count - 1].key : after;
    }
    return rc;
}

/* ---- the difference ---- */

static const char *mark_of(const struct stored *stored)
{
    const char *mark = json_string_value(json_object_get(stored->tree, MARK));
    return mark != NULL ? mark : "";
}

static json_t *record_tree(const struct work *work, const struct wanted *wanted)
{
    json_t *tree =
        json_pack("{s:i, s:s, s:s, s:I, s:[{s:s}], s:s}", "v", MODEL_VERSION, "Name", wanted->name,
                  "Type", wanted->type, "TTL", (json_int_t)work->names->ttl_s, "ResourceRecords",
                  "Value", wanted->address, MARK, wanted->group);
    if (tree != NULL && wanted->set[0] != '\0' &&
        (json_object_set_new(tree, "SetIdentifier", json_string(wanted->set)) != 0 ||
         json_object_set_new(tree, "Weight", json_integer(1)) != 0)) {
        json_decref(tree);
        return NULL;
    }
    return tree;
}

/* Whether somebody else's record set keeps this one from being: at its key, of another policy, or
 * an alias for the whole name. */
static bool is_blocked(const struct work *work, const struct wanted *wanted)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct stored *stored = &work->stored[i];
        if (mark_of(stored)[0] == '\0' && text_equal(stored->parts.name, wanted->name) &&
            (text_equal(stored->parts.type, wanted->type) ||
             text_equal(stored->parts.type, "CNAME"))) {
            return true;
        }
    }
    return false;
}

static struct stored *find(const struct work *work, const char *key)
{
    for (size_t i = 0; i < work->count; i++) {
        if (text_equal(work->stored[i].key, key)) {
            return &work->stored[i];
        }
    }
    return NULL;
}

static int write_wanted(struct work *work, const struct wanted *wanted, const char *key,
                        struct err *err)
{
    const struct stored *stored = find(work, key);
    json_t *tree = record_tree(work, wanted);
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for %.160s", wanted->name);
    }
    int rc = 0;
    if (stored == NULL || !json_equal(stored->tree, tree)) {
        rc = put(work, key, tree, err);
        work->result.puts++;
        if (stored == NULL) {
            work->added++;
            store_txn_require_absent(work->txn,
                                     path_traffic_place(work->arena, PATH_TRAFFIC_PLACES,
                                                        work->zone_id, wanted->name, wanted->type));
        }
    }
    json_decref(tree);
    return rc;
}

static bool is_kept(const char *group, const char *const *keep, size_t keep_count)
{
    for (size_t i = 0; i < keep_count; i++) {
        if (text_equal(group, keep[i])) {
            return true;
        }
    }
    return false;
}

static bool is_among(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(key, keys[i])) {
            return true;
        }
    }
    return false;
}

static int compare(struct work *work, const struct wanted_list *wanted, const char *const *keep,
                   size_t keep_count, struct err *err)
{
    const char **keys = arena_array(work->arena, wanted->count + 1, sizeof *keys);
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < wanted->count && rc == 0; i++) {
        const struct wanted *one = &wanted->items[i];
        const char *key = path_record(work->arena, work->zone_id, one->name, one->type, one->set);
        if (is_blocked(work, one)) {
            work->result.blocked++;
        } else if (!is_among(key, keys, count)) { /* two groups with one name: the first has it */
            keys[count++] = key;
            rc = write_wanted(work, one, key, err);
        }
    }
    for (size_t i = 0; i < work->count && rc == 0; i++) {
        const char *mark = mark_of(&work->stored[i]);
        if (mark[0] != '\0' && !is_kept(mark, keep, keep_count) &&
            !is_among(work->stored[i].key, keys, count)) {
            store_txn_delete(work->txn, work->stored[i].key);
            work->result.deletes++;
        }
    }
    return rc;
}

/* With the zone's count of its records, whose change is what other writers compare. */
static int commit(struct work *work, struct err *err)
{
    int64_t revision = 0;
    json_int_t count = json_integer_value(json_object_get(work->zone, "RecordCount"));
    if (work->result.puts == 0 && work->result.deletes == 0) {
        return 0;
    }
    count += (json_int_t)work->added - (json_int_t)work->result.deletes;
    if (json_object_set_new(work->zone, "RecordCount", json_integer(count)) != 0) {
        return err_set(err, ERR_MEMORY, "out of memory for a hosted zone");
    }
    int rc = put(work, work->zone_key, work->zone, err);
    return rc != 0 ? rc : store_commit(work->names->store, work->txn, &revision, err);
}

int names_write(const struct names *names, const struct wanted_list *wanted,
                const char *const *keep, size_t keep_count, struct names_result *ret_result,
                struct err *err)
{
    struct arena arena CLEANUP(arena_done) = {0};
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    arena_init(&arena, 0);
    struct work work = {.names = names, .arena = &arena, .txn = txn};
    int rc = find_zone(&work, err);
    rc = rc != 0 ? rc : load_zone(&work, err);
    rc = rc != 0 ? rc : check_primary(&work, err);
    rc = rc != 0 ? rc : load_records(&work, err);
    rc = rc != 0 ? rc : compare(&work, wanted, keep, keep_count, err);
    rc = rc != 0 ? rc : commit(&work, err);
    free_stored(&work);
    if (rc == 0) {
        *ret_result = work.result;
    }
    return rc;
}
