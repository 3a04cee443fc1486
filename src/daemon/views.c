/* Views: what service handlers may see of the data planes (service/common/context.h), as JSON trees
 * with the names of the leeward model (aws/overlay/leeward). Called on API threads; questions about
 * zones run on the compiler thread, which owns them. Nothing here changes anything but reset_latch.
 */
#include "base/address.h"
#include "base/text.h"
#include "daemon/daemon.h"
#include "daemon/exposition.h"
#include "daemon/response.h"
#include "dns/answer/answer.h"
#include "dns/wire/rdata.h"
#include "model/path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define ROUTED_LIMIT 1000U /* groups shown by one status call */
#define SECONDARIES_LIMIT 10000U

/* A moment as the API shows it; absent when it has not come yet. */
static void set_time(json_t *object, const char *name, struct wall when)
{
    if (when.ns != 0) {
        char text[TIME_TEXT];
        wall_format_ms(when, text);
        (void)json_object_set_new(object, name,
                                  json_string(text)); /* out of memory shows as absent */
    }
}

/* ---- explain, routed: on the compiler thread ---- */

static json_t *candidate_json(const struct zone_candidate *candidate)
{
    json_t *values = json_array();
    for (size_t i = 0; i < candidate->value_count; i++) {
        (void)json_array_append_new(values, json_string(candidate->values[i])); /* as set_time */
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:o}", "SetIdentifier",
                     candidate->set_identifier, "Role", candidate->role, "HealthCheckId",
                     candidate->health_check_id, "Healthy", candidate->healthy, "Chosen",
                     candidate->chosen, "Reason", candidate->reason, "Alias", candidate->alias,
                     "Values", values);
}

