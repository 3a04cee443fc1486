/* Pictures of groups: what the store has is what they show, at the start, after changes, and after
 * the store was away; what this agent committed itself is there at once and never goes back; what
 * is damaged counts as absent. */
#include "database/agent/view.h"

#include "base/memory.h"
#include "base/text.h"
#include "database/agent/test_records.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct store *inner;
    struct store *other; /* what took its place; or NULL */
    struct store *store;
    struct view *view;
    struct arena arena;
    struct err err;
    atomic_uint changes;
};

static void changed(void *context)
{
    struct fixture *fixture = context;
    (void)atomic_fetch_add(&fixture->changes, 1);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    view_stop(fixture->view);
    store_close(fixture->store);
    store_close(fixture->inner);
    store_close(fixture->other);
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static void start(struct fixture *fixture)
{
    assert_int_equal(view_start(fixture->store, changed, fixture, &fixture->view, &fixture->err),
                     0);
}

/* ---- what is waited for ---- */

struct wanted {
    struct fixture *fixture;
    int64_t group; /* revisions */
    int64_t lease;
    size_t members;
    const char *seen; /* message of the first member; NULL: whatever */
};

static bool shows(void *context)
{
    const struct wanted *wanted = context;
    struct view_group *group CLEANUP(view_group_cleanup) =
        view_group_find(wanted->fixture->view, TEST_GROUP);
    return group != NULL && group->group_record.revision == wanted->group &&
           group->lease_record.revision == wanted->lease &&
           group->member_count == wanted->members &&
           (wanted->seen == NULL || (group->members[0].seen_record.revision != 0 &&
                                     text_equal(group->members[0].seen.message, wanted->seen)));
}

static bool shows_nothing(void *context)
{
    const struct fixture *fixture = context;
    struct view_group *group CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    return group == NULL;
}

static bool is_complete(void *context)
{
    const struct fixture *fixture = context;
    return view_complete(fixture->view);
}

static struct model_database_lease lease_of(int64_t epoch)
{
    return (struct model_database_lease){.epoch = epoch,
                                         .holder = "db-a",
                                         .state = MODEL_DATABASE_LEASE_HELD,
                                         .length_ms = MODEL_DATABASE_LEASE_MIN_MS};
}

static const struct model_database_seen seen_well = {.site = "",
                                                     .condition = MODEL_DATABASE_STREAMING,
                                                     .message = "well",
                                                     .action = "",
                                                     .upstream = ""};

/* A group with two members, one of them seen; its wanted picture. */
static struct wanted put_all(struct fixture *fixture, struct store *store)
{
    const struct model_database_group group = test_group("db-a");
    const struct model_database_lease lease = lease_of(1);
    struct wanted wanted = {.fixture = fixture, .members = 2, .seen = "well"};
    wanted.group = test_put_group(store, &group);
    wanted.lease = test_put_lease(store, &lease);
    IGNORE_RESULT(test_put_member(store, "db-a", "east"));
    IGNORE_RESULT(test_put_member(store, "db-b", "west"));
    IGNORE_RESULT(test_put_seen(store, "db-a", &seen_well));
    return wanted;
}

/* ---- tests ---- */

static void a_picture_has_all_records_of_its_group(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    assert_true(view_complete(fixture->view));
    struct view_group *group CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    assert_string_equal(group->group.writer, "db-a");
    assert_string_equal(group->lease.holder, "db-a");
    const struct view_member *member = view_member_find(group, "db-b");
    assert_non_null(member);
    assert_string_equal(member->member.region, "west");
    assert_int_equal(member->seen_record.revision, 0);
    assert_null(view_member_find(group, "db-c"));
    assert_true(group->lease_since.ns != 0 && group->phase_since.ns != 0);
    size_t count = 0;
    struct view_group **groups = view_groups(fixture->view, &fixture->arena, &count);
    assert_int_equal(count, 1);
    assert_ptr_equal(groups[0], group);
    view_group_unref(groups[0]);
}

static void changes_come_by_the_watch_and_old_pictures_stay_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    struct view_group *before CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    struct model_database_group group = test_group("db-b");
    group.epoch = 2;
    unsigned changes = atomic_load(&fixture->changes);
    int64_t old = wanted.group;
    wanted.group = test_put_group(fixture->inner, &group);
    assert_true(test_becomes(shows, &wanted));
    assert_int_equal(before->group_record.revision, old);
    assert_string_equal(before->group.writer, "db-a");
    struct view_group *now CLEANUP(view_group_cleanup) = view_group_find(fixture->view, TEST_GROUP);
    assert_string_equal(now->group.writer, "db-b");
    assert_true(now->phase_since.ns > before->phase_since.ns); /* another epoch */
    assert_int_equal(now->lease_since.ns, before->lease_since.ns);
    wanted.members = 1;
    IGNORE_RESULT(test_delete(fixture->inner,
                              model_database_member_key(&fixture->arena, TEST_GROUP, "db-b")));
    assert_true(test_becomes(shows, &wanted));
    assert_true(atomic_load(&fixture->changes) > changes);
}

