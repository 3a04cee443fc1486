/* An etcd store by hand, for test/integration/test_etcd_faults.py: a line of standard input is a
 * call, a line of standard output what came of it. Each watch prints from a thread of its own.
 *
 *   store_etcd_shell OPTION=VALUE... ; options: endpoint (several), prefix, ca, certificate, key,
 * user, password, timeout put KEY VALUE | once KEY VALUE | get KEY | count PREFIX | revision |
 * compact REVISION | grant MS | keep LEASE | lease KEY VALUE LEASE | watch PREFIX AFTER | time
 * COUNT
 *
 * Answers: "ok ... MS" or "error KIND MS MESSAGE"; a watch says "event REVISION put|delete KEY
 * VALUE", "batch REVISION" and "ended KIND". */
#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/time.h"
#include "store/etcd.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_LIMIT 4096
#define WORDS 4

struct shell {
    struct store *store;
    struct arena arena; /* of one call */
    struct mono start;
};

static int64_t number(const char *text)
{
    int64_t value = 0;
    return text_to_i64(text, INT64_MIN, INT64_MAX, &value) == 0 ? value : 0;
}

static void tell(const struct shell *shell, int rc, const char *text, const struct err *err)
{
    int64_t ms = mono_since(mono_now(), shell->start) / TIME_MS;
    if (rc == 0) {
        (void)printf("ok %s %lld\n", text, (long long)ms); /* the test sees what is missing */
    } else {
        (void)printf("error %s %lld %s\n", err_kind_name(err->kind), (long long)ms, err->message);
    }
    (void)fflush(stdout);
}

static void tell_number(const struct shell *shell, int rc, int64_t value, const struct err *err)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)value); /* fits */
    tell(shell, rc, text, err);
}

static void *run_watch(void *context)
{
    struct store_watch *watch = context;
    for (;;) {
        struct err err = ERR_INIT;
        struct store_batch batch;
        int rc = store_watch_next(watch, -1, &batch, &err);
        if (rc != 0) {
            (void)printf("ended %s %s\n", err_kind_name(err.kind), err.message); /* as above */
            (void)fflush(stdout);
            break;
        }
        flockfile(stdout);
        for (size_t i = 0; i < batch.count; i++) {
            const struct store_change *change = &batch.changes[i];
            (void)printf("event %lld %s %s %s\n", (long long)change->entry.changed_revision,
                         change->type == STORE_PUT ? "put" : "delete", change->entry.key,
                         (const char *)change->entry.value);
        }
        (void)printf("batch %lld\n", (long long)batch.revision);
        (void)fflush(stdout);
        funlockfile(stdout);
    }
    store_watch_close(watch);
    return NULL;
}

static void put(struct shell *shell, char **words, bool once, bool leased)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (once) {
        store_txn_require_absent(txn, words[1]);
    }
    if (leased) {
        store_txn_put_leased(txn, words[1], words[2], strlen(words[2]), number(words[3]));
    } else {
        store_txn_put(txn, words[1], words[2], strlen(words[2]));
    }
    int rc = store_commit(shell->store, txn, &revision, &err);
    tell_number(shell, rc, revision, &err);
}

static int compare_ns(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* Microseconds of transactions with one key: median and 99th percentile. */
static void time_puts(struct shell *shell, size_t count)
{
    int64_t *times = memory_array(count, sizeof *times);
    struct err err = ERR_INIT;
    char text[64];
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        int64_t revision = 0;
        struct mono start = mono_now();
        struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
        store_txn_put(txn, "timed", "value", 5);
        rc = store_commit(shell->store, txn, &revision, &err);
        times[i] = mono_since(mono_now(), start);
    }
    qsort(times, count, sizeof *times, compare_ns);
    (void)snprintf(text, sizeof text, "%lld %lld", (long long)(times[count / 2] / TIME_US),
                   (long long)(times[count * 99 / 100] / TIME_US)); /* fits */
    free(times);
    tell(shell, rc, text, &err);
}

