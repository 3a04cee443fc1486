/* What the handlers of this room share: ids, trees, paging, and transactions that are tried again
 * when somebody else was faster. Private to this room. Thread: the call's. Memory: trees that are
 * "kept" are released with the call's arena. */
#ifndef SERVICE_ROUTE53_SUPPORT_H
#define SERVICE_ROUTE53_SUPPORT_H

#include "aws/service.h"
#include "base/macro.h"
#include "service/common/context.h"
#include "service/common/transact.h"
#include "service/common/tree.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* ---- limits: everything a client can make grow has one ---- */

#define ROUTE53_ZONES_LIMIT 10000U
#define ROUTE53_ZONES_BY_NAME_LIMIT 100U
#define ROUTE53_CHECKS_LIMIT 10000U
#define ROUTE53_DELEGATION_SETS_LIMIT 100U
#define ROUTE53_RECORDS_LIMIT 10000 /* of a zone: Route 53's own quota */
#define ROUTE53_TRAFFIC_POLICIES_LIMIT 1000U
#define ROUTE53_TRAFFIC_VERSIONS_LIMIT 1000
#define ROUTE53_TRAFFIC_INSTANCES_LIMIT 1000U
#define ROUTE53_TAGS_LIMIT 10U
#define ROUTE53_PAGE_LIMIT 100U
#define ROUTE53_RECORDS_PAGE_LIMIT 300U

#define ROUTE53_NAME_SERVERS 4U

/* Upper-case letters and digits: what Route 53's ids are made of. */
#define ROUTE53_ID_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* ---- trees: see service/common/tree.h ---- */

static inline const char *route53_text(const json_t *object, const char *member)
{
    return tree_text(object, member);
}

static inline json_t *route53_keep(struct aws_call *call, json_t *take_tree)
{
    return tree_keep(call, take_tree);
}

MUST_CHECK static inline int route53_answer(json_t *take_answer, json_t **ret_out, struct err *err)
{
    return tree_answer(take_answer, ret_out, err);
}

MUST_CHECK static inline int route53_parse(struct aws_call *call, const struct store_entry *entry,
                                           json_t **ret_tree, struct err *err)
{
    return tree_parse(call, entry, ret_tree, err);
}

MUST_CHECK static inline int route53_put(struct store_txn *txn, const char *key,
                                         const json_t *value, struct err *err)
{
    return tree_put(txn, key, value, err);
}

/* ---- ids ---- */

/* Without "/hostedzone/", "/change/", "/delegationset/" or "/healthcheck/" in front, with or
 * without the first '/'. Borrowed from id. */
const char *route53_bare_id(const char *id);
/* initial and `length` random characters. */
char *route53_new_id(struct aws_call *call, char initial, size_t length) MUST_CHECK;
/* A key that the store can hold; InvalidInput naming the member otherwise. */
int route53_check_key(struct aws_call *call, const char *key, const char *member, struct err *err)
    MUST_CHECK;

/* ---- paging ---- */

/* MaxItems (a string in this API): limit when absent, and where it is larger, as Route 53 does.
 * InvalidInput unless it is a positive number. */
int route53_page_size(struct aws_call *call, const json_t *in, size_t limit, size_t *ret_size,
                      struct err *err) MUST_CHECK;
/* The entries from the key `from` on, that one included, at most size and one more (for the next
 * page's start). from NULL: from the first. */
int route53_page(struct aws_call *call, const char *prefix, const char *from, size_t size,
                 struct store_list *ret_list, struct err *err) MUST_CHECK;

/* A stored tree as the API shows it: a new reference. */
typedef json_t *(*route53_show)(const json_t *tree);
/* The whole answer of an operation that lists what is stored by id, with Marker and MaxItems:
 * member is the list's name in it. */
int route53_list_by_id(struct aws_call *call, const json_t *in, const char *prefix,
                       const char *member, route53_show show, json_t **ret_out, struct err *err)
    MUST_CHECK;

/* ---- transactions ---- */

/* With PriorRequestNotComplete when others were faster too often. */
int route53_transact(struct aws_call *call, transact_step step, void *state, struct err *err)
    MUST_CHECK;

/* ---- changes (change_status.c) ---- */

/* Puts a change record into txn and gives the ChangeInfo of the answer (kept). Removes a few change
 * records that are older than a week. comment may be "". */
int route53_change_put(struct aws_call *call, struct store_txn *txn, const char *comment,
                       json_t **ret_info, struct err *err) MUST_CHECK;
/* The newest revision that every known DNS node serves; -1 while none is known. */
int route53_served(struct aws_call *call, int64_t *ret_revision, struct err *err) MUST_CHECK;

#endif
