/* Tests of the server with real sockets on loopback. Answers come from a small function in here,
 * in place of dns/answer: it sends the query back as its own response, or what the first byte of
 * the question asks for. */
#include "dns/server/server.h"

#include "base/time.h"
#include "dns/answer/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 120000
#define RETRY_MS 500
#define BATCH 64U /* of the server */
#define FLOOD 192U
#define IDLE_MS 200
#define HEADER 12U
#define MESSAGE 32U
#define BIG 60000U

enum want {
    WANT_ECHO = 'e',
    WANT_TRUNCATED = 't', /* TC over UDP, itself over TCP */
    WANT_BIG = 'b',       /* BIG bytes over TCP */
    WANT_NOTHING = 'n',
    WANT_PROCESSOR = 'p', /* where it was answered, in the last byte */
};

/* No transfers here: answer_query never asks for one. */
bool transfer_submit(struct transfer *transfer, struct transfer_loan *loan, const uint8_t *query,
                     size_t length)
{
    (void)transfer;
    (void)loan;
    (void)query;
    (void)length;
    return false;
}

size_t answer_query(struct answer_context *context, const uint8_t *query, size_t length,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    (void)context;
    bool internet = source->sa_family == AF_INET || source->sa_family == AF_INET6;
    if (!internet || length < HEADER || length > size || (query[2] & 0x80) != 0) {
        return 0;
    }
    (void)memcpy(out, query, length);
    out[2] |= 0x80;
    switch (length > HEADER ? query[HEADER] : 0) {
    case WANT_TRUNCATED:
        out[2] = (uint8_t)(out[2] | (tcp ? 0 : 0x02));
        return tcp ? length : HEADER;
    case WANT_BIG:
        if (tcp) {
            (void)memset(out + length, 'x', BIG - length);
        }
        return tcp ? BIG : length;
    case WANT_NOTHING:
        return 0;
    case WANT_PROCESSOR:
        out[length - 1] = (uint8_t)sched_getcpu();
        return length;
    default:
        return length;
    }
}

void answer_look_up(struct answer_context *context, struct answer_lookup *lookups, size_t count)
{
    (void)context;
    assert_in_range(count, 1, ANSWER_GROUP);
    (void)lookups;
}

size_t answer_write(struct answer_context *context, struct answer_lookup *lookup,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    return answer_query(context, lookup->packet, lookup->length, source, tcp, out, size);
}

/* ---- the server under test ---- */

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    return address;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static struct dns_server_config config_of(const struct sockaddr_storage *address)
{
    return (struct dns_server_config){
        .addresses = address,
        .address_count = 1,
        .workers = 2,
        .udp_limit = 1232,
        .tcp_connections = 2000,
        .tcp_per_source = 2000,
        .tcp_idle_ms = 10000,
    };
}

static struct dns_server *start(const struct dns_server_config *config)
{
    struct dns_server *server = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(dns_server_start(config, &server, &err), 0);
    return server;
}

static struct dns_server *start_plain(void)
{
    struct sockaddr_storage address = address_of("127.0.0.1", 0);
    struct dns_server_config config = config_of(&address);
    return start(&config);
}

static struct dns_counters counters_of(const struct dns_server *server)
{
    struct dns_counters counters;
    dns_server_counters(server, &counters);
    return counters;
}

/* ---- clients ---- */

static int dial_to(int type, const struct sockaddr_storage *address)
{
    int fd = socket(address->ss_family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t size =
        address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, size), 0);
    return fd;
}

static int dial(int type, const struct dns_server *server)
{
    return dial_to(type, dns_server_address(server, 0));
}

static void make_query(uint8_t query[MESSAGE], uint16_t id, enum want want)
{
    (void)memset(query, 0, MESSAGE);
    query[0] = (uint8_t)(id >> 8U);
    query[1] = (uint8_t)id;
    query[HEADER] = (uint8_t)want;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, timeout_ms) == 1;
}

