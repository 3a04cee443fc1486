/* The probe engine: resolves, starts, times, reports and pools probes; see probe.h and engine.h.
 *
 * Called on the health loop. Ownership: active probes hang in engine->active, finished ones in
 * engine->idle (up to a bound) with their timer and curl handle kept. Invariant: a probe in the
 * idle list has no timer running, no lookup, no socket and no transfer. */
#include "health/probe/engine.h"

#include "base/address.h"
#include "base/memory.h"
#include "base/text.h"
#include "health/probe/sentence.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A limit that passed this late lets the loop look at its sockets once more, for GRACE_MS. */
#define LATE (20 * TIME_MS)
#define GRACE_MS 10

const struct probe_limits probe_route53_limits = {
    .tcp_ms = 10000, .connect_ms = 4000, .status_ms = 2000, .body_ms = 2000};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    /* Fails when memory is out; then no handle can be made, and that is reported. */
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool probe_has_endpoint(enum model_check_type type)
{
    switch (type) {
    case MODEL_CHECK_HTTP:
    case MODEL_CHECK_HTTPS:
    case MODEL_CHECK_HTTP_STR_MATCH:
    case MODEL_CHECK_HTTPS_STR_MATCH:
    case MODEL_CHECK_TCP:
        return true;
    case MODEL_CHECK_CALCULATED:
    case MODEL_CHECK_CLOUDWATCH_METRIC:
    case MODEL_CHECK_RECOVERY_CONTROL:
        break;
    }
    return false;
}

/* ---- the engine ---- */

static void beat(uv_timer_t *timer)
{
    struct probe_engine *engine = timer->data;
    struct mono now = mono_now();
    if (mono_since(now, engine->beat_due) > ENGINE_SLEPT) {
        engine->woken = now;
    }
    engine->beat_due = (struct mono){now.ns + ENGINE_BEAT_MS * TIME_MS};
    uv_update_time(engine->loop);
    (void)uv_timer_start(timer, beat, ENGINE_BEAT_MS, 0); /* has a callback */
}

static void turn_ended(uv_check_t *check)
{
    struct probe_engine *engine = check->data;
    engine->turn_began = mono_now();
    multi_turn_ended(engine->multi);
}

bool probe_engine_is_busy(const struct probe_engine *engine)
{
    return mono_since(mono_now(), engine->turn_began) > ENGINE_BEGINNING;
}

int probe_engine_new(uv_loop_t *loop, const struct probe_settings *settings,
                     struct probe_engine **ret_engine, struct err *err)
{
    (void)pthread_once(&curl_once, start_curl); /* cannot fail with a static once */
    struct probe_engine *engine = memory_new(sizeof *engine);
    engine->loop = loop;
    engine->limits = settings->limits;
    engine->handles = 1;
    int rc = lookup_pool_new(loop, &engine->lookups, err);
    if (rc == 0) {
        rc = multi_new(loop, &engine->multi, err);
    }
    if (rc != 0) {
        lookup_pool_close(engine->lookups);
        free(engine);
        return rc;
    }
    engine->ca_file = settings->ca_file != NULL ? memory_strdup(settings->ca_file) : NULL;
    (void)uv_timer_init(loop, &engine->beat); /* always 0 */
    engine->beat.data = engine;
    engine->handles++;
    engine->beat_due = mono_now();
    beat(&engine->beat);
    (void)uv_check_init(loop, &engine->turn); /* always 0 */
    engine->turn.data = engine;
    engine->handles++;
    engine->turn_began = engine->beat_due;
    (void)uv_check_start(&engine->turn, turn_ended); /* has a callback */
    *ret_engine = engine;
    return 0;
}

static void drop_engine(struct probe_engine *engine)
{
    engine->handles--;
    if (engine->handles == 0) {
        free(engine->ca_file);
        free(engine);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    drop_engine(handle->data);
}

/* Whether the loop has slept since the probe started. Events of the time asleep may come before the
 * beat that is due. */
static bool slept(const struct probe *probe, struct mono now)
{
    const struct probe_engine *engine = probe->engine;
    return probe->started.ns < engine->woken.ns || mono_since(now, engine->beat_due) > ENGINE_SLEPT;
}

/* ---- lists and the pool ---- */

static void link_active(struct probe *probe)
{
    struct probe_engine *engine = probe->engine;
    probe->previous = NULL;
    probe->next = engine->active;
    if (engine->active != NULL) {
        engine->active->previous = probe;
    }
    engine->active = probe;
}

static void unlink_active(struct probe *probe)
{
    struct probe_engine *engine = probe->engine;
    if (probe->previous != NULL) {
        probe->previous->next = probe->next;
    } else {
        engine->active = probe->next;
    }
    if (probe->next != NULL) {
        probe->next->previous = probe->previous;
    }
}

static struct probe *take_from_pool(struct probe_engine *engine)
{
    struct probe *probe = engine->idle;
    if (probe != NULL) {
        engine->idle = probe->next;
        engine->idle_count--;
        return probe;
    }
    probe = memory_new(sizeof *probe);
    probe->engine = engine;
    (void)uv_timer_init(engine->loop, &probe->limit); /* always 0 */
    probe->limit.data = probe;
    engine->handles++;
    return probe;
}

static void limit_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    struct probe_engine *engine = probe->engine;
    free(probe);
    drop_engine(engine);
}

