/* Databases as records: keys, names, and the tables of what is stored. See database.h; the tables
 * are read by database_fields.c. Called by service/rds, database/core and its agents, on any
 * thread. Memory: the caller's arena. Invariant: what is encoded decodes to the same. */
#include "model/database.h"

#include "base/random.h"
#include "base/text.h"
#include "model/database_fields.h"
#include "model/path.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_LIMIT 4096 /* items of a list that has no limit of its own */

/* ---- places in the log ---- */

void model_lsn_format(model_lsn lsn, char out[MODEL_LSN_TEXT])
{
    (void)snprintf(out, MODEL_LSN_TEXT, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32U),
                   (uint32_t)lsn);
}

/* One to eight hexadecimal digits; returns behind them, or NULL. */
static const char *read_half(const char *text, uint64_t *number)
{
    size_t length = strspn(text, "0123456789abcdefABCDEF");
    if (length == 0 || length > 8) {
        return NULL;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text_lower(text[i]);
        value = value << 4U | (uint64_t)(text_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *number = value;
    return text + length;
}

int model_lsn_parse(const char *text, model_lsn *ret_lsn)
{
    uint64_t high = 0;
    uint64_t low = 0;
    const char *end = read_half(text, &high);
    if (end == NULL || *end != '/') {
        return -EINVAL;
    }
    end = read_half(end + 1, &low);
    if (end == NULL || *end != '\0') {
        return -EINVAL;
    }
    *ret_lsn = high << 32U | low;
    return 0;
}

/* ---- names ---- */

static const char *const mode_names[] = {
    [MODEL_DATABASE_ASYNCHRONOUS] = "ASYNCHRONOUS",
    [MODEL_DATABASE_SYNCHRONOUS] = "SYNCHRONOUS",
    [MODEL_DATABASE_BOUNDED] = "BOUNDED",
};
static const char *const phase_names[] = {
    [MODEL_DATABASE_NEW] = "NEW",
    [MODEL_DATABASE_STEADY] = "STEADY",
    [MODEL_DATABASE_PREPARING] = "PREPARING",
    [MODEL_DATABASE_FENCING] = "FENCING",
    [MODEL_DATABASE_ELECTING] = "ELECTING",
    [MODEL_DATABASE_PROMOTING] = "PROMOTING",
    [MODEL_DATABASE_STOPPED] = "STOPPED",
};
static const char *const operation_names[] = {
    [MODEL_DATABASE_NO_OPERATION] = "NONE",
    [MODEL_DATABASE_SWITCHOVER] = "SWITCHOVER",
    [MODEL_DATABASE_FAILOVER] = "FAILOVER",
    [MODEL_DATABASE_FAILOVER_AUTOMATIC] = "FAILOVER_AUTOMATIC",
};
static const char *const lease_names[] = {
    [MODEL_DATABASE_LEASE_FREE] = "FREE",
    [MODEL_DATABASE_LEASE_HELD] = "HELD",
    [MODEL_DATABASE_LEASE_RELEASED] = "RELEASED",
};
static const char *const condition_names[] = {
    [MODEL_DATABASE_ABSENT] = "ABSENT",       [MODEL_DATABASE_CREATING] = "CREATING",
    [MODEL_DATABASE_DOWN] = "DOWN",           [MODEL_DATABASE_STARTING] = "STARTING",
    [MODEL_DATABASE_WRITER] = "WRITER",       [MODEL_DATABASE_READER] = "READER",
    [MODEL_DATABASE_STREAMING] = "STREAMING", [MODEL_DATABASE_RETURNING] = "RETURNING",
    [MODEL_DATABASE_STUCK] = "STUCK",
};

/* The kinds of database_record_decode write enums as unsigned. */
static_assert(sizeof(enum model_database_phase) == sizeof(unsigned), "enums are unsigned");

const char *model_database_mode_name(enum model_database_mode mode)
{
    assert((size_t)mode < ARRAY_SIZE(mode_names));
    return mode_names[mode];
}

const char *model_database_phase_name(enum model_database_phase phase)
{
    assert((size_t)phase < ARRAY_SIZE(phase_names));
    return phase_names[phase];
}

const char *model_database_operation_name(enum model_database_operation operation)
{
    assert((size_t)operation < ARRAY_SIZE(operation_names));
    return operation_names[operation];
}

const char *model_database_lease_state_name(enum model_database_lease_state state)
{
    assert((size_t)state < ARRAY_SIZE(lease_names));
    return lease_names[state];
}

const char *model_database_condition_name(enum model_database_condition condition)
{
    assert((size_t)condition < ARRAY_SIZE(condition_names));
    return condition_names[condition];
}

/* ---- keys ---- */

static char *join(struct arena *arena, const char *prefix, const char *group, const char *rest)
{
    return path_join(arena, arena_printf(arena, "%s/", path_join(arena, prefix, group)), rest);
}

char *model_database_group_key(struct arena *arena, const char *group)
{
    return path_join(arena, PATH_DATABASE_GROUPS, group);
}

char *model_database_lease_key(struct arena *arena, const char *group)
{
    return path_join(arena, PATH_DATABASE_LEASES, group);
}

char *model_database_member_key(struct arena *arena, const char *group, const char *member)
{
    return join(arena, PATH_DATABASE_MEMBERS, group, member);
}

char *model_database_seen_key(struct arena *arena, const char *group, const char *member)
{
    return join(arena, PATH_DATABASE_SEEN, group, member);
}

/* Losses of a group are in the order of their epochs. */
char *model_database_loss_key(struct arena *arena, const char *group, int64_t epoch)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%010" PRId64, epoch);
    return join(arena, PATH_DATABASE_LOSSES, group, number);
}

char *model_database_region_key(struct arena *arena, const char *region)
{
    return path_join(arena, PATH_DATABASE_REGIONS, region);
}

char *model_database_event_key(struct arena *arena, const char *region, struct wall at)
{
    char id[9];
    char place[40];
    random_text(id, sizeof id - 1, "0123456789abcdefghijklmnopqrstuv");
    (void)snprintf(place, sizeof place, "%015" PRId64 "-%s", MAX(at.ns, 0) / TIME_MS, id);
    return join(arena, PATH_DATABASE_EVENTS, region, place);
}

void model_database_new_id(const char *prefix, char out[MODEL_DATABASE_ID])
{
    char random[27];
    random_text(random, sizeof random - 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    int length = snprintf(out, MODEL_DATABASE_ID, "%s%s", prefix, random);
    assert(length < (int)MODEL_DATABASE_ID);
}

/* ---- what is stored ---- */

#define AT(member) offsetof(struct STRUCT, member)
#define TEXT(title, member)                                                                        \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_TEXT, .offset = AT(member)                         \
    }
#define ID(title, member)                                                                          \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_ID, .offset = AT(member)                           \
    }
