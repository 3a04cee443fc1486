/* Requests to answers: see dispatch.h. Called by server.c on libmicrohttpd's threads; a request's
 * memory is its arena. Order: page, route, authenticate, region, role, decode, handler, encode,
 * finished().
 * Invariant: no handler runs, and no body is parsed, for a request whose signature was not
 * verified; messages of errors that no handler named never leave the process. */
#include "aws/dispatch.h"

#include "aws/codec.h"
#include "aws/pages.h"
#include "aws/sigv4.h"
#include "aws/tables.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    const struct codec_operation *operation;
    aws_handler handler;
};

struct dispatch {
    struct aws_server_config config;
    struct entry *entries; /* sorted by operation */
    size_t count;
};

/* One request on its way. */
struct exchange {
    const struct dispatch *dispatch;
    const struct http_request *request;
    struct http_response *response;
    struct codec_route route;
    struct sigv4_scope scope;
    struct aws_call call;
    struct mono start;
    char request_id[RANDOM_UUID_TEXT];
};

static int entry_order(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    uintptr_t one = (uintptr_t)left->operation;
    uintptr_t other = (uintptr_t)right->operation;
    return (one > other) - (one < other);
}

static aws_handler handler_of(const struct dispatch *dispatch,
                              const struct codec_operation *operation)
{
    struct entry wanted = {.operation = operation};
    const struct entry *found = bsearch(&wanted, dispatch->entries, dispatch->count,
                                        sizeof *dispatch->entries, entry_order);
    return found != NULL ? found->handler : NULL;
}

static const struct aws_service *find_service(const struct aws_server_config *config,
                                              const char *name)
{
    for (size_t i = 0; i < config->service_count; i++) {
        if (text_equal(config->services[i]->name, name)) {
            return config->services[i];
        }
    }
    return NULL;
}

static aws_handler find_handler(const struct aws_service *service, const char *operation)
{
    for (size_t i = 0; service != NULL && i < service->count; i++) {
        if (text_equal(service->bindings[i].operation, operation)) {
            return service->bindings[i].handler;
        }
    }
    return NULL;
}

static int bind_service(struct dispatch *dispatch, const struct codec_service *service,
                        struct err *err)
{
    const char *name = codec_service_name(service);
    const struct aws_service *handlers = find_service(&dispatch->config, name);
    const struct codec_operation *operation = NULL;
    for (size_t i = 0; (operation = codec_service_operation(service, i)) != NULL; i++) {
        aws_handler handler = find_handler(handlers, codec_operation_name(operation));
        if (handler == NULL) {
            return err_set(err, ERR_INVALID, "no handler for %s:%s", name,
                           codec_operation_name(operation));
        }
        dispatch->entries =
            memory_resize(dispatch->entries, dispatch->count + 1, sizeof *dispatch->entries);
        dispatch->entries[dispatch->count++] = (struct entry){operation, handler};
    }
    return 0;
}

static bool listed(const struct codec_service *service, const char *name)
{
    const struct codec_operation *operation = NULL;
    for (size_t i = 0; (operation = codec_service_operation(service, i)) != NULL; i++) {
        if (text_equal(codec_operation_name(operation), name)) {
            return true;
        }
    }
    return false;
}

/* A handler that the list does not know would never be called: somebody forgot a line. */
static int check_bindings(const struct aws_service *service, struct err *err)
{
    const struct codec_service *table = codec_service_find(service->name);
    for (size_t i = 0; i < service->count; i++) {
        if (table == NULL || !listed(table, service->bindings[i].operation)) {
            return err_set(err, ERR_INVALID, "%s:%s has a handler and is not in operations.list",
                           service->name, service->bindings[i].operation);
        }
    }
    return 0;
}

int dispatch_new(const struct aws_server_config *config, struct dispatch **ret_dispatch,
                 struct err *err)
{
    struct dispatch *dispatch = memory_new(sizeof *dispatch);
    dispatch->config = *config;
    int code = 0;
    for (size_t i = 0; i < codec_service_count && code == 0; i++) {
        code = bind_service(dispatch, &codec_services[i], err);
    }
    for (size_t i = 0; i < config->service_count && code == 0; i++) {
        code = check_bindings(config->services[i], err);
    }
    if (code != 0) {
        dispatch_free(dispatch);
        return code;
    }
    if (dispatch->count != 0) {
        qsort(dispatch->entries, dispatch->count, sizeof *dispatch->entries, entry_order);
    }
    *ret_dispatch = dispatch;
    return 0;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (dispatch != NULL) {
        free(dispatch->entries);
        free(dispatch);
    }
}

static void finish(struct exchange *exchange, const struct err *err)
{
    const struct aws_server_config *config = &exchange->dispatch->config;
    struct http_response *response = exchange->response;
    if (response->header_count < ARRAY_SIZE(response->headers)) {
        http_response_add(response, "x-amzn-RequestId", exchange->call.request_id);
    }
    if (config->finished != NULL) {
        config->finished(config->context, &exchange->call, response->status,
                         mono_since(mono_now(), exchange->start), err);
    }
}

