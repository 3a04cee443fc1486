/* Response rate limiting: see limit.h. Called by udp.c for each response, on the worker's thread.
 *
 * A bucket is the point in time at which it will be full of tokens again ("virtual scheduling"): a
 * response moves it by the cost of one, and is over the limit where that passes a second from now.
 * So a bucket needs no refilling and one that is past is empty by itself. */
#include "dns/server/limit.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SETS 16384U /* 1 MiB a worker */
#define WAYS 4U
#define BURST TIME_S /* what a silent source may draw at once: a second's worth */
#define OPT_SIZE 11U
#define ZONES_TOGETHER 4 /* times the limit: negative responses of all zones */

struct limit_bucket {
    int64_t full_ns; /* monotonic */
    uint32_t tag;
    uint32_t over; /* responses over the limit so far */
};

struct limit_set {
    struct limit_bucket buckets[WAYS];
};

_Static_assert(sizeof(struct limit_set) == 64, "a set is one cache line");

void limit_init(struct limit *limit, unsigned rate, unsigned slip, const struct dns_prefix *exempt,
                size_t exempt_count)
{
    *limit = (struct limit){.slip = slip, .exempt = exempt, .exempt_count = exempt_count};
    if (rate == 0) {
        return;
    }
    limit->cost_ns = MAX(1, TIME_S / rate);
    limit->sets = aligned_alloc(sizeof *limit->sets, SETS * sizeof *limit->sets);
    if (limit->sets == NULL) {
        memory_exhausted(SETS * sizeof *limit->sets);
    }
    (void)memset(limit->sets, 0, SETS * sizeof *limit->sets);
    random_bytes(limit->key, sizeof limit->key);
    limit->key[1] |= 1U;
    limit->key[2] |= 1U;
}

void limit_done(struct limit *limit)
{
    free(limit->sets);
    limit->sets = NULL;
}

/* ---- classes ---- */

enum limit_class {
    CLASS_POSITIVE,
    CLASS_NEGATIVE,
    CLASS_REFERRAL,
    CLASS_ERROR,
    CLASS_ALL_NEGATIVE
};

static enum limit_class class_of(const struct answer_outcome *outcome, const uint8_t *response)
{
    if (outcome->rcode == RCODE_NXDOMAIN) {
        return CLASS_NEGATIVE;
    }
    if (outcome->rcode != RCODE_NOERROR) {
        return CLASS_ERROR;
    }
    struct bytes_reader header = bytes_reader(response, MESSAGE_HEADER_SIZE);
    (void)bytes_get(&header, 2);
    uint16_t flags = bytes_get_u16(&header);
    (void)bytes_get(&header, 2);
    bool answers = bytes_get_u16(&header) != 0;
    if (answers || (flags & MESSAGE_TC) != 0) {
        return CLASS_POSITIVE;
    }
    return (flags & MESSAGE_AA) != 0 ? CLASS_NEGATIVE : CLASS_REFERRAL;
}

static uint64_t network_of(const union socket_address *source)
{
    if (source->any.sa_family == AF_INET) {
        return ntohl(source->v4.sin_addr.s_addr) >> 8U;
    }
    struct bytes_reader address = bytes_reader(&source->v6.sin6_addr, 16);
    uint64_t high = bytes_get_u32(&address);
    /* 2000::/3 and all else in use starts with another byte than the 24 bits above. */
    return (high << 32U | bytes_get_u32(&address)) >> 8U | UINT64_C(1) << 63U;
}

/* A keyed mix: whoever does not know the key cannot choose who shares a bucket. */
static uint64_t mix(const uint64_t key[3], uint64_t a, uint64_t b)
{
    uint64_t hash = (a ^ key[0]) * key[1];
    hash ^= hash >> 32U;
    hash = (hash + b) * key[2];
    hash ^= hash >> 29U;
    hash *= key[1];
    return hash ^ hash >> 32U;
}

