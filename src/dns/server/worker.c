/* A worker's loop: see worker.h. Started by server.c, one thread each; it shares nothing with other
 * workers but the count of open TCP connections. While it waits it is outside any read section. */
#include "dns/server/worker.h"

#include "base/snapshot.h"

#include <sched.h>
#include <sys/epoll.h>

#define EVENTS_A_ROUND 64
#define CONNECTIONS_A_ROUND (1 * TIME_MS)

static void stay_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    /* Refused when the processor was taken from us meanwhile: any other will do. */
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void worker_read_directly(struct worker *worker, struct endpoint *endpoint, bool direct)
{
    if (LIKELY(endpoint->direct == direct)) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
    int operation = direct ? EPOLL_CTL_DEL : EPOLL_CTL_ADD;
    if (epoll_ctl(worker->epoll_fd, operation, endpoint->fd, &event) != 0) {
        return; /* as it was: answers come either way, and the next round tries again */
    }
    endpoint->direct = direct;
    worker->direct = direct ? worker->direct + 1 : worker->direct - 1;
}

static void serve_directly(struct worker *worker)
{
    for (size_t i = 0; i < worker->endpoint_count; i++) {
        if (worker->endpoints[i].direct) {
            udp_serve(worker, &worker->endpoints[i]);
        }
    }
}

/* Anything but packets. */
static void serve(struct worker *worker, struct endpoint *endpoint, uint32_t events)
{
    switch (endpoint->kind) {
    case ENDPOINT_UDP: /* had its turn before */
        break;
    case ENDPOINT_LISTENER:
        tcp_accept(worker, endpoint);
        break;
    case ENDPOINT_CONNECTION:
        tcp_serve(worker, endpoint, events);
        break;
    case ENDPOINT_RETURNED:
        tcp_take_back(worker);
        break;
    case ENDPOINT_WAKE:
    default:
        worker->stopping = true;
        break;
    }
}

/* Packets first, and connections only for so long: a handshake takes a thousand times what a query
 * takes. Events that had no turn are announced again; who begins changes from round to round. */
static void serve_all(struct worker *worker, const struct epoll_event *events, int count)
{
    int packets = 0;
    for (int i = 0; i < count; i++) {
        struct endpoint *endpoint = events[i].data.ptr;
        if (endpoint->kind == ENDPOINT_UDP) {
            udp_serve(worker, endpoint);
            packets++;
        }
    }
    if (packets == count) {
        return;
    }
    struct mono start = mono_now();
    unsigned first = worker->rounds++;
    for (int i = 0; i < count; i++) {
        const struct epoll_event *event = &events[(first + (unsigned)i) % (unsigned)count];
        struct endpoint *endpoint = event->data.ptr;
        if (endpoint->kind == ENDPOINT_UDP) {
            continue;
        }
        serve(worker, endpoint, event->events);
        if (mono_since(mono_now(), start) > CONNECTIONS_A_ROUND) {
            return;
        }
    }
}

void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[EVENTS_A_ROUND];
    snapshot_thread_begin();
    snapshot_offline();
    if (worker->processor >= 0) {
        stay_on(worker->processor);
    }
    worker->now = mono_now();
    while (!worker->stopping) {
        int wait = tcp_tick(worker);
        int count =
            epoll_wait(worker->epoll_fd, events, EVENTS_A_ROUND, worker->direct != 0 ? 0 : wait);
        worker->now = mono_now();
        worker->answer.now = (uint32_t)(wall_now().ns / TIME_S); /* cookies count modulo 2^32 */
        if (worker->direct != 0) {
            serve_directly(worker);
        }
        serve_all(worker, events, count);
    }
    snapshot_thread_end();
    return NULL;
}
