/* What the codec's files share: limits, scalars, validation and one decoder and encoder a wire
 * format. Private to this room. Pure functions over the request's memory; any thread. Invariant:
 * every decoder bounds depth and count before it builds anything. */
#ifndef AWS_INTERNAL_H
#define AWS_INTERNAL_H

#include "aws/codec.h"
#include "aws/tables.h"
#include "base/buf.h"

#define CODEC_DEPTH_LIMIT 64U              /* nested elements, objects, or key pieces of a body */
#define CODEC_VALUE_LIMIT 100000U          /* elements, values or parameters of a body */
#define CODEC_ATTRIBUTE_LIMIT 32U          /* XML attributes of one element */
#define CODEC_PATTERN_MATCH_LIMIT 1000000U /* PCRE2's steps for one value */
#define CODEC_PATTERN_HEAP_LIMIT 20000U    /* kibibytes PCRE2 may take for one value */
#define CODEC_VIOLATION_LIMIT 20U          /* validation errors that are spelled out */
#define CODEC_MESSAGE_LIMIT 8192U          /* bytes of a validation message */
#define CODEC_PATH_LIMIT 512U              /* bytes of a member's path in it */
#define CODEC_RESPONSE_LIMIT (64U << 20U)  /* bytes of a response body */

/* One request being decoded. Borrowed by every function for the call. */
struct codec_decoder {
    const struct codec_route *route;
    const struct http_request *request;
    struct aws_call *call;
    struct err *err;
};

/* Fail the call with the service's code for a body that cannot be read, or for input that breaks
 * the model. Return err's code. */
int codec_malformed(const struct codec_decoder *decoder, const char *format, ...) PRINTF(2, 3) COLD;
int codec_invalid(const struct codec_decoder *decoder, const char *format, ...) PRINTF(2, 3) COLD;
int codec_out_of_memory(struct err *err) COLD;

/* For json_object_foreach, which takes a mutable pointer but changes nothing. */
static inline json_t *codec_iterable(const json_t *value)
{
    union {
        const json_t *constant;
        json_t *mutable;
    } same = {.constant = value};
    return same.mutable;
}

/* --- tables */

/* The member with that wire name among those of one location; NULL when there is none. */
const struct codec_member *codec_member_by_wire(const struct codec_shape *shape, const char *wire,
                                                size_t length);
/* Whether a member of it stands in the body: the others are in path, query or headers. */
bool codec_has_body(const struct codec_shape *shape);
const struct codec_error *codec_error_find(const struct codec_service *service, const char *name);

/* --- scalars: text on the wire to a tree's value and back */

/* -EINVAL when text is no value of the shape's type; -ENOMEM. format: of the wire when the member
 * does not say (timestamps are read in any of the three formats whatever it says). */
int codec_scalar_read(const struct codec_shape *shape, const char *text, size_t length,
                      json_t **ret_value) MUST_CHECK;
/* A number on the wire as a timestamp of the tree. -EINVAL outside the years that fit. */
int codec_time_from_epoch(double seconds, json_t **ret_value) MUST_CHECK;
/* Appends a tree's scalar as text. -EINVAL when the value is of another type. */
int codec_scalar_write(const struct codec_member *member, enum codec_time default_time,
                       const json_t *value, struct buf *out) MUST_CHECK;
/* How a service calls the type, for messages. */
const char *codec_type_name(enum codec_type type);

/* --- patterns */

enum codec_match { CODEC_MATCHES, CODEC_MATCHES_NOT, CODEC_MATCH_TOO_HARD, CODEC_PATTERN_BROKEN };
/* Whether the whole text matches the shape's pattern. Compiles it on first use; any thread. */
enum codec_match codec_pattern_match(const struct codec_shape *shape, const char *text,
                                     size_t length);

/* --- validation */

/* Checks a decoded tree against the model: required, enum, pattern, bounds. Gathers every
 * violation into one message, worded as AWS services do. */
int codec_validate(const struct codec_decoder *decoder, const struct codec_shape *shape,
                   const json_t *tree) MUST_CHECK;

/* --- bodies */

/* Reads the XML body. member stands for the document's root element: its wire name, or any when
 * NULL. *ret_value is a new reference. */
int codec_xml_read(const struct codec_decoder *decoder, const struct codec_member *member,
                   const void *body, size_t size, json_t **ret_value) MUST_CHECK;
/* Appends value as an element of that name. -EINVAL, with *err naming the place, when it does not
 * fit the shape. xml_namespace may be NULL. */
int codec_xml_write(struct buf *out, const char *element, const char *xml_namespace,
                    const struct codec_member *member, const json_t *value, struct err *err)
    MUST_CHECK;
/* The same for the members of a structure, without an element around them. */
int codec_xml_write_members(struct buf *out, const struct codec_shape *shape, const json_t *value,
                            struct err *err) MUST_CHECK;
/* Escapes for element content and attribute values. */
void codec_xml_escape(struct buf *out, const char *text, size_t length);

/* Reads a JSON body into a tree of the shape. */
int codec_json_read(const struct codec_decoder *decoder, const struct codec_shape *shape,
                    const void *body, size_t size, json_t **ret_value) MUST_CHECK;
int codec_json_write(struct buf *out, const struct codec_member *member, const json_t *value,
                     struct err *err) MUST_CHECK;
void codec_json_escape(struct buf *out, const char *text, size_t length);

/* Reads the parameters of a query or ec2 request into a tree of the shape. */
int codec_query_read(const struct codec_decoder *decoder, const struct codec_shape *shape,
                     json_t **ret_value) MUST_CHECK;

/* Of a successful answer of the service. */
const char *codec_content_type(const struct codec_service *service);
/* Hands the buffer's memory to the response; it lives as long as the arena. -ENOMEM when the buffer
 * failed. */
int codec_take_body(struct buf *body, struct arena *arena, struct http_response *response)
    MUST_CHECK;

/* A parameter of a query string or form. */
struct codec_parameter {
    const char *name; /* decoded, in the arena */
    const char *value;
    bool has_value; /* there was a '=' */
};
/* Splits and decodes "a=1&b"; text may be NULL. -EINVAL on a broken escape, -E2BIG over
 * CODEC_VALUE_LIMIT, -ENOMEM. */
int codec_parameters(const char *text, size_t length, struct arena *arena,
                     struct codec_parameter **ret_parameters, size_t *ret_count) MUST_CHECK;
/* The first of that name, NULL when absent. */
const struct codec_parameter *codec_parameter_find(const struct codec_parameter *parameters,
                                                   size_t count, const char *name);

#endif
