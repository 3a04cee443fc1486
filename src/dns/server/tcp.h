/* TCP for one worker (RFC 7766); private to this room.
 *
 * A query for a zone transfer takes its connection away, to a thread of dns/transfer, and the
 * connection comes back when that is done; meanwhile it counts, but has no age and no events.
 *
 * A connection reads until whole queries are there, answers all of them into the worker's scratch
 * buffer and sends at once; only what the client does not take is kept, and until it is taken no
 * further query of that connection is answered. So one connection holds at most one message in and
 * one scratch buffer out, however it behaves.
 *
 * Connections hang in a list by age of their last whole query (or last answer fully taken): its
 * head is the next to time out, and the first to make room. Bytes alone do not make a connection
 * younger. A second index, by source, bounds what one address may have. */
#ifndef DNS_SERVER_TCP_H
#define DNS_SERVER_TCP_H

#include "base/macro.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;
struct endpoint;
struct tcp_connection;

#define TCP_BUCKETS 1024U

struct tcp {
    unsigned limit; /* connections of all workers */
    unsigned per_source;
    int64_t idle_ns;
    _Atomic unsigned *open; /* connections of all workers; theirs to share */
    struct tcp_connection *oldest;
    struct tcp_connection *newest;
    struct tcp_connection *closed; /* freed when the round of events is over */
    struct tcp_connection *buckets[TCP_BUCKETS];
    int reserve_fd;    /* given up to accept and close one when descriptors are out; -1: none */
    bool paused;       /* listeners wait until resume_ns: no descriptor could be had */
    int64_t resume_ns; /* monotonic */
    uint8_t *scratch;
    _Atomic(struct tcp_connection *) returned; /* by transfers, any thread; newest first */
};

void tcp_init(struct tcp *tcp);
/* Closes all connections. */
void tcp_done(struct worker *worker);
/* Accepts what is waiting on a listener. */
void tcp_accept(struct worker *worker, const struct endpoint *listener);
/* Serves the connection that endpoint is part of; events as epoll gave them. */
void tcp_serve(struct worker *worker, struct endpoint *endpoint, uint32_t events);
/* Goes on with the connections that transfers have given back. */
void tcp_take_back(struct worker *worker);
/* After a round of events: closes what is overdue, frees what was closed. Returns how many
 * milliseconds epoll may wait, -1 for any. */
int tcp_tick(struct worker *worker);

#endif
