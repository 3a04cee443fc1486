/* A query from text and a response to text: see response.h. Called by views.c on API threads.
 * Invariant: nothing is read outside the message, and a compression loop ends (pointers only go
 * back, RFC 1035 section 4.1.4). */
#include "daemon/response.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESPONSE_RDATA_LIMIT ((size_t)2 * RDATA_LIMIT) /* with its names expanded */
#define RESPONSE_VALUE_LIMIT ((size_t)4 * RESPONSE_RDATA_LIMIT)

/* ---- the query ---- */

static int put_subnet(struct bytes_writer *out, const char *client, unsigned bits, struct err *err)
{
    uint8_t address[16] = {0};
    unsigned family = 1;
    if (inet_pton(AF_INET, client, address) != 1) {
        family = 2;
        if (inet_pton(AF_INET6, client, address) != 1) {
            return err_set(err, ERR_INVALID, "'%s' is not an IP address", client);
        }
    }
    unsigned most = family == 1 ? 32 : 128;
    if (bits > most) {
        return err_set(err, ERR_INVALID, "a subnet mask of %u bits is too long for %s", bits,
                       client);
    }
    unsigned bytes = (bits + 7) / 8;
    if (bits % 8 != 0) {
        address[bytes - 1] &= (uint8_t)(0xffU << (8 - bits % 8));
    }
    bytes_put_u16(out, EDNS_CLIENT_SUBNET);
    bytes_put_u16(out, (uint16_t)(4 + bytes));
    bytes_put_u16(out, (uint16_t)family);
    bytes_put_u8(out, (uint8_t)bits);
    bytes_put_u8(out, 0);
    bytes_put(out, address, bytes);
    return 0;
}

int response_make_query(const char *name, uint16_t type, const char *client, unsigned client_bits,
                        uint8_t query[RESPONSE_QUERY_LIMIT], size_t *ret_size, struct err *err)
{
    struct bytes_writer out = bytes_writer(query, RESPONSE_QUERY_LIMIT);
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(name, true, wire);
    if (length < 0) {
        return err_set(err, ERR_INVALID, "'%s' is not a domain name", name);
    }
    static const uint16_t header[] = {0, MESSAGE_RD, 1, 0, 0, 1};
    for (size_t i = 0; i < ARRAY_SIZE(header); i++) {
        bytes_put_u16(&out, header[i]);
    }
    bytes_put(&out, wire, (size_t)length);
    bytes_put_u16(&out, type);
    bytes_put_u16(&out, CLASS_IN);
    bytes_put_u8(&out, 0); /* OPT: root, type, size, extended rcode and flags, length */
    bytes_put_u16(&out, RR_OPT);
    bytes_put_u16(&out, 4096);
    bytes_put_u32(&out, 0);
    size_t length_at = out.at;
    bytes_put_u16(&out, 0);
    if (client[0] != '\0') {
        int rc = put_subnet(&out, client, client_bits, err);
        if (rc != 0) {
            return rc;
        }
        bytes_patch_u16(&out, length_at, (uint16_t)(out.at - length_at - 2));
    }
    *ret_size = out.at;
    return out.failed ? err_set(err, ERR_LIMIT, "the query is too long") : 0;
}

/* ---- the response ---- */

/* Expands the name at the read position and moves behind it. False on a malformed one. */
static bool read_name(struct bytes_reader *in, uint8_t wire[NAME_WIRE_LIMIT])
{
    struct bytes_writer out = bytes_writer(wire, NAME_WIRE_LIMIT);
    struct bytes_reader at = *in;
    size_t lowest = in->at;
    bool jumped = false;
    for (;;) {
        uint8_t length = bytes_get_u8(&at);
        if (length >= 0xc0) {
            size_t target = (size_t)(length & 0x3fU) << 8U | bytes_get_u8(&at);
            if (!jumped) {
                in->at = at.at;
            }
            if (at.failed || target >= lowest) {
                return false;
            }
            jumped = true;
            lowest = target;
            at.at = target;
            continue;
        }
        const uint8_t *label = bytes_get(&at, length);
        bytes_put_u8(&out, length);
        bytes_put(&out, label, label != NULL ? length : 0);
        if (at.failed || out.failed || length > NAME_LABEL_LIMIT) {
            return false;
        }
        if (length == 0) {
            break;
        }
    }
    if (!jumped) {
        in->at = at.at;
    }
    return true;
}

