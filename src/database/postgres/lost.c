/* What an old writer committed after the fork: read from its log with pg_waldump. See
 * postgres_lost_writes. Thread: as postgres.h; everything lives in the caller's arena.
 *
 * Rows are counted by the records of the heap: an insert, update or delete is one record (a COPY's
 * are one of several rows). System catalogs and TOAST tables are left out. What a transaction did
 * is known from its records and those of its subtransactions, which its commit record names. */
#include "base/text.h"
#include "database/postgres/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRST_OF_USERS 16384 /* object numbers below are PostgreSQL's own */
#define BUCKETS 4096U
#define OPEN_LIMIT 1000000 /* transactions that are kept in mind */
#define NAMES 512U         /* tables that are looked up */

struct change {
    uint32_t database;
    uint32_t space;
    uint32_t file;
    int64_t inserted;
    int64_t updated;
    int64_t deleted;
    struct change *next;
};

struct writer { /* a transaction, or subtransaction */
    uint32_t xid;
    bool ended;
    bool prepared;
    struct change *changes;
    struct writer *next;
};

struct committed {
    struct postgres_lost_transaction transaction;
    struct change *changes;
    struct committed *next;
};

struct name {
    uint32_t database;
    uint32_t space;
    uint32_t file;
    const char *database_name;
    const char *table; /* NULL: is left out */
};

struct reading {
    struct arena *arena;
    struct writer *buckets[BUCKETS];
    int64_t open;
    struct committed *first;
    struct committed **last;
    int64_t total;
    size_t listed;
    bool any; /* a record was read */
    model_lsn end;
    struct name names[NAMES];
    size_t name_count;
};

static struct writer *writer_of(struct reading *reading, uint32_t xid, bool make)
{
    struct writer **at = &reading->buckets[xid % BUCKETS];
    while (*at != NULL && (*at)->xid != xid) {
        at = &(*at)->next;
    }
    if (*at == NULL && make && reading->open < OPEN_LIMIT) {
        *at = arena_alloc(reading->arena, sizeof(**at));
        (*at)->xid = xid;
        reading->open++;
    }
    return *at;
}

static struct change *change_of(struct arena *arena, struct change **list,
                                const struct change *wanted)
{
    for (struct change *at = *list; at != NULL; at = at->next) {
        if (at->file == wanted->file && at->database == wanted->database &&
            at->space == wanted->space) {
            return at;
        }
    }
    struct change *made = arena_alloc(arena, sizeof(*made));
    *made = (struct change){
        .database = wanted->database, .space = wanted->space, .file = wanted->file, .next = *list};
    *list = made;
    return made;
}

/* Digits at text, and where they end; false when there are none. */
static bool number_at(const char *text, uint32_t *ret_number, const char **ret_end)
{
    char digits[12];
    size_t length = strspn(text, "0123456789");
    int64_t value = 0;
    if (text_copy_n(digits, sizeof(digits), text, MIN(length, sizeof(digits))) < 0 ||
        text_to_i64(digits, 0, UINT32_MAX, &value) < 0) {
        return false;
    }
    *ret_number = (uint32_t)value;
    *ret_end = text + length;
    return true;
}

/* "blkref #0: rel 1663/16384/16385 blk 0", the main fork alone. */
static bool parse_relation(const char *line, struct change *change)
{
    const char *at = strstr(line, "blkref #0: rel ");
    return at != NULL && number_at(at + 15, &change->space, &at) && *at == '/' &&
           number_at(at + 1, &change->database, &at) && *at == '/' &&
           number_at(at + 1, &change->file, &at) && text_starts(at, " blk");
}

