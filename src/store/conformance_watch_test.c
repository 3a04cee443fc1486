/* The conformance suite, second half: watches, leases, and many threads at once; see
 * conformance.h. Assertions happen on the test's thread only: other threads count what went wrong.
 * Nothing sleeps for a fixed time; waits have generous deadlines. */
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "store/conformance_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* For what comes in moments: a test waits for so long only when it fails, or on a machine that is
 * so busy. 64 MiB of history through etcd's gateway have taken more than 10 s on such. */
#define WAIT_MS 60000

struct store_watch *conformance_watch(struct fixture *fixture, const char *prefix, int64_t after)
{
    struct store_watch *watch = NULL;
    conformance_ok(fixture, store_watch_open(fixture->store, prefix, after, &watch, &fixture->err));
    return watch;
}

struct store_batch conformance_next(struct fixture *fixture, struct store_watch *watch)
{
    struct store_batch batch = {0};
    struct mono end = {mono_now().ns + WAIT_MS * TIME_MS};
    do {
        int rc = store_watch_next(watch, WAIT_MS, &batch, &fixture->err);
        conformance_ok(fixture, rc);
    } while (batch.count == 0 && mono_since(mono_now(), end) < 0);
    assert_true(batch.count > 0);
    return batch;
}

/* Nothing more is there: a timeout, or batches that only tell of progress. */
static void assert_quiet(struct fixture *fixture, struct store_watch *watch)
{
    struct store_batch batch = {0};
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = store_watch_next(watch, 0, &batch, &fixture->err);
        assert_true(rc != 0 || batch.count == 0);
    }
    conformance_failed(fixture, rc, ERR_TIMEOUT);
}

static void assert_change(const struct store_change *change, enum store_change_type type,
                          const char *key, int64_t revision)
{
    assert_int_equal(change->type, type);
    assert_string_equal(change->entry.key, key);
    assert_int_equal(change->entry.changed_revision, revision);
}

/* ---- watches ---- */

static void a_watch_starts_after_its_revision(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "w/a", "before");
    int64_t start = conformance_revision(fixture);
    int64_t first = conformance_put(fixture, "w/b", "1");
    struct store_watch *watch = conformance_watch(fixture, "w/", start);
    struct store_batch batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 1);
    assert_true(batch.revision >= first);
    assert_change(&batch.changes[0], STORE_PUT, "w/b", first);
    assert_string_equal(batch.changes[0].entry.value, "1");
    assert_int_equal(batch.changes[0].entry.created_revision, first);
    assert_int_equal(batch.changes[0].entry.version, 1);
    assert_quiet(fixture, watch);
    int64_t second = conformance_put(fixture, "w/b", "2");
    batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 1);
    assert_change(&batch.changes[0], STORE_PUT, "w/b", second);
    assert_int_equal(batch.changes[0].entry.created_revision, first);
    assert_int_equal(batch.changes[0].entry.version, 2);
    store_watch_close(watch);
}

static void a_watch_from_the_newest_revision_waits(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "w/a", "before");
    struct store_watch *watch = conformance_watch(fixture, "w/", conformance_revision(fixture));
    assert_quiet(fixture, watch);
    struct store_batch batch = {.revision = -3};
    struct mono start = mono_now();
    int rc = store_watch_next(watch, 30, &batch, &fixture->err);
    conformance_failed(fixture, rc, ERR_TIMEOUT);
    assert_int_equal(batch.revision, -3);
    assert_true(mono_since(mono_now(), start) >= 29 * TIME_MS);
    store_watch_close(watch);
}

static void a_watch_sees_only_its_prefix(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = conformance_revision(fixture);
    struct store_watch *watch = conformance_watch(fixture, "w/", start);
    struct store_watch *all = conformance_watch(fixture, "", start);
    (void)conformance_put(fixture, "v/a", "");
    (void)conformance_put(fixture, "w", "");
    (void)conformance_put(fixture, "w0", "");
    int64_t mine = conformance_put(fixture, "w/x", "");
    (void)conformance_put(fixture, "x", "");
    struct store_batch batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 1);
    assert_change(&batch.changes[0], STORE_PUT, "w/x", mine);
    assert_quiet(fixture, watch);
    size_t seen = 0;
    while (seen < 5) {
        seen += conformance_next(fixture, all).count;
    }
    assert_int_equal(seen, 5);
    store_watch_close(watch);
    store_watch_close(all);
}

