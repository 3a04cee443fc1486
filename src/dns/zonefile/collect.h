/* Records that somebody else wrote, gathered into record sets; private to this room. Used by
 * zonefile.c for files and by incoming.c for transfers: both get their records from ldns. */
#ifndef DNS_ZONEFILE_COLLECT_H
#define DNS_ZONEFILE_COLLECT_H

#include "dns/wire/name.h"
#include "dns/zonefile/zonefile.h"

#include <stdbool.h>

#include <ldns/ldns.h>

struct collect_row {
    const uint8_t *name; /* wire, lower case, in the arena */
    const char *value;   /* presentation form, in the arena */
    uint32_t ttl_s;
    uint16_t type;
    unsigned line;
    size_t number; /* in the order they came */
};

enum collect_verdict {
    COLLECT_ROW,    /* a record that a zone here can hold */
    COLLECT_DNSSEC, /* a signature, key or denial: left out and counted */
    COLLECT_LEFT,   /* of a type without a place here: left out and counted */
};

struct collect {
    struct arena *arena;
    struct zonefile *result;
    uint8_t origin[NAME_WIRE_LIMIT];
    struct collect_row *rows;
    size_t count;
    size_t capacity;
    char *text;          /* a value on its way */
    uint8_t *wire;       /* its wire form */
    ldns_buffer *buffer; /* RDATA as ldns writes it */
};

/* result is filled as rows come. */
int collect_begin(struct collect *collect, const char *origin, struct arena *arena,
                  struct zonefile *result, struct err *err) MUST_CHECK;
void collect_done(struct collect *collect);
/* The record as a row, which is not added yet. ERR_INVALID without a place in its text: another
 * class, a name outside the origin, data that does not fit. */
int collect_read(struct collect *collect, const ldns_rr *rr, unsigned line,
                 enum collect_verdict *ret_verdict, struct collect_row *ret_row, struct err *err)
    MUST_CHECK;
/* ERR_LIMIT beyond ZONEFILE_RECORDS_LIMIT. */
int collect_add(struct collect *collect, struct collect_row row, struct err *err) MUST_CHECK;
/* All rows into result's sets. ERR_LIMIT names one with more than ZONEFILE_VALUES_LIMIT values. */
int collect_finish(struct collect *collect, struct err *err) MUST_CHECK;
/* The row's name as Route 53 writes it; in the arena. */
const char *collect_name(const struct collect *collect, const uint8_t *wire);

#endif
