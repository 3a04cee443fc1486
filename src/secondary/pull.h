/* One question to one primary, over TCP; private to this room. */
#ifndef SECONDARY_PULL_H
#define SECONDARY_PULL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "dns/tsig/tsig.h"
#include "dns/zonefile/incoming.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pull {
    const struct sockaddr_storage *primary;
    const char *zone;        /* canonical name */
    struct tsig_key *key;    /* NULL: unsigned */
    const uint32_t *serial;  /* what is held; NULL: nothing */
    bool incremental;        /* IXFR from that serial, else AXFR */
    unsigned timeout_ms;     /* without progress */
    const atomic_bool *stop; /* looked at while it waits */
};

/* A transfer that takes longer is cut: a primary that sends a byte now and then holds a thread. */
#define PULL_WHOLE_S 900

/* Asks, and takes the whole response; *ret_incoming is the caller's to free, and has the result.
 * ERR_UNAVAILABLE, ERR_TIMEOUT: the primary; ERR_CANCELLED: stop; else as incoming_take. */
int pull_zone(const struct pull *pull, struct arena *arena, struct incoming **ret_incoming,
              struct err *err) MUST_CHECK;

#endif
