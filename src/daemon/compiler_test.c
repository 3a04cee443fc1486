/* The compiler's mailbox: who gets a turn. */
#include "daemon/compiler.h"

#include "base/macro.h"
#include "base/memory.h"
#include "base/snapshot.h"
#include "dns/wire/rdata.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct flood {
    struct compiler *compiler;
    atomic_bool stop;
    atomic_ulong sent;
};

/* Tables without a pause, as if checks never came to rest. */
static void *send_tables(void *argument)
{
    struct flood *flood = argument;
    struct model_status status = {.count = 0};
    while (!atomic_load(&flood->stop)) {
        status.generation++;
        compiler_set_status(flood->compiler, &status);
        atomic_fetch_add(&flood->sent, 1);
    }
    return NULL;
}

static void count(struct zone_database *database, void *argument)
{
    (void)database;
    ++*(unsigned *)argument;
}

static void work_is_done_while_tables_come_without_end(void **state)
{
    (void)state;
    struct flood flood = {.compiler = NULL};
    struct err err = ERR_INIT;
    pthread_t sender;
    unsigned done = 0;
    assert_int_equal(compiler_start(&flood.compiler, &err), 0);
    assert_int_equal(pthread_create(&sender, NULL, send_tables, &flood), 0);
    while (atomic_load(&flood.sent) == 0) {
    }
    for (unsigned i = 0; i < 1000; i++) {
        compiler_run(flood.compiler, count, &done); /* hangs where tables pass all work */
    }
    assert_int_equal(done, 1000);
    atomic_store(&flood.stop, true);
    assert_int_equal(pthread_join(sender, NULL), 0);
    compiler_stop(flood.compiler);
    snapshot_drain();
}

/* ---- changes of health that touch many names ---- */

#define MANY 20000U

static void put_pairs(struct zone_database *database, void *argument)
{
    (void)argument;
    struct model_zone zone = {.id = "Z1", .name = "example.", .created_revision = 1};
    zone_database_put_zone(database, &zone);
    for (unsigned i = 0; i <= 2 * MANY + 1; i++) {
        const char *value = "192.0.2.1";
        char name[64];
        struct model_record_set record = {.zone_id = "Z1",
                                          .name = name,
                                          .type = RR_A,
                                          .policy = MODEL_FAILOVER,
                                          .failover = i % 2 == 0 ? MODEL_PRIMARY : MODEL_SECONDARY,
                                          .set_identifier = i % 2 == 0 ? "p" : "s",
                                          .health_check_id = i % 2 == 0 ? "many" : "",
                                          .region = "",
                                          .ttl_s = 60,
                                          .values = &value,
                                          .value_count = 1};
        struct err err = ERR_INIT;
        if (i == 0) {
            record.health_check_id = "one";
        }
        (void)snprintf(name, sizeof name, "h%u.example.", i / 2);
        assert_int_equal(zone_database_put_record(database, &record, &err), 0);
    }
    zone_database_publish(database);
}

static void set_down(struct compiler *compiler, bool many, bool one)
{
    static uint64_t generation;
    struct model_status *status = memory_new(sizeof *status + 2 * sizeof status->entries[0]);
    status->generation = ++generation;
    status->decided = mono_now();
    status->count = 2;
    status->entries[0] = (struct model_status_entry){.check_id = "many", .healthy = !many};
    status->entries[1] = (struct model_status_entry){.check_id = "one", .healthy = !one};
    compiler_set_status(compiler, status);
    free(status);
}

static uint64_t flips_after_all_messages(struct compiler *compiler)
{
    unsigned ignored = 0;
    compiler_run(compiler, count, &ignored); /* status has its turn before */
    return compiler_delay(compiler).flips;
}

static void wait_for_flips(struct compiler *compiler, uint64_t flips)
{
    struct mono start = mono_now();
    while (compiler_delay(compiler).flips != flips) {
        assert_in_range(mono_since(mono_now(), start), 0, 60 * TIME_S);
        (void)sched_yield();
    }
}

static void a_small_change_does_not_wait_for_a_large_one(void **state)
{
    (void)state;
    struct compiler *compiler = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(compiler_start(&compiler, &err), 0);
    compiler_run(compiler, put_pairs, NULL);
    set_down(compiler, true, false);
    (void)flips_after_all_messages(compiler); /* it has begun */
    set_down(compiler, true, true);
    uint64_t flips = flips_after_all_messages(compiler);
    assert_true(flips == 1 || flips == MANY + 1); /* this thread may have been away for long */
    wait_for_flips(compiler, MANY + 1);
    assert_in_range(compiler_delay(compiler).worst_us, 1, 60 * TIME_S / TIME_US);
    compiler_stop(compiler);
    snapshot_drain();
}

#define WORK_NS (20 * TIME_MS)

static void take_long(struct zone_database *database, void *argument)
{
    (void)database;
    (void)argument;
    struct mono start = mono_now();
    while (mono_since(mono_now(), start) < WORK_NS) {
        (void)sched_yield();
    }
}

/* Work without a pause, as while a reload reads a large store. */
static void *send_work(void *argument)
{
    struct flood *flood = argument;
    while (!atomic_load(&flood->stop)) {
        compiler_run(flood->compiler, take_long, NULL);
        atomic_fetch_add(&flood->sent, 1);
    }
    return NULL;
}

static void a_large_change_that_is_late_takes_few_turns(void **state)
{
    (void)state;
    struct flood flood = {.compiler = NULL};
    struct err err = ERR_INIT;
    pthread_t senders[2]; /* one waits while the other's is done */
    assert_int_equal(compiler_start(&flood.compiler, &err), 0);
    compiler_run(flood.compiler, put_pairs, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(senders); i++) {
        assert_int_equal(pthread_create(&senders[i], NULL, send_work, &flood), 0);
    }
    while (atomic_load(&flood.sent) == 0) {
    }
    unsigned long before = atomic_load(&flood.sent);
    set_down(flood.compiler, true, false);
    wait_for_flips(flood.compiler, MANY);
    assert_in_range(atomic_load(&flood.sent) - before, 1, 30);
    atomic_store(&flood.stop, true);
    for (size_t i = 0; i < ARRAY_SIZE(senders); i++) {
        assert_int_equal(pthread_join(senders[i], NULL), 0);
    }
    compiler_stop(flood.compiler);
    snapshot_drain();
}

static void a_compiler_stops_in_the_middle_of_a_large_change(void **state)
{
    (void)state;
    struct compiler *compiler = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(compiler_start(&compiler, &err), 0);
    compiler_run(compiler, put_pairs, NULL);
    set_down(compiler, true, true);
    (void)flips_after_all_messages(compiler);
    compiler_stop(compiler);
    snapshot_drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_done_while_tables_come_without_end),
        cmocka_unit_test(a_small_change_does_not_wait_for_a_large_one),
        cmocka_unit_test(a_large_change_that_is_late_takes_few_turns),
        cmocka_unit_test(a_compiler_stops_in_the_middle_of_a_large_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
