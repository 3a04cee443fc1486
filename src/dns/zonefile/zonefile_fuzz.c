/* Any bytes as a zone file: no crash, no leak, and what is returned is what the contract says. */
#include "dns/zonefile/zonefile.h"

#include "dns/wire/name.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    /* A copy: fmemopen takes no constant memory. */
    uint8_t *copy = malloc(size);
    if (copy == NULL) {
        return 0;
    }
    (void)memcpy(copy, data, size);
    FILE *in = fmemopen(copy, size, "r");
    if (in != NULL) {
        struct arena arena;
        struct zonefile zonefile;
        struct err err = ERR_INIT;
        arena_init(&arena, 0);
        if (zonefile_read(in, "example.com", &arena, &zonefile, &err) == 0) {
            size_t records = 0;
            for (size_t i = 0; i < zonefile.set_count; i++) {
                char name[NAME_TEXT_LIMIT];
                const struct zonefile_set *set = &zonefile.sets[i];
                records += set->value_count;
                if (set->value_count == 0 || name_canonical(set->name, name) != 0 ||
                    strcmp(name, set->name) != 0) {
                    abort();
                }
            }
            if (records != zonefile.record_count) {
                abort();
            }
        }
        arena_done(&arena);
        (void)fclose(in); /* only read from */
    }
    free(copy);
    return 0;
}
