/* Watches of a link's client: a connection each, over which the server is asked for batches; see
 * client.h. Called through store.h, a watch by one thread at a time, but for the interrupt. It has
 * no thread: who waits in store_watch_next reads the socket. When the connection is lost it is made
 * anew and goes on behind what was handed out. Invariant: a batch is handed out once, whole, in the
 * order of revisions, with keys under the prefix only, whatever the server sends. */
#include "base/memory.h"
#include "base/text.h"
#include "store/link/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY_FIRST_MS 5
#define RETRY_LAST_MS 100

enum watch_state {
    WATCH_AWAY,     /* no connection: made at `due` */
    WATCH_GREETING, /* HELLO is to come until `due` */
    WATCH_OPENING,  /* the watch is to be open until `due` */
    WATCH_READY,    /* the next batch can be asked for */
    WATCH_ASKED,    /* the answer is to come until `due` */
};

struct link_watch {
    struct store_watch base;
    struct link_store *self;
    char *prefix;
    int wake; /* an eventfd: readable once interrupted */
    _Atomic bool interrupted;
    bool compacted; /* what the watch needs is gone: for good */
    bool again;     /* it was open once */
    enum watch_state state;
    int64_t delivered;
    uint64_t past; /* that `delivered` is of */
    struct mono due;
    int retry_ms;
    struct link_stream stream;
    struct arena arena; /* the last batch */
};

static struct link_watch *watch_of(struct store_watch *watch)
{
    return CONTAINER_OF(watch, struct link_watch, base);
}

static int compacted(struct err *err)
{
    return err_set(err, ERR_COMPACTED, "the history that the watch needs is gone");
}

static void disconnect(struct link_watch *watch)
{
    link_stream_done(&watch->stream);
    watch->state = WATCH_AWAY;
    watch->due = mono_from_now(watch->retry_ms * TIME_MS);
    watch->retry_ms = MIN(watch->retry_ms * 2, RETRY_LAST_MS);
}

static int connect_and_ask(struct link_watch *watch, struct err *err)
{
    int rc = link_connect(watch->self, &watch->stream, err);
    if (rc != 0) {
        disconnect(watch);
        return rc;
    }
    struct mono deadline = mono_from_now(watch->self->timeout_ms * TIME_MS);
    struct buf out;
    buf_init(&out, 0);
    link_put_request(&out, &(struct link_request){.type = LINK_WATCH,
                                                  .key = watch->prefix,
                                                  .number = watch->delivered,
                                                  .again = watch->again,
                                                  .past = watch->past});
    rc = link_stream_send(&watch->stream, &out, deadline, NULL, err);
    buf_done(&out);
    if (rc != 0) {
        disconnect(watch);
        return rc;
    }
    watch->state = WATCH_GREETING;
    watch->due = deadline;
    return 0;
}

/* ---- what the server says ---- */

/* Whether the batch goes on behind what was delivered, and is of the prefix alone. */
static int check_batch(const struct link_watch *watch, const struct store_batch *batch,
                       struct err *err)
{
    int64_t before = watch->delivered + 1;
    bool fits = batch->revision >= watch->delivered;
    for (size_t i = 0; i < batch->count && fits; i++) {
        const struct store_entry *entry = &batch->changes[i].entry;
        fits = entry->changed_revision >= before && entry->changed_revision <= batch->revision &&
               text_starts(entry->key, watch->prefix);
        before = entry->changed_revision;
    }
    return fits ? 0 : link_unexpected(err);
}

static int take_batch(struct link_watch *watch, const struct link_frame *frame,
                      struct store_batch *ret_batch, struct err *err)
{
    struct bytes_reader reader = link_reader(frame);
    link_note_past(watch->self, &reader);
    /* The buffer may be used for what comes next; the batch stays until the next call. */
    size_t size = bytes_left(&reader);
    void *copy = arena_try_memdup(&watch->arena, reader.data + reader.at, size);
    if (copy == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for a batch of changes");
    }
    struct bytes_reader body = bytes_reader(copy, size);
    struct store_batch batch;
    int rc = link_get_batch(&body, &watch->arena, &batch, err);
    rc = rc != 0 ? rc : check_batch(watch, &batch, err);
    if (rc == 0) {
        watch->delivered = batch.revision;
        *ret_batch = batch;
    }
    return rc;
}

