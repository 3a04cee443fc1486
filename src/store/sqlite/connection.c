/* A connection to the SQLite file: opening, statements, errors, schema. Called by the reader pool
 * and the writer; a connection belongs to the thread that holds it. Invariant: a statement is reset
 * when the function that used it returns, so no read transaction stays open by accident. */
#include "base/memory.h"
#include "store/sqlite/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "LWDS" */
#define APPLICATION_ID 1280787539

/* How long SQLite itself waits for a lock. Between our connections only recovery takes one that
 * readers feel; foreign readers (sqlite3, backups) may hold others for a moment. */
#define BUSY_MS 10000

/* WAL space that is kept after a checkpoint; more is given back. */
#define WAL_KEEP_BYTES "67108864"

/* Pages that a connection keeps in memory, most of them of the history; the kernel has them all,
 * and commits to a million records are as fast as with four times as many. */
#define CACHE_KIB "512"

static const char *const statement_texts[] = {
#define X(name, sql) [SQL_##name] = (sql),
    SQLITE_STATEMENTS(X)
#undef X
};

/* Each brings a file to the version of its index + 1. Keys are blobs: ordered by memcmp. */
static const char *const schema_steps[] = {
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL,"
    " compacted INTEGER NOT NULL);"
    "INSERT INTO meta VALUES (1, 0, 0);"
    "CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL,"
    " changed INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX entry_lease ON entry (lease) WHERE lease != 0;"
    "CREATE TABLE history (revision INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " type INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, created INTEGER NOT NULL,"
    " version INTEGER NOT NULL, lease INTEGER NOT NULL, PRIMARY KEY (revision, sequence))"
    " WITHOUT ROWID;"
    "CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL);",
};

/* SQLite's own default. */
#define LOG_PAGES 1000

#define STORE_KIND(name)                                                                           \
    {                                                                                              \
        .file = (name), .lock = "leeward.lock", .application = APPLICATION_ID, .sync = "FULL",     \
        .log_pages = LOG_PAGES, .advice = "restore it from a backup", .schema = schema_steps,      \
        .schema_count = ARRAY_SIZE(schema_steps)                                                   \
    }

const struct sqlite_kind sqlite_kind_store = STORE_KIND("leeward.db");
const struct sqlite_kind sqlite_kind_local = STORE_KIND("local.db");

int sqlite_failure(const struct sqlite_connection *connection, int code, const char *doing,
                   struct err *err)
{
    const char *text = sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set(err, ERR_IO, "the disk is full: cannot %s %s", doing, connection->file);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return err_set(err, ERR_CORRUPT, "the store file %s is damaged (%s): %s", connection->file,
                       text, connection->kind->advice);
    case SQLITE_NOMEM:
        return err_set(err, ERR_MEMORY, "out of memory: cannot %s %s", doing, connection->file);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_TIMEOUT, "another program keeps the store file %s locked",
                       connection->file);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return err_set(err, ERR_DENIED, "no permission to %s %s (%s)", doing, connection->file,
                       text);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: {
        int number = connection->db != NULL ? sqlite3_system_errno(connection->db) : 0;
        if (number == ENOSPC) { /* in a file beside it */
            return err_set(err, ERR_IO, "the disk is full: cannot %s %s", doing, connection->file);
        }
        return number != 0
                   ? err_set(err, ERR_IO, "cannot %s %s (%s, errno %d)", doing, connection->file,
                             text, number)
                   : err_set(err, ERR_IO, "cannot %s %s (%s)", doing, connection->file, text);
    }
    default:
        return err_set(err, ERR_INTERNAL, "cannot %s %s: %s", doing, connection->file,
                       connection->db != NULL ? sqlite3_errmsg(connection->db) : text);
    }
}

