/* Probes: one look at one endpoint, on one libuv loop, with Route 53's phases.
 *
 * Called by runner.c on the health loop; everything here belongs to that thread. HTTP and HTTPS go
 * through one libcurl multi handle that is driven by the loop, TCP through libuv; names are
 * resolved by lookup.c. Ownership: a probe belongs to the engine, which pools it after its end; the
 * check passed to probe_start must stay until then. Invariants: `done` is called exactly once,
 * never from within probe_start, and not after probe_cancel; nothing grows with what the server
 * sends. */
#ifndef HEALTH_PROBE_PROBE_H
#define HEALTH_PROBE_PROBE_H

#include "base/address.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define PROBE_TEXT 320U /* bytes of a status sentence, NUL included */
#define PROBE_ADDRESS ADDRESS_TEXT

/* Limits of one probe; tests set shorter ones. */
struct probe_limits {
    int64_t tcp_ms;     /* TCP checks: connected within */
    int64_t connect_ms; /* HTTP(S): name resolved, TCP and TLS established within */
    int64_t status_ms;  /* then the status line within */
    int64_t body_ms;    /* then the rest of the headers and what is needed of the body within */
};

/* spec/route53.md "Health checks": 10 s; 4 s, 2 s, 2 s. */
extern const struct probe_limits probe_route53_limits;

struct probe_settings {
    struct probe_limits limits;
    const char *ca_file; /* for leeward:verify-tls; NULL: the system's */
};

/* Whose fault a failure is. */
enum probe_fault {
    PROBE_FAULT_ENDPOINT,
    PROBE_FAULT_SLEPT, /* nobody's: this process did not run while the probe did (it was stopped,
                          its machine was moved), so that its limits say nothing */
    PROBE_FAULT_HOST,  /* this host's: no descriptors, no memory; says nothing about the endpoint */
};

struct probe_result {
    bool passed;
    enum probe_fault fault;     /* when it did not pass */
    struct mono at;             /* when it was decided */
    int64_t latency_us;         /* from the start to the decision */
    char text[PROBE_TEXT];      /* as GetHealthCheckStatus shows it */
    char source[PROBE_ADDRESS]; /* the checker's address; "" when there was no connection */
};

struct probe;
struct probe_engine;

typedef void (*probe_done)(void *context, const struct probe_result *result);

/* settings are copied, ca_file included. */
int probe_engine_new(uv_loop_t *loop, const struct probe_settings *settings,
                     struct probe_engine **ret_engine, struct err *err) MUST_CHECK;
/* Cancels every probe and frees the engine once the loop has run its closing callbacks. */
void probe_engine_close(struct probe_engine *take_engine);

/* Whether the loop has run timers for so long in this turn that further probes had better begin in
 * the next: after a stall many are due at once, and what has arrived meanwhile comes first. */
bool probe_engine_is_busy(const struct probe_engine *engine);

/* What is worth keeping from one probe of a check to its next: the TLS session of an HTTPS check
 * that does not verify certificates, so that the handshake is resumed where the server allows it (a
 * full one costs most of a probe). Owned by whoever probes the check; starts zeroed. */
struct probe_memory {
    void *easy; /* libcurl's handle, which holds the session */
};
/* No probe with it may be running. The memory may be used again. */
void probe_memory_done(struct probe_memory *memory);

/* The check's type is one of the five with an endpoint. memory may be NULL; it is the probe's until
 * the probe is done or cancelled. */
struct probe *probe_start(struct probe_engine *engine, const struct model_check *check,
                          struct probe_memory *memory, probe_done done, void *context) MUST_CHECK;
/* NULL is fine. */
void probe_cancel(struct probe *take_probe);

/* Whether checks of this type have an endpoint to probe. */
bool probe_has_endpoint(enum model_check_type type);

#endif
