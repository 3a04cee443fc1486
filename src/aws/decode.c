/* From an HTTP request to a validated tree: codec_decode of codec.h. Gathers the members from where
 * the model puts them (labels, query string, headers, body), hands the body to the decoder of its
 * format, and validates the whole. On the request's thread. */
#include "aws/internal.h"
#include "base/memory.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int codec_out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory, or over the request's limit");
}

PRINTF(3, 0)
static int fail(const struct codec_decoder *decoder, const char *code, const char *format,
                va_list args)
{
    char *text CLEANUP(memory_cleanup) = NULL;
    if (vasprintf(&text, format, args) < 0) {
        text = NULL; /* it is undefined then */
        return codec_out_of_memory(decoder->err);
    }
    return aws_error(decoder->call, decoder->err, code, "%s", text);
}

int codec_malformed(const struct codec_decoder *decoder, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fail(decoder, decoder->route->service->malformed_code, format, args);
    va_end(args);
    return result;
}

int codec_invalid(const struct codec_decoder *decoder, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fail(decoder, decoder->route->service->validation_code, format, args);
    va_end(args);
    return result;
}

static int add(const struct codec_decoder *decoder, json_t *object, const char *name,
               json_t *take_value)
{
    if (json_object_set_new(object, name, take_value) < 0) {
        return codec_out_of_memory(decoder->err);
    }
    return 0;
}

/* A scalar that came outside the body. */
static int read_scalar(const struct codec_decoder *decoder, const struct codec_member *member,
                       const struct codec_shape *shape, const char *text, size_t length,
                       json_t **ret_value)
{
    int result = codec_scalar_read(shape, text, length, ret_value);
    if (result == -ENOMEM) {
        return codec_out_of_memory(decoder->err);
    }
    if (result < 0) {
        return codec_invalid(decoder, "The value of '%s' is not a valid %s", member->wire,
                             codec_type_name((enum codec_type)shape->type));
    }
    return 0;
}

static int add_scalar(const struct codec_decoder *decoder, const struct codec_member *member,
                      const char *text, json_t *tree)
{
    json_t *value = NULL;
    int result = read_scalar(decoder, member, member->shape, text, strlen(text), &value);
    return result < 0 ? result : add(decoder, tree, member->name, value);
}

/* --- labels */

static int read_labels(const struct codec_decoder *decoder, const struct codec_shape *shape,
                       json_t *tree)
{
    const struct codec_operation *operation = decoder->route->operation;
    size_t label = 0;
    for (size_t i = 0; i < operation->segment_count; i++) {
        const struct codec_segment *segment = &operation->segments[i];
        if (segment->kind == CODEC_LITERAL) {
            continue;
        }
        const struct codec_member *member =
            codec_member_by_wire(shape, segment->text, strlen(segment->text));
        if (member != NULL && label < decoder->route->label_count) {
            int result = add_scalar(decoder, member, decoder->route->labels[label], tree);
            if (result < 0) {
                return result;
            }
        }
        label++;
    }
    return 0;
}

/* --- query string */

struct parameters {
    struct codec_parameter *list;
    size_t count;
};

