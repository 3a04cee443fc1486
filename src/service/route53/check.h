/* A health check as the handlers of this room read, judge and show it. Private to this room.
 * Thread: the call's; memory: the call's arena. */
#ifndef SERVICE_ROUTE53_CHECK_H
#define SERVICE_ROUTE53_CHECK_H

#include "model/check.h"
#include "service/route53/support.h"

struct route53_check {
    struct model_check model;
    const char *key;
    int64_t revision;
    json_t *tree;   /* the stored value, kept */
    json_t *config; /* its HealthCheckConfig; lives with tree */
};

/* id with or without /healthcheck/. NoSuchHealthCheck. */
int route53_check_load(struct aws_call *call, const char *id, struct route53_check *ret_check,
                       struct err *err) MUST_CHECK;
/* The HealthCheck shape out of a stored value; a new reference. */
json_t *route53_check_show(const json_t *tree);
/* Judges a configuration as Route 53 does (InvalidInput) and fills in the defaults that Route 53
 * shows back. Children must exist and not be calculated (so a check cannot be its own child): txn
 * compares that they stay. */
int route53_check_judge(struct aws_call *call, struct store_txn *txn, json_t *config,
                        struct err *err) MUST_CHECK;
/* Adds "new or changed children" to the guard that deletions compare with. */
void route53_check_guard(struct store_txn *txn);

#endif
