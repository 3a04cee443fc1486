/* Trees into JSON. Called by codec_encode and the error encoder, on the request's thread. Written
 * straight into a buffer: names and timestamps change on the way, and the buffer has the limit.
 * Invariant: what is written is valid JSON in UTF-8. */
#include "aws/internal.h"

#include <string.h>

void codec_json_escape(struct buf *out, const char *text, size_t length)
{
    size_t start = 0;
    buf_putc(out, '"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20U && c != '"' && c != '\\') {
            continue;
        }
        buf_put(out, text + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)c);
        } else if (c == '\n') {
            buf_puts(out, "\\n");
        } else {
            buf_printf(out, "\\u%04x", (unsigned)c);
        }
    }
    buf_put(out, text + start, length - start);
    buf_putc(out, '"');
}

static int misfit(struct err *err, const struct codec_member *member)
{
    return err_set(err, ERR_INTERNAL, "the output's %s is no %s", member->wire,
                   codec_type_name((enum codec_type)member->shape->type));
}

static int write_structure(struct buf *out, const struct codec_shape *shape, const json_t *value,
                           struct err *err)
{
    bool first = true;
    buf_putc(out, '{');
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child =
            member->location == CODEC_BODY ? json_object_get(value, member->name) : NULL;
        if (child == NULL) {
            continue;
        }
        buf_puts(out, first ? "" : ",");
        first = false;
        codec_json_escape(out, member->wire, strlen(member->wire));
        buf_putc(out, ':');
        int result = codec_json_write(out, member, child, err);
        if (result < 0) {
            return result;
        }
    }
    buf_putc(out, '}');
    return 0;
}

static int write_map(struct buf *out, const struct codec_shape *shape, const json_t *value,
                     struct err *err)
{
    const char *key = NULL;
    json_t *child = NULL;
    bool first = true;
    buf_putc(out, '{');
    json_object_foreach(codec_iterable(value), key, child)
    {
        buf_puts(out, first ? "" : ",");
        first = false;
        codec_json_escape(out, key, strlen(key));
        buf_putc(out, ':');
        int result = codec_json_write(out, &shape->members[1], child, err);
        if (result < 0) {
            return result;
        }
    }
    buf_putc(out, '}');
    return 0;
}

static int write_list(struct buf *out, const struct codec_shape *shape, const json_t *value,
                      struct err *err)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < json_array_size(value); i++) {
        buf_puts(out, i != 0 ? "," : "");
        int result = codec_json_write(out, &shape->members[0], json_array_get(value, i), err);
        if (result < 0) {
            return result;
        }
    }
    buf_putc(out, ']');
    return 0;
}

static int write_document(struct buf *out, const json_t *value, struct err *err)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL) {
        return codec_out_of_memory(err);
    }
    buf_puts(out, text);
    free(text);
    return 0;
}

static int write_scalar(struct buf *out, const struct codec_member *member, const json_t *value,
                        struct err *err)
{
    const struct codec_shape *shape = member->shape;
    bool is_text = shape->type == CODEC_STRING || shape->type == CODEC_BLOB ||
                   (shape->type == CODEC_TIMESTAMP && member->time != CODEC_TIME_DEFAULT &&
                    member->time != CODEC_TIME_UNIX);
    if (!is_text) {
        return codec_scalar_write(member, CODEC_TIME_UNIX, value, out) < 0 ? misfit(err, member)
                                                                           : 0;
    }
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CODEC_RESPONSE_LIMIT);
    if (codec_scalar_write(member, CODEC_TIME_UNIX, value, &text) < 0) {
        return misfit(err, member);
    }
    if (buf_failed(&text)) {
        return codec_out_of_memory(err);
    }
    codec_json_escape(out, buf_text(&text), text.length);
    return 0;
}

/* Recursion follows the handler's own tree, which codec_encode has checked against the model. */
int codec_json_write(struct buf *out, const struct codec_member *member, const json_t *value,
                     struct err *err)
{
    const struct codec_shape *shape = member->shape;
    switch ((enum codec_type)shape->type) {
    case CODEC_STRUCTURE:
        return json_is_object(value) ? write_structure(out, shape, value, err)
                                     : misfit(err, member);
    case CODEC_LIST:
        return json_is_array(value) ? write_list(out, shape, value, err) : misfit(err, member);
    case CODEC_MAP:
        return json_is_object(value) ? write_map(out, shape, value, err) : misfit(err, member);
    case CODEC_DOCUMENT:
        return write_document(out, value, err);
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
    return write_scalar(out, member, value, err);
}
