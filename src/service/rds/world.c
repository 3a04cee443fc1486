/* The world of databases: see world.h. Called by every file of this room on API threads; all of it
 * lives in the call's arena. Invariants: what a change judged by is compared when it is written:
 * the guard for what is below rds/, each written record's own revision for what agents write too.
 * A record is written once in a transaction, however often it was changed. */
#include "service/rds/world.h"

#include "base/text.h"
#include "model/path.h"
#include "model/zone.h"
#include "service/common/transact.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define GROUPS_MORE 4U /* that a change may add */

static const char *const prefixes[RDS_KINDS] = {
    [RDS_GLOBAL] = PATH_RDS_GLOBALS,        [RDS_CLUSTER] = PATH_RDS_CLUSTERS,
    [RDS_INSTANCE] = PATH_RDS_INSTANCES,    [RDS_CLUSTER_PARAMETERS] = PATH_RDS_CLUSTER_PARAMETERS,
    [RDS_PARAMETERS] = PATH_RDS_PARAMETERS, [RDS_SUBNETS] = PATH_RDS_SUBNETS,
    [RDS_SNAPSHOT] = PATH_RDS_SNAPSHOTS,
};

/* ---- items ---- */

static void append(struct rds_world *world, struct rds_item *item)
{
    struct rds_item **end = &world->items[item->kind];
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = item;
}

static int load_item(struct rds_world *world, enum rds_kind kind, const struct store_entry *entry,
                     struct rds_item **end, struct err *err)
{
    struct arena *arena = world->call->arena;
    struct rds_item *item = arena_alloc(arena, sizeof *item);
    const char *rest = entry->key + strlen(prefixes[kind]);
    const char *slash = strchr(rest, '/');
    *item = (struct rds_item){
        .kind = kind,
        .key = entry->key,
        .revision = entry->changed_revision,
        .region = slash != NULL ? arena_memdup(arena, rest, (size_t)(slash - rest)) : "",
    };
    int rc = tree_parse(world->call, entry, &item->tree, err);
    if (rc == 0) {
        item->id = tree_text(item->tree, "Id");
        *end = item;
    }
    return rc;
}

int rds_load_kind(struct rds_world *world, enum rds_kind kind, struct err *err)
{
    struct store_list list = {.count = 0};
    if (world->loaded[kind]) {
        return 0;
    }
    int rc = store_range(service_context(world->call)->store, prefixes[kind], NULL, 0,
                         world->call->arena, &list, err);
    struct rds_item **end = &world->items[kind];
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        rc = load_item(world, kind, &list.entries[i], end, err);
        end = rc == 0 ? &(*end)->next : end;
    }
    world->loaded[kind] = rc == 0;
    return rc;
}

struct rds_item *rds_find(const struct rds_world *world, enum rds_kind kind, const char *region,
                          const char *id)
{
    struct rds_item *item = world->items[kind];
    while (item != NULL &&
           (rds_gone(item) || !text_equal(item->region, region) || !text_equal(item->id, id))) {
        item = item->next;
    }
    return item;
}

struct rds_item *rds_find_global(const struct rds_world *world, const char *resource)
{
    struct rds_item *item = world->items[RDS_GLOBAL];
    while (item != NULL && (rds_gone(item) || resource[0] == '\0' ||
                            !text_equal(tree_text(item->tree, "ResourceId"), resource))) {
        item = item->next;
    }
    return item;
}

struct rds_item *rds_new_item(struct rds_world *world, enum rds_kind kind, const char *region,
                              const char *id, json_t *take_tree)
{
    struct aws_call *call = world->call;
    char created[TIME_TEXT];
    wall_format_ms(call->now, created);
    json_t *tree = tree_keep(call, take_tree);
    (void)json_object_set_new(tree, "v", json_integer(MODEL_VERSION)); /* writing finds a lack */
    (void)json_object_set_new(tree, "Id", json_string(id));            /* as above */
    (void)json_object_set_new(tree, "Created", json_string(created));  /* as above */
    struct rds_item *item = arena_alloc(call->arena, sizeof *item);
    *item = (struct rds_item){
        .kind = kind,
        .key = model_database_rds_key(call->arena, prefixes[kind], region, id),
        .region = arena_strdup(call->arena, region),
        .id = arena_strdup(call->arena, id),
        .tree = tree,
        .mark = RDS_WRITE,
    };
    for (struct rds_item *old = world->items[kind]; old != NULL; old = old->next) {
        if (old->mark == RDS_DROP && text_equal(old->key, item->key)) {
            old->mark = RDS_REPLACED;
            item->revision = old->revision;
        }
    }
    append(world, item);
    return item;
}

