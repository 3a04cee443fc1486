/* Random transactions on a truth that fails, is compacted and is restored from older snapshots,
 * while the replica is stopped and started: it ends up equal, and every state that it showed on the
 * way was one of the truth's. LEEWARD_SEED repeats a run, LEEWARD_ROUNDS makes it longer. */
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "store/fickle_store.h"
#include "store/memory.h"
#include "store/replica.h"
#include "store/sqlite/folder.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define KEYS 40U
#define PULSE_MS 10U
#define PATIENCE_S 120
#define STATES_LIMIT 200000U
#define ROUNDS 60
#define LIVES_LIMIT 512U

/* A state of the truth. */
struct shown {
    int64_t revision;
    uint64_t hash;
};

struct world {
    char folder[FOLDER_TEXT];
    struct random random;
    struct store *truth;
    struct store *inner;
    struct store *past[LIVES_LIMIT];
    size_t past_count;
    uint64_t *seeds; /* of the transactions that made inner */
    size_t seed_count;
    struct replica *replica;

    pthread_mutex_t lock; /* over the states: held while the truth changes */
    struct shown *states;
    size_t state_count;
    pthread_rwlock_t replica_lock; /* over replica, for the observers */
    _Atomic bool ending;
    _Atomic size_t looks;
    _Atomic size_t strange;
};

static uint64_t hash_list(const struct store_list *list)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        const uint64_t parts[] = {
            hash_bytes(hash_process_key(), entry->key, strlen(entry->key)),
            hash_bytes(hash_process_key(), entry->value, entry->size),
            (uint64_t)entry->created_revision,
            (uint64_t)entry->changed_revision,
            (uint64_t)entry->version,
        };
        sum += hash_bytes(hash_process_key(), parts, sizeof parts);
    }
    return sum;
}

static struct shown look(struct store *store)
{
    struct arena arena CLEANUP(arena_done);
    struct store_list list;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    if (store_range(store, "", NULL, 0, &arena, &list, &err) != 0) {
        return (struct shown){.revision = -1};
    }
    return (struct shown){.revision = list.revision, .hash = hash_list(&list)};
}

/* With the lock. */
static bool was_state(const struct world *world, const struct shown *shown)
{
    for (size_t i = world->state_count; i > 0; i--) {
        if (world->states[i - 1].revision == shown->revision &&
            world->states[i - 1].hash == shown->hash) {
            return true;
        }
    }
    return false;
}

static void note_state(struct world *world)
{
    assert_true(world->state_count < STATES_LIMIT);
    world->states[world->state_count++] = look(world->inner);
}

/* What the seed says: the same on any store. */
static void transact(struct store *store, uint64_t seed)
{
    struct random random;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    bool taken[KEYS] = {false};
    random_init(&random, seed);
    for (uint32_t i = 0; i < 1 + random_below(&random, 4); i++) {
        uint32_t number = random_below(&random, KEYS);
        char key[32];
        char value[64];
        (void)snprintf(key, sizeof key, "%s/%02u", number % 2 == 0 ? "r53" : "node", number);
        (void)snprintf(value, sizeof value, "%llx", (unsigned long long)random_next(&random));
        if (taken[number]) {
            continue;
        }
        taken[number] = true;
        if (random_below(&random, 3) == 0) {
            store_txn_delete(txn, key);
        } else {
            store_txn_put(txn, key, value, random_below(&random, 16));
        }
    }
    assert_int_equal(store_commit(store, txn, &revision, &err), 0);
}

static void write_some(struct world *world, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seed = random_next(&world->random) | 1U;
        world->seeds[world->seed_count++] = seed;
        (void)pthread_mutex_lock(&world->lock);
        transact(world->inner, seed);
        note_state(world);
        (void)pthread_mutex_unlock(&world->lock);
    }
}

/* A truth made of the first transactions of this one, which goes on differently. */
static void restore(struct world *world)
{
    if (world->past_count == LIVES_LIMIT || world->seed_count == 0) {
        return;
    }
    fickle_fail(world->truth, true);
    size_t back = random_below(&world->random, 30);
    back = MIN(back, world->seed_count);
    struct timespec wait = {.tv_nsec = 30 * TIME_MS}; /* it takes a while */
    (void)nanosleep(&wait, NULL);
    (void)pthread_mutex_lock(&world->lock);
    world->past[world->past_count++] = world->inner;
    world->inner = store_memory_open();
    world->seed_count -= back;
    note_state(world);
    for (size_t i = 0; i < world->seed_count; i++) {
        transact(world->inner, world->seeds[i]);
    }
    note_state(world);
    (void)pthread_mutex_unlock(&world->lock);
    write_some(world, random_below(&world->random, 40));
    fickle_replace(world->truth, world->inner);
    fickle_fail(world->truth, false);
}

static void start(struct world *world)
{
    struct err err = ERR_INIT;
    struct replica_config config = {
        .directory = world->folder, .truth = world->truth, .pulse_ms = PULSE_MS};
    (void)pthread_rwlock_wrlock(&world->replica_lock);
    if (replica_start(&config, &world->replica, &err) != 0) {
        fail_msg("%s", err.message);
    }
    (void)pthread_rwlock_unlock(&world->replica_lock);
}