static void open_watch(struct shell *shell, const char *prefix, int64_t after)
{
    struct err err = ERR_INIT;
    struct store_watch *watch = NULL;
    pthread_t thread;
    int rc = store_watch_open(shell->store, prefix, after, &watch, &err);
    if (rc == 0) {
        rc = pthread_create(&thread, NULL, run_watch, watch);
        rc = rc != 0 ? rc : pthread_detach(thread); /* ends with the process */
    }
    tell(shell, rc, "watch", &err);
}

static void run(struct shell *shell, char **words, size_t count)
{
    struct err err = ERR_INIT;
    const char *verb = words[0];
    shell->start = mono_now();
    if (text_equal(verb, "put") || text_equal(verb, "once")) {
        put(shell, words, text_equal(verb, "once"), false);
    } else if (text_equal(verb, "lease")) {
        put(shell, words, false, true);
    } else if (text_equal(verb, "get")) {
        struct store_entry entry = {.value = ""};
        int rc = store_get(shell->store, words[1], &shell->arena, &entry, &err);
        tell(shell, rc, entry.value, &err);
    } else if (text_equal(verb, "count")) {
        size_t keys = 0;
        int rc = store_count(shell->store, count > 1 ? words[1] : "", &keys, &err);
        tell_number(shell, rc, (int64_t)keys, &err);
    } else if (text_equal(verb, "revision")) {
        int64_t revision = 0;
        int rc = store_revision(shell->store, &revision, &err);
        tell_number(shell, rc, revision, &err);
    } else if (text_equal(verb, "compact")) {
        tell(shell, store_compact(shell->store, number(words[1]), &err), "", &err);
    } else if (text_equal(verb, "grant")) {
        int64_t lease = 0;
        int rc = store_lease_grant(shell->store, number(words[1]), &lease, &err);
        tell_number(shell, rc, lease, &err);
    } else if (text_equal(verb, "keep")) {
        tell(shell, store_lease_keepalive(shell->store, number(words[1]), &err), "", &err);
    } else if (text_equal(verb, "watch")) {
        open_watch(shell, text_equal(words[1], "-") ? "" : words[1], number(words[2]));
    } else if (text_equal(verb, "time")) {
        time_puts(shell, (size_t)MAX(number(words[1]), 1));
    }
}

static void set_option(struct store_etcd_config *config, const char **endpoints, const char *name,
                       const char *value)
{
    if (text_equal(name, "endpoint") && config->endpoint_count < STORE_ETCD_ENDPOINTS) {
        endpoints[config->endpoint_count++] = value;
    } else if (text_equal(name, "prefix")) {
        config->prefix = value;
    } else if (text_equal(name, "ca")) {
        config->ca_file = value;
    } else if (text_equal(name, "certificate")) {
        config->certificate_file = value;
    } else if (text_equal(name, "key")) {
        config->key_file = value;
    } else if (text_equal(name, "user")) {
        config->user = value;
    } else if (text_equal(name, "password")) {
        config->password = value;
    } else if (text_equal(name, "timeout")) {
        config->timeout_ms = (int)number(value);
    }
}

int main(int argc, char **argv)
{
    const char *endpoints[STORE_ETCD_ENDPOINTS];
    struct store_etcd_config config = {.endpoints = endpoints};
    struct shell shell = {.store = NULL};
    struct err err = ERR_INIT;
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL) {
            *value++ = '\0';
            set_option(&config, endpoints, argv[i], value);
        }
    }
    if (store_etcd_open(&config, &shell.store, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }
    char line[LINE_LIMIT];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *words[WORDS] = {line, line + strlen(line), line + strlen(line), line + strlen(line)};
        size_t count = 0;
        char *rest = line;
        for (char *word = strsep(&rest, " \n"); word != NULL && count < WORDS;
             word = strsep(&rest, " \n")) {
            words[count] = word[0] != '\0' ? word : words[count];
            count += word[0] != '\0';
        }
        arena_init(&shell.arena, 0);
        run(&shell, words, count);
        arena_done(&shell.arena);
    }
    _Exit(0); /* watches may still wait */
}
