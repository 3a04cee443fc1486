/* What others see of the check table: the published status table and one check's description.
 *
 * check_view_build runs on the health loop, check_table_describe on any thread, check_view_dispose
 * on the thread that frees snapshots. The ids are one block of text that all tables share until the
 * list of checks changes; it is counted, as tables die on another thread. */
#include "base/memory.h"
#include "base/thread.h"
#include "health/check_entry.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct status_names {
    _Atomic size_t references;
    char text[]; /* id NUL id NUL ... in the order of the table */
};

/* What is published has the pointer to its names behind its last entry; the struct itself, ending
 * in a flexible array, cannot be part of another. */
static struct status_names **names_of(struct model_status *status)
{
    return (struct status_names **)(void *)&status->entries[status->count];
}

static void drop_names(struct status_names *names)
{
    if (names != NULL &&
        atomic_fetch_sub_explicit(&names->references, 1, memory_order_acq_rel) == 1) {
        free(names);
    }
}

void check_view_forget_names(struct check_table *table)
{
    drop_names(table->names);
    table->names = NULL;
}

static struct status_names *make_names(const struct check_table *table)
{
    size_t size = 0;
    for (size_t i = 0; i < table->count; i++) {
        size += table->entries[i]->record != NULL ? strlen(table->entries[i]->id) + 1 : 0;
    }
    struct status_names *names = memory_new(sizeof *names + size);
    atomic_init(&names->references, 1);
    size_t at = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i]->record != NULL) {
            size_t length = strlen(table->entries[i]->id) + 1;
            (void)memcpy(names->text + at, table->entries[i]->id, length);
            at += length;
        }
    }
    return names;
}

struct model_status *check_view_build(void *context)
{
    struct check_table *table = context;
    if (table->names == NULL) {
        table->names = make_names(table);
    }
    struct model_status *status =
        memory_new(sizeof *status + table->present * sizeof(struct model_status_entry) +
                   sizeof(struct status_names *));
    (void)atomic_fetch_add_explicit(&table->names->references, 1, memory_order_relaxed);
    const char *name = table->names->text;
    for (size_t i = 0; i < table->count; i++) {
        const struct check_entry *entry = table->entries[i];
        if (entry->record != NULL) {
            status->entries[status->count++] = (struct model_status_entry){
                .check_id = name, .healthy = entry->outcome.healthy, .since = entry->since};
            name += strlen(name) + 1;
        }
    }
    *names_of(status) = table->names;
    return status;
}

void check_view_dispose(void *status)
{
    drop_names(*names_of(status));
    free(status);
}

/* What other sites say, those who say something. */
static void describe_others(const struct check_table *table, const struct check_entry *entry,
                            struct arena *arena, struct health_view *view)
{
    const struct electorate *electorate = &table->electorate;
    struct mono now = mono_now();
    struct wall wall = wall_now();
    for (size_t i = 0; entry->others != NULL && i < electorate->count; i++) {
        const struct electorate_site *site = &electorate->sites[i];
        uint8_t vote = entry->others->votes[i];
        if (i == ELECTORATE_SELF || vote == MODEL_VOTE_NONE) {
            continue;
        }
        bool healthy = vote == MODEL_VOTE_HEALTHY;
        const char *old = site->fresh ? "" : ", but it was not heard of for a while";
        view->observations[view->count++] = (struct health_observation){
            .region = arena_strdup(arena, site->name),
            .address = "",
            .healthy = healthy,
            .since = {wall.ns - mono_since(now, entry->others->since[i])},
            .status = arena_printf(arena, "%s: as site %s says%s", healthy ? "Success" : "Failure",
                                   site->name, old),
            .checked = {wall.ns - mono_since(now, site->heard)},
            .last_failure = "",
        };
    }
}

static void describe(const struct check_table *table, const struct check_entry *entry,
                     struct arena *arena, struct health_view *ret_view)
{
    struct health_view view = {
        .healthy = entry->outcome.healthy,
        .since = entry->since,
        .latched = entry->outcome.latched,
    };
    if (entry->record->check.type != MODEL_CHECK_CALCULATED) {
        view.observations = arena_array(arena, MODEL_SITES_LIMIT + 1, sizeof *view.observations);
        view.count = 1;
        *view.observations = (struct health_observation){
            .region = arena_strdup(arena, table->region),
            .address = arena_strdup(arena, entry->source),
            .healthy = entry->count.raw,
            .since = entry->vote_since,
            .status = arena_strdup(arena, entry->status),
            .checked = entry->checked,
            .last_failure = arena_strdup(arena, entry->last_failure),
            .last_failure_at = entry->last_failure_at,
            .latency_us = entry->latency_us,
        };
        describe_others(table, entry, arena, &view);
    }
    *ret_view = view;
}

int check_table_describe(struct check_table *table, const char *check_id, struct arena *arena,
                         struct health_view *ret_view, struct err *err)
{
    thread_lock(&table->mutex);
    const struct check_entry *entry = check_table_find(table, check_id);
    bool known = entry != NULL && entry->record != NULL;
    if (known) {
        describe(table, entry, arena, ret_view);
    }
    thread_unlock(&table->mutex);
    return known ? 0 : err_set(err, ERR_NOT_FOUND, "no health check with id %s", check_id);
}

bool check_table_knows(struct check_table *table, const char *check_id)
{
    thread_lock(&table->mutex);
    const struct check_entry *entry = check_table_find(table, check_id);
    bool known = entry != NULL && entry->record != NULL;
    thread_unlock(&table->mutex);
    return known;
}