/* Answers with a common error. cause: what really happened, for the log alone. */
static void refuse(struct exchange *exchange, enum wire_error error, const char *message,
                   const struct err *cause)
{
    const struct codec_service *service = exchange->route.service;
    struct err shown = ERR_INIT;
    (void)aws_error(&exchange->call, &shown, wire_error_code(error, service), "%s",
                    message); /* returns the code that it sets */
    codec_encode_error(&exchange->route, &exchange->call, &shown, exchange->response);
    exchange->response->status = wire_error_status(error, service);
    finish(exchange, cause != NULL ? cause : &shown);
}

/* A failure below: what a handler or the codec named is told as it is, all else in general words.
 */
static void answer_failure(struct exchange *exchange, const struct err *err)
{
    if (exchange->call.error_code == NULL) {
        enum wire_error error = wire_error_of_kind(err->kind);
        refuse(exchange, error, wire_error_text(error), err);
        return;
    }
    codec_encode_error(&exchange->route, &exchange->call, err, exchange->response);
    finish(exchange, err);
}

static void exchange_init(struct exchange *exchange, const struct dispatch *dispatch,
                          const struct http_request *request, struct arena *arena,
                          struct http_response *response)
{
    *response = (struct http_response){.status = 500};
    *exchange = (struct exchange){.dispatch = dispatch,
                                  .request = request,
                                  .response = response,
                                  .start = mono_now(),
                                  .scope = {"", "", "", "", false},
                                  .route = {.operation_name = ""}};
    random_uuid(exchange->request_id);
    exchange->call = (struct aws_call){.arena = arena,
                                       .context = dispatch->config.context,
                                       .service = "",
                                       .operation = "",
                                       .region = "",
                                       .account_id = dispatch->config.account_id,
                                       .access_key_id = "",
                                       .role = AWS_ROLE_VIEWER,
                                       .request_id = arena_strdup(arena, exchange->request_id),
                                       .source = request->source,
                                       .path = request->path,
                                       .now = wall_now()};
}

/* Tells which service and operation a request is for; false when that cannot be told. */
static bool find_route(struct exchange *exchange)
{
    struct err err = ERR_INIT;
    struct codec_route route = {0};
    if (codec_route(exchange->request, exchange->scope.service, exchange->call.arena, &route,
                    &err) != 0) {
        return false;
    }
    exchange->route = route;
    exchange->call.service = codec_service_name(route.service);
    if (route.operation_name != NULL) {
        exchange->call.operation = route.operation_name;
    }
    return true;
}

/* True when the signature is that of a known key; otherwise the request was answered. */
static bool authenticate(struct exchange *exchange)
{
    const struct aws_server_config *config = &exchange->dispatch->config;
    struct aws_credential credential = {.role = AWS_ROLE_VIEWER};
    struct err err = ERR_INIT;
    const char *why = "";
    if (exchange->scope.access_key_id[0] == '\0') {
        refuse(exchange, WIRE_MISSING_TOKEN, "Missing Authentication Token", NULL);
        return false;
    }
    const struct codec_operation *operation = exchange->route.operation;
    bool changes = operation != NULL && codec_operation_role(operation) != AWS_ROLE_VIEWER;
    int code = config->credential(config->context, exchange->scope.access_key_id, changes,
                                  &credential, &err);
    if (code != 0) {
        secret_wipe(&credential.secret);
        if (err.kind == ERR_NOT_FOUND) {
            refuse(exchange, WIRE_UNKNOWN_KEY,
                   "The security token included in the request is invalid.", NULL);
        } else {
            enum wire_error error = wire_error_of_kind(err.kind);
            refuse(exchange, error, wire_error_text(error), &err);
        }
        return false;
    }
    code = sigv4_verify(exchange->request, &exchange->scope, &credential.secret, exchange->call.now,
                        exchange->call.arena, &why, &err);
    secret_wipe(&credential.secret);
    if (code != 0) {
        enum wire_error error = wire_error_find(why);
        refuse(exchange, error, error == WIRE_INTERNAL ? wire_error_text(error) : err.message,
               &err);
        return false;
    }
    exchange->call.access_key_id = exchange->scope.access_key_id;
    exchange->call.region = exchange->scope.region;
    exchange->call.role = credential.role;
    return true;
}

static bool region_served(const struct exchange *exchange)
{
    const struct aws_server_config *config = &exchange->dispatch->config;
    const char *region = exchange->scope.region;
    for (size_t i = 0; i < config->region_count; i++) {
        if (text_equal(config->regions[i], region)) {
            return true;
        }
    }
    const struct aws_service *service = find_service(config, exchange->call.service);
    return service != NULL && ((service->global && text_equal(region, AWS_GLOBAL_REGION)) ||
                               (service->home != NULL && text_equal(region, service->home)));
}

