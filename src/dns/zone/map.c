/* Answers that depend on where the client is: see map.h. Made by group.c on the owner's thread when
 * a group is decided; read by DNS workers and by explain.c. What is made here is immutable, one
 * malloc block each; a CIDR map borrows its collection's blocks, which outlive it (a collection
 * that changes has its maps made anew before its old blocks are retired).
 *
 *   struct zone_mix: head, choices[count] | struct table | keys, spots or location numbers
 *
 * A choice's `below` is twice the record's number, plus 1 while it may be taken first. */
#include "dns/zone/map.h"

#include "base/memory.h"
#include "base/text.h"
#include "dns/zone/cidr.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_LIMIT 4096U
#define PI 3.14159265358979323846
#define DEGREE (PI / 180.0)
#define NO_CHOICE UINT16_MAX

struct spot {
    float x;
    float y;
    float z;
    float factor; /* of the distance; 0: the place is unknown, farther than anything */
};

struct table {
    const struct zone_cidr *blocks; /* CIDR */
    uint32_t count;                 /* of what stands behind */
    uint16_t fallback;              /* CIDR: the default's choice, or NO_CHOICE */
    bool depends;                   /* some client is answered otherwise than another */
};

static size_t table_at(const struct zone_answer *map)
{
    return sizeof(struct zone_mix) + map->count * sizeof(struct zone_choice);
}

static const struct table *table_of(const struct zone_answer *map)
{
    return (const struct table *)(const void *)((const char *)map + table_at(map));
}

static const void *rows_of(const struct zone_answer *map)
{
    return table_of(map) + 1;
}

static size_t row_size(enum zone_map_kind kind)
{
    return kind == ZONE_MAP_GEO       ? sizeof(uint64_t)
           : kind == ZONE_MAP_NEAREST ? sizeof(struct spot)
                                      : sizeof(uint16_t);
}

static bool may_be_first(const struct zone_answer *map, size_t choice)
{
    return (zone_mix(map)->choices[choice].below & 1U) != 0;
}

size_t zone_map_record(const struct zone_answer *map, size_t choice)
{
    return zone_mix(map)->choices[choice].below >> 1U;
}

bool zone_map_needs_place(const struct zone_answer *map)
{
    return map->size != ZONE_MAP_CIDR && table_of(map)->depends;
}

static void raise_scope(struct zone_client *client, unsigned bits)
{
    client->scope = (uint8_t)MAX((unsigned)client->scope, bits);
}

/* ---- geolocation ---- */

/* The code of a kind of area in the upper byte, then up to seven characters: one word to compare,
 * smaller areas do not matter to the order. */
uint64_t zone_geo_key(const char *continent, const char *country, const char *subdivision)
{
    char text[8] = "";
    text[0] = continent[0] != '\0' ? 'c' : 's';
    (void)memcpy(text + 1, continent[0] != '\0' ? continent : country,
                 strnlen(continent[0] != '\0' ? continent : country, 2));
    (void)memcpy(text + 3, subdivision, strnlen(subdivision, 3));
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof text; i++) {
        key = key << 8U | (uint8_t)text[i];
    }
    return key;
}

