/* Ballots: see ballot.h. Pure; any thread. */
#include "model/ballot.h"

#include "base/bytes.h"
#include "base/hash.h"

/* Two hashes of 64 bits with fixed keys. Ids are made at random by the API, so this is against
 * accidents, of which there is one in 2^128. */
void model_ballot_id(const char *check_id, uint8_t id[MODEL_BALLOT_ID])
{
    static const struct hash_key keys[] = {{.k0 = 1, .k1 = 1}, {.k0 = 2, .k1 = 2}};
    struct bytes_writer writer = bytes_writer(id, MODEL_BALLOT_ID);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        uint64_t hash = hash_bytes(&keys[i], check_id, strlen(check_id));
        bytes_put_u32(&writer, (uint32_t)(hash >> 32U));
        bytes_put_u32(&writer, (uint32_t)hash);
    }
}
