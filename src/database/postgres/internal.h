/* What the files of this room share: paths, files, programs, limits, statements. Private. Thread:
 * as postgres.h; nothing here keeps state between calls but a struct postgres_link. */
#ifndef DATABASE_POSTGRES_INTERNAL_H
#define DATABASE_POSTGRES_INTERNAL_H

#include "base/buf.h"
#include "base/secret.h"
#include "database/postgres/postgres.h"

#include <poll.h>

#define PATH_SIZE 512U /* bytes of a path that is made here */

/* ---- files.c ---- */

/* <directory>/<name>, which may have '/'; ERR_LIMIT when it is too long. */
int file_path(const struct postgres *server, const char *name, char out[PATH_SIZE], struct err *err)
    MUST_CHECK;
/* The folders of a server: made where they are missing, 0700, of the server's user. */
int file_make_folders(const struct postgres *server, struct err *err) MUST_CHECK;
/* Whole, at most limit bytes, with a NUL behind it. ERR_NOT_FOUND, ERR_LIMIT. */
int file_read(const char *path, size_t limit, struct buf *ret_text, struct err *err) MUST_CHECK;
/* Replaced atomically and on disk when it returns; of the server's user. */
int file_write(const struct postgres *server, const char *path, const void *data, size_t size,
               mode_t mode, struct err *err) MUST_CHECK;
/* As file_write, unless the file has these contents: *changed becomes true when it had not. */
int file_update(const struct postgres *server, const char *path, const struct buf *text,
                mode_t mode, bool *changed, struct err *err) MUST_CHECK;
bool file_exists(const char *path);
/* Empty files: marks. Made, or gone, on disk when it returns; the same already is fine. */
int file_mark(const struct postgres *server, const char *path, struct err *err) MUST_CHECK;
int file_unmark(const char *path, struct err *err) MUST_CHECK;
/* The folder with everything below it; symbolic links are removed, not followed. Missing: 0. */
int file_remove_tree(const char *path, struct err *err) MUST_CHECK;
int file_sync_folder(const char *path, struct err *err) MUST_CHECK;
/* Room of the file system for path, and the size of a folder's files, in bytes. */
int file_room(const char *path, int64_t *ret_bytes, struct err *err) MUST_CHECK;
int file_tree_size(const char *path, int64_t *ret_bytes, struct err *err) MUST_CHECK;
/* Copies one file, or a folder with everything in it; shares blocks where the file system can. */
int file_copy(const struct postgres *server, const char *from, const char *to, struct err *err)
    MUST_CHECK;
int file_copy_tree(const struct postgres *server, const char *from, const char *to,
                   const struct postgres_limit *limit, struct err *err) MUST_CHECK;

/* ---- limits ---- */

/* Milliseconds that are left for poll(), rounded up; 0 when none are. */
int limit_left_ms(const struct postgres_limit *limit);
/* Waits until one of the count descriptors is ready (revents are set), or the limit's end:
 * ERR_TIMEOUT, ERR_CANCELLED; `what` completes the sentence. At most 3 descriptors. most_ms >= 0:
 * returns 0 after that time too. */
int limit_poll(const struct postgres_limit *limit, struct pollfd *fds, nfds_t count, int most_ms,
               const char *what, struct err *err) MUST_CHECK;
/* Only looks. */
int limit_check(const struct postgres_limit *limit, const char *what, struct err *err) MUST_CHECK;

/* ---- child.c ---- */

struct child {
    const char *program;          /* name below server->binaries, or a whole path */
    const char *const *arguments; /* without the name; ended by NULL */
    const char *const *settings;  /* "NAME=value" for its environment; NULL: none */
    const char *input;            /* what it reads from its standard input; NULL: nothing */
    bool keep_errors;             /* its standard error goes to the output, not to the log */
    bool no_log;                  /* there is no folder for a log */
    bool leaves; /* what it started may go on, with its output open: its own end is enough */
};

/* Runs the program to its end as the server's user, in a session of its own; what it says goes to
 * *output (may be NULL; its limit holds), its errors to the log. When the limit ends it is killed
 * with all that it started. ERR_UNAVAILABLE with its last line when it does not end with 0;
 * ret_status may be NULL, else any status is fine and told there. */
int child_run(const struct postgres *server, const struct child *child,
              const struct postgres_limit *limit, struct buf *output, int *ret_status,
              struct err *err) MUST_CHECK;
/* As child_run, but every line that it writes is handed to on_line (without its end), which returns
 * 0 or an error that ends the program. Longer lines than 64 KiB are cut. */
