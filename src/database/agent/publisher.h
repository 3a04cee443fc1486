/* What workers see, on its way to db/seen/<group>/<member>: one thread writes for all, so that no
 * worker waits for the store. What matters goes at once, positions in the log and lags once a
 * second, and everything with each heartbeat, to show that somebody looks: others count on it
 * (database_is_heard). Thread: any, but for start and stop. */
#ifndef DATABASE_AGENT_PUBLISHER_H
#define DATABASE_AGENT_PUBLISHER_H

#include "base/err.h"
#include "base/macro.h"
#include "model/database.h"
#include "store/store.h"

struct publisher;
struct publisher_slot;

enum publisher_haste {
    PUBLISHER_USUAL,
    PUBLISHER_HURRY, /* positions matter now */
    PUBLISHER_REST,  /* somebody waits for the store and its disks, and nobody for this: for half a
                      * second from the first of these on, one heartbeat at most, nothing is
                      * written */
};

int publisher_start(struct store *store, struct publisher **ret_publisher, struct err *err)
    MUST_CHECK;
/* Writes what is left, unless the store fails. All slots were removed. NULL is fine. */
void publisher_stop(struct publisher *take_publisher);

struct publisher_slot *publisher_add(struct publisher *publisher, const char *group,
                                     const char *member);
/* Copies what is seen; its time is set when it is written. heartbeat_ns: how often it is written at
 * least, from now on (database_heartbeat). */
void publisher_put(struct publisher *publisher, struct publisher_slot *slot,
                   const struct model_database_seen *seen, int64_t heartbeat_ns,
                   enum publisher_haste haste);
/* What was put last is written still, unless the store fails or the member is gone. */
void publisher_remove(struct publisher *publisher, struct publisher_slot *take_slot);

#endif