static int run_script(struct sqlite_connection *connection, const char *script, struct err *err)
{
    int code = sqlite3_exec(connection->db, script, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_failure(connection, code, "open", err);
}

/* The log stays away, without an error, where connections cannot share memory: then commits would
 * lock readers out, and readers commits. */
static int use_log(struct sqlite_connection *connection, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    char mode[16] = "";
    int code =
        sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        (void)snprintf(mode, sizeof mode, "%s",
                       sqlite3_column_text(statement, 0)); /* cut: unequal */
    }
    (void)sqlite3_finalize(statement); /* repeats the code of the step */
    if (code != SQLITE_ROW) {
        return sqlite_failure(connection, code, "open", err);
    }
    if (strcmp(mode, "wal") != 0) {
        return err_set(err, ERR_UNSUPPORTED,
                       "the file system of %s cannot keep SQLite's write-ahead log (it gives "
                       "journal mode '%s'): put the data directory on a local disk",
                       connection->file, mode);
    }
    return 0;
}

/* After a commit. What cannot be moved now is moved later: the log has it. */
static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_connection *connection = context;
    connection->log_pages = pages;
    if (pages >= connection->kind->log_pages) {
        (void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    return SQLITE_OK;
}

int sqlite_connection_checkpoint(struct sqlite_connection *connection, struct err *err)
{
    int code =
        sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_failure(connection, code, "write", err);
}

int sqlite_connection_open(struct sqlite_connection *connection, const struct sqlite_kind *kind,
                           const char *file, struct err *err)
{
    *connection = (struct sqlite_connection){.kind = kind, .file = file};
    int code =
        sqlite3_open_v2(file, &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int rc = 0;
    if (code != SQLITE_OK) {
        rc = sqlite_failure(connection, code, "open", err);
    } else {
        (void)sqlite3_extended_result_codes(connection->db, 1); /* cannot fail */
        (void)sqlite3_busy_timeout(connection->db, BUSY_MS);    /* as above */
        (void)sqlite3_wal_hook(connection->db, on_commit, connection);
        rc = use_log(connection, err);
    }
    if (rc == 0) {
        char *script CLEANUP(memory_cleanup) =
            memory_printf("PRAGMA synchronous = %s;"
                          "PRAGMA journal_size_limit = " WAL_KEEP_BYTES ";"
                          "PRAGMA cache_size = -" CACHE_KIB ";"
                          "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
                          kind->sync);
        rc = run_script(connection, script, err);
    }
    if (rc != 0) {
        sqlite_connection_close(connection);
    }
    return rc;
}

void sqlite_connection_close(struct sqlite_connection *connection)
{
    for (size_t i = 0; i < SQL_COUNT_OF; i++) {
        (void)sqlite3_finalize(connection->statements[i]); /* repeats an error already told */
        connection->statements[i] = NULL;
    }
    (void)sqlite3_close(connection->db); /* all its statements are gone: cannot be busy */
    connection->db = NULL;
}

sqlite3_stmt *sqlite_statement(struct sqlite_connection *connection, enum sqlite_statement which,
                               struct err *err)
{
    sqlite3_stmt **slot = &connection->statements[which];
    if (*slot == NULL) {
        int code = sqlite3_prepare_v3(connection->db, statement_texts[which], -1,
                                      SQLITE_PREPARE_PERSISTENT, slot, NULL);
        if (code != SQLITE_OK) {
            *slot = NULL;
            (void)sqlite_failure(connection, code, "use", err); /* NULL says so */
        }
    }
    return *slot;
}

int sqlite_run(struct sqlite_connection *connection, sqlite3_stmt *statement, const char *doing,
               struct err *err)
{
    int code = sqlite3_step(statement);
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_DONE || code == SQLITE_ROW ? 0
                                                     : sqlite_failure(connection, code, doing, err);
}

int sqlite_execute(struct sqlite_connection *connection, enum sqlite_statement which,
                   struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(connection, which, err);
    return statement != NULL
               ? sqlite_run(connection, statement, which == SQL_BEGIN_READ ? "read" : "write", err)
               : err->code;
}

void sqlite_roll_back(struct sqlite_connection *connection)
{
    struct err ignored = ERR_INIT;
    if (connection->db != NULL && sqlite3_get_autocommit(connection->db) == 0) {
        int rc = sqlite_execute(connection, SQL_ROLLBACK, &ignored);
        (void)rc; /* the first error was told */
        if (sqlite3_get_autocommit(connection->db) == 0) {
            sqlite_connection_close(connection);
        }
    }
}

void sqlite_bound_after_prefix(const char *prefix, struct sqlite_bound *ret_bound)
{
    size_t size = strlen(prefix);
    while (size > 0 && (unsigned char)prefix[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        (void)memset(ret_bound->data, 0xff, sizeof ret_bound->data);
        ret_bound->size = (int)sizeof ret_bound->data;
        return;
    }
    (void)memcpy(ret_bound->data, prefix, size);
    ret_bound->data[size - 1]++;
    ret_bound->size = (int)size;
}

void sqlite_bind_prefix(sqlite3_stmt *statement, const char *prefix,
                        const struct sqlite_bound *bound)
{
    /* Binding borrowed memory to a parameter that exists cannot fail. */
    (void)sqlite3_bind_blob(statement, 1, prefix, (int)strlen(prefix), SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, bound->data, bound->size, SQLITE_STATIC);
}

int sqlite_history_bytes(struct sqlite_connection *connection, int64_t after, int64_t to,
                         int64_t *ret_bytes, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(connection, SQL_HISTORY_BYTES, err);
    if (statement == NULL) {
        return err->code;
    }
    /* Binding a number cannot fail. */
    (void)sqlite3_bind_int64(statement, 1, after);
    (void)sqlite3_bind_int64(statement, 2, to);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_bytes = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_ROW ? 0 : sqlite_failure(connection, code, "read", err);
}

int sqlite_read_meta(struct sqlite_connection *connection, int64_t *ret_revision,
                     int64_t *ret_compacted, struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(connection, SQL_META, err);
    if (statement == NULL) {
        return err->code;
    }
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_revision = sqlite3_column_int64(statement, 0);
        *ret_compacted = sqlite3_column_int64(statement, 1);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    if (code == SQLITE_ROW) {
        return 0;
    }
    return sqlite_failure(connection, code == SQLITE_DONE ? SQLITE_CORRUPT : code, "read", err);
}

/* One number out of "PRAGMA ..." or "SELECT ...". */
static int read_number(struct sqlite_connection *connection, const char *sql, int64_t *ret_number,
                       struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        *ret_number = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement); /* repeats the code of the step */
    return code == SQLITE_ROW ? 0 : sqlite_failure(connection, code, "read", err);
}

int sqlite_prepare_schema(struct sqlite_connection *connection, struct err *err)
{
    const struct sqlite_kind *kind = connection->kind;
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    int rc = read_number(connection, "PRAGMA application_id", &application, err);
    if (rc == 0) {
        rc = read_number(connection, "PRAGMA user_version", &version, err);
    }
    if (rc == 0) {
        rc = read_number(connection, "SELECT count(*) FROM sqlite_schema", &tables, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (application != kind->application && (application != 0 || version != 0 || tables != 0)) {
        return err_set(err, ERR_CORRUPT, "%s is an SQLite file, but not a Leeward store",
                       connection->file);
    }
    if (version < 0 || version > (int64_t)kind->schema_count) {
        return err_set(err, ERR_UNSUPPORTED,
                       "%s was written by a newer Leeward (schema %lld, this one knows %zu)",
                       connection->file, (long long)version, kind->schema_count);
    }
    for (size_t step = (size_t)version; step < kind->schema_count; step++) {
        char *script = memory_printf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d;"
                                     "PRAGMA user_version = %zu; COMMIT;",
                                     kind->schema[step], kind->application, step + 1);
        rc = run_script(connection, script, err);
        free(script);
        if (rc != 0) {
            sqlite_roll_back(connection);
            return rc;
        }
    }
    return 0;
}
