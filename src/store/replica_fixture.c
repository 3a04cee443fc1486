/* See replica_fixture.h. */
#include "store/replica_fixture.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void follower_require(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "not so: %s\n", what); /* for who looks */
        abort();
    }
}

void follower_start(struct fixture *fixture)
{
    struct replica_config config = {
        .directory = fixture->folder, .truth = fixture->truth, .pulse_ms = PULSE_MS};
    if (replica_start(&config, &fixture->replica, &fixture->err) != 0) {
        follower_require(false, fixture->err.message);
    }
}

void follower_stop(struct fixture *fixture)
{
    replica_stop(fixture->replica);
    fixture->replica = NULL;
}

int follower_set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    folder_make(fixture->folder);
    (void)snprintf(fixture->file, sizeof fixture->file, "%s/replica.db", fixture->folder);
    fixture->inner = store_memory_open();
    fixture->truth = fickle_new(fixture->inner);
    arena_init(&fixture->arena, 0);
    *state = fixture;
    return 0;
}

int follower_tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)fault_vfs_clear(); /* the next test has a good disk */
    follower_stop(fixture);
    store_close(fixture->truth);
    store_close(fixture->inner);
    store_close(fixture->older);
    arena_done(&fixture->arena);
    folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

void follower_put_in(struct store *store, const char *key, const char *text)
{
    struct err err = ERR_INIT;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_put(txn, key, text, strlen(text));
    follower_require(store_commit(store, txn, &revision, &err) == 0, "the store answers");
}

void follower_put(struct fixture *fixture, const char *key, const char *text)
{
    follower_put_in(fixture->inner, key, text);
}

void follower_delete(struct fixture *fixture, const char *prefix)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_delete_prefix(txn, prefix);
    follower_require(store_commit(fixture->inner, txn, &revision, &fixture->err) == 0,
                     "the store answers");
}

void follower_fill(struct store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "r53/many/%05zu", i); /* fits */
        follower_put_in(store, key, "a value that is long enough to be found in the file");
    }
}

void follower_sleep(int64_t milliseconds)
{
    struct timespec wait = {.tv_nsec = milliseconds * TIME_MS};
    (void)nanosleep(&wait, NULL);
}

static bool equal_lists(const struct store_list *a, const struct store_list *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++) {
        const struct store_entry *x = &a->entries[i];
        const struct store_entry *y = &b->entries[i];
        equal = text_equal(x->key, y->key) && x->size == y->size &&
                memcmp(x->value, y->value, x->size) == 0 &&
                x->created_revision == y->created_revision &&
                x->changed_revision == y->changed_revision && x->version == y->version &&
                y->lease == 0;
    }
    return equal;
}

bool follower_is_equal(struct fixture *fixture)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list truth;
    struct store_list copy;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    follower_require(store_range(fixture->inner, "", NULL, 0, &arena, &truth, &err) == 0,
                     "the store answers");
    if (store_range(replica_store(fixture->replica), "", NULL, 0, &arena, &copy, &err) != 0) {
        follower_require(err.kind == ERR_UNAVAILABLE, "it is away, nothing else");
        return false;
    }
    /* The status follows the copy a moment later. */
    return truth.revision == copy.revision && equal_lists(&truth, &copy) &&
           follower_status(fixture).revision == copy.revision;
}

void follower_wait_equal(struct fixture *fixture)
{
    struct mono until = {.ns = mono_now().ns + PATIENCE_S * TIME_S};
    while (!follower_is_equal(fixture)) {
        if (mono_since(mono_now(), until) > 0) {
            struct replica_status status;
            replica_status(fixture->replica, &status);
            follower_require(false, status.problem[0] != '\0' ? status.problem : "it is equal");
        }
        follower_sleep(2);
    }
}

struct replica_status follower_status(struct fixture *fixture)
{
    struct replica_status status;
    replica_status(fixture->replica, &status);
    return status;
}

size_t follower_count(struct fixture *fixture)
{
    size_t count = 0;
    follower_require(store_count(replica_store(fixture->replica), "", &count, &fixture->err) == 0,
                     "the store answers");
    return count;
}
