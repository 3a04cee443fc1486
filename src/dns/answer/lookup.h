/* The stages before an answer that need neither its message nor who asks; private to this room.
 * They stand here because both answer.c and lookup.c go through them: a packet's own name is looked
 * up by lookup.c, a group of packets at a time, the targets of CNAMEs by answer.c.
 * Thread: a worker's, in a read section. */
#ifndef DNS_ANSWER_LOOKUP_H
#define DNS_ANSWER_LOOKUP_H

#include "base/macro.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"
#include "dns/zone/zone_set.h"

#include <stdbool.h>
#include <stdint.h>

/* Types that are never in a zone of ours. */
enum meta_type {
    TYPE_HINFO = 13,
    TYPE_TKEY = 249,
    TYPE_TSIG = 250,
    TYPE_MAILB = 253,
    TYPE_MAILA = 254,
};

/* The question's name in the form that is looked for. */
static ALWAYS_INLINE void lookup_set_name(struct zone_name *name, const struct zone_set *set,
                                          const struct message_query *query)
{
    zone_name_set(name, set, query->name, query->name_size, query->label_at, query->label_count);
}

/* The zone that answers about a name; NULL when it is none of ours. */
static ALWAYS_INLINE const struct zone *lookup_zone(const struct zone_set *set,
                                                    const struct zone_name *name, uint16_t type)
{
    const struct zone *zone = zone_set_find(set, name, 0);
    if (UNLIKELY(type == RR_DS) && zone != NULL && zone->labels == name->labels &&
        name->labels != 0) {
        /* DS belongs to the parent's side of the cut (RFC 4035 section 3.1.4.1). */
        const struct zone *parent = zone_set_find(set, name, 1);
        zone = parent != NULL ? parent : zone;
    }
    return zone;
}

static ALWAYS_INLINE bool lookup_has_cuts(const struct zone *zone)
{
    return atomic_load_explicit(&zone->cuts, memory_order_acquire) != 0;
}

#endif
