/* What a link costs: round trips and watch events over it, beside the same calls on the store
 * itself. A memory store, so that no disk is measured; server and client are two processes, as they
 * are in use. Prints one line a figure, in microseconds: the median, and the slowest of a hundred.
 *
 *   bench_store_link [ROUNDS] */
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "store/link.h"
#include "store/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5000
#define KEY "db/group/grp-01234567890123456789012345"
#define ECHO "db/echo"

static void die(const struct err *err)
{
    (void)fprintf(stderr, "bench_store_link: %s\n", err->message);
    exit(EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe): one thread calls it */
}

static int compare(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void report(const char *what, int64_t *times, size_t count)
{
    const double us = (double)TIME_US;
    size_t late = count - count / 100;
    qsort(times, count, sizeof *times, compare);
    double median = (double)times[count >> 1U] / us;
    double slow = (double)times[late < count ? late : count - 1] / us;
    (void)printf("%-46s median %7.1f us   99 %% %7.1f us\n", what, median, slow);
}

static void put(struct store *store, const char *key)
{
    char value[600];
    int64_t revision = 0;
    struct err err = ERR_INIT;
    struct store_txn *txn = store_txn_new();
    (void)memset(value, 'v', sizeof value);
    store_txn_put(txn, key, value, sizeof value);
    if (store_commit(store, txn, &revision, &err) != 0) {
        die(&err);
    }
    store_txn_free(txn);
}

static void get(struct store *store, const char *key)
{
    struct arena arena;
    struct store_entry entry;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    if (store_get(store, key, &arena, &entry, &err) != 0) {
        die(&err);
    }
    arena_done(&arena);
}

static void measure(const char *where, const char *what, struct store *store,
                    void (*call)(struct store *store, const char *key), size_t rounds)
{
    int64_t *times = memory_array(rounds, sizeof *times);
    char title[64];
    for (size_t i = 0; i < rounds; i++) {
        struct mono start = mono_now();
        call(store, KEY);
        times[i] = mono_since(mono_now(), start);
    }
    (void)snprintf(title, sizeof title, "%s, %s", what, where); /* fits */
    report(title, times, rounds);
    free(times);
}

static struct store_watch *watch(struct store *store, const char *prefix)
{
    struct store_watch *one = NULL;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    if (store_revision(store, &revision, &err) != 0 ||
        store_watch_open(store, prefix, revision, &one, &err) != 0) {
        die(&err);
    }
    return one;
}

static void wait_for(struct store_watch *one)
{
    struct err err = ERR_INIT;
    struct store_batch batch = {0};
    while (batch.count == 0) {
        if (store_watch_next(one, 10000, &batch, &err) != 0) {
            die(&err);
        }
    }
}

/* The client's process: what it sees change it answers with a change. */
static void echo(const char *path, size_t rounds)
{
    struct store *store = NULL;
    struct err err = ERR_INIT;
    if (store_link_open(path, 0, &store, &err) != 0) {
        die(&err);
    }
    measure("link", "get", store, get, rounds);
    measure("link", "commit", store, put, rounds);
    struct store_watch *one = watch(store, KEY);
    put(store, ECHO);
    for (size_t i = 0; i < rounds; i++) {
        wait_for(one);
        put(store, ECHO);
    }
    store_watch_close(one);
    store_close(store);
    (void)fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/leeward-bench-XXXXXX";
    int64_t rounds = ROUNDS;
    struct err err = ERR_INIT;
    struct store_link_server *server = NULL;
    if ((argc > 1 && text_to_i64(argv[1], 100, 10000000, &rounds) != 0) ||
        mkdtemp(folder) == NULL) {
        (void)fprintf(stderr, "usage: %s [ROUNDS]\n", argv[0]);
        return EXIT_FAILURE;
    }
    char *path = memory_printf("%s/link", folder);
    const struct store_link_config config = {.path = path};
    struct store *store = store_memory_open();
    put(store, KEY);
    measure("store itself", "get", store, get, (size_t)rounds);
    measure("store itself", "commit", store, put, (size_t)rounds);
    (void)fflush(stdout);
    if (store_link_listen(&config, &server, &err) != 0) {
        die(&err);
    }
    pid_t child = fork();
    if (child == 0) {
        echo(path, (size_t)rounds);
    }
    if (store_link_serve(server, store, &err) != 0) {
        die(&err);
    }
    int64_t *times = memory_array((size_t)rounds, sizeof *times);
    struct store_watch *one = watch(store, ECHO);
    wait_for(one);
    for (int64_t i = 0; i < rounds; i++) {
        struct mono start = mono_now();
        put(store, KEY);
        wait_for(one);
        times[i] = mono_since(mono_now(), start);
    }
    (void)waitpid(child, NULL, 0); /* what it printed tells how it went */
    report("change, event at the client, its commit, event", times, (size_t)rounds);
    store_watch_close(one);
    store_link_stop(server);
    store_close(store);
    (void)rmdir(folder); /* a folder in /tmp that stays is no failure */
    free(times);
    free(path);
    return EXIT_SUCCESS;
}
