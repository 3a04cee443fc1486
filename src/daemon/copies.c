/* The stores of this daemon beside the truth: see daemon.h. Where the truth is embedded, it is all
 * of them. Where it is shared with other sites, there are two files in the data directory: the
 * replica that data planes read, and what belongs to this node alone (verdicts, serials). Main
 * thread. Invariant: that the truth is away stops neither a start nor a data plane. */
#include "base/log.h"
#include "base/text.h"
#include "daemon/daemon.h"
#include "store/sqlite.h"

/* So long a start waits for the truth when there is a replica to begin with. */
#define WAIT_MS 300U

int copies_open(struct daemon *daemon, struct err *err)
{
    if (text_equal(daemon->config->store, "sqlite")) {
        daemon->copy = daemon->store;
        daemon->local = daemon->store;
        return 0;
    }
    int rc = store_sqlite_open_local(daemon->config->data, &daemon->local, err);
    if (rc != 0) {
        return rc;
    }
    struct replica_config config = {.directory = daemon->config->data, .truth = daemon->store};
    rc = replica_start(&config, &daemon->replica, err);
    if (rc != 0) {
        return rc;
    }
    daemon->copy = replica_store(daemon->replica);
    if (!replica_wait(daemon->replica, WAIT_MS)) {
        log_error("replica.empty",
                  F("reason", "the store cannot be reached, and there is no replica of it yet"),
                  F("next", "nothing is served until the store was read once"));
    }
    return 0;
}

bool copies_complete(const struct daemon *daemon)
{
    struct replica_status status = {.complete = true};
    if (daemon->replica != NULL) {
        replica_status(daemon->replica, &status);
    }
    return status.complete;
}

bool copies_excuse(const struct daemon *daemon, const char *what, struct err *err)
{
    if (daemon->replica == NULL || (err->kind != ERR_UNAVAILABLE && err->kind != ERR_TIMEOUT)) {
        return false;
    }
    log_warn("daemon.start_without_store", F("left_out", what), F("reason", err),
             F("next", "data planes start with what the replica holds"));
    err_clear(err);
    return true;
}

void copies_close(struct daemon *daemon)
{
    replica_stop(daemon->replica);
    if (daemon->local != daemon->store) {
        store_close(daemon->local);
    }
}
