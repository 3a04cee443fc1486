/* Zone files (RFC 1035 section 5) into record sets as Route 53 has them, through ldns.
 *
 * Everything is read and judged before anything is returned, so that a caller never imports half a
 * file by mistake. Thread: one at a time per FILE. Memory: the caller's arena; what is returned
 * lives as long as that does. */
#ifndef DNS_ZONEFILE_ZONEFILE_H
#define DNS_ZONEFILE_ZONEFILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Records of one file: further ones are an error. */
#define ZONEFILE_RECORDS_LIMIT 10000000U
#define ZONEFILE_VALUES_LIMIT 1000U /* of one record set: as many as can be stored (model) */
/* The time to live of records that have none, in a file without $TTL and without SOA: one hour. */
#define ZONEFILE_TTL_S 3600U

struct zonefile_set {
    const char *name; /* canonical, as Route 53 writes it: lower case, octal escapes, final dot */
    uint16_t type;
    uint32_t ttl_s;      /* the least of its records' */
    const char **values; /* presentation form, each once */
    size_t value_count;
    unsigned line; /* of its first record */
};

/* Records of a type that no zone here can hold. */
struct zonefile_left {
    uint16_t type;
    const char *name; /* of the type: "HINFO" */
    unsigned line;    /* of the first */
    size_t count;
};

#define ZONEFILE_LEFT_LIMIT 64U

struct zonefile {
    struct zonefile_set *sets; /* by name and type, in wire order */
    size_t set_count;
    size_t record_count; /* in sets */
    size_t dnssec_count; /* signatures, keys and denials: the server makes its own */
    size_t ttl_lowered;  /* sets whose records had different times to live */
    struct zonefile_left left[ZONEFILE_LEFT_LIMIT]; /* types without a place here */
    size_t left_count;
};

/* Reads the file to its end. origin: what relative names are under, in presentation form, with or
 * without the final dot. ERR_INVALID names the line: syntax, another class than IN, a name outside
 * the origin, a value that Route 53 would refuse; $INCLUDE is refused too. ERR_LIMIT: too many
 * records. ERR_IO: it cannot be read. */
int zonefile_read(FILE *in, const char *origin, struct arena *arena, struct zonefile *ret_zonefile,
                  struct err *err) MUST_CHECK;

#endif
