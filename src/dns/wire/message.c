/* Parsing of queries: see message.h. Called by the answer path on every packet, any thread; keeps
 * nothing.
 *
 * Everything in a packet is hostile. Sections are read in order through one bounded reader; the
 * first problem sets rcode and ends the parse, keeping what was read before it, so that the
 * response can carry the question and OPT where those were sound. */
#include "dns/wire/message.h"

#include "base/text.h"
#include "dns/wire/rdata.h"

#include <string.h>

#define QUESTION_FIXED 4U /* type, class */
#define RECORD_FIXED 10U  /* type, class, TTL, length */
#define OPT_FIXED 8U      /* what follows its type, up to the options */
#define BARE_OPT 11U      /* owner, type and OPT_FIXED */
#define POINTER_MASK 0xc0U
#define LOWER_BLOCK 16U

enum { TYPE_TSIG = 250 };

/* Bytes from 'A' to 'Z' become lower case. Label lengths are at most 63, below 'A', so a whole name
 * can be treated as one string of bytes. The loop is of the kind that compilers turn into a few
 * vector instructions: 30 less a query than a word at a time, for names of 20 bytes. */
static ALWAYS_INLINE void lower_block(uint8_t *out, const uint8_t *name, size_t size)
{
    uint8_t block[LOWER_BLOCK];
    (void)memcpy(block, name, size);
    for (size_t i = 0; i < size; i++) {
        block[i] |= (uint8_t)(block[i] - 'A') <= 'Z' - 'A' ? 0x20U : 0U;
    }
    (void)memcpy(out, block, size);
}

/* In blocks of a fixed size; some of the last one's bytes may be done already. */
static ALWAYS_INLINE void lower_blocks(uint8_t *out, const uint8_t *name, size_t size, size_t block)
{
    for (size_t at = 0; at + block < size; at += block) {
        lower_block(out + at, name + at, block);
    }
    lower_block(out + size - block, name + size - block, block);
}

static void lower_name(uint8_t *out, const uint8_t *name, size_t size)
{
    if (LIKELY(size >= LOWER_BLOCK)) {
        lower_blocks(out, name, size, LOWER_BLOCK);
    } else if (size >= LOWER_BLOCK / 2) {
        lower_blocks(out, name, size, LOWER_BLOCK / 2);
    } else {
        for (size_t at = 0; at < size; at++) {
            out[at] = (uint8_t)text_lower((char)name[at]);
        }
    }
}

/* The question's name: uncompressed, since nothing stands before it. */
static bool parse_name(struct message_query *query, struct bytes_reader *in)
{
    const uint8_t *name = in->data + in->at;
    size_t left = MIN(bytes_left(in), NAME_WIRE_LIMIT);
    size_t at = 0;
    uint8_t *label_at = query->label_at;
    while (at < left) {
        size_t size = name[at];
        if (size == 0) {
            query->label_count = (uint8_t)(label_at - query->label_at);
            query->name_size = (uint8_t)(at + 1);
            in->at += at + 1;
            lower_name(query->name, name, at + 1);
            (void)memset(query->name + at + 1, 0, NAME_PADDING);
            return true;
        }
        if (size > NAME_LABEL_LIMIT) {
            return false;
        }
        *label_at++ = (uint8_t)at;
        at += 1 + size;
    }
    return false;
}

/* Skips an owner name, compressed or not. Pointers are not followed: nothing here needs the name.
 */
static void skip_name(struct bytes_reader *in)
{
    size_t start = in->at;
    for (;;) {
        uint8_t size = bytes_get_u8(in);
        if (in->failed || size == 0) {
            return;
        }
        if ((size & POINTER_MASK) == POINTER_MASK) {
            (void)bytes_get_u8(in);
            return;
        }
        if (size > NAME_LABEL_LIMIT || in->at - start + size >= NAME_WIRE_LIMIT) {
            in->failed = true;
            return;
        }
        (void)bytes_get(in, size);
    }
}

/* RFC 7871 section 6: what a query may carry. */
static bool parse_subnet(struct message_query *query, struct bytes_reader *in)
{
    uint16_t family = bytes_get_u16(in);
    uint8_t prefix = bytes_get_u8(in);
    uint8_t scope = bytes_get_u8(in);
    unsigned longest = family == 1 ? 32 : family == 2 ? 128 : 0;
    size_t size = (prefix + 7U) / 8U;
    if (in->failed || query->has_subnet || family > 2 || prefix > longest || scope != 0 ||
        bytes_left(in) != size) {
        return false;
    }
    struct message_subnet *subnet = &query->subnet;
    *subnet = (struct message_subnet){.family = family, .prefix = prefix};
    if (size != 0) {
        (void)memcpy(subnet->address, bytes_get(in, size), size);
        unsigned spare = (unsigned)size * 8U - prefix;
        if ((subnet->address[size - 1] & ((1U << spare) - 1U)) != 0) {
            return false;
        }
    }
    query->has_subnet = true;
    return true;
}

