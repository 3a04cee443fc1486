/* Requests to join: a thread that talks to those who have no certificate yet, one after the other,
 * because the answer needs the store and may take its time. See internal.h. The peer thread hands
 * connections over after their handshake; few wait, each has little time, and what is said has a
 * limit: a length (u32), then as many bytes, both ways. Ownership: a connection is the thread's
 * from joining_take on. */
#include "base/bytes.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/thread.h"
#include "peer/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WAITING_LIMIT 8U
#define TIMEOUT_S 5

struct caller {
    int fd;
    struct ssl_st *session;
};

struct joining {
    struct peer *peer;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    bool stopping;
    struct caller waiting[WAITING_LIMIT];
    size_t count;
};

static void drop(struct caller caller)
{
    channel_session_free(caller.session);
    (void)close(caller.fd); /* nothing is kept */
}

static bool transfer(struct ssl_st *session, void *data, size_t size, bool reading)
{
    size_t at = 0;
    while (at < size) {
        struct err err = ERR_INIT;
        uint32_t events = 0;
        ssize_t done = reading
                           ? channel_read(session, (char *)data + at, size - at, &events, &err)
                           : channel_write(session, (char *)data + at, size - at, &events, &err);
        if (done <= 0) {
            return false; /* the end, or the time is over */
        }
        at += (size_t)done;
    }
    return true;
}

static void answer(struct joining *joining, struct ssl_st *session, const char *request)
{
    const struct peer_config *config = &joining->peer->config;
    struct buf text CLEANUP(buf_done);
    uint8_t length[sizeof(uint32_t)];
    buf_init(&text, PEER_JOIN_LIMIT);
    buf_keep_secret(&text);
    config->join(config->context, request, &text);
    PEER_ADD(joining->peer, joins);
    if (!buf_failed(&text) && text.length != 0) {
        struct bytes_writer writer = bytes_writer(length, sizeof length);
        bytes_put_u32(&writer, (uint32_t)text.length);
        if (transfer(session, length, sizeof length, false)) {
            (void)transfer(session, text.data, text.length, false); /* it asks again */
        }
    }
}

static void talk(struct joining *joining, struct caller caller)
{
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    uint8_t length[sizeof(uint32_t)];
    int flags = fcntl(caller.fd, F_GETFL);
    if (flags < 0 || fcntl(caller.fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        setsockopt(caller.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        setsockopt(caller.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
        !transfer(caller.session, length, sizeof length, true)) {
        return;
    }
    struct bytes_reader reader = bytes_reader(length, sizeof length);
    size_t size = bytes_get_u32(&reader);
    if (size == 0 || size > PEER_JOIN_LIMIT) {
        return;
    }
    char *request = memory_new(size + 1);
    if (transfer(caller.session, request, size, true)) {
        answer(joining, caller.session, request);
    }
    secret_wipe_memory(request, size);
    free(request);
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
        talk(joining, caller);
        drop(caller);
        thread_lock(&joining->mutex);
    }
    thread_unlock(&joining->mutex);
    return NULL;
}

int joining_start(struct peer *peer, struct joining **ret_joining, struct err *err)
{
    struct joining *joining = memory_new(sizeof *joining);
    joining->peer = peer;
    thread_sync_init(&joining->mutex, &joining->wanted);
    int rc = thread_start(&joining->thread, "peer-join", run, joining, err);
    if (rc != 0) {
        free(joining);
        return rc;
    }
    *ret_joining = joining;
    return 0;
}

void joining_take(struct joining *joining, int take_fd, struct ssl_st *take_session)
{
    struct caller caller = {.fd = take_fd, .session = take_session};
    thread_lock(&joining->mutex);
    bool room = joining->count < WAITING_LIMIT;
    if (room) {
        joining->waiting[joining->count++] = caller;
        (void)pthread_cond_signal(&joining->wanted); /* cannot fail on Linux */
    }
    thread_unlock(&joining->mutex);
    if (!room) {
        drop(caller);
    }
}

void joining_stop(struct joining *take_joining)
{
    if (take_joining == NULL) {
        return;
    }
    thread_lock(&take_joining->mutex);
    take_joining->stopping = true;
    (void)pthread_cond_signal(&take_joining->wanted); /* cannot fail on Linux */
    thread_unlock(&take_joining->mutex);
    thread_join(take_joining->thread);
    for (size_t i = 0; i < take_joining->count; i++) {
        drop(take_joining->waiting[i]);
    }
    thread_sync_done(&take_joining->mutex, &take_joining->wanted);
    free(take_joining);
}
