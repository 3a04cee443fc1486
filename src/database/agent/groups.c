/* The groups thread: one worker for each member of this agent's regions, what regions offer, and
 * decisions for workers that are busy. Logs. Invariant: of a member there is one worker at a time.
 */
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/addresses.h"
#include "database/agent/internal.h"
#include "database/agent/notes.h"
#include "database/agent/worker.h"

#include <string.h>

#define LOOK_MS 50 /* at workers that are busy: some decisions come with time alone */
#define REGIONS_RETRY_MS 1000
#define ALONE_MS 2000 /* without the store after the start: readers are started as they were */

void groups_wake(struct database_agent *agent)
{
    thread_lock(&agent->mutex);
    agent->generation++;
    for (size_t i = 0; i < agent->worker_count; i++) {
        worker_wake(agent->workers[i]);
    }
    snapshots_wake(agent->snapshots);
    (void)pthread_cond_broadcast(&agent->changed); /* cannot fail */
    thread_unlock(&agent->mutex);
}

/* ---- what regions offer ---- */

static struct model_database_attachment *attachments_of(const struct database_agent *agent,
                                                        const char *region, struct arena *arena,
                                                        size_t *ret_count)
{
    const struct attachments *all = &agent->attachments;
    struct model_database_attachment *list = arena_array(arena, all->count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct attachment *one = &all->list[i];
        if (text_equal(one->region, region) && !text_empty(one->connection)) {
            list[count++] = (struct model_database_attachment){
                .name = one->name, .address = one->address, .port = one->port};
        }
    }
    *ret_count = count;
    return list;
}

/* It has servers: its own, or attached ones. */
static bool is_served(const struct database_agent *agent,
                      const struct database_agent_region *region)
{
    for (size_t i = 0; i < agent->attachments.count; i++) {
        const struct attachment *one = &agent->attachments.list[i];
        if (text_equal(one->region, region->name) && !text_empty(one->connection)) {
            return true;
        }
    }
    return region->address_count != 0;
}

static int put_regions(struct database_agent *agent, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    int64_t revision = 0;
    arena_init(&arena, 0);
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    for (size_t i = 0; i < agent->config.region_count; i++) {
        const struct database_agent_region *region = &agent->config.regions[i];
        size_t attached = 0;
        struct model_database_attachment *attachments =
            attachments_of(agent, region->name, &arena, &attached);
        const struct model_database_region record = {.region = region->name,
                                                     .site = agent->config.site,
                                                     .engine_version = agent->version,
                                                     .addresses = region->addresses,
                                                     .address_count = region->address_count,
                                                     .zone = agent->config.zone,
                                                     .attachments = attachments,
                                                     .attachment_count = attached};
        const char *value = model_database_region_encode(
            &arena, &record, &(const struct model_stored){.value = NULL});
        if (is_served(agent, region)) {
            store_txn_put(txn, model_database_region_key(&arena, region->name), value,
                          strlen(value));
        }
    }
    return store_commit(agent->config.store, txn, &revision, err);
}

/* ---- workers ---- */

static bool is_ours(const struct database_agent *agent, const struct model_database_member *member)
{
    for (size_t i = 0; i < agent->config.region_count; i++) {
        if (text_equal(agent->config.regions[i].name, member->region) &&
            is_served(agent, &agent->config.regions[i])) {
            return true;
        }
    }
    return false;
}

static struct worker *worker_of(struct database_agent *agent, const char *member)
{
    for (size_t i = 0; i < agent->worker_count; i++) {
        if (text_equal(worker_member(agent->workers[i]), member)) {
            return agent->workers[i];
        }
    }
    return NULL;
}

static void begin_worker(struct database_agent *agent, const char *group, const char *member)
{
    static struct log_limit limit;
    struct err err = ERR_INIT;
    struct worker *worker = NULL;
    if (agent->worker_count == AGENT_MEMBERS_LIMIT ||
        worker_start(agent, group, member, &worker, &err) != 0) {
        if (log_limit_allows(&limit, 1)) {
            log_error("database.no_worker", F("member", member), F("reason", &err),
                      F("next", "tried again"));
        }
        return;
    }
    thread_lock(&agent->mutex);
    agent->workers[agent->worker_count++] = worker;
    thread_unlock(&agent->mutex);
}

