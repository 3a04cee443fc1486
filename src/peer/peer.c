/* The peer thread and its mailbox: see peer.h and internal.h. Other threads leave tables and lists
 * of members in the mailbox, where a newer one replaces what was not taken yet, and wake the
 * thread. Invariant: nothing here waits but epoll. */
#include "peer/peer.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/thread.h"
#include "peer/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_A_ROUND 32

static void lock(struct peer *peer)
{
    thread_lock(&peer->mutex);
}

static void unlock(struct peer *peer)
{
    thread_unlock(&peer->mutex);
}

void table_unref(struct table *table)
{
    if (table != NULL && --table->references == 0) {
        free(table);
    }
}

int peer_watch(struct peer *peer, int fd, uint32_t events, struct endpoint *endpoint, bool add)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    int rc = epoll_ctl(peer->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    return rc == 0 ? 0 : -errno;
}

/* ---- the mailbox ---- */

static void wake(struct peer *peer)
{
    const uint64_t one = 1;
    IGNORE_RESULT(write(peer->wake, &one, sizeof one)); /* full: it is awake */
}

void peer_set_members(struct peer *peer, const struct peer_member *members, size_t count)
{
    struct peer_member *copy = memory_array(count + 1, sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; i < count && kept + 1 < MODEL_SITES_LIMIT; i++) {
        if (!text_equal(members[i].name, peer->site)) {
            copy[kept++] = members[i];
        }
    }
    lock(peer);
    struct peer_member *old = peer->members;
    peer->members = copy;
    peer->member_count = kept;
    unlock(peer);
    free(old);
    wake(peer);
}

void peer_cast(struct peer *peer, struct model_ballots *take_ballots)
{
    lock(peer);
    struct model_ballots *old = peer->cast;
    peer->cast = take_ballots;
    unlock(peer);
    free(old);
    wake(peer);
}

static void free_link(struct link *link)
{
    outgoing_close(link);
    if (link->incoming != NULL) {
        incoming_close(link->incoming);
    }
    if (link->candidate != NULL) {
        incoming_close(link->candidate);
    }
    free(link);
}

static bool same_member(const struct peer_member *a, const struct peer_member *b)
{
    return text_equal(a->name, b->name) &&
           memcmp(&a->address, &b->address, sizeof a->address) == 0 &&
           memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

static struct link *new_link(struct peer *peer, const struct peer_member *member, struct mono now)
{
    struct link *link = memory_new(sizeof *link);
    link->peer = peer;
    link->member = *member;
    link->hash = frame_site_hash(member->name);
    /* Not below what an earlier link to it used. */
    link->sequence = (uint64_t)now.ns;
    outgoing_init(link, now);
    return link;
}

/* Links of members that stay as they were stay. */
static void take_members(struct peer *peer, const struct peer_member *members, size_t count,
                         struct mono now)
{
    struct link *fresh[MODEL_SITES_LIMIT] = {NULL};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < peer->link_count && fresh[i] == NULL; j++) {
            if (peer->links[j] != NULL && same_member(&peer->links[j]->member, &members[i])) {
                fresh[i] = peer->links[j];
                peer->links[j] = NULL;
            }
        }
        fresh[i] = fresh[i] != NULL ? fresh[i] : new_link(peer, &members[i], now);
    }
    struct link *gone[MODEL_SITES_LIMIT] = {NULL};
    lock(peer);
    (void)memcpy(gone, peer->links, sizeof gone);
    (void)memcpy(peer->links, fresh, sizeof peer->links);
    peer->link_count = count;
    unlock(peer);
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        if (gone[i] != NULL) {
            free_link(gone[i]);
        }
    }
}

static void take_cast(struct peer *peer, struct model_ballots *take_ballots, struct mono now)
{
    size_t size = frame_body_size(take_ballots);
    struct table *table = memory_new(sizeof *table + size);
    table->references = 1;
    table->made = take_ballots->made;
    table->size = size;
    frame_write_body(take_ballots, table->body);
    free(take_ballots);
    table_unref(peer->table);
    peer->table = table;
    for (size_t i = 0; i < peer->link_count; i++) {
        outgoing_send(peer->links[i], now);
    }
}

