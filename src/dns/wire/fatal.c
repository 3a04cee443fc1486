/* Route 53's sentence for a problem: see fatal.h. Called by name.c and rdata.c, any thread. The
 * words are those that AWS shows its customers; scripts match on the code in front. */
#include "dns/wire/fatal.h"

#include <string.h>

/* Leaves room for code and sentence in err->message. */
#define QUOTE_LIMIT 120U

int fatal_problem(struct err *err, const char *code, const char *sentence, const char *value,
                  size_t length)
{
    if (length > QUOTE_LIMIT) {
        length = QUOTE_LIMIT;
        while (length > 0 && ((unsigned char)value[length] & 0xc0U) == 0x80U) {
            length--;
        }
    }
    return err_set(err, ERR_INVALID, "FATAL problem: %s (%s) encountered with '%.*s'", code,
                   sentence, (int)length, value);
}

int fatal_character(struct err *err, const char *at)
{
    size_t length = *at != '\0' ? 1 : 0;
    while (length > 0 && length < 4 && ((unsigned char)at[length] & 0xc0U) == 0x80U) {
        length++;
    }
    return fatal_problem(err, "UnsupportedCharacter", "Value contains unsupported characters", at,
                         length);
}
