/* Tags of everything that has an ARN, and what ours of them mean. Called as handlers on API
 * threads. Tags that begin with "leeward:" are settings of a replication group: they may stand at a
 * global cluster, or at a cluster or instance that is a database by itself; they are judged when
 * they are set, and change the group in the same transaction. Invariant: a resource has at most
 * TAGS_LIMIT. */
#include "base/text.h"
#include "service/rds/handlers.h"
#include "service/rds/judge.h"
#include "service/rds/parameters.h"
#include "service/rds/show.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define TAGS_LIMIT 50U
#define KEY_LIMIT 128U
#define VALUE_LIMIT 256U
#define OURS "leeward:"

/* ---- ours ---- */

static bool is_within(const char *value, int64_t low, int64_t high)
{
    int64_t number = 0;
    return text_to_i64(value, low, high, &number) == 0;
}

const char *rds_judge_setting(const char *key, const char *value)
{
    if (text_equal(key, OURS "mode")) {
        return text_equal(value, "asynchronous") || text_equal(value, "synchronous") ||
                       text_equal(value, "bounded")
                   ? NULL
                   : "it is asynchronous, synchronous or bounded";
    }
    if (text_equal(key, OURS "failover")) {
        return text_equal(value, "automatic") || text_equal(value, "manual")
                   ? NULL
                   : "it is automatic or manual";
    }
    if (text_equal(key, OURS "alone")) {
        return text_equal(value, "continue") || text_equal(value, "wait")
                   ? NULL
                   : "it is continue or wait";
    }
    if (text_equal(key, OURS "rpo-ms")) {
        return is_within(value, 1, INT32_MAX) ? NULL : "it is a number of milliseconds from 1 on";
    }
    if (text_equal(key, OURS "lease-ms")) {
        return is_within(value, MODEL_DATABASE_LEASE_MIN_MS, MODEL_DATABASE_LEASE_MAX_MS)
                   ? NULL
                   : "it is a number of milliseconds from 1000 to 300000";
    }
    return "there is no such setting: those that are there are leeward:mode, leeward:rpo-ms, "
           "leeward:alone, leeward:lease-ms, leeward:failover and leeward:attach";
}

/* ---- what is set ---- */

/* Of UTF-8 text: limits of tags are in characters. */
static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0U) != 0x80U ? 1 : 0;
    }
    return count;
}

static int judge(struct rds_world *world, enum rds_kind kind, const char *key, const char *value,
                 struct err *err)
{
    size_t length = characters(key);
    if (length == 0 || length > KEY_LIMIT || strncasecmp(key, "aws:", 4) == 0 ||
        characters(value) > VALUE_LIMIT) {
        return rds_invalid(world->call, err,
                           "A tag's key has 1 to %u characters and does not begin with aws:, its "
                           "value has up to %u, unlike '%.64s'.",
                           KEY_LIMIT, VALUE_LIMIT, key);
    }
    if (!text_starts(key, OURS)) {
        return 0;
    }
    if (kind > RDS_INSTANCE) {
        return rds_invalid(world->call, err,
                           "The tag %.64s belongs to a global cluster, or to a DB cluster that is "
                           "in none.",
                           key);
    }
    bool attaches = text_equal(key, OURS "attach");
    if (attaches && kind != RDS_INSTANCE) {
        return rds_invalid(world->call, err, "The tag " OURS "attach belongs to a DB instance.");
    }
    const char *wrong = attaches ? rds_judge_attachment(value) : rds_judge_setting(key, value);
    return wrong != NULL ? rds_invalid(world->call, err, "The tag %.64s=%.64s is not valid: %s.",
                                       key, value, wrong)
                         : 0;
}

static int add(struct rds_world *world, enum rds_kind kind, const json_t *list, json_t *tags,
               struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        const json_t *tag = json_array_get(list, i);
        const char *key = tree_text(tag, "Key");
        const char *value = tree_text(tag, "Value");
        rc = judge(world, kind, key, value, err);
        if (rc == 0 && json_object_set_new(tags, key, json_string(value)) != 0) {
            rc = err_set(err, ERR_MEMORY, "setting tags");
        }
    }
    if (rc == 0 && json_object_size(tags) > TAGS_LIMIT) {
        rc = rds_invalid(world->call, err, "A resource has at most %u tags.", TAGS_LIMIT);
    }
    return rc;
}

