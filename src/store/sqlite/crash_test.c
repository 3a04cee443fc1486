/* Kills a writing process with SIGKILL at a random moment, again and again, on one store: every
 * commit that was acknowledged must be there afterwards, and no transaction in halves.
 *
 * The writer (a child, two threads, so that commits share an fsync) puts w<thread>/a and
 * w<thread>/b with the same counter and a filler in one transaction, and tells each commit that
 * returned through a pipe. The parent reads the pipe to its end after the kill. The seed is
 * printed; LEEWARD_SEED repeats a run, LEEWARD_ROUNDS makes it longer. */
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"
#include "store/sqlite.h"
#include "store/sqlite/folder.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 25
#define THREADS 2
#define FILLER 6000U /* more than a page: a torn transaction would show */
#define LONGEST_MS 60

struct acknowledgement {
    int thread;
    int64_t counter;
    int64_t revision;
};

struct writer {
    struct store *store;
    int thread;
    int64_t counter; /* the last one committed before this round */
    int pipe;
};

/* Counter, then bytes made of it. */
static void fill(unsigned char value[FILLER], int64_t counter)
{
    (void)memset(value, (int)(counter & 0xff), FILLER);
    (void)memcpy(value, &counter, sizeof counter);
}

static void *write_for_ever(void *context)
{
    struct writer *writer = context;
    unsigned char value[FILLER];
    char keys[2][16];
    (void)snprintf(keys[0], sizeof keys[0], "w%d/a", writer->thread); /* fits */
    (void)snprintf(keys[1], sizeof keys[1], "w%d/b", writer->thread); /* fits */
    for (;;) {
        struct err err = ERR_INIT;
        struct acknowledgement done = {.thread = writer->thread, .counter = ++writer->counter};
        struct store_txn *txn = store_txn_new();
        fill(value, done.counter);
        store_txn_put(txn, keys[0], value, sizeof value);
        store_txn_put(txn, keys[1], value, sizeof value);
        int rc = store_commit(writer->store, txn, &done.revision, &err);
        store_txn_free(txn);
        /* A write of this size to a pipe is whole or not there (PIPE_BUF). */
        if (rc != 0 || write(writer->pipe, &done, sizeof done) != (ssize_t)sizeof done) {
            _exit(3);
        }
    }
}

static void run_child(const char *folder, const int64_t counters[THREADS], int pipe)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    if (store_sqlite_open(folder, &store, &err) != 0) {
        (void)fprintf(stderr, "the writer cannot open: %s\n", err.message); /* and says so below */
        _exit(2);
    }
    for (int i = 0; i < THREADS; i++) {
        writers[i] =
            (struct writer){.store = store, .thread = i, .counter = counters[i], .pipe = pipe};
        if (pthread_create(&threads[i], NULL, write_for_ever, &writers[i]) != 0) {
            _exit(2);
        }
    }
    for (;;) {
        (void)pause(); /* until SIGKILL */
    }
}

/* The value of a key, or 0 when it was never written; fails the test on torn contents. */
static int64_t read_counter(struct store *store, const char *key, int64_t *ret_revision)
{
    struct err err = ERR_INIT;
    struct arena arena;
    struct store_entry entry = {0};
    int64_t counter = 0;
    arena_init(&arena, 0);
    int rc = store_get(store, key, &arena, &entry, &err);
    *ret_revision = 0;
    if (rc == 0) {
        unsigned char expected[FILLER];
        assert_int_equal(entry.size, FILLER);
        (void)memcpy(&counter, entry.value, sizeof counter);
        fill(expected, counter);
        assert_memory_equal(entry.value, expected, FILLER);
        *ret_revision = entry.changed_revision;
    } else {
        assert_string_equal(err_kind_name(err.kind), "NOT_FOUND");
    }
    arena_done(&arena);
    return counter;
}

