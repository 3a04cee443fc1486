/* Who may transfer what: settings, and the judgement of a query; see transfer.h. Called by workers
 * (through the answer path), by the pool and by the daemon. Invariant: settings are replaced whole,
 * and whoever uses them holds a reference. */
#include "dns/transfer/transfer.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "dns/transfer/internal.h"
#include "dns/wire/rdata.h"

#include <stdlib.h>
#include <string.h>

#define SOA_NUMBERS 20U /* serial, refresh, retry, expire, minimum */
#define SOA_LEAST 34U   /* an SOA record: root owner, fixed part, two root names, the numbers */

/* ---- settings ---- */

static int compare_zones(const void *a, const void *b)
{
    return strcmp(((const struct transfer_zone *)a)->zone_id,
                  ((const struct transfer_zone *)b)->zone_id);
}

struct transfer_settings *settings_take(struct transfer *transfer)
{
    (void)pthread_mutex_lock(&transfer->mutex);
    struct transfer_settings *settings = transfer->settings;
    if (settings != NULL) {
        atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&transfer->mutex);
    return settings;
}

void settings_unref(struct transfer_settings *take_settings)
{
    if (take_settings != NULL &&
        atomic_fetch_sub_explicit(&take_settings->references, 1, memory_order_acq_rel) == 1) {
        tsig_keys_unref(take_settings->keys);
        arena_done(&take_settings->arena);
        free(take_settings);
    }
}

const struct model_transfer *settings_of(const struct transfer_settings *settings,
                                         const char *zone_id)
{
    struct transfer_zone wanted = {.zone_id = zone_id};
    const struct transfer_zone *zone =
        settings != NULL && settings->count != 0
            ? bsearch(&wanted, settings->zones, settings->count, sizeof wanted, compare_zones)
            : NULL;
    return zone != NULL ? &zone->rules : NULL;
}

void transfer_configure(struct transfer *transfer, const struct transfer_zone *zones, size_t count,
                        struct tsig_keys *keys)
{
    struct transfer_settings *fresh = memory_new(sizeof *fresh);
    atomic_init(&fresh->references, 1);
    arena_init(&fresh->arena, 0);
    fresh->keys = tsig_keys_ref(keys);
    fresh->count = count;
    fresh->zones = arena_array(&fresh->arena, count + 1, sizeof fresh->zones[0]);
    for (size_t i = 0; i < count; i++) {
        struct transfer_zone *zone = &fresh->zones[i];
        *zone = zones[i];
        zone->zone_id = arena_strdup(&fresh->arena, zones[i].zone_id);
        zone->rules.peers = arena_memdup(&fresh->arena, zones[i].rules.peers,
                                         zone->rules.peer_count * sizeof zone->rules.peers[0]);
        zone->rules.targets =
            arena_memdup(&fresh->arena, zones[i].rules.targets,
                         zone->rules.target_count * sizeof zone->rules.targets[0]);
    }
    qsort(fresh->zones, count, sizeof fresh->zones[0], compare_zones);
    (void)pthread_mutex_lock(&transfer->mutex);
    struct transfer_settings *old = transfer->settings;
    transfer->settings = fresh;
    (void)pthread_mutex_unlock(&transfer->mutex);
    settings_unref(old);
    notifier_settings_changed(transfer->notifier);
}

struct tsig_keys *transfer_keys(struct transfer *transfer)
{
    struct transfer_settings *settings = settings_take(transfer);
    struct tsig_keys *keys = settings != NULL ? tsig_keys_ref(settings->keys) : NULL;
    settings_unref(settings);
    return keys;
}

/* ---- judging ---- */

/* The serial in the SOA of an IXFR query; its names may be compressed, so it is read from the end.
 */
static bool client_serial(const struct message_query *query, uint32_t *ret_serial)
{
    if (query->ixfr_at == 0 || query->ixfr_size < SOA_LEAST - 1U) {
        return false;
    }
    struct bytes_reader reader = bytes_reader(query->packet, query->length);
    reader.at = (size_t)query->ixfr_at + query->ixfr_size - SOA_NUMBERS;
    *ret_serial = bytes_get_u32(&reader);
    return !reader.failed;
}

