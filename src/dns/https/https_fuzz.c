/* Fuzz target: a client's bytes, in pieces of any size, as HTTP/1.1 or as HTTP/2 behind its
 * preface. The first byte chooses the version and whether answers are large, the second the size of
 * pieces. Output never passes its room; queries never pass their limit; nothing is produced after
 * the end. */
#include "dns/https/https.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LARGE 20000U

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static size_t answer(void *context, const uint8_t *query, size_t size, uint8_t *out)
{
    const bool *large = context;
    require(size != 0 && size <= HTTPS_QUERY_MOST);
    if (size < 12) {
        return 0;
    }
    (void)memset(out, 0, LARGE);
    (void)memcpy(out, query, size);
    out[2] |= 0x80U;
    return *large ? LARGE : size;
}

/* Writes all there is; false when the connection is over. */
static bool drain(struct https *https, struct https_service *service, uint8_t *out)
{
    bool more = true;
    while (more) {
        size_t used = https_produce(https, service, out, HTTPS_OUTPUT_LEAST, &more);
        require(used <= HTTPS_OUTPUT_LEAST);
        require(used != 0 || !more);
    }
    return !https_is_over(https);
}

static bool feed(struct https *https, struct https_service *service, uint8_t *out,
                 const uint8_t *data, size_t size)
{
    return https_receive(https, data, size) && drain(https, service, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[HTTPS_OUTPUT_LEAST];
    static uint8_t scratch[HTTPS_MESSAGE_MOST];
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (size < 2) {
        return 0;
    }
    bool http2 = (data[0] & 1U) != 0;
    bool large = (data[0] & 2U) != 0;
    size_t piece = data[1] == 0 ? HTTPS_INPUT_MOST : data[1];
    struct https_service service = {
        .answer = answer, .context = &large, .date = "", .scratch = scratch};
    struct https *https = https_new(http2);
    require(https != NULL);
    bool going = !http2 || feed(https, &service, out, preface, sizeof preface);
    for (size_t at = 2; going && at < size; at += piece) {
        going = feed(https, &service, out, data + at, piece < size - at ? piece : size - at);
    }
    if (!going && https_is_over(https)) {
        bool more = false;
        require(https_produce(https, &service, out, sizeof out, &more) == 0 && !more);
    }
    https_free(https);
    return 0;
}
