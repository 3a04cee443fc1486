/* Tables of ballots, in and out: see check_table.h. Health loop, but for check_table_votes. While
 * there are other sites, this site's table is cast once a second, and soon after a vote changed (of
 * many changes together once); and what other sites say is laid beside the checks, which are
 * decided anew where something changed: a vote, or who is fresh. Invariant: the work of a table is
 * one walk over it and the checks side by side, both in the order of their hashes. */
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "health/check_entry.h"

#include <stdlib.h>
#include <string.h>

#define CAST_MS 1000
#define LOOK_MS 200 /* for tables that are fresh no more */
/* How far apart tables are that changes call for. */
#define SOON_MS 10
/* What comes in so soon after this process was stopped was under way meanwhile. */
#define UNDER_WAY_MS 50
/* What lasts less is not worth a line in the log: at the start, tables have to come first. */
#define SAY_HELD_MS 2000

struct elections {
    struct check_table *table;
    uv_timer_t cast_timer;
    uv_timer_t look_timer;
    uv_timer_t soon_timer;
    unsigned open_handles;
    bool running; /* there are other sites */
    struct mono last;
    struct mono looked;  /* when this thread last ran, about */
    struct mono resumed; /* after it had not for long; 0: never */
    struct mono held_since;
    bool said_held;
};

/* ---- the order ---- */

static int compare_hash(const void *left, const void *right)
{
    const struct check_entry *const *a = left;
    const struct check_entry *const *b = right;
    return memcmp((*a)->hash, (*b)->hash, MODEL_BALLOT_ID);
}

void elections_forget_order(struct check_table *table)
{
    free(table->by_hash);
    table->by_hash = NULL;
}

static struct check_entry **in_order(struct check_table *table)
{
    if (table->by_hash == NULL) {
        const size_t size = sizeof(struct check_entry *);
        table->by_hash = memory_array(table->count + 1, size);
        if (table->count != 0) {
            (void)memcpy(table->by_hash, table->entries, table->count * size);
            qsort(table->by_hash, table->count, size, compare_hash);
        }
    }
    return table->by_hash;
}

/* ---- a process that was stopped ---- */

/* What it knew may have ended meanwhile: as after a start it abstains on each check until a result
 * of its own has come. Else an endpoint that died meanwhile would be back for all sites. */
static void notice_stop(struct elections *elections, struct mono now)
{
    struct check_table *table = elections->table;
    int64_t since = mono_since(now, elections->looked) / TIME_MS;
    elections->looked = now;
    if (!elections->running || since <= MODEL_BALLOT_RECENT_MS) {
        return;
    }
    elections->resumed = now;
    log_warn("health.stopped", F("ms", since),
             F("next", "this site votes on a check again once it has probed it"));
    thread_lock(&table->mutex);
    for (size_t i = 0; i < table->count; i++) {
        struct check_entry *entry = table->entries[i];
        if (check_table_is_voted(entry)) {
            entry->counted = false;
            entry->count = count_target_changed(&entry->count);
        }
    }
    thread_unlock(&table->mutex);
}

bool elections_is_too_old(struct elections *elections, struct mono now)
{
    notice_stop(elections, now);
    return elections->resumed.ns != 0 &&
           mono_since(now, elections->resumed) < UNDER_WAY_MS * TIME_MS;
}

/* ---- out ---- */

enum model_vote elections_vote(const struct check_entry *entry)
{
    if (!check_table_is_voted(entry) || !entry->counted || entry->record->check.disabled) {
        return MODEL_VOTE_NONE;
    }
    return entry->count.raw ? MODEL_VOTE_HEALTHY : MODEL_VOTE_UNHEALTHY;
}

