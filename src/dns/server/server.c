/* Starting and stopping the DNS server: see server.h. Called by daemon/ on its main thread; owns
 * the workers and all sockets. Everything is allocated and bound before the first thread starts, so
 * that a failure leaves nothing behind. */
#include "dns/server/server.h"

#include "base/memory.h"
#include "base/thread.h"
#include "dns/server/socket.h"
#include "dns/server/steer.h"
#include "dns/server/tls.h"
#include "dns/server/worker.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct dns_server {
    struct sockaddr_storage *addresses;
    size_t address_count;
    struct sockaddr_storage *tls_addresses;
    size_t tls_address_count;
    struct sockaddr_storage *https_addresses;
    size_t https_address_count;
    struct dns_certificate certificate;
    struct worker **workers; /* each in an allocation of its own: no cache line is shared */
    size_t worker_count;
    struct sock_filter steer[STEER_PROGRAM_LIMIT]; /* steer.h */
    size_t steer_length;                           /* 0: none */
    _Atomic unsigned tcp_open;
};

/* The n-th processor this process may use, counting round; -1 when that cannot be said. */
static int nth_processor(unsigned n)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) == 0) {
        return -1;
    }
    n %= (unsigned)CPU_COUNT(&set);
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (CPU_ISSET((size_t)processor, &set) && n-- == 0) {
            return processor;
        }
    }
    return -1;
}

static struct worker *worker_new(struct dns_server *server, const struct dns_server_config *config,
                                 unsigned index)
{
    struct worker *worker = memory_new(sizeof *worker);
    worker->epoll_fd = -1;
    worker->wake = (struct endpoint){.kind = ENDPOINT_WAKE, .fd = -1};
    worker->returned = (struct endpoint){.kind = ENDPOINT_RETURNED, .fd = -1};
    worker->processor = config->pin_workers ? nth_processor(index) : -1;
    worker->endpoints = memory_array(2 * config->address_count + config->tls_address_count +
                                         config->https_address_count,
                                     sizeof *worker->endpoints);
    worker->certificate = &server->certificate;
    worker->answer.udp_limit = config->udp_limit;
    worker->answer.cookies = config->cookies;
    worker->answer.notified = config->notified;
    worker->answer.notified_context = config->notified_context;
    worker->answer.keepalive = (uint16_t)MIN(config->tcp_idle_ms / 100, UINT16_MAX);
    worker->answer.locate = config->locate;
    worker->answer.locate_context = config->locate_context;
    worker->answer.home = config->home;
    random_init(&worker->answer.random, 0);
    counters_init(&worker->counters);
    /* The kernel spreads a network's queries over the workers, too. */
    limit_init(&worker->limit, (config->rate_limit + config->workers - 1) / config->workers,
               config->rate_limit_slip, config->exempt, config->exempt_count);
    udp_init(&worker->udp);
    tcp_init(&worker->tcp);
    worker->tcp.limit = config->tcp_connections;
    unsigned per_source =
        config->tcp_per_source != 0 ? config->tcp_per_source : config->tcp_connections / 2;
    /* The kernel spreads a client's connections over the workers, so each has a share. */
    worker->tcp.per_source = MAX(1U, (per_source + config->workers - 1) / config->workers);
    worker->tcp.idle_ns = config->tcp_idle_ms * TIME_MS;
    worker->tcp.open = &server->tcp_open;
    return worker;
}

static void add_endpoint(struct worker *worker, enum endpoint_kind kind, int fd, bool wildcard)
{
    worker->endpoints[worker->endpoint_count++] =
        (struct endpoint){.kind = kind, .fd = fd, .wildcard = wildcard};
}

static int watch_endpoint(struct worker *worker, struct endpoint *endpoint)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, endpoint->fd, &event) == 0 ? 0 : -errno;
}

static int worker_prepare(struct worker *worker, struct err *err)
{
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->returned.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->epoll_fd < 0 || worker->wake.fd < 0 || worker->returned.fd < 0) {
        return err_set_errno(err, errno, "preparing a DNS worker");
    }
    int result = watch_endpoint(worker, &worker->wake);
    result = result != 0 ? result : watch_endpoint(worker, &worker->returned);
    for (size_t i = 0; i < worker->endpoint_count && result == 0; i++) {
        result = watch_endpoint(worker, &worker->endpoints[i]);
    }
    return result == 0 ? 0 : err_set_errno(err, -result, "preparing a DNS worker");
}

