/* Freshness and reasons: see response.h. Called by both versions of HTTP. The message is our own,
 * but it is read like any other: with bounds, and whatever is odd is not fresh. */
#include "dns/https/response.h"

#include "base/bytes.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <stdbool.h>

#define POINTER 0xC0U
#define MINIMUM_SIZE 4U

static void skip_name(struct bytes_reader *reader)
{
    for (;;) {
        uint8_t size = bytes_get_u8(reader);
        if (size == 0 || reader->failed) {
            return;
        }
        if (size >= POINTER) {
            (void)bytes_get_u8(reader); /* where to: of no interest */
            return;
        }
        (void)bytes_get(reader, size); /* the reader remembers a failure */
    }
}

/* The next record's TTL; for a SOA no more than its MINIMUM. */
static uint32_t next_ttl(struct bytes_reader *reader, uint16_t *ret_type)
{
    skip_name(reader);
    *ret_type = bytes_get_u16(reader);
    (void)bytes_get_u16(reader); /* the class */
    uint32_t ttl = bytes_get_u32(reader);
    uint16_t size = bytes_get_u16(reader);
    const uint8_t *rdata = bytes_get(reader, size);
    if (*ret_type == RR_SOA && rdata != NULL && size >= MINIMUM_SIZE) {
        struct bytes_reader minimum = bytes_reader(rdata + size - MINIMUM_SIZE, MINIMUM_SIZE);
        uint32_t most = bytes_get_u32(&minimum);
        ttl = most < ttl ? most : ttl;
    }
    return ttl;
}

uint32_t response_freshness(const uint8_t *message, size_t size)
{
    struct bytes_reader reader = bytes_reader(message, size);
    (void)bytes_get_u16(&reader); /* the id */
    uint16_t flags = bytes_get_u16(&reader);
    uint16_t questions = bytes_get_u16(&reader);
    uint16_t answers = bytes_get_u16(&reader);
    uint16_t authorities = bytes_get_u16(&reader);
    (void)bytes_get_u16(&reader); /* additional records say nothing about the answer */
    unsigned rcode = flags & 0x0fU;
    if ((flags & MESSAGE_TC) != 0 || (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN)) {
        return 0;
    }
    for (unsigned i = 0; i < questions; i++) {
        skip_name(&reader);
        (void)bytes_get_u32(&reader); /* type and class */
    }
    bool found = false;
    uint32_t least = UINT32_MAX;
    uint16_t type = 0;
    for (unsigned i = 0; i < answers && !reader.failed; i++) {
        uint32_t ttl = next_ttl(&reader, &type);
        least = ttl < least ? ttl : least;
        found = true;
    }
    for (unsigned i = 0; answers == 0 && i < authorities && !reader.failed; i++) {
        uint32_t ttl = next_ttl(&reader, &type);
        if (type == RR_SOA) {
            least = ttl < least ? ttl : least;
            found = true;
        }
    }
    return found && !reader.failed ? least : 0;
}

const char *response_reason(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Service Unavailable"; /* 503 */
    }
}
