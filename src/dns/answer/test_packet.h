/* For tests of the answer path: making queries, and reading responses as text with a reader of its
 * own (strict: anything malformed is an error). Not part of the library. */
#ifndef DNS_ANSWER_TEST_PACKET_H
#define DNS_ANSWER_TEST_PACKET_H

#include "base/buf.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_query {
    const char *name; /* presentation form, any case */
    uint16_t type;
    uint16_t class;
    uint16_t flags; /* second word of the header */
    bool edns;
    uint8_t edns_version;
    uint16_t udp_size;
    bool dnssec_ok;
    bool subnet; /* client subnet; 192.0.2.0/24 unless there is an address */
    const char
        *subnet_text; /* "198.51.100.0/24", "2001:db8::/32"; NULL: none. Bits behind it: zero */
};

/* Writes the packet, at most 512 bytes; returns its length. */
size_t test_query_write(const struct test_query *query, uint8_t out[512]) MUST_CHECK;
/* Reads a response: 0, or -EBADMSG when it is malformed. Appends to text, one line each: rcode and
 * flags; then every record with its section in front. */
int test_response_text(const uint8_t *packet, size_t length, struct buf *text) MUST_CHECK;

#endif
