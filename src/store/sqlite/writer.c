/* The SQLite backend's writes: one connection, group commit. Called through store.h on any thread.
 *
 * A caller queues its request. Whoever finds the writer free leads: it takes the queue, applies
 * each request in one SQLite transaction, pays for one fsync, tells the watchers in the order of
 * revisions, and wakes the callers. Those that come meanwhile wait and form the next group.
 * A sync that fails leaves the refused frames in the WAL until the next commit writes over them: a
 * crash of the process in between may bring that one transaction back.
 * Invariant: a request that fails on its own (a compare, an unknown lease) is found out before it
 * wrote anything; when SQLite fails, all is rolled back and each request runs alone, so that one
 * cannot spoil another. */
#include "store/sqlite/internal.h"

#include <string.h>

/* Requests that share one fsync at most. */
#define GROUP_LIMIT 64U

/* Revisions of old history that a commit drops beyond those it adds: the history shrinks back to
 * STORE_HISTORY_KEEP after a burst, and no commit pays for much. STORE_HISTORY_BYTES knows no
 * patience: a commit drops about what it adds. */
#define TRIM_EXTRA 8

struct sqlite_request {
    /* Applies it. Negative: SQLite failed, the transaction is lost. Else 0, with request->result
     * saying how the request fared; when that is not 0, nothing was written. */
    int (*apply)(struct sqlite_store *self, struct sqlite_request *request,
                 struct sqlite_progress *progress, struct err *err);
    const struct store_txn *txn;
    int64_t argument; /* compact: revision; leases: the id */
    int64_t ttl_ms;
    struct err *err;
    int result;
    int64_t revision; /* of the store after it */
    bool changed;     /* it made that revision */
    bool done;        /* under writer_lock */
    struct sqlite_request *next;
};

/* ---- one transaction's changes ---- */

static int read_stamp(struct sqlite_store *self, const char *key, struct store_entry *ret_stamp,
                      struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_STAMP, err);
    if (statement == NULL) {
        return err->code;
    }
    /* Binding borrowed memory cannot fail; so everywhere in this file. */
    (void)sqlite3_bind_blob(statement, 1, key, (int)strlen(key), SQLITE_STATIC);
    int code = sqlite3_step(statement);
    *ret_stamp = (struct store_entry){0};
    if (code == SQLITE_ROW) {
        ret_stamp->created_revision = sqlite3_column_int64(statement, 0);
        ret_stamp->changed_revision = sqlite3_column_int64(statement, 1);
        ret_stamp->version = sqlite3_column_int64(statement, 2);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? 0
               : sqlite_failure(&self->writer, code, "read", err);
}

int sqlite_run_put(struct sqlite_store *self, enum sqlite_statement which,
                   const struct store_op *op, const struct store_entry *stamp, int64_t sequence,
                   struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->writer, which, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_blob(statement, 1, op->key, (int)strlen(op->key), SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 2, op->value, (int)op->size, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 3, stamp->created_revision);
    (void)sqlite3_bind_int64(statement, 4, stamp->changed_revision);
    (void)sqlite3_bind_int64(statement, 5, stamp->version);
    (void)sqlite3_bind_int64(statement, 6, op->lease);
    if (which == SQL_LOG_PUT) {
        (void)sqlite3_bind_int64(statement, 7, sequence);
    }
    return sqlite_run(&self->writer, statement, "write", err);
}

static int apply_put(struct sqlite_store *self, const struct store_op *op, int64_t revision,
                     int64_t *sequence, struct err *err)
{
    struct store_entry stamp = {0};
    int rc = read_stamp(self, op->key, &stamp, err);
    if (rc != 0) {
        return rc;
    }
    if (stamp.changed_revision == 0) {
        stamp.created_revision = revision;
    }
    stamp.changed_revision = revision;
    stamp.version++;
    rc = sqlite_run_put(self, SQL_PUT, op, &stamp, 0, err);
    return rc == 0 ? sqlite_run_put(self, SQL_LOG_PUT, op, &stamp, (*sequence)++, err) : rc;
}

