/* TCP connections: see tcp.h. Called by the worker's loop, on its thread; connections belong to
 * the worker. A closed connection stays allocated until the round of events ends, because an event
 * for it may still be in hand. */
#include "dns/server/tcp.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/server/tls.h"
#include "dns/server/web.h"
#include "dns/server/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX 2U           /* length before each message: RFC 1035 section 4.2.2 */
#define MESSAGE_MOST 65535U /* what the prefix can say */
#define BUFFER_FIRST 1024U  /* most queries fit; it grows when one does not */
#define SCRATCH_SIZE MAX((size_t)2 * (PREFIX + MESSAGE_MOST), (size_t)WEB_SCRATCH)
#define ACCEPTS_A_TURN 64
#define EVICT_AFTER (500 * TIME_MS) /* a younger connection is not closed to make room */
#define PAUSE (100 * TIME_MS)
#define FLAGS_BYTE 2U
#define TRUNCATED 0x02U
#define SOURCE_SIZE 9U
#define PAD_BLOCK 468U /* RFC 8467 section 4.1, on encrypted connections */

struct tcp_connection {
    struct endpoint endpoint; /* first: what epoll points at */
    struct tcp_connection *older;
    struct tcp_connection *newer; /* in the list of closed ones: the next */
    struct tcp_connection *bucket_next;
    struct tcp_connection **bucket_link; /* what points at this one in its bucket */
    union socket_address address;
    uint8_t source[SOURCE_SIZE]; /* family, then IPv4 address or IPv6 /64 */
    bool ended;                  /* the client sends no more */
    uint32_t events;             /* that epoll watches for */
    int64_t active_ns;           /* of the last whole query, or pending output taken */
    struct ssl_st *tls;          /* NULL: plain */
    bool established;            /* the handshake was counted */
    bool web;                    /* HTTPS: no length before messages, input is not kept here */
    bool more;                   /* there is output that did not fit into scratch */
    bool draining;               /* our side is closed; what still comes is not looked at */
    struct https *https;         /* since it is known which version of HTTP it speaks */
    bool away;                   /* lent to a transfer */
    bool keep;                   /* what the transfer said when it gave it back */
    struct worker *worker;
    struct transfer_loan loan;
    uint8_t *in;
    size_t in_size;
    size_t in_capacity;
    uint8_t *out; /* what the client has not taken yet; NULL when nothing is */
    size_t out_size;
    size_t out_at;
};

