/* The difference between what came and what is stored, as transactions: see write.h. Called on the
 * room's threads, one zone at a time each; everything lives in the caller's arena.
 *
 * Every transaction compares the revisions of the zone, its tags and its serial, so a change by
 * somebody else (or the zone's deletion) ends the work, and the next pull starts from what is there
 * then. Invariant: a serial is stored only beside exactly the records it is of. */
#include "secondary/write.h"

#include "base/text.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "model/transfer.h"
#include "model/zone.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define PAGE 1000U
#define BATCH_OPS 4000U                 /* below STORE_TXN_OPS_LIMIT, with what every batch adds */
#define BATCH_BYTES (size_t)(4U << 20U) /* below STORE_TXN_BYTES_LIMIT */

struct edit {
    const char *key;
    const char *value; /* NULL: delete */
    bool stored;       /* the key is there */
};

struct writer {
    struct store *store;
    struct arena *arena;
    struct err *err;
    const char *zone_id;
    const char *zone_key;
    const char *state_key;
    const char *tags_key;
    struct write_base base;
    json_t *zone;         /* its record; kept by the arena */
    int64_t revision;     /* of that */
    int64_t record_count; /* that it will have */
    struct edit *edits;
    size_t count;
    size_t capacity;
};

static void release(void *tree)
{
    json_decref(tree);
}

static json_t *keep(struct arena *arena, json_t *take_tree)
{
    if (take_tree != NULL) {
        arena_defer(arena, release, take_tree);
    }
    return take_tree;
}

static const char *text_of(struct arena *arena, const json_t *tree)
{
    char *text = tree != NULL ? json_dumps(tree, JSON_COMPACT) : NULL;
    const char *copy = text != NULL ? arena_strdup(arena, text) : NULL;
    free(text);
    return copy;
}

/* ---- the state ---- */

static struct wall time_of(const json_t *state, const char *name)
{
    struct wall when = {.ns = 0};
    const char *text = json_string_value(json_object_get(state, name));
    return text != NULL && wall_parse(text, &when) == 0 ? when : (struct wall){.ns = 0};
}

static int read_state(struct store *store, const char *zone_id, struct arena *arena,
                      struct write_base *base, struct err *err)
{
    struct store_entry entry;
    int rc = store_get(store, path_join(arena, PATH_SECONDARIES, zone_id), arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    const json_t *state = keep(arena, json_loadb(entry.value, entry.size, 0, NULL));
    const json_t *serial = json_object_get(state, "Serial");
    base->state_revision = entry.changed_revision;
    base->has_serial = json_is_integer(serial); /* else unreadable: everything is fetched again */
    base->serial = (uint32_t)json_integer_value(serial);
    base->transferred = time_of(state, "Transferred");
    base->checked = time_of(state, "Checked");
    return 0;
}

int write_begin(struct store *store, const char *zone_id, struct arena *arena,
                struct write_base *ret_base, struct err *err)
{
    struct write_base base = {.has_serial = false};
    struct store_entry tags;
    struct model_transfer transfer = {.primary_count = 0};
    int rc = store_get(store, path_tags(arena, "hostedzone", zone_id), arena, &tags, err);
    if (rc == 0) {
        base.tags_revision = tags.changed_revision;
        rc = model_transfer_decode(tags.value, tags.size, arena, &transfer, err);
    }
    if ((rc == 0 && transfer.primary_count == 0) || rc == -ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "hosted zone %s has no primary", zone_id);
    }
    rc = rc != 0 ? rc : read_state(store, zone_id, arena, &base, err);
    if (rc == 0) {
        *ret_base = base;
    }
    return rc;
}

static const char *state_value(struct arena *arena, uint32_t serial, struct wall transferred,
                               struct wall checked)
{
    char changed_text[TIME_TEXT];
    char checked_text[TIME_TEXT];
    wall_format_ms(transferred, changed_text);
    wall_format_ms(checked, checked_text);
    return arena_printf(arena, "{\"v\":1,\"Serial\":%u,\"Transferred\":\"%s\",\"Checked\":\"%s\"}",
                        serial, changed_text, checked_text);
}

int write_checked(struct store *store, const char *zone_id, struct wall now,
                  const struct write_base *base, struct arena *arena, struct err *err)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *key = path_join(arena, PATH_SECONDARIES, zone_id);
    const char *value = state_value(arena, base->serial, base->transferred, now);
    int64_t revision = 0;
    store_txn_require_revision(txn, key, base->state_revision);
    store_txn_put(txn, key, value, strlen(value));
    return store_commit(store, txn, &revision, err);
}

