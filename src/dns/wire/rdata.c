/* Values of Route 53's record types to wire RDATA: see rdata.h. Called by model, zone and service
 * code, any thread; keeps nothing.
 *
 * A value is cut into fields at blanks (quoted strings stay whole), then each type has one function
 * that checks its fields in order and writes them. The first problem ends it, in Route 53's words
 * where those are known, else in the same style. */
#include "dns/wire/rdata.h"

#include "base/bytes.h"
#include "base/text.h"
#include "dns/wire/fatal.h"
#include "dns/wire/name.h"
#include "dns/wire/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VALUE_LIMIT 4000U /* Route 53: characters of one Value */
int value_refuse(struct value *value, const char *code, const char *sentence)
{
    return fatal_problem(value->err, code, sentence, value->text, strlen(value->text));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* End of the field at text: at a blank, or behind the quotation mark that closes it. */
static const char *field_end(const char *text)
{
    bool quoted = false;
    for (; *text != '\0'; text++) {
        if (*text == '\\' && text[1] != '\0') {
            text++;
        } else if (*text == '"') {
            quoted = !quoted;
        } else if (is_blank(*text) && !quoted) {
            break;
        }
    }
    return text;
}

bool value_next(const char **at, struct field *ret_field)
{
    const char *begin = *at;
    while (is_blank(*begin)) {
        begin++;
    }
    const char *end = field_end(begin);
    *at = end;
    *ret_field = (struct field){begin, (size_t)(end - begin)};
    return end != begin;
}

static void split(struct value *value)
{
    const char *at = value->text;
    struct field field;
    for (; value_next(&at, &field); value->count++) {
        if (value->count < VALUE_FIELDS_LIMIT) {
            value->fields[value->count] = field;
        }
    }
}

int value_number(const struct field *field, int64_t high, uint32_t *ret_number)
{
    char digits[16];
    int64_t parsed = 0;
    if (text_copy_n(digits, sizeof digits, field->text, field->length) != 0 ||
        text_to_i64(digits, 0, high, &parsed) != 0 || !text_is_digit(digits[0])) {
        return -EINVAL;
    }
    *ret_number = (uint32_t)parsed;
    return 0;
}

int value_put_u16(struct value *value, size_t index, const char *code, const char *sentence)
{
    uint32_t parsed = 0;
    if (value_number(&value->fields[index], UINT16_MAX, &parsed) != 0) {
        return value_refuse(value, code, sentence);
    }
    bytes_put_u16(&value->out, (uint16_t)parsed);
    return 0;
}

int value_put_u8(struct value *value, size_t index, const char *code, const char *sentence)
{
    uint32_t parsed = 0;
    if (value_number(&value->fields[index], UINT8_MAX, &parsed) != 0) {
        return value_refuse(value, code, sentence);
    }
    bytes_put_u8(&value->out, (uint8_t)parsed);
    return 0;
}

static int put_name_text(struct value *value, const char *text)
{
    uint8_t wire[NAME_WIRE_LIMIT];
    int length = name_from_text(text, true, wire);
    if (length < 0) {
        return name_explain(text, true, value->err);
    }
    bytes_put(&value->out, wire, (size_t)length);
    return 0;
}

int value_put_name(struct value *value, size_t index)
{
    char text[NAME_TEXT_LIMIT];
    const struct field *field = &value->fields[index];
    if (text_copy_n(text, sizeof text, field->text, field->length) != 0) {
        return fatal_problem(value->err, "DomainNameTooLong", "Domain name is too long",
                             field->text, field->length);
    }
    return put_name_text(value, text);
}

/* Octal value of the three digits at text, -1 when they are none. */
static int octal_escape(const char *text)
{
    if (text[0] < '0' || text[0] > '3' || text[1] < '0' || text[1] > '7' || text[2] < '0' ||
        text[2] > '7') {
        return -1;
    }
    return (text[0] - '0') * 64 + (text[1] - '0') * 8 + (text[2] - '0');
}

size_t value_byte(const char *at, uint8_t *ret_byte)
{
    unsigned char c = (unsigned char)*at;
    if (c < ' ' || c > '~') {
        return 0;
    }
    if (c != '\\') {
        *ret_byte = c;
        return 1;
    }
    int value = octal_escape(at + 1);
    if (value >= 0) {
        *ret_byte = (uint8_t)value;
        return 4;
    }
    unsigned char escaped = (unsigned char)at[1];
    if (escaped < ' ' || escaped > '~' || text_is_digit((char)escaped)) {
        return 0;
    }
    *ret_byte = escaped;
    return 2;
}

/* Decodes the quoted string of a field into out (at least VALUE_STRING_LIMIT bytes). */
static int decode_string(struct value *value, const struct field *field, uint8_t *out,
                         size_t *ret_length)
{
    const char *at = field->text;
    const char *end = field->text + field->length;
    size_t length = 0;
    if (field->length < 2 || *at != '"') {
        return value_refuse(value, "InvalidCharacterString",
                            "Value should be enclosed in quotation marks");
    }
    for (at++; at < end && *at != '"';) {
        uint8_t byte = 0;
        size_t used = value_byte(at, &byte);
        if (used == 0) {
            return fatal_character(value->err, at);
        }
        if (length == VALUE_STRING_LIMIT) {
            return fatal_problem(value->err, "CharacterStringTooLong", "Value is too long",
                                 field->text, field->length);
        }
        out[length++] = byte;
        at += used;
    }
    /* The closing mark must be there, and be the field's last character. */
    if (at + 1 != end) {
        return value_refuse(value, "InvalidCharacterString",
                            "Value should be enclosed in quotation marks");
    }
    *ret_length = length;
    return 0;
}

static int put_string(struct value *value, const struct field *field)
{
    uint8_t string[VALUE_STRING_LIMIT];
    size_t length = 0;
    int result = decode_string(value, field, string, &length);
    if (result == 0) {
        bytes_put_u8(&value->out, (uint8_t)length);
        bytes_put(&value->out, string, length);
    }
    return result;
}

static int from_address(struct value *value, int family, size_t size, const char *code,
                        const char *sentence)
{
    uint8_t address[16];
    if (inet_pton(family, value->text, address) != 1) {
        return value_refuse(value, code, sentence);
    }
    bytes_put(&value->out, address, size);
    return 0;
}

static bool has_blank(const struct value *value)
{
    return strpbrk(value->text, " \t") != NULL;
}

static int from_a(struct value *value)
{
    if (has_blank(value)) {
        return value_refuse(value, "ARRDATANotSingleField", "Value contains spaces");
    }
    return from_address(value, AF_INET, 4, "ARRDATAIllegalIPv4Address",
                        "Value is not a valid IPv4 address");
}

static int from_aaaa(struct value *value)
{
    if (has_blank(value)) {
        return value_refuse(value, "AAAARRDATANotSingleField", "Value contains spaces");
    }
    return from_address(value, AF_INET6, 16, "AAAARRDATAIllegalIPv6Address",
                        "Value is not a valid IPv6 address");
}

static int from_name(struct value *value)
{
    return put_name_text(value, value->text);
}

static int from_mx(struct value *value)
{
    if (value->count != 2) {
        return value_refuse(value, "MXRRDATANotTwoFields", "MX record doesn't have 2 fields");
    }
    int result = value_put_u16(value, 0, "MXRRDATAIllegalPriority",
                               "MX priority should be a number between 0 and 65535");
    return result != 0 ? result : value_put_name(value, 1);
}

static int from_srv(struct value *value)
{
    if (value->count != 4) {
        return value_refuse(value, "SRVRRDATANotFourFields", "SRV record doesn't have 4 fields");
    }
    int result = value_put_u16(value, 0, "SRVRRDATAIllegalPriority",
                               "SRV priority should be a number between 0 and 65535");
    if (result == 0) {
        result = value_put_u16(value, 1, "SRVRRDATAIllegalWeight",
                               "SRV weight should be a number between 0 and 65535");
    }
    if (result == 0) {
        result = value_put_u16(value, 2, "SRVRRDATAIllegalPort",
                               "SRV port should be a number between 0 and 65535");
    }
    return result != 0 ? result : value_put_name(value, 3);
}

static int from_soa(struct value *value)
{
    if (value->count != 7) {
        return value_refuse(value, "SOARRDATANotSevenFields", "SOA record doesn't have 7 fields");
    }
    int result = value_put_name(value, 0);
    if (result == 0) {
        result = value_put_name(value, 1);
    }
    for (size_t i = 2; result == 0 && i < 7; i++) {
        uint32_t parsed = 0;
        /* RFC 2181 section 8 bounds times to 31 bits; the serial has all 32. */
        if (value_number(&value->fields[i], i == 2 ? UINT32_MAX : INT32_MAX, &parsed) != 0) {
            return value_refuse(value, "SOARRDATAIllegalNumber",
                                "SOA serial and times should be numbers");
        }
        bytes_put_u32(&value->out, parsed);
    }
    return result;
}

/* Behind the quotation mark that closes the string at text; the end when none does. */
static const char *string_end(const char *text)
{
    for (text++; *text != '\0' && *text != '"'; text++) {
        if (*text == '\\' && text[1] != '\0') {
            text++;
        }
    }
    return *text == '"' ? text + 1 : text;
}

/* Strings follow each other with blanks between them or none: both forms are in use. */
static int from_txt(struct value *value)
{
    const char *at = value->text;
    do {
        at += strspn(at, " ");
        if (*at != '"') {
            return value_refuse(value, "InvalidCharacterString",
                                "Value should be enclosed in quotation marks");
        }
        struct field field = {at, (size_t)(string_end(at) - at)};
        int result = put_string(value, &field);
        if (result != 0) {
            return result;
        }
        at += field.length;
        at += strspn(at, " ");
    } while (*at != '\0');
    return 0;
}

static bool is_tag(const uint8_t *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char lower = text_lower((char)text[i]);
        if (!text_is_digit(lower) && (lower < 'a' || lower > 'z')) {
            return false;
        }
    }
    return length > 0;
}

