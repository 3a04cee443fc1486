/* Records as tables: what a stored value's members are called, and where they live in the struct.
 * One table serves decoding and encoding. Private to model/. Thread: any. */
#ifndef MODEL_DATABASE_FIELDS_H
#define MODEL_DATABASE_FIELDS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "model/keep.h"

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum database_field_kind {
    DATABASE_FIELD_TEXT,    /* const char *; "" when absent */
    DATABASE_FIELD_ID,      /* const char *, never empty */
    DATABASE_FIELD_INTEGER, /* int64_t within low and high, 0 or low when absent */
    DATABASE_FIELD_UINT32,
    DATABASE_FIELD_UINT16,
    DATABASE_FIELD_BOOLEAN,
    DATABASE_FIELD_NAME,  /* an enum whose names are listed; must be there */
    DATABASE_FIELD_LSN,   /* model_lsn as "16/B374D848"; absent when 0 */
    DATABASE_FIELD_HEX64, /* uint64_t as text, because JSON's numbers are signed */
    DATABASE_FIELD_WALL,  /* struct wall, kept in milliseconds */
    DATABASE_FIELD_TEXTS, /* const char **, and its count elsewhere */
    DATABASE_FIELD_LIST,  /* an array of structs with a table of their own */
};

struct database_record;

struct database_field {
    const char *name;
    enum database_field_kind kind;
    size_t offset;
    int64_t low;
    int64_t high; /* of lists and texts: how many there may be */
    const char *const *names;
    size_t name_count;
    size_t count_offset;
    const struct database_record *item;
};

struct database_record {
    const char *what; /* "replication group": begins the message of an error */
    size_t size;      /* of the struct */
    const struct database_field *fields;
    size_t field_count;
};

/* Writes *ret_struct only on success. ERR_CORRUPT names the member that is wrong. */
int database_record_decode(const struct database_record *record, const void *value, size_t size,
                           struct arena *arena, void *ret_struct, struct err *err) MUST_CHECK;
char *database_record_encode(const struct database_record *record, const void *object,
                             const struct model_stored *before, struct arena *arena) MUST_CHECK;

#endif
