/* Records below "db/" in memory: see records.h. Used by the threads of endpoint.c, under its lock,
 * and by tests. Invariant: keys are in order, each once. */
#include "database/endpoint/records.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct mono records_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail on Linux */
    return (struct mono){.ns = now.tv_sec * TIME_S + now.tv_nsec};
}

static void record_done(struct record *record)
{
    free(record->key);
    free(record->value);
}

void records_done(struct records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        record_done(&records->items[i]);
    }
    free(records->items);
    *records = (struct records){.items = NULL};
}

/* Of the first one whose key is not before this. */
static size_t place(const struct records *records, const char *key)
{
    size_t low = 0;
    size_t high = records->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(records->items[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct records *records, size_t at, const char *key)
{
    return at < records->count && text_equal(records->items[at].key, key);
}

void records_put(struct records *records, const struct store_entry *entry, bool told,
                 struct mono now)
{
    size_t at = place(records, entry->key);
    bool there = is_at(records, at, entry->key);
    struct mono when_told = told ? now : (struct mono){0};
    if (there && records->items[at].revision == entry->changed_revision) {
        return;
    }
    if (there) {
        record_done(&records->items[at]);
    } else {
        if (records->count == records->capacity) {
            records->capacity = MAX(records->capacity * 2, (size_t)64);
            records->items =
                memory_resize(records->items, records->capacity, sizeof *records->items);
        }
        (void)memmove(&records->items[at + 1], &records->items[at],
                      (records->count - at) * sizeof *records->items);
        records->count++;
    }
    records->items[at] = (struct record){.key = memory_strdup(entry->key),
                                         .value = memory_dup(entry->value, entry->size),
                                         .size = entry->size,
                                         .revision = entry->changed_revision,
                                         .told = when_told,
                                         .read = now};
}

void records_delete(struct records *records, const char *key)
{
    size_t at = place(records, key);
    if (is_at(records, at, key)) {
        record_done(&records->items[at]);
        records->count--;
        (void)memmove(&records->items[at], &records->items[at + 1],
                      (records->count - at) * sizeof *records->items);
    }
}

size_t records_find(const struct records *records, const char *prefix, size_t *ret_count)
{
    size_t first = place(records, prefix);
    size_t end = first;
    while (end < records->count && text_starts(records->items[end].key, prefix)) {
        end++;
    }
    *ret_count = end - first;
    return first;
}

const struct record *records_get(const struct records *records, const char *key)
{
    size_t at = place(records, key);
    return is_at(records, at, key) ? &records->items[at] : NULL;
}

static int add_lease(const struct records *records, struct picture *picture, struct arena *arena,
                     struct err *err)
{
    const struct record *lease = records_get(records, model_database_lease_key(arena, picture->id));
    if (lease == NULL) {
        return 0;
    }
    picture->has_lease = true;
    picture->lease_told = lease->told;
    return model_database_lease_decode(lease->value, lease->size, arena, &picture->lease, err);
}

static int add_member(const struct records *records, struct picture *picture,
                      const struct record *record, struct arena *arena, struct err *err)
{
    struct sight *sight = &picture->members[picture->member_count++];
    *sight = (struct sight){.is_seen = false};
    int rc = model_database_member_decode(record->value, record->size, arena, &sight->member, err);
    if (rc != 0) {
        return rc;
    }
    const struct record *seen =
        records_get(records, model_database_seen_key(arena, picture->id, sight->member.id));
    if (seen == NULL) {
        return 0;
    }
    sight->is_seen = true;
    sight->heard = seen->read;
    return model_database_seen_decode(seen->value, seen->size, arena, &sight->seen, err);
}

int records_picture(const struct records *records, const struct record *group, struct arena *arena,
                    struct picture *ret_picture, struct err *err)
{
    size_t count = 0;
    *ret_picture = (struct picture){.id = group->key + strlen(PATH_DATABASE_GROUPS)};
    int rc =
        model_database_group_decode(group->value, group->size, arena, &ret_picture->group, err);
    rc = rc != 0 ? rc : add_lease(records, ret_picture, arena, err);
    size_t first = records_find(
        records, arena_printf(arena, PATH_DATABASE_MEMBERS "%s/", ret_picture->id), &count);
    ret_picture->members = arena_array(arena, count + 1, sizeof *ret_picture->members);
    for (size_t i = first; i < first + count && rc == 0; i++) {
        rc = add_member(records, ret_picture, &records->items[i], arena, err);
    }
    return rc;
}
