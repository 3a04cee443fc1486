/* Validation of a decoded tree against the model, worded as AWS services word it: "2 validation
 * errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null;
 * ...". Called by codec_decode after the wire format is gone. Depth is bounded by the decoders. The
 * message is longer than struct err holds, so it travels in the call's error members. */
#include "aws/internal.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_TEXT_LIMIT 256U /* bytes of an offending value that are shown */

struct check {
    struct buf message; /* the violations so far, "; " between */
    size_t count;       /* all of them */
    char path[CODEC_PATH_LIMIT];
    size_t length; /* of path */
};

/* Appends to the path; what does not fit is left out. */
static void push(struct check *check, const char *text)
{
    size_t room = sizeof check->path - 1 - check->length;
    size_t size = MIN(strlen(text), room);
    (void)memcpy(check->path + check->length, text, size);
    check->length += size;
    check->path[check->length] = '\0';
}

static void pop(struct check *check, size_t length)
{
    check->length = length;
    check->path[length] = '\0';
}

/* Member names start in lower case here, as in the services' own messages: TTL is 'tTL'. */
static void push_member(struct check *check, const char *name)
{
    char lower[] = {name[0], '\0'};
    lower[0] = text_lower(lower[0]);
    if (check->length != 0) {
        push(check, ".");
    }
    push(check, lower);
    push(check, name + 1);
}

static void show_text(struct buf *out, const char *text)
{
    size_t length = strlen(text);
    size_t shown = MIN(length, VALUE_TEXT_LIMIT);
    while (shown < length && ((unsigned char)text[shown] & 0xC0U) == 0x80U) {
        shown--; /* no half of a character */
    }
    buf_put(out, text, shown);
    if (shown < length) {
        buf_puts(out, "...");
    }
}

static void show_scalar(struct buf *out, const struct codec_shape *shape, const json_t *value)
{
    if ((shape->flags & CODEC_SENSITIVE) != 0) {
        buf_puts(out, "***Sensitive Data Redacted***");
    } else if (json_is_string(value)) {
        show_text(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        buf_printf(out, "%.15g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        buf_puts(out, json_is_true(value) ? "true" : "false");
    } else {
        buf_puts(out, shape->name);
    }
}

/* "{name=value, ...}" */
static void show_map(struct buf *out, const struct codec_shape *shape, const json_t *value)
{
    const struct codec_shape *item = shape->members[1].shape;
    size_t limit = out->length + VALUE_TEXT_LIMIT;
    const char *before = "{";
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        if (out->length >= limit) {
            buf_puts(out, ", ...");
            break;
        }
        buf_puts(out, before);
        show_text(out, key);
        buf_puts(out, "=");
        show_scalar(out, item, child);
        before = ", ";
    }
    buf_puts(out, "}");
}

static void show(struct buf *out, const struct codec_shape *shape, const json_t *value)
{
    if (value == NULL) {
        buf_puts(out, "Value null");
        return;
    }
    buf_puts(out, "Value '");
    if (json_is_array(value)) {
        const struct codec_shape *item = shape->members[0].shape;
        size_t limit = out->length + VALUE_TEXT_LIMIT;
        size_t count = json_array_size(value);
        buf_puts(out, "[");
        for (size_t i = 0; i < count && out->length < limit; i++) {
            buf_puts(out, i != 0 ? ", " : "");
            show_scalar(out, item, json_array_get(value, i));
        }
        buf_puts(out, out->length < limit ? "]" : ", ...]");
    } else if (shape->type == CODEC_MAP && json_object_size(value) != 0) {
        show_map(out, shape, value);
    } else {
        show_scalar(out, shape, value);
    }
    buf_puts(out, "'");
}

/* constraint: what the member must do. */
static void violate(struct check *check, const struct codec_shape *shape, const json_t *value,
                    const char *constraint)
{
    if (check->count++ >= CODEC_VIOLATION_LIMIT) {
        return;
    }
    buf_puts(&check->message, check->count > 1 ? "; " : "");
    show(&check->message, shape, value);
    buf_puts(&check->message, " at '");
    buf_puts(&check->message, check->path);
    buf_puts(&check->message, "' failed to satisfy constraint: ");
    buf_puts(&check->message, constraint);
}

static void number_text(double number, char out[32])
{
    (void)snprintf(out, 32, "%.15g", number); /* fits */
}

static void enum_text(const struct codec_shape *shape, struct buf *out)
{
    buf_puts(out, "Member must satisfy enum value set: [");
    for (size_t i = 0; i < shape->value_count; i++) {
        buf_puts(out, i != 0 ? ", " : "");
        buf_puts(out, shape->values[i]);
    }
    buf_puts(out, "]");
}

static bool in_enum(const struct codec_shape *shape, const char *text)
{
    for (size_t i = 0; i < shape->value_count; i++) {
        if (text_equal(shape->values[i], text)) {
            return true;
        }
    }
    return shape->value_count == 0;
}

/* Length in UTF-16 units, which is how the services count. */
static double text_units(const char *text, size_t length)
{
    size_t units = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        units += (c & 0xC0U) != 0x80U ? 1U : 0U;
        units += c >= 0xF0U ? 1U : 0U;
    }
    return (double)units;
}

