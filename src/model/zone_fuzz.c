/* Fuzzes the decoding of a stored hosted zone: whatever the store gives back, the decoder returns
 * an error or a zone that encodes and decodes to the same. Run by libFuzzer, and over its corpus in
 * the ordinary tests. */
#include "model/zone.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct model_zone zone;
    struct model_zone again;
    struct err err = ERR_INIT;
    arena_init(&arena, 0);
    if (model_zone_decode(data, size, &arena, &zone, &err) == 0) {
        json_t *json = model_zone_encode(&zone);
        char *text = json_dumps(json, JSON_COMPACT);
        if (text == NULL || model_zone_decode(text, strlen(text), &arena, &again, &err) != 0 ||
            strcmp(zone.name, again.name) != 0 || zone.record_count != again.record_count) {
            abort();
        }
        free(text);
        json_decref(json);
    }
    arena_done(&arena);
    return 0;
}