/* Reads exactly size bytes; false when the connection ended before. */
static bool read_all(int fd, uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        assert_true(readable(fd, PATIENCE_MS));
        ssize_t got = recv(fd, data + at, size - at, 0);
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

static void send_all(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static size_t framed(uint8_t *out, uint16_t id, enum want want)
{
    out[0] = 0;
    out[1] = MESSAGE;
    make_query(out + 2, id, want);
    return 2 + MESSAGE;
}

/* Reads one answer; false when the connection ended. */
static bool read_answer(int fd, uint16_t id, size_t size)
{
    static uint8_t answer[2 + 65535];
    if (!read_all(fd, answer, 2)) {
        return false;
    }
    assert_int_equal(answer[0] << 8 | answer[1], size);
    assert_true(read_all(fd, answer + 2, size));
    assert_int_equal(answer[2] << 8 | answer[3], id);
    assert_int_equal(answer[4] & 0x80, 0x80);
    return true;
}

static bool ask_tcp(int fd, uint16_t id)
{
    uint8_t query[2 + MESSAGE];
    size_t size = framed(query, id, WANT_ECHO);
    return send(fd, query, size, MSG_NOSIGNAL) == (ssize_t)size && read_answer(fd, id, MESSAGE);
}

/* Asks until answered: a datagram may be lost while the queue is full. */
static void ask_udp(int fd, uint16_t id, enum want want, uint8_t answer[MESSAGE], size_t size)
{
    uint8_t query[MESSAGE];
    make_query(query, id, want);
    for (int tries = 0; tries < 20; tries++) {
        send_all(fd, query, sizeof query);
        while (readable(fd, RETRY_MS)) {
            ssize_t got = recv(fd, answer, MESSAGE, 0);
            if (got == (ssize_t)size && answer[0] == query[0] && answer[1] == query[1]) {
                return;
            }
        }
    }
    fail_msg("no answer over UDP");
}

/* Whether the peer closes within the time. */
static bool closes(int fd, int timeout_ms)
{
    uint8_t byte;
    return readable(fd, timeout_ms) && recv(fd, &byte, 1, 0) <= 0;
}

static int64_t since_ms(struct mono then)
{
    return mono_since(mono_now(), then) / TIME_MS;
}

/* ---- tests ---- */

static void udp_queries_are_answered_in_batches(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    const uint16_t each = 100;
    struct dns_server *server = start_plain();
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = dial(SOCK_DGRAM, server);
    }
    for (uint16_t id = 0; id < each; id++) {
        for (int i = 0; i < CLIENTS; i++) {
            uint8_t query[MESSAGE];
            make_query(query, id, WANT_ECHO);
            query[20] = (uint8_t)i;
            send_all(fds[i], query, sizeof query);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        for (uint16_t id = 0; id < each; id++) {
            uint8_t answer[MESSAGE + 1];
            assert_true(readable(fds[i], PATIENCE_MS));
            assert_int_equal(recv(fds[i], answer, sizeof answer, 0), MESSAGE);
            assert_int_equal(answer[0] << 8 | answer[1], id);
            assert_int_equal(answer[20], i);
        }
        (void)close(fds[i]);
    }
    struct dns_counters counters = counters_of(server);
    assert_int_equal(counters.queries_udp, CLIENTS * each);
    assert_int_equal(counters.responses, CLIENTS * each);
    assert_int_equal(counters.dropped, 0);
    dns_server_stop(server);
}

static void answers_come_from_the_address_that_was_asked(void **state)
{
    (void)state;
    static const char *const asked[][2] = {
        {"0.0.0.0", "127.0.0.1"}, {"0.0.0.0", "127.1.2.3"}, {"::", "::1"}};
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        struct sockaddr_storage any = address_of(asked[i][0], 0);
        struct dns_server_config config = config_of(&any);
        struct dns_server *server = NULL;
        struct err err = ERR_INIT;
        if (dns_server_start(&config, &server, &err) != 0) {
            assert_string_equal(asked[i][0], "::"); /* a machine without IPv6 */
            continue;
        }
        uint16_t port = port_of(dns_server_address(server, 0));
        struct sockaddr_storage address = address_of(asked[i][1], port);
        int fd = dial_to(SOCK_DGRAM, &address); /* takes datagrams from that address only */
        uint8_t answer[MESSAGE];
        ask_udp(fd, 7, WANT_ECHO, answer, MESSAGE);
        (void)close(fd);
        fd = dial_to(SOCK_STREAM, &address);
        assert_true(ask_tcp(fd, 8));
        (void)close(fd);
        dns_server_stop(server);
    }
}

static void truncated_answers_are_whole_over_tcp(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    uint8_t answer[MESSAGE];
    int fd = dial(SOCK_DGRAM, server);
    ask_udp(fd, 9, WANT_TRUNCATED, answer, HEADER);
    assert_int_equal(answer[2] & 0x02, 0x02);
    (void)close(fd);
    fd = dial(SOCK_STREAM, server);
    uint8_t query[2 + MESSAGE];
    send_all(fd, query, framed(query, 9, WANT_TRUNCATED));
    assert_true(read_answer(fd, 9, MESSAGE));
    (void)close(fd);
    assert_int_equal(counters_of(server).truncated, 1);
    dns_server_stop(server);
}

static void pipelined_queries_may_be_split_anywhere(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    uint8_t stream[4 * (2 + MESSAGE)];
    size_t size = 0;
    for (uint16_t id = 0; id < 4; id++) {
        size += framed(stream + size, id, id == 2 ? WANT_NOTHING : WANT_ECHO);
    }
    int fd = dial(SOCK_STREAM, server);
    for (size_t split = 0; split <= size; split++) {
        if (split != 0) {
            send_all(fd, stream, split);
        }
        if (split != size) {
            send_all(fd, stream + split, size - split);
        }
        assert_true(read_answer(fd, 0, MESSAGE));
        assert_true(read_answer(fd, 1, MESSAGE));
        assert_true(read_answer(fd, 3, MESSAGE));
    }
    /* Byte by byte. */
    for (size_t i = 0; i < size; i++) {
        send_all(fd, stream + i, 1);
    }
    assert_true(read_answer(fd, 0, MESSAGE));
    assert_true(read_answer(fd, 1, MESSAGE));
    assert_true(read_answer(fd, 3, MESSAGE));
    (void)close(fd);
    struct dns_counters counters = counters_of(server);
    assert_int_equal(counters.queries_tcp, 4 * (size + 2));
    assert_int_equal(counters.tcp_accepted, 1);
    dns_server_stop(server);
}

static void messages_of_every_size_are_taken(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    int fd = dial(SOCK_STREAM, server);
    static uint8_t query[2 + 65535];
    static const size_t sizes[] = {12, 13, 1022, 1023, 1024, 1025, 4096, 65534, 65535};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        query[0] = (uint8_t)(sizes[i] >> 8U);
        query[1] = (uint8_t)sizes[i];
        query[2] = 1;
        query[3] = (uint8_t)i;
        send_all(fd, query, 2 + sizes[i]);
        assert_true(read_answer(fd, (uint16_t)(256 + i), sizes[i]));
    }
    (void)close(fd);
    dns_server_stop(server);
}