static json_t *explanation_json(const struct zone_explanation *explanation)
{
    json_t *candidates = json_array();
    for (size_t i = 0; i < explanation->candidate_count; i++) {
        (void)json_array_append_new(candidates, candidate_json(&explanation->candidates[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "ZoneId", explanation->zone_id,
                     "ZoneName", explanation->zone_name, "Name", explanation->name, "Type",
                     explanation->type, "Policy", explanation->policy, "Note", explanation->note,
                     "Candidates", candidates);
}

struct explain_question {
    const char *name;
    uint16_t type;
    struct daemon *daemon;
    struct zone_client client;
    bool any_client; /* not a certain one */
    json_t *answer;
    struct err *err;
    int rc;
};

/* Says where the client was taken to be, where that mattered. */
static void note_place(struct zone_explanation *explanation, const struct model_place *place,
                       struct arena *arena)
{
    if (!text_equal(explanation->policy, "latency") &&
        !text_equal(explanation->policy, "geolocation") &&
        !text_equal(explanation->policy, "geoproximity")) {
        return;
    }
    const char *separator = explanation->note[0] != '\0' ? "; " : "";
    if (place->continent[0] == '\0' && place->country[0] == '\0' && !place->placed) {
        explanation->note = arena_printf(arena, "%s%sthe place of the client's address is unknown",
                                         explanation->note, separator);
        return;
    }
    const char *at = place->placed ? arena_printf(arena, " at %.2f,%.2f", (double)place->latitude,
                                                  (double)place->longitude)
                                   : "";
    explanation->note =
        arena_printf(arena, "%s%sthe client's address is in %s%s%s%s%s%s", explanation->note,
                     separator, place->subdivision, place->subdivision[0] != '\0' ? ", " : "",
                     place->country, place->country[0] != '\0' ? ", " : "", place->continent, at);
}

static void explain_work(struct zone_database *database, void *argument)
{
    struct explain_question *question = argument;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct zone_explanation explanation;
    if (!question->any_client) { /* looked up here: this thread reads snapshots */
        place_locate(question->daemon, question->client.family, question->client.address,
                     &question->client.place);
    }
    question->rc = zone_database_explain(database, question->name, question->type,
                                         question->any_client ? NULL : &question->client, &arena,
                                         &explanation, question->err);
    if (question->rc == 0 && !question->any_client) {
        note_place(&explanation, &question->client.place, &arena);
    }
    if (question->rc == 0) {
        question->answer = explanation_json(&explanation);
    }
}

/* "ADDRESS" or "ADDRESS/BITS". */
static int parse_client(const char *text, struct zone_client *ret_client, struct err *err)
{
    struct zone_client client = {.family = strchr(text, ':') != NULL ? 6 : 4};
    char address[INET6_ADDRSTRLEN];
    int64_t most = client.family == 4 ? 32 : 128;
    int64_t bits = most;
    size_t length = strcspn(text, "/");
    if (text_copy_n(address, sizeof address, text, length) != 0 ||
        inet_pton(client.family == 4 ? AF_INET : AF_INET6, address, client.address) != 1 ||
        (text[length] == '/' && text_to_i64(text + length + 1, 0, most, &bits) != 0)) {
        return err_set(err, ERR_INVALID, "'%.60s' is no address, or address and prefix length",
                       text);
    }
    client.bits = (uint8_t)bits;
    for (int64_t bit = bits; bit < 128; bit++) {
        client.address[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
    }
    *ret_client = client;
    return 0;
}

static int view_explain(void *context, const char *name, uint16_t type, const char *client,
                        json_t **ret_explanation, struct err *err)
{
    struct daemon *daemon = context;
    struct explain_question question = {
        .name = name, .type = type, .daemon = daemon, .any_client = client[0] == '\0', .err = err};
    if (!question.any_client && parse_client(client, &question.client, err) != 0) {
        return err->code;
    }
    question.client.home = daemon->home.placed ? &daemon->home : NULL;
    compiler_run(daemon->compiler, explain_work, &question);
    if (question.rc == 0) {
        *ret_explanation = question.answer;
    }
    return question.rc;
}

struct routed_name {
    struct routed_name *next;
    const char *name;
    uint16_t type;
};

struct routed_question {
    struct arena *arena;
    struct routed_name *first;
    struct routed_name **last;
    size_t count;
    bool more; /* than ROUTED_LIMIT */
};

static bool visit_routed(void *context, const char *zone_id, const char *name, uint16_t type)
{
    struct routed_question *question = context;
    if (question->count == ROUTED_LIMIT) {
        question->more = true;
        return false;
    }
    struct routed_name *routed = arena_alloc(question->arena, sizeof *routed);
    (void)zone_id; /* the explanation names it */
    routed->name = arena_strdup(question->arena, name);
    routed->type = type;
    *question->last = routed;
    question->last = &routed->next;
    question->count++;
    return true;
}

static void routed_work(struct zone_database *database, void *argument)
{
    zone_database_each_routed(database, visit_routed, argument);
}

/* One question a group: between them the compiler takes what has come from health. */
static int view_routed(void *context, json_t **ret_list, bool *ret_more, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct daemon *daemon = context;
    struct routed_question question = {.arena = &arena, .last = &question.first};
    compiler_run(daemon->compiler, routed_work, &question);
    json_t *list = json_array();
    for (const struct routed_name *at = question.first; at != NULL; at = at->next) {
        json_t *explanation = NULL;
        if (view_explain(daemon, at->name, at->type, "", &explanation, err) != 0) {
            json_decref(list);
            return err->code;
        }
        if (json_array_size(json_object_get(explanation, "Candidates")) != 0) {
            (void)json_array_append_new(list, explanation); /* as set_time */
        } else {
            json_decref(explanation); /* it was deleted since */
        }
    }
    *ret_list = list;
    *ret_more = question.more;
    return 0;
}

/* ---- TestDNSAnswer: a real query through the answer path ---- */

struct test_question {
    struct daemon *daemon;
    struct zone_set *zones;
    const uint8_t *query;
    size_t query_size;
    struct sockaddr_storage source;
    uint16_t udp_limit;
    uint8_t *response;
    size_t response_size;
};

static void test_work(struct zone_database *database, void *argument)
{
    struct test_question *question = argument;
    (void)database; /* asked as a worker asks: through the readers' zone set */
    struct daemon *daemon = question->daemon;
    struct answer_context context = {.zones = question->zones,
                                     .udp_limit = question->udp_limit,
                                     .locate = place_locate,
                                     .locate_context = daemon,
                                     .home = daemon->home.placed ? &daemon->home : NULL};
    random_init(&context.random, 0);
    question->response_size = answer_query(&context, question->query, question->query_size,
                                           (const struct sockaddr *)(const void *)&question->source,
                                           true, question->response, RESPONSE_SIZE_LIMIT);
}

static int parse_source(const char *text, struct sockaddr_storage *ret_source, struct err *err)
{
    struct sockaddr_storage source = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&source;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&source;
    if (inet_pton(AF_INET, text[0] != '\0' ? text : "127.0.0.1", &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
    } else {
        return err_set(err, ERR_INVALID, "'%s' is not an IP address", text);
    }
    *ret_source = source;
    return 0;
}

static int view_test_dns_answer(void *context, const char *name, uint16_t type,
                                const char *resolver, const char *client, unsigned client_bits,
                                json_t **ret_answer, struct err *err)
{
    struct daemon *daemon = context;
    uint8_t query[RESPONSE_QUERY_LIMIT];
    struct test_question question = {.daemon = daemon,
                                     .zones = compiler_zones(daemon->compiler),
                                     .query = query,
                                     .udp_limit = (uint16_t)daemon->config->dns_udp_limit};
    int rc = parse_source(resolver, &question.source, err);
    rc = rc != 0 ? rc
                 : response_make_query(name, type, client, client_bits, query, &question.query_size,
                                       err);
    if (rc != 0) {
        return rc;
    }
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    question.response = arena_alloc(&arena, RESPONSE_SIZE_LIMIT);
    compiler_run(daemon->compiler, test_work, &question);
    return response_to_json(name, type, question.response, question.response_size, ret_answer, err);
}

/* ---- health ---- */

static json_t *observation_json(const struct health_observation *observation)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b, s:s, s:s, s:I}", "Region", observation->region, "Address",
                  observation->address, "Healthy", observation->healthy, "Status",
                  observation->status, "LastFailure", observation->last_failure,
                  "LatencyMicroseconds", (json_int_t)observation->latency_us);
    if (object != NULL) {
        set_time(object, "Since", observation->since);
        set_time(object, "Checked", observation->checked);
        set_time(object, "LastFailureAt", observation->last_failure_at);
    }
    return object;
}

static int view_check_status(void *context, const char *check_id, json_t **ret_status,
                             struct err *err)
{
    struct daemon *daemon = context;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct health_view view;
    int rc = health_describe(daemon->health, check_id, &arena, &view, err);
    if (rc != 0) {
        return rc;
    }
    json_t *observations = json_array();
    for (size_t i = 0; i < view.count; i++) {
        (void)json_array_append_new(observations, observation_json(&view.observations[i]));
    }
    json_t *status = json_pack("{s:b, s:b, s:o}", "Healthy", view.healthy, "Latched", view.latched,
                               "Observations", observations);
    if (status == NULL) {
        return err_set(err, ERR_MEMORY, "describing the health check");
    }
    set_time(status, "Since", view.since);
    *ret_status = status;
    return 0;
}

static int view_reset_latch(void *context, const char *check_id, struct err *err)
{
    struct daemon *daemon = context;
    return health_reset_latch(daemon->health, check_id, err);
}

/* ---- zones with a primary ---- */

static const char *secondary_state(const struct secondary_view *view)
{
    if (view->expired) {
        return "expired";
    }
    if (!view->held) {
        return view->error[0] != '\0' ? "failing" : "waiting";
    }
    return view->error[0] != '\0' ? "stale" : "current";
}

static int view_secondaries(void *context, json_t **ret_list, struct err *err)
{
    struct daemon *daemon = context;
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    struct secondary_view *views = NULL;
    size_t count = 0;
    secondary_list(daemon->secondary, SECONDARIES_LIMIT, &arena, &views, &count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct secondary_view *view = &views[i];
        json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:s}", "ZoneId", view->zone_id, "Name",
                                   view->name, "State", secondary_state(view), "Serial",
                                   (json_int_t)view->serial, "Error", view->error);
        if (object != NULL) {
            set_time(object, "Checked", view->checked);
            set_time(object, "Transferred", view->changed);
            set_time(object, "Next", view->next);
        }
        if (object == NULL || json_array_append_new(list, object) != 0) {
            json_decref(list);
            return err_set(err, ERR_MEMORY, "describing the zones with a primary");
        }
    }
    *ret_list = list;
    return 0;
}

