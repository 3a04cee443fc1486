/* Runs the conformance suite against a cluster of etcd: LEEWARD_TEST_ETCD has its endpoints
 * (test/lib/etcd.py starts one and runs this). Each test has a prefix of its own. */
#include "store/etcd.h"

#include "base/macro.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cluster {
    char *text;
    const char *endpoints[STORE_ETCD_ENDPOINTS];
    size_t count;
    unsigned tests;
};

static int open_store(void *context, struct store **ret_store, struct err *err)
{
    struct cluster *cluster = context;
    char prefix[64];
    (void)snprintf(prefix, sizeof prefix, "conformance/%ld/%u/", (long)getpid(),
                   cluster->tests++); /* fits */
    const struct store_etcd_config config = {
        .endpoints = cluster->endpoints,
        .endpoint_count = cluster->count,
        .prefix = prefix,
        .timeout_ms = 20000, /* machines that run tests are busy */
    };
    return store_etcd_open(&config, ret_store, err);
}

/* Nothing of a test may change the revision in the next one: a lease without keys ends silently. */
static void close_store(void *context, struct store *take_store)
{
    (void)context;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_delete_prefix(txn, "");
    if (store_commit(take_store, txn, &revision, &err) != 0) {
        (void)fprintf(stderr, "cannot empty the store: %s\n", err.message);
    }
    store_close(take_store);
}

int main(void)
{
    struct cluster cluster = {.count = 0};
    const char *endpoints =
        getenv("LEEWARD_TEST_ETCD"); /* NOLINT(concurrency-mt-unsafe): one thread */
    if (text_empty(endpoints)) {
        (void)puts("Bail out! LEEWARD_TEST_ETCD is not set: run this with test/lib/etcd.py");
        return EXIT_FAILURE;
    }
    cluster.text = memory_strdup(endpoints);
    char *rest = cluster.text;
    for (char *one = strsep(&rest, ","); one != NULL && cluster.count < STORE_ETCD_ENDPOINTS;
         one = strsep(&rest, ",")) {
        cluster.endpoints[cluster.count++] = one;
    }
    const struct store_factory factory = {
        .name = "etcd", .context = &cluster, .open = open_store, .close = close_store};
    int failed = store_conformance_run(&factory);
    free(cluster.text);
    return failed;
}
