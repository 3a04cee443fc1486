/* Requests to join, of those who have no certificate yet: a length (u32), then as many bytes, both
 * ways. See internal.h. The peer thread reads them, so that who is slow holds up nobody; whole ones
 * wait for a thread that answers one after the other, because an answer needs the store and may
 * take its time. Few wait, and of one network fewer; each has little time to take its answer.
 * Ownership: connection and request are the thread's once they wait. */
#include "base/bytes.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/thread.h"
#include "peer/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAITING_LIMIT 8U
#define WAITING_OF_ONE 2U
#define LENGTH_SIZE sizeof(uint32_t)

struct caller {
    int fd;
    struct ssl_st *session;
    uint64_t network;
    char *request; /* with a NUL behind it */
    size_t size;
};

struct joining {
    struct peer *peer;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    int stop; /* eventfd: readable when it is to end */
    bool stopping;
    struct caller waiting[WAITING_LIMIT];
    size_t count;
};

static void drop(struct caller caller)
{
    secret_wipe_memory(caller.request, caller.size);
    free(caller.request);
    channel_session_free(caller.session);
    (void)close(caller.fd); /* nothing is kept */
}

/* ---- reading: on the peer thread ---- */

static bool hand_over(struct joining *joining, struct caller caller)
{
    size_t of_one = 0;
    thread_lock(&joining->mutex);
    for (size_t i = 0; i < joining->count; i++) {
        of_one += joining->waiting[i].network == caller.network ? 1 : 0;
    }
    bool room = joining->count < WAITING_LIMIT && of_one < WAITING_OF_ONE;
    if (room) {
        joining->waiting[joining->count++] = caller;
        (void)pthread_cond_signal(&joining->wanted); /* cannot fail on Linux */
    }
    thread_unlock(&joining->mutex);
    return room;
}

/* It is whole: out of epoll, and to the thread. */
static void finish(struct incoming *incoming)
{
    struct peer *peer = incoming->endpoint.owner;
    struct caller caller = {.fd = incoming->fd,
                            .session = incoming->session,
                            .network = incoming->network,
                            .request = (char *)incoming->frame,
                            .size = incoming->size};
    (void)epoll_ctl(peer->epoll, EPOLL_CTL_DEL, incoming->fd, NULL); /* it was there */
    if (!hand_over(peer->joining, caller)) {
        incoming_refuse(incoming, "too many who want to join wait for their answers");
        return;
    }
    incoming->fd = -1;
    incoming->session = NULL;
    incoming->frame = NULL;
}

/* The length is there. */
static bool make_room(struct incoming *incoming)
{
    struct bytes_reader reader = bytes_reader(incoming->start, LENGTH_SIZE);
    size_t size = bytes_get_u32(&reader);
    if (size == 0 || size > PEER_JOIN_LIMIT) {
        incoming_refuse(incoming, "a request to join of an impossible size");
        return false;
    }
    incoming->frame = calloc(size + 1, 1);
    if (incoming->frame == NULL) {
        incoming_refuse(incoming, "out of memory");
        return false;
    }
    incoming->size = size;
    incoming->at = 0;
    return true;
}

