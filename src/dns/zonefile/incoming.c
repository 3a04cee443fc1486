/* Transfers that come in: see incoming.h. ldns takes the messages apart; here is the order of
 * records that makes a transfer (RFC 5936 section 2.2, RFC 1995 section 4):
 *
 *   AXFR: SOA, everything else, SOA
 *   IXFR: SOA (new), then for each step SOA (old), removed, SOA (next), added, and SOA (new) at the
 *         end; or one SOA alone: nothing newer; or as AXFR
 *
 * Invariant: after the last message `rows` (AXFR) or `steps` (IXFR) hold all of it. */
#include "dns/zonefile/incoming.h"

#include "base/memory.h"
#include "base/text.h"
#include "dns/wire/rdata.h"
#include "dns/zonefile/collect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SOA_SERIAL_RDF 2U

enum stage {
    STAGE_FIRST,   /* the first SOA is to come */
    STAGE_SECOND,  /* what is behind it tells AXFR and IXFR apart */
    STAGE_WHOLE,   /* AXFR's records */
    STAGE_REMOVED, /* IXFR's, behind the SOA of an old serial */
    STAGE_ADDED,   /* IXFR's, behind the SOA of the next one */
    STAGE_DONE,
};

struct incoming {
    struct collect collect;
    struct zonefile zone;
    enum stage stage;
    bool held;                /* have is known */
    bool incremental;         /* IXFR was asked */
    bool has_ns;              /* at the apex, of the whole zone */
    uint32_t have;            /* serial */
    uint32_t serial;          /* of the first SOA */
    uint32_t step;            /* serial that the step before led to */
    size_t bytes;             /* so far */
    struct collect_row first; /* that SOA: a record like others where the whole zone comes */
    struct incoming_step *steps;
    size_t step_count;
    size_t step_capacity;
};

bool incoming_newer(uint32_t a, uint32_t b)
{
    return a != b && a - b < 0x80000000U;
}

int incoming_new(const char *zone, const uint32_t *serial, bool incremental, struct arena *arena,
                 struct incoming **ret_incoming, struct err *err)
{
    assert(serial != NULL || !incremental);
    struct incoming *incoming = memory_new(sizeof *incoming);
    int rc = collect_begin(&incoming->collect, zone, arena, &incoming->zone, err);
    if (rc != 0) {
        incoming_free(incoming);
        return rc;
    }
    incoming->held = serial != NULL;
    incoming->incremental = incremental;
    incoming->have = serial != NULL ? *serial : 0;
    incoming->step = incoming->have;
    *ret_incoming = incoming;
    return 0;
}

void incoming_free(struct incoming *take_incoming)
{
    if (take_incoming != NULL) {
        collect_done(&take_incoming->collect);
        free(take_incoming->steps);
        free(take_incoming);
    }
}

/* ---- records ---- */

static void add_step(struct incoming *incoming, bool added, const struct collect_row *row)
{
    if (incoming->step_count == incoming->step_capacity) {
        incoming->step_capacity = incoming->step_capacity * 2 + 64;
        incoming->steps =
            memory_resize(incoming->steps, incoming->step_capacity, sizeof *incoming->steps);
    }
    incoming->steps[incoming->step_count++] =
        (struct incoming_step){.added = added,
                               .type = row->type,
                               .ttl_s = row->ttl_s,
                               .name = collect_name(&incoming->collect, row->name),
                               .value = row->value};
}

/* A record that belongs to the zone's contents, or to a step. */
static int keep_record(struct incoming *incoming, const ldns_rr *rr, struct err *err)
{
    enum collect_verdict verdict = COLLECT_LEFT;
    struct collect_row row;
    int rc = collect_read(&incoming->collect, rr, 0, &verdict, &row, err);
    if (rc != 0) {
        char *owner = ldns_rdf2str(ldns_rr_owner(rr));
        rc = err_wrap(err, "%.200s", owner != NULL ? owner : "a record");
        free(owner);
        return rc;
    }
    if (verdict != COLLECT_ROW) {
        return 0;
    }
    if (incoming->collect.count + incoming->step_count >= INCOMING_RECORDS_LIMIT) {
        return err_set(err, ERR_LIMIT, "the transfer has more than %u records",
                       INCOMING_RECORDS_LIMIT);
    }
    incoming->has_ns =
        incoming->has_ns || (row.type == RR_NS && name_equal(row.name, incoming->collect.origin));
    if (incoming->stage == STAGE_WHOLE) {
        return collect_add(&incoming->collect, row, err);
    }
    add_step(incoming, incoming->stage == STAGE_ADDED, &row);
    return 0;
}

