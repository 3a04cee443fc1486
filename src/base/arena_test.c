/* Tests of arena.h. */
#include "base/arena.h"

#include "base/test_wipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void memory_is_zeroed_and_aligned_at_every_size(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t size = 0; size < 10000; size += size < 64 ? 1 : 613) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(memory[i], 0);
        }
        (void)memset(memory, 0xa5, size); /* the next one must not see it */
    }
    arena_done(&arena);
}

static void allocations_do_not_overlap(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    unsigned char *parts[500];
    size_t sizes[500];
    for (size_t i = 0; i < 500; i++) {
        sizes[i] = i % 97 == 0 ? 5000 + i : 1 + i % 130;
        parts[i] = arena_array(&arena, sizes[i], 1);
        (void)memset(parts[i], (int)(i & 0xffU), sizes[i]);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_int_equal(parts[i][j], i & 0xffU);
        }
    }
    arena_done(&arena);
}

static void try_alloc_stops_at_the_limit_and_not_before(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024);
    assert_null(arena_try_alloc(&arena, 1025));
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    assert_null(arena_try_alloc(&arena, SIZE_MAX / 2));
    assert_null(arena_try_memdup(&arena, "", SIZE_MAX));
    assert_int_equal(arena.used, 0);
    for (size_t i = 0; i < 64; i++) {
        assert_non_null(arena_try_alloc(&arena, 16));
    }
    assert_int_equal(arena.used, 1024);
    assert_null(arena_try_alloc(&arena, 1));
    assert_non_null(arena_alloc(&arena, 100)); /* sizes of our own are not limited */
    arena_done(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_try_alloc(&arena, 1024));
    arena_done(&arena);
}

static void odd_sizes_do_not_pass_the_limit(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    while (arena_try_alloc(&arena, 7) != NULL) {
    }
    assert_true(arena.used <= 100);
    arena_done(&arena);
}

static void copies_end_in_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    assert_string_equal(arena_strdup(&arena, "name"), "name");
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_string_equal(arena_memdup(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_memdup(&arena, NULL, 0), "");
    assert_null(arena_try_memdup(&arena, "abcdef", 64));
    arena_done(&arena);
    arena_init(&arena, 64);
    assert_string_equal(arena_try_memdup(&arena, "abcdef", 6), "abcdef");
    assert_string_equal(arena_printf(&arena, "%s-%d", "x", 42), "x-42");
    char *wide = arena_printf(&arena, "%*d", 9000, 1);
    assert_int_equal(strlen(wide), 9000);
    arena_done(&arena);
}

struct trace {
    char order[8];
    size_t count;
};

struct hook {
    struct trace *trace;
    char name;
};

static void note(void *object)
{
    struct hook *hook = object;
    hook->trace->order[hook->trace->count++] = hook->name;
}

static void dispose_hooks_run_newest_first_before_memory_goes(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < 3; i++) {
        struct hook *hook = arena_alloc(&arena, sizeof *hook); /* read by the hook: still there */
        *hook = (struct hook){&trace, (char)('a' + i)};
        arena_defer(&arena, note, hook);
    }
    arena_done(&arena);
    assert_string_equal(trace.order, "cba");
    arena_done(&arena); /* once */
    assert_string_equal(trace.order, "cba");
}

static void secret_memory_is_wiped_before_it_goes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    IGNORE_RESULT(arena_strdup(&arena, "no secret"));
    test_wiped = 0;
    arena_done(&arena);
    assert_int_equal(test_wiped, 0);
    arena_keep_secret(&arena);
    for (int i = 0; i < 100; i++) { /* several blocks, one larger than a block */
        IGNORE_RESULT(arena_memdup(&arena, "secret", 6));
        IGNORE_RESULT(arena_alloc(&arena, i == 50 ? 10000 : 100));
    }
    size_t used = arena.used;
    arena_done(&arena);
    assert_int_equal(test_wiped, used);
}

static void count_disposal(void *object)
{
    (*(unsigned *)object)++;
}

static void a_reset_arena_keeps_its_memory_and_gives_it_zeroed(void **state)
{
    (void)state;
    struct arena arena;
    unsigned disposed = 0;
    arena_init(&arena, 0);
    arena_reset(&arena); /* empty */
    for (unsigned round = 0; round < 5; round++) {
        arena_defer(&arena, count_disposal, &disposed);
        for (size_t i = 0; i < 500; i++) {
            unsigned char *memory = arena_alloc(&arena, 300);
            for (size_t at = 0; at < 300; at++) {
                assert_int_equal(memory[at], 0);
            }
            (void)memset(memory, 0xa5, 300);
        }
        const struct arena_block *blocks = arena.blocks;
        size_t used = arena.used;
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
        assert_int_equal(disposed, round + 1);
        if (round > 0) {
            assert_ptr_equal(arena.blocks, blocks);
            assert_true(used > 150000);
        }
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned_at_every_size),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(try_alloc_stops_at_the_limit_and_not_before),
        cmocka_unit_test(odd_sizes_do_not_pass_the_limit),
        cmocka_unit_test(copies_end_in_a_nul),
        cmocka_unit_test(dispose_hooks_run_newest_first_before_memory_goes),
        cmocka_unit_test(a_reset_arena_keeps_its_memory_and_gives_it_zeroed),
        cmocka_unit_test(secret_memory_is_wiped_before_it_goes),
    };
    return cmocka_run_group_tests_name("base arena", tests, NULL, NULL);
}
