/* A world for src/database/core: servers, agents, a store, clients and an operator on a virtual
 * clock, driven by a seed; with the faults of real ones. See sim_test.c for what must hold.
 *
 *   store    linearizable; every answer may be late or never come (then it happened, or did not);
 *            watches lag; an agent may be cut off from it
 *   agent    executes what core.h decides and keeps its promises; may be paused, or restarted
 *            without its memory, while its server lives on
 *   server   a log of rows, timelines, streaming to readers, synchronous commits, and the fence:
 *            it acknowledges nothing after its lease file's deadline
 *   clients  write numbered rows to whatever accepts them
 *
 * Tests only. One thread. */
#ifndef DATABASE_CORE_SIM_H
#define DATABASE_CORE_SIM_H

#include "base/random.h"
#include "database/core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_MEMBERS 4U
#define SIM_LOG 16384U
#define SIM_ROWS 16384U
#define SIM_SNAPSHOTS 256U
#define SIM_TIMELINES 96U
#define SIM_PENDING 64U
#define SIM_RPO_MS 500
#define SIM_MARK UINT32_MAX /* an entry of the log that is no row */

/* Mistakes that can be made on purpose, to see that the simulator finds them. */
enum sim_mistake {
    SIM_NO_MISTAKE,
    SIM_NO_COMPARE,    /* transactions do not compare revisions */
    SIM_SHORT_WAIT,    /* a watcher waits for half the lease's length */
    SIM_LATE_DEADLINE, /* the deadline counts from the answer, and without one too */
    SIM_NO_FENCE,      /* the server acknowledges after its deadline */
    SIM_ANY_TIMELINE,  /* a promotion takes the next number after its own timeline */
    SIM_NO_WAITING,    /* commits do not wait for a synchronous member */
    SIM_EARLY_RELEASE, /* the lease is released while the server still stops */
    SIM_NO_CERTAINTY,  /* a server that does not end by itself is not fenced */
    SIM_NO_BOUND,      /* commits of a bounded group flow whatever its readers have */
    SIM_MISTAKES,
};

struct sim_timelines {
    struct database_timeline list[SIM_TIMELINES];
    size_t count;
};

struct sim_server {
    enum database_data data;
    enum database_process process;
    bool standby;
    bool clean;
    bool cut;
    bool receiving;
    bool aside;
    bool rewind_failed;
    bool log_gone;
    int64_t log_asked; /* in the machine's own time */
    bool configured;
    bool checkpointed;
    bool slow;    /* its link */
    bool broken;  /* does not start any more, until hands help */
    int upstream; /* -1: nobody */
    enum database_lineage lineage;
    uint32_t lineage_timeline;
    int64_t changes_at; /* STARTING, STOPPING, or a promotion that goes on: until then */
    bool promoting;
    uint32_t promotes_to;
    int64_t connects_at;
    uint32_t log[SIM_LOG];
    int64_t written[SIM_LOG];       /* when, where it was the writer: the world's time */
    int64_t written_local[SIM_LOG]; /* and its own */
    size_t end;
    size_t kept;       /* from there on it has its log for others */
    uint32_t streamed; /* the timeline that it has followed */
    struct sim_timelines timelines;
    /* The lease file, in the machine's own time. */
    int64_t file_deadline;
    int64_t file_epoch;
    bool attached; /* somebody else runs it: it may be without the module, which it is started with
                    */
    bool module;
    /* Synchronous members, as bits: wanted, and still in force elsewhere until then. */
    unsigned sync;
    unsigned sync_before;
    bool waited_before;
    int64_t sync_settles;
    size_t sync_since;
    unsigned followed;         /* who has followed it since it is the writer */
    size_t known[SIM_MEMBERS]; /* what it was told that they have */
    size_t whole;              /* what somebody had of it for certain, since it is the writer */
    int64_t free_until;        /* bounded: so long commits need nobody, in the machine's own time */
    size_t acknowledged;       /* entries that were, in this run of the process */
    int64_t reboot;
    int64_t rebuild;
};

struct sim_group {
    struct model_database_group group;
    const char *synchronous[MODEL_DATABASE_MEMBERS];
    struct model_database_turn history[MODEL_DATABASE_HISTORY];
};

struct sim_seen {
    bool there;
    struct model_database_seen seen;
    int64_t revision;
};

/* The store's contents at one revision. */
struct sim_snapshot {
    int64_t revision;
    struct sim_group group;
    int64_t group_revision;
    struct model_database_lease lease;
    int64_t lease_revision;
    struct model_database_member members[SIM_MEMBERS];
    bool wanted[SIM_MEMBERS]; /* there is a record */
    struct sim_seen seen[SIM_MEMBERS];
};

/* A request on its way. */
struct sim_request {
    bool active;
    bool seen; /* a put of a seen record, else a transaction */
    int agent;
    uint64_t life;      /* the agent's, when it was sent */
    int64_t arrives_at; /* at the store; INT64_MAX: never */
    int64_t answers_at; /* INT64_MAX: never */
    bool arrived;
    bool ok;
    int64_t sent_local;
    int64_t group_revision;
    int64_t lease_revision;
    bool writes_group;
    bool writes_lease;
    bool writes_loss;
    bool holds;
    enum database_transition transition;
    struct sim_group group;
    struct model_database_lease lease;
    struct model_database_seen record;
};

