/* PostgreSQL: everything that Leeward knows about it, as functions on `struct postgres`, the
 * description of one server. Called by the database agent alone. Nothing here decides: what is to
 * be done comes from database/core, what is seen goes back.
 *
 * A server has a directory of its own (mode 0700):
 *   data/      PostgreSQL's data directory
 *   run/       socket, lease file (database/fence/lease_file.h), key and certificate, pass file,
 * notes aside/     what was put aside before something was destroyed, one folder a time log/
 * postgres.log: what the server and the tools say (turned over when it is large)
 *
 * Thread: the functions block; calls on one server come from one thread at a time (postgres_link
 * as well), different servers are independent. Every call that may take time has a limit and ends
 * early when the caller's descriptor becomes readable. Programs are started without a shell, with a
 * clean environment and closed descriptors, as the server's user, and end with the call; only
 * `postgres` itself goes on, whatever happens to the agent. Strings in the structs are borrowed for
 * the call; results live in the caller's struct or arena.
 *
 * Actions are idempotent: after a crash in the middle of one, the same call does it again;
 * half-made data is told from whole data by a mark in the directory (postgres_data). */
#ifndef DATABASE_POSTGRES_POSTGRES_H
#define DATABASE_POSTGRES_POSTGRES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"
#include "base/time.h"
#include "model/database.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POSTGRES_ADMIN "rdsadmin"           /* superuser, through the socket only (peer) */
#define POSTGRES_REPLICATION "rdsrepladmin" /* replication, rewind, checkpoint; over TLS only */
#define POSTGRES_SUPERUSER "rds_superuser"  /* role of the master user; no superuser */
#define POSTGRES_REPLICAS 32U               /* receivers that a view shows */
#define POSTGRES_NAME 64U                   /* bytes of an identifier, with its NUL */
#define POSTGRES_SYNCHRONOUS 1024U          /* bytes of synchronous_standby_names, with its NUL */

/* One server. Borrowed strings; nothing is kept by the functions but in a postgres_link. */
struct postgres {
    const char *directory; /* <database.directory>/<member id>; absolute, at most 70 bytes (the
                            * socket's path has a limit of 107) */
    const char *binaries;  /* as postgres_find told */
    const char *module;    /* as postgres_find_module told; "": no fence (tests) */
    const char *name;      /* the member's id: cluster_name, and application_name of its receiver */
    const char *address;   /* that it listens on */
    uint16_t port;
    uid_t user; /* that the server and the tools run as; 0: as the caller */
    gid_t group;
};

/* How long a call may take, and what ends it early. */
struct postgres_limit {
    struct mono until; /* ERR_TIMEOUT afterwards */
    int interrupt;     /* ERR_CANCELLED when it is readable (it is not read); -1: none */
};

/* ---- what the machine has ---- */

/* Where the programs are: `wanted` (the option database.bin) when it is not empty, else the newest
 * of /usr/lib/postgresql, else those of PATH. version: "15.18". ERR_NOT_FOUND says what to install.
 */
int postgres_find(const char *wanted, struct arena *arena, const char **ret_binaries,
                  const char **ret_version, struct err *err) MUST_CHECK;
/* The fence module: `wanted` when it is not empty, else beside this program (build tree), else
 * where it is installed. The path is without ".so", as PostgreSQL wants it. */
int postgres_find_module(const char *wanted, struct arena *arena, const char **ret_path,
                         struct err *err) MUST_CHECK;

/* ---- data ---- */

enum postgres_data {
    POSTGRES_NO_DATA,   /* nothing, or what a call that did not end left */
    POSTGRES_HALF_DATA, /* the same, but there is something to remove: create and copy do so */
    POSTGRES_DATA,      /* whole */
    POSTGRES_REWINDING, /* a rewind did not end: postgres_rewind again, or copy anew */
};

