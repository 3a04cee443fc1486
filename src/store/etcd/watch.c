/* Watches of the etcd store: a stream of events over a connection of its own, driven by whoever is
 * in store_watch_next; see internal.h. Called through store.h, a watch by one thread at a time, but
 * for the interrupt. Owns the stream, a second request (the probe), and the batches that have come.
 *
 * The stream watches all keys of the store, not the prefix alone: every revision then passes by,
 * and a watcher of a quiet prefix learns at once that it has missed nothing. It starts at the
 * revision that was reached, not behind it: etcd then says "compacted" exactly when a deletion may
 * be gone. When nothing has come for a while the probe asks the cluster for its revision. When that
 * is the watch's, an empty batch tells so; when it stays ahead (somebody else shares the cluster,
 * or the member behind the stream hangs) the probe writes the key that is the prefix of all: its
 * event comes, or the stream is opened anew at another member. Invariant: a batch is handed out
 * once, whole, and in the order of revisions. */
#include "base/memory.h"
#include "base/text.h"
#include "store/etcd/batches.h"
#include "store/etcd/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 50 /* after all endpoints failed */
#define RETRY_MAX_MS 1000
#define PROBE_MS 1000        /* of silence */
#define PROBE_SOON_MS 100    /* while the cluster is ahead */
#define TICK_MS 500          /* the cluster is ahead for so long: write */
#define STALL_MS 3000        /* for so long, and nothing comes: another member; */
#define STALL_FIRST_MS 30000 /* a member that has much to send first prepares it all */
#define EVENT_LIMIT ((size_t)8 << 20U)
#define POLL_MAX_MS 60000

struct etcd_watch {
    struct store_watch base;
    struct etcd_store *self;
    char *prefix;
    _Atomic bool interrupted;
    CURLM *multi;
    struct batches batches;
    struct batches_chunk *given; /* the caller's until the next call */
    int64_t delivered;
    bool compacted;     /* what the watch needs is gone: for good */
    struct err failure; /* to be told once */
    char *cluster;      /* its id, once known */

    struct gateway_exchange *stream; /* NULL: not connected */
    struct buf stream_body;
    struct splitter splitter;
    bool created; /* etcd has answered */
    bool paused;
    bool events; /* in the message that is coming */
    enum gateway_outcome refused;
    unsigned tried;
    int64_t retry_ms;
    struct mono retry_at;
    struct mono deadline; /* for the answer */

    struct gateway_exchange *probe;
    struct buf probe_body;
    bool probing;
    bool ticking;           /* the probe is a write */
    int64_t probed_reached; /* when the probe was sent */
    struct mono probe_at;
    struct mono behind_since; /* 0: not behind */
    int64_t behind_reached;
    bool ticked;
    bool flowing; /* something came since the stream was opened */
};

static struct etcd_watch *watch_of(struct store_watch *watch)
{
    return CONTAINER_OF(watch, struct etcd_watch, base);
}

static struct mono later(int64_t milliseconds)
{
    return (struct mono){mono_now().ns + milliseconds * TIME_MS};
}

static bool is_due(struct mono when)
{
    return mono_since(mono_now(), when) >= 0;
}

/* ---- what comes over the stream ---- */

static int on_event(void *context, const char *text, size_t size)
{
    struct etcd_watch *watch = context;
    struct err err = ERR_INIT; /* the stream is opened anew */
    watch->events = true;
    return batches_event(&watch->batches, text, size, &err);
}

/* etcd ends the watch. Returns what ends the stream. */
static int refused(struct etcd_watch *watch, enum gateway_outcome outcome, const struct err *err)
{
    bool nobody = outcome == GATEWAY_NEW_TOKEN && watch->self->gateway.user == NULL;
    watch->refused = nobody ? GATEWAY_ANSWERED : outcome;
    if (err->kind == ERR_COMPACTED) {
        watch->compacted = true;
    } else if (watch->refused == GATEWAY_ANSWERED) {
        watch->failure = *err;
    }
    return -ECONNABORTED;
}

static int canceled(struct etcd_watch *watch, const json_t *result)
{
    struct err err = ERR_INIT;
    if (json_get_number(result, "compact_revision") != 0) {
        watch->compacted = true;
        return -ECONNABORTED;
    }
    const char *reason = json_string_value(json_object_get(result, "cancel_reason"));
    return refused(watch, gateway_reply_error(reason != NULL ? reason : "watch canceled", 0, &err),
                   &err);
}

