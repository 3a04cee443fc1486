/* Looking names up in a signed zone's NSEC chain: see zone_set.h. Called by DNS workers for denials
 * and by the owner of the database; no allocation, no lock. A chunk may be replaced while it is
 * looked at: then its first name may have moved behind the key, and the chunk before it is looked
 * at. */
#include "dns/zone/zone_set.h"

#include <string.h>

#define KEY_END 0U
#define KEY_ESCAPE 1U /* of the bytes 0 and 1 */

size_t zone_denial_key(const uint8_t *relative, size_t length, uint8_t key[ZONE_DENIAL_KEY_LIMIT])
{
    uint8_t offset[NAME_LABELS_LIMIT];
    unsigned labels = 0;
    for (size_t at = 0; at < length; at += 1U + relative[at]) {
        offset[labels++] = (uint8_t)at;
    }
    size_t size = 0;
    while (labels-- > 0) {
        const uint8_t *label = relative + offset[labels];
        for (unsigned i = 1; i <= label[0]; i++) {
            uint8_t byte = label[i];
            if (byte <= KEY_ESCAPE) {
                key[size++] = KEY_ESCAPE;
                byte = (uint8_t)(byte + 1U);
            }
            key[size++] = byte;
        }
        key[size++] = KEY_END;
    }
    return size;
}

/* True when the entry's key is that key or stands before it. */
static bool is_before(const struct zone_denial *entry, const uint8_t *key, size_t size)
{
    size_t common = entry->key_size < size ? entry->key_size : size;
    int order = memcmp(entry->bytes, key, common);
    return order != 0 ? order < 0 : entry->key_size <= size;
}

const struct zone_denial *zone_denial_find(const struct zone_security *security, const uint8_t *key,
                                           size_t size)
{
    const struct zone_denial_index *index = SNAPSHOT_LOAD(&security->names);
    size_t low = 0;
    size_t high = index->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const struct zone_denial_chunk *chunk =
            atomic_load_explicit(&index->chunks[middle], memory_order_acquire);
        if (is_before(chunk->entries[0], key, size)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    for (;;) {
        const struct zone_denial_chunk *chunk =
            atomic_load_explicit(&index->chunks[low], memory_order_acquire);
        size_t first = 0;
        size_t behind = chunk->count;
        while (first < behind) {
            size_t middle = first + (behind - first) / 2;
            if (is_before(chunk->entries[middle], key, size)) {
                first = middle + 1;
            } else {
                behind = middle;
            }
        }
        if (first != 0) {
            const struct zone_denial *entry = chunk->entries[first - 1];
            const struct zone_denial *cut = atomic_load_explicit(&entry->cut, memory_order_acquire);
            entry = cut != NULL ? cut : entry;
            return atomic_load_explicit(&entry->nsec, memory_order_acquire) != NULL ? entry : NULL;
        }
        if (low == 0) {
            return NULL;
        }
        low--;
    }
}
