/* ConfirmFenced: a person says that the server of a writer which does not end by itself does not
 * write, so that another one may take over. A handler on API threads. Invariant: the caller has
 * watched this revision of the lease for all of its length: who holds it may not write any more,
 * and can renew it no more, because it is another revision then. */
#include "base/text.h"
#include "model/database.h"
#include "service/common/context.h"
#include "service/leeward/handlers.h"

#include <string.h>

static int judge(struct aws_call *call, const struct model_database_lease *lease, bool current,
                 struct err *err)
{
    if (lease->state != MODEL_DATABASE_LEASE_HELD || !lease->unfenced || lease->confirmed) {
        return aws_error(call, err, "InvalidInputException", "%s",
                         lease->confirmed ? "it was confirmed already"
                                          : "nobody waits for it to be confirmed");
    }
    return current ? 0
                   : aws_error(call, err, "InvalidInputException",
                               "the writer has renewed its lease meanwhile: it is not down");
}

static int confirm(struct aws_call *call, const char *key, const struct store_entry *entry,
                   const struct model_database_lease *lease, struct err *err)
{
    struct model_database_lease changed = *lease;
    const struct model_stored before = {.value = entry->value, .size = entry->size};
    int64_t revision = 0;
    changed.confirmed = true;
    changed.at = call->now;
    struct store_txn *txn CLEANUP(store_txn_cleanup) = store_txn_new();
    const char *value = model_database_lease_encode(call->arena, &changed, &before);
    store_txn_require_revision(txn, key, entry->changed_revision);
    store_txn_put(txn, key, value, strlen(value));
    int rc = store_commit(service_context(call)->store, txn, &revision, err);
    return rc != 0 && err->kind == ERR_CONFLICT ? judge(call, lease, false, err) : rc;
}

int leeward_confirm_fenced(struct aws_call *call, const json_t *in, json_t **ret_out,
                           struct err *err)
{
    struct store_entry entry;
    struct model_database_lease lease;
    (void)ret_out; /* the operation has no output */
    int64_t seen = json_integer_value(json_object_get(in, "LeaseRevision"));
    const char *key = model_database_lease_key(call->arena, leeward_text(in, "Id"));
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc != 0) {
        return err->kind == ERR_NOT_FOUND
                   ? aws_error(call, err, "NotFoundException", "there is no such database")
                   : rc;
    }
    rc = model_database_lease_decode(entry.value, entry.size, call->arena, &lease, err);
    rc = rc != 0 ? rc : judge(call, &lease, entry.changed_revision == seen, err);
    return rc != 0 ? rc : confirm(call, key, &entry, &lease, err);
}
