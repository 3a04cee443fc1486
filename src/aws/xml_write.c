/* Trees into XML. Called by codec_encode and the error encoder, on the request's thread. Written
 * straight into a buffer and not through libxml2's writer: the buffer has the limit and the sticky
 * error, and characters that XML 1.0 cannot carry are replaced here, where libxml2 passes them on.
 * Invariant: what is written is well formed whatever the tree's strings hold. */
#include "aws/internal.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

/* What XML 1.0 section 2.2 does not allow in a document, in no form: controls, U+FFFE, U+FFFF. */
static bool no_character(const char *text, size_t length)
{
    unsigned char c = (unsigned char)text[0];
    if (c < 0x20U) {
        return c != '\t' && c != '\n';
    }
    return length >= 3 &&
           (memcmp(text, "\xEF\xBF\xBE", 3) == 0 || memcmp(text, "\xEF\xBF\xBF", 3) == 0);
}

void codec_xml_escape(struct buf *out, const char *text, size_t length)
{
    size_t start = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *escaped = NULL;
        if (c == '&') {
            escaped = "&amp;";
        } else if (c == '<') {
            escaped = "&lt;";
        } else if (c == '>') {
            escaped = "&gt;";
        } else if (c == '"') {
            escaped = "&quot;";
        } else if (c == '\r') {
            escaped = "&#xD;"; /* a parser would make it a line feed */
        } else if (no_character(text + i, length - i)) {
            buf_put(out, text + start, i - start);
            buf_puts(out, "\xEF\xBF\xBD"); /* U+FFFD */
            i += c == 0xEFU ? 2 : 0;
            start = i + 1;
            continue;
        } else {
            continue;
        }
        buf_put(out, text + start, i - start);
        buf_puts(out, escaped);
        start = i + 1;
    }
    buf_put(out, text + start, length - start);
}

static int misfit(struct err *err, const char *element, const struct codec_shape *shape)
{
    return err_set(err, ERR_INTERNAL, "the output's %s is no %s (%s)", element,
                   codec_type_name((enum codec_type)shape->type), shape->name);
}

static void open_tag(struct buf *out, const char *element, const char *prefix,
                     const char *xml_namespace)
{
    buf_putc(out, '<');
    buf_puts(out, element);
    if (xml_namespace != NULL && xml_namespace[0] != '\0') {
        buf_puts(out, prefix != NULL ? " xmlns:" : " xmlns");
        buf_puts(out, prefix != NULL ? prefix : "");
        buf_puts(out, "=\"");
        codec_xml_escape(out, xml_namespace, strlen(xml_namespace));
        buf_puts(out, "\"");
    }
}

static void close_tag(struct buf *out, const char *element)
{
    buf_puts(out, "</");
    buf_puts(out, element);
    buf_putc(out, '>');
}

static int write_scalar_text(struct buf *out, const struct codec_member *member,
                             const json_t *value, const char *element, struct err *err)
{
    struct buf text CLEANUP(buf_done);
    buf_init(&text, CODEC_RESPONSE_LIMIT);
    if (codec_scalar_write(member, CODEC_TIME_ISO8601, value, &text) < 0) {
        return misfit(err, element, member->shape);
    }
    if (buf_failed(&text)) {
        return codec_out_of_memory(err);
    }
    codec_xml_escape(out, buf_text(&text), text.length);
    return 0;
}

static int write_attributes(struct buf *out, const struct codec_shape *shape, const json_t *value,
                            struct err *err)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child = json_object_get(value, member->name);
        if ((member->flags & CODEC_ATTRIBUTE) == 0 || child == NULL) {
            continue;
        }
        buf_printf(out, " %s=\"", member->wire);
        int result = write_scalar_text(out, member, child, member->wire, err);
        if (result < 0) {
            return result;
        }
        buf_putc(out, '"');
    }
    return 0;
}

