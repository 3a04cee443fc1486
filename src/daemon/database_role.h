/* The database agent as a role of leewardd: a process of its own that runs as database.user, begun
 * while the daemon still has the privileges it was started with. Main thread. */
#ifndef DAEMON_DATABASE_ROLE_H
#define DAEMON_DATABASE_ROLE_H

#include "daemon/config.h"
#include "daemon/supervisor.h"

/* Starts its supervisor where database.directory is set (else NULL). The directory is made where it
 * is missing. The config outlives the supervisor. */
int database_role_start(const struct config *config, struct supervisor **ret_supervisor,
                        struct err *err) MUST_CHECK;

struct store_link_server;
/* Where the store is embedded: makes the socket through which the agent reaches it (else NULL).
 * Before privileges are given up: the socket is in database.directory. */
int database_role_listen(const struct config *config, struct store_link_server **ret_server,
                         struct err *err) MUST_CHECK;

#endif
