/* Metrics of databases: see database_metrics.h. One range of the store is one moment. A record that
 * is damaged is left out. Invariant: a metric's HELP and TYPE stand once, before its samples; where
 * there is no database there are none. */
#include "daemon/database_metrics.h"

#include "base/arena.h"
#include "base/text.h"
#include "base/time.h"
#include "model/database.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define LABELS 256U /* identifiers have 63 characters at most */

/* What was read; keys are in order, so that groups come before all that is theirs. */
struct page {
    struct buf *text;
    struct arena arena;
    const struct store_list *list;
    struct wall now;
};

static void put_head(struct page *page, const char *metric, const char *help)
{
    buf_printf(page->text, "# HELP leeward_database_%s %s\n# TYPE leeward_database_%s gauge\n",
               metric, help, metric);
}

static void put_value(struct page *page, const char *metric, const char *labels, double value)
{
    buf_printf(page->text, "leeward_database_%s{%s} %.12g\n", metric, labels, value);
}

static const struct store_entry *find(const struct page *page, const char *key)
{
    for (size_t i = 0; i < page->list->count; i++) {
        if (text_equal(page->list->entries[i].key, key)) {
            return &page->list->entries[i];
        }
    }
    return NULL;
}

/* ---- groups ---- */

static bool read_group(struct page *page, const struct store_entry *entry,
                       struct model_database_group *group)
{
    struct err ignored = ERR_INIT;
    return text_starts(entry->key, PATH_DATABASE_GROUPS) &&
           model_database_group_decode(entry->value, entry->size, &page->arena, group, &ignored) ==
               0;
}

static bool has_group(struct page *page)
{
    struct model_database_group group;
    for (size_t i = 0; i < page->list->count; i++) {
        if (read_group(page, &page->list->entries[i], &group)) {
            return true;
        }
    }
    return false;
}

typedef void (*tell_group)(struct page *page, const struct model_database_group *group,
                           const char *labels);

static void each_group(struct page *page, tell_group tell)
{
    for (size_t i = 0; i < page->list->count; i++) {
        struct model_database_group group;
        char labels[LABELS];
        if (read_group(page, &page->list->entries[i], &group)) {
            (void)snprintf(labels, sizeof labels, "database=\"%s\",region=\"%s\"", /* it fits */
                           group.name, group.region);
            tell(page, &group, labels);
        }
    }
}

static void tell_epoch(struct page *page, const struct model_database_group *group,
                       const char *labels)
{
    put_value(page, "epoch", labels, (double)group->epoch);
}

static void tell_phase(struct page *page, const struct model_database_group *group,
                       const char *labels)
{
    char more[LABELS + 32];
    (void)snprintf(more, sizeof more, "%s,phase=\"%s\"", labels, /* it fits */
                   model_database_phase_name(group->phase));
    put_value(page, "phase", more, 1);
}

static void tell_lease(struct page *page, const struct model_database_group *group,
                       const char *labels)
{
    struct err ignored = ERR_INIT;
    struct model_database_lease lease;
    const struct store_entry *entry = find(page, model_database_lease_key(&page->arena, group->id));
    if (entry == NULL || model_database_lease_decode(entry->value, entry->size, &page->arena,
                                                     &lease, &ignored) != 0) {
        return;
    }
    int64_t left = lease.state == MODEL_DATABASE_LEASE_HELD
                       ? lease.at.ns + lease.length_ms * TIME_MS - page->now.ns
                       : 0;
    put_value(page, "lease_remaining_seconds", labels, (double)left / 1e9);
}

static void tell_change(struct page *page, const struct model_database_group *group,
                        const char *labels)
{
    if (group->history_count != 0) {
        char more[LABELS + 64];
        const struct model_database_turn *turn = &group->history[group->history_count - 1];
        (void)snprintf(more, sizeof more, "%s,operation=\"%s\"", labels, /* it fits */
                       model_database_operation_name(turn->operation));
        put_value(page, "last_change_timestamp_seconds", more, (double)turn->at.ns / 1e9);
    }
}

/* ---- members ---- */

struct member {
    struct model_database_member member;
    struct model_database_seen seen;
    bool writer;
};

typedef void (*tell_member)(struct page *page, const struct member *member, const char *labels);

