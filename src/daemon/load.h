/* Loading all record sets of the store into the zone database, on several threads: private to the
 * feed, which calls it at its start and after a lost watch. */
#ifndef DAEMON_LOAD_H
#define DAEMON_LOAD_H

#include "base/err.h"
#include "base/macro.h"
#include "daemon/compiler.h"
#include "store/store.h"

#include <stdint.h>

/* Of one pass over the store, all that is read in it. */
struct load_revisions {
    int64_t first; /* of the first page; 0: none was read yet */
    int64_t last;  /* of the newest one */
};

/* A record that is left out, and why; called by any of the threads. */
typedef void (*load_report)(void *context, const char *key, const struct err *err);

/* Decodes a record set's entry and makes it ready for zone_database_put. Any thread. */
int load_prepare(const struct store_entry *entry, struct arena *arena, struct zone_put **ret_put,
                 struct err *err) MUST_CHECK;
/* Puts every record set of the store into the compiler's database, which should know the zones
 * already: records of others take longer. Returns when all are put, or with the error of a read,
 * when some may be. Not on the compiler thread. */
int load_records(struct store *store, struct compiler *compiler, load_report report, void *context,
                 struct load_revisions *revisions, struct err *err) MUST_CHECK;

#endif