#define INTEGER(title, member, least, most)                                                        \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_INTEGER, .offset = AT(member), .low = (least),     \
        .high = (most)                                                                             \
    }
#define PLAIN(title, field_kind, member)                                                           \
    {                                                                                              \
        .name = (title), .kind = (field_kind), .offset = AT(member)                                \
    }
#define NAME(title, member, list)                                                                  \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_NAME, .offset = AT(member), .names = (list),       \
        .name_count = ARRAY_SIZE(list)                                                             \
    }
#define TEXTS(title, member, count, most)                                                          \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_TEXTS, .offset = AT(member), .high = (most),       \
        .count_offset = AT(count)                                                                  \
    }
#define LIST(title, member, count, most, table)                                                    \
    {                                                                                              \
        .name = (title), .kind = DATABASE_FIELD_LIST, .offset = AT(member), .high = (most),        \
        .count_offset = AT(count), .item = (table)                                                 \
    }
#define RECORD(title, list)                                                                        \
    {                                                                                              \
        .what = (title), .size = sizeof(struct STRUCT), .fields = (list),                          \
        .field_count = ARRAY_SIZE(list)                                                            \
    }

#define STRUCT model_database_attachment
static const struct database_field attachment_fields[] = {
    ID("Name", name),
    TEXT("Address", address),
    PLAIN("Port", DATABASE_FIELD_UINT16, port),
};
static const struct database_record attachment_record = RECORD("attachment", attachment_fields);
#undef STRUCT

#define STRUCT model_database_region
static const struct database_field region_fields[] = {
    ID("Region", region),
    TEXT("Site", site),
    TEXT("EngineVersion", engine_version),
    TEXTS("Addresses", addresses, address_count, NAME_LIMIT),
    TEXT("Zone", zone),
    LIST("Attachments", attachments, attachment_count, NAME_LIMIT, &attachment_record),
};
static const struct database_record region_record = RECORD("region", region_fields);
#undef STRUCT

#define STRUCT model_database_turn
static const struct database_field turn_fields[] = {
    INTEGER("Epoch", epoch, 0, INT64_MAX),
    TEXT("Writer", writer),
    TEXT("Before", before),
    PLAIN("Timeline", DATABASE_FIELD_UINT32, timeline),
    PLAIN("Parent", DATABASE_FIELD_UINT32, parent),
    PLAIN("Fork", DATABASE_FIELD_LSN, fork),
    PLAIN("Confirmed", DATABASE_FIELD_BOOLEAN, confirmed),
    NAME("Operation", operation, operation_names),
    PLAIN("At", DATABASE_FIELD_WALL, at),
};
static const struct database_record turn_record = RECORD("turn", turn_fields);
#undef STRUCT

