/* JSON trees as handlers use them: members, lifetimes, and values of the store. Thread: the call's.
 * Memory: what is "kept" is released with the call's arena. */
#ifndef SERVICE_COMMON_TREE_H
#define SERVICE_COMMON_TREE_H

#include "aws/service.h"
#include "base/macro.h"
#include "store/store.h"

#include <jansson.h>

/* "" when the member is absent. */
const char *tree_text(const json_t *object, const char *member);
/* Releases the tree with the call's arena; gives it back. */
json_t *tree_keep(struct aws_call *call, json_t *take_tree);
/* Hands a finished answer out; ERR_MEMORY when it could not be made. */
int tree_answer(json_t *take_answer, json_t **ret_out, struct err *err) MUST_CHECK;
/* A store value as a kept tree. ERR_CORRUPT names the key. */
int tree_parse(struct aws_call *call, const struct store_entry *entry, json_t **ret_tree,
               struct err *err) MUST_CHECK;
/* Puts a tree as the key's value. */
int tree_put(struct store_txn *txn, const char *key, const json_t *value, struct err *err)
    MUST_CHECK;

#endif
