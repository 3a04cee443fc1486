/* Fuzz target: what is taken for a sealed value, and key text. A value that was not sealed here is
 * never opened; key text is refused or gives keys that seal and open. */
#include "seal/seal.h"

#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

static const char key_text[] = "fuzz AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void open_text(const char *text, struct arena *arena)
{
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    struct seal_data data;
    struct err err = ERR_INIT;
    check(seal_parse(key_text, "keys", &seal, &err) == 0);
    /* The corpus holds values of this key; any other that opens would be a forgery. */
    if (seal_unwrap(seal, "name", text, arena, &data, &err) == 0) {
        check(seal_is_sealed(text) && data.data[data.size] == '\0');
    } else {
        check(err.code < 0 && err.message[0] != '\0');
    }
    (void)seal_is_current(seal, text); /* must only not read too far */
}

static void read_keys(const char *text, struct arena *arena)
{
    struct seal *seal CLEANUP(seal_cleanup) = NULL;
    struct seal_data data;
    struct err err = ERR_INIT;
    char *sealed = NULL;
    if (seal_parse(text, "keys", &seal, &err) != 0) {
        check(err.message[0] != '\0');
        return;
    }
    check(seal_wrap(seal, "name", text, MIN(strlen(text), SEAL_DATA_LIMIT), arena, &sealed, &err) ==
          0);
    check(seal_is_current(seal, sealed));
    check(seal_unwrap(seal, "name", sealed, arena, &data, &err) == 0);
    check(memcmp(data.data, text, data.size) == 0);
}

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    char *text = arena_alloc(&arena, size + 1);
    if (size != 0) {
        (void)memcpy(text, input, size);
    }
    open_text(text, &arena);
    read_keys(text, &arena);
    return 0;
}