/* RFC 7873 section 5.2: of several the first counts. */
static bool parse_cookie(struct message_query *query, struct bytes_reader *in)
{
    size_t size = bytes_left(in);
    if (size != COOKIE_CLIENT_SIZE && (size < COOKIE_CLIENT_SIZE + COOKIE_SERVER_LEAST ||
                                       size > COOKIE_CLIENT_SIZE + COOKIE_SERVER_LIMIT)) {
        return false;
    }
    if (query->has_cookie) {
        return true;
    }
    struct message_cookie *cookie = &query->cookie;
    (void)memcpy(cookie->client, bytes_get(in, COOKIE_CLIENT_SIZE), COOKIE_CLIENT_SIZE);
    cookie->server_size = (uint8_t)(size - COOKIE_CLIENT_SIZE);
    (void)memcpy(cookie->server, bytes_get(in, cookie->server_size), cookie->server_size);
    query->has_cookie = true;
    return true;
}

static bool parse_option(struct message_query *query, uint16_t code, struct bytes_reader *in)
{
    switch (code) {
    case EDNS_CLIENT_SUBNET:
        return parse_subnet(query, in);
    case EDNS_COOKIE:
        return parse_cookie(query, in);
    case EDNS_NSID:
        query->wants_nsid = true;
        return true;
    case EDNS_TCP_KEEPALIVE:
        query->wants_keepalive = true;
        return true;
    case EDNS_PADDING:
        query->has_padding = true;
        return true;
    default:
        return true;
    }
}

static ALWAYS_INLINE void note_opt(struct message_query *query, uint16_t udp_size, uint8_t version,
                                   uint16_t flags)
{
    query->has_edns = true;
    query->udp_size = udp_size;
    query->edns_version = version;
    query->dnssec_ok = (flags & 0x8000U) != 0;
}

/* Most queries end with an OPT record without options: 50 instructions less than the long way.
 * False when what is left, BARE_OPT bytes, is something else; nothing was noted then. */
static ALWAYS_INLINE bool parse_bare_opt(struct message_query *query, const struct bytes_reader *in)
{
    struct bytes_reader opt = bytes_reader(in->data + in->at, BARE_OPT);
    uint8_t root = bytes_get_u8(&opt);
    uint16_t type = bytes_get_u16(&opt);
    uint16_t udp_size = bytes_get_u16(&opt);
    (void)bytes_get_u8(&opt); /* extended RCODE: nothing in a query */
    uint8_t version = bytes_get_u8(&opt);
    uint16_t flags = bytes_get_u16(&opt);
    uint16_t size = bytes_get_u16(&opt);
    if (root != 0 || type != RR_OPT || version != 0 || size != 0) {
        return false;
    }
    note_opt(query, udp_size, version, flags);
    return true;
}

/* The OPT record's class, TTL and options (RFC 6891 section 6.1); its owner and type are read. */
static uint16_t parse_opt(struct message_query *query, struct bytes_reader *in)
{
    const uint8_t *head = bytes_get(in, OPT_FIXED);
    if (head == NULL || query->has_edns) {
        return RCODE_FORMERR;
    }
    struct bytes_reader fixed = bytes_reader(head, OPT_FIXED);
    uint16_t udp_size = bytes_get_u16(&fixed);
    (void)bytes_get_u8(&fixed); /* extended RCODE: nothing in a query */
    uint8_t version = bytes_get_u8(&fixed);
    uint16_t flags = bytes_get_u16(&fixed);
    uint16_t size = bytes_get_u16(&fixed);
    note_opt(query, udp_size, version, flags);
    if (size > bytes_left(in)) {
        return RCODE_FORMERR;
    }
    struct bytes_reader options = bytes_reader(in->data + in->at, size);
    in->at += size;
    if (version != 0) {
        return RCODE_BADVERS;
    }
    while (bytes_left(&options) != 0) {
        uint16_t code = bytes_get_u16(&options);
        uint16_t length = bytes_get_u16(&options);
        const uint8_t *data = bytes_get(&options, length);
        if (data == NULL) {
            return RCODE_FORMERR;
        }
        struct bytes_reader option = bytes_reader(data, length);
        if (!parse_option(query, code, &option)) {
            return RCODE_FORMERR;
        }
    }
    return RCODE_NOERROR;
}

/* A record that is not looked into; its owner and type are read. */
static uint16_t skip_record(struct bytes_reader *in)
{
    (void)bytes_get(in, RECORD_FIXED - 4);
    (void)bytes_get(in, bytes_get_u16(in));
    return in->failed ? RCODE_FORMERR : RCODE_NOERROR;
}

