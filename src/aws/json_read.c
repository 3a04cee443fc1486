/* JSON bodies into trees of the model's names and types, by jansson. Called by codec_decode on the
 * request's thread. A linear look ahead bounds depth and number of values before jansson builds
 * anything. Members the model does not have are ignored, as the services do: newer clients send
 * them. */
#include "aws/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* NULL when depth and number of values are within the limits, else what is not. */
static const char *scan(const char *body, size_t size)
{
    size_t depth = 0;
    size_t values = 1;
    bool text = false;
    for (size_t i = 0; i < size; i++) {
        char c = body[i];
        if (text) {
            i += c == '\\' ? 1 : 0; /* whatever is escaped ends no string */
            text = c != '"';
            continue;
        }
        if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            depth++;
            values++;
        } else if (c == '}' || c == ']') {
            depth -= depth != 0 ? 1 : 0;
        } else if (c == ',') {
            values++;
        }
        if (depth > CODEC_DEPTH_LIMIT) {
            return "the document is nested too deeply";
        }
        if (values > CODEC_VALUE_LIMIT) {
            return "the document has too many values";
        }
    }
    return NULL;
}

static int convert(const struct codec_decoder *decoder, const struct codec_member *member,
                   const json_t *value, json_t **ret_value);

static int mistyped(const struct codec_decoder *decoder, const struct codec_member *member,
                    const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "START_OBJECT", [JSON_ARRAY] = "START_ARRAY",
        [JSON_STRING] = "STRING_VALUE", [JSON_INTEGER] = "NUMBER_VALUE",
        [JSON_REAL] = "NUMBER_VALUE",   [JSON_TRUE] = "TRUE_VALUE",
        [JSON_FALSE] = "FALSE_VALUE",   [JSON_NULL] = "NULL_VALUE",
    };
    /* The words of the services. */
    return codec_malformed(decoder, "%s can not be converted to a valid %s at '%s'",
                           names[json_typeof(value)],
                           codec_type_name((enum codec_type)member->shape->type), member->wire);
}

static int convert_object(const struct codec_decoder *decoder, const struct codec_shape *shape,
                          const json_t *value, json_t *object)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child =
            member->location == CODEC_BODY ? json_object_get(value, member->wire) : NULL;
        if (child == NULL || json_is_null(child)) {
            continue;
        }
        json_t *fresh = NULL;
        int result = convert(decoder, member, child, &fresh);
        if (result < 0) {
            return result;
        }
        if (json_object_set_new_nocheck(object, member->name, fresh) < 0) {
            return codec_out_of_memory(decoder->err);
        }
    }
    return 0;
}

static int convert_map(const struct codec_decoder *decoder, const struct codec_shape *shape,
                       const json_t *value, json_t *object)
{
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        json_t *fresh = NULL;
        if (json_is_null(child)) {
            continue;
        }
        int result = convert(decoder, &shape->members[1], child, &fresh);
        if (result < 0) {
            return result;
        }
        if (json_object_set_new_nocheck(object, key, fresh) < 0) {
            return codec_out_of_memory(decoder->err);
        }
    }
    return 0;
}

static int convert_list(const struct codec_decoder *decoder, const struct codec_shape *shape,
                        const json_t *value, json_t *array)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *fresh = NULL;
        int result = convert(decoder, &shape->members[0], json_array_get(value, i), &fresh);
        if (result < 0) {
            return result;
        }
        if (json_array_append_new(array, fresh) < 0) {
            return codec_out_of_memory(decoder->err);
        }
    }
    return 0;
}

static int convert_container(const struct codec_decoder *decoder, const struct codec_member *member,
                             const json_t *value, json_t **ret_value)
{
    const struct codec_shape *shape = member->shape;
    bool list = shape->type == CODEC_LIST;
    if (list ? !json_is_array(value) : !json_is_object(value)) {
        return mistyped(decoder, member, value);
    }
    json_t *fresh = list ? json_array() : json_object();
    if (fresh == NULL) {
        return codec_out_of_memory(decoder->err);
    }
    int result = 0;
    if (list) {
        result = convert_list(decoder, shape, value, fresh);
    } else if (shape->type == CODEC_MAP) {
        result = convert_map(decoder, shape, value, fresh);
    } else {
        result = convert_object(decoder, shape, value, fresh);
    }
    if (result < 0) {
        json_decref(fresh);
        return result;
    }
    *ret_value = fresh;
    return 0;
}

static json_t *convert_integer(const struct codec_shape *shape, const json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (json_is_real(value)) {
        double real = json_real_value(value);
        if (real != floor(real) || fabs(real) > 9007199254740992.0) { /* 2^53 */
            return NULL;
        }
        number = (json_int_t)real;
    }
    if (!json_is_number(value) ||
        (shape->type == CODEC_INTEGER && (number < INT32_MIN || number > INT32_MAX))) {
        return NULL;
    }
    return json_integer(number);
}

/* NULL when the value is of another type. */
static json_t *convert_scalar(const struct codec_shape *shape, const json_t *value)
{
    json_t *fresh = NULL;
    switch ((enum codec_type)shape->type) {
    case CODEC_STRING:
        /* A new value, so that the tree does not keep the whole document alive. */
        return json_is_string(value)
                   ? json_stringn_nocheck(json_string_value(value), json_string_length(value))
                   : NULL;
    case CODEC_INTEGER:
    case CODEC_LONG:
        return convert_integer(shape, value);
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
        return json_is_number(value) ? json_real(json_number_value(value)) : NULL;
    case CODEC_BOOLEAN:
        return json_is_boolean(value) ? json_boolean(json_is_true(value)) : NULL;
    case CODEC_TIMESTAMP:
        if (json_is_number(value)) {
            return codec_time_from_epoch(json_number_value(value), &fresh) < 0 ? NULL : fresh;
        }
        break;
    case CODEC_DOCUMENT:
        return json_deep_copy(value);
    case CODEC_BLOB:
    case CODEC_STRUCTURE:
    case CODEC_LIST:
    case CODEC_MAP:
        break;
    }
    if (!json_is_string(value) ||
        codec_scalar_read(shape, json_string_value(value), json_string_length(value), &fresh) < 0) {
        return NULL;
    }
    return fresh;
}

/* Recursion is bounded by scan: CODEC_DEPTH_LIMIT. */
static int convert(const struct codec_decoder *decoder, const struct codec_member *member,
                   const json_t *value, json_t **ret_value)
{
    if (member->shape->type < CODEC_STRING) {
        return convert_container(decoder, member, value, ret_value);
    }
    json_t *fresh = convert_scalar(member->shape, value);
    if (fresh == NULL) {
        return mistyped(decoder, member, value);
    }
    *ret_value = fresh;
    return 0;
}

int codec_json_read(const struct codec_decoder *decoder, const struct codec_shape *shape,
                    const void *body, size_t size, json_t **ret_value)
{
    struct codec_member root = {.wire = "the document", .shape = shape};
    /* An operation without parameters may be called without a body. */
    const char *text = size != 0 ? body : "{}";
    size_t length = size != 0 ? size : 2;
    const char *reason = scan(text, length);
    if (reason != NULL) {
        return codec_malformed(decoder, "The body cannot be read: %s", reason);
    }
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (document == NULL) {
        return codec_malformed(decoder, "The body is no JSON document: line %d, column %d: %s",
                               error.line, error.column, error.text);
    }
    int result = convert(decoder, &root, document, ret_value);
    json_decref(document);
    return result;
}
