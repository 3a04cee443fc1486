/* The database agent: makes the servers of its regions be what the records say. It follows "db/" in
 * the store, runs a worker for each member of its regions, renews the leases of those that write,
 * executes the transitions of their groups, and writes what it sees. Decisions are made in
 * database/core; what is PostgreSQL's is in database/postgres.
 *
 * Every start is the same: what is to be done is decided anew from the records and from what the
 * servers really are, and servers that run are adopted. So it may be killed at any moment; the
 * servers go on, writers until their lease runs out. Ownership: the configuration and what it
 * points to outlive the agent. Thread: start and stop on one; it has its own (ARCHITECTURE.md). */
#ifndef DATABASE_AGENT_AGENT_H
#define DATABASE_AGENT_AGENT_H

#include "base/err.h"
#include "base/macro.h"
#include "seal/seal.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database_agent_region {
    const char *name;
    const char **addresses; /* that its servers may listen on */
    size_t address_count;
};

struct database_agent_config {
    struct store *store;
    struct store *lease_store; /* the same one, by calls that end soon, with or without an answer */
    const struct seal *seal;
    const char *directory; /* of all members' directories; belongs to the user this runs as */
    const char *bin;       /* of PostgreSQL's programs; "": looked for */
    const char *site;      /* "": there is one */
    const char *zone;      /* of endpoints; "": none */
    const char *attach;    /* folder of attachments: servers that somebody else runs; "": none */
    int64_t aside_days;    /* see bounds.h */
    int64_t aside_count;
    bool stop_servers; /* database_agent_stop stops them */
    const struct database_agent_region *regions;
    size_t region_count;
};

struct database_agent;

/* Another agent that has the directory is waited for: ERR_EXISTS after some seconds. The store may
 * be away. */
int database_agent_start(const struct database_agent_config *config,
                         struct database_agent **ret_agent, struct err *err) MUST_CHECK;
/* Leases are given back and servers stopped, where the configuration says so. NULL is fine. */
void database_agent_stop(struct database_agent *take_agent);

#endif
