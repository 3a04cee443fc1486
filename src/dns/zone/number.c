/* Numbers of zones, by which workers count queries. Called by owner.c and database.c on the owner's
 * thread. Numbers go up, and two zones of one time never share a slot (number modulo ZONE_NUMBERS);
 * so a worker's counters are an array, and a slot that changes hands is seen by its number. */
#include "dns/zone/internal.h"

uint32_t number_take(struct zone_numbers *numbers)
{
    for (unsigned tries = 0; tries < ZONE_NUMBERS; tries++) {
        uint32_t slot = ++numbers->last % ZONE_NUMBERS;
        uint64_t bit = UINT64_C(1) << slot % 64;
        if (slot != 0 && (numbers->used[slot / 64] & bit) == 0) {
            numbers->used[slot / 64] |= bit;
            return numbers->last;
        }
    }
    return 0;
}

void number_give(struct zone_numbers *numbers, uint32_t number)
{
    uint32_t slot = number % ZONE_NUMBERS;
    numbers->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

struct each_zone {
    const struct zone_database *database;
    void (*visit)(void *context, const char *zone_id, const struct zone *zone);
    void *context;
};

static void visit_zone(void *object, void *context)
{
    const struct zone_owner *zone = object;
    const struct each_zone *each = context;
    if (zone->known && zone->linked && owner_visible(each->database, zone) == zone) {
        each->visit(each->context, zone->id, &zone->zone);
    }
}

void zone_database_each_zone(struct zone_database *database,
                             void (*visit)(void *context, const char *zone_id,
                                           const struct zone *zone),
                             void *context)
{
    struct each_zone each = {database, visit, context};
    zone_table_each(database->by_id, visit_zone, &each);
}
