/* What only a store in a file can show: reopening, the directory lock, damaged and foreign files,
 * failing disks, trimmed history. One thread but where a test says so. */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "store/sqlite.h"
#include "store/sqlite/fault_vfs.h"
#include "store/sqlite/folder.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

struct fixture {
    char folder[FOLDER_TEXT];
    char file[FOLDER_TEXT + 16];
    struct store *store;
    struct err err;
};

static bool roll_back_fails;

/* SQLite asks whether it may prepare a statement. */
static int authorize(void *context, int action, const char *first, const char *second,
                     const char *third, const char *fourth)
{
    (void)context;
    (void)second;
    (void)third;
    (void)fourth;
    return roll_back_fails && action == SQLITE_TRANSACTION && text_equal(first, "ROLLBACK")
               ? SQLITE_DENY
               : SQLITE_OK;
}

/* For every connection: SQLite calls it with more than the type of its registration says. */
static int watch_statements(sqlite3 *db, char **ret_message, const void *routines)
{
    (void)ret_message;
    (void)routines;
    return sqlite3_set_authorizer(db, authorize, NULL);
}

static void open_store(struct fixture *fixture)
{
    if (store_sqlite_open(fixture->folder, &fixture->store, &fixture->err) != 0) {
        fail_msg("%s", fixture->err.message);
    }
}

static void close_store(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    folder_make(fixture->folder);
    (void)snprintf(fixture->file, sizeof fixture->file, "%s/leeward.db",
                   fixture->folder); /* fits */
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)fault_vfs_clear(); /* the next test has a good disk */
    fault_vfs_share(true);
    roll_back_fails = false;
    close_store(fixture);
    folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

static int try_put(struct fixture *fixture, const char *key, size_t size, int64_t *ret_revision)
{
    char *value = memory_array(size + 1, 1);
    (void)memset(value, 'v', size);
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, key, value, size);
    int rc = store_commit(fixture->store, txn, ret_revision, &fixture->err);
    store_txn_free(txn);
    free(value);
    return rc;
}

static int64_t put(struct fixture *fixture, const char *key)
{
    int64_t revision = 0;
    if (try_put(fixture, key, 10, &revision) != 0) {
        fail_msg("%s", fixture->err.message);
    }
    return revision;
}

static bool has(struct fixture *fixture, const char *key)
{
    struct arena arena;
    struct store_entry entry;
    arena_init(&arena, 0);
    int rc = store_get(fixture->store, key, &arena, &entry, &fixture->err);
    assert_true(rc == 0 || fixture->err.kind == ERR_NOT_FOUND);
    arena_done(&arena);
    return rc == 0;
}

static int64_t revision_of(struct fixture *fixture)
{
    int64_t revision = 0;
    assert_int_equal(store_revision(fixture->store, &revision, &fixture->err), 0);
    return revision;
}

/* ---- reopening ---- */

static void revisions_go_on_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    int64_t first = put(fixture, "a");
    int64_t second = put(fixture, "a");
    close_store(fixture);
    open_store(fixture);
    assert_int_equal(revision_of(fixture), second);
    struct arena arena;
    struct store_entry entry = {0};
    arena_init(&arena, 0);
    assert_int_equal(store_get(fixture->store, "a", &arena, &entry, &fixture->err), 0);
    assert_int_equal(entry.created_revision, first);
    assert_int_equal(entry.changed_revision, second);
    assert_int_equal(entry.version, 2);
    arena_done(&arena);
    assert_int_equal(put(fixture, "b"), second + 1);
}

static void a_watch_goes_on_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    int64_t first = put(fixture, "a");
    int64_t second = put(fixture, "b");
    close_store(fixture);
    open_store(fixture);
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(store_watch_open(fixture->store, "", first, &watch, &fixture->err), 0);
    assert_int_equal(store_watch_next(watch, 0, &batch, &fixture->err), 0);
    assert_int_equal(batch.count, 1);
    assert_string_equal(batch.changes[0].entry.key, "b");
    assert_int_equal(batch.revision, second);
    store_watch_close(watch);
}

