/* Sealed secrets at start: which key seals, and that every secret in the store can be opened with
 * the keys that are here. Main thread, before anything else uses the store. */
#ifndef DAEMON_SEALING_H
#define DAEMON_SEALING_H

#include "base/err.h"
#include "base/macro.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdbool.h>

/* Opens the keys: those of LEEWARD_SEAL_KEY, else those of the file, which is made only while the
 * store holds no sealed secret. Then goes through all secrets in the store: plain ones of version
 * 0.1 are sealed, those under an old key are sealed again with the first one. ERR_DENIED when a
 * secret is sealed with a key that is not here; the message says what to do. One that is damaged is
 * logged and left. *ret_rewrite: the store's files still hold secrets in plain, in space that was
 * given back: sealing_forget them. store is read, truth written; they may be the same, or the truth
 * may be away: what was to be sealed anew waits for the next start then. */
int sealing_open(struct store *store, struct store *truth, const char *file, struct seal **ret_seal,
                 bool *ret_rewrite, struct err *err) MUST_CHECK;
/* The store's files were rewritten. */
int sealing_forget(struct store *store, struct err *err) MUST_CHECK;

#endif
