/* The link: a store whose other end is in another process on the same machine, over a Unix socket.
 * The server lends a store that is open in its process; the client is a store like any other. For
 * who needs the store of a daemon that alone may have its files open (SQLite).
 *
 * Neither end trusts the other. The server asks the kernel who connects, may keep clients to some
 * prefixes, and bounds sizes, connections and memory; what is no valid frame ends its connection
 * only. Every connection has a thread, so who is slow holds up nobody else. */
#ifndef STORE_LINK_H
#define STORE_LINK_H

#include "store/store.h"

#include <sys/types.h>

#define STORE_LINK_CONNECTIONS 64U
#define STORE_LINK_TIMEOUT_MS 3000

/* ---- the server ---- */

/* Where clients may read, and write too. */
struct store_link_grant {
    const char *prefix;
    bool write;
};

/* Borrowed for the call. */
struct store_link_config {
    /* Of the socket, in a folder that is there. What an earlier server left in its place goes. */
    const char *path;
    /* Users who may connect, besides root and the one of this process. With some the socket is open
     * to all (0666), else to its owner (0600); the kernel says who connects. */
    const uid_t *users;
    size_t user_count;
    /* All that clients may touch; none: everything. What else they ask for is ERR_DENIED. A range,
     * a count or a watch must be within one of them. Leases are for who knows their numbers. With
     * grants nobody may compact. */
    const struct store_link_grant *grants;
    size_t grant_count;
    unsigned connections; /* at once; each call under way takes one, and each watch. 0: the default
                           */
};

struct store_link_server;

/* Makes the socket: clients may connect, and wait. Before root is given up, where the folder wants
 * it. ERR_EXISTS when somebody serves there. */
int store_link_listen(const struct store_link_config *config, struct store_link_server **ret_server,
                      struct err *err) MUST_CHECK;
/* Starts to serve the store, which must outlive the server. Once. */
int store_link_serve(struct store_link_server *server, struct store *store, struct err *err)
    MUST_CHECK;
/* Ends all connections and takes the socket away. Calls that are under way in the store are waited
 * for. NULL is fine. */
void store_link_stop(struct store_link_server *take_server);

/* ---- the client ---- */

/* Asks nothing yet: a client may be there before its server. A call that has no answer after
 * timeout_ms (0: the default) is ERR_TIMEOUT; without a server it is ERR_UNAVAILABLE at once. A
 * commit that was sent and not answered has an unknown end. What only reads is asked again once
 * when the server was restarted in between. Watches go on where they were when the server comes
 * back, as long as its history reaches so far. */
int store_link_open(const char *path, int timeout_ms, struct store **ret_store, struct err *err)
    MUST_CHECK;

#endif
