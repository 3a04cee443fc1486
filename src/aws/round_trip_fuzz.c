/* Fuzz target: encoding and decoding. The first byte chooses the operation, the rest is a JSON
 * tree as a handler might answer. Property: a tree that fits the model's output is written, what
 * was written is read, and writing and reading that again changes nothing. */
#include "aws/test/fuzz.h"

#include <stdlib.h>

static const struct fuzz_operation operations[] = {
    {"route53", "GetHostedZone"},         {"route53", "ListResourceRecordSets"},
    {"route53", "GetHealthCheck"},        {"route53", "GetHealthCheckStatus"},
    {"secretsmanager", "DescribeSecret"}, {"route53-recovery-control-config", "ListSafetyRules"},
};

/* Writes the tree as a body and reads it back; NULL when it does not fit the model. */
static json_t *there_and_back(const struct codec_route *route, const json_t *tree)
{
    struct arena arena;
    arena_init(&arena, FUZZ_ARENA_LIMIT);
    struct aws_call call = {.arena = &arena, .request_id = "id"};
    struct err err = ERR_INIT;
    struct http_response response = {0};
    json_t *back = NULL;
    if (codec_encode(route, &call, tree, &response, &err) == 0) {
        struct codec_decoder decoder = {.route = route, .call = &call, .err = &err};
        struct codec_member root = {.wire = route->operation->output_root,
                                    .shape = route->operation->output};
        int result =
            route->service->protocol == CODEC_REST_XML
                ? codec_xml_read(&decoder, &root, response.body, response.body_size, &back)
                : codec_json_read(&decoder, root.shape, response.body, response.body_size, &back);
        assert(result == 0);
    } else {
        assert(err.kind == ERR_INTERNAL || err.kind == ERR_MEMORY);
    }
    arena_done(&arena);
    return back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct codec_route route = fuzz_route(operations, ARRAY_SIZE(operations), data[0]);
    json_error_t error;
    json_t *tree = json_loadb((const char *)data + 1, size - 1, 0, &error);
    json_t *once = tree != NULL ? there_and_back(&route, tree) : NULL;
    if (once != NULL) {
        json_t *twice = there_and_back(&route, once);
        assert(twice != NULL && json_equal(once, twice));
        json_decref(twice);
    }
    json_decref(once);
    json_decref(tree);
    return 0;
}
