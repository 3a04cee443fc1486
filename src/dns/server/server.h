/* The DNS server: sockets and workers. Each worker is a thread with its own SO_REUSEPORT sockets;
 * TCP connections are served by the same workers.
 *
 * A worker is a snapshot reader that is online only while it answers a batch: it never waits, sends
 * or receives inside a read section. Thread: start and stop by the owner; counters by any. */
#ifndef DNS_SERVER_SERVER_H
#define DNS_SERVER_SERVER_H

#include "base/err.h"
#include "base/macro.h"
#include "dns/transfer/transfer.h"
#include "dns/zone/database.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct cookie_jar;
struct dns_server;

#define DNS_WORKERS_LIMIT 64U

/* Bits behind the first `bits` of address do not count. */
struct dns_prefix {
    sa_family_t family; /* AF_INET or AF_INET6 */
    uint8_t bits;
    uint8_t address[16];
};

struct dns_server_config {
    const struct sockaddr_storage *addresses; /* UDP and TCP on each; port 0 asks the kernel */
    size_t address_count;
    const struct sockaddr_storage *tls_addresses; /* DNS over TLS on each (RFC 7858) */
    size_t tls_address_count;
    const struct sockaddr_storage *https_addresses; /* DNS over HTTPS on each (RFC 8484) */
    size_t https_address_count;
    const char *certificate_pem; /* the chain, and its key; needed where there are any of these */
    const char *key_pem;
    unsigned workers; /* 1 to DNS_WORKERS_LIMIT */
    /* Worker n stays on the n-th processor this process may use, and where each has one of its own,
     * it gets what that processor receives. */
    bool pin_workers;
    uint16_t udp_limit;
    /* In all. Beyond it the connection that has been silent longest makes room, or the new one is
     * closed at once. */
    unsigned tcp_connections;
    unsigned tcp_per_source; /* the same for one IPv4 address or IPv6 /64; 0: half of all */
    unsigned tcp_idle_ms; /* RFC 7766 section 6.2.3; a query or its answer must not take longer */
    /* Responses a second over UDP to one IPv4 /24 or IPv6 /56 that shows no good cookie, for each
     * class of response, over all workers; 0: no limit. */
    unsigned rate_limit;
    unsigned rate_limit_slip;        /* every n-th beyond it becomes a truncated one; 0: none */
    const struct dns_prefix *exempt; /* from the limit; outlive the server */
    size_t exempt_count;
    struct cookie_jar *cookies; /* outlives the server; NULL: no cookies */
    struct zone_set *zones;     /* outlives the server */
    struct transfer *transfer;  /* likewise, but stopped before the server; NULL: no transfers */
    /* As in struct answer_context; locate_context and home outlive the server. */
    void (*locate)(void *context, uint8_t family, const uint8_t address[16],
                   struct model_place *ret_place);
    void *locate_context;
    const struct model_place *home;
    /* As in struct answer_context: a primary's NOTIFY. From any worker. */
    bool (*notified)(void *context, const uint8_t *apex, const struct sockaddr *source);
    void *notified_context;
};

/* ---- counters: per worker, summed; the one list that status and metrics are made of ---- */

/* X(name, metric, label, help): the metric is called leeward_dns_METRIC_total; the label may be ""
 */
#define DNS_COUNTERS(X)                                                                            \
    X(queries_udp, "queries", "transport=\"udp\"", "queries received")                             \
    X(queries_tcp, "queries", "transport=\"tcp\"", "queries received")                             \
    X(queries_tls, "queries", "transport=\"tls\"", "queries received")                             \
    X(queries_https, "queries", "transport=\"https\"", "queries received")                         \
    X(responses, "responses", "", "responses sent")                                                \
    X(dropped, "dropped", "", "packets not answered: not a query, or malformed beyond an answer")  \
    X(truncated, "truncated", "", "responses cut to fit, TC set")                                  \
    X(limited_slipped, "rate_limited", "action=\"slip\"",                                          \
      "responses over the rate limit: emptied with TC set, or dropped")                            \
    X(limited_dropped, "rate_limited", "action=\"drop\"",                                          \
      "responses over the rate limit: emptied with TC set, or dropped")                            \
    X(send_failed, "send_failed", "", "responses over UDP that the kernel did not take")           \
    X(tcp_accepted, "tcp_accepted", "", "TCP connections accepted, those with TLS included")       \
    X(tcp_refused, "tcp_refused", "", "TCP connections closed because there were too many")        \
    X(tcp_timeout, "tcp_timeout", "", "TCP connections closed because they were silent or slow")   \
    X(https_errors, "https_errors", "",                                                            \
      "requests over HTTPS without a query: an HTTP error was the answer")                         \
    X(tls_handshakes, "tls_handshakes", "result=\"done\"", "TLS handshakes")                       \
    X(tls_resumed, "tls_handshakes", "result=\"resumed\"", "TLS handshakes")                       \
    X(tls_failed, "tls_handshakes", "result=\"failed\"", "TLS handshakes")