/* False: nothing was seen of it, or it is a record of another kind. */
static bool read_member(struct page *page, const struct store_entry *entry,
                        struct model_database_group *group, struct member *member)
{
    struct err ignored = ERR_INIT;
    if (!text_starts(entry->key, PATH_DATABASE_MEMBERS) ||
        model_database_member_decode(entry->value, entry->size, &page->arena, &member->member,
                                     &ignored) != 0) {
        return false;
    }
    const struct model_database_member *found = &member->member;
    const struct store_entry *seen =
        find(page, model_database_seen_key(&page->arena, found->group, found->id));
    const struct store_entry *of = find(page, model_database_group_key(&page->arena, found->group));
    bool known = seen != NULL && of != NULL &&
                 model_database_seen_decode(seen->value, seen->size, &page->arena, &member->seen,
                                            &ignored) == 0 &&
                 read_group(page, of, group);
    member->writer = known && text_equal(group->writer, found->id);
    return known;
}

static void each_member(struct page *page, tell_member tell)
{
    for (size_t i = 0; i < page->list->count; i++) {
        struct model_database_group group;
        struct member member;
        char labels[LABELS];
        if (read_member(page, &page->list->entries[i], &group, &member)) {
            (void)snprintf(labels, sizeof labels, /* it fits */
                           "database=\"%s\",instance=\"%s\",region=\"%s\"", group.name,
                           member.member.instance, member.member.region);
            tell(page, &member, labels);
        }
    }
}

static void tell_writer(struct page *page, const struct member *member, const char *labels)
{
    put_value(page, "writer", labels, member->writer ? 1 : 0);
}

static void tell_condition(struct page *page, const struct member *member, const char *labels)
{
    char more[LABELS + 32];
    (void)snprintf(more, sizeof more, "%s,condition=\"%s\"", labels, /* it fits */
                   model_database_condition_name(member->seen.condition));
    put_value(page, "condition", more, 1);
}

static void tell_lag_bytes(struct page *page, const struct member *member, const char *labels)
{
    if (!member->writer && member->seen.lag_bytes >= 0) {
        put_value(page, "lag_bytes", labels, (double)member->seen.lag_bytes);
    }
}

static void tell_lag_seconds(struct page *page, const struct member *member, const char *labels)
{
    if (!member->writer && member->seen.lag_ms >= 0) {
        put_value(page, "lag_seconds", labels, (double)member->seen.lag_ms / 1e3);
    }
}

static void tell_age(struct page *page, const struct member *member, const char *labels)
{
    put_value(page, "seen_age_seconds", labels, (double)(page->now.ns - member->seen.at.ns) / 1e9);
}

void database_metrics_render(struct store *store, struct buf *text)
{
    static const struct {
        const char *metric;
        const char *help;
        tell_group group;
        tell_member member;
    } metrics[] = {
        {"epoch", "goes up whenever the database's writer changes, or its lease is given up",
         tell_epoch, NULL},
        {"phase", "1, with what the database is doing as a label", tell_phase, NULL},
        {"lease_remaining_seconds",
         "of the writer's lease since its last renewal, by two machines' clocks; 0 when nobody "
         "holds it",
         tell_lease, NULL},
        {"last_change_timestamp_seconds",
         "when the writer changed last, with the reason as a label", tell_change, NULL},
        {"writer", "1 when the instance is the writer", NULL, tell_writer},
        {"condition", "1, with what the instance's agent sees as a label", NULL, tell_condition},
        {"lag_bytes", "log that a reader has not received yet", NULL, tell_lag_bytes},
        {"lag_seconds", "age of a reader's last transaction while it is behind", NULL,
         tell_lag_seconds},
        {"seen_age_seconds", "since the instance's agent told of it, by two machines' clocks", NULL,
         tell_age},
    };
    struct page page = {.text = text, .now = wall_now()};
    struct store_list list;
    struct err ignored = ERR_INIT;
    arena_init(&page.arena, 0);
    page.list = &list;
    if (store_range(store, PATH_DATABASES, NULL, 0, &page.arena, &list, &ignored) != 0) {
        list.count = 0;
    }
    bool some = has_group(&page);
    for (size_t i = 0; some && i < ARRAY_SIZE(metrics); i++) {
        put_head(&page, metrics[i].metric, metrics[i].help);
        if (metrics[i].group != NULL) {
            each_group(&page, metrics[i].group);
        } else {
            each_member(&page, metrics[i].member);
        }
    }
    arena_done(&page.arena);
}
