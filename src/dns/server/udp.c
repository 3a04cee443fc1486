/* UDP batches: see udp.h. Called by the worker's loop, on its thread.
 *
 * A batch is received, answered inside one read section, and sent after it. The socket never
 * blocks; what one client's address makes impossible to send is skipped, and the rest goes out. */
#include "dns/server/udp.h"

#include "base/snapshot.h"
#include "dns/server/worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define BATCHES_A_TURN 16
#define SEND_PATIENCE_MS 5
#define CACHE_LINE 64U
#define FLAGS_BYTE 2U
#define TRUNCATED 0x02U

void udp_init(struct udp *udp)
{
    for (size_t i = 0; i < UDP_BATCH; i++) {
        udp->in_data[i] = (struct iovec){udp->queries[i], UDP_QUERY_SIZE};
        udp->in[i].msg_hdr = (struct msghdr){
            .msg_name = &udp->from[i],
            .msg_namelen = sizeof udp->from[i],
            .msg_iov = &udp->in_data[i],
            .msg_iovlen = 1,
            .msg_control = &udp->control[i],
            .msg_controllen = sizeof udp->control[i],
        };
        udp->out[i].msg_hdr = (struct msghdr){.msg_iov = &udp->out_data[i], .msg_iovlen = 1};
    }
}

/* Turns the control message that says where a query arrived into one that says where its answer
 * comes from. False when there is none: the kernel then chooses. */
static bool source_control(const struct msghdr *in)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(in);
    if (control == NULL) {
        return false;
    }
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        (void)memcpy(&info, CMSG_DATA(control), sizeof info);
        info.ipi_ifindex = 0; /* the way back is the routing table's business */
        (void)memcpy(CMSG_DATA(control), &info, sizeof info);
        return true;
    }
    if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        (void)memcpy(&info, CMSG_DATA(control), sizeof info);
        if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
            info.ipi6_ifindex = 0; /* as above; link-local addresses mean nothing without it */
            (void)memcpy(CMSG_DATA(control), &info, sizeof info);
        }
        return true;
    }
    return false;
}

/* What one batch adds to the counters. */
struct tally {
    unsigned answered;
    unsigned truncated;
    unsigned slipped;
    unsigned limited; /* dropped because of the rate limit */
};

/* Holds the response to the rate limit. Returns its size, 0 for none. */
static size_t limit(struct worker *worker, const union socket_address *source, uint8_t *response,
                    size_t size, struct tally *tally)
{
    const struct answer_outcome *outcome = &worker->answer.outcome;
    switch (limit_judge(&worker->limit, source, outcome, response, worker->now)) {
    case LIMIT_SLIP:
        tally->slipped++;
        return limit_truncate(outcome, response);
    case LIMIT_DROP:
        tally->limited++;
        return 0;
    case LIMIT_SEND:
    default:
        return size;
    }
}

/* The answers to `count` packets from the first on; returns where in the room they end. */
static ALWAYS_INLINE uint8_t *answer_group(struct worker *worker, const struct endpoint *endpoint,
                                           unsigned first, unsigned count, uint8_t *room,
                                           struct tally *tally)
{
    struct udp *udp = &worker->udp;
    struct mmsghdr *received = &udp->in[first];
    for (unsigned i = 0; i < count; i++) {
        bool whole = (received[i].msg_hdr.msg_flags & MSG_TRUNC) == 0;
        udp->lookups[i].packet = udp->queries[first + i];
        udp->lookups[i].length = whole ? received[i].msg_len : 0;
    }
    answer_look_up(&worker->answer, udp->lookups, count);
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *in = &received[i].msg_hdr;
        union socket_address *source = &udp->from[first + i];
        size_t size = answer_write(&worker->answer, &udp->lookups[i], &source->any, false, room,
                                   UDP_RESPONSE_SIZE);
        if (size != 0) {
            counters_note(&worker->counters, &worker->answer.outcome);
            if (UNLIKELY(worker->limit.cost_ns != 0)) {
                size = limit(worker, source, room, size, tally);
            }
        }
        if (size != 0) {
            struct msghdr *out = &udp->out[tally->answered].msg_hdr;
            out->msg_name = source;
            out->msg_namelen = in->msg_namelen;
            out->msg_control = NULL;
            out->msg_controllen = 0;
            if (endpoint->wildcard && source_control(in)) {
                out->msg_control = in->msg_control;
                out->msg_controllen = in->msg_controllen;
            }
            udp->out_data[tally->answered] = (struct iovec){room, size};
            tally->answered++;
            tally->truncated += (room[FLAGS_BYTE] & TRUNCATED) != 0;
            room += (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
        }
        in->msg_namelen = sizeof *source;
        in->msg_controllen = sizeof udp->control[0];
    }
    return room;
}

static struct tally answer_batch(struct worker *worker, const struct endpoint *endpoint,
                                 unsigned count)
{
    struct tally tally = {0};
    uint8_t *room = worker->udp.responses;
    for (unsigned i = 0; i < count; i += ANSWER_GROUP) {
        room = answer_group(worker, endpoint, i, MIN(count - i, ANSWER_GROUP), room, &tally);
    }
    return tally;
}

/* Returns how many were sent. */
static unsigned send_batch(struct udp *udp, int fd, unsigned count)
{
    unsigned at = 0;
    unsigned failed = 0;
    bool waited = false;
    while (at < count) {
        int sent = sendmmsg(fd, udp->out + at, count - at, MSG_DONTWAIT);
        if (sent > 0) {
            at += (unsigned)sent;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno == EAGAIN && !waited) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            (void)poll(&full, 1, SEND_PATIENCE_MS); /* the send says whether it helped */
            waited = true;
            continue;
        }
        /* This address cannot be reached now; the next may be. */
        failed++;
        at++;
    }
    return count - failed;
}

void udp_serve(struct worker *worker, struct endpoint *endpoint)
{
    struct udp *udp = &worker->udp;
    for (int turn = 0; turn < BATCHES_A_TURN; turn++) {
        int count = recvmmsg(endpoint->fd, udp->in, UDP_BATCH, MSG_DONTWAIT, NULL);
        if (count <= 0) {
            worker_read_directly(worker, endpoint, false);
            return;
        }
        struct mono start = mono_now();
        snapshot_online();
        struct tally tally = answer_batch(worker, endpoint, (unsigned)count);
        snapshot_offline();
        /* Counted before they are sent: whoever has an answer finds it counted. */
        struct worker_counters *counters = &worker->counters;
        worker_count(&counters->queries_udp, (unsigned)count);
        worker_count(&counters->dropped, (unsigned)count - tally.answered - tally.limited);
        worker_count(&counters->limited_slipped, tally.slipped);
        worker_count(&counters->limited_dropped, tally.limited);
        counters_latency(counters, (unsigned)count, mono_since(mono_now(), start));
        worker_count(&counters->truncated, tally.truncated);
        worker_count(&counters->responses, tally.answered);
        unsigned sent = send_batch(udp, endpoint->fd, tally.answered);
        if (sent != tally.answered) {
            worker_count(&counters->send_failed, tally.answered - sent);
        }
        if ((unsigned)count == UDP_BATCH) {
            worker_read_directly(worker, endpoint, true);
        } else if (!endpoint->direct) {
            return;
        }
    }
}
