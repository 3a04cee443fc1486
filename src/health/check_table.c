/* The checks and how their outcomes come about: see check_table.h.
 *
 * A result goes: counting (count.h) -> the vote of this site (vote.h) -> outcome (count.h) -> the
 * calculated checks above it -> publisher, and what a restart must not forget -> verdict_store.h.
 * Everything runs on the health loop; what other threads read is changed with the mutex held. */
#include "health/check_table.h"

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "health/check_entry.h"
#include "health/vote.h"

#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

size_t check_table_position(const struct check_table *table, const char *check_id)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(table->entries[middle]->id, check_id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct check_entry *check_table_find(const struct check_table *table, const char *check_id)
{
    size_t at = check_table_position(table, check_id);
    bool found = at < table->count && text_equal(table->entries[at]->id, check_id);
    return found ? table->entries[at] : NULL;
}

static struct check_entry *find_or_add(struct check_table *table, const char *check_id)
{
    size_t at = check_table_position(table, check_id);
    if (at < table->count && text_equal(table->entries[at]->id, check_id)) {
        return table->entries[at];
    }
    struct check_entry *entry = memory_new(sizeof *entry);
    entry->id = memory_strdup(check_id);
    entry->table = table;
    model_ballot_id(check_id, entry->hash);
    elections_forget_order(table);
    thread_lock(&table->mutex);
    if (table->count == table->capacity) {
        table->capacity = MAX(table->capacity * 2, (size_t)64);
        table->entries =
            memory_resize(table->entries, table->capacity, sizeof(struct check_entry *));
    }
    (void)memmove(table->entries + at + 1, table->entries + at,
                  (table->count - at) * sizeof(struct check_entry *));
    table->entries[at] = entry;
    table->count++;
    thread_unlock(&table->mutex);
    return entry;
}

static void free_entry(struct check_entry *entry)
{
    free(entry->parents);
    free(entry->others);
    free(entry->children.entries);
    free(entry->children.states);
    free(entry->id);
    free(entry);
}

/* An entry that nothing needs any more goes. */
static void drop_unneeded(struct check_entry *entry)
{
    struct check_table *table = entry->table;
    if (entry->record != NULL || entry->parent_count != 0) {
        return;
    }
    size_t at = check_table_position(table, entry->id);
    elections_forget_order(table);
    thread_lock(&table->mutex);
    (void)memmove(table->entries + at, table->entries + at + 1,
                  (table->count - at - 1) * sizeof(struct check_entry *));
    table->count--;
    thread_unlock(&table->mutex);
    free_entry(entry);
}

/* ---- children ---- */

static void add_parent(struct check_entry *child, struct check_entry *parent)
{
    if (child->parent_count == child->parent_capacity) {
        child->parent_capacity = MAX(child->parent_capacity * 2, (size_t)2);
        child->parents =
            memory_resize(child->parents, child->parent_capacity, sizeof(struct check_entry *));
    }
    child->parents[child->parent_count++] = parent;
}

static void remove_parent(struct check_entry *child, const struct check_entry *parent)
{
    for (size_t i = 0; i < child->parent_count; i++) {
        if (child->parents[i] == parent) {
            child->parents[i] = child->parents[--child->parent_count];
            return;
        }
    }
}

/* The list must not be the entry's any more. */
static void unlink_children(struct check_entry *entry, struct child_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        remove_parent(list.entries[i], entry);
        if (list.entries[i] != entry) {
            drop_unneeded(list.entries[i]);
        }
    }
    free(list.entries);
    free(list.states);
}

static struct child_list link_children(struct check_entry *entry, const struct model_check *check)
{
    struct child_list list = {.entries = NULL};
    if (check->type != MODEL_CHECK_CALCULATED) {
        return list;
    }
    list.entries = memory_array(check->child_count + 1, sizeof(struct check_entry *));
    list.states = memory_array(check->child_count + 1, sizeof *list.states);
    for (size_t i = 0; i < check->child_count; i++) {
        struct check_entry *child = find_or_add(entry->table, check->children[i]);
        list.entries[list.count++] = child;
        add_parent(child, entry);
    }
    return list;
}

static enum calculate_child state_of(const struct check_entry *child)
{
    if (child->record == NULL || child->record->check.type == MODEL_CHECK_CALCULATED) {
        return CALCULATE_UNKNOWN;
    }
    return child->outcome.healthy ? CALCULATE_HEALTHY : CALCULATE_UNHEALTHY;
}

static bool calculate(const struct check_entry *entry)
{
    const struct child_list *children = &entry->children;
    for (size_t i = 0; i < children->count; i++) {
        children->states[i] = state_of(children->entries[i]);
    }
    return calculate_verdict(children->states, children->count,
                             entry->record->check.health_threshold);
}

/* ---- outcomes ---- */

