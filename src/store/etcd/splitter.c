/* Taking JSON apart while it arrives: see splitter.h. Called by the gateway's answers and the
 * watch's stream, on the thread that drives curl. Invariant: outside a string every bracket moves
 * the depth by one, so a message ends exactly when the depth is back at 0. */
#include "store/etcd/splitter.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

#define DEPTH_LIMIT 64U

void splitter_init(struct splitter *splitter, const char *array, unsigned level, size_t limit,
                   const struct splitter_calls *calls)
{
    *splitter = (struct splitter){.calls = *calls, .array = array, .level = level};
    buf_init(&splitter->item, limit);
    buf_init(&splitter->envelope, limit);
    buf_keep_secret(&splitter->item); /* some values hold keys */
}

void splitter_done(struct splitter *splitter)
{
    buf_done(&splitter->item);
    buf_done(&splitter->envelope);
}

void splitter_reset(struct splitter *splitter)
{
    splitter->depth = 0;
    splitter->in_array = 0;
    splitter->in_string = false;
    splitter->escaped = false;
    buf_reset(&splitter->item);
    buf_reset(&splitter->envelope);
    if (splitter->calls.begin != NULL) {
        splitter->calls.begin(splitter->calls.context);
    }
}

bool splitter_between(const struct splitter *splitter)
{
    return splitter->depth == 0;
}

/* Whether what stands in the envelope ends in the array's name and a colon. */
static bool at_array(const struct splitter *splitter)
{
    const char *text = buf_text(&splitter->envelope);
    size_t length = splitter->envelope.length;
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '[')) {
        length--;
    }
    size_t name = strlen(splitter->array);
    return length > name && text[length - 1] == ':' &&
           memcmp(text + length - 1 - name, splitter->array, name) == 0;
}

/* Where a text of a string ends: the first quote or backslash, or the end of the data. */
static size_t string_run(const char *data, size_t size)
{
    const char *quote = memchr(data, '"', size);
    size_t run = quote != NULL ? (size_t)(quote - data) : size;
    const char *slash = memchr(data, '\\', run);
    return slash != NULL ? (size_t)(slash - data) : run;
}

static struct buf *target(struct splitter *splitter)
{
    return splitter->in_array != 0 ? &splitter->item : &splitter->envelope;
}

static int close_bracket(struct splitter *splitter, char c)
{
    if (splitter->depth == 0) {
        return -EBADMSG;
    }
    int rc = 0;
    splitter->depth--;
    if (splitter->in_array != 0 && splitter->depth + 1 == splitter->in_array) {
        splitter->in_array = 0; /* the array ends: its bracket belongs to the envelope */
        buf_reset(&splitter->item);
    }
    buf_putc(target(splitter), c);
    if (splitter->in_array != 0 && splitter->depth == splitter->in_array) {
        if (buf_failed(&splitter->item)) {
            return -E2BIG;
        }
        rc = splitter->calls.item(splitter->calls.context, buf_text(&splitter->item),
                                  splitter->item.length);
        buf_reset(&splitter->item);
    } else if (splitter->depth == 0) {
        if (buf_failed(&splitter->envelope)) {
            return -E2BIG;
        }
        rc = splitter->calls.message(splitter->calls.context, buf_text(&splitter->envelope),
                                     splitter->envelope.length);
        buf_reset(&splitter->envelope);
    }
    return rc;
}

/* A byte outside a string. */
static int take(struct splitter *splitter, char c)
{
    switch (c) {
    case '"':
        if (splitter->depth == 0) {
            return -EBADMSG;
        }
        splitter->in_string = true;
        buf_putc(target(splitter), c);
        return 0;
    case '{':
    case '[':
        if (splitter->depth == DEPTH_LIMIT || (splitter->depth == 0 && c != '{')) {
            return -EBADMSG;
        }
        buf_putc(target(splitter), c);
        splitter->depth++;
        if (c == '[' && splitter->in_array == 0 && splitter->depth == splitter->level + 1 &&
            at_array(splitter)) {
            splitter->in_array = splitter->depth;
        }
        return 0;
    case '}':
    case ']':
        return close_bracket(splitter, c);
    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return 0;
    default:
        if (splitter->depth == 0) {
            return -EBADMSG;
        }
        if (splitter->in_array == 0 || splitter->depth > splitter->in_array) {
            buf_putc(target(splitter), c); /* commas between the elements are dropped */
        }
        return 0;
    }
}

int splitter_feed(struct splitter *splitter, const char *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        if (!splitter->in_string) {
            int rc = take(splitter, data[i++]);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        if (splitter->escaped) {
            buf_putc(target(splitter), data[i++]);
            splitter->escaped = false;
            continue;
        }
        size_t run = string_run(data + i, size - i);
        buf_put(target(splitter), data + i, run);
        i += run;
        if (i < size) {
            splitter->escaped = data[i] == '\\';
            splitter->in_string = data[i] != '"';
            buf_putc(target(splitter), data[i++]);
        }
    }
    return buf_failed(target(splitter)) ? -E2BIG : 0;
}
