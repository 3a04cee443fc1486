/* Transitions of a group by agents that race on one store, with leases, pictures and publishers as
 * they really are, each on its threads; only the servers are played. Three members of two agents:
 * the data are made, the writer is changed on request, then killed. At no moment may two servers
 * acknowledge writes, whatever the store does; nothing is judged by how long it took, and what a
 * slow machine does to a lease of a second may happen. */
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/thread.h"
#include "database/agent/test_records.h"
#include "database/agent/worker_internal.h"
#include "database/fence/lease_file.h"
#include "store/fickle_store.h"
#include "store/memory.h"
#include "store/sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS 3U
#define AGENTS 2U
#define END 500

static const char *const ids[MEMBERS] = {"db-a", "db-b", "db-c"};
static const char *const regions[MEMBERS] = {"east", "west", "east"};

struct world;

/* A member with its played server. All but the flags is guarded by the world's mutex, but for what
 * its own thread reads. */
struct player {
    struct world *world;
    struct worker worker;
    char *directory;
    pthread_t thread;
    atomic_bool ending;
    enum database_data data;
    enum database_process process;
    struct mono since;
    bool standby;
    bool cut;
    uint32_t timeline;
    uint32_t parent;
    char upstream[MODEL_DATABASE_ID];
    bool configured;
    int64_t checkpointed_ns;
    struct mono unwritable_since;
    struct database_follower followers[MEMBERS];
};

struct world {
    struct store *inner;
    struct store *store;
    char folder[TEST_FOLDER];
    struct database_agent agents[AGENTS];
    struct player players[MEMBERS];
    struct err err;
    uint64_t boot[2];
    atomic_uint losing; /* of so many answers one is lost; 0: none */
    atomic_uint committed;
    pthread_mutex_t mutex; /* guards the players, and what follows */
    unsigned two_writers;
    unsigned without_lease; /* servers that were made writers without one */
    unsigned unexpected;    /* orders that these servers need never be given */
};

/* ---- played servers; the world's mutex is held ---- */

static bool may_acknowledge(const struct player *player)
{
    const struct fence_lease *file = player->worker.hands.file;
    return player->process == DATABASE_PROCESS_WRITER && file != NULL &&
           fence_lease_holds(file, player->world->boot, fence_lease_now());
}

static void count_writers(struct world *world)
{
    unsigned writers = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        writers += may_acknowledge(&world->players[i]) ? 1 : 0;
    }
    world->two_writers += writers > 1 ? 1 : 0;
}

static struct player *player_of(struct world *world, const char *id)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (text_equal(ids[i], id)) {
            return &world->players[i];
        }
    }
    return NULL;
}

static void become(struct player *player, enum database_process process)
{
    if (player->process != process) {
        player->process = process;
        player->since = boot_now();
    }
}

static void follow(struct player *player, const char *upstream)
{
    IGNORE_RESULT(text_copy(player->upstream, sizeof player->upstream, upstream)); /* an id */
    player->cut = upstream[0] == '\0';
}

static void become_writer(struct player *player)
{
    struct lease_view held;
    lease_look(player->worker.agent->leases, player->worker.hold, &held);
    player->world->without_lease += held.standing == LEASE_NOT_HELD ? 1 : 0;
    follow(player, "");
    player->standby = false;
    become(player, DATABASE_PROCESS_WRITER);
}

static void take_data(struct player *player, bool standby, uint32_t timeline)
{
    player->data = DATABASE_DATA;
    player->standby = standby;
    player->timeline = timeline;
}

static void execute(struct player *player, const struct view_group *group,
                    const struct database_order *order)
{
    const struct player *upstream = player_of(player->world, order->upstream);
    switch ((int)order->action) { /* those that can be needed here */
    case DATABASE_ACTION_WAIT:
        break;
    case DATABASE_ACTION_INITIALISE:
        take_data(player, false, 1);
        break;
    case DATABASE_ACTION_CLONE:
        take_data(player, true, upstream->timeline);
        follow(player, order->upstream);
        break;
    case DATABASE_ACTION_START_WRITER:
        become_writer(player);
        break;
    case DATABASE_ACTION_START_READER:
        player->standby = true;
        follow(player, order->upstream);
        become(player, DATABASE_PROCESS_READER);
        break;
    case DATABASE_ACTION_FOLLOW:
        follow(player, order->upstream);
        break;
    case DATABASE_ACTION_CUT:
        follow(player, "");
        break;
    case DATABASE_ACTION_PROMOTE:
        player->parent = player->timeline;
        player->timeline = order->timeline;
        become_writer(player);
        break;
    case DATABASE_ACTION_STOP_FAST:
    case DATABASE_ACTION_STOP_IMMEDIATE:
        become(player, DATABASE_PROCESS_DOWN);
        break;
    case DATABASE_ACTION_CHECKPOINT:
        player->checkpointed_ns = group->phase_since.ns;
        break;
    case DATABASE_ACTION_COMPARE: /* all have the same log here */
        player->worker.notes.lineage = DATABASE_FOLLOWS;
        player->worker.notes.lineage_timeline =
            group->group.history[group->group.history_count - 1].timeline;
        break;
    case DATABASE_ACTION_CONFIGURE:
        player->configured = true;
        break;
    default:
        player->world->unexpected++;
        break;
    }
}