/* Not probed: it follows other checks, or a routing control. */
static bool is_derived(const struct check_entry *entry)
{
    return entry->record->check.type == MODEL_CHECK_CALCULATED ||
           entry->record->check.type == MODEL_CHECK_RECOVERY_CONTROL;
}

/* What a check that is not probed follows says now. A control that is not there leaves its check as
 * it was; one that never was there makes it unhealthy. */
static bool derive(struct check_entry *entry, bool before)
{
    struct check_table *table = entry->table;
    if (entry->record->check.type == MODEL_CHECK_CALCULATED) {
        return calculate(entry);
    }
    enum control_state state = control_map_find(table->controls, &entry->record->control);
    bool on = state == CONTROL_ON || (state == CONTROL_GONE && before);
    const char *text = state == CONTROL_ON    ? "Success: the routing control is On"
                       : state == CONTROL_OFF ? "Failure: the routing control is Off"
                                              : "Failure: the routing control does not exist";
    thread_lock(&table->mutex);
    IGNORE_RESULT(text_copy(entry->status, sizeof entry->status, text)); /* all of them fit */
    entry->checked = wall_now();
    if (!on) {
        (void)memcpy(entry->last_failure, entry->status, sizeof entry->last_failure);
        entry->last_failure_at = entry->checked;
    }
    thread_unlock(&table->mutex);
    return on;
}

bool check_table_is_voted(const struct check_entry *entry)
{
    return entry->record != NULL && probe_has_endpoint(entry->record->check.type);
}

/* Of a site that is alone its vote is the verdict. */
static bool verdict_of(const struct check_entry *entry, struct mono now)
{
    static const uint8_t silence[MODEL_SITES_LIMIT];
    const struct electorate *electorate = &entry->table->electorate;
    if (electorate_is_alone(electorate) || !check_table_is_voted(entry)) {
        return entry->count.raw;
    }
    enum vote_rule rule =
        entry->record->check.options.majority ? VOTE_MAJORITY : VOTE_EIGHTEEN_PERCENT;
    return electorate_decide(electorate, rule, elections_vote(entry),
                             entry->others != NULL ? entry->others->votes : silence, entry->verdict,
                             now)
        .healthy;
}

/* Takes over what the results or the rules have become; what follows from it, follows. */
static void settle(struct check_entry *entry, struct count_state count, enum count_cause cause,
                   struct mono at);

static void tell_parents(struct check_entry *entry, enum count_cause cause, struct mono at)
{
    /* Calculated checks do not count as children: this ends after one level. */
    if (entry->record != NULL && entry->record->check.type == MODEL_CHECK_CALCULATED) {
        return;
    }
    for (size_t i = 0; i < entry->parent_count; i++) {
        settle(entry->parents[i], entry->parents[i]->count, cause, at);
    }
}

/* Whether a restart would lose something. What follows a routing control loses nothing but its
 * latch: the control's state is in the store. */
static bool worth_keeping(const struct check_entry *entry, const struct count_state *count,
                          bool verdict, const struct count_outcome *outcome)
{
    return entry->record->check.type == MODEL_CHECK_RECOVERY_CONTROL
               ? outcome->latched
               : count_keeps(&entry->rules, count, verdict, outcome);
}

/* Keeps the verdict for the next start, or deletes what was kept. */
static void keep(struct check_entry *entry)
{
    struct check_table *table = entry->table;
    bool keeps = worth_keeping(entry, &entry->count, entry->verdict, &entry->outcome);
    struct verdict verdict = {
        .kept = {.vote = entry->count.raw,
                 .verdict = entry->verdict,
                 .healthy = entry->outcome.healthy,
                 .latched = entry->outcome.latched},
        .vote_since = entry->vote_since,
        .since = entry->since,
    };
    if (keeps || entry->kept) {
        verdict_write(table->config.verdicts, entry->id, keeps ? &verdict : NULL);
    }
    entry->kept = keeps;
}

/* Recursion of one level: see tell_parents. */
static void settle(struct check_entry *entry, struct count_state count, enum count_cause cause,
                   struct mono at)
{
    struct check_table *table = entry->table;
    struct wall now = wall_now();
    if (is_derived(entry)) {
        count = (struct count_state){.raw = derive(entry, count.raw)};
    }
    bool vote_changed = count.raw != entry->count.raw;
    thread_lock(&table->mutex);
    entry->count = count;
    if (vote_changed) {
        entry->vote_since = now;
        entry->voted = at;
        elections_cast_soon(table->elections);
    }
    thread_unlock(&table->mutex);
    bool verdict = verdict_of(entry, at);
    bool decided = verdict != entry->verdict;
    entry->verdict = verdict;
    struct count_outcome before = entry->outcome;
    struct count_outcome after = count_outcome_step(&entry->rules, &before, verdict, cause);
    bool turned = after.healthy != before.healthy;
    bool keeps = worth_keeping(entry, &count, verdict, &after);
    if (!vote_changed && !decided && !turned && after.latched == before.latched &&
        keeps == entry->kept) {
        return;
    }
    thread_lock(&table->mutex);
    entry->outcome = after;
    if (turned) {
        entry->since = now;
    }
    thread_unlock(&table->mutex);
    keep(entry);
    if (turned) {
        publisher_changed(table->publisher, !after.healthy, at);
        tell_parents(entry, COUNT_VERDICT, at);
    }
}