static void deletes_are_told_by_key_and_revision(void **state)
{
    struct fixture *fixture = *state;
    (void)conformance_put(fixture, "w/a", "1");
    (void)conformance_put(fixture, "w/b", "1");
    (void)conformance_put(fixture, "w/c", "1");
    struct store_watch *watch = conformance_watch(fixture, "w/", conformance_revision(fixture));
    int64_t revision = conformance_delete(fixture, "w/b");
    struct store_batch batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 1);
    assert_change(&batch.changes[0], STORE_DELETE, "w/b", revision);
    assert_int_equal(batch.changes[0].entry.size, 0);
    assert_int_equal(batch.changes[0].entry.version, 0);
    struct store_txn *txn = store_txn_new();
    store_txn_delete_prefix(txn, "w");
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 2);
    assert_change(&batch.changes[0], STORE_DELETE, "w/a", revision);
    assert_change(&batch.changes[1], STORE_DELETE, "w/c", revision);
    store_watch_close(watch);
}

static void a_transaction_arrives_whole(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = conformance_revision(fixture);
    int64_t revisions[3];
    for (int round = 0; round < 3; round++) { /* more than any backend puts into a batch */
        struct store_txn *txn = store_txn_new();
        for (unsigned i = 0; i < 3000; i++) {
            char key[32];
            (void)snprintf(key, sizeof key, "w/%04u", i); /* fits */
            store_txn_put(txn, key, "value", 5);
        }
        conformance_ok(fixture, conformance_commit(fixture, txn, &revisions[round]));
    }
    struct store_watch *watch = conformance_watch(fixture, "w/", start);
    size_t seen[3] = {0};
    int64_t last = start;
    while (seen[2] == 0) {
        struct store_batch batch = conformance_next(fixture, watch);
        for (size_t i = 0; i < batch.count; i++) {
            int64_t revision = batch.changes[i].entry.changed_revision;
            assert_true(revision >= last && revision <= batch.revision);
            last = revision;
            seen[revision - revisions[0]]++;
        }
        for (int round = 0; round < 3; round++) {
            assert_int_equal(seen[round], revisions[round] <= batch.revision ? 3000 : 0);
        }
    }
    assert_quiet(fixture, watch);
    store_watch_close(watch);
}

static void every_version_of_a_key_is_told(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = conformance_revision(fixture);
    for (int i = 0; i < 20; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i); /* fits */
        (void)conformance_put(fixture, "w/a", text);
    }
    struct store_watch *watch = conformance_watch(fixture, "w/a", start);
    int seen = 0;
    while (seen < 20) {
        struct store_batch batch = conformance_next(fixture, watch);
        for (size_t i = 0; i < batch.count; i++) {
            char text[16];
            (void)snprintf(text, sizeof text, "%d", seen++); /* fits */
            assert_string_equal(batch.changes[i].entry.value, text);
            assert_int_equal(batch.changes[i].entry.version, seen);
        }
    }
    assert_quiet(fixture, watch);
    store_watch_close(watch);
}

static void progress_never_runs_ahead_of_changes(void **state)
{
    struct fixture *fixture = *state;
    struct store_watch *watch = conformance_watch(fixture, "w/", conformance_revision(fixture));
    for (int i = 0; i < 5; i++) {
        int64_t other = conformance_put(fixture, "other", "");
        struct store_batch batch = {0};
        int rc = store_watch_next(watch, 0, &batch, &fixture->err);
        if (rc == 0) { /* a backend may tell of progress, or not */
            assert_int_equal(batch.count, 0);
            assert_true(batch.revision <= other);
        }
        int64_t mine = conformance_put(fixture, "w/a", "");
        batch = conformance_next(fixture, watch);
        assert_true(batch.revision >= mine);
        assert_change(&batch.changes[0], STORE_PUT, "w/a", mine);
    }
    store_watch_close(watch);
}

