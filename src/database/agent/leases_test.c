/* Leases with a store in memory that fails, hangs, answers late, or loses its answers. A witness
 * stands before the store: of each transaction it knows when it came and whether it happened, so it
 * knows what the record ever promised; the file's deadline may never be later. Nothing is judged by
 * how long it took. */
#include "database/agent/leases.h"

#include "base/memory.h"
#include "base/thread.h"
#include "database/agent/test_records.h"
#include "database/fence/lease_file.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMBER "db-one"
#define EPOCH 7
#define LENGTH INT64_C(1000)

/* What happens to the next transactions. */
enum fate {
    FATE_WELL,
    FATE_AWAY, /* they do not happen */
    FATE_LOST, /* they happen, and the answer is lost */
    FATE_HANG, /* they happen; the answer waits until the fate is another one */
    FATE_DARK, /* they happen, the answer is lost, and from then on nothing can be read */
};

struct fixture {
    struct store *inner;
    struct store *store;
    struct leases *leases;
    struct lease_hold *hold;
    struct fence_lease *file;
    char folder[TEST_FOLDER];
    struct arena arena; /* what is read */
    struct err err;
    atomic_uint changes; /* that leases told of */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* guards and tells of what follows */
    enum fate fate;
    unsigned happened;
    unsigned away;
    unsigned happened_before; /* up to the last time that they were waited for, or fate changed */
    unsigned away_before;
    int64_t came_ns; /* the transaction under way */
    int64_t promised_ns;
    unsigned too_late;  /* times that the file promised more than the record ever did */
    unsigned too_short; /* and more than the record does to who watches it from now on */
};

static void look_at_file(struct fixture *fixture)
{
    if (atomic_load(&fixture->file->deadline_ns) > fixture->promised_ns) {
        fixture->too_late++;
    }
}

static void note_happened(struct fixture *fixture)
{
    struct arena arena CLEANUP(arena_done);
    struct model_database_lease lease;
    struct store_entry entry;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    fixture->happened++;
    if (store_get(fixture->inner, model_database_lease_key(&arena, TEST_GROUP), &arena, &entry,
                  &err) != 0 ||
        model_database_lease_decode(entry.value, entry.size, &arena, &lease, &err) != 0) {
        lease.length_ms = LENGTH; /* the test took it away meanwhile */
    }
    int64_t length_ns = lease.length_ms * TIME_MS;
    int64_t deadline = fixture->came_ns + length_ns - lease_margin_ms(lease.length_ms) * TIME_MS;
    fixture->promised_ns = MAX(fixture->promised_ns, deadline);
    if (atomic_load(&fixture->file->deadline_ns) > fixture->came_ns + length_ns) {
        fixture->too_short++;
    }
}

static bool witness(void *context, const struct store_txn *txn, bool happened)
{
    struct fixture *fixture = context;
    (void)txn;
    thread_lock(&fixture->mutex);
    look_at_file(fixture);
    if (!happened) {
        fixture->came_ns = fence_lease_now();
        fixture->away += fixture->fate == FATE_AWAY ? 1 : 0;
    } else {
        note_happened(fixture);
    }
    (void)pthread_cond_broadcast(&fixture->changed);
    while (happened && fixture->fate == FATE_HANG) {
        (void)thread_wait_until(&fixture->changed, &fixture->mutex, mono_from_now(TIME_S));
    }
    enum fate fate = fixture->fate;
    if (happened && fate == FATE_DARK) {
        fickle_fail(fixture->store, true);
    }
    thread_unlock(&fixture->mutex);
    return happened ? fate != FATE_LOST && fate != FATE_DARK : fate != FATE_AWAY;
}

/* With the mutex held. */
static void begin_counting(struct fixture *fixture)
{
    fixture->happened_before = fixture->happened;
    fixture->away_before = fixture->away;
}

