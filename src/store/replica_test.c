/* The replica: following, gaps, a truth that is away or was restored, damage of every kind, a full
 * disk. The truth is a memory store behind one that fails on demand. */
#include "store/replica.h"

#include "base/log.h"
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/fickle_store.h"
#include "store/memory.h"
#include "store/sqlite/fault_vfs.h"
#include "store/sqlite/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define PULSE_MS 20U
#define PATIENCE_S 10

struct fixture {
    char folder[FOLDER_TEXT];
    char file[FOLDER_TEXT + 16];
    struct store *inner;
    struct store *truth;
    struct store *older; /* what was in place of inner before */
    struct replica *replica;
    struct arena arena;
    struct err err;
};

static void start(struct fixture *fixture)
{
    struct replica_config config = {
        .directory = fixture->folder, .truth = fixture->truth, .pulse_ms = PULSE_MS};
    if (replica_start(&config, &fixture->replica, &fixture->err) != 0) {
        fail_msg("%s", fixture->err.message);
    }
}

static void stop(struct fixture *fixture)
{
    replica_stop(fixture->replica);
    fixture->replica = NULL;
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    folder_make(fixture->folder);
    (void)snprintf(fixture->file, sizeof fixture->file, "%s/replica.db", fixture->folder);
    fixture->inner = store_memory_open();
    fixture->truth = fickle_new(fixture->inner);
    arena_init(&fixture->arena, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)fault_vfs_clear(); /* the next test has a good disk */
    stop(fixture);
    store_close(fixture->truth);
    store_close(fixture->inner);
    store_close(fixture->older);
    arena_done(&fixture->arena);
    folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static void put_in(struct store *store, const char *key, const char *text)
{
    struct err err = ERR_INIT;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_put(txn, key, text, strlen(text));
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static void put(struct fixture *fixture, const char *key, const char *text)
{
    put_in(fixture->inner, key, text);
}

static void delete (struct fixture *fixture, const char *prefix)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_delete_prefix(txn, prefix);
    assert_int_equal(store_commit(fixture->inner, txn, &revision, &fixture->err), 0);
}

static void fill(struct store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/many/%05zu", i); /* fits */
        put_in(store, key, "a value that is long enough to be found in the file");
    }
}

static void sleep_ms(int64_t milliseconds)
{
    struct timespec wait = {.tv_nsec = milliseconds * TIME_MS};
    (void)nanosleep(&wait, NULL);
}

static bool equal_lists(const struct store_list *a, const struct store_list *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++) {
        const struct store_entry *x = &a->entries[i];
        const struct store_entry *y = &b->entries[i];
        equal = text_equal(x->key, y->key) && x->size == y->size &&
                memcmp(x->value, y->value, x->size) == 0 &&
                x->created_revision == y->created_revision &&
                x->changed_revision == y->changed_revision && x->version == y->version &&
                y->lease == 0;
    }
    return equal;
}

/* Whether the replica shows exactly what the truth has. */
static bool is_equal(struct fixture *fixture)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list truth;
    struct store_list copy;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    assert_int_equal(store_range(fixture->inner, "", NULL, 0, &arena, &truth, &err), 0);
    if (store_range(replica_store(fixture->replica), "", NULL, 0, &arena, &copy, &err) != 0) {
        assert_int_equal(err.kind, ERR_UNAVAILABLE);
        return false;
    }
    return truth.revision == copy.revision && equal_lists(&truth, &copy);
}

static void wait_equal(struct fixture *fixture)
{
    struct mono until = {.ns = mono_now().ns + PATIENCE_S * TIME_S};
    while (!is_equal(fixture)) {
        if (mono_since(mono_now(), until) > 0) {
            struct replica_status status;
            replica_status(fixture->replica, &status);
            fail_msg("the replica is at revision %lld, problem: %s", (long long)status.revision,
                     status.problem);
        }
        sleep_ms(2);
    }
}

/* A replica in step with a truth of so many keys. */
static void start_with(struct fixture *fixture, size_t count)
{
    fill(fixture->inner, count);
    start(fixture);
    wait_equal(fixture);
}

