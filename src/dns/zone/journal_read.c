/* Taking copies and differences out of a journal: see journal.h. Called by transfer threads.
 *
 * Under the lock only counters go up: chunks for a copy, steps for a difference; looking through
 * them comes after. Invariant: what a copy or difference points at is held by what it counted. */
#include "base/bytes.h"
#include "base/memory.h"
#include "dns/zone/journal.h"
#include "dns/zone/journal_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- serials ---- */

int serial_compare(uint32_t a, uint32_t b)
{
    if (a == b) {
        return 0;
    }
    return a - b < (UINT32_C(1) << 31U) ? 1 : -1;
}

uint32_t serial_next(uint32_t previous, int64_t now_s)
{
    uint32_t clock = (uint32_t)now_s;
    uint32_t next = serial_compare(clock, previous) > 0 ? clock : previous + 1;
    return next != 0 ? next : 1; /* some software takes 0 for "none" */
}

/* ---- counting ---- */

bool journal_count_down(_Atomic unsigned *references)
{
    return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

void journal_rrset_unref(struct zone_rrset *take_rrset)
{
    if (take_rrset != NULL && journal_count_down(&take_rrset->references)) {
        free(take_rrset);
    }
}

void journal_chunk_unref(struct journal_chunk *take_chunk)
{
    if (take_chunk != NULL && journal_count_down(&take_chunk->references)) {
        for (size_t i = 0; i < JOURNAL_CHUNK; i++) {
            journal_rrset_unref(take_chunk->rrsets[i]);
        }
        free(take_chunk);
    }
}

void journal_step_unref(struct journal_step *take_step)
{
    if (take_step != NULL && journal_count_down(&take_step->references)) {
        for (size_t i = 0; i < take_step->count; i++) {
            journal_rrset_unref(take_step->items[i].before);
            journal_rrset_unref(take_step->items[i].after);
        }
        journal_rrset_unref(take_step->soa);
        free(take_step);
    }
}

void zone_journal_unref(struct zone_journal *take_journal)
{
    struct zone_journal *journal = take_journal;
    if (journal == NULL || !journal_count_down(&journal->references)) {
        return;
    }
    for (size_t i = 0; i < journal->chunk_count; i++) {
        journal_chunk_unref(journal->chunks[i]);
    }
    for (size_t i = 0; i < journal->step_count; i++) {
        journal_step_unref(journal->steps[(journal->step_first + i) % JOURNAL_STEPS]);
    }
    journal_rrset_unref(journal->soa);
    free(journal->chunks);
    free(journal->steps);
    free(journal->index);
    free(journal->free_numbers);
    free(journal->touched);
    (void)pthread_mutex_destroy(&journal->mutex); /* nobody holds it */
    free(journal);
}

/* ---- RRsets ---- */

bool zone_rrset_next(const struct zone_rrset *rrset, size_t *at, struct zone_record_view *ret_view)
{
    struct bytes_reader reader = bytes_reader(rrset->bytes, rrset->size);
    reader.at = *at != 0 ? *at : rrset->owner_length;
    if (bytes_left(&reader) == 0) {
        return false;
    }
    ret_view->type = bytes_get_u16(&reader);
    ret_view->ttl = bytes_get_u32(&reader);
    ret_view->size = bytes_get_u16(&reader);
    ret_view->rdata = bytes_get(&reader, ret_view->size);
    *at = reader.at;
    return !reader.failed;
}

bool zone_rrset_has(const struct zone_rrset *rrset, const struct zone_record_view *view)
{
    struct zone_record_view there;
    for (size_t at = 0; zone_rrset_next(rrset, &at, &there);) {
        if (there.type == view->type && there.ttl == view->ttl && there.size == view->size &&
            memcmp(there.rdata, view->rdata, view->size) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- finding ---- */

struct zone_journal *zone_journal_find(const struct zone_set *set, const uint8_t *name,
                                       size_t length, bool *ret_zone)
{
    struct zone_name wanted;
    *ret_zone = false;
    if (zone_name_read(&wanted, set, name, length) == 0) {
        return NULL;
    }
    const struct zone *zone = zone_set_find(set, &wanted, 0);
    if (zone == NULL || zone->labels != wanted.labels) {
        return NULL;
    }
    *ret_zone = true;
    struct zone_journal *journal = atomic_load_explicit(&zone->journal, memory_order_acquire);
    if (journal != NULL) {
        atomic_fetch_add_explicit(&journal->references, 1, memory_order_relaxed);
    }
    return journal;
}

const char *zone_journal_id(const struct zone_journal *journal)
{
    return journal->id;
}

const uint8_t *zone_journal_apex(const struct zone_journal *journal)
{
    return journal->apex;
}

const struct zone_rrset *zone_journal_soa(struct zone_journal *journal, uint32_t *ret_serial)
{
    (void)pthread_mutex_lock(&journal->mutex);
    const struct zone_rrset *soa = journal_rrset_ref(journal->soa);
    *ret_serial = journal->serial;
    (void)pthread_mutex_unlock(&journal->mutex);
    return soa;
}

void zone_rrset_unref(const struct zone_rrset *take_rrset)
{
    union {
        const struct zone_rrset *borrowed;
        struct zone_rrset *owned;
    } rrset = {.borrowed = take_rrset};
    journal_rrset_unref(rrset.owned);
}

/* ---- copies ---- */

struct zone_copy {
    uint32_t serial;
    struct zone_rrset *soa;
    size_t count;
    struct journal_chunk *chunks[];
};

struct zone_copy *zone_journal_copy(struct zone_journal *journal)
{
    struct zone_copy *copy = NULL;
    (void)pthread_mutex_lock(&journal->mutex);
    if (journal->soa != NULL) {
        size_t count = journal->chunk_count;
        copy = memory_new(sizeof *copy + count * sizeof(struct journal_chunk *));
        copy->serial = journal->serial;
        copy->soa = journal_rrset_ref(journal->soa);
        copy->count = count;
        for (size_t i = 0; i < count; i++) {
            copy->chunks[i] = journal->chunks[i];
            atomic_fetch_add_explicit(&copy->chunks[i]->references, 1, memory_order_relaxed);
        }
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return copy;
}

void zone_copy_free(struct zone_copy *take_copy)
{
    if (take_copy == NULL) {
        return;
    }
    for (size_t i = 0; i < take_copy->count; i++) {
        journal_chunk_unref(take_copy->chunks[i]);
    }
    journal_rrset_unref(take_copy->soa);
    free(take_copy);
}

const struct zone_rrset *zone_copy_soa(const struct zone_copy *copy)
{
    return copy->soa;
}

uint32_t zone_copy_serial(const struct zone_copy *copy)
{
    return copy->serial;
}

const struct zone_rrset *zone_copy_next(const struct zone_copy *copy, size_t *cursor)
{
    while (*cursor < copy->count * JOURNAL_CHUNK) {
        size_t at = (*cursor)++;
        const struct zone_rrset *rrset =
            copy->chunks[at / JOURNAL_CHUNK]->rrsets[at % JOURNAL_CHUNK];
        if (rrset != NULL) {
            return rrset;
        }
    }
    return NULL;
}

/* ---- differences ---- */

struct zone_difference {
    struct zone_rrset *soa; /* as it is now */
    size_t zone_bytes;
    size_t bytes;
    struct zone_difference_item *items;
    size_t item_count;
    size_t step_count;
    struct journal_step *steps[];
};

/* Holds the steps from that serial on; NULL when they are not all there. */
static struct zone_difference *take_steps(struct zone_journal *journal, uint32_t from)
{
    size_t skip = 0;
    while (skip < journal->step_count &&
           journal->steps[(journal->step_first + skip) % JOURNAL_STEPS]->from != from) {
        skip++;
    }
    if (skip == journal->step_count || journal->soa == NULL) {
        return NULL;
    }
    size_t count = journal->step_count - skip;
    struct zone_difference *difference =
        memory_new(sizeof *difference + count * sizeof(struct journal_step *));
    difference->soa = journal_rrset_ref(journal->soa);
    difference->zone_bytes = journal->bytes;
    difference->step_count = count;
    for (size_t i = 0; i < count; i++) {
        struct journal_step *step =
            journal->steps[(journal->step_first + skip + i) % JOURNAL_STEPS];
        atomic_fetch_add_explicit(&step->references, 1, memory_order_relaxed);
        difference->steps[i] = step;
    }
    return difference;
}

struct ordered {
    size_t order;
    const struct zone_rrset *before;
    const struct zone_rrset *after;
};

static int compare_owners(const struct ordered *a, const struct ordered *b)
{
    const struct zone_rrset *x = a->before != NULL ? a->before : a->after;
    const struct zone_rrset *y = b->before != NULL ? b->before : b->after;
    if (x->type != y->type) {
        return x->type < y->type ? -1 : 1;
    }
    if (x->owner_length != y->owner_length) {
        return x->owner_length < y->owner_length ? -1 : 1;
    }
    return memcmp(x->bytes, y->bytes, x->owner_length);
}

static int compare_ordered(const void *left, const void *right)
{
    const struct ordered *a = left;
    const struct ordered *b = right;
    int order = compare_owners(a, b);
    return order != 0 ? order : a->order < b->order ? -1 : 1;
}

static bool same_records(const struct zone_rrset *a, const struct zone_rrset *b)
{
    return a == b || (a != NULL && b != NULL && a->size == b->size &&
                      memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* The first state before and the last after, for each owner and type. */
static void condense(struct zone_difference *difference)
{
    size_t count = 0;
    for (size_t i = 0; i < difference->step_count; i++) {
        count += difference->steps[i]->count;
    }
    struct ordered *all CLEANUP(memory_cleanup) = memory_array(count + 1, sizeof *all);
    size_t at = 0;
    for (size_t i = 0; i < difference->step_count; i++) {
        const struct journal_step *step = difference->steps[i];
        for (size_t j = 0; j < step->count; j++) {
            all[at] = (struct ordered){at, step->items[j].before, step->items[j].after};
            at++;
        }
    }
    qsort(all, count, sizeof *all, compare_ordered);
    difference->items = memory_array(count + 1, sizeof difference->items[0]);
    for (size_t i = 0; i < count;) {
        size_t last = i;
        while (last + 1 < count && compare_owners(&all[i], &all[last + 1]) == 0) {
            last++;
        }
        struct zone_difference_item item = {all[i].before, all[last].after};
        if (!same_records(item.before, item.after)) {
            difference->bytes += item.before != NULL ? item.before->size : 0;
            difference->bytes += item.after != NULL ? item.after->size : 0;
            difference->items[difference->item_count++] = item;
        }
        i = last + 1;
    }
}

struct zone_difference *zone_journal_difference(struct zone_journal *journal, uint32_t from)
{
    (void)pthread_mutex_lock(&journal->mutex);
    struct zone_difference *difference = take_steps(journal, from);
    (void)pthread_mutex_unlock(&journal->mutex);
    if (difference != NULL) {
        condense(difference);
    }
    return difference;
}

void zone_difference_free(struct zone_difference *take_difference)
{
    if (take_difference == NULL) {
        return;
    }
    for (size_t i = 0; i < take_difference->step_count; i++) {
        journal_step_unref(take_difference->steps[i]);
    }
    journal_rrset_unref(take_difference->soa);
    free(take_difference->items);
    free(take_difference);
}

const struct zone_rrset *zone_difference_soa(const struct zone_difference *difference, bool after)
{
    return after ? difference->soa : difference->steps[0]->soa;
}

size_t zone_difference_count(const struct zone_difference *difference)
{
    return difference->item_count;
}

struct zone_difference_item zone_difference_item(const struct zone_difference *difference,
                                                 size_t index)
{
    return difference->items[index];
}

size_t zone_difference_bytes(const struct zone_difference *difference)
{
    return difference->bytes;
}

size_t zone_difference_zone_bytes(const struct zone_difference *difference)
{
    return difference->zone_bytes;
}