void check_table_decide(struct check_entry *entry, struct mono now)
{
    if (entry->record != NULL) {
        settle(entry, entry->count, COUNT_VERDICT, now);
    }
}

static void take_result(void *context, const struct probe_result *result)
{
    struct check_entry *entry = context;
    struct check_table *table = entry->table;
    struct wall now = wall_now();
    thread_lock(&table->mutex);
    (void)memcpy(entry->status, result->text, sizeof entry->status);
    entry->checked = now;
    if (result->source[0] != '\0') {
        (void)memcpy(entry->source, result->source, sizeof entry->source);
    }
    if (result->passed) {
        entry->latency_us = result->latency_us;
    } else {
        (void)memcpy(entry->last_failure, result->text, sizeof entry->last_failure);
        entry->last_failure_at = now;
    }
    thread_unlock(&table->mutex);
    if (!result->passed && result->fault == PROBE_FAULT_HOST) {
        return; /* shown, not counted: a checker that cannot look keeps what it knew */
    }
    if (elections_is_too_old(table->elections, mono_now())) {
        return; /* the same: it tells of the time before this process was stopped */
    }
    struct count_state count = count_result(&entry->rules, &entry->count, result->passed);
    if (!entry->counted && count.run == 0) {
        entry->counted = true;
        entry->voted = result->at;
        elections_cast_soon(table->elections);
    }
    settle(entry, count, COUNT_VERDICT, result->at);
}

/* ---- the list ---- */

struct check_table *check_table_new(const struct check_table_config *config)
{
    struct check_table *table = memory_new(sizeof *table);
    table->config = *config;
    table->region = memory_strdup(config->region);
    table->site = memory_strdup(config->site);
    (void)pthread_mutex_init(&table->mutex, NULL); /* cannot fail on Linux */
    table->elections = elections_new(table);
    struct publisher_config publisher = {
        .loop = config->loop,
        .counters = config->counters,
        .build = check_view_build,
        .dispose = check_view_dispose,
        .context = table,
        .published = config->published,
        .published_context = config->context,
    };
    table->publisher = publisher_new(&publisher);
    table->controls = control_map_new();
    return table;
}

/* Starts, changes or stops the probes. */
static void direct_runner(struct check_entry *entry)
{
    struct check_table *table = entry->table;
    const struct model_check *check = &entry->record->check;
    if (!probe_has_endpoint(check->type) || check->disabled) {
        runner_free(entry->runner);
        entry->runner = NULL;
        return;
    }
    if (entry->runner != NULL) {
        runner_change(entry->runner, check);
        return;
    }
    struct runner_config config = {
        .loop = table->config.loop,
        .engine = table->config.engine,
        .counters = table->config.counters,
        .hash = hash_bytes(&table->config.spread, entry->id, strlen(entry->id)),
        .done = take_result,
        .context = entry,
    };
    entry->runner = runner_new(&config, check);
}

/* Count and outcome of a check that is new here: as they were kept, or from the beginning. */
static void begin_verdict(struct check_entry *entry, const struct verdict_entry *stored)
{
    struct check_table *table = entry->table;
    const struct verdict *kept = stored != NULL && stored->readable ? &stored->verdict : NULL;
    struct count_state count =
        kept != NULL ? count_restore(&entry->rules, &kept->kept) : count_begin();
    if (is_derived(entry)) {
        count = (struct count_state){.raw = derive(entry, false)};
    }
    entry->verdict = kept == NULL || count_restore_verdict(&entry->rules, &kept->kept);
    thread_lock(&table->mutex);
    entry->count = count;
    entry->verdict = verdict_of(entry, mono_now());
    entry->outcome =
        count_outcome_begin(&entry->rules, entry->verdict, kept != NULL && kept->kept.latched);
    if (kept != NULL && kept->kept.vote == count.raw) {
        entry->vote_since = kept->vote_since;
    }
    if (kept != NULL && kept->kept.healthy == entry->outcome.healthy) {
        entry->since = kept->since;
    }
    thread_unlock(&table->mutex);
    entry->kept = stored != NULL;
    keep(entry);
}

