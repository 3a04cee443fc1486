/* Queries and responses for tests: see test_packet.h. Called by the tests and the fuzz target of
 * dns/answer, one thread each. Deliberately shares no parsing with dns/wire but names and RDATA to
 * text. */
#include "dns/answer/test_packet.h"

#include "base/bytes.h"
#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EDNS_SUBNET 8U

static void put_subnet(struct bytes_writer *w, const char *text)
{
    char address[64] = "";
    uint8_t bytes[16] = {0};
    int64_t bits = 0;
    const char *slash = strchr(text, '/');
    bool v6 = strchr(text, ':') != NULL;
    if (slash == NULL || text_copy_n(address, sizeof address, text, (size_t)(slash - text)) != 0 ||
        text_to_i64(slash + 1, 0, 128, &bits) != 0 ||
        inet_pton(v6 ? AF_INET6 : AF_INET, address, bytes) != 1) {
        abort(); /* a mistake in the test itself */
    }
    size_t size = ((size_t)bits + 7) / 8;
    bytes_put_u16(w, EDNS_SUBNET);
    bytes_put_u16(w, (uint16_t)(4 + size));
    bytes_put_u16(w, v6 ? 2 : 1);
    bytes_put_u8(w, (uint8_t)bits);
    bytes_put_u8(w, 0);
    bytes_put(w, bytes, size);
}

size_t test_query_write(const struct test_query *query, uint8_t out[512])
{
    struct bytes_writer w = bytes_writer(out, 512);
    bytes_put_u16(&w, 0x1234);
    bytes_put_u16(&w, query->flags);
    bytes_put_u16(&w, 1);
    bytes_put_u32(&w, 0);
    bytes_put_u16(&w, query->edns ? 1 : 0);
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(query->name, true, wire);
    size_t start = w.at;
    bytes_put(&w, wire, length > 0 ? (size_t)length : 0);
    /* Plain names keep their case: text and wire run in parallel. */
    for (size_t at = 1; strchr(query->name, '\\') == NULL && at + 1 < w.at - start; at++) {
        char c = query->name[at - 1];
        out[start + at] = c >= 'A' && c <= 'Z' ? (uint8_t)c : out[start + at];
    }
    bytes_put_u16(&w, query->type);
    bytes_put_u16(&w, query->class);
    if (query->edns) {
        bytes_put_u8(&w, 0);
        bytes_put_u16(&w, RR_OPT);
        bytes_put_u16(&w, query->udp_size);
        bytes_put_u8(&w, 0);
        bytes_put_u8(&w, query->edns_version);
        bytes_put_u16(&w, query->dnssec_ok ? 0x8000 : 0);
        size_t length_at = w.at;
        bytes_put_u16(&w, 0);
        if (query->subnet) {
            put_subnet(&w, query->subnet_text != NULL ? query->subnet_text : "192.0.2.0/24");
            bytes_patch_u16(&w, length_at, (uint16_t)(w.at - length_at - 2));
        }
    }
    return w.at;
}

/* A name, compressed or not; pointers go strictly backwards. */
static int read_name(struct bytes_reader *reader, uint8_t wire[NAME_WIRE_LIMIT])
{
    size_t at = reader->at;
    size_t bound = at;
    size_t length = 0;
    bool jumped = false;
    for (;;) {
        if (at >= reader->size) {
            return -EBADMSG;
        }
        uint8_t label = reader->data[at];
        if (label >= 0xc0) {
            size_t target = at + 1 < reader->size
                                ? ((size_t)(label & 0x3fU) << 8U | reader->data[at + 1])
                                : reader->size;
            if (target >= bound) {
                return -EBADMSG;
            }
            reader->at = jumped ? reader->at : at + 2;
            jumped = true;
            bound = target;
            at = target;
            continue;
        }
        if (label > NAME_LABEL_LIMIT || length + 1 + label > NAME_WIRE_LIMIT ||
            at + 1 + label > reader->size) {
            return -EBADMSG;
        }
        (void)memcpy(wire + length, reader->data + at, 1U + label);
        length += 1U + label;
        at += 1U + label;
        if (label == 0) {
            reader->at = jumped ? reader->at : at;
            return 0;
        }
    }
}

