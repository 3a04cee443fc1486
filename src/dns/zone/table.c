/* The writer's side of the table: see table.h. Called by the owner of the zone database on its
 * thread. Invariant: at least a quarter of the entries is empty, so that every probe ends. */
#include "dns/zone/table.h"

#include "base/memory.h"

#include <assert.h>

#define SMALLEST 4U

static uint64_t make_entry(uint64_t hash, const void *object)
{
    uint64_t address = (uint64_t)(uintptr_t)object;
    assert((address & ~ZONE_TABLE_ADDRESS) == 0 && address > ZONE_TABLE_TOMBSTONE);
    return (hash & ~ZONE_TABLE_ADDRESS) | address;
}

struct zone_table *zone_table_new(size_t count)
{
    size_t entries = SMALLEST;
    while (entries / 4 * 3 < count) {
        entries *= 2;
    }
    struct zone_table *table = memory_new(sizeof *table + entries * sizeof table->entries[0]);
    table->mask = entries - 1;
    return table;
}

bool zone_table_has_room(const struct zone_table *table, size_t more)
{
    return table->used + more <= (table->mask + 1) / 4 * 3;
}

struct zone_table *zone_table_grown(const struct zone_table *table, size_t more,
                                    zone_table_hash hash, const void *context)
{
    struct zone_table *grown = zone_table_new(table->live + more);
    for (size_t i = 0; i <= table->mask; i++) {
        uint64_t entry = atomic_load_explicit(&table->entries[i], memory_order_relaxed);
        if (entry > ZONE_TABLE_TOMBSTONE) {
            void *object = zone_table_object(entry);
            zone_table_insert(grown, hash(object, context), object);
        }
    }
    return grown;
}

void zone_table_insert(struct zone_table *table, uint64_t hash, void *object)
{
    assert(zone_table_has_room(table, 1));
    uint64_t at = hash & table->mask;
    while (atomic_load_explicit(&table->entries[at], memory_order_relaxed) != ZONE_TABLE_EMPTY) {
        at = (at + 1) & table->mask;
    }
    table->used++;
    table->live++;
    atomic_store_explicit(&table->entries[at], make_entry(hash, object), memory_order_release);
}

/* Where the object is. */
static uint64_t locate(const struct zone_table *table, uint64_t hash, const void *object)
{
    uint64_t wanted = make_entry(hash, object);
    uint64_t at = hash & table->mask;
    for (;;) {
        uint64_t entry = atomic_load_explicit(&table->entries[at], memory_order_relaxed);
        if (entry == wanted) {
            return at;
        }
        assert(entry != ZONE_TABLE_EMPTY);
        at = (at + 1) & table->mask;
    }
}

void zone_table_replace(struct zone_table *table, uint64_t hash, const void *old, void *fresh)
{
    uint64_t at = locate(table, hash, old);
    atomic_store_explicit(&table->entries[at], make_entry(hash, fresh), memory_order_release);
}

void zone_table_remove(struct zone_table *table, uint64_t hash, const void *object)
{
    uint64_t at = locate(table, hash, object);
    table->live--;
    atomic_store_explicit(&table->entries[at], ZONE_TABLE_TOMBSTONE, memory_order_release);
}

void zone_table_each(const struct zone_table *table, void (*visit)(void *object, void *context),
                     void *context)
{
    for (size_t i = 0; i <= table->mask; i++) {
        uint64_t entry = atomic_load_explicit(&table->entries[i], memory_order_relaxed);
        if (entry > ZONE_TABLE_TOMBSTONE) {
            visit(zone_table_object(entry), context);
        }
    }
}
