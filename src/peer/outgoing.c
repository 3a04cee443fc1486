/* The connection that this site makes to another one, and the frames that go out on it: see
 * internal.h. Peer thread. States: idle (until the next attempt), connecting, handshake, greeted,
 * open. Nothing is read from it but a byte of welcome, and the end. Invariant: at most one frame is
 * going out; what is to follow it is the newest table at that moment. */
#include "base/log.h"
#include "base/text.h"
#include "peer/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void outgoing_init(struct link *link, struct mono now)
{
    link->outgoing = (struct outgoing){
        .endpoint = {.kind = ENDPOINT_OUTGOING, .owner = link},
        .fd = -1,
        .deadline = now,
    };
}

static void set_reached(struct link *link, bool reached, const char *problem)
{
    (void)pthread_mutex_lock(&link->peer->mutex);
    link->reached = reached;
    IGNORE_RESULT(text_copy_n(link->problem, sizeof link->problem, problem,
                              strnlen(problem, sizeof link->problem - 1))); /* it fits, cut */
    (void)pthread_mutex_unlock(&link->peer->mutex);
}

/* Waits for what the state needs, and always for the end of the connection. */
static void watch_for(struct link *link, uint32_t events)
{
    struct outgoing *out = &link->outgoing;
    uint32_t wanted = events | EPOLLIN | EPOLLRDHUP;
    if (wanted != out->events &&
        peer_watch(link->peer, out->fd, wanted, &out->endpoint, false) == 0) {
        out->events = wanted;
    }
}

void outgoing_close(struct link *link)
{
    struct outgoing *out = &link->outgoing;
    channel_session_free(out->session);
    out->session = NULL;
    if (out->fd >= 0) {
        (void)close(out->fd); /* epoll forgets it */
        out->fd = -1;
    }
    table_unref(out->table);
    out->table = NULL;
    out->wanted = false;
}

/* The connection is no more, or never was: another attempt follows, with growing pauses. What is
 * said once is said again only when the reason is another one. */
static void give_up(struct link *link, struct mono now, const char *reason)
{
    struct outgoing *out = &link->outgoing;
    bool was_open = out->state == OUTGOING_OPEN;
    bool stood = was_open && mono_since(now, out->opened) >= RETRY_LAST_MS * TIME_MS;
    outgoing_close(link);
    out->state = OUTGOING_IDLE;
    out->retry_ms =
        stood || out->retry_ms == 0 ? RETRY_FIRST_MS : MIN(out->retry_ms * 2, RETRY_LAST_MS);
    out->deadline = peer_later(now, out->retry_ms);
    if (was_open) {
        PEER_ADD(link->peer, connections_lost);
    }
    if (was_open || strncmp(link->problem, reason, sizeof link->problem - 1) != 0) {
        log_warn("peer.not_reached", F("site", link->member.name), F("reason", reason),
                 F("next", "tries again"));
    }
    set_reached(link, false, reason);
}

/* ---- frames ---- */

static void fill_heard(const struct link *to, struct frame_header *header, struct mono now)
{
    const struct peer *peer = to->peer;
    size_t count = 0;
    for (size_t i = 0; i < peer->link_count; i++) {
        const struct link *link = peer->links[i];
        if (link->ever && count < MODEL_SITES_LIMIT) {
            int64_t age = mono_since(now, link->fresh) / TIME_MS;
            header->heard[count++] = (struct frame_heard){
                .site = link->hash, .age_ms = (uint32_t)MIN(MAX(age, 0), (int64_t)UINT32_MAX)};
        }
    }
}

static void begin_frame(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    struct peer *peer = link->peer;
    int64_t age = mono_since(now, peer->table->made) / TIME_MS;
    struct frame_header header = {
        .session = peer->session,
        .sequence = ++link->sequence,
        .echo_session = link->their_session,
        .echo_sequence = link->their_sequence,
        .table_age_ms = (uint32_t)MIN(MAX(age, 0), (int64_t)UINT32_MAX),
        .wall_ns = wall_now().ns,
    };
    fill_heard(link, &header, now);
    frame_write_header(&header, peer->table->size, out->header);
    link->sent[header.sequence % SENT_KEPT] =
        (struct sent_frame){.sequence = header.sequence, .at = now};
    out->table = peer->table;
    out->table->references++;
    out->at = 0;
    out->wanted = false;
    out->deadline = peer_patience(peer, now, STALL_MS);
}

/* Writes what the socket takes; -EAGAIN when the rest has to wait, 0 when the frame is out. */
static int write_frame(struct link *link, uint32_t *ret_events, struct err *err)
{
    struct outgoing *out = &link->outgoing;
    size_t whole = FRAME_HEADER + out->table->size;
    while (out->at < whole) {
        bool head = out->at < FRAME_HEADER;
        const uint8_t *data =
            head ? out->header + out->at : out->table->body + (out->at - FRAME_HEADER);
        size_t size = head ? FRAME_HEADER - out->at : whole - out->at;
        ssize_t sent = channel_write(out->session, data, size, ret_events, err);
        if (sent < 0) {
            return (int)sent;
        }
        out->at += (size_t)sent;
    }
    return 0;
}

static void write_frames(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    uint32_t events = 0;
    while (out->table != NULL) {
        struct err err = ERR_INIT;
        int rc = write_frame(link, &events, &err);
        if (rc == -EAGAIN) {
            break;
        }
        if (rc != 0) {
            give_up(link, now, err.message);
            return;
        }
        PEER_ADD(link->peer, tables_sent);
        table_unref(out->table);
        out->table = NULL;
        if (out->wanted) {
            begin_frame(link, now);
        }
    }
    watch_for(link, events);
}

