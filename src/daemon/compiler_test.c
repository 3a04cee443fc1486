/* The compiler's mailbox: who gets a turn. */
#include "daemon/compiler.h"

#include "base/snapshot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_done_while_tables_come_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
