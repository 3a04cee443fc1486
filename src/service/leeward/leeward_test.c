/* Tests of the handlers, called as the codec calls them, against the memory store and views of the
 * test's. */
#include "service/leeward/leeward.h"

#include "base/text.h"
#include "model/access_key.h"
#include "model/path.h"
#include "service/common/access_key.h"
#include "service/common/context.h"
#include "service/leeward/handlers.h"
#include "store/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct service_context context;
    struct seal *seal;
    struct aws_call call;
    struct err err;
    json_t *out;
};

/* ---- views ---- */

static int view_explain(void *context, const char *name, uint16_t type, const char *client,
                        json_t **ret_explanation, struct err *err)
{
    (void)context;
    assert_string_equal("", client);
    if (strstr(name, "..") != NULL) {
        return err_set(err, ERR_INVALID, "%s is no name", name);
    }
    *ret_explanation = json_pack("{s:s, s:i}", "Name", name, "Number", (int)type);
    return 0;
}

static int view_check_status(void *context, const char *check_id, json_t **ret_status,
                             struct err *err)
{
    (void)context;
    if (text_equal(check_id, "fresh")) {
        return err_set(err, ERR_NOT_FOUND, "no such check");
    }
    *ret_status = json_pack("{s:b, s:[]}", "Healthy", 1, "Observations");
    return 0;
}

static int view_reset_latch(void *context, const char *check_id, struct err *err)
{
    (void)context;
    return text_equal(check_id, "known") ? 0 : err_set(err, ERR_NOT_FOUND, "no such check");
}

static int view_routed(void *context, json_t **ret_list, bool *ret_more, struct err *err)
{
    (void)context;
    (void)err;
    *ret_list = json_pack("[{s:s}]", "Name", "www.example.com.");
    *ret_more = true;
    return 0;
}

static int view_secondaries(void *context, json_t **ret_list, struct err *err)
{
    (void)context;
    (void)err;
    *ret_list = json_pack("[{s:s}]", "State", "current");
    return 0;
}

static int view_node(void *context, json_t **ret_node, struct err *err)
{
    (void)context;
    (void)err;
    *ret_node = json_pack("{s:s}", "Name", "n1");
    return 0;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.out = NULL};
    arena_init(&fixture.arena, 0);
    fixture.context.store = store_memory_open();
    fixture.context.replica = fixture.context.store;
    struct seal *seal = NULL;
    assert_int_equal(seal_parse("test AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "test", &seal,
                                &fixture.err),
                     0);
    fixture.context.seal = fixture.seal = seal;
    fixture.context.views = (struct service_views){.explain = view_explain,
                                                   .check_status = view_check_status,
                                                   .reset_latch = view_reset_latch,
                                                   .routed = view_routed,
                                                   .secondaries = view_secondaries,
                                                   .node = view_node};
    fixture.call = (struct aws_call){
        .arena = &fixture.arena, .context = &fixture.context, .service = "leeward"};
    assert_int_equal(wall_parse("2026-11-21T10:00:00Z", &fixture.call.now), 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    json_decref(fixture->out);
    arena_done(&fixture->arena);
    store_close(fixture->context.store);
    seal_free(fixture->seal);
    return 0;
}

static aws_handler handler_of(const char *operation)
{
    for (size_t i = 0; i < service_leeward.count; i++) {
        if (text_equal(service_leeward.bindings[i].operation, operation)) {
            return service_leeward.bindings[i].handler;
        }
    }
    fail_msg("there is no operation %s", operation);
    return NULL;
}

/* Calls an operation; its result is in fixture->out until the next call. */
static int invoke(struct fixture *fixture, const char *operation, json_t *take_in)
{
    json_decref(fixture->out);
    fixture->out = NULL;
    fixture->call.error_code = NULL;
    fixture->call.operation = operation;
    int rc = handler_of(operation)(&fixture->call, take_in, &fixture->out, &fixture->err);
    json_decref(take_in);
    assert_true(rc == 0 || fixture->out == NULL);
    return rc;
}

static const char *text(const json_t *object, const char *member)
{
    const char *value = json_string_value(json_object_get(object, member));
    return value != NULL ? value : "";
}

