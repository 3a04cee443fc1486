/* The replica: following, gaps, a truth that is away or was restored, a full disk. Damage has a
 * program of its own. */
#include "base/log.h"
#include "base/macro.h"
#include "store/replica_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

/* ---- following ---- */

static void it_is_filled_and_follows(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 2500);
    follower_start(fixture);
    assert_true(replica_wait(fixture->replica, 0));
    assert_true(follower_is_equal(fixture));
    follower_put(fixture, "r53/a", "1");
    follower_put(fixture, "r53/a", "2");
    follower_delete(fixture, "r53/many/000");
    follower_wait_equal(fixture);
    struct replica_status status = follower_status(fixture);
    assert_true(status.in_step);
    assert_int_equal(status.counters.synchronisations, 1);
    assert_int_equal(status.counters.gaps, 0);
    assert_string_equal(status.problem, "");
}

static void an_empty_truth_is_a_state_too(void **state)
{
    struct fixture *fixture = *state;
    follower_start(fixture);
    assert_true(replica_wait(fixture->replica, 0));
    assert_int_equal(follower_count(fixture), 0);
    follower_put(fixture, "a", "1");
    follower_wait_equal(fixture);
}

static void it_goes_on_where_it_was_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    follower_put(fixture, "r53/b", "later");
    follower_delete(fixture, "r53/many/0001");
    follower_start(fixture);
    assert_true(replica_wait(fixture->replica, 10000));
    follower_wait_equal(fixture);
    assert_int_equal(follower_status(fixture).counters.synchronisations, 0);
}

static void without_the_truth_it_shows_what_it_has_at_once(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    fickle_fail(fixture->truth, true);
    struct mono before = mono_now();
    follower_start(fixture);
    assert_true(replica_wait(fixture->replica, 10000));
    assert_true(mono_since(mono_now(), before) < 9 * TIME_S);
    assert_int_equal(follower_count(fixture), 100);
    struct replica_status status = follower_status(fixture);
    assert_false(status.in_step);
    assert_true(status.heard.ns > 0);
    FOLLOWER_WAIT(fixture, follower_status(fixture).problem[0] != '\0');
    follower_put(fixture, "r53/a", "1");
    fickle_fail(fixture->truth, false);
    follower_wait_equal(fixture);
    FOLLOWER_WAIT(fixture, follower_status(fixture).in_step);
    assert_string_equal(follower_status(fixture).problem, "");
}

static void without_truth_and_copy_it_says_so(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->truth, true);
    follower_start(fixture);
    assert_false(replica_wait(fixture->replica, 10000));
    assert_int_equal(follower_count(fixture), 0);
    struct store_watch *watch = NULL;
    struct store_batch batch;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", 0, &watch, &fixture->err), 0);
    follower_put(fixture, "a", "1");
    fickle_fail(fixture->truth, false);
    /* The watcher is told to read everything. */
    assert_int_not_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
    follower_wait_equal(fixture);
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
    follower_start(fixture);
    follower_wait_equal(fixture);
    assert_int_equal(follower_count(fixture), 1);
    assert_int_equal(store_lease_revoke(fixture->inner, lease, &fixture->err), 0);
    follower_wait_equal(fixture);
    assert_int_equal(follower_count(fixture), 0);
}

static void nobody_writes_into_it(void **state)
{
    struct fixture *fixture = *state;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t number = 0;
    follower_start(fixture);
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
    follower_put(fixture, "r53/a", "1");
    follower_start(fixture);
    follower_wait_equal(fixture);
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "r53/", 1, &watch, &fixture->err), 0);
    follower_put(fixture, "r53/a", "2");
    assert_int_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(batch.revision, 2);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.changes[0].entry.changed_revision, 2);
    assert_int_equal(batch.changes[0].entry.version, 2);
    follower_put(fixture, "node/a", "elsewhere");
    follower_wait_equal(fixture);
    FOLLOWER_WAIT(fixture, store_watch_next(watch, 10, &batch, &fixture->err) == 0);
    assert_int_equal(batch.revision, 3);
    assert_int_equal(batch.count, 0);
    follower_delete(fixture, "r53/");
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
    follower_fill(fixture->inner, 300);
    follower_start(fixture);
    follower_wait_equal(fixture);
    int64_t before = follower_status(fixture).revision;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", before, &watch, &fixture->err), 0);
    fickle_fail(fixture->truth, true);
    follower_put(fixture, "r53/a", "1");
    follower_delete(fixture, "r53/many/001");
    int64_t revision = 0;
    assert_int_equal(store_revision(fixture->inner, &revision, &fixture->err), 0);
    assert_int_equal(store_compact(fixture->inner, revision, &fixture->err), 0);
    fickle_fail(fixture->truth, false);
    follower_wait_equal(fixture);
    struct replica_status status = follower_status(fixture);
    assert_int_equal(status.counters.synchronisations, 2);
    assert_int_equal(status.counters.gaps, 1);
    assert_int_not_equal(store_watch_next(watch, PATIENCE_S * 1000, &batch, &fixture->err), 0);
    assert_int_equal(fixture->err.kind, ERR_COMPACTED);
    store_watch_close(watch);
}