/* The key "leased", under a lease of a second. */
static int64_t put_leased(struct fixture *fixture, int64_t *ret_revision)
{
    int64_t lease = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    assert_int_equal(store_lease_grant(fixture->store, 1000, &lease, &fixture->err), 0);
    store_txn_put_leased(txn, "leased", "", 0, lease);
    assert_int_equal(store_commit(fixture->store, txn, ret_revision, &fixture->err), 0);
    return lease;
}

static void a_lease_has_its_full_time_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    int64_t revision = 0;
    int64_t lease = put_leased(fixture, &revision);
    close_store(fixture);
    open_store(fixture);
    struct mono opened = mono_now();
    assert_int_equal(store_lease_keepalive(fixture->store, lease, &fixture->err), 0);
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(store_watch_open(fixture->store, "", revision, &watch, &fixture->err), 0);
    assert_int_equal(store_watch_next(watch, 10000, &batch, &fixture->err), 0);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.changes[0].type, STORE_DELETE);
    assert_true(mono_since(mono_now(), opened) >= 999 * TIME_MS);
    store_watch_close(watch);
    close_store(fixture);
    open_store(fixture);
    int rc = store_lease_keepalive(fixture->store, lease, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
}

#define BURST_THREADS 16
#define BURST_ROUNDS (STORE_HISTORY_KEEP / BURST_THREADS + 20)

struct burst {
    struct store *store;
    int failures;
};

static void *put_often(void *context)
{
    struct burst *burst = context;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "a", "value", 5);
    for (int i = 0; i < BURST_ROUNDS; i++) {
        struct err err = ERR_INIT;
        int64_t revision = 0;
        burst->failures += store_commit(burst->store, txn, &revision, &err) != 0;
    }
    store_txn_free(txn);
    return NULL;
}

static void history_is_kept_as_long_as_promised_and_not_much_longer(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    /* Many threads, so that the commits share their syncs. */
    struct burst bursts[BURST_THREADS];
    pthread_t threads[BURST_THREADS];
    struct mono start = mono_now();
    for (size_t i = 0; i < BURST_THREADS; i++) {
        bursts[i] = (struct burst){.store = fixture->store};
        assert_int_equal(pthread_create(&threads[i], NULL, put_often, &bursts[i]), 0);
    }
    for (size_t i = 0; i < BURST_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(bursts[i].failures, 0);
    }
    print_message("# %d commits by %d threads took %lld ms\n", BURST_THREADS * BURST_ROUNDS,
                  BURST_THREADS, (long long)(mono_since(mono_now(), start) / TIME_MS));
    int64_t newest = revision_of(fixture);
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(
        store_watch_open(fixture->store, "", newest - STORE_HISTORY_KEEP, &watch, &fixture->err),
        0);
    assert_int_equal(store_watch_next(watch, 0, &batch, &fixture->err), 0);
    assert_int_equal(batch.changes[0].entry.changed_revision, newest - STORE_HISTORY_KEEP + 1);
    store_watch_close(watch);
    assert_int_equal(store_watch_open(fixture->store, "", newest - STORE_HISTORY_KEEP - 100, &watch,
                                      &fixture->err),
                     0);
    int rc = store_watch_next(watch, 0, &batch, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
}

static void the_size_of_history_is_known_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    int64_t revision = 0;
    open_store(fixture);
    int64_t first = put(fixture, "a");
    const int64_t half = STORE_HISTORY_BYTES / STORE_VALUE_LIMIT / 2;
    for (int64_t i = 0; i < half; i++) {
        assert_int_equal(try_put(fixture, "a", STORE_VALUE_LIMIT, &revision), 0);
    }
    close_store(fixture);
    open_store(fixture);
    for (int64_t i = 0; i < half; i++) {
        assert_int_equal(try_put(fixture, "a", STORE_VALUE_LIMIT, &revision), 0);
    }
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(store_watch_open(fixture->store, "", first, &watch, &fixture->err), 0);
    int rc = store_watch_next(watch, 0, &batch, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
    assert_int_equal(store_watch_open(fixture->store, "", first + 2, &watch, &fixture->err), 0);
    assert_int_equal(store_watch_next(watch, 0, &batch, &fixture->err), 0);
    assert_int_equal(batch.changes[0].entry.changed_revision, first + 3);
    store_watch_close(watch);
}

/* ---- the directory ---- */

static void a_second_opener_is_told_who_holds_the_directory(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    struct store *second = NULL;
    struct err err = ERR_INIT;
    int rc = store_sqlite_open(fixture->folder, &second, &err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(err.kind, ERR_EXISTS);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid()); /* fits */
    assert_non_null(strstr(err.message, pid));
    assert_non_null(strstr(err.message, "leeward.lock"));
    close_store(fixture);
    open_store(fixture);
}

static void files_are_for_their_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    (void)put(fixture, "a");
    static const char *const names[] = {"leeward.db", "leeward.db-wal", "leeward.lock"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char file[FOLDER_TEXT + 32];
        struct stat status;
        (void)snprintf(file, sizeof file, "%s/%s", fixture->folder, names[i]); /* fits */
        assert_int_equal(stat(file, &status), 0);
        assert_int_equal(status.st_mode & 0077U, 0);
    }
}

