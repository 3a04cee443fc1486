/* The wrap of secret_wipe_memory: see test_wipe.h. */
#include "base/test_wipe.h"

#include "base/secret.h"

size_t test_wiped;

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names */
void __real_secret_wipe_memory(void *data, size_t size);
void __wrap_secret_wipe_memory(void *data, size_t size);
void __wrap_secret_wipe_memory(void *data, size_t size)
{
    test_wiped += size;
    __real_secret_wipe_memory(data, size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */
