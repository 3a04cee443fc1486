/* Writing a transfer: as many messages as it takes, each full and each signed where the query was.
 * Called by the pool's threads, one stream each, on a socket that does not block.
 *
 * The zone's state is a copy (dns/zone/journal.h): the zone goes on changing meanwhile. A client
 * that does not take a message within the timeout is cut, and so is one that takes each message
 * just in time. Invariant: at most one message is held in memory, whatever the zone's size. */
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/transfer/internal.h"
#include "dns/wire/rdata.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PREFIX 2U
#define RATE_LEAST 16384 /* bytes a second, on the whole */

struct stream {
    struct transfer *transfer;
    int fd;
    int64_t started_ns;
    uint64_t sent;
    bool broken; /* the client is gone or too slow, or memory is out */
    bool sign;
    struct tsig_signer signer;
    struct message_query query;
    struct message_writer writer;
    uint8_t buffer[PREFIX + MESSAGE_LIMIT];
};

/* ---- messages ---- */

static void begin(struct stream *stream)
{
    size_t room = stream->sign ? tsig_room(&stream->signer) : 0;
    message_begin(&stream->writer, &stream->query, stream->buffer + PREFIX, MESSAGE_LIMIT);
    stream->writer.limit -= room; /* the signature stands behind everything else */
    stream->writer.out.size -= room;
    stream->writer.flags |= MESSAGE_AA;
}