#define STRUCT model_database_group
static const struct database_field group_fields[] = {
    ID("Id", id),
    TEXT("Engine", engine),
    TEXT("Region", region),
    TEXT("Name", name),
    NAME("Mode", mode, mode_names),
    INTEGER("LeaseMs", lease_ms, MODEL_DATABASE_LEASE_MIN_MS, MODEL_DATABASE_LEASE_MAX_MS),
    INTEGER("RpoMs", rpo_ms, 0, INT32_MAX),
    PLAIN("BoundFollows", DATABASE_FIELD_BOOLEAN, bound_follows),
    PLAIN("AloneWaits", DATABASE_FIELD_BOOLEAN, alone_waits),
    PLAIN("Automatic", DATABASE_FIELD_BOOLEAN, automatic),
    TEXT("Database", database),
    TEXT("Master", master),
    TEXT("Verifier", verifier),
    TEXT("Replication", replication),
    NAME("Phase", phase, phase_names),
    INTEGER("Epoch", epoch, 0, INT64_MAX),
    TEXT("Writer", writer),
    TEXT("Target", target),
    NAME("Operation", operation, operation_names),
    TEXT("Reason", reason),
    PLAIN("Since", DATABASE_FIELD_WALL, since),
    PLAIN("Fence", DATABASE_FIELD_LSN, fence),
    TEXTS("Synchronous", synchronous, synchronous_count, MODEL_DATABASE_MEMBERS),
    LIST("History", history, history_count, MODEL_DATABASE_HISTORY, &turn_record),
};
static const struct database_record group_record = RECORD("replication group", group_fields);
#undef STRUCT

#define STRUCT model_database_lease
static const struct database_field lease_fields[] = {
    INTEGER("Epoch", epoch, 0, INT64_MAX),
    TEXT("Holder", holder),
    NAME("State", state, lease_names),
    INTEGER("LengthMs", length_ms, MODEL_DATABASE_LEASE_MIN_MS, MODEL_DATABASE_LEASE_MAX_MS),
    INTEGER("Renewals", renewals, 0, INT64_MAX),
    PLAIN("Unfenced", DATABASE_FIELD_BOOLEAN, unfenced),
    PLAIN("Confirmed", DATABASE_FIELD_BOOLEAN, confirmed),
    PLAIN("Flushed", DATABASE_FIELD_LSN, flushed),
    PLAIN("Timeline", DATABASE_FIELD_UINT32, timeline),
    PLAIN("At", DATABASE_FIELD_WALL, at),
};
static const struct database_record lease_record = RECORD("lease", lease_fields);
#undef STRUCT

#define STRUCT model_database_setting
static const struct database_field setting_fields[] = {
    ID("Name", name),
    TEXT("Value", value),
};
static const struct database_record setting_record = RECORD("setting", setting_fields);
#undef STRUCT

#define STRUCT model_database_member
static const struct database_field member_fields[] = {
    ID("Group", group),
    ID("Id", id),
    TEXT("Region", region),
    TEXT("Cluster", cluster),
    TEXT("Instance", instance),
    TEXT("Address", address),
    PLAIN("Port", DATABASE_FIELD_UINT16, port),
    INTEGER("Tier", tier, 0, 15),
    TEXT("Attached", attached),
    PLAIN("Stopped", DATABASE_FIELD_BOOLEAN, stopped),
    PLAIN("Deleted", DATABASE_FIELD_BOOLEAN, deleted),
    INTEGER("Reboot", reboot, 0, INT64_MAX),
    INTEGER("Rebuild", rebuild, 0, INT64_MAX),
    LIST("Settings", settings, setting_count, NAME_LIMIT, &setting_record),
};
static const struct database_record member_record = RECORD("database member", member_fields);
#undef STRUCT

