/* The connections of the API server under watch: slow or stuck clients lose theirs, so that others
 * are served. One thread of its own looks at all of them a few times a second:
 * - a request must have arrived, and its answer left, within a deadline, whatever trickles;
 * - when most of the allowed connections are taken, the ones that wait longest for their client go;
 * - while the server stops, a client that takes nothing of its answer is not waited for;
 * - a refused upload is read to its end for a while, so that the client sees the answer that was
 *   sent, and not a reset.
 * Private to this room. The calls may come from any thread. */
#ifndef AWS_CONNECTIONS_H
#define AWS_CONNECTIONS_H

#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>

struct connections;
struct connection;

/* What a connection waits for. Only a handler may take as long as it likes. */
enum connection_phase { CONNECTION_RECEIVES, CONNECTION_WORKS, CONNECTION_SENDS };

/* limit: connections at once. Starts the thread. */
int connections_new(unsigned limit, int64_t deadline_ns, struct connections **ret_connections,
                    struct err *err) MUST_CHECK;
/* Stops the thread; every connection must have been closed. NULL is fine. */
void connections_free(struct connections *take_connections);
/* The server stops: from now on an answer of which the client takes nothing for patience_ns ends.
 */
void connections_hurry(struct connections *connections, int64_t patience_ns);

/* descriptor: borrowed until connection_closed, which comes before its close(2). */
struct connection *connection_opened(struct connections *connections, int descriptor) MUST_CHECK;
void connection_closed(struct connections *connections, struct connection *take_connection);
/* The deadline starts anew. */
void connection_phase(struct connection *connection, enum connection_phase phase);
/* More of the request comes than will be read. */
void connection_linger(struct connection *connection);

#endif