void tcp_init(struct tcp *tcp)
{
    tcp->scratch = memory_new(SCRATCH_SIZE);
    tcp->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- lists ---- */

static void list_remove(struct tcp *tcp, struct tcp_connection *connection)
{
    *(connection->older != NULL ? &connection->older->newer : &tcp->oldest) = connection->newer;
    *(connection->newer != NULL ? &connection->newer->older : &tcp->newest) = connection->older;
}

static void list_append(struct tcp *tcp, struct tcp_connection *connection)
{
    connection->older = tcp->newest;
    connection->newer = NULL;
    *(tcp->newest != NULL ? &tcp->newest->newer : &tcp->oldest) = connection;
    tcp->newest = connection;
}

static void touch(struct worker *worker, struct tcp_connection *connection)
{
    connection->active_ns = worker->now.ns;
    list_remove(&worker->tcp, connection);
    list_append(&worker->tcp, connection);
}

static struct tcp_connection **bucket_of(struct tcp *tcp, const uint8_t source[SOURCE_SIZE])
{
    return &tcp->buckets[hash_bytes(hash_process_key(), source, SOURCE_SIZE) % TCP_BUCKETS];
}

static void source_of(const union socket_address *address, uint8_t source[SOURCE_SIZE])
{
    (void)memset(source, 0, SOURCE_SIZE);
    source[0] = (uint8_t)address->any.sa_family;
    if (address->any.sa_family == AF_INET) {
        (void)memcpy(source + 1, &address->v4.sin_addr, 4);
    } else {
        (void)memcpy(source + 1, &address->v6.sin6_addr, SOURCE_SIZE - 1);
    }
}

/* ---- closing ---- */

static void connection_close(struct worker *worker, struct tcp_connection *connection)
{
    struct tcp *tcp = &worker->tcp;
    if (connection->endpoint.fd < 0) {
        return;
    }
    if (connection->tls != NULL) {
        tls_session_free(connection->tls);
        connection->tls = NULL;
        worker_count(&worker->counters.tls_failed, !connection->established);
    }
    (void)close(connection->endpoint.fd); /* also leaves epoll; the peer learns all there is */
    connection->endpoint.fd = -1;
    list_remove(tcp, connection);
    *connection->bucket_link = connection->bucket_next;
    if (connection->bucket_next != NULL) {
        connection->bucket_next->bucket_link = connection->bucket_link;
    }
    atomic_fetch_sub_explicit(tcp->open, 1, memory_order_relaxed);
    https_free(connection->https);
    free(connection->in);
    free(connection->out);
    connection->https = NULL;
    connection->in = NULL;
    connection->out = NULL;
    connection->newer = tcp->closed;
    tcp->closed = connection;
}

static void free_closed(struct tcp *tcp)
{
    while (tcp->closed != NULL) {
        struct tcp_connection *connection = tcp->closed;
        tcp->closed = connection->newer;
        free(connection);
    }
}

void tcp_done(struct worker *worker)
{
    struct tcp *tcp = &worker->tcp;
    for (struct tcp_connection *connection =
             atomic_exchange_explicit(&tcp->returned, NULL, memory_order_acquire);
         connection != NULL;) {
        struct tcp_connection *next = connection->newer;
        list_append(tcp, connection);
        connection = next;
    }
    while (tcp->oldest != NULL) {
        connection_close(worker, tcp->oldest);
    }
    free_closed(tcp);
    if (tcp->reserve_fd >= 0) {
        (void)close(tcp->reserve_fd); /* never written */
    }
    free(tcp->scratch);
    tcp->scratch = NULL;
}

/* Closes the connection, which has been silent longest among those considered, to make room for
 * another one. False when it is too young to be called idle, or NULL. */
static bool evict(struct worker *worker, struct tcp_connection *connection)
{
    if (connection == NULL || connection->away ||
        worker->now.ns - connection->active_ns < EVICT_AFTER) {
        return false;
    }
    worker_count(&worker->counters.tcp_refused, 1);
    connection_close(worker, connection);
    return true;
}

/* ---- accepting ---- */

/* Whether one more connection from the source may be had, after making room where possible. */
static bool source_admitted(struct worker *worker, const uint8_t source[SOURCE_SIZE])
{
    struct tcp_connection *oldest = NULL;
    unsigned count = 0;
    for (struct tcp_connection *other = *bucket_of(&worker->tcp, source); other != NULL;
         other = other->bucket_next) {
        if (memcmp(other->source, source, SOURCE_SIZE) != 0) {
            continue;
        }
        count++;
        if (!other->away && (oldest == NULL || other->active_ns < oldest->active_ns)) {
            oldest = other;
        }
    }
    return count < worker->tcp.per_source || evict(worker, oldest);
}

static void watch(struct worker *worker, struct tcp_connection *connection, uint32_t events)
{
    if (connection->events == events) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = &connection->endpoint};
    int operation = connection->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(worker->epoll_fd, operation, connection->endpoint.fd, &event) != 0) {
        connection_close(worker, connection);
        return;
    }
    connection->events = events;
}

/* A session with the certificate of now. */
static struct ssl_st *begin_tls(struct worker *worker, int fd, bool web)
{
    snapshot_online();
    struct ssl_st *session = tls_session_new(SNAPSHOT_LOAD(&worker->certificate->context), fd, web);
    snapshot_offline();
    return session;
}

