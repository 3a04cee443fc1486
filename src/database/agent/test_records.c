/* Records of tests: see test_records.h. */
#include "database/agent/test_records.h"

#include "base/macro.h"

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 1

static const struct model_stored fresh = {.value = NULL};

static _Noreturn void give_up(const char *message)
{
    (void)fprintf(stderr, "%s\n", message); /* as well as it can */
    abort();
}

void test_folder_make(char out[TEST_FOLDER])
{
    (void)snprintf(out, TEST_FOLDER, "/tmp/leeward-agent-XXXXXX"); /* it fits */
    if (mkdtemp(out) == NULL) {
        give_up("no folder could be made in /tmp");
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void test_folder_remove(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): not so without FTW_CHDIR */
    if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) {
        give_up("a folder of a test could not be removed");
    }
}

void test_pause(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * TIME_MS};
    (void)nanosleep(&pause, NULL); /* less is fine */
}

bool test_becomes(bool (*is_so)(void *context), void *context)
{
    struct mono until = mono_from_now(TEST_PATIENCE);
    while (!is_so(context)) {
        if (mono_since(mono_now(), until) >= 0) {
            return false;
        }
        test_pause(LOOK_MS);
    }
    return true;
}

static int64_t commit(struct store *store, const struct store_txn *txn)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    if (store_commit(store, txn, &revision, &err) != 0) {
        give_up(err.message);
    }
    return revision;
}

int64_t test_put_text(struct store *store, const char *key, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_put(txn, key, value, strlen(value));
    return commit(store, txn);
}

int64_t test_delete(struct store *store, const char *key)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_delete(txn, key);
    return commit(store, txn);
}

int64_t test_put_group(struct store *store, const struct model_database_group *group)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    return test_put_text(store, model_database_group_key(&arena, group->id),
                         model_database_group_encode(&arena, group, &fresh));
}

int64_t test_put_lease(struct store *store, const struct model_database_lease *lease)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    return test_put_text(store, model_database_lease_key(&arena, TEST_GROUP),
                         model_database_lease_encode(&arena, lease, &fresh));
}

int64_t test_put_member(struct store *store, const char *id, const char *region)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct model_database_member member = test_database_member(id, region);
    return test_put_text(store, model_database_member_key(&arena, TEST_GROUP, id),
                         model_database_member_encode(&arena, &member, &fresh));
}

int64_t test_put_seen(struct store *store, const char *id, const struct model_database_seen *seen)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    return test_put_text(store, model_database_seen_key(&arena, TEST_GROUP, id),
                         model_database_seen_encode(&arena, seen, &fresh));
}

static bool get(struct store *store, const char *key, struct arena *arena,
                struct store_entry *ret_entry)
{
    struct err err = ERR_INIT;
    int rc = store_get(store, key, arena, ret_entry, &err);
    if (rc != 0 && err.kind != ERR_NOT_FOUND) {
        give_up(err.message);
    }
    return rc == 0;
}

bool test_get_group(struct store *store, struct arena *arena, struct model_database_group *group)
{
    struct err err = ERR_INIT;
    struct store_entry entry;
    return get(store, model_database_group_key(arena, TEST_GROUP), arena, &entry) &&
           model_database_group_decode(entry.value, entry.size, arena, group, &err) == 0;
}

bool test_get_lease(struct store *store, struct arena *arena, struct model_database_lease *lease,
                    int64_t *revision)
{
    struct err err = ERR_INIT;
    struct store_entry entry;
    bool found = get(store, model_database_lease_key(arena, TEST_GROUP), arena, &entry) &&
                 model_database_lease_decode(entry.value, entry.size, arena, lease, &err) == 0;
    *revision = found ? entry.changed_revision : 0;
    return found;
}

bool test_get_seen(struct store *store, const char *id, struct arena *arena,
                   struct model_database_seen *seen)
{
    struct err err = ERR_INIT;
    struct store_entry entry;
    return get(store, model_database_seen_key(arena, TEST_GROUP, id), arena, &entry) &&
           model_database_seen_decode(entry.value, entry.size, arena, seen, &err) == 0;
}
