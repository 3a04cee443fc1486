/* Fuzz target: a request head (method, target, headers, then a body behind an empty line) through
 * the upload rules, the reading of its signature, and its verification. Nothing that a stranger
 * sends verifies, and what a signer makes of the same request always does. */
#include "aws/sigv4.h"

#include "aws/upload.h"
#include "base/text.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define HEADERS 16U

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts a line off, in place. NULL at the end. */
static char *next_line(char **text)
{
    char *line = *text;
    if (line == NULL) {
        return NULL;
    }
    char *end = strchr(line, '\n');
    *text = end != NULL ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return line;
}

static size_t read_headers(char **text, struct http_header headers[HEADERS])
{
    size_t count = 0;
    char *line = NULL;
    while (count < HEADERS && (line = next_line(text)) != NULL && line[0] != '\0') {
        char *colon = strchr(line, ':');
        if (colon != NULL) {
            *colon = '\0';
            headers[count++] = (struct http_header){line, colon + 1};
        }
    }
    return count;
}

static void strangers_are_refused(const struct http_request *request, const struct secret *secret,
                                  struct arena *arena)
{
    struct sigv4_scope scope;
    struct err err = ERR_INIT;
    const char *code = "";
    struct wall now;
    int parsed = wall_parse("20150830T123600Z", &now);
    assert(parsed == 0);
    if (sigv4_scope(request, arena, &scope, &code, &err) != 0) {
        assert(code[0] != '\0' && err.message[0] != '\0');
        return;
    }
    int verified = sigv4_verify(request, &scope, secret, now, arena, &code, &err);
    assert(verified != 0 && code[0] != '\0' && err.message[0] != '\0');
}

static void signers_are_accepted(struct http_request request, const struct secret *secret,
                                 struct arena *arena)
{
    struct sigv4_signature signature;
    struct sigv4_scope scope;
    struct err err = ERR_INIT;
    const char *code = "";
    struct wall now = wall_now();
    struct http_header all[HEADERS + 3];
    if (request.header_count != 0) {
        (void)memcpy(all, request.headers, request.header_count * sizeof *all);
    }
    request.headers = all;
    /* A presigned query or an Authorization of its own cannot be signed over. */
    if (sigv4_scope(&request, arena, &scope, &code, &err) != 0 || scope.access_key_id[0] != '\0' ||
        sigv4_sign(&request, "A", secret, "r", "s", now, arena, &signature, &err) != 0) {
        return;
    }
    all[request.header_count++] = (struct http_header){"X-Amz-Date", signature.date};
    all[request.header_count++] =
        (struct http_header){"X-Amz-Content-Sha256", signature.content_sha256};
    all[request.header_count++] = (struct http_header){"Authorization", signature.authorization};
    if (sigv4_scope(&request, arena, &scope, &code, &err) != 0) {
        return; /* a header name that SignedHeaders cannot hold */
    }
    int verified = sigv4_verify(&request, &scope, secret, now, arena, &code, &err);
    assert(verified == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct secret secret;
    struct http_header headers[HEADERS];
    if (size > 65536 || secret_set(&secret, "never sent", 10) != 0) {
        return 0;
    }
    arena_init(&arena, 1U << 24U);
    char *text = arena_memdup(&arena, data, size);
    char *method = next_line(&text);
    char *target = next_line(&text);
    if (target != NULL) {
        struct http_request request = {.method = method, .headers = headers, .source = ""};
        struct upload_refusal refusal;
        request.header_count = read_headers(&text, headers);
        upload_split_target(target, &request.path, &request.query);
        request.body = text != NULL ? text : "";
        request.body_size = text != NULL ? strlen(text) : 0;
        request.tls = size % 2 == 0;
        if (upload_allowed(&request, true, &refusal)) {
            strangers_are_refused(&request, &secret, &arena);
            signers_are_accepted(request, &secret, &arena);
        }
    }
    arena_done(&arena);
    return 0;
}
