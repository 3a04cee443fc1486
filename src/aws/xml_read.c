/* XML bodies into trees, by libxml2's reader: one pass, no document type, no entities but the
 * predefined ones, no network. Called by codec_decode on the request's thread; a document belongs
 * to one call. Invariant: when an element was read, the reader stands on its end (or on it, when it
 * is empty). */
#include "aws/internal.h"
#include "aws/xml_scan.h"
#include "base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlreader.h>

struct xml_input {
    const struct codec_decoder *decoder;
    xmlTextReaderPtr reader;
    struct buf text; /* scratch for one element's text */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void initialise(void)
{
    xmlInitParser();
}

/* Errors are told by return value: nothing may reach stderr. */
static void ignore_error(void *context, xmlErrorPtr error)
{
    (void)context;
    (void)error;
}

static void reader_free(xmlTextReaderPtr *reader)
{
    if (*reader != NULL) {
        xmlFreeTextReader(*reader);
    }
}

static int unreadable(struct xml_input *input)
{
    /* Route 53's own words. */
    return codec_malformed(input->decoder, "Could not parse XML");
}

static const char *local_name(struct xml_input *input)
{
    const xmlChar *name = xmlTextReaderConstLocalName(input->reader);
    return name != NULL ? (const char *)name : "";
}

static int invalid_element(struct xml_input *input, const char *why)
{
    /* The words of Route 53, which checks against a schema. */
    return codec_invalid(
        input->decoder,
        "Invalid XML ; cvc-complex-type.2.4.a: Invalid content was found starting with element "
        "'%.100s'. %s",
        local_name(input), why);
}

/* Moves to the next child element of the element at `depth`: 1 when there is one, 0 at the end of
 * the parent. Text between elements must be white space. */
static int next_child(struct xml_input *input, int depth)
{
    for (;;) {
        if (xmlTextReaderRead(input->reader) != 1) {
            return unreadable(input);
        }
        int type = xmlTextReaderNodeType(input->reader);
        if (type == XML_READER_TYPE_END_ELEMENT && xmlTextReaderDepth(input->reader) == depth) {
            return 0;
        }
        if (type == XML_READER_TYPE_ELEMENT) {
            return 1;
        }
        if (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA) {
            return codec_invalid(input->decoder,
                                 "Invalid XML ; cvc-complex-type.2.3: character content is not "
                                 "allowed beside elements");
        }
        if (type == XML_READER_TYPE_ENTITY_REFERENCE) {
            return unreadable(input);
        }
    }
}

/* The text of the element the reader stands on, into input->text. */
static int read_text(struct xml_input *input)
{
    buf_reset(&input->text);
    if (xmlTextReaderIsEmptyElement(input->reader) == 1) {
        return 0;
    }
    for (;;) {
        if (xmlTextReaderRead(input->reader) != 1) {
            return unreadable(input);
        }
        switch (xmlTextReaderNodeType(input->reader)) {
        case XML_READER_TYPE_END_ELEMENT:
            return buf_failed(&input->text) ? codec_out_of_memory(input->decoder->err) : 0;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
        case XML_READER_TYPE_WHITESPACE:
        case XML_READER_TYPE_SIGNIFICANT_WHITESPACE: {
            const xmlChar *value = xmlTextReaderConstValue(input->reader);
            buf_puts(&input->text, value != NULL ? (const char *)value : "");
            break;
        }
        case XML_READER_TYPE_ELEMENT:
            return invalid_element(input, "No child element is expected at this point.");
        case XML_READER_TYPE_ENTITY_REFERENCE:
            return unreadable(input);
        default:
            break; /* comments and instructions */
        }
    }
}

static int read_value(struct xml_input *input, const struct codec_member *member,
                      json_t **ret_value);

static int add_member(struct xml_input *input, json_t *object, const char *name, json_t *take_value)
{
    if (json_object_set_new_nocheck(object, name, take_value) < 0) {
        return codec_out_of_memory(input->decoder->err);
    }
    return 0;
}

static int append(struct xml_input *input, json_t *array, json_t *take_value)
{
    if (json_array_append_new(array, take_value) < 0) {
        return codec_out_of_memory(input->decoder->err);
    }
    return 0;
}

/* One entry of a map: <key/> and <value/> by their names. */
static int read_entry(struct xml_input *input, const struct codec_shape *shape, json_t *map)
{
    const struct codec_member *key_member = &shape->members[0];
    const struct codec_member *value_member = &shape->members[1];
    json_t *key = NULL;
    json_t *value = NULL;
    int depth = xmlTextReaderDepth(input->reader);
    int result = xmlTextReaderIsEmptyElement(input->reader) == 1 ? 0 : next_child(input, depth);
    while (result == 1) {
        if (key == NULL && text_equal(local_name(input), key_member->wire)) {
            result = read_value(input, key_member, &key);
        } else if (value == NULL && text_equal(local_name(input), value_member->wire)) {
            result = read_value(input, value_member, &value);
        } else {
            result = invalid_element(input, "A key and a value are expected.");
        }
        result = result < 0 ? result : next_child(input, depth);
    }
    if (result == 0 && (!json_is_string(key) || value == NULL)) {
        result = codec_malformed(input->decoder, "a map entry lacks its key or value");
    }
    if (result == 0) {
        result = add_member(input, map, json_string_value(key), json_incref(value));
    }
    json_decref(key);
    json_decref(value);
    return result;
}

/* One appearance of a flattened list or map inside its structure. */
static int read_flattened(struct xml_input *input, const struct codec_member *member,
                          json_t *object)
{
    bool is_list = member->shape->type == CODEC_LIST;
    json_t *container = json_object_get(object, member->name);
    if (container == NULL) {
        container = is_list ? json_array() : json_object();
        int result = add_member(input, object, member->name, container);
        if (result < 0) {
            return result;
        }
    }
    if (!is_list) {
        return read_entry(input, member->shape, container);
    }
    json_t *item = NULL;
    int result = read_value(input, &member->shape->members[0], &item);
    return result < 0 ? result : append(input, container, item);
}

static int read_attributes(struct xml_input *input, const struct codec_shape *shape, json_t *object)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct codec_member *member = &shape->members[i];
        if ((member->flags & CODEC_ATTRIBUTE) == 0) {
            continue;
        }
        xmlChar *text = xmlTextReaderGetAttribute(input->reader, (const xmlChar *)member->wire);
        if (text == NULL) {
            continue;
        }
        json_t *value = NULL;
        int result = codec_scalar_read(member->shape, (const char *)text,
                                       strlen((const char *)text), &value);
        xmlFree(text);
        if (result == 0) {
            result = add_member(input, object, member->name, value);
        } else {
            result =
                codec_malformed(input->decoder, "attribute '%s' has no valid value", member->wire);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int read_structure_member(struct xml_input *input, const struct codec_shape *shape,
                                 json_t *object)
{
    const char *name = local_name(input);
    const struct codec_member *member = codec_member_by_wire(shape, name, strlen(name));
    if (member == NULL || member->location != CODEC_BODY ||
        (member->flags & CODEC_ATTRIBUTE) != 0) {
        return invalid_element(input, "The service's model has no such element here.");
    }
    if ((member->flags & CODEC_FLATTENED) != 0) {
        return read_flattened(input, member, object);
    }
    if (json_object_get(object, member->name) != NULL) {
        return invalid_element(input, "The element is there already.");
    }
    json_t *value = NULL;
    int result = read_value(input, member, &value);
    return result < 0 ? result : add_member(input, object, member->name, value);
}

/* Reads the children of the element at hand into value, a new container of the shape's kind. */
static int read_children(struct xml_input *input, const struct codec_shape *shape, json_t *value)
{
    if (xmlTextReaderIsEmptyElement(input->reader) == 1) {
        return 0;
    }
    int depth = xmlTextReaderDepth(input->reader);
    int result = next_child(input, depth);
    while (result == 1) {
        if (shape->type == CODEC_STRUCTURE) {
            result = read_structure_member(input, shape, value);
        } else if (shape->type == CODEC_MAP) {
            result = text_equal(local_name(input), "entry")
                         ? read_entry(input, shape, value)
                         : invalid_element(input, "'entry' is expected.");
        } else if (text_equal(local_name(input), shape->members[0].wire)) {
            json_t *item = NULL;
            result = read_value(input, &shape->members[0], &item);
            result = result < 0 ? result : append(input, value, item);
        } else {
            result = invalid_element(input, "The list's item is expected.");
        }
        result = result < 0 ? result : next_child(input, depth);
    }
    return result;
}

static int read_scalar(struct xml_input *input, const struct codec_shape *shape, json_t **ret_value)
{
    char name[64]; /* reading on frees the reader's own */
    (void)snprintf(name, sizeof name, "%s", local_name(input)); /* cut: it is for a message */
    int result = read_text(input);
    if (result < 0) {
        return result;
    }
    result = codec_scalar_read(shape, buf_text(&input->text), input->text.length, ret_value);
    if (result < 0) {
        return codec_invalid(
            input->decoder,
            "Invalid XML ; cvc-datatype-valid.1.2.1: '%.64s' is not a valid value for '%s' in "
            "element '%s'.",
            buf_text(&input->text), codec_type_name((enum codec_type)shape->type), name);
    }
    return 0;
}

/* Recursion is bounded by xml_scan: CODEC_DEPTH_LIMIT elements. */
static int read_value(struct xml_input *input, const struct codec_member *member,
                      json_t **ret_value)
{
    const struct codec_shape *shape = member->shape;
    if (shape->type >= CODEC_STRING) {
        return read_scalar(input, shape, ret_value);
    }
    json_t *value = shape->type == CODEC_LIST ? json_array() : json_object();
    if (value == NULL) {
        return codec_out_of_memory(input->decoder->err);
    }
    int result = 0;
    if (shape->type == CODEC_STRUCTURE) {
        result = read_attributes(input, shape, value);
    }
    result = result < 0 ? result : read_children(input, shape, value);
    if (result < 0) {
        json_decref(value);
        return result;
    }
    *ret_value = value;
    return 0;
}

/* Moves to the root element and compares its name. */
static int find_root(struct xml_input *input, const struct codec_member *member)
{
    do {
        if (xmlTextReaderRead(input->reader) != 1) {
            return unreadable(input);
        }
        if (xmlTextReaderNodeType(input->reader) == XML_READER_TYPE_DOCUMENT_TYPE) {
            return unreadable(input);
        }
    } while (xmlTextReaderNodeType(input->reader) != XML_READER_TYPE_ELEMENT);
    if (member->wire != NULL && !text_equal(local_name(input), member->wire)) {
        return codec_malformed(input->decoder, "%.100s is not valid, expected %s",
                               local_name(input), member->wire);
    }
    return 0;
}

/* Nothing but comments and white space may follow the root. */
static int expect_end(struct xml_input *input)
{
    int more = 1;
    while (more == 1) {
        more = xmlTextReaderRead(input->reader);
    }
    return more == 0 ? 0 : unreadable(input);
}

int codec_xml_read(const struct codec_decoder *decoder, const struct codec_member *member,
                   const void *body, size_t size, json_t **ret_value)
{
    const char *reason = NULL;
    if (xml_scan(body, size, &reason) < 0) {
        return codec_malformed(decoder, "Could not parse XML: %s", reason);
    }
    (void)pthread_once(&once, initialise); /* fails only for an invalid once */
    struct xml_input input = {.decoder = decoder};
    /* A declaration may not choose another encoding: what xml_scan saw would be read differently.
     * XML_PARSE_NOENT stays away: entities are never expanded. */
    xmlTextReaderPtr reader CLEANUP(reader_free) = xmlReaderForMemory(
        body, (int)size, NULL, "UTF-8",
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_IGNORE_ENC);
    if (reader == NULL) {
        return codec_out_of_memory(decoder->err);
    }
    xmlTextReaderSetStructuredErrorHandler(reader, ignore_error, NULL);
    input.reader = reader;
    buf_init(&input.text, HTTP_BODY_LIMIT);
    json_t *value = NULL;
    int result = find_root(&input, member);
    result = result < 0 ? result : read_value(&input, member, &value);
    result = result < 0 ? result : expect_end(&input);
    buf_done(&input.text);
    if (result < 0) {
        json_decref(value);
        return result;
    }
    *ret_value = value;
    return 0;
}
