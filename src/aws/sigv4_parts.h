/* Reading the signature a request carries, in its two forms: the Authorization header, and the
 * X-Amz-* parameters of a presigned URL. Private to this room. Pure; any thread. */
#ifndef AWS_SIGV4_PARTS_H
#define AWS_SIGV4_PARTS_H

#include "aws/http.h"
#include "aws/sigv4.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"

/* All strings in the arena, none NULL. */
struct sigv4_parts {
    struct sigv4_scope scope;   /* access_key_id "" when the request carries no signature */
    const char *signed_headers; /* "host;x-amz-date": lower case, at least one */
    const char *signature;      /* 64 hexadecimal digits */
    const char *timestamp;      /* "20261121T094844Z" */
    int64_t expires_s;          /* presigned: seconds of validity */
};

/* As sigv4_scope of sigv4.h, and the rest of what it read. */
int sigv4_parts_read(const struct http_request *request, struct arena *arena,
                     struct sigv4_parts *ret_parts, const char **ret_code, struct err *err)
    MUST_CHECK;

#endif
