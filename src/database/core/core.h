/* What a replication group does next: every decision about a group of databases, as pure functions
 * of the records in the store, what an agent sees of its own server, and the time. No clock, no
 * I/O, no logging; nothing is kept between calls. Called by src/database/agent and by
 * `leeward db explain`. Thread: any. Memory: the caller's arena, unless it is said otherwise.
 *
 * An agent builds a database_view of a group and the database_facts of one server, after every
 * event (a change in the store, of its server, or the time that was asked for), and calls:
 *
 *   database_group_next   what the group's record and lease are to become: ONE transaction, which
 *                         compares the revisions of both records. Every agent of the group calls
 *                         it, at the same time as the others; one of them wins, and the others see
 *                         what became of it. There is no leader.
 *   database_member_next  what is to be done with its server. The agent does it (idempotent: after
 *                         a crash it is ordered again), looks at the server anew, and asks again.
 *                         An order that is under way when another one is given is broken off,
 *                         unless it is the same.
 *
 * Both say when to look again if nothing happens before. Renewals must not wait for long orders.
 *
 * What an agent promises (src/database/core/sim_test.c shows what happens when it does not):
 *
 *  1. Time is CLOCK_BOOTTIME in all `struct mono` here.
 *  2. A transaction whose answer did not come has not happened, as far as deadlines go: records are
 *     read again. The deadline of a lease (database_lease_deadline) counts from BEFORE the
 *     transaction was sent that took or renewed it.
 *  3. lease_since and phase_since are when THIS process first saw that revision of the lease, or
 *     that phase, epoch and target: a restart begins anew, and so does a store of another past
 *     (store_past).
 *  4. Before an order START_WRITER or PROMOTE is carried out, the server's lease file has the
 *     deadline; the server refuses to acknowledge anything after it (src/database/fence). Before a
 *     transaction is sent that releases the lease, the file's epoch is revoked: the deadline of an
 *     earlier epoch means nothing, in the file as well as in facts.deadline.
 *  5. seen.epoch is what database_final_epoch returns, together with the `received` of the same
 *     facts, in one put. Facts that say `cut` are of a server that receives nothing any more,
 *     whose primary_conninfo is empty in its file, so that a restart does not begin anew.
 *  6. A seen record is written when it changes, and every database_heartbeat even if it does not.
 *  7. Before PROMOTE the server's new timeline is made to be `timeline` of the order: by empty
 *     history files of those before it. pg_rewind takes two servers with one timeline for the
 *     same, and servers that were promoted without knowing of each other choose the same number.
 *  8. facts.synchronous has every member that may still release a commit: also those whose sender
 *     has not read the new setting. facts.synchronous_settled: one of these has to have a commit
 *     before it is acknowledged, whatever the session set, and when it read its settings.
 *     facts.synchronous_since is the end of the writer's log at a time after that was so.
 *  9. facts.unfenced is true of a server that acknowledges on when its lease has run out and its
 *     agent does not stop it: one without the module, or of which that is not known (a server that
 *     somebody else runs, while it is down). view.fenced is true when this process has made
 *     certain, after database_wants_fence said so for this revision of the lease, that the holder's
 *     server does not write, and does not begin to without a newer lease.
 * 10. The server of a bounded group acknowledges what no other member has only before
 *     database_free_until, by the lease file.
 *
 * Two writers cannot be (docs/database-failover.md says it at length): who writes holds the lease
 * of the group's epoch and stops before its deadline; a lease is given away only by the transaction
 * in which its holder says that its server has stopped, or by one that compares a revision which
 * was seen for the lease's whole length. A server that does not stop by itself writes only under a
 * lease that says so (lease.unfenced), and such a lease is given away only once its holder's server
 * was fenced. */
#ifndef DATABASE_CORE_CORE_H
#define DATABASE_CORE_CORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/database.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what is known of a group ---- */

struct database_sight {
    const struct model_database_member *member;
    const struct model_database_seen *seen; /* NULL: its agent has not written one */
    struct mono heard; /* when this process was told of the last put of `seen`; a restart: now */
};

struct database_view {
    const struct model_database_group *group;
    int64_t group_revision;
    const struct model_database_lease *lease; /* NULL: there is none yet */
    int64_t lease_revision;                   /* 0: there is none yet */
    struct mono lease_since;
    bool fenced; /* promise 9 */
    struct mono phase_since;
    const struct database_sight *members; /* any order; at most MODEL_DATABASE_MEMBERS */
    size_t member_count;
    const char *self; /* the member whose agent asks; "": somebody else (leeward db explain) */
    struct mono now;
    struct wall wall; /* for people only: decides nothing */
};

