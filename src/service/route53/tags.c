/* Tags of health checks and hosted zones. Called as handlers on API threads. A health check's
 * leeward: tags are its options (model/check.h): a change that would leave a bad one is refused,
 * and the tag is named; so are those of a hosted zone (model/transfer.h). Others that start with
 * leeward: would do nothing, and are refused. Invariant: tags exist only beside their resource, at
 * most ten of them, in the order in which they came; the record is deleted with the last one and
 * with the resource. */
#include "base/text.h"
#include "model/check.h"
#include "model/path.h"
#include "model/transfer.h"
#include "model/zone.h"
#include "service/route53/handlers.h"
#include "service/route53/secondary.h"
#include "service/route53/support.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define OWN_MEMBERS 2U           /* "v" and "Tags" */
#define OPTION_PREFIX "leeward:" /* in any case, as model/check.h reads it */

struct resource {
    const char *type; /* "healthcheck" or "hostedzone" */
    const char *id;
    const char *key;      /* of the resource itself */
    const char *tags_key; /* of its tags */
};

/* NoSuchHealthCheck, NoSuchHostedZone. */
static int find_resource(struct aws_call *call, const char *type, const char *id,
                         struct resource *ret_resource, struct err *err)
{
    bool check = text_equal(type, "healthcheck");
    struct resource resource = {.type = type, .id = route53_bare_id(id)};
    struct store_entry entry;
    resource.key = path_join(call->arena, check ? PATH_CHECKS : PATH_ZONES, resource.id);
    resource.tags_key = path_tags(call->arena, type, resource.id);
    int rc = resource.id[0] == '\0' || strlen(resource.id) > MODEL_CHECK_ID_LIMIT
                 ? -ENOENT
                 : store_get(service_context(call)->store, resource.key, call->arena, &entry, err);
    if (rc == -ENOENT && check) {
        (void)aws_error(call, err, "NoSuchHealthCheck",
                        "A health check with id %.64s does not exist.", resource.id);
        return -EINVAL;
    }
    if (rc == -ENOENT) {
        (void)aws_error(call, err, "NoSuchHostedZone", "No hosted zone found with ID: %.64s",
                        resource.id);
        return -EINVAL;
    }
    if (rc == 0) {
        *ret_resource = resource;
    }
    return rc;
}

/* The record (kept, ours to change) with its list of tags, and its revision, 0 when there is none.
 */
static int load_tags(struct aws_call *call, const struct resource *resource, json_t **ret_record,
                     int64_t *ret_revision, struct err *err)
{
    struct store_entry entry;
    json_t *record = NULL;
    int rc = store_get(service_context(call)->store, resource->tags_key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        *ret_record = route53_keep(call, json_pack("{s:i, s:[]}", "v", 1, "Tags"));
        *ret_revision = 0;
        return 0;
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &record, err);
    }
    if (rc == 0 && !json_is_array(json_object_get(record, "Tags"))) {
        rc = json_object_set_new(record, "Tags", json_array()) == 0
                 ? 0
                 : err_set(err, ERR_MEMORY, "reading %s", resource->tags_key);
    }
    if (rc == 0) {
        *ret_record = record;
        *ret_revision = entry.changed_revision;
    }
    return rc;
}

/* ---- change ---- */

/* Where the key is in a list of tags; the list's size when it is not. */
static size_t find_tag(const json_t *tags, const char *key)
{
    size_t at = 0;
    while (at < json_array_size(tags) &&
           !text_equal(route53_text(json_array_get(tags, at), "Key"), key)) {
        at++;
    }
    return at;
}

static bool holds_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item != NULL && text_equal(item, text)) {
            return true;
        }
    }
    return false;
}

/* The request adds, sets or removes the tag with a zone's primary. Another primary counts its
 * serials on its own, and the same one again is a wish for everything anew. */
static int change_primary(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                          const json_t *in, struct err *err)
{
    const json_t *add = json_object_get(in, "AddTags");
    bool added = find_tag(add, MODEL_ZONE_PRIMARY) < json_array_size(add);
    if (added || holds_text(json_object_get(in, "RemoveTagKeys"), MODEL_ZONE_PRIMARY)) {
        route53_secondary_forget(call, txn, zone_id);
    }
    return added ? route53_secondary_allow(call, zone_id, err) : 0;
}

static int judge_request(struct aws_call *call, const json_t *in, struct err *err)
{
    const json_t *add = json_object_get(in, "AddTags");
    const json_t *remove = json_object_get(in, "RemoveTagKeys");
    bool check = text_equal(route53_text(in, "ResourceType"), "healthcheck");
    if (json_array_size(add) == 0 && json_array_size(remove) == 0) {
        return aws_error(call, err, "InvalidInput",
                         "The request must contain at least one of AddTags and RemoveTagKeys");
    }
    for (size_t i = 0; i < json_array_size(add); i++) {
        const char *key = route53_text(json_array_get(add, i), "Key");
        if (key[0] == '\0') {
            return aws_error(call, err, "InvalidInput", "A tag must have a Key");
        }
        if (text_starts(key, "aws:")) {
            return aws_error(call, err, "InvalidInput",
                             "Tag %.128s: keys that start with aws: are reserved", key);
        }
        if (!check && strncasecmp(key, OPTION_PREFIX, sizeof OPTION_PREFIX - 1) == 0 &&
            !model_transfer_tag(key)) {
            return aws_error(
                call, err, "InvalidInput",
                "Tag %.128s: keys that start with " OPTION_PREFIX
                " belong to resources of the type healthcheck, but for " MODEL_TRANSFER_TO
                ", " MODEL_NOTIFY " and " MODEL_ZONE_PRIMARY,
                key);
        }
        if (find_tag(add, key) != i) {
            return aws_error(call, err, "InvalidInput", "Tag %.128s is in the request twice", key);
        }
        if (holds_text(remove, key)) {
            return aws_error(call, err, "InvalidInput",
                             "Tag %.128s cannot be both added and removed", key);
        }
    }
    return 0;
}

