/* CIDR blocks and collections: see location.h. Called by service/route53 (which judges what clients
 * sent) and by the daemon's feed, on any thread; memory is the caller's arena. Invariant: the bytes
 * of a parsed block behind its prefix are zero, and a decoded collection's locations are sorted. */
#include "base/text.h"
#include "model/fields.h"
#include "model/location.h"
#include "model/zone.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool bits_behind(const struct model_cidr *cidr)
{
    for (unsigned bit = cidr->bits; bit < 128; bit++) {
        if ((cidr->address[bit / 8] & (0x80U >> bit % 8)) != 0) {
            return true;
        }
    }
    return false;
}

int model_cidr_parse(const char *text, struct model_cidr *ret_cidr, struct err *err)
{
    struct model_cidr cidr = {.family = strchr(text, ':') != NULL ? 6 : 4};
    const char *slash = strchr(text, '/');
    char address[INET6_ADDRSTRLEN];
    int64_t bits = 0;
    int64_t most = cidr.family == 4 ? MODEL_CIDR_LONGEST_V4 : MODEL_CIDR_LONGEST_V6;
    if (slash == NULL || text_copy_n(address, sizeof address, text, (size_t)(slash - text)) != 0 ||
        inet_pton(cidr.family == 4 ? AF_INET : AF_INET6, address, cidr.address) != 1 ||
        text_to_i64(slash + 1, 0, 128, &bits) != 0) {
        return err_set(err, ERR_INVALID, "%.60s is not a valid CIDR block", text);
    }
    if (bits < 1 || bits > most) {
        return err_set(err, ERR_INVALID,
                       "CIDR block %.60s must have a prefix length between 1 and %d", text,
                       (int)most);
    }
    cidr.bits = (uint8_t)bits;
    if (bits_behind(&cidr)) {
        return err_set(err, ERR_INVALID, "CIDR block %.60s has bits set behind its prefix length",
                       text);
    }
    *ret_cidr = cidr;
    return 0;
}

void model_cidr_format(const struct model_cidr *cidr, char out[MODEL_CIDR_TEXT + 1])
{
    char address[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(cidr->family == 4 ? AF_INET : AF_INET6, cidr->address, address,
                    sizeof address); /* cannot fail: the family is known, the room enough */
    (void)snprintf(out, MODEL_CIDR_TEXT + 1, "%s/%u", address, cidr->bits); /* fits */
}

bool model_cidr_same(const struct model_cidr *a, const struct model_cidr *b)
{
    return a->family == b->family && a->bits == b->bits &&
           memcmp(a->address, b->address, sizeof a->address) == 0;
}

static int compare_locations(const void *a, const void *b)
{
    return strcmp(((const struct model_cidr_location *)a)->name,
                  ((const struct model_cidr_location *)b)->name);
}

static int read_location(json_t *locations, const char *name, struct arena *arena,
                         struct model_cidr_location *location, struct err *err)
{
    const char **texts = NULL;
    location->name = arena_strdup(arena, name);
    int rc = fields_texts(locations, name, MODEL_CIDR_BLOCKS_LIMIT, arena, &texts, &location->count,
                          err);
    if (rc == 0) {
        location->blocks = arena_array(arena, location->count, sizeof *location->blocks);
    }
    for (size_t i = 0; rc == 0 && i < location->count; i++) {
        rc = model_cidr_parse(texts[i], &location->blocks[i], err);
    }
    return rc;
}

static int read_collection(json_t *object, struct arena *arena,
                           struct model_cidr_collection *collection, struct err *err)
{
    int rc = fields_text(object, "Id", arena, &collection->id, err);
    if (rc == 0) {
        rc = fields_text(object, "Name", arena, &collection->name, err);
    }
    if (rc == 0) {
        rc = fields_text(object, "CallerReference", arena, &collection->caller_reference, err);
    }
    if (rc == 0) {
        rc = fields_integer(object, "Version", 1, INT64_MAX, 1, &collection->version, err);
    }
    json_t *locations = json_object_get(object, "Locations");
    size_t count = json_object_size(locations);
    if (rc == 0 && count > MODEL_CIDR_BLOCKS_LIMIT) {
        rc = err_set(err, ERR_CORRUPT, "more than %u locations", MODEL_CIDR_BLOCKS_LIMIT);
    }
    if (rc != 0) {
        return rc;
    }
    collection->locations = arena_array(arena, count, sizeof *collection->locations);
    const char *name = NULL;
    json_t *ignored = NULL;
    json_object_foreach(locations, name, ignored)
    {
        rc =
            read_location(locations, name, arena, &collection->locations[collection->count++], err);
        if (rc != 0) {
            return rc;
        }
    }
    if (count != 0) {
        qsort(collection->locations, count, sizeof *collection->locations, compare_locations);
    }
    return 0;
}

int model_cidr_collection_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_cidr_collection *ret_collection, struct err *err)
{
    json_t *object = NULL;
    struct model_cidr_collection collection = {0};
    int rc = fields_parse(value, size, &object, err);
    if (rc == 0) {
        rc = read_collection(object, arena, &collection, err);
        json_decref(object);
    }
    if (rc != 0) {
        return err_set(err, ERR_CORRUPT, "CIDR collection: %.200s",
                       arena_strdup(arena, err->message));
    }
    collection.stored = (struct model_stored){arena_memdup(arena, value, size), size};
    *ret_collection = collection;
    return 0;
}

json_t *model_cidr_collection_encode(const struct model_cidr_collection *collection)
{
    json_t *locations = json_object();
    bool failed = locations == NULL;
    for (size_t i = 0; i < collection->count && !failed; i++) {
        const struct model_cidr_location *location = &collection->locations[i];
        if (location->count == 0) {
            continue;
        }
        json_t *blocks = json_array();
        for (size_t j = 0; j < location->count && !failed; j++) {
            char text[MODEL_CIDR_TEXT + 1];
            model_cidr_format(&location->blocks[j], text);
            failed = json_array_append_new(blocks, json_string(text)) != 0;
        }
        failed = json_object_set_new(locations, location->name, blocks) != 0 || failed;
    }
    json_t *object = failed ? NULL
                            : json_pack("{s:i, s:s, s:s, s:s, s:I, s:O}", "v", MODEL_VERSION, "Id",
                                        collection->id, "Name", collection->name, "CallerReference",
                                        collection->caller_reference, "Version",
                                        (json_int_t)collection->version, "Locations", locations);
    json_decref(locations);
    return model_keep(object, &collection->stored);
}
