/* The client of a query: see client.h. Called by rrset.c and answer.c on a worker's thread; borrows
 * the query and its source for the call. Invariant: a subnet of prefix length 0, which asks that
 * the client's address is not used (RFC 7871 section 7.1.2), leaves the resolver's own address to
 * go by, and scope 0. */
#include "dns/answer/client.h"

#include <netinet/in.h>
#include <string.h>

#define FAMILY_V4 1U
#define FAMILY_V6 2U

static void use_source(struct zone_client *client, const struct sockaddr *source)
{
    if (source != NULL && source->sa_family == AF_INET) {
        struct sockaddr_in v4;
        (void)memcpy(&v4, source, sizeof v4);
        client->family = 4;
        client->bits = 32;
        (void)memcpy(client->address, &v4.sin_addr, sizeof v4.sin_addr);
    } else if (source != NULL && source->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        (void)memcpy(&v6, source, sizeof v6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) != 0;
        client->family = mapped ? 4 : 6;
        client->bits = mapped ? 32 : 128;
        (void)memcpy(client->address, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

static void fill(struct answer_client *client)
{
    const struct message_query *query = client->query;
    client->client = (struct zone_client){.home = client->context->home};
    client->filled = true;
    client->located = false;
    if (query->has_subnet && query->subnet.prefix != 0) {
        client->client.family = query->subnet.family == FAMILY_V4 ? 4 : 6;
        client->client.bits = query->subnet.prefix;
        (void)memcpy(client->client.address, query->subnet.address, sizeof client->client.address);
    } else {
        use_source(&client->client, client->source);
    }
}

const struct zone_answer *answer_client_pick(struct answer_client *client,
                                             const struct zone_answer *map)
{
    if (!client->filled) {
        fill(client);
    }
    if (!client->located && zone_map_needs_place(map)) {
        client->located = true;
        if (client->context->locate != NULL && client->client.family != 0) {
            client->context->locate(client->context->locate_context, client->client.family,
                                    client->client.address, &client->client.place);
        }
    }
    return zone_map_pick(map, &client->client);
}

uint8_t answer_client_scope(const struct answer_client *client)
{
    const struct message_query *query = client->query;
    return client->filled && query->subnet.prefix != 0 ? client->client.scope : 0;
}
