/* For tests of replicas: a replica in a temporary folder, and a truth that is a memory store behind
 * one that fails on demand. Test programs only; one thread. */
#ifndef STORE_REPLICA_FIXTURE_H
#define STORE_REPLICA_FIXTURE_H

#include "store/fickle_store.h"
#include "store/memory.h"
#include "store/replica.h"
#include "store/sqlite/fault_vfs.h"
#include "store/sqlite/folder.h"

#define PULSE_MS 20U
#define PATIENCE_S 120

struct fixture {
    char folder[FOLDER_TEXT];
    char file[FOLDER_TEXT + 16];
    struct store *inner;
    struct store *truth;
    struct store *older; /* what was in place of inner before */
    struct replica *replica;
    struct arena arena;
    struct err err;
};

#define TEST_FOLLOWER(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, follower_set_up, follower_tear_down)

#define FOLLOWER_WAIT(fixture, condition)                                                          \
    do {                                                                                           \
        struct mono until_ = {.ns = mono_now().ns + PATIENCE_S * TIME_S};                          \
        while (!(condition)) {                                                                     \
            follower_require(mono_since(mono_now(), until_) < 0, #condition);                      \
            follower_sleep(2);                                                                     \
        }                                                                                          \
    } while (0)

/* Ends the program where it does not hold. */
void follower_require(bool holds, const char *what);
int follower_set_up(void **state);
int follower_tear_down(void **state);
void follower_start(struct fixture *fixture);
void follower_stop(struct fixture *fixture);
void follower_put_in(struct store *store, const char *key, const char *text);
/* Into the truth. */
void follower_put(struct fixture *fixture, const char *key, const char *text);
void follower_delete(struct fixture *fixture, const char *prefix);
/* So many keys below r53/many/. */
void follower_fill(struct store *store, size_t count);
void follower_sleep(int64_t milliseconds);
/* Whether the replica shows exactly what the truth has. */
bool follower_is_equal(struct fixture *fixture);
void follower_wait_equal(struct fixture *fixture);
struct replica_status follower_status(struct fixture *fixture);
size_t follower_count(struct fixture *fixture);

#endif
