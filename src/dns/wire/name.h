/* Domain names: wire form, presentation form, and Route 53's canonical text.
 *
 * Wire form here is uncompressed, lower case unless said otherwise, at most 255 bytes with the root
 * label (RFC 1035 section 2.3.4). Pure functions; any thread. */
#ifndef DNS_WIRE_NAME_H
#define DNS_WIRE_NAME_H

#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_WIRE_LIMIT 255U
#define NAME_TEXT_LIMIT 1024U /* every byte as \ooo, dots and NUL */
#define NAME_LABEL_LIMIT 63U
#define NAME_LABELS_LIMIT 128U
#define NAME_PADDING 8U /* bytes of zero behind a name that is hashed a word at a time */

/* Presentation form (RFC 1035 section 5.1; escapes \DDD decimal are NOT used by Route 53: there
 * \ooo is octal) to lower-case wire form. `octal`: how \ddd is read. A missing trailing dot is
 * added. Returns the length, or -EINVAL (empty label, label over 63, name over 255, broken escape).
 */
int name_from_text(const char *text, bool octal, uint8_t wire[NAME_WIRE_LIMIT]) MUST_CHECK;
/* Why name_from_text refused text: ERR_INVALID with Route 53's sentence, for example "FATAL
 * problem: DomainLabelEmpty (Domain label is empty) encountered with 'a..b'". 0 when nothing is
 * wrong. */
int name_explain(const char *text, bool octal, struct err *err) MUST_CHECK;
/* Wire form to presentation with a trailing dot; bytes that are not printable, and '.', '\\', '"',
 * '*' handled as: octal escapes `\052` for everything outside [a-z0-9-_] when octal (Route 53),
 * else RFC 1035 \DDD and \. escapes. */
void name_to_text(const uint8_t *wire, bool octal, char text[NAME_TEXT_LIMIT]);
/* Route 53's canonical form of a name a client sent: lower case, octal escapes, trailing dot.
 * -EINVAL as above. */
int name_canonical(const char *text, char out[NAME_TEXT_LIMIT]) MUST_CHECK;
/* Length of the uncompressed name at the start of data, or -EINVAL when the first size bytes hold
 * none: for names inside RDATA that somebody else made. */
int name_check(const uint8_t *data, size_t size) MUST_CHECK;
/* Length of a valid wire name, the root label included. */
size_t name_length(const uint8_t *wire) PURE;
/* Labels without the root. */
unsigned name_labels(const uint8_t *wire) PURE;
bool name_equal(const uint8_t *a, const uint8_t *b) PURE;
/* name is ancestor or below it. */
bool name_is_under(const uint8_t *name, const uint8_t *ancestor) PURE;

#endif
