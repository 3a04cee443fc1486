/* What the files of this room share: the keys. Private to seal/. Thread: as seal.h. */
#ifndef SEAL_INTERNAL_H
#define SEAL_INTERNAL_H

#include "seal/seal.h"

struct seal_key {
    char id[SEAL_ID_LIMIT + 1];
    uint8_t bytes[SEAL_KEY_SIZE];
};

struct seal {
    struct seal_key keys[SEAL_KEYS_LIMIT]; /* the first one seals */
    size_t count;
};

/* The ID of a key that was given none: the start of a digest of it, as hexadecimal digits. */
void seal_derive_id(const uint8_t key[SEAL_KEY_SIZE], char ret_id[SEAL_ID_LIMIT + 1]);

#endif
