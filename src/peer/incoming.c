/* Connections that come from other sites, and the frames on them: see internal.h. Peer thread. Who
 * it is is known after the handshake, by the certificate.
 *
 * Of each site one connection counts, the newest: it takes the place of the one before with its
 * first frame. Two processes that call themselves the same site (a copied machine) do not take
 * turns: the one that was heard first later is heard alone, until it has been silent for long.
 * Invariant: nothing is allocated for a frame before a member sent its start and that was within
 * limits. */
#include "base/log.h"
#include "base/secret.h"
#include "peer/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_A_ROUND ((size_t)1 << 20U)

void incoming_close(struct incoming *incoming)
{
    channel_session_free(incoming->session);
    incoming->session = NULL;
    if (incoming->fd >= 0) {
        (void)close(incoming->fd); /* epoll forgets it */
        incoming->fd = -1;
    }
    struct link *link = incoming->link;
    if (link != NULL) {
        link->incoming = link->incoming != incoming ? link->incoming : NULL;
        link->candidate = link->candidate != incoming ? link->candidate : NULL;
        incoming->link = NULL;
    }
}

void incoming_sweep(struct peer *peer)
{
    struct incoming **at = &peer->incoming;
    while (*at != NULL) {
        struct incoming *incoming = *at;
        if (incoming->fd >= 0) {
            at = &incoming->next;
            continue;
        }
        *at = incoming->next;
        if (incoming->asks && incoming->frame != NULL) {
            secret_wipe_memory(incoming->frame, incoming->size);
        }
        free(incoming->frame);
        free(incoming);
    }
}

static struct peer *peer_of(const struct incoming *incoming)
{
    return incoming->endpoint.owner;
}

static void lose(struct incoming *incoming, const char *reason)
{
    if (incoming->link != NULL) {
        log_warn("peer.connection_lost", F("site", incoming->link->member.name),
                 F("reason", reason), F("next", "waits for it to come back"));
        PEER_ADD(peer_of(incoming), connections_lost);
    }
    incoming_close(incoming);
}

void incoming_refuse(struct incoming *incoming, const char *reason)
{
    static struct log_limit limit;
    struct peer *peer = peer_of(incoming);
    PEER_ADD(peer, connections_refused);
    if (log_limit_allows(&limit, 1)) {
        log_warn("peer.refused",
                 F("site", incoming->link != NULL ? incoming->link->member.name : ""),
                 F("reason", reason));
    }
    incoming_close(incoming);
}

void incoming_watch(struct incoming *incoming, uint32_t events)
{
    if (events != incoming->events &&
        peer_watch(peer_of(incoming), incoming->fd, events, &incoming->endpoint, false) == 0) {
        incoming->events = events; /* else the deadline ends it */
    }
}

/* ---- frames ---- */

/* When the table in this frame was made, at the earliest, by this machine's clock. */
static bool prove(const struct link *link, const struct frame_header *header, struct mono *ret_made)
{
    const struct sent_frame *sent = &link->sent[header->echo_sequence % SENT_KEPT];
    if (header->echo_session != link->peer->session || header->echo_sequence == 0 ||
        sent->sequence != header->echo_sequence) {
        return false;
    }
    *ret_made = (struct mono){sent->at.ns - (int64_t)header->table_age_ms * TIME_MS};
    return true;
}

static void note(struct link *link, const struct frame_header *header, size_t checks,
                 const struct mono *made)
{
    (void)pthread_mutex_lock(&link->peer->mutex);
    if (made != NULL) {
        link->fresh = link->ever && link->fresh.ns > made->ns ? link->fresh : *made;
        link->ever = true;
    }
    link->checks = checks;
    link->clock_ms = header->wall_ns / TIME_MS - wall_now().ns / TIME_MS;
    (void)memcpy(link->hears, header->heard, sizeof link->hears);
    (void)pthread_mutex_unlock(&link->peer->mutex);
}

