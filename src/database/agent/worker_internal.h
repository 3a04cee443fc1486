/* What the parts of a worker share: worker.c (the thread), facts.c (what is seen of the server),
 * orders.c (what is done), update.c (what is committed). Private to these. All members belong to
 * the worker's thread, but for those that say otherwise. */
#ifndef DATABASE_AGENT_WORKER_INTERNAL_H
#define DATABASE_AGENT_WORKER_INTERNAL_H

#include "base/arena.h"
#include "database/agent/hands.h"
#include "database/agent/internal.h"
#include "database/agent/publisher.h"
#include "database/agent/synchronous.h"
#include "database/agent/worker.h"
#include "database/core/core.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define WORKER_SENTENCE 512U

/* What notes_keep wrote last. */
enum worker_note { WORKER_NOTE_NONE, WORKER_NOTE_READER, WORKER_NOTE_OTHER };

/* How a server stood when an event last told of it. */
enum worker_life { WORKER_LIFE_NEW, WORKER_LIFE_RUNS, WORKER_LIFE_RESTS, WORKER_LIFE_REBOOTS };

/* What a worker remembers of its server that no file says. */
struct worker_notes {
    char upstream[MODEL_DATABASE_ID]; /* whom it is configured to follow; "": nobody */
    bool cut;                         /* its receiver is gone for good, and its files say so */
    int64_t checkpointed_ns;          /* phase_since of the PREPARING that it was done for */
    enum database_lineage lineage;
    uint32_t lineage_timeline;
    bool aside;
    bool rewind_failed;
    struct mono log_asked; /* and what `upstream` said: whether what comes next is gone there */
    bool log_gone;
    unsigned vain; /* it said that it is there, and nothing came since */
    bool remade;   /* for that, since this process began */
    int64_t reboot;
    int64_t rebuild;
    uint32_t timeline;   /* the highest that this reader's log was seen on: a receiver that ended
                          * takes what it knew with it */
    uint64_t configured; /* fingerprint of what was applied; 0: nothing */
    pid_t closed;        /* the process that closed its log, and only has to end */
    enum worker_note kept;
    enum worker_life life;
    bool returned_whole; /* an old writer that had nothing alone: the loss record is to say so */
    char stuck[WORKER_SENTENCE];
    uint32_t streamed; /* of a reader: the timeline that it has followed, all of it for a moment */
    struct synchronous synchronous;
};

/* What was seen last, with the memory that facts point to. */
struct worker_sight {
    struct database_facts facts;
    struct postgres_view view;
    bool viewed; /* `view` is of the process that runs */
    bool fresh;  /* and of this look */
    bool kept;   /* a reader's `view` is good for one more look: it just took the lease by it */
    struct mono asked; /* before it was asked for */
    struct database_follower followers[POSTGRES_REPLICAS];
    const char *synchronous[POSTGRES_REPLICAS + MODEL_DATABASE_MEMBERS];
    char named[2][POSTGRES_SYNCHRONOUS]; /* by the files, and in force */
    pid_t pid;                           /* of the process that `control` is not of */
    bool controlled; /* `control` and `end` are of the server as it lies there */
    struct postgres_control control;
    model_lsn end;
    struct mono unwritable_since; /* holds the lease, and is no writer; 0: not so */
    int64_t unwritable_epoch;
    struct mono idle_since;
    uint32_t parent_timeline; /* that parent and fork are of */
    uint32_t parent;
    model_lsn fork;
};

struct worker {
    struct database_agent *agent;
    char group[MODEL_DATABASE_ID];
    char member[MODEL_DATABASE_ID];
    pthread_t thread;
    atomic_bool ending;
    atomic_bool stop_server;
    atomic_bool ended;
    int wake;           /* eventfd: something changed */
    int interrupt;      /* eventfd: what is under way is to end */
    struct arena arena; /* of the server's strings */
    bool described;     /* hands.server is filled */
    struct hands hands;
    struct lease_hold *hold;
    bool renewing; /* the hold renews */
    struct publisher_slot *slot;
    struct worker_notes notes;
    struct worker_sight sight;
    unsigned failures;           /* of orders, in a row */
    enum database_action failed; /* the order that failed last */
    struct mono not_before;      /* the next try of it */
    /* Guarded by the mutex; the groups thread looks at them while the worker is busy. */
    pthread_mutex_t mutex;
    bool busy;
    enum database_action action; /* under way */
    char action_upstream[MODEL_DATABASE_ID];
    struct database_facts facts; /* when it began */
};

/* facts.c: looks at the server. Fills worker->sight. */
void worker_see(struct worker *worker, const struct view_group *group);
/* Takes over what was observed of a server that runs (sight.view). */
void worker_take_view(struct worker *worker);
/* attached_facts.c: the same as worker_see does of a server of our own. */
void worker_see_attached(struct worker *worker, const struct view_group *group);
/* What the records and times are to core. The arrays live in the arena. */
void worker_fill_view(const struct view_group *group, const char *self, struct arena *arena,
                      struct database_view *ret_view);
/* Of everything that CONFIGURE applies. */
uint64_t worker_fingerprint(const struct view_group *group,
                            const struct model_database_member *member, bool writer);
/* Hands what is seen to the publisher. */
void worker_publish(struct worker *worker, const struct view_group *group,
                    const struct database_view *view, const struct database_order *order);

/* update.c: what the group's record and lease are to become. *ret_again: when to look again.
 * *ret_committed: something changed. */
void worker_update(struct worker *worker, const struct view_group *group, struct mono *ret_again,
                   bool *ret_committed);
/* The same while the worker is busy, by the facts from before: on the groups thread, and only for
 * what is no business of the lease's holder. */
void worker_update_for_busy(struct worker *worker, const struct view_group *group,
                            const struct database_facts *facts);
/* Removes the member's own records. */
int worker_remove_records(struct worker *worker, const struct view_group *group, struct err *err)
    MUST_CHECK;
/* An event of the member's instance, or of its cluster where it has none. Without the store there
 * is none: who needs more writes it with what it is about. */
void worker_tell(const struct worker *worker, const struct model_database_member *self,
                 const char *category, const char *message);
/* Events of what was asked for and has come to its end: created, started, stopped, rebooted. */
void worker_tell_life(struct worker *worker, const struct view_group *group);
/* Log and event: the server runs without what its parameter groups say. */
void worker_tell_refusal(struct worker *worker, const struct model_database_member *self,
                         const struct err *why);
/* Completes the record of what a failover lost by what this old writer has alone. No transaction,
 * and no end of the log: it has nothing alone. */
int worker_complete_loss(struct worker *worker, const struct view_group *group,
                         const struct postgres_lost *lost, const char *aside, struct err *err)
    MUST_CHECK;

/* missing.c: COMPARE for a reader that follows: whether the writer has the log that comes next. */
void worker_ask_for_log(struct worker *worker, const struct view_group *group,
                        const struct model_database_member *upstream);

/* orders.c: carries an order out. */
int worker_execute(struct worker *worker, const struct view_group *group,
                   const struct database_order *order, struct err *err) MUST_CHECK;

#endif
