/* Fuzz target: packets. Whatever arrives is answered with a response that is well-formed and never
 * larger than its limit. */
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

static void check_query(const struct message_query *query, size_t size)
{
    require(query->question_size <= size - MESSAGE_HEADER_SIZE);
    require(name_check(query->name, query->name_size) == query->name_size);
    require(name_labels(query->name) == query->label_count);
    require(query->tsig_at < size && (size_t)query->ixfr_at + query->ixfr_size <= size);
    if (query->has_subnet) {
        require(query->subnet.prefix <= (query->subnet.family == 1 ? 32 : 128));
    }
    if (query->has_cookie) {
        require(query->cookie.server_size <= COOKIE_SERVER_LIMIT);
    }
}

/* A response with options, records that fit and records that do not. */
static void respond(const struct message_query *query, size_t limit)
{
    static uint8_t out[MESSAGE_LIMIT];
    static const uint8_t rdata[600];
    struct message_writer writer;
    message_begin(&writer, query, out, limit);
    (void)message_add_subnet(&writer, 0); /* all of these may find no room */
    (void)message_add_error(&writer, EXTENDED_ERROR_OTHER, "text");
    message_pad(&writer, 468);
    for (size_t size = 0; size < sizeof rdata; size += 97) {
        if (!message_put_record(&writer, MESSAGE_ANSWER, query->name, RR_TXT, 1, rdata, size)) {
            message_truncate(&writer);
            break;
        }
    }
    size_t size = message_finish(&writer, query->rcode);
    require(size >= MESSAGE_HEADER_SIZE + query->question_size && size <= limit);
    /* Nobody may answer it: responses do not make loops. */
    struct message_query again;
    require(!message_parse(&again, out, size));
    /* As a query it parses but for its records. */
    if (query->opcode == OPCODE_QUERY && query->question_size != 0) {
        out[2] &= 0x7f;
        require(message_parse(&again, out, size));
        require(again.name_size == query->name_size);
        require(memcmp(again.name, query->name, query->name_size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message_query query;
    if (!message_parse(&query, data, size)) {
        return 0;
    }
    check_query(&query, size);
    respond(&query, message_limit(&query, false, 1232, 4096));
    respond(&query, message_limit(&query, true, 1232, MESSAGE_LIMIT));
    return 0;
}
