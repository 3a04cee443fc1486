/* Finding the operation: from the credential scope, X-Amz-Target, the Action parameter or the
 * path, in that order of trust. See codec.h. Pure; any thread. Labels are split off the raw path
 * first and decoded after, so that an ARN with %2F stays one label. */
#include "aws/internal.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PATH_SEGMENT_LIMIT 256U /* pieces of a path; routes have at most a dozen */

struct segments {
    const char *start[PATH_SEGMENT_LIMIT];
    size_t length[PATH_SEGMENT_LIMIT];
    size_t count;
};

/* False when there are too many: no route is that long. A slash at the end makes no segment:
 * clients post to ".../rrset/" and ".../rrset" alike. */
static bool split_path(const char *path, struct segments *segments)
{
    segments->count = 0;
    const char *at = *path == '/' ? path + 1 : path;
    while (*at != '\0') {
        if (segments->count == PATH_SEGMENT_LIMIT) {
            return false;
        }
        size_t length = strcspn(at, "/");
        segments->start[segments->count] = at;
        segments->length[segments->count] = length;
        segments->count++;
        at += length;
        if (*at == '/') {
            at++;
        }
    }
    return true;
}

static bool piece_is(const struct segments *segments, size_t at, const char *text)
{
    return segments->length[at] == strlen(text) &&
           memcmp(segments->start[at], text, segments->length[at]) == 0;
}

/* How many pieces of the path each segment of the operation takes: one, but for a greedy label. */
static bool match_path(const struct codec_operation *operation, const struct segments *path,
                       size_t *ret_greedy)
{
    size_t wanted = operation->segment_count;
    bool greedy = false;
    for (size_t i = 0; i < wanted; i++) {
        greedy = greedy || operation->segments[i].kind == CODEC_GREEDY;
    }
    if (path->count < wanted || (path->count > wanted && !greedy)) {
        return false;
    }
    size_t extra = path->count - wanted;
    size_t at = 0;
    for (size_t i = 0; i < wanted; i++) {
        const struct codec_segment *segment = &operation->segments[i];
        /* A greedy label may begin with a slash (an object's key "/a"), but not be empty. */
        bool good = segment->kind == CODEC_LITERAL  ? piece_is(path, at, segment->text)
                    : segment->kind == CODEC_GREEDY ? path->start[at][0] != '\0'
                                                    : path->length[at] != 0;
        if (!good) {
            return false;
        }
        at += segment->kind == CODEC_GREEDY ? extra + 1 : 1;
    }
    *ret_greedy = extra + 1;
    return true;
}

static bool conditions_hold(const struct codec_operation *operation,
                            const struct http_request *request,
                            const struct codec_parameter *parameters, size_t count)
{
    for (size_t i = 0; i < operation->condition_count; i++) {
        const struct codec_condition *condition = &operation->conditions[i];
        if (condition->header) {
            if (http_header_value(request, condition->name) == NULL) {
                return false;
            }
            continue;
        }
        const struct codec_parameter *found =
            codec_parameter_find(parameters, count, condition->name);
        if (found == NULL ||
            (condition->value != NULL && !text_equal(found->value, condition->value))) {
            return false;
        }
    }
    return true;
}

/* Decodes the labels of a path that matched. -EINVAL on a broken escape. */
static int take_labels(const struct codec_operation *operation, const struct segments *path,
                       size_t greedy, struct arena *arena, struct codec_route *route)
{
    const char **labels = arena_array(arena, operation->segment_count + 1U, sizeof *labels);
    size_t count = 0;
    size_t at = 0;
    struct buf text CLEANUP(buf_done);
    buf_init(&text, HTTP_TARGET_LIMIT);
    for (size_t i = 0; i < operation->segment_count; i++) {
        size_t pieces = operation->segments[i].kind == CODEC_GREEDY ? greedy : 1;
        if (operation->segments[i].kind != CODEC_LITERAL) {
            const char *start = path->start[at];
            size_t length =
                (size_t)(path->start[at + pieces - 1] + path->length[at + pieces - 1] - start);
            /* What is greedy at the end of a path keeps the slash that ends it. */
            if (operation->segments[i].kind == CODEC_GREEDY && at + pieces == path->count) {
                length = strlen(start);
            }
            buf_reset(&text);
            int result = text_uri_decode(&text, start, length, false);
            if (result < 0 || buf_failed(&text)) {
                return -EINVAL;
            }
            labels[count] = arena_try_memdup(arena, buf_text(&text), text.length + 1);
            if (labels[count] == NULL) {
                return -ENOMEM;
            }
            count++;
        }
        at += pieces;
    }
    route->labels = labels;
    route->label_count = count;
    return 0;
}