/* ---- what an agent knows of its server ---- */

enum database_data {
    DATABASE_NO_DATA, /* or what is left of making some */
    DATABASE_DATA,
    DATABASE_REWINDING, /* a rewind did not end */
};

enum database_process {
    DATABASE_PROCESS_DOWN,
    DATABASE_PROCESS_STARTING,
    DATABASE_PROCESS_WRITER, /* accepts connections, not in recovery */
    DATABASE_PROCESS_READER, /* accepts connections, in recovery */
    DATABASE_PROCESS_STOPPING,
};

/* A server's log beside the writer's history. */
enum database_lineage {
    DATABASE_LINEAGE_UNKNOWN,
    DATABASE_FOLLOWS,  /* all of it is in the writer's */
    DATABASE_DIVERGED, /* it has something that the writer has not: put aside, then rewound */
};

/* A member that receives, or received, this writer's log. */
struct database_follower {
    const char *member;
    bool streaming; /* now, and it has caught up so far that it streams */
    model_lsn flushed;
    model_lsn replayed;
    int64_t lag_ms;       /* 0: has everything; -1: not known */
    struct mono whole_at; /* what was acknowledged before then is on its disk; 0: not known */
};

struct database_facts {
    enum database_data data;
    enum database_process process;
    struct mono since;            /* the process is so since */
    struct mono unwritable_since; /* of the holder of the lease: since when (or since it took the
                                   * lease, or since the agent started) it is not WRITER; it is not
                                   * looked at while it is */
    bool standby;                 /* the data are a reader's: they start in recovery */
    bool clean; /* DOWN: it was shut down; everything of its log is in it. STOPPING, of
                 * a writer: its log is closed at `end`, no session lives, nothing is
                 * written any more; readers may still be sent the rest */
    uint64_t system_id;
    uint32_t timeline;
    model_lsn end;        /* of the log on its disk: a reader's with what is not replayed yet */
    model_lsn replayed;   /* of a reader */
    bool replayed_all;    /* of a reader: it waits for log, `replayed` is the end of its last record
                           */
    uint32_t parent;      /* of its timeline, by its history file; 0: none, or not known */
    model_lsn fork;       /* where its timeline begins */
    int64_t lag_ms;       /* of a reader: age of its last transaction while behind; -1: not known */
    const char *upstream; /* member that it is configured to follow; "": nobody */
    bool receiving;       /* its receiver streams from there */
    struct mono idle_since; /* of a reader: since when it follows that upstream and gets
                             * nothing; it is not looked at while it receives */
    struct mono log_asked;  /* of a reader: when its writer was last asked whether it has the log
                             * that comes next here (COMPARE); 0: never */
    bool log_gone;          /* and it has not: it is made anew */
    bool cut;               /* a reader that receives nothing any more; or it is DOWN */
    /* Answer to COMPARE, valid for one writer's timeline; else UNKNOWN. */
    enum database_lineage lineage;
    uint32_t lineage_timeline; /* the writer's, that it was compared with */
    struct mono deadline;      /* of its lease, as its lease file has it in this boot; 0: none */
    bool checkpointed;         /* CHECKPOINT is done since the group is PREPARING */
    bool aside;                /* what a rewind or rebuild destroys is put aside already */
    bool rewind_failed;        /* it cannot be rewound (log is missing): it is made anew */
    int64_t reboot;            /* as in seen: done up to here */
    int64_t rebuild;
    bool paused;       /* a reader that does not replay: its writer has more connections, locks,
                        * .. now than it was started with */
    bool configured;   /* settings, slots, roles are as wanted, and applied as far as they can be */
    bool stopping;     /* the daemon ends and takes its servers with it */
    bool unfenced;     /* promise 9 */
    const char *stuck; /* hands are needed, a sentence; "": not. Set after orders failed again and
                        * again for a reason that does not pass by itself */
    /* A writer's; NULL and 0 otherwise. */
    const struct database_follower *followers;
    size_t follower_count;
    struct mono alone_since; /* since when no follower streams (from when it is WRITER) */
    /* Members one of which must have a commit (promise 8); of a server that is not WRITER: as its
     * files have it. */
    const char *const *synchronous;
    size_t synchronous_count;
    bool synchronous_settled; /* a WRITER's: that is so in every process */
    model_lsn synchronous_since;
};

