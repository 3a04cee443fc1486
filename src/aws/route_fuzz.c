/* Fuzz target: routing. The input is up to six lines: method, path, query, signing name, target,
 * body. Property: an operation comes with its labels, each without an unfinished escape. */
#include "aws/test/fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    (void)memcpy(text, data, size);
    text[size] = '\0';
    const char *parts[6] = {"", "", "", "", "", ""};
    char *rest = text;
    for (size_t i = 0; i < ARRAY_SIZE(parts) && rest != NULL; i++) {
        parts[i] = strsep(&rest, "\n");
    }
    struct http_header header = {"X-Amz-Target", parts[4]};
    struct http_request request = {.method = parts[0],
                                   .path = parts[1],
                                   .query = parts[2],
                                   .headers = &header,
                                   .header_count = parts[4][0] != '\0' ? 1 : 0,
                                   .body = parts[5],
                                   .body_size = strlen(parts[5])};
    struct arena arena;
    arena_init(&arena, FUZZ_ARENA_LIMIT);
    struct codec_route route = {0};
    struct err err = ERR_INIT;
    if (codec_route(&request, parts[3], &arena, &route, &err) == 0) {
        assert(route.service != NULL && route.operation_name != NULL);
        assert(route.operation == NULL ||
               text_equal(route.operation_name, codec_operation_name(route.operation)));
        for (size_t i = 0; i < route.label_count; i++) {
            assert(route.labels[i] != NULL && route.labels[i][0] != '\0');
        }
    } else {
        assert(err.message[0] != '\0');
    }
    arena_done(&arena);
    free(text);
    return 0;
}
