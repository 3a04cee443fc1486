/* Probes against real servers on loopback: every phase limit, every way a response can be wrong,
 * and no descriptor left over thousands of probes. */
#include "base/macro.h"
#include "base/text.h"
#include "base/time.h"
#include "health/probe/lookup.h"
#include "health/probe_fixture.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TRIES 100

struct lookup_row {
    const char *name;
    int code;
    int errno_value;
    enum probe_fault fault;
};

static const struct lookup_row lookup_rows[] = {
    {"system.fails", EAI_SYSTEM, EIO, PROBE_FAULT_HOST},
    {"nameless.fails", EAI_SYSTEM, 0, PROBE_FAULT_HOST},
    {"memory.fails", EAI_MEMORY, 0, PROBE_FAULT_HOST},
    {"descriptors.fails", EAI_AGAIN, EMFILE, PROBE_FAULT_HOST},
    {"files.fails", EAI_AGAIN, ENFILE, PROBE_FAULT_HOST},
    {"buffers.fails", EAI_AGAIN, ENOBUFS, PROBE_FAULT_HOST},
    {"again.fails", EAI_AGAIN, ETIMEDOUT, PROBE_FAULT_ENDPOINT},
    {"refused.fails", EAI_AGAIN, ECONNREFUSED, PROBE_FAULT_ENDPOINT},
    {"unknown.fails", EAI_NONAME, 0, PROBE_FAULT_ENDPOINT},
};

/* In place of the C library's: names that end in .silent are waited for longer than any limit, and
 * those of lookup_rows fail as they say. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *req,
                struct addrinfo **pai)
{
    if (name != NULL && text_ends(name, ".silent")) {
        (void)nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
        return EAI_AGAIN;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lookup_rows); i++) {
        if (name != NULL && text_equal(name, lookup_rows[i].name)) {
            errno = lookup_rows[i].errno_value;
            return lookup_rows[i].code;
        }
    }
    union {
        void *found;
        int (*call)(const char *name, const char *service, const struct addrinfo *req,
                    struct addrinfo **pai);
    } next = {.found = dlsym(RTLD_NEXT, "getaddrinfo")};
    return next.call(name, service, req, pai);
}

static void expect(struct fixture *fixture, const struct model_check *check, bool passed,
                   const char *text)
{
    assert_string_equal(probe_fixture_run(fixture, check), text);
    assert_int_equal(fixture->result.passed, passed);
}

/* The probe fails, not before this time, and the sentence holds this part. On a busy machine an
 * earlier limit may have passed first: then it is tried again. */
static void expect_after(struct fixture *fixture, const struct model_check *check, const char *part,
                         int64_t least_ms)
{
    const char *text = probe_fixture_run(fixture, check);
    for (int tries = 1; tries < TRIES && strstr(text, part) == NULL; tries++) {
        text = probe_fixture_run(fixture, check);
    }
    if (strstr(text, part) == NULL) {
        fail_msg("%s: does not say %s", text, part);
    }
    assert_false(fixture->result.passed);
    assert_true(fixture->result.latency_us / 1000 >= least_ms);
}

/* The fault of a failure that did not fall into a time in which the machine stood still. */
static enum probe_fault fault_of(struct fixture *fixture, const struct model_check *check)
{
    for (int tries = 0; tries < TRIES; tries++) {
        (void)probe_fixture_run(fixture, check);
        assert_false(fixture->result.passed);
        if (fixture->result.fault != PROBE_FAULT_SLEPT) {
            break;
        }
    }
    return fixture->result.fault;
}

static void answer(const struct fixture *fixture, const char *text)
{
    test_server_set(fixture->server, SERVER_ANSWER, text, strlen(text));
}

