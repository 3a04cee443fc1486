/* A zone that comes by transfer (RFC 5936 AXFR, RFC 1995 IXFR), message by message, into record
 * sets or into the steps from one serial to the next. No network here: the caller sends the query,
 * checks signatures, and hands every message of the response over.
 *
 * Thread: one at a time. Memory: the arena it was made with, and its own: results live until the
 * first of incoming_free and that arena's end. */
#ifndef DNS_ZONEFILE_INCOMING_H
#define DNS_ZONEFILE_INCOMING_H

#include "dns/zonefile/zonefile.h"

#include <stdbool.h>

struct incoming;

enum incoming_kind {
    INCOMING_CURRENT, /* the primary has nothing newer */
    INCOMING_WHOLE,   /* zone: all there is */
    INCOMING_STEPS,   /* steps, in order, from the serial there was */
};

struct incoming_step {
    bool added; /* else removed */
    uint16_t type;
    uint32_t ttl_s;
    const char *name;  /* canonical */
    const char *value; /* presentation form */
};

struct incoming_result {
    enum incoming_kind kind;
    uint32_t serial; /* of the primary */
    struct zonefile zone;
    const struct incoming_step *steps;
    size_t step_count;
};

/* What a transfer may have on the wire. */
#define INCOMING_BYTES_LIMIT ((size_t)256 << 20U)
#define INCOMING_RECORDS_LIMIT 2000000U

/* zone: its name. serial: what is held now, NULL for nothing. incremental: IXFR was asked (from
 * that serial), else AXFR. */
int incoming_new(const char *zone, const uint32_t *serial, bool incremental, struct arena *arena,
                 struct incoming **ret_incoming, struct err *err) MUST_CHECK;
void incoming_free(struct incoming *take_incoming);
/* The next message; *ret_done when no more is needed: after the last one, or when the first SOA is
 * of the serial that is held. ERR_INVALID when it is no message, not a response without error to
 * that query, of a serial older than what is held (RFC 1982), breaks the order of a transfer, or is
 * no zone (RFC 1035: an SOA and NS at its name, nothing outside); ERR_LIMIT beyond
 * these limits or ZONEFILE_VALUES_LIMIT; ERR_DENIED for REFUSED and NOTAUTH;
 * ERR_UNSUPPORTED for NOTIMP and FORMERR, which old primaries answer to IXFR. */
int incoming_take(struct incoming *incoming, const void *message, size_t size, uint16_t id,
                  bool *ret_done, struct err *err) MUST_CHECK;
/* After the last message. */
void incoming_result(struct incoming *incoming, struct incoming_result *ret_result);

/* Whether serial a is newer than b (RFC 1982). */
bool incoming_newer(uint32_t a, uint32_t b);

#endif
