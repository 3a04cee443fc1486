/* Counting for one worker: plain stores by its thread, relaxed loads by whoever asks; private to
 * this room. */
#ifndef DNS_SERVER_COUNTERS_H
#define DNS_SERVER_COUNTERS_H

#include "base/macro.h"
#include "dns/answer/answer.h"
#include "dns/server/server.h"
#include "dns/zone/zone_set.h"

#include <stdatomic.h>
#include <stdint.h>

/* Of the zone whose number stands there now: see zone_set.h. */
struct zone_counter {
    _Atomic uint64_t queries;
    _Atomic uint32_t number;
};

struct worker_counters {
#define X(name, metric, label, help) _Atomic uint64_t name;
    DNS_COUNTERS(X)
#undef X
#define X(name, size, metric, label, help) _Atomic uint64_t name[size];
    DNS_VECTORS(X)
#undef X
    _Atomic uint64_t latency[DNS_LATENCY_BUCKETS];
    _Atomic uint64_t latency_ns;
    struct zone_counter *zones; /* ZONE_NUMBERS of them */
    /* All that was noted, and what of it was not usual. */
    uint64_t noted;
    uint64_t noted_edns;
    uint64_t noted_cookies;
    uint64_t noted_opcodes;
};

/* One writer, so no locked instruction is needed. */
static inline void worker_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

extern const uint8_t counters_type_slots[DNS_TYPE_SLOTS];

/* The first query of a zone since another one's number stood there. */
void counters_new_zone(struct zone_counter *counter, uint32_t number) COLD;

/* One answered query, inside the read section that it was answered in. What is usual (slot 0 of
 * edns, cookies, opcodes) waits for counters_latency. */
static inline void counters_note(struct worker_counters *counters,
                                 const struct answer_outcome *outcome)
{
    unsigned type = outcome->type < DNS_TYPE_SLOTS ? counters_type_slots[outcome->type] : 0;
    worker_count(&counters->types[type], 1);
    worker_count(&counters->rcodes[MIN(outcome->rcode, DNS_RCODES - 1U)], 1);
    counters->noted++;
    if (outcome->has_edns) {
        counters->noted_edns++;
        worker_count(&counters->edns[1U + outcome->dnssec_ok], 1);
    }
    if (UNLIKELY(outcome->cookie != COOKIE_NONE)) {
        counters->noted_cookies++;
        worker_count(&counters->cookies[outcome->cookie], 1);
    }
    if (UNLIKELY(outcome->opcode != 0)) {
        counters->noted_opcodes++;
        worker_count(&counters->opcodes[outcome->opcode], 1);
    }
    if (LIKELY(outcome->zone != NULL)) {
        uint32_t number = outcome->zone->number;
        struct zone_counter *counter = &counters->zones[number % ZONE_NUMBERS];
        if (UNLIKELY(atomic_load_explicit(&counter->number, memory_order_relaxed) != number)) {
            counters_new_zone(counter, number);
        }
        worker_count(&counter->queries, 1);
    }
}

/* A batch of count queries took so long; all that was noted of it is visible from here on. */
void counters_latency(struct worker_counters *counters, unsigned count, int64_t ns);

void counters_init(struct worker_counters *counters);
void counters_done(struct worker_counters *counters);
/* Adds what one worker counted. */
void counters_add(const struct worker_counters *counters, struct dns_counters *sum);
uint64_t counters_zone(const struct worker_counters *counters, uint32_t number);

#endif
