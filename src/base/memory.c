/* Heap memory that never fails: see memory.h. Called by every room, any thread; the caller owns the
 * result. */
#include "base/memory.h"

#include <assert.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void memory_exhausted(size_t wanted)
{
    (void)fprintf(stderr, "out of memory: %zu bytes wanted\n",
                  wanted); /* nothing else can be done */
    abort();
}

void *memory_new(size_t size)
{
    return memory_array(1, size);
}

void *memory_array(size_t count, size_t size)
{
    void *memory = calloc(MAX(count, 1U), MAX(size, 1U));
    if (memory == NULL) {
        memory_exhausted(count * size);
    }
    return memory;
}

void *memory_resize(void *take_memory, size_t count, size_t size)
{
    assert(size != 0 && count <= SIZE_MAX / size);
    void *memory = realloc(take_memory, MAX(count, 1U) * size);
    if (memory == NULL) {
        memory_exhausted(count * size);
    }
    return memory;
}

char *memory_strdup(const char *text)
{
    return memory_dup(text, strlen(text));
}

void *memory_dup(const void *data, size_t size)
{
    char *copy = memory_array(size + 1, 1);
    if (size != 0) {
        (void)memcpy(copy, data, size);
    }
    return copy;
}

char *memory_printf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        memory_exhausted(0);
    }
    return text;
}

void memory_settle(void)
{
#ifdef __GLIBC__
    /* Either of these stops the limits from following the largest block that is freed; blocks of
     * this size have a mapping of their own. They cannot fail. Other allocators need no telling. */
    /* NOLINTBEGIN(concurrency-mt-unsafe): words that malloc writes, as others read them, itself */
    (void)mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT / 2);
    (void)mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
    /* NOLINTEND(concurrency-mt-unsafe) */
    (void)malloc_trim(0); /* nothing to give back is fine */
#endif
}

void memory_cleanup(void *pointer_to_pointer)
{
    void *memory = NULL;
    (void)memcpy(&memory, pointer_to_pointer, sizeof memory);
    free(memory);
}
