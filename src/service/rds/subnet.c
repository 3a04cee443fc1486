/* DB subnet groups. Called as handlers on API threads. Servers listen on addresses of their region,
 * whatever the group says: groups are kept and shown, so that templates and scripts written for AWS
 * work. Subnets are in the region's zones a, b, c by turns. Invariant: a group that a cluster or
 * instance names stays. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/kept.h"
#include "service/rds/show.h"

#include <string.h>

#define SUBNETS_LIMIT 20U
#define NAME_LIMIT 255U
#define ZONES 3U
#define VPC "vpc-leeward"

static json_t *show(struct rds_world *world, const char *region, const char *name,
                    const char *description, const json_t *ids)
{
    json_t *subnets = json_array();
    for (size_t i = 0; i < json_array_size(ids); i++) {
        char zone[] = {(char)('a' + (int)(i % ZONES)), '\0'};
        json_t *one = json_pack("{s:O, s:{s:o}, s:s}", "SubnetIdentifier", json_array_get(ids, i),
                                "SubnetAvailabilityZone", "Name",
                                json_sprintf("%s%s", region, zone), "SubnetStatus", "Active");
        (void)json_array_append_new(subnets, one); /* memory: the answer lacks it */
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:[s]}", "DBSubnetGroupName", name,
                     "DBSubnetGroupDescription", description, "VpcId", VPC, "SubnetGroupStatus",
                     "Complete", "Subnets", subnets, "DBSubnetGroupArn",
                     rds_arn(world->call, RDS_SUBNETS, region, name), "SupportedNetworkTypes",
                     "IPV4");
}

json_t *rds_show_subnets(struct rds_world *world, const char *region, const char *name)
{
    const struct rds_item *group = rds_find(world, RDS_SUBNETS, region, name);
    return show(world, region, name,
                group != NULL ? tree_text(group->tree, "Description") : "default",
                group != NULL ? json_object_get(group->tree, "SubnetIds") : NULL);
}

static bool is_name(const char *id)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789._- ";
    size_t length = strlen(id);
    return id[0] >= 'a' && id[0] <= 'z' && length <= NAME_LIMIT && !text_equal(id, "default") &&
           strspn(id, characters) == length;
}

static int judge_subnets(struct aws_call *call, const json_t *in, struct err *err)
{
    const json_t *ids = json_object_get(in, "SubnetIds");
    size_t count = json_array_size(ids);
    for (size_t i = 0; i < count; i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (!text_starts(id, "subnet-") || strlen(id) > 64) {
            return aws_error(call, err, "InvalidSubnet", "%.64s is no subnet.", id);
        }
    }
    int rc = rds_judge_text(call, in, "DBSubnetGroupDescription", err);
    if (rc != 0) {
        return rc;
    }
    if (count < 2) {
        return aws_error(call, err, "DBSubnetGroupDoesNotCoverEnoughAZs",
                         "The DB subnet group doesn't meet Availability Zone (AZ) coverage "
                         "requirement: it has at least two subnets.");
    }
    return count > SUBNETS_LIMIT
               ? aws_error(call, err, "DBSubnetQuotaExceededFault",
                           "A DB subnet group has at most %u subnets.", SUBNETS_LIMIT)
               : 0;
}

static int create(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct aws_call *call = world->call;
    const char *id = rds_lower(call, tree_text(in, "DBSubnetGroupName"));
    json_t *tags = NULL;
    int rc = rds_load_kind(world, RDS_SUBNETS, err);
    if (rc == 0 && !is_name(id)) {
        rc = rds_invalid(call, err,
                         "The parameter DBSubnetGroupName is not valid: it begins with a letter, "
                         "has up to %u letters, digits, periods, underscores, spaces and hyphens, "
                         "and is not 'default'.",
                         NAME_LIMIT);
    }
    if (rc == 0 && rds_find(world, RDS_SUBNETS, call->region, id) != NULL) {
        rc = aws_error(call, err, "DBSubnetGroupAlreadyExistsFault",
                       "The DB subnet group '%.64s' already exists.", id);
    }
    if (rc == 0 && rds_count(world, RDS_SUBNETS, call->region) >= RDS_GROUPS_LIMIT) {
        rc = aws_error(call, err, "DBSubnetGroupQuotaExceededFault",
                       "There are %u DB subnet groups already.", RDS_GROUPS_LIMIT);
    }
    rc = rc == 0 ? judge_subnets(call, in, err) : rc;
    rc = rc == 0 ? rds_new_tags(world, RDS_SUBNETS, in, &tags, err) : rc;
    if (rc != 0) {
        return rc;
    }
    json_t *tree =
        json_pack("{s:s, s:O, s:o}", "Description", tree_text(in, "DBSubnetGroupDescription"),
                  "SubnetIds", json_object_get(in, "SubnetIds"), "Tags", tags);
    if (tree == NULL) {
        return err_set(err, ERR_MEMORY, "making a subnet group");
    }
    *(struct rds_item **)state = rds_new_item(world, RDS_SUBNETS, call->region, id, tree);
    return 0;
}

