/* Arena: see arena.h. A list of blocks, the newest in front, each as large as all before it
 * together within bounds; larger requests get a block of their own behind it. Called by every room
 * on the thread that owns the arena. Invariant: block->used <= block->size. */
#include "base/arena.h"

#include "base/memory.h"
#include "base/secret.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK 4096U       /* the first */
#define ARENA_BLOCK_MOST 65536U /* the largest */
#define ARENA_ALIGN 16U

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    size_t pad; /* keeps data aligned */
    unsigned char data[];
};

struct arena_dispose {
    struct arena_dispose *next;
    void (*dispose)(void *object);
    void *object;
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.limit = limit};
}

void arena_keep_secret(struct arena *arena)
{
    arena->secret = true;
}

static void run_disposes(struct arena *arena)
{
    while (arena->disposes != NULL) {
        struct arena_dispose *hook = arena->disposes;
        arena->disposes = hook->next;
        hook->dispose(hook->object);
    }
}

void arena_done(struct arena *arena)
{
    run_disposes(arena);
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        if (arena->secret) {
            secret_wipe_memory(arena->blocks->data, arena->blocks->used);
        }
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

/* size is at most SIZE_MAX / 2. */
static size_t rounded(size_t size)
{
    return (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

/* NULL when memory is out. */
static struct arena_block *block_new(size_t room)
{
    struct arena_block *block = calloc(1, sizeof *block + room);
    if (block != NULL) {
        block->size = room;
    }
    return block;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    size_t used = arena->used;
    if (block == NULL || block->next != NULL || arena->secret) {
        arena_done(arena);
        arena->blocks = block_new(used); /* none is fine */
        return;
    }
    run_disposes(arena);
    (void)memset(block->data, 0, block->used);
    block->used = 0;
    arena->used = 0;
}

static void *take(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = rounded(size);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t usual = MIN(MAX(arena->used, ARENA_BLOCK), ARENA_BLOCK_MOST) - sizeof *block;
        size_t room = MAX(size, usual);
        struct arena_block *fresh = block_new(room);
        if (fresh == NULL) {
            return NULL;
        }
        if (block != NULL && size > usual) { /* keep filling the block in front */
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->blocks = fresh;
        }
        block = fresh;
    }
    void *memory = block->data + block->used;
    block->used += size;
    arena->used += size;
    return memory;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (arena->limit != 0 && (size > SIZE_MAX / 2 || rounded(size) > arena->limit ||
                              arena->used > arena->limit - rounded(size))) {
        return NULL;
    }
    return take(arena, size);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = take(arena, size);
    if (memory == NULL) {
        memory_exhausted(size);
    }
    return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    assert(size == 0 || count <= SIZE_MAX / size);
    return arena_alloc(arena, count * size);
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
    char *copy = arena_alloc(arena, size + 1);
    if (size != 0) {
        (void)memcpy(copy, data, size);
    }
    return copy;
}

void *arena_try_memdup(struct arena *arena, const void *data, size_t size)
{
    char *copy = size < SIZE_MAX ? arena_try_alloc(arena, size + 1) : NULL;
    if (copy != NULL && size != 0) {
        (void)memcpy(copy, data, size);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_memdup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    (void)vsnprintf(text, (size_t)length + 1, format, again); /* measured above */
    va_end(again);
    return text;
}

void arena_defer(struct arena *arena, void (*dispose)(void *object), void *object)
{
    struct arena_dispose *hook = arena_alloc(arena, sizeof *hook);
    *hook = (struct arena_dispose){.next = arena->disposes, .dispose = dispose, .object = object};
    arena->disposes = hook;
}