static void a_compacted_watch_is_told(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = conformance_put(fixture, "w/a", "0");
    (void)conformance_put(fixture, "w/a", "1");
    int64_t middle = conformance_put(fixture, "w/b", "2");
    int64_t last = conformance_put(fixture, "w/b", "3");
    struct store_watch *before = conformance_watch(fixture, "w/", start);
    conformance_ok(fixture, store_compact(fixture->store, middle, &fixture->err));
    struct store_batch batch;
    int rc = store_watch_next(before, WAIT_MS, &batch, &fixture->err);
    conformance_failed(fixture, rc, ERR_COMPACTED);
    store_watch_close(before);
    struct store_watch *after = conformance_watch(fixture, "w/", middle);
    batch = conformance_next(fixture, after);
    assert_int_equal(batch.count, 1);
    assert_change(&batch.changes[0], STORE_PUT, "w/b", last);
    store_watch_close(after);
    /* The keys themselves are untouched. */
    assert_true(conformance_has(fixture, "w/a"));
    rc = store_compact(fixture->store, conformance_revision(fixture) + 1, &fixture->err);
    conformance_failed(fixture, rc, ERR_INVALID);
}

static void history_is_bounded_in_bytes_too(void **state)
{
    struct fixture *fixture = *state;
    char *value = memory_array(STORE_VALUE_LIMIT, 1);
    (void)memset(value, 'v', STORE_VALUE_LIMIT);
    int64_t start = conformance_put(fixture, "w/a", "1");
    const int kept = STORE_HISTORY_BYTES / (int)(STORE_VALUE_LIMIT + strlen("w/a"));
    for (int i = 0; i < kept + 1; i++) {
        int64_t revision = 0;
        struct store_txn *txn = store_txn_new();
        store_txn_put(txn, "w/a", value, STORE_VALUE_LIMIT);
        conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    }
    free(value);
    int64_t newest = conformance_revision(fixture);
    assert_int_equal(newest, start + kept + 1);
    struct store_batch batch = {0};
    struct store_watch *watch = conformance_watch(fixture, "w/", newest - kept - 1);
    int rc = store_watch_next(watch, 0, &batch, &fixture->err);
    conformance_failed(fixture, rc, ERR_COMPACTED);
    store_watch_close(watch);
    watch = conformance_watch(fixture, "w/", newest - kept);
    batch = conformance_next(fixture, watch);
    assert_int_equal(batch.changes[0].entry.changed_revision, newest - kept + 1);
    store_watch_close(watch);
}

static void a_watch_that_has_seen_all_survives_compaction(void **state)
{
    struct fixture *fixture = *state;
    struct store_watch *watch = conformance_watch(fixture, "w/", conformance_revision(fixture));
    (void)conformance_put(fixture, "w/a", "1");
    (void)conformance_next(fixture, watch);
    conformance_ok(fixture,
                   store_compact(fixture->store, conformance_revision(fixture), &fixture->err));
    int64_t revision = conformance_put(fixture, "w/a", "2");
    struct store_batch batch = conformance_next(fixture, watch);
    assert_change(&batch.changes[0], STORE_PUT, "w/a", revision);
    store_watch_close(watch);
}

static void *interrupt(void *context)
{
    store_watch_interrupt(context);
    return NULL;
}

static void an_interrupt_ends_a_wait_and_sticks(void **state)
{
    struct fixture *fixture = *state;
    struct store_watch *watch = conformance_watch(fixture, "w/", conformance_revision(fixture));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt, watch), 0);
    struct store_batch batch;
    int rc = store_watch_next(watch, -1, &batch, &fixture->err);
    conformance_failed(fixture, rc, ERR_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)conformance_put(fixture, "w/a", "");
    store_watch_interrupt(watch);
    rc = store_watch_next(watch, WAIT_MS, &batch, &fixture->err);
    conformance_failed(fixture, rc, ERR_CANCELLED);
    store_watch_close(watch);
}

/* ---- threads ---- */

#define WRITERS 4
#define ROUNDS 50

struct writer {
    struct store *store;
    int number;
    int failures;
};

/* Each transaction writes x/<number> and y/<number> with the same text. */
static void *write_pairs(void *context)
{
    struct writer *writer = context;
    char x[16];
    char y[16];
    (void)snprintf(x, sizeof x, "x/%d", writer->number); /* fits */
    (void)snprintf(y, sizeof y, "y/%d", writer->number); /* fits */
    for (int i = 0; i < ROUNDS; i++) {
        struct err err = ERR_INIT;
        int64_t revision = 0;
        struct store_txn *txn = store_txn_new();
        store_txn_put(txn, x, &i, sizeof i);
        store_txn_put(txn, y, &i, sizeof i);
        writer->failures += store_commit(writer->store, txn, &revision, &err) != 0;
        store_txn_free(txn);
    }
    return NULL;
}

