/* Keyed hashing for tables whose keys strangers choose (SipHash-1-3: Aumasson, Bernstein, 2012,
 * with the reduced rounds that Rust and Linux use for tables). Thread: any. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

/* A key of this process, made at the first call; the same for its whole life. */
const struct hash_key *hash_process_key(void);
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t size) PURE;
/* SipHash-2-4, with the paper's own rounds: where a standard prescribes it (RFC 9018). */
uint64_t hash_bytes_2_4(const struct hash_key *key, const void *data, size_t size) PURE;

#endif