/* pg_control of a server, running or not, read from the file. */
struct postgres_control {
    uint64_t system_id; /* identifier */
    uint32_t timeline;  /* that its log ends on */
    uint32_t
        checkpoint_timeline; /* of the last checkpoint: an older one, shortly after a promotion */
    bool primary;            /* runs, or ended, as one; false: in recovery */
    bool running;            /* accepts writes, or ended without a word while it did */
    bool clean;              /* was shut down: the log ends at `end`, and everything is in it */
    model_lsn checkpoint;    /* the last one's record; of a standby: its last restart point's */
    model_lsn end;           /* clean: the end of the log. Otherwise 0 */
    model_lsn minimum; /* of a standby, or of one promoted since: it is consistent from here on */
    uint32_t segment;  /* bytes of a WAL file */
    bool checksums;
};

int postgres_data(const struct postgres *server, enum postgres_data *ret_data, struct err *err)
    MUST_CHECK;
int postgres_control(const struct postgres *server, struct postgres_control *ret_control,
                     struct err *err) MUST_CHECK;
/* The end of the log that a server which does not run has on disk: `clean` gives it, otherwise the
 * log is read from the last checkpoint on. */
int postgres_end_of_log(const struct postgres *server, const struct postgres_limit *limit,
                        model_lsn *ret_end, struct err *err) MUST_CHECK;

/* What the keeper of a server wants to find again without asking anybody: short text of whole lines
 * in run/notes, with a sum against damage, replaced as a whole. ERR_NOT_FOUND: there is none;
 * ERR_CORRUPT: it is damaged. */
int postgres_keep_note(const struct postgres *server, const char *text, struct err *err) MUST_CHECK;
int postgres_read_note(const struct postgres *server, struct buf *ret_text, struct err *err)
    MUST_CHECK;

/* A new server's data: initdb (UTF-8, checksums), roles, the first database. */
struct postgres_birth {
    const char *icu;                  /* locale for ICU ("en-US"), "": C */
    const char *master;               /* name of the master user */
    const char *verifier;             /* of its password: SCRAM-SHA-256$.. */
    const char *database;             /* made for it; "": none */
    const struct secret *replication; /* password of POSTGRES_REPLICATION */
};

/* Makes directories and data; removes a half-made one first; refuses when there is whole data
 * (ERR_EXISTS). The server does not run afterwards. About 1.5 s. */
int postgres_create(const struct postgres *server, const struct postgres_birth *birth,
                    const struct postgres_limit *limit, struct err *err) MUST_CHECK;

/* Whom a server follows, or takes its data from. */
struct postgres_upstream {
    const char *address; /* "": nobody */
    uint16_t port;
    const struct secret *password; /* of POSTGRES_REPLICATION; may be NULL when address is "" */
    const char *slot; /* on the upstream, see postgres_slot_name; "": none (log may be missed) */
};

/* A base backup of the upstream, streamed over TLS with SCRAM that is bound to the channel; makes
 * the slot on the upstream when it is missing. As postgres_create about half-made and whole data.
 * ret_bytes, may be NULL: grows while it runs (read by any thread). */
int postgres_copy(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, _Atomic int64_t *ret_bytes, struct err *err)
    MUST_CHECK;

/* What of a running server is where: the end of its log on disk, asked over the replication
 * protocol (a reader: of what it received). local: says where the pass file goes. */
int postgres_position(const struct postgres *local, const struct postgres_upstream *upstream,
                      const struct postgres_limit *limit, model_lsn *ret_end, struct err *err)
    MUST_CHECK;

/* Whether the upstream has its log from there on, on that timeline: what a reader needs whose own
 * ends there. A sender of the upstream's is asked to begin. */
int postgres_has_log(const struct postgres *server, const struct postgres_upstream *upstream,
                     uint32_t timeline, model_lsn from, const struct postgres_limit *limit,
                     bool *ret_has, struct err *err) MUST_CHECK;

/* ---- backups that are kept: backup.c, restore.c ---- */

/* A backup is a folder as a server's, that no server runs in: data/ with PostgreSQL's
 * backup_manifest (SHA-256 of every file). `backup` names the folder (directory, binaries). As with
 * a server's data, postgres_data tells a whole one from a half-made one, and making one removes a
 * half-made one first; a whole one was verified by pg_verifybackup. */

