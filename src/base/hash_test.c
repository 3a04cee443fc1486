/* Tests of hash.h. The vectors come from two independent implementations: CPython's own hash of
 * bytes (PYTHONHASHSEED=0), and a transcription of the paper's pseudocode. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void vectors_of_cpython_with_a_zero_key(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {1, 0x882b5998b3b9117cU}, {7, 0x8ebfb3b6cf40c195U},  {8, 0x29027aa7f0795e9cU},
        {9, 0xa22df8ae4a8e28c3U}, {15, 0x27679fcc60d77d68U}, {16, 0x3d283ea370f4e526U},
    };
    struct hash_key key = {0, 0};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(hash_bytes(&key, "leeward failover", rows[i].size), rows[i].hash);
    }
}

static void vectors_of_the_papers_key_and_message(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {0, 0xabac0158050fc4dcU},  {1, 0xc9f49bf37d57ca93U},  {2, 0x82cb9b024dc7d44dU},
        {7, 0xd3927d989bb11140U},  {8, 0x369095118d299a8eU},  {9, 0x25a48eb36c063de4U},
        {15, 0xd320d86d2a519956U}, {16, 0xcc4fdd1a7d908b66U}, {63, 0x9d199062b7bbb3a8U},
    };
    unsigned char message[64];
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (unsigned char)i;
    }
    struct hash_key key = {0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(hash_bytes(&key, message, rows[i].size), rows[i].hash);
    }
}

/* The paper's appendix A, and the first two of its authors' vectors. */
static void vectors_of_siphash_2_4(void **state)
{
    (void)state;
    unsigned char message[16];
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (unsigned char)i;
    }
    struct hash_key key = {0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    assert_int_equal(hash_bytes_2_4(&key, message, 15), 0xa129ca6149be45e5U);
    assert_int_equal(hash_bytes_2_4(&key, message, 0), 0x726fdb47dd0e0e31U);
    assert_int_equal(hash_bytes_2_4(&key, message, 1), 0x74f839c593dc67fdU);
}

static void alignment_of_the_input_does_not_matter(void **state)
{
    (void)state;
    struct hash_key key = {1, 2};
    static const char name[15] = "www.example.com"; /* no NUL behind it */
    char room[64];
    uint64_t expected = hash_bytes(&key, name, sizeof name);
    for (size_t shift = 0; shift < 16; shift++) {
        (void)memcpy(room + shift, name, sizeof name);
        assert_int_equal(hash_bytes(&key, room + shift, sizeof name), expected);
    }
}

/* One flipped bit, of input or key, changes about half of the bits of the hash. */
static void one_bit_changes_half_of_the_hash(void **state)
{
    (void)state;
    unsigned char input[24] = "failover.example.com";
    struct hash_key key = {0x0123456789abcdefU, 0xfedcba9876543210U};
    uint64_t base = hash_bytes(&key, input, sizeof input);
    int flipped = 0;
    int total = 0;
    for (size_t bit = 0; bit < sizeof input * 8; bit++, total++) {
        input[bit / 8] ^= (unsigned char)(1U << bit % 8);
        int changed = __builtin_popcountll(base ^ hash_bytes(&key, input, sizeof input));
        input[bit / 8] ^= (unsigned char)(1U << bit % 8);
        assert_in_range(changed, 10, 54);
        flipped += changed;
    }
    for (size_t bit = 0; bit < 64; bit++, total++) {
        struct hash_key other = {key.k0 ^ (uint64_t)1 << bit, key.k1};
        int changed = __builtin_popcountll(base ^ hash_bytes(&other, input, sizeof input));
        assert_in_range(changed, 10, 54);
        flipped += changed;
    }
    assert_in_range(flipped / total, 30, 34);
}

static void the_process_key_stays_the_same_and_is_not_zero(void **state)
{
    (void)state;
    const struct hash_key *key = hash_process_key();
    struct hash_key copy = *key;
    assert_true(copy.k0 != 0 || copy.k1 != 0);
    assert_ptr_equal(hash_process_key(), key);
    assert_memory_equal(hash_process_key(), &copy, sizeof copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_cpython_with_a_zero_key),
        cmocka_unit_test(vectors_of_the_papers_key_and_message),
        cmocka_unit_test(vectors_of_siphash_2_4),
        cmocka_unit_test(alignment_of_the_input_does_not_matter),
        cmocka_unit_test(one_bit_changes_half_of_the_hash),
        cmocka_unit_test(the_process_key_stays_the_same_and_is_not_zero),
    };
    return cmocka_run_group_tests_name("base hash", tests, NULL, NULL);
}