static struct replica_status status_of(struct fixture *fixture)
{
    struct replica_status status;
    replica_status(fixture->replica, &status);
    return status;
}

#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        struct mono until_ = {.ns = mono_now().ns + PATIENCE_S * TIME_S};                          \
        while (!(condition)) {                                                                     \
            assert_true(mono_since(mono_now(), until_) < 0);                                       \
            sleep_ms(2);                                                                           \
        }                                                                                          \
    } while (0)

static size_t count_in_replica(struct fixture *fixture)
{
    size_t count = 0;
    assert_int_equal(store_count(replica_store(fixture->replica), "", &count, &fixture->err), 0);
    return count;
}

/* ---- following ---- */

static void it_is_filled_and_follows(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->inner, 2500);
    start(fixture);
    assert_true(replica_wait(fixture->replica, 0));
    assert_true(is_equal(fixture));
    put(fixture, "r53/a", "1");
    put(fixture, "r53/a", "2");
    delete (fixture, "r53/many/000");
    wait_equal(fixture);
    struct replica_status status = status_of(fixture);
    assert_true(status.in_step);
    assert_int_equal(status.counters.synchronisations, 1);
    assert_int_equal(status.counters.gaps, 0);
    assert_string_equal(status.problem, "");
}

static void an_empty_truth_is_a_state_too(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    assert_true(replica_wait(fixture->replica, 0));
    assert_int_equal(count_in_replica(fixture), 0);
    put(fixture, "a", "1");
    wait_equal(fixture);
}

static void it_goes_on_where_it_was_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    start_with(fixture, 100);
    stop(fixture);
    put(fixture, "r53/b", "later");
    delete (fixture, "r53/many/0001");
    start(fixture);
    assert_true(replica_wait(fixture->replica, 10000));
    wait_equal(fixture);
    assert_int_equal(status_of(fixture).counters.synchronisations, 0);
}

static void without_the_truth_it_shows_what_it_has_at_once(void **state)
{
    struct fixture *fixture = *state;
    start_with(fixture, 100);
    stop(fixture);
    fickle_fail(fixture->truth, true);
    struct mono before = mono_now();
    start(fixture);
    assert_true(replica_wait(fixture->replica, 10000));
    assert_true(mono_since(mono_now(), before) < TIME_S);
    assert_int_equal(count_in_replica(fixture), 100);
    struct replica_status status = status_of(fixture);
    assert_false(status.in_step);
    assert_true(status.heard.ns > 0);
    WAIT_FOR(fixture, status_of(fixture).problem[0] != '\0');
    put(fixture, "r53/a", "1");
    fickle_fail(fixture->truth, false);
    wait_equal(fixture);
    WAIT_FOR(fixture, status_of(fixture).in_step);
    assert_string_equal(status_of(fixture).problem, "");
}

static void without_truth_and_copy_it_says_so(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->truth, true);
    start(fixture);
    assert_false(replica_wait(fixture->replica, 10000));
    assert_int_equal(count_in_replica(fixture), 0);
    struct store_watch *watch = NULL;
    struct store_batch batch;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", 0, &watch, &fixture->err), 0);
    put(fixture, "a", "1");
    fickle_fail(fixture->truth, false);
    /* The watcher is told to read everything. */
    assert_int_not_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
    wait_equal(fixture);
}

static void leased_keys_vanish_when_the_truth_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t lease = 0;
    int64_t revision = 0;
    assert_int_equal(store_lease_grant(fixture->inner, 60000, &lease, &fixture->err), 0);
    store_txn_put_leased(txn, "node/a/dns", "x", 1, lease);
    assert_int_equal(store_commit(fixture->inner, txn, &revision, &fixture->err), 0);
    start(fixture);
    wait_equal(fixture);
    assert_int_equal(count_in_replica(fixture), 1);
    assert_int_equal(store_lease_revoke(fixture->inner, lease, &fixture->err), 0);
    wait_equal(fixture);
    assert_int_equal(count_in_replica(fixture), 0);
}