static bool streams(const struct player *player, const struct player *from)
{
    return player->process == DATABASE_PROCESS_READER && from->process == DATABASE_PROCESS_WRITER &&
           text_equal(player->upstream, from->worker.member);
}

static void see_followers(struct player *player, struct database_facts *facts)
{
    facts->followers = player->followers;
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct player *other = &player->world->players[i];
        if (streams(other, player)) {
            player->followers[facts->follower_count++] = (struct database_follower){
                .member = ids[i], .streaming = true, .flushed = END, .replayed = END};
        }
    }
    facts->alone_since.ns = facts->follower_count != 0 ? INT64_MAX : player->since.ns;
}

static void see_holding(struct player *player, const struct view_group *group)
{
    bool holds = group->lease.state == MODEL_DATABASE_LEASE_HELD &&
                 text_equal(group->lease.holder, player->worker.member);
    if (!holds || player->process == DATABASE_PROCESS_WRITER) {
        player->unwritable_since.ns = 0;
    } else if (player->unwritable_since.ns == 0) {
        player->unwritable_since = boot_now();
    }
}

static void see(struct player *player, const struct view_group *group)
{
    const struct player *upstream = player_of(player->world, player->upstream);
    const struct fence_lease *file = player->worker.hands.file;
    const struct worker_notes *notes = &player->worker.notes;
    bool receiving = upstream != NULL && streams(player, upstream);
    bool reads = player->process == DATABASE_PROCESS_READER;
    bool down = player->process == DATABASE_PROCESS_DOWN;
    player->timeline = receiving ? upstream->timeline : player->timeline;
    see_holding(player, group);
    bool ours = file != NULL && atomic_load(&file->epoch) == group->lease.epoch;
    struct database_facts *facts = &player->worker.sight.facts;
    *facts =
        (struct database_facts){.data = player->data,
                                .process = player->process,
                                .since = player->since,
                                .unwritable_since = player->unwritable_since,
                                .standby = player->standby,
                                .clean = down,
                                .system_id = 7,
                                .timeline = player->timeline,
                                .end = player->data == DATABASE_DATA ? END : 0,
                                .replayed = END,
                                .replayed_all = reads,
                                .parent = player->parent,
                                .fork = player->parent != 0 ? END : 0,
                                .lag_ms = -1,
                                .upstream = player->upstream,
                                .receiving = receiving,
                                .cut = down || (reads && player->cut),
                                .lineage = notes->lineage,
                                .lineage_timeline = notes->lineage_timeline,
                                .deadline = {.ns = ours ? atomic_load(&file->deadline_ns) : 0},
                                .checkpointed = player->checkpointed_ns != 0 &&
                                                player->checkpointed_ns == group->phase_since.ns,
                                .configured = player->configured,
                                .stuck = "",
                                .synchronous_settled = true};
    if (player->process == DATABASE_PROCESS_WRITER) {
        see_followers(player, facts);
    }
}

/* ---- a worker's thread ---- */

static void turn(struct player *player, const struct view_group *group)
{
    struct arena arena CLEANUP(arena_done);
    struct world *world = player->world;
    struct worker *worker = &player->worker;
    struct database_view view;
    struct database_order order;
    struct mono again;
    bool committed = false;
    arena_init(&arena, 0);
    thread_lock(&world->mutex);
    see(player, group);
    count_writers(world);
    thread_unlock(&world->mutex);
    worker_update(worker, group, &again, &committed);
    if (committed) {
        (void)atomic_fetch_add(&world->committed, 1);
        return;
    }
    worker_fill_view(group, worker->member, &arena, &view);
    database_member_next(&view, &worker->sight.facts, &arena, &order);
    worker_publish(worker, group, &view, &order);
    thread_lock(&world->mutex);
    execute(player, group, &order);
    count_writers(world);
    thread_unlock(&world->mutex);
}

static void *play(void *context)
{
    struct player *player = context;
    while (!atomic_load(&player->ending)) {
        struct view_group *group CLEANUP(view_group_cleanup) =
            view_group_find(player->worker.agent->view, TEST_GROUP);
        if (group != NULL && group->group_record.revision != 0 &&
            view_member_find(group, player->worker.member) != NULL) {
            turn(player, group);
        }
        test_pause(1);
    }
    return NULL;
}