static void note_change(struct reading *reading, uint32_t xid, const char *line,
                        const char *description)
{
    struct change found = {.file = 0};
    if (xid == 0 || !parse_relation(line, &found) || found.file < FIRST_OF_USERS) {
        return;
    }
    struct writer *writer = writer_of(reading, xid, true);
    if (writer == NULL) {
        return; /* beyond what is kept in mind: its commit is counted all the same */
    }
    uint32_t rows = 1;
    const char *end = NULL;
    if (text_starts(description, "MULTI_INSERT")) {
        const char *count = strchr(description, ' ');
        rows = count != NULL && number_at(count + 1, &rows, &end) ? rows : 1;
        change_of(reading->arena, &writer->changes, &found)->inserted += rows;
    } else if (text_starts(description, "INSERT")) {
        change_of(reading->arena, &writer->changes, &found)->inserted++;
    } else if (text_starts(description, "UPDATE") || text_starts(description, "HOT_UPDATE")) {
        change_of(reading->arena, &writer->changes, &found)->updated++;
    } else if (text_starts(description, "DELETE")) {
        change_of(reading->arena, &writer->changes, &found)->deleted++;
    }
}

static void merge(struct reading *reading, struct change **into, const struct change *from)
{
    for (; from != NULL; from = from->next) {
        struct change *change = change_of(reading->arena, into, from);
        change->inserted += from->inserted;
        change->updated += from->updated;
        change->deleted += from->deleted;
    }
}

/* "; subxacts: 734 735; ..": their changes are the transaction's. */
static void take_children(struct reading *reading, const char *description, struct change **changes)
{
    const char *at = strstr(description, "subxacts:");
    at = at != NULL ? at + 9 : "";
    while (*at == ' ') {
        uint32_t xid = 0;
        if (!number_at(at + 1, &xid, &at)) {
            return;
        }
        struct writer *child = writer_of(reading, xid, false);
        if (child != NULL) {
            child->ended = true;
            merge(reading, changes, child->changes);
        }
    }
}

/* "2026-11-22 03:00:00.123456 UTC" */
static struct wall parse_time(const char *text)
{
    char stamp[TIME_TEXT];
    struct wall when = {.ns = 0};
    const char *zone = strstr(text, " UTC");
    if (zone == NULL || text_copy_n(stamp, sizeof(stamp) - 1, text, (size_t)(zone - text)) < 0 ||
        strlen(stamp) < 19) {
        return when;
    }
    stamp[10] = 'T';
    stamp[strlen(stamp) + 1] = '\0';
    stamp[strlen(stamp)] = 'Z';
    return wall_parse(stamp, &when) == 0 ? when : (struct wall){.ns = 0};
}

static void note_commit(struct reading *reading, uint32_t xid, model_lsn lsn, bool prepared,
                        const char *description)
{
    struct writer *writer = writer_of(reading, xid, false);
    reading->total++;
    if (writer != NULL) {
        writer->ended = true;
    }
    if (reading->listed == POSTGRES_LOST_TRANSACTIONS) {
        struct change *ignored = NULL;
        take_children(reading, description, &ignored);
        return;
    }
    struct committed *made = arena_alloc(reading->arena, sizeof(*made));
    made->transaction = (struct postgres_lost_transaction){
        .xid = xid, .committed = parse_time(description), .lsn = lsn, .prepared = prepared};
    made->changes = writer != NULL ? writer->changes : NULL;
    take_children(reading, description, &made->changes);
    *reading->last = made;
    reading->last = &made->next;
    reading->listed++;
}

static void note_end(struct reading *reading, uint32_t xid, model_lsn lsn, const char *description)
{
    bool commit = text_starts(description, "COMMIT");
    bool prepared = text_starts(description, "COMMIT_PREPARED ");
    const char *at = strchr(description, ' ');
    if (prepared || text_starts(description, "ABORT_PREPARED ")) {
        at = number_at(at + 1, &xid, &at) ? strchr(at, ' ') : NULL; /* "733: time" */
    }
    if (at == NULL) {
        return;
    }
    if (commit) {
        note_commit(reading, xid, lsn, prepared, at + 1);
        return;
    }
    struct writer *writer = writer_of(reading, xid, text_starts(description, "PREPARE"));
    if (writer != NULL && text_starts(description, "ABORT")) {
        struct change *ignored = NULL;
        writer->ended = true;
        take_children(reading, description, &ignored);
    } else if (writer != NULL) {
        writer->prepared = true;
    }
}