static void nobody_writes_into_it(void **state)
{
    struct fixture *fixture = *state;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t number = 0;
    start(fixture);
    struct store *copy = replica_store(fixture->replica);
    store_txn_put(txn, "a", "1", 1);
    assert_int_not_equal(store_commit(copy, txn, &number, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_DENIED);
    assert_int_not_equal(store_lease_grant(copy, 1000, &number, &fixture->err), 0);
    assert_int_not_equal(store_lease_keepalive(copy, 1, &fixture->err), 0);
    assert_int_not_equal(store_lease_revoke(copy, 1, &fixture->err), 0);
    assert_int_not_equal(store_compact(copy, 0, &fixture->err), 0);
}

/* ---- watches ---- */

static void watches_get_the_changes_and_the_progress(void **state)
{
    struct fixture *fixture = *state;
    struct store_watch *watch = NULL;
    struct store_batch batch;
    put(fixture, "r53/a", "1");
    start(fixture);
    wait_equal(fixture);
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "r53/", 1, &watch, &fixture->err), 0);
    put(fixture, "r53/a", "2");
    assert_int_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(batch.revision, 2);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.changes[0].entry.changed_revision, 2);
    assert_int_equal(batch.changes[0].entry.version, 2);
    put(fixture, "node/a", "elsewhere");
    wait_equal(fixture);
    assert_int_equal(store_watch_next(watch, 10, &batch, &fixture->err), 0);
    assert_int_equal(batch.revision, 3);
    assert_int_equal(batch.count, 0);
    delete (fixture, "r53/");
    assert_int_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(batch.changes[0].type, STORE_DELETE);
    assert_int_equal(batch.changes[0].entry.changed_revision, 4);
    store_watch_close(watch);
}

/* ---- what is missing ---- */

static void compacted_history_is_read_anew(void **state)
{
    struct fixture *fixture = *state;
    struct store_watch *watch = NULL;
    struct store_batch batch;
    start_with(fixture, 300);
    int64_t before = status_of(fixture).revision;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", before, &watch, &fixture->err), 0);
    fickle_fail(fixture->truth, true);
    put(fixture, "r53/a", "1");
    delete (fixture, "r53/many/001");
    int64_t revision = 0;
    assert_int_equal(store_revision(fixture->inner, &revision, &fixture->err), 0);
    assert_int_equal(store_compact(fixture->inner, revision, &fixture->err), 0);
    fickle_fail(fixture->truth, false);
    wait_equal(fixture);
    struct replica_status status = status_of(fixture);
    assert_int_equal(status.counters.synchronisations, 2);
    assert_int_equal(status.counters.gaps, 1);
    assert_int_not_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
}

static void a_lost_batch_is_noticed_and_mended(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "r53/a", "1");
    start(fixture);
    wait_equal(fixture);
    fickle_lose_batch(fixture->truth);
    put(fixture, "r53/a", "2");
    sleep_ms(100);
    put(fixture, "r53/a", "3");
    wait_equal(fixture);
    assert_true(status_of(fixture).counters.gaps >= 1);
}

/* A truth of n transactions, the last ones differing by text. */
static struct store *history(size_t shared, size_t own, const char *text)
{
    struct store *store = store_memory_open();
    fill(store, shared);
    for (size_t i = 0; i < own; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/own/%05zu", i); /* fits */
        put_in(store, key, text);
    }
    return store;
}

static void replace_truth(struct fixture *fixture, struct store *fresh)
{
    fickle_fail(fixture->truth, true);
    WAIT_FOR(fixture, status_of(fixture).problem[0] != '\0');
    fixture->older = fixture->inner;
    fixture->inner = fresh;
    fickle_replace(fixture->truth, fresh);
    fickle_fail(fixture->truth, false);
}

/* Reads the replica until it equals the truth; it must never be empty. */
static void never_empty_until_equal(struct fixture *fixture)
{
    do {
        assert_true(count_in_replica(fixture) > 0);
    } while (!is_equal(fixture));
}

