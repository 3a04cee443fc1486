/* What a zone transfer reads: a zone's records as they are served, under a serial that moves with
 * every visible change, and what changed between serials.
 *
 *   zone --journal--> RRsets by number, in chunks of which a copy shares all that did not change
 *                     steps, newest last: RRsets before and after; a ring of bounded size
 *
 * The owner of the zone database writes (journal.c, zones with transfers only); transfer threads
 * take copies and differences, which are immutable, counted, and cost the owner next to nothing: a
 * lock held for as long as it takes to count the chunks. Routed names are flattened to the answer
 * as it is now: of a weighted group the heaviest record that is served, of a multivalue group all
 * that are healthy, of an alias what it stands for. Of a signed zone there are the DNSKEY, NSEC and
 * RRSIG records, too.
 * Thread: any. */
#ifndef DNS_ZONE_JOURNAL_H
#define DNS_ZONE_JOURNAL_H

#include "base/macro.h"
#include "dns/zone/zone_set.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Steps that a journal keeps, and bytes of RRsets that only they hold. */
#define JOURNAL_STEPS 1024U
#define JOURNAL_BYTES (8U << 20U)

struct zone_journal;
struct zone_copy;
struct zone_difference;

/* Serial number arithmetic, RFC 1982: negative, 0 or positive as a comes before, is, or comes after
 * b. Two that are 2^31 apart: a counts as before. */
int serial_compare(uint32_t a, uint32_t b) PURE;
/* The serial after `previous` when something changed at now_s: the clock's, where that is ahead.
 * Never 0. */
uint32_t serial_next(uint32_t previous, int64_t now_s) PURE;

/* All records of one owner and type, in a signed zone with their RRSIG records. Immutable; borrowed
 * from the copy or difference that gave it. */
struct zone_rrset {
    _Atomic unsigned references;
    uint32_t number; /* its place in the journal's copies */
    uint32_t size;   /* of bytes */
    uint16_t type;
    uint16_t count;
    uint8_t owner_length;
    uint8_t bytes[]; /* owner in wire form; then for each record type, TTL, RDATA length, RDATA */
};

struct zone_record_view {
    uint16_t type;
    uint32_t ttl;
    uint16_t size;
    const uint8_t *rdata;
};

/* The record at *at (0: the first) and moves *at behind it; false when there is none. */
bool zone_rrset_next(const struct zone_rrset *rrset, size_t *at, struct zone_record_view *ret_view);
/* Whether the RRset has that record: type, TTL and RDATA. */
bool zone_rrset_has(const struct zone_rrset *rrset, const struct zone_record_view *view);

/* The journal of the zone with exactly that name; NULL when the zone has none, and *ret_zone says
 * whether there is such a zone. Inside a read section; what is returned is counted and outlives
 * it. */
struct zone_journal *zone_journal_find(const struct zone_set *set, const uint8_t *name,
                                       size_t length, bool *ret_zone);
void zone_journal_unref(struct zone_journal *take_journal);
/* The hosted zone's id, and its name in wire form; for as long as the journal is held. */
const char *zone_journal_id(const struct zone_journal *journal);
const uint8_t *zone_journal_apex(const struct zone_journal *journal);

/* The SOA as it is served now, counted (zone_rrset_unref), and its serial; NULL when there is
 * none. */
const struct zone_rrset *zone_journal_soa(struct zone_journal *journal, uint32_t *ret_serial);
void zone_rrset_unref(const struct zone_rrset *take_rrset);
/* The zone as it is now, SOA apart. NULL when it has no SOA: it cannot be transferred then. */
struct zone_copy *zone_journal_copy(struct zone_journal *journal);
void zone_copy_free(struct zone_copy *take_copy);
const struct zone_rrset *zone_copy_soa(const struct zone_copy *copy);
uint32_t zone_copy_serial(const struct zone_copy *copy);
/* The next RRset, in no order; NULL after the last. *cursor is 0 at first. */
const struct zone_rrset *zone_copy_next(const struct zone_copy *copy, size_t *cursor);

/* One RRset that differs; `before` or `after` is NULL when there was or is none. */
struct zone_difference_item {
    const struct zone_rrset *before;
    const struct zone_rrset *after;
};

/* From serial `from` to now, all steps as one (RFC 1995 section 5: condensed). NULL when the
 * journal does not reach back to it. */
struct zone_difference *zone_journal_difference(struct zone_journal *journal, uint32_t from);
void zone_difference_free(struct zone_difference *take_difference);
const struct zone_rrset *zone_difference_soa(const struct zone_difference *difference, bool after);
size_t zone_difference_count(const struct zone_difference *difference);
struct zone_difference_item zone_difference_item(const struct zone_difference *difference,
                                                 size_t index);
/* Bytes of all RRsets in it, and of the whole zone at its end: which is the shorter way. */
size_t zone_difference_bytes(const struct zone_difference *difference);
size_t zone_difference_zone_bytes(const struct zone_difference *difference);

#endif