static void set_fate(struct fixture *fixture, enum fate fate)
{
    thread_lock(&fixture->mutex);
    fixture->fate = fate;
    begin_counting(fixture);
    (void)pthread_cond_broadcast(&fixture->changed);
    thread_unlock(&fixture->mutex);
}

/* Until so many transactions happened, and so many were refused, since the fate was set or they
 * were waited for. */
static void wait_for(struct fixture *fixture, unsigned happened, unsigned away)
{
    struct mono until = mono_from_now(TEST_PATIENCE);
    bool waits = true;
    thread_lock(&fixture->mutex);
    unsigned wanted = fixture->happened_before + happened;
    unsigned refused = fixture->away_before + away;
    while (waits && (fixture->happened < wanted || fixture->away < refused)) {
        waits = thread_wait_until(&fixture->changed, &fixture->mutex, until);
    }
    bool came = fixture->happened >= wanted && fixture->away >= refused;
    begin_counting(fixture);
    thread_unlock(&fixture->mutex);
    assert_true(came);
}

static void wait_happened(struct fixture *fixture, unsigned count)
{
    wait_for(fixture, count, 0);
}

static void wait_away(struct fixture *fixture, unsigned count)
{
    wait_for(fixture, 0, count);
}

static void told(void *context)
{
    struct fixture *fixture = context;
    (void)atomic_fetch_add(&fixture->changes, 1);
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    thread_sync_init(&fixture->mutex, &fixture->changed);
    test_folder_make(fixture->folder);
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/lease", fixture->folder);
    assert_int_equal(fence_lease_open(path, true, &fixture->file), 0);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    fickle_judge_commits(fixture->store, witness, fixture);
    const struct leases_config config = {
        .store = fixture->store, .changed = told, .context = fixture};
    assert_int_equal(leases_start(&config, &fixture->leases, &fixture->err), 0);
    fixture->hold = leases_add(fixture->leases, TEST_GROUP, MEMBER);
    assert_non_null(fixture->hold);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    set_fate(fixture, FATE_WELL);
    leases_remove(fixture->leases, fixture->hold);
    leases_stop(fixture->leases);
    store_close(fixture->store);
    store_close(fixture->inner);
    fence_lease_close(fixture->file);
    test_folder_remove(fixture->folder);
    thread_sync_done(&fixture->mutex, &fixture->changed);
    arena_done(&fixture->arena);
    assert_int_equal(fixture->too_late, 0);
    assert_int_equal(fixture->too_short, 0);
    free(fixture);
    return 0;
}

static struct model_database_lease record(void)
{
    return (struct model_database_lease){.epoch = EPOCH,
                                         .holder = MEMBER,
                                         .state = MODEL_DATABASE_LEASE_HELD,
                                         .length_ms = LENGTH,
                                         .renewals = 3};
}

/* What was sent then promises this much. */
static int64_t promise(struct fixture *fixture, int64_t sent_ns, int64_t length_ms)
{
    int64_t promised_ns = sent_ns + (length_ms - lease_margin_ms(length_ms)) * TIME_MS;
    thread_lock(&fixture->mutex);
    fixture->promised_ns = MAX(fixture->promised_ns, promised_ns);
    thread_unlock(&fixture->mutex);
    return promised_ns;
}

/* The member takes the lease, and renews it. */
static void begin_with(struct fixture *fixture, const struct model_database_lease *lease)
{
    int64_t sent_ns = fence_lease_now();
    int64_t revision = test_put_lease(fixture->inner, lease);
    (void)promise(fixture, sent_ns, lease->length_ms);
    lease_begin(fixture->leases, fixture->hold, fixture->file, lease, revision, sent_ns);
}

static void begin(struct fixture *fixture)
{
    const struct model_database_lease lease = record();
    begin_with(fixture, &lease);
}

/* The lease as it is in the store. */
static struct model_database_lease recorded(struct fixture *fixture, int64_t *ret_revision)
{
    struct model_database_lease lease;
    assert_true(test_get_lease(fixture->inner, &fixture->arena, &lease, ret_revision));
    return lease;
}

