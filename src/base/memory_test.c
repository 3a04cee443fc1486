/* Tests of memory.h. */
#include "base/memory.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void new_memory_is_zeroed_and_never_null(void **state)
{
    (void)state;
    unsigned char *memory = memory_new(1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(memory[i], 0);
    }
    free(memory);
    free(memory_new(0));
    memory = memory_array(0, 16);
    assert_non_null(memory);
    free(memory);
}

static void resize_keeps_what_was_there(void **state)
{
    (void)state;
    int *numbers = memory_resize(NULL, 2, sizeof *numbers);
    numbers[0] = 1;
    numbers[1] = 2;
    numbers = memory_resize(numbers, 1000, sizeof *numbers);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[1], 2);
    numbers = memory_resize(numbers, 0, sizeof *numbers);
    assert_non_null(numbers);
    free(numbers);
}

static void copies_and_formats_are_strings(void **state)
{
    (void)state;
    char *copy CLEANUP(memory_cleanup) = memory_strdup("name");
    char *part CLEANUP(memory_cleanup) = memory_dup("abcdef", 3);
    char *none CLEANUP(memory_cleanup) = memory_dup(NULL, 0);
    char *text CLEANUP(memory_cleanup) = memory_printf("%s/%d", "x", 7);
    char *nothing CLEANUP(memory_cleanup) = NULL;
    assert_string_equal(copy, "name");
    assert_string_equal(part, "abc");
    assert_string_equal(none, "");
    assert_string_equal(text, "x/7");
    assert_null(nothing);
}

/* The signal that ends a child which runs step; 0 when it lives. */
static int signal_of(void (*step)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL); /* cmocka's handler would report a failed test */
        (void)close(STDERR_FILENO);     /* its last words are not the test's */
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none); /* no core file; harmless if refused */
        step();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void exhaust(void)
{
    memory_exhausted(123);
}

static void overflow_in_resize(void)
{
    free(memory_resize(NULL, SIZE_MAX / 2, 4));
}

static void the_process_ends_when_memory_is_out_or_sizes_overflow(void **state)
{
    (void)state;
    assert_int_equal(signal_of(exhaust), SIGABRT);
    assert_int_equal(signal_of(overflow_in_resize), SIGABRT);
}

#define BLOCK 50000U
#define BLOCKS 200U

/* What lies free at the end of the heap after as much as a large request takes was freed. */
static size_t kept_after_use(void)
{
    char *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_new(BLOCK);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
#ifdef __GLIBC__
    return mallinfo2().keepcost;
#else
    return 0;
#endif
}

/* Forks, for it changes the allocator of the whole program. */
static void after_settling_little_is_kept(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        free(memory_new((size_t)8 << 20U)); /* from here on the allocator would keep 16 MB */
        (void)kept_after_use();
        memory_settle();
        _exit(kept_after_use() <= MEMORY_KEPT ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed_and_never_null),
        cmocka_unit_test(resize_keeps_what_was_there),
        cmocka_unit_test(copies_and_formats_are_strings),
        cmocka_unit_test(the_process_ends_when_memory_is_out_or_sizes_overflow),
        cmocka_unit_test(after_settling_little_is_kept),
    };
    return cmocka_run_group_tests_name("base memory", tests, NULL, NULL);
}
