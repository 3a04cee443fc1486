/* All that is known of databases, as one call sees it: what the API keeps (items below rds/), and
 * groups with their members, leases and what agents see (below db/). A handler that changes
 * something marks it; rds_change writes what is marked in one transaction, which compares what was
 * read. Private to this room. Thread: the call's. Memory: the call's arena.
 *
 * An item's tree: "Id", "Tags" (an object), "Created" mean the same for all kinds; "Shown" has what
 * the API shows as it was given; the rest is its kind's (cluster.c, instance.c, global.c, ..).
 * An instance or cluster whose deletion is done, as its members are gone, is not seen any more; its
 * records go with the next change. */
#ifndef SERVICE_RDS_WORLD_H
#define SERVICE_RDS_WORLD_H

#include "aws/service.h"
#include "base/macro.h"
#include "model/database.h"
#include "model/database_names.h"
#include "model/keep.h"
#include "service/common/context.h"
#include "service/common/tree.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum rds_kind {
    RDS_GLOBAL,
    RDS_CLUSTER,
    RDS_INSTANCE,
    RDS_CLUSTER_PARAMETERS,
    RDS_PARAMETERS,
    RDS_SUBNETS,
    RDS_SNAPSHOT,
    RDS_KINDS,
};

/* What is to happen to a record at the end of the change. */
enum rds_mark {
    RDS_SAME,
    RDS_WRITE,
    RDS_DROP,
    RDS_REPLACED, /* a new record of that key is written in its place */
};

struct rds_item {
    struct rds_item *next; /* of its kind, in the order of keys; new ones last */
    enum rds_kind kind;
    const char *key;
    const char *region; /* "": a global cluster's */
    const char *id;
    json_t *tree; /* kept */
    int64_t revision;
    enum rds_mark mark;
};

struct rds_member {
    struct model_database_member m;
    struct model_stored stored;
    const char *key;
    int64_t revision;
    enum rds_mark mark;
    bool is_seen;
    struct model_database_seen seen; /* condition MODEL_DATABASE_ABSENT when it is not */
    int64_t seen_revision;
};

struct rds_group {
    struct model_database_group g;
    struct model_stored stored;
    const char *key;
    int64_t revision; /* 0: it is new, or there are only members of it */
    enum rds_mark mark;
    bool leased; /* there is a lease record */
    struct model_database_lease lease;
    int64_t lease_revision;
    struct rds_member *members[MODEL_DATABASE_MEMBERS];
    size_t member_count;
};

struct rds_snapshot {
    struct model_database_snapshot s;
    struct model_stored stored;
    const char *key;
    int64_t revision;
    enum rds_mark mark;
    bool is_seen;
    struct model_database_snapshot_seen seen;
};

struct rds_world {
    struct aws_call *call;
    struct rds_item *items[RDS_KINDS];
    bool loaded[RDS_KINDS];
    struct rds_group **groups;
    size_t group_count;
    struct rds_snapshot **snapshots;
    size_t snapshot_count;
    struct model_database_region *regions;
    size_t region_count;
    const char **restores; /* keys of db/restore/ */
    size_t restore_count;
    bool swept;            /* old events, in this change */
    struct store_txn *txn; /* of a change, for what is no record of the world; NULL: none */
};

/* Global clusters, clusters, instances, groups. */
int rds_load(struct aws_call *call, struct rds_world *ret_world, struct err *err) MUST_CHECK;
/* Another kind, when it is not there yet. */
int rds_load_kind(struct rds_world *world, enum rds_kind kind, struct err *err) MUST_CHECK;

/* Loads, lets `run` judge and mark, and writes what is marked; again when somebody else was
 * faster. *ret_world, may be NULL: the world as it was changed. */
typedef int (*rds_changer)(struct rds_world *world, const json_t *in, void *state, struct err *err);
int rds_change(struct aws_call *call, rds_changer run, const json_t *in, void *state,
               struct rds_world *ret_world, struct err *err) MUST_CHECK;

/* Whether it is no more, or will be none after this change. */
static inline bool rds_gone(const struct rds_item *item)
{
    return item->mark >= RDS_DROP;
}

/* NULL: there is none. */
struct rds_item *rds_find(const struct rds_world *world, enum rds_kind kind, const char *region,
                          const char *id);
struct rds_group *rds_find_group(const struct rds_world *world, const char *id);
/* The group of a cluster or instance, by "Group" of its tree. */
struct rds_group *rds_group_of(const struct rds_world *world, const struct rds_item *item);
struct rds_member *rds_find_member(const struct rds_group *group, const char *id);
/* The member behind an instance. */
struct rds_member *rds_member_of(const struct rds_world *world, const struct rds_item *instance);
const struct model_database_region *rds_find_region(const struct rds_world *world,
                                                    const char *region);
/* The global cluster with that "ResourceId", or NULL. */
struct rds_item *rds_find_global(const struct rds_world *world, const char *resource);
struct rds_snapshot *rds_find_snapshot(const struct rds_world *world, const char *id);

/* A new item of the world, marked; its tree is kept and has "v" and "Id" and "Created". */
struct rds_item *rds_new_item(struct rds_world *world, enum rds_kind kind, const char *region,
                              const char *id, json_t *take_tree);
/* A new, empty group and a new member of one, marked; ERR_LIMIT is the caller's to judge before. */
struct rds_group *rds_new_group(struct rds_world *world);
struct rds_member *rds_new_member(struct rds_world *world, struct rds_group *group);
struct rds_snapshot *rds_new_snapshot(struct rds_world *world);
/* Takes a member out of one group into another one. */
void rds_move_member(struct rds_world *world, struct rds_group *from, struct rds_group *to,
                     struct rds_member *member);
/* Marks what is gone: items whose deletion is done, and groups that nothing belongs to. */
void rds_sweep(struct rds_world *world);
/* The item's tree has another identifier from now on. */
struct rds_item *rds_rename(struct rds_world *world, struct rds_item *item, const char *id);

/* The members of the group that belong to a cluster, but for those that are being deleted. */
size_t rds_cluster_members(const struct rds_group *group, const char *region, const char *cluster,
                           struct rds_member *out[MODEL_DATABASE_MEMBERS]);
/* Whether the group's writer is one of them; without a writer, whether the cluster is to have it.
 */
bool rds_cluster_writes(const struct rds_world *world, const struct rds_item *cluster);
/* The cluster that has the group's writer, or is to have it; NULL: none. */
struct rds_item *rds_writer_cluster(const struct rds_world *world, const struct rds_group *group);

/* An event, as DescribeEvents shows it; those that are too old go. */
int rds_event(struct rds_world *world, const char *region, const char *source, const char *type,
              const char *category, struct err *err, const char *format, ...) PRINTF(7, 8)
    MUST_CHECK;

#endif