static void a_lost_batch_is_noticed_and_mended(void **state)
{
    struct fixture *fixture = *state;
    follower_put(fixture, "r53/a", "1");
    follower_start(fixture);
    follower_wait_equal(fixture);
    fickle_lose_batch(fixture->truth);
    follower_put(fixture, "r53/a", "2");
    follower_sleep(100);
    follower_put(fixture, "r53/a", "3");
    follower_wait_equal(fixture);
    assert_true(follower_status(fixture).counters.gaps >= 1);
}

/* A truth of n transactions, the last ones differing by text. */
static struct store *history(size_t shared, size_t own, const char *text)
{
    struct store *store = store_memory_open();
    follower_fill(store, shared);
    for (size_t i = 0; i < own; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/own/%05zu", i); /* fits */
        follower_put_in(store, key, text);
    }
    return store;
}

static void replace_truth(struct fixture *fixture, struct store *fresh)
{
    fickle_fail(fixture->truth, true);
    FOLLOWER_WAIT(fixture, follower_status(fixture).problem[0] != '\0');
    fixture->older = fixture->inner;
    fixture->inner = fresh;
    fickle_replace(fixture->truth, fresh);
    fickle_fail(fixture->truth, false);
}

/* Reads the replica until it equals the truth; it must never be empty. */
static void never_empty_until_equal(struct fixture *fixture)
{
    do {
        assert_true(follower_count(fixture) > 0);
    } while (!follower_is_equal(fixture));
}

static void a_truth_whose_revision_went_back_is_followed_from_there(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->truth);
    store_close(fixture->inner);
    fixture->inner = history(50, 20, "old");
    fixture->truth = fickle_new(fixture->inner);
    follower_start(fixture);
    follower_wait_equal(fixture);
    struct store_watch *watch = NULL;
    struct store_batch batch;
    assert_int_equal(
        store_watch_open(replica_store(fixture->replica), "", 70, &watch, &fixture->err), 0);
    replace_truth(fixture, history(50, 3, "new"));
    never_empty_until_equal(fixture);
    struct replica_status status = follower_status(fixture);
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
    follower_start(fixture);
    follower_wait_equal(fixture);
    replace_truth(fixture, history(50, 200, "new"));
    never_empty_until_equal(fixture);
    assert_true(follower_status(fixture).counters.restorations >= 1);
}

static void a_restored_truth_is_noticed_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->truth);
    store_close(fixture->inner);
    fixture->inner = history(50, 20, "old");
    fixture->truth = fickle_new(fixture->inner);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    fixture->older = fixture->inner;
    fixture->inner = history(50, 200, "new");
    fickle_replace(fixture->truth, fixture->inner);
    follower_start(fixture);
    never_empty_until_equal(fixture);
    assert_true(follower_status(fixture).counters.restorations +
                    follower_status(fixture).counters.gaps >=
                1);
}

static void a_deletion_that_was_undone_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 50);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_delete(fixture, "r53/many/00001");
    follower_wait_equal(fixture);
    struct store *restored = history(50, 0, "");
    for (int i = 0; i < 10; i++) { /* moves the revision by what follows from anything */
        char key[32];
        (void)snprintf(key, sizeof key, "node/%d", i); /* fits */
        follower_put_in(restored, key, "new");
    }
    replace_truth(fixture, restored);
    never_empty_until_equal(fixture);
    assert_true(follower_status(fixture).counters.restorations >= 1);
}

/* A truth that was restored and went on beyond the replica's revision before anybody looked, where
 * none of the keys that changed last differs: its past says that it is another one. */
static void a_truth_of_another_past_is_noticed_by_its_name(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    fickle_set_past(fixture->truth, 11);
    follower_start(fixture);
    follower_wait_equal(fixture);
    FOLLOWER_WAIT(fixture, follower_status(fixture).in_step);
    assert_int_equal(follower_status(fixture).counters.restorations, 0);
    fickle_set_past(fixture->truth, 12);
    FOLLOWER_WAIT(fixture, follower_status(fixture).counters.synchronisations == 2);
    assert_int_equal(follower_status(fixture).counters.restorations, 1);
    follower_put(fixture, "r53/a", "1");
    follower_wait_equal(fixture);
    assert_int_equal(follower_status(fixture).counters.synchronisations, 2); /* it is known now */
}

