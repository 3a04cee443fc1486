/* Fuzz target: names, as text (both escape rules) and as wire form. What is accepted must come back
 * the same through its text form, within its limits. */
#include "dns/wire/name.h"

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void round_trip(const uint8_t *wire, size_t size, bool octal)
{
    char text[NAME_TEXT_LIMIT];
    uint8_t back[NAME_WIRE_LIMIT];
    name_to_text(wire, octal, text);
    require(strlen(text) < sizeof text);
    require(name_from_text(text, octal, back) == (int)size);
    require(memcmp(back, wire, size) == 0);
}

static void try_text(const char *text, bool octal)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    struct err err = ERR_INIT;
    int size = name_from_text(text, octal, wire);
    require((name_explain(text, octal, &err) == 0) == (size > 0));
    if (size > 0) {
        require(size <= (int)NAME_WIRE_LIMIT && name_length(wire) == (size_t)size);
        require(name_check(wire, (size_t)size) == size);
        require(name_labels(wire) < NAME_LABELS_LIMIT);
        require(name_equal(wire, wire) && name_is_under(wire, wire));
        round_trip(wire, (size_t)size, true);
        round_trip(wire, (size_t)size, false);
    }
}

/* Which takes a shortcut for names that are canonical already. */
static void try_canonical(const char *text)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    char short_way[NAME_TEXT_LIMIT];
    char long_way[NAME_TEXT_LIMIT];
    bool valid = name_from_text(text, true, wire) > 0;
    require((name_canonical(text, short_way) == 0) == valid);
    if (valid) {
        name_to_text(wire, true, long_way);
        require(strcmp(short_way, long_way) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size != 0) {
        (void)memcpy(text, data, size);
    }
    text[size] = '\0';
    try_text(text, true);
    try_text(text, false);
    try_canonical(text);
    free(text);
    int length = name_check(data, size);
    require(length <= (int)NAME_WIRE_LIMIT && length <= (int)size);
    if (length > 0) {
        char shown[NAME_TEXT_LIMIT];
        name_to_text(data, true, shown);
        name_to_text(data, false, shown);
    }
    return 0;
}
