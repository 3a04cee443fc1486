/* The client's end of a link, but for watches: see store/link.h and client.h. Called through
 * store.h on any thread. A call borrows a connection from the pool, or makes one, and is alone on
 * it from its request to its answer; so the caller's thread does all the work, and a call that is
 * slow is in nobody's way. Invariant: a connection in the pool has no answer outstanding; one whose
 * call failed in any way but by the server's word is closed. */
#include "store/link/client.h"

#include "base/memory.h"
#include "base/text.h"
#include "store/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CALLS 16U /* connections for calls, at once */
#define IDLE 4U   /* of them that stay open */

struct link_connection {
    struct link_connection *next;
    struct link_stream stream;
    struct buf out;
    bool used; /* it has had an answer before: the server may be another one by now */
};

/* What came of a call. */
struct answer {
    struct link_connection *connection;
    struct bytes_reader reader; /* behind the past */
};

/* ---- connections ---- */

int link_unexpected(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the link's other end answers what was not asked");
}

void link_note_past(struct link_store *self, struct bytes_reader *reader)
{
    uint64_t past = link_get_number(reader);
    if (!reader->failed) {
        atomic_store_explicit(&self->past, past, memory_order_relaxed);
    }
}

int link_connect(struct link_store *self, struct link_stream *ret_stream, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)memcpy(address.sun_path, self->path, strlen(self->path)); /* measured when opened */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set_errno(err, errno, "cannot make a socket");
    }
    /* How long connecting may take where the server's queue is full. */
    const struct timeval patience = {.tv_sec = self->timeout_ms / 1000,
                                     .tv_usec = self->timeout_ms % 1000 * 1000L};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* cannot fail */
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int code = errno;
        (void)close(fd);
        if (code == EACCES || code == EPERM) {
            return err_set_errno(err, code, "cannot connect to %s", self->path);
        }
        return err_set(err, ERR_UNAVAILABLE, "nobody serves the store at %s", self->path);
    }
    link_stream_init(ret_stream, fd, LINK_ANSWER_LIMIT);
    return 0;
}

int link_greeted(struct link_store *self, const struct link_frame *frame, struct err *err)
{
    if (frame->type == LINK_FAILED) {
        return link_get_error(frame, err);
    }
    struct bytes_reader reader = link_reader(frame);
    uint32_t magic = bytes_get_u32(&reader);
    uint8_t version = bytes_get_u8(&reader);
    link_note_past(self, &reader);
    if (frame->type != LINK_HELLO || magic != LINK_MAGIC) {
        return link_unexpected(err);
    }
    return version == LINK_VERSION && !reader.failed
               ? 0
               : err_set(err, ERR_UNSUPPORTED, "the store at %s is served by another version",
                         self->path);
}

static void connection_free(struct link_connection *take_connection)
{
    link_stream_done(&take_connection->stream);
    buf_done(&take_connection->out);
    free(take_connection);
}

/* Opens what has no socket. */
static int open_connection(struct link_store *self, struct link_connection *connection,
                           struct mono deadline, struct err *err)
{
    struct link_frame frame = {0};
    int rc = link_connect(self, &connection->stream, err);
    connection->used = false;
    rc = rc != 0 ? rc : link_stream_receive(&connection->stream, deadline, &frame, err);
    return rc != 0 ? rc : link_greeted(self, &frame, err);
}

/* NULL when all are lent until the deadline. */
static struct link_connection *borrow(struct link_store *self, struct mono deadline)
{
    struct link_connection *one = NULL;
    bool late = false;
    thread_lock(&self->lock);
    while (self->idle == NULL && self->count == CALLS && !late) {
        late = !thread_wait_until(&self->returned, &self->lock, deadline);
    }
    if (self->idle != NULL) {
        one = self->idle;
        self->idle = one->next;
        self->idle_count--;
    } else if (self->count < CALLS) {
        self->count++;
        one = memory_new(sizeof *one);
        one->stream.fd = -1;
        buf_init(&one->out, LINK_HEADER + LINK_REQUEST_LIMIT);
        buf_keep_secret(&one->out); /* some values hold keys */
    }
    thread_unlock(&self->lock);
    return one;
}