/* Workers that stay on processors get what those receive. */
static void prepare_steering(struct dns_server *server)
{
    int processors[DNS_WORKERS_LIMIT];
    for (size_t i = 0; i < server->worker_count; i++) {
        processors[i] = server->workers[i]->processor;
    }
    server->steer_length = steer_program(processors, server->worker_count, server->steer);
}

/* fds are the workers' sockets on one port, in their order. */
static void steer(const struct dns_server *server, const int *fds)
{
    if (server->steer_length != 0) {
        steer_attach(fds[0], server->steer, server->steer_length);
    }
}

static int open_address(struct dns_server *server, size_t index, struct err *err)
{
    struct sockaddr_storage *address = &server->addresses[index];
    int udp[DNS_WORKERS_LIMIT];
    int tcp[DNS_WORKERS_LIMIT];
    int result = socket_open(address, server->worker_count, udp, tcp, err);
    if (result != 0) {
        return result;
    }
    steer(server, udp);
    steer(server, tcp);
    for (size_t i = 0; i < server->worker_count; i++) {
        add_endpoint(server->workers[i], ENDPOINT_UDP, udp[i], socket_is_wildcard(address));
        add_endpoint(server->workers[i], ENDPOINT_LISTENER, tcp[i], false);
    }
    return 0;
}

static int open_tls_address(struct dns_server *server, struct sockaddr_storage *address, bool web,
                            struct err *err)
{
    int tcp[DNS_WORKERS_LIMIT];
    int result = socket_open_tcp(address, server->worker_count, tcp, err);
    if (result == 0) {
        steer(server, tcp);
    }
    for (size_t i = 0; i < server->worker_count && result == 0; i++) {
        struct worker *worker = server->workers[i];
        add_endpoint(worker, ENDPOINT_LISTENER, tcp[i], false);
        worker->endpoints[worker->endpoint_count - 1].tls = true;
        worker->endpoints[worker->endpoint_count - 1].web = web;
    }
    return result;
}

static int open_all(struct dns_server *server, const struct dns_server_config *config,
                    struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < server->address_count && result == 0; i++) {
        result = open_address(server, i, err);
    }
    if (result == 0 && server->tls_address_count + server->https_address_count != 0) {
        result = dns_server_set_certificate(server, config->certificate_pem, config->key_pem, err);
    }
    for (size_t i = 0; i < server->tls_address_count && result == 0; i++) {
        result = open_tls_address(server, &server->tls_addresses[i], false, err);
    }
    for (size_t i = 0; i < server->https_address_count && result == 0; i++) {
        result = open_tls_address(server, &server->https_addresses[i], true, err);
    }
    return result;
}

static int start_threads(struct dns_server *server, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < server->worker_count && rc == 0; i++) {
        struct worker *worker = server->workers[i];
        rc = thread_start(&worker->thread, "dns-worker", worker_run, worker, err);
        worker->started = rc == 0;
    }
    return rc;
}

static struct sockaddr_storage *copy_addresses(const struct sockaddr_storage *addresses,
                                               size_t count)
{
    struct sockaddr_storage *copy = memory_array(MAX(count, 1U), sizeof *copy);
    if (count != 0) {
        (void)memcpy(copy, addresses, count * sizeof *copy);
    }
    return copy;
}

int dns_server_open(const struct dns_server_config *config, struct dns_server **ret_server,
                    struct err *err)
{
    assert(config->workers >= 1 && config->workers <= DNS_WORKERS_LIMIT);
    struct dns_server *server = memory_new(sizeof *server);
    server->address_count = config->address_count;
    server->addresses = copy_addresses(config->addresses, config->address_count);
    server->tls_address_count = config->tls_address_count;
    server->tls_addresses = copy_addresses(config->tls_addresses, config->tls_address_count);
    server->https_address_count = config->https_address_count;
    server->https_addresses = copy_addresses(config->https_addresses, config->https_address_count);
    server->workers = memory_array(config->workers, sizeof(struct worker *));
    for (; server->worker_count < config->workers; server->worker_count++) {
        server->workers[server->worker_count] =
            worker_new(server, config, (unsigned)server->worker_count);
    }
    prepare_steering(server);
    int result = open_all(server, config, err);
    for (size_t i = 0; i < server->worker_count && result == 0; i++) {
        result = worker_prepare(server->workers[i], err);
    }
    if (result != 0) {
        dns_server_stop(server);
        return result;
    }
    *ret_server = server;
    return 0;
}

