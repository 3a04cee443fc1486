/* Arena: memory with one lifetime (an API request, a compile, a published snapshot).
 *
 * Allocations are released together; resources other than memory hook a dispose function in.
 * The plain functions abort when memory is out (sizes fixed by us); the try_ form is for sizes
 * that a client, packet or store reply decides: it also refuses to pass the arena's limit.
 * Thread: one at a time; an arena belongs to the object whose lifetime it carries. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>

struct arena {
    struct arena_block *blocks;
    struct arena_dispose *disposes;
    size_t used;  /* bytes handed out */
    size_t limit; /* bytes arena_try_alloc may reach; 0: none */
    bool secret;  /* see arena_keep_secret */
};

/* limit: bytes that arena_try_* may hand out in all, 0 for no bound. */
void arena_init(struct arena *arena, size_t limit);
/* From now on the memory is wiped before it is freed: for arenas that hold key material. */
void arena_keep_secret(struct arena *arena);
/* Runs the dispose hooks, newest first, and frees everything. The arena may be used again. */
void arena_done(struct arena *arena);
/* The same, but keeps as much memory as was used, in one block: for work that repeats. */
void arena_reset(struct arena *arena);

/* Zeroed memory, aligned for any type. Aborts when memory is out. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
/* As arena_alloc, for count * size; aborts on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_CHECK;
/* NULL when memory or the limit is out. */
void *arena_try_alloc(struct arena *arena, size_t size) MUST_CHECK;
char *arena_strdup(struct arena *arena, const char *text) MUST_CHECK;
/* size bytes of data followed by a NUL. */
void *arena_memdup(struct arena *arena, const void *data, size_t size) MUST_CHECK;
void *arena_try_memdup(struct arena *arena, const void *data, size_t size) MUST_CHECK;
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF(2, 3) MUST_CHECK;
/* Calls dispose(object) when the arena is done. */
void arena_defer(struct arena *arena, void (*dispose)(void *object), void *object);

/* For CLEANUP(arena_done): `struct arena arena CLEANUP(arena_done)` after arena_init. */

#endif
