/* CIDR collections: made, changed, deleted. Called as handlers on API threads; everything lives in
 * the call's arena. A collection is one value with all its blocks (Route 53's quota is 1,000), so a
 * change is seen by DNS as a whole. A change record is written with each change, so that GetChange
 * tells when every DNS node serves it. Invariant: no block is in two locations of a collection, and
 * the version goes up by one with every change. */
#include "service/route53/cidr.h"

#include "base/random.h"
#include "base/text.h"
#include "model/path.h"
#include "service/route53/handlers.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CHANGED_BLOCKS_LIMIT 1000U /* in one request */

const char *route53_collection_arn(struct aws_call *call, const char *id)
{
    return arena_printf(call->arena, "arn:aws:route53:::cidrcollection/%s", id);
}

int route53_collection_load(struct aws_call *call, const char *id,
                            struct route53_collection *ret_collection, struct err *err)
{
    struct store_entry entry;
    const char *key = path_join(call->arena, PATH_COLLECTIONS, id);
    int rc = strlen(id) > MODEL_COLLECTION_ID_LIMIT
                 ? -ENOENT
                 : store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return aws_error(call, err, "NoSuchCidrCollectionException",
                         "The CIDR collection with id %.40s does not exist.", id);
    }
    if (rc == 0) {
        rc = model_cidr_collection_decode(entry.value, entry.size, call->arena,
                                          &ret_collection->model, err);
    }
    if (rc == 0) {
        ret_collection->key = key;
        ret_collection->revision = entry.changed_revision;
    }
    return rc;
}

static int put_collection(struct aws_call *call, struct store_txn *txn,
                          const struct model_cidr_collection *collection, struct err *err)
{
    json_t *tree = route53_keep(call, model_cidr_collection_encode(collection));
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "writing a CIDR collection");
    }
    return route53_put(txn, path_join(call->arena, PATH_COLLECTIONS, collection->id), tree, err);
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    struct model_cidr_collection collection;
};