/* Back into the pool; one without a socket goes. */
static void give_back(struct link_store *self, struct link_connection *take_one)
{
    thread_lock(&self->lock);
    bool keep = take_one->stream.fd >= 0 && self->idle_count < IDLE;
    if (keep) {
        link_buffer_rest(&take_one->out);
        take_one->next = self->idle;
        self->idle = take_one;
        self->idle_count++;
    } else {
        self->count--;
    }
    (void)pthread_cond_signal(&self->returned); /* cannot fail */
    thread_unlock(&self->lock);
    if (!keep) {
        connection_free(take_one);
    }
}

/* ---- calls ---- */

/* One request and its answer. *ret_begun: the server may have had it. */
static int exchange(struct link_connection *one, struct mono deadline, bool *ret_begun,
                    struct link_frame *ret_frame, struct err *err)
{
    int rc = link_stream_send(&one->stream, &one->out, deadline, ret_begun, err);
    return rc != 0 ? rc : link_stream_receive(&one->stream, deadline, ret_frame, err);
}

/* The answer is the server's word: whatever it says, the connection is fine. */
static int judge(struct link_store *self, const struct link_frame *frame, struct bytes_reader *ret,
                 struct err *err)
{
    if (frame->type == LINK_FAILED) {
        return link_get_error(frame, err);
    }
    if (frame->type != LINK_DONE) {
        return link_unexpected(err);
    }
    *ret = link_reader(frame);
    link_note_past(self, ret);
    return 0;
}

/* Whether a request may be sent again after its connection was lost. */
static bool repeatable(enum link_type type)
{
    return type == LINK_GET || type == LINK_RANGE || type == LINK_RANGES || type == LINK_COUNT ||
           type == LINK_REVISION || type == LINK_KEEPALIVE;
}

static int call_on(struct link_store *self, struct link_connection *one,
                   const struct link_request *request, struct mono deadline,
                   struct link_frame *ret_frame, struct err *err)
{
    buf_reset(&one->out);
    link_put_request(&one->out, request);
    if (buf_failed(&one->out)) {
        return err_set(err, ERR_LIMIT, "the request is too large for the link");
    }
    for (bool again = false;; again = true) {
        bool begun = false;
        if (one->stream.fd >= 0 && !link_stream_quiet(&one->stream)) {
            link_stream_done(&one->stream); /* the server went away meanwhile */
        }
        int rc = one->stream.fd < 0 ? open_connection(self, one, deadline, err) : 0;
        bool used = one->used;
        rc = rc != 0 ? rc : exchange(one, deadline, &begun, ret_frame, err);
        if (rc == 0) {
            one->used = true;
            return 0;
        }
        link_stream_done(&one->stream);
        if (err->kind == ERR_UNAVAILABLE && used && !again &&
            (!begun || repeatable(request->type))) {
            err_clear(err);
            continue;
        }
        return begun && !repeatable(request->type)
                   ? err_wrap(err, "it is not known whether it happened")
                   : rc;
    }
}

/* The answer must be given to finish; without a connection it is none, and err says why. */
static struct answer call(struct link_store *self, const struct link_request *request,
                          struct err *err)
{
    struct answer answer = {0};
    struct link_frame frame = {0};
    struct mono deadline = mono_from_now(self->timeout_ms * TIME_MS);
    struct link_connection *one = borrow(self, deadline);
    if (one == NULL) {
        (void)err_set(err, ERR_TIMEOUT, "%u calls to the store at %s are under way", CALLS,
                      self->path); /* the caller returns it */
        return answer;
    }
    int rc = call_on(self, one, request, deadline, &frame, err);
    if (rc == 0) {
        rc = judge(self, &frame, &answer.reader, err);
        if (rc != 0 && err->kind == ERR_CORRUPT) {
            link_stream_done(&one->stream);
        }
    }
    if (rc != 0) {
        give_back(self, one);
        return answer;
    }
    answer.connection = one;
    return answer;
}

