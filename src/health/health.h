/* Health checking: probes, the counting of results, calculated checks, and the status table.
 *
 * One thread with one event loop owns every probe. It watches r53/check/ and r53/tags/healthcheck/
 * in the store itself (a thread of its own feeds the loop), keeps going on the last known list when
 * the store fails, and publishes struct model_status. A change is published within the same
 * turn of the loop; but improvements within 10 ms of the last table wait for the end of these. What
 * this node holds for unhealthy is kept in the store and known again after a restart, before the
 * first table is published. */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/ballot.h"
#include "model/status.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct health;

struct health_config {
    struct store *store; /* of the checks; read only */
    struct store *local; /* of this node's verdicts: those that need no other site to be read */
    const char *node;    /* this node's name, for node/<node>/verdict/ */
    const char *region;  /* of this checker, as GetHealthCheckStatus shows it */
    /* Called on the health thread after each publication; the table is valid until the callback
     * publishes the next and readers have passed (base/snapshot.h): copy what you keep. Must not
     * block. */
    void (*published)(void *context, const struct model_status *status);
    /* Called on the health thread while there are other sites: this site's ballots, complete, once
     * a second and at once when a vote changed. Must not block. NULL: there are never any. */
    void (*cast)(void *context, struct model_ballots *take_ballots);
    void *context;
    /* The known sites of the cluster at the start, and this one's name (NULL: there are none). */
    const char *site;
    const char *const *sites;
    size_t site_count;
};

/* Starts the thread. The first table is published before it returns. */
int health_start(const struct health_config *config, struct health **ret_health, struct err *err)
    MUST_CHECK;
void health_stop(struct health *take_health);

/* ---- other sites ---- */

/* The known sites from now on, this one included; copied. With none but this one, a check is as its
 * own results are. With others its verdict changes only with tables from more than half of the
 * known sites, none older than MODEL_BALLOT_RECENT_MS; a site that hears fewer holds what it has.
 * Any thread. */
void health_set_sites(struct health *health, const char *const *sites, size_t count);
/* The table of another site, complete. Of tables that were not looked at yet the newest counts. Any
 * thread. */
void health_hear(struct health *health, const char *site, struct model_ballots *take_ballots);

struct health_votes {
    size_t sites; /* known; 0 and 1: this one is alone */
    size_t fresh; /* heard of lately, this one included */
    bool held;    /* these are too few: verdicts stay as they are */
};

/* Any thread. */
void health_votes(struct health *health, struct health_votes *ret_votes);

/* What one checker (site) last saw of one check. */
struct health_observation {
    const char *region;  /* of another site: its name */
    const char *address; /* of the checker */
    bool healthy;        /* the vote: the counted state */
    struct wall since;   /* of the vote's last change */
    const char *status; /* "Success: HTTP Status Code 200, OK", "Failure: Connection refused...", as
                           Route 53 words it */
    struct wall checked;      /* when the last result came; 0 before the first */
    const char *last_failure; /* "" when there was none yet */
    struct wall last_failure_at;
    int64_t latency_us; /* of the last success; 0 when there was none */
};

struct health_view {
    bool healthy; /* the verdict that DNS uses */
    struct wall since;
    bool latched;
    struct health_observation *observations;
    size_t count; /* 0 for CALCULATED */
};

/* Any thread. ERR_NOT_FOUND for an unknown id. Memory from the arena. */
int health_describe(struct health *health, const char *check_id, struct arena *arena,
                    struct health_view *ret_view, struct err *err) MUST_CHECK;
/* Lets a latched check follow its results again. Any thread. */
int health_reset_latch(struct health *health, const char *check_id, struct err *err) MUST_CHECK;

/* What the health threads have done since they started. X(name, help) */
#define HEALTH_COUNTERS(X)                                                                         \
    X(probes_started, "probes begun")                                                              \
    X(probes_passed, "probes that found their endpoint healthy")                                   \
    X(probes_failed, "probes that did not")                                                        \
    X(probes_late, "probes begun more than 50 ms after their time")                                \
    X(probes_overdue, "probes that had to wait for the former one of the same check")              \
    X(publications, "status tables published")                                                     \
    X(ballots_cast, "tables of ballots made for other sites")                                      \
    X(ballots_heard, "tables of ballots of other sites taken")                                     \
    X(store_errors, "errors of the store while reading checks or keeping verdicts")

struct health_counters {
#define X(name, help) uint64_t name;
    HEALTH_COUNTERS(X)
#undef X
};

/* Any thread. */
void health_count(struct health *health, struct health_counters *ret_counters);

/* The loop's lag: how late its 10 ms timer ran at worst since the last call. Any thread. */
int64_t health_loop_lag_us(struct health *health);

#endif