/* ---- record sets ---- */

static const char *set_key(struct writer *writer, const char *name, uint16_t type)
{
    char text[RR_TYPE_TEXT];
    rr_type_to_text(type, text);
    return path_record(writer->arena, writer->zone_id, name, text, "");
}

static const char *set_value(struct writer *writer, const struct zonefile_set *set)
{
    char type[RR_TYPE_TEXT];
    json_t *values = json_array();
    rr_type_to_text(set->type, type);
    for (size_t i = 0; i < set->value_count; i++) {
        /* What could not be made makes the pack, or the comparison of counts, fail. */
        (void)json_array_append_new(values, json_pack("{s:s}", "Value", set->values[i]));
    }
    if (json_array_size(values) != set->value_count) {
        json_decref(values);
        return NULL;
    }
    json_t *tree =
        json_pack("{s:i, s:s, s:s, s:I, s:o}", "v", MODEL_VERSION, "Name", set->name, "Type", type,
                  "TTL", (json_int_t)MIN(set->ttl_s, 2147483647U), "ResourceRecords", values);
    const char *text = text_of(writer->arena, tree);
    json_decref(tree);
    return text;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether the stored record set says the same, in whatever order. */
static bool same_set(struct writer *writer, const struct store_entry *entry,
                     const struct zonefile_set *set)
{
    struct model_record_set stored;
    struct err ignored = ERR_INIT;
    if (model_record_set_decode(entry->value, entry->size, writer->zone_id, writer->arena, &stored,
                                &ignored) != 0 ||
        stored.policy != MODEL_SIMPLE || stored.alias != NULL ||
        stored.health_check_id[0] != '\0' || stored.ttl_s != MIN(set->ttl_s, 2147483647U) ||
        stored.value_count != set->value_count) {
        return false;
    }
    qsort(stored.values, stored.value_count, sizeof(char *), compare_texts);
    const char **wanted = arena_array(writer->arena, set->value_count, sizeof(char *));
    for (size_t i = 0; i < set->value_count; i++) {
        wanted[i] = set->values[i];
    }
    qsort(wanted, set->value_count, sizeof(char *), compare_texts);
    for (size_t i = 0; i < set->value_count; i++) {
        if (!text_equal(stored.values[i], wanted[i])) {
            return false;
        }
    }
    return true;
}

static void add_edit(struct writer *writer, struct edit edit)
{
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity * 2 + 256;
        struct edit *grown = arena_array(writer->arena, capacity, sizeof *grown);
        if (writer->count != 0) {
            (void)memcpy(grown, writer->edits, writer->count * sizeof *grown);
        }
        writer->edits = grown; /* the arena keeps the old one */
        writer->capacity = capacity;
    }
    writer->edits[writer->count++] = edit;
}

/* stored: what the key holds, NULL for nothing; set: what it shall hold, NULL for nothing. */
static int add_difference(struct writer *writer, const char *key, const struct store_entry *stored,
                          const struct zonefile_set *set)
{
    if (set == NULL) {
        if (stored != NULL) {
            add_edit(writer, (struct edit){.key = key, .stored = true});
        }
        return 0;
    }
    if (stored != NULL && same_set(writer, stored, set)) {
        return 0;
    }
    const char *value = set_value(writer, set);
    if (value == NULL) {
        return err_set(writer->err, ERR_MEMORY, "no memory for a record set of the transfer");
    }
    /* What could not be read again would be left out of every answer. */
    struct model_record_set readable;
    int rc = model_record_set_decode(value, strlen(value), writer->zone_id, writer->arena,
                                     &readable, writer->err);
    if (rc != 0) {
        (void)err_wrap(writer->err, "%.150s", set->name); /* gives rc back */
        return rc;
    }
    add_edit(writer, (struct edit){.key = key, .value = value, .stored = stored != NULL});
    return 0;
}

/* ---- the whole zone ---- */

struct wanted {
    const char *key;
    const struct zonefile_set *set;
};

static int compare_wanted(const void *a, const void *b)
{
    return strcmp(((const struct wanted *)a)->key, ((const struct wanted *)b)->key);
}