static bool send_all(struct stream *stream, size_t size)
{
    int64_t timeout = stream->transfer->timeout_ms * TIME_MS;
    int64_t earned = (int64_t)(stream->sent / RATE_LEAST) * TIME_S;
    int64_t deadline = MIN(mono_now().ns, stream->started_ns + earned) + timeout;
    size_t at = 0;
    while (at < size) {
        ssize_t sent = send(stream->fd, stream->buffer + at, size - at, MSG_NOSIGNAL);
        if (sent > 0) {
            at += (size_t)sent;
            stream->sent += (uint64_t)sent;
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        int64_t left = (deadline - mono_now().ns) / TIME_MS;
        struct pollfd full = {.fd = stream->fd, .events = POLLOUT};
        if (left <= 0 || poll(&full, 1, (int)left) == 0) {
            return false;
        }
    }
    return true;
}

/* Sends the message as it is. */
static void flush(struct stream *stream, uint16_t rcode)
{
    size_t size = message_finish(&stream->writer, rcode);
    if (stream->sign) {
        size = tsig_sign(&stream->signer, stream->buffer + PREFIX, size, MESSAGE_LIMIT,
                         wall_now().ns / TIME_S);
    }
    stream->buffer[0] = (uint8_t)(size >> 8U);
    stream->buffer[1] = (uint8_t)size;
    if (size == 0 || !send_all(stream, PREFIX + size)) {
        stream->broken = true;
        return;
    }
    transfer_count(&stream->transfer->counters.bytes, PREFIX + size);
}

static void put(struct stream *stream, const struct zone_rrset *rrset,
                const struct zone_record_view *view)
{
    struct message_writer *writer = &stream->writer;
    for (int attempt = 0; attempt < 2 && !stream->broken; attempt++) {
        if (message_put_record(writer, MESSAGE_ANSWER, rrset->bytes, view->type, view->ttl,
                               view->rdata, view->size)) {
            transfer_count(&stream->transfer->counters.records, 1);
            return;
        }
        if (writer->counts[MESSAGE_ANSWER] == 0) {
            break;
        }
        flush(stream, RCODE_NOERROR);
        begin(stream);
    }
    stream->broken = true; /* a record that no message can hold would be left out */
}

/* All records but those that `except` has too; NULL: all. */
static void put_rrset(struct stream *stream, const struct zone_rrset *rrset,
                      const struct zone_rrset *except)
{
    struct zone_record_view view;
    for (size_t at = 0; !stream->broken && rrset != NULL && zone_rrset_next(rrset, &at, &view);) {
        if (except == NULL || !zone_rrset_has(except, &view)) {
            put(stream, rrset, &view);
        }
    }
}

/* The SOA itself, which frames everything, without its signatures. */
static void put_soa(struct stream *stream, const struct zone_rrset *soa)
{
    struct zone_record_view view;
    size_t at = 0;
    if (!stream->broken && zone_rrset_next(soa, &at, &view)) {
        put(stream, soa, &view);
    }
}

/* Its signatures, but for those that `except` has too. */
static void put_soa_signatures(struct stream *stream, const struct zone_rrset *soa,
                               const struct zone_rrset *except)
{
    struct zone_record_view view;
    for (size_t at = 0; !stream->broken && zone_rrset_next(soa, &at, &view);) {
        if (view.type != RR_SOA && (except == NULL || !zone_rrset_has(except, &view))) {
            put(stream, soa, &view);
        }
    }
}

/* ---- the two kinds ---- */

/* RFC 5936 section 2.2: the SOA first and last. */
static void put_zone(struct stream *stream, struct zone_journal *journal)
{
    struct zone_copy *copy = zone_journal_copy(journal);
    if (copy == NULL) {
        flush(stream, RCODE_SERVFAIL);
        return;
    }
    put_soa(stream, zone_copy_soa(copy));
    put_soa_signatures(stream, zone_copy_soa(copy), NULL);
    size_t cursor = 0;
    for (const struct zone_rrset *rrset = zone_copy_next(copy, &cursor);
         rrset != NULL && !stream->broken; rrset = zone_copy_next(copy, &cursor)) {
        put_rrset(stream, rrset, NULL);
    }
    put_soa(stream, zone_copy_soa(copy));
    if (!stream->broken) {
        flush(stream, RCODE_NOERROR);
    }
    zone_copy_free(copy);
}

/* RFC 1995 section 4: new SOA; old SOA, what went; new SOA, what came; new SOA. */
static void put_difference(struct stream *stream, const struct zone_difference *difference)
{
    const struct zone_rrset *before = zone_difference_soa(difference, false);
    const struct zone_rrset *after = zone_difference_soa(difference, true);
    put_soa(stream, after);
    put_soa(stream, before);
    put_soa_signatures(stream, before, after);
    for (size_t i = 0; i < zone_difference_count(difference); i++) {
        struct zone_difference_item item = zone_difference_item(difference, i);
        put_rrset(stream, item.before, item.after);
    }
    put_soa(stream, after);
    put_soa_signatures(stream, after, before);
    for (size_t i = 0; i < zone_difference_count(difference); i++) {
        struct zone_difference_item item = zone_difference_item(difference, i);
        put_rrset(stream, item.after, item.before);
    }
    put_soa(stream, after);
    if (!stream->broken) {
        flush(stream, RCODE_NOERROR);
    }
}

static void put_answer(struct stream *stream, const struct transfer_plan *plan)
{
    struct transfer *transfer = stream->transfer;
    struct zone_difference *difference =
        plan->incremental ? zone_journal_difference(plan->journal, plan->serial) : NULL;
    bool shorter = difference != NULL &&
                   zone_difference_bytes(difference) <= zone_difference_zone_bytes(difference);
    if (shorter) {
        put_difference(stream, difference);
        transfer_count(&transfer->counters.ixfr, stream->broken ? 0 : 1);
    } else {
        put_zone(stream, plan->journal);
        transfer_count(&transfer->counters.axfr, stream->broken ? 0 : 1);
    }
    zone_difference_free(difference);
    transfer_count(&transfer->counters.aborted, stream->broken ? 1 : 0);
}

/* The worker has judged this query already; settings may have changed since, so once more. */
static void answer(struct stream *stream, const struct transfer_job *job)
{
    struct transfer *transfer = stream->transfer;
    uint16_t rcode = stream->query.rcode;
    if (stream->query.tsig_at != 0 && rcode == RCODE_NOERROR) {
        struct tsig_keys *keys = transfer_keys(transfer);
        rcode = tsig_verify(&stream->signer, keys, job->query, job->length, stream->query.tsig_at,
                            wall_now().ns / TIME_S);
        tsig_keys_unref(keys);
        stream->sign = rcode == RCODE_NOERROR || rcode == RCODE_NOTAUTH;
    }
    begin(stream);
    if (rcode != RCODE_NOERROR) {
        flush(stream, rcode);
        return;
    }
    const struct sockaddr *source = (const struct sockaddr *)&job->loan->source;
    struct transfer_plan plan;
    snapshot_online();
    transfer_plan_make(transfer, transfer->zones, &stream->query, source, stream->signer.key, true,
                       &plan);
    snapshot_offline();
    if (plan.rcode != RCODE_NOERROR) {
        flush(stream, plan.rcode);
    } else if (plan.stream) {
        put_answer(stream, &plan);
    } else {
        put_soa(stream, plan.soa);
        flush(stream, RCODE_NOERROR);
    }
    transfer_plan_done(&plan);
}

bool stream_run(struct transfer *transfer, const struct transfer_job *job)
{
    struct stream *stream = memory_new(sizeof *stream);
    stream->transfer = transfer;
    stream->fd = job->loan->fd;
    stream->started_ns = mono_now().ns;
    bool parsed = message_parse(&stream->query, job->query, job->length);
    if (parsed) {
        answer(stream, job);
    }
    bool keep = parsed && !stream->broken;
    tsig_signer_done(&stream->signer);
    free(stream);
    return keep;
}