/* Of a running server, as postgres_copy does it; ret_bytes, may be NULL, grows. ERR_LIMIT: the disk
 * is full. */
int postgres_back_up(const struct postgres *backup, const struct postgres_upstream *source,
                     const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                     struct err *err) MUST_CHECK;
/* Of a server that does not run, by its files. ERR_CONFLICT: it runs, or ran meanwhile. */
int postgres_back_up_files(const struct postgres *backup, const struct postgres *source,
                           const struct postgres_limit *limit, _Atomic int64_t *ret_bytes,
                           struct err *err) MUST_CHECK;

/* A whole backup. */
struct postgres_backup {
    int64_t bytes; /* on disk */
    model_lsn end; /* what is before this in the log is in it */
};
int postgres_backup_look(const struct postgres *backup, struct postgres_backup *ret_backup,
                         struct err *err) MUST_CHECK;
/* ERR_CORRUPT: it is not what it was. */
int postgres_backup_verify(const struct postgres *backup, const struct postgres_limit *limit,
                           struct err *err) MUST_CHECK;
/* As postgres_create, but the data are the backup's, which is verified before and recovered to its
 * end. The log goes on on a timeline of its own; slots are gone. Of birth: the replication role's
 * password alone. ERR_LIMIT: there is no room. */
int postgres_restore(const struct postgres *server, const struct postgres *backup,
                     const struct postgres_birth *birth, const struct postgres_limit *limit,
                     struct err *err) MUST_CHECK;

/* Bytes that the data of a server or backup take on disk, and that are free beside them. */
int postgres_size(const struct postgres *server, int64_t *ret_bytes, struct err *err) MUST_CHECK;
int postgres_room(const struct postgres *server, int64_t *ret_bytes, struct err *err) MUST_CHECK;

/* Turns the log of a server over that runs and has said very much: what it said is in
 * log/postgres.log.1 then, where there is room. Any thread. */
int postgres_turn_log(const struct postgres *server, bool *ret_turned, struct err *err) MUST_CHECK;

/* Removes the data (not what is aside): the server must not run (ERR_CONFLICT). all: the whole
 * directory. */
int postgres_remove(const struct postgres *server, bool all, struct err *err) MUST_CHECK;

/* ---- settings ---- */

struct postgres_config {
    bool standby;                      /* starts in recovery and follows upstream */
    struct postgres_upstream upstream; /* kept up to date on a primary too: "" there */
    const char *synchronous;           /* synchronous_standby_names; "": none */
    /* Commits that were not confirmed by a synchronous standby are never acknowledged, whatever
     * the client set or cancelled. Turn it on once the standbys are there, off before
     * `synchronous` is emptied. */
    bool strict;
    /* Without what the parameter groups set, as the server does not start with that; with as many
     * connections, locks, .. as it had when it last ran. */
    bool plain;
    /* Of the parameter groups. Those that Leeward itself sets are left out; of rds.* it knows
     * force_ssl (clients must use TLS) and logical_replication; a value that PostgreSQL refuses is
     * found by postgres_check. */
    const struct model_database_setting *settings;
    size_t setting_count;
};

/* Writes postgresql.conf, pg_hba.conf, pg_ident.conf, the pass file, standby.signal, and key and
 * certificate when there are none: each atomically, only where something differs. ret_changed: then
 * a running server is to be reloaded. Changes of `standby` take effect at the next start. */
int postgres_configure(const struct postgres *server, const struct postgres_config *config,
                       bool *ret_changed, struct err *err) MUST_CHECK;
/* synchronous_standby_names as it was written last; "" when there are no settings yet. */
int postgres_synchronous(const struct postgres *server, char out[POSTGRES_SYNCHRONOUS],
                         struct err *err) MUST_CHECK;
/* Whether PostgreSQL starts with what was written (postgres -C); ERR_INVALID says with what not. */
int postgres_check(const struct postgres *server, const struct postgres_limit *limit,
                   struct err *err) MUST_CHECK;
