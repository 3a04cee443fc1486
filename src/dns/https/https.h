/* HTTP, as far as DNS over HTTPS needs it (RFC 8484): a client's bytes in, its queries out to who
 * answers them, bytes for the client out. HTTP/2 is nghttp2's, HTTP/1.1 a parser of our own.
 *
 * There is no socket, no clock and no thread in here: who has the connection reads, writes and
 * closes. Everything a client can make us hold has a limit below, and it stands still, without
 * being told so, where it does not take its responses. Thread: one at a time. */
#ifndef DNS_HTTPS_HTTPS_H
#define DNS_HTTPS_HTTPS_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPS_PATH "/dns-query"

#define HTTPS_MESSAGE_MOST 65535U /* of a response */
#define HTTPS_QUERY_MOST 4096U    /* bytes of a query; beyond them 413, or 414 in a URI */
#define HTTPS_HEADERS_MOST 8192U  /* bytes of a request's header; beyond them 431 */
#define HTTPS_STREAMS_MOST 100U   /* requests at once on one HTTP/2 connection */
#define HTTPS_HELD_MOST 65536U    /* queries of one connection that are not complete or answered */
#define HTTPS_RESPONSES_MOST 65536U /* with so much untaken, further queries wait */
/* Frames of HTTP/2 without a query between them that is answered; each that is forgives some. Then
 * the connection ends: floods of resets, pings, settings, empty frames. */
#define HTTPS_FRAMES_MOST 1024U
#define HTTPS_FRAMES_FORGIVEN 32U

#define HTTPS_INPUT_MOST 16384U /* what https_receive takes at once */
/* What https_produce wants room for at least. */
#define HTTPS_OUTPUT_LEAST (HTTPS_MESSAGE_MOST + 512U)

struct https;

/* Who answers. Returns the response's size in out, which has HTTPS_MESSAGE_MOST bytes; 0 where
 * there is none for this query: the client then sees 400. */
struct https_service {
    size_t (*answer)(void *context, const uint8_t *query, size_t size, uint8_t *out);
    void *context;
    const char *date;  /* for the header of that name (RFC 9110 section 6.6.1); "": none */
    uint8_t *scratch;  /* HTTPS_MESSAGE_MOST bytes, used within a call */
    unsigned answered; /* added to: queries that got a response */
    unsigned refused;  /* added to: requests that got an error of HTTP */
};

/* For one connection that speaks HTTP/2, or HTTP/1.1. NULL: no memory. */
struct https *https_new(bool http2) MUST_CHECK;
void https_free(struct https *take_https);

/* Takes all of data, at most HTTPS_INPUT_MOST bytes; only once https_produce has said that there is
 * no more. False: nothing sensible can follow (no memory, no HTTP/2): close. */
bool https_receive(struct https *https, const uint8_t *data, size_t size) MUST_CHECK;
/* Answers queries and writes what the client may have now. Returns the bytes in out, which has room
 * for size. ret_more: there is more than fitted; ask again before receiving. */
size_t https_produce(struct https *https, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more);
/* We are going to close: HTTP/2 has a word for it, which the next https_produce writes. */
void https_end(struct https *https);
/* Nothing will follow: close once everything is out. */
bool https_is_over(const struct https *https);

#endif