static void a_group_whose_records_are_gone_has_no_picture(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = &fixture->arena;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    IGNORE_RESULT(test_delete(fixture->inner, model_database_group_key(arena, TEST_GROUP)));
    IGNORE_RESULT(test_delete(fixture->inner, model_database_lease_key(arena, TEST_GROUP)));
    IGNORE_RESULT(
        test_delete(fixture->inner, model_database_member_key(arena, TEST_GROUP, "db-a")));
    IGNORE_RESULT(
        test_delete(fixture->inner, model_database_member_key(arena, TEST_GROUP, "db-b")));
    IGNORE_RESULT(test_delete(fixture->inner, model_database_seen_key(arena, TEST_GROUP, "db-a")));
    assert_true(test_becomes(shows_nothing, fixture));
}

/* What the lease's watchers judge by must not begin anew, nor go on, with what is no renewal. */
static void a_lease_is_watched_from_its_last_revision_on(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    struct view_group *first CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    struct model_database_seen seen = seen_well;
    seen.message = "still";
    wanted.seen = seen.message;
    IGNORE_RESULT(test_put_seen(fixture->inner, "db-a", &seen));
    assert_true(test_becomes(shows, &wanted));
    struct view_group *second CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    assert_int_equal(second->lease_since.ns, first->lease_since.ns);
    assert_true(second->members[0].heard.ns > first->members[0].heard.ns);
    const struct model_database_lease lease = lease_of(1);
    wanted.lease = test_put_lease(fixture->inner, &lease); /* the same again: renewed */
    assert_true(test_becomes(shows, &wanted));
    struct view_group *third CLEANUP(view_group_cleanup) =
        view_group_find(fixture->view, TEST_GROUP);
    assert_true(third->lease_since.ns > second->lease_since.ns);
}

static void what_was_committed_here_is_known_before_the_watch_brings_it(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    fickle_fail(fixture->store, true); /* so the watch brings nothing */
    struct model_database_group group = test_group("db-b");
    group.epoch = 2;
    wanted.group = test_put_group(fixture->inner, &group);
    const char *key = model_database_group_key(&fixture->arena, TEST_GROUP);
    const char *value = model_database_group_encode(&fixture->arena, &group,
                                                    &(const struct model_stored){.value = NULL});
    view_learn(fixture->view, key, value, wanted.group);
    assert_true(shows(&wanted));
    group.epoch = 1; /* an older commit, whose thread comes late */
    value = model_database_group_encode(&fixture->arena, &group,
                                        &(const struct model_stored){.value = NULL});
    view_learn(fixture->view, key, value, wanted.group - 1);
    assert_true(shows(&wanted));
    fickle_fail(fixture->store, false);
    group.epoch = 3;
    wanted.group = test_put_group(fixture->inner, &group);
    assert_true(test_becomes(shows, &wanted));
}

static void a_picture_stays_while_the_store_is_away_and_is_made_good_afterwards(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    fickle_fail(fixture->store, true);
    struct wanted then = wanted;
    const struct model_database_lease lease = lease_of(2);
    then.lease = test_put_lease(fixture->inner, &lease);
    then.members = 1;
    IGNORE_RESULT(test_delete(fixture->inner,
                              model_database_member_key(&fixture->arena, TEST_GROUP, "db-b")));
    test_pause(50);
    assert_true(shows(&wanted));
    fickle_fail(fixture->store, false);
    assert_true(test_becomes(shows, &then));
}

/* As after a restore from a backup: revisions are smaller, and members are missing. */
static void another_store_in_its_place_is_shown_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    fixture->other = store_memory_open();
    const struct model_database_group group = test_group("db-a");
    struct wanted then = {.fixture = fixture, .members = 1};
    then.group = test_put_group(fixture->other, &group);
    IGNORE_RESULT(test_put_member(fixture->other, "db-a", "east"));
    fickle_replace(fixture->store, fixture->other);
    assert_true(test_becomes(shows, &then));
}

static void a_store_that_is_away_at_the_start_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->store, true);
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    test_pause(50);
    assert_false(view_complete(fixture->view));
    assert_true(shows_nothing(fixture));
    fickle_fail(fixture->store, false);
    assert_true(test_becomes(is_complete, fixture));
    assert_true(shows(&wanted));
}

