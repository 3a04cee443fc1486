/* Frames of a link: see frame.h. Called by both ends, on any thread; keeps nothing. Invariant:
 * nothing that was read is used before it was found to lie within its frame, with the NUL that it
 * must have behind it. */
#include "store/link/frame.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_LEAST 42U /* bytes: two lengths, two NULs, four numbers */

enum { COMPARE_PRESENT = 1, COMPARE_REVISION };
enum { OP_PUT = 1, OP_PUT_LEASED, OP_DELETE, OP_DELETE_PREFIX };
enum { RANGE_BARE = 1, RANGE_AFTER = 2 };

/* ---- writing ---- */

static void put_u32(struct buf *out, size_t number)
{
    char *room = buf_room(out, 4);
    if (room != NULL) {
        struct bytes_writer writer = bytes_writer(room, 4);
        bytes_put_u32(&writer, (uint32_t)number);
    }
}

void link_put_number(struct buf *out, uint64_t number)
{
    char *room = buf_room(out, 8);
    if (room != NULL) {
        struct bytes_writer writer = bytes_writer(room, 8);
        bytes_put_u32(&writer, (uint32_t)(number >> 32U));
        bytes_put_u32(&writer, (uint32_t)number);
    }
}

static void put_signed(struct buf *out, int64_t number)
{
    link_put_number(out, (uint64_t)number);
}

static void put_bytes(struct buf *out, const void *data, size_t size)
{
    put_u32(out, size);
    buf_put(out, data, size);
    buf_putc(out, '\0');
}