/* Takes fd in, or closes it. */
static void admit(struct worker *worker, int fd, const union socket_address *address,
                  const struct endpoint *listener)
{
    struct tcp *tcp = &worker->tcp;
    uint8_t source[SOURCE_SIZE];
    source_of(address, source);
    bool room = source_admitted(worker, source);
    if (room && atomic_fetch_add_explicit(tcp->open, 1, memory_order_relaxed) >= tcp->limit) {
        room = evict(worker, tcp->oldest);
        if (!room) {
            atomic_fetch_sub_explicit(tcp->open, 1, memory_order_relaxed);
        }
    }
    if (!room) {
        worker_count(&worker->counters.tcp_refused, 1);
        (void)close(fd); /* nothing was written */
        return;
    }
    struct tcp_connection *connection = memory_new(sizeof *connection);
    connection->endpoint = (struct endpoint){.kind = ENDPOINT_CONNECTION, .fd = fd};
    connection->worker = worker;
    connection->address = *address;
    connection->active_ns = worker->now.ns;
    (void)memcpy(connection->source, source, SOURCE_SIZE);
    list_append(tcp, connection);
    connection->bucket_link = bucket_of(tcp, source);
    connection->bucket_next = *connection->bucket_link;
    if (connection->bucket_next != NULL) {
        connection->bucket_next->bucket_link = &connection->bucket_next;
    }
    *connection->bucket_link = connection;
    worker_count(&worker->counters.tcp_accepted, 1);
    int on = 1;
    /* An answer waits for nothing; without the option it is only slower. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (listener->tls) {
        connection->web = listener->web;
        connection->tls = begin_tls(worker, fd, listener->web);
        if (connection->tls == NULL) {
            connection_close(worker, connection);
            return;
        }
    }
    watch(worker, connection, EPOLLIN);
}

static void set_listeners(struct worker *worker, uint32_t events)
{
    for (size_t i = 0; i < worker->endpoint_count; i++) {
        struct endpoint *endpoint = &worker->endpoints[i];
        struct epoll_event event = {.events = events, .data.ptr = endpoint};
        if (endpoint->kind == ENDPOINT_LISTENER) {
            /* Cannot fail: it is registered. */
            (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, endpoint->fd, &event);
        }
    }
}

/* Descriptors are out: an idle connection goes, or the one that waits is closed by means of the
 * descriptor kept for this; else listeners rest for a moment, so that epoll does not spin. False:
 * stop accepting for now. */
static bool shed(struct worker *worker, const struct endpoint *listener)
{
    struct tcp *tcp = &worker->tcp;
    if (evict(worker, tcp->oldest)) {
        return true;
    }
    if (tcp->reserve_fd >= 0) {
        (void)close(tcp->reserve_fd); /* never written */
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
            worker_count(&worker->counters.tcp_refused, 1);
        }
        tcp->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            return true;
        }
    } else {
        tcp->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    tcp->paused = true;
    tcp->resume_ns = worker->now.ns + PAUSE;
    set_listeners(worker, 0);
    return false;
}

void tcp_accept(struct worker *worker, const struct endpoint *listener)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        union socket_address address = {0};
        socklen_t size = sizeof address;
        int fd = accept4(listener->fd, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(worker, fd, &address, listener);
            continue;
        }
        if (errno == EAGAIN) {
            return;
        }
        bool out = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (out && !shed(worker, listener)) {
            return;
        }
        /* Everything else is about a connection that is gone already (accept(2)). */
    }
}

/* ---- bytes, plain or through TLS: errors are negative errnos ---- */

