/* Latches kept in the store: node/<node>/latch/<check id> = {"v":1,"Since":".."} while a check of
 * this node is latched unhealthy.
 *
 * The loop hands changes over (latch_write, never blocking); a thread of its own writes them, in
 * order for each check, and tries again for as long as the store fails. Ownership: the store is
 * borrowed. Invariant: what is written last for a check is what was asked for last. */
#ifndef HEALTH_LATCH_H
#define HEALTH_LATCH_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "health/counters.h"
#include "store/store.h"

#include <stdbool.h>

struct latch_entry {
    const char *check_id;
    struct wall since;
};

struct latch_list {
    struct latch_entry *entries; /* sorted by check_id */
    size_t count;
};

struct latch_writer;

/* What is latched, from the store. Memory from the arena. */
int latch_load(struct store *store, const char *node, struct arena *arena,
               struct latch_list *ret_list, struct err *err) MUST_CHECK;
/* NULL when the check is not in the list. */
const struct latch_entry *latch_find(const struct latch_list *list, const char *check_id);

int latch_writer_start(struct store *store, const char *node, struct counters *counters,
                       struct latch_writer **ret_writer, struct err *err) MUST_CHECK;
/* Any thread; returns at once. */
void latch_write(struct latch_writer *writer, const char *check_id, bool latched,
                 struct wall since);
/* Tries to write what is left once, and ends the thread. NULL is fine. */
void latch_writer_stop(struct latch_writer *take_writer);

#endif
