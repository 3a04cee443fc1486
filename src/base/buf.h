/* A growing byte buffer with a limit and a sticky error: writers append without checking each
 * call and look at buf_failed() once. Always NUL-terminated behind the contents.
 * Thread: one at a time; embedded in its owner. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t length;
    size_t capacity;
    size_t limit; /* most bytes it may hold */
    bool failed;  /* an append passed the limit or memory was out; contents stay as they were */
    bool secret;  /* see buf_keep_secret */
};

/* limit: most bytes it may hold, 0 for none. No memory is taken yet. */
void buf_init(struct buf *buf, size_t limit);
/* From now on its memory is wiped before it is freed, also where it grows; what buf_take handed
 * over is for its new owner to wipe. */
void buf_keep_secret(struct buf *buf);
void buf_done(struct buf *buf);
/* Empties it, keeps the memory, clears the error. */
void buf_reset(struct buf *buf);

void buf_put(struct buf *buf, const void *data, size_t size);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF(2, 3);
/* Room for size bytes more, which the caller writes at once; NULL when the buffer failed. */
char *buf_room(struct buf *buf, size_t size) MUST_CHECK;
static inline bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}
/* The contents as a string; "" when empty. Borrowed until the next append. */
const char *buf_text(const struct buf *buf);
/* Hands the memory over (free() it); NULL when the buffer failed. The buffer is empty after. */
char *buf_take(struct buf *buf, size_t *ret_length) MUST_CHECK;

#endif
