/* Accepting: see acceptor.h. The thread waits for connections and gives them away; workers' threads
 * count down. Owns the listening socket. Invariant: a worker's count is of the connections that
 * were given to it and are not closed, so that the limit is never passed. */
#include "aws/acceptor.h"

#include "base/memory.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define PAUSE_MS 100 /* when there are no descriptors, or no memory, to accept with */

struct acceptor {
    int listener; /* -1 once it is stopped */
    int wake;     /* eventfd: stopping, or a place is free again */
    pthread_t thread;
    _Atomic bool stopping;
    size_t limit;
    _Atomic size_t open; /* of all workers */
    size_t worker_count;
    struct MHD_Daemon *workers[ACCEPTOR_WORKERS];
    _Atomic size_t counts[ACCEPTOR_WORKERS];
};

static size_t idlest(const struct acceptor *acceptor)
{
    size_t best = 0;
    for (size_t i = 1; i < acceptor->worker_count; i++) {
        if (atomic_load(&acceptor->counts[i]) < atomic_load(&acceptor->counts[best])) {
            best = i;
        }
    }
    return best;
}

/* libmicrohttpd closes the descriptor when it cannot take it. */
static void give_away(struct acceptor *acceptor, int descriptor,
                      const struct sockaddr_storage *address, socklen_t size)
{
    size_t worker = idlest(acceptor);
    (void)atomic_fetch_add(&acceptor->counts[worker], 1);
    (void)atomic_fetch_add(&acceptor->open, 1);
    if (MHD_add_connection(acceptor->workers[worker], descriptor, (const struct sockaddr *)address,
                           size) != MHD_YES) {
        acceptor_closed(acceptor, worker);
    }
}

/* All that have come, up to the limit. Whether to go on at once when more come. */
static bool accept_all(struct acceptor *acceptor)
{
    while (atomic_load(&acceptor->open) < acceptor->limit) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int descriptor = accept4(acceptor->listener, (struct sockaddr *)&address, &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            give_away(acceptor, descriptor, &address, size);
        } else if (errno == EAGAIN || errno == EINTR) {
            return true;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            return false;
        } /* else one that is gone already: the next */
    }
    return true;
}

static void *run(void *argument)
{
    struct acceptor *acceptor = argument;
    bool pause = false;
    while (!atomic_load(&acceptor->stopping)) {
        bool full = atomic_load(&acceptor->open) >= acceptor->limit;
        struct pollfd polled[] = {
            {.fd = acceptor->wake, .events = POLLIN},
            {.fd = full || pause ? -1 : acceptor->listener, .events = POLLIN},
        };
        (void)poll(polled, ARRAY_SIZE(polled), pause ? PAUSE_MS : -1); /* interrupted: again */
        eventfd_t ignored = 0;
        if (polled[0].revents != 0) {
            (void)eventfd_read(acceptor->wake, &ignored); /* only to empty it */
        }
        pause = !atomic_load(&acceptor->stopping) && !accept_all(acceptor);
    }
    return NULL;
}

int acceptor_new(int take_listener, struct MHD_Daemon *const *workers, size_t count, size_t limit,
                 struct acceptor **ret_acceptor, struct err *err)
{
    struct acceptor *acceptor = memory_new(sizeof *acceptor);
    acceptor->listener = take_listener;
    acceptor->limit = limit;
    acceptor->worker_count = count;
    for (size_t i = 0; i < count; i++) {
        acceptor->workers[i] = workers[i];
    }
    acceptor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = acceptor->wake < 0 ? err_set_errno(err, errno, "cannot accept connections") : 0;
    *ret_acceptor = acceptor; /* before the thread: workers count down in it */
    rc = rc == 0 ? thread_start(&acceptor->thread, "api-accept", run, acceptor, err) : rc;
    if (rc != 0) {
        *ret_acceptor = NULL;
        (void)close(acceptor->listener); /* nothing was sent */
        if (acceptor->wake >= 0) {
            (void)close(acceptor->wake); /* nothing is lost */
        }
        free(acceptor);
    }
    return rc;
}

void acceptor_closed(struct acceptor *acceptor, size_t worker)
{
    (void)atomic_fetch_sub(&acceptor->counts[worker], 1);
    if (atomic_fetch_sub(&acceptor->open, 1) == acceptor->limit) {
        (void)eventfd_write(acceptor->wake, 1); /* full means awake */
    }
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (acceptor->listener >= 0) {
        atomic_store(&acceptor->stopping, true);
        (void)eventfd_write(acceptor->wake, 1); /* full means awake */
        thread_join(acceptor->thread);
        (void)close(acceptor->listener); /* nothing was sent on it */
        acceptor->listener = -1;
    }
}

void acceptor_free(struct acceptor *take_acceptor)
{
    if (take_acceptor != NULL) {
        acceptor_stop(take_acceptor);
        (void)close(take_acceptor->wake); /* nothing is lost */
        free(take_acceptor);
    }
}
