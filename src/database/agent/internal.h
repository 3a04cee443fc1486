/* What the agent's threads share: see agent.h. Private to this room. */
#ifndef DATABASE_AGENT_INTERNAL_H
#define DATABASE_AGENT_INTERNAL_H

#include "base/arena.h"
#include "base/macro.h"
#include "database/agent/agent.h"
#include "database/agent/attach.h"
#include "database/agent/fencer.h"
#include "database/agent/leases.h"
#include "database/agent/publisher.h"
#include "database/agent/snapshots.h"
#include "database/agent/view.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_MEMBERS_LIMIT LEASES_LIMIT

struct worker;

struct database_agent {
    struct database_agent_config config;
    struct arena arena; /* of what follows, as long as the agent */
    const char *binaries;
    const char *version;
    const char *module;
    struct attachments attachments;
    struct fencer *fencer;
    int lock; /* on the directory */
    struct view *view;
    struct leases *leases;
    struct publisher *publisher;
    pthread_t groups_thread;
    bool groups_started;
    /* Guards what follows, which the groups thread changes and others look at. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t generation; /* goes up with every change in the store */
    bool stopping;
    struct snapshots *snapshots; /* NULL before their start and after their end */
    struct worker *workers[AGENT_MEMBERS_LIMIT];
    size_t worker_count;
};

/* groups.c: the thread that starts and ends workers and executes the groups' transitions. */
int groups_start(struct database_agent *agent, struct err *err) MUST_CHECK;
/* Ends it and all workers, as the configuration says. */
void groups_stop(struct database_agent *agent);
/* Something changed: workers and the thread look again. Any thread; does not wait. */
void groups_wake(struct database_agent *agent);

#endif
