/* Events of a watch's stream become batches of whole revisions. Knows nothing of connections: it is
 * told of events in the order of their revisions, of the ends of messages (etcd never splits a
 * revision over two, unless asked to), and of lost connections, after which events may come again.
 * Private to this folder. Thread: one at a time; embedded in the watch. */
#ifndef STORE_ETCD_BATCHES_H
#define STORE_ETCD_BATCHES_H

#include "store/backend.h"
#include "store/etcd/json.h"

struct batches_chunk {
    struct batches_chunk *next;
    struct arena arena;
    struct store_change *changes;
    size_t count;
    size_t capacity;
    size_t complete; /* changes whose revision has come whole */
    size_t bytes;
    int64_t revision; /* everything up to it has come; 0: nothing yet */
};

struct batches {
    const char *root;            /* borrowed from the watch */
    const char *prefix;          /* as well */
    int64_t reached;             /* everything up to it is in a chunk, or was */
    int64_t current;             /* the revision that is coming; 0: none */
    struct batches_chunk *first; /* full ones, oldest first */
    struct batches_chunk **last;
    size_t full;
    struct batches_chunk *open; /* being filled; NULL: none */
    struct json_pair pair;
};

void batches_init(struct batches *batches, const char *root, const char *prefix, int64_t after);
void batches_done(struct batches *batches);
/* An event as etcd's JSON has it. ERR_CORRUPT when it is none, or not in order. */
int batches_event(struct batches *batches, const char *text, size_t size, struct err *err)
    MUST_CHECK;
/* A message ended: the revision that was coming is whole. */
void batches_end(struct batches *batches);
/* Nothing up to this revision is missing: an empty batch says so, even when nothing is new. */
void batches_progress(struct batches *batches, int64_t revision);
/* The connection is lost: what came of a revision that is not whole is forgotten. */
void batches_cut(struct batches *batches);
/* Whether so much waits to be taken that nothing more should come now. */
bool batches_full(const struct batches *batches);
/* The oldest batch, NULL when there is none; batches_chunk_free it. */
struct batches_chunk *batches_take(struct batches *batches) MUST_CHECK;
void batches_chunk_free(struct batches_chunk *take_chunk);

#endif