static void free_probe(struct probe *probe)
{
    curl_easy_cleanup(probe->easy);
    probe->easy = NULL;
    uv_close((uv_handle_t *)&probe->limit, limit_closed);
}

/* Exchanges the probe's handle with the one that remembers the check's TLS session. */
static void swap_handle(struct probe *probe)
{
    if (probe->memory != NULL) {
        CURL *easy = probe->easy;
        probe->easy = probe->memory->easy;
        probe->memory->easy = easy;
    }
}

void probe_memory_done(struct probe_memory *memory)
{
    curl_easy_cleanup(memory->easy);
    memory->easy = NULL;
}

/* Sessions of verified checks are not resumed: a certificate may have run out since. */
static bool resumes(const struct model_check *check)
{
    bool https = check->type == MODEL_CHECK_HTTPS || check->type == MODEL_CHECK_HTTPS_STR_MATCH;
    return https && !check->options.verify_tls;
}

/* Ends whatever is going on and puts the probe back. */
static void release(struct probe *probe)
{
    struct probe_engine *engine = probe->engine;
    (void)uv_timer_stop(&probe->limit); /* always 0 */
    lookup_cancel(probe->lookup);
    probe->lookup = NULL;
    http_close(probe);
    tcp_close(probe);
    swap_handle(probe);
    probe->memory = NULL;
    unlink_active(probe);
    probe->check = NULL;
    if (engine->closed || engine->idle_count >= ENGINE_IDLE_LIMIT) {
        free_probe(probe);
        return;
    }
    probe->next = engine->idle;
    engine->idle = probe;
    engine->idle_count++;
}

void probe_engine_close(struct probe_engine *take_engine)
{
    if (take_engine == NULL) {
        return;
    }
    take_engine->closed = true;
    while (take_engine->active != NULL) {
        release(take_engine->active);
    }
    while (take_engine->idle != NULL) {
        struct probe *probe = take_engine->idle;
        take_engine->idle = probe->next;
        free_probe(probe);
    }
    uv_close((uv_handle_t *)&take_engine->beat, handle_closed);
    uv_close((uv_handle_t *)&take_engine->turn, handle_closed);
    multi_close(take_engine->multi);
    lookup_pool_close(take_engine->lookups);
    drop_engine(take_engine);
}

/* ---- phases and decisions ---- */

static void arm(struct probe *probe, int64_t limit_ms);

static void limit_passed(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    if (!probe->decided && probe->event_waits) {
        arm(probe, 1); /* what came in time counts */
        return;
    }
    if (!probe->decided && probe->in_multi && multi_is_behind(probe->engine->multi)) {
        struct multi *multi = probe->engine->multi;
        arm(probe, 1);
        multi_report(multi); /* the probe may be gone */
        return;
    }
    if (!probe->decided && !probe->grace && mono_since(mono_now(), probe->limit_due) > LATE) {
        /* libuv runs timers before sockets: the answer may have been there in time. */
        probe->grace = true;
        arm(probe, GRACE_MS);
        return;
    }
    if (!probe->decided) {
        sentence_timed_out(probe);
    }
    engine_report(probe);
}

static void arm(struct probe *probe, int64_t limit_ms)
{
    probe->limit_due = (struct mono){mono_now().ns + limit_ms * TIME_MS};
    /* Limits count from now, not from the start of the loop's turn. */
    uv_update_time(probe->engine->loop);
    (void)uv_timer_start(&probe->limit, limit_passed, (uint64_t)limit_ms, 0); /* has a callback */
}

static bool has_whole_limit(const struct probe *probe)
{
    return probe->check->options.timeout_ms != 0;
}