/* The watch is open. Another cluster, or one that was restored from a backup, has another history.
 */
static void on_created(struct etcd_watch *watch, const json_t *result)
{
    const char *cluster =
        json_string_value(json_object_get(json_object_get(result, "header"), "cluster_id"));
    watch->created = true;
    watch->tried = 0;
    watch->retry_ms = RETRY_FIRST_MS;
    gateway_endpoint_works(&watch->self->gateway, watch->stream->endpoint);
    if (cluster != NULL && watch->cluster == NULL) {
        watch->cluster = memory_strdup(cluster);
    } else if (cluster != NULL && !text_equal(cluster, watch->cluster)) {
        watch->compacted = true;
    }
    int64_t seen = atomic_load_explicit(&watch->self->gateway.seen_revision, memory_order_relaxed);
    watch->probe_at = later(seen != watch->batches.reached ? PROBE_SOON_MS * 2 : PROBE_MS);
}

static int take_result(struct etcd_watch *watch, const json_t *result)
{
    bool created = json_is_true(json_object_get(result, "created"));
    int64_t revision = gateway_see(&watch->self->gateway, result);
    if (json_is_true(json_object_get(result, "canceled"))) {
        return canceled(watch, result);
    }
    if (created) {
        on_created(watch, result);
        return watch->compacted ? -ECONNABORTED : 0;
    }
    if (watch->events) {
        batches_end(&watch->batches);
    } else if (json_get_number(result, "watch_id") == 0 && revision > 0) {
        batches_progress(&watch->batches, revision); /* in order with the events, unlike id -1 */
    }
    watch->events = false;
    watch->flowing = true;
    watch->probe_at = later(PROBE_MS);
    return 0;
}

static int on_message(void *context, const char *text, size_t size)
{
    struct etcd_watch *watch = context;
    json_t *message = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *result = json_object_get(message, "result");
    int rc = 0;
    if (json_is_object(result)) {
        rc = take_result(watch, result);
    } else {
        struct err err = ERR_INIT;
        const char *url = watch->self->gateway.endpoints[watch->stream->endpoint].url;
        rc = refused(watch, gateway_reply_failure(message, 200, url, &err), &err);
    }
    json_decref(message);
    return rc;
}

static bool is_full(void *context)
{
    struct etcd_watch *watch = context;
    watch->paused = batches_full(&watch->batches);
    watch->behind_since = (struct mono){0}; /* bytes come: nothing hangs */
    return watch->paused;
}

/* ---- the stream ---- */

static void stop_stream(struct etcd_watch *watch)
{
    if (watch->stream != NULL) {
        (void)curl_multi_remove_handle(watch->multi, watch->stream->easy); /* it was added */
        gateway_exchange_free(watch->stream);
        watch->stream = NULL;
    }
    batches_cut(&watch->batches);
    watch->created = false;
    watch->paused = false;
    watch->events = false;
    watch->flowing = false;
}

/* The stream ended or could not be opened: the next endpoint, at once unless all have failed. */
static void stream_failed(struct etcd_watch *watch)
{
    struct gateway *gateway = &watch->self->gateway;
    size_t endpoint = watch->stream->endpoint;
    unsigned number = watch->stream->token_number;
    bool token = watch->refused == GATEWAY_NEW_TOKEN && gateway->user != NULL;
    stop_stream(watch);
    watch->retry_at = mono_now();
    if (watch->refused == GATEWAY_ANSWERED || watch->compacted) { /* not the endpoint's fault */
        watch->retry_at = later(watch->retry_ms);
        return;
    }
    if (token) {
        struct err err = ERR_INIT;
        if (gateway_renew_token(gateway, number, gateway->timeout_ms, &err) != 0) {
            watch->failure = err;
            watch->retry_at = later(watch->retry_ms);
        }
        return;
    }
    gateway_endpoint_failed(gateway, endpoint);
    watch->tried |= 1U << endpoint;
    if (gateway_choose(gateway, watch->tried) == SIZE_MAX) {
        watch->tried = 0;
        watch->retry_at = later(watch->retry_ms);
        watch->retry_ms = MIN(watch->retry_ms * 2, (int64_t)RETRY_MAX_MS);
    }
}