struct watcher {
    struct store *store;
    int64_t start;
    int failures;
};

static bool pair_matches(const struct store_change *a, const struct store_change *b)
{
    return a->entry.changed_revision == b->entry.changed_revision && a->entry.key[0] == 'x' &&
           b->entry.key[0] == 'y' && text_equal(a->entry.key + 1, b->entry.key + 1) &&
           a->entry.version == b->entry.version && a->entry.size == sizeof(int) &&
           memcmp(a->entry.value, b->entry.value, sizeof(int)) == 0;
}

/* Reads all pairs: each in one batch, in the order of revisions, no version left out or twice. */
static void *watch_pairs(void *context)
{
    struct watcher *watcher = context;
    struct err err = ERR_INIT;
    struct store_watch *watch = NULL;
    int64_t versions[WRITERS] = {0};
    int64_t last = watcher->start;
    if (store_watch_open(watcher->store, "", watcher->start, &watch, &err) != 0) {
        watcher->failures++;
        return NULL;
    }
    for (int seen = 0; seen < WRITERS * ROUNDS;) {
        struct store_batch batch = {0};
        if (store_watch_next(watch, WAIT_MS, &batch, &err) != 0) {
            watcher->failures++;
            break;
        }
        watcher->failures += batch.count % 2 != 0;
        for (size_t i = 0; i + 1 < batch.count; i += 2, seen++) {
            const struct store_change *a = &batch.changes[i];
            int64_t revision = a->entry.changed_revision;
            watcher->failures += revision <= last || revision > batch.revision;
            last = revision;
            watcher->failures += !pair_matches(a, &batch.changes[i + 1]);
            watcher->failures += ++versions[(a->entry.key[2] - '0') % WRITERS] != a->entry.version;
        }
    }
    store_watch_close(watch);
    return NULL;
}

/* Both keys of a pair always have the same value in one snapshot. */
static void *read_pairs(void *context)
{
    struct watcher *reader = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct err err = ERR_INIT;
        struct arena arena;
        struct store_list list = {0};
        arena_init(&arena, 0);
        if (store_range(reader->store, "", NULL, 0, &arena, &list, &err) != 0 ||
            list.count % 2 != 0) {
            reader->failures++;
        } else {
            for (size_t k = 0; k < list.count / 2; k++) {
                const struct store_entry *a = &list.entries[k];
                const struct store_entry *b = &list.entries[k + list.count / 2];
                reader->failures += a->changed_revision != b->changed_revision;
                reader->failures += a->changed_revision > list.revision;
            }
        }
        arena_done(&arena);
    }
    return NULL;
}

static void nothing_is_lost_or_torn_among_many_threads(void **state)
{
    struct fixture *fixture = *state;
    struct writer writers[WRITERS];
    struct watcher watchers[2];
    struct watcher reader = {.store = fixture->store};
    pthread_t threads[WRITERS + 3];
    size_t count = 0;
    int64_t start = conformance_revision(fixture);
    for (size_t i = 0; i < ARRAY_SIZE(watchers); i++) {
        watchers[i] = (struct watcher){.store = fixture->store, .start = start};
        assert_int_equal(pthread_create(&threads[count++], NULL, watch_pairs, &watchers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.store = fixture->store, .number = i};
        assert_int_equal(pthread_create(&threads[count++], NULL, write_pairs, &writers[i]), 0);
    }
    assert_int_equal(pthread_create(&threads[count++], NULL, read_pairs, &reader), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(conformance_revision(fixture), start + (int64_t)WRITERS * ROUNDS);
    assert_int_equal(reader.failures, 0);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(writers[i].failures, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(watchers); i++) {
        assert_int_equal(watchers[i].failures, 0);
    }
}

static int read_counter(struct store *store, int *ret_value, int64_t *ret_revision, struct err *err)
{
    struct arena arena;
    struct store_entry entry = {0};
    arena_init(&arena, 0);
    int rc = store_get(store, "counter", &arena, &entry, err);
    if (rc == 0) {
        (void)memcpy(ret_value, entry.value, sizeof *ret_value);
        *ret_revision = entry.changed_revision;
    }
    arena_done(&arena);
    return rc;
}

static void *increment(void *context)
{
    struct writer *writer = context;
    for (int done = 0; done < ROUNDS && writer->failures == 0;) {
        struct err err = ERR_INIT;
        int value = 0;
        int64_t revision = 0;
        if (read_counter(writer->store, &value, &revision, &err) != 0) {
            writer->failures++;
            break;
        }
        value++;
        struct store_txn *txn = store_txn_new();
        store_txn_require_revision(txn, "counter", revision);
        store_txn_put(txn, "counter", &value, sizeof value);
        int rc = store_commit(writer->store, txn, &revision, &err);
        store_txn_free(txn);
        if (rc == 0) {
            done++;
        } else {
            writer->failures += err.kind != ERR_CONFLICT;
        }
    }
    return NULL;
}

static void compares_make_a_counter_exact(void **state)
{
    struct fixture *fixture = *state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    int value = 0;
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "counter", &value, sizeof value);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.store = fixture->store, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, increment, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(writers[i].failures, 0);
    }
    conformance_ok(fixture, read_counter(fixture->store, &value, &revision, &fixture->err));
    assert_int_equal(value, WRITERS * ROUNDS);
}