static int find_key(const struct zone_answer *map, uint64_t key)
{
    const uint64_t *keys = rows_of(map);
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (keys[middle] < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < map->count && keys[low] == key ? (int)low : -1;
}

static int choose_geo(const struct zone_answer *map, struct zone_client *client)
{
    const struct model_place *place = &client->place;
    uint64_t keys[4];
    size_t count = 0;
    if (table_of(map)->depends) {
        raise_scope(client, place->bits);
        if (place->country[0] != '\0' && place->subdivision[0] != '\0') {
            keys[count++] = zone_geo_key("", place->country, place->subdivision);
        }
        if (place->country[0] != '\0') {
            keys[count++] = zone_geo_key("", place->country, "");
        }
        if (place->continent[0] != '\0') {
            keys[count++] = zone_geo_key(place->continent, "", "");
        }
    }
    keys[count++] = zone_geo_key("", "*", "");
    int smallest = -1;
    for (size_t i = 0; i < count; i++) {
        int choice = find_key(map, keys[i]);
        if (choice >= 0 && may_be_first(map, (size_t)choice)) {
            return choice;
        }
        smallest = smallest < 0 ? choice : smallest;
    }
    return smallest;
}

/* ---- latency and geoproximity ---- */

void zone_spot_place(struct zone_spot *spot, double latitude, double longitude)
{
    double up = latitude * DEGREE;
    double east = longitude * DEGREE;
    spot->x = (float)(cos(up) * cos(east));
    spot->y = (float)(cos(up) * sin(east));
    spot->z = (float)sin(up);
    spot->placed = true;
}

/* What the distance is multiplied by: AWS's "biased distance". */
static float bias_factor(int8_t bias)
{
    double share = bias / 100.0;
    return (float)(bias >= 0 ? 1.0 - share : 1.0 / (1.0 + share));
}

/* The angle between two points of the unit sphere, by the chord: exact for near ones too. */
static float angle(const struct spot *spot, const struct zone_spot *from)
{
    float dx = spot->x - from->x;
    float dy = spot->y - from->y;
    float dz = spot->z - from->z;
    float half = sqrtf(dx * dx + dy * dy + dz * dz) / 2.0F;
    return 2.0F * asinf(half > 1.0F ? 1.0F : half);
}

static int choose_nearest(const struct zone_answer *map, struct zone_client *client)
{
    const struct spot *spots = rows_of(map);
    const struct model_place *place = &client->place;
    struct zone_spot from = {0};
    if (table_of(map)->depends) {
        raise_scope(client, place->bits);
        if (!place->placed && client->home != NULL) {
            place = client->home;
        }
        if (place->placed) {
            zone_spot_place(&from, (double)place->latitude, (double)place->longitude);
        }
    }
    int best = -1;
    float least = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (!may_be_first(map, i)) {
            continue;
        }
        bool known = from.placed && spots[i].factor > 0.0F;
        float distance = known ? angle(&spots[i], &from) * spots[i].factor : HUGE_VALF;
        if (best < 0 || distance < least) {
            best = (int)i;
            least = distance;
        }
    }
    return best;
}

/* ---- CIDR ---- */

static int choose_cidr(const struct zone_answer *map, struct zone_client *client)
{
    const struct table *table = table_of(map);
    const uint16_t *choice_of = rows_of(map);
    int longest = -1;
    if (table->depends) {
        struct cidr_match match = cidr_find(table->blocks, client);
        raise_scope(client, match.scope);
        for (const struct cidr_block *block = match.block; block != NULL;
             block = cidr_parent(table->blocks, block)) {
            uint16_t choice = choice_of[block->location];
            if (choice == NO_CHOICE || block->bits > client->bits) {
                continue;
            }
            if (may_be_first(map, choice)) {
                return choice;
            }
            longest = longest < 0 ? choice : longest;
        }
    }
    if (table->fallback != NO_CHOICE && (longest < 0 || may_be_first(map, table->fallback))) {
        return table->fallback;
    }
    return longest;
}

int zone_map_choose(const struct zone_answer *map, struct zone_client *client)
{
    switch ((enum zone_map_kind)map->size) {
    case ZONE_MAP_GEO:
        return choose_geo(map, client);
    case ZONE_MAP_NEAREST:
        return choose_nearest(map, client);
    case ZONE_MAP_CIDR:
        break;
    }
    return choose_cidr(map, client);
}

/* ---- making ---- */

struct order {
    uint64_t key;
    uint32_t record;
};

static int compare_order(const void *a, const void *b)
{
    const struct order *left = a;
    const struct order *right = b;
    if (left->key != right->key) {
        return left->key < right->key ? -1 : 1;
    }
    return (left->record > right->record) - (left->record < right->record);
}

static void fill_spots(struct spot *spots, struct table *table,
                       const struct zone_map_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct zone_spot *spot = &sources[i].spot;
        spots[i] = (struct spot){.x = spot->x,
                                 .y = spot->y,
                                 .z = spot->z,
                                 .factor = spot->placed ? bias_factor(spot->bias) : 0.0F};
    }
    table->depends = count > 1;
}