static void put(struct fixture *fixture, const char *key, const char *value)
{
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t revision = 0;
    store_txn_put(txn, key, value, strlen(value));
    assert_int_equal(store_commit(fixture->context.store, txn, &revision, &fixture->err), 0);
}

/* Makes a key; its id, in the arena. */
static const char *make_key(struct fixture *fixture, const char *role)
{
    assert_int_equal(invoke(fixture, "CreateKey", json_pack("{s:s}", "Role", role)), 0);
    return arena_strdup(&fixture->arena, text(fixture->out, "Id"));
}

static int delete_key(struct fixture *fixture, const char *id)
{
    return invoke(fixture, "DeleteKey", json_pack("{s:s}", "Id", id));
}

/* ---- keys ---- */

static void a_created_key_is_stored_with_its_secret_sealed(void **state)
{
    struct fixture *fixture = *state;
    json_t *in = json_pack("{s:s, s:s}", "Role", "operator", "Comment", "on call");
    assert_int_equal(invoke(fixture, "CreateKey", in), 0);
    assert_string_equal(text(fixture->out, "Role"), "operator");
    assert_string_equal(text(fixture->out, "Comment"), "on call");
    assert_string_equal(text(fixture->out, "Created"), "2026-11-21T10:00:00Z");
    struct store_entry entry;
    struct model_access_key key;
    const char *path = path_join(&fixture->arena, PATH_ACCESS_KEYS, text(fixture->out, "Id"));
    assert_int_equal(
        store_get(fixture->context.store, path, &fixture->arena, &entry, &fixture->err), 0);
    assert_null(memmem(entry.value, entry.size, text(fixture->out, "Secret"), 40));
    assert_int_equal(service_access_key_get(fixture->context.store, fixture->seal,
                                            text(fixture->out, "Id"), &fixture->arena, &key,
                                            &fixture->err),
                     0);
    assert_int_equal(key.role, MODEL_ROLE_OPERATOR);
    assert_string_equal(key.comment, "on call");
    assert_string_equal(key.secret.data, text(fixture->out, "Secret"));
    assert_int_equal(key.created.ns, fixture->call.now.ns);
}

static void a_list_of_keys_holds_no_secret(void **state)
{
    struct fixture *fixture = *state;
    (void)make_key(fixture, "admin");
    const char *secret = arena_strdup(&fixture->arena, text(fixture->out, "Secret"));
    assert_int_equal(strlen(secret), 40);
    (void)make_key(fixture, "viewer");
    assert_int_equal(invoke(fixture, "ListKeys", json_object()), 0);
    assert_int_equal(json_array_size(json_object_get(fixture->out, "Keys")), 2);
    char *all = json_dumps(fixture->out, 0);
    assert_null(strstr(all, secret));
    assert_null(strstr(all, "Secret"));
    free(all);
}

static void a_damaged_key_is_listed_and_can_be_deleted(void **state)
{
    struct fixture *fixture = *state;
    (void)make_key(fixture, "admin");
    put(fixture, PATH_ACCESS_KEYS "AADAMAGEDAADAMAGED", "not json");
    assert_int_equal(invoke(fixture, "ListKeys", json_object()), 0);
    const json_t *keys = json_object_get(fixture->out, "Keys");
    assert_string_equal(text(json_array_get(keys, 0), "Id"), "AADAMAGEDAADAMAGED");
    assert_int_equal(delete_key(fixture, "AADAMAGEDAADAMAGED"), 0);
    assert_int_equal(invoke(fixture, "ListKeys", json_object()), 0);
    assert_int_equal(json_array_size(json_object_get(fixture->out, "Keys")), 1);
}

static void the_last_admin_key_stays(void **state)
{
    struct fixture *fixture = *state;
    const char *first = make_key(fixture, "admin");
    const char *viewer = make_key(fixture, "viewer");
    assert_int_not_equal(delete_key(fixture, first), 0);
    assert_string_equal(fixture->call.error_code, "LastAdminKeyException");
    assert_non_null(strstr(fixture->err.message, first));
    assert_int_equal(delete_key(fixture, viewer), 0);
    const char *second = make_key(fixture, "admin");
    assert_int_equal(delete_key(fixture, first), 0);
    assert_int_not_equal(delete_key(fixture, second), 0);
    assert_string_equal(fixture->call.error_code, "LastAdminKeyException");
}

