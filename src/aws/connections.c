/* The watch over connections: see connections.h. libmicrohttpd's threads open, mark and close
 * entries; the watching thread only ever calls shutdown(2) on a descriptor, under the lock and
 * while its entry is in the list, so it cannot hit a descriptor that was closed and given out
 * again. Lingering descriptors are duplicates and belong to the watching thread's list. */
#include "aws/connections.h"

#include "base/memory.h"
#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_EVERY_MS 250
#define PRESSURE_WAIT_NS (1 * TIME_S) /* under pressure a client may be silent this long */
#define LINGER_COUNT 64U
#define LINGER_NS (5 * TIME_S)
#define LINGER_BYTES ((int64_t)128 << 20U)
#define DRAIN_READS 16 /* of a chunk, before others get their turn */

struct connection {
    struct connection *next;
    struct connection *previous;
    int descriptor;
    bool lingers;             /* written by its own thread only */
    _Atomic int phase;        /* enum connection_phase */
    _Atomic int64_t since_ns; /* when the phase began */
    bool cut;                 /* was shut down; under the lock, with the two below */
    uint64_t taken;           /* bytes that the client's side had confirmed */
    int64_t taken_ns;         /* when they became more, while hurrying */
};

struct leftover {
    int descriptor;
    int64_t left; /* bytes that will still be read */
    int64_t until_ns;
};

struct connections {
    pthread_mutex_t lock;
    pthread_t thread;
    int wake; /* eventfd: stopping, or a new lingering descriptor */
    _Atomic bool stopping;
    unsigned limit;
    int64_t deadline_ns;
    _Atomic int64_t patience_ns; /* with clients that take nothing; 0: not stopping */
    struct connection *first;    /* under the lock, with count and lingers */
    size_t count;
    struct leftover lingers[LINGER_COUNT];
    size_t linger_count;
};

static void cut(struct connection *connection)
{
    connection->cut = true;
    (void)shutdown(connection->descriptor, SHUT_RDWR); /* the client may have been faster */
}

static int64_t waited(const struct connection *connection, int64_t now_ns)
{
    if (connection->cut || atomic_load(&connection->phase) == CONNECTION_WORKS) {
        return -1;
    }
    return now_ns - atomic_load(&connection->since_ns);
}

static void cut_overdue(struct connections *connections, int64_t now_ns)
{
    for (struct connection *at = connections->first; at != NULL; at = at->next) {
        if (waited(at, now_ns) > connections->deadline_ns) {
            cut(at);
        }
    }
}

/* Bytes that the client's side has confirmed; 0 when that cannot be told. */
static uint64_t bytes_taken(const struct connection *connection)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    (void)memset(&info, 0, sizeof info); /* an older kernel fills less of it */
    return getsockopt(connection->descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0
               ? info.tcpi_bytes_acked
               : 0;
}

static void cut_stuck(struct connections *connections, int64_t patience_ns, int64_t now_ns)
{
    for (struct connection *at = connections->first; at != NULL; at = at->next) {
        if (at->cut || atomic_load(&at->phase) != CONNECTION_SENDS) {
            at->taken_ns = 0;
            continue;
        }
        uint64_t taken = bytes_taken(at);
        if (at->taken_ns == 0 || taken != at->taken) {
            at->taken = taken;
            at->taken_ns = now_ns;
        } else if (now_ns - at->taken_ns > patience_ns) {
            cut(at);
        }
    }
}

/* With seven eighths taken, those that wait longest go until three quarters are left. The list has
 * the newest in front, so the search from the start finds the oldest last. */
static void relieve(struct connections *connections, int64_t now_ns)
{
    size_t limit = connections->limit;
    if (connections->count < limit - limit / 8) {
        return;
    }
    for (size_t left = connections->count; left > limit - limit / 4; left--) {
        struct connection *oldest = NULL;
        int64_t longest = PRESSURE_WAIT_NS;
        for (struct connection *at = connections->first; at != NULL; at = at->next) {
            int64_t time = waited(at, now_ns);
            if (time > longest) {
                longest = time;
                oldest = at;
            }
        }
        if (oldest == NULL) {
            return;
        }
        cut(oldest);
    }
}