static int read_record(void *context, char *line, struct err *err)
{
    (void)err;
    struct reading *reading = context;
    const char *tx = strstr(line, "tx: ");
    const char *lsn_at = strstr(line, "lsn: ");
    const char *description = strstr(line, "desc: ");
    if (!text_starts(line, "rmgr: ") || tx == NULL || lsn_at == NULL || description == NULL) {
        return 0; /* what it says at its end */
    }
    reading->any = true;
    uint32_t xid = 0;
    const char *end = NULL;
    model_lsn lsn = 0;
    char text[MODEL_LSN_TEXT];
    tx += 4;
    tx += strspn(tx, " ");
    if (!number_at(tx, &xid, &end) ||
        text_copy_n(text, sizeof(text), lsn_at + 5,
                    MIN(strcspn(lsn_at + 5, ", "), sizeof(text) - 1)) < 0 ||
        model_lsn_parse(text, &lsn) < 0) {
        return 0;
    }
    description += 6;
    if (text_starts(line, "rmgr: Heap")) {
        note_change(reading, xid, line, description);
    } else if (text_starts(line, "rmgr: Transaction")) {
        note_end(reading, xid, lsn, description);
    }
    return 0;
}

/* ---- names ---- */

static int look_up_database(struct pg_conn *conn, uint32_t database,
                            const struct postgres_limit *limit, struct arena *arena,
                            const char **ret_name)
{
    char number[16];
    const char *const parameters[] = {number};
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    struct err err = ERR_INIT;
    (void)snprintf(number, sizeof(number), "%u", database);
    int r = sql_run(conn, "select datname from pg_database where oid = $1::oid", parameters, 1,
                    limit, NULL, &result, &err);
    if (r == 0 && sql_rows(result) == 1) {
        *ret_name = arena_strdup(arena, sql_text(result, 0, 0));
        return 0;
    }
    return r < 0 ? r : -ENOENT;
}

static void look_up_table(struct pg_conn *conn, struct name *name,
                          const struct postgres_limit *limit, struct arena *arena)
{
    char space[16];
    char file[16];
    const char *const parameters[] = {space, file};
    struct pg_result *result CLEANUP(sql_result_cleanup) = NULL;
    struct err err = ERR_INIT;
    (void)snprintf(space, sizeof(space), "%u", name->space);
    (void)snprintf(file, sizeof(file), "%u", name->file);
    int r = sql_run(conn,
                    "select n.nspname || '.' || c.relname, n.nspname in ('pg_toast', 'pg_catalog') "
                    "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                    "where c.oid = pg_filenode_relation($1::oid, $2::oid)",
                    parameters, 2, limit, NULL, &result, &err);
    if (r == 0 && sql_rows(result) == 1) {
        name->table = sql_bool(result, 0, 1) ? NULL : arena_strdup(arena, sql_text(result, 0, 0));
    }
}

/* The upstream has the same file numbers, but for tables that were made or rewritten since. */
static void look_up_names(struct reading *reading, const struct postgres *server,
                          const struct postgres_upstream *upstream,
                          const struct postgres_limit *limit)
{
    struct pg_conn *main CLEANUP(sql_conn_cleanup) = NULL;
    struct err ignored = ERR_INIT;
    if (upstream == NULL ||
        sql_connect_upstream(server, upstream, POSTGRES_ADMIN, limit, &main, &ignored) < 0) {
        return;
    }
    for (size_t i = 0; i < reading->name_count; i++) {
        const char *database = NULL;
        uint32_t number = reading->names[i].database;
        bool known = reading->names[i].database_name != NULL;
        if (known || look_up_database(main, number, limit, reading->arena, &database) < 0) {
            continue;
        }
        struct pg_conn *conn CLEANUP(sql_conn_cleanup) = NULL;
        int r = sql_connect_upstream(server, upstream, database, limit, &conn, &ignored);
        for (size_t j = i; j < reading->name_count; j++) {
            if (reading->names[j].database == number) {
                reading->names[j].database_name = database;
                if (r == 0) {
                    look_up_table(conn, &reading->names[j], limit, reading->arena);
                }
            }
        }
    }
}

