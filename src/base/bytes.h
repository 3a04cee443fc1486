/* The one reader and the one writer of binary data, big-endian, with bounds and a sticky error.
 * Nothing else does pointer arithmetic on packets or stored bytes. A read past the end gives
 * zeroes and sets `failed`; a write past the end writes nothing and sets `failed`.
 * Thread: one at a time; memory is borrowed. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes_reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

struct bytes_writer {
    uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

static inline struct bytes_reader bytes_reader(const void *data, size_t size)
{
    return (struct bytes_reader){.data = data, .size = size};
}

static inline struct bytes_writer bytes_writer(void *data, size_t size)
{
    return (struct bytes_writer){.data = data, .size = size};
}

static inline size_t bytes_left(const struct bytes_reader *reader)
{
    return reader->size - reader->at;
}

/* The next size bytes, borrowed; NULL (and failed) when there are fewer. */
static inline const uint8_t *bytes_get(struct bytes_reader *reader, size_t size)
{
    if (reader->failed || size > reader->size - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *data = reader->data + reader->at;
    reader->at += size;
    return data;
}

static inline uint8_t bytes_get_u8(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_get(reader, 1);
    return p != NULL ? p[0] : 0;
}

static inline uint16_t bytes_get_u16(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_get(reader, 2);
    return p != NULL ? (uint16_t)((unsigned)p[0] << 8U | p[1]) : 0;
}

static inline uint32_t bytes_get_u32(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_get(reader, 4);
    return p != NULL ? (uint32_t)p[0] << 24U | (uint32_t)p[1] << 16U | (uint32_t)p[2] << 8U | p[3]
                     : 0;
}

/* memcpy, for what is mostly 16 to 48 bytes: without a call then. */
static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    const size_t block = 16;
    if (UNLIKELY(size - block > 2 * block)) {
        (void)memcpy(to, from, size);
        return;
    }
    (void)memcpy(to, from, block);
    if (size > 2 * block) {
        (void)memcpy(to + block, from + block, block);
    }
    (void)memcpy(to + size - block, from + size - block, block);
}

/* Room for size bytes at the write position; NULL (and failed) when there is none. */
static inline uint8_t *bytes_put_room(struct bytes_writer *writer, size_t size)
{
    if (writer->failed || size > writer->size - writer->at) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *data = writer->data + writer->at;
    writer->at += size;
    return data;
}

static inline void bytes_put(struct bytes_writer *writer, const void *data, size_t size)
{
    uint8_t *p = bytes_put_room(writer, size);
    if (p != NULL && size != 0) {
        (void)memcpy(p, data, size);
    }
}

static inline void bytes_put_u8(struct bytes_writer *writer, uint8_t value)
{
    if (writer->failed || writer->at == writer->size) {
        writer->failed = true;
        return;
    }
    writer->data[writer->at++] = value;
}

static inline void bytes_put_u16(struct bytes_writer *writer, uint16_t value)
{
    uint8_t *p = bytes_put_room(writer, 2);
    if (p != NULL) {
        p[0] = (uint8_t)(value >> 8U);
        p[1] = (uint8_t)value;
    }
}

static inline void bytes_put_u32(struct bytes_writer *writer, uint32_t value)
{
    uint8_t *p = bytes_put_room(writer, 4);
    if (p != NULL) {
        p[0] = (uint8_t)(value >> 24U);
        p[1] = (uint8_t)(value >> 16U);
        p[2] = (uint8_t)(value >> 8U);
        p[3] = (uint8_t)value;
    }
}

/* Overwrites two bytes written earlier (a length or count filled in later). */
static inline void bytes_patch_u16(struct bytes_writer *writer, size_t at, uint16_t value)
{
    if (writer->failed || at + 2 > writer->at) {
        writer->failed = true;
        return;
    }
    writer->data[at] = (uint8_t)(value >> 8U);
    writer->data[at + 1] = (uint8_t)value;
}

#endif