/* Records of another collection than the first one's are not reached: a group has one. */
static void fill_locations(uint16_t *choice_of, struct table *table,
                           const struct zone_map_source *sources, size_t count)
{
    for (size_t i = 0; i < table->count; i++) {
        choice_of[i] = NO_CHOICE;
    }
    table->fallback = NO_CHOICE;
    for (size_t i = 0; i < count; i++) {
        const struct zone_spot *spot = &sources[i].spot;
        if (text_equal(spot->location, "*")) {
            table->fallback = table->fallback == NO_CHOICE ? (uint16_t)i : table->fallback;
            continue;
        }
        int location = spot->blocks == table->blocks && table->blocks != NULL
                           ? cidr_location(table->blocks, spot->location)
                           : -1;
        if (location >= 0 && choice_of[location] == NO_CHOICE) {
            choice_of[location] = (uint16_t)i;
            table->depends = true;
        }
    }
}

static const struct zone_cidr *first_blocks(const struct zone_map_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sources[i].spot.blocks != NULL) {
            return sources[i].spot.blocks;
        }
    }
    return NULL;
}

struct zone_answer *zone_map_compile(enum zone_map_kind kind, const struct zone_map_source *sources,
                                     size_t count)
{
    assert(count >= 1 && count <= CHOICES_LIMIT);
    const struct zone_cidr *blocks = kind == ZONE_MAP_CIDR ? first_blocks(sources, count) : NULL;
    size_t rows = kind != ZONE_MAP_CIDR ? count : cidr_location_count(blocks);
    struct zone_mix *map = memory_new(sizeof *map + count * sizeof map->choices[0] +
                                      sizeof(struct table) + rows * row_size(kind));
    map->head =
        (struct zone_answer){.kind = ZONE_MAP, .count = (uint16_t)count, .size = (uint32_t)kind};
    struct table *table = (struct table *)(void *)((char *)map + table_at(&map->head));
    void *row = table + 1;
    *table = (struct table){.blocks = blocks, .count = (uint32_t)rows, .fallback = NO_CHOICE};
    bool any = false;
    struct order *order = memory_array(count, sizeof *order);
    for (size_t i = 0; i < count; i++) {
        any = any || sources[i].healthy;
        order[i] = (struct order){.key = kind == ZONE_MAP_GEO ? sources[i].spot.geo : 0,
                                  .record = (uint32_t)i};
    }
    qsort(order, count, sizeof *order, compare_order);
    for (size_t i = 0; i < count; i++) {
        const struct zone_map_source *source = &sources[order[i].record];
        map->choices[i] = (struct zone_choice){
            .answer = source->answer, .below = order[i].record << 1U | (source->healthy || !any)};
        if (kind == ZONE_MAP_GEO) {
            ((uint64_t *)row)[i] = order[i].key;
            table->depends = table->depends || order[i].key != zone_geo_key("", "*", "");
        }
    }
    free(order);
    if (kind == ZONE_MAP_NEAREST) {
        fill_spots(row, table, sources, count);
    } else if (kind == ZONE_MAP_CIDR) {
        fill_locations(row, table, sources, count);
    }
    return &map->head;
}

bool zone_map_always(const struct zone_answer *map)
{
    switch ((enum zone_map_kind)map->size) {
    case ZONE_MAP_GEO:
        return find_key(map, zone_geo_key("", "*", "")) >= 0;
    case ZONE_MAP_NEAREST:
        return true;
    case ZONE_MAP_CIDR:
        break;
    }
    return table_of(map)->fallback != NO_CHOICE;
}

size_t zone_map_size(const struct zone_answer *map)
{
    return table_at(map) + sizeof(struct table) +
           table_of(map)->count * row_size((enum zone_map_kind)map->size);
}

bool zone_map_same(const struct zone_answer *a, const struct zone_answer *b)
{
    if (a == NULL || b == NULL || a->kind != ZONE_MAP || b->kind != ZONE_MAP ||
        a->count != b->count || a->size != b->size || table_of(a)->blocks != table_of(b)->blocks ||
        table_of(a)->count != table_of(b)->count ||
        table_of(a)->fallback != table_of(b)->fallback) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (zone_mix(a)->choices[i].answer != zone_mix(b)->choices[i].answer ||
            zone_mix(a)->choices[i].below != zone_mix(b)->choices[i].below) {
            return false;
        }
    }
    return table_of(a)->count == 0 ||
           memcmp(rows_of(a), rows_of(b),
                  table_of(a)->count * row_size((enum zone_map_kind)a->size)) == 0;
}
