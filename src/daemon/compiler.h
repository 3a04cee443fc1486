/* The compiler thread: owner of the zone database. Everything that changes what DNS answers comes
 * here as a message: batches of records from the feed, status tables from health, questions from
 * the API. Status goes first, and no
 * more than one table passes the work that waits. */
#ifndef DAEMON_COMPILER_H
#define DAEMON_COMPILER_H

#include "base/err.h"
#include "base/macro.h"
#include "base/time.h"
#include "dns/zone/database.h"
#include "model/status.h"

#include <stdint.h>

struct compiler;

/* Starts the thread with an empty database. */
int compiler_start(struct compiler **ret_compiler, struct err *err) MUST_CHECK;
/* Nobody may call in any more. NULL is fine. */
void compiler_stop(struct compiler *take_compiler);

/* Runs work(database, argument) on the compiler thread and waits for it. Any other thread. */
void compiler_run(struct compiler *compiler,
                  void (*work)(struct zone_database *database, void *argument), void *argument);
/* Hands a copy of the table over; never blocks for long. A table that was not applied yet is
 * replaced. Any thread. */
void compiler_set_status(struct compiler *compiler, const struct model_status *status);
/* For the DNS workers; lives until compiler_stop. */
struct zone_set *compiler_zones(struct compiler *compiler);

/* When records were published last; at first when the compiler was started. Any thread. */
struct mono compiler_published(struct compiler *compiler);

/* From the decision in health/ to the swapped answers: the newest and the worst so far,
 * microseconds. Any thread. */
struct compiler_delay {
    int64_t last_us;
    int64_t worst_us;
    uint64_t flips; /* answers chosen anew because of health */
};
struct compiler_delay compiler_delay(struct compiler *compiler);

#endif
