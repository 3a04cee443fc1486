/* One request: what RFC 8484 wants of it, whatever version of HTTP it came in; private to this
 * room.
 *
 * A request is fed with its parts, in any order, and judged when it is whole: a query, or the
 * status that says why not (RFC 8484 section 4.2.1, RFC 9110 section 15.5). Owns the query's bytes.
 */
#ifndef DNS_HTTPS_REQUEST_H
#define DNS_HTTPS_REQUEST_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request_method { REQUEST_OTHER, REQUEST_GET, REQUEST_POST };

struct request {
    enum request_method method;
    bool path_found;  /* it is HTTPS_PATH */
    bool type_good;   /* content-type: application/dns-message */
    bool has_query;   /* the URI has a dns parameter */
    uint16_t trouble; /* status that came up before the end, 0: none */
    size_t header_size;
    uint8_t *query;
    size_t query_size;
    size_t query_capacity;
};

void request_done(struct request *request);

/* Counts a field of the header. False: beyond HTTPS_HEADERS_MOST, and it is not to be looked at. */
bool request_header(struct request *request, size_t name_size, size_t value_size);
void request_method(struct request *request, const char *text, size_t size);
/* The path with its query string; of a GET the DNS query is decoded from it. */
void request_target(struct request *request, const char *text, size_t size);
void request_content_type(struct request *request, const char *text, size_t size);
/* More of the body. What belongs to no good request is dropped. */
void request_body(struct request *request, const uint8_t *data, size_t size);
/* The whole request: 0 when query holds a DNS query, else the status to answer with. */
unsigned request_judge(const struct request *request) MUST_CHECK;

#endif
