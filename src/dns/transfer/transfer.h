/* Zone transfers out (RFC 5936, RFC 1995) and NOTIFY (RFC 1996), so that ordinary secondaries can
 * serve a zone.
 *
 * A worker judges a query for AXFR or IXFR (transfer_judge); what is one small message it answers
 * itself, anything longer it hands over with its connection (transfer_submit) to a pool of threads
 * that write with timeouts. A sender thread tells secondaries of new serials until they answer.
 * Nobody else ever waits for a secondary. Who may transfer is settings, replaced whole. */
#ifndef DNS_TRANSFER_TRANSFER_H
#define DNS_TRANSFER_TRANSFER_H

#include "base/err.h"
#include "base/macro.h"
#include "dns/tsig/tsig.h"
#include "dns/wire/message.h"
#include "dns/zone/zone_set.h"
#include "model/transfer.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfer;

#define TRANSFER_THREADS_LIMIT 256U
#define TRANSFER_QUEUE_A_THREAD 16U /* may wait for each that can run */

struct transfer_config {
    const struct zone_set *zones; /* outlives the transfers */
    unsigned threads;             /* transfers at once */
    unsigned timeout_ms;          /* a message that is not taken within this ends its transfer */
    /* NOTIFY comes from the first of each family, so that secondaries know it. */
    const struct sockaddr_storage *sources;
    size_t source_count;
};

/* X(name, help) */
#define TRANSFER_COUNTERS(X)                                                                       \
    X(axfr, "whole zones sent")                                                                    \
    X(ixfr, "differences between serials sent")                                                    \
    X(soa_only, "IXFR answered with the SOA alone")                                                \
    X(refused, "transfer queries refused: not allowed, not served, or malformed")                  \
    X(busy, "transfer queries refused because too many run or wait")                               \
    X(aborted, "transfers that ended early: the client was slow or gone")                          \
    X(records, "records sent in transfers")                                                        \
    X(bytes, "bytes sent in transfers")                                                            \
    X(notify_sent, "NOTIFY messages sent, repeats included")                                       \
    X(notify_answered, "NOTIFY messages that a secondary answered")                                \
    X(notify_refused, "NOTIFY messages that a secondary answered with an error")

struct transfer_counters {
#define X(name, help) uint64_t name;
    TRANSFER_COUNTERS(X)
#undef X
};

/* Starts the pool and the sender of NOTIFY; nothing may be transferred before transfer_configure.
 */
int transfer_start(const struct transfer_config *config, struct transfer **ret_transfer,
                   struct err *err) MUST_CHECK;
/* Cuts transfers, refuses new ones, and ends the threads; every handed over connection is given
 * back before it returns. The object stays until transfer_free: workers may still ask. */
void transfer_stop(struct transfer *transfer);
void transfer_free(struct transfer *take_transfer);

struct transfer_zone {
    const char *zone_id;
    struct model_transfer rules;
};
/* Copies the zones and references the keys. Counts from the next query on. Any thread. */
void transfer_configure(struct transfer *transfer, const struct transfer_zone *zones, size_t count,
                        struct tsig_keys *keys);
/* The zone's serial moved: its secondaries are told. apex: its name in wire form. Never blocks for
 * long; any thread. */
void transfer_notify(struct transfer *transfer, const char *zone_id, const uint8_t *apex,
                     uint32_t serial);
void transfer_counters(const struct transfer *transfer, struct transfer_counters *ret_counters);
/* The keys there are now, counted; NULL when there are none. */
struct tsig_keys *transfer_keys(struct transfer *transfer);

/* ---- for the answer path and the workers ---- */

enum transfer_verdict {
    TRANSFER_ANSWERED, /* what the writer holds, with *ret_rcode */
    TRANSFER_STREAM,   /* several messages: hand the connection over */
};

/* A query for AXFR or IXFR, class IN, from `source`; key: the one it was signed with, or NULL.
 * Inside a read section; never waits. RFC 5936 section 2.2.1: NOTAUTH where there is no such zone,
 * REFUSED where the client may not. */
enum transfer_verdict transfer_judge(struct transfer *transfer, const struct zone_set *zones,
                                     const struct message_query *query,
                                     const struct sockaddr *source, const struct tsig_key *key,
                                     bool tcp, struct message_writer *writer, uint16_t *ret_rcode);

/* A connection on loan. done is called once, from another thread: keep says whether the connection
 * can go on. */
struct transfer_loan {
    int fd; /* does not block */
    struct sockaddr_storage source;
    void (*done)(struct transfer_loan *loan, bool keep);
};

/* Answers the query, of which TRANSFER_STREAM was said, on the loan's connection. The query is
 * copied. False when too many transfers run or wait: nothing was taken. */
bool transfer_submit(struct transfer *transfer, struct transfer_loan *loan, const uint8_t *query,
                     size_t length) MUST_CHECK;

#endif
