/* What the agent's tests write into a store, as the API and other agents do, and how they wait.
 * Each function fails the test that calls it when the store does; so on the test's thread only. */
#ifndef DATABASE_AGENT_TEST_RECORDS_H
#define DATABASE_AGENT_TEST_RECORDS_H

#include "base/arena.h"
#include "base/time.h"
#include "model/test_database.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define TEST_PATIENCE (60 * TIME_S) /* for what happens in milliseconds on a machine at rest */
#define TEST_FOLDER 64U

void test_folder_make(char out[TEST_FOLDER]);
/* With all that is in it. */
void test_folder_remove(const char *path);

/* Whether it becomes true in time: asked again and again. */
bool test_becomes(bool (*is_so)(void *context), void *context);
/* For tests that show that something does not happen: the longer, the more they would show. */
void test_pause(int64_t ms);

/* Each returns the revision that it was written with. */
int64_t test_put_group(struct store *store, const struct model_database_group *group);
int64_t test_put_lease(struct store *store, const struct model_database_lease *lease);
int64_t test_put_member(struct store *store, const char *id, const char *region);
int64_t test_put_seen(struct store *store, const char *id, const struct model_database_seen *seen);
int64_t test_put_text(struct store *store, const char *key, const char *value);
int64_t test_delete(struct store *store, const char *key);

/* False: there is none. What they point to lives in the arena. */
bool test_get_group(struct store *store, struct arena *arena, struct model_database_group *group);
bool test_get_lease(struct store *store, struct arena *arena, struct model_database_lease *lease,
                    int64_t *revision);
bool test_get_seen(struct store *store, const char *id, struct arena *arena,
                   struct model_database_seen *seen);

#endif