/* Changes since revision `after`: both keys of each transaction, no revision left out. */
static void check_history(struct store *store, int64_t after, int64_t newest)
{
    struct err err = ERR_INIT;
    struct store_watch *watch = NULL;
    assert_int_equal(store_watch_open(store, "w", after, &watch, &err), 0);
    for (int64_t revision = after; revision < newest;) {
        struct store_batch batch = {0};
        assert_int_equal(store_watch_next(watch, 0, &batch, &err), 0);
        assert_int_equal(batch.count % 2, 0);
        for (size_t i = 0; i < batch.count; i += 2) {
            const struct store_entry *a = &batch.changes[i].entry;
            const struct store_entry *b = &batch.changes[i + 1].entry;
            assert_int_equal(a->changed_revision, ++revision);
            assert_int_equal(b->changed_revision, revision);
            assert_memory_equal(a->value, b->value, FILLER);
        }
        assert_int_equal(batch.revision, revision);
    }
    store_watch_close(watch);
}

/* Reads what the child acknowledged: the last of each thread. */
static int64_t read_acknowledged(int pipe, struct acknowledgement last[THREADS])
{
    struct acknowledgement done;
    int64_t count = 0;
    while (read(pipe, &done, sizeof done) == (ssize_t)sizeof done) {
        last[done.thread] = done;
        count++;
    }
    return count;
}

static int64_t run_round(const char *folder, struct random *random, int64_t counters[THREADS],
                         int64_t *revision)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]); /* the parent's end */
        run_child(folder, counters, ends[1]);
    }
    (void)close(ends[1]); /* the child's end */
    struct timespec wait = {.tv_nsec = (long)random_below(random, LONGEST_MS * 1000U) * TIME_US};
    (void)nanosleep(&wait, NULL); /* the random moment is the test */
    assert_int_equal(kill(child, SIGKILL), 0);
    struct acknowledgement last[THREADS];
    for (int i = 0; i < THREADS; i++) {
        last[i] = (struct acknowledgement){.counter = counters[i]};
    }
    int64_t count = read_acknowledged(ends[0], last);
    (void)close(ends[0]); /* read to its end */
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));

    struct err err = ERR_INIT;
    struct store *store = NULL;
    int64_t newest = 0;
    if (store_sqlite_open(folder, &store, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(store_revision(store, &newest, &err), 0);
    for (int i = 0; i < THREADS; i++) {
        char key[16];
        int64_t revisions[2];
        (void)snprintf(key, sizeof key, "w%d/a", i); /* fits */
        int64_t a = read_counter(store, key, &revisions[0]);
        key[3] = 'b';
        int64_t b = read_counter(store, key, &revisions[1]);
        assert_int_equal(a, b);
        assert_int_equal(revisions[0], revisions[1]);
        /* One more than acknowledged may be there: committed, killed before the pipe. */
        assert_true(a == last[i].counter || a == last[i].counter + 1);
        assert_true(revisions[0] >= last[i].revision && revisions[0] <= newest);
        counters[i] = a;
    }
    check_history(store, *revision, newest);
    *revision = newest;
    store_close(store);
    return count;
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    int64_t value = 0;
    return text != NULL && text_to_i64(text, 1, INT64_MAX, &value) == 0 ? (uint64_t)value
                                                                        : fallback;
}

static void acknowledged_commits_survive_a_kill_at_any_moment(void **state)
{
    (void)state;
    char folder[FOLDER_TEXT];
    uint64_t seed = 0;
    random_bytes(&seed, sizeof seed);
    seed = number_from("LEEWARD_SEED", (seed >> 1U) | 1U);
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct random random;
    random_init(&random, seed);
    folder_make(folder);
    int64_t counters[THREADS] = {0};
    int64_t revision = 0;
    int64_t acknowledged = 0;
    uint64_t rounds = number_from("LEEWARD_ROUNDS", ROUNDS);
    for (uint64_t i = 0; i < rounds; i++) {
        acknowledged += run_round(folder, &random, counters, &revision);
    }
    print_message("# %llu kills, %lld commits acknowledged, %lld revisions\n",
                  (unsigned long long)rounds, (long long)acknowledged, (long long)revision);
    assert_true(acknowledged > 0);
    assert_true(revision >= acknowledged);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_commits_survive_a_kill_at_any_moment),
    };
    return cmocka_run_group_tests_name("store crash: sqlite", tests, NULL, NULL);
}
