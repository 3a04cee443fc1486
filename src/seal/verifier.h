/* What PostgreSQL stores of a password instead of the password (RFC 5802, RFC 7677):
 *
 *     SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
 *
 * Whoever has it can neither log in with it nor find the password but by trying. Thread: any;
 * nothing is kept, and what was computed is wiped. */
#ifndef SEAL_VERIFIER_H
#define SEAL_VERIFIER_H

#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>
#include <stdint.h>

#define VERIFIER_ITERATIONS 4096 /* PostgreSQL's own number */
#define VERIFIER_SALT 16U        /* bytes */
#define VERIFIER_TEXT 160U       /* bytes of the text, with its NUL */

/* With a random salt. The password is printable ASCII, which SASLprep leaves as it is; the caller
 * has judged that. */
int verifier_make(const char *password, char out[VERIFIER_TEXT], struct err *err) MUST_CHECK;
/* The same with a salt of the caller: for tests. */
int verifier_make_salted(const char *password, const uint8_t salt[VERIFIER_SALT],
                         char out[VERIFIER_TEXT], struct err *err) MUST_CHECK;

#endif
