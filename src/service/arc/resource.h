/* What is the same for all kinds of resources: how one is created once for a client token, shown,
 * changed and deleted. A kind gives what is its own (cluster.c, panel.c, control.c, rule.c).
 * Private to this room. Thread: the call's. Memory: the call's arena. */
#ifndef SERVICE_ARC_RESOURCE_H
#define SERVICE_ARC_RESOURCE_H

#include "service/arc/support.h"

struct arc_kind {
    enum model_arc_kind kind;
    const char *arn;    /* the member of requests that names one */
    const char *member; /* the member of answers that shows one */
    arc_show show;
    /* Judges the request and puts what it makes into txn; its value is *ret_tree, kept. */
    int (*create)(struct aws_call *call, struct store_txn *txn, const json_t *in, json_t **ret_tree,
                  struct err *err);
    /* Judges the request and changes the item's tree. */
    int (*update)(struct aws_call *call, struct store_txn *txn, const json_t *in,
                  const struct arc_item *item, struct err *err);
    /* Judges that nothing needs the item, and deletes what goes with it. */
    int (*remove)(struct aws_call *call, struct store_txn *txn, const struct arc_item *item,
                  struct err *err);
};

/* Whole operations. The answer to a creation says PENDING, as callers then wait for DEPLOYED,
 * unless its client token had made the resource before. */
int arc_create(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err) MUST_CHECK;
int arc_describe(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
                 json_t **ret_out, struct err *err) MUST_CHECK;
int arc_update(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err) MUST_CHECK;
int arc_delete(struct aws_call *call, const struct arc_kind *kind, const json_t *in,
               json_t **ret_out, struct err *err) MUST_CHECK;
/* Of what is in the panel that the request names: as arc_answer_list. */
int arc_list_of_panel(struct aws_call *call, const json_t *in, const char *prefix,
                      const char *member, arc_show show, json_t **ret_out, struct err *err)
    MUST_CHECK;
/* {"<member>": shown}: the answer that shows one. status NULL: DEPLOYED. */
int arc_answer(struct aws_call *call, const struct arc_kind *kind, const json_t *tree,
               const char *status, json_t **ret_out, struct err *err) MUST_CHECK;

/* Puts a new resource's value and what its client token made; panel is for controls and rules. */
int arc_put_new(struct aws_call *call, struct store_txn *txn, enum model_arc_kind kind,
                const char *panel, const char *id, const json_t *in, json_t *tree, struct err *err)
    MUST_CHECK;
/* The item's tree with another name. */
int arc_rename(const struct arc_item *item, const char *name, struct err *err) MUST_CHECK;
/* ServiceQuotaExceededException when the owner has `limit` of them already. */
int arc_quota(struct aws_call *call, const char *owner, size_t count, const char *what,
              unsigned limit, struct err *err) MUST_CHECK;

#endif
