/* ListDatabases: replication groups as they stand, explained by database/core. A handler on API
 * threads; everything lives in the call's arena. Nothing is known here of how long a lease was seen
 * or an agent was not heard: what depends on that is said as if it had just begun. Invariant: one
 * range of the store is one moment, so that records belong together. */
#include "base/text.h"
#include "database/core/core.h"
#include "model/database.h"
#include "service/common/context.h"
#include "service/common/tree.h"
#include "service/leeward/handlers.h"

#include <string.h>

struct group {
    struct model_database_group group;
    struct model_database_lease lease;
    bool leased;
    int64_t lease_revision;
    struct database_sight sights[MODEL_DATABASE_MEMBERS];
    size_t count;
};

/* ---- reading: what cannot be decoded is left out, as the rest is worth showing ---- */

static struct group *find_group(struct group *groups, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(groups[i].group.id, id)) {
            return &groups[i];
        }
    }
    return NULL;
}

/* "<group>/.." behind the prefix: the group; *ret_rest: what follows. */
static struct group *group_of(struct arena *arena, struct group *groups, size_t count,
                              const char *key, const char *prefix, const char **ret_rest)
{
    const char *rest = key + strlen(prefix);
    size_t length = strcspn(rest, "/");
    *ret_rest = rest[length] == '/' ? rest + length + 1 : "";
    return find_group(groups, count, arena_memdup(arena, rest, length));
}

static void read_member(struct arena *arena, const struct store_entry *entry, struct group *group)
{
    struct err ignored = ERR_INIT;
    struct model_database_member *member = arena_alloc(arena, sizeof *member);
    if (group != NULL && group->count < MODEL_DATABASE_MEMBERS &&
        model_database_member_decode(entry->value, entry->size, arena, member, &ignored) == 0) {
        group->sights[group->count++] =
            (struct database_sight){.member = member, .heard = mono_now()};
    }
}

static void read_seen(struct arena *arena, const struct store_entry *entry, struct group *group,
                      const char *id)
{
    struct err ignored = ERR_INIT;
    struct model_database_seen *seen = arena_alloc(arena, sizeof *seen);
    if (group == NULL ||
        model_database_seen_decode(entry->value, entry->size, arena, seen, &ignored) != 0) {
        return;
    }
    for (size_t i = 0; i < group->count; i++) {
        if (text_equal(group->sights[i].member->id, id)) {
            group->sights[i].seen = seen;
        }
    }
}

/* Keys are in an order in which groups come first, and members before what is seen of them. */
static void read_entry(struct arena *arena, const struct store_entry *entry, struct group *groups,
                       size_t *count)
{
    struct err ignored = ERR_INIT;
    const char *rest = NULL;
    if (text_starts(entry->key, PATH_DATABASE_GROUPS)) {
        *count += model_database_group_decode(entry->value, entry->size, arena,
                                              &groups[*count].group, &ignored) == 0
                      ? 1
                      : 0;
    } else if (text_starts(entry->key, PATH_DATABASE_LEASES)) {
        struct group *group =
            group_of(arena, groups, *count, entry->key, PATH_DATABASE_LEASES, &rest);
        if (group != NULL) {
            group->lease_revision = entry->changed_revision;
            group->leased = model_database_lease_decode(entry->value, entry->size, arena,
                                                        &group->lease, &ignored) == 0;
        }
    } else if (text_starts(entry->key, PATH_DATABASE_MEMBERS)) {
        read_member(arena, entry,
                    group_of(arena, groups, *count, entry->key, PATH_DATABASE_MEMBERS, &rest));
    } else if (text_starts(entry->key, PATH_DATABASE_SEEN)) {
        struct group *group =
            group_of(arena, groups, *count, entry->key, PATH_DATABASE_SEEN, &rest);
        read_seen(arena, entry, group, rest);
    }
}

/* ---- showing ---- */

static json_t *show_time(struct wall at)
{
    char text[TIME_TEXT];
    wall_format_ms(at, text);
    return json_string(text);
}

/* The instance that people know; ids otherwise. */
static const char *name_of(const struct group *group, const char *member)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct model_database_member *known = group->sights[i].member;
        if (text_equal(known->id, member) && !text_empty(known->instance)) {
            return known->instance;
        }
    }
    return member;
}

