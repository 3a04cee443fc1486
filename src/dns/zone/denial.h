/* The NSEC chain of a signed zone, on the owner's side: which names are in it, and their NSEC
 * records, signed ahead. Private to dns/zone; all of it belongs to the thread that owns the
 * database.
 *
 * The index holds every name that has records, in canonical order. In the chain are those at and
 * above delegations (RFC 4035 section 2.3); a name below one is kept, without an NSEC. A change is
 * prepared first (the signatures take their time), then applied in one step that readers either see
 * whole or see that they have to look again (struct zone_security, version). */
#ifndef DNS_ZONE_DENIAL_H
#define DNS_ZONE_DENIAL_H

#include "dns/zone/internal.h"
#include "dns/zone/signature.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One name's entry gets an NSEC, or becomes hidden below a cut. */
struct denial_item {
    struct zone_denial *entry;
    const struct zone_denial *cut; /* hidden below it */
    struct zone_answer *nsec;      /* owned; NULL with a NULL cut: none yet */
};

/* What a change of one name asks for. */
struct denial_change {
    struct zone_denial *added;   /* owned */
    struct zone_denial *removed; /* the entry itself */
    struct denial_item *items;
    size_t count;
    size_t capacity;
};

void denial_open(struct zone_signer *signer, const struct zone *zone);
/* Retires all of it. */
void denial_close(struct zone_database *database, struct zone_signer *signer);
/* The entry of a name; NULL when there is none. */
struct zone_denial *denial_entry(const struct zone_signer *signer, const uint8_t *relative,
                                 size_t length);
/* The first entry behind the key (size 0: behind the apex; `first`: the apex itself); NULL when
 * there is none. */
struct zone_denial *denial_after(const struct zone_signer *signer, const uint8_t *key, size_t size);
struct zone_denial *denial_first(const struct zone_signer *signer);
/* Adds a name without an NSEC, while the zone is not served signed. */
void denial_collect(struct zone_database *database, struct zone_signer *signer,
                    const struct zone_node *node);

/* `node` is what the name will be (its slots hold what they will answer), NULL when it ceases to
 * exist or has no records. Signs what is needed. */
void denial_prepare(struct zone_database *database, struct zone_owner *zone,
                    const uint8_t *relative, size_t length, const struct zone_node *node,
                    struct denial_change *ret_change);
/* Between denial_begin and denial_end: readers that meet it look again. */
void denial_apply(struct zone_database *database, struct zone_owner *zone,
                  struct denial_change *take_change);
void denial_begin(struct zone_signer *signer);
void denial_end(struct zone_signer *signer);
/* The NSEC of an entry made anew when `force`, or when its signatures have to be; true when that
 * was so. */
bool denial_renew(struct zone_database *database, struct zone_owner *zone,
                  struct zone_denial *entry, bool force);
/* True when a query for the slot always gets records: only then is its type in the bitmap. */
bool denial_always(const struct zone_answer *answer);

#endif