static void a_missing_parent_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    int rc = store_sqlite_open("/nonexistent/folder", &store, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_non_null(strstr(fixture->err.message, "/nonexistent/folder"));
}

/* ---- damaged and foreign files ---- */

static void assert_refused(struct fixture *fixture, enum err_kind kind, const char *word)
{
    struct store *store = NULL;
    int rc = store_sqlite_open(fixture->folder, &store, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_string_equal(err_kind_name(fixture->err.kind), err_kind_name(kind));
    assert_non_null(strstr(fixture->err.message, fixture->file));
    assert_non_null(strstr(fixture->err.message, word));
}

static void overwrite(const char *file, off_t offset, size_t size, int byte)
{
    char *data = memory_array(size, 1);
    (void)memset(data, byte, size);
    int descriptor = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, data, size, offset), (ssize_t)size);
    assert_int_equal(close(descriptor), 0);
    free(data);
}

static void a_file_of_garbage_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    overwrite(fixture->file, 0, 5000, 'x');
    assert_refused(fixture, ERR_CORRUPT, "damaged");
}

static void a_damaged_page_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    for (int i = 0; i < 50; i++) {
        char key[16];
        int64_t revision = 0;
        (void)snprintf(key, sizeof key, "k/%d", i); /* fits */
        assert_int_equal(try_put(fixture, key, 3000, &revision), 0);
    }
    close_store(fixture);
    struct stat status;
    assert_int_equal(stat(fixture->file, &status), 0);
    overwrite(fixture->file, 4096, (size_t)status.st_size - 4096, 0x5a);
    struct arena arena;
    struct store_list list;
    arena_init(&arena, 0);
    int rc = store_sqlite_open(fixture->folder, &fixture->store, &fixture->err);
    if (rc == 0) {
        rc = store_range(fixture->store, "", NULL, 0, &arena, &list, &fixture->err);
    }
    assert_int_not_equal(rc, 0);
    assert_string_equal(err_kind_name(fixture->err.kind), "CORRUPT");
    assert_non_null(strstr(fixture->err.message, fixture->file));
    arena_done(&arena);
}

