/* Routing controls as plain records: their names (ARNs), where they live in the store, states and
 * safety rules. Clusters, control panels and controls are stored as service/arc writes them; what
 * data planes and decisions read has its decoder here.
 *
 *     arn:aws:route53-recovery-control::ACCOUNT:cluster/UUID
 *     arn:aws:route53-recovery-control::ACCOUNT:controlpanel/HEX32
 *     arn:aws:route53-recovery-control::ACCOUNT:controlpanel/HEX32/routingcontrol/HEX16
 *     arn:aws:route53-recovery-control::ACCOUNT:controlpanel/HEX32/safetyrule/HEX16
 *
 * Thread: any. Memory: the caller's arena. */
#ifndef MODEL_ARC_H
#define MODEL_ARC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* AWS's quotas ("Quotas for routing control", ARC developer guide). */
#define MODEL_ARC_CLUSTERS 2U
#define MODEL_ARC_PANELS 50U            /* of a cluster */
#define MODEL_ARC_PANEL_CONTROLS 100U   /* of a panel */
#define MODEL_ARC_CLUSTER_CONTROLS 300U /* of a cluster */
#define MODEL_ARC_RULES 20U             /* of a panel */
#define MODEL_ARC_CHANGES 10U           /* of an UpdateRoutingControlStates */

/* ---- names ---- */

enum model_arc_kind {
    MODEL_ARC_CLUSTER,
    MODEL_ARC_PANEL,
    MODEL_ARC_CONTROL,
    MODEL_ARC_RULE,
};

#define MODEL_ARC_ID 37U /* bytes of an id, with its NUL */
#define MODEL_ARC_ACCOUNT 13U
#define MODEL_ARC_ARN 160U

/* Fixed sizes, so that it can be kept and compared without an arena. */
struct model_arc_name {
    enum model_arc_kind kind;
    char account[MODEL_ARC_ACCOUNT];
    char panel[MODEL_ARC_ID]; /* of a control or rule; "" otherwise */
    char id[MODEL_ARC_ID];
};

/* "cluster", "control panel", .. */
const char *model_arc_kind_name(enum model_arc_kind kind);
/* -EINVAL unless it is one of the four forms above. */
int model_arc_parse(const char *arn, struct model_arc_name *ret_name) MUST_CHECK;
/* panel is for controls and rules alone. */
char *model_arc_arn(struct arena *arena, const char *account, enum model_arc_kind kind,
                    const char *panel, const char *id) MUST_CHECK;
/* A new id of the kind. */
void model_arc_new_id(enum model_arc_kind kind, char out[MODEL_ARC_ID]);

/* ---- keys ---- */

/* arc/cluster/<id>, arc/panel/<id>, arc/control/<panel>/<id> or arc/rule/<panel>/<id>. */
char *model_arc_key(struct arena *arena, enum model_arc_kind kind, const char *panel,
                    const char *id) MUST_CHECK;
/* prefix, the panel's id and '/': all of a panel's, where prefix is one of path.h. */
char *model_arc_prefix(struct arena *arena, const char *prefix, const char *panel) MUST_CHECK;
/* arc/state/<panel>/<control> */
char *model_arc_state_key(struct arena *arena, const char *panel, const char *control) MUST_CHECK;
/* arc/guard/<id> */
char *model_arc_guard(struct arena *arena, const char *id) MUST_CHECK;

/* ---- states: {"v":1,"State":"On"|"Off","Panel":..,"Changed":milliseconds since 1970} ---- */

struct model_arc_state {
    bool on;
    struct wall changed; /* 0: never */
    const char *later;   /* the value, where a later version wrote it; NULL: it has nothing more */
};

/* arena: of `later`; NULL: that is not wanted. */
int model_arc_state_decode(const void *value, size_t size, struct arena *arena,
                           struct model_arc_state *ret_state, struct err *err) MUST_CHECK;
/* "On", "Off" */
const char *model_arc_state_name(bool on);
/* The stored text, with all that `later` has. */
char *model_arc_state_encode(struct arena *arena, const char *panel,
                             const struct model_arc_state *state) MUST_CHECK;

/* ---- safety rules ---- */

enum model_arc_rule_kind {
    MODEL_ARC_ASSERTION, /* what its controls must be after a change of them */
    MODEL_ARC_GATING,    /* what its controls must be before its targets may change */
};

enum model_arc_rule_type {
    MODEL_ARC_ATLEAST,
    MODEL_ARC_AND,
    MODEL_ARC_OR,
    MODEL_ARC_EXACTLY, /* Leeward's own */
};

/* {"v":1,"Id","Panel","Kind":"ASSERTION"|"GATING","Name","WaitPeriodMs","RuleConfig":{as the API},
 * "Controls":[ids],"Targets":[ids],"Tags":{..}}: Controls are the asserted or the gating ones. */
struct model_arc_rule {
    const char *id;
    const char *name;
    enum model_arc_rule_kind kind;
    enum model_arc_rule_type type;
    bool inverted;
    int64_t threshold;
    int64_t wait_ms;
    const char **controls;
    size_t control_count;
    const char **targets; /* of a gating rule */
    size_t target_count;
};

/* -EINVAL when there is no such type. */
int model_arc_rule_type_parse(const char *text, enum model_arc_rule_type *ret_type) MUST_CHECK;
int model_arc_rule_decode(const void *value, size_t size, struct arena *arena,
                          struct model_arc_rule *ret_rule, struct err *err) MUST_CHECK;

#endif
