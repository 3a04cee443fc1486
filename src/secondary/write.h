/* What a transfer brought, written into the store as Route 53 record sets; private to this room. */
#ifndef SECONDARY_WRITE_H
#define SECONDARY_WRITE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/zonefile/incoming.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* What is stored when a transfer begins: it is written only while that still holds, so that of
 * several daemons on one store one wins, and nothing is written once the zone has no primary. */
struct write_base {
    bool has_serial;         /* else no transfer has written the records yet, or not all of them */
    uint32_t serial;         /* that they are of */
    struct wall transferred; /* when they were written; 0: never */
    struct wall checked;     /* when the primary last confirmed them, coarsely; 0: never */
    int64_t state_revision;
    int64_t tags_revision;
};

/* ERR_NOT_FOUND when the zone has no primary (any more). */
int write_begin(struct store *store, const char *zone_id, struct arena *arena,
                struct write_base *ret_base, struct err *err) MUST_CHECK;
/* Makes the stored records those of result, which is not INCOMING_CURRENT; *ret_changes: record
 * sets put or deleted. As one transaction where it fits one, else in several, of which each leaves
 * whole record sets; the first of those forgets the serial and the last one stores the new one, so
 * that after an interruption the whole zone is fetched. ERR_NOT_FOUND when the zone is gone;
 * ERR_CONFLICT when the base holds no more. */
int write_zone(struct store *store, const char *zone_id, struct wall now,
               const struct write_base *base, const struct incoming_result *result,
               struct arena *arena, size_t *ret_changes, struct err *err) MUST_CHECK;
/* Notes that the primary has nothing newer. Errors as write_zone. */
int write_checked(struct store *store, const char *zone_id, struct wall now,
                  const struct write_base *base, struct arena *arena, struct err *err) MUST_CHECK;

#endif