/* Whether the name is one that a parameter group may set (not one of Leeward's). */
bool postgres_setting_is_free(const char *name) PURE;

/* ---- the process ---- */

/* A postmaster. Not necessarily our child. */
struct postgres_process {
    pid_t pid; /* 0: none */
    int fd;    /* pidfd: readable when it has ended; -1: none */
    int watch; /* of postgres_stop_writing; 0: none */
};
#define POSTGRES_PROCESS_NONE                                                                      \
    (struct postgres_process)                                                                      \
    {                                                                                              \
        .pid = 0, .fd = -1                                                                         \
    }

enum postgres_ready {
    POSTGRES_STARTING,
    POSTGRES_STANDBY, /* accepts connections, in recovery */
    POSTGRES_READY,   /* accepts connections, as a primary */
    POSTGRES_STOPPING,
    POSTGRES_ENDED,
};

/* Starts `postgres` in a session of its own. It returns once the program runs, not when it accepts
 * connections. Refuses when one runs (ERR_EXISTS). The lease file must be there when there is a
 * module. */
int postgres_start(const struct postgres *server, struct postgres_process *ret_process,
                   struct err *err) MUST_CHECK;
/* The postmaster that runs on these data, by postmaster.pid: its pid is believed when that process
 * is a `postgres` that works in this very data directory. ERR_NOT_FOUND: none runs; then a left
 * postmaster.pid, and shared memory of it, are PostgreSQL's to clean up. */
int postgres_adopt(const struct postgres *server, struct postgres_process *ret_process,
                   struct err *err) MUST_CHECK;
/* Closes the descriptors, forgets the pid, reaps it when it was our child and has ended. */
void postgres_process_done(struct postgres_process *process);
bool postgres_process_ended(const struct postgres_process *process);
/* What postmaster.pid says. */
enum postgres_ready postgres_ready(const struct postgres *server,
                                   const struct postgres_process *process);
/* Until it accepts connections (STANDBY or READY), without polling: by inotify and the pidfd.
 * ERR_UNAVAILABLE when it ended meanwhile: with the last lines of its log. */
int postgres_wait_ready(const struct postgres *server, const struct postgres_process *process,
                        const struct postgres_limit *limit, enum postgres_ready *ret_ready,
                        struct err *err) MUST_CHECK;

enum postgres_stop {
    POSTGRES_FAST,      /* sessions end, everything is written down, standbys get all of it */
    POSTGRES_IMMEDIATE, /* as a crash: recovery at the next start */
    POSTGRES_KILL,      /* SIGKILL for the postmaster and all its processes */
};

/* Asks it to stop; does not wait. 0 when it has ended already. */
int postgres_ask_to_stop(const struct postgres_process *process, enum postgres_stop how,
                         struct err *err) MUST_CHECK;
/* Asks, and waits for the end of it. A postmaster that is stopped (SIGSTOP) does not hear: it is
 * continued after a fast request, and killed with KILL. */
int postgres_stop(const struct postgres *server, const struct postgres_process *process,
                  enum postgres_stop how, const struct postgres_limit *limit, struct err *err)
    MUST_CHECK;
/* A fast stop of a primary that returns as soon as its log has ended (pg_control says so): no
 * session lives any more, and nothing will be written; ret_control->end is the end of the log. The
 * processes go on for some 10 ms: they give standbys the rest, and free memory; then postgres_stop
 * waits for them. ERR_UNAVAILABLE: it ended otherwise. The watch on its files stays open until
 * postgres_process_done: the kernel takes some 15 ms to close one, which somebody waits for. */
int postgres_stop_writing(const struct postgres *server, struct postgres_process *process,
                          const struct postgres_limit *limit, struct postgres_control *ret_control,
                          struct err *err) MUST_CHECK;
/* SIGHUP: the files are read again. Nothing tells when; postgres_view.loaded moves. */
int postgres_reload(const struct postgres_process *process, struct err *err) MUST_CHECK;
/* Promotes a standby: signals the postmaster and watches pg_control; returns when it accepts
 * writes (the lease permitting). What it had received is replayed first. Done already: 0. */