static void a_client_that_reads_slowly_gets_everything(void **state)
{
    (void)state;
    const uint16_t count = 200; /* 12 MB: more than the sockets buffer */
    struct dns_server *server = start_plain();
    int slow = dial(SOCK_STREAM, server);
    uint8_t query[2 + MESSAGE];
    for (uint16_t id = 0; id < count; id++) {
        send_all(slow, query, framed(query, id, WANT_BIG));
    }
    /* Meanwhile others are served. */
    int fd = dial(SOCK_STREAM, server);
    assert_true(ask_tcp(fd, 1));
    (void)close(fd);
    for (uint16_t id = 0; id < count; id++) {
        assert_true(read_answer(slow, id, BIG));
    }
    assert_true(ask_tcp(slow, 77));
    (void)close(slow);
    dns_server_stop(server);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    for (int big = 0; big <= 1; big++) {
        int fd = dial(SOCK_STREAM, server);
        uint8_t query[2 + MESSAGE];
        for (uint16_t id = 0; id < 50; id++) {
            send_all(fd, query, framed(query, id, big != 0 ? WANT_BIG : WANT_ECHO));
        }
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        for (uint16_t id = 0; id < 50; id++) {
            assert_true(read_answer(fd, id, big != 0 ? BIG : MESSAGE));
        }
        assert_true(closes(fd, PATIENCE_MS));
        (void)close(fd);
    }
    dns_server_stop(server);
}

static void a_message_of_no_bytes_ends_the_connection(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    int fd = dial(SOCK_STREAM, server);
    send_all(fd, "\0\0", 2);
    assert_true(closes(fd, PATIENCE_MS));
    (void)close(fd);
    dns_server_stop(server);
}

