/* Service bindings (SVCB and HTTPS, RFC 9460) between value and wire form: see value.h. Called by
 * rdata.c and rdata_text.c, any thread; keeps nothing.
 *
 * A value is a priority, a target and parameters "key=value"; inside quotation marks bytes are
 * escaped as in every value of Route 53, \ooo. What each key may hold is asked of the wire form, in
 * both directions (is_param), so that "key1=..." is judged as "alpn=..." is. Invariant: RDATA made
 * here has its parameters in ascending order, none twice. */
#include "base/buf.h"
#include "base/text.h"
#include "dns/wire/fatal.h"
#include "dns/wire/name.h"
#include "dns/wire/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PARAMS_LIMIT 64U
#define SCRATCH_LIMIT 8192U /* of all parameters in wire form; a value has 4,000 characters */
#define KEY_INVALID 65535U  /* RFC 9460 section 14.3.2 */

enum param_key {
    PARAM_MANDATORY = 0,
    PARAM_ALPN = 1,
    PARAM_NO_DEFAULT_ALPN = 2,
    PARAM_PORT = 3,
    PARAM_IPV4HINT = 4,
    PARAM_ECH = 5,
    PARAM_IPV6HINT = 6,
    PARAM_DOHPATH = 7, /* RFC 9461 */
    PARAM_OHTTP = 8,   /* RFC 9540 */
    PARAM_NAMED = 9,
};

static const char *const key_names[PARAM_NAMED] = {
    "mandatory", "alpn",     "no-default-alpn", "port",  "ipv4hint",
    "ech",       "ipv6hint", "dohpath",         "ohttp",
};

struct param {
    uint16_t key;
    size_t at; /* in the scratch buffer */
    size_t size;
};

struct params {
    struct param list[PARAMS_LIMIT];
    size_t count;
    struct bytes_writer scratch;
};

/* ---- what is in a parameter ---- */

static bool is_alpn(struct bytes_reader *in)
{
    while (!in->failed && bytes_left(in) != 0) {
        uint8_t length = bytes_get_u8(in);
        in->failed = in->failed || length == 0;
        (void)bytes_get(in, length); /* a failed read is seen below */
    }
    return !in->failed && in->size != 0;
}

/* Keys in ascending order, this one not among them. */
static bool is_mandatory(struct bytes_reader *in)
{
    uint16_t last = PARAM_MANDATORY;
    while (!in->failed && bytes_left(in) != 0) {
        uint16_t key = bytes_get_u16(in);
        in->failed = in->failed || key <= last;
        last = key;
    }
    return !in->failed && in->size != 0;
}

/* RFC 9460 section 7 and 8: whether these bytes are a value of that key. */
static bool is_param(uint16_t key, const uint8_t *data, size_t size)
{
    struct bytes_reader in = bytes_reader(data, size);
    switch (key) {
    case PARAM_MANDATORY:
        return is_mandatory(&in);
    case PARAM_ALPN:
        return is_alpn(&in);
    case PARAM_NO_DEFAULT_ALPN:
    case PARAM_OHTTP:
        return size == 0;
    case PARAM_PORT:
        return size == 2;
    case PARAM_IPV4HINT:
        return size != 0 && size % 4 == 0;
    case PARAM_IPV6HINT:
        return size != 0 && size % 16 == 0;
    case PARAM_ECH:
        return size != 0;
    default:
        return key != KEY_INVALID;
    }
}

/* ---- text to wire ---- */

static int refuse_param(struct value *value, const struct field *field, const char *sentence)
{
    return fatal_problem(value->err, "SVCBRRDATAIllegalParameter", sentence, field->text,
                         field->length);
}

/* Number of a key's name, or of "key667"; -1 when it is none. */
static int key_number(const char *name, size_t length)
{
    char text[24];
    struct field digits = {name + 3, length - MIN(length, 3U)};
    uint32_t number = 0;
    if (text_copy_n(text, sizeof text, name, length) != 0) {
        return -1;
    }
    for (unsigned key = 0; key < PARAM_NAMED; key++) {
        if (text_equal(text, key_names[key])) {
            return (int)key;
        }
    }
    bool canonical = digits.length == 1 || (digits.length > 1 && *digits.text != '0');
    if (length < 4 || memcmp(text, "key", 3) != 0 || !canonical ||
        value_number(&digits, KEY_INVALID - 1, &number) != 0) {
        return -1;
    }
    return (int)number;
}

