/* Fuzzes what etcd's watch and its answers say: a stream of messages becomes batches, whose
 * revisions go up, whose changes are in order and of the prefix alone; and each message is read as
 * an answer, refusals too. The first byte says after how many items the connection is lost. Run by
 * libFuzzer, and over its corpus in the ordinary tests. */
#include "store/etcd/batches.h"

#include "base/text.h"
#include "store/etcd/gateway.h"
#include "store/etcd/splitter.h"

#include <assert.h>
#include <string.h>

#define LIMIT 65536U
#define ROOT "leeward/"
#define PREFIX "r53/"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct batches batches;
    struct gateway gateway; /* only what gateway_see notes */
    unsigned left;          /* items until the connection is lost */
    int64_t revision;
};

static void check(struct world *world, const struct batches_chunk *chunk)
{
    int64_t before = world->revision;
    assert(chunk->revision >= world->revision);
    for (size_t i = 0; i < chunk->count; i++) {
        const struct store_entry *entry = &chunk->changes[i].entry;
        assert(text_starts(entry->key, PREFIX));
        assert(strlen(entry->key) <= STORE_KEY_LIMIT);
        assert(entry->changed_revision > world->revision);
        assert(entry->changed_revision >= before && entry->changed_revision <= chunk->revision);
        before = entry->changed_revision;
    }
    world->revision = chunk->revision;
}

static void take(struct world *world)
{
    struct batches_chunk *chunk = NULL;
    while ((chunk = batches_take(&world->batches)) != NULL) {
        check(world, chunk);
        batches_chunk_free(chunk);
    }
}

static int item(void *context, const char *text, size_t size)
{
    struct world *world = context;
    struct err err = ERR_INIT;
    int rc = batches_event(&world->batches, text, size, &err);
    assert((rc == 0) == (err.code == 0));
    if (rc == 0 && world->left != 0 && --world->left == 0) {
        batches_cut(&world->batches);
    }
    return rc;
}

static int message(void *context, const char *text, size_t size)
{
    struct world *world = context;
    struct err err = ERR_INIT;
    json_t *answer = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *result = json_object_get(answer, "result");
    int64_t revision = gateway_see(&world->gateway, result);
    assert(revision >= 0);
    if (revision > 0 && json_get_number(result, "watch_id") == 0) {
        batches_progress(&world->batches, revision);
    } else {
        batches_end(&world->batches);
    }
    (void)gateway_reply_failure(answer, 200, "http://127.0.0.1", &err); /* whatever it means */
    assert(err.code != 0);
    json_decref(answer);
    take(world);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct splitter splitter;
    const struct splitter_calls calls = {.item = item, .message = message, .context = &world};
    if (size == 0) {
        return 0;
    }
    world = (struct world){.left = data[0]};
    batches_init(&world.batches, ROOT, PREFIX, 0);
    splitter_init(&splitter, "\"events\"", 2, LIMIT, &calls);
    IGNORE_RESULT(splitter_feed(&splitter, (const char *)data + 1, size - 1));
    batches_end(&world.batches);
    take(&world);
    splitter_done(&splitter);
    batches_done(&world.batches);
    return 0;
}