static void silent_and_dripping_connections_are_closed(void **state)
{
    (void)state;
    struct sockaddr_storage address = address_of("127.0.0.1", 0);
    struct dns_server_config config = config_of(&address);
    config.tcp_idle_ms = 2500; /* a query in this time keeps a connection on any machine */
    struct dns_server *server = start(&config);
    struct mono begun = mono_now();
    int silent = dial(SOCK_STREAM, server);
    assert_true(closes(silent, PATIENCE_MS));
    assert_in_range(since_ms(begun), 2495, PATIENCE_MS);
    (void)close(silent);

    /* Bytes alone do not keep a connection open; whole queries do. */
    begun = mono_now();
    int drips = dial(SOCK_STREAM, server);
    int asks = dial(SOCK_STREAM, server);
    bool closed = false;
    while (!closed && since_ms(begun) < PATIENCE_MS) {
        (void)send(drips, "\1", 1, MSG_NOSIGNAL); /* fails at the end */
        assert_true(ask_tcp(asks, 3));
        closed = closes(drips, 50);
    }
    assert_true(closed);
    assert_in_range(since_ms(begun), 2495, PATIENCE_MS);
    assert_true(ask_tcp(asks, 4));
    (void)close(drips);
    (void)close(asks);
    assert_int_equal(counters_of(server).tcp_timeout, 2);
    dns_server_stop(server);
}

/* limit connections are open and young; one more is refused, until the oldest is idle enough to
 * make room. */
static void check_limit(const struct dns_server_config *config, size_t limit)
{
    struct dns_server *server = start(config);
    int fds[16];
    struct mono begun = mono_now();
    for (size_t i = 0; i < limit; i++) {
        fds[i] = dial(SOCK_STREAM, server);
        assert_true(ask_tcp(fds[i], (uint16_t)i));
    }
    int further = -1;
    bool answered = false;
    while (!answered && since_ms(begun) < PATIENCE_MS) {
        further = dial(SOCK_STREAM, server);
        answered = ask_tcp(further, 99);
        (void)close(further);
        (void)readable(fds[limit - 1], 20); /* only waits */
    }
    assert_true(answered);
    assert_in_range(since_ms(begun), 495, PATIENCE_MS);
    assert_true(closes(fds[0], PATIENCE_MS));
    assert_true(ask_tcp(fds[limit - 1], 100));
    for (size_t i = 0; i < limit; i++) {
        (void)close(fds[i]);
    }
    assert_true(counters_of(server).tcp_refused >= 1);
    dns_server_stop(server);
}

static void connections_are_bounded_in_all_and_by_source(void **state)
{
    (void)state;
    struct sockaddr_storage address = address_of("127.0.0.1", 0);
    struct dns_server_config config = config_of(&address);
    config.workers = 1;
    config.tcp_connections = 5;
    check_limit(&config, 5);
    config.tcp_connections = 100;
    config.tcp_per_source = 3;
    check_limit(&config, 3);
}

static void garbage_does_not_keep_good_queries_from_being_answered(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    int fd = dial(SOCK_DGRAM, server);
    int good = dial(SOCK_DGRAM, server);
    struct random random;
    random_init(&random, 1);
    static uint8_t packet[4096];
    for (unsigned i = 0; i < 10000; i++) {
        size_t size = random_below(&random, i % 10 == 0 ? sizeof packet : 64);
        for (size_t at = 0; at < size; at += 8) {
            uint64_t word = random_next(&random);
            (void)memcpy(packet + at, &word, 8);
        }
        (void)send(fd, packet, size, MSG_DONTWAIT); /* may find the queue full */
        if (i % 1000 == 999) {
            uint8_t answer[MESSAGE];
            ask_udp(good, (uint16_t)i, WANT_ECHO, answer, MESSAGE);
        }
    }
    assert_true(counters_of(server).dropped > 1000);
    (void)close(fd);
    (void)close(good);
    dns_server_stop(server);
}

