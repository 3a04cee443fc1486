/* Secrets: see secret.h. Called by aws, service and daemon; belongs to its owner's thread. */
#include "base/secret.h"

#include <errno.h>
#include <string.h>

int secret_set(struct secret *secret, const void *data, size_t length)
{
    if (length > SECRET_LIMIT) {
        return -ENOSPC;
    }
    secret_wipe(secret); /* a shorter one must not leave the end of a longer one */
    if (length != 0) {
        (void)memcpy(secret->data, data, length);
    }
    secret->length = length;
    return 0;
}

void secret_wipe_memory(void *data, size_t size)
{
    explicit_bzero(data, size);
}

void secret_wipe(struct secret *secret)
{
    secret_wipe_memory(secret, sizeof *secret);
}

bool secret_same_bytes(const void *a, const void *b, size_t size)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    unsigned difference = 0;
    for (size_t i = 0; i < size; i++) {
        difference |= (unsigned)(left[i] ^ right[i]);
    }
    return difference == 0;
}
