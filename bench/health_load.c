/* The health benchmark: 2,000 checks (1,000 HTTP, 500 TCP, 500 HTTPS) once a second each, against
 * servers that bench/health has started on loopback; prints probes, how many began on time, and
 * the loop's lag.
 *
 * usage: bench_health HTTP_PORT HTTPS_PORT SECONDS [PORTS]
 * PORTS: the servers listen on that many ports from each on (default 1). Exit 1 when the lag passes
 * the goal of 50 ms or a probe fails. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "base/time.h"
#include "health/health.h"
#include "model/path.h"
#include "store/memory.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CHECKS 2000U
#define GOAL_US 50000
#define SAMPLE_MS 50
#define WARM_UP_MS 2000
#define ID_TEXT 64
#define FAILURES_SHOWN 5

struct bench {
    int64_t http_port;
    int64_t https_port;
    int64_t seconds;
    int64_t ports;
};

struct report {
    struct health_counters before;
    struct health_counters after;
    int64_t *lags; /* the worst of each SAMPLE_MS */
    size_t samples;
    double cpu_s;
    double elapsed_s;
};

static void ignore_table(void *context, const struct model_status *status)
{
    (void)context;
    (void)status; /* nobody asks */
}

static void die(const struct err *err)
{
    (void)fprintf(stderr, "bench_health: %s\n", err->message);
    exit(2); /* NOLINT(concurrency-mt-unsafe): no thread of ours is running */
}

static void make_id(unsigned number, char out[ID_TEXT])
{
    (void)snprintf(out, ID_TEXT, "%08x-0000-4000-8000-%012x", number * 2654435761U, number);
}

static void put_check(struct store *store, const struct bench *bench, unsigned number)
{
    static const char *const types[] = {"HTTP", "TCP", "HTTP", "HTTPS"};
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *type = types[number % ARRAY_SIZE(types)];
    int64_t base = text_equal(type, "HTTPS") ? bench->https_port : bench->http_port;
    const char *path = text_equal(type, "TCP") ? "" : "\"ResourcePath\":\"/health\",";
    char id[ID_TEXT];
    make_id(number, id);
    const char *check = arena_printf(
        &arena,
        "{\"v\":1,\"Id\":\"%s\",\"CallerReference\":\"%u\",\"HealthCheckVersion\":1,"
        "\"HealthCheckConfig\":{\"Type\":\"%s\",\"IPAddress\":\"127.0.0.1\",\"Port\":%u,%s"
        "\"RequestInterval\":10,\"FailureThreshold\":1}}",
        id, number, type, (unsigned)base + number % (unsigned)bench->ports, path);
    static const char tags[] =
        "{\"v\":1,\"Tags\":[{\"Key\":\"leeward:interval-ms\",\"Value\":\"1000\"}]}";
    store_txn_put(txn, path_join(&arena, PATH_CHECKS, id), check, strlen(check));
    store_txn_put(txn, path_join(&arena, PATH_CHECK_TAGS, id), tags, strlen(tags));
    int64_t revision = 0;
    struct err err = ERR_INIT;
    if (store_commit(store, txn, &revision, &err) != 0) {
        die(&err);
    }
}

static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0.0;
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void measure(struct health *health, const struct bench *bench, struct report *ret_report)
{
    struct report report = {.samples = (size_t)(bench->seconds * 1000 / SAMPLE_MS)};
    report.lags = memory_array(report.samples + 1, sizeof *report.lags);
    (void)poll(NULL, 0, WARM_UP_MS);
    (void)health_loop_lag_us(health); /* forgets the start */
    health_count(health, &report.before);
    struct mono start = mono_now();
    double cpu = cpu_seconds();
    for (size_t i = 0; i < report.samples; i++) {
        (void)poll(NULL, 0, SAMPLE_MS);
        report.lags[i] = health_loop_lag_us(health);
    }
    health_count(health, &report.after);
    report.cpu_s = cpu_seconds() - cpu;
    report.elapsed_s = (double)mono_since(mono_now(), start) / (double)TIME_S;
    *ret_report = report;
}

