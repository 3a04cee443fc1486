/* DB instances that somebody else runs: see judge.h. Called by the handler that creates instances,
 * on API threads. A request names an attachment, and nothing else: how it is reached and what is
 * called stands in files of the region's machine (database.attach-directory). Invariant: an
 * attachment is of one member at most. */
#include "base/text.h"
#include "service/rds/judge.h"

#include <string.h>

#define NAME_LIMIT 63U

const char *rds_judge_attachment(const char *name)
{
    size_t length = strlen(name);
    size_t fine = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length != 0 && length <= NAME_LIMIT && fine == length && name[0] != '.'
               ? NULL
               : "it is the name of a file in database.attach-directory, without .conf";
}

static const struct rds_member *holder_of(const struct rds_world *world,
                                          const struct rds_member *except, const char *name)
{
    for (size_t i = 0; i < world->group_count; i++) {
        const struct rds_group *group = world->groups[i];
        for (size_t j = 0; j < group->member_count; j++) {
            const struct rds_member *member = group->members[j];
            if (member != except && text_equal(member->m.region, except->m.region) &&
                text_equal(member->m.attached, name)) {
                return member;
            }
        }
    }
    return NULL;
}

int rds_attach_member(struct rds_world *world, const struct rds_group *group,
                      struct rds_member *member, const char *name, struct err *err)
{
    struct aws_call *call = world->call;
    const struct model_database_region *region = rds_find_region(world, member->m.region);
    const struct rds_member *holder = holder_of(world, member, name);
    if (holder != NULL) {
        return rds_combination(call, err, "The attachment %s belongs to the DB instance %s.", name,
                               holder->m.instance);
    }
    if (group->g.phase == MODEL_DATABASE_NEW) {
        return rds_combination(call, err,
                               "An attached server joins a database that has data: create an "
                               "instance without the tag leeward:attach first.");
    }
    for (size_t i = 0; region != NULL && i < region->attachment_count; i++) {
        if (text_equal(region->attachments[i].name, name)) {
            member->m.attached = name;
            member->m.address = region->attachments[i].address;
            member->m.port = region->attachments[i].port;
            return 0;
        }
    }
    return rds_combination(call, err,
                           "There is no attachment %s in %s: its agent has no such file in "
                           "database.attach-directory, or could not use it (see its log).",
                           name, member->m.region);
}