static void an_unknown_key_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    const char *const ids[] = {"LWAKNOSUCHKEYAAAAAAA", "../../node/", "LWAK"};
    (void)make_key(fixture, "admin");
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        assert_int_not_equal(delete_key(fixture, ids[i]), 0);
        assert_string_equal(fixture->call.error_code, "NotFoundException");
    }
}

static void there_is_a_limit_to_keys(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < LEEWARD_KEYS_LIMIT; i++) {
        (void)make_key(fixture, "viewer");
    }
    json_t *in = json_pack("{s:s}", "Role", "viewer");
    assert_int_not_equal(invoke(fixture, "CreateKey", in), 0);
    assert_string_equal(fixture->call.error_code, "LimitExceededException");
}

#define ADMINS 8

struct deleter {
    struct service_context *context;
    const char *id;
    int rc;
};

static void *delete_one(void *argument)
{
    struct deleter *deleter = argument;
    struct arena arena;
    struct err err = ERR_INIT;
    json_t *out = NULL;
    arena_init(&arena, 0);
    struct aws_call call = {.arena = &arena, .context = deleter->context};
    json_t *in = json_pack("{s:s}", "Id", deleter->id);
    deleter->rc = leeward_delete_key(&call, in, &out, &err);
    json_decref(in);
    arena_done(&arena);
    return NULL;
}

static void deletions_at_once_leave_an_admin_key(void **state)
{
    struct fixture *fixture = *state;
    struct deleter deleters[ADMINS];
    pthread_t threads[ADMINS];
    for (size_t i = 0; i < ADMINS; i++) {
        deleters[i] =
            (struct deleter){.context = &fixture->context, .id = make_key(fixture, "admin")};
    }
    for (size_t i = 0; i < ADMINS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, delete_one, &deleters[i]), 0);
    }
    int failed = 0;
    for (size_t i = 0; i < ADMINS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        failed += deleters[i].rc != 0;
    }
    size_t left = 0;
    assert_int_equal(store_count(fixture->context.store, PATH_ACCESS_KEYS, &left, &fixture->err),
                     0);
    assert_true(left >= 1);
    assert_int_equal(left, failed);
}

/* ---- status ---- */

static void status_shows_zones_checks_records_and_node(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, PATH_ZONES "Z1",
        "{\"v\":1,\"Id\":\"Z1\",\"Name\":\"example.com.\",\"CallerReference\":\"r\","
        "\"RecordCount\":4,\"Created\":1,\"NameServers\":[]}");
    put(fixture, PATH_ZONES "Z2", "damaged");
    put(fixture, PATH_CHECKS "c1",
        "{\"v\":1,\"Id\":\"c1\",\"CallerReference\":\"r\",\"HealthCheckVersion\":1,"
        "\"HealthCheckConfig\":{\"Type\":\"HTTPS\",\"FullyQualifiedDomainName\":\"www.example."
        "com\","
        "\"IPAddress\":\"192.0.2.1\",\"ResourcePath\":\"/health\",\"Disabled\":true}}");
    put(fixture, PATH_CHECKS "c2",
        "{\"v\":1,\"Id\":\"c2\",\"CallerReference\":\"r\",\"HealthCheckVersion\":1,"
        "\"HealthCheckConfig\":{\"Type\":\"TCP\",\"IPAddress\":\"2001:db8::1\",\"Port\":5432}}");
    put(fixture, PATH_CHECKS "fresh",
        "{\"v\":1,\"Id\":\"fresh\",\"CallerReference\":\"r\",\"HealthCheckVersion\":1,"
        "\"HealthCheckConfig\":{\"Type\":\"CALCULATED\",\"HealthThreshold\":1,"
        "\"ChildHealthChecks\":[\"c1\",\"c2\"]}}");
    if (invoke(fixture, "GetStatus", json_object()) != 0) {
        fail_msg("%s", fixture->err.message);
    }
    const json_t *zones = json_object_get(fixture->out, "Zones");
    assert_int_equal(json_array_size(zones), 2);
    assert_string_equal(text(json_array_get(zones, 0), "Name"), "example.com.");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(zones, 0), "RecordCount")),
                     4);
    assert_string_equal(text(json_array_get(zones, 1), "Id"), "Z2");
    const json_t *checks = json_object_get(fixture->out, "HealthChecks");
    assert_int_equal(json_array_size(checks), 3);
    const json_t *first = json_array_get(checks, 0);
    assert_string_equal(text(first, "Type"), "HTTPS");
    assert_string_equal(text(first, "Target"), "https://www.example.com:443/health at 192.0.2.1");
    assert_true(json_is_true(json_object_get(first, "Disabled")));
    assert_true(json_is_true(json_object_get(json_object_get(first, "Status"), "Healthy")));
    assert_string_equal(text(json_array_get(checks, 1), "Target"), "tcp://[2001:db8::1]:5432");
    assert_string_equal(text(json_array_get(checks, 2), "Target"), "at least 1 of 2 checks");
    assert_null(json_object_get(json_array_get(checks, 2), "Status"));
    assert_string_equal(text(json_object_get(fixture->out, "Node"), "Name"), "n1");
    assert_int_equal(json_array_size(json_object_get(fixture->out, "RoutedRecords")), 1);
    assert_true(json_is_true(json_object_get(fixture->out, "RoutedRecordsTruncated")));
    assert_int_equal(json_array_size(json_object_get(fixture->out, "SecondaryZones")), 1);
}

