/* ChangeResourceRecordSets: a batch of changes, all of them or none. Called as a handler on API
 * threads; everything lives in the call's arena.
 *
 *   request -> read_items -> batch_load -> batch_apply -> batch_judge -> batch_write
 *
 * The request's shape is judged first (InvalidInput, the first problem), then its meaning
 * (InvalidChangeBatch, with every problem). Only records of the names that the batch touches are
 * read, or the whole zone at once when that is less work. Counted as Route 53 counts: an UPSERT is
 * two. The SOA's serial is the client's business. Invariant: the transaction compares the zone
 * record's revision, which every batch changes, so batches on one zone happen one after the other,
 * each judged against what is there. */
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "service/route53/batch.h"
#include "service/route53/handlers.h"
#include "service/route53/secondary.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS_LIMIT 1000U
#define CHARACTERS_LIMIT 32000U
#define VALUES_LIMIT 400U
#define MESSAGES_LIMIT 1000U
#define ONE_BY_ONE_LIMIT 16U     /* names that are read with a range each */
#define NAME_RECORDS_LIMIT 4096U /* record sets at one name: far above what a name may hold */

struct change {
    const json_t *in;
    json_t *info;
};

void batch_problem(struct batch *batch, const char *format, ...)
{
    char message[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* longer ones are cut */
    va_end(args);
    json_t *text = json_string(message);
    if (text == NULL) { /* cut inside a character */
        text = json_string("The change batch is not valid");
    }
    if (json_array_size(batch->messages) < MESSAGES_LIMIT) {
        (void)json_array_append_new(batch->messages, text); /* out of memory: one message less */
    } else {
        json_decref(text);
    }
}

/* InvalidChangeBatch with all that was found; 0 when nothing was. */
int batch_messages(struct batch *batch, struct err *err)
{
    if (json_array_size(batch->messages) == 0) {
        return 0;
    }
    struct buf buf;
    buf_init(&buf, 0);
    for (size_t i = 0; i < json_array_size(batch->messages) && buf.length < sizeof err->message;
         i++) {
        buf_puts(&buf, i == 0 ? "[" : ", ");
        buf_puts(&buf, json_string_value(json_array_get(batch->messages, i)));
    }
    buf_putc(&buf, ']');
    int rc = aws_error_with(batch->call, err, "InvalidChangeBatch",
                            json_pack("{s:O}", "messages", batch->messages), "%s", buf_text(&buf));
    buf_done(&buf);
    return rc;
}

/* ---- the request ---- */

static enum batch_action read_action(const char *action)
{
    return text_equal(action, "DELETE")   ? BATCH_DELETE
           : text_equal(action, "UPSERT") ? BATCH_UPSERT
                                          : BATCH_CREATE;
}

/* InvalidInput, with the change named as Route 53 names it. */
static int refuse_shape(struct aws_call *call, const json_t *change, const char *problem,
                        struct err *err)
{
    const json_t *record = json_object_get(change, "ResourceRecordSet");
    const char *identifier = route53_text(record, "SetIdentifier");
    return aws_error(call, err, "InvalidInput",
                     "%s in Change with [Action=%s, Name=%s, Type=%s, SetIdentifier=%s]", problem,
                     route53_text(change, "Action"), route53_text(record, "Name"),
                     route53_text(record, "Type"), identifier[0] != '\0' ? identifier : "null");
}

/* One change. A problem with its shape ends the call; one with its content is a message, and
 * *ret_ok stays false. */
static int read_item(struct batch *batch, const json_t *change, struct batch_item *item,
                     bool *ret_ok, struct err *err)
{
    struct aws_call *call = batch->call;
    const json_t *record = json_object_get(change, "ResourceRecordSet");
    const char *zone_id = batch->zone.model.id;
    item->action = read_action(route53_text(change, "Action"));
    if (json_object_get(record, "TrafficPolicyInstanceId") != NULL) {
        return refuse_shape(call, change,
                            "Invalid request: the record set of a traffic policy instance changes "
                            "only with its instance",
                            err);
    }
    int rc = model_record_set_from_json(record, zone_id, call->arena, &item->record, err);
    if (rc != 0 && text_starts(err->message, "Invalid request: ")) {
        return refuse_shape(call, change, arena_strdup(call->arena, err->message), err);
    }
    if (rc != 0) {
        batch_problem(batch, "%s", err->message);
        err_clear(err);
        return 0;
    }
    item->type = route53_text(record, "Type");
    item->tree = route53_keep(call, batch_record_normal(record, &item->record));
    if (item->tree == NULL) {
        return err_set(err, ERR_MEMORY, "reading the change batch");
    }
    if (!route53_zone_holds(&batch->zone.model, item->record.name)) {
        batch_problem(batch, "RRSet with DNS name %s is not permitted in zone %s",
                      item->record.name, batch->zone.model.name);
        return 0;
    }
    item->key = path_record(call->arena, zone_id, item->record.name, item->type,
                            item->record.set_identifier);
    if (strlen(item->key) > STORE_KEY_LIMIT) {
        batch_problem(batch,
                      "Name and SetIdentifier are too long together in RRSet with DNS name %s",
                      item->record.name);
        return 0;
    }
    *ret_ok = true;
    return 0;
}

/* The API's bounds on one request. */
static void judge_size(struct batch *batch, const json_t *changes)
{
    size_t elements = 0;
    size_t characters = 0;
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const json_t *record = json_object_get(change, "ResourceRecordSet");
        const json_t *values = json_object_get(record, "ResourceRecords");
        size_t factor = text_equal(route53_text(change, "Action"), "UPSERT") ? 2 : 1;
        size_t count = json_array_size(values);
        elements += factor * MAX(count, (size_t)1);
        if (count > VALUES_LIMIT) {
            batch_problem(batch, "Number of records limit of %u exceeded in one record set.",
                          VALUES_LIMIT);
        }
        for (size_t j = 0; j < count; j++) {
            characters += factor * strlen(route53_text(json_array_get(values, j), "Value"));
        }
    }
    if (elements > ELEMENTS_LIMIT) {
        batch_problem(batch, "Number of records limit of %u exceeded.", ELEMENTS_LIMIT);
    }
    if (characters > CHARACTERS_LIMIT) {
        batch_problem(batch, "Number of characters limit of %u in the values exceeded.",
                      CHARACTERS_LIMIT);
    }
}