static void hundreds_of_stuck_connections_disturb_nobody(void **state)
{
    (void)state;
    enum { STUCK = 400 };
    struct dns_server *server = start_plain();
    int fds[STUCK];
    uint8_t query[2 + MESSAGE];
    for (int i = 0; i < STUCK; i++) {
        fds[i] = dial(SOCK_STREAM, server);
        switch (i % 4) {
        case 0: /* says nothing */
            break;
        case 1: /* half a prefix */
            send_all(fds[i], "\0", 1);
            break;
        case 2: /* asks for much and reads nothing */
            for (uint16_t id = 0; id < 100; id++) {
                send_all(fds[i], query, framed(query, id, WANT_BIG));
            }
            break;
        default: /* half a query, then no more */
            send_all(fds[i], query, framed(query, 1, WANT_ECHO) / 2);
            (void)shutdown(fds[i], SHUT_WR);
            break;
        }
    }
    struct mono begun = mono_now();
    int udp = dial(SOCK_DGRAM, server);
    for (uint16_t id = 0; id < 100; id++) {
        uint8_t answer[MESSAGE];
        ask_udp(udp, id, WANT_ECHO, answer, MESSAGE);
        int fd = dial(SOCK_STREAM, server);
        assert_true(ask_tcp(fd, id));
        (void)close(fd);
    }
    assert_in_range(since_ms(begun), 0, PATIENCE_MS);
    (void)close(udp);
    begun = mono_now();
    dns_server_stop(server);
    assert_in_range(since_ms(begun), 0, PATIENCE_MS);
    for (int i = 0; i < STUCK; i++) {
        (void)close(fds[i]);
    }
}

static void running_out_of_descriptors_is_survived(void **state)
{
    (void)state;
    struct sockaddr_storage any = address_of("127.0.0.1", 0);
    struct dns_server_config config = config_of(&any);
    config.workers = 1; /* another one could take what this one gives up for a moment */
    struct dns_server *server = start(&config);
    int fds[8];
    int top = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        top = MAX(top, fds[i]);
    }
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = (rlim_t)top + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    const struct sockaddr *address = (const struct sockaddr *)dns_server_address(server, 0);
    bool closed = true;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        assert_int_equal(connect(fds[i], address, sizeof(struct sockaddr_in)), 0);
        closed = closed && closes(fds[i], PATIENCE_MS);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(closed);
    int fd = dial(SOCK_STREAM, server);
    assert_true(ask_tcp(fd, 5));
    (void)close(fd);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        (void)close(fds[i]);
    }
    dns_server_stop(server);
}

static void a_port_in_use_is_refused_by_name(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    struct sockaddr_storage address = *dns_server_address(server, 0);
    struct dns_server_config config = config_of(&address);
    struct dns_server *second = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(dns_server_start(&config, &second, &err), -EADDRINUSE);
    char want[64];
    (void)snprintf(want, sizeof want, "listening on 127.0.0.1:%u", (unsigned)port_of(&address));
    assert_non_null(strstr(err.message, want));
    assert_null(second);
    dns_server_stop(server);
    /* And free again, though connections were in TIME_WAIT. */
    server = start(&config);
    dns_server_stop(server);
    dns_server_stop(NULL);
}

static void several_addresses_and_workers_share_the_load(void **state)
{
    (void)state;
    struct sockaddr_storage addresses[2] = {address_of("127.0.0.1", 0), address_of("127.0.0.2", 0)};
    struct dns_server_config config = config_of(addresses);
    config.address_count = 2;
    config.workers = 4;
    config.pin_workers = true;
    struct dns_server *server = start(&config);
    for (size_t i = 0; i < 64; i++) {
        const struct sockaddr_storage *address = dns_server_address(server, i % 2);
        assert_int_not_equal(port_of(address), 0);
        int fd = dial_to(SOCK_DGRAM, address);
        uint8_t answer[MESSAGE];
        ask_udp(fd, (uint16_t)i, WANT_ECHO, answer, MESSAGE);
        (void)close(fd);
        fd = dial_to(SOCK_STREAM, address);
        assert_true(ask_tcp(fd, (uint16_t)i));
        (void)close(fd);
    }
    dns_server_stop(server);
}

static int64_t processor_ns(void)
{
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return used.tv_sec * TIME_S + used.tv_nsec;
}

