/* Who asks, as the policies see it: the EDNS Client Subnet where the query has one, else where the
 * query came from. Private to dns/answer; on the answer path. Filled at the first answer that
 * depends on it and the place looked up at most once a query, so that names without such a policy
 * pay nothing. */
#ifndef DNS_ANSWER_CLIENT_H
#define DNS_ANSWER_CLIENT_H

#include "base/macro.h"
#include "dns/answer/answer.h"
#include "dns/wire/message.h"
#include "dns/zone/map.h"

#include <stdbool.h>
#include <stdint.h>

struct answer_client {
    const struct sockaddr *source;     /* NULL: unknown */
    const struct message_query *query; /* its client subnet */
    struct answer_context *context;
    bool filled;               /* address and home in client */
    bool located;              /* place in client */
    struct zone_client client; /* only once filled */
};

static inline void answer_client_init(struct answer_client *client, struct answer_context *context,
                                      const struct message_query *query,
                                      const struct sockaddr *source)
{
    client->source = source;
    client->query = query;
    client->context = context;
    client->filled = false;
}

/* What a map gives this client; NULL: nothing. */
const struct zone_answer *answer_client_pick(struct answer_client *client,
                                             const struct zone_answer *map);
/* Bits of the client subnet that the answers so far depended on (RFC 7871 section 7.2.1); 0 when
 * they did not. */
uint8_t answer_client_scope(const struct answer_client *client);

#endif
