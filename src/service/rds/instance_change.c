/* DB instances: modify, delete, reboot. Called as handlers on API threads.
 *
 * Deleting is asked of the agent (member.deleted), which removes the member's record once server
 * and data are gone. The writer is deleted after another member took over. The last member of a
 * group is kept, stopped, because it has the data: as on AWS, that belongs to the cluster, and the
 * cluster's next instance goes on with it. Invariant: nothing but DeleteDBCluster removes the last
 * copy of the data. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

/* ---- delete ---- */

static int invalid_state(struct aws_call *call, struct err *err, const char *id, const char *why)
{
    return aws_error(call, err, "InvalidDBInstanceStateFault", "DB instance %s %s", id, why);
}

/* Without an agent that could do it: there is nothing but records. */
static bool never_was(const struct rds_world *world, const struct rds_member *member)
{
    return !member->is_seen && rds_find_region(world, member->m.region) == NULL;
}

static void delete_member(struct rds_world *world, struct rds_item *instance,
                          struct rds_member *member)
{
    if (never_was(world, member)) {
        member->mark = RDS_DROP;
        instance->mark = RDS_DROP;
        return;
    }
    member->m.deleted = true;
    member->mark = RDS_WRITE;
    instance->mark = RDS_WRITE;
    (void)json_object_set_new(instance->tree, "Deleting",
                              json_true()); /* memory: writing finds it */
}

/* The member stays without an instance, and keeps the data. */
static void keep_data(struct rds_item *instance, struct rds_member *member)
{
    member->m.instance = "";
    member->m.stopped = true;
    member->mark = RDS_WRITE;
    instance->mark = RDS_DROP;
}

static size_t count_others(const struct rds_group *group, const struct rds_member *member)
{
    size_t count = 0;
    for (size_t i = 0; i < group->member_count; i++) {
        count += group->members[i] != member && !group->members[i]->m.deleted ? 1 : 0;
    }
    return count;
}

static int delete_writer(struct rds_world *world, struct rds_item *instance,
                         struct rds_group *group, struct rds_member *member, struct err *err)
{
    const struct rds_item *cluster =
        rds_find(world, RDS_CLUSTER, instance->region, tree_text(instance->tree, "Cluster"));
    struct rds_member *next = rds_candidate(group, cluster, group->g.phase != MODEL_DATABASE_NEW);
    if (group->g.phase == MODEL_DATABASE_NEW) {
        group->g.writer = next != NULL ? next->m.id : "";
        group->mark = RDS_WRITE;
        delete_member(world, instance, member);
        return 0;
    }
    if (count_others(group, member) == 0) {
        keep_data(instance, member);
        return 0;
    }
    const char *unready = rds_unready(world, group);
    if (next == NULL || unready != NULL) {
        return invalid_state(world->call, err, instance->id,
                             "has the writer, and none of the cluster's other instances can take "
                             "over now: switch over to another cluster, or wait.");
    }
    rds_order(group, MODEL_DATABASE_SWITCHOVER, next, "The writer's instance was deleted.");
    delete_member(world, instance, member);
    return 0;
}

static int delete_clustered(struct rds_world *world, struct rds_item *instance, struct err *err)
{
    struct rds_group *group = rds_group_of(world, instance);
    struct rds_member *member = rds_member_of(world, instance);
    if (group == NULL || member == NULL) {
        instance->mark = RDS_DROP;
        return 0;
    }
    if (!text_empty(group->g.target) && text_equal(group->g.target, member->m.id) &&
        group->g.operation != MODEL_DATABASE_NO_OPERATION) {
        return invalid_state(world->call, err, instance->id, "is becoming the writer.");
    }
    if (text_equal(group->g.writer, member->m.id) &&
        tree_text(instance->tree, "Cluster")[0] != '\0') {
        return delete_writer(world, instance, group, member, err);
    }
    delete_member(world, instance, member);
    return 0;
}

static int judge_deletion(struct rds_world *world, const struct rds_item *instance,
                          const json_t *in, struct err *err)
{
    bool clustered = tree_text(instance->tree, "Cluster")[0] != '\0';
    bool skip = json_is_true(json_object_get(in, "SkipFinalSnapshot"));
    if (json_is_true(json_object_get(instance->tree, "Deleting"))) {
        return invalid_state(world->call, err, instance->id, "is already being deleted.");
    }
    if (!clustered && json_is_true(json_object_get(json_object_get(instance->tree, "Shown"),
                                                   "DeletionProtection"))) {
        return rds_combination(world->call, err,
                               "Cannot delete protected DB Instance, please disable deletion "
                               "protection and try again.");
    }
    if (clustered && tree_text(in, "FinalDBSnapshotIdentifier")[0] != '\0') {
        return rds_combination(world->call, err,
                               "FinalDBSnapshotIdentifier can not be specified when deleting a "
                               "cluster instance");
    }
    if (!clustered && !skip) {
        return rds_combination(world->call, err,
                               "Snapshots are taken of DB clusters: SkipFinalSnapshot is required "
                               "for an instance that is in none.");
    }
    return 0;
}