static double blob_size(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    size_t padding = length != 0 && text[length - 1] == '=' ? 1 : 0;
    padding += length > 1 && text[length - 2] == '=' ? 1 : 0;
    size_t bytes = length / 4 * 3 - padding;
    return (double)bytes;
}

/* What min and max speak of: a number, or a length. NaN: nothing. */
static double measure(const struct codec_shape *shape, const json_t *value)
{
    switch ((enum codec_type)shape->type) {
    case CODEC_STRING:
        return text_units(json_string_value(value), json_string_length(value));
    case CODEC_BLOB:
        return blob_size(value);
    case CODEC_LIST:
        return (double)json_array_size(value);
    case CODEC_MAP:
        return (double)json_object_size(value);
    case CODEC_INTEGER:
    case CODEC_LONG:
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
        return json_number_value(value);
    case CODEC_STRUCTURE:
    case CODEC_BOOLEAN:
    case CODEC_TIMESTAMP:
    case CODEC_DOCUMENT:
        break;
    }
    return (double)NAN;
}

/* Appends the constraints the value breaks to out, a line feed between; says whether there are any.
 */
static bool broken_constraints(const struct codec_shape *shape, const json_t *value,
                               struct buf *out)
{
    bool number = json_is_number(value);
    double size = measure(shape, value);
    char limit[32];
    if (size < shape->min) {
        number_text(shape->min, limit);
        buf_printf(out, "Member must have %s greater than or equal to %s",
                   number ? "value" : "length", limit);
    }
    if (size > shape->max) {
        number_text(shape->max, limit);
        buf_printf(out, "Member must have %s less than or equal to %s", number ? "value" : "length",
                   limit);
    }
    if (!json_is_string(value)) {
        return out->length != 0;
    }
    const char *text = json_string_value(value);
    if (!in_enum(shape, text)) {
        buf_puts(out, out->length != 0 ? "\n" : "");
        enum_text(shape, out);
    }
    if (shape->pattern != NULL &&
        codec_pattern_match(shape, text, json_string_length(value)) != CODEC_MATCHES) {
        buf_puts(out, out->length != 0 ? "\n" : "");
        buf_printf(out, "Member must satisfy regular expression pattern: %s", shape->pattern);
    }
    return out->length != 0;
}

static bool is_scalar(const struct codec_shape *shape)
{
    return shape->type >= CODEC_STRING && shape->type != CODEC_DOCUMENT;
}

static void check_value(struct check *check, const struct codec_shape *shape, const json_t *value);

