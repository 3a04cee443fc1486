/* Inside of the check table: one entry. Private to check_table.c and check_view.c.
 *
 * An entry without a record is a placeholder: a calculated check names it as a child, and it may
 * come into being later. Entries point at each other, parents to children and back; an entry lives
 * while it has a record or parents. Guarded by the table's mutex for readers of other threads: the
 * table's array, and everything in an entry down to `latency_us`. */
#ifndef HEALTH_CHECK_ENTRY_H
#define HEALTH_CHECK_ENTRY_H

#include "health/calculate.h"
#include "health/check_table.h"
#include "health/count.h"
#include "health/electorate.h"
#include "health/publisher.h"
#include "health/runner.h"

#include <pthread.h>

/* What a calculated check is calculated from. */
struct child_list {
    struct check_entry **entries;
    enum calculate_child *states; /* room for a calculation */
    size_t count;
};

/* What another site says of a check. */
struct other_votes {
    uint8_t votes[MODEL_SITES_LIMIT]; /* enum model_vote, by slot of the electorate */
    struct mono since[MODEL_SITES_LIMIT];
};

struct check_entry {
    char *id;
    struct check_record *record; /* NULL: a placeholder */
    struct count_state count;
    struct count_outcome outcome;
    struct wall since;      /* of outcome.healthy */
    struct wall vote_since; /* of count.raw */
    char status[PROBE_TEXT];
    struct wall checked;
    char last_failure[PROBE_TEXT];
    struct wall last_failure_at;
    char source[PROBE_ADDRESS];
    int64_t latency_us;
    struct other_votes *others; /* NULL: none was ever heard */

    /* The loop's alone. */
    struct check_table *table;
    struct count_rules rules;
    struct runner *runner; /* NULL: nothing to probe */
    struct check_entry **parents;
    size_t parent_count;
    size_t parent_capacity;
    struct child_list children;
    bool kept; /* the store has, or is to get, a record of the verdict */
    uint8_t hash[MODEL_BALLOT_ID];
    bool verdict;      /* of the sites; where this one is alone, count.raw */
    bool counted;      /* results of this process stand behind count.raw: it is a vote */
    struct mono voted; /* when count.raw changed last */
};

struct check_table {
    struct check_table_config config;
    char *region;
    char *site;
    struct publisher *publisher;
    struct control_map *controls; /* states of routing controls; the loop's alone */
    pthread_mutex_t mutex;
    struct check_entry **entries; /* sorted by id */
    size_t count;
    size_t capacity;
    size_t present; /* entries with a record */
    struct electorate electorate;
    struct check_entry **by_hash; /* all entries; NULL after a change of the list */
    struct elections *elections;
    struct status_names *names; /* of the next table; NULL after a change of the list */
};

/* Where the id is, or would be. Loop, or with the mutex held. */
size_t check_table_position(const struct check_table *table, const char *check_id);
/* NULL when there is none; may be a placeholder. Loop, or with the mutex held. */
struct check_entry *check_table_find(const struct check_table *table, const char *check_id);

/* Decides the check anew by what is known now; what follows from it, follows. */
void check_table_decide(struct check_entry *entry, struct mono now);
/* Whether sites vote over it: it is probed. */
bool check_table_is_voted(const struct check_entry *entry);

/* elections.c: tables of ballots, in and out. */
struct elections *elections_new(struct check_table *table);
void elections_close(struct elections *take_elections);
/* This site's vote on something changed. */
void elections_cast_soon(struct elections *elections);
enum model_vote elections_vote(const struct check_entry *entry);
/* Whether a result that comes now tells of the time before this process was stopped for long. */
bool elections_is_too_old(struct elections *elections, struct mono now);
void elections_forget_order(struct check_table *table);

/* check_view.c: the status table as the publisher wants it. */
struct model_status *check_view_build(void *context);
void check_view_dispose(void *status);
void check_view_forget_names(struct check_table *table);

#endif
