/* Keys, endpoints and snapshots of databases: see database_names.h. Called by service/rds and the
 * database agent, on any thread. Pure. Invariant: keys below rds/ are built here. */
#include "model/database_names.h"

#include "model/database_fields.h"
#include "model/path.h"

char *model_database_rds_key(struct arena *arena, const char *prefix, const char *region,
                             const char *name)
{
    if (region[0] == '\0') {
        return path_join(arena, prefix, name);
    }
    return path_join(arena, arena_printf(arena, "%s/", path_join(arena, prefix, region)), name);
}

/* ---- endpoints ---- */

char *model_database_instance_endpoint(struct arena *arena, const char *zone, const char *region,
                                       const char *instance)
{
    return arena_printf(arena, "%s.%s.%s", instance, region, zone);
}

char *model_database_writer_endpoint(struct arena *arena, const char *zone, const char *region,
                                     const char *cluster)
{
    return arena_printf(arena, "%s.cluster.%s.%s", cluster, region, zone);
}

char *model_database_reader_endpoint(struct arena *arena, const char *zone, const char *region,
                                     const char *cluster)
{
    return arena_printf(arena, "%s.cluster-ro.%s.%s", cluster, region, zone);
}

char *model_database_global_endpoint(struct arena *arena, const char *zone, const char *global)
{
    return arena_printf(arena, "%s.global.%s", global, zone);
}

/* ---- snapshots ---- */

static const char *const state_names[] = {
    [MODEL_DATABASE_SNAPSHOT_CREATING] = "CREATING",
    [MODEL_DATABASE_SNAPSHOT_AVAILABLE] = "AVAILABLE",
    [MODEL_DATABASE_SNAPSHOT_FAILED] = "FAILED",
};

const char *model_database_snapshot_state_name(enum model_database_snapshot_state state)
{
    return state_names[state];
}

char *model_database_snapshot_key(struct arena *arena, const char *snapshot)
{
    return path_join(arena, PATH_DATABASE_SNAPSHOTS, snapshot);
}

char *model_database_snapshot_seen_key(struct arena *arena, const char *snapshot)
{
    return path_join(arena, PATH_DATABASE_SNAPSHOTS_SEEN, snapshot);
}

char *model_database_restore_key(struct arena *arena, const char *group)
{
    return path_join(arena, PATH_DATABASE_RESTORES, group);
}

#define AT(member) offsetof(struct STRUCT, member)
#define FIELD(title, what, member)                                                                 \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_##what, .offset = AT(member)                       \
    }

#define STRUCT model_database_snapshot
static const struct database_field snapshot_fields[] = {
    FIELD("Id", ID, id),
    FIELD("Name", TEXT, name),
    FIELD("Group", ID, group),
    FIELD("Region", ID, region),
    FIELD("Member", ID, member),
    FIELD("Final", BOOLEAN, final),
    FIELD("Deleted", BOOLEAN, deleted),
    FIELD("At", WALL, at),
};
static const struct database_record snapshot_record = {
    .what = "snapshot of a database",
    .size = sizeof(struct STRUCT),
    .fields = snapshot_fields,
    .field_count = ARRAY_SIZE(snapshot_fields),
};
#undef STRUCT

#define STRUCT model_database_snapshot_seen
static const struct database_field seen_fields[] = {
    {.name = "State",
     .kind = DATABASE_FIELD_NAME,
     .offset = AT(state),
     .names = state_names,
     .name_count = ARRAY_SIZE(state_names)},
    FIELD("Message", TEXT, message),
    {.name = "Percent", .kind = DATABASE_FIELD_INTEGER, .offset = AT(percent), .high = 100},
    {.name = "Bytes", .kind = DATABASE_FIELD_INTEGER, .offset = AT(bytes), .high = INT64_MAX},
    FIELD("End", LSN, end),
    FIELD("At", WALL, at),
};
static const struct database_record seen_record = {
    .what = "what is seen of a snapshot",
    .size = sizeof(struct STRUCT),
    .fields = seen_fields,
    .field_count = ARRAY_SIZE(seen_fields),
};
#undef STRUCT

#define STRUCT model_database_restore
static const struct database_field restore_fields[] = {FIELD("Snapshot", ID, snapshot)};
static const struct database_record restore_record = {
    .what = "what a database is restored from",
    .size = sizeof(struct STRUCT),
    .fields = restore_fields,
    .field_count = ARRAY_SIZE(restore_fields),
};
#undef STRUCT

int model_database_snapshot_decode(const void *value, size_t size, struct arena *arena,
                                   struct model_database_snapshot *ret_snapshot, struct err *err)
{
    return database_record_decode(&snapshot_record, value, size, arena, ret_snapshot, err);
}

char *model_database_snapshot_encode(struct arena *arena,
                                     const struct model_database_snapshot *snapshot,
                                     const struct model_stored *before)
{
    return database_record_encode(&snapshot_record, snapshot, before, arena);
}

int model_database_snapshot_seen_decode(const void *value, size_t size, struct arena *arena,
                                        struct model_database_snapshot_seen *ret_seen,
                                        struct err *err)
{
    return database_record_decode(&seen_record, value, size, arena, ret_seen, err);
}

char *model_database_snapshot_seen_encode(struct arena *arena,
                                          const struct model_database_snapshot_seen *seen,
                                          const struct model_stored *before)
{
    return database_record_encode(&seen_record, seen, before, arena);
}

int model_database_restore_decode(const void *value, size_t size, struct arena *arena,
                                  struct model_database_restore *ret_restore, struct err *err)
{
    return database_record_decode(&restore_record, value, size, arena, ret_restore, err);
}

char *model_database_restore_encode(struct arena *arena,
                                    const struct model_database_restore *restore,
                                    const struct model_stored *before)
{
    return database_record_encode(&restore_record, restore, before, arena);
}
