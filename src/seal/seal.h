/* Secrets at rest: what the store keeps of a secret is sealed with AES-256-GCM under a key that is
 * not in the store, so a copy of the store tells none of them.
 *
 * A sealed value is the text "v1:ID:BASE64(nonce | ciphertext | tag)". ID names the key; the nonce
 * is random, 96 bits; the name that the value was sealed for (its key in the store) is
 * authenticated, so that a value cannot be moved to another place. Several keys may be known: the
 * first seals, all open, which is how a key is replaced. One key may seal 2^32 values (NIST
 * SP 800-38D section 8.3).
 *
 * Key text: lines of "BASE64(32 bytes)" or "ID BASE64(32 bytes)"; blank lines and lines that start
 * with '#' count for nothing. A key without an ID gets one that is derived from it, the same
 * everywhere. Thread: any; a struct seal does not change. */
#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE 32U
#define SEAL_KEYS_LIMIT 16U
#define SEAL_ID_LIMIT 32U      /* of [A-Za-z0-9_-] */
#define SEAL_DATA_LIMIT 65536U /* bytes of one secret */
/* Longest sealed text, without NUL. */
#define SEAL_TEXT_LIMIT (3U + SEAL_ID_LIMIT + 1U + (SEAL_DATA_LIMIT + 28U + 2U) / 3U * 4U)

/* In the environment, key text that is used instead of a file. */
#define SEAL_ENVIRONMENT "LEEWARD_SEAL_KEY"

struct seal;

/* The keys of LEEWARD_SEAL_KEY where that is set, else those of the file. A file that does not
 * exist is made with one random key: whole, synced and with mode 0600, or not at all; of two makers
 * at once one wins and both use its key. ERR_DENIED when the file may be read by others,
 * ERR_INVALID with the line that is wrong. The caller frees with seal_free. */
int seal_open(const char *path, struct seal **ret_seal, struct err *err) MUST_CHECK;
/* Whether LEEWARD_SEAL_KEY is set, so that seal_open looks at no file. */
bool seal_from_environment(void);
/* The keys of a key text. source begins the messages. */
int seal_parse(const char *text, const char *source, struct seal **ret_seal, struct err *err)
    MUST_CHECK;
/* Wipes the keys. NULL is fine. */
void seal_free(struct seal *take_seal);
/* For CLEANUP. */
void seal_cleanup(struct seal **seal);

/* The keys as key text, for a machine that is to open the same secrets. out keeps what it holds
 * secret (buf_keep_secret). */
void seal_export(const struct seal *seal, struct buf *out);
/* Puts these keys in front of those that the file holds already, or makes it: whole, synced, with
 * mode 0600, or not at all. */
int seal_install(const char *path, const char *text, struct err *err) MUST_CHECK;

/* The ID of the key that seals. Lives as long as the seal. */
const char *seal_id(const struct seal *seal);

/* Seals size bytes (0 to SEAL_DATA_LIMIT, else ERR_LIMIT) for `name`. The text lives in the arena;
 * it is no secret. */
int seal_wrap(const struct seal *seal, const char *name, const void *data, size_t size,
              struct arena *arena, char **ret_text, struct err *err) MUST_CHECK;

/* An opened secret. The memory is the arena's, which wipes it before it frees it. */
struct seal_data {
    uint8_t *data; /* a NUL stands behind it */
    size_t size;
};

/* ERR_INVALID: the text is no sealed value (plain text of old times, for instance);
 * ERR_DENIED: it is sealed with a key that is not known here, which the message names;
 * ERR_CORRUPT: it was changed, moved here from another name, or sealed with another key of that ID.
 */
int seal_unwrap(const struct seal *seal, const char *name, const char *text, struct arena *arena,
                struct seal_data *ret_data, struct err *err) MUST_CHECK;
/* Whether the text says that it is a sealed value. */
bool seal_is_sealed(const char *text) PURE;
/* Whether the text was sealed with the key that seals now; else it is to be sealed again. */
bool seal_is_current(const struct seal *seal, const char *text) PURE;

#endif
