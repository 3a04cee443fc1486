/* Fuzzes what the ends of a link send each other: frames are taken apart as requests, and as each
 * kind of answer. What was read lies within its frame and ends in a NUL; a request that was read
 * and written again is read the same. Run by libFuzzer, and over its corpus in the ordinary tests.
 */
#include "store/link/frame.h"

#include <assert.h>
#include <string.h>

#define ARENA_LIMIT ((size_t)8 << 20U)

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct link_frame *frame, const struct store_entry *entry)
{
    assert(strlen(entry->key) <= frame->size);
    assert(entry->size <= frame->size);
    assert(((const char *)entry->value)[entry->size] == '\0');
}

static void check_lists(const struct link_frame *frame)
{
    struct arena arena;
    struct err err = ERR_INIT;
    struct store_list lists[2];
    struct bytes_reader reader = link_reader(frame);
    arena_init(&arena, ARENA_LIMIT);
    size_t count = frame->size % 2 + 1;
    if (link_get_lists(&reader, &arena, lists, count, &err) == 0) {
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < lists[i].count; j++) {
                check_entry(frame, &lists[i].entries[j]);
            }
        }
    }
    arena_done(&arena);
}

static void check_batch(const struct link_frame *frame)
{
    struct arena arena;
    struct err err = ERR_INIT;
    struct store_batch batch;
    struct bytes_reader reader = link_reader(frame);
    arena_init(&arena, ARENA_LIMIT);
    if (link_get_batch(&reader, &arena, &batch, &err) == 0) {
        for (size_t i = 0; i < batch.count; i++) {
            check_entry(frame, &batch.changes[i].entry);
        }
    }
    arena_done(&arena);
}

static void check_answers(const struct link_frame *frame)
{
    struct err err = ERR_INIT;
    struct store_entry entry;
    struct bytes_reader reader = link_reader(frame);
    if (link_get_entry(&reader, &entry, &err) == 0) {
        check_entry(frame, &entry);
    }
    int rc = link_get_error(frame, &err);
    assert(rc != 0 && rc == err.code);
    check_lists(frame);
    check_batch(frame);
}

/* Written, read, and written: both times the same bytes. */
static void check_request(const struct link_frame *frame)
{
    struct err err = ERR_INIT;
    struct link_request request;
    struct store_txn *txn = NULL;
    if (link_read_request(frame, &request, &txn, &err) != 0) {
        assert(err.code != 0 && txn == NULL);
        return;
    }
    struct buf once;
    struct buf twice;
    buf_init(&once, 0);
    buf_init(&twice, 0);
    if (txn == NULL || txn->error.code == 0) {
        struct link_frame again = {.type = frame->type};
        struct link_request same;
        struct store_txn *same_txn = NULL;
        link_put_request(&once, &request);
        again.body = (const uint8_t *)once.data + LINK_HEADER;
        again.size = once.length - LINK_HEADER;
        int rc = link_read_request(&again, &same, &same_txn, &err);
        assert(rc == 0);
        link_put_request(&twice, &same);
        assert(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
        store_txn_free(same_txn);
    }
    buf_done(&once);
    buf_done(&twice);
    store_txn_free(txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (size - at >= LINK_HEADER) {
        struct err err = ERR_INIT;
        struct link_frame frame;
        if (link_measure(data + at, size, &frame.size, &frame.type, &err) != 0) {
            return 0;
        }
        at += LINK_HEADER;
        frame.size = frame.size <= size - at ? frame.size : size - at; /* cut */
        frame.body = data + at;
        at += frame.size;
        check_request(&frame);
        check_answers(&frame);
    }
    return 0;
}
