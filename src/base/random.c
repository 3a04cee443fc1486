/* Randomness: see random.h. Called by every room. */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
    unsigned char *bytes = out;
    while (size != 0) {
        ssize_t got = getrandom(bytes, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            (void)fputs("the kernel gives no random numbers\n", stderr); /* last words */
            abort();
        }
        bytes += got;
        size -= (size_t)got;
    }
}

void random_text(char *out, size_t length, const char *alphabet)
{
    size_t letters = strlen(alphabet);
    assert(letters > 0 && letters <= 256);
    size_t fair = 256 - 256 % letters; /* bytes from here on would favour the first letters */
    for (size_t i = 0; i < length;) {
        unsigned char byte = 0;
        random_bytes(&byte, 1);
        if (byte < fair) {
            out[i++] = alphabet[byte % letters];
        }
    }
    out[length] = '\0';
}

void random_uuid(char out[RANDOM_UUID_TEXT])
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0fU) | 0x40U);
    b[8] = (unsigned char)((b[8] & 0x3fU) | 0x80U);
    (void)snprintf(out, RANDOM_UUID_TEXT, /* exactly 36 characters */
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

void random_init(struct random *random, uint64_t seed)
{
    if (seed == 0) {
        random_bytes(random->state, sizeof random->state);
        random->state[0] |= 1U; /* all zeroes would stay zero */
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(random->state); i++) { /* splitmix64 spreads a small seed */
        seed += 0x9e3779b97f4a7c15U;
        uint64_t z = seed;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        random->state[i] = z ^ (z >> 31U);
    }
}