/* The watch lives on after most of what can be wrong in the store. */
static int take_failure(struct link_watch *watch, const struct link_frame *frame, struct err *err)
{
    int rc = link_get_error(frame, err);
    watch->compacted = err->kind == ERR_COMPACTED;
    bool fine = watch->state == WATCH_ASKED && err->kind != ERR_CORRUPT &&
                err->kind != ERR_CANCELLED && err->kind != ERR_INVALID;
    if (!fine) {
        disconnect(watch);
        return rc;
    }
    watch->state = WATCH_READY;
    return rc;
}

static void take_opening(struct link_watch *watch, const struct link_frame *frame)
{
    struct bytes_reader reader = link_reader(frame);
    link_note_past(watch->self, &reader);
    watch->past = atomic_load_explicit(&watch->self->past, memory_order_relaxed);
    watch->state = WATCH_READY;
    watch->again = true;
    watch->retry_ms = RETRY_FIRST_MS;
}

/* 1: there is a batch; 0: on with the next frame. */
static int take_frame(struct link_watch *watch, const struct link_frame *frame,
                      struct store_batch *ret_batch, struct err *err)
{
    int rc = 0;
    if (frame->type == LINK_FAILED) {
        return take_failure(watch, frame, err);
    }
    if (watch->state == WATCH_GREETING) {
        rc = link_greeted(watch->self, frame, err);
        watch->state = WATCH_OPENING;
    } else if (watch->state == WATCH_OPENING && frame->type == LINK_DONE) {
        take_opening(watch, frame);
    } else if (watch->state == WATCH_ASKED && frame->type == LINK_BATCH) {
        rc = take_batch(watch, frame, ret_batch, err);
        watch->state = WATCH_READY;
        rc = rc != 0 ? rc : 1;
    } else {
        rc = link_unexpected(err);
    }
    if (rc < 0) {
        disconnect(watch);
    }
    return rc;
}

/* Frames that are here already. As take_frame. */
static int take_frames(struct link_watch *watch, struct store_batch *ret_batch, struct err *err)
{
    int rc = 0;
    while (rc == 0 && watch->state != WATCH_AWAY && watch->state != WATCH_READY) {
        struct link_frame frame;
        rc = link_stream_take(&watch->stream, &frame, err);
        if (rc == 0) {
            return 0;
        }
        if (rc < 0) {
            disconnect(watch);
            return rc;
        }
        rc = take_frame(watch, &frame, ret_batch, err);
    }
    return rc;
}

/* ---- waiting ---- */

static void ask(struct link_watch *watch, struct mono deadline)
{
    struct err err = ERR_INIT; /* a connection that is lost is made anew */
    struct mono soon = mono_from_now(watch->self->timeout_ms * TIME_MS);
    const struct link_request request = {.type = LINK_NEXT,
                                         .number = link_milliseconds_until(deadline)};
    struct buf out;
    buf_init(&out, 0);
    link_put_request(&out, &request);
    int rc = link_stream_send(&watch->stream, &out, soon, NULL, &err);
    buf_done(&out);
    if (rc != 0) {
        disconnect(watch);
        return;
    }
    watch->state = WATCH_ASKED;
    watch->due =
        deadline.ns == INT64_MAX
            ? LINK_NEVER
            : (struct mono){MAX(deadline.ns, mono_now().ns) + watch->self->timeout_ms * TIME_MS};
}

/* Does what is due now: connects, asks, gives a server up that does not answer. What the server has
 * against the watch is the caller's to know; that there is none is not: it comes back. */
static int step(struct link_watch *watch, struct mono deadline, struct err *err)
{
    bool due = mono_since(mono_now(), watch->due) >= 0;
    if (watch->state == WATCH_READY && link_stream_announced(&watch->stream) != 0) {
        disconnect(watch);
        return link_unexpected(err);
    }
    if (watch->state == WATCH_READY) {
        ask(watch, deadline);
    } else if (due && watch->state != WATCH_AWAY) {
        disconnect(watch);
    } else if (due && connect_and_ask(watch, err) != 0) {
        bool passing = err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT;
        return passing ? 0 : err->code;
    }
    return 0;
}

/* Waits until something comes, is due, the deadline is over, or the watch is interrupted. Who has
 * asked waits for the answer, which comes at the deadline. */
