/* Takes JSON apart while it arrives: a stream of messages, each an object, in which one array (of
 * key-value pairs, of events) may be far larger than the rest. The array's elements are handed out
 * one by one as text, the rest of a message as one text with an empty array, so that memory is
 * bounded by the largest element and not by the answer. Only the structure is looked at; whoever
 * gets a text parses it. Thread: one at a time; embedded in its owner. */
#ifndef STORE_ETCD_SPLITTER_H
#define STORE_ETCD_SPLITTER_H

#include "base/buf.h"
#include "base/macro.h"

#include <stddef.h>

/* Item and message return 0, or what splitter_feed then returns. The text is borrowed for the call.
 */
struct splitter_calls {
    void (*begin)(void *context); /* at each reset: what was handed out comes again; may be NULL */
    int (*item)(void *context, const char *text, size_t size);
    int (*message)(void *context, const char *text, size_t size);
    void *context;
};

struct splitter {
    struct splitter_calls calls;
    const char *array; /* the array's name with quotes: "\"events\"" */
    unsigned level;    /* how many objects are around the array */
    unsigned depth;    /* open brackets */
    unsigned in_array; /* depth inside the array, 0 outside */
    bool in_string;
    bool escaped;
    struct buf item;
    struct buf envelope;
};

/* limit: bytes of an element, and of the rest of a message. array must be a literal. */
void splitter_init(struct splitter *splitter, const char *array, unsigned level, size_t limit,
                   const struct splitter_calls *calls);
void splitter_done(struct splitter *splitter);
/* Forgets half a message: the input starts anew. */
void splitter_reset(struct splitter *splitter);
/* 0; -EBADMSG when this is no JSON object, -E2BIG past the limit; or what a call returned. */
int splitter_feed(struct splitter *splitter, const char *data, size_t size) MUST_CHECK;
/* Whether nothing of a message has been seen that did not end. */
bool splitter_between(const struct splitter *splitter);

#endif