/* A probe that fails here is a fault of somebody: the servers are up. */
static void print_failures(struct health *health)
{
    unsigned shown = 0;
    for (unsigned i = 0; i < CHECKS && shown < FAILURES_SHOWN; i++) {
        struct arena arena CLEANUP(arena_done);
        struct err err = ERR_INIT;
        struct health_view view;
        char id[ID_TEXT];
        arena_init(&arena, 0);
        make_id(i, id);
        if (health_describe(health, id, &arena, &view, &err) == 0 && view.count > 0 &&
            !text_empty(view.observations[0].last_failure)) {
            (void)printf("check %u: %s\n", i, view.observations[0].last_failure);
            shown++;
        }
    }
}

static int compare_lag(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;
    return (*a > *b) - (*a < *b);
}

static int print(struct report *report)
{
#define DELTA(name) (report->after.name - report->before.name)
    uint64_t started = DELTA(probes_started);
    uint64_t late = MIN(DELTA(probes_late), started);
    qsort(report->lags, report->samples, sizeof *report->lags, compare_lag);
    int64_t p50 = report->lags[report->samples / 2];
    int64_t p99 = report->lags[report->samples * 99 / 100];
    int64_t worst = report->lags[report->samples - 1];
    (void)printf("checks %u at 1 s for %.1f s\n", CHECKS, report->elapsed_s);
    (void)printf("probes started %llu (%.0f/s), passed %llu, failed %llu\n",
                 (unsigned long long)started, (double)started / report->elapsed_s,
                 (unsigned long long)DELTA(probes_passed),
                 (unsigned long long)DELTA(probes_failed));
    (void)printf("on schedule (within 50 ms) %.3f %%, overdue %llu\n",
                 started != 0 ? 100.0 * (double)(started - late) / (double)started : 0.0,
                 (unsigned long long)DELTA(probes_overdue));
    (void)printf("loop lag, worst of each %d ms: p50 %.2f ms, p99 %.2f ms, worst %.2f ms (goal "
                 "%.0f ms)\n",
                 SAMPLE_MS, (double)p50 / 1e3, (double)p99 / 1e3, (double)worst / 1e3,
                 GOAL_US / 1e3);
    (void)printf("processor of this process %.1f %% of one core, %.0f us a probe\n",
                 100.0 * report->cpu_s / report->elapsed_s,
                 started != 0 ? 1e6 * report->cpu_s / (double)started : 0.0);
    return worst < GOAL_US && DELTA(probes_failed) == 0 ? 0 : 1;
}

static bool read_arguments(int argc, char **argv, struct bench *ret_bench)
{
    *ret_bench = (struct bench){.ports = 1};
    return argc >= 4 && argc <= 5 && text_to_i64(argv[1], 1, 65535, &ret_bench->http_port) == 0 &&
           text_to_i64(argv[2], 1, 65535, &ret_bench->https_port) == 0 &&
           text_to_i64(argv[3], 1, 3600, &ret_bench->seconds) == 0 &&
           (argc == 4 || text_to_i64(argv[4], 1, 1000, &ret_bench->ports) == 0);
}

int main(int argc, char **argv)
{
    struct bench bench;
    if (!read_arguments(argc, argv, &bench)) {
        (void)fprintf(stderr, "usage: %s HTTP_PORT HTTPS_PORT SECONDS [PORTS]\n", argv[0]);
        return 2;
    }
    struct store *store = store_memory_open();
    for (unsigned i = 0; i < CHECKS; i++) {
        put_check(store, &bench, i);
    }
    struct health_config config = {
        .store = store, .node = "bench", .region = "us-east-1", .published = ignore_table};
    struct health *health = NULL;
    struct err err = ERR_INIT;
    if (health_start(&config, &health, &err) != 0) {
        die(&err);
    }
    struct report report;
    measure(health, &bench, &report);
    print_failures(health);
    health_stop(health);
    int rc = print(&report);
    free(report.lags);
    snapshot_drain();
    store_close(store);
    return rc;
}
