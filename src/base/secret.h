/* Secrets are a type, not a string: the logger has no case for it, and freeing wipes.
 * Thread: one at a time; embedded in its owner. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>

#define SECRET_LIMIT 256U

struct secret {
    char data[SECRET_LIMIT + 1]; /* NUL behind the contents */
    size_t length;
};

/* -ENOSPC when it has more than SECRET_LIMIT bytes. */
int secret_set(struct secret *secret, const void *data, size_t length) MUST_CHECK;
/* Overwrites it so that the compiler cannot drop the write. */
void secret_wipe(struct secret *secret);
/* Wipes any memory. */
void secret_wipe_memory(void *data, size_t size);
/* Time depends on the size alone. */
bool secret_same_bytes(const void *a, const void *b, size_t size);

#endif
