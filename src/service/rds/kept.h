/* What clusters and instances keep of requests to show it again, since it means nothing here:
 * windows, storage, keys, log types and the like. It is judged as AWS judges it, and what would be
 * ignored although it means something is refused. Private to this room. Thread: the call's. */
#ifndef SERVICE_RDS_KEPT_H
#define SERVICE_RDS_KEPT_H

#include "service/rds/support.h"

/* Bounds, sizes, words and formats of what a request has of all that is kept or refused.
 * kind: RDS_CLUSTER or RDS_INSTANCE. */
int rds_judge_kept(struct aws_call *call, enum rds_kind kind, const json_t *in, struct err *err)
    MUST_CHECK;
/* Copies it into the item's "Shown", over what is there, and security groups; then judges what only
 * the whole shows. created: what was not given makes room for what was. */
int rds_keep(struct aws_call *call, enum rds_kind kind, const json_t *in, bool created,
             json_t *tree, struct err *err) MUST_CHECK;
/* A text that is kept has a limit. */
int rds_judge_text(struct aws_call *call, const json_t *in, const char *member, struct err *err)
    MUST_CHECK;

/* What an instance shows of its cluster, in place of its own. */
void rds_show_inherited(const struct rds_item *cluster, json_t *instance);
/* A request about an instance of the cluster, with a value that is not the cluster's, is refused:
 * in the words of AWS for the one operation or the other. */
int rds_judge_inherited(struct rds_world *world, const struct rds_item *cluster, const json_t *in,
                        bool created, struct err *err) MUST_CHECK;

/* window.c: formats and lengths of what was given. */
int rds_judge_windows(struct aws_call *call, const json_t *in, struct err *err) MUST_CHECK;
/* In lower case; created: one that was not given goes out of the other one's way. */
int rds_settle_windows(struct aws_call *call, const json_t *in, bool created, json_t *shown,
                       struct err *err) MUST_CHECK;

#endif
