/* Tags of clusters, control panels, routing controls and safety rules: a member of the resource's
 * own value. Called as handlers on API threads. Invariant: a resource has at most TAGS_LIMIT. */
#include "base/text.h"
#include "service/arc/handlers.h"
#include "service/arc/support.h"

#include <string.h>
#include <strings.h>

#define TAGS_LIMIT 50U

static int judge_tags(struct aws_call *call, json_t *tags, struct err *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tags, key, value)
    {
        if (strncasecmp(key, "aws:", 4) == 0) {
            return arc_invalid(call, err, "A tag's key does not begin with aws:, unlike '%.64s'.",
                               key);
        }
    }
    return json_object_size(tags) <= TAGS_LIMIT
               ? 0
               : arc_invalid(call, err, "A resource has at most %u tags.", TAGS_LIMIT);
}

int arc_new_tags(struct aws_call *call, const json_t *in, json_t **ret_tags, struct err *err)
{
    json_t *tags = json_object_get(in, "Tags");
    int rc = judge_tags(call, tags, err);
    if (rc == 0) {
        *ret_tags = tags != NULL ? json_deep_copy(tags) : json_object();
    }
    return rc;
}

static int load(struct aws_call *call, const json_t *in, struct arc_item *ret_item, struct err *err)
{
    const char *arn = tree_text(in, "ResourceArn");
    struct model_arc_name name = {.kind = MODEL_ARC_CLUSTER};
    if (model_arc_parse(arn, &name) != 0) {
        return arc_invalid(call, err, "ResourceArn is not the ARN of a resource: '%.256s'", arn);
    }
    return arc_load(call, arn, name.kind, "ResourceArn", ret_item, err);
}

static int tag_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const json_t *in = *(const json_t *const *)state;
    struct arc_item item = {.key = NULL};
    int rc = load(call, in, &item, err);
    if (rc != 0) {
        return rc;
    }
    json_t *tags = tree_keep(call, json_copy(json_object_get(item.tree, "Tags")));
    tags = tags != NULL ? tags : tree_keep(call, json_object());
    const json_t *keys = json_object_get(in, "TagKeys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        /* What is not there is as wanted. */
        (void)json_object_del(tags, json_string_value(json_array_get(keys, i)));
    }
    json_t *added = json_object_get(in, "Tags");
    if (added != NULL && json_object_update(tags, added) != 0) {
        return err_set(err, ERR_MEMORY, "tagging a resource");
    }
    rc = judge_tags(call, tags, err);
    if (rc == 0 && json_object_set(item.tree, "Tags", tags) != 0) {
        rc = err_set(err, ERR_MEMORY, "tagging a resource");
    }
    if (rc == 0) {
        store_txn_require_revision(txn, item.key, item.revision);
        rc = tree_put(txn, item.key, item.tree, err);
    }
    return rc;
}

/* The request has tags to set, or keys of tags to take away. */
ARC_HANDLER(tag_resource)
{
    int rc = arc_transact(call, tag_step, &in, err);
    return rc == 0 ? tree_answer(json_object(), ret_out, err) : rc;
}

ARC_HANDLER(untag_resource)
{
    return arc_tag_resource(call, in, ret_out, err);
}

ARC_HANDLER(list_tags)
{
    struct arc_item item = {.key = NULL};
    int rc = load(call, in, &item, err);
    return rc == 0 ? tree_answer(json_pack("{s:O*}", "Tags", json_object_get(item.tree, "Tags")),
                                 ret_out, err)
                   : rc;
}