static void put_flags(struct buf *text, uint16_t flags)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {{0x0400, "aa"}, {0x0200, "tc"}, {0x0100, "rd"},
                 {0x0080, "ra"}, {0x0020, "ad"}, {0x0010, "cd"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((flags & names[i].bit) != 0) {
            buf_printf(text, " %s", names[i].name);
        }
    }
}

static void put_rcode(struct buf *text, unsigned rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
    if (rcode < sizeof names / sizeof names[0]) {
        buf_puts(text, names[rcode]);
    } else if (rcode == 16) {
        buf_puts(text, "BADVERS");
    } else {
        buf_printf(text, "RCODE%u", rcode);
    }
}

/* The OPT record's fixed part was read up to its class. */
static int put_opt(struct bytes_reader *reader, struct buf *text, unsigned *ret_rcode)
{
    uint8_t extended = bytes_get_u8(reader);
    uint8_t version = bytes_get_u8(reader);
    uint16_t flags = bytes_get_u16(reader);
    struct bytes_reader options = {0};
    size_t size = bytes_get_u16(reader);
    const uint8_t *data = bytes_get(reader, size);
    buf_printf(text, "opt version=%u%s", version, (flags & 0x8000U) != 0 ? " do" : "");
    options = bytes_reader(data, data != NULL ? size : 0);
    while (bytes_left(&options) != 0 && !options.failed) {
        uint16_t code = bytes_get_u16(&options);
        uint16_t length = bytes_get_u16(&options);
        const uint8_t *value = bytes_get(&options, length);
        if (value != NULL && code == EDNS_SUBNET && length >= 4) {
            buf_printf(text, " subnet=/%u/%u", value[2], value[3]);
        } else {
            buf_printf(text, " option%u", code);
        }
    }
    buf_putc(text, '\n');
    *ret_rcode |= (unsigned)extended << 4U;
    return reader->failed || options.failed ? -EBADMSG : 0;
}

static int put_record(struct bytes_reader *reader, const char *section, struct buf *text,
                      unsigned *ret_rcode)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    if (read_name(reader, wire) < 0) {
        return -EBADMSG;
    }
    uint16_t type = bytes_get_u16(reader);
    (void)bytes_get_u16(reader); /* class, or what OPT makes of it */
    if (type == RR_OPT) {
        return put_opt(reader, text, ret_rcode);
    }
    uint32_t ttl = bytes_get_u32(reader);
    uint16_t size = bytes_get_u16(reader);
    const uint8_t *rdata = bytes_get(reader, size);
    char name[NAME_TEXT_LIMIT];
    char type_text[16];
    static _Thread_local char value[4U * RDATA_LIMIT];
    name_to_text(wire, true, name);
    rr_type_to_text(type, type_text);
    if (rdata == NULL || rdata_to_text(type, rdata, size, value, sizeof value) < 0) {
        return -EBADMSG;
    }
    buf_printf(text, "%s %s %u %s %s\n", section, name, ttl, type_text, value);
    return 0;
}

int test_response_text(const uint8_t *packet, size_t length, struct buf *text)
{
    static const char *const sections[] = {"answer", "authority", "additional"};
    struct bytes_reader reader = bytes_reader(packet, length);
    (void)bytes_get_u16(&reader);
    uint16_t flags = bytes_get_u16(&reader);
    uint16_t questions = bytes_get_u16(&reader);
    uint16_t counts[3];
    for (size_t i = 0; i < 3; i++) {
        counts[i] = bytes_get_u16(&reader);
    }
    struct buf records CLEANUP(buf_done);
    buf_init(&records, 0);
    unsigned rcode = flags & 0xfU;
    uint8_t wire[NAME_WIRE_LIMIT];
    if (reader.failed || (flags & 0x8000U) == 0 || questions > 1 ||
        (questions == 1 && read_name(&reader, wire) < 0)) {
        return -EBADMSG;
    }
    if (questions == 1) {
        (void)bytes_get_u32(&reader);
    }
    for (size_t i = 0; i < 3; i++) {
        for (unsigned n = 0; n < counts[i]; n++) {
            if (put_record(&reader, sections[i], &records, &rcode) < 0) {
                return -EBADMSG;
            }
        }
    }
    if (reader.failed || bytes_left(&reader) != 0) {
        return -EBADMSG;
    }
    put_rcode(text, rcode);
    put_flags(text, flags);
    buf_putc(text, '\n');
    buf_puts(text, buf_text(&records));
    return 0;
}