static void stop(struct world *world)
{
    (void)pthread_rwlock_wrlock(&world->replica_lock);
    replica_stop(world->replica);
    world->replica = NULL;
    (void)pthread_rwlock_unlock(&world->replica_lock);
}

/* Looks at whole states. */
static void *observe(void *argument)
{
    struct world *world = argument;
    while (!atomic_load(&world->ending)) {
        (void)pthread_rwlock_rdlock(&world->replica_lock);
        struct shown shown = {.revision = -1};
        if (world->replica != NULL) {
            shown = look(replica_store(world->replica));
        }
        (void)pthread_rwlock_unlock(&world->replica_lock);
        if (shown.revision >= 0) {
            (void)pthread_mutex_lock(&world->lock);
            bool known = was_state(world, &shown);
            (void)pthread_mutex_unlock(&world->lock);
            atomic_fetch_add(&world->looks, 1);
            atomic_fetch_add(&world->strange, known ? 0 : 1);
        }
        struct timespec wait = {.tv_nsec = TIME_MS / 2};
        (void)nanosleep(&wait, NULL);
    }
    return NULL;
}

static void wait_equal(struct world *world)
{
    struct mono until = {.ns = mono_now().ns + PATIENCE_S * TIME_S};
    struct shown truth = look(world->inner);
    struct shown copy = look(replica_store(world->replica));
    while (copy.revision != truth.revision || copy.hash != truth.hash) {
        if (mono_since(mono_now(), until) > 0) {
            fail_msg("the truth is at revision %lld, the replica at %lld%s",
                     (long long)truth.revision, (long long)copy.revision,
                     truth.revision == copy.revision ? ", with another content" : "");
        }
        struct timespec wait = {.tv_nsec = TIME_MS};
        (void)nanosleep(&wait, NULL);
        copy = look(replica_store(world->replica));
    }
}

static void compact(struct world *world)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    assert_int_equal(store_revision(world->inner, &revision, &err), 0);
    assert_int_equal(store_compact(world->inner, revision, &err), 0);
}

static void misfortune(struct world *world)
{
    switch (random_below(&world->random, 7)) {
    case 0:
        fickle_fail(world->truth, true);
        write_some(world, random_below(&world->random, 10));
        if (random_below(&world->random, 2) == 0) {
            compact(world);
        }
        fickle_fail(world->truth, false);
        break;
    case 1:
        compact(world);
        break;
    case 2:
        stop(world);
        write_some(world, random_below(&world->random, 10));
        start(world);
        break;
    case 3:
        stop(world);
        restore(world);
        start(world);
        break;
    case 4:
        restore(world);
        break;
    case 5:
        fickle_fail_sometimes(world->truth, 3);
        break;
    default:
        fickle_fail_sometimes(world->truth, 0);
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    int64_t value = 0;
    return text != NULL && text_to_i64(text, 1, INT64_MAX, &value) == 0 ? (uint64_t)value
                                                                        : otherwise;
}

static void every_state_it_shows_is_one_of_the_truth(void **state)
{
    (void)state;
    struct world *world = memory_new(sizeof *world);
    uint64_t seed = number_of("LEEWARD_SEED", (uint64_t)wall_now().ns);
    uint64_t rounds = number_of("LEEWARD_ROUNDS", ROUNDS);
    pthread_t observer;
    print_message("# LEEWARD_SEED=%llu\n", (unsigned long long)seed);
    random_init(&world->random, seed);
    folder_make(world->folder);
    world->states = memory_array(STATES_LIMIT, sizeof *world->states);
    world->seeds = memory_array(STATES_LIMIT, sizeof *world->seeds);
    world->inner = store_memory_open();
    world->truth = fickle_new(world->inner);
    (void)pthread_mutex_init(&world->lock, NULL);
    (void)pthread_rwlock_init(&world->replica_lock, NULL);
    note_state(world);
    start(world);
    assert_int_equal(pthread_create(&observer, NULL, observe, world), 0);
    for (uint64_t round = 0; round < rounds; round++) {
        write_some(world, random_below(&world->random, 20));
        misfortune(world);
        struct timespec wait = {.tv_nsec = random_below(&world->random, 20) * TIME_MS};
        (void)nanosleep(&wait, NULL);
    }
    fickle_fail_sometimes(world->truth, 0);
    wait_equal(world);
    atomic_store(&world->ending, true);
    assert_int_equal(pthread_join(observer, NULL), 0);
    print_message("# %zu states of the truth, %zu looks at the replica\n", world->state_count,
                  atomic_load(&world->looks));
    assert_int_equal(atomic_load(&world->strange), 0);
    assert_true(atomic_load(&world->looks) > 10);
    stop(world);
    store_close(world->truth);
    store_close(world->inner);
    for (size_t i = 0; i < world->past_count; i++) {
        store_close(world->past[i]);
    }
    (void)pthread_rwlock_destroy(&world->replica_lock);
    (void)pthread_mutex_destroy(&world->lock);
    free(world->states);
    free(world->seeds);
    folder_remove(world->folder);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_it_shows_is_one_of_the_truth),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
