/* Changes of the world in one transaction: see world.h. Called by every handler that changes
 * something, on API threads. Invariant: whatever is written below rds/ goes with the guard, so that
 * of two changes the second one judges what the first one made. */
#include "base/random.h"
#include "base/text.h"
#include "service/common/transact.h"
#include "service/rds/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EVENT_DAYS 14 /* as on AWS */
#define EVENTS_SWEPT 20U
#define EVENT_TEXT 512U

/* ---- writing what is marked ---- */

static int write_text(struct store_txn *txn, enum rds_mark mark, const char *key, int64_t revision,
                      const char *text, struct err *err)
{
    store_txn_require_revision(txn, key, revision);
    if (mark == RDS_DROP) {
        store_txn_delete(txn, key);
        return 0;
    }
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "writing %s", key);
    }
    store_txn_put(txn, key, text, strlen(text));
    return 0;
}

static int write_items(struct rds_world *world, struct err *err)
{
    int rc = 0;
    for (enum rds_kind kind = RDS_GLOBAL; kind < RDS_KINDS; kind++) {
        for (struct rds_item *i = world->items[kind]; rc == 0 && i != NULL; i = i->next) {
            if (i->mark == RDS_SAME || i->mark == RDS_REPLACED ||
                (i->mark == RDS_DROP && i->revision == 0)) {
                continue;
            }
            store_txn_require_revision(world->txn, i->key, i->revision);
            if (i->mark == RDS_DROP) {
                store_txn_delete(world->txn, i->key);
            } else {
                rc = tree_put(world->txn, i->key, i->tree, err);
            }
        }
    }
    return rc;
}

static int write_member(struct rds_world *world, const struct rds_member *member, struct err *err)
{
    if (member->mark == RDS_SAME) {
        return 0;
    }
    const char *text =
        member->mark == RDS_WRITE
            ? model_database_member_encode(world->call->arena, &member->m, &member->stored)
            : NULL;
    return write_text(world->txn, member->mark, member->key, member->revision, text, err);
}

/* What belongs to a group goes with it. */
static int write_group(struct rds_world *world, const struct rds_group *group, struct err *err)
{
    struct arena *arena = world->call->arena;
    const char *id = group->g.id;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < group->member_count; i++) {
        rc = write_member(world, group->members[i], err);
    }
    if (rc != 0 || group->mark == RDS_SAME) {
        return rc;
    }
    if (group->mark == RDS_DROP) {
        store_txn_delete(world->txn, model_database_lease_key(arena, id));
        store_txn_delete(world->txn, model_database_restore_key(arena, id));
        store_txn_delete_prefix(world->txn, arena_printf(arena, "%s%s/", PATH_DATABASE_SEEN, id));
        store_txn_delete_prefix(world->txn, arena_printf(arena, "%s%s/", PATH_DATABASE_LOSSES, id));
    }
    const char *text = group->mark == RDS_WRITE
                           ? model_database_group_encode(arena, &group->g, &group->stored)
                           : NULL;
    return write_text(world->txn, group->mark, group->key, group->revision, text, err);
}

static int write_snapshots(struct rds_world *world, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < world->snapshot_count; i++) {
        const struct rds_snapshot *one = world->snapshots[i];
        if (one->mark != RDS_SAME) {
            const char *text =
                model_database_snapshot_encode(world->call->arena, &one->s, &one->stored);
            rc = write_text(world->txn, one->mark, one->key, one->revision, text, err);
        }
    }
    return rc;
}

/* ---- the change ---- */

struct change {
    rds_changer run;
    const json_t *in;
    void *state;
    struct rds_world *world;
};

static int guard(struct aws_call *call, struct store_txn *txn, struct err *err)
{
    static const char value[] = "{\"v\":1}";
    struct store_entry entry = {.changed_revision = 0};
    int rc = store_get(service_context(call)->store, PATH_RDS_GUARD, call->arena, &entry, err);
    if (rc != 0 && rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    store_txn_require_revision(txn, PATH_RDS_GUARD, entry.changed_revision);
    store_txn_put(txn, PATH_RDS_GUARD, value, sizeof value - 1);
    return 0;
}

static int step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const struct change *change = state;
    struct rds_world *world = change->world;
    int rc = guard(call, txn, err);
    rc = rc == 0 ? rds_load(call, world, err) : rc;
    world->txn = txn;
    rc = rc == 0 ? change->run(world, change->in, change->state, err) : rc;
    rc = rc == 0 ? write_items(world, err) : rc;
    for (size_t i = 0; rc == 0 && i < world->group_count; i++) {
        rc = write_group(world, world->groups[i], err);
    }
    rc = rc == 0 ? write_snapshots(world, err) : rc;
    world->txn = NULL;
    return rc;
}

int rds_change(struct aws_call *call, rds_changer run, const json_t *in, void *state,
               struct rds_world *ret_world, struct err *err)
{
    struct rds_world own;
    struct change change = {
        .run = run, .in = in, .state = state, .world = ret_world != NULL ? ret_world : &own};
    return transact(call, step, &change, "Throttling",
                    "Others change databases at the same time. Please try again.", err);
}

/* ---- events ---- */

/* A few of the oldest, so that no change has much to do. */
static int sweep_events(struct rds_world *world, const char *region, struct err *err)
{
    struct arena *arena = world->call->arena;
    struct store_list list = {.count = 0};
    if (world->swept) {
        return 0;
    }
    world->swept = true;
    const char *prefix = arena_printf(arena, "%s%s/", PATH_DATABASE_EVENTS, region);
    int rc = store_range(service_context(world->call)->store, prefix, NULL, EVENTS_SWEPT, arena,
                         &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        struct model_database_event event = {.region = ""};
        struct err ignored = ERR_INIT;
        int64_t oldest = world->call->now.ns - EVENT_DAYS * INT64_C(86400) * TIME_S;
        if (model_database_event_decode(list.entries[i].value, list.entries[i].size, arena, &event,
                                        &ignored) != 0 ||
            event.at.ns < oldest) {
            store_txn_delete(world->txn, list.entries[i].key);
        }
    }
    return rc;
}

int rds_event(struct rds_world *world, const char *region, const char *source, const char *type,
              const char *category, struct err *err, const char *format, ...)
{
    struct arena *arena = world->call->arena;
    char message[EVENT_TEXT];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* cut where it is too long */
    va_end(args);
    const struct model_database_event event = {.region = region,
                                               .source = source,
                                               .type = type,
                                               .category = category,
                                               .message = message,
                                               .at = world->call->now};
    const char *text = model_database_event_encode(arena, &event);
    const char *key = model_database_event_key(arena, region, world->call->now);
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "writing an event");
    }
    store_txn_put(world->txn, key, text, strlen(text));
    return sweep_events(world, region, err);
}
