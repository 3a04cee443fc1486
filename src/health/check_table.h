/* Every check this node knows: its record, its counted state and outcome, what was last seen, its
 * runner; and the status table that is built from them.
 *
 * The health loop owns it: it alone changes anything. check_table_describe and _knows may be called
 * from any thread, until check_table_close: a mutex guards what they read, and is held for one
 * copy. Ownership: records are the table's. Invariant: `healthy` of an entry is what its rules make
 * of its votes, its children and its latch; whatever changes them goes through settle(). */
#ifndef HEALTH_CHECK_TABLE_H
#define HEALTH_CHECK_TABLE_H

#include "base/hash.h"
#include "base/macro.h"
#include "health/check_record.h"
#include "health/control_map.h"
#include "health/counters.h"
#include "health/health.h"
#include "health/probe/probe.h"
#include "health/verdict_store.h"

#include <uv.h>

struct check_table;

struct check_table_config {
    uv_loop_t *loop;
    struct probe_engine *engine;
    struct counters *counters;
    struct hash_key spread; /* spreads the phases of probes */
    const char *region;     /* copied */
    struct verdict_writer *verdicts;
    void (*published)(void *context, const struct model_status *status);
    void (*cast)(void *context, struct model_ballots *take_ballots); /* NULL: nobody listens */
    void *context;
    const char *site; /* this one; copied */
};

struct check_table *check_table_new(const struct check_table_config *config) MUST_CHECK;
/* Adds or replaces. stored: what was kept of a check that is new here; else NULL. Whatever changes
 * a verdict from here on hands it to the writer, so that the record is there while count_keeps().
 *
 * A replaced check keeps its state, so that an update alone moves no answer. When its endpoint
 * changed the count of consecutive results starts again; when it was disabled and is not any more
 * it begins as a new one. The latch stays for as long as the check has its tag. */
void check_table_put(struct check_table *table, struct check_record *take_record,
                     const struct verdict_entry *stored);
/* The check vanishes: its probe stops, its kept verdict is deleted. */
void check_table_remove(struct check_table *table, const char *check_id);
/* Routing controls changed: the checks that follow them do, together. */
void check_table_set_controls(struct check_table *table, const struct control_list *list);
void check_table_reset_latch(struct check_table *table, const char *check_id);
/* The known sites, this one included; all checks are decided anew. */
void check_table_set_sites(struct check_table *table, const char *const *names, size_t count);
/* The table of another site. */
void check_table_hear(struct check_table *table, const char *site,
                      const struct model_ballots *ballots);
/* Publishes now, changed or not. */
void check_table_publish(struct check_table *table);
/* Frees it once the loop has run its closing callbacks. No thread may read it any more. */
void check_table_close(struct check_table *take_table);

/* Any thread. */
int check_table_describe(struct check_table *table, const char *check_id, struct arena *arena,
                         struct health_view *ret_view, struct err *err) MUST_CHECK;
void check_table_votes(struct check_table *table, struct health_votes *ret_votes);
bool check_table_knows(struct check_table *table, const char *check_id);

#endif
