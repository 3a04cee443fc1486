/* Whether a log is part of the writer's history: see core.h. Pure; any thread.
 *
 * Every turn of the group has a timeline that no other one has, and says where it forked from which
 * other. The line of the last turn is followed back, with the least fork passed so far as the
 * limit:
 *
 *     timeline 1 -----------+--------------> (what the writer before had beyond the fork)
 *                           | fork
 *     timeline 2            +------+------>
 *                                  |
 *     timeline 3                   +------> the writer's
 */
#include "database/core/core.h"

static const struct model_database_turn *find_turn(const struct model_database_group *group,
                                                   uint32_t timeline)
{
    for (size_t i = group->history_count; i > 0; i--) {
        if (group->history[i - 1].timeline == timeline) {
            return &group->history[i - 1];
        }
    }
    return NULL;
}

enum database_lineage database_lineage_by_record(const struct model_database_group *group,
                                                 uint32_t timeline, model_lsn end)
{
    if (group->history_count == 0 || timeline == 0) {
        return DATABASE_LINEAGE_UNKNOWN;
    }
    model_lsn limit = UINT64_MAX;
    uint32_t at = group->history[group->history_count - 1].timeline;
    for (size_t steps = 0; steps <= group->history_count; steps++) {
        if (at == timeline) {
            return end <= limit ? DATABASE_FOLLOWS : DATABASE_DIVERGED;
        }
        const struct model_database_turn *turn = find_turn(group, at);
        if (turn == NULL || turn->parent == 0) {
            break;
        }
        limit = MIN(limit, turn->fork);
        at = turn->parent;
    }
    return find_turn(group, timeline) != NULL ? DATABASE_DIVERGED : DATABASE_LINEAGE_UNKNOWN;
}

enum database_lineage database_lineage_by_list(const struct database_timeline *list, size_t count,
                                               uint32_t timeline, model_lsn end)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].timeline == timeline) {
            bool last = i + 1 == count;
            return last || end <= list[i + 1].begin ? DATABASE_FOLLOWS : DATABASE_DIVERGED;
        }
    }
    return count == 0 ? DATABASE_LINEAGE_UNKNOWN : DATABASE_DIVERGED;
}
