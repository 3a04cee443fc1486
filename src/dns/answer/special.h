/* Queries that need more than the zone set: signed ones (TSIG, RFC 8945), those for a zone
 * transfer, and a primary's NOTIFY (RFC 1996). Private to dns/answer; on the caller's thread,
 * inside its read section. They are few, so they may allocate, and take a lock for a few lines
 * (settings of transfers). */
#ifndef DNS_ANSWER_SPECIAL_H
#define DNS_ANSWER_SPECIAL_H

#include "base/macro.h"
#include "dns/answer/answer.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

static inline bool special_needed(const struct message_query *query)
{
    return query->tsig_at != 0 || query->type == RR_AXFR || query->type == RR_IXFR ||
           query->opcode == OPCODE_NOTIFY;
}

/* As answer_write. */
size_t special_answer(struct answer_context *context, struct answer_lookup *lookup,
                      const struct sockaddr *source, bool tcp, uint8_t *out, size_t size);

/* answer.c: the answer to an ordinary query into a response that has begun; its RCODE. */
uint16_t answer_plain(struct answer_context *context, struct answer_lookup *lookup,
                      const struct sockaddr *source, bool tcp, struct message_writer *writer) HOT;
/* answer.c: fills the outcome in; zone may be NULL. */
void answer_note(struct answer_context *context, const struct message_query *query,
                 const struct zone *zone, uint16_t rcode);

#endif
