/* The inside of dns/transfer; private to it.
 *
 * `mutex` guards settings, the queue and the running transfers; it is held for a few lines at a
 * time. Settings are immutable and counted. */
#ifndef DNS_TRANSFER_INTERNAL_H
#define DNS_TRANSFER_INTERNAL_H

#include "base/arena.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/transfer/transfer.h"
#include "dns/zone/journal.h"

#include <pthread.h>
#include <stdatomic.h>

struct transfer_settings {
    _Atomic unsigned references;
    struct arena arena;
    struct transfer_zone *zones; /* by id */
    size_t count;
    struct tsig_keys *keys;
};

#define TRANSFER_SOURCE_SIZE 17U

struct transfer_job {
    struct transfer_job *next;
    struct transfer_loan *loan;
    uint8_t source[TRANSFER_SOURCE_SIZE]; /* family, then IPv4 address or IPv6 /64 */
    size_t length;
    uint8_t query[];
};

struct notifier;

struct transfer {
    const struct zone_set *zones;
    unsigned threads;
    unsigned timeout_ms;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* a job waits, or the end */
    struct transfer_settings *settings;
    struct transfer_job *waiting; /* oldest first */
    struct transfer_job **waiting_last;
    size_t waiting_count;
    struct transfer_job **running; /* one a thread, NULL when it is idle */
    pthread_t *pool;
    unsigned started;
    bool stopping;
    struct notifier *notifier;
    struct {
#define X(name, help) _Atomic uint64_t name;
        TRANSFER_COUNTERS(X)
#undef X
    } counters;
};

static inline void transfer_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* transfer.c */
struct transfer_settings *settings_take(struct transfer *transfer);
void settings_unref(struct transfer_settings *take_settings);
/* NULL when the zone has none. */
const struct model_transfer *settings_of(const struct transfer_settings *settings,
                                         const char *zone_id);

/* What a query for a transfer is given. */
struct transfer_plan {
    uint16_t rcode;
    bool stream; /* the zone, or what changed in it */
    bool incremental;
    uint32_t serial;              /* that the client has, where incremental */
    struct zone_journal *journal; /* counted; NULL unless RCODE_NOERROR */
    const struct zone_rrset *soa; /* counted, likewise */
};
/* Inside a read section. */
void transfer_plan_make(struct transfer *transfer, const struct zone_set *zones,
                        const struct message_query *query, const struct sockaddr *source,
                        const struct tsig_key *key, bool tcp, struct transfer_plan *ret_plan);
void transfer_plan_done(struct transfer_plan *plan);
/* False when it did not fit. */
bool transfer_put_soa(struct message_writer *writer, const struct zone_rrset *soa);

/* stream.c: the whole answer to the job's query. False when the connection is of no more use. */
bool stream_run(struct transfer *transfer, const struct transfer_job *job);

/* notify.c: the thread that tells secondaries. */
/* *ret_notifier is set in any case. */
int notifier_start(struct transfer *transfer, const struct transfer_config *config,
                   struct notifier **ret_notifier, struct err *err) MUST_CHECK;
/* Ends the thread; the rest stays for who still calls in. NULL is fine. */
void notifier_stop(struct notifier *notifier);
void notifier_free(struct notifier *take_notifier);
void notifier_settings_changed(struct notifier *notifier);

#endif