/* X(slot, type, name): types of questions that are counted by name */
#define DNS_COUNTED_TYPES(X)                                                                       \
    X(1, 1, "A")                                                                                   \
    X(2, 2, "NS")                                                                                  \
    X(3, 5, "CNAME")                                                                               \
    X(4, 6, "SOA")                                                                                 \
    X(5, 12, "PTR")                                                                                \
    X(6, 15, "MX")                                                                                 \
    X(7, 16, "TXT")                                                                                \
    X(8, 28, "AAAA")                                                                               \
    X(9, 33, "SRV")                                                                                \
    X(10, 35, "NAPTR")                                                                             \
    X(11, 43, "DS")                                                                                \
    X(12, 44, "SSHFP")                                                                             \
    X(13, 47, "NSEC")                                                                              \
    X(14, 48, "DNSKEY")                                                                            \
    X(15, 52, "TLSA")                                                                              \
    X(16, 64, "SVCB")                                                                              \
    X(17, 65, "HTTPS")                                                                             \
    X(18, 251, "IXFR")                                                                             \
    X(19, 252, "AXFR")                                                                             \
    X(20, 255, "ANY")                                                                              \
    X(21, 257, "CAA")

#define DNS_TYPES 22U       /* with "other", slot 0 */
#define DNS_TYPE_SLOTS 258U /* beyond the largest type above */
#define DNS_RCODES 25U      /* the last one: all above */
#define DNS_OPCODES 16U
#define DNS_EDNS 3U
#define DNS_COOKIES 4U

/* X(name, size, metric, label, help): one counter for each value of a label, of what was answered
 */
#define DNS_VECTORS(X)                                                                             \
    X(types, DNS_TYPES, "queries_by_type", "type", "answered queries by type of the question")     \
    X(rcodes, DNS_RCODES, "responses_by_rcode", "rcode", "responses by rcode")                     \
    X(opcodes, DNS_OPCODES, "queries_by_opcode", "opcode", "answered queries by opcode")           \
    X(edns, DNS_EDNS, "queries_by_edns", "edns",                                                   \
      "answered queries without EDNS, with it, with DO")                                           \
    X(cookies, DNS_COOKIES, "queries_by_cookie", "cookie",                                         \
      "answered queries by the cookie they showed")

/* The text of a label; NULL where nothing is counted. */
const char *dns_type_label(size_t index);
const char *dns_rcode_label(size_t index);
const char *dns_opcode_label(size_t index);
const char *dns_edns_label(size_t index);
const char *dns_cookie_label(size_t index);

/* Time to answer one query, the average of its batch: at most 128 ns, 256 ns ... 4 ms; the last
 * bucket is all above. */
#define DNS_LATENCY_BUCKETS 17U
static inline uint64_t dns_latency_bound_ns(unsigned bucket)
{
    return UINT64_C(128) << bucket;
}

struct dns_counters {
#define X(name, metric, label, help) uint64_t name;
    DNS_COUNTERS(X)
#undef X
#define X(name, size, metric, label, help) uint64_t name[size];
    DNS_VECTORS(X)
#undef X
    uint64_t latency[DNS_LATENCY_BUCKETS];
    uint64_t latency_ns; /* all of them together */
};

/* Binds (ERR names the address) and starts the workers; when it returns, queries are answered. A
 * port that anybody else listens on, a second server of ours included, is refused. */
int dns_server_start(const struct dns_server_config *config, struct dns_server **ret_server,
                     struct err *err) MUST_CHECK;
/* The same in two steps, for who gives up privileges between them: binds; then starts the workers,
 * which answer from zones and hand transfers over (those of the config are not looked at). */
int dns_server_open(const struct dns_server_config *config, struct dns_server **ret_server,
                    struct err *err) MUST_CHECK;
int dns_server_run(struct dns_server *server, struct zone_set *zones, struct transfer *transfer,
                   struct err *err) MUST_CHECK;
/* The bound address number index, with the real port. */
const struct sockaddr_storage *dns_server_address(const struct dns_server *server, size_t index);
/* The same of tls_addresses. */
const struct sockaddr_storage *dns_server_tls_address(const struct dns_server *server,
                                                      size_t index);
/* The same of https_addresses. */
const struct sockaddr_storage *dns_server_https_address(const struct dns_server *server,
                                                        size_t index);
/* What TLS connections from now on see; those there are go on. ERR_INVALID when the two do not
 * belong together: nothing changes then. One thread at a time. */
int dns_server_set_certificate(struct dns_server *server, const char *certificate_pem,
                               const char *key_pem, struct err *err) MUST_CHECK;
void dns_server_counters(const struct dns_server *server, struct dns_counters *ret_counters);
/* How many workers there are, and the queries that one of them received, by whatever transport. */
unsigned dns_server_workers(const struct dns_server *server);
uint64_t dns_server_worker_queries(const struct dns_server *server, unsigned worker);
/* Queries answered from the zone of that number (struct zone) since it is served. */
uint64_t dns_server_zone_queries(const struct dns_server *server, uint32_t number);
/* Stops the workers, closes everything. NULL is fine. */
void dns_server_stop(struct dns_server *take_server);

#endif