static void a_truth_whose_revision_went_back_is_followed_from_there(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->truth);
    store_close(fixture->inner);
    fixture->inner = history(50, 20, "old");
    fixture->truth = fickle_new(fixture->inner);
    start(fixture);
    wait_equal(fixture);
    struct store_watch *watch = NULL;
    struct store_batch batch;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", 70, &watch, &fixture->err), 0);
    replace_truth(fixture, history(50, 3, "new"));
    never_empty_until_equal(fixture);
    struct replica_status status = status_of(fixture);
    assert_int_equal(status.revision, 53);
    assert_true(status.counters.restorations >= 1);
    assert_int_not_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
    /* What was read before cannot be watched after. */
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", 70, &watch, &fixture->err), 0);
    assert_int_not_equal(store_watch_next(watch, 0, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
}

static void a_restored_truth_that_went_beyond_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->truth);
    store_close(fixture->inner);
    fixture->inner = history(50, 20, "old");
    fixture->truth = fickle_new(fixture->inner);
    start(fixture);
    wait_equal(fixture);
    replace_truth(fixture, history(50, 200, "new"));
    never_empty_until_equal(fixture);
    assert_true(status_of(fixture).counters.restorations >= 1);
}

static void a_restored_truth_is_noticed_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->truth);
    store_close(fixture->inner);
    fixture->inner = history(50, 20, "old");
    fixture->truth = fickle_new(fixture->inner);
    start(fixture);
    wait_equal(fixture);
    stop(fixture);
    fixture->older = fixture->inner;
    fixture->inner = history(50, 200, "new");
    fickle_replace(fixture->truth, fixture->inner);
    start(fixture);
    never_empty_until_equal(fixture);
    assert_true(status_of(fixture).counters.restorations + status_of(fixture).counters.gaps >= 1);
}

static void a_deletion_that_was_undone_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    start_with(fixture, 50);
    delete (fixture, "r53/many/00001");
    wait_equal(fixture);
    struct store *restored = history(50, 0, "");
    for (int i = 0; i < 10; i++) { /* moves the revision by what follows from anything */
        char key[32];
        (void)snprintf(key, sizeof key, "node/%d", i); /* fits */
        put_in(restored, key, "new");
    }
    replace_truth(fixture, restored);
    never_empty_until_equal(fixture);
    assert_true(status_of(fixture).counters.restorations >= 1);
}

/* ---- damage ---- */

static void change_file(struct fixture *fixture, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Started without the truth after damage: shows nothing, says what was wrong; then is whole again.
 */
static void assert_set_aside(struct fixture *fixture)
{
    char aside[FOLDER_TEXT + 32];
    (void)snprintf(aside, sizeof aside, "%s.damaged", fixture->file); /* fits */
    fickle_fail(fixture->truth, true);
    start(fixture);
    assert_int_equal(count_in_replica(fixture), 0);
    struct replica_status status = status_of(fixture);
    assert_false(status.complete);
    assert_int_equal(status.counters.damages, 1);
    assert_non_null(strstr(status.damage, "replica.db"));
    assert_int_equal(access(aside, F_OK), 0);
    fickle_fail(fixture->truth, false);
    wait_equal(fixture);
    stop(fixture);
    start(fixture); /* and what was made anew is good */
    assert_int_equal(status_of(fixture).counters.damages, 0);
    wait_equal(fixture);
    stop(fixture);
    (void)unlink(aside);
}

static void make_good(struct fixture *fixture)
{
    start_with(fixture, 300);
    stop(fixture);
}

static void damage_by_hand_is_found(void **state)
{
    struct fixture *fixture = *state;
    static const char *const changes[] = {
        "UPDATE entry SET value = x'00' WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET version = 2 WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET created = created - 1 WHERE key = CAST('r53/many/00007' AS BLOB)",
        "UPDATE entry SET key = x'7a' WHERE key = CAST('r53/many/00007' AS BLOB)",
        "DELETE FROM entry WHERE key = CAST('r53/many/00007' AS BLOB)",
        "DELETE FROM entry",
        "UPDATE meta SET revision = revision + 1",
        "UPDATE meta SET revision = 1",
        "UPDATE copy SET complete = 0",
        "UPDATE copy SET checksum = checksum + 1",
        "UPDATE copy SET hash_key = randomblob(16)",
        "UPDATE copy SET hash_key = x'00'",
        "DELETE FROM copy",
        "DELETE FROM meta",
        "DROP TABLE entry",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 7",
    };
    make_good(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        change_file(fixture, changes[i]);
        assert_set_aside(fixture);
    }
}

static long file_size(struct fixture *fixture)
{
    FILE *file = fopen(fixture->file, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_int_equal(fclose(file), 0);
    return size;
}

static void flip(struct fixture *fixture, long at, unsigned char bits)
{
    FILE *file = fopen(fixture->file, "r+e");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ bits, file), EOF);
    assert_int_equal(fclose(file), 0);
}

