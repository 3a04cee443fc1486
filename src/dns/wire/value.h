/* What the conversions between values and RDATA share; private to this room. A `struct value` is
 * one value on its way to RDATA, a `struct text` is text under construction; both live on the
 * caller's stack and borrow what they point at. Thread: one at a time. */
#ifndef DNS_WIRE_VALUE_H
#define DNS_WIRE_VALUE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_FIELDS_LIMIT 8U
#define VALUE_STRING_LIMIT 255U /* RFC 1035 section 3.3: character-string */

struct field {
    const char *text;
    size_t length;
};

struct value {
    const char *text; /* the whole value, for sentences */
    struct field fields[VALUE_FIELDS_LIMIT];
    size_t count; /* fields found; may be more than are kept */
    struct bytes_writer out;
    struct err *err;
};

/* The problem with the whole value; returns the error's code. */
int value_refuse(struct value *value, const char *code, const char *sentence) COLD;
/* The next field at *at, which is moved behind it; false at the end. */
bool value_next(const char **at, struct field *ret_field);
/* A decimal number up to high, digits only; 0 or -EINVAL. */
int value_number(const struct field *field, int64_t high, uint32_t *ret_number) MUST_CHECK;
/* Field number index as a number of 16 or 8 bits, or as a name, into value->out; the field has to
 * be there. */
int value_put_u16(struct value *value, size_t index, const char *code, const char *sentence)
    MUST_CHECK;
int value_put_u8(struct value *value, size_t index, const char *code, const char *sentence)
    MUST_CHECK;
int value_put_name(struct value *value, size_t index) MUST_CHECK;
/* One byte inside quotation marks: itself, \ooo, or \ and a character that is no digit. Returns how
 * many characters it took, 0 when it may not stand there. */
size_t value_byte(const char *at, uint8_t *ret_byte);

/* SVCB and HTTPS (RFC 9460). */
int value_from_service(struct value *value) MUST_CHECK;

/* Like a bounded string, with a sticky error. */
struct text {
    char *data;
    size_t size;
    size_t at;
    bool failed;
};

void text_put(struct text *out, const char *data, size_t length);
void text_put_number(struct text *out, uint32_t value);
/* One byte as it is written inside quotation marks. */
void text_put_byte(struct text *out, uint8_t byte);
void text_put_name(struct text *out, struct bytes_reader *in);
/* The rest of the RDATA of type SVCB or HTTPS; in->failed when it is not in the form that RFC 9460
 * section 2.2 wants. */
void text_put_service(struct text *out, struct bytes_reader *in);

#endif