/* Whether this frame is newer than what came before. */
static int judge(const struct link *link, const struct frame_header *header, struct mono now,
                 struct err *err)
{
    const struct peer *peer = link->peer;
    if (header->session == link->their_session) {
        return header->sequence > link->their_sequence
                   ? 0
                   : err_set(err, ERR_CORRUPT, "a table came twice");
    }
    struct mono silent = peer_patience(peer, link->their_last, SILENCE_MS);
    for (size_t i = 0; i < FORMER_KEPT && silent.ns > now.ns; i++) {
        if (link->their_former[i] != 0 && link->their_former[i] == header->session) {
            return err_set(err, ERR_CORRUPT,
                           "a table of an earlier process: do two call themselves %s?",
                           link->member.name);
        }
    }
    return 0;
}

static void remember(struct link *link, const struct frame_header *header, struct mono now)
{
    if (header->session != link->their_session) {
        (void)memmove(link->their_former + 1, link->their_former,
                      (FORMER_KEPT - 1) * sizeof link->their_former[0]);
        link->their_former[0] = link->their_session;
        link->their_session = header->session;
    }
    link->their_sequence = header->sequence;
    link->their_last = now;
}

/* The first frame of a connection that is newer than the one that counted. */
static void take_place(struct link *link, struct incoming *incoming)
{
    if (link->incoming != incoming) {
        if (link->incoming != NULL) {
            incoming_close(link->incoming); /* half open, or its site began again */
        }
        link->incoming = incoming;
        link->candidate = NULL;
    }
}

static int take_frame(struct incoming *incoming, struct mono now, struct err *err)
{
    struct link *link = incoming->link;
    struct peer *peer = link->peer;
    struct frame_header header;
    struct model_ballots *ballots = NULL;
    int rc = frame_read_header(incoming->frame, incoming->header_size, &header, err);
    rc = rc != 0 ? rc : judge(link, &header, now, err);
    rc = rc != 0 ? rc
                 : frame_read_body(incoming->frame + incoming->header_size,
                                   incoming->size - incoming->header_size, &ballots, err);
    if (rc != 0) {
        return rc;
    }
    remember(link, &header, now);
    take_place(link, incoming);
    struct mono made = {0};
    bool proven = prove(link, &header, &made);
    note(link, &header, ballots->count, proven ? &made : NULL);
    if (proven) {
        PEER_ADD(peer, tables_heard);
        ballots->made = made;
        peer->config.heard(peer->config.context, link->member.name, ballots);
    } else {
        PEER_ADD(peer, tables_unproven);
        free(ballots);
    }
    if (!incoming->answered) { /* so that it can prove its next one without waiting a second */
        incoming->answered = true;
        outgoing_send(link, now);
    }
    return 0;
}

/* The start of a frame is there: makes room for all of it. */
static int measure(struct incoming *incoming, struct err *err)
{
    size_t header = 0;
    size_t body = 0;
    int rc = frame_measure(incoming->start, &header, &body, err);
    if (rc != 0) {
        return rc;
    }
    if (header + body > incoming->capacity) {
        free(incoming->frame);
        incoming->capacity = 0;
        incoming->frame = malloc(header + body);
        if (incoming->frame == NULL) {
            return err_set(err, ERR_MEMORY, "a message of %zu bytes", header + body);
        }
        incoming->capacity = header + body;
    }
    incoming->header_size = header;
    incoming->size = header + body;
    (void)memcpy(incoming->frame, incoming->start, FRAME_START);
    return 0;
}

/* Bytes came: what is whole is taken. */
static int advance(struct incoming *incoming, size_t got, struct mono now, struct err *err)
{
    int rc = 0;
    incoming->at += got;
    if (incoming->at == FRAME_START) {
        rc = measure(incoming, err);
    } else if (incoming->at == incoming->size && incoming->at > FRAME_START) {
        rc = take_frame(incoming, now, err);
        incoming->at = 0;
        incoming->size = 0;
        incoming->deadline = peer_patience(peer_of(incoming), now, SILENCE_MS);
    }
    return rc;
}