static void put_text(struct buf *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

size_t link_begin(struct buf *out, enum link_type type)
{
    size_t begun = out->length;
    put_u32(out, 0);
    buf_putc(out, (char)type);
    return begun;
}

void link_end(struct buf *out, size_t begun)
{
    if (!buf_failed(out)) {
        struct bytes_writer writer = bytes_writer(out->data + begun, 4);
        bytes_put_u32(&writer, (uint32_t)(out->length - begun - LINK_HEADER));
    }
}

void link_put_hello(struct buf *out, uint64_t past)
{
    size_t begun = link_begin(out, LINK_HELLO);
    put_u32(out, LINK_MAGIC);
    buf_putc(out, LINK_VERSION);
    link_put_number(out, past);
    link_end(out, begun);
}

void link_put_entry(struct buf *out, const struct store_entry *entry)
{
    put_text(out, entry->key);
    put_bytes(out, entry->value, entry->size);
    put_signed(out, entry->created_revision);
    put_signed(out, entry->changed_revision);
    put_signed(out, entry->version);
    put_signed(out, entry->lease);
}

void link_put_list(struct buf *out, const struct store_list *list)
{
    put_signed(out, list->revision);
    buf_putc(out, list->more ? 1 : 0);
    put_u32(out, list->count);
    for (size_t i = 0; i < list->count && !buf_failed(out); i++) {
        link_put_entry(out, &list->entries[i]);
    }
}

void link_put_batch(struct buf *out, const struct store_batch *batch)
{
    put_signed(out, batch->revision);
    put_u32(out, batch->count);
    for (size_t i = 0; i < batch->count && !buf_failed(out); i++) {
        buf_putc(out, batch->changes[i].type == STORE_PUT ? 0 : 1);
        link_put_entry(out, &batch->changes[i].entry);
    }
}

static void put_op(struct buf *out, const struct store_op *op)
{
    switch (op->type) {
    case STORE_OP_PUT:
        buf_putc(out, op->leased ? OP_PUT_LEASED : OP_PUT);
        put_text(out, op->key);
        put_bytes(out, op->value, op->size);
        put_signed(out, op->lease);
        break;
    case STORE_OP_DELETE:
        buf_putc(out, OP_DELETE);
        put_text(out, op->key);
        break;
    case STORE_OP_DELETE_PREFIX:
        buf_putc(out, OP_DELETE_PREFIX);
        put_text(out, op->key);
        break;
    }
}

static void put_txn(struct buf *out, const struct store_txn *txn)
{
    put_u32(out, txn->compare_count);
    put_u32(out, txn->op_count);
    for (size_t i = 0; i < txn->compare_count; i++) {
        const struct store_compare *compare = &txn->compares[i];
        buf_putc(out, compare->type == STORE_COMPARE_PRESENT ? COMPARE_PRESENT : COMPARE_REVISION);
        put_text(out, compare->key);
        put_signed(out, compare->revision);
    }
    for (size_t i = 0; i < txn->op_count; i++) {
        put_op(out, &txn->ops[i]);
    }
}

void link_put_request(struct buf *out, const struct link_request *request)
{
    size_t begun = link_begin(out, request->type);
    switch (request->type) {
    case LINK_GET:
    case LINK_COUNT:
        put_text(out, request->key);
        break;
    case LINK_RANGE:
        buf_putc(out, (char)((request->bare ? RANGE_BARE : 0) |
                             (request->after != NULL ? RANGE_AFTER : 0)));
        put_text(out, request->key);
        put_text(out, request->after != NULL ? request->after : "");
        link_put_number(out, request->limit);
        break;
    case LINK_RANGES:
        put_u32(out, request->prefix_count);
        for (size_t i = 0; i < request->prefix_count; i++) {
            put_text(out, request->prefixes[i]);
        }
        break;
    case LINK_COMMIT:
        put_txn(out, request->txn);
        break;
    case LINK_WATCH:
        put_text(out, request->key);
        put_signed(out, request->number);
        buf_putc(out, request->again ? 1 : 0);
        link_put_number(out, request->past);
        break;
    case LINK_COMPACT:
    case LINK_GRANT:
    case LINK_KEEPALIVE:
    case LINK_REVOKE:
    case LINK_NEXT:
        put_signed(out, request->number);
        break;
    case LINK_REVISION:
    case LINK_HELLO:
    case LINK_DONE:
    case LINK_FAILED:
    case LINK_BATCH:
        break;
    }
    link_end(out, begun);
}

void link_put_error(struct buf *out, const struct err *err)
{
    size_t begun = link_begin(out, LINK_FAILED);
    put_text(out, err_kind_name(err->kind));
    put_text(out, err->message);
    link_end(out, begun);
}

/* ---- reading ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the other end of the link sent %s", what);
}

int link_measure(const uint8_t header[LINK_HEADER], size_t limit, size_t *ret_size,
                 enum link_type *ret_type, struct err *err)
{
    struct bytes_reader reader = bytes_reader(header, LINK_HEADER);
    size_t size = bytes_get_u32(&reader);
    uint8_t type = bytes_get_u8(&reader);
    bool request = type >= LINK_GET && type <= LINK_RANGES;
    bool answer = type >= LINK_HELLO && type <= LINK_BATCH;
    if (!request && !answer) {
        return corrupt("what is no frame", err);
    }
    if (size > limit) {
        return corrupt("a frame that is too long", err);
    }
    *ret_size = size;
    *ret_type = (enum link_type)type;
    return 0;
}

uint64_t link_get_number(struct bytes_reader *reader)
{
    uint64_t high = bytes_get_u32(reader);
    return high << 32U | bytes_get_u32(reader);
}

static int64_t get_signed(struct bytes_reader *reader)
{
    return (int64_t)link_get_number(reader);
}

/* With its NUL; "" when the reader failed. */
static const void *get_bytes(struct bytes_reader *reader, size_t *ret_size)
{
    size_t size = bytes_get_u32(reader);
    const uint8_t *data = size <= bytes_left(reader) ? bytes_get(reader, size) : NULL;
    if (data == NULL || bytes_get_u8(reader) != '\0' || reader->failed) {
        reader->failed = true;
        size = 0;
    }
    *ret_size = size;
    return reader->failed ? (const void *)"" : data;
}

static const char *get_text(struct bytes_reader *reader)
{
    size_t size = 0;
    const char *text = get_bytes(reader, &size);
    if (size != 0 && memchr(text, '\0', size) != NULL) {
        reader->failed = true;
        return "";
    }
    return text;
}

/* 0, when all was there and nothing is left. */
static int get_end(const struct bytes_reader *reader, struct err *err)
{
    return reader->failed || bytes_left(reader) != 0 ? corrupt("a damaged frame", err) : 0;
}

static void get_compare(struct bytes_reader *reader, struct store_txn *txn)
{
    uint8_t type = bytes_get_u8(reader);
    const char *key = get_text(reader);
    int64_t revision = get_signed(reader);
    if (reader->failed) {
        return;
    }
    if (type == COMPARE_PRESENT) {
        store_txn_require_present(txn, key);
    } else if (type == COMPARE_REVISION) {
        store_txn_require_revision(txn, key, revision);
    } else {
        reader->failed = true;
    }
}

static void get_op(struct bytes_reader *reader, struct store_txn *txn)
{
    uint8_t type = bytes_get_u8(reader);
    const char *key = get_text(reader);
    bool put = type == OP_PUT || type == OP_PUT_LEASED;
    size_t size = 0;
    const void *value = put ? get_bytes(reader, &size) : "";
    int64_t lease = put ? get_signed(reader) : 0;
    if (reader->failed) {
        return;
    }
    switch (type) {
    case OP_PUT:
        store_txn_put(txn, key, value, size);
        break;
    case OP_PUT_LEASED:
        store_txn_put_leased(txn, key, value, size, lease);
        break;
    case OP_DELETE:
        store_txn_delete(txn, key);
        break;
    case OP_DELETE_PREFIX:
        store_txn_delete_prefix(txn, key);
        break;
    default:
        reader->failed = true;
        break;
    }
}

/* Stops where the transaction would pass a limit: it says so itself when it is committed. */
static int get_txn(struct bytes_reader *reader, struct store_txn *txn, struct err *err)
{
    size_t compares = bytes_get_u32(reader);
    size_t ops = bytes_get_u32(reader);
    for (size_t i = 0; i < compares && !reader->failed && txn->error.code == 0; i++) {
        get_compare(reader, txn);
    }
    for (size_t i = 0; i < ops && !reader->failed && txn->error.code == 0; i++) {
        get_op(reader, txn);
    }
    if (txn->error.code != 0 && !reader->failed) {
        return 0;
    }
    return get_end(reader, err);
}

static int read_range(struct bytes_reader *reader, struct link_request *request, struct err *err)
{
    unsigned flags = bytes_get_u8(reader);
    request->bare = (flags & RANGE_BARE) != 0;
    request->key = get_text(reader);
    const char *after = get_text(reader);
    request->after = (flags & RANGE_AFTER) != 0 ? after : NULL;
    request->limit = link_get_number(reader);
    return get_end(reader, err);
}

static int read_ranges(struct bytes_reader *reader, struct link_request *request, struct err *err)
{
    size_t count = bytes_get_u32(reader);
    if (count > STORE_RANGES_LIMIT) {
        return corrupt("too many prefixes", err);
    }
    for (size_t i = 0; i < count; i++) {
        request->prefixes[i] = get_text(reader);
    }
    request->prefix_count = count;
    return get_end(reader, err);
}

int link_read_request(const struct link_frame *frame, struct link_request *ret_request,
                      struct store_txn **ret_txn, struct err *err)
{
    struct bytes_reader reader = link_reader(frame);
    struct link_request request = {.type = frame->type, .key = ""};
    struct store_txn *txn = NULL;
    int rc = 0;
    switch (frame->type) {
    case LINK_GET:
    case LINK_COUNT:
        request.key = get_text(&reader);
        rc = get_end(&reader, err);
        break;
    case LINK_RANGE:
        rc = read_range(&reader, &request, err);
        break;
    case LINK_RANGES:
        rc = read_ranges(&reader, &request, err);
        break;
    case LINK_COMMIT:
        txn = store_txn_new();
        rc = get_txn(&reader, txn, err);
        request.txn = txn;
        break;
    case LINK_WATCH:
        request.key = get_text(&reader);
        request.number = get_signed(&reader);
        request.again = bytes_get_u8(&reader) != 0;
        request.past = link_get_number(&reader);
        rc = get_end(&reader, err);
        break;
    case LINK_COMPACT:
    case LINK_GRANT:
    case LINK_KEEPALIVE:
    case LINK_REVOKE:
    case LINK_NEXT:
        request.number = get_signed(&reader);
        rc = get_end(&reader, err);
        break;
    case LINK_REVISION:
        rc = get_end(&reader, err);
        break;
    case LINK_HELLO:
    case LINK_DONE:
    case LINK_FAILED:
    case LINK_BATCH:
        rc = corrupt("an answer where a request belongs", err);
        break;
    }
    if (rc != 0) {
        store_txn_free(txn);
        return rc;
    }
    *ret_request = request;
    *ret_txn = txn;
    return 0;
}

static struct store_entry get_entry(struct bytes_reader *reader)
{
    struct store_entry entry = {.key = get_text(reader)};
    entry.value = get_bytes(reader, &entry.size);
    entry.created_revision = get_signed(reader);
    entry.changed_revision = get_signed(reader);
    entry.version = get_signed(reader);
    entry.lease = get_signed(reader);
    return entry;
}

int link_get_entry(struct bytes_reader *reader, struct store_entry *ret_entry, struct err *err)
{
    struct store_entry entry = get_entry(reader);
    int rc = get_end(reader, err);
    if (rc == 0) {
        *ret_entry = entry;
    }
    return rc;
}

/* Room for as many things as the reader announces, which have `least` bytes each. */
static int get_array(struct bytes_reader *reader, size_t least, size_t size, struct arena *arena,
                     size_t *ret_count, void **ret_array, struct err *err)
{
    size_t count = bytes_get_u32(reader);
    if (reader->failed || count > bytes_left(reader) / least) {
        return corrupt("a damaged frame", err);
    }
    void *array = arena_try_alloc(arena, MAX(count, 1U) * size);
    if (array == NULL) {
        return err_set(err, ERR_MEMORY, "out of memory reading %zu store entries", count);
    }
    *ret_count = count;
    *ret_array = array;
    return 0;
}

static int get_list(struct bytes_reader *reader, struct arena *arena, struct store_list *ret_list,
                    struct err *err)
{
    struct store_list list = {.revision = get_signed(reader)};
    void *entries = NULL;
    list.more = bytes_get_u8(reader) != 0;
    int rc =
        get_array(reader, ENTRY_LEAST, sizeof *list.entries, arena, &list.count, &entries, err);
    if (rc != 0) {
        return rc;
    }
    list.entries = entries;
    for (size_t i = 0; i < list.count && !reader->failed; i++) {
        list.entries[i] = get_entry(reader);
    }
    *ret_list = list;
    return 0;
}

int link_get_lists(struct bytes_reader *reader, struct arena *arena, struct store_list *ret_lists,
                   size_t count, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = get_list(reader, arena, &ret_lists[i], err);
    }
    return rc != 0 ? rc : get_end(reader, err);
}