static void run_sql(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The process died after the row of a lease that was one too many, and before it was taken back. */
static void more_leases_than_are_granted_do_not_keep_it_closed(void **state)
{
    struct fixture *fixture = *state;
    int64_t lease = 0;
    open_store(fixture);
    close_store(fixture);
    run_sql(fixture->file, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
                           " i < 16385) INSERT INTO lease (id, ttl_ms) SELECT i, 86400000 FROM n");
    open_store(fixture);
    assert_int_equal(store_lease_keepalive(fixture->store, 16385, &fixture->err), 0);
    int rc = store_lease_grant(fixture->store, 60000, &lease, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_LIMIT);
}

static void a_file_of_another_program_is_refused(void **state)
{
    struct fixture *fixture = *state;
    run_sql(fixture->file, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);");
    assert_refused(fixture, ERR_CORRUPT, "not a Leeward store");
}

static void a_file_of_a_newer_version_is_refused(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    (void)put(fixture, "a");
    close_store(fixture);
    run_sql(fixture->file, "PRAGMA user_version = 99");
    assert_refused(fixture, ERR_UNSUPPORTED, "newer");
}

/* ---- failing disks ---- */

/* Commits two keys at once; afterwards both are there or none, as the result says. */
static int put_pair(struct fixture *fixture, int number)
{
    char a[32];
    char b[32];
    char value[9000];
    (void)memset(value, 'v', sizeof value);
    (void)snprintf(a, sizeof a, "pair/%d/a", number); /* fits */
    (void)snprintf(b, sizeof b, "pair/%d/b", number); /* fits */
    int64_t before = revision_of(fixture);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, a, value, sizeof value);
    store_txn_put(txn, b, value, sizeof value);
    struct err err = ERR_INIT;
    int rc = store_commit(fixture->store, txn, &revision, &err);
    store_txn_free(txn);
    assert_int_equal(has(fixture, a), rc == 0);
    assert_int_equal(has(fixture, b), rc == 0);
    assert_int_equal(revision_of(fixture), rc == 0 ? before + 1 : before);
    if (rc != 0) {
        assert_string_equal(err_kind_name(err.kind), "IO");
        assert_non_null(strstr(err.message, fixture->file));
    }
    return rc;
}

/* Fails the 1st, the 2nd, ... operation of a commit until one gets by untouched. */
static void fail_each_operation(struct fixture *fixture, int code, bool lasting)
{
    int number = 0;
    int failed = 0;
    for (int nth = 1;; nth++) {
        fault_vfs_plan(nth, code, lasting);
        int rc = put_pair(fixture, number++);
        int failures = fault_vfs_clear();
        if (failures == 0) {
            assert_int_equal(rc, 0);
            break;
        }
        failed += rc != 0;
        assert_int_equal(put_pair(fixture, number++), 0); /* it goes on */
        assert_true(nth < 1000);
    }
    assert_true(failed > 0);
}

static void a_failing_disk_leaves_nothing_half_done(void **state)
{
    struct fixture *fixture = *state;
    const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC};
    open_store(fixture);
    (void)put(fixture, "a");
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        fail_each_operation(fixture, codes[i], false);
        fail_each_operation(fixture, codes[i], true);
    }
    int64_t newest = revision_of(fixture);
    size_t count = 0;
    assert_int_equal(store_count(fixture->store, "", &count, &fixture->err), 0);
    close_store(fixture);
    open_store(fixture);
    size_t again = 0;
    assert_int_equal(revision_of(fixture), newest);
    assert_int_equal(store_count(fixture->store, "", &again, &fixture->err), 0);
    assert_int_equal(again, count);
}

static void a_full_disk_is_called_that(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    (void)put(fixture, "a");
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(store_watch_open(fixture->store, "", 1, &watch, &fixture->err), 0);
    fault_vfs_plan(1, SQLITE_FULL, true);
    int64_t revision = 0;
    for (int i = 0; i < 3; i++) {
        int rc = try_put(fixture, "b", 10, &revision);
        assert_int_not_equal(rc, 0);
        assert_int_equal(fixture->err.kind, ERR_IO);
        assert_non_null(strstr(fixture->err.message, "disk is full"));
        assert_non_null(strstr(fixture->err.message, fixture->file));
        assert_true(has(fixture, "a")); /* reads go on */
    }
    int rc = store_watch_next(watch, 0, &batch, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_TIMEOUT);
    int64_t lease = 0;
    rc = store_lease_grant(fixture->store, 1000, &lease, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_IO);
    (void)fault_vfs_clear();
    (void)put(fixture, "b");
    assert_int_equal(store_watch_next(watch, 0, &batch, &fixture->err), 0);
    assert_int_equal(batch.count, 1);
    store_watch_close(watch);
}

static void a_file_system_without_shared_memory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fault_vfs_share(false);
    assert_refused(fixture, ERR_UNSUPPORTED, "write-ahead log");
    fault_vfs_share(true);
    open_store(fixture);
}