int postgres_promote(const struct postgres *server, const struct postgres_process *process,
                     const struct postgres_limit *limit, struct err *err) MUST_CHECK;

/* ---- the connection: one, kept, through the socket, as POSTGRES_ADMIN ---- */

struct postgres_link;

/* Connects at the first call that needs it, and again after an error. Copies what it needs of
 * server. Its descriptor is closed on exec. */
struct postgres_link *postgres_link_new(const struct postgres *server);
void postgres_link_free(struct postgres_link *take_link);
/* Connects now, so that it is at hand when it counts. */
int postgres_link_ready(struct postgres_link *link, const struct postgres_limit *limit,
                        struct err *err) MUST_CHECK;
/* Ends the connection; the next call makes a new one. */
void postgres_link_drop(struct postgres_link *link);

enum postgres_sync {
    POSTGRES_SYNC_NONE, /* asynchronous */
    POSTGRES_SYNC_POTENTIAL,
    POSTGRES_SYNC,
    POSTGRES_SYNC_QUORUM,
};

/* A receiver of this server's log (pg_stat_replication). */
struct postgres_replica {
    char name[POSTGRES_NAME]; /* its application_name: the member's id */
    bool streaming;           /* false: still catching up, or a base backup */
    model_lsn sent;
    model_lsn flushed;
    model_lsn replayed;
    enum postgres_sync sync;
    int64_t lag_ms;     /* from our flush to its flush, of what it confirmed last; -1: not known */
    int64_t silence_ms; /* since it last said something; -1: not known */
};

struct postgres_view {
    bool recovery;
    uint64_t system_id;
    uint32_t timeline;  /* that it writes, or replays */
    model_lsn inserted; /* a primary's: end of its log, and of what is on disk */
    model_lsn flushed;
    model_lsn received; /* a standby's: end of the log on disk, as far as it knows */
    model_lsn replayed;
    bool replaying; /* false: it waits for log; then `received` is the end for certain */
    bool receiving; /* a receiver runs and streams */
    char upstream[POSTGRES_NAME]; /* address that it receives from; "" */
    int64_t lag_bytes;            /* behind the upstream's end, as last heard; -1: not known */
    int64_t lag_ms;               /* age of the last replayed commit while behind; 0: has all; -1 */
    int64_t silence_ms;           /* since the upstream last said something; -1: not known */
    bool pending_restart;         /* a setting waits for a restart */
    bool paused; /* a standby's replay: its writer has more connections, locks, .. now than it */
    bool fenced_by_module; /* the module is loaded with this server's lease file */
    bool strict;           /* as configured, in force */
    bool waiting;          /* commits wait for standbys: the checkpointer, whose word
                            * counts, has read synchronous_standby_names */
    char synchronous[POSTGRES_SYNCHRONOUS]; /* synchronous_standby_names, as read last */
    struct wall loaded;                     /* when the files were last read */
    struct wall started;
    int64_t sessions; /* of clients */
    struct postgres_replica replicas[POSTGRES_REPLICAS];
    size_t replica_count;
};

int postgres_observe(struct postgres_link *link, const struct postgres_limit *limit,
                     struct postgres_view *ret_view, struct err *err) MUST_CHECK;
/* CHECKPOINT, now. */
int postgres_checkpoint(struct postgres_link *link, const struct postgres_limit *limit,
                        struct err *err) MUST_CHECK;
/* Until everything up to lsn is on the disk of this standby (looked at every millisecond: there is
 * no event for it; promotion replays what was received). */
int postgres_wait_received(struct postgres_link *link, model_lsn lsn,
                           const struct postgres_limit *limit, struct err *err) MUST_CHECK;
/* After postgres_configure with upstream "": reloads and waits until the receiver is gone for good.
 * ret_received: the end of the log on disk: final (the last record may be there in part, which a
 * promotion leaves out). */