static struct lease_view look(struct fixture *fixture)
{
    struct lease_view view;
    lease_look(fixture->leases, fixture->hold, &view);
    return view;
}

static int64_t deadline(const struct fixture *fixture)
{
    return atomic_load(&fixture->file->deadline_ns);
}

static bool is_lost(void *context)
{
    return look(context).standing == LEASE_LOST;
}

/* Something is not yet as it was. */
struct moved {
    struct fixture *fixture;
    int64_t deadline_ns;
    unsigned changes;
};

static bool has_moved(void *context)
{
    const struct moved *moved = context;
    return deadline(moved->fixture) > moved->deadline_ns;
}

static bool was_told(void *context)
{
    const struct moved *moved = context;
    return atomic_load(&moved->fixture->changes) > moved->changes;
}

static struct moved now_of(struct fixture *fixture)
{
    return (struct moved){.fixture = fixture,
                          .deadline_ns = deadline(fixture),
                          .changes = atomic_load(&fixture->changes)};
}

static void each_renewal_moves_the_deadline_as_far_as_it_promises(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    assert_int_equal(deadline(fixture), look(fixture).deadline_ns);
    for (unsigned i = 0; i < 4; i++) {
        struct moved before = now_of(fixture);
        assert_true(test_becomes(has_moved, &before));
    }
    int64_t revision = 0;
    struct model_database_lease lease = recorded(fixture, &revision);
    assert_true(lease.renewals >= 7 && lease.epoch == EPOCH);
    assert_string_equal(lease.holder, MEMBER);
    assert_int_equal(look(fixture).standing, LEASE_HELD);
    assert_true(look(fixture).stop_ns < look(fixture).deadline_ns);
}

static void what_the_worker_notes_is_in_the_next_renewal(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    lease_note(fixture->leases, fixture->hold, LENGTH, 4096, 2);
    lease_note(fixture->leases, fixture->hold, LENGTH, 0, 0); /* not known: as it was */
    wait_happened(fixture, 2);
    int64_t revision = 0;
    struct model_database_lease lease = recorded(fixture, &revision);
    assert_int_equal(lease.flushed, 4096);
    assert_int_equal(lease.timeline, 2);
}

static void a_store_that_is_away_moves_nothing_and_is_asked_again(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    wait_happened(fixture, 1);
    set_fate(fixture, FATE_AWAY);
    wait_away(fixture, 1); /* so what went well before is noted */
    struct moved before = now_of(fixture);
    wait_away(fixture, 5);
    assert_int_equal(deadline(fixture), before.deadline_ns);
    assert_int_equal(look(fixture).standing, LEASE_HELD); /* until its end, by its own clock */
    set_fate(fixture, FATE_WELL);
    assert_true(test_becomes(has_moved, &before));
    assert_true(test_becomes(was_told, &before)); /* it is renewed again */
}

static void reads_that_fail_too_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    wait_happened(fixture, 1);
    set_fate(fixture, FATE_DARK);
    wait_happened(fixture, 1);
    struct moved before = now_of(fixture);
    set_fate(fixture, FATE_WELL);
    test_pause(200); /* some tries; fewer on a busy machine, and as right */
    assert_int_equal(deadline(fixture), before.deadline_ns);
    fickle_fail(fixture->store, false);
    assert_true(test_becomes(has_moved, &before));
    assert_int_equal(look(fixture).standing, LEASE_HELD);
}

static void a_renewal_whose_answer_is_lost_counts_once_it_is_found(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    set_fate(fixture, FATE_LOST);
    struct moved before = now_of(fixture);
    for (unsigned i = 0; i < 4; i++) { /* each of them happens, and no answer ever comes */
        assert_true(test_becomes(has_moved, &before));
        before = now_of(fixture);
    }
    assert_int_equal(look(fixture).standing, LEASE_HELD);
}

