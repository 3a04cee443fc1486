/* Transactions of handlers: see transact.h. Called on API threads. Invariant: at most one commit
 * succeeds, and nothing is written when the call fails - but for a remote store whose answer was
 * lost (store.h). */
#include "service/common/transact.h"

#include "service/common/context.h"

int transact(struct aws_call *call, transact_step step, void *state, const char *busy_code,
             const char *busy_message, struct err *err)
{
    for (unsigned attempt = 0; attempt < TRANSACT_ATTEMPTS; attempt++) {
        struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
        int64_t revision = 0;
        err_clear(err);
        int rc = step(call, txn, state, err);
        if (rc != 0) {
            return rc;
        }
        rc = store_commit(service_context(call)->store, txn, &revision, err);
        if (rc == 0 || err->kind != ERR_CONFLICT) {
            return rc;
        }
    }
    return aws_error(call, err, busy_code, "%s", busy_message);
}