typedef int (*child_line)(void *context, char *line, struct err *err);
int child_read(const struct postgres *server, const struct child *child,
               const struct postgres_limit *limit, child_line on_line, void *context,
               struct err *err) MUST_CHECK;
/* Starts it with standard output and error on the log; it goes on without us. ret_process is given
 * when the program runs. */
int child_launch(const struct postgres *server, const struct child *child,
                 struct postgres_process *ret_process, struct err *err) MUST_CHECK;
/* The last line of the log with something in it, as text for a message; "" when there is none. */
void child_last_words(const struct postgres *server, char *out, size_t size);

/* ---- data.c: making data ---- */

/* Folders, the mark, and no data; refuses where there are whole ones. Then: the mark goes. */
int making_begin(const struct postgres *server, struct err *err) MUST_CHECK;
int making_end(const struct postgres *server, struct err *err) MUST_CHECK;
/* pg_basebackup into data/; checksums: of its manifest, NULL: PostgreSQL's own. */
int base_backup(const struct postgres *server, const struct postgres_upstream *upstream,
                const char *checksums, const struct postgres_limit *limit,
                _Atomic int64_t *ret_bytes, struct err *err) MUST_CHECK;
/* Statements in single-user mode: nobody can connect, and it ends with a checkpoint. recovers: data
 * of a backup, with the settings of the server that it is of. */
int single_user(const struct postgres *server, const char *database, const struct buf *text,
                bool recovers, const struct postgres_limit *limit, struct err *err) MUST_CHECK;

/* ---- manifest.c ---- */

/* Writes data/backup_manifest of files that are not changed any more. */
int manifest_write(const struct postgres *backup, const struct postgres_control *control,
                   model_lsn end, const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                   struct err *err) MUST_CHECK;
/* The end of the log that it asks for; 0: it does not say. */
int manifest_end(const struct postgres *backup, model_lsn *ret_end, struct err *err) MUST_CHECK;

/* ---- limits of a program's output ---- */
#define OUTPUT_LIMIT (1U << 20U)

/* ---- sql.c: connections with a limit on everything ---- */

struct pg_conn;   /* PGconn */
struct pg_result; /* PGresult */

/* keywords and values as PQconnectStartParams has them, NULL-ended. */
int sql_connect(const char *const *keywords, const char *const *values,
                const struct postgres_limit *limit, struct pg_conn **ret_conn, struct err *err)
    MUST_CHECK;
/* By a connection string of the operator's, with these options of the server's. */
int sql_connect_string(const char *conninfo, const char *options,
                       const struct postgres_limit *limit, struct pg_conn **ret_conn,
                       struct err *err) MUST_CHECK;
void sql_close(struct pg_conn *take_conn);
/* One statement; parameters as text, may be NULL when count is 0. Any error of the server is
 * ERR_UNAVAILABLE with its message; sqlstate (6 bytes) may be NULL. The connection is of no use
 * after ERR_TIMEOUT and ERR_CANCELLED. */
int sql_run(struct pg_conn *conn, const char *statement, const char *const *parameters, int count,
            const struct postgres_limit *limit, char *sqlstate, struct pg_result **ret_result,
            struct err *err) MUST_CHECK;
/* One that begins a stream, as START_REPLICATION: until the first of it came, or it turned out that
 * nothing comes. sqlstate: 6 bytes, as in sql_run. The connection is of no use afterwards. */
int sql_try_stream(struct pg_conn *conn, const char *statement, const struct postgres_limit *limit,
                   char *sqlstate, struct err *err) MUST_CHECK;
/* The same in two steps, for what is asked again and again; name: of this connection's. */
int sql_prepare(struct pg_conn *conn, const char *name, const char *statement,
                const struct postgres_limit *limit, struct err *err) MUST_CHECK;
int sql_run_prepared(struct pg_conn *conn, const char *name, const char *const *parameters,
                     int count, const struct postgres_limit *limit, char *sqlstate,
                     struct pg_result **ret_result, struct err *err) MUST_CHECK;
void sql_result_free(struct pg_result *take_result);
void sql_result_cleanup(struct pg_result **result);
void sql_conn_cleanup(struct pg_conn **conn);
int sql_rows(const struct pg_result *result);
const char *sql_text(const struct pg_result *result, int row, int column); /* "" for NULL */
bool sql_is_null(const struct pg_result *result, int row, int column);
int64_t sql_i64(const struct pg_result *result, int row, int column, int64_t otherwise);
bool sql_bool(const struct pg_result *result, int row, int column);
model_lsn sql_lsn(const struct pg_result *result, int row, int column); /* 0 for NULL */
struct wall sql_wall_us(const struct pg_result *result, int row, int column);
/* To the upstream, as POSTGRES_REPLICATION over TLS, the channel bound; database "": the
 * replication protocol. */
