/* The errors that every service can answer whatever its model says: authentication, authorisation,
 * limits, faults of ours. One table: how each family of protocols names them, and the HTTP status
 * it answers with. Private to this room. Pure; any thread. */
#ifndef AWS_WIRE_ERROR_H
#define AWS_WIRE_ERROR_H

#include "aws/codec.h"
#include "base/err.h"
#include "base/macro.h"

/* X(name, XML code, XML status, json code, json status, rest-json status)
 * XML: rest-xml, query, ec2. Source: "Common Errors" of each service's API reference. */
#define WIRE_ERRORS(X)                                                                             \
    X(INCOMPLETE_SIGNATURE, "IncompleteSignature", 400, "IncompleteSignatureException", 400, 403)  \
    X(MISSING_TOKEN, "MissingAuthenticationToken", 403, "MissingAuthenticationTokenException",     \
      400, 403)                                                                                    \
    X(UNKNOWN_KEY, "InvalidClientTokenId", 403, "UnrecognizedClientException", 400, 403)           \
    X(BAD_SIGNATURE, "SignatureDoesNotMatch", 403, "InvalidSignatureException", 400, 403)          \
    X(EXPIRED, "RequestExpired", 400, "RequestExpired", 400, 400)                                  \
    X(BAD_PAYLOAD_HASH, "XAmzContentSHA256Mismatch", 400, "XAmzContentSHA256Mismatch", 400, 400)   \
    X(BAD_REQUEST, "InvalidRequest", 400, "InvalidRequestException", 400, 400)                     \
    X(DENIED, "AccessDenied", 403, "AccessDeniedException", 400, 403)                              \
    X(TOO_LARGE, "RequestEntityTooLarge", 413, "RequestEntityTooLargeException", 413, 413)         \
    X(UNKNOWN_OPERATION, "UnknownOperationException", 404, "UnknownOperationException", 400, 404)  \
    X(INVALID_ACTION, "InvalidAction", 400, "UnknownOperationException", 400, 404)                 \
    X(NOT_IMPLEMENTED, "NotImplemented", 501, "UnknownOperationException", 400, 501)               \
    X(BUSY, "Throttling", 400, "ThrottlingException", 400, 429)                                    \
    X(UNAVAILABLE, "ServiceUnavailable", 503, "ServiceUnavailableException", 503, 503)             \
    X(INTERNAL, "InternalFailure", 500, "InternalFailure", 500, 500)

enum wire_error {
#define X(name, xml_code, xml_status, json_code, json_status, rest_json_status) WIRE_##name,
    WIRE_ERRORS(X)
#undef X
};

/* The row of an XML code (what sigv4.h returns); WIRE_INTERNAL for one that is not in the table. */
enum wire_error wire_error_find(const char *code) PURE;
/* What a failure that no handler named is told as: a store that is away, or that has no room
 * left, is UNAVAILABLE, a conflict BUSY, all else INTERNAL. */
enum wire_error wire_error_of_kind(enum err_kind kind);
/* The sentence for those, which tells nothing of the inside. */
const char *wire_error_text(enum wire_error error);
/* service NULL: XML. WIRE_INTERNAL is what the service's model calls it, where it does. */
const char *wire_error_code(enum wire_error error, const struct codec_service *service);
int wire_error_status(enum wire_error error, const struct codec_service *service);

#endif