static int out_of_order(struct err *err)
{
    return err_set(err, ERR_INVALID, "the primary's records are not in the order of a transfer");
}

/* The one that says what the primary has. Where it is what is held, the rest does not matter. */
static int take_first(struct incoming *incoming, const ldns_rr *rr, uint32_t serial,
                      struct err *err)
{
    enum collect_verdict verdict = COLLECT_LEFT;
    incoming->serial = serial;
    incoming->stage = STAGE_SECOND;
    if (!incoming->held || incoming_newer(serial, incoming->have)) {
        return collect_read(&incoming->collect, rr, 0, &verdict, &incoming->first, err);
    }
    if (serial != incoming->have) {
        return err_set(err, ERR_INVALID, "the primary's serial %u is older than %u, which is held",
                       serial, incoming->have);
    }
    incoming->stage = STAGE_DONE;
    return 0;
}

/* The SOA behind a whole zone: the first one again, or the zone changed while it was sent. */
static int end_whole(struct incoming *incoming, const ldns_rr *rr, struct err *err)
{
    enum collect_verdict verdict = COLLECT_LEFT;
    struct collect_row last = {.value = ""};
    incoming->stage = STAGE_DONE;
    int rc = collect_read(&incoming->collect, rr, 0, &verdict, &last, err);
    if (rc != 0) {
        return rc;
    }
    if (!text_equal_nocase(last.value, incoming->first.value)) {
        return err_set(err, ERR_INVALID, "the transfer ends with another SOA than it began with");
    }
    if (!incoming->has_ns) {
        return err_set(err, ERR_INVALID, "the zone has no NS records at its own name");
    }
    return collect_finish(&incoming->collect, err);
}

/* The zone's own SOA: it parts the sections. Each step begins where the one before ended. */
static int take_soa(struct incoming *incoming, const ldns_rr *rr, struct err *err)
{
    uint32_t serial = ldns_rdf2native_int32(ldns_rr_rdf(rr, SOA_SERIAL_RDF));
    switch (incoming->stage) {
    case STAGE_FIRST:
        return take_first(incoming, rr, serial, err);
    case STAGE_SECOND:
        if (serial == incoming->serial) { /* nothing but its SOA */
            return end_whole(incoming, rr, err);
        }
        if (!incoming->incremental || serial != incoming->have) {
            return out_of_order(err); /* steps from a serial that is not held */
        }
        incoming->stage = STAGE_REMOVED;
        return keep_record(incoming, rr, err);
    case STAGE_WHOLE:
        return end_whole(incoming, rr, err);
    case STAGE_REMOVED:
        incoming->stage = STAGE_ADDED;
        incoming->step = serial;
        return keep_record(incoming, rr, err);
    case STAGE_ADDED:
        if (serial != incoming->step) {
            return out_of_order(err);
        }
        incoming->stage = serial == incoming->serial ? STAGE_DONE : STAGE_REMOVED;
        return incoming->stage == STAGE_DONE ? 0 : keep_record(incoming, rr, err);
    case STAGE_DONE:
        break;
    }
    return out_of_order(err);
}

static bool is_own_soa(const struct incoming *incoming, const ldns_rr *rr)
{
    if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(rr) <= SOA_SERIAL_RDF) {
        return false;
    }
    const ldns_rdf *owner = ldns_rr_owner(rr);
    size_t size = ldns_rdf_size(owner);
    const uint8_t *data = ldns_rdf_data(owner);
    if (size != name_length(incoming->collect.origin)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if ((uint8_t)text_lower((char)data[i]) != incoming->collect.origin[i]) {
            return false;
        }
    }
    return true;
}