/* True when the region signed for is one of ours; otherwise the request was answered. The list of
 * regions is for those whose signature was verified. */
static bool check_region(struct exchange *exchange)
{
    const struct aws_server_config *config = &exchange->dispatch->config;
    struct arena *arena = exchange->call.arena;
    if (region_served(exchange)) {
        return true;
    }
    const char *list = config->regions[0];
    for (size_t i = 1; i < config->region_count; i++) {
        list = arena_printf(arena, "%s, %s", list, config->regions[i]);
    }
    refuse(exchange, WIRE_BAD_SIGNATURE,
           arena_printf(arena,
                        "Credential should be scoped to a valid region, not '%.64s'. Served here: "
                        "%s.",
                        exchange->scope.region, list),
           NULL);
    return false;
}

static void refuse_operation(struct exchange *exchange)
{
    const struct codec_route *route = &exchange->route;
    const char *name = exchange->call.operation;
    const char *service = exchange->call.service;
    struct arena *arena = exchange->call.arena;
    bool query = route->service->protocol == CODEC_QUERY || route->service->protocol == CODEC_EC2;
    if (!query && !route->known) {
        refuse(exchange, WIRE_UNKNOWN_OPERATION,
               arena_printf(arena, "%.256s addresses no operation of %s", name, service), NULL);
        return;
    }
    refuse(
        exchange, query ? WIRE_INVALID_ACTION : WIRE_NOT_IMPLEMENTED,
        arena_printf(arena, "Leeward does not implement the operation %.128s of %s", name, service),
        NULL);
}

static bool role_allows(struct exchange *exchange)
{
    const struct aws_call *call = &exchange->call;
    if (call->role >= codec_operation_role(exchange->route.operation)) {
        return true;
    }
    refuse(exchange, WIRE_DENIED,
           arena_printf(call->arena,
                        "User: arn:aws:iam::%s:user/%s is not authorized to perform: %s:%s "
                        "because no identity-based policy allows the %s:%s action",
                        call->account_id, call->access_key_id, exchange->scope.service,
                        call->operation, exchange->scope.service, call->operation),
           NULL);
    return false;
}

static void tree_release(void *tree)
{
    json_decref(tree);
}

/* Decode, handle, encode. */
static void perform(struct exchange *exchange)
{
    struct aws_call *call = &exchange->call;
    struct err err = ERR_INIT;
    json_t *in = NULL;
    json_t *out = NULL;
    int code = codec_decode(&exchange->route, exchange->request, call, &in, &err);
    if (code == 0) {
        arena_defer(call->arena, tree_release, in);
        aws_handler handler = handler_of(exchange->dispatch, exchange->route.operation);
        assert(handler != NULL); /* dispatch_new saw to it */
        code = handler(call, in, &out, &err);
        if (out != NULL) {
            arena_defer(call->arena, tree_release, out);
        }
    }
    if (code == 0) {
        code = codec_encode(&exchange->route, call, out, exchange->response, &err);
    }
    if (code != 0) {
        answer_failure(exchange, &err);
        return;
    }
    finish(exchange, NULL);
}

void dispatch_request(const struct dispatch *dispatch, const struct http_request *request,
                      struct arena *arena, struct http_response *ret_response)
{
    struct exchange exchange;
    struct err err = ERR_INIT;
    const char *why = "";
    exchange_init(&exchange, dispatch, request, arena, ret_response);
    int code = sigv4_scope(request, arena, &exchange.scope, &why, &err);
    bool has_signature = code != 0 || exchange.scope.access_key_id[0] != '\0';
    if (pages_answer(request, has_signature, ret_response)) {
        return;
    }
    bool routed = find_route(&exchange);
    if (code != 0) {
        enum wire_error error = wire_error_find(why);
        refuse(&exchange, error, error == WIRE_INTERNAL ? wire_error_text(error) : err.message,
               &err);
        return;
    }
    if (!authenticate(&exchange) || !check_region(&exchange)) {
        return;
    }
    if (!routed) {
        refuse(&exchange, WIRE_UNKNOWN_OPERATION,
               arena_printf(arena, "Leeward has no service '%s'", exchange.scope.service), NULL);
        return;
    }
    if (exchange.route.operation == NULL) {
        refuse_operation(&exchange);
    } else if (role_allows(&exchange)) {
        perform(&exchange);
    }
}

void dispatch_refuse(const struct dispatch *dispatch, const struct http_request *request,
                     enum wire_error error, const char *message, struct arena *arena,
                     struct http_response *ret_response)
{
    struct exchange exchange;
    struct err err = ERR_INIT;
    const char *why = "";
    exchange_init(&exchange, dispatch, request, arena, ret_response);
    if (sigv4_scope(request, arena, &exchange.scope, &why, &err) != 0) {
        exchange.scope.service = ""; /* then the rest of the request tells the service */
    }
    (void)find_route(&exchange); /* as good as it goes */
    refuse(&exchange, error, message, NULL);
}
