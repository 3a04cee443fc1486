/* Fuzzes the taking apart of etcd's streams: what can be taken apart byte by byte is handed out the
 * same, in the same order, when it comes in one piece or in two; and nothing is handed out that is
 * larger than the limit. Run by libFuzzer, and over its corpus in the ordinary tests. */
#include "store/etcd/splitter.h"

#include "base/hash.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define LIMIT 512U

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash; /* of all that was handed out */
    size_t items;
    size_t messages;
};

static void add(struct seen *seen, char kind, const char *text, size_t size)
{
    static const struct hash_key key = {.k0 = 1, .k1 = 2};
    const uint64_t parts[] = {seen->hash, (uint64_t)kind, size, hash_bytes(&key, text, size)};
    assert(size <= LIMIT);
    seen->hash = hash_bytes(&key, parts, sizeof parts);
}

static int item(void *context, const char *text, size_t size)
{
    struct seen *seen = context;
    seen->items++;
    add(seen, 'i', text, size);
    return 0;
}

static int message(void *context, const char *text, size_t size)
{
    struct seen *seen = context;
    seen->messages++;
    add(seen, 'm', text, size);
    return 0;
}

/* Pieces: up to `cut`, then the rest in steps. */
static int feed(const uint8_t *data, size_t size, size_t cut, size_t step, struct seen *seen)
{
    struct splitter splitter;
    const struct splitter_calls calls = {.item = item, .message = message, .context = seen};
    int rc = 0;
    *seen = (struct seen){0};
    splitter_init(&splitter, "\"events\"", 2, LIMIT, &calls);
    for (size_t at = 0; at < size && rc == 0;) {
        size_t piece = at < cut ? cut - at : step;
        piece = piece < size - at ? piece : size - at;
        rc = splitter_feed(&splitter, (const char *)data + at, piece);
        at += piece;
    }
    bool between = splitter_between(&splitter);
    splitter_done(&splitter);
    return rc != 0 ? rc : between;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole;
    struct seen bytes;
    struct seen halves;
    int one = feed(data, size, size, size, &whole);
    int two = feed(data, size, 0, 1, &bytes);
    int three = feed(data, size, size != 0 ? data[0] % size : 0, size, &halves);
    /* What is too large is noticed at the end of a piece, so byte by byte at the latest. */
    assert(two < 0 || (one == two && three == two));
    assert(two < 0 || (whole.hash == bytes.hash && whole.hash == halves.hash));
    assert(two < 0 || (whole.items == bytes.items && whole.messages == bytes.messages));
    return 0;
}
