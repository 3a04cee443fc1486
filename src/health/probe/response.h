/* Judging an HTTP response as it arrives: status line, size of the header block, search string in
 * the first 5,120 bytes of the body. Pure: bytes in, verdict out; called by http.c and the fuzzer.
 *
 * Memory: embedded in the probe, of fixed size, whatever the server sends. Invariant: once a
 * verdict other than RESPONSE_PENDING is reached it stays. */
#ifndef HEALTH_PROBE_RESPONSE_H
#define HEALTH_PROBE_RESPONSE_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>

#define RESPONSE_HEADER_LIMIT 16384U
#define RESPONSE_BODY_LIMIT 5120U
#define RESPONSE_REASON 64U

enum response_verdict {
    RESPONSE_PENDING,
    RESPONSE_PASSED,
    RESPONSE_BAD_STATUS,       /* neither 2xx nor 3xx */
    RESPONSE_MALFORMED,        /* no HTTP status line */
    RESPONSE_HEADERS_TOO_LONG, /* more than RESPONSE_HEADER_LIMIT bytes, interim responses included
                                */
    RESPONSE_NOT_FOUND,        /* the search string is not in what counts of the body */
};

struct response {
    const char *search; /* borrowed; NULL: the body does not matter */
    size_t search_length;
    enum response_verdict verdict;
    bool headers_done;
    int status;                   /* 0 before the final status line */
    char reason[RESPONSE_REASON]; /* printable characters of the reason phrase */
    size_t header_bytes;
    size_t body_length;
    char body[RESPONSE_BODY_LIMIT];
};

/* search: NULL or "" when the body does not matter. */
void response_begin(struct response *response, const char *search);
/* One line of the header block with its line end; the empty line ends the block. Interim (1xx)
 * responses are skipped, trailers are ignored. */
void response_header(struct response *response, const char *line, size_t size);
/* The next bytes of the body. */
void response_body(struct response *response, const char *data, size_t size);
/* The server has sent everything. */
void response_end(struct response *response);

#endif
