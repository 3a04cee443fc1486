/* What a restart must not forget, kept in the store: node/<node>/verdict/<check id> =
 * {"v":1,"Vote","VoteSince","Verdict","Healthy","Since","Latched"}, there while count_keeps() of
 * this node's check says so: its vote is unhealthy, or it is latched.
 *
 * The loop hands changes over (verdict_write, never blocking); a thread of its own writes them, in
 * order for each check, and tries again for as long as the store fails. Ownership: the store is
 * borrowed. Invariant: what is written last for a check is what was asked for last; what waits is
 * bounded by the number of checks. */
#ifndef HEALTH_VERDICT_STORE_H
#define HEALTH_VERDICT_STORE_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "health/count.h"
#include "health/counters.h"
#include "store/store.h"

#include <stdbool.h>

struct verdict {
    struct count_kept kept;
    struct wall vote_since; /* of kept.vote */
    struct wall since;      /* of kept.healthy */
};

struct verdict_entry {
    const char *check_id;
    bool readable; /* false: there is a record, but nobody knows what it says */
    struct verdict verdict;
};

struct verdict_list {
    struct verdict_entry *entries; /* sorted by check_id */
    size_t count;
};

struct verdict_writer;

/* What is kept, from the store; one line is logged for all that cannot be read. Memory from the
 * arena. */
int verdict_load(struct store *store, const char *node, struct arena *arena,
                 struct verdict_list *ret_list, struct err *err) MUST_CHECK;
/* NULL when the check is not in the list. */
const struct verdict_entry *verdict_find(const struct verdict_list *list, const char *check_id);

int verdict_writer_start(struct store *store, const char *node, struct counters *counters,
                         struct verdict_writer **ret_writer, struct err *err) MUST_CHECK;
/* verdict: NULL deletes the record. Any thread; returns at once. */
void verdict_write(struct verdict_writer *writer, const char *check_id,
                   const struct verdict *verdict);
/* Tries to write what is left once, and ends the thread. NULL is fine. */
void verdict_writer_stop(struct verdict_writer *take_writer);

#endif