static uint16_t parse_additional(struct message_query *query, struct bytes_reader *in, bool last)
{
    size_t start = in->at;
    bool root = bytes_left(in) != 0 && in->data[start] == 0;
    if (LIKELY(root)) {
        in->at++;
    } else {
        skip_name(in);
    }
    uint16_t type = bytes_get_u16(in);
    if (type == RR_OPT && !in->failed) {
        return root ? parse_opt(query, in) : RCODE_FORMERR;
    }
    if (type == TYPE_TSIG) {
        /* RFC 8945 section 5.1: the last record of the message. */
        if (!last) {
            return RCODE_FORMERR;
        }
        query->tsig_at = (uint16_t)start;
    }
    return skip_record(in);
}

/* An IXFR names the serial it has in an SOA record: RFC 1995 section 3. A NOTIFY may have one, too:
 * RFC 1996 section 3.7. */
static uint16_t parse_authority(struct message_query *query, struct bytes_reader *in)
{
    size_t start = in->at;
    skip_name(in);
    uint16_t type = bytes_get_u16(in);
    uint16_t rcode = skip_record(in);
    if (rcode != RCODE_NOERROR || type != RR_SOA ||
        (query->type != RR_IXFR && query->opcode != OPCODE_NOTIFY)) {
        return RCODE_FORMERR;
    }
    query->ixfr_at = (uint16_t)start;
    query->ixfr_size = (uint16_t)(in->at - start);
    return RCODE_NOERROR;
}

/* What follows the question. */
static uint16_t parse_rest(struct message_query *query, struct bytes_reader *in, unsigned authority,
                           unsigned additional)
{
    if (authority > 1 || additional > MESSAGE_ADDITIONAL_LIMIT) {
        return RCODE_FORMERR;
    }
    uint16_t rcode = RCODE_NOERROR;
    if (authority == 1) {
        rcode = parse_authority(query, in);
    }
    for (unsigned i = 0; i < additional && rcode == RCODE_NOERROR; i++) {
        rcode = parse_additional(query, in, i + 1 == additional);
    }
    if (rcode == RCODE_NOERROR && bytes_left(in) != 0) {
        return RCODE_FORMERR;
    }
    return rcode;
}

/* All but the last members, which are only looked at where an earlier one says so. */
static void clear(struct message_query *query, const uint8_t *packet, size_t length)
{
    (void)memset(query, 0, offsetof(struct message_query, subnet));
    query->packet = packet;
    query->length = (uint16_t)length;
    query->rcode = RCODE_FORMERR;
    query->name_size = 1;
    query->name[0] = 0;
}

bool message_parse(struct message_query *ret_query, const uint8_t *packet, size_t length)
{
    struct message_query *query = ret_query;
    if (length < MESSAGE_HEADER_SIZE || length > MESSAGE_LIMIT) {
        return false;
    }
    struct bytes_reader header = bytes_reader(packet, MESSAGE_HEADER_SIZE);
    uint16_t id = bytes_get_u16(&header);
    uint16_t flags = bytes_get_u16(&header);
    uint16_t questions = bytes_get_u16(&header);
    uint16_t answers = bytes_get_u16(&header);
    uint16_t authority = bytes_get_u16(&header);
    uint16_t additional = bytes_get_u16(&header);
    if ((flags & MESSAGE_QR) != 0) {
        return false;
    }
    struct bytes_reader in = bytes_reader(packet, length);
    in.at = MESSAGE_HEADER_SIZE;
    clear(query, packet, length);
    query->id = id;
    query->flags = flags;
    query->opcode = (uint8_t)(flags >> 11U & 0xfU);
    if (UNLIKELY(query->opcode != OPCODE_QUERY)) {
        if (query->opcode != OPCODE_NOTIFY || questions != 1) {
            query->rcode = RCODE_NOTIMP;
            return true;
        }
        /* It may bring the new SOA (RFC 1996 section 3.7), which is asked for anyway. */
        authority = (uint16_t)MIN((unsigned)authority + answers, (unsigned)UINT16_MAX);
        answers = 0;
    }
    if (questions == 1) {
        const uint8_t *tail = parse_name(query, &in) ? bytes_get(&in, QUESTION_FIXED) : NULL;
        if (tail == NULL) {
            return true;
        }
        struct bytes_reader fixed = bytes_reader(tail, QUESTION_FIXED);
        query->type = bytes_get_u16(&fixed);
        query->class = bytes_get_u16(&fixed);
        query->question_size = (uint16_t)(in.at - MESSAGE_QUESTION_AT);
    }
    if (questions > 1 || answers != 0) {
        return true;
    }
    bool usual =
        authority == 0 && (additional == 0 ? bytes_left(&in) == 0
                                           : additional == 1 && bytes_left(&in) == BARE_OPT &&
                                                 parse_bare_opt(query, &in));
    query->rcode = usual ? RCODE_NOERROR : parse_rest(query, &in, authority, additional);
    if (query->rcode == RCODE_NOERROR && questions == 0 && !query->has_cookie) {
        query->rcode = RCODE_FORMERR;
    }
    return true;
}