/* The operation of that name in the model, listed or not; NULL when there is none. */
static const struct codec_operation *operation_find(const struct codec_service *service,
                                                    const char *name)
{
    size_t low = 0;
    size_t high = service->operation_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, service->operations[middle].name);
        if (order == 0) {
            return &service->operations[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Sets operation and name; only listed operations are given out. */
static bool take_operation(struct codec_route *route, const struct codec_operation *operation)
{
    route->known = true;
    route->operation_name = operation->name;
    route->operation = operation->listed ? operation : NULL;
    return true;
}

static bool route_rest(const struct codec_service *service, const struct http_request *request,
                       const struct codec_parameter *parameters, size_t count, struct arena *arena,
                       struct codec_route *route)
{
    struct segments path;
    if (!split_path(request->path, &path)) {
        return false;
    }
    for (size_t i = 0; i < service->operation_count; i++) {
        const struct codec_operation *operation = &service->operations[service->routes[i]];
        size_t greedy = 1;
        if (text_equal(operation->method, request->method) &&
            match_path(operation, &path, &greedy) &&
            conditions_hold(operation, request, parameters, count)) {
            int result = take_labels(operation, &path, greedy, arena, route);
            route->malformed = result == -EINVAL;
            return (result == 0 || route->malformed) && take_operation(route, operation);
        }
    }
    return false;
}

/* "Prefix.Operation"; the name is set even when the model does not have it. */
static bool route_target(const struct codec_service *service, const char *target,
                         struct codec_route *route)
{
    size_t prefix = strlen(service->target_prefix);
    if (target == NULL || prefix == 0 || strncmp(target, service->target_prefix, prefix) != 0 ||
        target[prefix] != '.') {
        return false;
    }
    route->operation_name = target + prefix + 1;
    const struct codec_operation *operation = operation_find(service, route->operation_name);
    return operation != NULL && take_operation(route, operation);
}

static bool route_action(const struct codec_service *service,
                         const struct codec_parameter *parameters, size_t count,
                         struct codec_route *route)
{
    const struct codec_parameter *action = codec_parameter_find(parameters, count, "Action");
    const struct codec_parameter *version = codec_parameter_find(parameters, count, "Version");
    if (action == NULL) {
        return false;
    }
    route->operation_name = action->value;
    if (version != NULL && !text_equal(version->value, service->api_version)) {
        return false;
    }
    const struct codec_operation *operation = operation_find(service, action->value);
    return operation != NULL && take_operation(route, operation);
}

/* Whether the request can be one for the service, by what unsigned requests carry: the target's
 * prefix, or the first label of Host. */
static bool service_fits(const struct codec_service *service, const char *signing_name,
                         const char *target, const char *host)
{
    if (!text_empty(signing_name)) {
        return text_equal(service->signing_name, signing_name);
    }
    size_t prefix = strlen(service->target_prefix);
    if (target != NULL) {
        return prefix != 0 && strncmp(target, service->target_prefix, prefix) == 0 &&
               target[prefix] == '.';
    }
    size_t label = host != NULL ? strcspn(host, ".:") : 0;
    return label != 0 && host[label] == '.' && strlen(service->endpoint_prefix) == label &&
           strncmp(host, service->endpoint_prefix, label) == 0;
}

/* The parameters of the URL, which may route. None where they cannot be decoded: that is for
 * codec_decode to say, as an error of the operation. */
static int read_parameters(const struct http_request *request, struct arena *arena,
                           struct codec_parameter **ret_parameters, size_t *ret_count,
                           struct err *err)
{
    int result =
        codec_parameters(request->query, strlen(request->query), arena, ret_parameters, ret_count);
    if (result == -ENOMEM) {
        return codec_out_of_memory(err);
    }
    if (result < 0) {
        *ret_count = 0;
    }
    return 0;
}

/* A form's Action and Version, wherever they stand in it; the rest is read once the operation is
 * known. */
static size_t form_routing(const struct http_request *request, struct arena *arena,
                           struct codec_parameter ret_parameters[2])
{
    static const char *const names[] = {"Action=", "Version="};
    const char *body = request->body;
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names) && body != NULL; i++) {
        size_t length = strlen(names[i]);
        const char *end = body + request->body_size;
        const char *at = body;
        while (at != NULL && (size_t)(end - at) >= length && memcmp(at, names[i], length) != 0) {
            at = memchr(at, '&', (size_t)(end - at));
            at = at != NULL ? at + 1 : NULL;
        }
        if (at == NULL || (size_t)(end - at) < length) {
            continue;
        }
        at += length;
        const char *stop = memchr(at, '&', (size_t)(end - at));
        size_t size = (size_t)((stop != NULL ? stop : end) - at);
        struct buf value CLEANUP(buf_done);
        buf_init(&value, HTTP_TARGET_LIMIT);
        if (text_uri_decode(&value, at, size, true) < 0 || buf_failed(&value)) {
            continue;
        }
        ret_parameters[count].name = i == 0 ? "Action" : "Version";
        ret_parameters[count].value = arena_strdup(arena, buf_text(&value));
        ret_parameters[count].has_value = true;
        count++;
    }
    return count;
}