void engine_enter(struct probe *probe, enum probe_phase phase)
{
    const struct probe_limits *limits = &probe->engine->limits;
    probe->phase = phase;
    if (has_whole_limit(probe) || probe->decided) {
        return;
    }
    switch (phase) {
    case PHASE_CONNECT:
        arm(probe, probe->check->type == MODEL_CHECK_TCP ? limits->tcp_ms : limits->connect_ms);
        break;
    case PHASE_STATUS:
        arm(probe, limits->status_ms);
        break;
    case PHASE_BODY:
        arm(probe, limits->body_ms);
        break;
    }
}

static void PRINTF(3, 0)
    decide(struct probe *probe, bool passed, const char *format, va_list arguments)
{
    if (probe->decided) {
        return;
    }
    probe->decided = true;
    probe->result.passed = passed;
    probe->result.at = mono_now();
    if (!passed) {
        enum probe_fault fault =
            slept(probe, probe->result.at) ? PROBE_FAULT_SLEPT : PROBE_FAULT_ENDPOINT;
        probe->result.fault = probe->host_fault ? PROBE_FAULT_HOST : fault;
    }
    probe->result.latency_us = mono_since(probe->result.at, probe->started) / TIME_US;
    /* A sentence that is too long is cut. */
    (void)vsnprintf(probe->result.text, sizeof probe->result.text, format, arguments);
    /* Somebody has to deliver it, if nobody closer does before the loop's next turn. */
    (void)uv_timer_start(&probe->limit, limit_passed, 0, 0); /* has a callback */
}

void engine_pass(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    decide(probe, true, format, arguments);
    va_end(arguments);
}

void engine_fail(struct probe *probe, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    decide(probe, false, format, arguments);
    va_end(arguments);
}

void engine_blame_host(struct probe *probe)
{
    probe->host_fault = true;
}

void engine_report(struct probe *take_probe)
{
    struct probe_result result = take_probe->result;
    probe_done done = take_probe->done;
    void *context = take_probe->context;
    release(take_probe);
    done(context, &result);
}

/* ---- the start ---- */

static void open_connection(struct probe *probe)
{
    address_text((const struct sockaddr *)&probe->address, probe->address_text);
    if (probe->check->type == MODEL_CHECK_TCP) {
        tcp_open(probe);
    } else {
        http_open(probe);
    }
}

static void resolved(void *context, const struct lookup_answer *answer)
{
    struct probe *probe = context;
    probe->lookup = NULL;
    if (!answer->found) {
        if (answer->host_fault) {
            engine_blame_host(probe);
        }
        sentence_unresolved(probe, answer->reason);
        engine_report(probe);
        return;
    }
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(probe->check->port), .sin_addr = answer->address};
    (void)memcpy(&probe->address, &v4, sizeof v4);
    open_connection(probe);
}

static bool parse_address(const struct model_check *check, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(check->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(check->port)};
    if (inet_pton(AF_INET, check->ip_address, &v4.sin_addr) == 1) {
        (void)memcpy(ret_address, &v4, sizeof v4);
        return true;
    }
    if (inet_pton(AF_INET6, check->ip_address, &v6.sin6_addr) == 1) {
        (void)memcpy(ret_address, &v6, sizeof v6);
        return true;
    }
    return false;
}

struct probe *probe_start(struct probe_engine *engine, const struct model_check *check,
                          struct probe_memory *memory, probe_done done, void *context)
{
    struct probe *probe = take_from_pool(engine);
    probe->check = check;
    probe->memory = resumes(check) ? memory : NULL;
    swap_handle(probe);
    probe->done = done;
    probe->context = context;
    probe->decided = false;
    probe->grace = false;
    probe->event_waits = false;
    probe->host_fault = false;
    probe->socket_error = 0;
    probe->result = (struct probe_result){.passed = false};
    probe->address_text[0] = '\0';
    (void)memset(&probe->address, 0, sizeof probe->address);
    probe->started = mono_now();
    link_active(probe);
    if (has_whole_limit(probe)) {
        arm(probe, check->options.timeout_ms);
    }
    engine_enter(probe, PHASE_CONNECT);
    if (parse_address(check, &probe->address)) {
        open_connection(probe);
    } else if (!text_empty(check->ip_address)) {
        engine_fail(probe, "Failure: The IP address isn't valid");
    } else {
        probe->lookup = lookup_start(engine->lookups, check->host_name, resolved, probe);
    }
    return probe;
}

void probe_cancel(struct probe *take_probe)
{
    if (take_probe != NULL) {
        release(take_probe);
    }
}
