/* Heap memory whose size we decide: allocation that never fails (the process ends instead; state is
 * durable and the supervisor restarts it). Where somebody else decides the size, check a limit
 * first and use malloc or arena_try_alloc. Thread: any. The caller frees with free(). */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "base/macro.h"

#include <stddef.h>

/* Zeroed. */
void *memory_new(size_t size) MUST_CHECK;
void *memory_array(size_t count, size_t size) MUST_CHECK;
/* As realloc for count * size bytes; what is new is not zeroed. */
void *memory_resize(void *take_memory, size_t count, size_t size) MUST_CHECK;
char *memory_strdup(const char *text) MUST_CHECK;
void *memory_dup(const void *data, size_t size) MUST_CHECK;
char *memory_printf(const char *format, ...) PRINTF(1, 2) MUST_CHECK;
/* Says how much was wanted, and aborts. */
NORETURN void memory_exhausted(size_t wanted);
/* Once, when what a program loads at its start is loaded: gives what lies free back to the kernel,
 * and from now on as it is freed. Without it the allocator keeps, in every thread's heap, twice the
 * size of the largest block that was ever freed. A heap keeps MEMORY_KEPT at its end at most. */
void memory_settle(void);
#define MEMORY_KEPT ((size_t)256 << 10U)
/* For CLEANUP on any pointer variable: frees what it points to. */
void memory_cleanup(void *pointer_to_pointer);

#endif