/* RFC 8659 section 4.1; the value is what is left of RDATA, without a length of its own. */
static int from_caa(struct value *value)
{
    if (value->count != 3) {
        return value_refuse(value, "CAARRDATANotThreeFields", "CAA record doesn't have 3 fields");
    }
    int result = value_put_u8(value, 0, "CAARRDATAIllegalFlags",
                              "CAA flags should be a number between 0 and 255");
    if (result != 0) {
        return result;
    }
    const struct field *tag = &value->fields[1];
    if (tag->length > VALUE_STRING_LIMIT || !is_tag((const uint8_t *)tag->text, tag->length)) {
        return value_refuse(value, "CAARRDATAIllegalTag",
                            "CAA tag should contain only the characters a-z, A-Z and 0-9");
    }
    bytes_put_u8(&value->out, (uint8_t)tag->length);
    bytes_put(&value->out, tag->text, tag->length);
    uint8_t string[VALUE_STRING_LIMIT];
    size_t length = 0;
    result = decode_string(value, &value->fields[2], string, &length);
    bytes_put(&value->out, string, length);
    return result;
}

/* The hexadecimal digits from that field on, which blanks may part, as `want` bytes; 0: any. */
static int put_digest(struct value *value, size_t index, size_t want, const char *code,
                      const char *sentence)
{
    size_t size = 0;
    char pair[3] = "";
    size_t half = 0;
    for (const char *at = value->fields[index].text; *at != '\0'; at++) {
        if (is_blank(*at)) {
            continue;
        }
        pair[half++] = *at;
        uint8_t byte = 0;
        if (half == 2 && text_unhex(pair, &byte, 1) != 0) {
            return value_refuse(value, code, sentence);
        }
        if (half == 2) {
            bytes_put_u8(&value->out, byte);
            half = 0;
            size++;
        }
    }
    return size == 0 || half != 0 || (want != 0 && size != want)
               ? value_refuse(value, code, sentence)
               : 0;
}