static void change_tags(const json_t *in, json_t *tags)
{
    const json_t *add = json_object_get(in, "AddTags");
    const json_t *remove = json_object_get(in, "RemoveTagKeys");
    for (size_t i = 0; i < json_array_size(remove); i++) {
        const char *key = json_string_value(json_array_get(remove, i));
        (void)json_array_remove(tags, find_tag(tags, key != NULL ? key : "")); /* absent: fine */
    }
    for (size_t i = 0; i < json_array_size(add); i++) {
        const json_t *tag = json_array_get(add, i);
        const char *key = route53_text(tag, "Key");
        size_t at = find_tag(tags, key);
        json_t *fresh = json_pack("{s:s, s:s}", "Key", key, "Value", route53_text(tag, "Value"));
        if (at < json_array_size(tags)) {
            (void)json_array_set_new(tags, at, fresh);
        } else {
            (void)json_array_append_new(tags, fresh);
        }
    }
}

static int judge_tags(struct aws_call *call, const struct resource *resource, const json_t *tags,
                      struct err *err)
{
    struct model_check_options options;
    if (json_array_size(tags) > ROUTE53_TAGS_LIMIT) {
        return aws_error(call, err, "InvalidInput", "A resource can have at most %u tags",
                         ROUTE53_TAGS_LIMIT);
    }
    if (text_equal(resource->type, "healthcheck") &&
        model_check_options_parse(tags, &options, err) != 0) {
        return aws_error(call, err, "InvalidInput", "%s", arena_strdup(call->arena, err->message));
    }
    struct model_transfer transfer;
    if (text_equal(resource->type, "hostedzone") &&
        model_transfer_parse(tags, call->arena, &transfer, err) != 0) {
        return aws_error(call, err, "InvalidInput", "%s", arena_strdup(call->arena, err->message));
    }
    return 0;
}

struct tag_change {
    const json_t *in;
};

static int change_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const struct tag_change *change = state;
    const json_t *in = change->in;
    struct resource resource;
    json_t *record = NULL;
    int64_t revision = 0;
    int rc = find_resource(call, route53_text(in, "ResourceType"), route53_text(in, "ResourceId"),
                           &resource, err);
    if (rc == 0) {
        rc = load_tags(call, &resource, &record, &revision, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_t *tags = json_object_get(record, "Tags");
    change_tags(in, tags);
    rc = judge_tags(call, &resource, tags, err);
    if (rc != 0) {
        return rc;
    }
    store_txn_require_present(txn, resource.key);
    store_txn_require_revision(txn, resource.tags_key, revision);
    if (text_equal(resource.type, "hostedzone")) {
        rc = change_primary(call, txn, resource.id, in, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (json_array_size(tags) == 0 && json_object_size(record) <= OWN_MEMBERS) {
        store_txn_delete(txn, resource.tags_key);
        return 0;
    }
    return route53_put(txn, resource.tags_key, record, err);
}

int route53_change_tags_for_resource(struct aws_call *call, const json_t *in, json_t **ret_out,
                                     struct err *err)
{
    int rc = judge_request(call, in, err);
    if (rc == 0) {
        struct tag_change change = {.in = in};
        rc = route53_transact(call, change_step, &change, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_object(), ret_out, err);
}

/* ---- list ---- */

static int show_tags(struct aws_call *call, const char *type, const char *id, json_t **ret_set,
                     struct err *err)
{
    struct resource resource;
    json_t *record = NULL;
    int64_t revision = 0;
    int rc = find_resource(call, type, id, &resource, err);
    if (rc == 0) {
        rc = load_tags(call, &resource, &record, &revision, err);
    }
    if (rc == 0) {
        *ret_set = json_pack("{s:s, s:s, s:O}", "ResourceType", type, "ResourceId", resource.id,
                             "Tags", json_object_get(record, "Tags"));
    }
    return rc;
}

int route53_list_tags_for_resource(struct aws_call *call, const json_t *in, json_t **ret_out,
                                   struct err *err)
{
    json_t *set = NULL;
    int rc = show_tags(call, route53_text(in, "ResourceType"), route53_text(in, "ResourceId"), &set,
                       err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:o}", "ResourceTagSet", set), ret_out, err);
}

int route53_list_tags_for_resources(struct aws_call *call, const json_t *in, json_t **ret_out,
                                    struct err *err)
{
    const json_t *ids = json_object_get(in, "ResourceIds");
    json_t *sets = route53_keep(call, json_array());
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        json_t *set = NULL;
        int rc = show_tags(call, route53_text(in, "ResourceType"), id != NULL ? id : "", &set, err);
        if (rc != 0) {
            return rc;
        }
        (void)json_array_append_new(sets, set);
    }
    return route53_answer(json_pack("{s:O}", "ResourceTagSets", sets), ret_out, err);
}