static struct model_ballots *make_ballots(struct check_table *table, struct mono now)
{
    struct check_entry **entries = in_order(table);
    struct model_ballots *ballots =
        memory_new(sizeof *ballots + table->count * sizeof *ballots->entries);
    ballots->made = now;
    for (size_t i = 0; i < table->count && ballots->count < MODEL_BALLOTS_LIMIT; i++) {
        const struct check_entry *entry = entries[i];
        if (check_table_is_voted(entry)) {
            int64_t age = mono_since(now, entry->voted) / TIME_MS;
            struct model_ballot *ballot = &ballots->entries[ballots->count++];
            (void)memcpy(ballot->id, entry->hash, sizeof ballot->id);
            ballot->vote = (uint8_t)elections_vote(entry);
            ballot->age_ms = (uint32_t)MIN(MAX(age, 0), (int64_t)UINT32_MAX);
        }
    }
    return ballots;
}

static void cast(struct elections *elections)
{
    struct check_table *table = elections->table;
    (void)uv_timer_stop(&elections->soon_timer); /* always 0 */
    notice_stop(elections, mono_now());
    if (table->config.cast != NULL) {
        elections->last = mono_now();
        COUNTERS_ADD(table->config.counters, ballots_cast);
        table->config.cast(table->config.context, make_ballots(table, elections->last));
    }
}

static void on_cast(uv_timer_t *timer)
{
    cast(timer->data);
}

void elections_cast_soon(struct elections *elections)
{
    if (!elections->running || uv_is_active((uv_handle_t *)&elections->soon_timer) != 0) {
        return;
    }
    int64_t since = mono_since(mono_now(), elections->last) / TIME_MS;
    uint64_t wait = since >= SOON_MS ? 0 : (uint64_t)(SOON_MS - since);
    (void)uv_timer_start(&elections->soon_timer, on_cast, wait, 0); /* has a callback */
}

/* ---- deciding ---- */

/* By index: deciding neither adds entries nor takes them away. */
static void decide_all(struct check_table *table, struct mono now)
{
    for (size_t i = 0; i < table->count; i++) {
        if (check_table_is_voted(table->entries[i])) {
            check_table_decide(table->entries[i], now);
        }
    }
}

static void say_held(struct elections *elections, struct mono now)
{
    const struct electorate *electorate = &elections->table->electorate;
    if (!electorate->held) {
        if (elections->said_held) {
            log_info("health.votes_resumed", F("sites", electorate->count),
                     F("heard", electorate->fresh));
        }
        elections->said_held = false;
        elections->held_since = now;
    } else if (!elections->said_held &&
               mono_since(now, elections->held_since) >= SAY_HELD_MS * TIME_MS) {
        elections->said_held = true;
        log_warn(
            "health.votes_held", F("sites", electorate->count), F("heard", electorate->fresh),
            F("next", "verdicts stay as they are until more than half of the sites are heard"));
    }
}

/* Who is fresh may have changed. */
static void refresh(struct elections *elections, struct mono now)
{
    struct check_table *table = elections->table;
    notice_stop(elections, now);
    thread_lock(&table->mutex);
    bool changed = electorate_refresh(&table->electorate, now);
    thread_unlock(&table->mutex);
    say_held(elections, now);
    if (changed) {
        decide_all(table, now);
    }
}

static void on_look(uv_timer_t *timer)
{
    refresh(timer->data, mono_now());
}

/* ---- in ---- */

static void lay_beside(struct check_entry *entry, size_t slot, const struct model_ballot *ballot,
                       struct mono made)
{
    uint8_t vote = ballot != NULL ? ballot->vote : MODEL_VOTE_NONE;
    uint8_t before = entry->others != NULL ? entry->others->votes[slot] : MODEL_VOTE_NONE;
    if (vote == before) {
        return;
    }
    thread_lock(&entry->table->mutex);
    if (entry->others == NULL) {
        entry->others = memory_new(sizeof *entry->others);
    }
    entry->others->votes[slot] = vote;
    entry->others->since[slot] =
        (struct mono){made.ns - (ballot != NULL ? (int64_t)ballot->age_ms * TIME_MS : 0)};
    thread_unlock(&entry->table->mutex);
    check_table_decide(entry, mono_now());
}

