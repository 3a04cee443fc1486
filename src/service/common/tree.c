/* Shared handling of JSON trees: see tree.h. Called by handlers on API threads; everything lives in
 * the call's arena. Invariant: a tree that could not be made is never answered or stored. */
#include "service/common/tree.h"

#include <stdlib.h>
#include <string.h>

const char *tree_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

static void release(void *tree)
{
    json_decref(tree);
}

json_t *tree_keep(struct aws_call *call, json_t *take_tree)
{
    if (take_tree != NULL) {
        arena_defer(call->arena, release, take_tree);
    }
    return take_tree;
}

int tree_answer(json_t *take_answer, json_t **ret_out, struct err *err)
{
    if (take_answer == NULL) {
        return err_set(err, ERR_MEMORY, "making the answer");
    }
    *ret_out = take_answer;
    return 0;
}

int tree_parse(struct aws_call *call, const struct store_entry *entry, json_t **ret_tree,
               struct err *err)
{
    json_error_t error;
    json_t *tree =
        tree_keep(call, json_loadb(entry->value, entry->size, JSON_REJECT_DUPLICATES, &error));
    if (!json_is_object(tree)) {
        return err_set(err, ERR_CORRUPT, "the value of %s is not a JSON object", entry->key);
    }
    *ret_tree = tree;
    return 0;
}

int tree_put(struct store_txn *txn, const char *key, const json_t *value, struct err *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text == NULL) {
        return err_set(err, ERR_MEMORY, "writing %s", key);
    }
    store_txn_put(txn, key, text, strlen(text));
    free(text);
    return 0;
}
