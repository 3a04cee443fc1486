/* From a handler's tree to an HTTP response: codec_encode of codec.h. Checks the tree against the
 * model first, so that a handler's mistake is found here and not by a client; then puts members
 * where the model wants them (status, headers, body). On the request's thread; the response lives
 * in the call's arena. */
#include "aws/internal.h"
#include "base/secret.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the check */

struct place {
    const struct place *outer;
    const char *name;
};

static int misfit(const struct place *place, struct err *err, const char *what)
{
    char path[160] = "";
    size_t length = 0;
    for (const struct place *at = place; at != NULL && length < sizeof path; at = at->outer) {
        int added = snprintf(path + length, sizeof path - length, "%s%s", length != 0 ? " of " : "",
                             at->name);
        length += added > 0 ? (size_t)added : 0;
    }
    return err_set(err, ERR_INTERNAL, "the handler's output does not fit the model: %s %s", path,
                   what);
}

static int check(const struct codec_shape *shape, const json_t *value, const struct place *place,
                 struct err *err);

static const struct codec_member *member_by_name(const struct codec_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->count; i++) {
        if (text_equal(shape->members[i].name, name)) {
            return &shape->members[i];
        }
    }
    return NULL;
}

static int check_structure(const struct codec_shape *shape, const json_t *value,
                           const struct place *place, struct err *err)
{
    size_t known = 0;
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child = json_object_get(value, member->name);
        struct place inner = {.outer = place, .name = member->name};
        if (child == NULL) {
            if ((member->flags & CODEC_REQUIRED) != 0) {
                return misfit(&inner, err, "is required and absent");
            }
            continue;
        }
        known++;
        int result = check(member->shape, child, &inner, err);
        if (result < 0) {
            return result;
        }
    }
    if (known == json_object_size(value)) {
        return 0;
    }
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        if (member_by_name(shape, key) == NULL) {
            struct place inner = {.outer = place, .name = key};
            return misfit(&inner, err, "is not in the model");
        }
    }
    return 0;
}

static int check_children(const struct codec_shape *shape, const json_t *value,
                          const struct place *place, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < json_array_size(value) && result == 0; i++) {
        result = check(shape->members[0].shape, json_array_get(value, i), place, err);
    }
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        struct place inner = {.outer = place, .name = key};
        result = result < 0 ? result : check(shape->members[1].shape, child, &inner, err);
    }
    return result;
}

static int check_scalar(const struct codec_shape *shape, const json_t *value,
                        const struct place *place, struct err *err)
{
    struct codec_member member = {.name = shape->name, .shape = shape};
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CODEC_RESPONSE_LIMIT);
    if (shape->type != CODEC_STRING && shape->type != CODEC_BLOB) {
        return codec_scalar_write(&member, CODEC_TIME_ISO8601, value, &text) < 0
                   ? misfit(place, err, "is of another type")
                   : 0;
    }
    if (!json_is_string(value)) {
        return misfit(place, err, "is no string");
    }
    for (size_t i = 0; i < shape->value_count; i++) {
        if (text_equal(shape->values[i], json_string_value(value))) {
            return 0;
        }
    }
    return shape->value_count == 0 ? 0 : misfit(place, err, "is not a word of its enum");
}

/* Recursion follows the handler's own tree. */
static int check(const struct codec_shape *shape, const json_t *value, const struct place *place,
                 struct err *err)
{
    switch ((enum codec_type)shape->type) {
    case CODEC_STRUCTURE:
        return json_is_object(value) ? check_structure(shape, value, place, err)
                                     : misfit(place, err, "is no object");
    case CODEC_LIST:
        return json_is_array(value) ? check_children(shape, value, place, err)
                                    : misfit(place, err, "is no array");
    case CODEC_MAP:
        return json_is_object(value) ? check_children(shape, value, place, err)
                                     : misfit(place, err, "is no object");
    case CODEC_DOCUMENT:
        return 0;
    case CODEC_STRING:
    case CODEC_INTEGER:
    case CODEC_LONG:
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
    case CODEC_BOOLEAN:
    case CODEC_TIMESTAMP:
    case CODEC_BLOB:
        break;
    }
    return check_scalar(shape, value, place, err);
}

/* --- status and headers */