/* ---- leases ---- */

static int64_t grant(struct fixture *fixture, int64_t ttl_ms)
{
    int64_t lease = 0;
    conformance_ok(fixture, store_lease_grant(fixture->store, ttl_ms, &lease, &fixture->err));
    assert_true(lease != 0);
    return lease;
}

static void put_leased(struct fixture *fixture, const char *key, int64_t lease)
{
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put_leased(txn, key, "leased", 6, lease);
    conformance_ok(fixture, conformance_commit(fixture, txn, &revision));
}

static void leases_have_bounds(void **state)
{
    struct fixture *fixture = *state;
    const int64_t wrong[] = {-1, 0, 999, 86400001};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        int64_t lease = 0;
        int rc = store_lease_grant(fixture->store, wrong[i], &lease, &fixture->err);
        conformance_failed(fixture, rc, ERR_INVALID);
    }
    assert_true(grant(fixture, 86400000) != grant(fixture, 86400000));
}

static void a_revoked_lease_takes_its_keys_with_it(void **state)
{
    struct fixture *fixture = *state;
    int64_t lease = grant(fixture, 60000);
    int64_t other = grant(fixture, 60000);
    put_leased(fixture, "l/a", lease);
    put_leased(fixture, "l/b", lease);
    put_leased(fixture, "l/c", other);
    (void)conformance_put(fixture, "l/d", "");
    struct store_list list = conformance_list(fixture, "l/a");
    assert_int_equal(list.entries[0].lease, lease);
    int64_t before = conformance_revision(fixture);
    struct store_watch *watch = conformance_watch(fixture, "l/", before);
    conformance_ok(fixture, store_lease_revoke(fixture->store, lease, &fixture->err));
    assert_false(conformance_has(fixture, "l/a"));
    assert_false(conformance_has(fixture, "l/b"));
    assert_true(conformance_has(fixture, "l/c"));
    assert_true(conformance_has(fixture, "l/d"));
    assert_int_equal(conformance_revision(fixture), before + 1);
    struct store_batch batch = conformance_next(fixture, watch);
    assert_int_equal(batch.count, 2);
    assert_change(&batch.changes[0], STORE_DELETE, "l/a", before + 1);
    assert_change(&batch.changes[1], STORE_DELETE, "l/b", before + 1);
    store_watch_close(watch);
    conformance_failed(fixture, store_lease_revoke(fixture->store, lease, &fixture->err),
                       ERR_NOT_FOUND);
    conformance_failed(fixture, store_lease_keepalive(fixture->store, lease, &fixture->err),
                       ERR_NOT_FOUND);
}

static void a_lease_without_keys_ends_without_a_revision(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = conformance_revision(fixture);
    int64_t lease = grant(fixture, 60000);
    conformance_ok(fixture, store_lease_revoke(fixture->store, lease, &fixture->err));
    assert_int_equal(conformance_revision(fixture), before);
}