/* A parameter's value without its quotation marks and escapes; -EINVAL when it is none. */
static int decode(const struct field *field, struct bytes_writer *out)
{
    const char *at = field->text;
    const char *end = at + field->length;
    bool quoted = at != end && *at == '"';
    if (quoted && (field->length < 2 || end[-1] != '"')) {
        return -EINVAL;
    }
    at += quoted ? 1 : 0;
    end -= quoted ? 1 : 0;
    while (at < end) {
        uint8_t byte = 0;
        size_t used = *at != '"' ? value_byte(at, &byte) : 0;
        if (used == 0 || used > (size_t)(end - at)) {
            return -EINVAL;
        }
        bytes_put_u8(out, byte);
        at += used;
    }
    return out->failed ? -EINVAL : 0;
}

/* The next part of a list in decoded text, up to a comma; a backslash takes its meaning from the
 * comma or backslash behind it (RFC 9460 appendix A.1). Returns its length, -EINVAL when it is too
 * long or broken. */
static int next_item(struct bytes_reader *in, uint8_t out[VALUE_STRING_LIMIT])
{
    size_t length = 0;
    while (bytes_left(in) != 0) {
        uint8_t byte = bytes_get_u8(in);
        if (byte == ',') {
            return bytes_left(in) != 0 ? (int)length : -EINVAL;
        }
        if (byte == '\\') {
            byte = bytes_get_u8(in);
            if (in->failed || (byte != ',' && byte != '\\')) {
                return -EINVAL;
            }
        }
        if (length == VALUE_STRING_LIMIT) {
            return -EINVAL;
        }
        out[length++] = byte;
    }
    return (int)length;
}

/* An item of a list in wire form. */
static int put_item(uint16_t key, const uint8_t *item, size_t length, struct bytes_writer *out)
{
    char text[VALUE_STRING_LIMIT + 1];
    uint8_t address[16];
    if (key == PARAM_ALPN) {
        bytes_put_u8(out, (uint8_t)length);
        bytes_put(out, item, length);
        return 0;
    }
    if (memchr(item, 0, length) != NULL ||
        text_copy_n(text, sizeof text, (const char *)item, length) != 0) {
        return -EINVAL;
    }
    if (key == PARAM_MANDATORY) {
        int number = key_number(text, length);
        bytes_put_u16(out, (uint16_t)MAX(number, 0));
        return number < 0 ? -EINVAL : 0;
    }
    bool v4 = key == PARAM_IPV4HINT;
    if (inet_pton(v4 ? AF_INET : AF_INET6, text, address) != 1) {
        return -EINVAL;
    }
    bytes_put(out, address, v4 ? 4 : 16);
    return 0;
}

static int put_list(uint16_t key, const uint8_t *data, size_t size, struct bytes_writer *out)
{
    struct bytes_reader in = bytes_reader(data, size);
    do {
        uint8_t item[VALUE_STRING_LIMIT + 1] = {0};
        int length = next_item(&in, item);
        if (length <= 0 || put_item(key, item, (size_t)length, out) != 0) {
            return -EINVAL;
        }
    } while (bytes_left(&in) != 0);
    return 0;
}

/* Ascending; the keys may be named in any order. */
static void sort_keys(uint8_t *keys, size_t size)
{
    for (size_t i = 2; i < size; i += 2) {
        for (size_t k = i; k != 0 && memcmp(keys + k - 2, keys + k, 2) > 0; k -= 2) {
            uint8_t pair[2] = {keys[k], keys[k + 1]};
            (void)memcpy(keys + k, keys + k - 2, 2);
            (void)memcpy(keys + k - 2, pair, 2);
        }
    }
}

static int put_port(const uint8_t *data, size_t size, struct bytes_writer *out)
{
    uint32_t port = 0;
    struct field field = {(const char *)data, size};
    int result = memchr(data, 0, size) == NULL ? value_number(&field, UINT16_MAX, &port) : -EINVAL;
    bytes_put_u16(out, (uint16_t)port);
    return result;
}

