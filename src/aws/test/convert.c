/* The codec as a filter, for the differential tests (test/integration/test_codec.py): one JSON
 * object a line in, one a line out. Linked with tables of more services than the daemon answers, so
 * that every protocol is exercised.
 *
 * {"decode": {"signing","method","path","query","headers":{},"body"}}       -> {"operation","tree"}
 * {"encode": {"service","operation","tree"}}                         -> {"status","headers","body"}
 * {"error": {"service","operation","code","message","members"}}      -> {"status","headers","body"}
 * {"route": {as decode}}                                              -> {"service","operation"}
 * Bodies are base64. A failure of the codec answers {"failed", "status", "headers", "body"}. */
#include "aws/internal.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT (64U << 20U)

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static json_t *response_json(const struct http_response *response)
{
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 0);
    text_base64(&body, response->body, response->body_size);
    json_t *headers = json_object();
    for (size_t i = 0; i < response->header_count; i++) {
        (void)json_object_set_new(headers, response->headers[i].name,
                                  json_string(response->headers[i].value)); /* a test */
    }
    return json_pack("{s:i,s:o,s:s,s:s}", "status", response->status, "headers", headers, "body",
                     buf_text(&body), "content_type",
                     response->content_type != NULL ? response->content_type : "");
}

static json_t *failure_json(const struct codec_route *route, const struct aws_call *call,
                            const struct err *err)
{
    struct http_response response = {0};
    codec_encode_error(route, call, err, &response);
    json_t *answer = response_json(&response);
    (void)json_object_set_new(answer, "failed", json_string(err->message)); /* a test */
    return answer;
}

static json_t *decode(const json_t *asked, struct aws_call *call, bool route_only)
{
    struct http_header headers[HTTP_HEADERS_LIMIT];
    size_t count = 0;
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(asked, "headers"), name, value)
    {
        headers[count++] = (struct http_header){name, json_string_value(value)};
    }
    const char *encoded = text_of(asked, "body");
    struct buf body CLEANUP(buf_done);
    buf_init(&body, 0);
    if (text_unbase64(encoded, strlen(encoded), &body) < 0) {
        return json_pack("{s:s}", "failed", "body is no base64");
    }
    struct http_request request = {.method = text_of(asked, "method"),
                                   .path = text_of(asked, "path"),
                                   .query = text_of(asked, "query"),
                                   .headers = headers,
                                   .header_count = count,
                                   .body = buf_text(&body),
                                   .body_size = body.length};
    struct codec_route route = {0};
    struct err err = ERR_INIT;
    json_t *tree = NULL;
    if (codec_route(&request, text_of(asked, "signing"), call->arena, &route, &err) < 0) {
        return failure_json(&route, call, &err);
    }
    if (route.operation == NULL || route_only) {
        return json_pack("{s:s,s:s,s:b}", "service", codec_service_name(route.service), "operation",
                         route.operation_name, "listed", route.operation != NULL);
    }
    if (codec_decode(&route, &request, call, &tree, &err) < 0) {
        return failure_json(&route, call, &err);
    }
    return json_pack("{s:s,s:o}", "operation", codec_operation_name(route.operation), "tree", tree);
}

static bool find_route(const json_t *asked, struct codec_route *ret_route)
{
    *ret_route = (struct codec_route){.operation_name = text_of(asked, "operation")};
    ret_route->service = codec_service_find(text_of(asked, "service"));
    for (size_t i = 0; ret_route->service != NULL; i++) {
        const struct codec_operation *operation = codec_service_operation(ret_route->service, i);
        if (operation == NULL) {
            break;
        }
        if (text_equal(codec_operation_name(operation), ret_route->operation_name)) {
            ret_route->operation = operation;
        }
    }
    return ret_route->operation != NULL;
}

static json_t *encode(const json_t *asked, struct aws_call *call)
{
    struct codec_route route;
    struct http_response response = {0};
    struct err err = ERR_INIT;
    if (!find_route(asked, &route)) {
        return json_pack("{s:s}", "failed", "no such operation");
    }
    if (codec_encode(&route, call, json_object_get(asked, "tree"), &response, &err) < 0) {
        return failure_json(&route, call, &err);
    }
    return response_json(&response);
}

static json_t *encode_error(json_t *asked, struct aws_call *call)
{
    struct codec_route route;
    struct http_response response = {0};
    struct err err = ERR_INIT;
    (void)find_route(asked, &route); /* an unknown service has an answer too */
    (void)aws_error_with(call, &err, text_of(asked, "code"),
                         json_incref(json_object_get(asked, "members")), "%s",
                         text_of(asked, "message")); /* fills err, which is looked at */
    codec_encode_error(&route, call, &err, &response);
    return response_json(&response);
}

static json_t *answer_line(json_t *line, struct arena *arena)
{
    struct aws_call call = {.arena = arena,
                            .request_id = "00000000-1111-4222-8333-444444444444",
                            .account_id = "123456789012",
                            .region = "us-east-1"};
    json_t *asked = NULL;
    if ((asked = json_object_get(line, "decode")) != NULL) {
        return decode(asked, &call, false);
    }
    if ((asked = json_object_get(line, "route")) != NULL) {
        return decode(asked, &call, true);
    }
    if ((asked = json_object_get(line, "encode")) != NULL) {
        return encode(asked, &call);
    }
    if ((asked = json_object_get(line, "error")) != NULL) {
        return encode_error(asked, &call);
    }
    return json_pack("{s:s}", "failed", "ask for decode, route, encode or error");
}

int main(void)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t length = 0;
    while ((length = getline(&text, &size, stdin)) > 0) {
        json_error_t error;
        json_t *line = json_loadb(text, (size_t)length, 0, &error);
        struct arena arena;
        arena_init(&arena, ARENA_LIMIT);
        json_t *answer = answer_line(line, &arena);
        char *out = json_dumps(answer, JSON_COMPACT);
        (void)puts(out != NULL ? out : "{}"); /* fails only when the test is gone */
        (void)fflush(stdout);                 /* as above */
        free(out);
        json_decref(answer);
        json_decref(line);
        arena_done(&arena);
    }
    free(text);
    return 0;
}