/* The same call again gives what the first one made; another one of that name is refused. */
static int judge_others(struct aws_call *call, struct creation *creation, bool *ret_there,
                        struct err *err)
{
    struct store_list list;
    int rc = store_range(service_context(call)->store, PATH_COLLECTIONS, NULL, 0, call->arena,
                         &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        struct model_cidr_collection other;
        rc = model_cidr_collection_decode(list.entries[i].value, list.entries[i].size, call->arena,
                                          &other, err);
        if (rc != 0) {
            break;
        }
        bool same_name = text_equal(other.name, creation->collection.name);
        bool same_reference =
            text_equal(other.caller_reference, creation->collection.caller_reference);
        if (same_name && same_reference) {
            creation->collection = other;
            *ret_there = true;
            return 0;
        }
        if (same_name || same_reference) {
            return aws_error(call, err, "CidrCollectionAlreadyExistsException",
                             "A CIDR collection with the same %s already exists.",
                             same_name ? "name" : "caller reference");
        }
    }
    if (rc == 0 && list.count >= ROUTE53_CIDR_COLLECTIONS_LIMIT) {
        rc = aws_error(call, err, "LimitsExceeded",
                       "Limits Exceeded: MAX_CIDR_COLLECTIONS_BY_OWNER - Cannot create more CIDR "
                       "collections.");
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    char id[RANDOM_UUID_TEXT];
    bool there = false;
    random_uuid(id);
    const char *reference = route53_text(creation->in, "CallerReference");
    const char *reference_key = path_reference(call->arena, "cidr", reference);
    creation->collection =
        (struct model_cidr_collection){.id = arena_strdup(call->arena, id),
                                       .name = route53_text(creation->in, "Name"),
                                       .caller_reference = reference,
                                       .version = 1};
    int rc = route53_check_key(call, reference_key, "CallerReference", err);
    rc = rc != 0 ? rc : judge_others(call, creation, &there, err);
    if (rc != 0 || there) {
        return rc;
    }
    /* Two calls at once: one of them finds the key there, and the collection at its next try. */
    store_txn_require_absent(txn, reference_key);
    rc = route53_put(txn, reference_key,
                     route53_keep(call, json_pack("{s:i, s:s}", "v", 1, "Id", id)), err);
    return rc != 0 ? rc : put_collection(call, txn, &creation->collection, err);
}

int route53_create_cidr_collection(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    struct creation creation = {.in = in};
    int rc = route53_transact(call, create_step, &creation, err);
    if (rc != 0) {
        return rc;
    }
    const struct model_cidr_collection *made = &creation.collection;
    return route53_answer(json_pack("{s:{s:s, s:s, s:s, s:I}, s:o}", "Collection", "Arn",
                                    route53_collection_arn(call, made->id), "Id", made->id, "Name",
                                    made->name, "Version", (json_int_t)made->version, "Location",
                                    json_sprintf("/2013-04-01/cidrcollection/%s", made->id)),
                          ret_out, err);
}

/* ---- change ---- */

struct change {
    const json_t *in;
    json_t *info;
};

static struct model_cidr_location *find_location(struct model_cidr_collection *collection,
                                                 const char *name)
{
    for (size_t i = 0; i < collection->count; i++) {
        if (text_equal(collection->locations[i].name, name)) {
            return &collection->locations[i];
        }
    }
    return NULL;
}

/* The location that has the block; NULL when none has. */
static struct model_cidr_location *find_block(struct model_cidr_collection *collection,
                                              const struct model_cidr *block, size_t *ret_at)
{
    for (size_t i = 0; i < collection->count; i++) {
        struct model_cidr_location *location = &collection->locations[i];
        for (size_t j = 0; j < location->count; j++) {
            if (model_cidr_same(&location->blocks[j], block)) {
                *ret_at = j;
                return location;
            }
        }
    }
    return NULL;
}

/* A collection whose locations can grow. */
struct growing {
    struct model_cidr_collection *collection;
    size_t *room; /* blocks that each location's array holds */
};

static struct growing make_room(struct aws_call *call, struct model_cidr_collection *collection,
                                size_t new_locations)
{
    size_t count = collection->count + new_locations;
    struct growing growing = {.collection = collection,
                              .room = arena_array(call->arena, count, sizeof(size_t))};
    struct model_cidr_location *locations = arena_array(call->arena, count, sizeof *locations);
    for (size_t i = 0; i < collection->count; i++) {
        locations[i] = collection->locations[i];
        growing.room[i] = locations[i].count;
    }
    collection->locations = locations;
    return growing;
}

static void add_block(struct aws_call *call, struct growing *growing, const char *name,
                      const struct model_cidr *block)
{
    struct model_cidr_collection *collection = growing->collection;
    struct model_cidr_location *location = find_location(collection, name);
    if (location == NULL) {
        location = &collection->locations[collection->count++];
        *location = (struct model_cidr_location){.name = name};
    }
    size_t *room = &growing->room[location - collection->locations];
    if (location->count == *room) {
        *room = 2 * *room + 4;
        struct model_cidr *blocks = arena_array(call->arena, *room, sizeof *blocks);
        for (size_t i = 0; i < location->count; i++) {
            blocks[i] = location->blocks[i];
        }
        location->blocks = blocks;
    }
    assert(location->blocks != NULL);
    location->blocks[location->count++] = *block;
}

static int apply_block(struct aws_call *call, struct growing *growing, const char *name, bool put,
                       const char *text, struct err *err)
{
    struct model_cidr block;
    size_t at = 0;
    if (model_cidr_parse(text, &block, err) != 0) {
        return aws_error(call, err, "InvalidInput", "%s", arena_strdup(call->arena, err->message));
    }
    struct model_cidr_location *there = find_block(growing->collection, &block, &at);
    if (put && there == NULL) {
        add_block(call, growing, name, &block);
    } else if (put && !text_equal(there->name, name)) {
        return aws_error(call, err, "CidrBlockInUseException",
                         "The CIDR block %.50s is already in use in the location %.16s.", text,
                         there->name);
    } else if (!put && there != NULL && text_equal(there->name, name)) {
        there->blocks[at] = there->blocks[--there->count];
    }
    return 0;
}

static int apply_changes(struct aws_call *call, struct model_cidr_collection *collection,
                         const json_t *changes, struct err *err)
{
    size_t blocks = 0;
    for (size_t i = 0; i < json_array_size(changes); i++) {
        blocks += json_array_size(json_object_get(json_array_get(changes, i), "CidrList"));
    }
    if (blocks > CHANGED_BLOCKS_LIMIT) {
        return aws_error(call, err, "LimitsExceeded",
                         "Limits Exceeded: a request may change at most %u CIDR blocks.",
                         CHANGED_BLOCKS_LIMIT);
    }
    struct growing growing = make_room(call, collection, json_array_size(changes));
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *change = json_array_get(changes, i);
        const json_t *list = json_object_get(change, "CidrList");
        bool put = text_equal(route53_text(change, "Action"), "PUT");
        for (size_t j = 0; j < json_array_size(list); j++) {
            const char *text = json_string_value(json_array_get(list, j));
            int rc = apply_block(call, &growing, route53_text(change, "LocationName"), put,
                                 text != NULL ? text : "", err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    size_t total = 0;
    for (size_t i = 0; i < collection->count; i++) {
        total += collection->locations[i].count;
    }
    if (total > MODEL_CIDR_BLOCKS_LIMIT) {
        return aws_error(call, err, "LimitsExceeded",
                         "Limits Exceeded: a CIDR collection may have at most %u CIDR blocks.",
                         MODEL_CIDR_BLOCKS_LIMIT);
    }
    return 0;
}

static int change_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct change *change = state;
    struct route53_collection collection = {0};
    const json_t *version = json_object_get(change->in, "CollectionVersion");
    int rc = route53_collection_load(call, route53_text(change->in, "Id"), &collection, err);
    if (rc != 0) {
        return rc;
    }
    if (version != NULL && json_integer_value(version) != collection.model.version) {
        return aws_error(call, err, "CidrCollectionVersionMismatchException",
                         "The CIDR collection version you provided, %" PRId64
                         ", is not the current one, %" PRId64 ".",
                         (int64_t)json_integer_value(version), collection.model.version);
    }
    rc = apply_changes(call, &collection.model, json_object_get(change->in, "Changes"), err);
    if (rc != 0) {
        return rc;
    }
    collection.model.version++;
    store_txn_require_revision(txn, collection.key, collection.revision);
    rc = put_collection(call, txn, &collection.model, err);
    return rc != 0 ? rc : route53_change_put(call, txn, "", &change->info, err);
}

int route53_change_cidr_collection(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    struct change change = {.in = in};
    int rc = route53_transact(call, change_step, &change, err);
    if (rc != 0) {
        return rc;
    }
    const char *id = route53_bare_id(route53_text(change.info, "Id"));
    return route53_answer(json_pack("{s:s}", "Id", id), ret_out, err);
}

/* ---- delete ---- */

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const char *id = state;
    struct route53_collection collection = {0};
    size_t uses = 0;
    int rc = route53_collection_load(call, id, &collection, err);
    if (rc == 0) {
        const char *prefix =
            arena_printf(call->arena, PATH_COLLECTION_USES "%s/", collection.model.id);
        rc = store_count(service_context(call)->store, prefix, &uses, err);
    }
    if (rc == 0 && (uses != 0 || collection.model.count != 0)) {
        rc = aws_error(call, err, "CidrCollectionInUseException",
                       "The CIDR collection with id %.40s is in use%s.", id,
                       uses != 0 ? " by resource record sets" : ", and isn't empty");
    }
    if (rc != 0) {
        return rc;
    }
    store_txn_require_revision(txn, collection.key, collection.revision);
    store_txn_delete(txn, collection.key);
    store_txn_delete(txn, path_reference(call->arena, "cidr", collection.model.caller_reference));
    return 0;
}

int route53_delete_cidr_collection(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    char *id = arena_strdup(call->arena, route53_text(in, "Id"));
    int rc = route53_transact(call, delete_step, id, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_object(), ret_out, err);
}
