/* The wanted record sets of endpoints in their hosted zone. Private to this room.
 *
 * What is written carries a mark, "DatabaseGroup": only record sets with one are ever changed or
 * deleted; where somebody else's is in the way it stays. */
#ifndef DATABASE_ENDPOINT_NAMES_H
#define DATABASE_ENDPOINT_NAMES_H

#include "base/err.h"
#include "base/macro.h"
#include "database/endpoint/wanted.h"
#include "store/store.h"

struct names {
    struct store *store;
    const char *zone; /* with a dot at its end */
    uint32_t ttl_s;
};

struct names_result {
    size_t puts;
    size_t deletes;
    size_t blocked; /* names that somebody else's record set holds */
};

/* Makes the zone have the wanted record sets, and no other ones with a mark, but for those of the
 * groups to keep, which stay as they are. One transaction, which compares the zone as every change
 * of it does; none when nothing is to be done. ERR_NOT_FOUND: there is no such zone, or it is
 * another server's; ERR_CONFLICT: somebody else was first, to be tried again. */
int names_write(const struct names *names, const struct wanted_list *wanted,
                const char *const *keep, size_t keep_count, struct names_result *ret_result,
                struct err *err) MUST_CHECK;

#endif
