/* Fills a store for bench/dns, as fast as transactions allow: lines "KEY<tab>VALUE" on standard
 * input become keys of the embedded store in DIR, PAIRS_A_COMMIT at a time. One thread.
 *
 * usage: bench_dns_store DIR < lines */
#include "base/macro.h"
#include "store/sqlite.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_A_COMMIT 8000U

static NORETURN void die(const struct err *err)
{
    (void)fprintf(stderr, "bench_dns_store: %s\n", err->message);
    exit(2); /* NOLINT(concurrency-mt-unsafe): nothing else runs here */
}

static void commit(struct store *store, struct store_txn **txn)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    if (store_commit(store, *txn, &revision, &err) != 0) {
        die(&err);
    }
    store_txn_free(*txn);
    *txn = store_txn_new();
}

int main(int argc, char **argv)
{
    struct store *store = NULL;
    struct err err = ERR_INIT;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIR < lines\n", argv[0]);
        return 2;
    }
    if (store_sqlite_open(argv[1], &store, &err) != 0) {
        die(&err);
    }
    struct store_txn *txn = store_txn_new();
    char *line = NULL;
    size_t room = 0;
    size_t pairs = 0;
    for (ssize_t size = getline(&line, &room, stdin); size > 0;
         size = getline(&line, &room, stdin)) {
        char *tab = strchr(line, '\t');
        if (tab == NULL) {
            continue;
        }
        line[size - (line[size - 1] == '\n' ? 1 : 0)] = '\0';
        *tab = '\0';
        store_txn_put(txn, line, tab + 1, strlen(tab + 1));
        if (++pairs % PAIRS_A_COMMIT == 0) {
            commit(store, &txn);
        }
    }
    commit(store, &txn);
    store_txn_free(txn);
    free(line);
    store_close(store);
    return 0;
}
