/* Fuzz target: EDNS options. The input becomes the options of a sound query, so that the fuzzer
 * spends its time there; the verdict must be NOERROR or FORMERR, and the OPT record is known. */
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = "\0\1\0\0\0\1\0\0\0\0\0\1\001a\0\0\1\0\1";
    if (size > 4096) {
        return 0;
    }
    uint8_t *packet = malloc(sizeof head - 1 + 11 + size);
    require(packet != NULL);
    struct bytes_writer out = bytes_writer(packet, sizeof head - 1 + 11 + size);
    bytes_put(&out, head, sizeof head - 1);
    bytes_put_u8(&out, 0);
    bytes_put_u16(&out, RR_OPT);
    bytes_put_u16(&out, 1232);
    bytes_put_u32(&out, 0);
    bytes_put_u16(&out, (uint16_t)size);
    bytes_put(&out, data, size);
    struct message_query query;
    require(message_parse(&query, packet, out.at));
    require(query.rcode == RCODE_NOERROR || query.rcode == RCODE_FORMERR);
    require(query.has_edns && query.question_size == 7);
    if (query.rcode == RCODE_NOERROR && query.has_subnet) {
        uint8_t response[MESSAGE_PLAIN_LIMIT];
        struct message_writer writer;
        message_begin(&writer, &query, response, sizeof response);
        require(message_add_subnet(&writer, query.subnet.prefix));
        require(message_finish(&writer, 0) <= sizeof response);
    }
    free(packet);
    return 0;
}
