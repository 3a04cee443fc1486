/* One engine on a loop of its own with a scripted server, for the tests of probes; see
 * test_support.h. One probe at a time. Thread: the test's. Linked into tests only. */
#ifndef HEALTH_PROBE_FIXTURE_H
#define HEALTH_PROBE_FIXTURE_H

#include "health/probe/probe.h"
#include "health/test_support.h"

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define OK_ANSWER OK_HEAD "ok"

struct fixture {
    uv_loop_t loop;
    uv_timer_t tick; /* as on the health loop: one turn never waits long */
    struct probe_engine *engine;
    struct test_server *server;
    struct probe_result result;
    bool done;
};

/* For what has to come: no machine is too slow. */
extern const struct probe_limits probe_fixture_patient;
/* For what has to be given up. */
extern const struct probe_limits probe_fixture_hasty;

/* ca_file: NULL for the system's authorities; borrowed until probe_fixture_close_engine. */
void probe_fixture_open_engine(struct fixture *fixture, const struct probe_limits *limits,
                               const char *ca_file);
void probe_fixture_close_engine(struct fixture *fixture);
/* cmocka's, with patient limits, with hasty ones, and the end of both. */
int probe_fixture_set_up(void **state);
int probe_fixture_set_up_hasty(void **state);
int probe_fixture_tear_down(void **state);

/* A check of the scripted server. */
struct model_check probe_fixture_check(const struct fixture *fixture);
/* A probe's `done`, with the fixture as its context: keeps the one result. */
void probe_fixture_keep(void *context, const struct probe_result *result);
/* Runs one probe; returns its sentence, which the fixture keeps until the next. */
const char *probe_fixture_run(struct fixture *fixture, const struct model_check *check);

/* A listener of 127.0.0.1 whose queue is full: who comes then goes on connecting. Returns its
 * descriptor; the caller closes all of them. */
#define TEST_FULL_QUEUE 8
int test_full_listener(int clients[TEST_FULL_QUEUE], uint16_t *ret_port);

#endif