/* ---- the node ---- */

static json_t *counter_json(const char *name, uint64_t value)
{
    return json_pack("{s:s, s:I}", "Name", name, "Value", (json_int_t)value);
}

static json_t *health_counters_json(const struct daemon *daemon)
{
    struct health_counters counters;
    health_count(daemon->health, &counters);
    json_t *list = json_array();
#define X(name, help) (void)json_array_append_new(list, counter_json(#name, counters.name));
    HEALTH_COUNTERS(X)
#undef X
    return list;
}

static json_t *addresses_json(const struct daemon *daemon)
{
    json_t *list = json_array();
    char text[ADDRESS_PORT_TEXT];
    for (size_t i = 0; i < daemon->config->dns_addresses.count; i++) {
        address_port_text(dns_server_address(daemon->dns, i), text);
        (void)json_array_append_new(list, json_string(text)); /* as set_time */
    }
    return list;
}

static json_t *regions_json(const struct daemon *daemon)
{
    json_t *list = json_array();
    for (size_t i = 0; i < daemon->config->regions.count; i++) {
        (void)json_array_append_new(list, json_string(daemon->config->regions.items[i]));
    }
    return list;
}

static json_t *problems_json(const struct daemon *daemon)
{
    struct arena arena CLEANUP(arena_done);
    json_t *list = json_array();
    arena_init(&arena, 0);
    for (const char **at = feed_problems(daemon->feed, &arena); *at != NULL; at++) {
        (void)json_array_append_new(list, json_string(*at)); /* as set_time */
    }
    return list;
}

