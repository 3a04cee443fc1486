/* The answer path: a query packet in, a response packet out. Parse, find zone, find node, choose by
 * policy, write.
 *
 * No allocation, no lock, no log, no system call. The caller (a worker, or TestDNSAnswer) is a
 * registered snapshot reader and stays in one read section for the call. */
#ifndef DNS_ANSWER_ANSWER_H
#define DNS_ANSWER_ANSWER_H

#include "base/macro.h"
#include "base/random.h"
#include "dns/answer/cookie.h"
#include "dns/transfer/transfer.h"
#include "dns/wire/message.h"
#include "dns/zone/database.h"
#include "dns/zone/zone_set.h"
#include "model/location.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the last query was and how it was answered: for counting and limiting. Meaningful when
 * answer_query gave a response. */
struct answer_outcome {
    const struct zone *zone; /* it was answered from; NULL when none. Only in the read section */
    uint16_t type;           /* of the question; 0 when there is none */
    uint16_t rcode;          /* all twelve bits */
    uint16_t question_size;
    uint8_t opcode;
    bool has_edns;
    bool dnssec_ok;
    uint8_t cookie; /* enum cookie_state */
};

/* The members behind zones may be zero. */
struct answer_context {
    struct zone_set *zones;
    struct random random;
    uint16_t udp_limit;         /* largest UDP response we send, 1232 unless configured */
    uint16_t keepalive;         /* idle timeout that TCP clients are told of, in 100 ms; 0: none */
    uint16_t pad_block;         /* responses are padded to a multiple where wanted; 0: never */
    uint32_t now;               /* seconds since 1970, for cookies; the caller keeps it current */
    struct cookie_jar *cookies; /* NULL: cookies are ignored */
    struct answer_outcome outcome;
    struct transfer *transfer; /* who may transfer, and TSIG keys; NULL: nobody, none */
    /* A NOTIFY for the zone of that apex came from there: whether it is awaited. NULL: never. */
    bool (*notified)(void *context, const uint8_t *apex, const struct sockaddr *source);
    void *notified_context;
    uint16_t no_stream; /* not NOERROR: the caller can hand no transfer over, and says this */
    /* Where an address is, for answers that depend on it: fills *ret_place, or leaves it as it is.
     * NULL: nothing is known of any. Called inside the read section. */
    void (*locate)(void *context, uint8_t family, const uint8_t address[16],
                   struct model_place *ret_place);
    void *locate_context;
    const struct model_place *home; /* where this server stands; NULL: unknown */
};

/* The query is for a zone transfer that takes more than one message: hand the connection over to
 * transfer_submit. Only over TCP; nothing was written. */
#define ANSWER_STREAM SIZE_MAX

/* How far a lookup came. */
enum answer_progress {
    ANSWER_UNREADABLE, /* nothing may be sent back */
    ANSWER_READ,       /* something about it is to be judged before its name is looked for, or its
                          name is not simply one of ours */
    ANSWER_IN_ZONE,    /* the zone is known */
    ANSWER_LOOKED_UP,
};

/* A packet that was read and looked up, and waits for its answer to be written. The caller sets
 * packet and length, the rest is answer_look_up's. It is large and need not be initialised. */
struct answer_lookup {
    const uint8_t *packet;
    size_t length;
    enum answer_progress progress;
    struct message_query query;
    struct zone_name name;                /* of the question */
    const struct zone *zone;              /* IN_ZONE; it has no delegations */
    const _Atomic uint64_t *entry;        /* IN_ZONE: of the zone's table, being fetched */
    const struct zone_security *security; /* IN_ZONE and DO: the zone's at the time ... */
    uint32_t version;                     /* ... and its version */
    const struct zone_node *node;         /* LOOKED_UP: NULL when the name does not exist */
};

/* Packets looked up together: as many as keep their lookups in the first level cache. */
#define ANSWER_GROUP 8U

/* Reads `count` packets, at most ANSWER_GROUP, and looks their names up. What the tables need from
 * memory for one is fetched while others are read, so a group costs less than its packets one by
 * one: with names asked for at random, waiting for memory is most of what a query costs. */
void answer_look_up(struct answer_context *context, struct answer_lookup *lookups, size_t count)
    HOT;
/* The answer, as answer_query gives it, in the same read section as the lookup. */
size_t answer_write(struct answer_context *context, struct answer_lookup *lookup,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size) HOT;

/* Both for one packet. query/length: the packet. source: where it came from. tcp: no truncation
 * below 65,535. Returns the response's length in out, 0 for "send nothing" (not a query, too short
 * to answer). out needs `size` bytes: 65,535 for TCP, at least 4,096 for UDP. Never more than size,
 * and for UDP never more than what the client accepts. Or ANSWER_STREAM. A query that is signed
 * (TSIG) is verified and answered signed. */
size_t answer_query(struct answer_context *context, const uint8_t *query, size_t length,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size) HOT;

#endif