/* Wherever a bit flips: either the file is set aside, or what it shows is what was there. */
static void a_flipped_bit_is_found_or_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    make_good(fixture);
    long size = file_size(fixture);
    size_t found = 0;
    fickle_fail(fixture->truth, true);
    for (long at = 5; at < size; at += size / 150) {
        flip(fixture, at, 0x10);
        start(fixture);
        struct replica_status status = status_of(fixture);
        if (status.counters.damages != 0) {
            found++;
            assert_int_equal(count_in_replica(fixture), 0);
        } else {
            assert_true(is_equal(fixture));
        }
        stop(fixture);
        char aside[FOLDER_TEXT + 32];
        (void)snprintf(aside, sizeof aside, "%s.damaged", fixture->file); /* fits */
        if (access(aside, F_OK) == 0) {
            assert_int_equal(rename(aside, fixture->file), 0);
        }
        flip(fixture, at, 0x10);
    }
    assert_true(found > 50);
}

static void a_truncated_file_is_found(void **state)
{
    struct fixture *fixture = *state;
    make_good(fixture);
    static const long parts[] = {2, 4, 10};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        assert_int_equal(truncate(fixture->file, file_size(fixture) / parts[i]), 0);
        assert_set_aside(fixture);
    }
    assert_int_equal(truncate(fixture->file, 100), 0);
    assert_set_aside(fixture);
    flip(fixture, 1, 0xff);
    assert_set_aside(fixture);
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *in = fopen(from, "re");
    FILE *out = fopen(to, "we");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t size = 0; (size = fread(block, 1, sizeof block, in)) > 0;) {
        assert_int_equal(fwrite(block, 1, size, out), size);
    }
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
}

static void an_older_file_catches_up(void **state)
{
    struct fixture *fixture = *state;
    char saved[FOLDER_TEXT + 32];
    (void)snprintf(saved, sizeof saved, "%s.saved", fixture->file); /* fits */
    make_good(fixture);
    copy_file(fixture->file, saved);
    start(fixture);
    put(fixture, "r53/a", "1");
    delete (fixture, "r53/many/001");
    wait_equal(fixture);
    stop(fixture);
    assert_int_equal(rename(saved, fixture->file), 0);
    fickle_fail(fixture->truth, true);
    start(fixture);
    assert_int_equal(count_in_replica(fixture), 300); /* whole, but of another time */
    fickle_fail(fixture->truth, false);
    wait_equal(fixture);
}

/* What a crash leaves, without its log: an older state, or found to be damaged. */
static void a_missing_log_costs_time_and_no_truth(void **state)
{
    struct fixture *fixture = *state;
    char saved[FOLDER_TEXT + 32];
    (void)snprintf(saved, sizeof saved, "%s.saved", fixture->file); /* fits */
    make_good(fixture);
    start(fixture);
    for (int i = 0; i < 50; i++) {
        put(fixture, "r53/a", "1");
    }
    wait_equal(fixture);
    copy_file(fixture->file, saved); /* the log stays behind */
    stop(fixture);
    assert_int_equal(rename(saved, fixture->file), 0);
    fickle_fail(fixture->truth, true);
    start(fixture);
    size_t count = count_in_replica(fixture);
    assert_true(count == 0 || count == 300 || count == 301);
    assert_true(count != 0 || status_of(fixture).counters.damages == 1);
    fickle_fail(fixture->truth, false);
    wait_equal(fixture);
}