/* Digest lengths of RFC 4034 appendix A.2, RFC 4509, RFC 5933 and RFC 6605; 0: any. */
static size_t digest_size(uint8_t type)
{
    switch (type) {
    case 1:
        return 20;
    case 2:
    case 3:
        return 32;
    case 4:
        return 48;
    default:
        return 0;
    }
}

static int from_ds(struct value *value)
{
    if (value->count != 4) {
        return value_refuse(value, "DSRRDATANotFourFields", "DS record doesn't have 4 fields");
    }
    int result = value_put_u16(value, 0, "DSRRDATAIllegalKeyTag",
                               "DS key tag should be a number between 0 and 65535");
    if (result == 0) {
        result = value_put_u8(value, 1, "DSRRDATAIllegalAlgorithm",
                              "DS algorithm should be a number between 0 and 255");
    }
    if (result == 0) {
        result = value_put_u8(value, 2, "DSRRDATAIllegalDigestType",
                              "DS digest type should be a number between 0 and 255");
    }
    if (result != 0 || value->out.failed) {
        return result;
    }
    return put_digest(value, 3, digest_size(value->out.data[value->out.at - 1]),
                      "DSRRDATAIllegalDigest",
                      "DS digest should be hexadecimal digits as its type wants them");
}

/* RFC 4255 section 3; the sizes of SHA-1 and SHA-256 (RFC 6594). */
static int from_sshfp(struct value *value)
{
    if (value->count < 3) {
        return value_refuse(value, "SSHFPRRDATANotThreeFields",
                            "SSHFP record doesn't have 3 fields");
    }
    int result = value_put_u8(value, 0, "SSHFPRRDATAIllegalAlgorithm",
                              "SSHFP algorithm should be a number between 0 and 255");
    if (result == 0) {
        result = value_put_u8(value, 1, "SSHFPRRDATAIllegalType",
                              "SSHFP type should be a number between 0 and 255");
    }
    if (result != 0 || value->out.failed) {
        return result;
    }
    uint8_t type = value->out.data[value->out.at - 1];
    return put_digest(value, 2,
                      type == 1   ? 20U
                      : type == 2 ? 32U
                                  : 0U,
                      "SSHFPRRDATAIllegalFingerprint",
                      "SSHFP fingerprint should be hexadecimal digits as its type wants them");
}