/* ---- the group's record and lease: database_group_next ---- */

/* X(NAME): every transition; group_table.c has from, to, who, guard and sentence of each. */
#define DATABASE_TRANSITIONS(X)                                                                    \
    X(NONE)                                                                                        \
    X(CHOOSE_FIRST)                                                                                \
    X(TAKE_FIRST)                                                                                  \
    X(TAKE_WITH_DATA)                                                                              \
    X(VOID)                                                                                        \
    X(REFUSE)                                                                                      \
    X(BEGIN_FAILOVER)                                                                              \
    X(BEGIN_SWITCHOVER)                                                                            \
    X(BEGIN_REPLACEMENT)                                                                           \
    X(BEGIN_STOP)                                                                                  \
    X(CANCEL)                                                                                      \
    X(GIVE_UP)                                                                                     \
    X(FENCE)                                                                                       \
    X(HAND_OVER)                                                                                   \
    X(STOP_FAILED)                                                                                 \
    X(RELEASE_FOR_FAILOVER)                                                                        \
    X(RELEASE_STOPPED)                                                                             \
    X(RELEASE_LEAVING)                                                                             \
    X(RELEASE_ALONE)                                                                               \
    X(YIELD)                                                                                       \
    X(STOP_IDLE)                                                                                   \
    X(ALL_STOPPED)                                                                                 \
    X(ELECT)                                                                                       \
    X(TARGET_LOST)                                                                                 \
    X(TAKE)                                                                                        \
    X(TAKE_BACK)                                                                                   \
    X(TAKE_AGAIN)                                                                                  \
    X(CONFIRM)                                                                                     \
    X(START_AGAIN)                                                                                 \
    X(ELECT_AGAIN)                                                                                 \
    X(RECORD_SYNCHRONOUS)                                                                          \
    X(RECORD_FENCE)                                                                                \
    X(RENEW)

enum database_transition {
#define X(name) DATABASE_TRANSITION_##name,
    DATABASE_TRANSITIONS(X)
#undef X
};

#define DATABASE_UPDATE_EVENTS 3U

/* What is to be committed. Every update compares view.group_revision and view.lease_revision,
 * whichever of the two it writes. */
struct database_update {
    enum database_transition transition; /* NONE: nothing is to be done */
    bool writes_group;
    bool writes_lease;
    bool writes_loss;
    /* After the commit this agent holds the lease until database_lease_deadline(sent, &lease). */
    bool holds;
    struct model_database_group group;
    struct model_database_lease lease;
    struct model_database_loss loss;
    /* Put with the transaction, each under a new model_database_event_key. */
    struct model_database_event events[DATABASE_UPDATE_EVENTS];
    size_t event_count;
    const char *sentence; /* for the log; "" when nothing is to be done */
    struct mono again;    /* look again then at the latest; INT64_MAX: when something changes */
};

/* facts: of the server of view->self; NULL when self is "". */
void database_group_next(const struct database_view *view, const struct database_facts *facts,
                         struct arena *arena, struct database_update *ret_update);

const char *database_transition_name(enum database_transition transition);

/* ---- the server: database_member_next ---- */

/* X(NAME, what it is, for the operator): every order. */
#define DATABASE_ACTIONS(X)                                                                        \
    X(WAIT, "there is nothing to do")                                                              \
    X(NEED_HANDS, "somebody must act: the sentence says how")                                      \
    X(INITIALISE, "make a new, empty database with its roles; it does not run afterwards")         \
    X(CLONE, "copy the writer's data, as a reader's; what is left of an earlier try goes first")   \
    X(START_WRITER, "write the lease file, start the server")                                      \
    X(START_READER, "start in recovery; follow upstream, or nobody")                               \
    X(FOLLOW, "change whom the running reader follows")                                            \
    X(CUT, "make the running reader follow nobody; wait until its receiver is gone for good")      \
    X(CHECKPOINT, "write everything down, so that the stop is short")                              \
    X(STOP_FAST, "stop: sessions end, standbys get the whole log")                                 \
    X(STOP_IMMEDIATE, "stop as a crash does")                                                      \
    X(PROMOTE, "write the lease file, make the reader the writer, on the timeline of the order")   \
    X(SET_SYNCHRONOUS, "change which members a commit waits for; none: it does not wait")          \
    X(COMPARE, "ask the writer for its timelines: what has the server that the writer has not? "   \
               "Of a reader that follows it: has it the log that comes next?")                     \
    X(KEEP_ASIDE, "put aside what the next order destroys; list lost transactions, complete the "  \
                  "loss record")                                                                   \
    X(REWIND, "make an old writer's data a reader's, with pg_rewind")                              \
    X(DISCARD, "remove the data, but not what is aside: it is cloned anew")                        \
    X(CONFIGURE, "write settings, slots and roles as wanted; reload")                              \
    X(REBOOT, "stop fast; it is started again by the next order")                                  \
    X(REMOVE, "remove the server with its folder; then its records")