static int wait_for_more(struct link_watch *watch, struct mono deadline, struct err *err)
{
    struct mono until = watch->due;
    if (watch->state != WATCH_ASKED && mono_since(deadline, until) < 0) {
        until = deadline;
    }
    struct pollfd polled[2] = {{.fd = watch->wake, .events = POLLIN},
                               {.fd = watch->stream.fd, .events = POLLIN}};
    int ready = poll(polled, 2, link_milliseconds_until(until));
    if (ready < 0 && errno != EINTR) {
        return err_set_errno(err, errno, "cannot wait for the store's changes");
    }
    if (ready <= 0 || polled[1].revents == 0) {
        return 0;
    }
    struct err lost = ERR_INIT;
    if (link_stream_fill_now(&watch->stream, &lost) != 0 && lost.kind != ERR_TIMEOUT) {
        disconnect(watch);
    }
    return 0;
}

/* An error that is no reason to tell the caller: the connection is made anew. */
static bool passes(const struct link_watch *watch, const struct err *err)
{
    return watch->state == WATCH_AWAY && !watch->compacted &&
           (err->kind == ERR_CANCELLED || err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT);
}

static int next(struct link_watch *watch, struct mono deadline, struct store_batch *ret_batch,
                struct err *err)
{
    for (bool late = false;;) {
        if (atomic_load_explicit(&watch->interrupted, memory_order_acquire)) {
            return err_set(err, ERR_CANCELLED, "the watch was interrupted");
        }
        if (watch->compacted) {
            return compacted(err);
        }
        int rc = take_frames(watch, ret_batch, err);
        if (rc > 0) {
            return 0;
        }
        rc = rc != 0 ? rc : step(watch, deadline, err);
        if (rc != 0 && !passes(watch, err)) {
            return rc;
        }
        if (late && watch->state != WATCH_ASKED) {
            return err_set(err, ERR_TIMEOUT, "nothing changed under %.160s in time", watch->prefix);
        }
        late = link_milliseconds_until(deadline) == 0;
        rc = wait_for_more(watch, deadline, err);
        if (rc != 0) {
            return rc;
        }
    }
}

int link_watch_next(struct store_watch *base, int timeout_ms, struct store_batch *ret_batch,
                    struct err *err)
{
    struct link_watch *watch = watch_of(base);
    arena_done(&watch->arena); /* the last batch ends here */
    struct mono deadline = timeout_ms < 0 ? LINK_NEVER : mono_from_now(timeout_ms * TIME_MS);
    int rc = next(watch, deadline, ret_batch, err);
    if (rc == 0) {
        err_clear(err);
    }
    return rc;
}

/* ---- life ---- */

/* The server has the watch, so what is committed from now on cannot be missed. */
static int open_now(struct link_watch *watch, struct err *err)
{
    struct mono deadline = mono_from_now(watch->self->timeout_ms * TIME_MS);
    struct store_batch none; /* batches are not sent before they are asked for */
    int rc = connect_and_ask(watch, err);
    while (rc == 0 && watch->state != WATCH_READY) {
        rc = link_stream_fill(&watch->stream, deadline, err);
        rc = rc != 0 ? rc : take_frames(watch, &none, err);
    }
    return rc;
}

int link_watch_open(struct store *store, const char *prefix, int64_t after,
                    struct store_watch **ret_watch, struct err *err)
{
    struct link_watch *watch = memory_new(sizeof *watch);
    watch->base.store = store;
    watch->self = link_of(store);
    watch->prefix = memory_strdup(prefix);
    watch->delivered = after;
    watch->retry_ms = RETRY_FIRST_MS;
    watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->stream.fd = -1;
    arena_init(&watch->arena, 0);
    arena_keep_secret(&watch->arena); /* some values hold keys */
    int rc = watch->wake < 0 ? err_set_errno(err, errno, "cannot make an eventfd")
                             : open_now(watch, err);
    if (rc != 0 && !watch->compacted) {
        link_watch_close(&watch->base);
        return rc;
    }
    *ret_watch = &watch->base;
    return 0;
}

void link_watch_interrupt(struct store_watch *base)
{
    struct link_watch *watch = watch_of(base);
    const uint64_t one = 1;
    atomic_store_explicit(&watch->interrupted, true, memory_order_release);
    IGNORE_RESULT(write(watch->wake, &one, sizeof one)); /* fails when it is readable anyway */
}

void link_watch_close(struct store_watch *take_watch)
{
    struct link_watch *watch = watch_of(take_watch);
    link_stream_done(&watch->stream);
    if (watch->wake >= 0) {
        (void)close(watch->wake);
    }
    arena_done(&watch->arena);
    free(watch->prefix);
    free(watch);
}
