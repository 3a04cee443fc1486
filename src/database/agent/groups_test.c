/* The groups thread with workers on folders where no server is and none can be made: what regions
 * offer is written, a member has one worker as long as it is there, what the workers see arrives,
 * and two agents make one decision. Whether servers come out of it, test/integration shows. */
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "database/agent/internal.h"
#include "database/agent/test_records.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define AGENTS 2U

static const char *const regions[AGENTS] = {"east", "west"};

struct fixture {
    struct store *inner;
    struct store *store;
    struct seal *seal;
    char folder[TEST_FOLDER];
    struct arena arena;
    struct err err;
    struct database_agent_region offered[AGENTS];
    const char *addresses[1];
    struct database_agent agents[AGENTS];
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    test_folder_make(fixture->folder);
    assert_int_equal(seal_parse("1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "a test",
                                &fixture->seal, &fixture->err),
                     0);
    fixture->inner = store_memory_open();
    fixture->store = fickle_new(fixture->inner);
    fixture->addresses[0] = "127.0.0.1";
    *state = fixture;
    return 0;
}

static void wake(void *context)
{
    groups_wake(context);
}

/* As database_agent_start does, without PostgreSQL. */
static void start(struct fixture *fixture, size_t number)
{
    struct database_agent *agent = &fixture->agents[number];
    struct err *err = &fixture->err;
    fixture->offered[number] = (struct database_agent_region){
        .name = regions[number], .addresses = fixture->addresses, .address_count = 1};
    agent->config = (struct database_agent_config){
        .store = fixture->store,
        .lease_store = fixture->store,
        .seal = fixture->seal,
        .directory = arena_printf(&fixture->arena, "%s/%s", fixture->folder, regions[number]),
        .bin = "",
        .site = regions[number],
        .zone = "",
        .regions = &fixture->offered[number],
        .region_count = 1};
    agent->binaries = "/nonexistent";
    agent->version = "15.0";
    agent->module = "/nonexistent";
    thread_sync_init(&agent->mutex, &agent->changed);
    const struct leases_config leases = {
        .store = fixture->store, .changed = wake, .context = agent};
    assert_int_equal(leases_start(&leases, &agent->leases, err), 0);
    assert_int_equal(publisher_start(fixture->store, &agent->publisher, err), 0);
    assert_int_equal(view_start(fixture->store, wake, agent, &agent->view, err), 0);
    assert_int_equal(groups_start(agent, err), 0);
}

static void stop(struct database_agent *agent)
{
    if (agent->view == NULL) {
        return;
    }
    groups_stop(agent);
    publisher_stop(agent->publisher);
    leases_stop(agent->leases);
    view_stop(agent->view);
    agent->view = NULL;
    thread_sync_done(&agent->mutex, &agent->changed);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < AGENTS; i++) {
        stop(&fixture->agents[i]);
    }
    store_close(fixture->store);
    store_close(fixture->inner);
    seal_free(fixture->seal);
    assert_int_equal(rmdir(fixture->folder), 0); /* no worker made anything */
    arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

/* ---- what is waited for ---- */

struct wanted {
    struct fixture *fixture;
    size_t agent;
    const char *id;
    size_t count;
};

static bool has_workers(void *context)
{
    const struct wanted *wanted = context;
    struct database_agent *agent = &wanted->fixture->agents[wanted->agent];
    thread_lock(&agent->mutex);
    size_t count = agent->worker_count;
    thread_unlock(&agent->mutex);
    return count == wanted->count;
}

static bool is_seen(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct model_database_seen seen;
    arena_init(&arena, 0);
    return test_get_seen(wanted->fixture->inner, wanted->id, &arena, &seen) &&
           (seen.condition == MODEL_DATABASE_CREATING || seen.condition == MODEL_DATABASE_STUCK) &&
           text_equal(seen.site, regions[wanted->agent]);
}

/* Its orders fail, and it says why. */
static bool is_stuck(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct model_database_seen seen;
    arena_init(&arena, 0);
    return test_get_seen(wanted->fixture->inner, wanted->id, &arena, &seen) &&
           text_equal(seen.action, "INITIALISE");
}

static bool is_offered(void *context)
{
    const struct wanted *wanted = context;
    struct arena arena CLEANUP(arena_done);
    struct store_entry entry;
    struct model_database_region region;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    return store_get(wanted->fixture->inner, model_database_region_key(&arena, wanted->id), &arena,
                     &entry, &err) == 0 &&
           model_database_region_decode(entry.value, entry.size, &arena, &region, &err) == 0 &&
           region.address_count == 1 && text_equal(region.addresses[0], "127.0.0.1") &&
           text_equal(region.engine_version, "15.0");
}

static bool becomes(bool (*is_so)(void *context), struct wanted wanted)
{
    return test_becomes(is_so, &wanted);
}

static void put_new_group(struct fixture *fixture, const char *writer)
{
    struct model_database_group group = test_group(writer);
    group.phase = MODEL_DATABASE_NEW;
    IGNORE_RESULT(test_put_group(fixture->inner, &group));
}

/* ---- tests ---- */

static void what_regions_offer_is_written_once_the_store_is_there(void **state)
{
    struct fixture *fixture = *state;
    fickle_fail(fixture->store, true);
    start(fixture, 0);
    test_pause(50);
    fickle_fail(fixture->store, false);
    assert_true(becomes(is_offered, (struct wanted){.fixture = fixture, .id = "east"}));
}