struct rds_item *rds_rename(struct rds_world *world, struct rds_item *item, const char *id)
{
    const json_t *created = json_object_get(item->tree, "Created");
    json_t *tree = json_deep_copy(item->tree);
    struct rds_item *renamed = rds_new_item(world, item->kind, item->region, id, tree);
    (void)json_object_set_new(renamed->tree, "Created", json_deep_copy(created)); /* as it was */
    item->mark = RDS_DROP;
    return renamed;
}

/* ---- groups ---- */

struct rds_group *rds_find_group(const struct rds_world *world, const char *id)
{
    for (size_t i = 0; i < world->group_count; i++) {
        if (world->groups[i]->mark != RDS_DROP && text_equal(world->groups[i]->g.id, id)) {
            return world->groups[i];
        }
    }
    return NULL;
}

struct rds_group *rds_group_of(const struct rds_world *world, const struct rds_item *item)
{
    return rds_find_group(world, tree_text(item->tree, "Group"));
}

struct rds_member *rds_find_member(const struct rds_group *group, const char *id)
{
    for (size_t i = 0; group != NULL && i < group->member_count; i++) {
        if (text_equal(group->members[i]->m.id, id)) {
            return group->members[i];
        }
    }
    return NULL;
}

struct rds_member *rds_member_of(const struct rds_world *world, const struct rds_item *instance)
{
    return rds_find_member(rds_group_of(world, instance), tree_text(instance->tree, "ResourceId"));
}

const struct model_database_region *rds_find_region(const struct rds_world *world,
                                                    const char *region)
{
    for (size_t i = 0; i < world->region_count; i++) {
        if (text_equal(world->regions[i].region, region)) {
            return &world->regions[i];
        }
    }
    return NULL;
}

struct rds_snapshot *rds_find_snapshot(const struct rds_world *world, const char *id)
{
    for (size_t i = 0; i < world->snapshot_count; i++) {
        if (text_equal(world->snapshots[i]->s.id, id)) {
            return world->snapshots[i];
        }
    }
    return NULL;
}

/* The group of that id, made when it is not there yet: its members may be read before it. */
static struct rds_group *group_for(struct rds_world *world, const char *id)
{
    struct rds_group *group = rds_find_group(world, id);
    if (group == NULL) {
        group = arena_alloc(world->call->arena, sizeof *group);
        *group = (struct rds_group){
            .g = {.id = id},
            .key = model_database_group_key(world->call->arena, id),
        };
        world->groups[world->group_count++] = group;
    }
    return group;
}

/* "<group>/<member>" behind a prefix. */
static const char *split(struct rds_world *world, const char *rest, const char **ret_second)
{
    const char *slash = strchr(rest, '/');
    *ret_second = slash != NULL ? slash + 1 : "";
    return slash != NULL ? arena_memdup(world->call->arena, rest, (size_t)(slash - rest)) : rest;
}

static struct model_stored stored_of(const struct store_entry *entry)
{
    return (struct model_stored){.value = entry->value, .size = entry->size};
}

static int load_group(struct rds_world *world, const struct store_entry *entry, const char *rest,
                      struct err *err)
{
    struct rds_group *group = group_for(world, rest);
    group->revision = entry->changed_revision;
    group->stored = stored_of(entry);
    return model_database_group_decode(entry->value, entry->size, world->call->arena, &group->g,
                                       err);
}

static int load_lease(struct rds_world *world, const struct store_entry *entry, const char *rest,
                      struct err *err)
{
    struct rds_group *group = group_for(world, rest);
    group->leased = true;
    group->lease_revision = entry->changed_revision;
    return model_database_lease_decode(entry->value, entry->size, world->call->arena, &group->lease,
                                       err);
}

