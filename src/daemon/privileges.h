/* Giving up what is needed only to start: root, capabilities, and system calls that a name server
 * has no use for. Main thread, while it is the only one: what is dropped here is dropped for each
 * thread by itself. */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H

#include "base/err.h"
#include "base/macro.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who to become. */
struct privileges {
    bool change; /* started as root, and there is such a user */
    char user[64];
    uid_t uid;
    gid_t gid;
};

/* Looks the user up. "leeward" need not exist: then a process of root stays what it is, which is
 * logged. Any other name must. */
int privileges_find(const char *user, struct privileges *ret_privileges, struct err *err)
    MUST_CHECK;
/* Makes the data directory where it is missing; it must belong to who we become. */
int privileges_prepare_directory(const struct privileges *privileges, const char *directory,
                                 struct err *err) MUST_CHECK;
/* After it: that user and its groups, no capability in any set, none to be had by executing; with
 * sandbox no new privileges, no core dumps, and the filter of system calls. */
int privileges_drop(const struct privileges *privileges, bool sandbox, struct err *err) MUST_CHECK;

#endif
