/* Probes that end: libuv is never asked to forget a descriptor that is closed already, because its
 * number may be another thread's by then. Looks at each call of epoll_ctl in the process. */
#include "base/macro.h"
#include "base/time.h"
#include "health/probe/probe.h"
#include "health/test_support.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define QUEUE 8
#define LONG_MS 600000 /* no limit for any machine */

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

struct fixture {
    uv_loop_t loop;
    struct probe_engine *engine;
    struct probe_result result;
    bool done;
};

static void keep_result(void *context, const struct probe_result *result)
{
    struct fixture *fixture = context;
    fixture->result = *result;
    fixture->done = true;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct err err = ERR_INIT;
    struct probe_settings settings = {
        .limits = {
            .tcp_ms = LONG_MS, .connect_ms = LONG_MS, .status_ms = LONG_MS, .body_ms = LONG_MS}};
    (void)signal(SIGPIPE, SIG_IGN);
    fixture = (struct fixture){.done = false};
    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    assert_int_equal(probe_engine_new(&fixture.loop, &settings, &fixture.engine, &err), 0);
    forgotten = 0;
    too_late = 0;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    probe_engine_close(fixture->engine);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    return 0;
}

static struct model_check check_of(enum model_check_type type, uint16_t port)
{
    return (struct model_check){
        .id = "check-1",
        .type = type,
        .ip_address = "127.0.0.1",
        .host_name = "",
        .port = port,
        .resource_path = "/",
        .search_string = "",
    };
}

static void run(struct fixture *fixture, const struct model_check *check, bool passed)
{
    fixture->done = false;
    assert_non_null(probe_start(fixture->engine, check, NULL, keep_result, fixture));
    while (!fixture->done) {
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    assert_int_equal(fixture->result.passed, passed);
}

/* A listener whose queue is full: who comes then goes on connecting. */
static int full_listener(int clients[QUEUE], uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < QUEUE; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(clients[i], (const struct sockaddr *)&address, size); /* goes on behind us */
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static const enum model_check_type types[] = {MODEL_CHECK_HTTP, MODEL_CHECK_HTTPS, MODEL_CHECK_TCP};

static void a_probe_that_passes_or_is_refused_forgets_its_socket_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct test_server *server = test_server_new(SERVER_ANSWER, OK_ANSWER, strlen(OK_ANSWER));
    struct model_check check = check_of(MODEL_CHECK_HTTP, test_server_port(server));
    run(fixture, &check, true);
    assert_int_not_equal(forgotten, 0);
    test_server_set(server, SERVER_RESET, NULL, 0);
    run(fixture, &check, false);
    test_server_down(server);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        check.type = types[i];
        run(fixture, &check, false);
    }
    assert_int_equal(too_late, 0);
    test_server_free(server);
}

static void a_probe_that_ends_while_it_connects_forgets_its_socket_in_time(void **state)
{
    struct fixture *fixture = *state;
    int clients[QUEUE];
    uint16_t port;
    int listener = full_listener(clients, &port);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct model_check check = check_of(types[i], port);
        unsigned before = forgotten;
        struct probe *probe = probe_start(fixture->engine, &check, NULL, keep_result, fixture);
        do {
            (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        } while (types[i] != MODEL_CHECK_TCP && forgotten == before); /* libcurl's is watched */
        (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        probe_cancel(probe);
        check.options.timeout_ms = 50;
        run(fixture, &check, false);
    }
    assert_int_equal(too_late, 0);
    for (int i = 0; i < QUEUE; i++) {
        (void)close(clients[i]); /* nothing was written */
    }
    (void)close(listener); /* as above */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_probe_that_passes_or_is_refused_forgets_its_socket_in_time),
        TEST(a_probe_that_ends_while_it_connects_forgets_its_socket_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
