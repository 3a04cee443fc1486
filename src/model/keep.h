/* What a daemon of a later version put into a stored value, kept by this one when it writes the
 * value anew. For records that are decoded into a struct and encoded from it; those that are
 * changed as trees keep everything by themselves. Thread: any. */
#ifndef MODEL_KEEP_H
#define MODEL_KEEP_H

#include "base/macro.h"

#include <stddef.h>

#include <jansson.h>

/* The value that a record was decoded from; value NULL: it is new. Borrowed. */
struct model_stored {
    const void *value;
    size_t size;
};

/* Gives the fresh tree every member of the value before that it lacks, and its version where that
 * is later. The fresh tree has all members that this version knows. Takes the tree, which may be
 * NULL; returns it, or NULL when memory ran out. */
json_t *model_keep(json_t *take_fresh, const struct model_stored *before) MUST_CHECK;

#endif
