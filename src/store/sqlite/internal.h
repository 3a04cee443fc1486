/* The SQLite backend's inside: connections, statements, and the writer. Private to this folder.
 *
 * One writer connection, used by whichever thread leads a group of commits (writer.c), and a small
 * pool of readers (reader.c), so that a read never waits for an fsync. A connection belongs to one
 * thread at a time; its statements are prepared once. Invariant: all tables change only inside the
 * writer's transaction, which ends in one COMMIT with its fsync before anybody is told. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "store/backend.h"
#include "store/hub.h"
#include "store/leases.h"
#include "store/txn.h"

#include <pthread.h>

#include <sqlite3.h>

#define SQLITE_READERS 4U

/* X(name, sql) */
#define SQLITE_STATEMENTS(X)                                                                       \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(META, "SELECT revision, compacted FROM meta")                                                \
    X(SET_META, "UPDATE meta SET revision = ?1, compacted = ?2")                                   \
    X(GET, "SELECT key, value, created, changed, version, lease FROM entry WHERE key = ?1")        \
    X(RANGE, "SELECT key, value, created, changed, version, lease FROM entry"                      \
             " WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3")                                \
    X(RANGE_VALUES, "SELECT key, value FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key"       \
                    " LIMIT ?3")                                                                   \
    X(COUNT, "SELECT count(*) FROM entry WHERE key >= ?1 AND key < ?2")                            \
    X(STAMP, "SELECT created, changed, version FROM entry WHERE key = ?1")                         \
    X(PUT, "INSERT OR REPLACE INTO entry (key, value, created, changed, version, lease)"           \
           " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                     \
    X(LOG_PUT, "INSERT INTO history (revision, sequence, type, key, value, created, version,"      \
               " lease) VALUES (?4, ?7, 0, ?1, ?2, ?3, ?5, ?6)")                                   \
    X(DELETE, "DELETE FROM entry WHERE key >= ?1 AND key < ?2")                                    \
    X(LOG_DELETE, "INSERT INTO history (revision, sequence, type, key, value, created, version,"   \
                  " lease) SELECT ?3, ?4 + row_number() OVER (ORDER BY key), 1, key, NULL, 0, 0,"  \
                  " 0 FROM entry WHERE key >= ?1 AND key < ?2")                                    \
    X(DELETE_LEASED, "DELETE FROM entry WHERE lease = ?1 AND lease != 0")                          \
    X(LOG_DELETE_LEASED,                                                                           \
      "INSERT INTO history (revision, sequence, type, key, value, created, version, lease)"        \
      " SELECT ?2, row_number() OVER (ORDER BY key), 1, key, NULL, 0, 0, 0 FROM entry"             \
      " WHERE lease = ?1 AND lease != 0")                                                          \
    X(CHANGES, "SELECT revision, type, key, value, created, version, lease FROM history"           \
               " WHERE revision > ?3 AND key >= ?1 AND key < ?2 ORDER BY revision, sequence")      \
    X(HISTORY_BYTES, "SELECT total(length(key) + coalesce(length(value), 0)) FROM history"         \
                     " WHERE revision > ?1 AND revision <= ?2")                                    \
    X(HISTORY_SIZES, "SELECT revision, total(length(key) + coalesce(length(value), 0))"            \
                     " FROM history WHERE revision > ?1 GROUP BY revision ORDER BY revision")      \
    X(TRIM, "DELETE FROM history WHERE revision <= ?1")                                            \
    X(LEASE_ADD, "INSERT INTO lease (id, ttl_ms) VALUES (?1, ?2)")                                 \
    X(LEASE_DROP, "DELETE FROM lease WHERE id = ?1")                                               \
    X(LEASES, "SELECT id, ttl_ms FROM lease")                                                      \
    X(COPY, "SELECT hash_key, checksum, heard, complete, past FROM copy")                          \
    X(SET_COPY, "UPDATE copy SET checksum = ?1, heard = ?2, complete = ?3, past = ?4")             \
    X(RECENT, "SELECT key FROM history ORDER BY revision DESC, sequence DESC LIMIT ?1")            \
    X(FORGET, "DELETE FROM history")

enum sqlite_statement {
#define X(name, sql) SQL_##name,
    SQLITE_STATEMENTS(X)
#undef X
        SQL_COUNT_OF
};

/* What a file of this backend is for. */
struct sqlite_kind {
    const char *file;          /* its name in the directory */
    const char *lock;          /* the name of the file that is locked */
    int application;           /* PRAGMA application_id */
    const char *sync;          /* PRAGMA synchronous */
    int log_pages;             /* a log of this many is moved into the file by the next commit */
    const char *advice;        /* what to do about a damaged one */
    const char *const *schema; /* each step brings a file to the version of its index + 1 */
    size_t schema_count;
};

extern const struct sqlite_kind sqlite_kind_store;
extern const struct sqlite_kind sqlite_kind_local;

struct sqlite_connection {
    sqlite3 *db;
    const struct sqlite_kind *kind;
    const char *file; /* the store's, for messages */
    int log_pages;    /* in the log after the last commit */
    sqlite3_stmt *statements[SQL_COUNT_OF];
};

struct sqlite_request;

struct sqlite_store {
    struct store base;
    const struct sqlite_kind *kind;
    char *file;    /* in the directory */
    int directory; /* descriptor of the lock file */
    struct store_hub hub;
    struct store_leases leases;

    pthread_mutex_t writer_lock; /* over the five below; not held during a transaction */
    pthread_cond_t writer_free;
    bool writer_busy; /* somebody leads: the connection is theirs */
    struct sqlite_request *first;
    struct sqlite_request **last;
    struct sqlite_connection writer;
    int64_t revision;      /* of the last committed transaction; the leader's */
    int64_t compacted;     /* as revision */
    int64_t history;       /* as revision: bytes of the keys and values of history */
    _Atomic int64_t floor; /* history up to here counts as compacted, whatever the file says */

    pthread_mutex_t reader_lock; /* over the two below */
    pthread_cond_t reader_free;
    struct sqlite_connection readers[SQLITE_READERS];
    bool reader_busy[SQLITE_READERS];
};

/* ---- connection.c ---- */

/* Opens file, sets the connection up, prepares nothing yet. ERR_UNSUPPORTED on a file system that
 * cannot share memory between connections, which the write-ahead log needs. */
int sqlite_connection_open(struct sqlite_connection *connection, const struct sqlite_kind *kind,
                           const char *file, struct err *err) MUST_CHECK;
void sqlite_connection_close(struct sqlite_connection *connection);
/* Moves what the log holds into the file, as far as no reader needs it, and syncs both. */
int sqlite_connection_checkpoint(struct sqlite_connection *connection, struct err *err) MUST_CHECK;
/* Fills err from the connection's last error: full disk, I/O, damage (naming the file), memory. */
int sqlite_failure(const struct sqlite_connection *connection, int code, const char *doing,
                   struct err *err) COLD;
/* The statement, prepared, reset and without bindings; NULL with err filled. */
sqlite3_stmt *sqlite_statement(struct sqlite_connection *connection, enum sqlite_statement which,
                               struct err *err) MUST_CHECK;
/* Runs a statement that gives no rows, and resets it. */
int sqlite_run(struct sqlite_connection *connection, sqlite3_stmt *statement, const char *doing,
               struct err *err) MUST_CHECK;
/* Both in one, for statements without parameters. */
int sqlite_execute(struct sqlite_connection *connection, enum sqlite_statement which,
                   struct err *err) MUST_CHECK;
/* Ends a transaction that is open, whatever state it is in. When SQLite cannot, the connection is
 * closed (db NULL): a snapshot that stayed open would show old data as new. */
void sqlite_roll_back(struct sqlite_connection *connection);
/* The lowest bytes that sort behind every key under prefix: the prefix's successor, or more 0xff
 * bytes than a key has. Borrowed by the statement for its run. */
struct sqlite_bound {
    unsigned char data[STORE_KEY_LIMIT + 1];
    int size;
};
void sqlite_bound_after_prefix(const char *prefix, struct sqlite_bound *ret_bound);
/* Parameters 1 and 2: from prefix to its bound. */
void sqlite_bind_prefix(sqlite3_stmt *statement, const char *prefix,
                        const struct sqlite_bound *bound);
/* Bytes of the keys and values of history after one revision, up to another. */
int sqlite_history_bytes(struct sqlite_connection *connection, int64_t after, int64_t to,
                         int64_t *ret_bytes, struct err *err) MUST_CHECK;
int sqlite_read_meta(struct sqlite_connection *connection, int64_t *ret_revision,
                     int64_t *ret_compacted, struct err *err) MUST_CHECK;
/* Creates or upgrades the tables; refuses files that are not ours or from a newer version. */
int sqlite_prepare_schema(struct sqlite_connection *connection, struct err *err) MUST_CHECK;

/* ---- sqlite.c ---- */

/* A store of this kind in the directory, locked, its file not opened yet. */
int sqlite_store_new(const char *directory, const struct sqlite_kind *kind,
                     const struct store_backend *table, struct sqlite_store *take_memory,
                     struct err *err) MUST_CHECK;
/* Makes the file, when there is none, and opens the writer with its tables and revisions. */
int sqlite_store_open_file(struct sqlite_store *self, struct err *err) MUST_CHECK;
void sqlite_store_close(struct store *take_store);

/* ---- reader.c: the reads of backend.h ---- */

/* A row of GET, RANGE or, bare, RANGE_VALUES; the entry borrows from the row and key. */
int sqlite_row_entry(const struct sqlite_connection *reader, sqlite3_stmt *row, bool bare,
                     char key[STORE_KEY_LIMIT + 1], struct store_entry *entry, struct err *err)
    MUST_CHECK;
/* *ret_found: there is one; its key is the caller's, its value in the arena. */
int sqlite_find(struct sqlite_connection *connection, const char *key, struct arena *arena,
                bool *ret_found, struct store_entry *ret_entry, struct err *err) MUST_CHECK;
/* Waits for all readers, closes them and keeps them; then gives them back. */
void sqlite_readers_stop(struct sqlite_store *self);
void sqlite_readers_go(struct sqlite_store *self);

int sqlite_store_get(struct store *store, const char *key, struct arena *arena,
                     struct store_entry *ret_entry, struct err *err);
int sqlite_store_range(struct store *store, const char *prefix, const char *after, size_t limit,
                       bool bare, struct arena *arena, struct store_list *ret_list,
                       struct err *err);
int sqlite_store_ranges(struct store *store, const char *const *prefixes, size_t count,
                        struct arena *arena, struct store_list *ret_lists, struct err *err);
int sqlite_store_count(struct store *store, const char *prefix, size_t *ret_count, struct err *err);
int sqlite_store_revision(struct store *store, int64_t *ret_revision, struct err *err);
int sqlite_store_changes(struct store *store, const char *prefix, int64_t after,
                         struct arena *arena, struct store_batch *ret_batch, struct err *err);

/* ---- writer.c: the writes of backend.h ---- */

/* The state of the database inside the writer's transaction. */
struct sqlite_progress {
    int64_t revision;
    int64_t compacted;
    int64_t history; /* as self->history */
};

/* Runs PUT or LOG_PUT: the same parameters but for the sequence. */
int sqlite_run_put(struct sqlite_store *self, enum sqlite_statement which,
                   const struct store_op *op, const struct store_entry *stamp, int64_t sequence,
                   struct err *err) MUST_CHECK;
/* Deletes and logs what the operation names; moves the sequence on. */
int sqlite_apply_delete(struct sqlite_store *self, const struct store_op *op, int64_t revision,
                        int64_t *sequence, struct err *err) MUST_CHECK;
/* Drops history that is compacted: what was asked for, a little of what is beyond
 * STORE_HISTORY_KEEP, and all that is beyond STORE_HISTORY_BYTES. */
int sqlite_trim(struct sqlite_store *self, struct sqlite_progress *progress, struct err *err)
    MUST_CHECK;
int sqlite_set_meta(struct sqlite_store *self, const struct sqlite_progress *progress,
                    struct err *err) MUST_CHECK;
/* Opens the writer's transaction, and the writer where it is closed. */
int sqlite_begin_write(struct sqlite_store *self, struct err *err) MUST_CHECK;

int sqlite_store_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                        struct err *err);
int sqlite_store_compact(struct store *store, int64_t revision, struct err *err);
int sqlite_store_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease,
                             struct err *err);
int sqlite_lease_end(void *context, int64_t lease, struct err *err);

static inline struct sqlite_store *sqlite_store_of(struct store *store)
{
    return CONTAINER_OF(store, struct sqlite_store, base);
}

#endif
