/* Fuzzes the decoding of stored health checks and of their tags: a check that is accepted has
 * nothing in it that could break out of a request line or header. Run by libFuzzer, and over its
 * corpus in the ordinary tests. */
#include "model/check.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct model_check check;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    if (model_check_decode(data, size, data, size, &arena, &check, &err) == 0 &&
        check.type <= MODEL_CHECK_TCP &&
        (check.resource_path[0] != '/' || strpbrk(check.resource_path, " \r\n") != NULL ||
         strpbrk(check.host_name, " \r\n") != NULL || check.port == 0)) {
        abort();
    }
    arena_done(&arena);
    return 0;
}
