/* The fencer's thread and its table: see fencer.h. Logs. Invariant: a revision is done only after
 * the command that was begun for it, or for a later one, ended with 0. */
#include "database/agent/fencer.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time.h"
#include "database/agent/attach.h"
#include "database/agent/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FENCES 64U /* groups at a time */
#define PAUSE_MS 2000
#define FAILURES_A_LINE 30U /* in the log */

struct fence {
    char group[MODEL_DATABASE_ID];
    int64_t wanted; /* revision of the lease; 0: nothing is wanted */
    int64_t done;
    int64_t told; /* revision that an event was written for */
    int64_t epoch;
    struct mono due;
    const struct attachment *attachment;
    unsigned failures; /* for it */
    char region[64];
    char instance[64];
};

struct fencer {
    struct database_agent *agent;
    pthread_t thread;
    bool started;
    int interrupt;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping;
    struct fence fences[FENCES];
};

static struct fence *find(struct fencer *fencer, const char *group)
{
    for (size_t i = 0; i < FENCES; i++) {
        if (text_equal(fencer->fences[i].group, group)) {
            return &fencer->fences[i];
        }
    }
    return NULL;
}

bool fencer_done(struct fencer *fencer, const char *group, int64_t revision)
{
    if (fencer == NULL) {
        return false;
    }
    thread_lock(&fencer->mutex);
    const struct fence *fence = find(fencer, group);
    bool done = fence != NULL && revision != 0 && fence->done == revision;
    thread_unlock(&fencer->mutex);
    return done;
}

/* A place for the group: its own, one that is free, or one of which nothing is wanted any more. */
static struct fence *place_for(struct fencer *fencer, const char *group)
{
    struct fence *found = find(fencer, group);
    for (size_t i = 0; found == NULL && i < FENCES; i++) {
        if (fencer->fences[i].group[0] == '\0' || fencer->fences[i].wanted == 0) {
            found = &fencer->fences[i];
            *found = (struct fence){.wanted = 0};
        }
    }
    return found;
}

void fencer_ask(struct fencer *fencer, const struct view_group *group, const char *region)
{
    const struct view_member *holder = view_member_find(group, group->lease.holder);
    const struct attachment *attachment =
        fencer != NULL && holder != NULL
            ? attach_find(&fencer->agent->attachments, holder->member.attached)
            : NULL;
    if (attachment == NULL || attachment->commands[ATTACH_FENCE].words == NULL ||
        !text_equal(attachment->region, holder->member.region)) {
        return;
    }
    thread_lock(&fencer->mutex);
    struct fence *fence = place_for(fencer, group->id);
    if (fence != NULL && fence->wanted != group->lease_record.revision &&
        fence->done != group->lease_record.revision &&
        text_copy(fence->group, sizeof fence->group, group->id) == 0) {
        fence->wanted = group->lease_record.revision;
        fence->epoch = group->lease.epoch;
        fence->attachment = attachment;
        fence->due.ns = 0;
        fence->failures = 0;
        (void)snprintf(fence->region, sizeof fence->region, "%s", region);
        (void)snprintf(fence->instance, sizeof fence->instance, "%s", holder->member.instance);
        (void)pthread_cond_broadcast(&fencer->changed); /* cannot fail */
    }
    thread_unlock(&fencer->mutex);
}

/* ---- the thread ---- */

static void tell(struct fencer *fencer, const struct fence *fence, const struct err *why)
{
    struct arena arena CLEANUP(arena_done);
    struct err err = ERR_INIT;
    int64_t revision = 0;
    arena_init(&arena, 0);
    const struct model_database_event event = {
        .region = fence->region,
        .source = fence->instance,
        .type = "db-instance",
        .category = "failure",
        .message = arena_printf(&arena,
                                "The writer could not be fenced, so nobody takes over: %s. Make "
                                "certain by hand that its server does not write, and say so with "
                                "leeward db confirm-fenced.",
                                why->message),
        .at = wall_now()};
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *value = model_database_event_encode(&arena, &event);
    store_txn_put(txn, model_database_event_key(&arena, event.region, event.at), value,
                  strlen(value));
    IGNORE_RESULT(store_commit(fencer->agent->config.store, txn, &revision, &err)); /* logged too */
}

static int run_command(struct fencer *fencer, const struct fence *fence, struct err *err)
{
    struct arena arena CLEANUP(arena_done);
    arena_init(&arena, 0);
    const struct postgres server = {.directory = fencer->agent->config.directory,
                                    .binaries = fencer->agent->binaries,
                                    .name = fence->instance};
    const char *const settings[] = {
        arena_printf(&arena, "LEEWARD_EPOCH=%lld", (long long)fence->epoch), NULL};
    return attach_run(fence->attachment, ATTACH_FENCE, &server, settings, fencer->interrupt, NULL,
                      NULL, err);
}

