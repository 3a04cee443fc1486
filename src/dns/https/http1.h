/* HTTP/1.1 (RFC 9112) for one connection; private to this room.
 *
 * Requests are taken one after the other and answered in order, from one buffer: a header, a body
 * by Content-Length and what one receive brought. Strict where leniency has hurt others: line ends,
 * white space before colons, folded lines, two lengths, chunks (411) end the connection. */
#ifndef DNS_HTTPS_HTTP1_H
#define DNS_HTTPS_HTTP1_H

#include "base/macro.h"
#include "dns/https/https.h"

struct http1 {
    char *data;
    size_t size;
    size_t capacity;
    size_t looked;  /* bytes that hold no end of a header */
    bool continued; /* the client was told to send its body */
    bool over;
};

void http1_done(struct http1 *http1);
bool http1_receive(struct http1 *http1, const uint8_t *data, size_t size) MUST_CHECK;
size_t http1_produce(struct http1 *http1, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more);

#endif