static int start_stream(struct etcd_watch *watch, struct err *err)
{
    struct gateway *gateway = &watch->self->gateway;
    if (gateway->user != NULL) {
        int rc = gateway_renew_token(gateway, 0, gateway->timeout_ms, err);
        if (rc != 0) {
            watch->retry_at = later(watch->retry_ms);
            watch->retry_ms = MIN(watch->retry_ms * 2, (int64_t)RETRY_MAX_MS);
            bool passing = err_kind_retryable(err->kind);
            return passing ? 0 : rc;
        }
    }
    buf_reset(&watch->stream_body);
    buf_puts(&watch->stream_body, "{\"create_request\":{");
    json_put_all(&watch->stream_body, watch->self->root);
    buf_putc(&watch->stream_body, ',');
    json_put_number(&watch->stream_body, "start_revision", MAX(watch->batches.reached, 1));
    buf_puts(&watch->stream_body, ",\"progress_notify\":true}}");
    watch->stream = gateway_exchange_take(gateway);
    watch->stream->once = false;
    watch->stream->splitter = &watch->splitter;
    watch->stream->full = is_full;
    watch->stream->full_context = watch;
    watch->refused = GATEWAY_UNKNOWN;
    splitter_reset(&watch->splitter);
    int rc = etcd_body_check(&watch->stream_body, err);
    rc = rc != 0 ? rc
                 : gateway_exchange_prepare(watch->stream, gateway_choose(gateway, watch->tried),
                                            "/v3/watch", &watch->stream_body, 0, err);
    if (rc == 0 && curl_multi_add_handle(watch->multi, watch->stream->easy) != CURLM_OK) {
        rc = err_set(err, ERR_MEMORY, "curl cannot open a stream to etcd");
    }
    if (rc != 0) {
        gateway_exchange_free(watch->stream);
        watch->stream = NULL;
        return rc;
    }
    watch->deadline = later(gateway->timeout_ms);
    return 0;
}

/* ---- the probe ---- */

/* Asks for the revision, or makes one. Without memory for it there is no probe this time. */
static void start_probe(struct etcd_watch *watch, bool tick)
{
    struct gateway *gateway = &watch->self->gateway;
    struct err err = ERR_INIT;
    watch->probe_at = later(PROBE_MS);
    buf_reset(&watch->probe_body);
    buf_putc(&watch->probe_body, '{');
    json_put_key(&watch->probe_body, "key", watch->self->root, "");
    buf_puts(&watch->probe_body, tick ? "}" : ",\"count_only\":true}");
    if (watch->probe == NULL) {
        watch->probe = gateway_exchange_take(gateway);
    }
    watch->probe->once = tick;
    if (etcd_body_check(&watch->probe_body, &err) != 0 ||
        gateway_exchange_prepare(watch->probe, gateway_choose(gateway, 0),
                                 tick ? "/v3/kv/put" : "/v3/kv/range", &watch->probe_body,
                                 gateway->timeout_ms, &err) != 0 ||
        curl_multi_add_handle(watch->multi, watch->probe->easy) != CURLM_OK) {
        return;
    }
    watch->probing = true;
    watch->ticking = tick;
    watch->probed_reached = watch->batches.reached;
}

/* The cluster is at this revision, or was when it answered: events may have overtaken the answer,
 * so that only a revision before what was reached when the question was sent is another history. */
static void compare_revision(struct etcd_watch *watch, int64_t revision)
{
    if (revision < watch->probed_reached) {
        watch->compacted = true; /* restored from a backup */
    } else if (revision <= watch->batches.reached) {
        batches_progress(&watch->batches, watch->batches.reached);
        watch->behind_since = (struct mono){0};
        watch->flowing = true;
    } else {
        if (watch->behind_since.ns == 0 || watch->behind_reached != watch->batches.reached) {
            watch->behind_since = mono_now();
            watch->behind_reached = watch->batches.reached;
            watch->ticked = false;
        }
        watch->probe_at = later(PROBE_SOON_MS);
    }
}