/* Both in the order of the hashes; what only one of them has is passed over there. */
static void walk(struct check_table *table, size_t slot, const struct model_ballots *ballots)
{
    struct check_entry **entries = in_order(table);
    size_t at = 0;
    for (size_t i = 0; i < table->count; i++) {
        int order = 1;
        while (at < ballots->count &&
               (order = memcmp(ballots->entries[at].id, entries[i]->hash, MODEL_BALLOT_ID)) < 0) {
            at++;
        }
        lay_beside(entries[i], slot, order == 0 ? &ballots->entries[at] : NULL, ballots->made);
    }
}

void check_table_hear(struct check_table *table, const char *site,
                      const struct model_ballots *ballots)
{
    thread_lock(&table->mutex);
    size_t slot = electorate_hear(&table->electorate, site, ballots->made);
    thread_unlock(&table->mutex);
    if (slot == MODEL_SITES_LIMIT) {
        return;
    }
    COUNTERS_ADD(table->config.counters, ballots_heard);
    walk(table, slot, ballots);
    refresh(table->elections, mono_now());
}

/* ---- the known sites ---- */

static void move_votes(struct check_entry *entry, const size_t from[MODEL_SITES_LIMIT])
{
    if (entry->others == NULL) {
        return;
    }
    struct other_votes old = *entry->others;
    for (size_t i = 0; i < MODEL_SITES_LIMIT; i++) {
        bool known = from[i] < MODEL_SITES_LIMIT;
        entry->others->votes[i] = known ? old.votes[from[i]] : MODEL_VOTE_NONE;
        entry->others->since[i] = known ? old.since[from[i]] : (struct mono){0};
    }
}

void check_table_set_sites(struct check_table *table, const char *const *names, size_t count)
{
    struct elections *elections = table->elections;
    size_t from[MODEL_SITES_LIMIT];
    struct mono now = mono_now();
    thread_lock(&table->mutex);
    electorate_set(&table->electorate, names, count, table->site, from);
    for (size_t i = 0; i < table->count; i++) {
        move_votes(table->entries[i], from);
    }
    (void)electorate_refresh(&table->electorate, now);
    thread_unlock(&table->mutex);
    elections->looked = elections->running ? elections->looked : now;
    elections->running = !electorate_is_alone(&table->electorate);
    if (elections->running) {
        /* Each has a callback. */
        (void)uv_timer_start(&elections->cast_timer, on_cast, 0, CAST_MS);
        (void)uv_timer_start(&elections->look_timer, on_look, LOOK_MS, LOOK_MS);
    } else {
        (void)uv_timer_stop(&elections->cast_timer); /* always 0, as the next two */
        (void)uv_timer_stop(&elections->look_timer);
        (void)uv_timer_stop(&elections->soon_timer);
    }
    elections->held_since = elections->said_held ? elections->held_since : now;
    decide_all(table, now);
}

void check_table_votes(struct check_table *table, struct health_votes *ret_votes)
{
    thread_lock(&table->mutex);
    *ret_votes = (struct health_votes){.sites = table->electorate.count,
                                       .fresh = table->electorate.fresh,
                                       .held = table->electorate.held &&
                                               !electorate_is_alone(&table->electorate)};
    thread_unlock(&table->mutex);
}

/* ---- life ---- */

struct elections *elections_new(struct check_table *table)
{
    struct elections *elections = memory_new(sizeof *elections);
    uv_timer_t *timers[] = {&elections->cast_timer, &elections->look_timer, &elections->soon_timer};
    elections->table = table;
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        (void)uv_timer_init(table->config.loop, timers[i]); /* always 0 */
        timers[i]->data = elections;
        elections->open_handles++;
    }
    return elections;
}

static void on_closed(uv_handle_t *handle)
{
    struct elections *elections = handle->data;
    if (--elections->open_handles == 0) {
        free(elections);
    }
}

void elections_close(struct elections *take_elections)
{
    take_elections->running = false;
    uv_close((uv_handle_t *)&take_elections->cast_timer, on_closed);
    uv_close((uv_handle_t *)&take_elections->look_timer, on_closed);
    uv_close((uv_handle_t *)&take_elections->soon_timer, on_closed);
}
