/* The client side of a transfer: see pull.h. A connection of its own for each, written and read
 * without blocking; while it waits it looks at `stop` every SLICE_MS. Every message is verified
 * (RFC 8945 section 5.3.1) before it is believed; the last one has to be signed. */
#include "secondary/pull.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/time.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLICE_MS 100
#define PREFIX 2U
#define MESSAGE_MOST 65535U
#define QUERY_ROOM 1024U

struct connection {
    const struct pull *pull;
    struct err *err;
    struct mono begun;
    int fd;
};

static void connection_close(struct connection *connection)
{
    if (connection->fd >= 0) {
        (void)close(connection->fd); /* nothing is waiting to be written */
    }
}

/* ERR_CANCELLED, ERR_TIMEOUT when there is no time left for this transfer. */
static int may_go_on(const struct connection *connection)
{
    if (atomic_load(connection->pull->stop)) {
        return err_set(connection->err, ERR_CANCELLED, "the transfer was cut");
    }
    if (mono_since(mono_now(), connection->begun) > PULL_WHOLE_S * TIME_S) {
        return err_set(connection->err, ERR_TIMEOUT, "the transfer takes longer than %d s",
                       PULL_WHOLE_S);
    }
    return 0;
}

/* Until the socket is ready; counts from now. */
static int wait_for(const struct connection *connection, short events)
{
    const struct pull *pull = connection->pull;
    struct mono begun = mono_now();
    for (;;) {
        int rc = may_go_on(connection);
        if (rc != 0) {
            return rc;
        }
        struct pollfd poller = {.fd = connection->fd, .events = events};
        int ready = poll(&poller, 1, SLICE_MS);
        if (ready > 0) {
            return 0;
        }
        if (ready < 0 && errno != EINTR) {
            return err_set_errno(connection->err, errno, "waiting for the primary");
        }
        if (mono_since(mono_now(), begun) > (int64_t)pull->timeout_ms * TIME_MS) {
            return err_set(connection->err, ERR_TIMEOUT, "the primary said nothing for %u ms",
                           pull->timeout_ms);
        }
    }
}

static int open_connection(struct connection *connection)
{
    const struct sockaddr_storage *primary = connection->pull->primary;
    socklen_t size =
        primary->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    connection->fd =
        socket(primary->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (connection->fd < 0) {
        return err_set_errno(connection->err, errno, "making a socket");
    }
    if (connect(connection->fd, (const struct sockaddr *)primary, size) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return err_set_errno(connection->err, errno, "connecting to the primary");
    }
    int rc = wait_for(connection, POLLOUT);
    int problem = 0;
    socklen_t problem_size = sizeof problem;
    if (rc == 0 && getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &problem, &problem_size) != 0) {
        problem = errno;
    }
    if (rc == 0 && problem != 0) {
        rc = err_set_errno(connection->err, problem, "connecting to the primary");
    }
    return rc;
}

