/* The quick way to read a stored record set; private to this room, public to its tests. */
#ifndef MODEL_RECORD_SET_FLAT_H
#define MODEL_RECORD_SET_FLAT_H

#include "base/arena.h"
#include "base/macro.h"
#include "model/zone.h"

#include <stdbool.h>
#include <stddef.h>

/* Reads a simple record set of A, AAAA, CNAME and the like in the form that Leeward writes: no
 * spaces, no escapes, the members Name, Type, TTL, ResourceRecords and v alone. False, and nothing
 * is said about it, for everything else: model_record_set_decode then reads it as JSON. What is
 * read here reads there as the same record (record_set_fuzz.c). */
bool record_set_flat(const void *value, size_t size, const char *zone_id, struct arena *arena,
                     struct model_record_set *ret_record) MUST_CHECK;
/* Always as JSON. */
int record_set_decode_tree(const void *value, size_t size, const char *zone_id, struct arena *arena,
                           struct model_record_set *ret_record, struct err *err) MUST_CHECK;

#endif
