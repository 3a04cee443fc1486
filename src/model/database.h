/* Databases as plain records. A replication group is a set of real database servers with one
 * writer: what the RDS API shows as a global cluster, or as a DB cluster that is in none. Its
 * members are the DB instances.
 *
 * What is wanted, what was decided, and what is seen are records of their own:
 *
 *   db/region/<region>            model_database_region: what the region's agent offers
 *   db/group/<group>              model_database_group: settings, and where the group stands
 *   db/lease/<group>              model_database_lease: who may write, and until when
 *   db/member/<group>/<member>    model_database_member: a server that is wanted
 *   db/seen/<group>/<member>      model_database_seen: the server as its agent sees it
 *   db/loss/<group>/<epoch>       model_database_loss: what a failover lost
 *   rds/event/<region>/<ms>-<id>  model_database_event: as DescribeEvents shows it
 *
 * Groups and members are named by resource ids ("grp-" and "db-" with 26 characters), which stay
 * when the API's identifiers are changed. All values carry "v":1 and keep what later versions wrote
 * (model/keep.h). Thread: any. Memory: the caller's arena. */
#ifndef MODEL_DATABASE_H
#define MODEL_DATABASE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_DATABASES "db/"
#define PATH_DATABASE_REGIONS "db/region/"
#define PATH_DATABASE_GROUPS "db/group/"
#define PATH_DATABASE_LEASES "db/lease/"
#define PATH_DATABASE_MEMBERS "db/member/"
#define PATH_DATABASE_SEEN "db/seen/"
#define PATH_DATABASE_LOSSES "db/loss/"
#define PATH_DATABASE_EVENTS "rds/event/"

#define MODEL_DATABASE_ID 32U      /* bytes of a group's or member's id, with its NUL */
#define MODEL_DATABASE_MEMBERS 16U /* of a group: 5 regions of 3 servers, and one more */
#define MODEL_DATABASE_HISTORY 64U /* changes of the writer that a group remembers */
#define MODEL_DATABASE_BOUND "rds.global_db_rpo" /* a setting of members: seconds */
#define MODEL_DATABASE_LEASE_MS 10000            /* for a WAN; 2,000 does on a LAN */
#define MODEL_DATABASE_LEASE_MIN_MS 1000
#define MODEL_DATABASE_LEASE_MAX_MS 300000

/* A place in the write-ahead log: PostgreSQL's XLogRecPtr, shown as "16/B374D848". 0: not known. */
typedef uint64_t model_lsn;
#define MODEL_LSN_TEXT 18U
void model_lsn_format(model_lsn lsn, char out[MODEL_LSN_TEXT]);
int model_lsn_parse(const char *text, model_lsn *ret_lsn) MUST_CHECK;

/* ---- what a region offers: written by its agent when it starts ---- */

/* A server that somebody else runs, and where the others reach it. */
struct model_database_attachment {
    const char *name;
    const char *address;
    uint16_t port;
};

struct model_database_region {
    const char *region;
    const char *site;           /* whose agent it is; "" where there is one site */
    const char *engine_version; /* of the servers that it makes, "15.18" */
    const char **addresses;     /* that its servers may listen on, each server on one */
    size_t address_count;
    const char *zone; /* that its endpoints are named in, without a dot at its end; "": none, they
                       * are plain addresses */
    struct model_database_attachment *attachments;
    size_t attachment_count;
};

/* ---- the group ---- */

enum model_database_mode {
    MODEL_DATABASE_ASYNCHRONOUS,
    MODEL_DATABASE_SYNCHRONOUS, /* a commit waits until another member has it on disk */
    MODEL_DATABASE_BOUNDED,     /* a commit waits while no other member is within rpo_ms */
};

/* Where a group stands; src/database/core/group.c has the table of what leads from where to where.
 */