struct sim_agent {
    bool alive;   /* false: it does not run */
    bool paused;  /* runs, but stands still */
    bool cut_off; /* from the store */
    bool stopping;
    uint64_t life;
    int64_t offset; /* of its machine's clock */
    int64_t drift;  /* in millionths */
    struct sim_snapshot view;
    int64_t view_delay; /* next delivery */
    int64_t lease_since;
    int64_t phase_since;
    int64_t heard[SIM_MEMBERS];
    int64_t deadline;
    int64_t unwritable_since;
    int64_t alone_since;
    int64_t idle_since;
    int64_t fenced; /* revision of the lease whose holder's server it made certain of */
    bool sent;      /* a transaction is under way */
    int64_t sent_until;
    bool put;
    int64_t put_until;
    int64_t put_at;
    struct model_database_seen last_put;
    struct database_order order;
    int64_t order_done; /* 0: none under way */
    int order_upstream;
    /* It looks again when something changed, or at the time that it was told to. */
    bool dirty;
    uint64_t saw; /* of its server */
    int64_t wakes_at;
    enum database_process process; /* its server's, and since when */
    int64_t process_since;
};

struct sim {
    uint64_t seed;
    struct random random;
    enum sim_mistake mistake;
    bool trace;
    int64_t now;
    size_t step;
    struct sim_snapshot store;
    struct sim_snapshot *snapshots; /* ring */
    bool store_away;
    struct sim_server servers[SIM_MEMBERS];
    struct sim_agent agents[SIM_MEMBERS];
    bool link_cut[SIM_MEMBERS][SIM_MEMBERS]; /* between servers */
    struct sim_request requests[SIM_PENDING];
    /* Clients. */
    uint32_t rows;
    bool acknowledged[SIM_ROWS];
    bool booked[SIM_ROWS];   /* lost by a failover that may lose */
    bool reported[SIM_ROWS]; /* as lost, by what was put aside */
    bool gone[SIM_ROWS];     /* was in the log of a member that was deleted */
    int64_t last_epoch;
    int epoch_writer;
    enum model_database_mode elected_in; /* the mode when the last target was chosen */
    bool off_line;                       /* the operator chose a member whose log is another one */
    bool quiet;                          /* no faults, no operator any more */
    size_t transitions[64];
    size_t actions[64];
    size_t takes;
    size_t lossy;
    size_t fences; /* done by agents, and by hand */
    size_t confirmed;
    size_t made_anew;     /* readers whose log was thrown away */
    int64_t stands_since; /* the lease's revision, as the operator sees it */
    int64_t stands_at;
    /* The first thing that was wrong; "" while nothing is. */
    char wrong[512];
};

/* snapshots are kept between runs. */
void sim_begin(struct sim *sim, uint64_t seed, enum sim_mistake mistake);
void sim_done(struct sim *sim);
/* Runs with faults for so many steps, then without, until all is well, or too much time passed. */
void sim_run(struct sim *sim, size_t steps);
void sim_wrong(struct sim *sim, const char *format, ...) PRINTF(2, 3);
void sim_note(const struct sim *sim, const char *format, ...) PRINTF(2, 3);

extern const char *const sim_ids[SIM_MEMBERS];
int sim_index(const char *id); /* -1: none */
int64_t sim_below(struct sim *sim, int64_t bound);
bool sim_chance(struct sim *sim, uint32_t in);       /* one in so many */
int64_t sim_local(const struct sim *sim, int agent); /* its clock */

/* ---- sim_server.c ---- */

uint32_t sim_timeline(const struct sim_server *server);
void sim_crash(struct sim *sim, struct sim_server *server);
void sim_stop(struct sim *sim, int member, bool fast);
void sim_start(struct sim *sim, int member, bool standby);
/* The end of what both have, by their timelines. */
size_t sim_fork(const struct sim_server *a, const struct sim_server *b);
void sim_rewind(struct sim_server *server, const struct sim_server *writer);
void sim_copy(struct sim_server *server, const struct sim_server *writer);
bool sim_reaches(const struct sim *sim, int from, int to);
void sim_servers_step(struct sim *sim);
void sim_clients_step(struct sim *sim);
bool sim_has_row(const struct sim_server *server, uint32_t row);
void sim_set_synchronous(struct sim *sim, int member, unsigned bits);

/* ---- sim_store.c ---- */

void sim_store_changed(struct sim *sim);
void sim_send(struct sim *sim, const struct sim_request *request);
void sim_store_step(struct sim *sim);
void sim_copy_group(struct sim_group *to, const struct model_database_group *from);
void sim_copy_snapshot(struct sim_snapshot *to, const struct sim_snapshot *from);

/* ---- sim_agent.c ---- */

void sim_agent_restart(struct sim *sim, int agent);
void sim_agents_step(struct sim *sim);
void sim_answer(struct sim *sim, const struct sim_request *request, bool ok);
void sim_build_view(struct sim *sim, int agent, struct database_view *view,
                    struct database_sight sights[SIM_MEMBERS]);

#endif
