/* How much history the store promises to keep (store.h: STORE_HISTORY_KEEP, STORE_HISTORY_BYTES),
 * and when etcd is to be compacted. Counts what this process commits: with several sites each
 * counts its own, so together they keep more, never less. Pure but for its lock. Private to this
 * folder. Thread: any. */
#ifndef STORE_ETCD_HISTORY_H
#define STORE_ETCD_HISTORY_H

#include "store/store.h"

#include <pthread.h>

struct history_commit {
    int64_t revision;
    size_t bytes;
};

struct history {
    pthread_mutex_t lock;
    struct history_commit *commits; /* a ring of the last STORE_HISTORY_KEEP */
    size_t first;
    size_t count;
    size_t bytes; /* of those */
    size_t since; /* bytes committed since the last compaction */
    int64_t newest;
    int64_t floor;     /* history up to and including this is not promised any more */
    int64_t dropped;   /* compacted on request, or so etcd says: watches that need it end */
    int64_t compacted; /* the last revision that etcd was asked to compact at */
};

void history_init(struct history *history);
void history_done(struct history *history);
/* A commit of this process. Returns the revision to compact etcd at, now that enough has gathered,
 * or 0. */
int64_t history_add(struct history *history, int64_t revision, size_t bytes) MUST_CHECK;
/* etcd was compacted at this revision on request. */
void history_drop(struct history *history, int64_t revision);
/* The last commit of this process, 0 when there was none. */
int64_t history_newest(struct history *history);
int64_t history_floor(struct history *history);
int64_t history_dropped(struct history *history);

#endif