/* rc: what was found of the answer; it is returned. */
static int finish(struct link_store *self, struct answer *answer, int rc)
{
    if (rc != 0) {
        link_stream_done(&answer->connection->stream); /* it is not to be trusted any more */
    }
    give_back(self, answer->connection);
    return rc;
}

/* For answers that are one number. */
static int call_number(struct store *store, const struct link_request *request, uint64_t *ret,
                       struct err *err)
{
    struct link_store *self = link_of(store);
    struct answer answer = call(self, request, err);
    if (answer.connection == NULL) {
        return err->code;
    }
    uint64_t number = link_get_number(&answer.reader);
    if (answer.reader.failed || bytes_left(&answer.reader) != 0) {
        return finish(self, &answer, link_unexpected(err));
    }
    *ret = number;
    return finish(self, &answer, 0);
}

static int call_nothing(struct store *store, const struct link_request *request, struct err *err)
{
    struct link_store *self = link_of(store);
    struct answer answer = call(self, request, err);
    if (answer.connection == NULL) {
        return err->code;
    }
    return finish(self, &answer, bytes_left(&answer.reader) == 0 ? 0 : link_unexpected(err));
}

/* Moves what is left of the answer into the arena, so that what is read from it can stay. */
static int keep(struct answer *answer, struct arena *arena, struct err *err)
{
    size_t size = bytes_left(&answer->reader);
    void *copy = arena_try_memdup(arena, answer->reader.data + answer->reader.at, size);
    if (copy == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory reading store entries");
    }
    answer->reader = bytes_reader(copy, size);
    return 0;
}

/* ---- the table ---- */

static int link_get(struct store *store, const char *key, struct arena *arena,
                    struct store_entry *ret_entry, struct err *err)
{
    struct link_store *self = link_of(store);
    struct store_entry entry;
    struct answer answer = call(self, &(struct link_request){.type = LINK_GET, .key = key}, err);
    if (answer.connection == NULL) {
        return err->code;
    }
    int rc = keep(&answer, arena, err);
    rc = rc != 0 ? rc : link_get_entry(&answer.reader, &entry, err);
    if (rc == 0 && strcmp(entry.key, key) != 0) {
        rc = link_unexpected(err);
    }
    if (rc == 0) {
        *ret_entry = entry;
    }
    return finish(self, &answer, rc);
}

/* Whether the list is what was asked for: under the prefix, behind `after`, in order, not longer.
 */
static int check_list(const struct store_list *list, const char *prefix, const char *after,
                      size_t limit, struct err *err)
{
    const char *before = after;
    bool fits = limit == 0 || list->count <= limit;
    for (size_t i = 0; i < list->count && fits; i++) {
        const char *key = list->entries[i].key;
        fits = text_starts(key, prefix) && (before == NULL || strcmp(before, key) < 0);
        before = key;
    }
    return fits ? 0 : link_unexpected(err);
}

static int link_range(struct store *store, const char *prefix, const char *after, size_t limit,
                      bool bare, struct arena *arena, struct store_list *ret_list, struct err *err)
{
    struct link_store *self = link_of(store);
    struct store_list list;
    const struct link_request request = {
        .type = LINK_RANGE, .key = prefix, .after = after, .bare = bare, .limit = limit};
    struct answer answer = call(self, &request, err);
    if (answer.connection == NULL) {
        return err->code;
    }
    int rc = keep(&answer, arena, err);
    rc = rc != 0 ? rc : link_get_lists(&answer.reader, arena, &list, 1, err);
    rc = rc != 0 ? rc : check_list(&list, prefix, after, limit, err);
    if (rc == 0) {
        *ret_list = list;
    }
    return finish(self, &answer, rc);
}

static int link_ranges(struct store *store, const char *const *prefixes, size_t count,
                       struct arena *arena, struct store_list *ret_lists, struct err *err)
{
    struct link_store *self = link_of(store);
    struct link_request request = {.type = LINK_RANGES, .prefix_count = count};
    for (size_t i = 0; i < count; i++) {
        request.prefixes[i] = prefixes[i];
    }
    struct answer answer = call(self, &request, err);
    if (answer.connection == NULL) {
        return err->code;
    }
    int rc = keep(&answer, arena, err);
    rc = rc != 0 ? rc : link_get_lists(&answer.reader, arena, ret_lists, count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = check_list(&ret_lists[i], prefixes[i], NULL, STORE_RANGES_ENTRIES, err);
    }
    return finish(self, &answer, rc);
}