/* RFC 6698 section 2; matching types 1 and 2 are SHA-256 and SHA-512. */
static int from_tlsa(struct value *value)
{
    static const struct {
        const char *code;
        const char *sentence;
    } numbers[] = {
        {"TLSARRDATAIllegalUsage", "TLSA usage should be a number between 0 and 255"},
        {"TLSARRDATAIllegalSelector", "TLSA selector should be a number between 0 and 255"},
        {"TLSARRDATAIllegalMatchingType",
         "TLSA matching type should be a number between 0 and 255"},
    };
    if (value->count < 4) {
        return value_refuse(value, "TLSARRDATANotFourFields", "TLSA record doesn't have 4 fields");
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < ARRAY_SIZE(numbers); i++) {
        result = value_put_u8(value, i, numbers[i].code, numbers[i].sentence);
    }
    if (result != 0 || value->out.failed) {
        return result;
    }
    uint8_t type = value->out.data[value->out.at - 1];
    return put_digest(value, 3,
                      type == 1   ? 32U
                      : type == 2 ? 64U
                                  : 0U,
                      "TLSARRDATAIllegalData",
                      "TLSA data should be hexadecimal digits as its matching type wants them");
}

/* RFC 3403 section 4.1. */
static int from_naptr(struct value *value)
{
    if (value->count != 6) {
        return value_refuse(value, "NAPTRRRDATANotSixFields", "NAPTR record doesn't have 6 fields");
    }
    int result = value_put_u16(value, 0, "NAPTRRRDATAIllegalOrder",
                               "NAPTR order should be a number between 0 and 65535");
    if (result == 0) {
        result = value_put_u16(value, 1, "NAPTRRRDATAIllegalPreference",
                               "NAPTR preference should be a number between 0 and 65535");
    }
    uint8_t flags[VALUE_STRING_LIMIT];
    size_t length = 0;
    if (result == 0) {
        result = decode_string(value, &value->fields[2], flags, &length);
    }
    if (result == 0 && length != 0 && !is_tag(flags, length)) {
        return value_refuse(value, "NAPTRRRDATAIllegalFlags",
                            "NAPTR flags should contain only the characters A-Z and 0-9");
    }
    for (size_t i = 2; result == 0 && i < 5; i++) {
        result = put_string(value, &value->fields[i]);
    }
    if (result != 0) {
        return result;
    }
    const struct field *replacement = &value->fields[5];
    bool root = replacement->length == 1 && replacement->text[0] == '.';
    if (value->fields[4].length > 2 && !root) {
        return value_refuse(value, "NAPTRRRDATAIllegalReplacement",
                            "NAPTR replacement should be a dot when there is a regexp");
    }
    return value_put_name(value, 5);
}