int rds_new_tags(struct rds_world *world, enum rds_kind kind, const json_t *in, json_t **ret_tags,
                 struct err *err)
{
    json_t *tags = json_object();
    int rc = add(world, kind, json_object_get(in, "Tags"), tags, err);
    if (rc != 0) {
        json_decref(tags);
        return rc;
    }
    *ret_tags = tags;
    return 0;
}

json_t *rds_show_tags(json_t *tags)
{
    json_t *list = json_array();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(tags, key, value)
    {
        json_t *tag = json_pack("{s:s, s:O}", "Key", key, "Value", value);
        (void)json_array_append_new(list, tag); /* memory: the answer lacks it */
    }
    return list;
}

/* ---- operations ---- */

static int find(struct rds_world *world, const json_t *in, struct rds_item **ret_item,
                struct err *err)
{
    const char *arn = tree_text(in, "ResourceName");
    enum rds_kind kind = RDS_CLUSTER;
    const char *region = NULL;
    const char *id = NULL;
    if (!rds_parse_arn(world->call, arn, &kind, &region, &id)) {
        return rds_invalid(world->call, err, "Invalid resource name: %.256s", arn);
    }
    if (kind != RDS_GLOBAL && !text_equal(region, world->call->region)) {
        return rds_invalid(world->call, err,
                           "The specified resource name does not match an RDS resource in this "
                           "region.");
    }
    return rds_named(world, kind, arn, ret_item, err);
}

/* Where a setting would change nothing, it is refused; taking one off is fine anywhere. */
static int settle(struct rds_world *world, const struct rds_item *item, bool adds, struct err *err)
{
    bool part =
        tree_text(item->tree, "Global")[0] != '\0' || tree_text(item->tree, "Cluster")[0] != '\0';
    if (adds && part) {
        return rds_invalid(world->call, err,
                           "Tags that begin with " OURS " belong to the %s of %s.",
                           item->kind == RDS_CLUSTER ? "global cluster" : "DB cluster", item->id);
    }
    struct rds_group *group = item->kind <= RDS_INSTANCE ? rds_group_of(world, item) : NULL;
    return group != NULL ? rds_settle_group(world, group, err) : 0;
}

static int change(struct rds_world *world, const json_t *in, void *state, struct err *err)
{
    struct rds_item *item = NULL;
    const json_t *added = json_object_get(in, "Tags");
    const json_t *keys = json_object_get(in, "TagKeys");
    bool removes = false;
    bool adds = false;
    bool attaches = false;
    (void)state; /* there is no answer */
    int rc = find(world, in, &item, err);
    if (rc != 0 || item == NULL) {
        return rc;
    }
    json_t *tags = rds_object(item->tree, "Tags");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        removes = removes || text_starts(key, OURS);
        attaches = attaches || text_equal(key, OURS "attach");
        (void)json_object_del(tags, key); /* what is not there is as wanted */
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        adds = adds || text_starts(tree_text(json_array_get(added, i), "Key"), OURS);
        attaches =
            attaches || text_equal(tree_text(json_array_get(added, i), "Key"), OURS "attach");
    }
    if (attaches) {
        return rds_invalid(world->call, err,
                           "The tag " OURS "attach is given with CreateDBInstance, and stays.");
    }
    rc = add(world, item->kind, added, tags, err);
    item->mark = RDS_WRITE;
    return rc == 0 && (adds || removes) ? settle(world, item, adds, err) : rc;
}

RDS_HANDLER(add_tags)
{
    (void)ret_out; /* there is no answer */
    return rds_change(call, change, in, NULL, NULL, err);
}

RDS_HANDLER(remove_tags)
{
    return rds_add_tags(call, in, ret_out, err);
}

RDS_HANDLER(list_tags)
{
    struct rds_world world;
    struct rds_item *item = NULL;
    int rc = rds_load(call, &world, err);
    rc = rc == 0 ? find(&world, in, &item, err) : rc;
    return rc == 0 && item != NULL
               ? rds_answer("TagList", rds_show_tags(json_object_get(item->tree, "Tags")), ret_out,
                            err)
               : rc;
}