static void read_frames(struct incoming *incoming, struct mono now)
{
    size_t taken = 0;
    incoming->more = false;
    while (taken < READ_A_ROUND) {
        bool start = incoming->at < FRAME_START;
        uint8_t *to = start ? incoming->start + incoming->at : incoming->frame + incoming->at;
        size_t room = start ? FRAME_START - incoming->at : incoming->size - incoming->at;
        uint32_t events = 0;
        struct err err = ERR_INIT;
        ssize_t got = channel_read(incoming->session, to, room, &events, &err);
        if (got == -EAGAIN) { /* it waits for room where it has to answer a change of keys */
            incoming_watch(incoming, events == EPOLLOUT ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
            return;
        }
        if (got <= 0) {
            lose(incoming, got == 0 ? "the other side closed the connection" : err.message);
            return;
        }
        taken += (size_t)got;
        if (advance(incoming, (size_t)got, now, &err) != 0) {
            incoming_refuse(incoming, err.message);
            return;
        }
    }
    incoming->more = true;
}

/* ---- who it is ---- */

static void welcome(struct incoming *incoming, struct mono now)
{
    struct peer *peer = peer_of(incoming);
    incoming->open = true;
    if (channel_purpose_of(incoming->session) == CHANNEL_JOIN) {
        incoming->asks = true;
        incoming->deadline = peer_patience(peer, now, REQUEST_MS);
        return;
    }
    for (size_t i = 0; i < peer->link_count; i++) {
        struct link *link = peer->links[i];
        if (channel_is_member(incoming->session, link->member.name, link->member.fingerprint)) {
            const uint8_t byte = WELCOME;
            uint32_t events = 0;
            struct err err = ERR_INIT;
            if (channel_write(incoming->session, &byte, sizeof byte, &events, &err) != 1) {
                incoming_refuse(incoming, "it takes no byte"); /* the socket is empty */
                return;
            }
            if (link->candidate != NULL) {
                incoming_close(link->candidate);
            }
            link->candidate = incoming;
            incoming->link = link;
            incoming->deadline = peer_patience(peer, now, SILENCE_MS);
            PEER_ADD(peer, connections_made);
            return;
        }
    }
    incoming_refuse(incoming, "its certificate is none of a member");
}

void incoming_event(struct incoming *incoming, struct mono now)
{
    if (incoming->fd < 0) {
        return; /* closed earlier in this round */
    }
    if (!incoming->open) {
        struct err err = ERR_INIT;
        uint32_t events = 0;
        int rc = channel_handshake(incoming->session, &events, &err);
        if (rc == -EAGAIN) {
            incoming_watch(incoming, events);
            return;
        }
        if (rc != 0) {
            incoming_refuse(incoming, err.message);
            return;
        }
        welcome(incoming, now);
        if (incoming->fd < 0) {
            return;
        }
    }
    if (incoming->asks) {
        joining_read(incoming);
    } else {
        read_frames(incoming, now);
    }
}

struct mono incoming_tick(struct peer *peer, struct mono now)
{
    struct mono next = {INT64_MAX};
    for (struct incoming *at = peer->incoming; at != NULL; at = at->next) {
        if (at->fd >= 0 && at->more) {
            read_frames(at, now);
        }
        if (at->fd >= 0 && at->deadline.ns <= now.ns) {
            if (at->link != NULL) {
                lose(at, "no table came for a long time");
            } else {
                incoming_refuse(at, at->asks ? "its request to join took too long"
                                             : "it did not say who it is in time");
            }
        }
        if (at->fd >= 0) {
            next.ns = MIN(next.ns, at->more ? now.ns : at->deadline.ns);
        }
    }
    return next;
}
