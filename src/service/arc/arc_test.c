/* The handlers of routing controls over a memory store that two daemons share, each with a cache of
 * its own: what one of them changed, the other must not overlook. */
#include "service/arc/arc.h"

#include "base/text.h"
#include "service/common/context.h"
#include "service/common/controls.h"
#include "service/common/tree.h"
#include "store/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SITES 2U
#define CONTROLS 3U

struct fixture {
    struct store *store;
    struct service_context sites[SITES];
    struct arena arena;
    struct aws_call call; /* the last */
    struct err err;
    json_t *out;
    int64_t now_ms;
    char cluster[MODEL_ARC_ARN];
    char panel[MODEL_ARC_ARN];
    char controls[CONTROLS][MODEL_ARC_ARN];
};

static struct fixture f;

static int api_endpoints(void *context, json_t **ret_list, struct err *err)
{
    (void)context;
    (void)err;
    *ret_list = json_pack("[{s:s, s:s}]", "Endpoint", "http://127.0.0.1:1", "Region", "here");
    return 0;
}

static aws_handler find(const struct aws_service *service, const char *operation)
{
    for (size_t i = 0; i < service->count; i++) {
        if (text_equal(service->bindings[i].operation, operation)) {
            return service->bindings[i].handler;
        }
    }
    fail_msg("no operation %s", operation);
    return NULL;
}

/* Somebody on another thread, who asks a site of their own. */
struct other {
    struct arena arena;
    pthread_t thread;
    atomic_bool stop;
    unsigned refused;
};

static int ask_beside(struct other *other, size_t site, json_t *take_states)
{
    struct err err = ERR_INIT;
    json_t *out = NULL;
    arena_done(&other->arena);
    struct aws_call call = {.arena = &other->arena,
                            .context = &f.sites[site],
                            .service = service_arc_cluster.name,
                            .operation = "UpdateRoutingControlStates",
                            .account_id = "123456789012",
                            .path = "/",
                            .now = {.ns = f.now_ms * TIME_MS}};
    int rc = find(&service_arc_cluster, call.operation)(&call, take_states, &out, &err);
    json_decref(take_states);
    json_decref(out);
    return rc;
}

/* Takes the request; the handler's code. */
static int ask(size_t site, const struct aws_service *service, const char *operation,
               json_t *take_in)
{
    assert_non_null(take_in);
    json_decref(f.out);
    f.out = NULL;
    arena_done(&f.arena);
    err_clear(&f.err);
    f.call = (struct aws_call){.arena = &f.arena,
                               .context = &f.sites[site],
                               .service = service->name,
                               .operation = operation,
                               .account_id = "123456789012",
                               .path = "/",
                               .now = {.ns = f.now_ms * TIME_MS}};
    int rc = find(service, operation)(&f.call, take_in, &f.out, &f.err);
    json_decref(take_in);
    return rc;
}

static const char *out_text(const char *object, const char *member)
{
    const char *text = tree_text(json_object_get(f.out, object), member);
    assert_string_not_equal(text, "");
    return text;
}