static int load_member(struct rds_world *world, const struct store_entry *entry, const char *rest,
                       struct err *err)
{
    const char *id = NULL;
    struct rds_group *group = group_for(world, split(world, rest, &id));
    struct rds_member *member = arena_alloc(world->call->arena, sizeof *member);
    *member = (struct rds_member){.key = entry->key,
                                  .revision = entry->changed_revision,
                                  .stored = stored_of(entry),
                                  .seen = {.condition = MODEL_DATABASE_ABSENT, .message = ""}};
    int rc = model_database_member_decode(entry->value, entry->size, world->call->arena, &member->m,
                                          err);
    if (rc == 0 && group->member_count == MODEL_DATABASE_MEMBERS) {
        rc = err_set(err, ERR_CORRUPT, "the group %s has too many members", group->g.id);
    }
    if (rc == 0) {
        group->members[group->member_count++] = member;
    }
    return rc;
}

/* Keys of members come before those of what is seen of them. What cannot be read is not seen. */
static void load_seen(struct rds_world *world, const struct store_entry *entry, const char *rest)
{
    const char *id = NULL;
    struct err ignored = ERR_INIT;
    const struct rds_group *group = group_for(world, split(world, rest, &id));
    struct rds_member *member = rds_find_member(group, id);
    if (member != NULL) {
        member->is_seen = model_database_seen_decode(entry->value, entry->size, world->call->arena,
                                                     &member->seen, &ignored) == 0;
        member->seen_revision = entry->changed_revision;
    }
}

static int load_region(struct rds_world *world, const struct store_entry *entry, struct err *err)
{
    return model_database_region_decode(entry->value, entry->size, world->call->arena,
                                        &world->regions[world->region_count++], err);
}

static int load_snapshot(struct rds_world *world, const struct store_entry *entry, struct err *err)
{
    struct rds_snapshot *snapshot = arena_alloc(world->call->arena, sizeof *snapshot);
    *snapshot = (struct rds_snapshot){
        .key = entry->key, .revision = entry->changed_revision, .stored = stored_of(entry)};
    world->snapshots[world->snapshot_count++] = snapshot;
    return model_database_snapshot_decode(entry->value, entry->size, world->call->arena,
                                          &snapshot->s, err);
}

static void load_snapshot_seen(struct rds_world *world, const struct store_entry *entry,
                               const char *rest)
{
    struct err ignored = ERR_INIT;
    struct rds_snapshot *snapshot = rds_find_snapshot(world, rest);
    if (snapshot != NULL) {
        snapshot->is_seen =
            model_database_snapshot_seen_decode(entry->value, entry->size, world->call->arena,
                                                &snapshot->seen, &ignored) == 0;
    }
}

/* What stands behind the prefix in the entry's key, or NULL. */
static const char *behind(const struct store_entry *entry, const char *prefix)
{
    return text_starts(entry->key, prefix) ? entry->key + strlen(prefix) : NULL;
}

static int load_record(struct rds_world *world, const struct store_entry *entry, struct err *err)
{
    const char *rest = NULL;
    if ((rest = behind(entry, PATH_DATABASE_GROUPS)) != NULL) {
        return load_group(world, entry, rest, err);
    }
    if ((rest = behind(entry, PATH_DATABASE_LEASES)) != NULL) {
        return load_lease(world, entry, rest, err);
    }
    if ((rest = behind(entry, PATH_DATABASE_MEMBERS)) != NULL) {
        return load_member(world, entry, rest, err);
    }
    if (behind(entry, PATH_DATABASE_REGIONS) != NULL) {
        return load_region(world, entry, err);
    }
    if (behind(entry, PATH_DATABASE_SNAPSHOTS) != NULL) {
        return load_snapshot(world, entry, err);
    }
    if ((rest = behind(entry, PATH_DATABASE_SEEN)) != NULL) {
        load_seen(world, entry, rest);
    } else if ((rest = behind(entry, PATH_DATABASE_SNAPSHOTS_SEEN)) != NULL) {
        load_snapshot_seen(world, entry, rest);
    } else if (behind(entry, PATH_DATABASE_RESTORES) != NULL) {
        world->restores[world->restore_count++] = entry->key;
    }
    return 0;
}

/* '-' sorts before '/': what is seen of a snapshot comes before the snapshot; so it is looked at
 * again. */
