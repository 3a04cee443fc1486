/* Connections of whom is not known yet who they are: see internal.h. Peer thread. Anybody can open
 * one, so they are few and have little time. Where there are too many, the oldest one goes of the
 * network that has the most; a few of the networks where members live stay to the last. So a flood
 * from some addresses keeps out itself, and one from many cannot keep out members.
 *
 * Without descriptors nothing is accepted for a moment, as epoll would announce it without end. */
#include "base/memory.h"
#include "peer/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_ROUND 8U
#define DEAF_MS 100
#define MEMBERS_SHARE 4U /* of one network of a member */

/* An IPv4 address, or the first half of an IPv6 address, which one host may have all of. */
static uint64_t network_of(const struct sockaddr_storage *address)
{
    uint64_t network = 0;
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        (void)memcpy(&v6, address, sizeof v6);
        if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            (void)memcpy(&network, &v6.sin6_addr, sizeof network);
            return network;
        }
        uint32_t mapped = 0;
        (void)memcpy(&mapped, v6.sin6_addr.s6_addr + 12, sizeof mapped);
        return mapped;
    }
    struct sockaddr_in v4;
    (void)memcpy(&v4, address, sizeof v4);
    return v4.sin_addr.s_addr;
}

static bool is_stranger(const struct incoming *incoming)
{
    return incoming->fd >= 0 && incoming->link == NULL;
}

/* How many strangers this one's network has; 0: they are let be. */
static unsigned crowd_of(const struct peer *peer, const struct incoming *one)
{
    unsigned count = 0;
    for (const struct incoming *at = peer->incoming; at != NULL; at = at->next) {
        count += is_stranger(at) && at->network == one->network ? 1 : 0;
    }
    for (size_t i = 0; i < peer->link_count && count <= MEMBERS_SHARE; i++) {
        if (network_of(&peer->links[i]->member.address) == one->network) {
            return 0;
        }
    }
    return count;
}

static void make_room(struct peer *peer)
{
    struct incoming *chosen = NULL;
    unsigned most = 0;
    unsigned strangers = 0;
    for (struct incoming *at = peer->incoming; at != NULL; at = at->next) {
        if (is_stranger(at)) {
            unsigned crowd = crowd_of(peer, at);
            strangers++;
            if (chosen == NULL || crowd >= most) { /* new ones are put in front */
                chosen = at;
                most = crowd;
            }
        }
    }
    if (strangers >= STRANGERS_LIMIT) {
        incoming_refuse(chosen, "too many connections at once whose certificate is not known yet");
    }
}

static void add(struct peer *peer, int fd, const struct sockaddr_storage *from, struct mono now)
{
    make_room(peer);
    struct incoming *incoming = memory_new(sizeof *incoming);
    incoming->endpoint = (struct endpoint){.kind = ENDPOINT_INCOMING, .owner = peer};
    incoming->fd = fd;
    incoming->network = network_of(from);
    incoming->session = channel_session_new(peer->tls, fd, false);
    incoming->deadline = peer_patience(peer, now, HANDSHAKE_MS);
    incoming->events = EPOLLIN | EPOLLRDHUP;
    incoming->next = peer->incoming;
    peer->incoming = incoming;
    if (incoming->session == NULL ||
        peer_watch(peer, fd, incoming->events, &incoming->endpoint, true) != 0) {
        incoming_close(incoming);
    }
}

static void listen_again(struct peer *peer, bool listening)
{
    (void)peer_watch(peer, peer->config.listener, listening ? EPOLLIN : 0, &peer->listener_endpoint,
                     false); /* it is there: that cannot fail */
    peer->deaf = !listening;
}

void strangers_accept(struct peer *peer, struct mono now)
{
    for (unsigned i = 0; i < ACCEPTS_A_ROUND; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        int fd = accept4(peer->config.listener, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add(peer, fd, &from, now);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listen_again(peer, false);
            peer->deaf_until = peer_later(now, DEAF_MS);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else one that is gone already */
    }
}

struct mono strangers_tick(struct peer *peer, struct mono now)
{
    if (peer->deaf && peer->deaf_until.ns <= now.ns) {
        listen_again(peer, true);
    }
    return peer->deaf ? peer->deaf_until : (struct mono){INT64_MAX};
}
