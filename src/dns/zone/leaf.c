/* Answers compiled ahead: see zone_set.h for their layout, internal.h for the contracts. Called by
 * the owner of the database when records are put and groups are decided. What is made here is
 * immutable from the moment it returns; one malloc block each. */
#include "base/bytes.h"
#include "base/memory.h"
#include "dns/wire/rdata.h"
#include "dns/zone/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* With header, question and OPT, an RRset of this size still fits a message. */
#define RRSET_LIMIT 65000U
#define SMALL_VALUES 1U        /* of those types whose RDATA is at most some 600 bytes */
#define OWNER_QUESTION 0xc00cU /* compression pointer to the question's name */
#define SOA_NUMBERS 20U        /* serial, refresh, retry, expire, minimum */

struct zone_answer *leaf_new(const uint8_t *rrs, size_t size, size_t count)
{
    struct zone_leaf *leaf = memory_new(sizeof *leaf + size);
    leaf->head.kind = ZONE_LEAF;
    leaf->head.count = (uint16_t)count;
    leaf->head.size = (uint32_t)size;
    (void)memcpy(leaf->rrs, rrs, size);
    return &leaf->head;
}

/* True when the RRs written so far hold that RDATA already (RFC 2181 section 5: no duplicates). */
static bool repeated(const struct bytes_writer *out, const uint8_t *rdata, size_t length)
{
    struct bytes_reader reader = bytes_reader(out->data, out->at);
    while (bytes_left(&reader) != 0) {
        (void)bytes_get(&reader, ZONE_RR_FIXED - 2);
        size_t size = bytes_get_u16(&reader);
        const uint8_t *there = bytes_get(&reader, size);
        if (there == NULL) {
            return false;
        }
        if (size == length && memcmp(there, rdata, size) == 0) {
            return true;
        }
    }
    return false;
}

static int compile_into(struct bytes_writer *out, const struct model_record_set *record,
                        uint8_t *rdata, size_t *ret_count, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < record->value_count; i++) {
        int length = rdata_from_text(record->type, record->values[i], rdata, RDATA_LIMIT, err);
        if (length < 0) {
            return err_wrap(err, "record %s in zone %s", record->name, record->zone_id);
        }
        size_t size = (size_t)length;
        if (repeated(out, rdata, size)) {
            continue;
        }
        bytes_put_u16(out, OWNER_QUESTION);
        bytes_put_u16(out, record->type);
        bytes_put_u16(out, 1); /* class IN */
        bytes_put_u32(out, record->ttl_s);
        bytes_put_u16(out, (uint16_t)size);
        bytes_put(out, rdata, size);
        count++;
    }
    bool single = record->type == RR_CNAME || record->type == RR_SOA;
    if (count == 0 || (single && count != 1)) {
        return err_set(err, ERR_INVALID, "record %s in zone %s has %zu values", record->name,
                       record->zone_id, count);
    }
    if (out->failed) {
        return err_set(err, ERR_LIMIT, "record %s in zone %s does not fit a DNS message",
                       record->name, record->zone_id);
    }
    *ret_count = count;
    return 0;
}

int leaf_compile(const struct model_record_set *record, struct zone_answer **ret_leaf,
                 struct err *err)
{
    /* Most RRsets are small: no heap for those. */
    uint8_t rdata[RDATA_LIMIT];
    uint8_t small[1024];
    uint8_t *large CLEANUP(memory_cleanup) = NULL;
    struct bytes_writer out = bytes_writer(small, sizeof small);
    if (record->value_count > SMALL_VALUES || record->type == RR_TXT || record->type == RR_SPF) {
        large = memory_new(RRSET_LIMIT);
        out = bytes_writer(large, RRSET_LIMIT);
    }
    size_t count = 0;
    int r = compile_into(&out, record, rdata, &count, err);
    if (r < 0) {
        return r;
    }
    *ret_leaf = leaf_new(out.data, out.at, count);
    return 0;
}

uint32_t leaf_ttl(const struct zone_answer *leaf)
{
    struct bytes_reader reader = bytes_reader(zone_leaf(leaf)->rrs, leaf->size);
    (void)bytes_get(&reader, ZONE_RR_TTL);
    return bytes_get_u32(&reader);
}

struct zone_answer *leaf_negative(const struct zone_answer *soa, size_t rrsig_size)
{
    if (soa == NULL || soa->size < ZONE_RR_FIXED + SOA_NUMBERS) {
        return NULL;
    }
    size_t all = soa->size + soa->signatures * rrsig_size;
    struct zone_answer *negative = leaf_new(zone_leaf(soa)->rrs, all, 1);
    negative->size = soa->size;
    negative->signatures = soa->signatures;
    struct bytes_reader reader = bytes_reader(zone_leaf(soa)->rrs, soa->size);
    (void)bytes_get(&reader, soa->size - 4U);
    uint32_t minimum = bytes_get_u32(&reader);
    uint32_t ttl = MIN(leaf_ttl(soa), minimum);
    uint8_t *rrs = ((struct zone_leaf *)(void *)negative)->rrs;
    for (size_t at = 0; at < all; at += at == 0 ? soa->size : rrsig_size) {
        struct bytes_writer writer = bytes_writer(rrs + at + ZONE_RR_TTL, sizeof ttl);
        bytes_put_u32(&writer, ttl);
    }
    return negative;
}

static uint32_t answer_ttl(const struct zone_answer *answer)
{
    if (answer == NULL) {
        return UINT32_MAX;
    }
    if (answer->kind == ZONE_LEAF) {
        return leaf_ttl(answer);
    }
    return answer->kind == ZONE_MULTIVALUE ? answer->size : UINT32_MAX;
}

struct zone_answer *mix_compile(bool weighted, const struct zone_answer *const *choices,
                                const uint32_t *shares, size_t count)
{
    size_t served = 0;
    for (size_t i = 0; i < count; i++) {
        served += shares[i] != 0 ? 1U : 0U;
    }
    assert(served >= 1 && served <= UINT16_MAX);
    struct zone_mix *mix = memory_new(sizeof *mix + served * sizeof mix->choices[0]);
    mix->head.kind = weighted ? ZONE_WEIGHTED : ZONE_MULTIVALUE;
    mix->head.count = (uint16_t)served;
    uint32_t below = 0;
    uint32_t ttl = UINT32_MAX;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (shares[i] != 0) {
            below += shares[i];
            mix->choices[at++] = (struct zone_choice){.answer = choices[i], .below = below};
            ttl = MIN(ttl, answer_ttl(choices[i]));
        }
    }
    /* RFC 2181 section 5.2: one TTL for the RRset, here the least. */
    mix->head.size = weighted ? below : ttl;
    return &mix->head;
}

bool mix_same(const struct zone_answer *a, const struct zone_answer *b)
{
    if (a == NULL || b == NULL || a->kind != b->kind || a->count != b->count ||
        a->size != b->size || a->kind == ZONE_LEAF || a->kind == ZONE_MAP) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct zone_choice *x = &zone_mix(a)->choices[i];
        const struct zone_choice *y = &zone_mix(b)->choices[i];
        if (x->answer != y->answer || x->below != y->below) {
            return false;
        }
    }
    return true;
}