/* Requests are short: they are read without a limit to a round. */
void joining_read(struct incoming *incoming)
{
    for (;;) {
        bool length = incoming->frame == NULL;
        uint8_t *to = length ? incoming->start : incoming->frame;
        size_t whole = length ? LENGTH_SIZE : incoming->size;
        uint32_t events = 0;
        struct err err = ERR_INIT;
        ssize_t got =
            channel_read(incoming->session, to + incoming->at, whole - incoming->at, &events, &err);
        if (got == -EAGAIN) {
            incoming_watch(incoming, events == EPOLLOUT ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
            return;
        }
        if (got <= 0) {
            incoming_refuse(incoming, "a request to join that ends early");
            return;
        }
        incoming->at += (size_t)got;
        if (incoming->at == whole && !length) {
            finish(incoming);
            return;
        }
        if (incoming->at == whole && !make_room(incoming)) {
            return;
        }
    }
}

/* ---- answering: on a thread of its own ---- */

/* Until the other side takes more; false: the time is over, or the thread is to end. */
static bool wait_for(const struct joining *joining, int fd, uint32_t events, struct mono until)
{
    struct pollfd polled[] = {{.fd = fd, .events = events == EPOLLIN ? POLLIN : POLLOUT},
                              {.fd = joining->stop, .events = POLLIN}};
    int64_t left = (until.ns - mono_now().ns + TIME_MS - 1) / TIME_MS;
    int rc = left <= 0 ? 0 : poll(polled, ARRAY_SIZE(polled), (int)left);
    return (rc > 0 && polled[1].revents == 0) || (rc < 0 && errno == EINTR);
}

static bool write_all(const struct joining *joining, const struct caller *caller, const void *data,
                      size_t size, struct mono until)
{
    size_t at = 0;
    while (at < size) {
        struct err err = ERR_INIT;
        uint32_t events = 0;
        ssize_t sent =
            channel_write(caller->session, (const char *)data + at, size - at, &events, &err);
        if (sent > 0) {
            at += (size_t)sent;
        } else if (sent != -EAGAIN || !wait_for(joining, caller->fd, events, until)) {
            return false; /* it asks again */
        }
    }
    return true;
}

static void answer(struct joining *joining, const struct caller *caller)
{
    const struct peer_config *config = &joining->peer->config;
    struct buf text CLEANUP(buf_done);
    uint8_t length[LENGTH_SIZE];
    buf_init(&text, PEER_JOIN_LIMIT);
    buf_keep_secret(&text);
    config->join(config->context, caller->request, &text);
    PEER_ADD(joining->peer, joins);
    if (buf_failed(&text) || text.length == 0) {
        return;
    }
    struct mono until = peer_patience(joining->peer, mono_now(), REQUEST_MS);
    struct bytes_writer writer = bytes_writer(length, sizeof length);
    bytes_put_u32(&writer, (uint32_t)text.length);
    if (write_all(joining, caller, length, sizeof length, until)) {
        (void)write_all(joining, caller, text.data, text.length, until); /* as above */
    }
}

static void *run(void *argument)
{
    struct joining *joining = argument;
    thread_lock(&joining->mutex);
    for (;;) {
        while (!joining->stopping && joining->count == 0) {
            (void)pthread_cond_wait(&joining->wanted, &joining->mutex); /* cannot fail: held */
        }
        if (joining->stopping) {
            break;
        }
        struct caller caller = joining->waiting[0];
        joining->count--;
        (void)memmove(joining->waiting, joining->waiting + 1,
                      joining->count * sizeof joining->waiting[0]);
        thread_unlock(&joining->mutex);
        answer(joining, &caller);
        drop(caller);
        thread_lock(&joining->mutex);
    }
    thread_unlock(&joining->mutex);
    return NULL;
}

int joining_start(struct peer *peer, struct joining **ret_joining, struct err *err)
{
    int stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop < 0) {
        return err_set_errno(err, errno, "listening for those who join");
    }
    struct joining *joining = memory_new(sizeof *joining);
    joining->peer = peer;
    joining->stop = stop;
    thread_sync_init(&joining->mutex, &joining->wanted);
    int rc = thread_start(&joining->thread, "peer-join", run, joining, err);
    if (rc != 0) {
        (void)close(stop); /* nobody looks at it */
        free(joining);
        return rc;
    }
    *ret_joining = joining;
    return 0;
}

void joining_stop(struct joining *take_joining)
{
    if (take_joining == NULL) {
        return;
    }
    const uint64_t one = 1;
    thread_lock(&take_joining->mutex);
    take_joining->stopping = true;
    (void)pthread_cond_signal(&take_joining->wanted); /* cannot fail on Linux */
    thread_unlock(&take_joining->mutex);
    IGNORE_RESULT(write(take_joining->stop, &one, sizeof one)); /* it has room */
    thread_join(take_joining->thread);
    for (size_t i = 0; i < take_joining->count; i++) {
        drop(take_joining->waiting[i]);
    }
    thread_sync_done(&take_joining->mutex, &take_joining->wanted);
    (void)close(take_joining->stop);
    free(take_joining);
}