static void a_truth_of_another_past_is_noticed_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    fickle_set_past(fixture->truth, 11);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    follower_start(fixture);
    follower_put(fixture, "r53/a", "1");
    follower_wait_equal(fixture);
    assert_int_equal(follower_status(fixture).counters.synchronisations, 0);
    follower_stop(fixture);
    fickle_set_past(fixture->truth, UINT64_MAX); /* ids have 64 bits */
    follower_start(fixture);
    FOLLOWER_WAIT(fixture, follower_status(fixture).counters.synchronisations == 1);
    assert_int_equal(follower_status(fixture).counters.restorations, 1);
    follower_stop(fixture);
    follower_start(fixture);
    follower_put(fixture, "r53/a", "2");
    follower_wait_equal(fixture);
    assert_int_equal(follower_status(fixture).counters.synchronisations, 0);
}

/* Made by the version before, or of a store that has no name: it gets one without being read anew.
 */
static void a_past_that_was_not_known_is_taken_up(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    follower_start(fixture);
    follower_wait_equal(fixture);
    follower_stop(fixture);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE copy DROP COLUMN past; PRAGMA user_version = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    fickle_set_past(fixture->truth, 11);
    follower_start(fixture);
    FOLLOWER_WAIT(fixture, follower_status(fixture).in_step);
    follower_put(fixture, "r53/a", "1");
    follower_wait_equal(fixture);
    struct replica_status status = follower_status(fixture);
    assert_int_equal(status.counters.damages, 0);
    assert_int_equal(status.counters.synchronisations, 0);
    /* The past is written down behind a change, so before the next one. */
    follower_put(fixture, "r53/a", "2");
    follower_wait_equal(fixture);
    fickle_set_past(fixture->truth, 12);
    FOLLOWER_WAIT(fixture, follower_status(fixture).counters.restorations == 1);
    follower_wait_equal(fixture);
}

/* ---- a full disk ---- */

static void a_full_disk_holds_changes_up_and_loses_none(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 100);
    follower_start(fixture);
    follower_wait_equal(fixture);
    fault_vfs_plan(1, SQLITE_FULL, true);
    follower_put(fixture, "r53/a", "1");
    follower_put(fixture, "r53/a", "2");
    FOLLOWER_WAIT(fixture, strstr(follower_status(fixture).problem, "the disk is full") != NULL);
    assert_int_equal(follower_count(fixture), 100);
    assert_false(follower_status(fixture).in_step);
    (void)fault_vfs_clear();
    follower_wait_equal(fixture);
    FOLLOWER_WAIT(fixture, follower_status(fixture).in_step);
    assert_int_equal(follower_status(fixture).counters.synchronisations, 1);
}

static void a_full_disk_at_the_first_copy_is_waited_out(void **state)
{
    struct fixture *fixture = *state;
    follower_fill(fixture->inner, 2000);
    follower_start(fixture);
    follower_wait_equal(fixture);
    fickle_fail(fixture->truth, true);
    follower_delete(fixture, "r53/many/00");
    int64_t revision = 0;
    assert_int_equal(store_revision(fixture->inner, &revision, &fixture->err), 0);
    assert_int_equal(store_compact(fixture->inner, revision, &fixture->err), 0);
    fault_vfs_plan(1, SQLITE_FULL, true);
    fickle_fail(fixture->truth, false);
    FOLLOWER_WAIT(fixture, strstr(follower_status(fixture).problem, "the disk is full") != NULL);
    assert_int_equal(follower_count(fixture), 2000);
    (void)fault_vfs_clear();
    follower_wait_equal(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FOLLOWER(it_is_filled_and_follows),
        TEST_FOLLOWER(an_empty_truth_is_a_state_too),
        TEST_FOLLOWER(it_goes_on_where_it_was_after_a_restart),
        TEST_FOLLOWER(without_the_truth_it_shows_what_it_has_at_once),
        TEST_FOLLOWER(without_truth_and_copy_it_says_so),
        TEST_FOLLOWER(leased_keys_vanish_when_the_truth_says_so),
        TEST_FOLLOWER(nobody_writes_into_it),
        TEST_FOLLOWER(watches_get_the_changes_and_the_progress),
        TEST_FOLLOWER(compacted_history_is_read_anew),
        TEST_FOLLOWER(a_lost_batch_is_noticed_and_mended),
        TEST_FOLLOWER(a_truth_whose_revision_went_back_is_followed_from_there),
        TEST_FOLLOWER(a_restored_truth_that_went_beyond_is_noticed),
        TEST_FOLLOWER(a_restored_truth_is_noticed_after_a_restart),
        TEST_FOLLOWER(a_deletion_that_was_undone_is_noticed),
        TEST_FOLLOWER(a_truth_of_another_past_is_noticed_by_its_name),
        TEST_FOLLOWER(a_truth_of_another_past_is_noticed_after_a_restart),
        TEST_FOLLOWER(a_past_that_was_not_known_is_taken_up),
        TEST_FOLLOWER(a_full_disk_holds_changes_up_and_loses_none),
        TEST_FOLLOWER(a_full_disk_at_the_first_copy_is_waited_out),
    };
    log_set_level(LOG_ERROR);
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
