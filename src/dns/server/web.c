/* Queries over HTTPS: see web.h. Called by tcp.c on the worker's thread. Each query is answered in
 * a read section of its own, since what is between them is not ours to bound. */
#include "dns/server/web.h"

#include "base/snapshot.h"
#include "base/time.h"
#include "dns/server/worker.h"

#define PAD_BLOCK 468U /* RFC 8467 section 4.1 */
#define FLAGS_BYTE 2U
#define TRUNCATED 0x02U

struct asker {
    struct worker *worker;
    const struct sockaddr *source;
};

static size_t answer(void *context, const uint8_t *query, size_t size, uint8_t *out)
{
    const struct asker *asker = context;
    struct worker *worker = asker->worker;
    struct worker_counters *counters = &worker->counters;
    struct mono start = mono_now();
    worker->answer.pad_block = PAD_BLOCK;
    worker->answer.no_stream = RCODE_REFUSED; /* a transfer is many messages */
    snapshot_online();
    size_t written =
        answer_query(&worker->answer, query, size, asker->source, true, out, HTTPS_MESSAGE_MOST);
    if (written != 0) {
        counters_note(counters, &worker->answer.outcome);
    }
    snapshot_offline();
    worker->answer.pad_block = 0; /* others have the same context */
    worker->answer.no_stream = RCODE_NOERROR;
    counters_latency(counters, 1, mono_since(mono_now(), start));
    worker_count(&counters->queries_https, 1);
    worker_count(&counters->responses, written != 0);
    worker_count(&counters->dropped, written == 0);
    worker_count(&counters->truncated, written != 0 && (out[FLAGS_BYTE] & TRUNCATED) != 0);
    return written;
}

size_t web_produce(struct worker *worker, struct https *https, const struct sockaddr *source,
                   uint8_t *scratch, unsigned *ret_answered, bool *ret_more)
{
    struct asker asker = {.worker = worker, .source = source};
    char date[TIME_TEXT];
    wall_format_http((struct wall){(int64_t)worker->answer.now * TIME_S}, date);
    struct https_service service = {
        .answer = answer, .context = &asker, .date = date, .scratch = scratch + WEB_OUTPUT};
    size_t used = https_produce(https, &service, scratch, WEB_OUTPUT, ret_more);
    worker_count(&worker->counters.https_errors, service.refused);
    *ret_answered = service.answered;
    return used;
}
