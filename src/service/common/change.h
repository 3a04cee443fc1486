/* A wanted change of routing control states: read from a request, judged panel by panel. What
 * UpdateRoutingControlStates and the explanation of it (service/leeward) have in common, so that
 * both say the same. Thread: the call's. Memory: the call's arena. */
#ifndef SERVICE_COMMON_CHANGE_H
#define SERVICE_COMMON_CHANGE_H

#include "aws/service.h"
#include "base/macro.h"
#include "model/arc.h"
#include "service/common/controls.h"

#include <stdbool.h>
#include <stddef.h>

#define CHANGE_OVERRIDES_LIMIT 100U

/* What concerns one panel. */
struct change_part {
    char panel_id[MODEL_ARC_ID];
    struct controls_panel panel;
    struct arc_change changes[MODEL_ARC_CHANGES];
    size_t count;
    struct arc_judgement judgement;
};

struct change {
    struct model_arc_name names[MODEL_ARC_CHANGES]; /* of the controls, as the request has them */
    bool on[MODEL_ARC_CHANGES];
    size_t count;
    struct model_arc_name *overrides; /* safety rules to pass over */
    size_t override_count;
    struct change_part parts[MODEL_ARC_CHANGES];
    size_t part_count;
};

/* Reads a list of {"RoutingControlArn","RoutingControlState"} and one of safety rules' ARNs (may be
 * NULL). Errors of route53-recovery-cluster: ValidationException for what is no such ARN, for a
 * control twice, for none; ServiceLimitExceededException for too many; ResourceNotFoundException
 * for another account's. */
int change_read(struct aws_call *call, const json_t *entries, const json_t *overrides,
                struct change *ret_change, struct err *err) MUST_CHECK;
/* Whether the rules to pass over are there, also those of panels that the change does not touch: a
 * name that is wrong is said to be so before it matters. ResourceNotFoundException. */
int change_find_overrides(struct aws_call *call, const struct change *change, struct err *err)
    MUST_CHECK;
/* Judges a part whose panel is filled. ResourceNotFoundException for controls that are not there.
 */
int change_judge_part(struct aws_call *call, const struct change *change, struct change_part *part,
                      struct err *err) MUST_CHECK;
/* All of it: looks for the rules, reads the panels from the store, judges. */
int change_judge(struct aws_call *call, struct change *change, struct err *err) MUST_CHECK;
/* Over all parts, once they are judged. */
size_t change_blocking(const struct change *change);
/* ConflictException naming every rule that blocks, with the reason of each. */
int change_refuse(struct aws_call *call, const struct change *change, struct err *err);
/* ResourceNotFoundException for the part's panel: of its first control. */
int change_no_panel(struct aws_call *call, const struct change *change,
                    const struct change_part *part, struct err *err);
/* ResourceNotFoundException with the members that service wants. */
int change_not_found(struct aws_call *call, const struct model_arc_name *name, struct err *err);

#endif
