/* What can be done to one member's server: each function does one thing that core decided, and is
 * safe to do again. There are two kinds of servers, each with a table of functions of its own:
 * those that Leeward makes and runs (hands.c, with src/database/postgres), and those that somebody
 * else runs (attached.c). Called by the member's worker, on its thread. All end early when the
 * worker is interrupted (ERR_CANCELLED). */
#ifndef DATABASE_AGENT_HANDS_H
#define DATABASE_AGENT_HANDS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/secret.h"
#include "database/agent/view.h"
#include "database/postgres/postgres.h"
#include "model/database.h"
#include "seal/seal.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct attachment;
struct fence_lease;

struct hands_kind;

/* What is known of a server that somebody else runs, besides facts. */
struct hands_attached {
    bool running;        /* it answered when it was looked at last */
    bool module;         /* loaded, with our lease file, by the process that began at `started` */
    struct wall started; /* 0: of none */
    struct mono heard;   /* when it answered last */
    struct mono asked;   /* when its status was asked for; 0: it must be asked again */
    bool down;           /* what its status said */
    bool known;          /* it said something */
    bool has_data;       /* down: it has, and `control` is of them */
    bool discarded;      /* its data are to be replaced */
    struct postgres_control control;
    model_lsn end; /* of its log, as far as known */
    uint32_t timeline;
    uint64_t system_id;
    bool standby; /* as it was configured last */
    char synchronous[POSTGRES_SYNCHRONOUS];
    bool strict;
    int64_t epoch;     /* of the group's lease */
    char trouble[256]; /* why nothing is done to it; "" */
};

/* A server as its worker has it. */
struct hands {
    const struct hands_kind *kind;
    const struct seal *seal;
    struct postgres server;
    struct postgres_process process;
    pid_t told; /* the process that has its settings as they are in its files; 0: none is known */
    struct postgres_link *link;
    struct fence_lease *file;            /* NULL until there is a directory */
    const struct attachment *attachment; /* NULL: ours, or it is not known here */
    struct hands_attached attached;
    int interrupt; /* readable: what is under way is to end */
};

/* The password of the group's replication role. The caller wipes it. */
int hands_password(const struct seal *seal, const struct view_group *group,
                   struct secret *ret_password, struct err *err) MUST_CHECK;

/* Adopts a server of our own that runs. *ret_running: whether there is one, and as what. */
int hands_look(struct hands *hands, bool *ret_running, struct err *err) MUST_CHECK;
/* Makes run/ and opens the lease file in it. */
int hands_open_lease(struct hands *hands, struct err *err) MUST_CHECK;

int hands_create(struct hands *hands, const struct view_group *group, struct err *err) MUST_CHECK;
/* As hands_create, with what a backup has. */
int hands_restore(struct hands *hands, const struct view_group *group, const char *backup,
                  struct err *err) MUST_CHECK;
int hands_copy(struct hands *hands, const struct view_group *group,
               const struct model_database_member *upstream, _Atomic int64_t *ret_bytes,
               struct err *err) MUST_CHECK;

/* What a server's files are to say. */
struct hands_settings {
    bool standby;
    const struct model_database_member *upstream; /* NULL: nobody */
    const char *synchronous;                      /* synchronous_standby_names */
    bool strict;
    bool reload; /* a running server is told although nothing changed */
    bool plain;  /* without what the parameter groups say: the server does not start with that */
};
/* Writes the configuration; a running server is told, and has heard when this returns. */
int hands_configure(struct hands *hands, const struct view_group *group,
                    const struct model_database_member *member,
                    const struct hands_settings *settings, struct err *err) MUST_CHECK;
/* Starts it as it is configured, and waits until it accepts connections. */
int hands_start(struct hands *hands, struct err *err) MUST_CHECK;
/* Asks it to stop in this way, and waits. */
int hands_stop(struct hands *hands, enum postgres_stop how, struct err *err) MUST_CHECK;
/* Stops a writer as for POSTGRES_FAST, but waits only until its log is closed: no session lives,
 * and nothing is written any more. Its readers are still sent the rest. */
int hands_close(struct hands *hands, struct postgres_control *ret_control, struct err *err)
    MUST_CHECK;
/* The final end of a standby's log, after its receiver was cut. */
int hands_cut(struct hands *hands, const struct view_group *group,
              const struct model_database_member *member, model_lsn *ret_received, struct err *err)
    MUST_CHECK;
/* Makes history files of the timelines between the two, so that PostgreSQL chooses the second. */
int hands_reserve_timelines(const struct hands *hands, uint32_t from, uint32_t timeline,
                            struct err *err) MUST_CHECK;
