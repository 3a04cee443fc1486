/* Fuzzes what comes from other sites: measures, reads header and body, and what can be read is
 * written again and must be the same. */
#include "peer/frame.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const uint8_t *data, const struct frame_header *header,
                        const struct model_ballots *ballots, size_t header_size)
{
    size_t size = frame_body_size(ballots);
    uint8_t *body = memory_new(size);
    uint8_t start[FRAME_HEADER];
    frame_write_body(ballots, body);
    assert(memcmp(body, data + header_size, size) == 0);
    frame_write_header(header, size, start);
    assert(memcmp(start + FRAME_START, data + FRAME_START, FRAME_HEADER - FRAME_START) == 0);
    free(body);
}

EXPORTED int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    size_t header_size = 0;
    size_t body_size = 0;
    if (size < FRAME_START || frame_measure(data, &header_size, &body_size, &err) != 0 ||
        header_size + body_size > size) {
        return 0;
    }
    struct frame_header header;
    struct model_ballots *ballots = NULL;
    int rc = frame_read_header(data, header_size, &header, &err);
    assert(rc == 0); /* it is as long as was measured */
    if (frame_read_body(data + header_size, body_size, &ballots, &err) == 0) {
        write_again(data, &header, ballots, header_size);
    }
    free(ballots);
    return 0;
}