int dns_server_run(struct dns_server *server, struct zone_set *zones, struct transfer *transfer,
                   struct err *err)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        server->workers[i]->answer.zones = zones;
        server->workers[i]->answer.transfer = transfer;
    }
    return start_threads(server, err);
}

int dns_server_start(const struct dns_server_config *config, struct dns_server **ret_server,
                     struct err *err)
{
    struct dns_server *server = NULL;
    int result = dns_server_open(config, &server, err);
    result = result != 0 ? result : dns_server_run(server, config->zones, config->transfer, err);
    if (result != 0) {
        dns_server_stop(server);
        return result;
    }
    *ret_server = server;
    return 0;
}

const struct sockaddr_storage *dns_server_address(const struct dns_server *server, size_t index)
{
    assert(index < server->address_count);
    return &server->addresses[index];
}

const struct sockaddr_storage *dns_server_tls_address(const struct dns_server *server, size_t index)
{
    assert(index < server->tls_address_count);
    return &server->tls_addresses[index];
}

const struct sockaddr_storage *dns_server_https_address(const struct dns_server *server,
                                                        size_t index)
{
    assert(index < server->https_address_count);
    return &server->https_addresses[index];
}

int dns_server_set_certificate(struct dns_server *server, const char *certificate_pem,
                               const char *key_pem, struct err *err)
{
    struct ssl_ctx_st *fresh = NULL;
    int result = tls_context_new(certificate_pem, key_pem, &fresh, err);
    if (result != 0) {
        return result;
    }
    struct ssl_ctx_st *old = SNAPSHOT_PUBLISH(&server->certificate.context, fresh);
    if (old != NULL) {
        snapshot_retire(old, tls_context_free);
    }
    return 0;
}

void dns_server_counters(const struct dns_server *server, struct dns_counters *ret_counters)
{
    *ret_counters = (struct dns_counters){0};
    for (size_t i = 0; i < server->worker_count; i++) {
        counters_add(&server->workers[i]->counters, ret_counters);
    }
}

unsigned dns_server_workers(const struct dns_server *server)
{
    return (unsigned)server->worker_count;
}

uint64_t dns_server_worker_queries(const struct dns_server *server, unsigned worker)
{
    assert(worker < server->worker_count);
    struct dns_counters counters = {0};
    counters_add(&server->workers[worker]->counters, &counters);
    return counters.queries_udp + counters.queries_tcp + counters.queries_tls +
           counters.queries_https;
}

uint64_t dns_server_zone_queries(const struct dns_server *server, uint32_t number)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < server->worker_count; i++) {
        sum += counters_zone(&server->workers[i]->counters, number);
    }
    return sum;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd); /* nothing was written that could be lost */
    }
}

static void worker_free(struct worker *worker)
{
    tcp_done(worker);
    limit_done(&worker->limit);
    counters_done(&worker->counters);
    for (size_t i = 0; i < worker->endpoint_count; i++) {
        close_fd(worker->endpoints[i].fd);
    }
    close_fd(worker->wake.fd);
    close_fd(worker->returned.fd);
    close_fd(worker->epoll_fd);
    free(worker->endpoints);
    free(worker);
}

void dns_server_stop(struct dns_server *take_server)
{
    struct dns_server *server = take_server;
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        if (server->workers[i]->started) {
            /* Cannot fail: the counter of a fresh eventfd has room. */
            (void)eventfd_write(server->workers[i]->wake.fd, 1);
        }
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        if (server->workers[i]->started) {
            thread_join(server->workers[i]->thread);
        }
        worker_free(server->workers[i]);
    }
    tls_context_free(SNAPSHOT_LOAD(&server->certificate.context));
    free(server->workers);
    free(server->tls_addresses);
    free(server->https_addresses);
    free(server->addresses);
    free(server);
}