static int send_all(const struct connection *connection, const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t sent = send(connection->fd, data + at, size - at, MSG_NOSIGNAL);
        if (sent > 0) {
            at += (size_t)sent;
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return err_set_errno(connection->err, errno, "asking the primary");
        }
        int rc = wait_for(connection, POLLOUT);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int receive_all(const struct connection *connection, uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t received = recv(connection->fd, data + at, size - at, 0);
        if (received > 0) {
            at += (size_t)received;
            continue;
        }
        if (received == 0) {
            return err_set(connection->err, ERR_UNAVAILABLE,
                           "the primary closed the connection before the transfer's end");
        }
        if (errno != EAGAIN && errno != EINTR) {
            return err_set_errno(connection->err, errno, "reading from the primary");
        }
        int rc = wait_for(connection, POLLIN);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the query ---- */

static void put_soa(struct bytes_writer *out, const uint8_t *name, size_t length, uint32_t serial)
{
    bytes_put(out, name, length);
    bytes_put_u16(out, RR_SOA);
    bytes_put_u16(out, CLASS_IN);
    bytes_put_u32(out, 0);
    bytes_put_u16(out, 2 + 5 * 4);
    bytes_put_u16(out, 0); /* two root names */
    bytes_put_u32(out, serial);
    for (unsigned i = 0; i < 4; i++) {
        bytes_put_u32(out, 0);
    }
}

/* RFC 5936 section 2.1, RFC 1995 section 3. Returns its length, 0 when it does not fit. */
static size_t write_query(const struct pull *pull, uint16_t id, uint8_t *packet, size_t size)
{
    uint8_t name[NAME_WIRE_LIMIT];
    int length = name_from_text(pull->zone, true, name);
    struct bytes_writer out = bytes_writer(packet, size);
    if (length < 0) {
        return 0;
    }
    bytes_put_u16(&out, id);
    bytes_put_u16(&out, 0);
    bytes_put_u16(&out, 1);
    bytes_put_u16(&out, 0);
    bytes_put_u16(&out, pull->incremental ? 1 : 0);
    bytes_put_u16(&out, 0);
    bytes_put(&out, name, (size_t)length);
    bytes_put_u16(&out, pull->incremental ? RR_IXFR : RR_AXFR);
    bytes_put_u16(&out, CLASS_IN);
    if (pull->incremental) {
        put_soa(&out, name, (size_t)length, *pull->serial);
    }
    return out.failed ? 0 : out.at;
}

static int ask(const struct connection *connection, struct tsig_signer *signer, uint16_t id)
{
    uint8_t query[PREFIX + QUERY_ROOM];
    size_t length = write_query(connection->pull, id, query + PREFIX, QUERY_ROOM);
    if (length != 0 && signer != NULL) {
        length = tsig_sign(signer, query + PREFIX, length, QUERY_ROOM, wall_now().ns / TIME_S);
    }
    if (length == 0) {
        return err_set(connection->err, ERR_INTERNAL, "the query for %s cannot be written",
                       connection->pull->zone);
    }
    query[0] = (uint8_t)(length >> 8U);
    query[1] = (uint8_t)length;
    return send_all(connection, query, PREFIX + length);
}

/* ---- the response ---- */

static int verify(struct tsig_stream *stream, const uint8_t *message, size_t size, struct err *err)
{
    uint16_t theirs = 0;
    if (tsig_stream_take(stream, message, size, wall_now().ns / TIME_S, &theirs) != 0) {
        unsigned rcode = size >= MESSAGE_HEADER_SIZE ? message[3] & 15U : 0;
        return err_set(err, ERR_DENIED,
                       "the primary's answer is not signed by the key%s (its RCODE: %u)",
                       theirs == TSIG_BADTIME  ? ": the clocks differ"
                       : theirs == TSIG_BADKEY ? ": it doesn't know the key"
                       : theirs == TSIG_BADSIG ? ": it has another secret for it"
                                               : "",
                       rcode);
    }
    return 0;
}

static int receive(const struct connection *connection, struct tsig_stream *stream, uint16_t id,
                   struct incoming *incoming, uint8_t *message)
{
    bool done = false;
    int rc = 0;
    while (rc == 0 && !done) {
        uint8_t prefix[PREFIX] = {0};
        rc = may_go_on(connection); /* one that always has more never waits */
        rc = rc != 0 ? rc : receive_all(connection, prefix, sizeof prefix);
        size_t size = (size_t)prefix[0] << 8U | prefix[1];
        if (rc == 0) {
            rc = receive_all(connection, message, size);
        }
        if (rc == 0 && stream != NULL) {
            rc = verify(stream, message, size, connection->err);
        }
        if (rc == 0) {
            rc = incoming_take(incoming, message, size, id, &done, connection->err);
        }
    }
    if (rc == 0 && stream != NULL && !tsig_stream_verified(stream)) {
        rc = err_set(connection->err, ERR_DENIED, "the end of the primary's answer is not signed");
    }
    return rc;
}

static int exchange(const struct connection *connection, struct tsig_signer *signer,
                    struct incoming *incoming)
{
    uint16_t id = 0;
    random_bytes(&id, sizeof id);
    int rc = ask(connection, signer, id);
    if (rc != 0) {
        return rc;
    }
    uint8_t *message = memory_array(MESSAGE_MOST, 1);
    struct tsig_stream *stream = signer != NULL ? tsig_stream_new(signer) : NULL;
    rc = receive(connection, stream, id, incoming, message);
    tsig_stream_free(stream);
    free(message);
    return rc;
}

int pull_zone(const struct pull *pull, struct arena *arena, struct incoming **ret_incoming,
              struct err *err)
{
    struct connection connection CLEANUP(connection_close) = {
        .pull = pull, .err = err, .begun = mono_now(), .fd = -1};
    struct incoming *incoming = NULL;
    struct tsig_signer signer;
    int rc = incoming_new(pull->zone, pull->serial, pull->incremental, arena, &incoming, err);
    rc = rc != 0 ? rc : open_connection(&connection);
    if (rc == 0 && pull->key != NULL) {
        tsig_signer_init(&signer, pull->key);
        rc = exchange(&connection, &signer, incoming);
        tsig_signer_done(&signer);
    } else if (rc == 0) {
        rc = exchange(&connection, NULL, incoming);
    }
    if (rc != 0) {
        incoming_free(incoming);
        return rc;
    }
    *ret_incoming = incoming;
    return 0;
}
