/* The canonical form of a request and the keys of Signature Version 4: the arithmetic that signing
 * and verifying share. Private to this room (and its tests).
 * Source: "Create a signed AWS API request", IAM User Guide; the names are that document's.
 * Pure; any thread. */
#ifndef AWS_SIGV4_CANONICAL_H
#define AWS_SIGV4_CANONICAL_H

#include "aws/http.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/macro.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_HASH_SIZE 32U
#define SIGV4_HASH_TEXT 65U /* in hexadecimal, with its NUL */

/* What besides the request decides the signature. Strings are borrowed. */
struct sigv4_inputs {
    const char *service;        /* "s3": the path is neither normalised nor encoded again */
    const char *signed_headers; /* "host;x-amz-date" */
    const char *payload_hash;   /* as it stands in the canonical request */
    const char *timestamp;      /* "20261121T094844Z" */
    const char *date;           /* "20261121" */
    const char *region;
    bool presigned; /* X-Amz-Signature is left out of the query */
};

/* The hash of a body, in lower-case hexadecimal. */
void sigv4_hash(const void *data, size_t size, char out[SIGV4_HASH_TEXT]);

/* Appends the canonical request. -ENOMEM when the arena's limit is reached; the caller looks at
 * buf_failed for the buffer. */
int sigv4_canonical_request(const struct http_request *request, const struct sigv4_inputs *inputs,
                            struct arena *arena, struct buf *out) MUST_CHECK;
/* Appends the string to sign for that canonical request. */
void sigv4_string_to_sign(const struct sigv4_inputs *inputs, const char *canonical, size_t length,
                          struct buf *out);
/* The signature of a request. -ENOMEM as above, -E2BIG when the canonical form passes its limit. */
int sigv4_compute(const struct http_request *request, const struct sigv4_inputs *inputs,
                  const struct secret *secret, struct arena *arena,
                  unsigned char ret_signature[SIGV4_HASH_SIZE]) MUST_CHECK;

/* Is name (length bytes) one of a SignedHeaders list? Case ignored. */
bool sigv4_header_listed(const char *signed_headers, const char *name);

#endif