static void each_member_of_its_regions_has_one_worker_as_long_as_it_is_there(void **state)
{
    struct fixture *fixture = *state;
    put_new_group(fixture, "db-a");
    IGNORE_RESULT(test_put_member(fixture->inner, "db-a", "east"));
    IGNORE_RESULT(test_put_member(fixture->inner, "db-b", "west"));
    IGNORE_RESULT(test_put_member(fixture->inner, "db-c", "east"));
    start(fixture, 0);
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-a"}));
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-c"}));
    assert_true(becomes(has_workers, (struct wanted){.fixture = fixture, .count = 2}));
    assert_true(becomes(is_stuck, (struct wanted){.fixture = fixture, .id = "db-a"}));
    IGNORE_RESULT(test_delete(fixture->inner,
                              model_database_member_key(&fixture->arena, TEST_GROUP, "db-c")));
    assert_true(becomes(has_workers, (struct wanted){.fixture = fixture, .count = 1}));
    IGNORE_RESULT(test_put_member(fixture->inner, "db-d", "east"));
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-d"}));
    start(fixture, 1);
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-b", .agent = 1}));
}

static void workers_go_on_while_the_store_is_away(void **state)
{
    struct fixture *fixture = *state;
    put_new_group(fixture, "db-a");
    IGNORE_RESULT(test_put_member(fixture->inner, "db-a", "east"));
    start(fixture, 0);
    assert_true(becomes(has_workers, (struct wanted){.fixture = fixture, .count = 1}));
    fickle_fail(fixture->store, true);
    IGNORE_RESULT(test_put_member(fixture->inner, "db-c", "east"));
    test_pause(100);
    assert_true(has_workers(&(struct wanted){.fixture = fixture, .count = 1}));
    fickle_fail(fixture->store, false);
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-c"}));
    fickle_fail(fixture->store, true); /* the end does not wait for it */
}

static void put_unplaced(struct fixture *fixture, const char *id)
{
    struct model_database_member member = test_database_member(id, "east");
    member.address = "";
    IGNORE_RESULT(
        test_put_text(fixture->inner, model_database_member_key(&fixture->arena, TEST_GROUP, id),
                      model_database_member_encode(&fixture->arena, &member,
                                                   &(const struct model_stored){.value = NULL})));
}

static void address_of(struct fixture *fixture, const char *id, const char **ret_address)
{
    struct store_entry entry;
    struct model_database_member member;
    assert_int_equal(store_get(fixture->inner,
                               model_database_member_key(&fixture->arena, TEST_GROUP, id),
                               &fixture->arena, &entry, &fixture->err),
                     0);
    assert_int_equal(model_database_member_decode(entry.value, entry.size, &fixture->arena, &member,
                                                  &fixture->err),
                     0);
    *ret_address = member.address;
}

static void a_member_without_an_address_gets_one_that_nobody_has(void **state)
{
    struct fixture *fixture = *state;
    const char *first = "";
    const char *second = "";
    put_new_group(fixture, "db-a");
    put_unplaced(fixture, "db-a");
    start(fixture, 0);
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-a"}));
    address_of(fixture, "db-a", &first);
    assert_string_equal(first, "127.0.0.1");
    put_unplaced(fixture, "db-b"); /* there is no other one */
    assert_true(becomes(has_workers, (struct wanted){.fixture = fixture, .count = 2}));
    IGNORE_RESULT(test_delete(fixture->inner,
                              model_database_member_key(&fixture->arena, TEST_GROUP, "db-a")));
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-b"}));
    address_of(fixture, "db-b", &second);
    assert_string_equal(second, "127.0.0.1");
}

/* The writer that was wanted is no member: both agents choose another one, and one of them wins. */
static void two_agents_make_one_decision(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry;
    struct model_database_group group;
    put_new_group(fixture, "db-gone");
    IGNORE_RESULT(test_put_member(fixture->inner, "db-a", "east"));
    IGNORE_RESULT(test_put_member(fixture->inner, "db-b", "west"));
    start(fixture, 0);
    start(fixture, 1);
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-a"}));
    assert_true(becomes(is_seen, (struct wanted){.fixture = fixture, .id = "db-b", .agent = 1}));
    /* What is seen is written after a decision, so both have decided. */
    assert_int_equal(store_get(fixture->inner,
                               model_database_group_key(&fixture->arena, TEST_GROUP),
                               &fixture->arena, &entry, &fixture->err),
                     0);
    assert_int_equal(model_database_group_decode(entry.value, entry.size, &fixture->arena, &group,
                                                 &fixture->err),
                     0);
    assert_true(text_equal(group.writer, "db-a") || text_equal(group.writer, "db-b"));
    assert_int_equal(entry.version, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_regions_offer_is_written_once_the_store_is_there),
        TEST(each_member_of_its_regions_has_one_worker_as_long_as_it_is_there),
        TEST(a_member_without_an_address_gets_one_that_nobody_has),
        TEST(workers_go_on_while_the_store_is_away),
        TEST(two_agents_make_one_decision),
    };
    return cmocka_run_group_tests_name("database/agent groups", tests, NULL, NULL);
}