static json_t *replica_json(const struct daemon *daemon)
{
    struct replica_status status;
    replica_status(daemon->replica, &status);
    json_t *object = json_pack("{s:b, s:b, s:I, s:I, s:s, s:s}", "Complete", status.complete,
                               "InStep", status.in_step, "Revision", (json_int_t)status.revision,
                               "StoreRevision", (json_int_t)status.truth_revision, "Problem",
                               status.problem, "Damage", status.damage);
    if (object != NULL) {
        set_time(object, "Heard", status.heard);
    }
    return object;
}

static int view_node(void *context, json_t **ret_node, struct err *err)
{
    struct daemon *daemon = context;
    int64_t revision = 0;
    int rc = store_revision(daemon->copy, &revision, err);
    if (rc != 0) {
        return rc;
    }
    char api[ADDRESS_PORT_TEXT];
    address_port_text(aws_server_address(daemon->api), api);
    struct compiler_delay delay = compiler_delay(daemon->compiler);
    int64_t uptime = mono_since(mono_now(), daemon->started) / TIME_S;
    json_t *node = json_pack(
        "{s:s, s:s, s:o, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "Name",
        daemon->node, "Version", LEEWARD_VERSION, "Regions", regions_json(daemon), "UptimeSeconds",
        (json_int_t)uptime, "StoreRevision", (json_int_t)revision, "DnsRevision",
        (json_int_t)feed_applied_revision(daemon->feed), "ApiAddress", api, "DnsAddresses",
        addresses_json(daemon), "DnsCounters", exposition_dns_counters(daemon), "HealthCounters",
        health_counters_json(daemon), "HealthLoopLagMicroseconds",
        (json_int_t)health_loop_lag_us(daemon->health), "AnswersFlipped", (json_int_t)delay.flips,
        "LastFlipMicroseconds", (json_int_t)delay.last_us, "WorstFlipMicroseconds",
        (json_int_t)delay.worst_us, "Problems", problems_json(daemon));
    if (node == NULL) {
        return err_set(err, ERR_MEMORY, "describing the node");
    }
    if (daemon->replica != NULL) {
        (void)json_object_set_new(node, "Replica", replica_json(daemon)); /* as set_time */
    }
    *ret_node = node;
    return 0;
}

struct service_views views_of(struct daemon *daemon)
{
    return (struct service_views){.context = daemon,
                                  .test_dns_answer = view_test_dns_answer,
                                  .explain = view_explain,
                                  .check_status = view_check_status,
                                  .reset_latch = view_reset_latch,
                                  .routed = view_routed,
                                  .secondaries = view_secondaries,
                                  .api_endpoints = cluster_view_endpoints,
                                  .node = view_node,
                                  .sites = cluster_view_sites,
                                  .site_init = cluster_view_init,
                                  .site_token = cluster_view_token,
                                  .site_remove = cluster_view_remove};
}
