/* See probe_fixture.h. */
#include "health/probe_fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* No test can go on without it. */
static void require(bool holds)
{
    if (!holds) {
        perror("probe_fixture");
        abort();
    }
}

void probe_fixture_keep(void *context, const struct probe_result *result)
{
    struct fixture *fixture = context;
    require(!fixture->done);
    fixture->result = *result;
    fixture->done = true;
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick; /* it only wakes */
}

const struct probe_limits probe_fixture_patient = {
    .tcp_ms = 120000, .connect_ms = 120000, .status_ms = 120000, .body_ms = 120000};
const struct probe_limits probe_fixture_hasty = {
    .tcp_ms = 300, .connect_ms = 300, .status_ms = 200, .body_ms = 200};

void probe_fixture_open_engine(struct fixture *fixture, const struct probe_limits *limits,
                               const char *ca_file)
{
    struct err err = ERR_INIT;
    struct probe_settings settings = {.limits = *limits, .ca_file = ca_file};
    require(uv_loop_init(&fixture->loop) == 0);
    require(uv_timer_init(&fixture->loop, &fixture->tick) == 0);
    require(uv_timer_start(&fixture->tick, on_tick, 10, 10) == 0);
    require(probe_engine_new(&fixture->loop, &settings, &fixture->engine, &err) == 0);
}

void probe_fixture_close_engine(struct fixture *fixture)
{
    probe_engine_close(fixture->engine);
    uv_close((uv_handle_t *)&fixture->tick, NULL);
    require(uv_run(&fixture->loop, UV_RUN_DEFAULT) == 0);
    require(uv_loop_close(&fixture->loop) == 0);
}

static int set_up_with(void **state, const struct probe_limits *limits)
{
    static struct fixture fixture;
    (void)signal(SIGPIPE, SIG_IGN);
    fixture = (struct fixture){.done = false};
    fixture.server = test_server_new(SERVER_ANSWER, OK_ANSWER, strlen(OK_ANSWER));
    probe_fixture_open_engine(&fixture, limits, NULL);
    *state = &fixture;
    return 0;
}

int probe_fixture_set_up(void **state)
{
    return set_up_with(state, &probe_fixture_patient);
}

int probe_fixture_set_up_hasty(void **state)
{
    return set_up_with(state, &probe_fixture_hasty);
}

int probe_fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    probe_fixture_close_engine(fixture);
    test_server_free(fixture->server);
    return 0;
}

struct model_check probe_fixture_check(const struct fixture *fixture)
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

const char *probe_fixture_run(struct fixture *fixture, const struct model_check *check)
{
    fixture->done = false;
    struct probe *probe = probe_start(fixture->engine, check, NULL, probe_fixture_keep, fixture);
    require(probe != NULL);
    require(!fixture->done);
    while (!fixture->done) {
        (void)uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    return fixture->result.text;
}

int test_full_listener(int clients[TEST_FULL_QUEUE], uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(bind(fd, (const struct sockaddr *)&address, size) == 0);
    require(listen(fd, 0) == 0);
    require(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    for (int i = 0; i < TEST_FULL_QUEUE; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(clients[i], (const struct sockaddr *)&address, size); /* goes on behind us */
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}
