/* Unit tests of zone_set.c: reading names and the hashes of their suffixes. */
#include "dns/zone/zone_set.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct zone_set set = {.hash_seed = 0x1234567890abcdefU,
                                    .hash_factor = 0x9e3779b97f4a7c15U};

/* A random name; returns its length. */
static size_t make_name(struct random *random, uint8_t wire[NAME_WIRE_LIMIT])
{
    size_t at = 0;
    while (random_below(random, 8) != 0) {
        size_t length = 1 + random_below(random, random_below(random, 4) == 0 ? 63 : 9);
        if (at + 1 + length + 1 > NAME_WIRE_LIMIT) {
            break;
        }
        wire[at++] = (uint8_t)length;
        for (size_t i = 0; i < length; i++) {
            wire[at++] = (uint8_t)random_below(random, 256);
        }
    }
    wire[at++] = 0;
    return at;
}

/* From a block of just its size, so that a read past it is found. */
static size_t read_exact(struct zone_name *name, const uint8_t *wire, size_t length)
{
    uint8_t *exact = memory_dup(wire, length);
    size_t read = zone_name_read(name, &set, exact, length);
    free(exact);
    return read;
}

static void every_suffix_has_the_hash_of_the_same_name_alone(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 11);
    struct zone_name *whole = memory_new(sizeof *whole);
    struct zone_name *alone = memory_new(sizeof *alone);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t wire[NAME_WIRE_LIMIT];
        size_t length = make_name(&random, wire);
        assert_int_equal(length, read_exact(whole, wire, length));
        assert_int_equal(length, whole->length);
        for (unsigned label = 0; label <= whole->labels; label++) {
            size_t offset = whole->offset[label];
            assert_int_equal(length - offset, read_exact(alone, wire + offset, length - offset));
            assert_true(alone->hash[0] == whole->hash[label]);
            assert_int_equal(whole->labels - label, alone->labels);
        }
        /* The same of a name whose labels are known. */
        zone_name_set(alone, &set, whole->wire, whole->length, whole->offset, whole->labels);
        assert_memory_equal(alone->hash, whole->hash, (whole->labels + 1U) * sizeof(uint64_t));
    }
    free(whole);
    free(alone);
}

static unsigned count_bits(uint64_t bits)
{
    unsigned count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

static void names_that_differ_in_any_one_character_are_spread_evenly(void **state)
{
    (void)state;
    struct zone_name *name = memory_new(sizeof *name);
    for (size_t length = 1; length <= 24; length++) {
        for (size_t at = 0; at < length; at++) {
            uint64_t places = 0; /* of 64, by the low bits, which choose the place in a table */
            uint64_t tags = 0;   /* of 64, by the high bits, which tell entries apart */
            for (uint8_t c = 0; c < 64; c++) {
                uint8_t wire[32] = {(uint8_t)length};
                (void)memset(wire + 1, 'x', length);
                wire[1 + at] = (uint8_t)(c < 32 ? 0x20 + c : 0x60 + c - 32);
                assert_int_equal(length + 2, read_exact(name, wire, length + 2));
                places |= UINT64_C(1) << (name->hash[0] & 63U);
                tags |= UINT64_C(1) << (name->hash[0] >> 58U);
            }
            /* Evenly at random 40 of 64 are met. */
            assert_in_range(count_bits(places), 24, 64);
            assert_in_range(count_bits(tags), 24, 64);
        }
    }
    free(name);
}

static void only_ascii_letters_are_folded(void **state)
{
    (void)state;
    struct zone_name *name = memory_new(sizeof *name);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t wire[] = {3, 'x', (uint8_t)byte, 'y', 0};
        assert_int_equal(sizeof wire, read_exact(name, wire, sizeof wire));
        unsigned folded = byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
        assert_int_equal(folded, name->wire[2]);
        assert_int_equal('x', name->wire[1]);
        assert_int_equal('y', name->wire[3]);
    }
    free(name);
}

static void wildcard_hashes_are_those_of_the_wildcards_name(void **state)
{
    (void)state;
    struct zone_name *name = memory_new(sizeof *name);
    struct zone_name *star = memory_new(sizeof *star);
    static const uint8_t plain[] = "\3www\7example\3com";
    static const uint8_t below[] = "\1*\7example\3com";
    assert_int_equal(sizeof plain, read_exact(name, plain, sizeof plain));
    assert_int_equal(sizeof below, read_exact(star, below, sizeof below));
    assert_true(star->hash[0] == zone_name_wildcard_hash(name, &set, 1));
    free(name);
    free(star);
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    struct zone_name *name = memory_new(sizeof *name);
    static const uint8_t cut[] = {3, 'w', 'w'};
    static const uint8_t open_end[] = {1, 'w'};
    static const uint8_t pointer[] = {1, 'w', 0xc0, 0};
    static const uint8_t extended[] = {0x41, 0};
    uint8_t longest[300];
    for (size_t i = 0; i < sizeof longest; i++) {
        longest[i] = i % 2 == 0 ? 1 : 'a';
    }
    assert_int_equal(0, read_exact(name, cut, sizeof cut));
    assert_int_equal(0, read_exact(name, open_end, sizeof open_end));
    assert_int_equal(0, read_exact(name, pointer, sizeof pointer));
    assert_int_equal(0, read_exact(name, extended, sizeof extended));
    assert_int_equal(0, read_exact(name, longest, sizeof longest));
    longest[254] = 0; /* 127 labels, 255 bytes: the most there can be */
    assert_int_equal(255, read_exact(name, longest, sizeof longest));
    assert_int_equal(127, name->labels);
    longest[254] = 1;
    longest[256] = 0;
    assert_int_equal(0, read_exact(name, longest, sizeof longest));
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suffix_has_the_hash_of_the_same_name_alone),
        cmocka_unit_test(names_that_differ_in_any_one_character_are_spread_evenly),
        cmocka_unit_test(only_ascii_letters_are_folded),
        cmocka_unit_test(wildcard_hashes_are_those_of_the_wildcards_name),
        cmocka_unit_test(what_is_no_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
