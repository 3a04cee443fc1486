/* What a request asks for: see request.h. Called by both versions of HTTP; owns nothing but the
 * query. Invariant: the first trouble is the one that is answered, but for 431, which says that the
 * rest was not looked at. */
#include "dns/https/request.h"

#include "base/text.h"
#include "dns/https/https.h"

#include <stdlib.h>
#include <string.h>

#define FIELD_OVERHEAD 32U /* RFC 9113 section 6.5.2 */
#define MEDIA_TYPE "application/dns-message"
#define BAD_DIGIT 64U

static void set_trouble(struct request *request, uint16_t status)
{
    if (request->trouble == 0) {
        request->trouble = status;
    }
}

void request_done(struct request *request)
{
    free(request->query);
    request->query = NULL;
    request->query_size = 0;
    request->query_capacity = 0;
}

bool request_header(struct request *request, size_t name_size, size_t value_size)
{
    /* What is counted already is bounded, and so is one field: no overflow. */
    request->header_size += name_size + value_size + FIELD_OVERHEAD;
    if (request->header_size <= HTTPS_HEADERS_MOST) {
        return true;
    }
    request->header_size = HTTPS_HEADERS_MOST;
    request->trouble = 431;
    return false;
}

static bool is_text(const char *text, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(text, wanted, size) == 0;
}

void request_method(struct request *request, const char *text, size_t size)
{
    request->method = is_text(text, size, "GET")    ? REQUEST_GET
                      : is_text(text, size, "POST") ? REQUEST_POST
                                                    : REQUEST_OTHER;
    if (request->method == REQUEST_POST && request->has_query) {
        request_done(request); /* the URI came first, but the body is what counts */
        request->trouble = request->trouble == 431 ? 431 : 0;
    }
}

/* ---- the query string ---- */

static unsigned digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0') + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : BAD_DIGIT;
}

/* base64url without padding (RFC 8484 section 6): 0, or a status. The caller frees query. */
static uint16_t decode_query(struct request *request, const char *text, size_t size)
{
    if (size == 0 || size % 4 == 1) {
        return 400;
    }
    size_t bytes = size / 4 * 3 + (size % 4 != 0 ? size % 4 - 1 : 0);
    if (bytes > HTTPS_QUERY_MOST) {
        return 414;
    }
    request->query = malloc(bytes);
    if (request->query == NULL) {
        return 503;
    }
    request->query_capacity = bytes;
    unsigned held = 0; /* of which `bits` are not written yet */
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = digit_of(text[i]);
        if (digit == BAD_DIGIT) {
            return 400;
        }
        held = held << 6U | digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            request->query[request->query_size++] = (uint8_t)(held >> bits);
        }
        held &= (1U << bits) - 1U;
    }
    return held == 0 ? 0 : 400; /* bits that belong to no byte */
}

/* The dns parameter among those that & separates. */
static void find_query(struct request *request, const char *text, size_t size)
{
    const char *end = text + size;
    while (text < end) {
        const char *next = memchr(text, '&', (size_t)(end - text));
        size_t length = (size_t)((next != NULL ? next : end) - text);
        if (length >= 4 && memcmp(text, "dns=", 4) == 0) {
            uint16_t status =
                request->has_query ? 400 : decode_query(request, text + 4, length - 4);
            request->has_query = true;
            if (status != 0) {
                request_done(request);
                set_trouble(request, status);
                return;
            }
        }
        text += length + 1;
    }
}

void request_target(struct request *request, const char *text, size_t size)
{
    const char *mark = memchr(text, '?', size);
    size_t path = mark != NULL ? (size_t)(mark - text) : size;
    request->path_found = is_text(text, path, HTTPS_PATH);
    if (request->path_found && request->method != REQUEST_POST && mark != NULL) {
        find_query(request, mark + 1, size - path - 1);
    }
}

/* ---- the body ---- */

void request_content_type(struct request *request, const char *text, size_t size)
{
    size_t length = 0;
    while (length < size && text[length] != ';' && text[length] != ' ' && text[length] != '\t') {
        length++;
    }
    bool good = length == strlen(MEDIA_TYPE);
    for (size_t i = 0; good && i < length; i++) {
        good = text_lower(text[i]) == MEDIA_TYPE[i];
    }
    request->type_good = good;
}

void request_body(struct request *request, const uint8_t *data, size_t size)
{
    if (request->method != REQUEST_POST || request->trouble != 0 || size == 0) {
        return;
    }
    if (size > HTTPS_QUERY_MOST - request->query_size) {
        request_done(request);
        set_trouble(request, 413);
        return;
    }
    size_t want = request->query_size + size;
    if (want > request->query_capacity) {
        uint8_t *fresh = realloc(request->query, want);
        if (fresh == NULL) {
            request_done(request);
            set_trouble(request, 503);
            return;
        }
        request->query = fresh;
        request->query_capacity = want;
    }
    (void)memcpy(request->query + request->query_size, data, size);
    request->query_size = want;
}

unsigned request_judge(const struct request *request)
{
    if (request->trouble == 431) {
        return 431;
    }
    if (!request->path_found) {
        return 404;
    }
    if (request->method == REQUEST_OTHER) {
        return 405;
    }
    if (request->method == REQUEST_POST && !request->type_good) {
        return 415;
    }
    if (request->trouble != 0) {
        return request->trouble;
    }
    return request->query_size == 0 ? 400 : 0;
}