static bool route_in(const struct codec_service *service, const struct http_request *request,
                     const char *target, const struct codec_parameter *parameters, size_t count,
                     struct arena *arena, struct codec_route *route)
{
    switch ((enum codec_protocol)service->protocol) {
    case CODEC_REST_XML:
    case CODEC_REST_JSON:
        return route_rest(service, request, parameters, count, arena, route);
    case CODEC_JSON:
        return route_target(service, target, route);
    case CODEC_QUERY:
    case CODEC_EC2: {
        if (route_action(service, parameters, count, route)) {
            return true;
        }
        struct codec_parameter form[2];
        size_t found = form_routing(request, arena, form);
        return route_action(service, form, found, route);
    }
    }
    return false;
}

int codec_route(const struct http_request *request, const char *signing_name, struct arena *arena,
                struct codec_route *ret_route, struct err *err)
{
    struct codec_parameter *parameters = NULL;
    size_t count = 0;
    int result = read_parameters(request, arena, &parameters, &count, err);
    if (result < 0) {
        return result;
    }
    const char *target = http_header_value(request, "X-Amz-Target");
    const char *host = http_header_value(request, "Host");
    struct codec_route best = {.operation_name = ""};
    for (size_t i = 0; i < codec_service_count; i++) {
        const struct codec_service *service = &codec_services[i];
        if (!service_fits(service, signing_name, target, host)) {
            continue;
        }
        struct codec_route route = {.service = service, .operation_name = ""};
        if (route_in(service, request, target, parameters, count, arena, &route)) {
            *ret_route = route;
            return 0;
        }
        /* Several services share a signing name: one we answer is the better guess. */
        if (best.service == NULL ||
            (best.service->operation_count == 0 && service->operation_count != 0) ||
            (best.operation_name[0] == '\0' && route.operation_name[0] != '\0')) {
            best = route;
        }
    }
    if (best.service == NULL) {
        return err_set(err, ERR_NOT_FOUND,
                       "no service can be told from the request: sign it, or send X-Amz-Target");
    }
    if (best.operation_name[0] == '\0') {
        best.operation_name = arena_printf(arena, "%s %.200s", request->method, request->path);
    }
    *ret_route = best;
    return 0;
}

enum aws_role codec_operation_role(const struct codec_operation *operation)
{
    return (enum aws_role)operation->role;
}

const char *codec_operation_name(const struct codec_operation *operation)
{
    return operation->name;
}

const char *codec_service_name(const struct codec_service *service)
{
    return service->name;
}

const struct codec_operation *codec_service_operation(const struct codec_service *service,
                                                      size_t index)
{
    size_t seen = 0;
    for (size_t i = 0; i < service->operation_count; i++) {
        if (service->operations[i].listed && seen++ == index) {
            return &service->operations[i];
        }
    }
    return NULL;
}

const struct codec_service *codec_service_find(const char *name)
{
    size_t low = 0;
    size_t high = codec_service_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, codec_services[middle].name);
        if (order == 0) {
            return &codec_services[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct codec_member *codec_member_by_wire(const struct codec_shape *shape, const char *wire,
                                                size_t length)
{
    size_t low = 0;
    size_t high = shape->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct codec_member *member = &shape->members[shape->by_wire[middle]];
        int order = strncmp(wire, member->wire, length);
        if (order == 0 && member->wire[length] != '\0') {
            order = -1;
        }
        if (order == 0) {
            return member;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

bool codec_has_body(const struct codec_shape *shape)
{
    for (size_t i = 0; i < shape->count; i++) {
        if (shape->members[i].location == CODEC_BODY) {
            return true;
        }
    }
    return false;
}
