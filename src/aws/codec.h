/* The codec: between HTTP and JSON trees, driven by the tables generated from the service models
 * (tools/generate-aws). One engine a protocol: rest-xml, rest-json, json (1.0, 1.1), query; the
 * tables hold what ec2 needs too. Pure: no I/O, no clock; any thread.
 *
 * Order for a request: codec_route (which operation), then authentication by the caller (sigv4.h),
 * then codec_decode. */
#ifndef AWS_CODEC_H
#define AWS_CODEC_H

#include "aws/http.h"
#include "aws/service.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

#include <jansson.h>

struct codec_service;   /* a generated table */
struct codec_operation; /* one row of it */

struct codec_route {
    const struct codec_service *service;
    const struct codec_operation
        *operation;             /* NULL: the operation is not in the model, or not listed */
    const char *operation_name; /* what was asked for: a name, or "GET /path" */
    bool known;                 /* the model has it, listed or not */
    bool malformed;             /* a label of its path cannot be decoded: codec_decode refuses it */
    const char **labels; /* URI labels, decoded, in the order of the operation's label members */
    size_t label_count;
};

/* Finds service and operation. signing_name: of the credential scope ("" when there is none: then
 * X-Amz-Target and Host decide). ERR_NOT_FOUND when no service can be told; 0 with operation NULL
 * when the service is known and the operation is not listed: the caller answers "not implemented"
 * with its name. */
int codec_route(const struct http_request *request, const char *signing_name, struct arena *arena,
                struct codec_route *ret_route, struct err *err) MUST_CHECK;

/* The role a caller needs, from src/aws/operations.list. */
enum aws_role codec_operation_role(const struct codec_operation *operation);
const char *codec_operation_name(const struct codec_operation *operation);
const char *codec_service_name(const struct codec_service *service);
/* All listed operations of a service, for checking the handlers; NULL past the end. */
const struct codec_operation *codec_service_operation(const struct codec_service *service,
                                                      size_t index);
const struct codec_service *codec_service_find(const char *name);

/* Decodes and validates the input; route->operation is not NULL. *ret_in is a new reference. Depth,
 * number of values and time are bounded whatever the body holds. On failure fills call (aws_error:
 * MalformedInput, InvalidInput, ValidationException ... as the service says it) and err. */
int codec_decode(const struct codec_route *route, const struct http_request *request,
                 struct aws_call *call, json_t **ret_in, struct err *err) MUST_CHECK;
/* Encodes the output of a successful call; out may be NULL. Everything lives in the call's arena. A
 * tree that does not fit the model (an unknown or missing member, another type, a word outside the
 * enum) is ERR_INTERNAL (and a test failure). */
int codec_encode(const struct codec_route *route, const struct aws_call *call, const json_t *out,
                 struct http_response *ret_response, struct err *err) MUST_CHECK;
/* Encodes a failed call, in the service's error shape (route->service may be NULL: plain rest-xml
 * ErrorResponse). call->error_code names the modelled exception, or any other code (400, or what
 * wire_error.h says); without one err->kind decides and the message stays general. A "message" or
 * "Message" among call->error_members goes before err's, which is short. Never fails. */
void codec_encode_error(const struct codec_route *route, const struct aws_call *call,
                        const struct err *err, struct http_response *ret_response);

#endif