static int write_entries(struct buf *out, const char *entry, const struct codec_shape *shape,
                         const json_t *value, struct err *err)
{
    const char *key = NULL;
    json_t *child = NULL;
    json_object_foreach(codec_iterable(value), key, child)
    {
        open_tag(out, entry, NULL, NULL);
        buf_putc(out, '>');
        open_tag(out, shape->members[0].wire, NULL, NULL);
        buf_putc(out, '>');
        codec_xml_escape(out, key, strlen(key));
        close_tag(out, shape->members[0].wire);
        int result =
            codec_xml_write(out, shape->members[1].wire, NULL, &shape->members[1], child, err);
        if (result < 0) {
            return result;
        }
        close_tag(out, entry);
    }
    return 0;
}

static int write_items(struct buf *out, const char *element, const struct codec_shape *shape,
                       const json_t *value, struct err *err)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        int result =
            codec_xml_write(out, element, NULL, &shape->members[0], json_array_get(value, i), err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int write_member(struct buf *out, const struct codec_member *member, const json_t *value,
                        struct err *err)
{
    if ((member->flags & CODEC_FLATTENED) == 0) {
        return codec_xml_write(out, member->wire, NULL, member, value, err);
    }
    if (member->shape->type == CODEC_LIST && json_is_array(value)) {
        return write_items(out, member->wire, member->shape, value, err);
    }
    if (member->shape->type == CODEC_MAP && json_is_object(value)) {
        return write_entries(out, member->wire, member->shape, value, err);
    }
    return misfit(err, member->name, member->shape);
}

int codec_xml_write_members(struct buf *out, const struct codec_shape *shape, const json_t *value,
                            struct err *err)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        const json_t *child = json_object_get(value, member->name);
        if (child == NULL || json_is_null(child) || member->location != CODEC_BODY ||
            (member->flags & CODEC_ATTRIBUTE) != 0) {
            continue;
        }
        int result = write_member(out, member, child, err);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int write_content(struct buf *out, const char *element, const struct codec_member *member,
                         const json_t *value, struct err *err)
{
    const struct codec_shape *shape = member->shape;
    switch ((enum codec_type)shape->type) {
    case CODEC_STRUCTURE:
        return json_is_object(value) ? codec_xml_write_members(out, shape, value, err)
                                     : misfit(err, element, shape);
    case CODEC_LIST:
        return json_is_array(value) ? write_items(out, shape->members[0].wire, shape, value, err)
                                    : misfit(err, element, shape);
    case CODEC_MAP:
        return json_is_object(value) ? write_entries(out, "entry", shape, value, err)
                                     : misfit(err, element, shape);
    case CODEC_STRING:
    case CODEC_INTEGER:
    case CODEC_LONG:
    case CODEC_FLOAT:
    case CODEC_DOUBLE:
    case CODEC_BOOLEAN:
    case CODEC_TIMESTAMP:
    case CODEC_BLOB:
        return write_scalar_text(out, member, value, element, err);
    case CODEC_DOCUMENT:
        break;
    }
    return misfit(err, element, shape);
}

/* Recursion follows the handler's own tree, which codec_encode has checked against the model. */
int codec_xml_write(struct buf *out, const char *element, const char *xml_namespace,
                    const struct codec_member *member, const json_t *value, struct err *err)
{
    if (xml_namespace != NULL) {
        open_tag(out, element, NULL, xml_namespace);
    } else {
        open_tag(out, element, member->namespace_prefix, member->namespace_uri);
    }
    if (member->shape->type == CODEC_STRUCTURE && json_is_object(value)) {
        int result = write_attributes(out, member->shape, value, err);
        if (result < 0) {
            return result;
        }
    }
    buf_putc(out, '>');
    int result = write_content(out, element, member, value, err);
    if (result < 0) {
        return result;
    }
    close_tag(out, element);
    return buf_failed(out) ? codec_out_of_memory(err) : 0;
}
