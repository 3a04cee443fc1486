/* The feed: carries zones, records and the keys of signed zones from the store to the compiler,
 * from a snapshot and then by a watch, and writes down how far DNS has come (node/<node>/dns),
 * which is what GetChange waits for.
 */
#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "base/err.h"
#include "base/macro.h"
#include "daemon/compiler.h"
#include "daemon/transfers.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdint.h>

struct feed;

/* transfers: who else is given its part; NULL: nobody, in tests.
 * store: what is read and watched; truth: where it is written down how far DNS has come, which may
 * be away for any time. They may be the same.
 * Loads everything there is before it returns, so that DNS can start with it; then follows in
 * threads of its own. */
int feed_start(struct store *store, struct store *truth, const struct seal *seal,
               struct compiler *compiler, struct transfers *transfers, const char *node,
               struct feed **ret_feed, struct err *err) MUST_CHECK;
/* NULL is fine. */
void feed_stop(struct feed *take_feed);
/* The newest store revision with something for DNS in it, all of which DNS serves. Any thread. */
int64_t feed_applied_revision(struct feed *feed);
/* What keeps zones from being served as they should be, a sentence each; NULL behind the last. In
 * the arena. Any thread. */
const char **feed_problems(struct feed *feed, struct arena *arena) MUST_CHECK;

#endif
