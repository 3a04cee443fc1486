/* Logs are turned over. What is put aside goes after its time, and what nothing was lost with when
 * there is much of it; what was lost stays for its time, and its record never names a folder that
 * is gone. */
#include "database/agent/bounds.h"

#include "base/memory.h"
#include "base/text.h"
#include "database/agent/internal.h"
#include "database/agent/test_records.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY (INT64_C(86400) * TIME_S)
#define NOW (20000 * DAY)

struct fixture {
    char folder[TEST_FOLDER];
    struct store *inner;
    struct store *store;
    struct database_agent agent;
    struct arena arena;
};

static bool refuse(void *context, const struct store_txn *txn, bool happened)
{
    (void)context;
    (void)txn;
    return happened;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    test_folder_make(fixture->folder);
    arena_init(&fixture->arena, 0);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    fixture->agent.binaries = "";
    fixture->agent.config = (struct database_agent_config){
        .store = fixture->store, .directory = fixture->folder, .aside_days = 30, .aside_count = 2};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    store_close(fixture->inner);
    test_folder_remove(fixture->folder);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

/* A folder of db-a, made so many days ago; what was lost with it, when that is not negative. */
static const char *put(struct fixture *fixture, int64_t epoch, int64_t days, int64_t lost)
{
    struct arena *arena = &fixture->arena;
    const char *server = arena_printf(arena, "%s/db-a", fixture->folder);
    const char *aside = arena_printf(arena, "%s/aside", server);
    const char *path = arena_printf(arena, "%s/epoch-%lld", aside, (long long)epoch);
    const struct timespec made[2] = {{.tv_sec = (NOW - days * DAY) / TIME_S},
                                     {.tv_sec = (NOW - days * DAY) / TIME_S}};
    (void)mkdir(server, 0700); /* may be there */
    (void)mkdir(aside, 0700);
    assert_int_equal(mkdir(path, 0700), 0);
    const char *file = arena_printf(arena, "%s/lost-writes.json", path);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, made, 0), 0);
    if (lost >= 0) {
        const struct model_database_loss loss = {.epoch = epoch,
                                                 .writer = "db-a",
                                                 .successor = "db-b",
                                                 .exact = true,
                                                 .transactions = lost,
                                                 .aside = path};
        const struct model_stored none = {.value = NULL};
        IGNORE_RESULT(test_put_text(fixture->inner,
                                    model_database_loss_key(arena, TEST_GROUP, epoch),
                                    model_database_loss_encode(arena, &loss, &none)));
    }
    return path;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static struct model_database_loss loss_of(struct fixture *fixture, int64_t epoch)
{
    struct model_database_loss loss = {.aside = NULL};
    struct store_entry entry;
    struct err err = ERR_INIT;
    const char *key = model_database_loss_key(&fixture->arena, TEST_GROUP, epoch);
    assert_int_equal(store_get(fixture->inner, key, &fixture->arena, &entry, &err), 0);
    assert_int_equal(
        model_database_loss_decode(entry.value, entry.size, &fixture->arena, &loss, &err), 0);
    return loss;
}

static void what_is_old_goes_and_its_record_says_so(void **state)
{
    struct fixture *fixture = *state;
    const char *old = put(fixture, 1, 31, 5);
    const char *young = put(fixture, 2, 29, 5);
    bounds_sweep_aside(&fixture->agent, (struct wall){NOW});
    assert_false(is_there(old));
    assert_true(is_there(young));
    assert_string_equal(loss_of(fixture, 1).aside, "");
    assert_int_equal(loss_of(fixture, 1).transactions, 5);
    assert_string_equal(loss_of(fixture, 2).aside, young);
}

static void of_much_that_lost_nothing_the_newest_stays(void **state)
{
    struct fixture *fixture = *state;
    const char *nothing = put(fixture, 1, 9, 0);
    const char *lost = put(fixture, 2, 8, 1);
    const char *rebuilt = put(fixture, 3, 7, -1);
    const char *last[] = {put(fixture, 4, 2, -1), put(fixture, 5, 1, 0)};
    bounds_sweep_aside(&fixture->agent, (struct wall){NOW});
    assert_false(is_there(nothing));
    assert_true(is_there(lost));
    assert_false(is_there(rebuilt));
    assert_true(is_there(last[0]) && is_there(last[1]));
}

static void nothing_goes_that_its_record_would_still_name(void **state)
{
    struct fixture *fixture = *state;
    const char *old = put(fixture, 1, 31, 5);
    fickle_judge_commits(fixture->store, refuse, fixture);
    bounds_sweep_aside(&fixture->agent, (struct wall){NOW});
    assert_true(is_there(old));
    assert_string_equal(loss_of(fixture, 1).aside, old);
}

static void a_log_that_is_large_is_turned_over(void **state)
{
    struct fixture *fixture = *state;
    const char *server = arena_printf(&fixture->arena, "%s/db-a", fixture->folder);
    const char *folder = arena_printf(&fixture->arena, "%s/log", server);
    const char *path = arena_printf(&fixture->arena, "%s/postgres.log", folder);
    struct stat status;
    assert_int_equal(mkdir(server, 0700), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "one\n", 4), 4);
    bounds_turn_logs(&fixture->agent);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(ftruncate(fd, (off_t)65 << 20), 0); /* holes take no room */
    bounds_turn_logs(&fixture->agent);
    assert_int_equal(write(fd, "two\n", 4), 4); /* the server goes on */
    assert_int_equal(close(fd), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(stat(arena_printf(&fixture->arena, "%s.1", path), &status), 0);
    assert_int_equal(status.st_size, (off_t)65 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_old_goes_and_its_record_says_so),
        TEST(of_much_that_lost_nothing_the_newest_stays),
        TEST(nothing_goes_that_its_record_would_still_name),
        TEST(a_log_that_is_large_is_turned_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
