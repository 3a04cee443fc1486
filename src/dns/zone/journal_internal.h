/* The inside of a journal, for the two files that make it up: journal.c (the owner's side) and
 * journal_read.c (what transfers take). Private to dns/zone.
 *
 * `mutex` guards everything that a reader takes: the chunks' array, the SOA and the ring. The owner
 * alone writes, so it reads without it. A chunk, an RRset and a step are counted: whoever holds one
 * may read it for as long as that. */
#ifndef DNS_ZONE_JOURNAL_INTERNAL_H
#define DNS_ZONE_JOURNAL_INTERNAL_H

#include "base/buf.h"
#include "base/macro.h"
#include "dns/zone/internal.h"
#include "dns/zone/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_CHUNK 256U

struct journal_chunk {
    _Atomic unsigned references;
    struct zone_rrset *rrsets[JOURNAL_CHUNK]; /* counted; NULL where nothing is */
};

/* What one new serial brought. */
struct journal_step {
    _Atomic unsigned references;
    uint32_t from;
    struct zone_rrset *soa; /* of `from` */
    size_t bytes;           /* of the RRsets that went */
    size_t count;
    struct journal_item {
        struct zone_rrset *before;
        struct zone_rrset *after;
    } items[];
};

struct zone_journal {
    _Atomic unsigned references;
    bool keeps; /* records and steps; else the serial alone, and no reader sees the journal */
    pthread_mutex_t mutex;
    uint32_t serial;
    struct zone_rrset *soa; /* NULL: the zone has none */
    struct journal_chunk **chunks;
    size_t chunk_count;
    size_t chunk_capacity;
    size_t bytes;                /* of all RRsets there are */
    struct journal_step **steps; /* JOURNAL_STEPS */
    size_t step_first;           /* the oldest */
    size_t step_count;
    size_t step_bytes;

    /* The owner's alone. */
    uint32_t stored;          /* the serial in the SOA record as it was put */
    bool changed;             /* touched, where no records are kept */
    bool told;                /* somebody heard of its serial */
    struct zone_table *index; /* RRsets by owner and type, SOA included */
    uint32_t numbers;         /* given out so far */
    uint32_t *free_numbers;
    size_t free_count;
    size_t free_capacity;
    struct zone_touch *touched; /* names and types that may have changed */
    size_t touched_count;
    size_t touched_capacity;
    struct journal_step *building;
    size_t building_capacity;

    uint8_t apex_length;
    uint8_t apex[NAME_WIRE_LIMIT];
    char id[];
};

struct zone_touch {
    uint16_t type;
    uint8_t length; /* of the labels in front of the zone's name */
    uint8_t name[NAME_WIRE_LIMIT];
};

/* Scratch: an owner and the records behind it, as zone_rrset.bytes has them. */
struct flat {
    struct buf bytes;
    size_t count;
    size_t rrsig_size; /* 0: the zone is not shown signed */
};

/* What readers are given for that name and type now. */
void journal_flatten(struct flat *flat, const uint8_t *owner, size_t length,
                     const struct zone_answer *answer);

static inline struct zone_rrset *journal_rrset_ref(struct zone_rrset *rrset)
{
    if (rrset != NULL) {
        atomic_fetch_add_explicit(&rrset->references, 1, memory_order_relaxed);
    }
    return rrset;
}

void journal_rrset_unref(struct zone_rrset *take_rrset);
void journal_chunk_unref(struct journal_chunk *take_chunk);
void journal_step_unref(struct journal_step *take_step);
/* True when this was the last reference; everything before it is visible then. */
bool journal_count_down(_Atomic unsigned *references);

#endif
