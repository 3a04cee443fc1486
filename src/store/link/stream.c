/* Frames over a socket: see stream.h. Called by both ends of a link, on the thread that has the
 * stream. Invariant: what a peer announces takes no more memory than twice what has come of it. */
#include "store/link/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK ((size_t)16 << 10U)

void link_stream_init(struct link_stream *stream, int take_fd, size_t limit)
{
    *stream = (struct link_stream){.fd = take_fd, .limit = limit};
    buf_init(&stream->in, LINK_HEADER + limit + CHUNK);
    buf_keep_secret(&stream->in); /* some values hold keys */
}

void link_stream_done(struct link_stream *stream)
{
    if (stream->fd >= 0) {
        (void)close(stream->fd);
    }
    stream->fd = -1;
    stream->start = 0;
    buf_done(&stream->in);
}

void link_buffer_rest(struct buf *buf)
{
    if (buf->capacity > LINK_LARGE) {
        buf_done(buf);
    } else {
        buf_reset(buf);
    }
}

int link_milliseconds_until(struct mono deadline)
{
    if (deadline.ns == INT64_MAX) {
        return -1;
    }
    int64_t left = mono_since(deadline, mono_now());
    return left <= 0 ? 0 : (int)MIN((left + TIME_MS - 1) / TIME_MS, (int64_t)3600000);
}

static int gone(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "the link's other end closed the connection");
}

/* Whether the socket has become what is asked for. */
static int wait_for(const struct link_stream *stream, short what, struct mono deadline,
                    struct err *err)
{
    for (;;) {
        struct pollfd polled = {.fd = stream->fd, .events = what};
        int milliseconds = link_milliseconds_until(deadline);
        int ready = poll(&polled, 1, milliseconds);
        if (ready > 0) {
            return 0;
        }
        if (ready == 0 && link_milliseconds_until(deadline) == 0) {
            return err_set(err, ERR_TIMEOUT, "the link's other end did not answer in time");
        }
        if (ready < 0 && errno != EINTR) {
            return err_set_errno(err, errno, "cannot wait for the link's other end");
        }
    }
}

int link_stream_send(struct link_stream *stream, const struct buf *out, struct mono deadline,
                     bool *ret_begun, struct err *err)
{
    size_t sent = 0;
    if (ret_begun != NULL) {
        *ret_begun = false;
    }
    while (sent < out->length) {
        ssize_t size =
            send(stream->fd, out->data + sent, out->length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) {
            sent += (size_t)size;
            if (ret_begun != NULL) {
                *ret_begun = true;
            }
            continue;
        }
        if (errno == EAGAIN) {
            int rc = wait_for(stream, POLLOUT, deadline, err);
            if (rc != 0) {
                return rc;
            }
        } else if (errno != EINTR) {
            return gone(err);
        }
    }
    return 0;
}

size_t link_stream_announced(const struct link_stream *stream)
{
    size_t there = stream->in.length - stream->start;
    if (there < LINK_HEADER) {
        return there;
    }
    struct bytes_reader reader = bytes_reader(stream->in.data + stream->start, LINK_HEADER);
    return (size_t)LINK_HEADER + bytes_get_u32(&reader);
}

int link_stream_take(struct link_stream *stream, struct link_frame *ret_frame, struct err *err)
{
    size_t there = stream->in.length - stream->start;
    if (there < LINK_HEADER) {
        return 0;
    }
    const uint8_t *begin = (const uint8_t *)stream->in.data + stream->start;
    struct link_frame frame;
    int rc = link_measure(begin, stream->limit, &frame.size, &frame.type, err);
    if (rc != 0 || there - LINK_HEADER < frame.size) {
        return rc;
    }
    frame.body = begin + LINK_HEADER;
    stream->start += LINK_HEADER + frame.size;
    *ret_frame = frame;
    return 1;
}

/* Makes room behind what has come; how much. */
static size_t make_room(struct link_stream *stream)
{
    struct buf *in = &stream->in;
    size_t there = in->length - stream->start;
    if (there == 0) {
        link_buffer_rest(in);
    } else if (stream->start != 0) {
        (void)memmove(in->data, in->data + stream->start, there);
        in->length = there;
    }
    stream->start = 0;
    size_t announced = link_stream_announced(stream);
    size_t missing = announced > there ? announced - there : 0;
    return MAX(CHUNK, MIN(missing, there));
}

static int fill(struct link_stream *stream, int flags, struct err *err)
{
    size_t room_size = make_room(stream);
    char *room = buf_room(&stream->in, room_size);
    if (room == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory for a frame of the link");
    }
    ssize_t size = 0;
    do {
        size = recv(stream->fd, room, room_size, flags);
    } while (size < 0 && errno == EINTR);
    int code = errno;
    stream->in.length -= room_size - (size_t)MAX(size, 0);
    if (size > 0) {
        return 0;
    }
    if (size < 0 && code == EAGAIN) {
        return err_set(err, ERR_TIMEOUT, "the link's other end has said nothing");
    }
    return gone(err);
}

int link_stream_fill_now(struct link_stream *stream, struct err *err)
{
    return fill(stream, MSG_DONTWAIT, err);
}

int link_stream_fill(struct link_stream *stream, struct mono deadline, struct err *err)
{
    if (deadline.ns == INT64_MAX) {
        return fill(stream, 0, err);
    }
    int rc = wait_for(stream, POLLIN, deadline, err);
    return rc != 0 ? rc : fill(stream, MSG_DONTWAIT, err);
}

int link_stream_receive(struct link_stream *stream, struct mono deadline,
                        struct link_frame *ret_frame, struct err *err)
{
    for (;;) {
        int rc = link_stream_take(stream, ret_frame, err);
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
        rc = link_stream_fill(stream, deadline, err);
        if (rc != 0) {
            return rc;
        }
    }
}

bool link_stream_quiet(const struct link_stream *stream)
{
    char byte = 0;
    bool nothing = stream->in.length == stream->start;
    return nothing && recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