static json_t *show_members(const struct group *group)
{
    json_t *list = json_array();
    for (size_t i = 0; i < group->count; i++) {
        const struct model_database_member *member = group->sights[i].member;
        const struct model_database_seen *seen = group->sights[i].seen;
        json_t *one = json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:I}", "Id", member->id, "Instance",
            member->instance, "Cluster", member->cluster, "Region", member->region, "Address",
            member->address, "Port", (int)member->port, "Condition",
            model_database_condition_name(seen != NULL ? seen->condition : MODEL_DATABASE_ABSENT),
            "Message", seen != NULL ? seen->message : "", "LagBytes",
            (json_int_t)(seen != NULL ? seen->lag_bytes : -1), "LagMilliseconds",
            (json_int_t)(seen != NULL ? seen->lag_ms : -1));
        (void)json_array_append_new(list, one); /* memory: the answer lacks it */
    }
    return list;
}

static json_t *show_losses(struct arena *arena, const struct store_list *list,
                           const struct group *group)
{
    const char *prefix = arena_printf(arena, "%s%s/", PATH_DATABASE_LOSSES, group->group.id);
    json_t *losses = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        struct model_database_loss loss = {.writer = ""};
        struct err ignored = ERR_INIT;
        char fork[MODEL_LSN_TEXT];
        char end[MODEL_LSN_TEXT];
        if (!text_starts(entry->key, prefix) ||
            model_database_loss_decode(entry->value, entry->size, arena, &loss, &ignored) != 0) {
            continue;
        }
        model_lsn_format(loss.fork, fork);
        model_lsn_format(loss.exact ? loss.end : loss.known, end);
        json_t *one = json_pack(
            "{s:I, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:I, s:s}", "Epoch",
            (json_int_t)loss.epoch, "At", show_time(loss.at), "Writer", name_of(group, loss.writer),
            "Successor", name_of(group, loss.successor), "Fork", fork, "End", end, "Bytes",
            (json_int_t)loss.bytes, "LagMilliseconds", (json_int_t)loss.lag_ms, "Exact",
            loss.exact ? 1 : 0, "Transactions", (json_int_t)loss.transactions, "Aside", loss.aside);
        (void)json_array_append_new(losses, one); /* as above */
    }
    return losses;
}

static json_t *show_group(struct aws_call *call, const struct store_list *list,
                          const struct group *group)
{
    const struct model_database_group *g = &group->group;
    struct mono now = mono_now();
    const struct database_view view = {.group = g,
                                       .group_revision = 1,
                                       .lease = group->leased ? &group->lease : NULL,
                                       .lease_revision = group->leased ? 1 : 0,
                                       .lease_since = now,
                                       .phase_since = now,
                                       .members = group->sights,
                                       .member_count = group->count,
                                       .self = "",
                                       .now = now,
                                       .wall = call->now};
    bool unfenced = group->leased && group->lease.state == MODEL_DATABASE_LEASE_HELD &&
                    group->lease.unfenced && !group->lease.confirmed;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:s, s:o, s:o, s:I, s:I, "
                     "s:b}",
                     "Id", g->id, "Name", g->name, "Region", g->region, "Phase",
                     model_database_phase_name(g->phase), "Operation",
                     model_database_operation_name(g->operation), "Mode",
                     model_database_mode_name(g->mode), "Epoch", (json_int_t)g->epoch, "Writer",
                     name_of(group, g->writer), "Since", show_time(g->since), "Reason", g->reason,
                     "Explanation", database_explain(&view, NULL, call->arena), "Members",
                     show_members(group), "Losses", show_losses(call->arena, list, group),
                     "LeaseRevision", (json_int_t)group->lease_revision, "LeaseMilliseconds",
                     (json_int_t)(group->leased ? group->lease.length_ms : g->lease_ms), "Unfenced",
                     unfenced ? 1 : 0);
}

int leeward_list_databases(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err)
{
    struct store_list list = {.count = 0};
    (void)in; /* the operation has no members */
    int rc =
        store_range(service_context(call)->store, PATH_DATABASES, NULL, 0, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    struct group *groups = arena_array(call->arena, list.count + 1, sizeof *groups);
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        read_entry(call->arena, &list.entries[i], groups, &count);
    }
    json_t *shown = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(shown, show_group(call, &list, &groups[i])) != 0) {
            json_decref(shown);
            return err_set(err, ERR_MEMORY, "listing databases");
        }
    }
    return leeward_answer(json_pack("{s:o}", "Databases", shown), ret_out, err);
}
