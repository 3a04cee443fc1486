/* One connection of a link: whole frames over a Unix socket, with deadlines. Private to this room;
 * both ends use it. A stream belongs to one thread at a time. What a peer announces takes no memory
 * before it has come. */
#ifndef STORE_LINK_STREAM_H
#define STORE_LINK_STREAM_H

#include "base/time.h"
#include "store/link/frame.h"

struct link_stream {
    int fd;       /* -1: none; the stream closes it */
    size_t limit; /* of a body that is read */
    struct buf in;
    size_t start; /* of what has not been taken, in `in` */
};

/* From this size on buffers are given back after use, and count against the server's memory. */
#define LINK_LARGE ((size_t)256 << 10U)

/* A deadline that never comes. */
#define LINK_NEVER ((struct mono){INT64_MAX})

/* Takes the socket. */
void link_stream_init(struct link_stream *stream, int take_fd, size_t limit);
/* Closes it, and forgets what has come. May be called twice. */
void link_stream_done(struct link_stream *stream);

/* Sends all of it. *ret_begun (may be NULL): whether the other end may have got some, set in any
 * case. ERR_UNAVAILABLE when the connection is gone, ERR_TIMEOUT. */
int link_stream_send(struct link_stream *stream, const struct buf *out, struct mono deadline,
                     bool *ret_begun, struct err *err) MUST_CHECK;
/* 1 with the next frame, which lives until the next call for this stream; 0: it has not come whole;
 * or ERR_CORRUPT. */
int link_stream_take(struct link_stream *stream, struct link_frame *ret_frame, struct err *err)
    MUST_CHECK;
/* Reads what is there, after waiting for it. Errors as link_stream_send. */
int link_stream_fill(struct link_stream *stream, struct mono deadline, struct err *err) MUST_CHECK;
/* The same without waiting: ERR_TIMEOUT when nothing is there. */
int link_stream_fill_now(struct link_stream *stream, struct err *err) MUST_CHECK;
/* Waits for a frame. */
int link_stream_receive(struct link_stream *stream, struct mono deadline,
                        struct link_frame *ret_frame, struct err *err) MUST_CHECK;
/* The size of the frame of which something has come; 0: nothing has. */
size_t link_stream_announced(const struct link_stream *stream);
/* Nothing has come, and the other end has not closed. */
bool link_stream_quiet(const struct link_stream *stream);
/* Gives a buffer's memory back when it is large. */
void link_buffer_rest(struct buf *buf);

/* Milliseconds for poll until then: -1 for LINK_NEVER, 0 when it has passed. */
int link_milliseconds_until(struct mono deadline);

#endif
