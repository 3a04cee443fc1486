/* What the files of a copy share: copy.c (the file, reads) and copy_write.c (changes). Private to
 * them. Thread: as copy.h; but for the atomic ones, all fields are the writing thread's. */
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

struct copy {
    struct sqlite_store store; /* first: closing frees it as itself */
    struct hash_key hash_key;
    uint64_t sum; /* of all entries' hashes */
    struct wall heard;
    uint64_t past;
    bool complete;
    _Atomic bool withheld; /* readers are told to come again */
    _Atomic bool suspect;  /* a reader met damage */
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

#endif
