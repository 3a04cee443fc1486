/* Probes against real servers on loopback: every phase limit, every way a response can be wrong,
 * TLS with and without SNI and verification, and no descriptor left over thousands of probes. */
#include "health/probe/probe.h"

#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "health/probe/lookup.h"
#include "health/test_support.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define OK_ANSWER OK_HEAD "ok"
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

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick; /* as on the health loop: one turn never waits long */
    struct probe_engine *engine;
    struct test_server *server;
    struct probe_result result;
    bool done;
};

static void keep_result(void *context, const struct probe_result *result)
{
    struct fixture *fixture = context;
    assert_false(fixture->done);
    fixture->result = *result;
    fixture->done = true;
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick; /* it only wakes */
}

/* For what has to come: no machine is too slow. */
static const struct probe_limits patient = {
    .tcp_ms = 120000, .connect_ms = 120000, .status_ms = 120000, .body_ms = 120000};
/* For what has to be given up. */
static const struct probe_limits hasty = {
    .tcp_ms = 300, .connect_ms = 300, .status_ms = 200, .body_ms = 200};

static void open_engine(struct fixture *fixture, const struct probe_limits *limits,
                        const char *ca_file)
{
    struct err err = ERR_INIT;
    struct probe_settings settings = {.limits = *limits, .ca_file = ca_file};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(uv_timer_init(&fixture->loop, &fixture->tick), 0);
    assert_int_equal(uv_timer_start(&fixture->tick, on_tick, 10, 10), 0);
    assert_int_equal(probe_engine_new(&fixture->loop, &settings, &fixture->engine, &err), 0);
}

static void close_engine(struct fixture *fixture)
{
    probe_engine_close(fixture->engine);
    uv_close((uv_handle_t *)&fixture->tick, NULL);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static int set_up_with(void **state, const struct probe_limits *limits)
{
    static struct fixture fixture;
    (void)signal(SIGPIPE, SIG_IGN);
    fixture = (struct fixture){.done = false};
    fixture.server = test_server_new(SERVER_ANSWER, OK_ANSWER, strlen(OK_ANSWER));
    open_engine(&fixture, limits, NULL);
    *state = &fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, &patient);
}

static int set_up_hasty(void **state)
{
    return set_up_with(state, &hasty);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    close_engine(fixture);
    test_server_free(fixture->server);
    return 0;
}

static struct model_check http_check(const struct fixture *fixture)
{
    return (struct model_check){
        .id = "check-1",
        .type = MODEL_CHECK_HTTP,
        .ip_address = "127.0.0.1",
        .host_name = "",
        .port = test_server_port(fixture->server),
        .resource_path = "/health",
        .search_string = "",
    };
}

