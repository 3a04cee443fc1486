/* Any bytes as the messages of a transfer: two bytes of length before each, as on TCP; the first
 * byte of all says whether IXFR was asked, and whether a serial is held. No crash, no leak, an end.
 */
#include "dns/zonefile/incoming.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct arena arena;
    struct err err = ERR_INIT;
    struct incoming *incoming = NULL;
    uint32_t serial = 7;
    bool done = false;
    arena_init(&arena, 0);
    if (incoming_new("example.com", (data[0] & 3U) != 0 ? &serial : NULL, (data[0] & 1U) != 0,
                     &arena, &incoming, &err) != 0) {
        abort();
    }
    size_t at = 1;
    int rc = 0;
    while (rc == 0 && !done && size - at >= 2) {
        size_t length = (size_t)data[at] << 8U | data[at + 1];
        at += 2;
        length = length < size - at ? length : size - at;
        rc = incoming_take(incoming, data + at, length, 0x1234, &done, &err);
        at += length;
    }
    if (rc == 0 && done) {
        struct incoming_result result;
        incoming_result(incoming, &result);
        if ((result.kind == INCOMING_STEPS) != (result.step_count != 0)) {
            abort();
        }
    }
    incoming_free(incoming);
    arena_done(&arena);
    return 0;
}