static void check_structure(struct check *check, const struct codec_shape *shape,
                            const json_t *value)
{
    size_t length = check->length;
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child = json_object_get(value, member->name);
        if (child == NULL && (member->flags & CODEC_REQUIRED) == 0) {
            continue;
        }
        push_member(check, member->name);
        if (child == NULL) {
            violate(check, member->shape, NULL, "Member must not be null");
        } else {
            check_value(check, member->shape, child);
        }
        pop(check, length);
    }
    if ((shape->flags & CODEC_UNION) != 0 && json_object_size(value) != 1) {
        violate(check, shape, value, "Member must have exactly one of its members set");
    }
}

/* Services report a bad item of a list of simple values, or a bad key or value of such a map, at
 * the list: "Value '[a, b]' at 'names' failed ...: Member must satisfy constraint: [...]". */
static void check_simple_item(struct check *check, const struct codec_shape *owner,
                              const json_t *owner_value, const struct codec_shape *shape,
                              const json_t *value, const char *words, bool *done)
{
    struct buf broken CLEANUP(buf_done);
    buf_init(&broken, CODEC_MESSAGE_LIMIT);
    if (*done || !broken_constraints(shape, value, &broken)) {
        return;
    }
    struct buf constraint CLEANUP(buf_done);
    buf_init(&constraint, CODEC_MESSAGE_LIMIT);
    buf_printf(&constraint, "%s must satisfy constraint: [", words);
    for (const char *c = buf_text(&broken); *c != '\0'; c++) {
        if (*c == '\n') {
            buf_puts(&constraint, ", ");
        } else {
            buf_putc(&constraint, *c);
        }
    }
    buf_puts(&constraint, "]");
    violate(check, owner, owner_value, buf_text(&constraint));
    *done = true; /* once a list */
}

static void check_list(struct check *check, const struct codec_shape *shape, const json_t *value)
{
    const struct codec_shape *item = shape->members[0].shape;
    bool done = false;
    size_t length = check->length;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *child = json_array_get(value, i);
        if (is_scalar(item)) {
            check_simple_item(check, shape, value, item, child, "Member", &done);
            continue;
        }
        char index[32];
        (void)snprintf(index, sizeof index, ".%zu.member", i + 1); /* fits */
        push(check, index);
        check_value(check, item, child);
        pop(check, length);
    }
}

static void check_map(struct check *check, const struct codec_shape *shape, const json_t *value)
{
    const struct codec_shape *key_shape = shape->members[0].shape;
    const struct codec_shape *item = shape->members[1].shape;
    bool key_done = false;
    bool done = false;
    size_t length = check->length;
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        json_t *text = json_string(key);
        if (text != NULL) {
            check_simple_item(check, shape, value, key_shape, text, "Map keys", &key_done);
        }
        json_decref(text);
        if (is_scalar(item)) {
            check_simple_item(check, shape, value, item, child, "Map value", &done);
            continue;
        }
        push(check, ".");
        push(check, key);
        push(check, ".member");
        check_value(check, item, child);
        pop(check, length);
    }
}

/* Recursion goes no deeper than the decoders let a body nest. */
static void check_value(struct check *check, const struct codec_shape *shape, const json_t *value)
{
    struct buf broken CLEANUP(buf_done);
    buf_init(&broken, CODEC_MESSAGE_LIMIT);
    if (shape->type != CODEC_STRUCTURE && broken_constraints(shape, value, &broken)) {
        char *rest = broken.data;
        for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
            violate(check, shape, value, line);
        }
    }
    if (shape->type == CODEC_STRUCTURE) {
        check_structure(check, shape, value);
    } else if (shape->type == CODEC_LIST) {
        check_list(check, shape, value);
    } else if (shape->type == CODEC_MAP) {
        check_map(check, shape, value);
    }
}

int codec_validate(const struct codec_decoder *decoder, const struct codec_shape *shape,
                   const json_t *tree)
{
    struct check check = {.count = 0};
    buf_init(&check.message, CODEC_MESSAGE_LIMIT);
    check_value(&check, shape, tree);
    int result = 0;
    if (check.count != 0) {
        result = codec_invalid(decoder, "%zu validation error%s detected: %s", check.count,
                               check.count == 1 ? "" : "s", buf_text(&check.message));
    }
    buf_done(&check.message);
    return result;
}
