/* Events become batches: see batches.h. Called by the watch's stream, on the thread in
 * store_watch_next. Owns the chunks that were not taken. Invariant: reached never runs ahead of
 * what the chunks hold, and no chunk that can be taken has a part of a revision. */
#include "store/etcd/batches.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)1 << 20U) /* a batch is closed when it has more */
#define FULL_CHUNKS 4U

void batches_init(struct batches *batches, const char *root, const char *prefix, int64_t after)
{
    *batches = (struct batches){.root = root, .prefix = prefix, .reached = after};
    batches->last = &batches->first;
    json_pair_init(&batches->pair);
}

void batches_chunk_free(struct batches_chunk *take_chunk)
{
    if (take_chunk != NULL) {
        arena_done(&take_chunk->arena);
        free(take_chunk->changes);
        free(take_chunk);
    }
}

void batches_done(struct batches *batches)
{
    while (batches->first != NULL) {
        struct batches_chunk *chunk = batches->first;
        batches->first = chunk->next;
        batches_chunk_free(chunk);
    }
    batches_chunk_free(batches->open);
    json_pair_done(&batches->pair);
}

static struct batches_chunk *open_chunk(struct batches *batches)
{
    if (batches->open == NULL) {
        batches->open = memory_new(sizeof *batches->open);
        arena_init(&batches->open->arena, 0);
        arena_keep_secret(&batches->open->arena); /* some values hold keys */
    }
    return batches->open;
}

static void close_chunk(struct batches *batches)
{
    *batches->last = batches->open;
    batches->last = &batches->open->next;
    batches->open = NULL;
    batches->full++;
}

/* The revision that was coming is whole. */
static void complete(struct batches *batches)
{
    struct batches_chunk *chunk = open_chunk(batches);
    batches->reached = batches->current;
    batches->current = 0;
    chunk->complete = chunk->count;
    chunk->revision = batches->reached;
    if (chunk->bytes >= CHUNK_BYTES) {
        close_chunk(batches);
    }
}

static int add(struct batches *batches, enum store_change_type type, struct err *err)
{
    struct batches_chunk *chunk = open_chunk(batches);
    if (chunk->count == chunk->capacity) {
        size_t capacity = chunk->capacity == 0 ? 4 : chunk->capacity * 2;
        struct store_change *changes = capacity < SIZE_MAX / sizeof *changes
                                           ? realloc(chunk->changes, capacity * sizeof *changes)
                                           : NULL;
        if (changes == NULL) {
            return err_set(err, ERR_MEMORY, "out of memory for %zu changes", capacity);
        }
        chunk->changes = changes;
        chunk->capacity = capacity;
    }
    struct store_entry entry = batches->pair.entry;
    if (type == STORE_DELETE) {
        entry = (struct store_entry){
            .key = entry.key, .value = "", .changed_revision = entry.changed_revision};
    }
    struct store_change *change = &chunk->changes[chunk->count];
    *change = (struct store_change){.type = type};
    int rc = store_entry_copy(&chunk->arena, &entry, &change->entry, err);
    if (rc == 0) {
        chunk->count++;
        chunk->bytes += strlen(entry.key) + entry.size + sizeof *change;
    }
    return rc;
}

static int take_event(struct batches *batches, const json_t *event, struct err *err)
{
    int rc = json_get_pair(json_object_get(event, "kv"), batches->root, &batches->pair, err);
    if (rc != 0) {
        return rc;
    }
    const struct store_entry *entry = &batches->pair.entry;
    if (entry->changed_revision <= batches->reached) {
        return 0; /* it came before the connection was lost */
    }
    if (entry->changed_revision < batches->current) {
        return err_set(err, ERR_CORRUPT, "etcd sent revision %lld after %lld",
                       (long long)entry->changed_revision, (long long)batches->current);
    }
    if (batches->current != 0 && entry->changed_revision > batches->current) {
        complete(batches);
    }
    batches->current = entry->changed_revision;
    if (text_empty(entry->key) || !text_starts(entry->key, batches->prefix)) {
        return 0; /* its revision counts all the same */
    }
    const char *type = json_string_value(json_object_get(event, "type"));
    return add(batches, type != NULL && text_equal(type, "DELETE") ? STORE_DELETE : STORE_PUT, err);
}

int batches_event(struct batches *batches, const char *text, size_t size, struct err *err)
{
    json_t *event = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    int rc = take_event(batches, event, err);
    json_decref(event);
    return rc;
}

void batches_end(struct batches *batches)
{
    if (batches->current != 0) {
        complete(batches);
    }
}

void batches_progress(struct batches *batches, int64_t revision)
{
    if (batches->current == 0) {
        batches->reached = MAX(batches->reached, revision);
        open_chunk(batches)->revision = batches->reached;
    }
}

void batches_cut(struct batches *batches)
{
    batches->current = 0;
    if (batches->open != NULL) {
        batches->open->count = batches->open->complete;
        if (batches->open->revision == 0) {
            batches_chunk_free(batches->open);
            batches->open = NULL;
        }
    }
}

bool batches_full(const struct batches *batches)
{
    return batches->full >= FULL_CHUNKS;
}

struct batches_chunk *batches_take(struct batches *batches)
{
    struct batches_chunk *chunk = batches->first;
    if (chunk != NULL) {
        batches->first = chunk->next;
        batches->full--;
        if (batches->first == NULL) {
            batches->last = &batches->first;
        }
        return chunk;
    }
    chunk = batches->open;
    if (chunk == NULL || chunk->revision == 0 || chunk->complete != chunk->count) {
        return NULL;
    }
    batches->open = NULL;
    return chunk;
}