static int put_base64(const uint8_t *data, size_t size, struct bytes_writer *out)
{
    struct buf buf;
    buf_init(&buf, SCRATCH_LIMIT);
    int result = text_unbase64((const char *)data, size, &buf);
    bytes_put(out, buf.data, buf.length);
    buf_done(&buf);
    return result;
}

/* The decoded text of a parameter in wire form. `named`: the key was written by its name, so the
 * value is in that key's own presentation form. */
static int put_param(uint16_t key, bool named, const uint8_t *data, size_t size,
                     struct bytes_writer *out)
{
    size_t at = out->at;
    int result = 0;
    switch (named ? key : PARAM_NAMED) {
    case PARAM_MANDATORY:
    case PARAM_ALPN:
    case PARAM_IPV4HINT:
    case PARAM_IPV6HINT:
        result = put_list(key, data, size, out);
        break;
    case PARAM_PORT:
        result = put_port(data, size, out);
        break;
    case PARAM_ECH:
        result = put_base64(data, size, out);
        break;
    default:
        bytes_put(out, data, size);
        break;
    }
    if (result != 0 || out->failed) {
        return -EINVAL;
    }
    if (key == PARAM_MANDATORY) {
        sort_keys(out->data + at, out->at - at);
    }
    return is_param(key, out->data + at, out->at - at) ? 0 : -EINVAL;
}

static int read_param(struct value *value, struct params *params, const struct field *field)
{
    const char *equals = memchr(field->text, '=', field->length);
    size_t name = equals != NULL ? (size_t)(equals - field->text) : field->length;
    int key = key_number(field->text, name);
    if (key < 0) {
        return refuse_param(value, field, "Parameter has no known key");
    }
    if (params->count == PARAMS_LIMIT) {
        return refuse_param(value, field, "There are too many parameters");
    }
    size_t behind = equals != NULL ? name + 1 : name;
    struct field text = {field->text + behind, field->length - behind};
    uint8_t decoded[SCRATCH_LIMIT];
    struct bytes_writer plain = bytes_writer(decoded, sizeof decoded);
    struct param param = {.key = (uint16_t)key, .at = params->scratch.at};
    bool named = key < (int)PARAM_NAMED && memcmp(field->text, "key", 3) != 0;
    if (decode(&text, &plain) != 0 ||
        put_param(param.key, named, decoded, plain.at, &params->scratch) != 0) {
        return refuse_param(value, field, "Parameter's value is not one of its key");
    }
    param.size = params->scratch.at - param.at;
    size_t place = params->count;
    while (place != 0 && params->list[place - 1].key > param.key) {
        params->list[place] = params->list[place - 1];
        place--;
    }
    params->list[place] = param;
    params->count++;
    return place != 0 && params->list[place - 1].key == param.key
               ? refuse_param(value, field, "Parameter is there twice")
               : 0;
}

static bool has_key(const struct params *params, uint16_t key)
{
    for (size_t i = 0; i < params->count; i++) {
        if (params->list[i].key == key) {
            return true;
        }
    }
    return false;
}

/* What RFC 9460 section 8 and 7.1.1 want of the record as a whole. */
static bool is_consistent(const struct params *params)
{
    if (has_key(params, PARAM_NO_DEFAULT_ALPN) && !has_key(params, PARAM_ALPN)) {
        return false;
    }
    if (!has_key(params, PARAM_MANDATORY)) {
        return true;
    }
    struct bytes_reader keys =
        bytes_reader(params->scratch.data + params->list[0].at, params->list[0].size);
    while (bytes_left(&keys) != 0) {
        if (!has_key(params, bytes_get_u16(&keys))) {
            return false;
        }
    }
    return true;
}

