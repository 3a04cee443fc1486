/* Fuzzes the decoding of what the store holds of databases: a value that can be read is the same
 * when it is written and read again. Run by libFuzzer, and over its corpus in the ordinary tests.
 */
#include "model/database.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One function a record: decodes, encodes, decodes again, and compares what is encoded. */
#define TRY(name, ...)                                                                             \
    static void try_##name(const uint8_t *data, size_t size, struct arena *arena)                  \
    {                                                                                              \
        struct model_database_##name first;                                                        \
        struct model_database_##name second;                                                       \
        struct err err = ERR_INIT;                                                                 \
        if (model_database_##name##_decode(data, size, arena, &first, &err) != 0) {                \
            assert(err.code != 0);                                                                 \
            return;                                                                                \
        }                                                                                          \
        const char *text = model_database_##name##_encode(arena, &first __VA_ARGS__);              \
        assert(text != NULL);                                                                      \
        int rc = model_database_##name##_decode(text, strlen(text), arena, &second, &err);         \
        const char *again = model_database_##name##_encode(arena, &second __VA_ARGS__);            \
        assert(rc == 0 && text_equal(again, text));                                                \
    }
TRY(region, , NULL)
TRY(group, , NULL)
TRY(lease, , NULL)
TRY(member, , NULL)
TRY(seen, , NULL)
TRY(loss, , NULL)
TRY(event, )

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    try_region(data, size, &arena);
    try_group(data, size, &arena);
    try_lease(data, size, &arena);
    try_member(data, size, &arena);
    try_seen(data, size, &arena);
    try_loss(data, size, &arena);
    try_event(data, size, &arena);
    arena_done(&arena);
    return 0;
}