/* As an agent that is gone: nothing is given back, and nothing renewed. Its server goes on, until
 * the deadline in its lease file. */
static void kill_player(struct player *player)
{
    atomic_store(&player->ending, true);
    thread_join(player->thread);
    player->thread = 0;
    leases_remove(player->worker.agent->leases, player->worker.hold);
    player->worker.hold = NULL;
}

/* ---- the world ---- */

static void nothing(void *context)
{
    (void)context;
}

static bool may_answer(void *context, const struct store_txn *txn, bool happened)
{
    struct world *world = context;
    unsigned losing = atomic_load(&world->losing);
    unsigned number = 0;
    (void)txn;
    random_bytes(&number, sizeof number);
    return !happened || losing == 0 || number % losing != 0;
}

static void start_agent(struct world *world, struct database_agent *agent)
{
    struct err *err = &world->err;
    agent->config.store = world->store;
    agent->config.lease_store = world->store;
    agent->config.site = "";
    const struct leases_config leases = {
        .store = world->store, .changed = nothing, .context = NULL};
    assert_int_equal(leases_start(&leases, &agent->leases, err), 0);
    assert_int_equal(publisher_start(world->store, &agent->publisher, err), 0);
    assert_int_equal(view_start(world->store, nothing, NULL, &agent->view, err), 0);
}

static void make_player(struct world *world, size_t number)
{
    struct player *player = &world->players[number];
    struct worker *worker = &player->worker;
    player->world = world;
    player->process = DATABASE_PROCESS_DOWN;
    player->since = boot_now();
    worker->agent = &world->agents[number % AGENTS];
    assert_int_equal(text_copy(worker->group, sizeof worker->group, TEST_GROUP), 0);
    assert_int_equal(text_copy(worker->member, sizeof worker->member, ids[number]), 0);
    player->directory = memory_printf("%s/%s", world->folder, ids[number]);
    worker->hands.server.directory = player->directory;
    worker->hold = leases_add(worker->agent->leases, TEST_GROUP, ids[number]);
    worker->slot = publisher_add(worker->agent->publisher, TEST_GROUP, ids[number]);
    assert_int_equal(hands_open_lease(&worker->hands, &world->err), 0);
}

static int set_up_on(void **state, bool sqlite)
{
    struct world *world = memory_new(sizeof *world);
    (void)pthread_mutex_init(&world->mutex, NULL);
    test_folder_make(world->folder);
    assert_int_equal(fence_lease_boot(world->boot), 0);
    if (sqlite) {
        assert_int_equal(store_sqlite_open(world->folder, &world->inner, &world->err), 0);
    } else {
        world->inner = store_memory_open();
    }
    world->store = fickle_new(world->inner);
    fickle_judge_commits(world->store, may_answer, world);
    *state = world;
    return 0;
}

static int set_up_memory(void **state)
{
    return set_up_on(state, false);
}

static int set_up_sqlite(void **state)
{
    return set_up_on(state, true);
}

static void end_player(struct player *player)
{
    struct worker *worker = &player->worker;
    if (worker->agent == NULL) {
        return;
    }
    publisher_remove(worker->agent->publisher, worker->slot);
    fence_lease_close(worker->hands.file);
    free(player->directory);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (world->players[i].thread != 0) {
            kill_player(&world->players[i]);
        }
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        end_player(&world->players[i]);
    }
    for (size_t i = 0; i < AGENTS; i++) {
        publisher_stop(world->agents[i].publisher);
        leases_stop(world->agents[i].leases);
        view_stop(world->agents[i].view);
    }
    store_close(world->store);
    store_close(world->inner);
    test_folder_remove(world->folder);
    (void)pthread_mutex_destroy(&world->mutex);
    free(world);
    return 0;
}

/* ---- what is waited for ---- */

struct wanted {
    struct world *world;
    const char *writer; /* NULL: any but `other` */
    const char *other;
    size_t streaming; /* members that follow it */
};

static size_t streaming(struct world *world, const char *writer)
{
    size_t count = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        struct arena arena CLEANUP(arena_done);
        struct model_database_seen seen;
        arena_init(&arena, 0);
        count += test_get_seen(world->inner, ids[i], &arena, &seen) &&
                         seen.condition == MODEL_DATABASE_STREAMING &&
                         text_equal(seen.upstream, writer)
                     ? 1
                     : 0;
    }
    return count;
}

