/* Letting requests in: see upload.h. Called by server.c on the thread of the connection. A body
 * belongs to its upload until upload_done. Invariant: the budget's left is what it began with less
 * the sum of all reserved. */
#include "aws/upload.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>

#define DISCARD_LIMIT ((size_t)16 * HTTP_BODY_LIMIT)

void upload_budget_init(struct upload_budget *budget, size_t bytes)
{
    atomic_init(&budget->left, bytes);
}

static bool budget_take(struct upload_budget *budget, size_t bytes)
{
    size_t left = atomic_load(&budget->left);
    while (left >= bytes) {
        if (atomic_compare_exchange_weak(&budget->left, &left, left - bytes)) {
            return true;
        }
    }
    return false;
}

void upload_split_target(char *target, const char **ret_path, const char **ret_query)
{
    char *path = target;
    if (text_starts(target, "http://") || text_starts(target, "https://")) {
        char *slash = strchr(strstr(target, "//") + 2, '/'); /* RFC 9112 section 3.2.2 */
        path = slash != NULL ? slash : target;
    }
    char *question = strchr(path, '?');
    *ret_query = question != NULL ? question + 1 : "";
    if (question != NULL) {
        *question = '\0';
    }
    *ret_path = path;
}

static size_t count_of(const struct http_request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        count += text_equal_nocase(request->headers[i].name, name) ? 1 : 0;
    }
    return count;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool path_sound(const struct http_request *request)
{
    bool asterisk = text_equal(request->path, "*") && text_equal(request->method, "OPTIONS");
    return (request->path[0] == '/' || asterisk) && printable(request->path) &&
           printable(request->query);
}

/* Header names are tokens (RFC 9110 section 5.6.2); others are read differently by different
 * programs, and one with a ';' could not be told apart in a list of signed headers. */
static bool names_sound(const struct http_request *request)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (name[0] == '\0' || name[strspn(name, token)] != '\0') {
            return false;
        }
    }
    return true;
}

/* One length, told in one way. */
static bool framing_sound(const struct http_request *request)
{
    const char *encoding = http_header_value(request, "transfer-encoding");
    size_t encodings = count_of(request, "transfer-encoding");
    size_t lengths = count_of(request, "content-length");
    return lengths + encodings <= 1 && count_of(request, "host") <= 1 &&
           (encoding == NULL || text_equal_nocase(encoding, "chunked"));
}

static bool refuse(struct upload_refusal *ret_refusal, enum wire_error error, int status,
                   const char *message)
{
    *ret_refusal = (struct upload_refusal){error, message, status};
    return false;
}

static bool refuse_size(struct upload_refusal *ret_refusal)
{
    return refuse(ret_refusal, WIRE_TOO_LARGE, 413,
                  "The body of the request is larger than the 4 MiB that are allowed");
}

bool upload_allowed(const struct http_request *request, bool complete,
                    struct upload_refusal *ret_refusal)
{
    int64_t size = 0;
    if (strlen(request->path) + strlen(request->query) > HTTP_TARGET_LIMIT) {
        return refuse(ret_refusal, WIRE_BAD_REQUEST, 414, "The URI of the request is too long");
    }
    if (!complete) {
        return refuse(ret_refusal, WIRE_BAD_REQUEST, 431,
                      "The request has too many headers, or one with a NUL byte");
    }
    if (!path_sound(request) || !names_sound(request) || !framing_sound(request)) {
        return refuse(ret_refusal, WIRE_BAD_REQUEST, 400,
                      "The request is malformed: its target, a header's name, or how long its body "
                      "is");
    }
    const char *length = http_header_value(request, "content-length");
    if (length != NULL) {
        int code = text_to_i64(length, 0, INT64_MAX, &size);
        if (code != 0 || !text_is_digit(length[0])) {
            return refuse(ret_refusal, WIRE_BAD_REQUEST, 400,
                          "The Content-Length of the request is not a number");
        }
    }
    return size <= (int64_t)HTTP_BODY_LIMIT || refuse_size(ret_refusal);
}

void upload_init(struct upload *upload, struct upload_budget *budget)
{
    *upload = (struct upload){.budget = budget};
    buf_init(&upload->body, HTTP_BODY_LIMIT);
}

void upload_done(struct upload *upload)
{
    buf_done(&upload->body);
    (void)atomic_fetch_add(&upload->budget->left, upload->reserved); /* the old value */
    upload->reserved = 0;
}

bool upload_put(struct upload *upload, const void *data, size_t size)
{
    if (!upload->too_large && !upload->no_memory) {
        upload->too_large = size > HTTP_BODY_LIMIT - upload->body.length;
        upload->no_memory = !upload->too_large && !budget_take(upload->budget, size);
    }
    if (upload->too_large || upload->no_memory) {
        upload->discarded += size;
        return upload->discarded <= DISCARD_LIMIT;
    }
    upload->reserved += size;
    buf_put(&upload->body, data, size);
    upload->no_memory = buf_failed(&upload->body);
    return true;
}

bool upload_complete(struct upload *upload, struct http_request *request,
                     struct upload_refusal *ret_refusal)
{
    if (upload->too_large) {
        return refuse_size(ret_refusal);
    }
    if (upload->no_memory) {
        return refuse(ret_refusal, WIRE_UNAVAILABLE, 0, wire_error_text(WIRE_UNAVAILABLE));
    }
    request->body = buf_text(&upload->body);
    request->body_size = upload->body.length;
    return true;
}