static bool is_allowed(struct transfer *transfer, const char *zone_id,
                       const struct sockaddr *source, const struct tsig_key *key)
{
    struct transfer_settings *settings = settings_take(transfer);
    const struct model_transfer *rules = settings_of(settings, zone_id);
    bool allowed = rules != NULL &&
                   model_transfer_allows(rules, source, key != NULL ? tsig_key_name(key) : NULL);
    settings_unref(settings);
    return allowed;
}

static uint16_t judge(struct transfer *transfer, const struct message_query *query,
                      const struct sockaddr *source, const struct tsig_key *key, bool tcp,
                      struct transfer_plan *plan)
{
    if (plan->journal == NULL ||
        !is_allowed(transfer, zone_journal_id(plan->journal), source, key)) {
        return RCODE_REFUSED;
    }
    plan->incremental = query->type == RR_IXFR;
    if (plan->incremental ? !client_serial(query, &plan->serial) : !tcp) {
        return RCODE_FORMERR; /* AXFR over UDP is not defined: RFC 5936 section 4.2 */
    }
    uint32_t serial = 0;
    plan->soa = zone_journal_soa(plan->journal, &serial);
    if (plan->soa == NULL) {
        return RCODE_SERVFAIL;
    }
    /* RFC 1995 section 2: the SOA alone to who is up to date, and where UDP is too small: the
     * client then comes back over TCP. */
    plan->stream = tcp && (!plan->incremental || serial_compare(plan->serial, serial) < 0);
    return RCODE_NOERROR;
}

void transfer_plan_make(struct transfer *transfer, const struct zone_set *zones,
                        const struct message_query *query, const struct sockaddr *source,
                        const struct tsig_key *key, bool tcp, struct transfer_plan *ret_plan)
{
    bool exists = false;
    *ret_plan = (struct transfer_plan){.stream = false};
    ret_plan->journal = zone_journal_find(zones, query->name, query->name_size, &exists);
    ret_plan->rcode = !exists ? RCODE_NOTAUTH : judge(transfer, query, source, key, tcp, ret_plan);
    if (ret_plan->rcode != RCODE_NOERROR) {
        transfer_count(&transfer->counters.refused, 1);
        transfer_plan_done(ret_plan);
        ret_plan->stream = false;
    }
}

void transfer_plan_done(struct transfer_plan *plan)
{
    zone_rrset_unref(plan->soa);
    zone_journal_unref(plan->journal);
    plan->soa = NULL;
    plan->journal = NULL;
}

bool transfer_put_soa(struct message_writer *writer, const struct zone_rrset *soa)
{
    struct zone_record_view view;
    size_t at = 0;
    return zone_rrset_next(soa, &at, &view) &&
           message_put_record(writer, MESSAGE_ANSWER, soa->bytes, view.type, view.ttl, view.rdata,
                              view.size);
}

enum transfer_verdict transfer_judge(struct transfer *transfer, const struct zone_set *zones,
                                     const struct message_query *query,
                                     const struct sockaddr *source, const struct tsig_key *key,
                                     bool tcp, struct message_writer *writer, uint16_t *ret_rcode)
{
    struct transfer_plan plan;
    transfer_plan_make(transfer, zones, query, source, key, tcp, &plan);
    *ret_rcode = plan.rcode;
    if (plan.rcode == RCODE_NOERROR && !plan.stream) {
        writer->flags |= MESSAGE_AA;
        if (!transfer_put_soa(writer, plan.soa)) {
            message_truncate(writer);
        }
        transfer_count(&transfer->counters.soa_only, 1);
    }
    transfer_plan_done(&plan);
    return plan.stream ? TRANSFER_STREAM : TRANSFER_ANSWERED;
}

void transfer_counters(const struct transfer *transfer, struct transfer_counters *ret_counters)
{
#define X(name, help)                                                                              \
    ret_counters->name = atomic_load_explicit(&transfer->counters.name, memory_order_relaxed);
    TRANSFER_COUNTERS(X)
#undef X
}
