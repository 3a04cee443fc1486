/* The newest changes of a copy, in memory: what watches that keep up are given, without a look at
 * the file. Called by copy.c and copy_write.c on the writing thread, and by watches on any. The
 * mutex guards all of a tail. Invariant: a tail holds every change after its start up to its end,
 * in order, and each of them is committed. */
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "store/sqlite/copy_internal.h"

#include <stdlib.h>
#include <string.h>

#define TAIL_BYTES ((size_t)64 << 10U)
#define TAIL_CHANGES 512U

void copy_tail_init(struct copy_tail *tail)
{
    (void)pthread_mutex_init(&tail->lock, NULL); /* cannot fail with default attributes */
    arena_init(&tail->arena, 0);
    arena_keep_secret(&tail->arena); /* some values hold keys */
    tail->changes = memory_array(TAIL_CHANGES, sizeof *tail->changes);
}

void copy_tail_done(struct copy_tail *tail)
{
    (void)pthread_mutex_destroy(&tail->lock); /* nobody uses it any more */
    arena_done(&tail->arena);
    free(tail->changes);
}

/* With the mutex held. */
static void start_at(struct copy_tail *tail, int64_t revision)
{
    arena_done(&tail->arena);
    tail->count = 0;
    tail->start = revision;
    tail->end = revision;
}

void copy_tail_reset(struct copy_tail *tail, int64_t revision)
{
    thread_lock(&tail->lock);
    start_at(tail, revision);
    thread_unlock(&tail->lock);
}

static size_t bytes_of(const struct store_batch *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->count && bytes <= TAIL_BYTES; i++) {
        bytes += strlen(batch->changes[i].entry.key) + batch->changes[i].entry.size;
    }
    return bytes;
}

/* With the mutex held. */
static void add(struct copy_tail *tail, const struct store_batch *batch)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; i < batch->count; i++) {
        struct store_change *change = &tail->changes[tail->count];
        struct store_entry entry = batch->changes[i].entry;
        entry.lease = 0; /* as in the file */
        *change = (struct store_change){.type = batch->changes[i].type};
        if (store_entry_copy(&tail->arena, &entry, &change->entry, &err) != 0) {
            start_at(tail, batch->revision); /* the file has it */
            return;
        }
        tail->count++;
    }
    tail->end = batch->revision;
}

void copy_tail_add(struct copy_tail *tail, int64_t before, const struct store_batch *batch)
{
    size_t bytes = bytes_of(batch);
    thread_lock(&tail->lock);
    bool large = bytes > TAIL_BYTES || batch->count > TAIL_CHANGES;
    bool full = tail->arena.used + bytes > TAIL_BYTES || tail->count + batch->count > TAIL_CHANGES;
    if (large) {
        start_at(tail, batch->revision);
    } else {
        if (full || tail->end != before) {
            start_at(tail, before);
        }
        add(tail, batch);
    }
    thread_unlock(&tail->lock);
}

/* With the mutex held. */
static int collect(const struct copy_tail *tail, const char *prefix, int64_t after,
                   struct arena *arena, struct store_batch *ret_batch, struct err *err)
{
    struct store_change *changes = NULL;
    size_t count = 0;
    for (size_t i = 0; i < tail->count; i++) {
        const struct store_change *change = &tail->changes[i];
        if (change->entry.changed_revision <= after || !text_starts(change->entry.key, prefix)) {
            continue;
        }
        if (changes == NULL) {
            changes = arena_try_alloc(arena, (tail->count - i) * sizeof *changes);
            if (changes == NULL) {
                return err_set(err, ERR_MEMORY, "out of memory reading changes");
            }
        }
        changes[count].type = change->type;
        int rc = store_entry_copy(arena, &change->entry, &changes[count].entry, err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    *ret_batch = (struct store_batch){.revision = tail->end, .changes = changes, .count = count};
    return 0;
}

int copy_changes(struct store *store, const char *prefix, int64_t after, struct arena *arena,
                 struct store_batch *ret_batch, struct err *err)
{
    struct copy_tail *tail = &copy_of(store)->tail;
    int rc = 0;
    thread_lock(&tail->lock);
    bool here = after >= tail->start && after < tail->end;
    if (here) {
        rc = collect(tail, prefix, after, arena, ret_batch, err);
    }
    thread_unlock(&tail->lock);
    return here ? rc : sqlite_store_changes(store, prefix, after, arena, ret_batch, err);
}
