/* The feed: from a memory store to the zone set, through reloads; and the record of what DNS
 * serves. */
#include "daemon/feed.h"

#include "base/memory.h"
#include "base/snapshot.h"
#include "base/text.h"
#include "dns/answer/answer.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "model/path.h"
#include "store/memory.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DEADLINE_MS 120000

struct fixture {
    struct store *store;
    struct seal *seal;
    struct compiler *compiler;
    struct feed *feed;
};

static int64_t put(struct fixture *fixture, const char *key, const char *value)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    if (value != NULL) {
        store_txn_put(txn, key, value, strlen(value));
    } else {
        store_txn_delete(txn, key);
    }
    assert_int_equal(store_commit(fixture->store, txn, &revision, &err), 0);
    return revision;
}

static int64_t put_zone(struct fixture *fixture)
{
    (void)put(
        fixture, "r53/rrset/Z1/com.example/SOA/",
        "{\"v\":1,\"Name\":\"example.com.\",\"Type\":\"SOA\",\"TTL\":900,\"ResourceRecords\":"
        "[{\"Value\":\"ns.example.net. hostmaster.example.net. 1 7200 900 1209600 86400\"}]}");
    return put(fixture, "r53/zone/Z1",
               "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"example.com.\",\"CallerReference\":\"r\","
               "\"RecordCount\":1,\"Created\":1,\"NameServers\":[\"ns.example.net\"]}");
}

static int64_t put_address(struct fixture *fixture, const char *name, const char *address)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const char *value = address == NULL
                            ? NULL
                            : arena_printf(&arena,
                                           "{\"v\":1,\"Name\":\"%s\",\"Type\":\"A\",\"TTL\":60,"
                                           "\"ResourceRecords\":[{\"Value\":\"%s\"}]}",
                                           name, address);
    return put(fixture, path_record(&arena, "Z1", name, "A", ""), value);
}

struct question {
    struct zone_set *zones;
    const char *name;
    char answer[INET_ADDRSTRLEN];
};

static void ask_work(struct zone_database *database, void *argument)
{
    struct question *question = argument;
    (void)database;
    struct answer_context context = {.zones = question->zones, .udp_limit = 1232};
    random_init(&context.random, 1);
    uint8_t query[300] = {0, 1, 0, 0, 0, 1};
    uint8_t response[4096];
    int length = name_from_text(question->name, true, query + 12);
    assert_true(length > 0);
    query[12 + length + 1] = RR_A;
    query[12 + length + 3] = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    size_t size = answer_query(&context, query, (size_t)length + 16,
                               (const struct sockaddr *)&source, false, response, sizeof response);
    assert_true(size > 12);
    if (response[7] == 1) {
        (void)inet_ntop(AF_INET, response + size - 4, question->answer, sizeof question->answer);
    } else {
        (void)snprintf(question->answer, sizeof question->answer, "rcode %d", response[3] & 15);
    }
}

static void assert_answer(struct fixture *fixture, const char *name, const char *wanted)
{
    struct question question = {.zones = compiler_zones(fixture->compiler), .name = name};
    compiler_run(fixture->compiler, ask_work, &question);
    assert_string_equal(question.answer, wanted);
}

static void wait_applied(struct fixture *fixture, int64_t revision)
{
    for (int i = 0; i < DEADLINE_MS && feed_applied_revision(fixture->feed) < revision; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = TIME_MS}, NULL);
    }
    assert_true(feed_applied_revision(fixture->feed) >= revision);
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct fixture *fixture = memory_new(sizeof *fixture);
    fixture->store = store_memory_open();
    assert_int_equal(seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test",
                                &fixture->seal, &err),
                     0);
    assert_int_equal(compiler_start(&fixture->compiler, &err), 0);
    *state = fixture;
    return 0;
}

static void start_feed(struct fixture *fixture)
{
    struct err err = ERR_INIT;
    assert_int_equal(feed_start(fixture->store, fixture->store, fixture->seal, fixture->compiler,
                                NULL, "node", &fixture->feed, &err),
                     0);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    feed_stop(fixture->feed);
    compiler_stop(fixture->compiler);
    store_close(fixture->store);
    seal_free(fixture->seal);
    snapshot_drain();
    free(fixture);
    return 0;
}

static void what_is_in_the_store_is_served_when_it_has_started(void **state)
{
    struct fixture *fixture = *state;
    (void)put_zone(fixture);
    int64_t revision = put_address(fixture, "www.example.com.", "192.0.2.1");
    start_feed(fixture);
    assert_int_equal(feed_applied_revision(fixture->feed), revision);
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
}

static void changes_are_followed(void **state)
{
    struct fixture *fixture = *state;
    (void)put_zone(fixture);
    start_feed(fixture);
    assert_answer(fixture, "www.example.com.", "rcode 3");
    wait_applied(fixture, put_address(fixture, "www.example.com.", "192.0.2.1"));
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
    wait_applied(fixture, put_address(fixture, "www.example.com.", "192.0.2.2"));
    assert_answer(fixture, "www.example.com.", "192.0.2.2");
    wait_applied(fixture, put_address(fixture, "www.example.com.", NULL));
    assert_answer(fixture, "www.example.com.", "rcode 3");
    wait_applied(fixture, put(fixture, "r53/zone/Z1", NULL));
    assert_answer(fixture, "www.example.com.", "rcode 5");
}

