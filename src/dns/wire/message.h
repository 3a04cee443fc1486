/* DNS messages: parsing a query, writing its response (RFC 1035 section 4, RFC 6891).
 *
 *     struct message_query query;
 *     if (message_parse(&query, packet, length)) {
 *         message_begin(&writer, &query, out, message_limit(&query, tcp, udp_limit, size));
 *         ... message_put_record(...), as far as query.rcode is RCODE_NOERROR
 *         size = message_finish(&writer, rcode);
 *     }
 *
 * The question's name always stands at MESSAGE_QUESTION_AT, so records compiled ahead may point at
 * it. Nothing here allocates, locks or keeps state. Thread: any; packet and buffers are borrowed
 * for as long as the query or writer is used. */
#ifndef DNS_WIRE_MESSAGE_H
#define DNS_WIRE_MESSAGE_H

#include "base/bytes.h"
#include "base/macro.h"
#include "dns/wire/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEADER_SIZE 12U
#define MESSAGE_QUESTION_AT MESSAGE_HEADER_SIZE
#define MESSAGE_PLAIN_LIMIT 512U /* UDP without EDNS: RFC 1035 section 4.2.1 */
#define MESSAGE_LIMIT 65535U
#define MESSAGE_ADDITIONAL_LIMIT 4U /* records of a query's additional section looked at */
#define MESSAGE_OPTIONS_LIMIT 512U  /* bytes of EDNS options in one response */

enum message_flag {
    MESSAGE_QR = 0x8000,
    MESSAGE_AA = 0x0400,
    MESSAGE_TC = 0x0200,
    MESSAGE_RD = 0x0100,
    MESSAGE_RA = 0x0080,
    MESSAGE_AD = 0x0020,
    MESSAGE_CD = 0x0010,
};

enum opcode { OPCODE_QUERY = 0, OPCODE_NOTIFY = 4, OPCODE_UPDATE = 5 };

enum rr_class { CLASS_IN = 1, CLASS_CH = 3, CLASS_HS = 4, CLASS_NONE = 254, CLASS_ANY = 255 };

/* Those above 15 need EDNS in the query. */
enum rcode {
    RCODE_NOERROR = 0,
    RCODE_FORMERR = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
    RCODE_NOTAUTH = 9,
    RCODE_BADVERS = 16,
    RCODE_BADCOOKIE = 23,
};

enum edns_option {
    EDNS_NSID = 3,           /* RFC 5001 */
    EDNS_CLIENT_SUBNET = 8,  /* RFC 7871 */
    EDNS_COOKIE = 10,        /* RFC 7873 */
    EDNS_TCP_KEEPALIVE = 11, /* RFC 7828 */
    EDNS_PADDING = 12,       /* RFC 7830 */
    EDNS_EXTENDED_ERROR = 15 /* RFC 8914 */
};

/* Extended DNS Errors: RFC 8914 section 4. */
enum extended_error {
    EXTENDED_ERROR_OTHER = 0,
    EXTENDED_ERROR_STALE_ANSWER = 3,
    EXTENDED_ERROR_DNSSEC_INDETERMINATE = 5,
    EXTENDED_ERROR_RRSIGS_MISSING = 10,
    EXTENDED_ERROR_NSEC_MISSING = 12,
    EXTENDED_ERROR_NOT_READY = 14,
    EXTENDED_ERROR_BLOCKED = 15,
    EXTENDED_ERROR_FILTERED = 17,
    EXTENDED_ERROR_PROHIBITED = 18,
    EXTENDED_ERROR_NOT_AUTHORITATIVE = 20,
    EXTENDED_ERROR_NOT_SUPPORTED = 21,
    EXTENDED_ERROR_INVALID_DATA = 24,
};

#define COOKIE_CLIENT_SIZE 8U
#define COOKIE_SERVER_LEAST 8U
#define COOKIE_SERVER_LIMIT 32U

/* Set only when the query's has_subnet is. Checked: bits behind the prefix are zero. */
struct message_subnet {
    uint16_t family;     /* 1 IPv4, 2 IPv6, 0 none (prefix 0): "do not use my address" */
    uint8_t prefix;      /* bits of address that count */
    uint8_t address[16]; /* bytes behind the prefix are zero */
};

/* Set only when the query's has_cookie is. */
struct message_cookie {
    uint8_t client[COOKIE_CLIENT_SIZE];
    uint8_t server_size; /* 0, or COOKIE_SERVER_LEAST to _LIMIT */
    uint8_t server[COOKIE_SERVER_LIMIT];
};

struct message_query {
    const uint8_t *packet;  /* as received: its question is what goes into the response */
    uint16_t length;        /* of packet */
    uint16_t id;            /* the client's */
    uint16_t flags;         /* second word of the header */
    uint16_t question_size; /* bytes of the question at MESSAGE_QUESTION_AT; 0 when there is none */
    uint16_t type;          /* of the question */
    uint16_t class;         /* of the question */
    uint16_t rcode;         /* what parsing found: RCODE_NOERROR, or what has to be answered */
    uint8_t opcode;
    uint8_t name_size;   /* of name, the root label included */
    uint8_t label_count; /* of name, without the root */

    bool has_edns;
    bool dnssec_ok;
    uint8_t edns_version;
    uint16_t udp_size; /* what the client takes, as sent */
    bool has_subnet;
    bool has_cookie;
    bool wants_nsid;
    bool wants_keepalive;
    bool has_padding;
    uint16_t tsig_at;   /* where its TSIG record starts in packet (RFC 8945); 0 when unsigned */
    uint16_t ixfr_size; /* of the SOA record in the authority section of an IXFR; 0 when none */
    uint16_t ixfr_at;

