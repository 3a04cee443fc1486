/* HTTP/1.1: see http1.h. Called by https.c; the connection owns the buffer. Invariant: between
 * calls the buffer begins with a request that is not complete, or holds what did not fit into out.
 */
#include "dns/https/http1.h"

#include "base/text.h"
#include "dns/https/request.h"
#include "dns/https/response.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define BUFFER_MOST (HTTPS_HEADERS_MOST + HTTPS_QUERY_MOST + HTTPS_INPUT_MOST)
#define LENGTH_DIGITS 15U

struct span {
    const char *text;
    size_t size;
};

/* One request's header. */
struct head {
    struct request request;
    unsigned
        fatal; /* a status; the connection ends with it: where the next one begins is unclear */
    bool old;  /* HTTP/1.0 */
    bool close;
    bool keep;
    bool expects;
    bool has_length;
    unsigned hosts;
    size_t length; /* of the body */
};

void http1_done(struct http1 *http1)
{
    free(http1->data);
    *http1 = (struct http1){.over = http1->over};
}

bool http1_receive(struct http1 *http1, const uint8_t *data, size_t size)
{
    if (http1->over) {
        return true;
    }
    size_t want = http1->size + size;
    assert(want <= BUFFER_MOST);
    if (want > http1->capacity) {
        char *fresh = realloc(http1->data, want);
        if (fresh == NULL) {
            return false;
        }
        http1->data = fresh;
        http1->capacity = want;
    }
    if (size != 0) {
        (void)memcpy(http1->data + http1->size, data, size);
    }
    http1->size = want;
    return true;
}

/* ---- the header ---- */

static bool is_token(struct span span)
{
    for (size_t i = 0; i < span.size; i++) {
        unsigned char c = (unsigned char)span.text[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL) {
            return false;
        }
    }
    return span.size != 0;
}

static bool is_word(struct span span, const char *lower)
{
    if (span.size != strlen(lower)) {
        return false;
    }
    for (size_t i = 0; i < span.size; i++) {
        if (text_lower(span.text[i]) != lower[i]) {
            return false;
        }
    }
    return true;
}

/* Takes what stands before the separator off rest; all of it when there is none. */
static struct span cut(struct span *rest, char separator)
{
    const char *at = memchr(rest->text, separator, rest->size);
    struct span first = {rest->text, at != NULL ? (size_t)(at - rest->text) : rest->size};
    size_t used = first.size + (at != NULL ? 1 : 0);
    rest->text += used;
    rest->size -= used;
    return first;
}

static struct span trim(struct span span)
{
    while (span.size != 0 && (span.text[0] == ' ' || span.text[0] == '\t')) {
        span.text++;
        span.size--;
    }
    while (span.size != 0 &&
           (span.text[span.size - 1] == ' ' || span.text[span.size - 1] == '\t')) {
        span.size--;
    }
    return span;
}

/* https://host/path, which a server has to understand (RFC 9112 section 3.2.2), becomes /path. */
static struct span origin_form(struct span target)
{
    struct span rest = target;
    struct span scheme = cut(&rest, ':');
    if ((is_word(scheme, "https") || is_word(scheme, "http")) && rest.size > 2 &&
        memcmp(rest.text, "//", 2) == 0) {
        const char *path = memchr(rest.text + 2, '/', rest.size - 2);
        if (path != NULL) {
            return (struct span){path, target.size - (size_t)(path - target.text)};
        }
    }
    return target;
}

static void read_request_line(struct head *head, struct span line)
{
    struct span method = cut(&line, ' ');
    struct span target = cut(&line, ' ');
    bool version = line.size == 8 && memcmp(line.text, "HTTP/", 5) == 0 &&
                   text_is_digit(line.text[5]) && line.text[6] == '.' &&
                   text_is_digit(line.text[7]);
    if (!is_token(method) || target.size == 0 || !version) {
        head->fatal = 400;
        return;
    }
    if (line.text[5] != '1') {
        head->fatal = 505;
        return;
    }
    head->old = line.text[7] == '0';
    request_method(&head->request, method.text, method.size);
    target = origin_form(target);
    request_target(&head->request, target.text, target.size);
}

static void read_length(struct head *head, struct span value)
{
    size_t length = 0;
    bool good = value.size != 0 && value.size <= LENGTH_DIGITS;
    for (size_t i = 0; good && i < value.size; i++) {
        good = text_is_digit(value.text[i]);
        length = length * 10 + (size_t)(value.text[i] - '0');
    }
    if (!good || (head->has_length && head->length != length)) {
        head->fatal = 400;
        return;
    }
    head->has_length = true;
    head->length = length;
}

static void read_connection(struct head *head, struct span value)
{
    while (value.size != 0) {
        struct span option = trim(cut(&value, ','));
        head->close = head->close || is_word(option, "close");
        head->keep = head->keep || is_word(option, "keep-alive");
    }
}

static void read_field(struct head *head, struct span line)
{
    struct span name = cut(&line, ':');
    struct span value = trim(line);
    if (!is_token(name) || name.text + name.size == value.text ||
        memchr(value.text, '\r', value.size) != NULL ||
        memchr(value.text, '\0', value.size) != NULL) {
        head->fatal = 400;
        return;
    }
    if (!request_header(&head->request, name.size, value.size)) {
        head->fatal = 431;
    } else if (is_word(name, "content-type")) {
        request_content_type(&head->request, value.text, value.size);
    } else if (is_word(name, "content-length")) {
        read_length(head, value);
    } else if (is_word(name, "transfer-encoding")) {
        head->fatal = 411; /* RFC 9112 section 6.3: only bodies of a known length */
    } else if (is_word(name, "connection")) {
        read_connection(head, value);
    } else if (is_word(name, "host")) {
        head->hosts++;
    } else if (is_word(name, "expect")) {
        head->expects = is_word(value, "100-continue");
    }
}

