/* See pace.h. */
#include "daemon/pace.h"

int64_t pace_rest(const struct pace *pace)
{
    int64_t time = PACE_GOAL_NS - pace->since_ns;
    if (time <= 0 || pace->used_ns <= 0 || pace->left == 0) {
        return 0;
    }
    /* In floating point: the product of a long piece and many names has no bounds that matter. */
    double pieces = (double)pace->left / (double)pace->names;
    double rest = ((double)time - pieces * (double)pace->used_ns) / (pieces < 1 ? 1 : pieces);
    double most = PACE_REST_LIMIT * (double)pace->used_ns;
    return rest <= 0 ? 0 : (int64_t)(rest < most ? rest : most);
}
