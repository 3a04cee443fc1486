/* Statuses: see show.h. Called by handlers on API threads. Pure functions of the world. Invariant:
 * a server whose agent has not said that it serves is never "available". */
#include "base/text.h"
#include "service/rds/show.h"

static bool is_deleting(const struct rds_item *item)
{
    return json_is_true(json_object_get(item->tree, "Deleting"));
}

static bool serves(const struct rds_member *member)
{
    return member->seen.condition == MODEL_DATABASE_WRITER ||
           member->seen.condition == MODEL_DATABASE_READER ||
           member->seen.condition == MODEL_DATABASE_STREAMING;
}

/* Never had data, as far as is known. */
static bool is_new(const struct rds_member *member)
{
    return member->seen.condition == MODEL_DATABASE_ABSENT ||
           member->seen.condition == MODEL_DATABASE_CREATING;
}

/* ---- instances ---- */

/* Words for a server that is wanted and not at rest. */
static const char *condition_status(const struct rds_group *group, const struct rds_member *member)
{
    switch (member->seen.condition) {
    case MODEL_DATABASE_ABSENT:
    case MODEL_DATABASE_CREATING:
        return "creating";
    case MODEL_DATABASE_DOWN:
        return group->g.operation != MODEL_DATABASE_NO_OPERATION ? "rebooting" : "starting";
    case MODEL_DATABASE_STARTING:
        return "starting";
    case MODEL_DATABASE_WRITER:
    case MODEL_DATABASE_READER:
    case MODEL_DATABASE_STREAMING:
        return "available";
    case MODEL_DATABASE_RETURNING:
        return "maintenance";
    case MODEL_DATABASE_STUCK:
        break;
    }
    return "failed";
}

const char *rds_instance_status(const struct rds_world *world, const struct rds_item *instance)
{
    const struct rds_group *group = rds_group_of(world, instance);
    const struct rds_member *member = rds_member_of(world, instance);
    if (is_deleting(instance)) {
        return "deleting";
    }
    if (group == NULL || member == NULL) {
        return "failed";
    }
    if (member->m.stopped) {
        return serves(member) || member->seen.condition == MODEL_DATABASE_STARTING ? "stopping"
                                                                                   : "stopped";
    }
    if (!is_new(member) && member->m.reboot > member->seen.reboot) {
        return "rebooting";
    }
    if (!is_new(member) && member->m.rebuild > member->seen.rebuild) {
        return "maintenance";
    }
    return condition_status(group, member);
}

bool rds_waits_for_reboot(const struct rds_item *instance, const struct rds_member *member)
{
    return json_is_true(json_object_get(instance->tree, "PendingReboot")) ||
           (member != NULL && member->seen.pending_reboot);
}

/* ---- clusters ---- */

struct rds_item *rds_next_instance(const struct rds_world *world, const struct rds_item *cluster,
                                   struct rds_item *after)
{
    struct rds_item *item = after != NULL ? after->next : world->items[RDS_INSTANCE];
    while (item != NULL && (rds_gone(item) || !text_equal(item->region, cluster->region) ||
                            !text_equal(tree_text(item->tree, "Cluster"), cluster->id))) {
        item = item->next;
    }
    return item;
}

/* Between two steady states. */
static const char *operation_status(const struct rds_group *group)
{
    switch (group->g.operation) {
    case MODEL_DATABASE_SWITCHOVER:
    case MODEL_DATABASE_FAILOVER:
    case MODEL_DATABASE_FAILOVER_AUTOMATIC:
        return "failing-over";
    case MODEL_DATABASE_NO_OPERATION:
        break;
    }
    return group->g.phase == MODEL_DATABASE_ELECTING || group->g.phase == MODEL_DATABASE_PROMOTING
               ? "failing-over"
               : NULL;
}

/* All of them are to be at rest. */
static bool is_stopped(struct rds_member *const *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!members[i]->m.stopped) {
            return false;
        }
    }
    return true;
}

static const char *stopped_status(struct rds_member *const *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (serves(members[i]) || members[i]->seen.condition == MODEL_DATABASE_STARTING) {
            return "stopping";
        }
    }
    return "stopped";
}

/* By what its servers do. */
static const char *members_status(const struct rds_world *world, const struct rds_item *cluster,
                                  struct rds_member *const *members, size_t count)
{
    bool writes = rds_cluster_writes(world, cluster);
    bool all_new = true;
    bool all_stuck = true;
    for (size_t i = 0; i < count; i++) {
        const struct rds_member *member = members[i];
        if (writes ? member->seen.condition == MODEL_DATABASE_WRITER : serves(member)) {
            return "available";
        }
        all_new = all_new && is_new(member);
        all_stuck = all_stuck && member->seen.condition == MODEL_DATABASE_STUCK;
    }
    if (all_stuck) {
        return "failed";
    }
    return all_new ? "creating" : "starting";
}

const char *rds_cluster_status(const struct rds_world *world, const struct rds_item *cluster)
{
    const struct rds_group *group = rds_group_of(world, cluster);
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    if (is_deleting(cluster)) {
        return "deleting";
    }
    if (group == NULL) {
        return "failed";
    }
    size_t count = rds_cluster_members(group, cluster->region, cluster->id, members);
    if (count == 0) {
        return rds_find_region(world, cluster->region) != NULL ? "available" : "creating";
    }
    /* There is one that nobody is to use: it keeps the data of a cluster without instances. */
    if (rds_next_instance(world, cluster, NULL) == NULL) {
        return "available";
    }
    if (is_stopped(members, count)) {
        return stopped_status(members, count);
    }
    const char *moving = operation_status(group);
    if (moving != NULL) {
        return moving;
    }
    return members_status(world, cluster, members, count);
}

/* ---- global clusters ---- */

/* FailoverGlobalCluster says failing-over for a planned one too. */
const char *rds_global_status(const struct rds_world *world, const struct rds_item *global)
{
    const struct rds_group *group = rds_group_of(world, global);
    if (group == NULL) {
        return "available";
    }
    const char *moving = operation_status(group);
    if (moving != NULL && group->g.operation == MODEL_DATABASE_SWITCHOVER &&
        text_equal(tree_text(global->tree, "Order"), "SwitchoverGlobalCluster")) {
        return "switching-over";
    }
    return moving != NULL ? moving : "available";
}

/* ---- snapshots ---- */

const char *rds_snapshot_status(const struct rds_world *world, const struct rds_item *item)
{
    const struct rds_snapshot *snapshot =
        rds_find_snapshot(world, tree_text(item->tree, "ResourceId"));
    if (is_deleting(item)) {
        return "deleting";
    }
    if (snapshot == NULL) {
        return "failed";
    }
    if (!snapshot->is_seen) {
        return "creating";
    }
    switch (snapshot->seen.state) {
    case MODEL_DATABASE_SNAPSHOT_CREATING:
        return "creating";
    case MODEL_DATABASE_SNAPSHOT_AVAILABLE:
        return "available";
    case MODEL_DATABASE_SNAPSHOT_FAILED:
        break;
    }
    return "failed";
}