static int link_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err)
{
    uint64_t count = 0;
    int rc =
        call_number(store, &(struct link_request){.type = LINK_COUNT, .key = prefix}, &count, err);
    if (rc == 0) {
        *ret_count = (size_t)count;
    }
    return rc;
}

/* For the calls whose answer is a revision or a lease. */
static int call_signed(struct store *store, const struct link_request *request, int64_t *ret,
                       struct err *err)
{
    uint64_t number = 0;
    int rc = call_number(store, request, &number, err);
    if (rc == 0) {
        *ret = (int64_t)number;
    }
    return rc;
}

static int link_revision(struct store *store, int64_t *ret_revision, struct err *err)
{
    return call_signed(store, &(struct link_request){.type = LINK_REVISION}, ret_revision, err);
}

static uint64_t link_past(struct store *store)
{
    return atomic_load_explicit(&link_of(store)->past, memory_order_relaxed);
}

static int link_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                       struct err *err)
{
    int rc = call_signed(store, &(struct link_request){.type = LINK_COMMIT, .txn = txn},
                         ret_revision, err);
    if (rc != 0 && (err->kind == ERR_CORRUPT || err->kind == ERR_MEMORY)) {
        /* The answer was there and cannot be read: so the end is not known. */
        struct err why = *err;
        rc = err_set(err, ERR_UNAVAILABLE, "%s", why.message);
    }
    return rc;
}

static int link_compact(struct store *store, int64_t revision, struct err *err)
{
    return call_nothing(store, &(struct link_request){.type = LINK_COMPACT, .number = revision},
                        err);
}

static int link_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease,
                            struct err *err)
{
    return call_signed(store, &(struct link_request){.type = LINK_GRANT, .number = ttl_ms},
                       ret_lease, err);
}

static int link_lease_keepalive(struct store *store, int64_t lease, struct err *err)
{
    return call_nothing(store, &(struct link_request){.type = LINK_KEEPALIVE, .number = lease},
                        err);
}

static int link_lease_revoke(struct store *store, int64_t lease, struct err *err)
{
    return call_nothing(store, &(struct link_request){.type = LINK_REVOKE, .number = lease}, err);
}

static void link_close(struct store *take_store)
{
    struct link_store *self = link_of(take_store);
    while (self->idle != NULL) {
        struct link_connection *one = self->idle;
        self->idle = one->next;
        connection_free(one);
    }
    thread_sync_done(&self->lock, &self->returned);
    free(self->path);
    free(self);
}

static const struct store_backend backend = {
    .name = "link",
    .get = link_get,
    .range = link_range,
    .ranges = link_ranges,
    .count = link_count,
    .revision = link_revision,
    .past = link_past,
    .commit = link_commit,
    .watch_open = link_watch_open,
    .watch_next = link_watch_next,
    .watch_interrupt = link_watch_interrupt,
    .watch_close = link_watch_close,
    .compact = link_compact,
    .lease_grant = link_lease_grant,
    .lease_keepalive = link_lease_keepalive,
    .lease_revoke = link_lease_revoke,
    .close = link_close,
};

int store_link_open(const char *path, int timeout_ms, struct store **ret_store, struct err *err)
{
    const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
    if (path[0] == '\0' || strlen(path) >= room) {
        return err_set(err, ERR_LIMIT, "the path of a socket has 1 to %zu characters, not: %.120s",
                       room - 1, path);
    }
    struct link_store *self = memory_new(sizeof *self);
    self->base.backend = &backend;
    self->path = memory_strdup(path);
    self->timeout_ms = timeout_ms > 0 ? timeout_ms : STORE_LINK_TIMEOUT_MS;
    thread_sync_init(&self->lock, &self->returned);
    *ret_store = &self->base;
    return 0;
}