bool limit_prefix_contains(const struct dns_prefix *prefix, const union socket_address *address)
{
    if (prefix->family != address->any.sa_family) {
        return false;
    }
    const uint8_t *bytes = address->any.sa_family == AF_INET
                               ? (const uint8_t *)&address->v4.sin_addr
                               : (const uint8_t *)&address->v6.sin6_addr;
    size_t whole = prefix->bits / 8U;
    unsigned rest = prefix->bits % 8U;
    return memcmp(prefix->address, bytes, whole) == 0 &&
           (rest == 0 || ((prefix->address[whole] ^ bytes[whole]) >> (8U - rest)) == 0);
}

/* Looked at only where the limit is reached: the usual response does not pay for it. */
static bool is_exempt(const struct limit *limit, const union socket_address *source)
{
    for (size_t i = 0; i < limit->exempt_count; i++) {
        if (limit_prefix_contains(&limit->exempt[i], source)) {
            return true;
        }
    }
    return false;
}

static struct limit_bucket *bucket_of(struct limit *limit, uint64_t hash)
{
    struct limit_set *set = &limit->sets[hash % SETS];
    uint32_t tag = (uint32_t)(hash >> 32U);
    struct limit_bucket *spare = &set->buckets[0];
    for (unsigned i = 0; i < WAYS; i++) {
        struct limit_bucket *bucket = &set->buckets[i];
        if (bucket->tag == tag) {
            return bucket;
        }
        spare = bucket->full_ns < spare->full_ns ? bucket : spare;
    }
    *spare = (struct limit_bucket){.tag = tag};
    return spare;
}

/* Takes a token of that cost, where there is one. */
static bool take(struct limit_bucket *bucket, struct mono now, int64_t cost_ns)
{
    int64_t full = MAX(bucket->full_ns, now.ns) + cost_ns;
    bool room = full <= now.ns + BURST;
    bucket->full_ns = room ? full : bucket->full_ns;
    return room;
}

enum limit_verdict limit_judge(struct limit *limit, const union socket_address *source,
                               const struct answer_outcome *outcome, const uint8_t *response,
                               struct mono now)
{
    if (outcome->cookie == COOKIE_GOOD) {
        return LIMIT_SEND;
    }
    enum limit_class class = class_of(outcome, response);
    /* A zone stays where it is for as long as it is served. */
    uint64_t detail = class == CLASS_NEGATIVE ? (uint64_t)(uintptr_t)outcome->zone : 0;
    uint64_t hash = mix(limit->key, network_of(source), detail ^ (uint64_t) class << 60U);
    struct limit_bucket *bucket = bucket_of(limit, hash);
    bool room = take(bucket, now, limit->cost_ns);
    if (room && class == CLASS_NEGATIVE) {
        /* Else whoever knows many of our zones would draw the limit of each. */
        hash = mix(limit->key, network_of(source), (uint64_t)CLASS_ALL_NEGATIVE << 60U);
        bucket = bucket_of(limit, hash);
        room = take(bucket, now, MAX(1, limit->cost_ns / ZONES_TOGETHER));
    }
    if (LIKELY(room)) {
        return LIMIT_SEND;
    }
    if (is_exempt(limit, source)) {
        return LIMIT_SEND;
    }
    bucket->over++;
    return limit->slip != 0 && bucket->over % limit->slip == 0 ? LIMIT_SLIP : LIMIT_DROP;
}

size_t limit_truncate(const struct answer_outcome *outcome, uint8_t *response)
{
    size_t size = MESSAGE_HEADER_SIZE + (size_t)outcome->question_size;
    response[2] |= MESSAGE_TC >> 8U;
    struct bytes_writer counts = bytes_writer(response + 6, 6);
    bytes_put_u16(&counts, 0);
    bytes_put_u16(&counts, 0);
    bytes_put_u16(&counts, outcome->has_edns ? 1 : 0);
    if (outcome->has_edns) {
        struct bytes_writer opt = bytes_writer(response + size, OPT_SIZE);
        bytes_put_u8(&opt, 0);
        bytes_put_u16(&opt, RR_OPT);
        bytes_put_u16(&opt, 1232);
        bytes_put_u8(&opt, (uint8_t)(outcome->rcode >> 4U));
        bytes_put_u8(&opt, 0);
        bytes_put_u16(&opt, outcome->dnssec_ok ? 0x8000U : 0);
        bytes_put_u16(&opt, 0);
        size += OPT_SIZE;
    }
    return size;
}