/* Before the server starts as a reader: removes what is left in its log of timelines that never
 * began, or are not of the writer's line, and which its data are not on: it would look there for
 * more. begun: that one and all after it, unless 0. */
int hands_drop_timelines(const struct hands *hands, const struct model_database_group *group,
                         uint32_t begun, struct err *err) MUST_CHECK;
/* To this timeline: those in between are reserved. */
int hands_promote(struct hands *hands, uint32_t from, uint32_t timeline, struct err *err)
    MUST_CHECK;
int hands_checkpoint(struct hands *hands, struct err *err) MUST_CHECK;
/* The slots of the group's other members; passwords, on a writer. */
int hands_roles(struct hands *hands, const struct view_group *group, const char *self, bool writer,
                struct err *err) MUST_CHECK;
/* Where this stopped server's log and the upstream's part. */
int hands_fork(struct hands *hands, const struct view_group *group,
               const struct model_database_member *upstream, model_lsn *ret_fork, struct err *err)
    MUST_CHECK;
/* Puts aside, under this name, what is after the fork; lists what was lost. */
int hands_put_aside(struct hands *hands, const struct view_group *group,
                    const struct model_database_member *upstream, const char *name,
                    struct arena *arena, struct postgres_lost *ret_lost, struct err *err)
    MUST_CHECK;
int hands_rewind(struct hands *hands, const struct view_group *group,
                 const struct model_database_member *upstream, struct err *err) MUST_CHECK;
/* Removes the data, but not what is aside; and the server with everything that is Leeward's. It
 * does not run. */
int hands_discard(struct hands *hands, struct err *err) MUST_CHECK;
int hands_remove(struct hands *hands, struct err *err) MUST_CHECK;
/* From whom the timeline of this server's log forked, and where; 0 where it is the first. */
void hands_parent(const struct hands *hands, uint32_t timeline, uint32_t *ret_parent,
                  model_lsn *ret_fork);

/* ---- for both kinds ---- */

/* Whom a server follows, with what `from` points to: it stays where it was opened. */
struct hands_upstream {
    struct secret password;
    char slot[POSTGRES_NAME];
    struct postgres_upstream from;
};
/* member NULL: nobody, with everything "". To be done also after a failure. */
int hands_upstream_open(const struct hands *hands, const struct view_group *group,
                        const struct model_database_member *member,
                        struct hands_upstream *ret_upstream, struct err *err) MUST_CHECK;
/* Wipes the password. */
void hands_upstream_done(struct hands_upstream *upstream);
/* Of a history file's text, which is changed: whose timeline forked, and where; 0 and 0. */
void hands_parse_history(char *text, uint32_t *ret_parent, model_lsn *ret_fork);

/* ---- kinds ---- */

/* The functions above that are not the same for all servers. */
struct hands_kind {
    int (*create)(struct hands *hands, const struct view_group *group, struct err *err);
    int (*copy)(struct hands *hands, const struct view_group *group,
                const struct model_database_member *upstream, _Atomic int64_t *ret_bytes,
                struct err *err);
    int (*configure)(struct hands *hands, const struct view_group *group,
                     const struct model_database_member *member,
                     const struct hands_settings *settings, struct err *err);
    int (*start)(struct hands *hands, struct err *err);
    int (*stop)(struct hands *hands, enum postgres_stop how, struct err *err);
    /* NULL: of such a server it is not known when its log is closed. */
    int (*close)(struct hands *hands, struct postgres_control *ret_control, struct err *err);
    int (*cut)(struct hands *hands, const struct view_group *group,
               const struct model_database_member *member, model_lsn *ret_received,
               struct err *err);
    int (*promote)(struct hands *hands, uint32_t from, uint32_t timeline, struct err *err);
    int (*fork)(struct hands *hands, const struct view_group *group,
                const struct model_database_member *upstream, model_lsn *ret_fork, struct err *err);
    int (*put_aside)(struct hands *hands, const struct view_group *group,
                     const struct model_database_member *upstream, const char *name,
                     struct arena *arena, struct postgres_lost *ret_lost, struct err *err);
    int (*rewind)(struct hands *hands, const struct view_group *group,
                  const struct model_database_member *upstream, struct err *err);
    int (*discard)(struct hands *hands, struct err *err);
    int (*remove)(struct hands *hands, struct err *err);
    void (*parent)(const struct hands *hands, uint32_t timeline, uint32_t *ret_parent,
                   model_lsn *ret_fork);
};

extern const struct hands_kind hands_managed;  /* hands.c */
extern const struct hands_kind hands_attached; /* attached.c */

/* attached.c: asks how an attached server is that does not answer: hands.attached.known and below.
 * Not more often than every now and then, unless something was done to it. */
void attached_ask(struct hands *hands);

#endif