/* False: the thread is to end. */
static bool take_mail(struct peer *peer, struct mono now)
{
    lock(peer);
    struct model_ballots *cast = peer->cast;
    struct peer_member *members = peer->members;
    size_t count = peer->member_count;
    bool stopping = peer->stopping;
    peer->cast = NULL;
    peer->members = NULL;
    unlock(peer);
    if (members != NULL) {
        take_members(peer, members, count, now);
        free(members);
    }
    if (cast != NULL) {
        take_cast(peer, cast, now);
    }
    return !stopping;
}

/* ---- the thread ---- */

static void handle(struct peer *peer, const struct epoll_event *event, struct mono now)
{
    struct endpoint *endpoint = event->data.ptr;
    uint64_t count;
    switch (endpoint->kind) {
    case ENDPOINT_WAKE:
        IGNORE_RESULT(read(peer->wake, &count, sizeof count)); /* the mailbox says what it was */
        break;
    case ENDPOINT_LISTENER:
        strangers_accept(peer, now);
        break;
    case ENDPOINT_OUTGOING:
        outgoing_event(endpoint->owner, event->events, now);
        break;
    case ENDPOINT_INCOMING:
        incoming_event(CONTAINER_OF(endpoint, struct incoming, endpoint), now);
        break;
    }
}

/* What is due; in how many milliseconds something will be. */
static int tick(struct peer *peer)
{
    struct mono now = mono_now();
    struct mono next = incoming_tick(peer, now);
    struct mono again = strangers_tick(peer, now);
    next.ns = MIN(next.ns, again.ns);
    for (size_t i = 0; i < peer->link_count; i++) {
        struct mono due = outgoing_tick(peer->links[i], now);
        next.ns = MIN(next.ns, due.ns);
    }
    int64_t wait = (next.ns - now.ns + TIME_MS - 1) / TIME_MS;
    return next.ns == INT64_MAX ? -1 : (int)MIN(MAX(wait, 0), 60000);
}

static void *run(void *argument)
{
    struct peer *peer = argument;
    struct epoll_event events[EVENTS_A_ROUND];
    while (take_mail(peer, mono_now())) {
        int wait = tick(peer);
        incoming_sweep(peer);
        int count = epoll_wait(peer->epoll, events, EVENTS_A_ROUND, wait);
        struct mono now = mono_now();
        for (int i = 0; i < count; i++) {
            handle(peer, &events[i], now);
        }
    }
    return NULL;
}

/* ---- life ---- */

int peer_listen(const struct sockaddr_storage *address, int *ret_listener,
                struct sockaddr_storage *ret_address, struct err *err)
{
    socklen_t size =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    socklen_t room = sizeof *ret_address;
    const int on = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)address, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)ret_address, &room) != 0) {
        int number = errno;
        if (fd >= 0) {
            (void)close(fd); /* nothing came */
        }
        return err_set_errno(err, number, "listening for other sites");
    }
    *ret_listener = fd;
    return 0;
}

static int open_epoll(struct peer *peer, struct err *err)
{
    peer->wake_endpoint = (struct endpoint){.kind = ENDPOINT_WAKE};
    peer->listener_endpoint = (struct endpoint){.kind = ENDPOINT_LISTENER};
    peer->epoll = epoll_create1(EPOLL_CLOEXEC);
    peer->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (peer->epoll < 0 || peer->wake < 0 ||
        peer_watch(peer, peer->wake, EPOLLIN, &peer->wake_endpoint, true) != 0 ||
        peer_watch(peer, peer->config.listener, EPOLLIN, &peer->listener_endpoint, true) != 0) {
        return err_set_errno(err, errno, "talking to other sites");
    }
    return 0;
}