int value_from_service(struct value *value)
{
    uint8_t scratch[SCRATCH_LIMIT];
    struct params params = {.scratch = bytes_writer(scratch, sizeof scratch)};
    if (value->count < 2) {
        return value_refuse(value, "SVCBRRDATANotTwoFields",
                            "Value should have a priority and a target");
    }
    int result = value_put_u16(value, 0, "SVCBRRDATAIllegalPriority",
                               "Priority should be a number between 0 and 65535");
    if (result == 0) {
        result = value_put_name(value, 1);
    }
    const char *at = value->fields[1].text + value->fields[1].length;
    struct field field;
    while (result == 0 && value_next(&at, &field)) {
        result = read_param(value, &params, &field);
    }
    if (result == 0 && !is_consistent(&params)) {
        result = value_refuse(value, "SVCBRRDATAIllegalParameter",
                              "A parameter that another one needs is missing");
    }
    for (size_t i = 0; result == 0 && i < params.count; i++) {
        bytes_put_u16(&value->out, params.list[i].key);
        bytes_put_u16(&value->out, (uint16_t)params.list[i].size);
        bytes_put(&value->out, scratch + params.list[i].at, params.list[i].size);
    }
    return result;
}

/* ---- wire to text ---- */

static void put_key(struct text *out, uint16_t key)
{
    if (key < PARAM_NAMED) {
        text_put(out, key_names[key], strlen(key_names[key]));
        return;
    }
    text_put(out, "key", 3);
    text_put_number(out, key);
}

static void put_bytes(struct text *out, const uint8_t *data, size_t size, bool item)
{
    for (size_t i = 0; i < size; i++) {
        if (item && (data[i] == ',' || data[i] == '\\')) {
            text_put_byte(out, '\\');
        }
        text_put_byte(out, data[i]);
    }
}

/* One element of a list: an identifier, a key, or an address. */
static void put_element(struct text *out, uint16_t key, struct bytes_reader *in)
{
    char text[INET6_ADDRSTRLEN];
    if (key == PARAM_ALPN) {
        uint8_t length = bytes_get_u8(in);
        const uint8_t *item = bytes_get(in, length);
        put_bytes(out, item, item != NULL ? length : 0, true);
        return;
    }
    if (key == PARAM_MANDATORY) {
        put_key(out, bytes_get_u16(in));
        return;
    }
    int family = key == PARAM_IPV4HINT ? AF_INET : AF_INET6;
    const uint8_t *address = bytes_get(in, family == AF_INET ? 4 : 16);
    if (address != NULL && inet_ntop(family, address, text, sizeof text) != NULL) {
        text_put(out, text, strlen(text));
    }
}

static void put_ech(struct text *out, const uint8_t *data, size_t size)
{
    struct buf buf;
    buf_init(&buf, 2 * (size_t)UINT16_MAX);
    text_base64(&buf, data, size);
    text_put(out, buf.data, buf.length);
    buf_done(&buf);
}

static void put_value(struct text *out, uint16_t key, const uint8_t *data, size_t size)
{
    struct bytes_reader in = bytes_reader(data, size);
    switch (key) {
    case PARAM_NO_DEFAULT_ALPN:
    case PARAM_OHTTP:
        return;
    case PARAM_PORT:
        text_put(out, "=", 1);
        text_put_number(out, bytes_get_u16(&in));
        return;
    case PARAM_MANDATORY:
    case PARAM_ALPN:
    case PARAM_IPV4HINT:
    case PARAM_IPV6HINT:
        text_put(out, "=\"", 2);
        put_element(out, key, &in);
        while (!in.failed && bytes_left(&in) != 0) {
            text_put(out, ",", 1);
            put_element(out, key, &in);
        }
        break;
    case PARAM_ECH:
        text_put(out, "=\"", 2);
        put_ech(out, data, size);
        break;
    default:
        text_put(out, "=\"", 2);
        put_bytes(out, data, size, false);
        break;
    }
    text_put(out, "\"", 1);
}

void text_put_service(struct text *out, struct bytes_reader *in)
{
    text_put_number(out, bytes_get_u16(in));
    text_put(out, " ", 1);
    text_put_name(out, in);
    int last = -1;
    while (!in->failed && bytes_left(in) != 0) {
        uint16_t key = bytes_get_u16(in);
        size_t size = bytes_get_u16(in);
        const uint8_t *data = bytes_get(in, size);
        if (data == NULL || (int)key <= last || !is_param(key, data, size)) {
            in->failed = true;
            return;
        }
        last = key;
        text_put(out, " ", 1);
        put_key(out, key);
        put_value(out, key, data, size);
    }
}