void outgoing_send(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    if (out->state != OUTGOING_OPEN || link->peer->table == NULL) {
        return;
    }
    if (out->table != NULL) {
        if (out->wanted) {
            PEER_ADD(link->peer, tables_replaced);
        }
        out->wanted = true;
        return;
    }
    begin_frame(link, now);
    write_frames(link, now);
}

/* ---- states ---- */

static void open_up(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    out->state = OUTGOING_OPEN;
    out->opened = now;
    PEER_ADD(link->peer, connections_made);
    log_info("peer.reached", F("site", link->member.name));
    set_reached(link, true, "");
    outgoing_send(link, now);
}

/* With TLS 1.3 our side of the handshake is done before the other has looked at our certificate. */
static void read_welcome(struct link *link, struct mono now)
{
    struct err err = ERR_INIT;
    uint8_t byte = 0;
    uint32_t events = 0;
    ssize_t got = channel_read(link->outgoing.session, &byte, sizeof byte, &events, &err);
    if (got == 1 && byte == WELCOME) {
        open_up(link, now);
    } else if (got != -EAGAIN) {
        give_up(link, now, got < 0 ? err.message : "it does not know this site (yet)");
    }
}

static void shake_hands(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    struct err err = ERR_INIT;
    uint32_t events = 0;
    int rc = channel_handshake(out->session, &events, &err);
    if (rc == -EAGAIN) {
        watch_for(link, events);
        return;
    }
    if (rc != 0) {
        give_up(link, now, err.message);
        return;
    }
    if (channel_purpose_of(out->session) != CHANNEL_PEER ||
        !channel_is_member(out->session, link->member.name, link->member.fingerprint)) {
        give_up(link, now, "who answers there is another one, by its certificate");
        return;
    }
    out->state = OUTGOING_GREETED;
    watch_for(link, 0);
    read_welcome(link, now);
}

static void begin_handshake(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(out->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        struct err err = ERR_INIT;
        (void)err_set_errno(&err, error, "connecting");
        give_up(link, now, err.message);
        return;
    }
    out->session = channel_session_new(link->peer->tls, out->fd, true);
    if (out->session == NULL) {
        give_up(link, now, "out of memory");
        return;
    }
    out->state = OUTGOING_HANDSHAKE;
    shake_hands(link, now);
}

/* What is sent and not acknowledged for STALL_MS ends the connection. */
static void set_options(const struct peer *peer, int fd)
{
    const int on = 1;
    const unsigned timeout = (unsigned)(STALL_MS / peer->config.hurry);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* slower without */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
                     sizeof timeout); /* frames that do not go out end it too */
}

static void connect_out(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    const struct sockaddr_storage *address = &link->member.address;
    socklen_t size =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct err err = ERR_INIT;
    out->state = OUTGOING_CONNECTING;
    out->deadline = peer_patience(link->peer, now, HANDSHAKE_MS);
    out->events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    out->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out->fd < 0 ||
        (connect(out->fd, (const struct sockaddr *)address, size) != 0 && errno != EINPROGRESS)) {
        (void)err_set_errno(&err, errno, "connecting");
        give_up(link, now, err.message);
        return;
    }
    set_options(link->peer, out->fd);
    if (peer_watch(link->peer, out->fd, out->events, &out->endpoint, true) != 0) {
        give_up(link, now, "out of memory");
    }
}

/* Nothing is said on this connection by the other side: what can be read is its end, or the reason
 * why it refused the certificate. */
static void read_end(struct link *link, struct mono now)
{
    struct err err = ERR_INIT;
    uint8_t byte;
    uint32_t events = 0;
    ssize_t got = channel_read(link->outgoing.session, &byte, sizeof byte, &events, &err);
    if (got == -EAGAIN && events == EPOLLIN) {
        return;
    }
    give_up(link, now,
            got < 0    ? err.message
            : got == 0 ? "the other side closed the connection"
                       : "the other side sent what it must not");
}

void outgoing_event(struct link *link, uint32_t events, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    switch (out->state) {
    case OUTGOING_IDLE:
        break; /* closed earlier in this round */
    case OUTGOING_CONNECTING:
        begin_handshake(link, now);
        break;
    case OUTGOING_HANDSHAKE:
        shake_hands(link, now);
        break;
    case OUTGOING_GREETED:
        read_welcome(link, now);
        break;
    case OUTGOING_OPEN:
        if ((events & ~(uint32_t)EPOLLOUT) != 0) {
            read_end(link, now);
        }
        if (out->state == OUTGOING_OPEN && out->table != NULL) {
            write_frames(link, now);
        }
        break;
    }
}

struct mono outgoing_tick(struct link *link, struct mono now)
{
    struct outgoing *out = &link->outgoing;
    if (out->state == OUTGOING_OPEN && out->table == NULL) {
        return (struct mono){INT64_MAX};
    }
    if (out->deadline.ns > now.ns) {
        return out->deadline;
    }
    if (out->state == OUTGOING_IDLE) {
        connect_out(link, now);
    } else {
        give_up(link, now,
                out->state == OUTGOING_OPEN ? "it takes nothing any more" : "it does not answer");
    }
    return out->deadline;
}