/* Full batches: each is one segmented datagram, whose parts arrive together. */
static void a_flood_is_answered_and_leaves_the_worker_as_it_was(void **state)
{
    (void)state;
    struct dns_server *server = start_plain();
    int fd = dial_to(SOCK_DGRAM, dns_server_address(server, 0));
    int tcp = dial_to(SOCK_STREAM, dns_server_address(server, 0));
    uint8_t answer[MESSAGE];
    for (unsigned flood = 0; flood < 3; flood++) {
        unsigned answered = 0;
        uint8_t queries[BATCH * MESSAGE];
        for (uint16_t id = 0; id < BATCH; id++) {
            make_query(queries + (size_t)id * MESSAGE, id, WANT_ECHO);
        }
        int size = MESSAGE;
        assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size), 0);
        for (unsigned i = 0; i < FLOOD / BATCH; i++) {
            send_all(fd, queries, sizeof queries);
        }
        size = 0; /* each by itself again */
        assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size), 0);
        assert_true(ask_tcp(tcp, 1)); /* connections have their turn meanwhile */
        while (answered < FLOOD && readable(fd, PATIENCE_MS)) {
            answered += recv(fd, answer, MESSAGE, 0) == MESSAGE;
        }
        assert_int_equal(answered, FLOOD);
        int64_t before = processor_ns();
        (void)poll(NULL, 0, IDLE_MS);
        assert_true(processor_ns() - before <
                    IDLE_MS * TIME_MS / 2); /* it waits, it does not spin */
        ask_udp(fd, 7, WANT_ECHO, answer, MESSAGE);
    }
    (void)close(fd);
    (void)close(tcp);
    dns_server_stop(server);
}

static void go_to(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

/* From many ports, so that by addresses and ports alone either worker could have been chosen;
 * counts the answers of each worker, where `processors` are. */
static void ask_from(const struct dns_server *server, const int *processors, unsigned *answered)
{
    for (uint16_t id = 0; id < 64; id++) {
        uint8_t answer[MESSAGE];
        int fd = dial_to(SOCK_DGRAM, dns_server_address(server, id % 2));
        ask_udp(fd, id, WANT_PROCESSOR, answer, MESSAGE);
        (void)close(fd);
        answered[answer[MESSAGE - 1] == processors[0] ? 0 : 1]++;
    }
}

static void pinned_workers_answer_what_their_processors_receive(void **state)
{
    (void)state;
    cpu_set_t all;
    int processors[2];
    int count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int i = 0; i < 255 && count < 2; i++) {
        if (CPU_ISSET((size_t)i, &all)) {
            processors[count++] = i;
        }
    }
    if (count < 2) {
        skip();
    }
    struct sockaddr_storage addresses[2] = {address_of("127.0.0.1", 0), address_of("0.0.0.0", 0)};
    struct dns_server_config config = config_of(addresses);
    config.address_count = 2;
    config.pin_workers = true;
    struct dns_server *server = start(&config);
    for (int turn = 0; turn < 2; turn++) {
        unsigned answered[2] = {0, 0};
        go_to(processors[turn]);
        ask_from(server, processors, answered);
        assert_int_equal(answered[turn], 64); /* it receives what it sends over loopback */
    }
    dns_server_stop(server);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_queries_are_answered_in_batches),
        cmocka_unit_test(answers_come_from_the_address_that_was_asked),
        cmocka_unit_test(truncated_answers_are_whole_over_tcp),
        cmocka_unit_test(pipelined_queries_may_be_split_anywhere),
        cmocka_unit_test(messages_of_every_size_are_taken),
        cmocka_unit_test(a_client_that_reads_slowly_gets_everything),
        cmocka_unit_test(a_half_closed_client_gets_its_answers),
        cmocka_unit_test(a_message_of_no_bytes_ends_the_connection),
        cmocka_unit_test(silent_and_dripping_connections_are_closed),
        cmocka_unit_test(connections_are_bounded_in_all_and_by_source),
        cmocka_unit_test(garbage_does_not_keep_good_queries_from_being_answered),
        cmocka_unit_test(hundreds_of_stuck_connections_disturb_nobody),
        cmocka_unit_test(running_out_of_descriptors_is_survived),
        cmocka_unit_test(a_port_in_use_is_refused_by_name),
        cmocka_unit_test(several_addresses_and_workers_share_the_load),
        cmocka_unit_test(a_flood_is_answered_and_leaves_the_worker_as_it_was),
        cmocka_unit_test(pinned_workers_answer_what_their_processors_receive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
