/* One connection of a link's server: requests become calls of the store, and answers. Run by the
 * connection's own thread, which is started by server.c and ends when the client goes, says what
 * is no request, or takes too long in the middle of one. Invariant: what a client is not granted is
 * refused before the store is asked. */
#include "base/text.h"
#include "store/link/server.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MS 10000 /* from a request's first byte to its last */
#define ANSWER_MS 10000  /* for the client to read an answer */
/* Of all large frames that are in memory at once. */
#define BYTES_LIMIT (4 * LINK_ANSWER_LIMIT)

/* ---- what clients may ---- */

static bool granted(const struct store_link_server *server, const char *key, bool write)
{
    bool may = server->grant_count == 0;
    for (size_t i = 0; i < server->grant_count && !may; i++) {
        may = text_starts(key, server->grants[i].prefix) && (server->grants[i].write || !write);
    }
    return may;
}

static int denied(const char *key, struct err *err)
{
    return err_set(err, ERR_DENIED, "this link does not lead to %.160s",
                   key[0] != '\0' ? key : "the whole store");
}

static int check_txn(const struct store_link_server *server, const struct store_txn *txn,
                     struct err *err)
{
    for (size_t i = 0; i < txn->compare_count; i++) {
        if (!granted(server, txn->compares[i].key, false)) {
            return denied(txn->compares[i].key, err);
        }
    }
    for (size_t i = 0; i < txn->op_count; i++) {
        if (!granted(server, txn->ops[i].key, true)) {
            return denied(txn->ops[i].key, err);
        }
    }
    return 0;
}

static int check(const struct store_link_server *server, const struct link_request *request,
                 struct err *err)
{
    switch (request->type) {
    case LINK_GET:
    case LINK_RANGE:
    case LINK_COUNT:
    case LINK_WATCH:
        return granted(server, request->key, false) ? 0 : denied(request->key, err);
    case LINK_RANGES:
        for (size_t i = 0; i < request->prefix_count; i++) {
            if (!granted(server, request->prefixes[i], false)) {
                return denied(request->prefixes[i], err);
            }
        }
        return 0;
    case LINK_COMMIT:
        return check_txn(server, request->txn, err);
    case LINK_COMPACT:
        return server->grant_count == 0
                   ? 0
                   : err_set(err, ERR_DENIED, "this link may not drop the store's history");
    case LINK_REVISION:
    case LINK_GRANT:
    case LINK_KEEPALIVE:
    case LINK_REVOKE:
    case LINK_NEXT:
    case LINK_HELLO:
    case LINK_DONE:
    case LINK_FAILED:
    case LINK_BATCH:
        break;
    }
    return 0;
}

/* ---- memory ---- */

/* Large frames of all connections together have a limit. */
static int claim(struct store_link_server *server, size_t size, struct err *err)
{
    if (size <= LINK_LARGE) {
        return 0;
    }
    if (atomic_fetch_add_explicit(&server->bytes, size, memory_order_relaxed) + size <=
        BYTES_LIMIT) {
        return 0;
    }
    (void)atomic_fetch_sub_explicit(&server->bytes, size, memory_order_relaxed);
    return err_set(err, ERR_MEMORY, "the links have too much in memory; try again");
}

static void unclaim(struct store_link_server *server, size_t size)
{
    if (size > LINK_LARGE) {
        (void)atomic_fetch_sub_explicit(&server->bytes, size, memory_order_relaxed);
    }
}

/* Sends what is in `out`. */
static int send_out(struct server_connection *connection)
{
    struct store_link_server *server = connection->server;
    struct err err = ERR_INIT; /* a client that cannot be told has gone */
    struct mono deadline = mono_from_now(ANSWER_MS * TIME_MS);
    size_t size = connection->out.length;
    int claimed = claim(server, size, &err);
    if (claimed != 0) {
        link_buffer_rest(&connection->out);
        link_put_error(&connection->out, &err);
    }
    int rc = link_stream_send(&connection->stream, &connection->out, deadline, NULL, &err);
    if (claimed == 0) {
        unclaim(server, size);
    }
    link_buffer_rest(&connection->out);
    return rc;
}

static void put_past(struct server_connection *connection)
{
    link_put_number(&connection->out, store_past(connection->server->store));
}

/* ---- watches ---- */