static void an_unknown_lease_takes_no_keys(void **state)
{
    struct fixture *fixture = *state;
    int64_t before = conformance_revision(fixture);
    int64_t revision = 0;
    struct store_txn *txn = store_txn_new();
    store_txn_put(txn, "a", "", 0);
    store_txn_put_leased(txn, "b", "", 0, 4711);
    conformance_failed(fixture, conformance_commit(fixture, txn, &revision), ERR_NOT_FOUND);
    assert_false(conformance_has(fixture, "a"));
    assert_int_equal(conformance_revision(fixture), before);
    conformance_failed(fixture, store_lease_keepalive(fixture->store, 4711, &fixture->err),
                       ERR_NOT_FOUND);
}

static void a_plain_put_frees_a_key_from_its_lease(void **state)
{
    struct fixture *fixture = *state;
    int64_t lease = grant(fixture, 60000);
    put_leased(fixture, "l/a", lease);
    (void)conformance_put(fixture, "l/a", "free");
    assert_int_equal(conformance_list(fixture, "l/a").entries[0].lease, 0);
    conformance_ok(fixture, store_lease_revoke(fixture->store, lease, &fixture->err));
    assert_true(conformance_has(fixture, "l/a"));
}

static void a_lease_that_is_not_kept_alive_expires(void **state)
{
    struct fixture *fixture = *state;
    struct mono start = mono_now();
    int64_t lease = grant(fixture, 1000);
    int64_t kept = grant(fixture, 1000);
    put_leased(fixture, "l/a", lease);
    put_leased(fixture, "l/b", lease);
    put_leased(fixture, "l/kept", kept);
    struct store_watch *watch = conformance_watch(fixture, "l/", conformance_revision(fixture));
    struct store_batch batch = {0};
    int rc = 0;
    do { /* the wait is the test's clock: keepalive runs several times within the lease */
        conformance_ok(fixture, store_lease_keepalive(fixture->store, kept, &fixture->err));
        rc = store_watch_next(watch, 200, &batch, &fixture->err);
        assert_true(rc == 0 || fixture->err.kind == ERR_TIMEOUT);
        assert_true(mono_since(mono_now(), start) < WAIT_MS * TIME_MS);
    } while (rc != 0 || batch.count == 0);
    assert_true(mono_since(mono_now(), start) >= 1000 * TIME_MS);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.changes[0].type, STORE_DELETE);
    assert_string_equal(batch.changes[0].entry.key, "l/a");
    assert_string_equal(batch.changes[1].entry.key, "l/b");
    assert_int_equal(batch.changes[0].entry.changed_revision,
                     batch.changes[1].entry.changed_revision);
    conformance_failed(fixture, store_lease_keepalive(fixture->store, lease, &fixture->err),
                       ERR_NOT_FOUND);
    assert_true(conformance_has(fixture, "l/kept"));
    store_watch_close(watch);
}

static const struct CMUnitTest tests[] = {
    CONFORMANCE_TEST(a_watch_starts_after_its_revision),
    CONFORMANCE_TEST(a_watch_from_the_newest_revision_waits),
    CONFORMANCE_TEST(a_watch_sees_only_its_prefix),
    CONFORMANCE_TEST(deletes_are_told_by_key_and_revision),
    CONFORMANCE_TEST(a_transaction_arrives_whole),
    CONFORMANCE_TEST(every_version_of_a_key_is_told),
    CONFORMANCE_TEST(progress_never_runs_ahead_of_changes),
    CONFORMANCE_TEST(a_compacted_watch_is_told),
    CONFORMANCE_TEST(history_is_bounded_in_bytes_too),
    CONFORMANCE_TEST(a_watch_that_has_seen_all_survives_compaction),
    CONFORMANCE_TEST(an_interrupt_ends_a_wait_and_sticks),
    CONFORMANCE_TEST(nothing_is_lost_or_torn_among_many_threads),
    CONFORMANCE_TEST(compares_make_a_counter_exact),
    CONFORMANCE_TEST(leases_have_bounds),
    CONFORMANCE_TEST(a_revoked_lease_takes_its_keys_with_it),
    CONFORMANCE_TEST(a_lease_without_keys_ends_without_a_revision),
    CONFORMANCE_TEST(an_unknown_lease_takes_no_keys),
    CONFORMANCE_TEST(a_plain_put_frees_a_key_from_its_lease),
    CONFORMANCE_TEST(a_lease_that_is_not_kept_alive_expires),
};

const struct CMUnitTest *conformance_watch_tests(size_t *ret_count)
{
    *ret_count = ARRAY_SIZE(tests);
    return tests;
}
