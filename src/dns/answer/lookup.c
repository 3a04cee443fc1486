/* Looking packets up, some at a time: answer_look_up in answer.h. Called by DNS workers; borrows
 * the zone set for the read section. Each stage goes through all packets before the next begins, so
 * what a packet needs from memory is on its way while others are worked on. Invariant: what is
 * found here is what answer.c would find, no more; whatever is unusual is left to it. */
#include "dns/answer/lookup.h"

#include "dns/answer/answer.h"
#include "dns/answer/secure.h"

#include <assert.h>

/* Nothing about the query has to be judged but where its name leads. */
static ALWAYS_INLINE bool is_usual(const struct message_query *query)
{
    return query->class == CLASS_IN && query->type < TYPE_TKEY && query->type != RR_OPT &&
           (query->tsig_at | query->opcode) == 0;
}

/* The packet, and the zone of its name. */
static ALWAYS_INLINE void look_for_zone(struct answer_lookup *lookup, const struct zone_set *set)
{
    struct message_query *query = &lookup->query;
    lookup->progress = ANSWER_UNREADABLE;
    if (UNLIKELY(!message_parse(query, lookup->packet, lookup->length))) {
        return;
    }
    lookup->progress = ANSWER_READ;
    if (UNLIKELY(query->rcode != RCODE_NOERROR || query->question_size == 0)) {
        return;
    }
    query->label_at[query->label_count] = (uint8_t)(query->name_size - 1U);
    lookup_set_name(&lookup->name, set, query);
    if (UNLIKELY(!is_usual(query))) {
        return;
    }
    const struct zone *zone = lookup_zone(set, &lookup->name, query->type);
    if (LIKELY(zone != NULL && !lookup_has_cuts(zone))) {
        if (UNLIKELY(query->dnssec_ok)) {
            struct secure secure;
            secure_enter(&secure, zone);
            lookup->security = secure.zone;
            lookup->version = secure.version;
        }
        lookup->zone = zone;
        lookup->progress = ANSWER_IN_ZONE;
        lookup->entry = zone_fetch_entry(zone, &lookup->name);
    }
}

/* The node, and what it answers. */
static ALWAYS_INLINE void look_for_node(struct answer_lookup *lookup)
{
    const struct zone_node *node = zone_find(lookup->zone, &lookup->name, 0);
    lookup->node = node;
    lookup->progress = ANSWER_LOOKED_UP;
    if (LIKELY(node != NULL && node->slot_count != 0)) {
        PREFETCH(zone_slot_answer(&node->slots[0]));
    }
}

void answer_look_up(struct answer_context *context, struct answer_lookup *lookups, size_t count)
{
    assert(count <= ANSWER_GROUP);
    const struct answer_lookup *end = lookups + count;
    for (struct answer_lookup *lookup = lookups; lookup < end; lookup++) {
        look_for_zone(lookup, context->zones);
    }
    for (struct answer_lookup *lookup = lookups; lookup < end; lookup++) {
        if (LIKELY(lookup->progress == ANSWER_IN_ZONE)) {
            zone_fetch_node(lookup->entry);
        }
    }
    for (struct answer_lookup *lookup = lookups; lookup < end; lookup++) {
        if (LIKELY(lookup->progress == ANSWER_IN_ZONE)) {
            look_for_node(lookup);
        }
    }
}
