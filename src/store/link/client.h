/* What the files of the link's client share. Private to this folder. */
#ifndef STORE_LINK_CLIENT_H
#define STORE_LINK_CLIENT_H

#include "base/thread.h"
#include "store/backend.h"
#include "store/link/stream.h"

#include <stdatomic.h>

struct link_connection;

struct link_store {
    struct store base;
    char *path;
    int timeout_ms;
    _Atomic uint64_t past; /* of the last answer */
    pthread_mutex_t lock;  /* over what follows */
    pthread_cond_t returned;
    struct link_connection *idle; /* the last one that was used first */
    unsigned idle_count;
    unsigned count; /* of all */
};

static inline struct link_store *link_of(struct store *store)
{
    return CONTAINER_OF(store, struct link_store, base);
}

/* Connects, without waiting for the server's HELLO. ERR_UNAVAILABLE when nobody serves there. */
int link_connect(struct link_store *self, struct link_stream *ret_stream, struct err *err)
    MUST_CHECK;
/* What came first on a connection: HELLO, or what the server has against us. */
int link_greeted(struct link_store *self, const struct link_frame *frame, struct err *err)
    MUST_CHECK;
/* An answer that says nothing but past, or begins with it: the reader goes behind that. */
void link_note_past(struct link_store *self, struct bytes_reader *reader);
int link_unexpected(struct err *err) COLD;

/* watch.c */
int link_watch_open(struct store *store, const char *prefix, int64_t after,
                    struct store_watch **ret_watch, struct err *err);
int link_watch_next(struct store_watch *base, int timeout_ms, struct store_batch *ret_batch,
                    struct err *err);
void link_watch_interrupt(struct store_watch *base);
void link_watch_close(struct store_watch *take_watch);

#endif
