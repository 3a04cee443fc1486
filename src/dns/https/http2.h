/* HTTP/2 (RFC 9113) for one connection, by nghttp2; private to this room.
 *
 * Requests that are whole stand in a queue and are answered as long as what was answered before is
 * taken: a client that opens no window makes us hold its queries, and a bounded number of bytes of
 * responses. What brings no query is counted, and ends the connection when there is much of it. */
#ifndef DNS_HTTPS_HTTP2_H
#define DNS_HTTPS_HTTP2_H

#include "base/macro.h"
#include "dns/https/https.h"

struct http2;

/* NULL: no memory. */
struct http2 *http2_new(void) MUST_CHECK;
void http2_free(struct http2 *take_http2);
bool http2_receive(struct http2 *http2, const uint8_t *data, size_t size) MUST_CHECK;
size_t http2_produce(struct http2 *http2, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more);
void http2_end(struct http2 *http2);
bool http2_is_over(const struct http2 *http2);

#endif
