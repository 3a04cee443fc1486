/* Route 53's sentence for one problem with a name or value, private to this room: "FATAL problem:
 * CODE (sentence) encountered with 'value'". Thread: any. */
#ifndef DNS_WIRE_FATAL_H
#define DNS_WIRE_FATAL_H

#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>

/* Fills err with kind ERR_INVALID and returns its code. length bytes of value are quoted; a long
 * value is cut where a character ends, so that the sentence stays valid UTF-8. */
int fatal_problem(struct err *err, const char *code, const char *sentence, const char *value,
                  size_t length) COLD;
/* The character at `at` (one to four bytes of UTF-8) is one that a value may not have. */
int fatal_character(struct err *err, const char *at) COLD;

#endif
