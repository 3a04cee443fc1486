/* AWS Signature Version 4: verifying requests (header and presigned query forms) and signing them.
 * Source: "Signature Version 4 signing process", AWS General Reference. Pure but for the key
 * lookup; any thread. */
#ifndef AWS_SIGV4_H
#define AWS_SIGV4_H

#include "aws/http.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"
#include "base/time.h"

#define SIGV4_SKEW_S 300               /* clock difference allowed, as AWS */
#define SIGV4_PRESIGNED_LIMIT_S 604800 /* X-Amz-Expires at most a week */

struct sigv4_scope {
    const char *access_key_id;
    const char *date; /* "20261121" */
    const char *region;
    const char *service;
    bool presigned;
};

/* Reads who signs, before any check: *ret_scope with empty strings when the request carries no
 * signature. On a malformed one ERR_INVALID with *ret_code the AWS error code (IncompleteSignature
 * ...). */
int sigv4_scope(const struct http_request *request, struct arena *arena,
                struct sigv4_scope *ret_scope, const char **ret_code, struct err *err) MUST_CHECK;
/* Checks date, signed headers, body hash and signature. On failure *ret_code is AWS's code:
 * SignatureDoesNotMatch, RequestTimeTooSkewed/RequestExpired, MissingAuthenticationToken,
 * InvalidClientTokenId, IncompleteSignature ... as each service words it (service decides single or
 * double path encoding). */
int sigv4_verify(const struct http_request *request, const struct sigv4_scope *scope,
                 const struct secret *secret, struct wall now, struct arena *arena,
                 const char **ret_code, struct err *err) MUST_CHECK;

/* The headers a client adds (Authorization, X-Amz-Date, X-Amz-Content-Sha256): for the CLI. */
struct sigv4_signature {
    const char *authorization;
    const char *date;
    const char *content_sha256;
};
int sigv4_sign(const struct http_request *request, const char *access_key_id,
               const struct secret *secret, const char *region, const char *service,
               struct wall now, struct arena *arena, struct sigv4_signature *ret_signature,
               struct err *err) MUST_CHECK;

#endif