static void probe_done(struct etcd_watch *watch, CURLcode code)
{
    struct gateway *gateway = &watch->self->gateway;
    struct err err = ERR_INIT;
    json_t *answer = NULL;
    watch->probing = false;
    enum gateway_outcome outcome = gateway_exchange_result(watch->probe, code, &answer, &err);
    size_t endpoint = watch->probe->endpoint;
    if (outcome == GATEWAY_ANSWERED) {
        gateway_endpoint_works(gateway, endpoint);
        int64_t revision = gateway_see(gateway, answer);
        if (revision > 0 && !watch->ticking && watch->created) {
            compare_revision(watch, revision);
        }
        if (watch->created && endpoint < watch->stream->endpoint) {
            stop_stream(watch); /* the preferred endpoint is back */
            watch->retry_at = mono_now();
        }
    } else if (outcome == GATEWAY_NEW_TOKEN && gateway->user != NULL) {
        /* When that fails, the next probe fails alike. */
        IGNORE_RESULT(
            gateway_renew_token(gateway, watch->probe->token_number, gateway->timeout_ms, &err));
    } else if (outcome != GATEWAY_TRY_AGAIN) {
        gateway_endpoint_failed(gateway, endpoint);
        watch->probe_at = later(PROBE_SOON_MS);
    }
    json_decref(answer);
}

/* ---- driving both ---- */

static void collect(struct etcd_watch *watch)
{
    int left = 0;
    for (const CURLMsg *message = curl_multi_info_read(watch->multi, &left); message != NULL;
         message = curl_multi_info_read(watch->multi, &left)) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result;
        if (watch->stream != NULL && message->easy_handle == watch->stream->easy) {
            json_t *none = NULL;
            struct err err = ERR_INIT;
            if (watch->refused == GATEWAY_UNKNOWN && !watch->compacted) {
                enum gateway_outcome outcome =
                    gateway_exchange_result(watch->stream, code, &none, &err);
                json_decref(none);
                watch->refused = outcome;
                if (outcome == GATEWAY_ANSWERED && err.code != 0) {
                    watch->failure = err;
                }
            }
            stream_failed(watch);
        } else if (watch->probing) {
            (void)curl_multi_remove_handle(watch->multi, watch->probe->easy); /* it was added */
            probe_done(watch, code);
        }
    }
}

/* What is due now. */
static int run_timers(struct etcd_watch *watch, struct err *err)
{
    if (watch->stream == NULL) {
        return is_due(watch->retry_at) ? start_stream(watch, err) : 0;
    }
    if (!watch->created) {
        if (is_due(watch->deadline)) {
            stream_failed(watch);
        }
        return 0;
    }
    bool behind = watch->behind_since.ns != 0;
    int64_t behind_ms = behind ? mono_since(mono_now(), watch->behind_since) / TIME_MS : 0;
    if (behind_ms >= (watch->flowing ? STALL_MS : STALL_FIRST_MS)) {
        watch->behind_since = (struct mono){0};
        stream_failed(watch);
    } else if (!watch->probing && !watch->paused && is_due(watch->probe_at)) {
        bool tick = behind_ms >= TICK_MS && !watch->ticked &&
                    history_newest(&watch->self->history) <= watch->batches.reached;
        watch->ticked = watch->ticked || tick; /* what we wrote ourselves comes without */
        start_probe(watch, tick);
    }
    return 0;
}

static int64_t next_timer_ms(const struct etcd_watch *watch)
{
    struct mono when = watch->stream == NULL ? watch->retry_at
                       : !watch->created     ? watch->deadline
                                             : watch->probe_at;
    if (watch->created && watch->probing) {
        return PROBE_MS; /* it has a timeout of its own */
    }
    int64_t wait = mono_since(when, mono_now());
    return wait <= 0 ? 0 : wait / TIME_MS + 1;
}

/* ---- store.h's calls ---- */