    struct message_subnet subnet;
    struct message_cookie cookie;
    uint8_t name[NAME_WIRE_LIMIT + NAME_PADDING]; /* the question's, lower case, padded */
    uint8_t label_at[NAME_LABELS_LIMIT];          /* where in name each of the labels starts */
};

/* Reads a packet. False: nothing may be sent back (shorter than a header, or itself a response).
 * True: ret_query->rcode is what to answer when it is not RCODE_NOERROR: FORMERR (malformed, more
 * than one question, bad option), NOTIMP (opcode), BADVERS. A query without a question is only good
 * for a cookie (RFC 7873 section 5.4): NOERROR with question_size 0; answer with no records.
 * Unknown flags, options and EDNS flags are ignored (RFC 8906). The class is not judged here. */
bool message_parse(struct message_query *ret_query, const uint8_t *packet, size_t length) HOT;

/* Bytes the response may have: for TCP all of size, for UDP the least of size, udp_limit and what
 * the client takes (at least 512). */
static inline size_t message_limit(const struct message_query *query, bool tcp, uint16_t udp_limit,
                                   size_t size)
{
    if (tcp) {
        return MIN(size, MESSAGE_LIMIT);
    }
    size_t limit = MESSAGE_PLAIN_LIMIT;
    if (query->has_edns && query->udp_size > MESSAGE_PLAIN_LIMIT) {
        limit = MIN(query->udp_size, MAX(udp_limit, MESSAGE_PLAIN_LIMIT));
    }
    return MIN(limit, size);
}

/* ---- writing the response ---- */

enum message_section { MESSAGE_ANSWER, MESSAGE_AUTHORITY, MESSAGE_ADDITIONAL };

struct message_writer {
    struct bytes_writer out;
    const struct message_query *query;
    size_t limit;   /* of the whole message; out.size keeps room for the OPT record below it */
    uint16_t flags; /* of the response; the caller may set MESSAGE_AA */
    uint16_t counts[3];
    uint16_t pad_block; /* 0: no padding */
    uint16_t options_size;
    uint8_t options[MESSAGE_OPTIONS_LIMIT];
};

/* A point to go back to. */
struct message_mark {
    size_t at;
    uint16_t counts[3];
};

/* Starts the response to query: header (RD and CD copied) and question in the client's own case;
 * when the query has EDNS, room for the OPT record is kept. limit: at least MESSAGE_PLAIN_LIMIT
 * bytes at out. */
void message_begin(struct message_writer *writer, const struct message_query *query, uint8_t *out,
                   size_t limit) HOT;
/* Fills counts, flags and rcode in, appends OPT when the query has EDNS, and returns the size of
 * the message. */
size_t message_finish(struct message_writer *writer, uint16_t rcode) HOT;

/* One record; owner is lower-case wire form and is compressed against the question's name. False
 * when it did not fit: nothing was written then. */
bool message_put_record(struct message_writer *writer, enum message_section section,
                        const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                        size_t size);
/* count records made ahead, owners and all; compression pointers in them may only point at the
 * question's name or its parents. False when they did not fit. */
static ALWAYS_INLINE bool message_put_compiled(struct message_writer *writer,
                                               enum message_section section, uint16_t count,
                                               const uint8_t *records, size_t size)
{
    uint8_t *room = bytes_put_room(&writer->out, size);
    if (UNLIKELY(room == NULL)) {
        writer->out.failed = false;
        return false;
    }
    bytes_copy(room, records, size);
    writer->counts[section] = (uint16_t)(writer->counts[section] + count);
    return true;
}
/* A record whose RDATA is written piece by piece into writer->out (message_put_name for names that
 * may be compressed, RFC 3597 section 4): open, write, close. The mark says where it began. Close
 * is false, and the record gone, when it did not fit. */
struct message_mark message_open_record(struct message_writer *writer, const uint8_t *owner,
                                        uint16_t type, uint32_t ttl);
void message_put_name(struct message_writer *writer, const uint8_t *name);
bool message_close_record(struct message_writer *writer, enum message_section section,
                          struct message_mark mark);

struct message_mark message_mark(const struct message_writer *writer);
/* Drops what was written since the mark, and any overflow. */
void message_rollback(struct message_writer *writer, struct message_mark mark);
/* Empties all sections and sets TC: RFC 2181 section 9. */
void message_truncate(struct message_writer *writer);

/* EDNS options of the response, before the records (they take room from them). False, and left out,
 * when the query has no EDNS or there is no room. */
bool message_add_option(struct message_writer *writer, uint16_t code, const void *data,
                        size_t size);
/* The client's own subnet with the prefix length that the answer depended on (RFC 7871 section
 * 7.2.1). */
bool message_add_subnet(struct message_writer *writer, uint8_t scope);
/* The scope of the subnet that was added, once it is known. Without one: nothing. */
void message_set_scope(struct message_writer *writer, uint8_t scope);
/* text: more for a human, "" for none. */
bool message_add_error(struct message_writer *writer, enum extended_error code, const char *text);
/* Idle timeout in units of 100 ms; only over TCP (RFC 7828 section 3.2). */
bool message_add_keepalive(struct message_writer *writer, uint16_t timeout);
/* Pads the message to a multiple of block bytes, where the client padded too (RFC 8467 section
 * 4.1: 468, on encrypted transports only). */
void message_pad(struct message_writer *writer, uint16_t block);

#endif