static int load_records(struct rds_world *world, struct err *err)
{
    struct arena *arena = world->call->arena;
    struct store_list list = {.count = 0};
    int rc = store_range(service_context(world->call)->store, PATH_DATABASES, NULL, 0, arena, &list,
                         err);
    world->groups = arena_array(arena, list.count + GROUPS_MORE, sizeof(struct rds_group *));
    world->snapshots = arena_array(arena, list.count + GROUPS_MORE, sizeof(struct rds_snapshot *));
    world->regions = arena_array(arena, list.count + 1, sizeof *world->regions);
    world->restores = arena_array(arena, list.count + 1, sizeof *world->restores);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        rc = load_record(world, &list.entries[i], err);
    }
    for (size_t i = 0; rc == 0 && world->snapshot_count != 0 && i < list.count; i++) {
        const char *rest = behind(&list.entries[i], PATH_DATABASE_SNAPSHOTS_SEEN);
        if (rest != NULL) {
            load_snapshot_seen(world, &list.entries[i], rest);
        }
    }
    return rc;
}

/* ---- what is gone ---- */

static bool is_deleting(const struct rds_item *item)
{
    return json_is_true(json_object_get(item->tree, "Deleting"));
}

static bool has_cluster_members(const struct rds_world *world, const struct rds_item *cluster)
{
    const struct rds_group *group = rds_group_of(world, cluster);
    for (size_t i = 0; group != NULL && i < group->member_count; i++) {
        const struct model_database_member *m = &group->members[i]->m;
        if (group->members[i]->mark != RDS_DROP && text_equal(m->region, cluster->region) &&
            text_equal(m->cluster, cluster->id)) {
            return true;
        }
    }
    return false;
}

static bool is_used(const struct rds_world *world, const struct rds_group *group)
{
    for (enum rds_kind kind = RDS_CLUSTER; kind <= RDS_INSTANCE; kind++) {
        for (const struct rds_item *i = world->items[kind]; i != NULL; i = i->next) {
            if (!rds_gone(i) && text_equal(tree_text(i->tree, "Group"), group->g.id)) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < group->member_count; i++) {
        if (group->members[i]->mark != RDS_DROP) {
            return true;
        }
    }
    return false;
}

void rds_sweep(struct rds_world *world)
{
    for (struct rds_item *i = world->items[RDS_INSTANCE]; i != NULL; i = i->next) {
        i->mark = is_deleting(i) && rds_member_of(world, i) == NULL ? RDS_DROP : i->mark;
    }
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL; i = i->next) {
        i->mark = is_deleting(i) && !has_cluster_members(world, i) ? RDS_DROP : i->mark;
    }
    for (struct rds_item *i = world->items[RDS_SNAPSHOT]; i != NULL; i = i->next) {
        bool gone = rds_find_snapshot(world, tree_text(i->tree, "ResourceId")) == NULL;
        i->mark = is_deleting(i) && gone ? RDS_DROP : i->mark;
    }
    for (size_t i = 0; i < world->group_count; i++) {
        struct rds_group *group = world->groups[i];
        group->mark = is_used(world, group) ? group->mark : RDS_DROP;
    }
}

int rds_load(struct aws_call *call, struct rds_world *ret_world, struct err *err)
{
    *ret_world = (struct rds_world){.call = call};
    int rc = rds_load_kind(ret_world, RDS_GLOBAL, err);
    rc = rc == 0 ? rds_load_kind(ret_world, RDS_CLUSTER, err) : rc;
    rc = rc == 0 ? rds_load_kind(ret_world, RDS_INSTANCE, err) : rc;
    rc = rc == 0 ? rds_load_kind(ret_world, RDS_SNAPSHOT, err) : rc;
    rc = rc == 0 ? load_records(ret_world, err) : rc;
    if (rc == 0) {
        rds_sweep(ret_world);
    }
    return rc;
}

/* ---- new records ---- */

struct rds_group *rds_new_group(struct rds_world *world)
{
    char id[MODEL_DATABASE_ID];
    model_database_new_id("grp-", id);
    struct rds_group *group = group_for(world, arena_strdup(world->call->arena, id));
    group->mark = RDS_WRITE;
    group->g = (struct model_database_group){
        .id = group->g.id,
        .engine = "",
        .region = "",
        .name = "",
        .lease_ms = MODEL_DATABASE_LEASE_MS,
        .automatic = true,
        .database = "",
        .master = "",
        .verifier = "",
        .replication = "",
        .phase = MODEL_DATABASE_NEW,
        .epoch = 1,
        .writer = "",
        .target = "",
        .reason = "",
        .since = world->call->now,
    };
    return group;
}

