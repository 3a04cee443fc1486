/* One worker: a thread, its sockets, its buffers and its counters; private to this room.
 *
 * Everything here belongs to the worker's thread, but for the counters (read by any) and wake_fd
 * (written by the one who stops it). server.c fills it in before the thread starts and frees it
 * after the thread has ended. */
#ifndef DNS_SERVER_WORKER_H
#define DNS_SERVER_WORKER_H

#include "base/macro.h"
#include "base/snapshot.h"
#include "base/time.h"
#include "dns/answer/answer.h"
#include "dns/server/counters.h"
#include "dns/server/limit.h"
#include "dns/server/server.h"
#include "dns/server/tcp.h"
#include "dns/server/udp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an epoll event points at. */
enum endpoint_kind {
    ENDPOINT_WAKE,
    ENDPOINT_UDP,
    ENDPOINT_LISTENER,
    ENDPOINT_CONNECTION,
    ENDPOINT_RETURNED
};

struct endpoint {
    enum endpoint_kind kind;
    int fd;
    bool wildcard; /* of a UDP socket: answers must name their source address */
    bool direct;   /* of a UDP socket: read in every round, see worker_read_directly */
    bool tls;      /* of a listener */
    bool web;      /* the same; it speaks HTTP, too */
};

/* What TLS connections begin with; replaced by dns_server_set_certificate. */
struct dns_certificate {
    SNAPSHOT(struct ssl_ctx_st) context;
};

struct worker {
    pthread_t thread;
    bool started;
    int processor; /* to stay on, -1: any */
    int epoll_fd;
    struct endpoint wake;       /* an eventfd: written once, to stop */
    struct endpoint returned;   /* an eventfd: connections come back from a transfer */
    struct endpoint *endpoints; /* UDP sockets, then listeners */
    size_t endpoint_count;
    size_t direct;   /* endpoints that are */
    struct mono now; /* of this round */
    bool stopping;
    unsigned rounds; /* with events of connections */
    struct answer_context answer;
    struct worker_counters counters;
    struct limit limit;
    struct udp udp;
    struct tcp tcp;
    struct dns_certificate *certificate; /* the server's */
};

/* While packets keep coming, a UDP socket is read in every round instead of being announced by
 * epoll: the announcements, one for each packet that comes or has left, were 3 % of what a query
 * costs. On when a batch was full, off when nothing was there. */
void worker_read_directly(struct worker *worker, struct endpoint *endpoint, bool direct);

/* The thread's function; argument is the worker. */
void *worker_run(void *argument);

#endif
