/* What the files of this room share: a view with what is looked up in it again and again. Pure;
 * nothing outlives a call but what is in the arena. Private to database/core. */
#ifndef DATABASE_CORE_INTERNAL_H
#define DATABASE_CORE_INTERNAL_H

#include "database/core/core.h"

#define CORE_NEVER ((struct mono){INT64_MAX})

/* How long things may take, in milliseconds. */
#define CORE_PREPARE_MS 60000    /* a switchover's target to catch up */
#define CORE_NEAR_BYTES 8388608  /* and how near it must be */
#define CORE_FENCE_MS 10000      /* a writer to stop, before a switchover is given up */
#define CORE_FAST_MS 1000        /* and before a failover stops it as a crash does */
#define CORE_TARGET_MS 30000     /* the target of a failover to take the lease, while heard */
#define CORE_UNWRITABLE_MS 10000 /* a holder's server to come back, or the lease's length */
#define CORE_PROMOTION_MS 60000  /* to become the writer */
#define CORE_IDLE_MS 15000       /* a reader to receive something, before its writer is asked why */
#define CORE_ASK_MS 60000        /* and before it is asked again */
#define CORE_TARGET_LEAST_MS 1000 /* of a switchover: half a lease, within these */
#define CORE_TARGET_MOST_MS 5000
#define CORE_ELECTION_LEAST_MS 150 /* for a living member's report: a twentieth of a lease */
#define CORE_ELECTION_MOST_MS 500

struct core {
    const struct database_view *view;
    const struct database_facts *facts; /* NULL: of nobody's server */
    struct arena *arena;
    const struct model_database_group *group;
    const struct model_database_lease *lease; /* NULL: none yet */
    const struct database_sight *self;        /* NULL: none of the members */
    const struct database_sight *writer;
    const struct database_sight *target;
    bool holds;     /* self is the holder of the lease, of the group's epoch, and may renew it */
    bool held;      /* somebody is */
    bool is_writer; /* self is the group's writer */
    bool is_target;
    struct mono again; /* of what was waited for: the earliest */
};

void core_begin(struct core *core, const struct database_view *view,
                const struct database_facts *facts, struct arena *arena);
const struct database_sight *core_find(const struct database_view *view, const char *member);
/* ms later; a time that is for ever stays so. */
struct mono core_later(struct mono when, int64_t ms);
/* now is at or after `when`; if not, it is to be looked at again then. */
bool core_reached(struct core *core, struct mono when);
/* ms after the phase was seen to begin. */
bool core_phase_lasts(struct core *core, int64_t ms);
/* "orders-1 (us-east-1)": how a member is called in sentences; its id when it has no name. */
const char *core_name(const struct core *core, const char *member);
/* It is wanted, and wanted to run. */
bool core_is_wanted(const struct database_sight *sight);
/* It may be the writer: a writer that is being deleted goes on until another one took over. */
bool core_may_serve(const struct core *core, const struct database_sight *sight);
/* Its server is a reader that runs, as its agent says. */
bool core_is_reading(const struct database_sight *sight);
/* Self has all of the log that the writer closed. */
bool core_has_all(const struct core *core);
/* There is another member that is not being deleted, and that may need the writer's data. */
bool core_is_kept(const struct core *core);
/* Somebody but the writer is wanted. */
bool core_has_others(const struct core *core);
/* The last turn; NULL when there is none. */
const struct model_database_turn *core_turn(const struct model_database_group *group);
bool core_is_global(const struct model_database_group *group);
/* The lease is held by self, and self may write until core_stop_at. */
bool core_may_write(struct core *core);
int64_t core_target_ms(const struct core *core);

/* ---- election.c ---- */

struct core_choice {
    const struct database_sight *member; /* NULL: nobody yet */
    bool loses;                          /* what the old writer had beyond it may be lost */
    const char *why;                     /* why it, or what is waited for; a sentence */
};

/* ELECTING: who becomes the writer. */
void core_elect(struct core *core, struct core_choice *ret_choice);
/* Whether, if the lease were void, somebody could be elected. */
bool core_could_elect(const struct core *core);
/* The best target of a switchover that names none; NULL: there is none. */
const struct database_sight *core_successor(const struct core *core);
/* Why a request cannot be followed; NULL when it can. */
const char *core_refusal(const struct core *core);

/* ---- synchronous.c ---- */

struct core_synchronous {
    bool record; /* group.synchronous is to become `names` */
    bool set;    /* the server's setting is to become `names` */
    const char **names;
    size_t count;
    const char *why;
};

/* Self is the writer, or about to be it. At most one of record and set. */
void core_synchronous(struct core *core, struct core_synchronous *ret_next);

/* ---- group.c ---- */

enum core_who { CORE_ANY, CORE_HOLDER, CORE_WRITER, CORE_TARGET };
enum core_lease { CORE_KEEP, CORE_FREE, CORE_RELEASE, CORE_TAKE, CORE_RENEW };

struct core_plan {
    struct core_choice choice;
    struct core_synchronous synchronous;
    const char *reason; /* goes into the sentence and the group's reason; "" */
};

struct core_row {
    enum database_transition transition;
    unsigned from; /* bits of phases */
    int to;        /* a phase; -1: the same */
    enum core_who who;
    enum core_lease lease;
    bool epoch; /* goes up */
    bool (*guard)(struct core *core, struct core_plan *plan);
    void (*apply)(const struct core *core, const struct core_plan *plan,
                  struct database_update *update);
    const char *guard_text; /* for the table's dump */
    const char *sentence;   /* group.reason; plan->reason instead when it is not "" */
};

extern const struct core_row core_rows[];
extern const size_t core_row_count;

/* ---- member.c ---- */

struct core_duty {
    const char *name;
    enum database_action action;
    /* May put another upstream, or sentence, into the order. */
    bool (*guard)(struct core *core, struct database_order *order);
    const char *sentence;
};

extern const struct core_duty core_duties[];
extern const size_t core_duty_count;

#endif
