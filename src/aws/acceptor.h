/* Who serves a new connection of the API: the worker that has the fewest. A worker is a daemon of
 * libmicrohttpd with a thread of its own, which a handler keeps busy until it answers; connections
 * of one worker wait for each other. Left to itself, libmicrohttpd's pool gives all connections
 * that come at once to the thread that wakes up first, while the others sleep.
 *
 * Beyond the limit connections wait in the listening socket's queue. One thread of its own.
 * Private to this room. */
#ifndef AWS_ACCEPTOR_H
#define AWS_ACCEPTOR_H

#include "base/err.h"
#include "base/macro.h"

#include <stddef.h>

#define ACCEPTOR_WORKERS 64U

struct MHD_Daemon;
struct acceptor;

/* limit: connections at once, of all workers. The listener is taken over, also after an error. */
int acceptor_new(int take_listener, struct MHD_Daemon *const *workers, size_t count, size_t limit,
                 struct acceptor **ret_acceptor, struct err *err) MUST_CHECK;
/* A connection of this worker was closed. Any thread. */
void acceptor_closed(struct acceptor *acceptor, size_t worker);
/* Nothing is accepted any more; the listener is closed. acceptor_closed may still be called. */
void acceptor_stop(struct acceptor *acceptor);
/* Stops it, if that was not done. All workers have ended. NULL is fine. */
void acceptor_free(struct acceptor *take_acceptor);

#endif
