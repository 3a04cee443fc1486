/* What the store has below "db/", in memory, and one group of it decoded. Private to this room. Not
 * locked: whoever has several threads does that. */
#ifndef DATABASE_ENDPOINT_RECORDS_H
#define DATABASE_ENDPOINT_RECORDS_H

#include "base/arena.h"
#include "base/time.h"
#include "model/database.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

struct record {
    char *key;
    char *value;
    size_t size;
    int64_t revision;
    struct mono told; /* when a watch brought it, on CLOCK_BOOTTIME; 0: it was read */
    struct mono read; /* when it came, either way */
};

/* Sorted by key. */
struct records {
    struct record *items;
    size_t count;
    size_t capacity;
};

/* CLOCK_BOOTTIME: goes on while the machine sleeps, as leases do. */
struct mono records_now(void);
void records_done(struct records *records);
/* told: by a watch. A put of what is there already changes nothing. */
void records_put(struct records *records, const struct store_entry *entry, bool told,
                 struct mono now);
void records_delete(struct records *records, const char *key);
/* Those under the prefix: the first one's place, and how many. */
size_t records_find(const struct records *records, const char *prefix, size_t *ret_count);
/* NULL: it is not there. */
const struct record *records_get(const struct records *records, const char *key);

struct sight {
    struct model_database_member member;
    struct model_database_seen seen;
    bool is_seen;
    struct mono heard; /* when `seen` came last */
};

struct picture {
    const char *id;
    struct model_database_group group;
    struct model_database_lease lease;
    bool has_lease;
    struct mono lease_told; /* when a watch brought the last renewal; 0: none has */
    struct sight *members;
    size_t member_count;
};

/* The group of the record at this place; ERR_CORRUPT when one of its records cannot be read: its
 * id is filled all the same. */
int records_picture(const struct records *records, const struct record *group, struct arena *arena,
                    struct picture *ret_picture, struct err *err) MUST_CHECK;

#endif
