/* From results to an outcome, in two pure steps: consecutive results are counted into this
 * checker's vote, and the verdict of the votes (vote.h) becomes the outcome that DNS uses, after
 * inversion, disabling and the latch (spec/route53.md "Health checks").
 *
 * Called by check_table.c for every result, and by the simulation. No clock, no I/O, no globals.
 * Invariant: `raw` changes only with the last of a threshold's worth of consecutive results that
 * all disagree with it; `latched` is set only when a verdict makes a healthy check unhealthy. */
#ifndef HEALTH_COUNT_H
#define HEALTH_COUNT_H

#include "base/macro.h"
#include "model/check.h"

#include <stdbool.h>
#include <stdint.h>

struct count_rules {
    uint32_t failures_down; /* consecutive failures that turn it unhealthy, from 1 */
    uint32_t successes_up;  /* consecutive successes that turn it healthy, from 1 */
    bool inverted;
    bool disabled;
    bool latch;
};

/* The rules of a check: its threshold both ways, or its tags. */
struct count_rules count_rules_of(const struct model_check *check);

/* ---- this checker's results ---- */

struct count_state {
    bool raw; /* what the results say: this checker's vote; of a calculated check, the verdict */
    uint32_t run; /* consecutive results that disagree with raw */
};

/* Before the first result: healthy. */
struct count_state count_begin(void);
struct count_state count_result(const struct count_rules *rules, const struct count_state *state,
                                bool passed);
/* The endpoint became another one: the state stays (an update alone moves no answer), the count of
 * consecutive results starts again. */
struct count_state count_target_changed(const struct count_state *state);

/* ---- the outcome ---- */

struct count_outcome {
    bool latched; /* unhealthy until reset, whatever the verdict */
    bool healthy;
};

enum count_cause {
    COUNT_VERDICT,       /* the verdict may have changed: a fall latches */
    COUNT_RULES_CHANGED, /* the rules changed: never latches by itself */
    COUNT_LATCH_RESET,   /* it follows the verdict again, and latches at the next fall */
};

/* latched: what was stored; dropped when the rules have no latch. An inverted check is unhealthy
 * until a first failure, as on Route 53; that does not latch it. */
struct count_outcome count_outcome_begin(const struct count_rules *rules, bool verdict,
                                         bool latched);
struct count_outcome count_outcome_step(const struct count_rules *rules,
                                        const struct count_outcome *outcome, bool verdict,
                                        enum count_cause cause);

/* ---- across a restart ---- */

/* What is kept of a check while count_keeps() says so. */
struct count_kept {
    bool vote;    /* this site's */
    bool verdict; /* of all sites */
    bool healthy; /* the outcome that the verdict led to */
    bool latched;
};

/* Whether a restart would lose something: vote or verdict are unhealthy, or the check is latched. A
 * disabled check has no vote worth keeping, as it begins as a new one when it is enabled. */
bool count_keeps(const struct count_rules *rules, const struct count_state *state, bool verdict,
                 const struct count_outcome *outcome);
/* The state to begin with; the outcome is count_outcome_begin's, from its raw. The rules may have
 * changed meanwhile: a vote that makes healthy now (the check is inverted) what it did not when it
 * was kept is not taken over. So no old record makes anything healthy. */
struct count_state count_restore(const struct count_rules *rules, const struct count_kept *kept);
/* The same for the verdict. */
bool count_restore_verdict(const struct count_rules *rules, const struct count_kept *kept);

#endif
