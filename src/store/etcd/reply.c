/* What etcd's refusals mean: see gateway.h. Called with every answer that is no success, on any
 * thread; keeps nothing. Invariant: a refusal counts as "nothing happened" only where etcd decides
 * it before it proposes the request to the cluster, or where every member refuses it alike. */
#include "base/text.h"
#include "store/etcd/gateway.h"

#include <string.h>

#define GRPC_DEADLINE_EXCEEDED 4

struct refusal {
    const char *text; /* part of etcd's message */
    enum err_kind kind;
    enum gateway_outcome outcome;
    const char *advice; /* NULL: none */
};

/* etcdserver/api/v3rpc/rpctypes/error.go of etcd 3.4 has the texts. */
static const struct refusal refusals[] = {
    {"requested lease not found", ERR_NOT_FOUND, GATEWAY_ANSWERED, NULL},
    {"required revision has been compacted", ERR_COMPACTED, GATEWAY_ANSWERED, NULL},
    {"required revision is a future revision", ERR_INVALID, GATEWAY_ANSWERED, NULL},
    {"too many operations in txn request", ERR_LIMIT, GATEWAY_ANSWERED,
     "start etcd with --max-txn-ops=8192"},
    {"request is too large", ERR_LIMIT, GATEWAY_ANSWERED,
     "start etcd with --max-request-bytes=16777216"},
    {"message larger than max", ERR_LIMIT, GATEWAY_ANSWERED,
     "start etcd with --max-request-bytes=16777216"},
    {"duplicate key given in txn request", ERR_INVALID, GATEWAY_ANSWERED, NULL},
    {"too large lease TTL", ERR_INVALID, GATEWAY_ANSWERED, NULL},
    {"authentication failed", ERR_DENIED, GATEWAY_ANSWERED, "check etcd-user and its password"},
    {"user name is empty", ERR_DENIED, GATEWAY_NEW_TOKEN,
     "etcd wants a user: set etcd-user and its password"},
    {"permission denied", ERR_DENIED, GATEWAY_ANSWERED,
     "grant the user readwrite on the prefix of Leeward's keys"},
    {"invalid auth token", ERR_DENIED, GATEWAY_NEW_TOKEN, NULL},
    {"revision of auth store is old", ERR_DENIED, GATEWAY_NEW_TOKEN, NULL},
    {"too many requests", ERR_UNAVAILABLE, GATEWAY_TRY_AGAIN, NULL},
    {"etcdserver: no leader", ERR_UNAVAILABLE, GATEWAY_TRY_AGAIN, NULL},
    {"raft proposal dropped", ERR_UNAVAILABLE, GATEWAY_TRY_AGAIN, NULL},
    {"etcdserver: not capable", ERR_UNAVAILABLE, GATEWAY_TRY_AGAIN, NULL},
    {"rpc not supported for learner", ERR_UNAVAILABLE, GATEWAY_TRY_AGAIN, NULL},
    /* The member that finds its quota full has applied what it refuses. */
    {"database space exceeded", ERR_UNAVAILABLE, GATEWAY_UNKNOWN,
     "raise etcd's --quota-backend-bytes, defragment, and disarm the alarm"},
    {"request timed out", ERR_TIMEOUT, GATEWAY_UNKNOWN, NULL},
};

enum gateway_outcome gateway_reply_error(const char *text, int64_t code, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        if (strstr(text, refusal->text) != NULL) {
            (void)err_set(err, refusal->kind, "%.120s%s%s", text,
                          refusal->advice != NULL ? "; " : "",
                          refusal->advice != NULL ? refusal->advice : ""); /* the outcome says it */
            return refusal->outcome;
        }
    }
    (void)err_set(err, code == GRPC_DEADLINE_EXCEEDED ? ERR_TIMEOUT : ERR_UNAVAILABLE,
                  "etcd says: %.160s (code %lld)", text, (long long)code); /* the outcome says it */
    return GATEWAY_UNKNOWN;
}

enum gateway_outcome gateway_reply_failure(const json_t *answer, long status, const char *url,
                                           struct err *err)
{
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(error);
    int64_t code = json_integer_value(json_object_get(answer, "code"));
    if (json_is_object(error)) { /* as streams tell it */
        text = json_string_value(json_object_get(error, "message"));
        code = json_integer_value(json_object_get(error, "grpc_code"));
    }
    if (text != NULL) {
        return gateway_reply_error(text, code, err);
    }
    (void)err_set(err, ERR_UNAVAILABLE,
                  "%s answered with status %ld and no message of etcd: is this etcd's client URL?",
                  url, status); /* the outcome says it */
    return GATEWAY_UNKNOWN;
}
