/* Wire RDATA to presentation form: see rdata.h. Called where values are shown (explanations, the
 * command line, tests), any thread; keeps nothing.
 *
 * RDATA may come from anywhere, so every length is checked; what does not fit its type exactly is
 * refused. */
#include "base/bytes.h"
#include "base/text.h"
#include "dns/wire/name.h"
#include "dns/wire/rdata.h"
#include "dns/wire/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void text_put(struct text *out, const char *data, size_t length)
{
    if (out->failed || length >= out->size - out->at) {
        out->failed = true;
        return;
    }
    (void)memcpy(out->data + out->at, data, length);
    out->at += length;
    out->data[out->at] = '\0';
}

static void puts_text(struct text *out, const char *text)
{
    text_put(out, text, strlen(text));
}

void text_put_number(struct text *out, uint32_t value)
{
    char digits[16];
    (void)snprintf(digits, sizeof digits, "%u", (unsigned)value);
    puts_text(out, digits);
}

static void put_hex(struct text *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char digits[3];
        text_hex(data + i, 1, digits);
        text_put(out, digits, 2);
    }
}

void text_put_byte(struct text *out, uint8_t byte)
{
    char escape[5] = {(char)byte};
    int length = 1;
    if (byte == '"' || byte == '\\') {
        length = snprintf(escape, sizeof escape, "\\%c", byte);
    } else if (byte < ' ' || byte > '~') {
        length = snprintf(escape, sizeof escape, "\\%03o", (unsigned)byte);
    }
    text_put(out, escape, (size_t)length);
}

static void put_quoted(struct text *out, const uint8_t *data, size_t size)
{
    text_put(out, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        text_put_byte(out, data[i]);
    }
    text_put(out, "\"", 1);
}

void text_put_name(struct text *out, struct bytes_reader *in)
{
    int length = name_check(in->data + in->at, bytes_left(in));
    const uint8_t *wire = length > 0 ? bytes_get(in, (size_t)length) : NULL;
    if (wire == NULL) {
        in->failed = true;
        return;
    }
    char text[NAME_TEXT_LIMIT];
    name_to_text(wire, true, text);
    puts_text(out, text);
}

static void show_string(struct bytes_reader *in, struct text *out)
{
    uint8_t length = bytes_get_u8(in);
    const uint8_t *data = bytes_get(in, length);
    if (data != NULL) {
        put_quoted(out, data, length);
    }
}

static void show_address(struct bytes_reader *in, struct text *out, int family)
{
    char text[INET6_ADDRSTRLEN];
    const uint8_t *address = bytes_get(in, family == AF_INET ? 4 : 16);
    if (address != NULL && inet_ntop(family, address, text, sizeof text) != NULL) {
        puts_text(out, text);
    }
}

static void show_strings(struct bytes_reader *in, struct text *out)
{
    do {
        if (out->at != 0) {
            text_put(out, " ", 1);
        }
        show_string(in, out);
    } while (!in->failed && bytes_left(in) != 0);
}

/* What is left of the RDATA; NULL and 0 when reading has failed before. */
static const uint8_t *take_rest(struct bytes_reader *in, size_t *ret_size)
{
    size_t left = bytes_left(in);
    const uint8_t *rest = bytes_get(in, left);
    *ret_size = rest != NULL ? left : 0;
    return rest;
}

static void show_caa(struct bytes_reader *in, struct text *out)
{
    text_put_number(out, bytes_get_u8(in));
    text_put(out, " ", 1);
    uint8_t length = bytes_get_u8(in);
    const uint8_t *tag = bytes_get(in, length);
    for (size_t i = 0; tag != NULL && i < length; i++) {
        char lower = text_lower((char)tag[i]);
        in->failed = in->failed || (!text_is_digit(lower) && (lower < 'a' || lower > 'z'));
    }
    if (tag == NULL || length == 0 || in->failed) {
        in->failed = true;
        return;
    }
    text_put(out, (const char *)tag, length);
    text_put(out, " ", 1);
    size_t size = 0;
    const uint8_t *rest = take_rest(in, &size);
    put_quoted(out, rest, size);
}

static void show_numbers_and_digest(struct bytes_reader *in, struct text *out, unsigned numbers)
{
    for (unsigned i = 0; i < numbers; i++) {
        text_put_number(out, bytes_get_u8(in));
        text_put(out, " ", 1);
    }
    size_t size = 0;
    const uint8_t *digest = take_rest(in, &size);
    if (size == 0) {
        in->failed = true;
        return;
    }
    put_hex(out, digest, size);
}

static void show_ds(struct bytes_reader *in, struct text *out)
{
    text_put_number(out, bytes_get_u16(in));
    text_put(out, " ", 1);
    show_numbers_and_digest(in, out, 2);
}

static void show_unknown(struct bytes_reader *in, struct text *out)
{
    size_t size = 0;
    const uint8_t *rest = take_rest(in, &size);
    puts_text(out, "\\# ");
    text_put_number(out, (uint32_t)size);
    if (size != 0) {
        text_put(out, " ", 1);
        put_hex(out, rest, size);
    }
}

/* One letter a field: 2 and 4 numbers of so many bytes, n a name, s a character-string. */
static const char *layout(uint16_t type)
{
    switch (type) {
    case RR_NS:
    case RR_CNAME:
    case RR_PTR:
        return "n";
    case RR_MX:
        return "2n";
    case RR_SRV:
        return "222n";
    case RR_SOA:
        return "nn44444";
    case RR_NAPTR:
        return "22sssn";
    default:
        return NULL;
    }
}

static void show_fields(struct bytes_reader *in, struct text *out, const char *fields)
{
    for (const char *field = fields; *field != '\0' && !in->failed; field++) {
        if (field != fields) {
            text_put(out, " ", 1);
        }
        switch (*field) {
        case '2':
            text_put_number(out, bytes_get_u16(in));
            break;
        case '4':
            text_put_number(out, bytes_get_u32(in));
            break;
        case 's':
            show_string(in, out);
            break;
        default:
            text_put_name(out, in);
            break;
        }
    }
}

static void show(uint16_t type, struct bytes_reader *in, struct text *out)
{
    const char *fields = layout(type);
    if (fields != NULL) {
        show_fields(in, out, fields);
        return;
    }
    switch (type) {
    case RR_A:
        show_address(in, out, AF_INET);
        break;
    case RR_AAAA:
        show_address(in, out, AF_INET6);
        break;
    case RR_TXT:
    case RR_SPF:
        show_strings(in, out);
        break;
    case RR_CAA:
        show_caa(in, out);
        break;
    case RR_DS:
        show_ds(in, out);
        break;
    case RR_SSHFP:
        show_numbers_and_digest(in, out, 2);
        break;
    case RR_TLSA:
        show_numbers_and_digest(in, out, 3);
        break;
    case RR_SVCB:
    case RR_HTTPS:
        text_put_service(out, in);
        break;
    default:
        show_unknown(in, out);
        break;
    }
}

int rdata_to_text(uint16_t type, const uint8_t *rdata, size_t length, char *out, size_t size)
{
    if (size == 0) {
        return -ENOSPC;
    }
    struct bytes_reader in = bytes_reader(rdata, length);
    struct text text = {.data = out, .size = size};
    out[0] = '\0';
    show(type, &in, &text);
    if (in.failed || bytes_left(&in) != 0) {
        out[0] = '\0';
        return -EINVAL;
    }
    if (text.failed) {
        out[0] = '\0';
        return -ENOSPC;
    }
    return 0;
}