enum model_database_phase {
    MODEL_DATABASE_NEW,       /* there is no data yet; `writer` is to make it */
    MODEL_DATABASE_STEADY,    /* `writer` has, or may take, the lease of `epoch` */
    MODEL_DATABASE_PREPARING, /* a switchover: writer and target make ready; writes go on */
    MODEL_DATABASE_FENCING,   /* the writer is to stop and to say where its log ends */
    MODEL_DATABASE_ELECTING, /* the lease of the epoch before is void: members say what they have */
    MODEL_DATABASE_PROMOTING, /* `target` may take the lease of `epoch`, at or after `fence` */
    MODEL_DATABASE_STOPPED,   /* StopDBCluster: nobody may take the lease */
};

enum model_database_operation {
    MODEL_DATABASE_NO_OPERATION,
    MODEL_DATABASE_SWITCHOVER,         /* planned: nothing may be lost */
    MODEL_DATABASE_FAILOVER,           /* wanted by the operator, who accepts the loss of data */
    MODEL_DATABASE_FAILOVER_AUTOMATIC, /* the writer's lease ran out */
};

/* One time that the writer changed. */
struct model_database_turn {
    int64_t epoch;      /* that began with it */
    const char *writer; /* member of that epoch */
    const char *before; /* of the epoch before; "" for the first */
    uint32_t timeline;  /* that the writer's log has since; no two turns have the same one */
    uint32_t parent;    /* the timeline that it forked from; 0 for the first */
    model_lsn fork;     /* where it begins; before `confirmed`: at most there */
    bool confirmed;     /* the writer said so; before, it holds the lease and is being promoted */
    enum model_database_operation operation;
    struct wall at;
};

struct model_database_group {
    const char *id;
    const char *engine; /* as it was asked for: aurora-postgresql or postgres */
    const char *region; /* "": a global cluster, else of the one DB cluster */
    const char *name;   /* the identifier of that global cluster or DB cluster */

    /* Settings: changed by the API. */
    enum model_database_mode mode;
    int64_t lease_ms;
    int64_t rpo_ms; /* of MODEL_DATABASE_BOUNDED */
    /* Nobody set mode and bound for the group: they are what the parameter of the writer's cluster
     * says, and change with the writer. */
    bool bound_follows;
    bool alone_waits; /* synchronous, bounded: with no reader there, commits wait for one, for as
                       * long as it takes */
    bool automatic;   /* fails over by itself when the lease ran out */
    const char *database; /* made at the start; "": none */
    const char *master;   /* the master user's name */
    const char *verifier; /* of its password: SCRAM-SHA-256$4096:..; the password is kept nowhere */
    const char *replication; /* password of the replication role, sealed for the group's key */

    /* State: changed by what src/database/core decides, in transactions that compare the record. */
    enum model_database_phase phase;
    int64_t epoch;      /* of the lease; goes up with every change of the writer */
    const char *writer; /* member; "" as long as there was none */
    const char *target; /* of the operation; "": to be chosen */
    enum model_database_operation operation;
    const char *reason; /* why it stands as it does, for people; a sentence */
    struct wall since;  /* in this phase */
    model_lsn fence;    /* where the log of the writer that stopped ends; 0: not known */
    /* Synchronous: members one of which has every commit that was acknowledged. A member that is
     * in nobody's list may not take over without the operator's consent to a loss. */
    const char **synchronous;
    size_t synchronous_count;
    struct model_database_turn *history; /* newest last */
    size_t history_count;
};

/* ---- the lease ---- */

enum model_database_lease_state {
    MODEL_DATABASE_LEASE_FREE,     /* nobody holds it: its epoch's target may take it */
    MODEL_DATABASE_LEASE_HELD,     /* for length_ms since the holder last began to renew it */
    MODEL_DATABASE_LEASE_RELEASED, /* the holder stopped its server before it wrote this */
};

/* Renewed by its holder with a transaction that compares its revision. Whoever wants to void it
 * must have seen one revision of it for length_ms on its own monotonic clock: so no clocks are
 * compared. */
