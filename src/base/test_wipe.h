/* For tests that count what is wiped: linked with -Wl,--wrap=secret_wipe_memory (meson.build),
 * every call passes here first. Not part of the library; one thread. */
#ifndef BASE_TEST_WIPE_H
#define BASE_TEST_WIPE_H

#include <stddef.h>

/* Bytes so far; tests set it back to 0. */
extern size_t test_wiped;

#endif