static void damage_while_it_is_in_use_is_mended(void **state)
{
    struct fixture *fixture = *state;
    char large[2048]; /* more in all than connections keep in memory */
    (void)memset(large, 'v', sizeof large);
    large[sizeof large - 1] = '\0';
    fill(fixture->inner, 3000);
    for (int i = 0; i < 2000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/many/%05d", i); /* fits */
        put(fixture, key, large);
    }
    start(fixture);
    wait_equal(fixture);
    stop(fixture);
    start(fixture);
    wait_equal(fixture);
    for (long at = 8192; at < file_size(fixture); at += 4096) {
        flip(fixture, at, 0xff); /* the type of each page */
    }
    /* Reads fail, or show the truth: never anything else. */
    struct err err = ERR_INIT;
    struct store_list list;
    IGNORE_RESULT(
        store_range(replica_store(fixture->replica), "", NULL, 0, &fixture->arena, &list, &err));
    put(fixture, "r53/many/01500", "changed");
    struct mono until = {.ns = mono_now().ns + PATIENCE_S * TIME_S};
    while (status_of(fixture).counters.damages == 0 || !status_of(fixture).in_step) {
        assert_true(mono_since(mono_now(), until) < 0);
        sleep_ms(5);
    }
    wait_equal(fixture);
}

/* ---- a full disk ---- */

static void a_full_disk_holds_changes_up_and_loses_none(void **state)
{
    struct fixture *fixture = *state;
    start_with(fixture, 100);
    fault_vfs_plan(1, SQLITE_FULL, true);
    put(fixture, "r53/a", "1");
    put(fixture, "r53/a", "2");
    WAIT_FOR(fixture, strstr(status_of(fixture).problem, "the disk is full") != NULL);
    assert_int_equal(count_in_replica(fixture), 100);
    assert_false(status_of(fixture).in_step);
    (void)fault_vfs_clear();
    wait_equal(fixture);
    WAIT_FOR(fixture, status_of(fixture).in_step);
    assert_int_equal(status_of(fixture).counters.synchronisations, 1);
}

static void a_full_disk_at_the_first_copy_is_waited_out(void **state)
{
    struct fixture *fixture = *state;
    start_with(fixture, 2000);
    fickle_fail(fixture->truth, true);
    delete (fixture, "r53/many/00");
    int64_t revision = 0;
    assert_int_equal(store_revision(fixture->inner, &revision, &fixture->err), 0);
    assert_int_equal(store_compact(fixture->inner, revision, &fixture->err), 0);
    fault_vfs_plan(1, SQLITE_FULL, true);
    fickle_fail(fixture->truth, false);
    WAIT_FOR(fixture, strstr(status_of(fixture).problem, "the disk is full") != NULL);
    assert_int_equal(count_in_replica(fixture), 2000);
    (void)fault_vfs_clear();
    wait_equal(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_filled_and_follows),
        TEST(an_empty_truth_is_a_state_too),
        TEST(it_goes_on_where_it_was_after_a_restart),
        TEST(without_the_truth_it_shows_what_it_has_at_once),
        TEST(without_truth_and_copy_it_says_so),
        TEST(leased_keys_vanish_when_the_truth_says_so),
        TEST(nobody_writes_into_it),
        TEST(watches_get_the_changes_and_the_progress),
        TEST(compacted_history_is_read_anew),
        TEST(a_lost_batch_is_noticed_and_mended),
        TEST(a_truth_whose_revision_went_back_is_followed_from_there),
        TEST(a_restored_truth_that_went_beyond_is_noticed),
        TEST(a_restored_truth_is_noticed_after_a_restart),
        TEST(a_deletion_that_was_undone_is_noticed),
        TEST(damage_by_hand_is_found),
        TEST(a_flipped_bit_is_found_or_does_no_harm),
        TEST(a_truncated_file_is_found),
        TEST(an_older_file_catches_up),
        TEST(a_missing_log_costs_time_and_no_truth),
        TEST(damage_while_it_is_in_use_is_mended),
        TEST(a_full_disk_holds_changes_up_and_loses_none),
        TEST(a_full_disk_at_the_first_copy_is_waited_out),
    };
    log_set_level(LOG_ERROR);
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
