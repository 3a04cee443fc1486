/* The handlers of routing controls over a memory store that two daemons share, each with a cache of
 * its own: what one of them changed, the other must not overlook.
 *
 * It is over 800 lines because all of its tests need the one fixture. */
#include "service/arc/arc.h"

#include "base/text.h"
#include "model/path.h"
#include "service/common/combine.h"
#include "service/common/context.h"
#include "service/common/controls.h"
#include "service/common/tree.h"
#include "store/fickle_store.h"
#include "store/memory.h"

#include <pthread.h>
#include <sched.h>
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
    struct store *restored; /* what the first site sees after restore; NULL until then */
    struct store *fickle;   /* the same, as the first site sees it */
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

/* Takes the request, which came to the path; the handler's code. */
static int ask_path(size_t site, const struct aws_service *service, const char *operation,
                    const char *path, json_t *take_in)
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
                               .path = path,
                               .now = {.ns = f.now_ms * TIME_MS}};
    int rc = find(service, operation)(&f.call, take_in, &f.out, &f.err);
    json_decref(take_in);
    return rc;
}

static int ask(size_t site, const struct aws_service *service, const char *operation,
               json_t *take_in)
{
    return ask_path(site, service, operation, "/", take_in);
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
    f.fickle = fickle_new(f.store);
    arena_init(&f.arena, 0);
    for (size_t i = 0; i < SITES; i++) {
        f.sites[i] = (struct service_context){.store = i == 0 ? f.fickle : f.store,
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
    store_close(f.fickle);
    if (f.restored != NULL) {
        store_close(f.restored);
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

/* Another store in place of the first site's, as after a backup was restored and others changed the
 * panel anew: it has the same revisions, under which a is On and the other controls are Off. */
static void restore(void)
{
    struct err err = ERR_INIT;
    struct store_list all;
    struct arena arena;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    int64_t last = revision();
    int64_t now = 0;
    arena_init(&arena, 0);
    f.restored = store_memory_open();
    assert_int_equal(store_range(f.store, "", NULL, 0, &arena, &all, &err), 0);
    for (size_t i = 0; i < all.count; i++) {
        const struct store_entry *entry = &all.entries[i];
        bool b = strstr(entry->key, PATH_ARC_STATES) != NULL &&
                 strstr(entry->key, strrchr(f.controls[1], '/') + 1) != NULL;
        const char *off = "{\"v\":1,\"State\":\"Off\"}";
        store_txn_put(txn, entry->key, b ? off : entry->value, b ? strlen(off) : entry->size);
    }
    while (now < last - 1) {
        struct store_txn *step CLEANUP(store_txn_cleanup) = store_txn_new();
        store_txn_put(step, "step", "", 0);
        assert_int_equal(store_commit(f.restored, step, &now, &err), 0);
    }
    assert_int_equal(store_commit(f.restored, txn, &now, &err), 0);
    assert_int_equal(now, last);
    arena_done(&arena);
    fickle_replace(f.fickle, f.restored);
}

static void what_was_cached_before_a_restore_allows_nothing_after_it(void **state)
{
    (void)state;
    fickle_set_past(f.fickle, 1);
    add_rule("one", "ATLEAST", 1, 0);
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On")); /* the cache has both On, under the guard's revision */
    restore();
    fickle_set_past(f.fickle, 2);
    assert_false(is_on(0, 1));
    assert_false(set(0, 0, "Off"));
    assert_true(is_on(0, 0));
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

static void an_endpoint_of_a_cluster_that_is_gone_lists_nothing(void **state)
{
    (void)state;
    char path[64];
    const char *id = strrchr(f.cluster, '/') + 1;
    (void)snprintf(path, sizeof path, "/cluster/%s/", id);
    assert_int_equal(ask_path(0, &service_arc_cluster, "ListRoutingControls", path, json_object()),
                     0);
    assert_int_equal(json_array_size(json_object_get(f.out, "RoutingControls")), CONTROLS);
    for (char *at = path + strlen("/cluster/"); *at != '/'; at++) {
        *at = *at == '0' ? '1' : '0'; /* the id of nothing */
    }
    assert_true(ask_path(0, &service_arc_cluster, "ListRoutingControls", path, json_object()) < 0);
    assert_string_equal(f.call.error_code, "ResourceNotFoundException");
    assert_string_equal(tree_text(f.call.error_members, "resourceType"), "cluster");
    assert_non_null(strstr(tree_text(f.call.error_members, "resourceId"), ":cluster/"));
    assert_true(ask_path(0, &service_arc_cluster, "ListRoutingControls", path,
                         json_pack("{s:s}", "ControlPanelArn", f.panel)) < 0);
    assert_string_equal(f.call.error_code, "ResourceNotFoundException");
}

static void a_panel_that_is_gone_lists_nothing(void **state)
{
    (void)state;
    char gone[MODEL_ARC_ARN];
    (void)snprintf(gone, sizeof gone, "%s", f.panel);
    char *last = &gone[strlen(gone) - 1];
    *last = *last == '0' ? '1' : '0';
    assert_true(ask(0, &service_arc_cluster, "ListRoutingControls",
                    json_pack("{s:s}", "ControlPanelArn", gone)) < 0);
    assert_string_equal(f.call.error_code, "ResourceNotFoundException");
    assert_string_equal(tree_text(f.call.error_members, "resourceId"), gone);
    assert_string_equal(tree_text(f.call.error_members, "resourceType"), "controlpanel");
}

static void states_that_change_too_often_name_their_panel(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    fickle_conflict(f.fickle, true);
    assert_false(set(0, 0, "Off"));
    fickle_conflict(f.fickle, false);
    assert_non_null(strstr(f.err.message, "changed too often"));
    assert_string_equal(tree_text(f.call.error_members, "resourceId"), f.panel);
    assert_string_equal(tree_text(f.call.error_members, "resourceType"), "controlpanel");
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

/* ---- changes that are made together ---- */

#define WAITING 4U

/* Somebody who asks the first site while the panel is held. */
struct waiting {
    struct arena arena;
    pthread_t thread;
    json_t *states;
    struct aws_call call;
    struct err err;
    int rc;
};

static struct waiting waiting[WAITING];
static size_t waiting_count;
static atomic_bool held;
static atomic_bool holding;
static pthread_t holder;

static void hold_until_released(struct combine_call *first)
{
    (void)first;
    atomic_store(&holding, true);
    while (atomic_load(&held)) {
        (void)sched_yield();
    }
}

static void *hold(void *arn)
{
    struct model_arc_name name;
    assert_int_equal(model_arc_parse(arn, &name), 0);
    const char *const names[] = {name.id};
    struct combine_call call = {.names = names, .count = 1, .weight = 1};
    combine(controls_combiner(f.sites[0].controls), &call, hold_until_released);
    return NULL;
}

/* Whoever wants to change the panel waits from now on, for 200 ms at most. */
static void hold_panel(char *panel_arn)
{
    waiting_count = 0;
    atomic_store(&held, true);
    atomic_store(&holding, false);
    assert_int_equal(pthread_create(&holder, NULL, hold, panel_arn), 0);
    while (!atomic_load(&holding)) {
        (void)sched_yield();
    }
}

static void *wait_and_ask(void *context)
{
    struct waiting *self = context;
    json_t *out = NULL;
    self->call = (struct aws_call){.arena = &self->arena,
                                   .context = &f.sites[0],
                                   .service = service_arc_cluster.name,
                                   .operation = "UpdateRoutingControlStates",
                                   .account_id = "123456789012",
                                   .path = "/",
                                   .now = {.ns = f.now_ms * TIME_MS}};
    self->rc = find(&service_arc_cluster, self->call.operation)(&self->call, self->states, &out,
                                                                &self->err);
    json_decref(out);
    return NULL;
}

static void ask_meanwhile(json_t *take_states)
{
    struct combiner *combiner = controls_combiner(f.sites[0].controls);
    size_t before = combiner_count(combiner);
    struct waiting *self = &waiting[waiting_count++];
    *self = (struct waiting){.states = take_states};
    arena_init(&self->arena, 0);
    assert_int_equal(pthread_create(&self->thread, NULL, wait_and_ask, self), 0);
    while (combiner_count(combiner) == before) {
        (void)sched_yield();
    }
}

static json_t *one_state(const char *control, const char *state)
{
    return json_pack("{s:[{s:s, s:s}]}", "UpdateRoutingControlStateEntries", "RoutingControlArn",
                     control, "RoutingControlState", state);
}

static void set_meanwhile(size_t control, const char *state)
{
    ask_meanwhile(one_state(f.controls[control], state));
}

/* What it came to stays until forget. */
static void release(void)
{
    atomic_store(&held, false);
    assert_int_equal(pthread_join(holder, NULL), 0);
    for (size_t i = 0; i < waiting_count; i++) {
        assert_int_equal(pthread_join(waiting[i].thread, NULL), 0);
    }
}

static void forget(void)
{
    for (size_t i = 0; i < waiting_count; i++) {
        json_decref(waiting[i].states);
        arena_done(&waiting[i].arena);
    }
}

static void changes_that_wait_are_made_by_one_transaction(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On")); /* fills the cache */
    int64_t before = revision();
    hold_panel(f.panel);
    set_meanwhile(0, "Off");
    set_meanwhile(1, "On");
    set_meanwhile(2, "On");
    set_meanwhile(1, "On"); /* it is already, by then */
    release();
    for (size_t i = 0; i < waiting_count; i++) {
        assert_int_equal(waiting[i].rc, 0);
    }
    assert_int_equal(revision(), before + 1);
    assert_false(is_on(0, 0));
    assert_true(is_on(0, 1));
    assert_true(is_on(1, 2));
    forget();
    assert_true(set(0, 0, "On")); /* and the cache knows it */
    assert_int_equal(revision(), before + 2);
}

static void each_change_is_judged_by_what_those_before_it_leave(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_true(set(0, 2, "On"));
    int64_t before = revision();
    hold_panel(f.panel);
    set_meanwhile(0, "Off");
    set_meanwhile(1, "Off"); /* forbidden by what the first left */
    set_meanwhile(0, "On");
    set_meanwhile(1, "Off"); /* allowed by what the third left */
    release();
    const int expected[] = {0, -1, 0, 0};
    for (size_t i = 0; i < waiting_count; i++) {
        assert_true((waiting[i].rc < 0) == (expected[i] < 0));
    }
    assert_string_equal(waiting[1].call.error_code, "ConflictException");
    assert_int_equal(
        json_array_size(json_object_get(waiting[1].call.error_members, "blockingRules")), 1);
    assert_int_equal(revision(), before + 1);
    assert_true(is_on(1, 0));
    assert_false(is_on(1, 1));
    forget();
}

static void a_wait_period_begins_with_the_change_before(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On"));
    add_rule("calm", "ATLEAST", 1, 5000);
    f.now_ms += 6000;
    hold_panel(f.panel);
    set_meanwhile(0, "Off");
    set_meanwhile(0, "On");
    set_meanwhile(1, "Off");
    set_meanwhile(2, "On"); /* no rule is about it */
    release();
    assert_true(waiting[0].rc == 0 && waiting[1].rc < 0 && waiting[2].rc < 0 && waiting[3].rc == 0);
    assert_true(is_on(1, 1));
    assert_true(is_on(1, 2));
    forget();
}

/* The transaction writes what the control was before, and when it changed last. */
static void a_control_that_was_turned_there_and_back_has_changed(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    assert_true(set(0, 1, "On"));
    add_rule("calm", "ATLEAST", 1, 5000);
    char rule[MODEL_ARC_ARN];
    (void)snprintf(rule, sizeof rule, "%s", out_text("AssertionRule", "SafetyRuleArn"));
    f.now_ms += 6000;
    hold_panel(f.panel);
    set_meanwhile(0, "Off");
    json_t *back = one_state(f.controls[0], "On");
    assert_int_equal(json_object_set_new(back, "SafetyRulesToOverride", json_pack("[s]", rule)), 0);
    ask_meanwhile(back);
    release();
    assert_true(waiting[0].rc == 0 && waiting[1].rc == 0);
    forget();
    assert_true(is_on(1, 0));
    f.now_ms += 4000;
    assert_false(set(1, 1, "Off"));
    f.now_ms += 2000;
    assert_true(set(1, 1, "Off"));
}

static void all_are_judged_again_when_the_cache_was_old(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_true(set(0, 2, "On")); /* fills the cache: a is On, b is Off */
    assert_true(set(1, 1, "On"));
    hold_panel(f.panel);
    set_meanwhile(0, "Off"); /* the cache forbids it, the store does not */
    set_meanwhile(2, "Off"); /* the cache allows it */
    set_meanwhile(1, "Off"); /* b is all there is by then */
    release();
    assert_true(waiting[0].rc == 0 && waiting[1].rc == 0 && waiting[2].rc < 0);
    assert_false(is_on(1, 0));
    assert_true(is_on(1, 1));
    assert_false(is_on(1, 2));
    forget();
}

static void refusals_alone_write_nothing(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    add_rule("one", "EXACTLY", 1, 0);
    assert_true(set(0, 2, "On"));
    int64_t before = revision();
    hold_panel(f.panel);
    set_meanwhile(0, "Off");
    set_meanwhile(1, "On");
    release();
    for (size_t i = 0; i < waiting_count; i++) {
        assert_true(waiting[i].rc < 0);
        assert_string_equal(waiting[i].call.error_code, "ConflictException");
    }
    assert_int_equal(revision(), before);
    forget();
}

static void what_one_asks_for_in_vain_does_not_harm_the_others(void **state)
{
    (void)state;
    char gone[MODEL_ARC_ARN];
    assert_true(set(0, 0, "On"));
    (void)snprintf(gone, sizeof gone, "%s", f.controls[2]);
    assert_int_equal(ask(1, &service_arc_config, "DeleteRoutingControl",
                         json_pack("{s:s}", "RoutingControlArn", gone)),
                     0);
    hold_panel(f.panel);
    ask_meanwhile(two_states(f.controls[0], "Off", gone, "On"));
    set_meanwhile(1, "On");
    release();
    assert_true(waiting[0].rc < 0);
    assert_string_equal(waiting[0].call.error_code, "ResourceNotFoundException");
    assert_int_equal(waiting[1].rc, 0);
    assert_true(is_on(1, 0));
    assert_true(is_on(1, 1));
    forget();
}

static void what_nobody_knows_the_outcome_of_is_told_to_all(void **state)
{
    (void)state;
    assert_true(set(0, 0, "On"));
    add_rule("one", "ATLEAST", 1, 0);
    assert_true(set(0, 2, "On"));
    hold_panel(f.panel);
    set_meanwhile(1, "On");
    set_meanwhile(0, "Off"); /* allowed after the first alone */
    set_meanwhile(1, "Off"); /* forbidden then */
    fickle_fail(f.fickle, true);
    release();
    fickle_fail(f.fickle, false);
    for (size_t i = 0; i < waiting_count; i++) {
        assert_true(waiting[i].rc < 0);
        assert_string_equal(waiting[i].call.error_code, "EndpointTemporarilyUnavailableException");
    }
    forget();
    assert_true(is_on(0, 0));
    assert_true(set(0, 1, "On")); /* what did not happen is not in the cache */
    assert_true(set(0, 0, "Off"));
}

static void who_changes_two_panels_takes_along_who_changes_one(void **state)
{
    (void)state;
    make_second_panel();
    assert_true(set(0, 0, "On"));
    assert_int_equal(ask(0, &service_arc_cluster, "UpdateRoutingControlStates",
                         two_states(second_controls[0], "On", second_controls[1], "On")),
                     0);
    int64_t before = revision();
    hold_panel(second_panel);
    ask_meanwhile(two_states(f.controls[0], "Off", second_controls[0], "Off"));
    set_meanwhile(1, "On");                              /* waits behind it */
    ask_meanwhile(one_state(second_controls[1], "Off")); /* the rule wants one of them */
    ask_meanwhile(two_states(f.controls[2], "On", second_controls[0], "On"));
    release();
    assert_true(waiting[0].rc == 0 && waiting[1].rc == 0 && waiting[2].rc < 0 &&
                waiting[3].rc == 0);
    assert_int_equal(revision(), before + 1);
    assert_false(is_on(1, 0));
    assert_true(is_on(1, 1));
    assert_true(is_on(1, 2));
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_old_cache_allows_is_judged_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_cached_before_a_restore_allows_nothing_after_it,
                                        set_up, tear_down),
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
        cmocka_unit_test_setup_teardown(an_endpoint_of_a_cluster_that_is_gone_lists_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_panel_that_is_gone_lists_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(states_that_change_too_often_name_their_panel, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_update_names_every_rule_that_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_names_what_blocks_at_one_moment, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(changes_that_wait_are_made_by_one_transaction, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_change_is_judged_by_what_those_before_it_leave, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wait_period_begins_with_the_change_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_control_that_was_turned_there_and_back_has_changed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_are_judged_again_when_the_cache_was_old, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(refusals_alone_write_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_asks_for_in_vain_does_not_harm_the_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_knows_the_outcome_of_is_told_to_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_changes_two_panels_takes_along_who_changes_one, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
