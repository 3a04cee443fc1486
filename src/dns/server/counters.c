/* Counters: see counters.h. Notes come from the worker's thread, sums go to whoever asks; the
 * worker owns the memory. Invariant: a zone's counter belongs to the number that stands in it, so a
 * zone that takes a slot over begins at zero. */
#include "dns/server/counters.h"

#include "base/memory.h"
#include "dns/wire/rdata.h"

#include <stdlib.h>

/* Slot 0 counts all types that are not named. */
const uint8_t counters_type_slots[DNS_TYPE_SLOTS] = {
#define X(slot, type, name) [type] = (slot),
    DNS_COUNTED_TYPES(X)
#undef X
};

static const char *const type_names[DNS_TYPES] = {"other",
#define X(slot, type, name) name,
                                                  DNS_COUNTED_TYPES(X)
#undef X
};

const char *dns_type_label(size_t index)
{
    return index < DNS_TYPES ? type_names[index] : NULL;
}

const char *dns_rcode_label(size_t index)
{
    static const char *const names[DNS_RCODES] = {
        [0] = "NOERROR",    [1] = "FORMERR",           [2] = "SERVFAIL", [3] = "NXDOMAIN",
        [4] = "NOTIMP",     [5] = "REFUSED",           [6] = "YXDOMAIN", [7] = "YXRRSET",
        [8] = "NXRRSET",    [9] = "NOTAUTH",           [10] = "NOTZONE", [16] = "BADVERS",
        [23] = "BADCOOKIE", [DNS_RCODES - 1] = "other"};
    return index < DNS_RCODES ? names[index] : NULL;
}

const char *dns_opcode_label(size_t index)
{
    static const char *const names[DNS_OPCODES] = {
        "QUERY", "IQUERY", "STATUS", "3",  "NOTIFY", "UPDATE", "DSO", "7",
        "8",     "9",      "10",     "11", "12",     "13",     "14",  "15"};
    return index < DNS_OPCODES ? names[index] : NULL;
}

const char *dns_edns_label(size_t index)
{
    static const char *const names[DNS_EDNS] = {"none", "edns", "edns-do"};
    return index < DNS_EDNS ? names[index] : NULL;
}

const char *dns_cookie_label(size_t index)
{
    static const char *const names[DNS_COOKIES] = {"none", "client", "bad", "good"};
    return index < DNS_COOKIES ? names[index] : NULL;
}

void counters_init(struct worker_counters *counters)
{
    /* Zeroed memory that is not touched takes no room. */
    counters->zones = memory_array(ZONE_NUMBERS, sizeof *counters->zones);
}

void counters_done(struct worker_counters *counters)
{
    free(counters->zones);
    counters->zones = NULL;
}

void counters_new_zone(struct zone_counter *counter, uint32_t number)
{
    atomic_store_explicit(&counter->queries, 0, memory_order_relaxed);
    atomic_store_explicit(&counter->number, number, memory_order_release);
}

uint64_t counters_zone(const struct worker_counters *counters, uint32_t number)
{
    const struct zone_counter *counter = &counters->zones[number % ZONE_NUMBERS];
    if (atomic_load_explicit(&counter->number, memory_order_acquire) != number) {
        return 0;
    }
    return atomic_load_explicit(&counter->queries, memory_order_relaxed);
}

/* The usual ones are what the others leave of all. */
static void settle(struct worker_counters *counters)
{
    uint64_t all = counters->noted;
    atomic_store_explicit(&counters->edns[0], all - counters->noted_edns, memory_order_relaxed);
    atomic_store_explicit(&counters->cookies[0], all - counters->noted_cookies,
                          memory_order_relaxed);
    atomic_store_explicit(&counters->opcodes[0], all - counters->noted_opcodes,
                          memory_order_relaxed);
}

void counters_latency(struct worker_counters *counters, unsigned count, int64_t ns)
{
    settle(counters);
    if (count == 0) {
        return;
    }
    uint64_t each = (uint64_t)MAX(ns, 1) / count;
    unsigned bucket = 0;
    while (bucket + 1 < DNS_LATENCY_BUCKETS && each > dns_latency_bound_ns(bucket)) {
        bucket++;
    }
    worker_count(&counters->latency[bucket], count);
    worker_count(&counters->latency_ns, (uint64_t)MAX(ns, 0));
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void counters_add(const struct worker_counters *counters, struct dns_counters *sum)
{
#define X(name, metric, label, help) sum->name += load(&counters->name);
    DNS_COUNTERS(X)
#undef X
#define X(name, size, metric, label, help)                                                         \
    for (size_t i = 0; i < (size); i++) {                                                          \
        sum->name[i] += load(&counters->name[i]);                                                  \
    }
    DNS_VECTORS(X)
#undef X
    for (size_t i = 0; i < DNS_LATENCY_BUCKETS; i++) {
        sum->latency[i] += load(&counters->latency[i]);
    }
    sum->latency_ns += load(&counters->latency_ns);
}