static int read_items(struct batch *batch, const json_t *changes, struct err *err)
{
    size_t count = json_array_size(changes);
    judge_size(batch, changes);
    if (json_array_size(batch->messages) > 0) { /* do not work on what is too large */
        return batch_messages(batch, err);
    }
    batch->items = arena_array(batch->call->arena, count, sizeof *batch->items);
    for (size_t i = 0; i < count; i++) {
        bool ok = false;
        int rc = read_item(batch, json_array_get(changes, i), &batch->items[batch->item_count], &ok,
                           err);
        if (rc != 0) {
            return rc;
        }
        batch->item_count += ok ? 1 : 0;
    }
    return 0;
}

/* ---- the slots ---- */

static int compare_slots(const void *a, const void *b)
{
    const struct batch_slot *left = a;
    const struct batch_slot *right = b;
    int order = strcmp(left->key, right->key);
    if (order != 0) {
        return order;
    }
    /* What is stored first: it stays when duplicates are merged. */
    return (left->stored.key == NULL) - (right->stored.key == NULL);
}

static int compare_slot_key(const void *key, const void *slot)
{
    return strcmp(key, ((const struct batch_slot *)slot)->key);
}

struct batch_slot *batch_find(const struct batch *batch, const char *key)
{
    return bsearch(key, batch->slots, batch->slot_count, sizeof *batch->slots, compare_slot_key);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The key prefixes of the touched names, each once, sorted. */
static const char **list_prefixes(const struct batch *batch, size_t *ret_count)
{
    const char **prefixes = arena_array(batch->call->arena, batch->item_count, sizeof *prefixes);
    for (size_t i = 0; i < batch->item_count; i++) {
        prefixes[i] = path_name_records(batch->call->arena, batch->zone.model.id,
                                        batch->items[i].record.name);
    }
    qsort(prefixes, batch->item_count, sizeof *prefixes, compare_texts);
    size_t count = 0;
    for (size_t i = 0; i < batch->item_count; i++) {
        if (count == 0 || !text_equal(prefixes[count - 1], prefixes[i])) {
            prefixes[count++] = prefixes[i];
        }
    }
    *ret_count = count;
    return prefixes;
}

static int stored_slot(struct batch *batch, const struct store_entry *entry,
                       struct batch_slot *slot, struct err *err)
{
    struct arena *arena = batch->call->arena;
    struct model_record_set *record = arena_alloc(arena, sizeof *record);
    char type[16];
    int rc = model_record_set_decode(entry->value, entry->size, batch->zone.model.id, arena, record,
                                     err);
    if (rc != 0) {
        return err_wrap(err, "%.120s", entry->key);
    }
    rr_type_to_text(record->type, type);
    *slot = (struct batch_slot){
        .key = entry->key, .type = arena_strdup(arena, type), .stored = *entry, .after = record};
    return 0;
}

static int compare_prefix(const void *key, const void *prefix)
{
    const char *text = *(const char *const *)prefix;
    return strncmp(key, text, strlen(text));
}

/* What is stored at the names whose key prefixes these are, sorted. Many names are read with one
 * range over the zone, as long as that does not read much more than was asked for. */
static int load_stored(struct batch *batch, const char **prefixes, size_t count,
                       struct store_list *ret_list, struct err *err)
{
    struct store *store = service_context(batch->call)->store;
    struct arena *arena = batch->call->arena;
    struct store_list all = {.count = 0};
    if (count > ONE_BY_ONE_LIMIT && batch->zone.model.record_count / 4 <= (int64_t)count) {
        struct store_list zone;
        const char *prefix = path_zone_records(arena, batch->zone.model.id);
        int rc = store_range(store, prefix, NULL, 0, arena, &zone, err);
        if (rc != 0) {
            return rc;
        }
        for (size_t i = 0; i < zone.count; i++) {
            if (bsearch(zone.entries[i].key, prefixes, count, sizeof *prefixes, compare_prefix) !=
                NULL) {
                zone.entries[all.count++] = zone.entries[i];
            }
        }
        all.entries = zone.entries;
        *ret_list = all;
        return 0;
    }
    struct store_list *lists = arena_array(arena, count, sizeof *lists);
    for (size_t i = 0; i < count; i++) {
        int rc = store_range(store, prefixes[i], NULL, NAME_RECORDS_LIMIT, arena, &lists[i], err);
        if (rc != 0) {
            return rc;
        }
        all.count += lists[i].count;
    }
    all.entries = arena_array(arena, all.count, sizeof *all.entries);
    for (size_t i = 0, at = 0; i < count; at += lists[i++].count) {
        for (size_t j = 0; j < lists[i].count; j++) {
            all.entries[at + j] = lists[i].entries[j];
        }
    }
    *ret_list = all;
    return 0;
}

/* One slot a record set: those that are stored, and those that changes name. */
int batch_load(struct batch *batch, struct err *err)
{
    struct store_list stored;
    size_t prefix_count = 0;
    const char **prefixes = list_prefixes(batch, &prefix_count);
    int rc = load_stored(batch, prefixes, prefix_count, &stored, err);
    if (rc != 0) {
        return rc;
    }
    struct batch_slot *slots =
        arena_array(batch->call->arena, batch->item_count + stored.count, sizeof *slots);
    size_t count = 0;
    for (size_t i = 0; i < stored.count; i++) {
        rc = stored_slot(batch, &stored.entries[i], &slots[count++], err);
        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < batch->item_count; i++) {
        slots[count++] =
            (struct batch_slot){.key = batch->items[i].key, .type = batch->items[i].type};
    }
    qsort(slots, count, sizeof *slots, compare_slots);
    batch->slots = slots;
    for (size_t i = 0; i < count; i++) {
        if (batch->slot_count == 0 || !text_equal(slots[batch->slot_count - 1].key, slots[i].key)) {
            slots[batch->slot_count++] = slots[i];
        }
    }
    return 0;
}

/* ---- the result ---- */

int batch_write(struct batch *batch, struct err *err)
{
    struct route53_zone *zone = &batch->zone;
    int64_t count = zone->model.record_count;
    for (size_t i = 0; i < batch->slot_count; i++) {
        const struct batch_slot *slot = &batch->slots[i];
        bool before = slot->stored.key != NULL;
        count += (slot->after != NULL ? 1 : 0) - (before ? 1 : 0);
        if (slot->changes > 0) {
            int rc = batch_write_use(batch, slot, err);
            if (rc != 0) {
                return rc;
            }
        }
        if (slot->after != NULL && slot->tree != NULL) {
            int rc = route53_put(batch->txn, slot->key, slot->tree, err);
            if (rc != 0) {
                return rc;
            }
        } else if (slot->after == NULL && before) {
            store_txn_delete(batch->txn, slot->key);
        }
    }
    if (count > ROUTE53_RECORDS_LIMIT && count > zone->model.record_count) {
        batch_problem(batch, "Number of records limit of %d in hosted zone %s exceeded.",
                      ROUTE53_RECORDS_LIMIT, zone->model.id);
        return batch_messages(batch, err);
    }
    (void)json_object_set_new(zone->tree, "RecordCount", json_integer(count));
    store_txn_require_revision(batch->txn, zone->key, zone->revision);
    return route53_put(batch->txn, zone->key, zone->tree, err);
}

static int change_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct change *change = state;
    const json_t *request = json_object_get(change->in, "ChangeBatch");
    struct batch batch = {.call = call, .txn = txn, .messages = route53_keep(call, json_array())};
    int rc = route53_zone_load(call, route53_text(change->in, "HostedZoneId"), &batch.zone, err);
    rc = rc != 0 ? rc : route53_secondary_refuse(call, txn, batch.zone.model.id, err);
    if (rc == 0) {
        rc = read_items(&batch, json_object_get(request, "Changes"), err);
    }
    if (rc == 0) {
        rc = batch_load(&batch, err);
    }
    if (rc == 0) {
        rc = batch_apply(&batch, err);
    }
    if (rc == 0) {
        rc = batch_judge(&batch, err);
    }
    if (rc == 0) {
        rc = batch_messages(&batch, err);
    }
    if (rc == 0) {
        rc = batch_write(&batch, err);
    }
    return rc == 0
               ? route53_change_put(call, txn, route53_text(request, "Comment"), &change->info, err)
               : rc;
}

int route53_change_resource_record_sets(struct aws_call *call, const json_t *in, json_t **ret_out,
                                        struct err *err)
{
    struct change change = {.in = in};
    int rc = route53_transact(call, change_step, &change, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:O}", "ChangeInfo", change.info), ret_out, err);
}