static int take_record(struct incoming *incoming, const ldns_rr *rr, struct err *err)
{
    if (incoming->stage == STAGE_DONE) {
        return out_of_order(err);
    }
    if (is_own_soa(incoming, rr)) {
        return take_soa(incoming, rr, err);
    }
    if (incoming->stage == STAGE_FIRST) {
        return out_of_order(err);
    }
    int rc = 0;
    if (incoming->stage == STAGE_SECOND) {
        incoming->stage = STAGE_WHOLE;
        rc = collect_add(&incoming->collect, incoming->first, err);
    }
    return rc != 0 ? rc : keep_record(incoming, rr, err);
}

/* ---- messages ---- */

static int judge_rcode(ldns_pkt_rcode rcode, struct err *err)
{
    char *name = ldns_pkt_rcode2str(rcode);
    int rc = 0;
    switch ((int)rcode) {
    case LDNS_RCODE_NOERROR:
        break;
    case LDNS_RCODE_REFUSED:
    case LDNS_RCODE_NOTAUTH:
        rc = err_set(err, ERR_DENIED, "the primary refuses the transfer (%s)",
                     name != NULL ? name : "");
        break;
    case LDNS_RCODE_FORMERR:
    case LDNS_RCODE_NOTIMPL:
        rc = err_set(err, ERR_UNSUPPORTED, "the primary doesn't know the query (%s)",
                     name != NULL ? name : "");
        break;
    default:
        rc = err_set(err, ERR_INVALID, "the primary answers %s", name != NULL ? name : "an error");
        break;
    }
    free(name);
    return rc;
}

/* The first SOA was of the serial that is held. */
static bool is_current(const struct incoming *incoming)
{
    return incoming->stage == STAGE_DONE && incoming->held && incoming->serial == incoming->have;
}

static int take_packet(struct incoming *incoming, const ldns_pkt *packet, uint16_t id,
                       struct err *err)
{
    if (!ldns_pkt_qr(packet) || ldns_pkt_id(packet) != id) {
        return err_set(err, ERR_INVALID, "what the primary sent is no response to the query");
    }
    int rc = judge_rcode(ldns_pkt_get_rcode(packet), err);
    const ldns_rr_list *answer = ldns_pkt_answer(packet);
    size_t count = ldns_rr_list_rr_count(answer);
    if (rc == 0 && count == 0) {
        rc = out_of_order(err);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = take_record(incoming, ldns_rr_list_rr(answer, i), err);
        if (is_current(incoming)) {
            break; /* RFC 1995 section 2 sends the SOA alone; others send what they have */
        }
    }
    return rc;
}

int incoming_take(struct incoming *incoming, const void *message, size_t size, uint16_t id,
                  bool *ret_done, struct err *err)
{
    ldns_pkt *packet = NULL;
    incoming->bytes += size;
    if (incoming->bytes > INCOMING_BYTES_LIMIT) {
        return err_set(err, ERR_LIMIT, "the transfer has more than %zu bytes",
                       INCOMING_BYTES_LIMIT);
    }
    ldns_status status = ldns_wire2pkt(&packet, message, size);
    if (status != LDNS_STATUS_OK) {
        return err_set(err, ERR_INVALID, "the primary's message is malformed: %s",
                       ldns_get_errorstr_by_id(status));
    }
    int rc = take_packet(incoming, packet, id, err);
    ldns_pkt_free(packet);
    *ret_done = incoming->stage == STAGE_DONE;
    return rc;
}

void incoming_result(struct incoming *incoming, struct incoming_result *ret_result)
{
    struct incoming_result result = {.serial = incoming->serial};
    if (incoming->step_count != 0) {
        result.kind = INCOMING_STEPS;
        result.steps = incoming->steps;
        result.step_count = incoming->step_count;
    } else if (incoming->collect.count != 0) {
        result.kind = INCOMING_WHOLE;
    }
    result.zone = incoming->zone;
    *ret_result = result;
}
