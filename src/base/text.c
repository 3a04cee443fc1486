/* Strings: see text.h. Called by every room, any thread; keeps nothing. */
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool text_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool text_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool text_equal_nocase(const char *a, const char *b)
{
    while (*a != '\0' && text_lower(*a) == text_lower(*b)) {
        a++;
        b++;
    }
    return text_lower(*a) == text_lower(*b);
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t length = strlen(text);
    size_t tail = strlen(suffix);
    return tail <= length && memcmp(text + length - tail, suffix, tail) == 0;
}

int text_to_i64(const char *text, int64_t low, int64_t high, int64_t *ret_value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits)) {
        return -EINVAL;
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE || value < low || value > high) {
        return -ERANGE;
    }
    *ret_value = value;
    return 0;
}

int text_to_double(const char *text, double *ret_value)
{
    char *end = NULL;
    if (strspn(text, "+-.0123456789eE") != strlen(text) || text[0] == '\0') {
        return -EINVAL;
    }
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value)) {
        return -EINVAL;
    }
    *ret_value = value;
    return 0;
}

int text_copy_n(char *out, size_t size, const char *text, size_t length)
{
    if (length >= size) {
        if (size != 0) {
            out[0] = '\0';
        }
        return -ENOSPC;
    }
    if (length != 0) {
        (void)memcpy(out, text, length);
    }
    out[length] = '\0';
    return 0;
}

int text_copy(char *out, size_t size, const char *text)
{
    return text_copy_n(out, size, text, strlen(text));
}

/* Bytes of the UTF-8 character that at begins with; 0 when it does not begin with one. RFC 3629
 * section 4: the second byte has bounds of its own, which leave out overlong forms, surrogates and
 * what lies above U+10FFFF. */
static size_t character_size(const unsigned char *at)
{
    unsigned char low = 0x80U;
    unsigned char high = 0xBFU;
    size_t size = 1;
    if (at[0] < 0x80U) {
        return size;
    }
    if (at[0] < 0xC2U || at[0] > 0xF4U) {
        return 0;
    }
    size = at[0] < 0xE0U ? 2 : at[0] < 0xF0U ? 3 : 4;
    low = at[0] == 0xE0U ? 0xA0U : at[0] == 0xF0U ? 0x90U : low;
    high = at[0] == 0xEDU ? 0x9FU : at[0] == 0xF4U ? 0x8FU : high;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) { /* the NUL at the end is no such byte */
        if ((at[i] & 0xC0U) != 0x80U) {
            return 0;
        }
    }
    return size;
}

void text_mend(char *text)
{
    const char *from = text;
    char *to = text;
    while (*from != '\0') {
        size_t size = character_size((const unsigned char *)from);
        (void)memmove(to, from, size);
        to += size;
        from += size != 0 ? size : 1;
    }
    *to = '\0';
}

void text_hex(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4U];
        out[2 * i + 1] = digits[bytes[i] & 15U];
    }
    out[2 * size] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = text_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_unhex(const char *text, void *out, size_t size)
{
    unsigned char *bytes = out;
    if (strlen(text) != 2 * size) {
        return -EINVAL;
    }
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    return 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64(struct buf *out, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i += 3) {
        size_t have = MIN(size - i, (size_t)3);
        uint32_t word = (uint32_t)bytes[i] << 16U;
        word |= have > 1 ? (uint32_t)bytes[i + 1] << 8U : 0;
        word |= have > 2 ? bytes[i + 2] : 0;
        buf_putc(out, base64_digits[word >> 18U]);
        buf_putc(out, base64_digits[word >> 12U & 63U]);
        buf_putc(out, have > 1 ? base64_digits[word >> 6U & 63U] : '=');
        buf_putc(out, have > 2 ? base64_digits[word & 63U] : '=');
    }
}

static int base64_value(char c)
{
    const char *at = c != '\0' ? strchr(base64_digits, c) : NULL;
    return at != NULL ? (int)(at - base64_digits) : -1;
}

int text_unbase64(const char *text, size_t length, struct buf *out)
{
    if (length % 4 != 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        size_t pads = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        uint32_t word = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j >= 4 - pads ? 0 : base64_value(text[i + j]);
            if (value < 0) {
                return -EINVAL;
            }
            word = word << 6U | (uint32_t)value;
        }
        if ((pads == 2 && (word & 0xffffU) != 0) || (pads == 1 && (word & 0xffU) != 0)) {
            return -EINVAL; /* bits that no encoder sets: two texts would mean the same */
        }
        char bytes[3] = {(char)(word >> 16U), (char)(word >> 8U), (char)word};
        buf_put(out, bytes, 3 - pads);
    }
    return buf_failed(out) ? -ENOSPC : 0;
}

static bool unreserved(char c)
{
    return text_is_digit(c) || (text_lower(c) >= 'a' && text_lower(c) <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void text_uri_encode(struct buf *out, const char *text, size_t length, bool keep_slash)
{
    for (size_t i = 0; i < length; i++) {
        if (unreserved(text[i]) || (keep_slash && text[i] == '/')) {
            buf_putc(out, text[i]);
        } else {
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)text[i]);
        }
    }
}

int text_uri_decode(struct buf *out, const char *text, size_t length, bool plus_is_space)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            if (length - i < 3) {
                return -EINVAL;
            }
            int high = hex_value(text[i + 1]);
            int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) {
                return -EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') {
            return -EINVAL;
        }
        buf_putc(out, c);
    }
    return buf_failed(out) ? -ENOSPC : 0;
}
