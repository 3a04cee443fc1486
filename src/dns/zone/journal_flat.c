/* An answer as the records that a secondary gives in its place: see journal.h. Called by journal.c
 * on the owner's thread, for one name and type at a time. Invariant: what is put is bounded by the
 * answer, whose parts end ZONE_ALIAS_LIMIT deep. */
#include "base/bytes.h"
#include "dns/zone/journal_internal.h"

#include <string.h>

#define NO_TTL UINT32_MAX
#define RECORD_FIXED 8U /* type, TTL, RDATA length */

static bool flat_has(const struct flat *flat, size_t start, const uint8_t *rdata, size_t size)
{
    struct bytes_reader reader = bytes_reader(flat->bytes.data, flat->bytes.length);
    reader.at = start;
    while (bytes_left(&reader) != 0) {
        (void)bytes_get(&reader, RECORD_FIXED - 2U);
        size_t there = bytes_get_u16(&reader);
        const uint8_t *data = bytes_get(&reader, there);
        if (data != NULL && there == size && memcmp(data, rdata, size) == 0) {
            return true;
        }
    }
    return false;
}

/* The records of a leaf, and its signatures. A multivalue answer's records have its TTL and no
 * signatures: they are not a set that was signed. */
static void flat_put_leaf(struct flat *flat, size_t start, const struct zone_answer *leaf,
                          uint32_t ttl)
{
    bool sign = ttl == NO_TTL && flat->rrsig_size != 0;
    size_t more = sign ? leaf->signatures * flat->rrsig_size : 0;
    unsigned count = leaf->count + (sign ? leaf->signatures : 0U);
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size + more);
    for (unsigned i = 0; i < count && !reader.failed; i++) {
        (void)bytes_get_u16(&reader); /* owner */
        uint16_t type = bytes_get_u16(&reader);
        (void)bytes_get_u16(&reader); /* class */
        uint32_t own = bytes_get_u32(&reader);
        uint16_t size = bytes_get_u16(&reader);
        const uint8_t *rdata = bytes_get(&reader, size);
        if (rdata == NULL || (ttl != NO_TTL && flat_has(flat, start, rdata, size))) {
            continue;
        }
        uint8_t fixed[RECORD_FIXED];
        struct bytes_writer writer = bytes_writer(fixed, sizeof fixed);
        bytes_put_u16(&writer, type);
        bytes_put_u32(&writer, ttl != NO_TTL ? ttl : own);
        bytes_put_u16(&writer, size);
        buf_put(&flat->bytes, fixed, sizeof fixed);
        buf_put(&flat->bytes, rdata, size);
        flat->count++;
    }
}

/* The choice that is served most often, the first of several. */
static const struct zone_answer *heaviest(const struct zone_answer *answer)
{
    const struct zone_mix *mix = zone_mix(answer);
    size_t best = 0;
    uint32_t most = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < answer->count; i++) {
        uint32_t weight = mix->choices[i].below - before;
        before = mix->choices[i].below;
        if (weight > most) {
            most = weight;
            best = i;
        }
    }
    return mix->choices[best].answer;
}

/* Every answer that a secondary gives in place of ours: see journal.h. Choices inside choices end:
 * an answer is made after those it chooses from, ZONE_ALIAS_LIMIT deep at most. */
static void flat_put(struct flat *flat, size_t start, const struct zone_answer *answer,
                     uint32_t ttl)
{
    while (answer != NULL && answer->kind > ZONE_MULTIVALUE) {
        /* Of whoever asks a secondary nothing is known: what such a client is given here. */
        struct zone_client nobody = {.family = 0};
        answer = answer->kind == ZONE_MAP ? zone_map_pick(answer, &nobody) : heaviest(answer);
    }
    if (answer == NULL) {
        return;
    }
    if (answer->kind == ZONE_LEAF) {
        flat_put_leaf(flat, start, answer, ttl);
        return;
    }
    if (answer->kind == ZONE_MULTIVALUE) {
        for (size_t i = 0; i < answer->count; i++) {
            flat_put(flat, start, zone_mix(answer)->choices[i].answer,
                     ttl != NO_TTL ? ttl : answer->size);
        }
    }
}

void journal_flatten(struct flat *flat, const uint8_t *owner, size_t length,
                     const struct zone_answer *answer)
{
    buf_reset(&flat->bytes);
    flat->count = 0;
    buf_put(&flat->bytes, owner, length);
    flat_put(flat, length, answer, NO_TTL);
}
