/* A small API client, for the command line: signs (SigV4) and sends one request with libcurl. Any
 * thread, one call at a time per client. */
#ifndef AWS_CLIENT_H
#define AWS_CLIENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"

struct aws_client_config {
    const char *endpoint; /* "http://127.0.0.1:4566" */
    const char *region;
    const char *access_key_id;
    struct secret secret;
    const char *ca_file; /* NULL: the system's */
    long timeout_ms;
};

struct aws_client_response {
    int status;
    const char *body; /* NUL-terminated, in the arena */
    size_t size;
    const char *error_type; /* X-Amzn-ErrorType, "" when none */
};

/* target: path and query, encoded. body may be NULL. ERR_UNAVAILABLE says which endpoint could not
 * be reached and what to check. */
int aws_client_call(const struct aws_client_config *config, const char *service, const char *method,
                    const char *target, const char *content_type, const void *body, size_t size,
                    struct arena *arena, struct aws_client_response *ret_response, struct err *err)
    MUST_CHECK;

/* The text of the first element at a path of local names from the root on, such as
 * "ErrorResponse/Error/Message", of an XML body; in the arena. NULL when there is none, or when the
 * body is no XML. */
const char *aws_client_text(const struct aws_client_response *response, const char *path,
                            struct arena *arena);

#endif
