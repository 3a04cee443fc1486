/* Probes that end: libuv is never asked to forget a descriptor that is closed already, because its
 * number may be another thread's by then. Looks at each call of epoll_ctl in the process. */
#include "base/macro.h"
#include "health/probe_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned forgotten; /* descriptors taken out of an epoll */
static unsigned too_late;  /* of these, that were closed already */

/* In place of the C library's. */
__attribute__((visibility("default"))) int epoll_ctl(int epfd, int op, int fd,
                                                     struct epoll_event *event)
{
    union {
        void *found;
        int (*call)(int epfd, int op, int fd, struct epoll_event *event);
    } next = {.found = dlsym(RTLD_NEXT, "epoll_ctl")};
    int result = next.call(epfd, op, fd, event);
    if (op == EPOLL_CTL_DEL) {
        forgotten++;
        too_late += result != 0 && errno == EBADF;
    }
    return result;
}

static int set_up(void **state)
{
    forgotten = 0;
    too_late = 0;
    return probe_fixture_set_up(state);
}

static void run(struct fixture *fixture, const struct model_check *check, bool passed)
{
    (void)probe_fixture_run(fixture, check);
    assert_int_equal(fixture->result.passed, passed);
}

static const enum model_check_type types[] = {MODEL_CHECK_HTTP, MODEL_CHECK_HTTPS, MODEL_CHECK_TCP};

static void a_probe_that_passes_or_is_refused_forgets_its_socket_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    run(fixture, &check, true);
    assert_int_not_equal(forgotten, 0);
    test_server_set(fixture->server, SERVER_RESET, NULL, 0);
    run(fixture, &check, false);
    test_server_down(fixture->server);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        check.type = types[i];
        run(fixture, &check, false);
    }
    assert_int_equal(too_late, 0);
}

static void a_probe_that_ends_while_it_connects_forgets_its_socket_in_time(void **state)
{
    struct fixture *fixture = *state;
    int clients[TEST_FULL_QUEUE];
    struct model_check check = probe_fixture_check(fixture);
    int listener = test_full_listener(clients, &check.port);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        check.type = types[i];
        check.options.timeout_ms = 0;
        unsigned before = forgotten;
        struct probe *probe =
            probe_start(fixture->engine, &check, NULL, probe_fixture_keep, fixture);
        do {
            (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        } while (types[i] != MODEL_CHECK_TCP && forgotten == before); /* libcurl's is watched */
        (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        probe_cancel(probe);
        check.options.timeout_ms = 50;
        run(fixture, &check, false);
    }
    assert_int_equal(too_late, 0);
    for (int i = 0; i < TEST_FULL_QUEUE; i++) {
        (void)close(clients[i]); /* nothing was written */
    }
    (void)close(listener); /* as above */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, probe_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_probe_that_passes_or_is_refused_forgets_its_socket_in_time),
        TEST(a_probe_that_ends_while_it_connects_forgets_its_socket_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