struct model_database_lease {
    int64_t epoch;
    const char *holder; /* member; "" when free */
    enum model_database_lease_state state;
    int64_t length_ms;
    int64_t renewals;
    /* The holder's server does not end by itself when the lease does (it is attached, and has not
     * loaded Leeward's module): nobody may follow it before it is certain that it does not write.
     * confirmed: somebody made that certain, and said so; the lease is not renewed any more. */
    bool unfenced;
    bool confirmed;
    model_lsn flushed; /* the end of the holder's log when it renewed; when released, its last */
    uint32_t timeline;
    struct wall at; /* for people */
};

/* ---- members ---- */

struct model_database_setting {
    const char *name;
    const char *value;
};

struct model_database_member {
    const char *group;
    const char *id;
    const char *region;
    const char *cluster;  /* DBClusterIdentifier */
    const char *instance; /* DBInstanceIdentifier; "": only keeps its data */
    const char *address;  /* that its server listens on */
    uint16_t port;
    int64_t tier; /* PromotionTier, 0 to 15: who comes first among those who have as much */
    /* A server that somebody else runs: the name of its file in database.attach-directory of the
     * region's agent, which says how it is reached and what is called; "" for ours. */
    const char *attached;
    bool stopped;    /* is not to run */
    bool deleted;    /* is to vanish with its data; its record goes when that is done */
    int64_t reboot;  /* raised by RebootDBInstance: seen.reboot follows */
    int64_t rebuild; /* raised to have it made anew from the writer */
    /* Effective settings of its parameter groups, without what Leeward itself sets. */
    struct model_database_setting *settings;
    size_t setting_count;
};

/* ---- what an agent sees ---- */

enum model_database_condition {
    MODEL_DATABASE_ABSENT,   /* there is no data */
    MODEL_DATABASE_CREATING, /* initdb or a base backup is under way */
    MODEL_DATABASE_DOWN,     /* has data; does not run */
    MODEL_DATABASE_STARTING,
    MODEL_DATABASE_WRITER,    /* accepts writes, while its lease lasts */
    MODEL_DATABASE_READER,    /* answers queries, follows nobody */
    MODEL_DATABASE_STREAMING, /* and receives the writer's log */
    MODEL_DATABASE_RETURNING, /* an old writer: what it has alone is put aside, then it is rewound
                               */
    MODEL_DATABASE_STUCK,     /* needs hands: `message` says what they must do */
};

struct model_database_seen {
    const char *site; /* of the agent */
    enum model_database_condition condition;
    const char *message; /* what it is about, or what is wrong; a sentence, may be "" */
    const char *action;  /* that is under way; "" */
    uint64_t system_id;  /* PostgreSQL's system identifier; 0: no data */
    uint32_t timeline;
    model_lsn received; /* end of its log on disk: what it could take over with */
    model_lsn replayed; /* of a reader */
    bool clean;         /* DOWN: it was shut down, and its log ends at `received` */
    int64_t lag_bytes;  /* behind the writer; -1: not known */
    int64_t lag_ms;
    int64_t epoch;  /* ELECTING: `received` is final, nothing comes any more, in this epoch */
    int64_t reboot; /* the last one that is done */
    int64_t rebuild;
    bool pending_reboot;  /* a setting waits for a restart */
    const char *upstream; /* member that it follows; "" */
    uint32_t streamed; /* of a reader: the timeline that it has followed; 0: none with these data */
    const char *commits; /* of the writer: what commits wait for; a sentence, may be "" */
    struct wall at;
};

/* ---- what a failover lost ---- */

struct model_database_loss {
    int64_t epoch;      /* that began with the failover */
    const char *writer; /* whose writes they were */
    const char *successor;
    model_lsn fork;       /* up to which nothing was lost */
    model_lsn known;      /* the old writer's last word at the failover */
    model_lsn end;        /* of its log, found when it came back; 0: it has not come back */
    int64_t bytes;        /* from fork to end, or to known as long as that is all we know */
    int64_t lag_ms;       /* how old the successor's last transaction was at the failover */
    bool exact;           /* the old writer came back: what follows is final */
    int64_t transactions; /* that were committed there and are not here */
    const char *aside;    /* where its log and the list of transactions are kept, at its site */
    struct wall at;
};