/* Both were made in the same second; the younger one's id sorts before the older one's. */
static void of_two_zones_with_one_name_the_first_is_served(void **state)
{
    struct fixture *fixture = *state;
    (void)put_zone(fixture);
    (void)put_address(fixture, "www.example.com.", "192.0.2.1");
    start_feed(fixture);
    int64_t revision = put(fixture, "r53/zone/Z0",
                           "{\"v\":1,\"Id\":\"Z0\",\"Name\":\"example.com.\","
                           "\"CallerReference\":\"s\",\"RecordCount\":0,\"Created\":1,"
                           "\"NameServers\":[\"ns.example.net\"]}");
    wait_applied(fixture, revision);
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
}

static void a_damaged_record_is_left_out_and_the_others_are_served(void **state)
{
    struct fixture *fixture = *state;
    (void)put_zone(fixture);
    (void)put(fixture, "r53/rrset/Z1/com.example.bad/A/", "{\"v\":1,\"Name\":");
    (void)put(fixture, "r53/zone/Z2", "not JSON at all");
    (void)put_address(fixture, "www.example.com.", "192.0.2.1");
    start_feed(fixture);
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
    wait_applied(fixture, put(fixture, "r53/rrset/odd", "{}"));
    wait_applied(fixture, put(fixture, "r53/rrset/odd", NULL));
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
}

static void more_than_a_page_of_records_is_loaded(void **state)
{
    struct fixture *fixture = *state;
    (void)put_zone(fixture);
    for (int i = 0; i < 2500; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "n%d.example.com.", i);
        (void)put_address(fixture, name, "192.0.2.7");
    }
    start_feed(fixture);
    assert_answer(fixture, "n0.example.com.", "192.0.2.7");
    assert_answer(fixture, "n2499.example.com.", "192.0.2.7");
}

struct writer {
    struct fixture *fixture;
    _Atomic bool started;
    _Atomic bool stop;
};

static void *write_elsewhere(void *argument)
{
    struct writer *writer = argument;
    while (!atomic_load(&writer->stop)) {
        (void)put(writer->fixture, "node/other/latch/x", "{}");
        atomic_store(&writer->started, true);
    }
    return NULL;
}

/* Pages are read at different revisions then, with nothing for DNS between them. */
static void writes_that_dns_does_not_see_do_not_hold_the_start_up(void **state)
{
    struct fixture *fixture = *state;
    struct writer writer = {.fixture = fixture};
    pthread_t thread;
    (void)put_zone(fixture);
    int64_t revision = put_address(fixture, "www.example.com.", "192.0.2.1");
    assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, &writer), 0);
    while (!atomic_load(&writer.started)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = TIME_MS}, NULL);
    }
    start_feed(fixture);
    atomic_store(&writer.stop, true);
    (void)pthread_join(thread, NULL);
    assert_true(feed_applied_revision(fixture->feed) >= revision);
    assert_answer(fixture, "www.example.com.", "192.0.2.1");
}

static void a_compacted_history_means_a_reload_that_also_forgets(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    (void)put_zone(fixture);
    (void)put_address(fixture, "old.example.com.", "192.0.2.1");
    (void)put_address(fixture, "www.example.com.", "192.0.2.1");
    start_feed(fixture);
    /* Many rounds, so that compaction also hits a watch that is behind. */
    int64_t revision = 0;
    for (int i = 0; i < 50; i++) {
        (void)put_address(fixture, "old.example.com.", (i & 1) != 0 ? "192.0.2.1" : NULL);
        revision =
            put_address(fixture, "www.example.com.", (i & 1) != 0 ? "192.0.2.8" : "192.0.2.9");
        assert_int_equal(store_compact(fixture->store, revision, &err), 0);
    }
    revision = put_address(fixture, "old.example.com.", NULL);
    wait_applied(fixture, revision);
    assert_answer(fixture, "www.example.com.", "192.0.2.8");
    assert_answer(fixture, "old.example.com.", "rcode 3");
}

static void what_is_served_is_written_down_for_getchange(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    (void)put_zone(fixture);
    start_feed(fixture);
    int64_t revision = put_address(fixture, "www.example.com.", "192.0.2.1");
    /* Or a later one: the reporter's own writes may come between. */
    static const char begin[] = "{\"v\":1,\"Revision\":";
    for (int i = 0;; i++) {
        struct arena arena;
        struct store_entry entry;
        arena_init(&arena, 0);
        bool written = store_get(fixture->store, "node/node/dns", &arena, &entry, &err) == 0;
        bool begins = written && text_starts(entry.value, begin);
        int64_t reported =
            begins ? strtoll((const char *)entry.value + strlen(begin), NULL, 10) : 0;
        bool leased = written && entry.lease != 0;
        arena_done(&arena);
        assert_true(begins == written && leased == written);
        if (reported >= revision) {
            return;
        }
        assert_true(i < DEADLINE_MS);
        (void)nanosleep(&(struct timespec){.tv_nsec = TIME_MS}, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_in_the_store_is_served_when_it_has_started, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(changes_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_zones_with_one_name_the_first_is_served, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_record_is_left_out_and_the_others_are_served,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_a_page_of_records_is_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_that_dns_does_not_see_do_not_hold_the_start_up,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_compacted_history_means_a_reload_that_also_forgets,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_served_is_written_down_for_getchange, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