static int modify(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *group = NULL;
    const char *description = tree_text(in, "DBSubnetGroupDescription");
    int rc = rds_named(world, RDS_SUBNETS, tree_text(in, "DBSubnetGroupName"), &group, err);
    rc = rc == 0 ? judge_subnets(world->call, in, err) : rc;
    if (rc != 0) {
        return rc;
    }
    (void)json_object_set(group->tree, "SubnetIds",
                          json_object_get(in, "SubnetIds")); /* memory: writing finds it */
    if (description[0] != '\0') {
        (void)json_object_set_new(group->tree, "Description",
                                  json_string(description)); /* as above */
    }
    group->mark = RDS_WRITE;
    *(struct rds_item **)state = group;
    return 0;
}

static int delete_step(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *group = NULL;
    (void)state; /* there is no answer */
    int rc = rds_named(world, RDS_SUBNETS, tree_text(in, "DBSubnetGroupName"), &group, err);
    for (enum rds_kind kind = RDS_CLUSTER; rc == 0 && kind <= RDS_INSTANCE; kind++) {
        for (const struct rds_item *i = world->items[kind]; rc == 0 && i != NULL; i = i->next) {
            if (!rds_gone(i) && text_equal(i->region, group->region) &&
                text_equal(tree_text(i->tree, "Subnets"), group->id)) {
                rc = aws_error(world->call, err, "InvalidDBSubnetGroupStateFault",
                               "Cannot delete the subnet group '%s' because at least one database "
                               "uses it: %s.",
                               group->id, i->id);
            }
        }
    }
    if (rc == 0) {
        group->mark = RDS_DROP;
    }
    return rc;
}

static int answer(struct aws_call *call, rds_changer change, const json_t *in, json_t **ret_out,
                  struct err *err)
{
    struct rds_world world;
    struct rds_item *group = NULL;
    int rc = rds_change(call, change, in, &group, &world, err);
    return rc == 0 ? rds_answer("DBSubnetGroup", rds_show_subnets(&world, group->region, group->id),
                                ret_out, err)
                   : rc;
}

RDS_HANDLER(create_subnets)
{
    return answer(call, create, in, ret_out, err);
}

RDS_HANDLER(modify_subnets)
{
    return answer(call, modify, in, ret_out, err);
}

RDS_HANDLER(delete_subnets)
{
    (void)ret_out; /* there is no answer */
    return rds_change(call, delete_step, in, NULL, NULL, err);
}

RDS_HANDLER(describe_subnets)
{
    struct rds_world world;
    struct rds_shown list = {.count = 0};
    struct rds_item *only = NULL;
    const char *id = tree_text(in, "DBSubnetGroupName");
    int rc = rds_load(call, &world, err);
    rc = rc == 0 ? rds_load_kind(&world, RDS_SUBNETS, err) : rc;
    rc = rc == 0 && id[0] != '\0' ? rds_named(&world, RDS_SUBNETS, id, &only, err) : rc;
    for (struct rds_item *i = world.items[RDS_SUBNETS]; rc == 0 && i != NULL; i = i->next) {
        if (i == only || (only == NULL && text_equal(i->region, call->region))) {
            rds_shown_add(call, &list, i->id, rds_show_subnets(&world, i->region, i->id));
        }
    }
    return rc == 0 ? rds_answer_list(call, in, &list, "DBSubnetGroups", NULL, 0, ret_out, err) : rc;
}