/* ---- events: written by the API and by agents ---- */

struct model_database_event {
    const char *region;
    const char *source;   /* the identifier of what it is about */
    const char *type;     /* db-instance, db-cluster, global-cluster, .. */
    const char *category; /* "failover", "failure", "creation", "deletion", "notification", .. */
    const char *message;  /* a sentence */
    struct wall at;
};

/* ---- keys, text, values ---- */

char *model_database_group_key(struct arena *arena, const char *group) MUST_CHECK;
char *model_database_lease_key(struct arena *arena, const char *group) MUST_CHECK;
char *model_database_member_key(struct arena *arena, const char *group, const char *member)
    MUST_CHECK;
char *model_database_seen_key(struct arena *arena, const char *group, const char *member)
    MUST_CHECK;
char *model_database_loss_key(struct arena *arena, const char *group, int64_t epoch) MUST_CHECK;
char *model_database_region_key(struct arena *arena, const char *region) MUST_CHECK;
/* A new key: keys of a region are in the order of time. */
char *model_database_event_key(struct arena *arena, const char *region, struct wall at) MUST_CHECK;
/* A new resource id: prefix ("grp-", "db-") and 26 characters. */
void model_database_new_id(const char *prefix, char out[MODEL_DATABASE_ID]);

/* "STEADY", "SWITCHOVER", "STREAMING", ..: as stored and as shown. */
const char *model_database_mode_name(enum model_database_mode mode);
const char *model_database_phase_name(enum model_database_phase phase);
const char *model_database_operation_name(enum model_database_operation operation);
const char *model_database_lease_state_name(enum model_database_lease_state state);
const char *model_database_condition_name(enum model_database_condition condition);

/* Decoding: strings live in the arena; ERR_CORRUPT names the member that is wrong. Encoding: the
 * stored text; before: the value that the record was decoded from, whose later members stay. */
int model_database_region_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_database_region *ret_region, struct err *err)
    MUST_CHECK;
char *model_database_region_encode(struct arena *arena, const struct model_database_region *region,
                                   const struct model_stored *before) MUST_CHECK;
int model_database_group_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_group *ret_group, struct err *err) MUST_CHECK;
char *model_database_group_encode(struct arena *arena, const struct model_database_group *group,
                                  const struct model_stored *before) MUST_CHECK;
int model_database_lease_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_lease *ret_lease, struct err *err) MUST_CHECK;
char *model_database_lease_encode(struct arena *arena, const struct model_database_lease *lease,
                                  const struct model_stored *before) MUST_CHECK;
int model_database_member_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_database_member *ret_member, struct err *err)
    MUST_CHECK;
char *model_database_member_encode(struct arena *arena, const struct model_database_member *member,
                                   const struct model_stored *before) MUST_CHECK;
int model_database_seen_decode(const void *value, size_t size, struct arena *arena,
                               struct model_database_seen *ret_seen, struct err *err) MUST_CHECK;
char *model_database_seen_encode(struct arena *arena, const struct model_database_seen *seen,
                                 const struct model_stored *before) MUST_CHECK;
int model_database_loss_decode(const void *value, size_t size, struct arena *arena,
                               struct model_database_loss *ret_loss, struct err *err) MUST_CHECK;
char *model_database_loss_encode(struct arena *arena, const struct model_database_loss *loss,
                                 const struct model_stored *before) MUST_CHECK;
int model_database_event_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_event *ret_event, struct err *err) MUST_CHECK;
char *model_database_event_encode(struct arena *arena, const struct model_database_event *event)
    MUST_CHECK;

#endif
