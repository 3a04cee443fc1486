/* What the files of the link's server share. Private to this folder. */
#ifndef STORE_LINK_SERVER_H
#define STORE_LINK_SERVER_H

#include "base/thread.h"
#include "store/link.h"
#include "store/link/stream.h"

#include <stdatomic.h>

struct server_connection;

struct store_link_server {
    struct arena memory; /* of the configuration */
    const char *path;
    dev_t device; /* of the socket's file */
    ino_t inode;
    uid_t *users;
    size_t user_count;
    struct store_link_grant *grants;
    size_t grant_count;
    unsigned limit;
    struct store *store;
    int listening;
    int poll; /* an epoll: new connections, ends of watches' connections, wake */
    int wake; /* an eventfd: a connection ended, or the server shall stop */
    pthread_t thread;
    bool started;
    _Atomic size_t bytes; /* in large frames that are read or written now */
    pthread_mutex_t lock; /* over what follows, and what connections say is under it */
    struct server_connection *connections;
    unsigned count;
    bool stopping;
};

/* Freed by the listener's thread, after it was joined; shut down before, by its own thread. */
struct server_connection {
    struct server_connection *next;
    struct store_link_server *server;
    pthread_t thread;
    struct link_stream stream;
    struct buf out;
    struct store_watch *watch; /* under the lock: interrupted by the listener's thread */
    bool gone;                 /* under the lock: its watch is to end */
    bool ended;                /* under the lock: its thread does nothing more */
};

/* serve.c: a connection's thread. */
void *link_serve_connection(void *argument);

#endif