static void a_damaged_record_counts_as_absent_and_the_rest_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = &fixture->arena;
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    IGNORE_RESULT(
        test_put_text(fixture->inner, model_database_lease_key(arena, TEST_GROUP), "{\"v\":1,"));
    struct wanted then = wanted;
    then.lease = 0;
    assert_true(test_becomes(shows, &then));
    IGNORE_RESULT(
        test_put_text(fixture->inner, model_database_member_key(arena, TEST_GROUP, "db-b"), "[]"));
    then.members = 1;
    assert_true(test_becomes(shows, &then));
    IGNORE_RESULT(test_put_text(fixture->inner, model_database_group_key(arena, TEST_GROUP), "{}"));
    then.group = 0;
    assert_true(test_becomes(shows, &then));
    wanted = put_all(fixture, fixture->inner);
    assert_true(test_becomes(shows, &wanted));
}

static void keys_of_other_kinds_make_no_group(void **state)
{
    struct fixture *fixture = *state;
    IGNORE_RESULT(test_put_text(fixture->inner, "db/region/east", "{}"));
    IGNORE_RESULT(test_put_text(fixture->inner, "db/loss/grp-one/1", "{}"));
    IGNORE_RESULT(
        test_put_text(fixture->inner, "db/group/grp-with-a-name-that-is-longer-than-any-id", "{}"));
    start(fixture);
    assert_true(test_becomes(is_complete, fixture));
    size_t count = 7;
    IGNORE_RESULT(view_groups(fixture->view, &fixture->arena, &count));
    assert_int_equal(count, 0);
}

/* ---- readers beside the follower ---- */

#define READERS 3U

struct reader {
    struct fixture *fixture;
    atomic_bool *ending;
    unsigned wrong;
};

static void *read_pictures(void *context)
{
    struct reader *reader = context;
    while (!atomic_load(reader->ending)) {
        struct view_group *group CLEANUP(view_group_cleanup) =
            view_group_find(reader->fixture->view, TEST_GROUP);
        /* Both are of one transaction each time. */
        if (group == NULL || group->group.epoch != group->lease.epoch) {
            reader->wrong++;
        }
    }
    return NULL;
}

static int64_t put_epoch(struct fixture *fixture, int64_t epoch)
{
    struct arena arena CLEANUP(arena_done);
    const struct model_stored fresh = {.value = NULL};
    struct model_database_group group = test_group("db-a");
    const struct model_database_lease lease = lease_of(epoch);
    int64_t revision = 0;
    arena_init(&arena, 0);
    group.epoch = epoch;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *value = model_database_group_encode(&arena, &group, &fresh);
    store_txn_put(txn, model_database_group_key(&arena, TEST_GROUP), value, strlen(value));
    value = model_database_lease_encode(&arena, &lease, &fresh);
    store_txn_put(txn, model_database_lease_key(&arena, TEST_GROUP), value, strlen(value));
    assert_int_equal(store_commit(fixture->inner, txn, &revision, &fixture->err), 0);
    return revision;
}

static void what_one_transaction_wrote_is_never_seen_by_halves(void **state)
{
    struct fixture *fixture = *state;
    atomic_bool ending = false;
    pthread_t threads[READERS];
    struct reader readers[READERS];
    struct wanted wanted = put_all(fixture, fixture->inner);
    start(fixture);
    assert_true(test_becomes(shows, &wanted));
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.fixture = fixture, .ending = &ending};
        assert_int_equal(pthread_create(&threads[i], NULL, read_pictures, &readers[i]), 0);
    }
    for (int64_t epoch = 2; epoch <= 200; epoch++) {
        wanted.group = put_epoch(fixture, epoch);
        wanted.lease = wanted.group;
    }
    bool shown = test_becomes(shows, &wanted);
    atomic_store(&ending, true);
    unsigned wrong = 0;
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        wrong += readers[i].wrong;
    }
    assert_true(shown);
    assert_int_equal(wrong, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_picture_has_all_records_of_its_group),
        TEST(changes_come_by_the_watch_and_old_pictures_stay_as_they_are),
        TEST(a_group_whose_records_are_gone_has_no_picture),
        TEST(a_lease_is_watched_from_its_last_revision_on),
        TEST(what_was_committed_here_is_known_before_the_watch_brings_it),
        TEST(a_picture_stays_while_the_store_is_away_and_is_made_good_afterwards),
        TEST(another_store_in_its_place_is_shown_as_it_is),
        TEST(a_store_that_is_away_at_the_start_is_waited_for),
        TEST(a_damaged_record_counts_as_absent_and_the_rest_is_there),
        TEST(keys_of_other_kinds_make_no_group),
        TEST(what_one_transaction_wrote_is_never_seen_by_halves),
    };
    return cmocka_run_group_tests_name("database/agent view", tests, NULL, NULL);
}