struct rds_member *rds_new_member(struct rds_world *world, struct rds_group *group)
{
    struct arena *arena = world->call->arena;
    char id[MODEL_DATABASE_ID];
    model_database_new_id("db-", id);
    struct rds_member *member = arena_alloc(arena, sizeof *member);
    *member = (struct rds_member){
        .m = {.id = arena_strdup(arena, id),
              .group = group->g.id,
              .cluster = "",
              .instance = "",
              .address = "",
              .attached = ""},
        .key = model_database_member_key(arena, group->g.id, id),
        .mark = RDS_WRITE,
        .seen = {.condition = MODEL_DATABASE_ABSENT, .message = ""},
    };
    assert(group->member_count < MODEL_DATABASE_MEMBERS); /* the caller has judged */
    group->members[group->member_count++] = member;
    return member;
}

struct rds_snapshot *rds_new_snapshot(struct rds_world *world)
{
    struct arena *arena = world->call->arena;
    char id[MODEL_DATABASE_ID];
    model_database_new_id("snap-", id);
    struct rds_snapshot *snapshot = arena_alloc(arena, sizeof *snapshot);
    *snapshot = (struct rds_snapshot){.s = {.id = arena_strdup(arena, id), .at = world->call->now},
                                      .key = model_database_snapshot_key(arena, id),
                                      .mark = RDS_WRITE};
    world->snapshots[world->snapshot_count++] = snapshot;
    return snapshot;
}

/* What was seen of it in the old group goes: its agent sees it anew in the other one. */
void rds_move_member(struct rds_world *world, struct rds_group *from, struct rds_group *to,
                     struct rds_member *member)
{
    struct arena *arena = world->call->arena;
    size_t at = 0;
    while (from->members[at] != member) {
        at++;
    }
    store_txn_require_revision(world->txn, member->key, member->revision);
    store_txn_delete(world->txn, member->key);
    store_txn_delete(world->txn, model_database_seen_key(arena, from->g.id, member->m.id));
    from->members[at] = from->members[--from->member_count];
    to->members[to->member_count++] = member;
    member->m.group = to->g.id;
    member->key = model_database_member_key(arena, to->g.id, member->m.id);
    member->revision = 0;
    member->mark = RDS_WRITE;
}

/* ---- clusters and their members ---- */

size_t rds_cluster_members(const struct rds_group *group, const char *region, const char *cluster,
                           struct rds_member *out[MODEL_DATABASE_MEMBERS])
{
    size_t count = 0;
    for (size_t i = 0; group != NULL && i < group->member_count; i++) {
        struct rds_member *member = group->members[i];
        if (!member->m.deleted && text_equal(member->m.region, region) &&
            text_equal(member->m.cluster, cluster)) {
            out[count++] = member;
        }
    }
    return count;
}

/* The first of the group's clusters is to have its first writer. */
static struct rds_item *first_cluster(const struct rds_world *world, const struct rds_group *group)
{
    struct rds_item *first = NULL;
    for (struct rds_item *i = world->items[RDS_CLUSTER]; i != NULL; i = i->next) {
        bool ours = !rds_gone(i) && text_equal(tree_text(i->tree, "Group"), group->g.id);
        if (ours && (first == NULL ||
                     strcmp(tree_text(i->tree, "Joined"), tree_text(first->tree, "Joined")) < 0)) {
            first = i;
        }
    }
    return first;
}

struct rds_item *rds_writer_cluster(const struct rds_world *world, const struct rds_group *group)
{
    const struct rds_member *writer = rds_find_member(group, group->g.writer);
    struct rds_item *cluster =
        writer != NULL ? rds_find(world, RDS_CLUSTER, writer->m.region, writer->m.cluster) : NULL;
    return cluster != NULL ? cluster : first_cluster(world, group);
}

bool rds_cluster_writes(const struct rds_world *world, const struct rds_item *cluster)
{
    const struct rds_group *group = rds_group_of(world, cluster);
    return group != NULL && rds_writer_cluster(world, group) == cluster;
}
