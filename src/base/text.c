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
    char *digits = buf_room(out, (size + 2) / 3 * 4);
    for (size_t i = 0; digits != NULL && i < size; i += 3) {
        size_t have = MIN(size - i, (size_t)3);
        uint32_t word = (uint32_t)bytes[i] << 16U;
        word |= have > 1 ? (uint32_t)bytes[i + 1] << 8U : 0;
        word |= have > 2 ? bytes[i + 2] : 0;
        digits[0] = base64_digits[word >> 18U];
        digits[1] = base64_digits[word >> 12U & 63U];
        digits[2] = have > 1 ? base64_digits[word >> 6U & 63U] : '=';
        digits[3] = have > 2 ? base64_digits[word & 63U] : '=';
        digits += 4;
    }
}

/* The value of a digit, and 1 more; 0 for what is none. */
static const uint8_t base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* False when one of the four is no digit. */
static bool base64_word(const char digits[4], uint32_t *ret_word)
{
    uint32_t first = base64_values[(unsigned char)digits[0]];
    uint32_t second = base64_values[(unsigned char)digits[1]];
    uint32_t third = base64_values[(unsigned char)digits[2]];
    uint32_t fourth = base64_values[(unsigned char)digits[3]];
    *ret_word = (first - 1) << 18U | (second - 1) << 12U | (third - 1) << 6U | (fourth - 1);
    return first != 0 && second != 0 && third != 0 && fourth != 0;
}

/* The last word, whose `pads` digits at the end are '='. */
static int base64_last(const char digits[4], size_t pads, char *bytes)
{
    const char whole[4] = {digits[0], digits[1], pads == 2 ? 'A' : digits[2], 'A'};
    uint32_t word = 0;
    /* Bits that no encoder sets: two texts would mean the same. */
    uint32_t unused = pads == 2 ? 0xffffU : 0xffU;
    if (!base64_word(whole, &word) || (word & unused) != 0) {
        return -EINVAL;
    }
    bytes[0] = (char)(word >> 16U);
    if (pads == 1) {
        bytes[1] = (char)(word >> 8U);
    }
    return 0;
}

static int base64_bytes(const char *text, size_t length, size_t pads, char *bytes)
{
    size_t whole = pads != 0 ? length - 4 : length;
    for (size_t i = 0; i < whole; i += 4) {
        uint32_t word = 0;
        if (!base64_word(text + i, &word)) {
            return -EINVAL;
        }
        bytes[0] = (char)(word >> 16U);
        bytes[1] = (char)(word >> 8U);
        bytes[2] = (char)word;
        bytes += 3;
    }
    return pads != 0 ? base64_last(text + whole, pads, bytes) : 0;
}

int text_unbase64(const char *text, size_t length, struct buf *out)
{
    size_t pads = 0;
    if (length % 4 != 0) {
        return -EINVAL;
    }
    if (length != 0 && text[length - 1] == '=') {
        pads = text[length - 2] == '=' ? 2 : 1;
    }
    size_t before = out->length;
    char *bytes = buf_room(out, length / 4 * 3 - pads);
    if (bytes == NULL) {
        return -ENOSPC;
    }
    int rc = base64_bytes(text, length, pads, bytes);
    if (rc != 0) {
        out->length = before;
        bytes[0] = '\0';
    }
    return rc;
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
