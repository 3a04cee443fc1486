/* EDNS options of a response that do not depend on the zone: cookie, keepalive, padding; private
 * to this room. */
#ifndef DNS_ANSWER_OPTIONS_H
#define DNS_ANSWER_OPTIONS_H

#include "base/macro.h"
#include "dns/answer/answer.h"
#include "dns/wire/message.h"

#include <stdbool.h>
#include <stdint.h>

/* The slow part of options_apply. */
uint16_t options_apply_slow(struct answer_context *context, struct message_writer *writer,
                            const struct sockaddr *source, bool tcp, uint16_t rcode);

/* Adds the options to a response that has been begun, and notes what the cookie was. Returns the
 * rcode to answer with: the one given, or BADCOOKIE. May set MESSAGE_TC: then nothing else may be
 * said to a client that showed no cookie. */
static inline uint16_t options_apply(struct answer_context *context, struct message_writer *writer,
                                     const struct sockaddr *source, bool tcp, uint16_t rcode)
{
    const struct message_query *query = writer->query;
    bool wanted =
        query->has_edns && (query->has_cookie || query->wants_keepalive || query->has_padding);
    context->outcome.cookie = COOKIE_NONE;
    if (LIKELY(!wanted &&
               (context->cookies == NULL ||
                !atomic_load_explicit(&context->cookies->required, memory_order_relaxed)))) {
        return rcode;
    }
    return options_apply_slow(context, writer, source, tcp, rcode);
}

#endif
