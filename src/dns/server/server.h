/* The DNS server: sockets and workers. Each worker is a thread with its own SO_REUSEPORT sockets;
 * TCP connections are served by the same workers.
 *
 * A worker is a snapshot reader that is online only while it answers a batch: it never waits, sends
 * or receives inside a read section. Thread: start and stop by the owner; counters by any. */
#ifndef DNS_SERVER_SERVER_H
#define DNS_SERVER_SERVER_H

#include "base/err.h"
#include "base/macro.h"
#include "dns/zone/database.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct dns_server;

#define DNS_WORKERS_LIMIT 64U

struct dns_server_config {
    const struct sockaddr_storage *addresses; /* UDP and TCP on each; port 0 asks the kernel */
    size_t address_count;
    unsigned workers; /* 1 to DNS_WORKERS_LIMIT */
    bool pin_workers; /* worker n stays on the n-th processor this process may use */
    uint16_t udp_limit;
    /* In all. Beyond it the connection that has been silent longest makes room, or the new one is
     * closed at once. */
    unsigned tcp_connections;
    unsigned tcp_per_source; /* the same for one IPv4 address or IPv6 /64; 0: half of all */
    unsigned tcp_idle_ms;   /* RFC 7766 section 6.2.3; a query or its answer must not take longer */
    struct zone_set *zones; /* outlives the server */
};

/* Per worker, summed. X(name, help) */
#define DNS_COUNTERS(X)                                                                            \
    X(queries_udp, "queries received over UDP")                                                    \
    X(queries_tcp, "queries received over TCP")                                                    \
    X(responses, "responses sent")                                                                 \
    X(dropped, "packets not answered: not a query, or malformed beyond an answer")                 \
    X(truncated, "responses cut to fit, TC set")                                                   \
    X(send_failed, "responses over UDP that the kernel did not take")                              \
    X(tcp_accepted, "TCP connections accepted")                                                    \
    X(tcp_refused, "TCP connections closed because there were too many")                           \
    X(tcp_timeout, "TCP connections closed because they were silent or slow")

struct dns_counters {
#define X(name, help) uint64_t name;
    DNS_COUNTERS(X)
#undef X
};

/* Binds (ERR names the address) and starts the workers; when it returns, queries are answered. A
 * port that anybody else listens on, a second server of ours included, is refused. */
int dns_server_start(const struct dns_server_config *config, struct dns_server **ret_server,
                     struct err *err) MUST_CHECK;
/* The bound address number index, with the real port. */
const struct sockaddr_storage *dns_server_address(const struct dns_server *server, size_t index);
void dns_server_counters(const struct dns_server *server, struct dns_counters *ret_counters);
/* Stops the workers, closes everything. NULL is fine. */
void dns_server_stop(struct dns_server *take_server);

#endif
