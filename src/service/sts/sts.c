/* GetCallerIdentity: an access key shows as a user of the account with the key's id for a name; see
 * sts.h. Called as a handler on API threads. Invariant: nothing is read or written. */
#include "service/sts/sts.h"

static int get_caller_identity(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    (void)in; /* the operation has no members */
    const char *arn =
        arena_printf(call->arena, "arn:aws:iam::%s:user/%s", call->account_id, call->access_key_id);
    json_t *answer = json_pack("{s:s, s:s, s:s}", "UserId", call->access_key_id, "Account",
                               call->account_id, "Arn", arn);
    if (answer == NULL) {
        return err_set(err, ERR_MEMORY, "making the answer");
    }
    *ret_out = answer;
    return 0;
}

static const struct aws_binding bindings[] = {{"GetCallerIdentity", get_caller_identity}};

const struct aws_service service_sts = {
    .name = "sts",
    .bindings = bindings,
    .count = sizeof bindings / sizeof bindings[0],
    .global = true,
};