/* Its transaction was given up and happened all the same, long after. */
static void a_renewal_that_happens_late_counts_from_when_it_was_sent(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    wait_happened(fixture, 1);
    set_fate(fixture, FATE_AWAY);
    wait_away(fixture, 1);
    int64_t sent_before = fence_lease_now();
    struct moved before = now_of(fixture);
    wait_away(fixture, 3);
    int64_t revision = 0;
    struct model_database_lease lease = recorded(fixture, &revision);
    lease.renewals++;
    int64_t most = promise(fixture, sent_before, lease.length_ms);
    IGNORE_RESULT(test_put_lease(fixture->inner, &lease));
    assert_true(test_becomes(has_moved, &before));
    assert_true(deadline(fixture) <= most); /* the first of those without an answer */
    set_fate(fixture, FATE_WELL);
    before = now_of(fixture);
    assert_true(test_becomes(has_moved, &before));
}

static void an_answer_that_comes_late_counts_from_when_it_was_asked_for(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    set_fate(fixture, FATE_HANG);
    wait_happened(fixture, 1);
    struct moved before = now_of(fixture);
    test_pause(300); /* the longer, the worse it would be */
    assert_int_equal(deadline(fixture), before.deadline_ns);
    set_fate(fixture, FATE_WELL);
    assert_true(test_becomes(has_moved, &before)); /* the witness judges how far */
}

static void *end_it(void *context)
{
    struct fixture *fixture = context;
    struct lease_view view;
    lease_end(fixture->leases, fixture->hold, &view);
    return NULL;
}

static void who_ends_a_hold_waits_for_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    begin(fixture);
    set_fate(fixture, FATE_HANG);
    wait_happened(fixture, 1);
    struct moved before = now_of(fixture);
    assert_int_equal(thread_start(&thread, "test-end", end_it, fixture, &fixture->err), 0);
    test_pause(50); /* likely it waits already; if not, the test shows less */
    assert_int_equal(look(fixture).standing, LEASE_HELD);
    set_fate(fixture, FATE_WELL);
    thread_join(thread);
    assert_true(has_moved(&before)); /* that renewal happened before */
    assert_int_equal(look(fixture).standing, LEASE_NOT_HELD);
    int64_t last = deadline(fixture);
    unsigned happened = fixture->happened;
    test_pause(LENGTH / 2);
    assert_int_equal(deadline(fixture), last);
    assert_int_equal(fixture->happened, happened);
}

static void a_lease_that_somebody_voided_is_lost_and_revoked_at_once(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    wait_happened(fixture, 1);
    struct moved before = now_of(fixture);
    const struct model_database_lease freed = {
        .epoch = EPOCH + 1, .holder = "", .state = MODEL_DATABASE_LEASE_FREE, .length_ms = LENGTH};
    int64_t revision = test_put_lease(fixture->inner, &freed);
    assert_true(test_becomes(is_lost, fixture));
    assert_true(atomic_load(&fixture->file->closed) >= EPOCH);
    assert_true(test_becomes(was_told, &before));
    int64_t now = 0;
    (void)recorded(fixture, &now);
    assert_int_equal(now, revision); /* nobody writes over it */
}

static void a_lease_whose_record_is_gone_is_lost(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    const char *key = model_database_lease_key(&fixture->arena, TEST_GROUP);
    IGNORE_RESULT(test_delete(fixture->inner, key));
    assert_true(test_becomes(is_lost, fixture));
}

static void a_damaged_record_moves_nothing(void **state)
{
    struct fixture *fixture = *state;
    int64_t revision = 0;
    begin(fixture);
    wait_happened(fixture, 1);
    set_fate(fixture, FATE_AWAY);
    wait_away(fixture, 1);
    const struct model_database_lease lease = recorded(fixture, &revision);
    struct moved before = now_of(fixture);
    const char *key = model_database_lease_key(&fixture->arena, TEST_GROUP);
    IGNORE_RESULT(test_put_text(fixture->inner, key, "{\"v\":1,"));
    set_fate(fixture, FATE_WELL);
    test_pause(300); /* some tries */
    assert_int_equal(deadline(fixture), before.deadline_ns);
    assert_int_equal(look(fixture).standing, LEASE_HELD);
    IGNORE_RESULT(test_put_lease(fixture->inner, &lease)); /* mended */
    assert_true(test_becomes(has_moved, &before));
}

