/* SipHash: see hash.h. Called wherever a table is indexed by names from outside, and for DNS
 * cookies; any thread. */
#include "base/hash.h"

#include "base/random.h"

#include <pthread.h>
#include <string.h>

static struct hash_key process_key;
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void make_process_key(void)
{
    random_bytes(&process_key, sizeof process_key);
}

const struct hash_key *hash_process_key(void)
{
    (void)pthread_once(&process_key_once, make_process_key); /* cannot fail with a valid once */
    return &process_key;
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64U - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word, unsigned rounds)
{
    v[3] ^= word;
    for (unsigned i = 0; i < rounds; i++) {
        sip_round(v);
    }
    v[0] ^= word;
}

/* Inlined with constant numbers of rounds. */
static inline uint64_t sip_hash(const struct hash_key *key, const void *data, size_t size,
                                unsigned rounds, unsigned last_rounds)
{
    const unsigned char *bytes = data;
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575U, key->k1 ^ 0x646f72616e646f6dU,
                     key->k0 ^ 0x6c7967656e657261U, key->k1 ^ 0x7465646279746573U};
    uint64_t word = 0;
    size_t left = size;
    for (; left >= 8; left -= 8, bytes += 8) {
        (void)memcpy(&word, bytes, 8);
        sip_word(v, word, rounds);
    }
    word = (uint64_t)size << 56U;
    for (size_t i = 0; i < left; i++) {
        word |= (uint64_t)bytes[i] << (8U * (unsigned)i);
    }
    sip_word(v, word, rounds);
    v[2] ^= 0xffU;
    for (unsigned i = 0; i < last_rounds; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t size)
{
    return sip_hash(key, data, size, 1, 3);
}

uint64_t hash_bytes_2_4(const struct hash_key *key, const void *data, size_t size)
{
    return sip_hash(key, data, size, 2, 4);
}