/* Both in the order of keys: a merge, a page of the stored at a time. */
static int diff_whole(struct writer *writer, const struct zonefile *zone)
{
    struct wanted *wanted = arena_array(writer->arena, zone->set_count + 1, sizeof *wanted);
    const char *prefix = path_zone_records(writer->arena, writer->zone_id);
    for (size_t i = 0; i < zone->set_count; i++) {
        wanted[i] = (struct wanted){.key = set_key(writer, zone->sets[i].name, zone->sets[i].type),
                                    .set = &zone->sets[i]};
    }
    qsort(wanted, zone->set_count, sizeof *wanted, compare_wanted);
    const char *after = NULL;
    size_t at = 0;
    int rc = 0;
    bool more = true;
    while (rc == 0 && more) {
        struct store_list page;
        rc = store_range(writer->store, prefix, after, PAGE, writer->arena, &page, writer->err);
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            const struct store_entry *entry = &page.entries[i];
            while (rc == 0 && at < zone->set_count && strcmp(wanted[at].key, entry->key) < 0) {
                rc = add_difference(writer, wanted[at].key, NULL, wanted[at].set);
                at++;
            }
            bool same = at < zone->set_count && text_equal(wanted[at].key, entry->key);
            if (rc == 0) {
                rc = add_difference(writer, entry->key, entry, same ? wanted[at].set : NULL);
            }
            at += same ? 1U : 0U;
            after = entry->key;
        }
        more = rc == 0 && page.more && page.count > 0;
    }
    for (; rc == 0 && at < zone->set_count; at++) {
        rc = add_difference(writer, wanted[at].key, NULL, wanted[at].set);
    }
    return rc;
}

/* ---- steps ---- */

/* A record set that steps touch. */
struct touched {
    const char *key;
    const char *name;
    uint16_t type;
    size_t step; /* the first that names it */
};

static int compare_touched(const void *a, const void *b)
{
    const struct touched *left = a;
    const struct touched *right = b;
    int order = strcmp(left->key, right->key);
    return order != 0 ? order : (left->step > right->step) - (left->step < right->step);
}

static void remove_value(struct zonefile_set *set, const char *value)
{
    for (size_t i = 0; i < set->value_count; i++) {
        if (text_equal(set->values[i], value)) {
            set->values[i] = set->values[--set->value_count];
            return;
        }
    }
}

/* The stored values, with `more` places behind them. */
static int begin_set(struct writer *writer, const struct store_entry *stored, size_t more,
                     struct zonefile_set *set)
{
    struct model_record_set record = {.value_count = 0};
    if (stored != NULL) {
        int rc = model_record_set_decode(stored->value, stored->size, writer->zone_id,
                                         writer->arena, &record, writer->err);
        if (rc != 0) {
            (void)err_wrap(writer->err, "%.120s", stored->key); /* gives rc back */
            return rc;
        }
    }
    set->values = arena_array(writer->arena, record.value_count + more, sizeof(char *));
    for (size_t i = 0; i < record.value_count; i++) {
        set->values[i] = record.values[i];
    }
    set->value_count = record.value_count;
    set->ttl_s = record.ttl_s;
    return 0;
}

/* Applies the steps of one record set: rows first to end of the sorted list have its key. */
static int diff_set(struct writer *writer, const struct incoming_result *result,
                    const struct touched *first, size_t count)
{
    struct zonefile_set set = {.name = first->name, .type = first->type};
    struct store_entry entry;
    int rc = store_get(writer->store, first->key, writer->arena, &entry, writer->err);
    bool stored = rc == 0;
    if (rc != 0 && rc != -ENOENT) {
        return rc;
    }
    err_clear(writer->err);
    rc = begin_set(writer, stored ? &entry : NULL, count, &set);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct incoming_step *step = &result->steps[first[i].step];
        remove_value(&set, step->value);
        if (step->added && set.value_count == ZONEFILE_VALUES_LIMIT) {
            rc = err_set(writer->err, ERR_LIMIT, "%.150s gets more than %u records of one type",
                         first->name, ZONEFILE_VALUES_LIMIT);
        } else if (step->added) {
            set.values[set.value_count++] = step->value;
            set.ttl_s = step->ttl_s;
        }
    }
    if (rc != 0) {
        return rc;
    }
    return add_difference(writer, first->key, stored ? &entry : NULL,
                          set.value_count != 0 ? &set : NULL);
}

