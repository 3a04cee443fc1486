/* SigV4 as a filter, for test/integration/test_sigv4.py: reads one JSON object a line (method,
 * path, query, headers as pairs, body, secret, now, tls), and answers each with "ok" or the error
 * code. Ends with its input. */
#include "aws/http.h"
#include "aws/sigv4.h"
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static const char *verdict(const json_t *line, struct arena *arena)
{
    const json_t *pairs = json_object_get(line, "headers");
    struct http_header headers[HTTP_HEADERS_LIMIT];
    struct http_request request = {.method = text_of(line, "method"),
                                   .path = text_of(line, "path"),
                                   .query = text_of(line, "query"),
                                   .headers = headers,
                                   .body = text_of(line, "body"),
                                   .body_size = strlen(text_of(line, "body")),
                                   .source = "",
                                   .tls = json_is_true(json_object_get(line, "tls"))};
    for (size_t i = 0; i < json_array_size(pairs) && i < HTTP_HEADERS_LIMIT; i++) {
        const json_t *pair = json_array_get(pairs, i);
        headers[i].name = json_string_value(json_array_get(pair, 0));
        headers[i].value = json_string_value(json_array_get(pair, 1));
        request.header_count++;
    }
    struct sigv4_scope scope;
    struct secret secret;
    struct wall now;
    struct err err = ERR_INIT;
    const char *code = "";
    const char *key = text_of(line, "secret");
    if (secret_set(&secret, key, strlen(key)) != 0 || wall_parse(text_of(line, "now"), &now) != 0) {
        return "BadLine";
    }
    if (sigv4_scope(&request, arena, &scope, &code, &err) != 0) {
        return code;
    }
    if (strcmp(scope.access_key_id, "AKIDEXAMPLE") != 0) {
        return "InvalidClientTokenId";
    }
    if (sigv4_verify(&request, &scope, &secret, now, arena, &code, &err) != 0) {
        return code;
    }
    return "ok";
}

int main(void)
{
    char *text = NULL;
    size_t room = 0;
    while (getline(&text, &room, stdin) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        struct arena arena;
        arena_init(&arena, 1U << 24U);
        (void)printf("%s\n", line != NULL ? verdict(line, &arena) : "BadLine");
        (void)fflush(stdout); /* the test sees what it lacks */
        arena_done(&arena);
        json_decref(line);
    }
    free(text);
    return 0;
}