static void statuses_2xx_and_3xx_are_healthy_and_redirects_not_followed(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    expect(fixture, &check, true, "Success: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1");
    assert_string_equal(fixture->result.source, "127.0.0.1");
    answer(fixture, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
    expect(fixture, &check, true, "Success: HTTP Status Code 302, Found. Resolved IP: 127.0.0.1");
    answer(fixture, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    expect(fixture, &check, false,
           "Failure: HTTP Status Code 503, Service Unavailable. Resolved IP: 127.0.0.1");
    answer(fixture, "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect(fixture, &check, false,
           "Failure: HTTP Status Code 404, Not Found. Resolved IP: 127.0.0.1");
}

static void the_request_names_the_host_the_port_and_the_check(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    char request[2048];
    char line[128];
    check.host_name = "www.example.com.";
    check.resource_path = "/a/../b c?x=\r\ny";
    (void)probe_fixture_run(fixture, &check);
    test_server_request(fixture->server, request, sizeof request);
    static const char first[] = "GET /a/../b%20c?x=%0D%0Ay HTTP/1.1\r\n";
    assert_int_equal(strncmp(request, first, strlen(first)), 0);
    (void)snprintf(line, sizeof line, "\r\nHost: www.example.com:%u\r\n", check.port);
    assert_non_null(strstr(request, line));
    assert_non_null(strstr(request, "\r\nUser-Agent: Leeward-Health-Check (ref check-1)\r\n"));
    assert_non_null(strstr(request, "\r\nConnection: close\r\n"));
    check.host_name = "";
    (void)probe_fixture_run(fixture, &check);
    test_server_request(fixture->server, request, sizeof request);
    (void)snprintf(line, sizeof line, "\r\nHost: 127.0.0.1:%u\r\n", check.port);
    assert_non_null(strstr(request, line));
}

static void a_name_is_resolved_and_one_without_an_address_fails(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    check.ip_address = "";
    check.host_name = "localhost";
    check.options.timeout_ms = 120000;
    expect(fixture, &check, true, "Success: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1");
    check.type = MODEL_CHECK_TCP;
    expect(fixture, &check, true, "Success: TCP connection established. Resolved IP: 127.0.0.1");
    check.host_name = "no..name";
    check.options.timeout_ms = 300;
    assert_non_null(strstr(probe_fixture_run(fixture, &check), "Failure: DNS resolution failed: "));
    check.type = MODEL_CHECK_HTTP;
    check.ip_address = "127.0.0.1";
    check.host_name = "evil.com/@x";
    assert_non_null(strstr(probe_fixture_run(fixture, &check), "Failure: DNS resolution failed: "));
}

static void count_fault(void *context, const struct probe_result *result)
{
    unsigned *counts = context;
    assert_false(result->passed);
    counts[result->fault]++;
}

static void a_name_that_waits_behind_silent_ones_is_nobodys_failure(void **state)
{
    struct fixture *fixture = *state;
    unsigned counts[PROBE_FAULT_HOST + 1] = {0};
    struct model_check silent = probe_fixture_check(fixture);
    silent.ip_address = "";
    silent.host_name = "name.silent";
    for (unsigned i = 0; i < LOOKUP_THREADS; i++) {
        assert_non_null(probe_start(fixture->engine, &silent, NULL, count_fault, counts));
    }
    struct model_check check = silent;
    check.host_name = "localhost";
    assert_non_null(strstr(probe_fixture_run(fixture, &check), "Failure: DNS resolution failed: "));
    assert_int_equal(fixture->result.fault, PROBE_FAULT_HOST);
    /* Starting so many threads may keep the loop from running for a while. */
    while (counts[PROBE_FAULT_ENDPOINT] + counts[PROBE_FAULT_SLEPT] + counts[PROBE_FAULT_HOST] <
           LOOKUP_THREADS) {
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    assert_int_equal(counts[PROBE_FAULT_HOST], 0);
}

static void a_name_that_could_not_be_asked_for_is_this_hosts_fault(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    check.ip_address = "";
    for (size_t i = 0; i < ARRAY_SIZE(lookup_rows); i++) {
        check.host_name = lookup_rows[i].name;
        assert_int_equal(fault_of(fixture, &check), lookup_rows[i].fault);
        assert_non_null(strstr(fixture->result.text, "Failure: DNS resolution failed: "));
    }
    /* The C library's own resolver, without a descriptor. */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    check.host_name = "localhost";
    const char *said = probe_fixture_run(fixture, &check);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(said, "Failure: DNS resolution failed: Too many open files");
    assert_int_equal(fixture->result.fault, PROBE_FAULT_HOST);
}

static void a_refused_connection_fails_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    test_server_down(fixture->server);
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
    check.type = MODEL_CHECK_TCP;
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
    check.type = MODEL_CHECK_HTTPS;
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
}

static void connecting_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    int clients[TEST_FULL_QUEUE];
    int listener = test_full_listener(clients, &check.port);
    static const char text[] =
        "Failure: Connection timed out. The endpoint or the internet connection is down, or "
        "requests are being blocked by your firewall. Resolved IP: 127.0.0.1";
    expect_after(fixture, &check, text, 290);
    check.type = MODEL_CHECK_TCP;
    expect_after(fixture, &check, text, 290);
    check.options.timeout_ms = 50;
    expect_after(fixture, &check, text, 45);
    for (int i = 0; i < TEST_FULL_QUEUE; i++) {
        (void)close(clients[i]);
    }
    (void)close(listener);
}

static void the_status_line_has_a_limit_after_connecting(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    test_server_set(fixture->server, SERVER_SILENT, NULL, 0);
    expect_after(fixture, &check, "didn't send an HTTP status code within", 190);
    test_server_set(fixture->server, SERVER_ANSWER_SLOW, OK_ANSWER, strlen(OK_ANSWER));
    expect_after(fixture, &check, "didn't send an HTTP status code within", 190);
    check.options.timeout_ms = 60;
    expect_after(fixture, &check, "didn't send an HTTP status code within", 55);
    check.type = MODEL_CHECK_HTTPS;
    expect_after(fixture, &check, "Connection timed out", 55);
}

static void headers_and_body_have_a_limit_after_the_status_line(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    static const char slow[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
                               "0123456789012345678901234567890123456789needle";
    test_server_set(fixture->server, SERVER_ANSWER_SLOW, slow, strlen(slow));
    test_server_slow_from(fixture->server, 17);
    expect_after(fixture, &check, "wasn't complete within the time limit", 190);
    check.type = MODEL_CHECK_HTTP_STR_MATCH;
    check.search_string = "needle";
    test_server_slow_from(fixture->server, strlen(OK_HEAD) + 4);
    expect_after(fixture, &check, "wasn't complete within the time limit", 190);
    /* Without a search the body does not matter. */
    check.type = MODEL_CHECK_HTTP;
    for (int tries = 0; tries < TRIES && !fixture->result.passed; tries++) {
        (void)probe_fixture_run(fixture, &check);
    }
    assert_true(fixture->result.passed);
}

/* The text without its NUL. */
static void place(char *out, const char *text)
{
    while (*text != '\0') {
        *out++ = *text++;
    }
}

static void a_search_string_is_looked_for_in_the_first_5120_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    static char bodies[2][9000]; /* the server may still be sending the former */
    check.type = MODEL_CHECK_HTTP_STR_MATCH;
    check.search_string = "ok";
    expect(fixture, &check, true, "Success: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1");
    check.search_string = "OK";
    expect(fixture, &check, false,
           "Failure: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1. The search string wasn't "
           "found in the first 5120 bytes of the response body.");
    for (size_t shift = 0; shift < 2; shift++) {
        char *body = bodies[shift];
        (void)memset(body, 'x', sizeof bodies[shift]);
        place(body, "HTTP/1.1 200 OK\r\n\r\n");
        place(body + 19 + 5120 - 6 + shift, "needle");
        test_server_set(fixture->server, SERVER_ANSWER, body, sizeof bodies[shift]);
        check.search_string = "needle";
        (void)probe_fixture_run(fixture, &check);
        assert_int_equal(fixture->result.passed, shift == 0);
    }
    answer(fixture, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nnee\r\n3\r\ndle\r\n0\r\n\r\n");
    (void)probe_fixture_run(fixture, &check);
    assert_true(fixture->result.passed);
    answer(fixture, "HTTP/1.1 500 Oops\r\n\r\nneedle");
    (void)probe_fixture_run(fixture, &check);
    assert_false(fixture->result.passed);
}

static void oversized_headers_and_garbage_fail(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    static char lines[20000];
    static char line[200000];
    size_t size = 17;
    place(lines, "HTTP/1.1 200 OK\r\n");
    for (; size + 64 < sizeof lines; size += 64) {
        (void)memset(lines + size, 'a', 62);
        place(lines + size + 1, ":");
        place(lines + size + 62, "\r\n");
    }
    test_server_set(fixture->server, SERVER_ANSWER, lines, size);
    expect(fixture, &check, false,
           "Failure: Resolved IP: 127.0.0.1. The response headers are larger than 16384 bytes.");
    (void)memset(line, 'a', sizeof line);
    place(line, "HTTP/1.1 200 OK\r\n");
    test_server_set(fixture->server, SERVER_ANSWER, line, sizeof line);
    (void)probe_fixture_run(fixture, &check);
    assert_false(fixture->result.passed);
    answer(fixture, "SSH-2.0-OpenSSH_9.2\r\n");
    expect(fixture, &check, false,
           "Failure: Resolved IP: 127.0.0.1. The endpoint didn't answer in HTTP.");
    answer(fixture, "HTTP/1.1 9");
    (void)probe_fixture_run(fixture, &check);
    assert_false(fixture->result.passed);
    check.type = MODEL_CHECK_HTTPS;
    assert_non_null(
        strstr(probe_fixture_run(fixture, &check), "Failure: SSL negotiation failed: "));
}

static void a_connection_that_is_reset_or_closed_fails(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    static const char text[] =
        "Failure: Resolved IP: 127.0.0.1. The connection was closed by the endpoint.";
    test_server_set(fixture->server, SERVER_RESET, NULL, 0);
    expect(fixture, &check, false, text);
    test_server_set(fixture->server, SERVER_CLOSE, NULL, 0);
    expect(fixture, &check, false, text);
    answer(fixture, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    check.type = MODEL_CHECK_HTTP_STR_MATCH;
    check.search_string = "long";
    expect(fixture, &check, false, text);
}

static void a_cancelled_probe_says_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    test_server_set(fixture->server, SERVER_SILENT, NULL, 0);
    for (int i = 0; i < 3; i++) {
        struct probe *probe =
            probe_start(fixture->engine, &check, NULL, probe_fixture_keep, fixture);
        for (int turn = 0; turn < i; turn++) {
            (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        }
        probe_cancel(probe);
    }
    check.host_name = "localhost";
    check.ip_address = "";
    probe_cancel(probe_start(fixture->engine, &check, NULL, probe_fixture_keep, fixture));
    check.type = MODEL_CHECK_TCP;
    check.ip_address = "127.0.0.1";
    probe_cancel(probe_start(fixture->engine, &check, NULL, probe_fixture_keep, fixture));
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_false(fixture->done);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the server's thread reads no environment */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    (void)probe_fixture_run(fixture, &check);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): as above */
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_true(fixture->result.passed);
}

/* ---- many ---- */

static void count_result(void *context, const struct probe_result *result)
{
    unsigned *left = context;
    (void)result; /* any */
    (*left)--;
}

static void thousands_of_probes_leave_no_descriptor_behind(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    check.options.timeout_ms = 30;
    check.type = MODEL_CHECK_HTTPS; /* what the libraries open once, they open now */
    (void)probe_fixture_run(fixture, &check);
    check.type = MODEL_CHECK_TCP;
    (void)probe_fixture_run(fixture, &check);
    size_t before = test_open_files();
    const enum model_check_type types[] = {MODEL_CHECK_HTTP, MODEL_CHECK_TCP, MODEL_CHECK_HTTPS,
                                           MODEL_CHECK_HTTP};
    for (unsigned round = 0; round < 100; round++) {
        struct model_check checks[32];
        unsigned left = ARRAY_SIZE(checks);
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
            checks[i] = check;
            checks[i].type = types[i % ARRAY_SIZE(types)];
            checks[i].port = i % 7 == 0 ? 1 : check.port;
            assert_non_null(probe_start(fixture->engine, &checks[i], NULL, count_result, &left));
        }
        while (left > 0) {
            (void)uv_run(&fixture->loop, UV_RUN_ONCE);
        }
    }
    /* The server closes its ends on a thread of its own. */
    for (int i = 0; i < 500 && test_open_files() > before; i++) {
        (void)poll(NULL, 0, 10);
    }
    assert_in_range(test_open_files(), 0, before);
}

/* ---- this process's own troubles ---- */

static void sleep_ms(uv_timer_t *timer)
{
    (void)usleep((useconds_t)(*(int *)timer->data * 1000)); /* blocks the whole loop */
}

/* Runs one probe on a loop that is blocked for so long, `after_ms` into it. */
static void run_asleep(struct fixture *fixture, const struct model_check *check, int after_ms,
                       int asleep_ms)
{
    uv_timer_t sleeper;
    assert_int_equal(uv_timer_init(&fixture->loop, &sleeper), 0);
    sleeper.data = &asleep_ms;
    assert_int_equal(uv_timer_start(&sleeper, sleep_ms, (uint64_t)after_ms, 0), 0);
    (void)probe_fixture_run(fixture, check);
    uv_close((uv_handle_t *)&sleeper, NULL);
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void an_answer_that_came_while_the_loop_slept_is_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    check.options.timeout_ms = 50;
    test_server_set(fixture->server, SERVER_ANSWER_SLOW, OK_ANSWER, strlen(OK_ANSWER));
    test_server_slow_from(fixture->server, strlen(OK_ANSWER) - 1); /* after 20 ms */
    unsigned passed = 0;
    for (int tries = 0; tries < TRIES && passed < 5; tries++) {
        run_asleep(fixture, &check, 5, 80); /* too short to be called asleep */
        passed += fixture->result.passed;   /* where the server's thread had its turn */
    }
    assert_int_equal(passed, 5);
}

static void a_failure_while_the_loop_slept_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = probe_fixture_check(fixture);
    check.options.timeout_ms = 50;
    test_server_set(fixture->server, SERVER_SILENT, NULL, 0);
    run_asleep(fixture, &check, 5, 300);
    assert_false(fixture->result.passed);
    assert_int_equal(fixture->result.fault, PROBE_FAULT_SLEPT);
    test_server_set(fixture->server, SERVER_CLOSE, NULL, 0);
    run_asleep(fixture, &check, 0, 300);
    assert_int_equal(fixture->result.fault, PROBE_FAULT_SLEPT);
    assert_int_equal(fault_of(fixture, &check), PROBE_FAULT_ENDPOINT); /* awake again */
}

static void without_descriptors_a_failure_is_this_hosts(void **state)
{
    struct fixture *fixture = *state;
    struct model_check http = probe_fixture_check(fixture);
    struct model_check tcp = http;
    tcp.type = MODEL_CHECK_TCP;
    (void)probe_fixture_run(fixture, &http); /* libcurl opens what it keeps */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct model_check *checks[] = {&http, &tcp};
    struct probe_result results[ARRAY_SIZE(checks)];
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        (void)probe_fixture_run(fixture, checks[i]);
        results[i] = fixture->result;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        assert_false(results[i].passed);
        assert_int_equal(results[i].fault, PROBE_FAULT_HOST);
        assert_string_equal(results[i].text, "Failure: The health checker couldn't make the "
                                             "request: too many open files");
        (void)probe_fixture_run(fixture, checks[i]);
        assert_true(fixture->result.passed);
    }
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, probe_fixture_set_up, probe_fixture_tear_down)
#define HASTY(name)                                                                                \
    cmocka_unit_test_setup_teardown(name, probe_fixture_set_up_hasty, probe_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(statuses_2xx_and_3xx_are_healthy_and_redirects_not_followed),
        TEST(the_request_names_the_host_the_port_and_the_check),
        TEST(a_name_is_resolved_and_one_without_an_address_fails),
        HASTY(a_name_that_waits_behind_silent_ones_is_nobodys_failure),
        TEST(a_name_that_could_not_be_asked_for_is_this_hosts_fault),
        TEST(a_refused_connection_fails_at_once),
        HASTY(connecting_has_a_limit),
        HASTY(the_status_line_has_a_limit_after_connecting),
        HASTY(headers_and_body_have_a_limit_after_the_status_line),
        TEST(a_search_string_is_looked_for_in_the_first_5120_bytes),
        TEST(oversized_headers_and_garbage_fail),
        TEST(a_connection_that_is_reset_or_closed_fails),
        TEST(a_cancelled_probe_says_nothing),
        TEST(proxies_of_the_environment_are_not_used),
        TEST(thousands_of_probes_leave_no_descriptor_behind),
        TEST(an_answer_that_came_while_the_loop_slept_is_in_time),
        TEST(a_failure_while_the_loop_slept_is_nobodys),
        TEST(without_descriptors_a_failure_is_this_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