int sqlite_apply_delete(struct sqlite_store *self, const struct store_op *op, int64_t revision,
                        int64_t *sequence, struct err *err)
{
    struct sqlite_bound bound;
    const char *key = op->key;
    if (op->type == STORE_OP_DELETE_PREFIX) {
        sqlite_bound_after_prefix(key, &bound);
    } else {
        /* The key with its NUL is the next string behind it. */
        bound.size = (int)strlen(key) + 1;
        (void)memcpy(bound.data, key, (size_t)bound.size);
    }
    sqlite3_stmt *log = sqlite_statement(&self->writer, SQL_LOG_DELETE, err);
    sqlite3_stmt *delete = sqlite_statement(&self->writer, SQL_DELETE, err);
    if (log == NULL || delete == NULL) {
        return err->code;
    }
    sqlite_bind_prefix(log, key, &bound);
    (void)sqlite3_bind_int64(log, 3, revision);
    (void)sqlite3_bind_int64(log, 4, *sequence);
    int rc = sqlite_run(&self->writer, log, "write", err);
    if (rc != 0) {
        return rc;
    }
    sqlite_bind_prefix(delete, key, &bound);
    rc = sqlite_run(&self->writer, delete, "write", err);
    if (rc == 0) {
        *sequence += sqlite3_changes64(self->writer.db) + 1; /* row numbers begin with 1 */
    }
    return rc;
}

/* Whether the transaction may happen: request->result. */
static int check(struct sqlite_store *self, struct sqlite_request *request, struct err *err)
{
    const struct store_txn *txn = request->txn;
    for (size_t i = 0; i < txn->compare_count && request->result == 0; i++) {
        struct store_entry stamp = {0};
        int rc = read_stamp(self, txn->compares[i].key, &stamp, err);
        if (rc != 0) {
            return rc;
        }
        request->result =
            store_compare_check(&txn->compares[i], stamp.changed_revision, request->err);
    }
    for (size_t i = 0; i < txn->op_count && request->result == 0; i++) {
        if (txn->ops[i].leased && !store_leases_live(&self->leases, txn->ops[i].lease)) {
            request->result = store_lease_unknown(txn->ops[i].lease, request->err);
        }
    }
    return 0;
}

static int apply_txn(struct sqlite_store *self, struct sqlite_request *request,
                     struct sqlite_progress *progress, struct err *err)
{
    int rc = check(self, request, err);
    if (rc != 0 || request->result != 0) {
        return rc;
    }
    sqlite3_int64 before = sqlite3_total_changes64(self->writer.db);
    int64_t sequence = 0;
    for (size_t i = 0; i < request->txn->op_count && rc == 0; i++) {
        const struct store_op *op = &request->txn->ops[i];
        rc = op->type == STORE_OP_PUT
                 ? apply_put(self, op, progress->revision + 1, &sequence, err)
                 : sqlite_apply_delete(self, op, progress->revision + 1, &sequence, err);
    }
    if (rc == 0 && sqlite3_total_changes64(self->writer.db) != before) {
        progress->revision++;
        request->changed = true;
    }
    return rc;
}

static int apply_compact(struct sqlite_store *self, struct sqlite_request *request,
                         struct sqlite_progress *progress, struct err *err)
{
    (void)self;
    (void)err;
    if (request->argument > progress->revision) {
        request->result = err_set(request->err, ERR_INVALID,
                                  "cannot compact to revision %lld, the newest is %lld",
                                  (long long)request->argument, (long long)progress->revision);
        return 0;
    }
    progress->compacted = MAX(progress->compacted, request->argument);
    return 0;
}

static int apply_lease_grant(struct sqlite_store *self, struct sqlite_request *request,
                             struct sqlite_progress *progress, struct err *err)
{
    (void)progress;
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_LEASE_ADD, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(statement, 1, request->argument);
    (void)sqlite3_bind_int64(statement, 2, request->ttl_ms);
    return sqlite_run(&self->writer, statement, "write", err);
}