#define STRUCT model_database_seen
static const struct database_field seen_fields[] = {
    TEXT("Site", site),
    NAME("Condition", condition, condition_names),
    TEXT("Message", message),
    TEXT("Action", action),
    PLAIN("SystemId", DATABASE_FIELD_HEX64, system_id),
    PLAIN("Timeline", DATABASE_FIELD_UINT32, timeline),
    PLAIN("Received", DATABASE_FIELD_LSN, received),
    PLAIN("Replayed", DATABASE_FIELD_LSN, replayed),
    PLAIN("Clean", DATABASE_FIELD_BOOLEAN, clean),
    INTEGER("LagBytes", lag_bytes, -1, INT64_MAX),
    INTEGER("LagMs", lag_ms, -1, INT64_MAX),
    INTEGER("Epoch", epoch, 0, INT64_MAX),
    INTEGER("Reboot", reboot, 0, INT64_MAX),
    INTEGER("Rebuild", rebuild, 0, INT64_MAX),
    PLAIN("PendingReboot", DATABASE_FIELD_BOOLEAN, pending_reboot),
    TEXT("Upstream", upstream),
    PLAIN("Streamed", DATABASE_FIELD_UINT32, streamed),
    TEXT("Commits", commits),
    PLAIN("At", DATABASE_FIELD_WALL, at),
};
static const struct database_record seen_record = RECORD("sight of a member", seen_fields);
#undef STRUCT

#define STRUCT model_database_loss
static const struct database_field loss_fields[] = {
    INTEGER("Epoch", epoch, 0, INT64_MAX),
    TEXT("Writer", writer),
    TEXT("Successor", successor),
    PLAIN("Fork", DATABASE_FIELD_LSN, fork),
    PLAIN("Known", DATABASE_FIELD_LSN, known),
    PLAIN("End", DATABASE_FIELD_LSN, end),
    INTEGER("Bytes", bytes, 0, INT64_MAX),
    INTEGER("LagMs", lag_ms, -1, INT64_MAX),
    PLAIN("Exact", DATABASE_FIELD_BOOLEAN, exact),
    INTEGER("Transactions", transactions, 0, INT64_MAX),
    TEXT("Aside", aside),
    PLAIN("At", DATABASE_FIELD_WALL, at),
};
static const struct database_record loss_record = RECORD("loss", loss_fields);
#undef STRUCT

#define STRUCT model_database_event
static const struct database_field event_fields[] = {
    ID("Region", region),       TEXT("Source", source),   TEXT("Type", type),
    TEXT("Category", category), TEXT("Message", message), PLAIN("At", DATABASE_FIELD_WALL, at),
};
static const struct database_record event_record = RECORD("event", event_fields);
#undef STRUCT

/* ---- values ---- */

int model_database_region_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_database_region *ret_region, struct err *err)
{
    return database_record_decode(&region_record, value, size, arena, ret_region, err);
}

char *model_database_region_encode(struct arena *arena, const struct model_database_region *region,
                                   const struct model_stored *before)
{
    return database_record_encode(&region_record, region, before, arena);
}

int model_database_group_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_group *ret_group, struct err *err)
{
    return database_record_decode(&group_record, value, size, arena, ret_group, err);
}

char *model_database_group_encode(struct arena *arena, const struct model_database_group *group,
                                  const struct model_stored *before)
{
    return database_record_encode(&group_record, group, before, arena);
}

int model_database_lease_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_lease *ret_lease, struct err *err)
{
    return database_record_decode(&lease_record, value, size, arena, ret_lease, err);
}

char *model_database_lease_encode(struct arena *arena, const struct model_database_lease *lease,
                                  const struct model_stored *before)
{
    return database_record_encode(&lease_record, lease, before, arena);
}

int model_database_member_decode(const void *value, size_t size, struct arena *arena,
                                 struct model_database_member *ret_member, struct err *err)
{
    return database_record_decode(&member_record, value, size, arena, ret_member, err);
}

char *model_database_member_encode(struct arena *arena, const struct model_database_member *member,
                                   const struct model_stored *before)
{
    return database_record_encode(&member_record, member, before, arena);
}

int model_database_seen_decode(const void *value, size_t size, struct arena *arena,
                               struct model_database_seen *ret_seen, struct err *err)
{
    return database_record_decode(&seen_record, value, size, arena, ret_seen, err);
}

char *model_database_seen_encode(struct arena *arena, const struct model_database_seen *seen,
                                 const struct model_stored *before)
{
    return database_record_encode(&seen_record, seen, before, arena);
}

int model_database_loss_decode(const void *value, size_t size, struct arena *arena,
                               struct model_database_loss *ret_loss, struct err *err)
{
    return database_record_decode(&loss_record, value, size, arena, ret_loss, err);
}

char *model_database_loss_encode(struct arena *arena, const struct model_database_loss *loss,
                                 const struct model_stored *before)
{
    return database_record_encode(&loss_record, loss, before, arena);
}

int model_database_event_decode(const void *value, size_t size, struct arena *arena,
                                struct model_database_event *ret_event, struct err *err)
{
    return database_record_decode(&event_record, value, size, arena, ret_event, err);
}

char *model_database_event_encode(struct arena *arena, const struct model_database_event *event)
{
    return database_record_encode(&event_record, event, NULL, arena);
}
