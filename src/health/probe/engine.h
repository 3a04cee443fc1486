/* Inside of the probe engine: what engine.c, http.c, tcp.c and multi.c share. Private to
 * health/probe. Everything belongs to the loop's thread.
 *
 * A probe goes through phases; each phase has one limit, kept by one timer of the probe. The kind
 * (http.c, tcp.c) opens and closes the connection, engine.c resolves, times and reports. */
#ifndef HEALTH_PROBE_ENGINE_H
#define HEALTH_PROBE_ENGINE_H

#include "health/probe/lookup.h"
#include "health/probe/probe.h"
#include "health/probe/response.h"

#include <netinet/in.h>
#include <stdarg.h>

#include <curl/curl.h>
#include <uv.h>

/* Finished probes that are kept for the next; more are freed. */
#define ENGINE_IDLE_LIMIT 256U

/* The loop notes that it runs this often; when it comes later than that by ENGINE_SLEPT, the probes
 * under way have been slept through. */
#define ENGINE_BEAT_MS 50
#define ENGINE_SLEPT (100 * TIME_MS)
/* Of one turn of the loop beginning probes takes about this much at most, and serving sockets; what
 * is left waits for the next turn, so that no timer waits for a crowd. */
#define ENGINE_BEGINNING (2 * TIME_MS)
#define ENGINE_SERVING (10 * TIME_MS)

enum probe_phase {
    PHASE_CONNECT, /* the name, TCP and TLS */
    PHASE_STATUS,  /* waiting for the status line */
    PHASE_BODY,    /* the rest of the response */
};

struct probe {
    struct probe_engine *engine;
    struct probe *next; /* in the list of idle or of active probes */
    struct probe *previous;
    const struct model_check *check; /* borrowed while active */
    probe_done done;
    void *context;
    enum probe_phase phase;
    struct mono started;
    uv_timer_t limit; /* of the phase */
    struct mono limit_due;
    bool event_waits; /* its socket's event was put off: it comes again in the next turn */
    bool grace;       /* the limit was late, and events that came before it get their turn */
    bool host_fault;
    bool decided; /* result is final; the timer delivers it */
    struct probe_result result;
    struct lookup *lookup; /* while the name is being resolved */
    struct sockaddr_storage address;
    char address_text[PROBE_ADDRESS]; /* "" before it is known */

    /* http.c */
    CURL *easy; /* kept over the probe's lives, but for the life of one that brought its own */
    struct probe_memory *memory; /* borrowed while active; NULL: none */
    bool in_multi;
    struct socket_watch *watch; /* of multi.c: the connection's, while it is watched */
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    char error[CURL_ERROR_SIZE];
    int socket_error; /* errno of a socket that could not be made; 0 */
    struct response response;

    /* tcp.c */
    struct tcp_socket *tcp;
};

struct probe_engine {
    uv_loop_t *loop;
    struct probe_limits limits;
    char *ca_file;
    struct lookup_pool *lookups;
    struct multi *multi;
    struct probe *active;
    struct probe *idle;
    size_t idle_count;
    size_t handles; /* closing probes and the engine's own hold on itself */
    bool closed;
    uv_timer_t beat;
    struct mono beat_due;
    struct mono woken; /* when the loop last found that it had slept */
    uv_check_t turn;
    struct mono turn_began; /* when sockets had been served, and timers come next */
};

/* ---- engine.c, for the kinds ---- */

/* The next phase begins now: its limit replaces the former (unless the whole probe has one). */
void engine_enter(struct probe *probe, enum probe_phase phase);
/* Decides the probe; the callback runs from the loop. Later decisions are ignored. */
void engine_pass(struct probe *probe, const char *format, ...) PRINTF(2, 3);
void engine_fail(struct probe *probe, const char *format, ...) PRINTF(2, 3);
/* A failure that is about to be decided is this host's. */
void engine_blame_host(struct probe *probe);
/* The same, from within a libuv callback or the multi's harvest: reports, and the probe is gone. */
void engine_report(struct probe *take_probe);

/* ---- the kinds: the address is known; begin. close: whatever the state, at once, no callback
 * after. ---- */

void http_open(struct probe *probe);
void http_close(struct probe *probe);
/* The transfer ended with this code: decides and reports. */
void http_ended(struct probe *take_probe, CURLcode code);
void tcp_open(struct probe *probe);
void tcp_close(struct probe *probe);

/* ---- multi.c: libcurl's multi handle driven by the loop ---- */

int multi_new(uv_loop_t *loop, struct multi **ret_multi, struct err *err) MUST_CHECK;
/* No transfer may be in it. */
void multi_close(struct multi *take_multi);
int multi_add(struct multi *multi, CURL *easy) MUST_CHECK;
/* Takes the probe's transfer away. */
void multi_remove(struct multi *multi, struct probe *probe);
/* The loop has served its sockets for this turn. */
void multi_turn_ended(struct multi *multi);
/* Whether transfers have ended whose reports were put off. */
bool multi_is_behind(const struct multi *multi);
/* Makes those reports now. Not from within libcurl. */
void multi_report(struct multi *multi);

#endif
