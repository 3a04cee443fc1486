/* The server's end of a link: the socket, who may connect, and the life of connections; see
 * store/link.h. The listener's thread owns the epoll; it starts a thread for every connection
 * (serve.c), tells the ones that watch when their client has gone, and joins those that ended.
 * Invariant: a connection is freed only by the listener's thread or after it, and never while its
 * thread runs. */
#include "store/link/server.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64
#define EVENTS 16
#define REST_MS 100 /* when the process has no descriptor left */

/* ---- the socket ---- */

/* The file at the path becomes open to all, if it is still the socket. */
static int open_to_all(const char *path, struct err *err)
{
    char self[32];
    struct stat status;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool done = false;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode)) {
        (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* fits */
        done = chmod(self, 0666) == 0;
    }
    int code = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    return done ? 0 : err_set_errno(err, code, "cannot open the socket %s to its clients", path);
}

/* Takes away what a server left that is no more. */
static int make_way(const struct sockaddr_un *address, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_set_errno(err, errno, "cannot make a socket");
    }
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int code = errno;
    (void)close(fd);
    if (rc == 0 || code == EAGAIN) {
        return err_set(err, ERR_EXISTS, "somebody serves at %s", address->sun_path);
    }
    if (code == ECONNREFUSED && unlink(address->sun_path) != 0 && errno != ENOENT) {
        return err_set_errno(err, errno, "cannot remove the old socket %s", address->sun_path);
    }
    return 0;
}

static int make_socket(struct store_link_server *server, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(server->path);
    if (size == 0 || size >= sizeof address.sun_path) {
        return err_set(err, ERR_LIMIT, "the path of a socket has 1 to %zu characters, not: %.120s",
                       sizeof address.sun_path - 1, server->path);
    }
    (void)memcpy(address.sun_path, server->path, size);
    int rc = make_way(&address, err);
    if (rc != 0) {
        return rc;
    }
    struct stat status;
    server->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the socket's mode: it is never more open than it shall be. */
    if (server->listening < 0 || fchmod(server->listening, 0600) != 0 ||
        bind(server->listening, (const struct sockaddr *)&address, sizeof address) != 0) {
        return err_set_errno(err, errno, "cannot make the socket %s", server->path);
    }
    if (lstat(server->path, &status) == 0) {
        server->device = status.st_dev;
        server->inode = status.st_ino;
    }
    rc = server->user_count != 0 ? open_to_all(server->path, err) : 0;
    if (rc == 0 && listen(server->listening, BACKLOG) != 0) {
        rc = err_set_errno(err, errno, "cannot listen at %s", server->path);
    }
    return rc;
}

static void remove_socket(const struct store_link_server *server)
{
    struct stat status;
    if (server->inode != 0 && lstat(server->path, &status) == 0 &&
        status.st_dev == server->device && status.st_ino == server->inode) {
        (void)unlink(server->path); /* else the next server does */
    }
}

/* ---- connections ---- */

static bool may_connect(const struct store_link_server *server, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    bool may = peer.uid == 0 || peer.uid == geteuid();
    for (size_t i = 0; i < server->user_count; i++) {
        may |= peer.uid == server->users[i];
    }
    return may;
}

static void refuse(int take_fd, enum err_kind kind, const char *why)
{
    struct err err = ERR_INIT;
    struct buf out;
    (void)err_set(&err, kind, "%s", why); /* what is sent */
    buf_init(&out, 0);
    link_put_error(&out, &err);
    (void)send(take_fd, out.data, out.length, MSG_NOSIGNAL | MSG_DONTWAIT); /* a courtesy */
    buf_done(&out);
    (void)close(take_fd);
}

static void connection_free(struct server_connection *take_connection)
{
    link_stream_done(&take_connection->stream);
    buf_done(&take_connection->out);
    free(take_connection);
}

static void add_connection(struct store_link_server *server, int take_fd)
{
    struct err err = ERR_INIT;
    if (!may_connect(server, take_fd)) {
        refuse(take_fd, ERR_DENIED, "this user may not use the store");
        return;
    }
    if (server->count >= server->limit) { /* this thread alone adds */
        refuse(take_fd, ERR_UNAVAILABLE, "the store serves as many connections as it may");
        return;
    }
    struct server_connection *connection = memory_new(sizeof *connection);
    connection->server = server;
    link_stream_init(&connection->stream, take_fd, LINK_REQUEST_LIMIT);
    buf_init(&connection->out, LINK_HEADER + LINK_ANSWER_LIMIT);
    buf_keep_secret(&connection->out); /* some values hold keys */
    thread_lock(&server->lock);
    int rc = thread_start(&connection->thread, "link", link_serve_connection, connection, &err);
    if (rc == 0) {
        connection->next = server->connections;
        server->connections = connection;
        server->count++;
    }
    thread_unlock(&server->lock);
    if (rc != 0) {
        connection_free(connection); /* the client connects again */
    }
}

