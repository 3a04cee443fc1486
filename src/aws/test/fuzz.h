/* What the codec's fuzz targets share: finding a listed operation, and decoding a body as its
 * input. For tests only; each target includes it once. */
#ifndef AWS_TEST_FUZZ_H
#define AWS_TEST_FUZZ_H

#include "aws/internal.h"
#include "base/text.h"

#include <assert.h>
#include <stdint.h>

#define FUZZ_ARENA_LIMIT (256U << 20U)

struct fuzz_operation {
    const char *service;
    const char *operation;
};

/* The operation that the input's first byte chooses. */
static inline struct codec_route fuzz_route(const struct fuzz_operation *operations, size_t count,
                                            uint8_t choice)
{
    const struct fuzz_operation *wanted = &operations[choice % count];
    struct codec_route route = {.service = codec_service_find(wanted->service)};
    assert(route.service != NULL);
    for (size_t i = 0; route.operation == NULL; i++) {
        const struct codec_operation *operation = codec_service_operation(route.service, i);
        assert(operation != NULL);
        if (text_equal(codec_operation_name(operation), wanted->operation)) {
            route.operation = operation;
        }
    }
    route.operation_name = wanted->operation;
    return route;
}

/* Decodes; a failure must have a code and a message, and must be encodable. */
static inline void fuzz_decode(const struct codec_route *route, const uint8_t *body, size_t size)
{
    struct arena arena;
    arena_init(&arena, FUZZ_ARENA_LIMIT);
    struct aws_call call = {.arena = &arena, .request_id = "id"};
    struct http_request request = {
        .method = "POST", .path = "/", .query = "", .body = body, .body_size = size};
    struct err err = ERR_INIT;
    json_t *tree = NULL;
    if (codec_decode(route, &request, &call, &tree, &err) == 0) {
        assert(json_is_object(tree));
        json_decref(tree);
    } else {
        struct http_response response = {0};
        assert(call.error_code != NULL || err.kind == ERR_MEMORY);
        assert(err.message[0] != '\0');
        codec_encode_error(route, &call, &err, &response);
        assert(response.status >= 400 && response.body_size != 0);
    }
    arena_done(&arena);
}

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
