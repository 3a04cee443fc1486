/* What the two ends of a link say to each other: frames of a length (u32), a type (u8), and a body.
 * Bytes in, bytes out; no I/O. Private to this room.
 *
 *   client                                        server
 *                                                 HELLO magic, version, past
 *   GET, RANGE, RANGES, COUNT, COMMIT, ..         DONE past, result; or FAILED kind, message
 *   WATCH; then only:                             DONE past; or FAILED
 *   NEXT time; one after the other                BATCH past, changes; or FAILED
 *
 * A watch is asked for each batch, as store_watch_next is: so nothing waits in a socket for a
 * client that is slow, and what compaction takes from it is the same as without the link.
 *
 * Numbers are big-endian. Text and values have a length (u32) before and a NUL behind them, so that
 * they can be used where they lie. Both ends judge everything: a length against what is left, text
 * for NULs, counts for what can be there. Thread: any. */
#ifndef STORE_LINK_FRAME_H
#define STORE_LINK_FRAME_H

#include "base/buf.h"
#include "base/bytes.h"
#include "store/txn.h"

#define LINK_MAGIC 0x4c574c4bU /* LWLK */
#define LINK_VERSION 1U        /* another one is refused: both ends are of one installation */
#define LINK_HEADER 5U
/* Bodies. A request: a transaction, and what stands around its keys and values. An answer: whole
 * lists and batches. */
#define LINK_REQUEST_LIMIT ((size_t)STORE_TXN_BYTES_LIMIT + (size_t)64 * STORE_TXN_OPS_LIMIT)
#define LINK_ANSWER_LIMIT ((size_t)64 << 20U)

enum link_type {
    LINK_GET = 1,
    LINK_RANGE,
    LINK_COUNT,
    LINK_REVISION,
    LINK_COMMIT,
    LINK_COMPACT,
    LINK_GRANT,
    LINK_KEEPALIVE,
    LINK_REVOKE,
    LINK_WATCH,
    LINK_NEXT,
    LINK_RANGES,
    LINK_HELLO = 65,
    LINK_DONE,
    LINK_FAILED,
    LINK_BATCH,
};

/* Borrowed; where it lies is said by who gives it. */
struct link_frame {
    enum link_type type;
    const uint8_t *body;
    size_t size;
};

struct link_request {
    enum link_type type;
    const char *key;   /* GET; the prefix of RANGE, COUNT, WATCH */
    const char *after; /* RANGE; NULL: from the first */
    bool bare;
    uint64_t limit;
    int64_t
        number; /* the revision of COMPACT and WATCH, milliseconds of GRANT and NEXT, the lease */
    bool again; /* WATCH: it has been open before, in this past: */
    uint64_t past;
    const struct store_txn *txn;              /* COMMIT */
    const char *prefixes[STORE_RANGES_LIMIT]; /* RANGES */
    size_t prefix_count;
};

/* ---- writing: appends to a buffer, whose own limit and failure hold ---- */

/* Begins a frame; what is put behind it is its body until link_end, which takes what this gave. */
size_t link_begin(struct buf *out, enum link_type type) MUST_CHECK;
void link_end(struct buf *out, size_t begun);
void link_put_number(struct buf *out, uint64_t number);
void link_put_hello(struct buf *out, uint64_t past);
void link_put_entry(struct buf *out, const struct store_entry *entry);
void link_put_list(struct buf *out, const struct store_list *list);
void link_put_batch(struct buf *out, const struct store_batch *batch);
void link_put_request(struct buf *out, const struct link_request *request);
void link_put_error(struct buf *out, const struct err *err);

/* ---- reading ---- */

/* How long the body is of a frame that begins so. ERR_CORRUPT for what is longer than the limit. */
int link_measure(const uint8_t header[LINK_HEADER], size_t limit, size_t *ret_size,
                 enum link_type *ret_type, struct err *err) MUST_CHECK;
/* Strings lie in the frame. ret_txn: of COMMIT, to be freed by the caller, else NULL; it may carry
 * what is wrong with it. ERR_CORRUPT. */
int link_read_request(const struct link_frame *frame, struct link_request *ret_request,
                      struct store_txn **ret_txn, struct err *err) MUST_CHECK;

static inline struct bytes_reader link_reader(const struct link_frame *frame)
{
    return bytes_reader(frame->body, frame->size);
}

uint64_t link_get_number(struct bytes_reader *reader);
/* These point into what the reader reads; arrays lie in the arena. ERR_CORRUPT; ERR_MEMORY. Nothing
 * may be left behind the last one. */
int link_get_entry(struct bytes_reader *reader, struct store_entry *ret_entry, struct err *err)
    MUST_CHECK;
int link_get_lists(struct bytes_reader *reader, struct arena *arena, struct store_list *ret_lists,
                   size_t count, struct err *err) MUST_CHECK;
int link_get_batch(struct bytes_reader *reader, struct arena *arena, struct store_batch *ret_batch,
                   struct err *err) MUST_CHECK;
/* Fills err with what a FAILED frame says, and returns its code; never 0. */
int link_get_error(const struct link_frame *frame, struct err *err) MUST_CHECK;

#endif
