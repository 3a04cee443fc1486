/* What history is kept: see history.h. Called by commits and watches of the etcd store, on any
 * thread. Owns the ring of commits. Invariant: floor never goes down, and is at most the revision
 * of the last commit but one. */
#include "store/etcd/history.h"

#include "base/memory.h"

#include <stdlib.h>

void history_init(struct history *history)
{
    *history = (struct history){0};
    (void)pthread_mutex_init(&history->lock, NULL); /* cannot fail */
    history->commits = memory_array(STORE_HISTORY_KEEP, sizeof *history->commits);
}

void history_done(struct history *history)
{
    free(history->commits);
    (void)pthread_mutex_destroy(&history->lock);
}

static void drop_oldest(struct history *history)
{
    const struct history_commit *oldest = &history->commits[history->first];
    history->floor = MAX(history->floor, oldest->revision);
    history->bytes -= oldest->bytes;
    history->first = (history->first + 1) % STORE_HISTORY_KEEP;
    history->count--;
}

/* etcd walks all its keys to compact: asked only when as much as is kept lies behind it. */
static int64_t due(struct history *history)
{
    int64_t target = MAX(history->floor, history->newest - STORE_HISTORY_KEEP);
    bool many = target - history->compacted >= STORE_HISTORY_KEEP;
    bool large = history->since >= STORE_HISTORY_BYTES && history->floor > history->compacted;
    if (!many && !large) {
        return 0;
    }
    history->compacted = target;
    history->since = 0;
    return target;
}

int64_t history_add(struct history *history, int64_t revision, size_t bytes)
{
    (void)pthread_mutex_lock(&history->lock);
    if (history->compacted == 0) {
        history->compacted = revision - 1; /* what was before is somebody else's to compact */
    }
    if (history->count == STORE_HISTORY_KEEP) {
        drop_oldest(history);
    }
    history->commits[(history->first + history->count) % STORE_HISTORY_KEEP] =
        (struct history_commit){.revision = revision, .bytes = bytes};
    history->count++;
    history->bytes += bytes;
    history->since += bytes;
    history->newest = MAX(history->newest, revision);
    while (history->bytes > STORE_HISTORY_BYTES && history->count > 1) {
        drop_oldest(history);
    }
    int64_t target = due(history);
    (void)pthread_mutex_unlock(&history->lock);
    return target;
}

void history_drop(struct history *history, int64_t revision)
{
    (void)pthread_mutex_lock(&history->lock);
    history->floor = MAX(history->floor, revision);
    history->dropped = MAX(history->dropped, revision);
    history->compacted = MAX(history->compacted, revision);
    (void)pthread_mutex_unlock(&history->lock);
}

int64_t history_newest(struct history *history)
{
    (void)pthread_mutex_lock(&history->lock);
    int64_t newest = history->newest;
    (void)pthread_mutex_unlock(&history->lock);
    return newest;
}

int64_t history_floor(struct history *history)
{
    (void)pthread_mutex_lock(&history->lock);
    int64_t floor = history->floor;
    (void)pthread_mutex_unlock(&history->lock);
    return floor;
}

int64_t history_dropped(struct history *history)
{
    (void)pthread_mutex_lock(&history->lock);
    int64_t dropped = history->dropped;
    (void)pthread_mutex_unlock(&history->lock);
    return dropped;
}
