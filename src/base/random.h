/* Randomness: the kernel's for keys and ids; a small per-thread generator where only spread matters
 * (weighted answers). Thread: random_bytes any; a struct random belongs to one thread. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

/* Cryptographically strong; ends the process when the kernel has none. */
void random_bytes(void *out, size_t size);
/* length characters out of alphabet (at most 256), evenly; out needs length + 1 bytes. */
void random_text(char *out, size_t length, const char *alphabet);
/* RFC 4122 version 4; out needs 37 bytes. */
#define RANDOM_UUID_TEXT 37U
void random_uuid(char out[RANDOM_UUID_TEXT]);

struct random {
    uint64_t state[2];
};

/* Seeded from the kernel when seed is 0; repeatable otherwise. */
void random_init(struct random *random, uint64_t seed);

/* xoroshiro128+ (Blackman, Vigna): fast, not for secrets. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t a = random->state[0];
    uint64_t b = random->state[1];
    uint64_t result = a + b;
    b ^= a;
    random->state[0] = (a << 24U | a >> 40U) ^ b ^ (b << 16U);
    random->state[1] = b << 37U | b >> 27U;
    return result;
}

/* 0 to bound - 1; bound must not be 0. The bias is below 2^-32 for bounds below 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(((random_next(random) >> 32U) * bound) >> 32U);
}

#endif
