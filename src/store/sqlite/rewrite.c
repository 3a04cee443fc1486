/* Rewriting the file without what was deleted: see sqlite.h. Called by the daemon at start, main
 * thread, through a connection of its own. Invariant: SQLite's VACUUM is a transaction: the file
 * holds the same entries at every moment. */
#include "store/sqlite.h"
#include "store/sqlite/internal.h"

/* Moves the log into the file and empties it. */
static int empty_log(struct sqlite_connection *connection, struct err *err)
{
    int code =
        sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_failure(connection, code, "rewrite", err);
}

int store_sqlite_rewrite(struct store *store, struct err *err)
{
    struct sqlite_connection connection;
    int64_t revision = 0;
    int rc = store_revision(store, &revision, err);
    rc = rc != 0 ? rc : store_compact(store, revision, err);
    rc = rc != 0 ? rc
                 : sqlite_connection_open(&connection, sqlite_store_of(store)->kind,
                                          sqlite_store_of(store)->file, err);
    if (rc != 0) {
        return rc;
    }
    int code = sqlite3_exec(connection.db, "VACUUM", NULL, NULL, NULL);
    rc = code == SQLITE_OK ? empty_log(&connection, err)
                           : sqlite_failure(&connection, code, "rewrite", err);
    sqlite_connection_close(&connection);
    return rc;
}
