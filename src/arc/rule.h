/* Whether routing controls may change: the safety rules of one control panel, judged.
 *
 * A pure function: no clock, no I/O. What it is told: the panel's controls and rules as they are,
 * the changes that are wanted, the rules to pass over, the time. What it says: every rule that
 * stands against the changes, each with the reason.
 *
 *   Assertion rule   when one of its controls changes, its controls as they are AFTER the change
 *                    must fulfil its criterion, for turning on as well as for turning off.
 *   Gating rule      when one of its targets changes, its gating controls as they are BEFORE the
 *                    change must fulfil its criterion: a gate is opened first, and by itself.
 *   Criterion        how many of the controls are On: at least n (ATLEAST), all (AND), one or more
 *                    (OR), exactly n (EXACTLY); inverted: not so.
 *   Wait period      while less than it has passed since one of the rule's controls (of a gating
 *                    rule: targets) changed last, none of them may change. It is measured by wall
 *                    clocks, which several sites have: a last change further ahead of now than the
 *                    period itself says that a clock is wrong, and holds nothing up.
 *
 * A control that is set to what it is does not change, and concerns no rule.
 * Called by service/arc for an update and by service/leeward for explaining one. Thread: any. */
#ifndef ARC_RULE_H
#define ARC_RULE_H

#include "base/arena.h"
#include "base/macro.h"
#include "base/time.h"
#include "model/arc.h"

#include <stdbool.h>
#include <stddef.h>

struct arc_control {
    const char *id;
    const char *name;
    struct model_arc_state state;
};

struct arc_panel {
    const struct arc_control *controls; /* sorted by id */
    size_t control_count;
    const struct model_arc_rule *rules;
    size_t rule_count;
};

struct arc_change {
    size_t control; /* its place in the panel; at most one change each */
    bool on;
};

struct arc_request {
    const struct arc_change *changes;
    size_t change_count;
    const char *const *overrides; /* ids of rules to pass over; others' are ignored */
    size_t override_count;
    struct wall now;
};

enum arc_verdict {
    ARC_UNCONCERNED, /* none of what it guards changes */
    ARC_SATISFIED,
    ARC_OVERRIDDEN, /* it would block; it is passed over */
    ARC_BLOCKS,
};

struct arc_finding {
    enum arc_verdict verdict;
    const char *reason; /* a sentence without full stop; "" when unconcerned */
};

struct arc_judgement {
    size_t changed; /* controls that really change */
    size_t blocking;
    struct arc_finding *findings; /* one for each rule, in the panel's order; in the arena */
};

/* The place of the control with that id; control_count when there is none. */
size_t arc_panel_find(const struct arc_panel *panel, const char *id);
/* The changes are allowed when nothing is blocking. */
void arc_judge(const struct arc_panel *panel, const struct arc_request *request,
               struct arena *arena, struct arc_judgement *ret_judgement);
/* What the rule wants, in words: "at least 1 of its 2 asserted controls (a, b) must be On". */
const char *arc_rule_text(const struct arc_panel *panel, const struct model_arc_rule *rule,
                          struct arena *arena);
const char *arc_verdict_name(enum arc_verdict verdict);

#endif
