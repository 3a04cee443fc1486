/* The memory store: the reference the other backends are compared with, and what unit tests of
 * other rooms use. Nothing survives it. */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "store/store.h"

struct store *store_memory_open(void) MUST_CHECK;

#endif