static int set_up(void **state)
{
    (void)state;
    f = (struct fixture){.store = store_memory_open(), .now_ms = 1763715600000};
    arena_init(&f.arena, 0);
    for (size_t i = 0; i < SITES; i++) {
        f.sites[i] = (struct service_context){.store = f.store,
                                              .controls = controls_cache_new(),
                                              .views = {.api_endpoints = api_endpoints}};
    }
    assert_int_equal(
        ask(0, &service_arc_config, "CreateCluster", json_pack("{s:s}", "ClusterName", "c")), 0);
    (void)snprintf(f.cluster, sizeof f.cluster, "%s", out_text("Cluster", "ClusterArn"));
    for (size_t i = 0; i < CONTROLS; i++) {
        const char name[] = {(char)('a' + (int)i), '\0'};
        assert_int_equal(
            ask(0, &service_arc_config, "CreateRoutingControl",
                json_pack("{s:s, s:s}", "ClusterArn", f.cluster, "RoutingControlName", name)),
            0);
        (void)snprintf(f.controls[i], sizeof f.controls[i], "%s",
                       out_text("RoutingControl", "RoutingControlArn"));
        (void)snprintf(f.panel, sizeof f.panel, "%s",
                       out_text("RoutingControl", "ControlPanelArn"));
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(f.out);
    arena_done(&f.arena);
    for (size_t i = 0; i < SITES; i++) {
        controls_cache_free(f.sites[i].controls);
    }
    store_close(f.store);
    return 0;
}

/* Whether the change was made; a refusal is a ConflictException. */
static bool set(size_t site, size_t control, const char *state)
{
    int rc = ask(site, &service_arc_cluster, "UpdateRoutingControlState",
                 json_pack("{s:s, s:s}", "RoutingControlArn", f.controls[control],
                           "RoutingControlState", state));
    if (rc != 0) {
        assert_string_equal(f.call.error_code, "ConflictException");
    }
    return rc == 0;
}

static bool is_on(size_t site, size_t control)
{
    assert_int_equal(ask(site, &service_arc_cluster, "GetRoutingControlState",
                         json_pack("{s:s}", "RoutingControlArn", f.controls[control])),
                     0);
    return text_equal(tree_text(f.out, "RoutingControlState"), "On");
}

static void add_rule(const char *name, const char *type, int threshold, int wait_ms)
{
    assert_int_equal(
        ask(0, &service_arc_config, "CreateSafetyRule",
            json_pack("{s:{s:s, s:s, s:[s, s], s:i, s:{s:s, s:i, s:b}}}", "AssertionRule", "Name",
                      name, "ControlPanelArn", f.panel, "AssertedControls", f.controls[0],
                      f.controls[1], "WaitPeriodMs", wait_ms, "RuleConfig", "Type", type,
                      "Threshold", threshold, "Inverted", 0)),
        0);
}

static int64_t revision(void)
{
    struct err err = ERR_INIT;
    int64_t revision = 0;
    assert_int_equal(store_revision(f.store, &revision, &err), 0);
    return revision;
}

/* ---- tests ---- */

static void what_an_old_cache_allows_is_judged_again(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_true(set(1, 2, "On")); /* fills the other site's cache: a and b are On */
    assert_true(set(0, 0, "Off"));
    assert_false(set(1, 1, "Off"));
    assert_true(is_on(1, 1));
}

static void what_an_old_cache_forbids_is_read_first(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_false(set(1, 0, "Off")); /* the cache knows: only a is On */
    assert_true(set(0, 1, "On"));
    assert_true(set(1, 0, "Off"));
    assert_false(is_on(0, 0));
}

static void a_rule_made_elsewhere_holds_at_once(void **state)
{
    (void)state;
    assert_true(set(1, 0, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_false(set(1, 0, "Off"));
}

static void setting_what_an_old_cache_takes_for_set_is_not_lost(void **state)
{
    (void)state;
    assert_true(set(1, 0, "On"));
    assert_true(set(0, 0, "Off"));
    assert_true(set(1, 0, "On")); /* On in the cache, Off in the store */
    assert_true(is_on(0, 0));
}

static void setting_what_is_set_writes_nothing(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    int64_t before = revision();
    assert_true(set(0, 0, "On"));
    assert_true(set(1, 0, "On"));
    assert_int_equal(revision(), before);
}

static void a_control_that_is_new_elsewhere_is_found(void **state)
{
    (void)state;
    assert_true(set(1, 0, "On"));
    assert_int_equal(
        ask(0, &service_arc_config, "CreateRoutingControl",
            json_pack("{s:s, s:s}", "ClusterArn", f.cluster, "RoutingControlName", "d")),
        0);
    (void)snprintf(f.controls[2], sizeof f.controls[2], "%s",
                   out_text("RoutingControl", "RoutingControlArn"));
    assert_true(set(1, 2, "On"));
    assert_true(is_on(0, 2));
}

static void a_control_that_was_deleted_elsewhere_is_gone(void **state)
{
    (void)state;
    assert_true(set(1, 2, "On"));
    assert_int_equal(ask(0, &service_arc_config, "DeleteRoutingControl",
                         json_pack("{s:s}", "RoutingControlArn", f.controls[2])),
                     0);
    assert_true(ask(1, &service_arc_cluster, "UpdateRoutingControlState",
                    json_pack("{s:s, s:s}", "RoutingControlArn", f.controls[2],
                              "RoutingControlState", "Off")) < 0);
    assert_string_equal(f.call.error_code, "ResourceNotFoundException");
}

static void a_wait_period_is_known_everywhere(void **state)
{
    (void)state;
    add_rule("calm", "ATLEAST", 1, 5000);
    assert_true(set(0, 0, "On"));
    f.now_ms += 4999;
    assert_false(set(1, 1, "On"));
    f.now_ms += 1;
    assert_true(set(1, 1, "On"));
    f.now_ms += 1;
    assert_false(set(0, 0, "Off"));
}

static void an_update_names_every_rule_that_blocks(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    add_rule("only", "EXACTLY", 1, 0);
    assert_false(set(0, 0, "Off"));
    const json_t *rules = json_object_get(f.call.error_members, "blockingRules");
    assert_int_equal(json_array_size(rules), 2);
    assert_non_null(
        strstr(tree_text(f.call.error_members, "message"), "blocked by 2 safety rules"));
}

/* ---- a change over two panels ---- */

static json_t *two_states(const char *first, const char *a, const char *second, const char *b)
{
    return json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "UpdateRoutingControlStateEntries",
                     "RoutingControlArn", first, "RoutingControlState", a, "RoutingControlArn",
                     second, "RoutingControlState", b);
}

static char second_panel[MODEL_ARC_ARN];
static char second_controls[2][MODEL_ARC_ARN];

static void make_second_panel(void)
{
    assert_int_equal(
        ask(0, &service_arc_config, "CreateControlPanel",
            json_pack("{s:s, s:s}", "ClusterArn", f.cluster, "ControlPanelName", "second")),
        0);
    (void)snprintf(second_panel, sizeof second_panel, "%s",
                   out_text("ControlPanel", "ControlPanelArn"));
    for (size_t i = 0; i < 2; i++) {
        const char name[] = {(char)('y' + (int)i), '\0'};
        assert_int_equal(
            ask(0, &service_arc_config, "CreateRoutingControl",
                json_pack("{s:s, s:s, s:s}", "ClusterArn", f.cluster, "ControlPanelArn",
                          second_panel, "RoutingControlName", name)),
            0);
        (void)snprintf(second_controls[i], sizeof second_controls[i], "%s",
                       out_text("RoutingControl", "RoutingControlArn"));
    }
    assert_int_equal(
        ask(0, &service_arc_config, "CreateSafetyRule",
            json_pack("{s:{s:s, s:s, s:[s, s], s:i, s:{s:s, s:i, s:b}}}", "AssertionRule", "Name",
                      "second", "ControlPanelArn", second_panel, "AssertedControls",
                      second_controls[0], second_controls[1], "WaitPeriodMs", 0, "RuleConfig",
                      "Type", "ATLEAST", "Threshold", 1, "Inverted", 0)),
        0);
}

/* Of b and z one is On, in turns. */
static void *take_turns(void *context)
{
    struct other *other = context;
    for (unsigned turn = 0; !atomic_load(&other->stop); turn++) {
        const char *one = turn % 2 != 0 ? "On" : "Off";
        const char *two = turn % 2 != 0 ? "Off" : "On";
        other->refused +=
            ask_beside(other, 1, two_states(f.controls[1], one, second_controls[1], two)) != 0;
    }
    return NULL;
}

static void a_refusal_names_what_blocks_at_one_moment(void **state)
{
    (void)state;
    static struct other other;
    make_second_panel();
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On"));
    add_rule("first", "ATLEAST", 1, 0);
    assert_int_equal(ask(0, &service_arc_cluster, "UpdateRoutingControlStates",
                         two_states(second_controls[0], "On", second_controls[1], "Off")),
                     0);
    arena_init(&other.arena, 0);
    assert_int_equal(pthread_create(&other.thread, NULL, take_turns, &other), 0);
    unsigned wrong = 0;
    /* Turning a and y off is forbidden all the time: by the one rule, or by the other. */
    for (unsigned i = 0; i < 2000; i++) {
        int rc = ask(0, &service_arc_cluster, "UpdateRoutingControlStates",
                     two_states(f.controls[0], "Off", second_controls[0], "Off"));
        const json_t *rules = json_object_get(f.call.error_members, "blockingRules");
        wrong += rc == 0 || (rules != NULL && json_array_size(rules) != 1);
    }
    atomic_store(&other.stop, true);
    assert_int_equal(pthread_join(other.thread, NULL), 0);
    arena_done(&other.arena);
    assert_int_equal(wrong, 0);
    assert_int_equal(other.refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_old_cache_allows_is_judged_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_an_old_cache_forbids_is_read_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rule_made_elsewhere_holds_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(setting_what_an_old_cache_takes_for_set_is_not_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(setting_what_is_set_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_control_that_is_new_elsewhere_is_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_control_that_was_deleted_elsewhere_is_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wait_period_is_known_everywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_update_names_every_rule_that_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_names_what_blocks_at_one_moment, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
