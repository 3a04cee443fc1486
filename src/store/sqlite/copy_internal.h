/* What the files of a copy share: copy.c (the file, reads), copy_write.c (changes) and copy_tail.c
 * (the newest of them, for watches). Private to them. Thread: as copy.h; but for the atomic ones
 * and the tidier, all fields are the writing thread's. */
#ifndef STORE_SQLITE_COPY_INTERNAL_H
#define STORE_SQLITE_COPY_INTERNAL_H

#include "base/hash.h"
#include "store/sqlite/copy.h"
#include "store/sqlite/internal.h"

#include <stdatomic.h>

#define COPY_NEWEST 16U

/* The entries with the highest revisions that were offered, the highest first. */
struct copy_newest {
    int64_t changed[COPY_NEWEST];
    char *keys[COPY_NEWEST];
};

/* A state that is being put together: the writer's transaction is open. */
struct copy_sync {
    uint64_t sum;
    size_t differences;
    struct copy_newest newest;
    char cursor[STORE_KEY_LIMIT + 1]; /* everything up to this key is as in the original */
};

/* The newest changes: those of revisions after start, up to end. */
struct copy_tail {
    pthread_mutex_t lock;
    int64_t start;
    int64_t end;
    struct arena arena;
    struct store_change *changes;
    size_t count;
};

struct copy {
    struct sqlite_store store; /* first: closing frees it as itself */
    struct copy_tail tail;
    pthread_mutex_t tidy_lock; /* over the tidier */
    struct sqlite_connection tidier;
    struct hash_key hash_key;
    uint64_t sum; /* of all entries' hashes */
    struct wall heard;
    uint64_t past;
    bool complete;
    _Atomic bool withheld; /* readers are told to come again */
    _Atomic bool suspect;  /* a reader met damage */
    _Atomic int log_pages; /* of the writer's log */
    char *recent[COPY_RECENT];
    size_t recent_next;
    struct copy_sync sync;
};

static inline struct copy *copy_of(struct store *store)
{
    return CONTAINER_OF(sqlite_store_of(store), struct copy, store);
}

uint64_t copy_hash(const struct copy *self, const struct store_entry *entry);
/* What the file says of all its entries. */
struct copy_row {
    uint64_t sum;
    int64_t revision;
    struct wall heard;
    uint64_t past;
    bool complete;
};

/* Inside the writer's transaction. */
int copy_write_row(struct copy *self, const struct copy_row *row, struct err *err) MUST_CHECK;
void copy_note_recent(struct copy *self, const char *key);
void copy_forget_recent(struct copy *self);
void copy_newest_offer(struct copy_newest *newest, const struct store_entry *entry);
void copy_note_newest(struct copy *self, const struct copy_newest *newest);
void copy_newest_done(struct copy_newest *newest);

void copy_tail_init(struct copy_tail *tail);
void copy_tail_done(struct copy_tail *tail);
/* Holds nothing, from this revision on. */
void copy_tail_reset(struct copy_tail *tail, int64_t revision);
/* The batch was committed; before it the revision was this. */
void copy_tail_add(struct copy_tail *tail, int64_t before, const struct store_batch *batch);
/* A store_hub_read: from the tail, else from the file. */
int copy_changes(struct store *store, const char *prefix, int64_t after, struct arena *arena,
                 struct store_batch *ret_batch, struct err *err);

#endif
