/* Transactions of handlers that are tried again when somebody else was faster. Thread: the call's.
 * Memory: the call's arena. */
#ifndef SERVICE_COMMON_TRANSACT_H
#define SERVICE_COMMON_TRANSACT_H

#include "aws/service.h"
#include "base/macro.h"
#include "store/store.h"

#define TRANSACT_ATTEMPTS 32

/* Reads, judges, and fills txn with compares on all it read. An error ends the call. */
typedef int (*transact_step)(struct aws_call *call, struct store_txn *txn, void *state,
                             struct err *err);
/* Runs step and commits; again, from the reads on, when a compare failed because of a concurrent
 * change. After TRANSACT_ATTEMPTS of them the call fails with the service's own code and message
 * for that, which clients try again. */
int transact(struct aws_call *call, transact_step step, void *state, const char *busy_code,
             const char *busy_message, struct err *err) MUST_CHECK;

#endif
