/* Fuzz target of response.h: the input is a search string's length, the search string, then lines
 * and body pieces. Properties: nothing grows past its limit, a verdict stays, and the string is
 * found exactly when it is in the first 5,120 bytes of the body. */
#include "health/probe/response.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void feed_headers(struct response *response, const char *text, size_t size, size_t *ret_at)
{
    size_t at = 0;
    while (at < size && !response->headers_done && response->verdict == RESPONSE_PENDING) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - (text + at)) + 1 : size - at;
        response_header(response, text + at, length);
        at += length;
    }
    *ret_at = at;
}

static void feed_body(struct response *response, const char *body, size_t size, size_t step)
{
    for (size_t at = 0; at < size; at += step) {
        enum response_verdict before = response->verdict;
        response_body(response, body + at, MIN(step, size - at));
        require(before == RESPONSE_PENDING || response->verdict == before);
    }
    response_end(response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct response response;
    char search[256] = "";
    if (size < 2) {
        return 0;
    }
    size_t search_length = MIN((size_t)data[0], size - 2);
    size_t step = (size_t)data[1] + 1;
    (void)memcpy(search, data + 2, search_length);
    search[search_length] = '\0';
    const char *text = (const char *)data + 2 + search_length;
    size_t left = size - 2 - search_length;
    size_t at = 0;
    response_begin(&response, search);
    feed_headers(&response, text, left, &at);
    bool matching = response.verdict == RESPONSE_PENDING && response.headers_done;
    feed_body(&response, text + at, left - at, step);
    require(response.verdict != RESPONSE_PENDING);
    require(response.header_bytes <= RESPONSE_HEADER_LIMIT);
    require(response.body_length <= RESPONSE_BODY_LIMIT);
    require(strlen(response.reason) < RESPONSE_REASON);
    if (matching) {
        size_t counted = MIN(left - at, RESPONSE_BODY_LIMIT);
        bool there = memmem(text + at, counted, search, strlen(search)) != NULL;
        require((response.verdict == RESPONSE_PASSED) == there);
    }
    return 0;
}