static int diff_steps(struct writer *writer, const struct incoming_result *result)
{
    struct touched *touched = arena_array(writer->arena, result->step_count, sizeof *touched);
    for (size_t i = 0; i < result->step_count; i++) {
        const struct incoming_step *step = &result->steps[i];
        touched[i] = (struct touched){.key = set_key(writer, step->name, step->type),
                                      .name = step->name,
                                      .type = step->type,
                                      .step = i};
    }
    qsort(touched, result->step_count, sizeof *touched, compare_touched);
    int rc = 0;
    size_t end = 0;
    for (size_t at = 0; rc == 0 && at < result->step_count; at = end) {
        end = at + 1;
        while (end < result->step_count && text_equal(touched[at].key, touched[end].key)) {
            end++;
        }
        rc = diff_set(writer, result, &touched[at], end - at);
    }
    return rc;
}

/* ---- writing ---- */

static int load_zone(struct writer *writer)
{
    struct store_entry entry;
    int rc = store_get(writer->store, writer->zone_key, writer->arena, &entry, writer->err);
    if (rc != 0) {
        return rc;
    }
    writer->zone = keep(writer->arena, json_loadb(entry.value, entry.size, 0, NULL));
    if (!json_is_object(writer->zone)) {
        return err_set(writer->err, ERR_CORRUPT, "the record of hosted zone %s", writer->zone_id);
    }
    writer->revision = entry.changed_revision;
    writer->record_count = json_integer_value(json_object_get(writer->zone, "RecordCount"));
    return 0;
}

/* The edits from *at on that one transaction takes; with the last ones, the serial. Until then
 * there is none. */
static int write_batch(struct writer *writer, size_t *at, const char *state)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    size_t bytes = 0;
    size_t from = *at;
    while (*at < writer->count && *at - from < BATCH_OPS && bytes < BATCH_BYTES) {
        const struct edit *edit = &writer->edits[(*at)++];
        if (edit->value != NULL) {
            store_txn_put(txn, edit->key, edit->value, strlen(edit->value));
            bytes += strlen(edit->key) + strlen(edit->value);
            writer->record_count += edit->stored ? 0 : 1;
        } else {
            store_txn_delete(txn, edit->key);
            bytes += strlen(edit->key);
            writer->record_count--;
        }
    }
    store_txn_require_revision(txn, writer->state_key, writer->base.state_revision);
    store_txn_require_revision(txn, writer->tags_key, writer->base.tags_revision);
    if (*at == writer->count) {
        store_txn_put(txn, writer->state_key, state, strlen(state));
    } else {
        store_txn_delete(txn, writer->state_key);
        writer->base.state_revision = 0;
    }
    int rc = json_object_set_new(writer->zone, "RecordCount", json_integer(writer->record_count));
    const char *zone = rc == 0 ? text_of(writer->arena, writer->zone) : NULL;
    if (zone == NULL) {
        return err_set(writer->err, ERR_MEMORY, "no memory for a transfer");
    }
    store_txn_require_revision(txn, writer->zone_key, writer->revision);
    store_txn_put(txn, writer->zone_key, zone, strlen(zone));
    return store_commit(writer->store, txn, &writer->revision, writer->err);
}

int write_zone(struct store *store, const char *zone_id, struct wall now,
               const struct write_base *base, const struct incoming_result *result,
               struct arena *arena, size_t *ret_changes, struct err *err)
{
    struct writer writer = {.store = store,
                            .arena = arena,
                            .err = err,
                            .zone_id = zone_id,
                            .zone_key = path_join(arena, PATH_ZONES, zone_id),
                            .state_key = path_join(arena, PATH_SECONDARIES, zone_id),
                            .tags_key = path_tags(arena, "hostedzone", zone_id),
                            .base = *base};
    assert(result->kind != INCOMING_CURRENT);
    const char *state = state_value(arena, result->serial, now, now);
    int rc = load_zone(&writer);
    if (rc == 0 && result->kind == INCOMING_WHOLE) {
        rc = diff_whole(&writer, &result->zone);
    } else if (rc == 0) {
        rc = diff_steps(&writer, result);
    }
    size_t at = 0;
    bool more = rc == 0; /* once at least, for the serial */
    while (more) {
        rc = write_batch(&writer, &at, state);
        more = rc == 0 && at < writer.count;
    }
    *ret_changes = rc == 0 ? writer.count : 0;
    return rc;
}