int postgres_cut(struct postgres_link *link, const struct postgres_process *process,
                 const struct postgres_limit *limit, model_lsn *ret_received, struct err *err)
    MUST_CHECK;
/* After postgres_configure: reloads and waits until the files were read. Here and in postgres_cut,
 * process NULL: it is told by a statement. */
int postgres_apply(struct postgres_link *link, const struct postgres_process *process,
                   const struct postgres_limit *limit, struct err *err) MUST_CHECK;

/* The slot of a member: "leeward_" and its id with '_' for what a slot's name may not have. */
void postgres_slot_name(const char *member, char out[POSTGRES_NAME]);
/* Makes the physical slots of these members that are missing, and drops those of Leeward's that
 * belong to none of them and are not in use. On standbys too. */
int postgres_slots(struct postgres_link *link, const char *const *members, size_t count,
                   const struct postgres_limit *limit, struct err *err) MUST_CHECK;
/* Ends the sessions of clients (not replication, not this connection). ret_count may be NULL. */
int postgres_end_sessions(struct postgres_link *link, const struct postgres_limit *limit,
                          int64_t *ret_count, struct err *err) MUST_CHECK;
/* Sets the master user's verifier (ModifyDBCluster), and makes the replication role's password the
 * given one. verifier "" and replication NULL: stays. */
int postgres_set_passwords(struct postgres_link *link, const char *master, const char *verifier,
                           const struct secret *replication, const struct postgres_limit *limit,
                           struct err *err) MUST_CHECK;
/* Settings that PostgreSQL could not use: "name: why" in a sentence; "" when all are fine. */
int postgres_setting_errors(struct postgres_link *link, const struct postgres_limit *limit,
                            struct arena *arena, const char **ret_errors, struct err *err)
    MUST_CHECK;

/* ---- servers that somebody else runs: foreign.c ----
 *
 * They are reached by a connection string, as a superuser; programs of their owner's do what no
 * statement can. Of `struct postgres` only directory (for a log), binaries and name count. */

/* As postgres_link_new. lease: the path of the lease file that its module is to have. */
struct postgres_link *postgres_link_new_to(const char *conninfo, const char *lease);
/* Whether the server has loaded the module, with the link's lease file. */
int postgres_module(struct postgres_link *link, const struct postgres_limit *limit,
                    bool *ret_loaded, struct err *err) MUST_CHECK;
/* ALTER SYSTEM, where the setting is another one: *changed becomes true; then postgres_apply. */
int postgres_alter(struct postgres_link *link, const char *name, const char *value,
                   const struct postgres_limit *limit, bool *changed, struct err *err) MUST_CHECK;
/* What primary_conninfo is to be: with the password in it, since there is no file of ours there.
 * An upstream without an address: "". The buffer keeps a secret. */
void postgres_upstream_string(const struct postgres *server,
                              const struct postgres_upstream *upstream, struct buf *out);
/* Makes the timelines between taken, so that a promotion chooses `timeline`. */
int postgres_reserve(struct postgres_link *link, uint32_t from, uint32_t timeline,
                     const struct postgres_limit *limit, struct err *err) MUST_CHECK;
/* pg_promote, and waits until it accepts writes. Done already: 0. */
int postgres_promote_by_statement(struct postgres_link *link, const struct postgres_limit *limit,
                                  struct err *err) MUST_CHECK;
/* Until it does, after a promotion by other means. */
int postgres_wait_promoted(struct postgres_link *link, const struct postgres_limit *limit,
                           struct err *err) MUST_CHECK;
/* The text of a timeline's history file. */
int postgres_history(struct postgres_link *link, uint32_t timeline,
                     const struct postgres_limit *limit, struct buf *ret_text, struct err *err)
    MUST_CHECK;
/* What pg_controldata said, in English; with a line "standby.signal: present" the data are a
 * standby's, whatever they were when they were copied. ERR_INVALID says what is missing. */
int postgres_control_parse(const char *text, struct postgres_control *ret_control, struct err *err)
    MUST_CHECK;