enum database_action {
#define X(name, what) DATABASE_ACTION_##name,
    DATABASE_ACTIONS(X)
#undef X
};

struct database_order {
    enum database_action action;
    const char *sentence; /* what is done and why, or what is waited for; never "" */
    const char *upstream; /* START_READER, FOLLOW, CLONE, REWIND, COMPARE, KEEP_ASIDE; "": nobody */
    /* PROMOTE: the new one's number; see promise 7. START_READER, unless 0: the server has begun to
     * make this one, and nothing of it may be left */
    uint32_t timeline;
    const char **synchronous; /* SET_SYNCHRONOUS; what PROMOTE and START_WRITER are to find set */
    size_t synchronous_count;
    struct mono again; /* look again then at the latest; INT64_MAX: when something changes */
};

void database_member_next(const struct database_view *view, const struct database_facts *facts,
                          struct arena *arena, struct database_order *ret_order);

const char *database_action_name(enum database_action action);

/* What seen.epoch is to be: the group's epoch when nothing comes to this server any more in it, so
 * that an election may count on `received`; else 0. */
int64_t database_final_epoch(const struct database_view *view, const struct database_facts *facts);
/* What seen.condition is to be; seen.message is the order's sentence where it is not WAIT. */
enum model_database_condition database_condition(const struct database_view *view,
                                                 const struct database_facts *facts);
/* What seen.commits is to be: what commits wait for, as the server does it now; "" when it is no
 * writer. */
const char *database_commits(const struct database_view *view, const struct database_facts *facts,
                             struct arena *arena);
/* Until when the writer of a bounded group may acknowledge what no other member has: the bound
 * after the last moment up to which one has everything. 0: not at all. It may go back. */
struct mono database_free_until(const struct database_view *view,
                                const struct database_facts *facts);
/* How often a seen record is written at least. */
int64_t database_heartbeat(const struct model_database_group *group);
/* Whether the agent of this member was heard of lately. */
bool database_is_heard(const struct database_view *view, const struct database_sight *sight);

/* ---- leases ---- */

/* Until when the holder may acknowledge, when the transaction was sent then: sent + length - margin
 * (a tenth of the length, 100 ms at least). */
struct mono database_lease_deadline(struct mono sent, const struct model_database_lease *lease);
/* When the holder renews it again, and when it stops its server, if no renewal succeeded since. */
struct mono database_lease_renew_at(struct mono deadline, const struct model_database_lease *lease);
struct mono database_lease_stop_at(struct mono deadline, const struct model_database_lease *lease);
/* When a watcher may void a held one. */
struct mono database_lease_void_at(const struct database_view *view);
/* Whether nothing but certainty about the holder's server is missing for somebody to take over: its
 * lease has run out, and it does not end by itself. *ret_again: look again then. Pure, as all here;
 * for every agent but the holder's. */
bool database_wants_fence(const struct database_view *view, struct mono *ret_again);

/* ---- histories ---- */

/* How a log that ends there on that timeline relates to the history of the group's writer, by the
 * group's record alone. UNKNOWN: ask the writer (COMPARE). */
enum database_lineage database_lineage_by_record(const struct model_database_group *group,
                                                 uint32_t timeline, model_lsn end);
/* One timeline of a server: it begins at `begin`. The first begins at 0. */
struct database_timeline {
    uint32_t timeline;
    model_lsn begin;
};
/* The same by the writer's own list of timelines, oldest first: for carrying out COMPARE. */
enum database_lineage database_lineage_by_list(const struct database_timeline *list, size_t count,
                                               uint32_t timeline, model_lsn end);

/* ---- for people ---- */

/* Where the group stands, what comes next, and why nothing happens, in sentences: one a line, the
 * most important first. facts may be NULL. */
const char *database_explain(const struct database_view *view, const struct database_facts *facts,
                             struct arena *arena);
/* The tables of transitions and orders as text: the golden file of the tests, and
 * `leeward db explain --tables`. */
void database_dump_tables(struct buf *out);

#endif