/* Whether a watch that has been open may go on: what it has seen is the past of what is here. */
static int check_past(struct store *store, const struct link_request *request, struct err *err)
{
    int64_t revision = 0;
    if (!request->again) {
        return 0;
    }
    int rc = store_revision(store, &revision, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t past = store_past(store);
    if (revision < request->number || (request->past != 0 && past != request->past)) {
        return err_set(err, ERR_COMPACTED, "the store has another history than it had");
    }
    return 0;
}

/* From now on the listener's thread ends the watch when the client goes. */
static int open_watch(struct server_connection *connection, const struct link_request *request,
                      struct err *err)
{
    struct store_link_server *server = connection->server;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = connection};
    struct store_watch *watch = NULL;
    int rc = check_past(server->store, request, err);
    rc = rc != 0 ? rc : store_watch_open(server->store, request->key, request->number, &watch, err);
    if (rc != 0) {
        return rc;
    }
    thread_lock(&server->lock);
    connection->watch = watch;
    if (connection->gone) {
        store_watch_interrupt(watch);
    }
    thread_unlock(&server->lock);
    return epoll_ctl(server->poll, EPOLL_CTL_ADD, connection->stream.fd, &event) == 0
               ? 0
               : err_set(err, ERR_MEMORY, "a link's connection cannot be watched");
}

static void close_watch(struct server_connection *connection)
{
    struct store_watch *watch = connection->watch; /* only this thread sets it */
    thread_lock(&connection->server->lock);
    connection->watch = NULL;
    thread_unlock(&connection->server->lock);
    store_watch_close(watch);
}

static int next_batch(struct server_connection *connection, const struct link_request *request,
                      struct err *err)
{
    struct store_batch batch;
    int64_t timeout_ms = MAX(MIN(request->number, (int64_t)INT_MAX), -1);
    int rc = store_watch_next(connection->watch, (int)timeout_ms, &batch, err);
    if (rc == 0) {
        put_past(connection);
        link_put_batch(&connection->out, &batch);
    }
    return rc;
}

/* ---- calls ---- */

/* Asks the store, and puts the result behind what has begun. */
static int ask_to_read(struct server_connection *connection, const struct link_request *request,
                       struct err *err)
{
    struct store *store = connection->server->store;
    struct buf *out = &connection->out;
    struct arena arena CLEANUP(arena_done) = {0};
    struct store_entry entry;
    struct store_list lists[STORE_RANGES_LIMIT];
    size_t count = 1;
    arena_init(&arena, LINK_ANSWER_LIMIT);
    arena_keep_secret(&arena); /* some values hold keys */
    int rc = 0;
    if (request->type == LINK_GET) {
        rc = store_get(store, request->key, &arena, &entry, err);
    } else if (request->type == LINK_RANGES) {
        count = request->prefix_count;
        rc = store_ranges(store, request->prefixes, count, &arena, lists, err);
    } else if (request->bare) {
        rc = store_range_values(store, request->key, request->after, (size_t)request->limit, &arena,
                                lists, err);
    } else {
        rc = store_range(store, request->key, request->after, (size_t)request->limit, &arena, lists,
                         err);
    }
    if (rc != 0) {
        return rc;
    }
    put_past(connection);
    if (request->type == LINK_GET) {
        link_put_entry(out, &entry);
    }
    for (size_t i = 0; request->type != LINK_GET && i < count; i++) {
        link_put_list(out, &lists[i]);
    }
    return 0;
}

/* The same for what is answered with one number or none. */
static int ask(struct server_connection *connection, const struct link_request *request,
               struct err *err)
{
    struct store *store = connection->server->store;
    int64_t number = 0;
    size_t count = 0;
    bool none = false;
    int rc = 0;
    switch (request->type) {
    case LINK_GET:
    case LINK_RANGE:
    case LINK_RANGES:
        return ask_to_read(connection, request, err);
    case LINK_COUNT:
        rc = store_count(store, request->key, &count, err);
        number = (int64_t)count;
        break;
    case LINK_REVISION:
        rc = store_revision(store, &number, err);
        break;
    case LINK_COMMIT:
        rc = store_commit(store, request->txn, &number, err);
        break;
    case LINK_GRANT:
        rc = store_lease_grant(store, request->number, &number, err);
        break;
    case LINK_COMPACT:
        rc = store_compact(store, request->number, err);
        none = true;
        break;
    case LINK_KEEPALIVE:
        rc = store_lease_keepalive(store, request->number, err);
        none = true;
        break;
    case LINK_REVOKE:
        rc = store_lease_revoke(store, request->number, err);
        none = true;
        break;
    case LINK_WATCH:
        rc = open_watch(connection, request, err);
        none = true;
        break;
    case LINK_NEXT:
        return next_batch(connection, request, err);
    case LINK_HELLO:
    case LINK_DONE:
    case LINK_FAILED:
    case LINK_BATCH:
        return err_set(err, ERR_INTERNAL, "a link was asked what is no call");
    }
    if (rc == 0) {
        put_past(connection);
        if (!none) {
            link_put_number(&connection->out, (uint64_t)number);
        }
    }
    return rc;
}

