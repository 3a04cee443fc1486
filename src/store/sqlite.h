/* The SQLite store: embedded, durable, for one process. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store/store.h"

/* Opens (and creates) <directory>/leeward.db in WAL mode with synchronous=FULL, and locks the
 * directory against a second process (ERR_EXISTS, naming the lock file and the pid in it). Upgrades
 * older schemas; refuses newer ones by name. */
int store_sqlite_open(const char *directory, struct store **ret_store, struct err *err) MUST_CHECK;
/* The same in <directory>/local.db, under the same lock: where the store is shared with other
 * sites, what belongs to this node alone and must outlive it without the others. */
int store_sqlite_open_local(const char *directory, struct store **ret_store, struct err *err)
    MUST_CHECK;
/* Drops all history and rewrites the files of such a store, so that nothing that was ever deleted
 * or replaced is left in them. Reads and writes go on, slowly; watches may get ERR_COMPACTED. */
int store_sqlite_rewrite(struct store *store, struct err *err) MUST_CHECK;

#endif
