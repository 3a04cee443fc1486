/* What the handlers of this room share: resources by ARN, guards, idempotency tokens, paging, and
 * transactions that are tried again. Private to this room. Thread: the call's. Memory: trees are
 * kept with the call's arena.
 *
 * A resource is a store value whose "Id", "Name", "Tags", "Token" mean the same for all kinds; the
 * rest is its kind's (cluster.c, panel.c, control.c, rule.c). */
#ifndef SERVICE_ARC_SUPPORT_H
#define SERVICE_ARC_SUPPORT_H

#include "aws/service.h"
#include "base/macro.h"
#include "model/arc.h"
#include "service/common/change.h"
#include "service/common/context.h"
#include "service/common/transact.h"
#include "service/common/tree.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* ---- resources ---- */

struct arc_item {
    struct model_arc_name name;
    const char *key;
    json_t *tree; /* the stored value, kept */
    int64_t revision;
};

/* Reads an ARN that must be of the kind: ValidationException; of another account:
 * ResourceNotFoundException. member: what the request calls it. */
int arc_name(struct aws_call *call, const char *arn, enum model_arc_kind kind, const char *member,
             struct model_arc_name *ret_name, struct err *err) MUST_CHECK;
/* The resource of an ARN; ResourceNotFoundException. */
int arc_load(struct aws_call *call, const char *arn, enum model_arc_kind kind, const char *member,
             struct arc_item *ret_item, struct err *err) MUST_CHECK;
/* The resource that a member of the request names. */
int arc_load_member(struct aws_call *call, const json_t *in, const char *member,
                    enum model_arc_kind kind, struct arc_item *ret_item, struct err *err)
    MUST_CHECK;
int arc_load_name(struct aws_call *call, const struct model_arc_name *name,
                  struct arc_item *ret_item, struct err *err) MUST_CHECK;
/* The ARN of a control, rule, panel or cluster by ids; panel is for the first two. */
const char *arc_arn(struct aws_call *call, enum model_arc_kind kind, const char *panel,
                    const char *id);
int arc_invalid(struct aws_call *call, struct err *err, const char *format, ...) PRINTF(3, 4) COLD;
/* ConflictException of the configuration: somebody uses it, or the name is taken. */
int arc_conflict(struct aws_call *call, struct err *err, const char *format, ...) PRINTF(3, 4) COLD;

/* All values below a prefix, parsed. */
struct arc_list {
    struct arc_item *items; /* key, tree, revision; name.id is the key's last part */
    size_t count;
};
int arc_range(struct aws_call *call, const char *prefix, struct arc_list *ret_list, struct err *err)
    MUST_CHECK;
/* Whether one of them, other than `except` (an id, or ""), has the name. */
bool arc_name_taken(const struct arc_list *list, const char *name, const char *except);

/* ---- guards ---- */

#define ARC_CLUSTERS_GUARD "clusters"

/* Compares that the guard is as it is now, and writes it. */
int arc_guard(struct aws_call *call, struct store_txn *txn, const char *id, struct err *err)
    MUST_CHECK;
/* The same, and deletes it with what it guards. To be called before what it guards is judged. */
int arc_guard_drop(struct aws_call *call, struct store_txn *txn, const char *id, struct err *err)
    MUST_CHECK;

/* ---- idempotency ---- */

/* The ARN that the request's ClientToken made before; NULL when it is new (or there is none).
 * ConflictException when it was used for another request. txn compares what was seen. */
int arc_token_find(struct aws_call *call, struct store_txn *txn, const json_t *in,
                   const char **ret_arn, struct err *err) MUST_CHECK;
/* Keeps what the token made; tree gets "Token", so that it is let go with the resource. */
int arc_token_put(struct aws_call *call, struct store_txn *txn, const json_t *in, const char *arn,
                  json_t *tree, struct err *err) MUST_CHECK;
/* With the resource that is deleted. */
void arc_token_drop(struct aws_call *call, struct store_txn *txn, const json_t *tree);

/* ---- transactions ---- */

/* As long as compares fail because of concurrent changes, ARC_ATTEMPTS times; then
 * ConflictException, or where the operation has none InternalServerException: clients try again. */
#define ARC_ATTEMPTS TRANSACT_ATTEMPTS
int arc_transact(struct aws_call *call, transact_step step, void *state, struct err *err)
    MUST_CHECK;

/* ---- paging ---- */

/* MaxResults and NextToken over what is sorted by its place: which of the list are shown. A token
 * says which operation gave it, asked for what; ValidationException where that is another. */
struct arc_page {
    size_t first;
    size_t end;
    const char *next; /* NextToken; NULL at the end */
};
typedef const char *(*arc_token_of)(const void *list, size_t index);
int arc_paginate(struct aws_call *call, const json_t *in, size_t standard, const void *list,
                 size_t count, arc_token_of token_of, struct arc_page *ret_page, struct err *err)
    MUST_CHECK;
/* The whole answer of an operation that lists resources: member is the list's name in it. */
typedef json_t *(*arc_show)(struct aws_call *call, const json_t *tree);
int arc_answer_list(struct aws_call *call, const json_t *in, const struct arc_list *list,
                    const char *member, arc_show show, json_t **ret_out, struct err *err)
    MUST_CHECK;

/* ---- each kind as the API shows it ---- */

json_t *arc_show_cluster(struct aws_call *call, const json_t *tree);
json_t *arc_show_panel(struct aws_call *call, const json_t *tree);
json_t *arc_show_control(struct aws_call *call, const json_t *tree);
/* A new panel with its guard, into txn; in NULL: the default one, which no request names. */
int arc_put_panel(struct aws_call *call, struct store_txn *txn, const char *cluster,
                  const char *name, const json_t *in, json_t **ret_tree, struct err *err)
    MUST_CHECK;
/* Tags of a creation, judged; an empty object when there are none. New reference. */
int arc_new_tags(struct aws_call *call, const json_t *in, json_t **ret_tags, struct err *err)
    MUST_CHECK;

#endif