static void free_peer(struct peer *peer)
{
    joining_stop(peer->joining);
    for (size_t i = 0; i < peer->link_count; i++) {
        free_link(peer->links[i]);
    }
    for (struct incoming *at = peer->incoming; at != NULL; at = at->next) {
        incoming_close(at);
    }
    incoming_sweep(peer);
    table_unref(peer->table);
    free(peer->cast);
    free(peer->members);
    channel_context_free(peer->tls);
    int descriptors[] = {peer->epoll, peer->wake, peer->config.listener};
    for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++) {
        if (descriptors[i] >= 0) {
            (void)close(descriptors[i]); /* nothing is lost */
        }
    }
    (void)pthread_mutex_destroy(&peer->mutex); /* nobody is left */
    free(peer);
}

static int start(struct peer *peer, struct err *err)
{
    const struct peer_config *config = &peer->config;
    int rc = text_copy(peer->site, sizeof peer->site, config->site);
    if (rc != 0) {
        return err_set(err, ERR_INVALID, "the site's name is too long");
    }
    rc = channel_context_new(config->certificate_pem, config->key_pem, config->ca_pem, &peer->tls,
                             err);
    rc = rc != 0 ? rc : open_epoll(peer, err);
    rc = rc != 0 ? rc : joining_start(peer, &peer->joining, err);
    return rc != 0 ? rc : thread_start(&peer->thread, "peer", run, peer, err);
}

int peer_start(const struct peer_config *config, struct peer **ret_peer, struct err *err)
{
    struct peer *peer = memory_new(sizeof *peer);
    peer->config = *config;
    peer->config.hurry = MAX(config->hurry, (int64_t)1);
    peer->hash = frame_site_hash(config->site);
    peer->epoll = -1;
    peer->wake = -1;
    (void)pthread_mutex_init(&peer->mutex, NULL); /* cannot fail on Linux */
    while (peer->session == 0) {
        random_bytes(&peer->session, sizeof peer->session);
    }
    int rc = start(peer, err);
    if (rc != 0) {
        free_peer(peer);
        return err_wrap(err, "starting to talk to other sites");
    }
    *ret_peer = peer;
    return 0;
}

void peer_stop(struct peer *take_peer)
{
    if (take_peer == NULL) {
        return;
    }
    lock(take_peer);
    take_peer->stopping = true;
    unlock(take_peer);
    wake(take_peer);
    thread_join(take_peer->thread);
    free_peer(take_peer);
}

/* ---- looking ---- */

static void look_at(const struct peer *peer, const struct link *link, struct mono now,
                    struct peer_seen *seen)
{
    *seen = (struct peer_seen){
        .reached = link->reached,
        .heard_ms = link->ever ? MAX(mono_since(now, link->fresh) / TIME_MS, 0) : -1,
        .checks = link->checks,
        .clock_ms = link->clock_ms,
    };
    IGNORE_RESULT(text_copy(seen->name, sizeof seen->name, link->member.name));   /* fits */
    IGNORE_RESULT(text_copy(seen->problem, sizeof seen->problem, link->problem)); /* fits */
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        const struct frame_heard *heard = &link->hears[i];
        bool fresh = heard->site != 0 && heard->age_ms <= MODEL_BALLOT_AGE_MS;
        seen->hears_us = seen->hears_us || (fresh && heard->site == peer->hash);
        for (size_t j = 0; j < peer->link_count && fresh; j++) {
            seen->hears |= peer->links[j]->hash == heard->site ? 1U << j : 0;
        }
    }
}

size_t peer_look(struct peer *peer, struct peer_seen ret_seen[MODEL_SITES_LIMIT])
{
    struct mono now = mono_now();
    lock(peer);
    size_t count = peer->link_count;
    for (size_t i = 0; i < count; i++) {
        look_at(peer, peer->links[i], now, &ret_seen[i]);
    }
    unlock(peer);
    return count;
}

void peer_count(struct peer *peer, struct peer_counters *ret_counters)
{
#define X(name, help)                                                                              \
    ret_counters->name = atomic_load_explicit(&peer->counters.name, memory_order_relaxed);
    PEER_COUNTERS(X)
#undef X
}