static void begin(struct check_entry *entry, struct check_record *record,
                  const struct verdict_entry *stored)
{
    struct check_table *table = entry->table;
    struct wall now = wall_now();
    entry->rules = count_rules_of(&record->check);
    thread_lock(&table->mutex);
    entry->record = record;
    entry->since = now;
    entry->vote_since = now;
    entry->status[0] = '\0';
    entry->last_failure[0] = '\0';
    entry->source[0] = '\0';
    entry->checked = (struct wall){0};
    entry->last_failure_at = (struct wall){0};
    entry->latency_us = 0;
    entry->counted = false;
    entry->voted = mono_now();
    thread_unlock(&table->mutex);
    table->present++;
    check_view_forget_names(table);
    entry->children = link_children(entry, &record->check);
    begin_verdict(entry, stored);
    publisher_changed(table->publisher, !entry->outcome.healthy, mono_now());
}

static void replace(struct check_entry *entry, struct check_record *record)
{
    struct check_table *table = entry->table;
    struct check_record *old = entry->record;
    struct count_state count = entry->count;
    if (old->check.disabled && !record->check.disabled) {
        count = count_begin();
        entry->verdict = true;
        entry->counted = false;
    } else if (!check_record_same_target(old, record)) {
        count = count_target_changed(&count);
        entry->counted = false; /* of the new endpoint nothing is known yet */
    }
    /* The new children first: entries that both lists name stay. */
    struct child_list former = entry->children;
    entry->children = link_children(entry, &record->check);
    unlink_children(entry, former);
    entry->rules = count_rules_of(&record->check);
    thread_lock(&table->mutex);
    entry->record = record;
    thread_unlock(&table->mutex);
    settle(entry, count, COUNT_RULES_CHANGED, mono_now());
    direct_runner(entry); /* lets go of the old record */
    check_record_free(old);
}

void check_table_put(struct check_table *table, struct check_record *take_record,
                     const struct verdict_entry *stored)
{
    struct check_entry *entry = find_or_add(table, take_record->check.id);
    if (entry->record == NULL) {
        begin(entry, take_record, stored);
        tell_parents(entry, COUNT_RULES_CHANGED, mono_now()); /* a check that comes is no fall */
        direct_runner(entry);
    } else {
        replace(entry, take_record);
    }
}

void check_table_remove(struct check_table *table, const char *check_id)
{
    struct check_entry *entry = check_table_find(table, check_id);
    if (entry == NULL || entry->record == NULL) {
        return;
    }
    runner_free(entry->runner);
    entry->runner = NULL;
    struct child_list children = entry->children;
    entry->children = (struct child_list){.entries = NULL};
    unlink_children(entry, children);
    if (entry->kept) {
        verdict_write(table->config.verdicts, entry->id, NULL);
        entry->kept = false;
    }
    struct check_record *old = entry->record;
    thread_lock(&table->mutex);
    entry->record = NULL;
    entry->outcome = (struct count_outcome){.healthy = true};
    thread_unlock(&table->mutex);
    check_record_free(old);
    table->present--;
    check_view_forget_names(table);
    publisher_changed(table->publisher, false, mono_now());
    tell_parents(entry, COUNT_RULES_CHANGED, mono_now());
    drop_unneeded(entry);
}

void check_table_set_controls(struct check_table *table, const struct control_list *list)
{
    struct mono now = mono_now();
    control_map_apply(table->controls, list);
    for (size_t i = 0; i < table->count; i++) {
        struct check_entry *entry = table->entries[i];
        if (entry->record != NULL && entry->record->check.type == MODEL_CHECK_RECOVERY_CONTROL &&
            control_list_names(list, &entry->record->control)) {
            settle(entry, entry->count, COUNT_VERDICT, now);
        }
    }
}

void check_table_reset_latch(struct check_table *table, const char *check_id)
{
    struct check_entry *entry = check_table_find(table, check_id);
    if (entry != NULL && entry->record != NULL && entry->outcome.latched) {
        settle(entry, entry->count, COUNT_LATCH_RESET, mono_now());
    }
}

void check_table_publish(struct check_table *table)
{
    publisher_now(table->publisher);
}

void check_table_close(struct check_table *take_table)
{
    if (take_table == NULL) {
        return;
    }
    publisher_close(take_table->publisher);
    elections_close(take_table->elections);
    elections_forget_order(take_table);
    check_view_forget_names(take_table);
    for (size_t i = 0; i < take_table->count; i++) {
        struct check_entry *entry = take_table->entries[i];
        runner_free(entry->runner);
        check_record_free(entry->record);
        free_entry(entry);
    }
    free(take_table->entries);
    control_map_free(take_table->controls);
    (void)pthread_mutex_destroy(&take_table->mutex); /* nobody reads it any more */
    free(take_table->region);
    free(take_table->site);
    free(take_table);
}