/* False when nothing more will come, or enough was read. */
static bool drain(struct leftover *leftover, int64_t now_ns)
{
    char chunk[65536];
    for (int i = 0; i < DRAIN_READS; i++) {
        ssize_t got = recv(leftover->descriptor, chunk, sizeof chunk, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (got <= 0) {
            return false;
        }
        leftover->left -= got;
    }
    return leftover->left > 0 && now_ns < leftover->until_ns;
}

static void drain_all(struct connections *connections, int64_t now_ns)
{
    for (size_t i = 0; i < connections->linger_count;) {
        struct leftover *leftover = &connections->lingers[i];
        if (drain(leftover, now_ns)) {
            i++;
            continue;
        }
        (void)close(leftover->descriptor); /* nothing of ours is unsent */
        *leftover = connections->lingers[--connections->linger_count];
    }
}

static void *watch(void *argument)
{
    struct connections *connections = argument;
    while (!atomic_load(&connections->stopping)) {
        struct pollfd polled[LINGER_COUNT + 1] = {{.fd = connections->wake, .events = POLLIN}};
        nfds_t count = 1;
        thread_lock(&connections->lock);
        for (size_t i = 0; i < connections->linger_count; i++) {
            polled[count++] =
                (struct pollfd){.fd = connections->lingers[i].descriptor, .events = POLLIN};
        }
        thread_unlock(&connections->lock);
        (void)poll(polled, count, LOOK_EVERY_MS); /* an interruption is a look too early */
        eventfd_t ignored = 0;
        if ((polled[0].revents & POLLIN) != 0) {
            (void)eventfd_read(connections->wake, &ignored); /* only to empty it */
        }
        int64_t now_ns = mono_now().ns;
        thread_lock(&connections->lock);
        cut_overdue(connections, now_ns);
        int64_t patience_ns = atomic_load(&connections->patience_ns);
        if (patience_ns != 0) {
            cut_stuck(connections, patience_ns, now_ns);
        }
        relieve(connections, now_ns);
        drain_all(connections, now_ns);
        thread_unlock(&connections->lock);
    }
    return NULL;
}

int connections_new(unsigned limit, int64_t deadline_ns, struct connections **ret_connections,
                    struct err *err)
{
    struct connections *connections = memory_new(sizeof *connections);
    connections->limit = limit;
    connections->deadline_ns = deadline_ns;
    connections->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (connections->wake < 0) {
        int code = err_set_errno(err, errno, "cannot watch connections");
        free(connections);
        return code;
    }
    (void)pthread_mutex_init(&connections->lock, NULL); /* cannot fail on Linux */
    int rc = thread_start(&connections->thread, "connections", watch, connections, err);
    if (rc != 0) {
        (void)pthread_mutex_destroy(&connections->lock);
        (void)close(connections->wake); /* nothing is lost */
        free(connections);
        return rc;
    }
    *ret_connections = connections;
    return 0;
}

void connections_free(struct connections *take_connections)
{
    struct connections *connections = take_connections;
    if (connections == NULL) {
        return;
    }
    atomic_store(&connections->stopping, true);
    (void)eventfd_write(connections->wake, 1); /* it cannot be full */
    thread_join(connections->thread);
    assert(connections->first == NULL);
    for (size_t i = 0; i < connections->linger_count; i++) {
        (void)close(connections->lingers[i].descriptor); /* nothing of ours is unsent */
    }
    (void)pthread_mutex_destroy(&connections->lock);
    (void)close(connections->wake);
    free(connections);
}

void connections_hurry(struct connections *connections, int64_t patience_ns)
{
    atomic_store(&connections->patience_ns, patience_ns);
    (void)eventfd_write(connections->wake, 1); /* full means awake */
}

struct connection *connection_opened(struct connections *connections, int descriptor)
{
    struct connection *connection = memory_new(sizeof *connection);
    connection->descriptor = descriptor;
    connection_phase(connection, CONNECTION_RECEIVES);
    thread_lock(&connections->lock);
    connection->next = connections->first;
    if (connections->first != NULL) {
        connections->first->previous = connection;
    }
    connections->first = connection;
    connections->count++;
    thread_unlock(&connections->lock);
    return connection;
}

/* Keeps the socket open beyond libmicrohttpd's close. Called under the lock. */
static void keep(struct connections *connections, const struct connection *connection)
{
    if (connections->linger_count == LINGER_COUNT || connection->cut) {
        return;
    }
    int copy = fcntl(connection->descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        (void)shutdown(copy, SHUT_WR); /* the answer is complete; the client may be gone */
        connections->lingers[connections->linger_count++] =
            (struct leftover){copy, LINGER_BYTES, mono_now().ns + LINGER_NS};
        (void)eventfd_write(connections->wake, 1); /* full means awake */
    }
}

void connection_closed(struct connections *connections, struct connection *take_connection)
{
    struct connection *connection = take_connection;
    thread_lock(&connections->lock);
    if (connection->lingers) {
        keep(connections, connection);
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        connections->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    connections->count--;
    thread_unlock(&connections->lock);
    free(connection);
}

void connection_phase(struct connection *connection, enum connection_phase phase)
{
    atomic_store(&connection->since_ns, mono_now().ns);
    atomic_store(&connection->phase, (int)phase);
}

void connection_linger(struct connection *connection)
{
    connection->lingers = true;
}