static int answer(struct server_connection *connection, const struct link_request *request)
{
    struct err err = ERR_INIT;
    struct buf *out = &connection->out;
    bool next = request->type == LINK_NEXT;
    if (next != (connection->watch != NULL)) {
        IGNORE_RESULT(err_set(&err, ERR_INVALID, "a link's connection is for calls or a watch"));
        link_put_error(out, &err);
        IGNORE_RESULT(send_out(connection)); /* its last */
        return err.code;
    }
    size_t begun = link_begin(out, next ? LINK_BATCH : LINK_DONE);
    int rc = check(connection->server, request, &err);
    rc = rc != 0 ? rc : ask(connection, request, &err);
    link_end(out, begun);
    if (rc == 0 && buf_failed(out)) {
        /* What a watch cannot be told it can read. */
        rc = err_set(&err, next ? ERR_COMPACTED : ERR_LIMIT,
                     "the answer is too large for the link: read in pages");
    }
    if (rc != 0) {
        link_buffer_rest(out);
        link_put_error(out, &err);
    }
    return send_out(connection);
}

/* ---- the connection ---- */

static int greet(struct server_connection *connection)
{
    link_put_hello(&connection->out, store_past(connection->server->store));
    return send_out(connection);
}

/* Waits for a request as long as it takes; one that has begun must be over soon. */
static int read_frame(struct server_connection *connection, struct link_frame *ret_frame,
                      size_t *ret_claimed, struct err *err)
{
    struct link_stream *stream = &connection->stream;
    struct mono deadline = LINK_NEVER;
    for (;;) {
        int rc = link_stream_take(stream, ret_frame, err);
        if (rc != 0) {
            return MIN(rc, 0);
        }
        size_t announced = link_stream_announced(stream);
        if (announced >= LINK_HEADER && *ret_claimed == 0 && announced > LINK_LARGE) {
            rc = claim(connection->server, announced, err);
            if (rc != 0) {
                return rc;
            }
            *ret_claimed = announced;
        }
        if (announced != 0 && deadline.ns == INT64_MAX) {
            deadline = mono_from_now(REQUEST_MS * TIME_MS);
        }
        rc = link_stream_fill(stream, deadline, err);
        if (rc != 0) {
            return rc;
        }
    }
}

/* One request; not 0 when it was the last. */
static int serve_one(struct server_connection *connection)
{
    struct err err = ERR_INIT;
    struct link_frame frame;
    struct link_request request;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = NULL;
    size_t claimed = 0;
    int rc = read_frame(connection, &frame, &claimed, &err);
    rc = rc != 0 ? rc : link_read_request(&frame, &request, &txn, &err);
    if (rc != 0 && err.kind != ERR_UNAVAILABLE) {
        link_put_error(&connection->out, &err);
        IGNORE_RESULT(send_out(connection)); /* its last */
    } else if (rc == 0) {
        rc = answer(connection, &request);
    }
    unclaim(connection->server, claimed);
    return rc;
}

void *link_serve_connection(void *argument)
{
    struct server_connection *connection = argument;
    struct store_link_server *server = connection->server;
    int rc = greet(connection);
    while (rc == 0) {
        rc = serve_one(connection);
    }
    const uint64_t one = 1;
    close_watch(connection);
    (void)shutdown(connection->stream.fd, SHUT_RDWR); /* it may have gone before */
    thread_lock(&server->lock);
    connection->ended = true;
    thread_unlock(&server->lock);
    IGNORE_RESULT(write(server->wake, &one, sizeof one)); /* fails when it is readable anyway */
    return NULL;
}