/* How RDATA is built: fixed bytes before the names, the names, and fixed bytes behind them. */
static const struct {
    uint16_t type;
    uint8_t before;
    uint8_t names;
} name_types[] = {{RR_NS, 0, 1},  {RR_CNAME, 0, 1}, {RR_PTR, 0, 1},
                  {RR_SOA, 0, 2}, {RR_MX, 2, 1},    {RR_SRV, 6, 1}};

/* RDATA with its names expanded. Returns its length, 0 when malformed. */
static size_t expand_rdata(struct bytes_reader *in, uint16_t type, size_t length, uint8_t *out,
                           size_t size)
{
    struct bytes_writer writer = bytes_writer(out, size);
    size_t end = in->at + length;
    for (size_t i = 0; i < ARRAY_SIZE(name_types); i++) {
        if (name_types[i].type != type) {
            continue;
        }
        const uint8_t *fixed = bytes_get(in, name_types[i].before);
        bytes_put(&writer, fixed, fixed != NULL ? name_types[i].before : 0);
        for (unsigned j = 0; j < name_types[i].names; j++) {
            uint8_t wire[NAME_WIRE_LIMIT];
            if (!read_name(in, wire)) {
                return 0;
            }
            bytes_put(&writer, wire, name_length(wire));
        }
    }
    if (in->at > end) {
        return 0;
    }
    size_t rest = end - in->at;
    const uint8_t *data = bytes_get(in, rest);
    bytes_put(&writer, data, data != NULL ? rest : 0);
    return in->failed || writer.failed ? 0 : writer.at;
}

static const char *rcode_name(unsigned rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
    return rcode < ARRAY_SIZE(names) ? names[rcode] : "SERVFAIL";
}

/* Appends the values of the answer section's records of that type (or, for a chain, of its CNAMEs
 * too). */
static int read_answers(struct bytes_reader *in, unsigned count, json_t *data, struct err *err)
{
    uint8_t name[NAME_WIRE_LIMIT];
    uint8_t *rdata CLEANUP(memory_cleanup) = memory_new(RESPONSE_RDATA_LIMIT);
    char *text CLEANUP(memory_cleanup) = memory_new(RESPONSE_VALUE_LIMIT);
    for (unsigned i = 0; i < count; i++) {
        bool good = read_name(in, name);
        uint16_t type = bytes_get_u16(in);
        (void)bytes_get_u16(in); /* class */
        (void)bytes_get_u32(in); /* ttl */
        uint16_t length = bytes_get_u16(in);
        size_t expanded =
            good && !in->failed ? expand_rdata(in, type, length, rdata, RESPONSE_RDATA_LIMIT) : 0;
        if (expanded == 0 ||
            rdata_to_text(type, rdata, expanded, text, RESPONSE_VALUE_LIMIT) != 0) {
            return err_set(err, ERR_INTERNAL, "record %u of the response cannot be shown", i);
        }
        (void)json_array_append_new(data, json_string(text)); /* out of memory shows as absent */
    }
    return 0;
}

int response_to_json(const char *name, uint16_t type, const uint8_t *response, size_t size,
                     json_t **ret_json, struct err *err)
{
    struct bytes_reader in = bytes_reader(response, size);
    uint8_t question[NAME_WIRE_LIMIT];
    char type_name[16];
    rr_type_to_text(type, type_name);
    (void)bytes_get_u16(&in); /* id */
    unsigned flags = bytes_get_u16(&in);
    unsigned questions = bytes_get_u16(&in);
    unsigned answers = bytes_get_u16(&in);
    (void)bytes_get_u32(&in); /* authority and additional: not shown */
    bool good = questions == 1 && read_name(&in, question);
    (void)bytes_get_u32(&in); /* type and class */
    if (!good || in.failed) {
        return err_set(err, ERR_INTERNAL, "the server gave no answer to show");
    }
    json_t *data = json_array();
    int rc = read_answers(&in, answers, data, err);
    if (rc != 0) {
        json_decref(data);
        return rc;
    }
    json_t *json =
        json_pack("{s:s, s:s, s:o, s:s, s:s}", "RecordName", name, "RecordType", type_name,
                  "RecordData", data, "ResponseCode", rcode_name(flags & 15U), "Protocol", "UDP");
    if (json == NULL) {
        return err_set(err, ERR_MEMORY, "showing the response");
    }
    *ret_json = json;
    return 0;
}
