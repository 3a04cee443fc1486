/* UDP for one worker: batches in, batches out; private to this room. */
#ifndef DNS_SERVER_UDP_H
#define DNS_SERVER_UDP_H

#include "base/macro.h"
#include "dns/answer/answer.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct worker;
struct endpoint;

#define UDP_BATCH 64U
/* What EDNS tells clients that we take (1232) and some more; 21 cache lines, an odd count, so that
 * the heads of a batch do not compete for the same set. Longer packets are dropped. */
#define UDP_QUERY_SIZE 1344U
#define UDP_RESPONSE_SIZE 4096U

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The kernel writes the control message here; aligned as struct cmsghdr wants it. */
union udp_control {
    size_t alignment;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp {
    struct mmsghdr in[UDP_BATCH];
    struct mmsghdr out[UDP_BATCH]; /* filled from the front, one for each answered query */
    struct iovec in_data[UDP_BATCH];
    struct iovec out_data[UDP_BATCH];
    union socket_address from[UDP_BATCH];
    union udp_control control[UDP_BATCH];
    struct answer_lookup lookups[ANSWER_GROUP];
    uint8_t queries[UDP_BATCH][UDP_QUERY_SIZE];
    /* One behind the other, so that short answers stay in the cache. */
    uint8_t responses[UDP_BATCH * UDP_RESPONSE_SIZE];
};

void udp_init(struct udp *udp);
/* Serves what is waiting on the socket, up to a bound that leaves other sockets their turn. */
void udp_serve(struct worker *worker, struct endpoint *endpoint) HOT;

#endif