static void a_shorter_lease_never_promises_less_than_the_file_says(void **state)
{
    struct fixture *fixture = *state;
    struct model_database_lease lease = record();
    lease.length_ms = 3 * LENGTH;
    begin_with(fixture, &lease);
    lease_note(fixture->leases, fixture->hold, LENGTH, 0, 0);
    do { /* bit by bit; the witness judges each */
        int64_t revision = 0;
        wait_happened(fixture, 1);
        lease = recorded(fixture, &revision);
    } while (lease.length_ms > LENGTH);
}

static void a_hold_that_is_adopted_promises_nothing_before_its_first_renewal(void **state)
{
    struct fixture *fixture = *state;
    const struct model_database_lease lease = record();
    int64_t revision = test_put_lease(fixture->inner, &lease);
    struct moved before = now_of(fixture);
    set_fate(fixture, FATE_AWAY);
    lease_begin(fixture->leases, fixture->hold, fixture->file, &lease, revision, 0);
    wait_away(fixture, 2);
    assert_int_equal(deadline(fixture), 0);
    assert_int_equal(look(fixture).deadline_ns, 0);
    assert_int_equal(look(fixture).stop_ns, 0);
    set_fate(fixture, FATE_WELL);
    assert_true(test_becomes(has_moved, &before));
}

static void an_epoch_that_was_revoked_is_not_held_again(void **state)
{
    struct fixture *fixture = *state;
    fence_lease_revoke(fixture->file, EPOCH);
    begin(fixture);
    assert_int_equal(look(fixture).standing, LEASE_LOST);
    assert_int_equal(deadline(fixture), 0);
}

static void there_are_as_many_holds_as_the_limit_says(void **state)
{
    struct fixture *fixture = *state;
    struct lease_hold *holds[LEASES_LIMIT];
    for (size_t i = 1; i < LEASES_LIMIT; i++) {
        holds[i] = leases_add(fixture->leases, TEST_GROUP, MEMBER);
        assert_non_null(holds[i]);
    }
    assert_null(leases_add(fixture->leases, TEST_GROUP, MEMBER));
    for (size_t i = 1; i < LEASES_LIMIT; i++) {
        leases_remove(fixture->leases, holds[i]);
    }
    holds[0] = leases_add(fixture->leases, TEST_GROUP, MEMBER);
    assert_non_null(holds[0]);
    leases_remove(fixture->leases, holds[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_renewal_moves_the_deadline_as_far_as_it_promises),
        TEST(what_the_worker_notes_is_in_the_next_renewal),
        TEST(a_store_that_is_away_moves_nothing_and_is_asked_again),
        TEST(reads_that_fail_too_change_nothing),
        TEST(a_renewal_whose_answer_is_lost_counts_once_it_is_found),
        TEST(a_renewal_that_happens_late_counts_from_when_it_was_sent),
        TEST(an_answer_that_comes_late_counts_from_when_it_was_asked_for),
        TEST(who_ends_a_hold_waits_for_what_is_under_way),
        TEST(a_lease_that_somebody_voided_is_lost_and_revoked_at_once),
        TEST(a_lease_whose_record_is_gone_is_lost),
        TEST(a_damaged_record_moves_nothing),
        TEST(a_shorter_lease_never_promises_less_than_the_file_says),
        TEST(a_hold_that_is_adopted_promises_nothing_before_its_first_renewal),
        TEST(an_epoch_that_was_revoked_is_not_held_again),
        TEST(there_are_as_many_holds_as_the_limit_says),
    };
    return cmocka_run_group_tests_name("database/agent leases", tests, NULL, NULL);
}