static int apply_lease_end(struct sqlite_store *self, struct sqlite_request *request,
                           struct sqlite_progress *progress, struct err *err)
{
    sqlite3_stmt *log = sqlite_statement(&self->writer, SQL_LOG_DELETE_LEASED, err);
    sqlite3_stmt *delete = sqlite_statement(&self->writer, SQL_DELETE_LEASED, err);
    sqlite3_stmt *drop = sqlite_statement(&self->writer, SQL_LEASE_DROP, err);
    if (log == NULL || delete == NULL || drop == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(log, 1, request->argument);
    (void)sqlite3_bind_int64(log, 2, progress->revision + 1);
    (void)sqlite3_bind_int64(delete, 1, request->argument);
    (void)sqlite3_bind_int64(drop, 1, request->argument);
    int rc = sqlite_run(&self->writer, log, "write", err);
    if (rc == 0) {
        rc = sqlite_run(&self->writer, delete, "write", err);
    }
    if (rc == 0 && sqlite3_changes64(self->writer.db) != 0) {
        progress->revision++;
        request->changed = true;
    }
    return rc == 0 ? sqlite_run(&self->writer, drop, "write", err) : rc;
}

/* ---- a group: one SQLite transaction ---- */

/* Compacts, oldest first, until what is left has STORE_HISTORY_BYTES at most. */
static int compact_bytes(struct sqlite_store *self, struct sqlite_progress *progress,
                         struct err *err)
{
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_HISTORY_SIZES, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(statement, 1, progress->compacted);
    int64_t bytes = progress->history;
    int code = SQLITE_DONE;
    while (bytes > STORE_HISTORY_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW &&
           sqlite3_column_int64(statement, 0) < progress->revision) {
        progress->compacted = sqlite3_column_int64(statement, 0);
        bytes -= sqlite3_column_int64(statement, 1);
    }
    (void)sqlite3_reset(statement); /* repeats the code of the step */
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? 0
               : sqlite_failure(&self->writer, code, "read", err);
}

int sqlite_trim(struct sqlite_store *self, struct sqlite_progress *progress, struct err *err)
{
    int64_t step = 2 * (progress->revision - self->revision) + TRIM_EXTRA;
    int64_t beyond = MIN(progress->revision - STORE_HISTORY_KEEP, progress->compacted + step);
    int64_t bytes = 0;
    int rc = sqlite_history_bytes(&self->writer, self->revision, progress->revision, &bytes, err);
    progress->history += bytes;
    progress->compacted = MAX(progress->compacted, beyond);
    if (rc == 0) {
        rc = sqlite_history_bytes(&self->writer, self->compacted, progress->compacted, &bytes, err);
        progress->history -= bytes;
    }
    int64_t compacted = progress->compacted;
    if (rc == 0 && progress->history > STORE_HISTORY_BYTES) {
        rc = compact_bytes(self, progress, err);
    }
    if (rc == 0) {
        rc = sqlite_history_bytes(&self->writer, compacted, progress->compacted, &bytes, err);
        progress->history -= bytes;
    }
    if (rc != 0 || progress->compacted == self->compacted) {
        return rc;
    }
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_TRIM, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(statement, 1, progress->compacted);
    return sqlite_run(&self->writer, statement, "write", err);
}

int sqlite_set_meta(struct sqlite_store *self, const struct sqlite_progress *progress,
                    struct err *err)
{
    if (progress->revision == self->revision && progress->compacted == self->compacted) {
        return 0;
    }
    sqlite3_stmt *statement = sqlite_statement(&self->writer, SQL_SET_META, err);
    if (statement == NULL) {
        return err->code;
    }
    (void)sqlite3_bind_int64(statement, 1, progress->revision);
    (void)sqlite3_bind_int64(statement, 2, progress->compacted);
    return sqlite_run(&self->writer, statement, "write", err);
}

int sqlite_begin_write(struct sqlite_store *self, struct err *err)
{
    int rc = 0;
    if (self->writer.db == NULL) { /* closed by a roll back that failed */
        rc = sqlite_connection_open(&self->writer, self->kind, self->file, err);
    }
    return rc == 0 ? sqlite_execute(&self->writer, SQL_BEGIN_WRITE, err) : rc;
}

static int apply_group(struct sqlite_store *self, struct sqlite_request *first,
                       struct sqlite_progress *progress, struct err *err)
{
    int rc = sqlite_begin_write(self, err);
    for (struct sqlite_request *request = first; request != NULL && rc == 0;
         request = request->next) {
        request->result = 0;
        request->changed = false;
        rc = request->apply(self, request, progress, err);
        request->revision = progress->revision;
    }
    if (rc == 0) {
        rc = sqlite_trim(self, progress, err);
    }
    if (rc == 0) {
        rc = sqlite_set_meta(self, progress, err);
    }
    if (rc == 0) {
        rc = sqlite_execute(&self->writer, SQL_COMMIT, err);
    }
    if (rc != 0) {
        sqlite_roll_back(&self->writer);
    }
    return rc;
}

/* All requests in one transaction; 0 when it is durable and every request has its result. */
static int run_group(struct sqlite_store *self, struct sqlite_request *first, struct err *err)
{
    struct sqlite_progress progress = {
        .revision = self->revision, .compacted = self->compacted, .history = self->history};
    int rc = apply_group(self, first, &progress, err);
    if (rc != 0) {
        return rc;
    }
    self->revision = progress.revision;
    self->compacted = progress.compacted;
    self->history = progress.history;
    for (struct sqlite_request *request = first; request != NULL; request = request->next) {
        if (request->changed) {
            store_hub_publish(&self->hub, request->revision, request->txn);
        }
    }
    return 0;
}

static void run_alone(struct sqlite_store *self, struct sqlite_request *request)
{
    struct err err = ERR_INIT;
    request->next = NULL;
    if (run_group(self, request, &err) != 0) {
        *request->err = err;
        request->result = err.code;
    }
}

static void lead(struct sqlite_store *self, struct sqlite_request *first)
{
    struct err err = ERR_INIT;
    bool group = first != NULL && first->next != NULL;
    if (group && run_group(self, first, &err) == 0) {
        return;
    }
    for (struct sqlite_request *request = first; request != NULL;) {
        struct sqlite_request *next = request->next;
        run_alone(self, request);
        request = next;
    }
}

/* The first of the queue, at most GROUP_LIMIT; under writer_lock. */
static struct sqlite_request *take_group(struct sqlite_store *self)
{
    struct sqlite_request *first = self->first;
    struct sqlite_request **link = &self->first;
    for (size_t i = 0; i < GROUP_LIMIT && *link != NULL; i++) {
        link = &(*link)->next;
    }
    self->first = *link;
    if (self->first == NULL) {
        self->last = &self->first;
    }
    *link = NULL;
    return first;
}

static int submit(struct sqlite_store *self, struct sqlite_request *request, struct err *err)
{
    request->err = err;
    (void)pthread_mutex_lock(&self->writer_lock);
    *self->last = request;
    self->last = &request->next;
    while (!request->done) {
        if (self->writer_busy) {
            (void)pthread_cond_wait(&self->writer_free, &self->writer_lock); /* cannot fail */
            continue;
        }
        self->writer_busy = true;
        struct sqlite_request *group[GROUP_LIMIT];
        size_t count = 0;
        struct sqlite_request *first = take_group(self);
        for (struct sqlite_request *each = first; each != NULL; each = each->next) {
            group[count++] = each;
        }
        (void)pthread_mutex_unlock(&self->writer_lock);
        lead(self, first);
        (void)pthread_mutex_lock(&self->writer_lock);
        for (size_t i = 0; i < count; i++) {
            group[i]->done = true; /* its caller may return once the lock is free */
        }
        self->writer_busy = false;
        (void)pthread_cond_broadcast(&self->writer_free);
    }
    (void)pthread_mutex_unlock(&self->writer_lock);
    return request->result;
}

/* ---- the backend's calls ---- */

int sqlite_store_commit(struct store *store, const struct store_txn *txn, int64_t *ret_revision,
                        struct err *err)
{
    struct sqlite_request request = {.apply = apply_txn, .txn = txn};
    int rc = submit(sqlite_store_of(store), &request, err);
    if (rc == 0) {
        *ret_revision = request.revision;
    }
    return rc;
}

int sqlite_store_compact(struct store *store, int64_t revision, struct err *err)
{
    struct sqlite_request request = {.apply = apply_compact, .argument = revision};
    return submit(sqlite_store_of(store), &request, err);
}

int sqlite_store_lease_grant(struct store *store, int64_t ttl_ms, int64_t *ret_lease,
                             struct err *err)
{
    struct sqlite_store *self = sqlite_store_of(store);
    struct sqlite_request request = {.apply = apply_lease_grant,
                                     .argument = store_leases_new_id(&self->leases),
                                     .ttl_ms = ttl_ms};
    int rc = submit(self, &request, err);
    if (rc != 0) {
        return rc;
    }
    rc = store_leases_add(&self->leases, request.argument, ttl_ms, err);
    if (rc != 0) {
        /* The row is dropped again; should that fail too, the lease runs out after a restart. */
        struct err ignored = ERR_INIT;
        (void)sqlite_lease_end(self, request.argument, &ignored); /* the first error is told */
        return rc;
    }
    *ret_lease = request.argument;
    return 0;
}

int sqlite_lease_end(void *context, int64_t lease, struct err *err)
{
    struct sqlite_request request = {.apply = apply_lease_end, .argument = lease};
    return submit(context, &request, err);
}
