/* An HTTP request and response as the codec sees them: what the server read and what it will send.
 * Nothing here knows libmicrohttpd. */
#ifndef AWS_HTTP_H
#define AWS_HTTP_H

#include "base/arena.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>

#define HTTP_BODY_LIMIT                                                                            \
    (4U << 20U) /* bytes of a request body; larger ones are refused before they are read */
#define HTTP_HEADERS_LIMIT 64U        /* headers of a request */
#define HTTP_ANSWER_HEADERS_LIMIT 64U /* headers of a response; S3 has some forty */
#define HTTP_TARGET_LIMIT 16384U      /* bytes of path and query */

struct http_header {
    const char *name; /* as received; compare without case */
    const char *value;
};

struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* as received: still percent-encoded, without the query */
    const char *query;  /* as received, without '?'; "" when none */
    const struct http_header *headers;
    size_t header_count;
    const void *body;
    size_t body_size;
    const char *source; /* client's address */
    bool tls;
};

struct http_response {
    int status;
    const char *content_type; /* NULL when there is no body */
    struct http_header headers[HTTP_ANSWER_HEADERS_LIMIT];
    size_t header_count;
    const void *body; /* in the arena */
    size_t body_size;
};

/* The first header of that name (case ignored), NULL when absent. */
const char *http_header_value(const struct http_request *request, const char *name);
/* Strings must live as long as the response. Asserts that there is room. */
void http_response_add(struct http_response *response, const char *name, const char *value);

#endif
