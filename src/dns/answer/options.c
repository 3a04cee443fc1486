/* EDNS options: see options.h. Called by answer.c for every query that shows one of them, on the
 * caller's thread; reads the jar of cookies inside the caller's read section. Invariant: an option
 * without room is left out, never half written. */
#include "dns/answer/options.h"

#include <string.h>

/* True when the query shows that its source is no forgery, as far as we want that shown. */
static bool put_cookie(struct answer_context *context, struct message_writer *writer,
                       const struct cookie_secrets *secrets, const struct sockaddr *source)
{
    const struct message_cookie *cookie = &writer->query->cookie;
    uint8_t data[COOKIE_CLIENT_SIZE + COOKIE_SERVER_SIZE];
    (void)memcpy(data, cookie->client, COOKIE_CLIENT_SIZE);
    context->outcome.cookie =
        (uint8_t)cookie_check(secrets, cookie, source, context->now, data + COOKIE_CLIENT_SIZE);
    /* Left out when there is no room, which a limit of 512 bytes does not bring about. */
    (void)message_add_option(writer, EDNS_COOKIE, data, sizeof data);
    return context->outcome.cookie == COOKIE_GOOD;
}

/* RFC 7873 section 5.2 and 5.4. */
static uint16_t apply_cookie(struct answer_context *context, struct message_writer *writer,
                             const struct sockaddr *source, bool tcp, uint16_t rcode)
{
    const struct message_query *query = writer->query;
    const struct cookie_secrets *secrets = SNAPSHOT_LOAD(&context->cookies->secrets);
    if (secrets == NULL || query->rcode == RCODE_BADVERS) {
        return rcode;
    }
    bool good = query->has_cookie && put_cookie(context, writer, secrets, source);
    if (good || rcode != RCODE_NOERROR) {
        return rcode;
    }
    if (query->question_size == 0) {
        return context->outcome.cookie == COOKIE_BAD ? RCODE_BADCOOKIE : rcode;
    }
    if (tcp || !atomic_load_explicit(&context->cookies->required, memory_order_relaxed)) {
        return rcode;
    }
    if (query->has_cookie) {
        return RCODE_BADCOOKIE;
    }
    message_truncate(writer); /* a connection shows as much as a cookie does */
    return rcode;
}

uint16_t options_apply_slow(struct answer_context *context, struct message_writer *writer,
                            const struct sockaddr *source, bool tcp, uint16_t rcode)
{
    const struct message_query *query = writer->query;
    if (context->cookies != NULL) {
        rcode = apply_cookie(context, writer, source, tcp, rcode);
    }
    if (tcp && query->wants_keepalive && context->keepalive != 0) {
        /* Left out when there is no room, as above. */
        (void)message_add_keepalive(writer, context->keepalive);
    }
    if (query->has_padding && context->pad_block != 0) {
        message_pad(writer, context->pad_block);
    }
    return rcode;
}
