/* Judging a response: see response.h. Pure; any thread. */
#include "health/probe/response.h"

#include "base/text.h"

#include <string.h>

void response_begin(struct response *response, const char *search)
{
    *response = (struct response){.verdict = RESPONSE_PENDING};
    if (!text_empty(search)) {
        response->search = search;
        response->search_length = strlen(search);
    }
}

/* RFC 9112 section 4: HTTP-version SP 3DIGIT [SP reason]. Returns false when it is none. */
static bool parse_status_line(const char *line, size_t size, int *ret_status, size_t *ret_reason)
{
    static const char version[] = "HTTP/";
    size_t at = sizeof version - 1;
    if (size < at || memcmp(line, version, at) != 0) {
        return false;
    }
    while (at < size && line[at] != ' ') {
        at++;
    }
    while (at < size && line[at] == ' ') {
        at++;
    }
    if (size - at < 3 || !text_is_digit(line[at]) || !text_is_digit(line[at + 1]) ||
        !text_is_digit(line[at + 2])) {
        return false;
    }
    *ret_status = (line[at] - '0') * 100 + (line[at + 1] - '0') * 10 + (line[at + 2] - '0');
    at += 3;
    if (at < size && text_is_digit(line[at])) {
        return false;
    }
    while (at < size && line[at] == ' ') {
        at++;
    }
    *ret_reason = at;
    return true;
}

/* The phrase ends up in API answers and on terminals: printable ASCII only. */
static void keep_reason(struct response *response, const char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < size && length + 1 < sizeof response->reason; i++) {
        if (text[i] >= ' ' && text[i] <= '~') {
            response->reason[length++] = text[i];
        }
    }
    response->reason[length] = '\0';
}

static void take_status_line(struct response *response, const char *line, size_t size)
{
    int status = 0;
    size_t reason = 0;
    if (!parse_status_line(line, size, &status, &reason)) {
        response->verdict = RESPONSE_MALFORMED;
        return;
    }
    response->status = status;
    keep_reason(response, line + reason, size - reason);
    bool interim = status >= 100 && status < 200;
    if (!interim && (status < 200 || status >= 400)) {
        response->verdict = RESPONSE_BAD_STATUS;
    }
}

static bool is_empty_line(const char *line, size_t size)
{
    return size == 0 || (size == 1 && line[0] == '\n') ||
           (size == 2 && line[0] == '\r' && line[1] == '\n');
}

void response_header(struct response *response, const char *line, size_t size)
{
    if (response->verdict != RESPONSE_PENDING || response->headers_done) {
        return;
    }
    if (size > RESPONSE_HEADER_LIMIT - response->header_bytes) {
        response->verdict = RESPONSE_HEADERS_TOO_LONG;
        return;
    }
    response->header_bytes += size;
    if (response->status == 0) {
        take_status_line(response, line, size);
        return;
    }
    if (!is_empty_line(line, size)) {
        return;
    }
    if (response->status < 200) {
        response->status = 0; /* interim: the final response follows */
        response->reason[0] = '\0';
        return;
    }
    response->headers_done = true;
    if (response->search == NULL) {
        response->verdict = RESPONSE_PASSED;
    }
}

void response_body(struct response *response, const char *data, size_t size)
{
    if (response->verdict != RESPONSE_PENDING || size == 0) {
        return;
    }
    if (!response->headers_done) {
        response->verdict = RESPONSE_MALFORMED;
        return;
    }
    size_t taken = MIN(size, RESPONSE_BODY_LIMIT - response->body_length);
    /* A match may have begun in what came before. */
    size_t from = response->body_length > response->search_length - 1
                      ? response->body_length - (response->search_length - 1)
                      : 0;
    (void)memcpy(response->body + response->body_length, data, taken);
    response->body_length += taken;
    if (memmem(response->body + from, response->body_length - from, response->search,
               response->search_length) != NULL) {
        response->verdict = RESPONSE_PASSED;
    } else if (response->body_length == RESPONSE_BODY_LIMIT) {
        response->verdict = RESPONSE_NOT_FOUND;
    }
}

void response_end(struct response *response)
{
    if (response->verdict != RESPONSE_PENDING) {
        return;
    }
    response->verdict = response->headers_done ? RESPONSE_NOT_FOUND : RESPONSE_MALFORMED;
}
