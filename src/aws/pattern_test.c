/* Unit tests of the models' patterns: all of them compile, matching is bounded, and threads may
 * meet at the first use. Linked with the test tables. */
#include "aws/internal.h"
#include "base/time.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 8

static void try_shape(const struct codec_shape *shape, unsigned depth, size_t *count)
{
    if (shape == NULL || depth > 8) {
        return;
    }
    if (shape->pattern != NULL) {
        enum codec_match match = codec_pattern_match(shape, "x", 1);
        assert_true(match == CODEC_MATCHES || match == CODEC_MATCHES_NOT);
        (*count)++;
    }
    for (size_t i = 0; i < shape->count; i++) {
        try_shape(shape->members[i].shape, depth + 1, count);
    }
}

static size_t try_all(void)
{
    size_t count = 0;
    for (size_t i = 0; i < codec_service_count; i++) {
        const struct codec_operation *operation = NULL;
        for (size_t j = 0; (operation = codec_service_operation(&codec_services[i], j)) != NULL;
             j++) {
            try_shape(operation->input, 0, &count);
            try_shape(operation->output, 0, &count);
        }
    }
    return count;
}

static void *run(void *argument)
{
    (void)argument;
    (void)try_all(); /* asserts by itself */
    return NULL;
}

static void threads_may_compile_the_same_pattern(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void every_pattern_of_the_models_compiles(void **state)
{
    (void)state;
    assert_true(codec_pattern_count > 20);
    assert_true(try_all() > codec_pattern_count);
}

/* The test's own patterns stand in the last slot, which the tables do not use. */
static enum codec_match match(const char *pattern, const char *text)
{
    struct codec_shape shape = {.name = "Test",
                                .type = CODEC_STRING,
                                .pattern = pattern,
                                .pattern_index = (uint16_t)codec_pattern_count};
    return codec_pattern_match(&shape, text, strlen(text));
}

static void a_pattern_that_explodes_is_cut_off(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'a', sizeof text - 2);
    text[sizeof text - 2] = '!';
    text[sizeof text - 1] = '\0';
    struct mono start = mono_now();
    assert_int_equal(match("(a+)+b?(a+)+", text), CODEC_MATCH_TOO_HARD);
    assert_true(mono_since(mono_now(), start) < 60 * TIME_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_compile_the_same_pattern),
        cmocka_unit_test(every_pattern_of_the_models_compiles),
        cmocka_unit_test(a_pattern_that_explodes_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