/* All values of a key that may be repeated. */
static int read_query_list(const struct codec_decoder *decoder, const struct codec_member *member,
                           const struct parameters *parameters, json_t *tree)
{
    const struct codec_shape *item = member->shape->members[0].shape;
    json_t *list = NULL;
    for (size_t i = 0; i < parameters->count; i++) {
        if (!text_equal(parameters->list[i].name, member->wire)) {
            continue;
        }
        if (list == NULL) {
            list = json_array();
            int result = add(decoder, tree, member->name, list);
            if (result < 0) {
                return result;
            }
        }
        const char *text = parameters->list[i].value;
        json_t *value = NULL;
        int result = read_scalar(decoder, member, item, text, strlen(text), &value);
        if (result == 0 && json_array_append_new(list, value) < 0) {
            result = codec_out_of_memory(decoder->err);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static bool is_query_member(const struct codec_shape *shape, const char *name)
{
    const struct codec_member *member = codec_member_by_wire(shape, name, strlen(name));
    return member != NULL && member->location == CODEC_QUERYSTRING;
}

/* A map takes every key that no other member has: of lists when its values are lists. */
static int read_query_map(const struct codec_decoder *decoder, const struct codec_member *member,
                          const struct codec_shape *shape, const struct parameters *parameters,
                          json_t *tree)
{
    bool lists = member->shape->members[1].shape->type == CODEC_LIST;
    json_t *map = json_object();
    int result = add(decoder, tree, member->name, map);
    for (size_t i = 0; i < parameters->count && result == 0; i++) {
        const struct codec_parameter *parameter = &parameters->list[i];
        if (is_query_member(shape, parameter->name)) {
            continue;
        }
        json_t *value = json_string(parameter->value);
        if (value == NULL) {
            return codec_invalid(decoder, "The query string is not UTF-8");
        }
        json_t *list = lists ? json_object_get(map, parameter->name) : NULL;
        if (lists && list == NULL) {
            list = json_array();
            result = add(decoder, map, parameter->name, list);
        }
        if (list == NULL) {
            result = add(decoder, map, parameter->name, value);
        } else if (json_array_append_new(list, value) < 0) {
            result = codec_out_of_memory(decoder->err);
        }
    }
    if (result == 0 && json_object_size(map) == 0) {
        (void)json_object_del(tree, member->name); /* it is there */
    }
    return result;
}

static int read_query(const struct codec_decoder *decoder, const struct codec_shape *shape,
                      const struct parameters *parameters, json_t *tree)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        int result = 0;
        if (member->location != CODEC_QUERYSTRING) {
            continue;
        }
        if (member->shape->type == CODEC_LIST) {
            result = read_query_list(decoder, member, parameters, tree);
        } else if (member->shape->type == CODEC_MAP) {
            result = read_query_map(decoder, member, shape, parameters, tree);
        } else {
            const struct codec_parameter *found =
                codec_parameter_find(parameters->list, parameters->count, member->wire);
            result = found != NULL ? add_scalar(decoder, member, found->value, tree) : 0;
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* --- headers */

/* "a, b": items of a list in one header. */
static int read_header_list(const struct codec_decoder *decoder, const struct codec_member *member,
                            const char *text, json_t *tree)
{
    json_t *list = json_array();
    int result = add(decoder, tree, member->name, list);
    while (result == 0 && *text != '\0') {
        size_t length = strcspn(text, ",");
        const char *start = text + strspn(text, " \t");
        size_t size = start < text + length ? (size_t)(text + length - start) : 0;
        json_t *value = NULL;
        result = read_scalar(decoder, member, member->shape->members[0].shape, start, size, &value);
        if (result == 0 && json_array_append_new(list, value) < 0) {
            result = codec_out_of_memory(decoder->err);
        }
        text += text[length] == ',' ? length + 1 : length;
    }
    return result;
}

static int read_header_map(const struct codec_decoder *decoder, const struct codec_member *member,
                           json_t *tree)
{
    size_t prefix = strlen(member->wire);
    json_t *map = NULL;
    for (size_t i = 0; i < decoder->request->header_count; i++) {
        const struct http_header *header = &decoder->request->headers[i];
        if (strncasecmp(header->name, member->wire, prefix) != 0) {
            continue;
        }
        if (map == NULL) {
            map = json_object();
            int result = add(decoder, tree, member->name, map);
            if (result < 0) {
                return result;
            }
        }
        json_t *value = json_string(header->value);
        if (value == NULL || json_object_set_new(map, header->name + prefix, value) < 0) {
            return codec_invalid(decoder, "The header '%.64s' is not UTF-8", header->name);
        }
    }
    return 0;
}

static int read_headers(const struct codec_decoder *decoder, const struct codec_shape *shape,
                        json_t *tree)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        int result = 0;
        if (member->location == CODEC_HEADERS) {
            result = read_header_map(decoder, member, tree);
        } else if (member->location == CODEC_HEADER) {
            const char *text = http_header_value(decoder->request, member->wire);
            if (text != NULL && member->shape->type == CODEC_LIST) {
                result = read_header_list(decoder, member, text, tree);
            } else if (text != NULL) {
                result = add_scalar(decoder, member, text, tree);
            }
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* --- body */

/* A blob or string that is the whole body. */
static int read_raw(const struct codec_decoder *decoder, const struct codec_member *member,
                    json_t *tree)
{
    const struct http_request *request = decoder->request;
    json_t *value = NULL;
    if (member->shape->type == CODEC_BLOB) {
        struct buf text CLEANUP(buf_done);
        buf_init(&text, (size_t)2 * HTTP_BODY_LIMIT);
        text_base64(&text, request->body, request->body_size);
        if (buf_failed(&text)) {
            return codec_out_of_memory(decoder->err);
        }
        value = json_stringn(buf_text(&text), text.length);
    } else {
        int result =
            read_scalar(decoder, member, member->shape, request->body, request->body_size, &value);
        if (result < 0) {
            return result;
        }
    }
    return add(decoder, tree, member->name, value);
}

static int read_document(const struct codec_decoder *decoder, const struct codec_member *member,
                         json_t **ret_value)
{
    const struct http_request *request = decoder->request;
    if (decoder->route->service->protocol == CODEC_REST_XML) {
        return codec_xml_read(decoder, member, request->body, request->body_size, ret_value);
    }
    return codec_json_read(decoder, member->shape, request->body, request->body_size, ret_value);
}

/* The members of a REST body, into a new tree. */
static int read_rest_body(const struct codec_decoder *decoder, json_t **ret_tree)
{
    const struct codec_operation *operation = decoder->route->operation;
    const struct codec_member *payload = operation->input_payload;
    bool empty = decoder->request->body_size == 0;
    if (!empty && payload == NULL && codec_has_body(operation->input)) {
        /* A document without a name for its root carries nothing in rest-xml. */
        struct codec_member root = {.wire = operation->input_root, .shape = operation->input};
        return read_document(decoder, &root, ret_tree);
    }
    json_t *tree = json_object();
    if (tree == NULL) {
        return codec_out_of_memory(decoder->err);
    }
    int result = 0;
    if (payload != NULL && payload->shape->type >= CODEC_STRING &&
        payload->shape->type != CODEC_DOCUMENT) {
        result = empty ? 0 : read_raw(decoder, payload, tree);
    } else if (payload != NULL && !empty) {
        json_t *value = NULL;
        result = read_document(decoder, payload, &value);
        result = result < 0 ? result : add(decoder, tree, payload->name, value);
    }
    if (result < 0) {
        json_decref(tree);
        return result;
    }
    *ret_tree = tree;
    return 0;
}

static int read_rest(const struct codec_decoder *decoder, const struct codec_shape *shape,
                     json_t **ret_tree)
{
    const struct http_request *request = decoder->request;
    struct parameters parameters = {.count = 0};
    int result = codec_parameters(request->query, strlen(request->query), decoder->call->arena,
                                  &parameters.list, &parameters.count);
    if (result < 0) {
        return result == -ENOMEM ? codec_out_of_memory(decoder->err)
                                 : codec_invalid(decoder, "The query string cannot be decoded");
    }
    json_t *tree = NULL;
    result = read_rest_body(decoder, &tree);
    result = result < 0 ? result : read_labels(decoder, shape, tree);
    result = result < 0 ? result : read_query(decoder, shape, &parameters, tree);
    result = result < 0 ? result : read_headers(decoder, shape, tree);
    if (result < 0) {
        json_decref(tree);
        return result;
    }
    *ret_tree = tree;
    return 0;
}

static int read_input(const struct codec_decoder *decoder, const struct codec_shape *shape,
                      json_t **ret_tree)
{
    const struct http_request *request = decoder->request;
    switch ((enum codec_protocol)decoder->route->service->protocol) {
    case CODEC_REST_XML:
    case CODEC_REST_JSON:
        return read_rest(decoder, shape, ret_tree);
    case CODEC_JSON:
        return codec_json_read(decoder, shape, request->body, request->body_size, ret_tree);
    case CODEC_QUERY:
    case CODEC_EC2:
        return codec_query_read(decoder, shape, ret_tree);
    }
    return err_set(decoder->err, ERR_INTERNAL, "no such protocol");
}

int codec_decode(const struct codec_route *route, const struct http_request *request,
                 struct aws_call *call, json_t **ret_in, struct err *err)
{
    assert(route->operation != NULL);
    struct codec_decoder decoder = {.route = route, .request = request, .call = call, .err = err};
    json_t *tree = NULL;
    if (route->malformed) {
        return codec_malformed(&decoder, "The path of the request holds an escape that stands for "
                                         "no character");
    }
    if (route->operation->input == NULL) {
        tree = json_object();
        if (tree == NULL) {
            return codec_out_of_memory(err);
        }
        *ret_in = tree;
        return 0;
    }
    int result = read_input(&decoder, route->operation->input, &tree);
    result = result < 0 ? result : codec_validate(&decoder, route->operation->input, tree);
    if (result < 0) {
        json_decref(tree);
        return result;
    }
    *ret_in = tree;
    return 0;
}
