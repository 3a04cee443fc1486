/* Zones whose records come from another primary: pulled by IXFR or AXFR (RFC 1995, RFC 5936) into
 * the store, from where DNS serves them like all others.
 *
 * A few threads look at each zone when its SOA's refresh time is over, or when its primary says
 * that it changed (RFC 1996). What came is compared with what is stored, and only the difference is
 * written, and only while the store holds what the difference was made from: several daemons on
 * one store do no harm to each other. While no primary answers, the last records stay in service
 * beyond the SOA's expire time, too (RFC 1035 would have the zone go dark): a primary that is away
 * must not take the zone with it. That they are expired is said instead.
 * Thread: every function from any. */
#ifndef SECONDARY_SECONDARY_H
#define SECONDARY_SECONDARY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/tsig/tsig.h"
#include "model/transfer.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secondary;

struct secondary_config {
    struct store *store; /* outlives it */
    unsigned threads;    /* transfers at once, at least 1 */
    unsigned timeout_ms; /* a primary that says nothing for this long is given up for now */
};

struct secondary_zone {
    const char *zone_id;
    const struct model_transfer_target *primaries; /* tried in order */
    size_t primary_count;
};

int secondary_start(const struct secondary_config *config, struct secondary **ret_secondary,
                    struct err *err) MUST_CHECK;
/* Cuts transfers that are under way. NULL is fine. */
void secondary_stop(struct secondary *take_secondary);
/* All zones there are, in place of those before; copied. Those that are new or have other primaries
 * are pulled at once. keys may be NULL. */
void secondary_configure(struct secondary *secondary, const struct secondary_zone *zones,
                         size_t count, struct tsig_keys *keys);
/* A NOTIFY for the zone of that apex (wire form, lower case) came from there. False when it is no
 * zone of ours or nobody of its primaries. However many come, a zone is asked about once a second
 * at most. Never blocks for long. */
bool secondary_notify(struct secondary *secondary, const uint8_t *apex,
                      const struct sockaddr *source);

struct secondary_view {
    const char *zone_id;
    const char *name;    /* of the zone; "" before the first look */
    bool held;           /* the records are a primary's, else those from before */
    bool expired;        /* no primary confirmed them for longer than their SOA allows */
    uint32_t serial;     /* of the records */
    struct wall checked; /* when a primary answered last; 0: not known */
    struct wall changed; /* when records were written last; 0: not known */
    struct wall next;    /* when a primary will be asked; past: at once, or just now */
    const char *error;   /* of the last attempt; "" when it succeeded */
};

/* At most limit of the zones, in the order of their ids; in the arena. */
void secondary_list(struct secondary *secondary, size_t limit, struct arena *arena,
                    struct secondary_view **ret_views, size_t *ret_count);

#endif
