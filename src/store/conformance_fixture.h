/* What the two files of the conformance suite share: one open store a test, and calls that fail the
 * test when the store does. Private to the suite; the test's thread only. */
#ifndef STORE_CONFORMANCE_FIXTURE_H
#define STORE_CONFORMANCE_FIXTURE_H

#include "store/conformance.h"

struct fixture {
    struct store *store;
    struct arena arena;
    struct err err;
};

struct CMUnitTest;

/* cmocka's setup and teardown: *state is the fixture. */
int conformance_open(void **state);
int conformance_close(void **state);

#define CONFORMANCE_TEST(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, conformance_open, conformance_close)

/* Fails the test with the store's message unless rc is 0. */
void conformance_ok(struct fixture *fixture, int rc);
/* Fails the test unless the last call failed with this kind. */
void conformance_failed(struct fixture *fixture, int rc, enum err_kind kind);
/* Puts text under key in a transaction of its own; its revision. */
int64_t conformance_put(struct fixture *fixture, const char *key, const char *text);
int64_t conformance_delete(struct fixture *fixture, const char *key);
/* Commits and frees. */
int conformance_commit(struct fixture *fixture, struct store_txn *take_txn, int64_t *ret_revision);
bool conformance_has(struct fixture *fixture, const char *key);
struct store_list conformance_list(struct fixture *fixture, const char *prefix);
int64_t conformance_revision(struct fixture *fixture);
struct store_watch *conformance_watch(struct fixture *fixture, const char *prefix, int64_t after);
/* The next batch with changes; fails the test when none comes within ten seconds. */
struct store_batch conformance_next(struct fixture *fixture, struct store_watch *watch);

/* In conformance_watch_test.c. Lives as long as the program. */
const struct CMUnitTest *conformance_watch_tests(size_t *ret_count);

#endif
