/* A hash table of pointers with one writer and readers without locks: open addressing, linear
 * probing, a power of two of entries. Names, zones, and the owner's own indexes live in such
 * tables.
 *
 * An entry holds the object's address in its lower 48 bits and 16 bits of its hash above, so that a
 * probe touches the object only when it is (nearly) surely the one wanted. Deleting leaves a
 * tombstone; growing makes a new table, which the writer publishes (the old one is retired).
 * Thread: one writer; readers inside a snapshot read section. Objects belong to whoever put them
 * in. */
#ifndef DNS_ZONE_TABLE_H
#define DNS_ZONE_TABLE_H

#include "base/macro.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone_table {
    uint64_t mask; /* entries - 1 */
    size_t used;   /* writer's: live entries and tombstones */
    size_t live;   /* writer's: live entries */
    _Atomic uint64_t entries[];
};

#define ZONE_TABLE_EMPTY 0U
#define ZONE_TABLE_TOMBSTONE 1U
#define ZONE_TABLE_ADDRESS ((UINT64_C(1) << 48U) - 1)

typedef uint64_t (*zone_table_hash)(const void *object, const void *context);

/* A table with room for `count` objects. The caller frees it with free(). */
struct zone_table *zone_table_new(size_t count) MUST_CHECK;
/* True when `more` objects fit without a new table. */
bool zone_table_has_room(const struct zone_table *table, size_t more) PURE;
/* A copy of the table with room for `more` further objects and without tombstones. */
struct zone_table *zone_table_grown(const struct zone_table *table, size_t more,
                                    zone_table_hash hash, const void *context) MUST_CHECK;
/* The object must not be in the table, and there must be room. */
void zone_table_insert(struct zone_table *table, uint64_t hash, void *object);
/* Puts `fresh`, which has the same hash, in the place of `old`, which must be there. */
void zone_table_replace(struct zone_table *table, uint64_t hash, const void *old, void *fresh);
/* The object must be there. */
void zone_table_remove(struct zone_table *table, uint64_t hash, const void *object);

/* The object of an entry. */
static ALWAYS_INLINE void *zone_table_object(uint64_t entry)
{
    /* The tag shares the word so that one atomic load sees both; zone_table_insert asserts that
     * addresses fit into 48 bits. NOLINTNEXTLINE(performance-no-int-to-ptr): tagged on purpose */
    return (void *)(uintptr_t)(entry & ZONE_TABLE_ADDRESS);
}

/* The object for which same(object, key) holds; NULL when there is none. Inlined, with `same`, into
 * each kind of lookup. */
static ALWAYS_INLINE void *zone_table_find(const struct zone_table *table, uint64_t hash,
                                           bool (*same)(const void *object, const void *key),
                                           const void *key)
{
    for (uint64_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        uint64_t entry = atomic_load_explicit(&table->entries[at], memory_order_acquire);
        if (((entry ^ hash) & ~ZONE_TABLE_ADDRESS) == 0 && entry > ZONE_TABLE_TOMBSTONE) {
            void *object = zone_table_object(entry);
            if (LIKELY(same(object, key))) {
                return object;
            }
        } else if (entry == ZONE_TABLE_EMPTY) {
            return NULL;
        }
    }
}

/* Where the search for an object with that hash begins: for fetching ahead. */
static ALWAYS_INLINE const _Atomic uint64_t *zone_table_entry(const struct zone_table *table,
                                                              uint64_t hash)
{
    return &table->entries[hash & table->mask];
}

/* Calls visit with every object, in no order. The table must not change meanwhile. */
void zone_table_each(const struct zone_table *table, void (*visit)(void *object, void *context),
                     void *context);

#endif