/* The mutex is held at the start and at the end, not while the command runs. */
static void work(struct fencer *fencer, struct fence *fence)
{
    struct err err = ERR_INIT;
    const struct fence job = *fence;
    thread_unlock(&fencer->mutex);
    struct mono began = mono_now();
    int rc = run_command(fencer, &job, &err);
    int64_t ms = mono_since(mono_now(), began) / TIME_MS;
    if (rc == 0) {
        log_warn("database.fenced", F("group", job.group), F("attachment", job.attachment->name),
                 F("epoch", job.epoch), F("ms", ms));
    } else if (job.failures % FAILURES_A_LINE == 0) {
        log_warn("database.fence_failed", F("group", job.group),
                 F("attachment", job.attachment->name), F("reason", &err), F("ms", ms),
                 F("failures", job.failures + 1),
                 F("next", "tried again; nobody takes over before"));
    }
    if (rc != 0 && err.kind != ERR_CANCELLED && job.told != job.wanted) {
        tell(fencer, &job, &err);
    }
    thread_lock(&fencer->mutex);
    fence->told = rc != 0 ? job.wanted : fence->told;
    fence->failures = rc != 0 ? job.failures + 1 : 0;
    if (rc == 0) {
        fence->done = job.wanted;
    }
    /* Failed: workers ask again as long as they want it. */
    if (fence->wanted == job.wanted) {
        fence->wanted = rc == 0 ? 0 : fence->wanted;
        fence->due = mono_from_now(PAUSE_MS * TIME_MS);
    }
}

static struct fence *next_due(struct fencer *fencer, struct mono *ret_due)
{
    struct fence *first = NULL;
    ret_due->ns = INT64_MAX;
    for (size_t i = 0; i < FENCES; i++) {
        struct fence *fence = &fencer->fences[i];
        if (fence->wanted != 0 && (first == NULL || fence->due.ns < first->due.ns)) {
            first = fence;
            *ret_due = fence->due;
        }
    }
    return first;
}

/* Whether it is still so as when it was asked for. */
static bool is_wanted(const struct fencer *fencer, const struct fence *fence)
{
    struct view_group *group CLEANUP(view_group_cleanup) =
        view_group_find(fencer->agent->view, fence->group);
    return group != NULL && group->lease_record.revision == fence->wanted &&
           group->lease.state == MODEL_DATABASE_LEASE_HELD && !group->lease.confirmed;
}

static void *run(void *argument)
{
    struct fencer *fencer = argument;
    thread_lock(&fencer->mutex);
    while (!fencer->stopping) {
        struct mono due;
        struct fence *fence = next_due(fencer, &due);
        if (fence == NULL) {
            (void)pthread_cond_wait(&fencer->changed, &fencer->mutex); /* cannot fail */
        } else if (mono_since(mono_now(), due) < 0) {
            (void)thread_wait_until(&fencer->changed, &fencer->mutex, due);
        } else if (!is_wanted(fencer, fence)) {
            fence->wanted = 0;
        } else {
            work(fencer, fence);
            thread_unlock(&fencer->mutex);
            groups_wake(fencer->agent);
            thread_lock(&fencer->mutex);
        }
    }
    thread_unlock(&fencer->mutex);
    return NULL;
}

int fencer_start(struct database_agent *agent, struct fencer **ret_fencer, struct err *err)
{
    struct fencer *fencer = memory_new(sizeof *fencer);
    fencer->agent = agent;
    thread_sync_init(&fencer->mutex, &fencer->changed);
    fencer->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = fencer->interrupt < 0 ? err_set_errno(err, errno, "the fencer") : 0;
    rc = rc != 0 ? rc : thread_start(&fencer->thread, "db-fencer", run, fencer, err);
    fencer->started = rc == 0;
    if (rc != 0) {
        fencer_stop(fencer);
        return rc;
    }
    *ret_fencer = fencer;
    return 0;
}

void fencer_stop(struct fencer *take_fencer)
{
    const uint64_t one = 1;
    if (take_fencer == NULL) {
        return;
    }
    thread_lock(&take_fencer->mutex);
    take_fencer->stopping = true;
    (void)pthread_cond_broadcast(&take_fencer->changed); /* cannot fail */
    thread_unlock(&take_fencer->mutex);
    if (take_fencer->interrupt >= 0) {
        IGNORE_RESULT(write(take_fencer->interrupt, &one, sizeof one)); /* it has room for one */
    }
    if (take_fencer->started) {
        thread_join(take_fencer->thread);
    }
    if (take_fencer->interrupt >= 0) {
        (void)close(take_fencer->interrupt); /* nothing is lost */
    }
    thread_sync_done(&take_fencer->mutex, &take_fencer->changed);
    free(take_fencer);
}