int sql_connect_upstream(const struct postgres *server, const struct postgres_upstream *upstream,
                         const char *database, const struct postgres_limit *limit,
                         struct pg_conn **ret_conn, struct err *err) MUST_CHECK;
/* The path of its lease file. */
const char *link_lease(const struct postgres_link *link);
/* Statements on the kept connection. */
int link_run(struct postgres_link *link, const char *statement, const char *const *parameters,
             int count, const struct postgres_limit *limit, struct pg_result **ret_result,
             struct err *err) MUST_CHECK;
/* One that is asked often: each connection prepares it once. */
enum link_often { LINK_SELDOM, LINK_VIEW, LINK_REPLICAS };
int link_run_often(struct postgres_link *link, enum link_often often, const char *statement,
                   const char *const *parameters, int count, const struct postgres_limit *limit,
                   struct pg_result **ret_result, struct err *err) MUST_CHECK;
/* Whether a setting waits for a restart, as it was for a server that was started, and had read its
 * settings, then. */
struct link_pending {
    bool waits;
    struct wall loaded;
    struct wall started;
};
struct link_pending *link_pending(struct postgres_link *link);

/* ---- kept.c ---- */

/* Makes sure that the slot exists on the upstream, and reserves its log from now on. */
int upstream_slot(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, struct err *err) MUST_CHECK;
/* Whether the upstream has the log that rewound data need to become whole. */
int rewound_has_log(const struct postgres *server, const struct postgres_upstream *upstream,
                    const struct postgres_limit *limit, bool *ret_has, struct err *err) MUST_CHECK;

/* ---- pass.c ---- */

/* Writes run/<name> with a line of a pass file for the upstream; path out. */
int pass_write(const struct postgres *server, const char *name,
               const struct postgres_upstream *upstream, char out[PATH_SIZE], struct err *err)
    MUST_CHECK;
/* The upstream, for a program that is given a connection string, which text becomes the beginning
 * of: the password stands in run/<name>, to be removed with file_unmark. */
int pass_connection(const struct postgres *server, const char *name,
                    const struct postgres_upstream *upstream, struct buf *text,
                    char ret_pass[PATH_SIZE], struct err *err) MUST_CHECK;
/* SCRAM-SHA-256 verifier of a password (RFC 5802, RFC 7677), as PostgreSQL stores it. */
int pass_verifier(const struct secret *password, struct buf *out, struct err *err) MUST_CHECK;
/* run/server.key and run/server.crt, made when they are not there. */
int pass_certificate(const struct postgres *server, struct err *err) MUST_CHECK;
/* name, or text, quoted for SQL. */
void quote_name(struct buf *out, const char *name);
void quote_text(struct buf *out, const char *text);
/* A parameter of a connection string: 'it\'s'. */
void quote_conninfo(struct buf *out, const char *text);

/* ---- control.c ---- */

/* What the log's writer had when it last changed: a standby must not have less. */
#define CONTROL_LIMITS 4U
struct control_limit {
    const char *name; /* of a setting */
    int64_t value;
};
int control_limits(const struct postgres *server, struct control_limit ret_limits[CONTROL_LIMITS],
                   struct err *err) MUST_CHECK;

/* ---- wal.c ---- */

/* The end of the record that starts at lsn, from the WAL file of a stopped server. */
int wal_record_end(const struct postgres *server, uint32_t timeline, uint32_t segment,
                   model_lsn lsn, model_lsn *ret_end, struct err *err) MUST_CHECK;
/* The name of the file with lsn. */
#define WAL_NAME 25U
void wal_file_name(uint32_t timeline, uint32_t segment, model_lsn lsn, char out[WAL_NAME]);

/* ---- wal_view.c ---- */

/* A folder in which pg_waldump finds the log of a stopped server from there on, whichever
 * timelines' files it is in, as files of control->timeline. Its path is out; wal_view_drop removes
 * it. One at a time for a server. */
int wal_view_make(const struct postgres *server, const struct postgres_control *control,
                  model_lsn from, char out[PATH_SIZE], struct err *err) MUST_CHECK;
void wal_view_drop(const char *path);

/* Marks in the server's directory. */
#define MARK_MAKING "making"       /* data are being made */
#define MARK_REWINDING "rewinding" /* a rewind is under way */

#endif