/* text: all lines, each with its end, without the empty one. */
static void read_head(struct head *head, struct span text)
{
    bool first = true;
    while (text.size != 0 && head->fatal == 0) {
        struct span line = cut(&text, '\n');
        if (line.size == 0 || line.text[line.size - 1] != '\r') {
            head->fatal = 400;
            return;
        }
        line.size--;
        if (first) {
            read_request_line(head, line);
        } else {
            read_field(head, line);
        }
        first = false;
    }
    if (head->fatal != 0) {
        return;
    }
    if (head->hosts > 1 || (head->hosts == 0 && !head->old)) {
        head->fatal = 400;
    } else if (head->length > HTTPS_QUERY_MOST) {
        head->fatal = 413;
    }
    head->close = head->close || (head->old && !head->keep);
}

/* ---- responses ---- */

static size_t write_error(unsigned status, const char *date, bool close, uint8_t *out)
{
    int length = snprintf(
        (char *)out, HTTPS_OUTPUT_LEAST, "HTTP/1.1 %u %s\r\n%s%s%s%s%scontent-length: 0\r\n\r\n",
        status, response_reason(status), date[0] != '\0' ? "date: " : "", date,
        date[0] != '\0' ? "\r\n" : "", status == 405 ? "allow: GET, POST\r\n" : "",
        close ? "connection: close\r\n" : "");
    return (size_t)length; /* far below the room */
}

static size_t write_message(const uint8_t *message, size_t size, const char *date, bool close,
                            uint8_t *out)
{
    int length =
        snprintf((char *)out, HTTPS_OUTPUT_LEAST - size,
                 "HTTP/1.1 200 OK\r\n%s%s%scontent-type: application/dns-message\r\n"
                 "content-length: %zu\r\ncache-control: max-age=%u\r\n%s\r\n",
                 date[0] != '\0' ? "date: " : "", date, date[0] != '\0' ? "\r\n" : "", size,
                 (unsigned)response_freshness(message, size), close ? "connection: close\r\n" : "");
    (void)memcpy(out + length, message, size); /* the header is below 512 bytes */
    return (size_t)length + size;
}

/* Answers the whole request into out. */
static size_t answer(struct http1 *http1, struct head *head, struct https_service *service,
                     uint8_t *out)
{
    unsigned status = head->fatal != 0 ? head->fatal : request_judge(&head->request);
    http1->over = head->close || head->fatal != 0;
    size_t size = 0;
    if (status == 0) {
        size = service->answer(service->context, head->request.query, head->request.query_size,
                               service->scratch);
        status = size != 0 ? 200 : 400;
    }
    if (status != 200) {
        service->refused++;
        return write_error(status, service->date, http1->over, out);
    }
    service->answered++;
    return write_message(service->scratch, size, service->date, http1->over, out);
}

/* The header's size with its end, 0 when it is not there yet. */
static size_t head_size(struct http1 *http1, size_t at)
{
    size_t from = at + (http1->looked > 3 ? http1->looked - 3 : 0);
    const char *end = memmem(http1->data + from, http1->size - from, "\r\n\r\n", 4);
    http1->looked = end != NULL ? 0 : http1->size - at;
    return end != NULL ? (size_t)(end - http1->data) - at + 4 : 0;
}

/* Takes the request at `at`, when it is there. Returns the bytes in out; moves at behind it. */
static size_t take(struct http1 *http1, size_t *at, struct https_service *service, uint8_t *out)
{
    struct head head = {0};
    size_t size = head_size(http1, *at);
    size_t there = http1->size - *at;
    if (size > HTTPS_HEADERS_MOST || (size == 0 && there > HTTPS_HEADERS_MOST)) {
        head.fatal = 431;
        return answer(http1, &head, service, out);
    }
    if (size == 0) {
        return 0;
    }
    read_head(&head, (struct span){http1->data + *at, size - 2});
    size_t used = 0;
    if (head.fatal == 0 && there - size < head.length) {
        if (head.expects && !http1->continued && !head.old) {
            used = strlen(CONTINUE);
            (void)memcpy(out, CONTINUE, used);
            http1->continued = true;
        }
    } else {
        if (head.fatal == 0) {
            request_body(&head.request, (const uint8_t *)http1->data + *at + size, head.length);
        }
        used = answer(http1, &head, service, out);
        *at += size + head.length;
        http1->continued = false;
    }
    request_done(&head.request);
    return used;
}

size_t http1_produce(struct http1 *http1, struct https_service *service, uint8_t *out, size_t size,
                     bool *ret_more)
{
    size_t used = 0;
    size_t at = 0;
    *ret_more = false;
    while (!http1->over) {
        /* Line ends between requests are not worth a word (RFC 9112 section 2.2). */
        while (at < http1->size && (http1->data[at] == '\r' || http1->data[at] == '\n')) {
            at++;
        }
        if (at == http1->size) {
            break;
        }
        if (size - used < HTTPS_OUTPUT_LEAST) {
            *ret_more = true;
            break;
        }
        size_t before = at;
        used += take(http1, &at, service, out + used);
        if (at == before) {
            break;
        }
    }
    if (http1->over || at == http1->size) {
        http1_done(http1);
    } else if (at != 0) {
        http1->size -= at;
        (void)memmove(http1->data, http1->data + at, http1->size);
    }
    return used;
}