static void end_worker(struct database_agent *agent, size_t at)
{
    struct worker *worker = agent->workers[at];
    thread_lock(&agent->mutex);
    agent->workers[at] = agent->workers[--agent->worker_count];
    thread_unlock(&agent->mutex);
    worker_ask_to_end(worker, false);
    worker_join(worker);
}

/* One for each member that is there, and none for others. */
static void match_workers(struct database_agent *agent, struct view_group *const *groups,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < groups[i]->member_count; k++) {
            const struct model_database_member *member = &groups[i]->members[k].member;
            struct worker *worker = worker_of(agent, member->id);
            if (worker == NULL && is_ours(agent, member) && !agent->stopping) {
                begin_worker(agent, groups[i]->id, member->id);
            } else if (worker != NULL && !worker_ended(worker)) {
                worker_look(worker, groups[i]);
            }
        }
    }
    for (size_t i = agent->worker_count; i-- > 0;) {
        struct worker *worker = agent->workers[i];
        struct view_group *group CLEANUP(view_group_cleanup) =
            view_group_find(agent->view, worker_group(worker));
        bool wanted = group != NULL && view_member_find(group, worker_member(worker)) != NULL;
        if (worker_ended(worker) || !wanted) {
            end_worker(agent, i);
        }
    }
}

static void look(struct database_agent *agent)
{
    struct arena arena CLEANUP(arena_done);
    size_t count = 0;
    arena_init(&arena, 0);
    struct view_group **groups = view_groups(agent->view, &arena, &count);
    if (view_complete(agent->view)) {
        addresses_assign(agent, groups, count);
        match_workers(agent, groups, count);
    }
    for (size_t i = 0; i < count; i++) {
        view_group_unref(groups[i]);
    }
}

/* ---- the thread ---- */

static void *run(void *argument)
{
    struct database_agent *agent = argument;
    struct mono regions_due = mono_now();
    struct mono alone_due = mono_from_now(ALONE_MS * TIME_MS);
    bool alone = false;
    bool regions_put = false;
    uint64_t seen = UINT64_MAX;
    thread_lock(&agent->mutex);
    while (!agent->stopping) {
        seen = agent->generation;
        thread_unlock(&agent->mutex);
        if (!alone && mono_since(mono_now(), alone_due) >= 0 && !view_complete(agent->view)) {
            alone = true;
            IGNORE_RESULT(notes_start_readers(agent)); /* each was logged */
        }
        if (!regions_put && mono_since(mono_now(), regions_due) >= 0) {
            struct err err = ERR_INIT;
            regions_put = put_regions(agent, &err) == 0;
            regions_due = mono_from_now(REGIONS_RETRY_MS * TIME_MS);
        }
        look(agent);
        thread_lock(&agent->mutex);
        if (seen == agent->generation && !agent->stopping) {
            (void)thread_wait_until(&agent->changed, &agent->mutex,
                                    mono_from_now(LOOK_MS * TIME_MS));
        }
    }
    thread_unlock(&agent->mutex);
    return NULL;
}

int groups_start(struct database_agent *agent, struct err *err)
{
    int rc = thread_start(&agent->groups_thread, "db-groups", run, agent, err);
    agent->groups_started = rc == 0;
    return rc;
}

static bool all_ended(const struct database_agent *agent)
{
    for (size_t i = 0; i < agent->worker_count; i++) {
        if (!worker_ended(agent->workers[i])) {
            return false;
        }
    }
    return true;
}

void groups_stop(struct database_agent *agent)
{
    if (!agent->groups_started) {
        return;
    }
    thread_lock(&agent->mutex);
    agent->stopping = true;
    (void)pthread_cond_broadcast(&agent->changed); /* cannot fail */
    thread_unlock(&agent->mutex);
    thread_join(agent->groups_thread);
    for (size_t i = 0; i < agent->worker_count; i++) {
        worker_ask_to_end(agent->workers[i], agent->config.stop_servers);
    }
    while (!all_ended(agent)) { /* they bound the time */
        look(agent);
        thread_lock(&agent->mutex);
        (void)thread_wait_until(&agent->changed, &agent->mutex, mono_from_now(LOOK_MS * TIME_MS));
        thread_unlock(&agent->mutex);
    }
    while (agent->worker_count != 0) {
        end_worker(agent, agent->worker_count - 1);
    }
}
