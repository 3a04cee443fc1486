/* Growing byte buffer: see buf.h. Called by every room; belongs to its owner's thread.
 * Invariant: data is NULL or has capacity >= length + 1 bytes with data[length] == NUL. */
#include "base/buf.h"

#include "base/secret.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 128U

void buf_init(struct buf *buf, size_t limit)
{
    *buf = (struct buf){.limit = limit != 0 ? limit : SIZE_MAX / 4};
}

void buf_keep_secret(struct buf *buf)
{
    buf->secret = true;
}

void buf_done(struct buf *buf)
{
    if (buf->secret && buf->data != NULL) {
        secret_wipe_memory(buf->data, buf->capacity);
    }
    free(buf->data);
    *buf = (struct buf){.limit = buf->limit, .secret = buf->secret};
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

static bool reserve(struct buf *buf, size_t more)
{
    if (buf->failed || more > buf->limit || buf->length > buf->limit - more) {
        buf->failed = true;
        return false;
    }
    size_t needed = buf->length + more + 1;
    if (needed <= buf->capacity) {
        return true;
    }
    size_t capacity = MAX(buf->capacity, BUF_FIRST);
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = buf->secret ? malloc(capacity) : realloc(buf->data, capacity);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    if (buf->secret && buf->data != NULL) {
        (void)memcpy(data, buf->data, buf->length + 1);
        secret_wipe_memory(buf->data, buf->length);
        free(buf->data);
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *buf_room(struct buf *buf, size_t size)
{
    if (!reserve(buf, size)) {
        return NULL;
    }
    char *room = buf->data + buf->length;
    buf->length += size;
    buf->data[buf->length] = '\0';
    return room;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
    char *room = buf_room(buf, size);
    if (room != NULL && size != 0) {
        (void)memcpy(room, data, size);
    }
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
    buf_put(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        buf->failed = true;
    } else if (reserve(buf, (size_t)length)) {
        (void)vsnprintf(buf->data + buf->length, (size_t)length + 1, format,
                        again); /* measured above */
        buf->length += (size_t)length;
    }
    va_end(again);
}

const char *buf_text(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

char *buf_take(struct buf *buf, size_t *ret_length)
{
    if (buf->failed || !reserve(buf, 0)) {
        return NULL;
    }
    char *data = buf->data;
    data[buf->length] = '\0';
    *ret_length = buf->length;
    *buf = (struct buf){.limit = buf->limit};
    return data;
}