static struct name *name_of(struct reading *reading, const struct change *change)
{
    for (size_t i = 0; i < reading->name_count; i++) {
        struct name *name = &reading->names[i];
        if (name->file == change->file && name->database == change->database &&
            name->space == change->space) {
            return name;
        }
    }
    if (reading->name_count == NAMES) {
        return NULL;
    }
    struct name *made = &reading->names[reading->name_count++];
    *made =
        (struct name){.database = change->database, .space = change->space, .file = change->file};
    made->table = arena_printf(reading->arena, "relation %u", change->file);
    return made;
}

static void name_tables(struct reading *reading, struct committed *committed)
{
    size_t count = 0;
    for (const struct change *at = committed->changes; at != NULL; at = at->next) {
        count++;
    }
    struct postgres_lost_table *tables = arena_array(reading->arena, count + 1, sizeof(*tables));
    count = 0;
    for (const struct change *at = committed->changes; at != NULL; at = at->next) {
        const struct name *name = name_of(reading, at);
        if (name != NULL && name->table == NULL) {
            continue; /* a TOAST table */
        }
        tables[count++] = (struct postgres_lost_table){
            .database = name != NULL && name->database_name != NULL
                            ? name->database_name
                            : arena_printf(reading->arena, "database %u", at->database),
            .table =
                name != NULL ? name->table : arena_printf(reading->arena, "relation %u", at->file),
            .inserted = at->inserted,
            .updated = at->updated,
            .deleted = at->deleted};
    }
    committed->transaction.tables = tables;
    committed->transaction.table_count = count;
}

static void tell(struct reading *reading, struct postgres_lost *lost)
{
    lost->transactions =
        arena_array(reading->arena, reading->listed + 1, sizeof(*lost->transactions));
    for (struct committed *at = reading->first; at != NULL; at = at->next) {
        name_tables(reading, at);
        lost->transactions[lost->transaction_count++] = at->transaction;
    }
    lost->total = reading->total;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct writer *at = reading->buckets[i]; at != NULL; at = at->next) {
            lost->unfinished += at->ended ? 0 : 1;
            lost->prepared_left = lost->prepared_left || (!at->ended && at->prepared);
        }
    }
}

int postgres_lost_writes(const struct postgres *server, model_lsn fork,
                         const struct postgres_upstream *upstream,
                         const struct postgres_limit *limit, struct arena *arena,
                         struct postgres_lost *ret_lost, struct err *err)
{
    struct postgres_control control = {.timeline = 0};
    struct postgres_lost lost = {.fork = fork};
    char folder[PATH_SIZE];
    char timeline[16];
    char start[MODEL_LSN_TEXT];
    int r = postgres_control(server, &control, err);
    if (r == 0) {
        r = postgres_end_of_log(server, limit, &lost.end, err);
    }
    if (r == 0) {
        r = wal_view_make(server, &control, fork, folder, err);
    }
    if (r < 0) {
        return r;
    }
    struct reading *reading = arena_alloc(arena, sizeof(*reading));
    reading->arena = arena;
    reading->last = &reading->first;
    model_lsn_format(fork, start);
    (void)snprintf(timeline, sizeof(timeline), "%u", control.timeline);
    const char *const arguments[] = {"-p", folder, "-t", timeline, "-s", start, NULL};
    const struct child child = {
        .program = "pg_waldump", .arguments = arguments, .keep_errors = true, .no_log = true};
    struct err ended = ERR_INIT; /* it ends with an error: there is no next record */
    r = fork < lost.end ? child_read(server, &child, limit, read_record, reading, &ended) : 0;
    wal_view_drop(folder);
    bool unread = control.primary && !reading->any; /* never take that for nothing */
    if (r < 0 && (ended.kind != ERR_UNAVAILABLE || unread)) {
        *err = ended;
        return err_wrap(err, "listing what only this server has");
    }
    for (const struct committed *at = reading->first; at != NULL; at = at->next) {
        for (const struct change *change = at->changes; change != NULL; change = change->next) {
            (void)name_of(reading, change); /* collected, to be looked up together */
        }
    }
    look_up_names(reading, server, upstream, limit);
    tell(reading, &lost);
    *ret_lost = lost;
    return 0;
}