static int add_header(struct http_response *response, struct arena *arena, const char *name,
                      const char *text, struct err *err)
{
    if (response->header_count + 4 > ARRAY_SIZE(response->headers)) { /* some for the server */
        return err_set(err, ERR_INTERNAL, "the response has too many headers");
    }
    struct buf clean CLEANUP(buf_done);
    buf_init(&clean, HTTP_TARGET_LIMIT);
    for (const char *c = text; *c != '\0'; c++) {
        buf_putc(&clean, (unsigned char)*c < 0x20U ? ' ' : *c); /* no header may end early */
    }
    char *copy =
        buf_failed(&clean) ? NULL : arena_try_memdup(arena, buf_text(&clean), clean.length + 1);
    char *name_copy = arena_try_memdup(arena, name, strlen(name) + 1);
    if (copy == NULL || name_copy == NULL) {
        return codec_out_of_memory(err);
    }
    http_response_add(response, name_copy, copy);
    return 0;
}

static int write_header_map(struct http_response *response, struct arena *arena,
                            const struct codec_member *member, const json_t *value, struct err *err)
{
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        char name[256];
        int length = snprintf(name, sizeof name, "%s%s", member->wire, key);
        if (length < 0 || (size_t)length >= sizeof name || !json_is_string(child)) {
            return err_set(err, ERR_INTERNAL, "the output's %s has a key that is no header",
                           member->name);
        }
        int result = add_header(response, arena, name, json_string_value(child), err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int write_header(struct http_response *response, struct arena *arena,
                        const struct codec_member *member, const json_t *value, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, HTTP_TARGET_LIMIT);
    bool list = member->shape->type == CODEC_LIST;
    size_t count = list ? json_array_size(value) : 1;
    const struct codec_member *item = list ? &member->shape->members[0] : member;
    for (size_t i = 0; i < count; i++) {
        buf_puts(&text, i != 0 ? "," : "");
        if (codec_scalar_write(item, CODEC_TIME_RFC822, list ? json_array_get(value, i) : value,
                               &text) < 0) {
            return err_set(err, ERR_INTERNAL, "the output's %s cannot be a header", member->name);
        }
    }
    return add_header(response, arena, member->wire, buf_text(&text), err);
}

static int write_headers(struct http_response *response, struct arena *arena,
                         const struct codec_shape *shape, const json_t *out, struct err *err)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *value = json_object_get(out, member->name);
        int result = 0;
        if (value == NULL) {
            continue;
        }
        if (member->location == CODEC_HEADER) {
            result = write_header(response, arena, member, value, err);
        } else if (member->location == CODEC_HEADERS) {
            result = write_header_map(response, arena, member, value, err);
        } else if (member->location == CODEC_STATUS) {
            response->status = (int)json_integer_value(value);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* --- body */

const char *codec_content_type(const struct codec_service *service)
{
    if (service->protocol == CODEC_JSON) {
        return text_equal(service->json_version, "1.0") ? "application/x-amz-json-1.0"
                                                        : "application/x-amz-json-1.1";
    }
    return service->protocol == CODEC_REST_JSON ? "application/json" : "text/xml";
}

struct taken {
    char *data;
    size_t size;
};

/* Some answers hold a secret: all are wiped. */
static void release(void *object)
{
    struct taken *taken = object;
    secret_wipe_memory(taken->data, taken->size);
    free(taken->data);
}

int codec_take_body(struct buf *body, struct arena *arena, struct http_response *response)
{
    size_t length = 0;
    char *data = buf_take(body, &length);
    if (data == NULL) {
        return -ENOMEM;
    }
    struct taken *taken = arena_alloc(arena, sizeof *taken);
    *taken = (struct taken){.data = data, .size = length};
    arena_defer(arena, release, taken);
    response->body = data;
    response->body_size = length;
    return 0;
}

/* A blob or string that is the whole body. */
static int write_raw(struct buf *body, const struct codec_member *payload, const json_t *value,
                     struct err *err)
{
    if (value == NULL) {
        return 0;
    }
    if (payload->shape->type == CODEC_BLOB) {
        return text_unbase64(json_string_value(value), json_string_length(value), body) < 0
                   ? err_set(err, ERR_INTERNAL, "the output's %s is no base64", payload->name)
                   : 0;
    }
    return codec_scalar_write(payload, CODEC_TIME_ISO8601, value, body);
}

static int write_rest_xml(struct buf *body, const struct codec_route *route, const json_t *out,
                          const struct codec_member *payload, struct err *err)
{
    const char *xml_namespace = route->service->xml_namespace;
    struct codec_member root = {.wire = route->operation->output_root,
                                .shape = route->operation->output};
    if (payload != NULL) {
        root = *payload;
        out = json_object_get(out, payload->name);
    } else if (!codec_has_body(root.shape)) {
        return 0;
    }
    if (out == NULL) {
        return 0;
    }
    buf_puts(body, "<?xml version=\"1.0\"?>\n");
    return codec_xml_write(body, root.wire, xml_namespace, &root, out, err);
}

static int write_rest(struct buf *body, const struct codec_route *route, const json_t *out,
                      const char **content_type, struct err *err)
{
    const struct codec_operation *operation = route->operation;
    const struct codec_member *payload = operation->output_payload;
    if (operation->output == NULL) {
        return 0;
    }
    if (payload != NULL && payload->shape->type >= CODEC_STRING &&
        payload->shape->type != CODEC_DOCUMENT) {
        *content_type = "application/octet-stream";
        return write_raw(body, payload, json_object_get(out, payload->name), err);
    }
    if (route->service->protocol == CODEC_REST_XML) {
        return write_rest_xml(body, route, out, payload, err);
    }
    struct codec_member root = {.wire = "", .shape = operation->output};
    if (payload != NULL) {
        root = *payload;
        out = json_object_get(out, payload->name);
    }
    return out != NULL ? codec_json_write(body, &root, out, err) : 0;
}

/* <OperationResponse><OperationResult>...</OperationResult><ResponseMetadata>... */
static int write_query(struct buf *body, const struct codec_route *route,
                       const struct aws_call *call, const json_t *out, struct err *err)
{
    const struct codec_operation *operation = route->operation;
    bool ec2 = route->service->protocol == CODEC_EC2;
    buf_printf(body, "<?xml version=\"1.0\"?>\n<%s xmlns=\"", operation->output_root);
    codec_xml_escape(body, route->service->xml_namespace, strlen(route->service->xml_namespace));
    buf_puts(body, "\">");
    if (ec2) {
        buf_printf(body, "<requestId>%s</requestId>", call->request_id);
    }
    if (operation->output != NULL) {
        struct codec_member root = {.wire = operation->result_wrapper, .shape = operation->output};
        int result = root.wire != NULL ? codec_xml_write(body, root.wire, NULL, &root, out, err)
                                       : codec_xml_write_members(body, root.shape, out, err);
        if (result < 0) {
            return result;
        }
    }
    if (!ec2) {
        buf_printf(body, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>",
                   call->request_id);
    }
    buf_printf(body, "</%s>", operation->output_root);
    return 0;
}

static int write_body(struct buf *body, const struct codec_route *route,
                      const struct aws_call *call, const json_t *out, const char **content_type,
                      struct err *err)
{
    switch ((enum codec_protocol)route->service->protocol) {
    case CODEC_REST_XML:
    case CODEC_REST_JSON:
        return write_rest(body, route, out, content_type, err);
    case CODEC_JSON: {
        struct codec_member root = {.wire = "", .shape = route->operation->output};
        if (root.shape == NULL) {
            buf_puts(body, "{}");
            return 0;
        }
        return codec_json_write(body, &root, out, err);
    }
    case CODEC_QUERY:
    case CODEC_EC2:
        return write_query(body, route, call, out, err);
    }
    return err_set(err, ERR_INTERNAL, "no such protocol");
}

static int encode(const struct codec_route *route, const struct aws_call *call, const json_t *out,
                  struct http_response *response, struct err *err)
{
    const struct codec_operation *operation = route->operation;
    struct place root = {.name = operation->name};
    int result = operation->output != NULL ? check(operation->output, out, &root, err) : 0;
    if (result == 0 && operation->output != NULL) {
        result = write_headers(response, call->arena, operation->output, out, err);
    }
    struct buf body CLEANUP(buf_done);
    buf_init(&body, CODEC_RESPONSE_LIMIT);
    buf_keep_secret(&body);
    const char *content_type = codec_content_type(route->service);
    result = result < 0 ? result : write_body(&body, route, call, out, &content_type, err);
    if (result == 0 && body.length != 0) {
        response->content_type = content_type;
        result = codec_take_body(&body, call->arena, response) < 0 ? codec_out_of_memory(err) : 0;
    }
    return result < 0 || !buf_failed(&body) ? result : codec_out_of_memory(err);
}

int codec_encode(const struct codec_route *route, const struct aws_call *call, const json_t *out,
                 struct http_response *ret_response, struct err *err)
{
    struct http_response response = {.status = route->operation->status};
    json_t *empty = out == NULL ? json_object() : NULL;
    if (out == NULL && empty == NULL) {
        return codec_out_of_memory(err);
    }
    int result = encode(route, call, out != NULL ? out : empty, &response, err);
    json_decref(empty);
    if (result == 0) {
        *ret_response = response;
    }
    return result;
}