static int delete_step(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *instance = NULL;
    int rc = rds_named(world, RDS_INSTANCE, tree_text(in, "DBInstanceIdentifier"), &instance, err);
    rc = rc == 0 ? judge_deletion(world, instance, in, err) : rc;
    rc = rc == 0 ? delete_clustered(world, instance, err) : rc;
    *(struct rds_item **)state = instance;
    if (rc != 0 || instance == NULL) {
        return rc;
    }
    return rds_event(world, instance->region, instance->id, "db-instance", "deletion", err,
                     instance->mark == RDS_DROP ? "DB instance deleted"
                                                : "DB instance is being deleted");
}

RDS_HANDLER(delete_instance)
{
    struct rds_world world;
    struct rds_item *instance = NULL;
    int rc = rds_change(call, delete_step, in, &instance, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    return rc == 0 ? rds_answer("DBInstance", rds_show_instance(&world, instance, "deleting"),
                                ret_out, err)
                   : rc;
}

/* ---- modify ---- */

static int modify_port(struct rds_world *world, struct rds_item *instance,
                       struct rds_member *member, const json_t *in, struct err *err)
{
    const json_t *port = json_object_get(in, "DBPortNumber");
    if (port == NULL) {
        return 0;
    }
    if (tree_text(instance->tree, "Cluster")[0] != '\0') {
        return rds_combination(world->call, err,
                               "The port belongs to the DB Cluster: use ModifyDBCluster.");
    }
    rds_set_port(member, port);
    return 0;
}

static int modify_password(struct rds_world *world, struct rds_item *instance, const json_t *in,
                           struct err *err)
{
    const char *password = tree_text(in, "MasterUserPassword");
    struct rds_group *group = rds_group_of(world, instance);
    if (password[0] == '\0') {
        return 0;
    }
    if (tree_text(instance->tree, "Cluster")[0] != '\0') {
        return rds_combination(world->call, err,
                               "The master user belongs to the DB Cluster: use ModifyDBCluster.");
    }
    int rc = rds_judge_password(world->call, password, err);
    return rc == 0 ? rds_set_password(world, group, in, err) : rc;
}

static int rename_instance(struct rds_world *world, struct rds_item **instance,
                           struct rds_member *member, const json_t *in, struct err *err)
{
    const char *id = NULL;
    if (tree_text(in, "NewDBInstanceIdentifier")[0] == '\0') {
        return 0;
    }
    int rc = rds_identifier(world->call, in, "NewDBInstanceIdentifier", &id, err);
    if (rc != 0 || text_equal(id, (*instance)->id)) {
        return rc;
    }
    if (rds_find(world, RDS_INSTANCE, (*instance)->region, id) != NULL) {
        return aws_error(world->call, err, "DBInstanceAlreadyExistsFault",
                         "DB Instance already exists: %s", id);
    }
    struct rds_group *group = rds_group_of(world, *instance);
    const char *before = (*instance)->id;
    *instance = rds_rename(world, *instance, id);
    member->m.instance = (*instance)->id;
    member->mark = RDS_WRITE;
    if (group != NULL && tree_text((*instance)->tree, "Cluster")[0] == '\0') {
        group->g.name = (*instance)->id;
        group->mark = RDS_WRITE;
    }
    return rds_event(world, (*instance)->region, id, "db-instance", "notification", err,
                     "Renamed DB instance from %s to %s", before, id);
}

static int modify_group(struct rds_world *world, struct rds_item *instance, const json_t *in,
                        struct err *err)
{
    const char *wanted = tree_text(in, "DBParameterGroupName");
    const char *name = NULL;
    if (wanted[0] == '\0') {
        return 0;
    }
    int rc = rds_choose_group(world, RDS_PARAMETERS, wanted, tree_text(instance->tree, "Engine"),
                              &name, err);
    if (rc != 0) {
        return rc;
    }
    (void)json_object_set_new(instance->tree, "ParameterGroup",
                              json_string(name)); /* memory: writing finds it */
    return rds_settle_member(world, instance, false, err);
}

static int judge_modification(struct rds_world *world, const struct rds_item *instance,
                              const json_t *in, struct err *err)
{
    const char *class_name = tree_text(in, "DBInstanceClass");
    if (json_is_true(json_object_get(instance->tree, "Deleting"))) {
        return invalid_state(world->call, err, instance->id, "is being deleted.");
    }
    int rc = class_name[0] != '\0' ? rds_judge_class(world->call, class_name, err) : 0;
    rc = rc == 0 ? rds_judge_version(world, in, tree_text(instance->tree, "Engine"), err) : rc;
    rc = rc == 0 ? rds_judge_kept(world->call, RDS_INSTANCE, in, err) : rc;
    const struct rds_item *cluster =
        rds_find(world, RDS_CLUSTER, instance->region, tree_text(instance->tree, "Cluster"));
    return rc == 0 && cluster != NULL ? rds_judge_inherited(world, cluster, in, false, err) : rc;
}

/* Of an instance in a cluster it was judged to be the cluster's. */
static int modify_subnets(struct rds_world *world, struct rds_item *instance, const json_t *in,
                          struct err *err)
{
    const char *wanted = tree_text(in, "DBSubnetGroupName");
    const char *name = NULL;
    int rc = wanted[0] != '\0' ? rds_choose_subnets(world, wanted, &name, err) : 0;
    if (rc == 0 && name != NULL) {
        (void)json_object_set_new(instance->tree, "Subnets",
                                  json_string(name)); /* memory: writing finds it */
    }
    return rc;
}

static int modify(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *instance = NULL;
    int rc = rds_named(world, RDS_INSTANCE, tree_text(in, "DBInstanceIdentifier"), &instance, err);
    rc = rc == 0 ? judge_modification(world, instance, in, err) : rc;
    if (rc != 0) {
        return rc;
    }
    struct rds_member *member = rds_member_of(world, instance);
    if (member == NULL) {
        return invalid_state(world->call, err, instance->id, "has no server.");
    }
    const json_t *tier = json_object_get(in, "PromotionTier");
    if (tier != NULL) {
        member->m.tier = json_integer_value(tier);
        member->mark = RDS_WRITE;
    }
    instance->mark = RDS_WRITE;
    rc = rds_keep(world->call, RDS_INSTANCE, in, false, instance->tree, err);
    rc = rc == 0 ? modify_subnets(world, instance, in, err) : rc;
    rc = rc == 0 ? modify_port(world, instance, member, in, err) : rc;
    rc = rc == 0 ? modify_password(world, instance, in, err) : rc;
    rc = rc == 0 ? modify_group(world, instance, in, err) : rc;
    rc = rc == 0 ? rename_instance(world, &instance, member, in, err) : rc;
    *(struct rds_item **)state = instance;
    return rc;
}

RDS_HANDLER(modify_instance)
{
    struct rds_world world;
    struct rds_item *instance = NULL;
    int rc = rds_change(call, modify, in, &instance, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    return rc == 0
               ? rds_answer("DBInstance", rds_show_instance(&world, instance, NULL), ret_out, err)
               : rc;
}

/* ---- reboot ---- */

static int reboot(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *instance = NULL;
    int rc = rds_named(world, RDS_INSTANCE, tree_text(in, "DBInstanceIdentifier"), &instance, err);
    if (rc != 0) {
        return rc;
    }
    struct rds_member *member = rds_member_of(world, instance);
    const char *status = rds_instance_status(world, instance);
    if (json_is_true(json_object_get(in, "ForceFailover"))) {
        return rds_combination(world->call, err,
                               "ForceFailover is for MultiAZ instances: use FailoverDBCluster.");
    }
    if (member == NULL || !text_equal(status, "available")) {
        return aws_error(world->call, err, "InvalidDBInstanceStateFault",
                         "DB instance %s is %s: only available ones can be rebooted.", instance->id,
                         status);
    }
    member->m.reboot++;
    rc = rds_settle_member(world, instance, true, err);
    *(struct rds_item **)state = instance;
    return rc == 0 ? rds_event(world, instance->region, instance->id, "db-instance", "availability",
                               err, "DB instance restart was asked for")
                   : rc;
}

RDS_HANDLER(reboot_instance)
{
    struct rds_world world;
    struct rds_item *instance = NULL;
    int rc = rds_change(call, reboot, in, &instance, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    return rc == 0 ? rds_answer("DBInstance", rds_show_instance(&world, instance, "rebooting"),
                                ret_out, err)
                   : rc;
}
