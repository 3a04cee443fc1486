/* Many probes at once on one loop: each turn of it stays short, and nothing that came in time is
 * taken for late. */
#include "base/macro.h"
#include "health/probe/probe.h"
#include "health/test_support.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#define PROBES 60U
#define WORK (5 * TIME_MS)
#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct crowd {
    uv_loop_t loop;
    uv_timer_t tick;
    int64_t used_ns;  /* by this thread, until the last tick */
    int64_t worst_ns; /* from one tick to the next */
    struct probe_engine *engine;
    struct probe *probes[PROBES];
    bool cancels; /* each result cancels the probe started last that is still there */
    unsigned passed;
    unsigned failed;
    unsigned cancelled;
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

/* The thread's own time: a busy machine that puts it aside does not count. */
static int64_t thread_ns(void)
{
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    return used.tv_sec * TIME_S + used.tv_nsec;
}

static void on_tick(uv_timer_t *tick)
{
    struct crowd *crowd = tick->data;
    crowd->worst_ns = MAX(crowd->worst_ns, thread_ns() - crowd->used_ns);
    crowd->used_ns = thread_ns();
    uv_update_time(&crowd->loop);
    assert_int_equal(uv_timer_start(tick, on_tick, 1, 0), 0);
}

static void cancel_one(struct crowd *crowd)
{
    for (unsigned i = PROBES; i > 0; i--) {
        if (crowd->probes[i - 1] != NULL) {
            probe_cancel(crowd->probes[i - 1]);
            crowd->probes[i - 1] = NULL;
            crowd->cancelled++;
            return;
        }
    }
}

/* As if each result took long to handle. */
static void take_result(void *context, const struct probe_result *result)
{
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    int64_t until = thread_ns() + WORK;
    crowd->probes[member->number] = NULL;
    if (result->passed) {
        crowd->passed++;
    } else {
        crowd->failed++;
        print_message("# %s\n", result->text);
    }
    if (crowd->cancels) {
        cancel_one(crowd);
    }
    if (crowd->passed + crowd->failed == 1) {
        /* Meanwhile all the others are answered; the loop's lag counts from here. */
        (void)poll(NULL, 0, 100);
        crowd->used_ns = thread_ns();
        crowd->worst_ns = 0;
        return;
    }
    while (thread_ns() < until) {
        /* busy */
    }
}

static void run_crowd(struct crowd *crowd)
{
    struct err err = ERR_INIT;
    struct member members[PROBES];
    struct probe_settings settings = {
        .limits = {.tcp_ms = 120000, .connect_ms = 120000, .status_ms = 120000, .body_ms = 120000}};
    struct test_server *server = test_server_new(SERVER_ANSWER, ANSWER_OK, strlen(ANSWER_OK));
    struct model_check check = {.id = "crowd",
                                .type = MODEL_CHECK_HTTP,
                                .ip_address = "127.0.0.1",
                                .host_name = "",
                                .resource_path = "/",
                                .search_string = "",
                                .port = test_server_port(server)};
    assert_int_equal(uv_loop_init(&crowd->loop), 0);
    assert_int_equal(uv_timer_init(&crowd->loop, &crowd->tick), 0);
    assert_int_equal(probe_engine_new(&crowd->loop, &settings, &crowd->engine, &err), 0);
    for (unsigned i = 0; i < PROBES; i++) {
        members[i] = (struct member){.crowd = crowd, .number = i};
        crowd->probes[i] = probe_start(crowd->engine, &check, NULL, take_result, &members[i]);
    }
    crowd->tick.data = crowd;
    crowd->used_ns = thread_ns();
    on_tick(&crowd->tick);
    while (crowd->passed + crowd->failed + crowd->cancelled < PROBES) {
        (void)uv_run(&crowd->loop, UV_RUN_ONCE); /* whether there is more is seen above */
    }
    probe_engine_close(crowd->engine);
    uv_close((uv_handle_t *)&crowd->tick, NULL);
    assert_int_equal(uv_run(&crowd->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&crowd->loop), 0);
    test_server_free(server);
}

static void a_crowd_of_results_does_not_hold_up_the_loop(void **state)
{
    (void)state;
    struct crowd crowd = {.cancels = false};
    run_crowd(&crowd);
    print_message("# a timer waited for %lld us of work at worst\n",
                  (long long)(crowd.worst_ns / 1000));
    assert_int_equal(crowd.passed, PROBES);
    /* In one go it would be 300 ms. */
    assert_in_range(crowd.worst_ns, 0, 200 * TIME_MS);
}

static void probes_whose_events_were_put_off_can_be_cancelled(void **state)
{
    (void)state;
    struct crowd crowd = {.cancels = true};
    run_crowd(&crowd);
    assert_int_equal(crowd.failed, 0);
    assert_int_equal(crowd.cancelled, PROBES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_of_results_does_not_hold_up_the_loop),
        cmocka_unit_test(probes_whose_events_were_put_off_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