static const struct {
    uint16_t type;
    int (*from)(struct value *value);
} types[] = {
    {RR_A, from_a},
    {RR_AAAA, from_aaaa},
    {RR_CNAME, from_name},
    {RR_NS, from_name},
    {RR_PTR, from_name},
    {RR_TXT, from_txt},
    {RR_SPF, from_txt},
    {RR_MX, from_mx},
    {RR_SRV, from_srv},
    {RR_SOA, from_soa},
    {RR_CAA, from_caa},
    {RR_DS, from_ds},
    {RR_NAPTR, from_naptr},
    {RR_SSHFP, from_sshfp},
    {RR_TLSA, from_tlsa},
    {RR_SVCB, value_from_service},
    {RR_HTTPS, value_from_service},
};

/* One text, which is not cut. */
static bool is_whole(uint16_t type)
{
    return type == RR_A || type == RR_AAAA || type == RR_CNAME || type == RR_NS || type == RR_PTR;
}

int rdata_from_text(uint16_t type, const char *text, uint8_t *out, size_t size, struct err *err)
{
    size_t index = 0;
    char type_text[RR_TYPE_TEXT];
    while (index < ARRAY_SIZE(types) && types[index].type != type) {
        index++;
    }
    if (index == ARRAY_SIZE(types)) {
        rr_type_to_text(type, type_text);
        return err_set(err, ERR_UNSUPPORTED, "records of type %s have no text form here",
                       type_text);
    }
    struct value value = {.text = text, .out = bytes_writer(out, size), .err = err};
    if (strlen(text) > VALUE_LIMIT) {
        char code[32];
        rr_type_to_text(type, type_text);
        (void)snprintf(code, sizeof code, "%sRRDATATooLong", type_text);
        return value_refuse(&value, code, "Value is too long");
    }
    if (!is_whole(type)) {
        split(&value);
    }
    int result = types[index].from(&value);
    if (result != 0) {
        return result;
    }
    if (value.out.failed) {
        rr_type_to_text(type, type_text);
        return err_set(err, ERR_LIMIT, "the value of type %s does not fit", type_text);
    }
    return (int)value.out.at;
}

static const struct {
    uint16_t type;
    const char *name;
} type_names[] = {
    {RR_A, "A"},         {RR_NS, "NS"},       {RR_CNAME, "CNAME"},   {RR_SOA, "SOA"},
    {RR_PTR, "PTR"},     {RR_MX, "MX"},       {RR_TXT, "TXT"},       {RR_AAAA, "AAAA"},
    {RR_SRV, "SRV"},     {RR_NAPTR, "NAPTR"}, {RR_OPT, "OPT"},       {RR_DS, "DS"},
    {RR_RRSIG, "RRSIG"}, {RR_NSEC, "NSEC"},   {RR_DNSKEY, "DNSKEY"}, {RR_SPF, "SPF"},
    {RR_IXFR, "IXFR"},   {RR_AXFR, "AXFR"},   {RR_ANY, "ANY"},       {RR_CAA, "CAA"},
    {RR_SSHFP, "SSHFP"}, {RR_TLSA, "TLSA"},   {RR_SVCB, "SVCB"},     {RR_HTTPS, "HTTPS"},
};

uint16_t rr_type_from_text(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
        if (text_equal_nocase(text, type_names[i].name)) {
            return type_names[i].type;
        }
    }
    char head[5];
    int64_t parsed = 0;
    /* RFC 3597 section 5. */
    if (text_copy_n(head, sizeof head, text, strnlen(text, 4)) == 0 &&
        text_equal_nocase(head, "TYPE") && text_is_digit(text[4]) &&
        text_to_i64(text + 4, 0, UINT16_MAX, &parsed) == 0) {
        return (uint16_t)parsed;
    }
    return 0;
}

void rr_type_to_text(uint16_t type, char out[RR_TYPE_TEXT])
{
    for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
        if (type == type_names[i].type) {
            (void)snprintf(out, RR_TYPE_TEXT, "%s", type_names[i].name);
            return;
        }
    }
    (void)snprintf(out, RR_TYPE_TEXT, "TYPE%u", (unsigned)type);
}