int etcd_watch_open(struct store *store, const char *prefix, int64_t after,
                    struct store_watch **ret_watch, struct err *err)
{
    struct etcd_store *self = etcd_of(store);
    CURLM *multi = curl_multi_init();
    if (multi == NULL) {
        return err_set(err, ERR_MEMORY, "curl cannot open a watch of etcd");
    }
    struct etcd_watch *watch = memory_new(sizeof *watch);
    watch->base.store = store;
    watch->self = self;
    watch->multi = multi;
    watch->prefix = memory_strdup(prefix);
    watch->delivered = after;
    watch->compacted = after < history_floor(&self->history);
    watch->retry_ms = RETRY_FIRST_MS;
    watch->retry_at = mono_now();
    batches_init(&watch->batches, self->root, watch->prefix, after);
    buf_init(&watch->stream_body, ETCD_BODY_LIMIT);
    buf_init(&watch->probe_body, ETCD_BODY_LIMIT);
    struct splitter_calls calls = {.item = on_event, .message = on_message, .context = watch};
    splitter_init(&watch->splitter, "\"events\"", 2, EVENT_LIMIT, &calls);
    *ret_watch = &watch->base;
    return 0;
}

/* What the watch has to say now: true when *ret is store_watch_next's result. */
static bool say(struct etcd_watch *watch, struct store_batch *ret_batch, int *ret, struct err *err)
{
    if (atomic_load_explicit(&watch->interrupted, memory_order_acquire)) {
        *ret = err_set(err, ERR_CANCELLED, "the watch was interrupted");
        return true;
    }
    if (watch->delivered < history_dropped(&watch->self->history)) {
        watch->compacted = true;
    } else {
        watch->given = batches_take(&watch->batches);
    }
    if (watch->given != NULL) {
        watch->delivered = watch->given->revision;
        *ret_batch = (struct store_batch){.revision = watch->given->revision,
                                          .changes = watch->given->changes,
                                          .count = watch->given->count};
        *ret = 0;
        return true;
    }
    if (watch->compacted) {
        *ret = err_set(err, ERR_COMPACTED, "history after revision %lld is gone",
                       (long long)watch->delivered);
        return true;
    }
    if (watch->failure.code != 0) {
        *err = watch->failure;
        err_clear(&watch->failure);
        *ret = err->code;
        return true;
    }
    return false;
}

int etcd_watch_next(struct store_watch *base, int timeout_ms, struct store_batch *ret_batch,
                    struct err *err)
{
    struct etcd_watch *watch = watch_of(base);
    struct mono end = later(MAX(timeout_ms, 0));
    batches_chunk_free(watch->given);
    watch->given = NULL;
    for (;;) {
        int rc = 0;
        if (say(watch, ret_batch, &rc, err)) {
            return rc;
        }
        if (watch->paused) {
            watch->paused = false;
            (void)curl_easy_pause(watch->stream->easy, CURLPAUSE_CONT); /* else curl says so next */
        }
        rc = run_timers(watch, err);
        if (rc != 0) {
            return rc;
        }
        int running = 0;
        (void)curl_multi_perform(watch->multi, &running); /* a failure ends the exchange */
        collect(watch);
        if (say(watch, ret_batch, &rc, err)) {
            return rc;
        }
        int64_t left = mono_since(end, mono_now()) / TIME_MS;
        if (timeout_ms >= 0 && mono_since(end, mono_now()) <= 0) {
            return err_set(err, ERR_TIMEOUT, "no change within %d ms", timeout_ms);
        }
        int64_t timer = next_timer_ms(watch);
        int64_t wait = MIN(timer, (int64_t)POLL_MAX_MS);
        wait = timeout_ms >= 0 ? MIN(wait, left + 1) : wait;
        (void)curl_multi_poll(watch->multi, NULL, 0, (int)wait, NULL); /* the loop looks again */
    }
}

void etcd_watch_interrupt(struct store_watch *base)
{
    struct etcd_watch *watch = watch_of(base);
    atomic_store_explicit(&watch->interrupted, true, memory_order_release);
    (void)curl_multi_wakeup(watch->multi); /* fails on misuse only */
}

void etcd_watch_close(struct store_watch *take_watch)
{
    struct etcd_watch *watch = watch_of(take_watch);
    stop_stream(watch);
    if (watch->probing) {
        (void)curl_multi_remove_handle(watch->multi, watch->probe->easy); /* it was added */
    }
    gateway_exchange_free(watch->probe);
    (void)curl_multi_cleanup(watch->multi); /* nothing is in it any more */
    batches_chunk_free(watch->given);
    batches_done(&watch->batches);
    splitter_done(&watch->splitter);
    buf_done(&watch->stream_body);
    buf_done(&watch->probe_body);
    free(watch->cluster);
    free(watch->prefix);
    free(watch);
}