/* How long to wait before connections are accepted again: -1 for not at all. */
static int accept_all(struct store_link_server *server)
{
    for (;;) {
        int fd = accept4(server->listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            add_connection(server, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            return REST_MS;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return -1;
        }
    }
}

/* The watch's client has gone, or says what it must not. */
static void end_watch(struct server_connection *connection)
{
    thread_lock(&connection->server->lock);
    connection->gone = true;
    if (connection->watch != NULL) {
        store_watch_interrupt(connection->watch);
    }
    thread_unlock(&connection->server->lock);
}

/* Takes the connections whose threads have ended, or all, out of the list. */
static struct server_connection *take_ended(struct store_link_server *server, bool all)
{
    struct server_connection *ended = NULL;
    thread_lock(&server->lock);
    for (struct server_connection **place = &server->connections; *place != NULL;) {
        struct server_connection *one = *place;
        if (all || one->ended) {
            *place = one->next;
            one->next = ended;
            ended = one;
            server->count--;
        } else {
            place = &one->next;
        }
    }
    thread_unlock(&server->lock);
    return ended;
}

static void join_all(struct server_connection *take_connections)
{
    while (take_connections != NULL) {
        struct server_connection *one = take_connections;
        take_connections = one->next;
        thread_join(one->thread);
        connection_free(one);
    }
}

static bool is_stopping(struct store_link_server *server)
{
    thread_lock(&server->lock);
    bool stopping = server->stopping;
    thread_unlock(&server->lock);
    return stopping;
}

static int watch_descriptor(const struct store_link_server *server, int fd, void *about)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = about};
    return epoll_ctl(server->poll, EPOLL_CTL_ADD, fd, &event);
}

/* Accepts no more for a while, or again. */
static void set_accepting(struct store_link_server *server, bool accepting)
{
    struct epoll_event event = {.events = accepting ? EPOLLIN : 0, .data.ptr = &server->listening};
    (void)epoll_ctl(server->poll, EPOLL_CTL_MOD, server->listening, &event); /* it is there */
}

static void *listen_for_all(void *argument)
{
    struct store_link_server *server = argument;
    int rest_ms = -1;
    while (!is_stopping(server)) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(server->poll, events, EVENTS, rest_ms);
        if (count == 0) {
            set_accepting(server, true);
            rest_ms = -1;
        }
        for (int i = 0; i < count; i++) {
            void *about = events[i].data.ptr;
            if (about == &server->listening) {
                rest_ms = accept_all(server);
                if (rest_ms >= 0) {
                    set_accepting(server, false);
                }
            } else if (about == &server->wake) {
                uint64_t times = 0;
                IGNORE_RESULT(read(server->wake, &times, sizeof times)); /* it was readable */
                set_accepting(server, true); /* who ended leaves a descriptor */
                rest_ms = -1;
            } else {
                end_watch(about);
            }
        }
        join_all(take_ended(server, false)); /* after the events, which may speak of them */
    }
    return NULL;
}

/* ---- life ---- */

static void copy_config(struct store_link_server *server, const struct store_link_config *config)
{
    struct arena *memory = &server->memory;
    arena_init(memory, 0);
    server->path = arena_strdup(memory, config->path);
    server->user_count = config->user_count;
    server->users = arena_array(memory, config->user_count + 1, sizeof *server->users);
    for (size_t i = 0; i < config->user_count; i++) {
        server->users[i] = config->users[i];
    }
    server->grant_count = config->grant_count;
    server->grants = arena_array(memory, config->grant_count + 1, sizeof *server->grants);
    for (size_t i = 0; i < config->grant_count; i++) {
        server->grants[i] =
            (struct store_link_grant){.prefix = arena_strdup(memory, config->grants[i].prefix),
                                      .write = config->grants[i].write};
    }
    server->limit = config->connections != 0 ? config->connections : STORE_LINK_CONNECTIONS;
}

int store_link_listen(const struct store_link_config *config, struct store_link_server **ret_server,
                      struct err *err)
{
    struct store_link_server *server = memory_new(sizeof *server);
    (void)pthread_mutex_init(&server->lock, NULL); /* cannot fail with default attributes */
    copy_config(server, config);
    server->listening = -1;
    server->poll = epoll_create1(EPOLL_CLOEXEC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = server->poll < 0 || server->wake < 0
                 ? err_set_errno(err, errno, "cannot make an event queue")
                 : make_socket(server, err);
    if (rc == 0 && (watch_descriptor(server, server->listening, &server->listening) != 0 ||
                    watch_descriptor(server, server->wake, &server->wake) != 0)) {
        rc = err_set_errno(err, errno, "cannot wait for connections at %s", server->path);
    }
    if (rc != 0) {
        store_link_stop(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

int store_link_serve(struct store_link_server *server, struct store *store, struct err *err)
{
    server->store = store;
    int rc = thread_start(&server->thread, "links", listen_for_all, server, err);
    server->started = rc == 0;
    return rc;
}

static void stop_threads(struct store_link_server *server)
{
    const uint64_t one = 1;
    thread_lock(&server->lock);
    server->stopping = true;
    thread_unlock(&server->lock);
    IGNORE_RESULT(write(server->wake, &one, sizeof one)); /* fails when it is readable anyway */
    thread_join(server->thread);
    thread_lock(&server->lock);
    for (struct server_connection *one_of = server->connections; one_of != NULL;
         one_of = one_of->next) {
        (void)shutdown(one_of->stream.fd, SHUT_RDWR); /* it may have gone before */
        one_of->gone = true;
        if (one_of->watch != NULL) {
            store_watch_interrupt(one_of->watch);
        }
    }
    thread_unlock(&server->lock);
    join_all(take_ended(server, true));
}

static void close_descriptor(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

void store_link_stop(struct store_link_server *take_server)
{
    if (take_server == NULL) {
        return;
    }
    remove_socket(take_server);
    if (take_server->started) {
        stop_threads(take_server);
    }
    close_descriptor(take_server->listening);
    close_descriptor(take_server->poll);
    close_descriptor(take_server->wake);
    arena_done(&take_server->memory);
    (void)pthread_mutex_destroy(&take_server->lock);
    free(take_server);
}
