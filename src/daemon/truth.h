/* The truth: the store that the configuration names, SQLite in the data directory or the etcd that
 * several sites share. Main thread, at the start. */
#ifndef DAEMON_TRUTH_H
#define DAEMON_TRUTH_H

#include "daemon/config.h"
#include "store/store.h"

/* etcd is not asked anything yet. ERR names the option that is wrong. */
int truth_open(const struct config *config, struct store **ret_store, struct err *err) MUST_CHECK;
/* Nothing that was ever deleted or replaced stays in the history. */
int truth_forget(const struct config *config, struct store *store, struct err *err) MUST_CHECK;

#endif
