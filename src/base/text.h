/* Strings: strict number parsing, comparison, and the encodings that protocols want.
 * Thread: any; nothing is kept. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool text_equal(const char *a, const char *b) PURE;
/* ASCII case ignored. */
bool text_equal_nocase(const char *a, const char *b) PURE;
bool text_starts(const char *text, const char *prefix) PURE;
bool text_ends(const char *text, const char *suffix) PURE;
/* NULL counts as "". */
static inline bool text_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}
/* ASCII only, any locale. */
char text_lower(char c);
bool text_is_digit(char c);

/* Whole text as a decimal number within [low, high]: -EINVAL when it is none, -ERANGE outside. */
int text_to_i64(const char *text, int64_t low, int64_t high, int64_t *ret_value) MUST_CHECK;
int text_to_double(const char *text, double *ret_value) MUST_CHECK;

/* Copies with a NUL when it fits: 0, or -ENOSPC with *out = "". */
int text_copy(char *out, size_t size, const char *text) MUST_CHECK;
/* The same for length bytes that need not end in a NUL. */
int text_copy_n(char *out, size_t size, const char *text, size_t length) MUST_CHECK;

/* Takes out, in place, the bytes that are no part of a UTF-8 character (RFC 3629): what is left of
 * one that was cut, for instance. */
void text_mend(char *text);

/* out needs 2 * size + 1 bytes. */
void text_hex(const void *data, size_t size, char *out);
/* -EINVAL unless text is exactly 2 * size hexadecimal digits. */
int text_unhex(const char *text, void *out, size_t size) MUST_CHECK;
/* RFC 4648 section 4, padded. */
void text_base64(struct buf *out, const void *data, size_t size);
/* -EINVAL on anything that is not RFC 4648 section 4 (white space is not skipped). */
int text_unbase64(const char *text, size_t length, struct buf *out) MUST_CHECK;
/* RFC 3986 as SigV4 wants it: all but unreserved characters become %XX; '/' too unless keep_slash.
 */
void text_uri_encode(struct buf *out, const char *text, size_t length, bool keep_slash);
/* Decodes %XX, and '+' to a space when plus_is_space. -EINVAL on a broken escape or a NUL byte. */
int text_uri_decode(struct buf *out, const char *text, size_t length, bool plus_is_space)
    MUST_CHECK;

#endif