static ssize_t send_bytes(struct tcp_connection *connection, const uint8_t *data, size_t size)
{
    if (connection->tls != NULL) {
        return tls_send(connection->tls, data, size);
    }
    ssize_t sent = 0;
    do {
        sent = send(connection->endpoint.fd, data, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

/* -EAGAIN: ret_events is what to wait for. */
static ssize_t receive_bytes(struct tcp_connection *connection, uint8_t *data, size_t size,
                             uint32_t *ret_events)
{
    if (connection->tls != NULL) {
        return tls_receive(connection->tls, data, size, ret_events);
    }
    ssize_t got = recv(connection->endpoint.fd, data, size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        *ret_events = EPOLLIN;
        return -EAGAIN;
    }
    return got < 0 ? -errno : got;
}

static void note_handshake(struct worker *worker, struct tcp_connection *connection)
{
    if (connection->tls != NULL && !connection->established &&
        tls_is_established(connection->tls)) {
        connection->established = true;
        bool resumed = tls_is_resumed(connection->tls);
        worker_count(resumed ? &worker->counters.tls_resumed : &worker->counters.tls_handshakes, 1);
    }
}

/* ---- serving ---- */

/* Sends what is pending. False when the connection was closed. */
static bool flush(struct worker *worker, struct tcp_connection *connection)
{
    while (connection->out != NULL) {
        ssize_t sent = send_bytes(connection, connection->out + connection->out_at,
                                  connection->out_size - connection->out_at);
        if (sent == -EAGAIN) {
            return true;
        }
        if (sent < 0) {
            connection_close(worker, connection);
            return false;
        }
        connection->out_at += (size_t)sent;
        if (connection->out_at == connection->out_size) {
            free(connection->out);
            connection->out = NULL;
            touch(worker, connection);
        }
    }
    return true;
}

/* Sends size bytes of scratch; what is not taken becomes pending. False when the connection was
 * closed. */
static bool send_scratch(struct worker *worker, struct tcp_connection *connection, size_t size)
{
    size_t taken = 0;
    ssize_t sent = 0;
    do { /* TLS takes one record at a time */
        sent = send_bytes(connection, worker->tcp.scratch + taken, size - taken);
        taken += sent > 0 ? (size_t)sent : 0;
    } while (sent > 0 && taken < size && connection->tls != NULL);
    if (sent < 0 && sent != -EAGAIN) {
        connection_close(worker, connection);
        return false;
    }
    if (taken == size) {
        return true;
    }
    connection->out = malloc(size - taken);
    if (connection->out == NULL) {
        connection_close(worker, connection);
        return false;
    }
    (void)memcpy(connection->out, worker->tcp.scratch + taken, size - taken);
    connection->out_size = size - taken;
    connection->out_at = 0;
    return true;
}

/* Length of the message at `at` of the input; 0 when its prefix is not there yet. */
static size_t message_at(const struct tcp_connection *connection, size_t at)
{
    if (connection->in_size - at < PREFIX) {
        return 0;
    }
    return (size_t)connection->in[at] << 8U | connection->in[at + 1];
}

/* Answers whole queries from the input into scratch, as many as fit for certain, up to one for a
 * transfer. Returns the bytes in scratch and removes what was answered. */
static size_t answer_input(struct worker *worker, struct tcp_connection *connection,
                           bool *ret_transfer)
{
    *ret_transfer = false;
    uint8_t *scratch = worker->tcp.scratch;
    struct worker_counters *counters = &worker->counters;
    size_t at = 0;
    size_t used = 0;
    unsigned queries = 0;
    unsigned answers = 0;
    unsigned truncated = 0;
    struct mono start = mono_now();
    bool tls = connection->tls != NULL;
    worker->answer.pad_block = tls ? PAD_BLOCK : 0;
    snapshot_online();
    while (SCRATCH_SIZE - used >= PREFIX + MESSAGE_MOST) {
        size_t length = message_at(connection, at);
        if (length == 0 || connection->in_size - at - PREFIX < length) {
            break;
        }
        size_t size =
            answer_query(&worker->answer, connection->in + at + PREFIX, length,
                         &connection->address.any, true, scratch + used + PREFIX, MESSAGE_MOST);
        if (size == ANSWER_STREAM) {
            *ret_transfer = true;
            break;
        }
        at += PREFIX + length;
        queries++;
        if (size != 0) {
            counters_note(counters, &worker->answer.outcome);
            truncated += (scratch[used + PREFIX + FLAGS_BYTE] & TRUNCATED) != 0;
            scratch[used] = (uint8_t)(size >> 8U);
            scratch[used + 1] = (uint8_t)size;
            used += PREFIX + size;
            answers++;
        }
    }
    snapshot_offline();
    worker->answer.pad_block = 0; /* UDP has the same context */
    if (queries != 0) {
        connection->in_size -= at;
        (void)memmove(connection->in, connection->in + at, connection->in_size);
        counters_latency(counters, queries, mono_since(mono_now(), start));
        worker_count(tls ? &counters->queries_tls : &counters->queries_tcp, queries);
        worker_count(&counters->responses, answers);
        worker_count(&counters->truncated, truncated);
        worker_count(&counters->dropped, queries - answers);
        touch(worker, connection);
    }
    return used;
}

/* Whether the input holds a whole query. */
static bool has_query(const struct tcp_connection *connection)
{
    size_t length = message_at(connection, 0);
    return length != 0 && connection->in_size - PREFIX >= length;
}

/* ---- transfers ---- */

/* Called by the transfer's thread. */
static void loan_done(struct transfer_loan *loan, bool keep)
{
    struct tcp_connection *connection = CONTAINER_OF(loan, struct tcp_connection, loan);
    struct worker *worker = connection->worker;
    connection->keep = keep;
    struct tcp_connection *head = atomic_load_explicit(&worker->tcp.returned, memory_order_relaxed);
    do {
        connection->newer = head;
    } while (!atomic_compare_exchange_weak_explicit(&worker->tcp.returned, &head, connection,
                                                    memory_order_release, memory_order_relaxed));
    uint64_t one = 1;
    /* Full means that the worker will look anyway. */
    IGNORE_RESULT(write(worker->returned.fd, &one, sizeof one));
}

/* Lends the connection, whose input begins with a query for a transfer. False when there are too
 * many. */
static bool lend(struct worker *worker, struct tcp_connection *connection)
{
    size_t length = message_at(connection, 0);
    connection->loan = (struct transfer_loan){.fd = connection->endpoint.fd, .done = loan_done};
    (void)memcpy(&connection->loan.source, &connection->address, sizeof connection->address);
    /* Out of everything before another thread can give it back. */
    list_remove(&worker->tcp, connection);
    connection->away = true;
    if (!transfer_submit(worker->answer.transfer, &connection->loan, connection->in + PREFIX,
                         length)) {
        connection->away = false;
        list_append(&worker->tcp, connection);
        return false;
    }
    /* Cannot fail: it is registered. What the client sends meanwhile waits in the socket. */
    (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, connection->endpoint.fd, NULL);
    connection->events = 0;
    connection->in_size -= PREFIX + length;
    (void)memmove(connection->in, connection->in + PREFIX + length, connection->in_size);
    worker_count(&worker->counters.queries_tcp, 1);
    worker_count(&worker->counters.responses, 1);
    return true;
}

/* Answers into scratch; false when the connection was lent. */
static bool answer_or_lend(struct worker *worker, struct tcp_connection *connection,
                           size_t *ret_used)
{
    bool transfer = false;
    /* The threads of transfers write to the socket itself: none over TLS (RFC 9103). */
    worker->answer.no_stream = connection->tls != NULL ? RCODE_REFUSED : RCODE_NOERROR;
    *ret_used = answer_input(worker, connection, &transfer);
    worker->answer.no_stream = RCODE_NOERROR;
    if (!transfer || *ret_used != 0) {
        return true; /* what was answered before goes out before */
    }
    if (lend(worker, connection)) {
        return false;
    }
    worker->answer.no_stream = RCODE_SERVFAIL; /* the client comes back, or asks another primary */
    *ret_used = answer_input(worker, connection, &transfer);
    worker->answer.no_stream = RCODE_NOERROR;
    return true;
}

/* ---- HTTPS ---- */

/* The client may be sending still. Were the connection closed with that unread, the kernel would
 * take the response back that says what is wrong (RFC 9112 section 9.6). */
static void close_ours(struct worker *worker, struct tcp_connection *connection)
{
    tls_session_end(connection->tls);
    if (shutdown(connection->endpoint.fd, SHUT_WR) != 0) {
        connection_close(worker, connection);
        return;
    }
    connection->draining = true;
    watch(worker, connection, EPOLLIN);
}

static void drain(struct worker *worker, struct tcp_connection *connection)
{
    ssize_t got = recv(connection->endpoint.fd, worker->tcp.scratch, SCRATCH_SIZE, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        connection_close(worker, connection);
    }
}

/* As progress below. */
static void progress_web(struct worker *worker, struct tcp_connection *connection)
{
    struct tcp *tcp = &worker->tcp;
    if (connection->out == NULL && connection->https != NULL) {
        unsigned answered = 0;
        size_t used = web_produce(worker, connection->https, &connection->address.any, tcp->scratch,
                                  &answered, &connection->more);
        if (answered != 0) {
            touch(worker, connection);
        }
        if (used != 0 && !send_scratch(worker, connection, used)) {
            return;
        }
    }
    if (connection->out != NULL || connection->more) {
        watch(worker, connection, EPOLLOUT);
    } else if (connection->ended) {
        connection_close(worker, connection);
    } else if (connection->https != NULL && https_is_over(connection->https)) {
        close_ours(worker, connection);
    } else {
        watch(worker, connection, tls_has_more(connection->tls) ? EPOLLOUT : EPOLLIN);
    }
}

/* Tells the client that what it sends now is not looked at, as far as that goes without waiting. */
static void take_leave(struct worker *worker, struct tcp_connection *connection)
{
    unsigned answered = 0;
    if (connection->https == NULL || connection->draining || connection->out != NULL ||
        connection->more) {
        return;
    }
    https_end(connection->https);
    size_t used = web_produce(worker, connection->https, &connection->address.any,
                              worker->tcp.scratch, &answered, &connection->more);
    if (used != 0) {
        (void)send_bytes(connection, worker->tcp.scratch, used); /* it is closed in any case */
    }
}

/* What came in over HTTPS. False: no memory, or nothing that can be understood. */
static bool take_web(struct tcp_connection *connection, const uint8_t *data, size_t size)
{
    if (connection->https == NULL) {
        connection->https = https_new(tls_is_http2(connection->tls));
    }
    return connection->https != NULL && https_receive(connection->https, data, size);
}

/* Sends what is pending, answers and sends one scratch buffer; then watches for what comes next. A
 * connection with more to answer waits until it is writable again: others have their turn before.
 */
static void progress(struct worker *worker, struct tcp_connection *connection)
{
    if (!flush(worker, connection)) {
        return;
    }
    if (connection->web) {
        progress_web(worker, connection);
        return;
    }
    if (connection->out == NULL && has_query(connection)) {
        size_t used = 0;
        if (!answer_or_lend(worker, connection, &used)) {
            return;
        }
        if (used != 0 && !send_scratch(worker, connection, used)) {
            return;
        }
    }
    if (connection->out != NULL || has_query(connection)) {
        watch(worker, connection, EPOLLOUT);
        return;
    }
    /* A message of no bytes has no answer and no end: whoever sends it speaks something else. */
    bool garbage = connection->in_size >= PREFIX && message_at(connection, 0) == 0;
    if (connection->ended || garbage) {
        connection_close(worker, connection);
        return;
    }
    if (connection->in_size == 0) {
        free(connection->in);
        connection->in = NULL;
        connection->in_capacity = 0;
    }
    /* No input will be announced for what is decrypted already; room for output is. */
    bool more = connection->tls != NULL && tls_has_more(connection->tls);
    watch(worker, connection, more ? EPOLLOUT : EPOLLIN);
}

/* Makes room for at least the message that has begun. */
static bool reserve(struct tcp_connection *connection)
{
    if (connection->web) {
        return true;
    }
    size_t want = MAX(BUFFER_FIRST, PREFIX + message_at(connection, 0));
    if (want <= connection->in_capacity) {
        return true;
    }
    uint8_t *fresh = realloc(connection->in, want);
    if (fresh == NULL) {
        return false;
    }
    connection->in = fresh;
    connection->in_capacity = want;
    return true;
}

static void receive(struct worker *worker, struct tcp_connection *connection)
{
    if (!reserve(connection)) {
        connection_close(worker, connection);
        return;
    }
    uint32_t events = EPOLLIN;
    uint8_t *into = connection->web ? worker->tcp.scratch : connection->in + connection->in_size;
    size_t room =
        connection->web ? HTTPS_INPUT_MOST : connection->in_capacity - connection->in_size;
    ssize_t got = receive_bytes(connection, into, room, &events);
    note_handshake(worker, connection);
    if (got == -EAGAIN) {
        watch(worker, connection, events);
        return;
    }
    if (got < 0 || (connection->web && got > 0 && !take_web(connection, into, (size_t)got))) {
        connection_close(worker, connection);
        return;
    }
    connection->ended = got == 0;
    connection->in_size += connection->web ? 0 : (size_t)got;
    progress(worker, connection);
}

void tcp_serve(struct worker *worker, struct endpoint *endpoint, uint32_t events)
{
    struct tcp_connection *connection = CONTAINER_OF(endpoint, struct tcp_connection, endpoint);
    if (connection->endpoint.fd < 0 || connection->away) {
        return;
    }
    if (connection->draining) {
        drain(worker, connection);
    } else if (connection->out != NULL || connection->more || has_query(connection)) {
        progress(worker, connection);
    } else if (connection->tls != NULL || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        receive(worker, connection);
    }
}

void tcp_take_back(struct worker *worker)
{
    uint64_t count = 0;
    IGNORE_RESULT(read(worker->returned.fd, &count, sizeof count)); /* empty is fine */
    struct tcp_connection *connection =
        atomic_exchange_explicit(&worker->tcp.returned, NULL, memory_order_acquire);
    while (connection != NULL) {
        struct tcp_connection *next = connection->newer;
        connection->away = false;
        connection->active_ns = worker->now.ns;
        list_append(&worker->tcp, connection);
        if (connection->keep) {
            progress(worker, connection);
        } else {
            connection_close(worker, connection);
        }
        connection = next;
    }
}

int tcp_tick(struct worker *worker)
{
    struct tcp *tcp = &worker->tcp;
    while (tcp->oldest != NULL && worker->now.ns - tcp->oldest->active_ns >= tcp->idle_ns) {
        worker_count(&worker->counters.tcp_timeout, 1);
        take_leave(worker, tcp->oldest);
        connection_close(worker, tcp->oldest);
    }
    free_closed(tcp);
    int64_t wake = INT64_MAX;
    if (tcp->oldest != NULL) {
        wake = tcp->oldest->active_ns + tcp->idle_ns;
    }
    if (tcp->paused && worker->now.ns >= tcp->resume_ns) {
        tcp->paused = false;
        set_listeners(worker, EPOLLIN);
    }
    if (tcp->paused) {
        wake = MIN(wake, tcp->resume_ns);
    }
    if (wake == INT64_MAX) {
        return -1;
    }
    /* Rounded up, so that it is due when epoll returns. */
    int64_t wait = (wake - worker->now.ns + TIME_MS - 1) / TIME_MS;
    return (int)MIN(MAX(wait, 0), 60000);
}