static bool is_steady(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct model_database_group group;
    struct model_database_lease lease;
    int64_t revision = 0;
    arena_init(&arena, 0);
    return test_get_group(wanted->world->inner, &arena, &group) &&
           test_get_lease(wanted->world->inner, &arena, &lease, &revision) &&
           group.phase == MODEL_DATABASE_STEADY && lease.state == MODEL_DATABASE_LEASE_HELD &&
           text_equal(lease.holder, group.writer) &&
           (wanted->writer == NULL || text_equal(group.writer, wanted->writer)) &&
           !text_equal(group.writer, wanted->other) &&
           streaming(wanted->world, group.writer) >= wanted->streaming;
}

/* As the API asks; again, where it was refused or came to nothing because a lease ran out. */
static bool is_switched(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct model_database_group group;
    struct err err = ERR_INIT;
    int64_t revision = 0;
    arena_init(&arena, 0);
    if (is_steady(context)) {
        return true;
    }
    const char *key = model_database_group_key(&arena, TEST_GROUP);
    if (store_get(wanted->world->inner, key, &arena, &entry, &err) != 0 ||
        model_database_group_decode(entry.value, entry.size, &arena, &group, &err) != 0 ||
        group.phase != MODEL_DATABASE_STEADY || text_equal(group.writer, wanted->writer) ||
        group.operation != MODEL_DATABASE_NO_OPERATION) {
        return false;
    }
    group.operation = MODEL_DATABASE_SWITCHOVER;
    group.target = wanted->writer;
    const char *value = model_database_group_encode(
        &arena, &group, &(const struct model_stored){.value = entry.value, .size = entry.size});
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    store_txn_require_revision(txn, key, entry.changed_revision);
    store_txn_put(txn, key, value, strlen(value));
    IGNORE_RESULT(store_commit(wanted->world->inner, txn, &revision, &err)); /* or asked again */
    return false;
}

/* Turns have growing epochs and timelines of their own. */
static void assert_history(struct world *world, size_t turns)
{
    struct arena arena CLEANUP(arena_done);
    struct model_database_group group;
    arena_init(&arena, 0);
    assert_true(test_get_group(world->inner, &arena, &group));
    assert_true(group.history_count >= turns);
    for (size_t i = 1; i < group.history_count; i++) {
        const struct model_database_turn *now = &group.history[i];
        assert_true(now->epoch > group.history[i - 1].epoch);
        assert_true(now->confirmed);
        for (size_t k = 0; k < i; k++) {
            assert_true(now->timeline != group.history[k].timeline);
        }
    }
    assert_string_equal(group.history[group.history_count - 1].writer, group.writer);
}

/* ---- tests ---- */

static void make_group(struct world *world)
{
    struct model_database_group group = test_group(ids[0]);
    group.phase = MODEL_DATABASE_NEW;
    for (size_t i = 0; i < MEMBERS; i++) {
        IGNORE_RESULT(test_put_member(world->inner, ids[i], regions[i]));
    }
    IGNORE_RESULT(test_put_group(world->inner, &group));
    for (size_t i = 0; i < AGENTS; i++) {
        start_agent(world, &world->agents[i]);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        make_player(world, i);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        struct player *player = &world->players[i];
        assert_int_equal(thread_start(&player->thread, "test-player", play, player, &world->err),
                         0);
    }
}

static void walk(struct world *world)
{
    make_group(world);
    struct wanted wanted = {.world = world, .other = "", .streaming = 2};
    assert_true(test_becomes(is_steady, &wanted));
    wanted.writer = ids[1];
    assert_true(test_becomes(is_switched, &wanted));
    assert_history(world, 2);
    kill_player(&world->players[1]);
    wanted = (struct wanted){.world = world, .other = ids[1], .streaming = 1};
    assert_true(test_becomes(is_steady, &wanted));
    assert_history(world, 3);
    assert_true(atomic_load(&world->committed) >= 3);
    thread_lock(&world->mutex);
    unsigned two_writers = world->two_writers;
    unsigned without_lease = world->without_lease;
    unsigned unexpected = world->unexpected;
    thread_unlock(&world->mutex);
    assert_int_equal(two_writers, 0);
    assert_int_equal(without_lease, 0);
    assert_int_equal(unexpected, 0);
}

static void agents_that_race_agree(void **state)
{
    walk(*state);
}

static void agents_agree_while_calls_fail_and_answers_are_lost(void **state)
{
    struct world *world = *state;
    atomic_store(&world->losing, 5);
    fickle_fail_sometimes(world->store, 6);
    walk(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agents_that_race_agree, set_up_memory, tear_down),
        {"agents_that_race_agree_on_a_store_on_disk", agents_that_race_agree, set_up_sqlite,
         tear_down, NULL},
        cmocka_unit_test_setup_teardown(agents_agree_while_calls_fail_and_answers_are_lost,
                                        set_up_memory, tear_down),
    };
    return cmocka_run_group_tests_name("database/agent update", tests, NULL, NULL);
}
