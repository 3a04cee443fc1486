/* Query strings and forms, split and decoded. Called by routing and by the query decoder, on the
 * request's thread; everything lives in the request's arena. */
#include "aws/internal.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

static int decode_piece(const char *text, size_t length, struct buf *scratch, struct arena *arena,
                        const char **ret_text)
{
    buf_reset(scratch);
    int result = text_uri_decode(scratch, text, length, true);
    if (result < 0) {
        return result;
    }
    if (buf_failed(scratch)) {
        return -ENOMEM;
    }
    char *copy = arena_try_memdup(arena, buf_text(scratch), scratch->length + 1);
    if (copy == NULL) {
        return -ENOMEM;
    }
    *ret_text = copy;
    return 0;
}

int codec_parameters(const char *text, size_t length, struct arena *arena,
                     struct codec_parameter **ret_parameters, size_t *ret_count)
{
    size_t most = length != 0 ? 1 : 0;
    for (size_t i = 0; i < length; i++) {
        most += text[i] == '&' ? 1 : 0;
    }
    if (most > CODEC_VALUE_LIMIT) {
        return -E2BIG;
    }
    struct codec_parameter *parameters = arena_try_alloc(arena, (most + 1) * sizeof *parameters);
    if (parameters == NULL) {
        return -ENOMEM;
    }
    struct buf scratch CLEANUP(buf_done);
    buf_init(&scratch, HTTP_BODY_LIMIT + 1U);
    size_t count = 0;
    size_t at = 0;
    while (at < length) {
        const char *end = memchr(text + at, '&', length - at);
        size_t size = end != NULL ? (size_t)(end - text) - at : length - at;
        if (size != 0) {
            const char *equals = memchr(text + at, '=', size);
            size_t name = equals != NULL ? (size_t)(equals - text) - at : size;
            struct codec_parameter *parameter = &parameters[count];
            int result = decode_piece(text + at, name, &scratch, arena, &parameter->name);
            parameter->value = "";
            parameter->has_value = equals != NULL;
            if (result == 0 && equals != NULL) {
                result =
                    decode_piece(equals + 1, size - name - 1, &scratch, arena, &parameter->value);
            }
            if (result < 0) {
                return result;
            }
            count++;
        }
        at += size + 1;
    }
    *ret_parameters = parameters;
    *ret_count = count;
    return 0;
}

const struct codec_parameter *codec_parameter_find(const struct codec_parameter *parameters,
                                                   size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(parameters[i].name, name)) {
            return &parameters[i];
        }
    }
    return NULL;
}