static void an_empty_store_has_an_empty_status(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(invoke(fixture, "GetStatus", json_object()), 0);
    assert_int_equal(json_array_size(json_object_get(fixture->out, "Zones")), 0);
    assert_int_equal(json_array_size(json_object_get(fixture->out, "HealthChecks")), 0);
}

static void explanations_are_asked_for_by_type_number(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        const char *type;
        int number;
    } cases[] = {{"A", 1},     {"NS", 2},    {"CNAME", 5}, {"SOA", 6},   {"PTR", 12},
                 {"MX", 15},   {"TXT", 16},  {"AAAA", 28}, {"SRV", 33},  {"NAPTR", 35},
                 {"DS", 43},   {"SPF", 99},  {"CAA", 257}, {"TLSA", 52}, {"SSHFP", 44},
                 {"SVCB", 64}, {"HTTPS", 65}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *in = json_pack("{s:s, s:s}", "Name", "a.example.", "Type", cases[i].type);
        assert_int_equal(invoke(fixture, "ExplainAnswer", in), 0);
        assert_string_equal(text(fixture->out, "Name"), "a.example.");
        assert_int_equal(json_integer_value(json_object_get(fixture->out, "Number")),
                         cases[i].number);
    }
    json_t *in = json_pack("{s:s, s:s}", "Name", "a..b", "Type", "A");
    assert_int_not_equal(invoke(fixture, "ExplainAnswer", in), 0);
    assert_string_equal(fixture->call.error_code, "InvalidInputException");
    assert_string_equal(fixture->err.message, "a..b is no name");
}

static void only_known_checks_are_reset(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(invoke(fixture, "ResetHealthCheck", json_pack("{s:s}", "Id", "known")), 0);
    assert_int_not_equal(invoke(fixture, "ResetHealthCheck", json_pack("{s:s}", "Id", "other")), 0);
    assert_string_equal(fixture->call.error_code, "NotFoundException");
    assert_non_null(strstr(fixture->err.message, "other"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_created_key_is_stored_with_its_secret_sealed),
        TEST(a_list_of_keys_holds_no_secret),
        TEST(a_damaged_key_is_listed_and_can_be_deleted),
        TEST(the_last_admin_key_stays),
        TEST(an_unknown_key_is_not_found),
        TEST(there_is_a_limit_to_keys),
        TEST(deletions_at_once_leave_an_admin_key),
        TEST(status_shows_zones_checks_records_and_node),
        TEST(an_empty_store_has_an_empty_status),
        TEST(explanations_are_asked_for_by_type_number),
        TEST(only_known_checks_are_reset),
    };
    return cmocka_run_group_tests_name("service leeward", tests, NULL, NULL);
}