/* Runs one probe; returns its sentence. */
static const char *run(struct fixture *fixture, const struct model_check *check)
{
    fixture->done = false;
    struct probe *probe = probe_start(fixture->engine, check, NULL, keep_result, fixture);
    assert_non_null(probe);
    assert_false(fixture->done);
    while (!fixture->done) {
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    return fixture->result.text;
}

static void expect(struct fixture *fixture, const struct model_check *check, bool passed,
                   const char *text)
{
    assert_string_equal(run(fixture, check), text);
    assert_int_equal(fixture->result.passed, passed);
}

/* The probe fails, not before this time, and the sentence holds this part. On a busy machine an
 * earlier limit may have passed first: then it is tried again. */
static void expect_after(struct fixture *fixture, const struct model_check *check, const char *part,
                         int64_t least_ms)
{
    const char *text = run(fixture, check);
    for (int tries = 1; tries < TRIES && strstr(text, part) == NULL; tries++) {
        text = run(fixture, check);
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
        (void)run(fixture, check);
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
    struct model_check check = http_check(fixture);
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
    struct model_check check = http_check(fixture);
    char request[2048];
    char line[128];
    check.host_name = "www.example.com.";
    check.resource_path = "/a/../b c?x=\r\ny";
    (void)run(fixture, &check);
    test_server_request(fixture->server, request, sizeof request);
    static const char first[] = "GET /a/../b%20c?x=%0D%0Ay HTTP/1.1\r\n";
    assert_int_equal(strncmp(request, first, strlen(first)), 0);
    (void)snprintf(line, sizeof line, "\r\nHost: www.example.com:%u\r\n", check.port);
    assert_non_null(strstr(request, line));
    assert_non_null(strstr(request, "\r\nUser-Agent: Leeward-Health-Check (ref check-1)\r\n"));
    assert_non_null(strstr(request, "\r\nConnection: close\r\n"));
    check.host_name = "";
    (void)run(fixture, &check);
    test_server_request(fixture->server, request, sizeof request);
    (void)snprintf(line, sizeof line, "\r\nHost: 127.0.0.1:%u\r\n", check.port);
    assert_non_null(strstr(request, line));
}

static void a_name_is_resolved_and_one_without_an_address_fails(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
    check.ip_address = "";
    check.host_name = "localhost";
    check.options.timeout_ms = 120000;
    expect(fixture, &check, true, "Success: HTTP Status Code 200, OK. Resolved IP: 127.0.0.1");
    check.type = MODEL_CHECK_TCP;
    expect(fixture, &check, true, "Success: TCP connection established. Resolved IP: 127.0.0.1");
    check.host_name = "no..name";
    check.options.timeout_ms = 300;
    assert_non_null(strstr(run(fixture, &check), "Failure: DNS resolution failed: "));
    check.type = MODEL_CHECK_HTTP;
    check.ip_address = "127.0.0.1";
    check.host_name = "evil.com/@x";
    assert_non_null(strstr(run(fixture, &check), "Failure: DNS resolution failed: "));
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
    struct model_check silent = http_check(fixture);
    silent.ip_address = "";
    silent.host_name = "name.silent";
    for (unsigned i = 0; i < LOOKUP_THREADS; i++) {
        assert_non_null(probe_start(fixture->engine, &silent, NULL, count_fault, counts));
    }
    struct model_check check = silent;
    check.host_name = "localhost";
    assert_non_null(strstr(run(fixture, &check), "Failure: DNS resolution failed: "));
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
    struct model_check check = http_check(fixture);
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
    const char *said = run(fixture, &check);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(said, "Failure: DNS resolution failed: Too many open files");
    assert_int_equal(fixture->result.fault, PROBE_FAULT_HOST);
}

static void a_refused_connection_fails_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
    test_server_down(fixture->server);
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
    check.type = MODEL_CHECK_TCP;
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
    check.type = MODEL_CHECK_HTTPS;
    expect_after(fixture, &check, "Failure: Connection refused. Resolved IP: 127.0.0.1", 0);
}

/* A listener whose queue is full drops further connections silently. */
static int full_listener(int clients[8], uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    for (int i = 0; i < 8; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(clients[i], (const struct sockaddr *)&address, size);
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void connecting_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
    int clients[8];
    int listener = full_listener(clients, &check.port);
    static const char text[] =
        "Failure: Connection timed out. The endpoint or the internet connection is down, or "
        "requests are being blocked by your firewall. Resolved IP: 127.0.0.1";
    expect_after(fixture, &check, text, 290);
    check.type = MODEL_CHECK_TCP;
    expect_after(fixture, &check, text, 290);
    check.options.timeout_ms = 50;
    expect_after(fixture, &check, text, 45);
    for (int i = 0; i < 8; i++) {
        (void)close(clients[i]);
    }
    (void)close(listener);
}

static void the_status_line_has_a_limit_after_connecting(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
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
    struct model_check check = http_check(fixture);
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
        (void)run(fixture, &check);
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
    struct model_check check = http_check(fixture);
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
        (void)run(fixture, &check);
        assert_int_equal(fixture->result.passed, shift == 0);
    }
    answer(fixture, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nnee\r\n3\r\ndle\r\n0\r\n\r\n");
    (void)run(fixture, &check);
    assert_true(fixture->result.passed);
    answer(fixture, "HTTP/1.1 500 Oops\r\n\r\nneedle");
    (void)run(fixture, &check);
    assert_false(fixture->result.passed);
}

static void oversized_headers_and_garbage_fail(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
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
    (void)run(fixture, &check);
    assert_false(fixture->result.passed);
    answer(fixture, "SSH-2.0-OpenSSH_9.2\r\n");
    expect(fixture, &check, false,
           "Failure: Resolved IP: 127.0.0.1. The endpoint didn't answer in HTTP.");
    answer(fixture, "HTTP/1.1 9");
    (void)run(fixture, &check);
    assert_false(fixture->result.passed);
    check.type = MODEL_CHECK_HTTPS;
    assert_non_null(strstr(run(fixture, &check), "Failure: SSL negotiation failed: "));
}

static void a_connection_that_is_reset_or_closed_fails(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
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
    struct model_check check = http_check(fixture);
    test_server_set(fixture->server, SERVER_SILENT, NULL, 0);
    for (int i = 0; i < 3; i++) {
        struct probe *probe = probe_start(fixture->engine, &check, NULL, keep_result, fixture);
        for (int turn = 0; turn < i; turn++) {
            (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
        }
        probe_cancel(probe);
    }
    check.host_name = "localhost";
    check.ip_address = "";
    probe_cancel(probe_start(fixture->engine, &check, NULL, keep_result, fixture));
    check.type = MODEL_CHECK_TCP;
    check.ip_address = "127.0.0.1";
    probe_cancel(probe_start(fixture->engine, &check, NULL, keep_result, fixture));
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_false(fixture->done);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the server's thread reads no environment */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    (void)run(fixture, &check);
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
    struct model_check check = http_check(fixture);
    check.options.timeout_ms = 30;
    check.type = MODEL_CHECK_HTTPS; /* what the libraries open once, they open now */
    (void)run(fixture, &check);
    check.type = MODEL_CHECK_TCP;
    (void)run(fixture, &check);
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

/* ---- TLS: openssl(1) makes the certificates and is the server ---- */

struct tls {
    char folder[64];
    char ca[96];
    pid_t pid;
    uint16_t port;
};

#define ARGUMENTS 32U

static pid_t spawn(const char *const arguments[])
{
    char *copies[ARGUMENTS + 1] = {NULL};
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; i < ARGUMENTS && arguments[i] != NULL; i++) {
        copies[i] = memory_strdup(arguments[i]);
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&pid, copies[0], &actions, NULL, copies, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; i < ARGUMENTS; i++) {
        free(copies[i]);
    }
    return pid;
}

static void make_certificate(const char *folder, const char *name)
{
    char key[96];
    char certificate[96];
    char subject[64];
    char alternative[64];
    (void)snprintf(key, sizeof key, "%s/%s.key", folder, name);
    (void)snprintf(certificate, sizeof certificate, "%s/%s.pem", folder, name);
    (void)snprintf(subject, sizeof subject, "/CN=%s", name);
    (void)snprintf(alternative, sizeof alternative, "subjectAltName=DNS:%s", name);
    const char *const arguments[] = {
        "openssl", "req",   "-x509",   "-newkey",   "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-days", "2",       "-keyout",   key,  "-out",     certificate,
        "-subj",   subject, "-addext", alternative, NULL};
    int status = 0;
    pid_t pid = spawn(arguments);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool listens(void *context)
{
    const uint16_t *port = context;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return connected;
}

/* With fatal, a client that names another host than `named` gets an alert. */
static void tls_start(struct tls *tls, bool fatal)
{
    char port[8];
    char path[4][96];
    (void)snprintf(tls->folder, sizeof tls->folder, "/tmp/leeward-probe-XXXXXX");
    assert_non_null(mkdtemp(tls->folder));
    make_certificate(tls->folder, "plain.test");
    make_certificate(tls->folder, "named.test");
    (void)snprintf(tls->ca, sizeof tls->ca, "%s/named.test.pem", tls->folder);
    tls->port = test_free_port();
    (void)snprintf(port, sizeof port, "%u", tls->port);
    (void)snprintf(path[0], sizeof path[0], "%s/plain.test.pem", tls->folder);
    (void)snprintf(path[1], sizeof path[1], "%s/plain.test.key", tls->folder);
    (void)snprintf(path[2], sizeof path[2], "%s/named.test.pem", tls->folder);
    (void)snprintf(path[3], sizeof path[3], "%s/named.test.key", tls->folder);
    const char *const arguments[] = {
        "openssl", "s_server",    "-accept",    port,
        "-www",    "-cert",       path[0],      "-key",
        path[1],   "-servername", "named.test", "-cert2",
        path[2],   "-key2",       path[3],      fatal ? "-servername_fatal" : NULL,
        NULL};
    tls->pid = spawn(arguments);
    assert_true(test_wait(listens, &tls->port));
}

static void tls_stop(const struct tls *tls)
{
    static const char *const names[] = {"plain.test.pem", "plain.test.key", "named.test.pem",
                                        "named.test.key"};
    char path[128];
    (void)kill(tls->pid, SIGKILL);
    (void)waitpid(tls->pid, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", tls->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(tls->folder);
}

static struct model_check tls_check(const struct fixture *fixture, const struct tls *tls)
{
    struct model_check check = http_check(fixture);
    check.type = MODEL_CHECK_HTTPS;
    check.port = tls->port;
    check.host_name = "named.test";
    check.options.timeout_ms = 120000;
    return check;
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
    (void)run(fixture, check);
    uv_close((uv_handle_t *)&sleeper, NULL);
    (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void an_answer_that_came_while_the_loop_slept_is_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct model_check check = http_check(fixture);
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
    struct model_check check = http_check(fixture);
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
    struct model_check http = http_check(fixture);
    struct model_check tcp = http;
    tcp.type = MODEL_CHECK_TCP;
    (void)run(fixture, &http); /* libcurl opens what it keeps */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct model_check *checks[] = {&http, &tcp};
    struct probe_result results[ARRAY_SIZE(checks)];
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        (void)run(fixture, checks[i]);
        results[i] = fixture->result;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        assert_false(results[i].passed);
        assert_int_equal(results[i].fault, PROBE_FAULT_HOST);
        assert_string_equal(results[i].text, "Failure: The health checker couldn't make the "
                                             "request: too many open files");
        (void)run(fixture, checks[i]);
        assert_true(fixture->result.passed);
    }
}

static void the_server_name_is_sent_only_with_sni_enabled(void **state)
{
    struct fixture *fixture = *state;
    struct tls tls;
    tls_start(&tls, true);
    struct model_check check = tls_check(fixture, &tls);
    check.enable_sni = true;
    (void)run(fixture, &check);
    assert_true(fixture->result.passed);
    check.host_name = "other.test";
    assert_non_null(strstr(run(fixture, &check), "Failure: SSL negotiation failed: "));
    check.enable_sni = false; /* not sent: nothing to object to */
    (void)run(fixture, &check);
    assert_true(fixture->result.passed);
    tls_stop(&tls);
}

static void a_certificate_is_verified_only_when_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct tls tls;
    tls_start(&tls, false);
    struct model_check check = tls_check(fixture, &tls);
    (void)run(fixture, &check);
    assert_true(fixture->result.passed); /* made by nobody anyone knows */
    check.options.verify_tls = true;
    assert_non_null(strstr(run(fixture, &check), "Failure: SSL negotiation failed: "));
    close_engine(fixture);
    open_engine(fixture, &patient, tls.ca);
    for (int i = 0; i < 2; i++) { /* the second time with the kept authorities */
        (void)run(fixture, &check);
        assert_string_equal(fixture->result.text,
                            "Success: HTTP Status Code 200, ok. Resolved IP: 127.0.0.1");
    }
    check.host_name = "plain.test"; /* another certificate, unknown here */
    assert_non_null(strstr(run(fixture, &check), "Failure: SSL negotiation failed: "));
    check.host_name = ""; /* the address is not in the certificate */
    assert_non_null(strstr(run(fixture, &check), "Failure: SSL negotiation failed: "));
    tls_stop(&tls);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, set_up_hasty, tear_down)
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
        TEST(the_server_name_is_sent_only_with_sni_enabled),
        TEST(a_certificate_is_verified_only_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