int link_get_batch(struct bytes_reader *reader, struct arena *arena, struct store_batch *ret_batch,
                   struct err *err)
{
    struct store_batch batch = {.revision = get_signed(reader)};
    struct store_change *changes = NULL;
    void *array = NULL;
    int rc = get_array(reader, ENTRY_LEAST + 1, sizeof *changes, arena, &batch.count, &array, err);
    if (rc != 0) {
        return rc;
    }
    changes = array;
    for (size_t i = 0; i < batch.count && !reader->failed; i++) {
        changes[i].type = bytes_get_u8(reader) == 0 ? STORE_PUT : STORE_DELETE;
        changes[i].entry = get_entry(reader);
    }
    rc = get_end(reader, err);
    batch.changes = changes;
    if (rc == 0) {
        *ret_batch = batch;
    }
    return rc;
}

static enum err_kind kind_of(const char *name)
{
#define X(kind, number, text, retryable)                                                           \
    if (text_equal(name, err_kind_name(ERR_##kind))) {                                             \
        return ERR_##kind;                                                                         \
    }
    ERR_KINDS(X)
#undef X
    return ERR_NONE;
}

int link_get_error(const struct link_frame *frame, struct err *err)
{
    struct bytes_reader reader = link_reader(frame);
    enum err_kind kind = kind_of(get_text(&reader));
    const char *message = get_text(&reader);
    int rc = get_end(&reader, err);
    if (rc != 0) {
        return rc;
    }
    if (kind == ERR_NONE) {
        return corrupt("an error of a kind that is not known here", err);
    }
    return err_set(err, kind, "%s", message);
}