static void a_reader_that_cannot_end_its_snapshot_shows_no_old_data(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    (void)put(fixture, "a");
    roll_back_fails = true;
    assert_true(has(fixture, "a"));
    assert_false(has(fixture, "b"));
    (void)put(fixture, "b");
    assert_true(has(fixture, "b"));
    roll_back_fails = false;
    assert_true(has(fixture, "b"));
}

static void a_writer_that_cannot_roll_back_goes_on(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    int64_t before = put(fixture, "a");
    int64_t revision = 0;
    roll_back_fails = true;
    fault_vfs_plan(1, SQLITE_IOERR_FSYNC, false);
    int rc = try_put(fixture, "b", 10, &revision);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fault_vfs_clear(), 1);
    assert_int_equal(put(fixture, "b"), before + 1);
}

static void a_lease_that_cannot_end_yet_ends_when_the_disk_works_again(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture);
    int64_t revision = 0;
    int64_t lease = put_leased(fixture, &revision);
    fault_vfs_plan(1, SQLITE_FULL, true);
    int rc = store_lease_revoke(fixture->store, lease, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_IO);
    assert_true(has(fixture, "leased"));
    assert_int_equal(store_lease_keepalive(fixture->store, lease, &fixture->err), 0);
    struct store_watch *watch = NULL;
    struct store_batch batch = {0};
    assert_int_equal(store_watch_open(fixture->store, "leased", revision, &watch, &fixture->err),
                     0);
    /* The lease runs out on a full disk: its key stays, but nobody can use the lease. */
    rc = store_watch_next(watch, 1300, &batch, &fixture->err);
    assert_int_not_equal(rc, 0);
    rc = store_lease_keepalive(fixture->store, lease, &fixture->err);
    assert_int_not_equal(rc, 0);
    assert_int_equal(fixture->err.kind, ERR_NOT_FOUND);
    assert_true(fault_vfs_clear() > 0);
    assert_int_equal(store_watch_next(watch, 10000, &batch, &fixture->err), 0);
    assert_int_equal(batch.changes[0].type, STORE_DELETE);
    store_watch_close(watch);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static void the_local_store_takes_the_same_lock(void **state)
{
    struct fixture *fixture = *state;
    struct store *local = NULL;
    char file[FOLDER_TEXT + 16];
    assert_int_equal(store_sqlite_open_local(fixture->folder, &local, &fixture->err), 0);
    assert_int_not_equal(store_sqlite_open(fixture->folder, &fixture->store, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_EXISTS);
    err_clear(&fixture->err);
    store_close(local);
    (void)snprintf(file, sizeof file, "%s/local.db", fixture->folder); /* fits */
    assert_int_equal(unlink(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revisions_go_on_after_reopening),
        TEST(a_watch_goes_on_after_reopening),
        TEST(a_lease_has_its_full_time_after_reopening),
        TEST(more_leases_than_are_granted_do_not_keep_it_closed),
        TEST(history_is_kept_as_long_as_promised_and_not_much_longer),
        TEST(the_size_of_history_is_known_after_reopening),
        TEST(a_second_opener_is_told_who_holds_the_directory),
        TEST(files_are_for_their_owner_alone),
        TEST(a_missing_parent_is_named),
        TEST(a_file_of_garbage_is_refused_by_name),
        TEST(a_damaged_page_is_refused_by_name),
        TEST(a_file_of_another_program_is_refused),
        TEST(a_file_of_a_newer_version_is_refused),
        TEST(a_failing_disk_leaves_nothing_half_done),
        TEST(a_full_disk_is_called_that),
        TEST(a_file_system_without_shared_memory_is_refused),
        TEST(a_reader_that_cannot_end_its_snapshot_shows_no_old_data),
        TEST(a_writer_that_cannot_roll_back_goes_on),
        TEST(a_lease_that_cannot_end_yet_ends_when_the_disk_works_again),
        TEST(the_local_store_takes_the_same_lock),
    };
    fault_vfs_install();
    if (sqlite3_auto_extension((void (*)(void))watch_statements) != SQLITE_OK) {
        return 1;
    }
    return cmocka_run_group_tests_name("store durability: sqlite", tests, NULL, NULL);
}