/* postgres_fork for a server whose log ends there, on this timeline, by what is known of it. */
int postgres_fork_at(const struct postgres *server, const struct postgres_control *control,
                     model_lsn end, const struct postgres_upstream *upstream,
                     const struct postgres_limit *limit, model_lsn *ret_fork, struct err *err)
    MUST_CHECK;

/* A program of the owner's. words: its path and arguments, NULL-ended; at most 32. settings:
 * "NAME=value", NULL-ended; at most 16. */
struct postgres_hook {
    const char *const *words;
    const char *const *settings;
};
/* Runs it to its end; what it leaves running goes on. output: what it said, at most its limit; may
 * be NULL. *ret_status: its exit status (128 and more: a signal). */
int postgres_hook_run(const struct postgres *server, const struct postgres_hook *hook,
                      const struct postgres_limit *limit, struct buf *output, int *ret_status,
                      struct err *err) MUST_CHECK;

/* ---- the return of an old writer ---- */

/* What the log has that the others have not. */
struct postgres_lost_table {
    const char *database; /* its name, or "database 16384" when it is not to be found */
    const char *table;    /* "schema.name", or "relation 16385" */
    int64_t inserted;
    int64_t updated;
    int64_t deleted;
};

struct postgres_lost_transaction {
    uint32_t xid;
    struct wall committed;
    model_lsn lsn; /* of its commit record */
    bool prepared; /* committed by COMMIT PREPARED */
    struct postgres_lost_table *tables;
    size_t table_count;
};

struct postgres_lost {
    model_lsn fork;                                 /* asked about */
    model_lsn end;                                  /* of the log */
    struct postgres_lost_transaction *transactions; /* in the order of their commits */
    size_t transaction_count;                       /* as many as the limit allows */
    int64_t total;                                  /* of all, also beyond the limit */
    int64_t unfinished; /* transactions that wrote and neither committed nor were taken back */
    bool prepared_left; /* some of these are prepared and wait for COMMIT PREPARED */
};

#define POSTGRES_LOST_TRANSACTIONS 10000U /* that are listed one by one */

/* Where two histories part: this stopped server's and the upstream's, by the upstream's timeline
 * history (asked over the replication protocol). ret_fork: the end of what both have; equal to
 * the end of this log: nothing is lost and no rewind is needed. */
int postgres_fork(const struct postgres *server, const struct postgres_upstream *upstream,
                  const struct postgres_limit *limit, model_lsn *ret_fork, struct err *err)
    MUST_CHECK;
/* What committed in the log of this stopped server after fork. Names of tables are looked up at
 * the upstream (by file number), which may be NULL. */
int postgres_lost_writes(const struct postgres *server, model_lsn fork,
                         const struct postgres_upstream *upstream,
                         const struct postgres_limit *limit, struct arena *arena,
                         struct postgres_lost *ret_lost, struct err *err) MUST_CHECK;
/* Puts aside, in aside/<name>: the log from before fork up to its end (pg_wal), pg_control, the
 * list `lost` as lost-writes.json (may be NULL), and with whole all of the data instead of the log
 * alone (blocks are shared where the file system can; ERR_LIMIT when there is no room). A server
 * started on such a copy shows the rows themselves: docs/database-fencing.md. Made under another
 * name, and renamed when it is complete: there already is fine. */
int postgres_put_aside(const struct postgres *server, const char *name, model_lsn fork,
                       const struct postgres_lost *lost, bool whole,
                       const struct postgres_limit *limit, struct err *err) MUST_CHECK;
/* Makes this stopped server one that can follow the upstream: CHECKPOINT there, crash recovery
 * here, pg_rewind. Put aside first what it destroys. Afterwards postgres_configure and start as a
 * standby. ERR_UNSUPPORTED: it cannot be rewound (log is missing, here or at the upstream):
 * postgres_copy. */
int postgres_rewind(const struct postgres *server, const struct postgres_upstream *upstream,
                    const struct postgres_limit *limit, struct err *err) MUST_CHECK;

#endif
