/* Tests of descriptor.h. */
#include "base/descriptor.h"

#include "base/err.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MUCH ((size_t)1 << 20U) /* more than a pipe holds */

static unsigned char much[MUCH];

struct reader {
    int fd;
    size_t length;
    bool same;
};

static void what_is_closed_is_not_closed_again(void **state)
{
    (void)state;
    int ends[2];
    int none = -1;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int kept = ends[0];
    descriptor_close(&ends[0]);
    assert_int_equal(ends[0], -1);
    assert_int_equal(fcntl(kept, F_GETFD), -1);
    descriptor_close(&ends[0]);
    descriptor_close(&none);
    descriptor_close(&ends[1]);
}

static void *read_much(void *context)
{
    struct reader *reader = context;
    unsigned char chunk[4096];
    ssize_t got = 0;
    while ((got = read(reader->fd, chunk, sizeof chunk)) > 0) {
        reader->same = reader->same && reader->length + (size_t)got <= MUCH &&
                       memcmp(chunk, much + reader->length, (size_t)got) == 0;
        reader->length += (size_t)got;
    }
    return NULL;
}

static void all_is_written_whatever_a_pipe_holds(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < MUCH; i++) {
        much[i] = (unsigned char)(i * 31 / 7);
    }
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct reader reader = {.fd = ends[0], .same = true};
    assert_int_equal(thread_start(&thread, "test-read", read_much, &reader, &err), 0);
    assert_int_equal(descriptor_write_all(ends[1], much, MUCH), 0);
    assert_int_equal(descriptor_write_all(ends[1], NULL, 0), 0);
    descriptor_close(&ends[1]);
    thread_join(thread);
    assert_int_equal(reader.length, MUCH);
    assert_true(reader.same);
    descriptor_close(&ends[0]);
}

static void what_cannot_be_written_is_said(void **state)
{
    (void)state;
    int full CLEANUP(descriptor_close) = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(descriptor_write_all(full, "x", 1), -ENOSPC);
}

static void only_folders_are_synced(void **state)
{
    (void)state;
    assert_int_equal(descriptor_sync_folder("/tmp"), 0);
    assert_int_equal(descriptor_sync_folder("/dev/null"), -ENOTDIR);
    assert_int_equal(descriptor_sync_folder("/tmp/leeward/is/not/here"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_closed_is_not_closed_again),
        cmocka_unit_test(all_is_written_whatever_a_pipe_holds),
        cmocka_unit_test(what_cannot_be_written_is_said),
        cmocka_unit_test(only_folders_are_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
