/* Replaces the zone-signing keys of signed zones from time to time (model/rollover.h decides): a
 * thread that looks at every signed zone in the store and writes down the next step. Every node may
 * do so: of two that write the same step one is refused. */
#ifndef DAEMON_ROLLOVER_H
#define DAEMON_ROLLOVER_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdint.h>

struct rollover;

/* The store and the seal outlive it. period_s: how long a key signs; 0: nothing is ever done. */
int rollover_start(struct store *store, const struct seal *seal, int64_t period_s,
                   struct rollover **ret_rollover, struct err *err) MUST_CHECK;
/* NULL is fine. */
void rollover_stop(struct rollover *take_rollover);

/* One look at all zones, as the thread takes; for tests. An error is the store's; a zone whose
 * records are damaged is left alone. *ret_steps: how many were written. */
int rollover_look(struct store *store, const struct seal *seal, int64_t period_s, struct wall now,
                  size_t *ret_steps, struct err *err) MUST_CHECK;

#endif
