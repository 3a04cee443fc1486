/* A role of this program in a process of its own, begun before privileges are given up, and begun
 * again when it ends. Between the daemon and the role stands a supervisor that does nothing else:
 *
 *   leewardd  --pipe-->  supervisor  --fork-->  role
 *
 * The pipe's end is the daemon's end: without a word before, the daemon died, and the role is
 * killed at once; after STOP the role gets SIGTERM and time to end. Nothing is executed: the role
 * is a copy of this program as it was when the supervisor began, with the configuration in memory.
 * Main thread, while it is the only one. */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "base/err.h"
#include "base/macro.h"

#define SUPERVISOR_STOP_S 75 /* a role that does not end within that is killed */

struct supervisor;

struct supervisor_role {
    const char *name; /* of its process, at most 15 characters, and in the log */
    /* In the role's process; returns what it exits with. SIGTERM and SIGINT are blocked: SIGTERM is
     * the wish that it end. */
    int (*run)(void *argument);
    void *argument; /* lives as long as the supervisor */
};

/* Forks. Returns in the daemon only. */
int supervisor_start(const struct supervisor_role *role, struct supervisor **ret_supervisor,
                     struct err *err) MUST_CHECK;
/* Has the role ended cleanly, and waits for that. NULL is fine. */
void supervisor_stop(struct supervisor *take_supervisor);

#endif
