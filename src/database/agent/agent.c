/* The agent's start and end: see agent.h. Called by the role of leewardd. Logs. Invariant: one
 * agent works in a directory at a time, whoever started it. */
#include "database/agent/agent.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/internal.h"
#include "database/fence/lease_file.h"
#include "database/postgres/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_S 10
#define LOCK_LOOK_MS 10

/* An agent that was killed is gone at once; one that ends takes its time. */
static int lock_directory(const char *directory, int *ret_lock, struct err *err)
{
    char *path CLEANUP(memory_cleanup) = memory_printf("%s/agent.lock", directory);
    const struct timespec pause = {.tv_nsec = LOCK_LOOK_MS * TIME_MS};
    struct mono until = mono_from_now(LOCK_WAIT_S * TIME_S);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) {
        return err_set_errno(err, errno, "%s", path);
    }
    while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || mono_since(mono_now(), until) >= 0) {
            int rc = err_set(err, ERR_EXISTS, "%s: another agent has this directory", path);
            (void)close(lock); /* nothing was written */
            return rc;
        }
        (void)nanosleep(&pause, NULL);
    }
    *ret_lock = lock;
    return 0;
}

static bool is_region(const struct database_agent *agent, const char *name)
{
    for (size_t i = 0; i < agent->config.region_count; i++) {
        if (text_equal(agent->config.regions[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Their lease files are there before they are started: their module wants that. */
static int load_attachments(struct database_agent *agent, struct err *err)
{
    int rc = attach_load(agent->config.attach, agent->config.directory, &agent->arena,
                         &agent->attachments, err);
    for (size_t i = 0; rc == 0 && i < agent->attachments.count; i++) {
        const struct attachment *attachment = &agent->attachments.list[i];
        struct fence_lease *file = NULL;
        if (text_empty(attachment->connection) || !is_region(agent, attachment->region)) {
            continue;
        }
        int code = fence_lease_open(attachment->lease_file, true, &file);
        if (code != 0) {
            return err_set_errno(err, -code, "the lease file %s", attachment->lease_file);
        }
        fence_lease_close(file);
        log_info("database.attachment", F("name", attachment->name),
                 F("region", attachment->region), F("lease_file", attachment->lease_file));
    }
    return rc;
}

static void wake(void *context)
{
    groups_wake(context);
}

/* Whoever wakes them finds them by the mutex. */
static int start_snapshots(struct database_agent *agent, struct err *err)
{
    struct snapshots *snapshots = NULL;
    int rc = snapshots_start(agent, &snapshots, err);
    thread_lock(&agent->mutex);
    agent->snapshots = snapshots;
    thread_unlock(&agent->mutex);
    return rc;
}

static void stop_snapshots(struct database_agent *agent)
{
    thread_lock(&agent->mutex);
    struct snapshots *snapshots = agent->snapshots;
    agent->snapshots = NULL;
    thread_unlock(&agent->mutex);
    snapshots_stop(snapshots);
}

int database_agent_start(const struct database_agent_config *config,
                         struct database_agent **ret_agent, struct err *err)
{
    struct database_agent *agent = memory_new(sizeof *agent);
    agent->config = *config;
    agent->lock = -1;
    thread_sync_init(&agent->mutex, &agent->changed);
    arena_init(&agent->arena, 0);
    struct leases_config leases = {.store = config->lease_store, .changed = wake, .context = agent};
    int rc = lock_directory(config->directory, &agent->lock, err);
    rc = rc != 0
             ? rc
             : postgres_find(config->bin, &agent->arena, &agent->binaries, &agent->version, err);
    rc = rc != 0 ? rc : postgres_find_module("", &agent->arena, &agent->module, err);
    rc = rc != 0 ? rc : load_attachments(agent, err);
    rc = rc != 0 ? rc : leases_start(&leases, &agent->leases, err);
    rc = rc != 0 ? rc : fencer_start(agent, &agent->fencer, err);
    rc = rc != 0 ? rc : publisher_start(config->store, &agent->publisher, err);
    rc = rc != 0 ? rc : view_start(config->store, wake, agent, &agent->view, err);
    rc = rc != 0 ? rc : start_snapshots(agent, err);
    rc = rc != 0 ? rc : groups_start(agent, err);
    if (rc != 0) {
        database_agent_stop(agent);
        return rc;
    }
    log_info("database.agent_ready", F("directory", config->directory),
             F("postgresql", agent->version));
    *ret_agent = agent;
    return 0;
}

void database_agent_stop(struct database_agent *take_agent)
{
    if (take_agent == NULL) {
        return;
    }
    stop_snapshots(take_agent); /* before the servers that they are taken of */
    groups_stop(take_agent);
    fencer_stop(take_agent->fencer);
    publisher_stop(take_agent->publisher);
    leases_stop(take_agent->leases);
    view_stop(take_agent->view);
    thread_sync_done(&take_agent->mutex, &take_agent->changed);
    if (take_agent->lock >= 0) {
        (void)close(take_agent->lock); /* lets it go */
    }
    arena_done(&take_agent->arena);
    free(take_agent);
}
