/* Traffic policy instances: create, get, update, delete; see traffic.h. Called as handlers on API
 * threads. Each change is one transaction of the instance, its record sets, the zone's count, and
 * the two indexes (by place, and by the version it uses).
 *
 * Choices of ours: what would not fit into the zone is refused at once with InvalidInput, where
 * Route 53 makes an instance in the state Failed; so the state is Creating (after a change:
 * Updating) until DNS serves the newest change, then Applied. EvaluateTargetHealth is on unless the
 * document says no, as AWS's own examples fail over only so.
 * Invariant: an instance's visible record set, its hidden ones, and both index keys come and go
 * with it; a zone with an instance has a record set, so it cannot be deleted. */
#include "base/text.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/secondary.h"
#include "service/route53/traffic.h"

#include <errno.h>
#include <string.h>

static int64_t number(const json_t *tree, const char *member)
{
    return json_integer_value(json_object_get(tree, member));
}

/* ---- loading and showing ---- */

int traffic_instance_load(struct aws_call *call, const char *id,
                          struct traffic_instance *ret_instance, struct err *err)
{
    struct store_entry entry;
    struct traffic_instance instance = {.key = path_join(call->arena, PATH_TRAFFIC_INSTANCES, id)};
    int rc = store_get(service_context(call)->store, instance.key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        (void)aws_error(call, err, "NoSuchTrafficPolicyInstance",
                        "No traffic policy instance exists with Id %.36s.", id);
        return -EINVAL;
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &instance.tree, err);
    }
    if (rc == 0) {
        instance.revision = entry.changed_revision;
        instance.updated = entry.version > 1;
        *ret_instance = instance;
    }
    return rc;
}

json_t *traffic_instance_show(const struct traffic_instance *instance, int64_t served)
{
    const json_t *tree = instance->tree;
    const char *state = served >= instance->revision ? "Applied"
                        : instance->updated          ? "Updating"
                                                     : "Creating";
    return json_pack("{s:s, s:s, s:s, s:O, s:s, s:s, s:s, s:O, s:s}", "Id",
                     route53_text(tree, "Id"), "HostedZoneId", route53_text(tree, "HostedZoneId"),
                     "Name", route53_text(tree, "Name"), "TTL", json_object_get(tree, "TTL"),
                     "State", state, "Message", "", "TrafficPolicyId",
                     route53_text(tree, "TrafficPolicyId"), "TrafficPolicyVersion",
                     json_object_get(tree, "TrafficPolicyVersion"), "TrafficPolicyType",
                     route53_text(tree, "TrafficPolicyType"));
}

/* ---- record sets ---- */

/* Where an instance's record sets go. */
static struct traffic_place place_of(const struct route53_zone *zone, const json_t *tree)
{
    return (struct traffic_place){.zone_id = zone->model.id,
                                  .zone_name = zone->model.name,
                                  .name = route53_text(tree, "Name"),
                                  .instance_id = route53_text(tree, "Id"),
                                  .generation = number(tree, "Generation"),
                                  .ttl_s = number(tree, "TTL")};
}

/* What stands against the record sets, as one InvalidInput; 0 when nothing does. */
static int judge_problems(struct batch *batch, struct err *err)
{
    const char *all = "";
    size_t count = json_array_size(batch->messages);
    for (size_t i = 0; i < count; i++) {
        all = arena_printf(batch->call->arena, "%s%s%s", all, i == 0 ? "" : "; ",
                           json_string_value(json_array_get(batch->messages, i)));
    }
    return count == 0 ? 0 : aws_error(batch->call, err, "InvalidInput", "%s", all);
}

/* The visible record set goes the way of every change batch. */
static int change_visible(struct batch *batch, enum batch_action action,
                          const struct traffic_record *record, struct err *err)
{
    struct batch_item item = {
        .action = action,
        .record = record->model,
        .type = route53_text(record->tree, "Type"),
        .tree = record->tree,
        .key = path_record(batch->call->arena, batch->zone.model.id, record->model.name,
                           route53_text(record->tree, "Type"), ""),
    };
    batch->items = arena_memdup(batch->call->arena, &item, sizeof item);
    batch->item_count = 1;
    int rc = route53_check_key(batch->call, item.key, "Name", err);
    if (rc == 0 && action != BATCH_DELETE) {
        rc = route53_secondary_refuse(batch->call, batch->txn, batch->zone.model.id, err);
    }
    if (rc == 0) {
        rc = batch_load(batch, err);
    }
    if (rc == 0) {
        rc = batch_apply(batch, err);
    }
    if (rc == 0) {
        rc = batch_judge(batch, err);
    }
    if (rc == 0) {
        rc = judge_problems(batch, err);
    }
    return rc == 0 ? batch_write(batch, err) : rc;
}

/* The hidden ones are sound among themselves; what they name must exist. */
static int put_hidden(struct batch *batch, const struct traffic_record *record, struct err *err)
{
    const char *type = route53_text(record->tree, "Type");
    const char *key = path_traffic_record(batch->call->arena, batch->zone.model.id,
                                          record->model.name, type, record->model.set_identifier);
    struct batch_slot slot = {.key = key, .type = type, .after = &record->model};
    int rc = route53_check_key(batch->call, key, "The name of the hosted zone", err);
    if (rc == 0) {
        rc = batch_judge_check(batch, &slot, err);
    }
    return rc == 0 ? route53_put(batch->txn, key, record->tree, err) : rc;
}

static struct batch new_batch(struct aws_call *call, struct store_txn *txn,
                              const struct route53_zone *zone, const char *instance_id)
{
    return (struct batch){.call = call,
                          .txn = txn,
                          .zone = *zone,
                          .messages = route53_keep(call, json_array()),
                          .traffic_instance_id = instance_id};
}

/* Compiles the policy for the instance and puts its record sets. */
static int put_records(struct aws_call *call, struct store_txn *txn,
                       const struct route53_zone *zone, const struct traffic_policy *policy,
                       const json_t *tree, enum batch_action action, struct err *err)
{
    struct traffic_place place = place_of(zone, tree);
    struct traffic_document document;
    struct traffic_records records;
    struct batch batch = new_batch(call, txn, zone, place.instance_id);
    int rc = traffic_document_read(call, policy->document, &document, err);
    if (rc == 0) {
        rc = traffic_compile(call, &document, &place, &records, err);
    }
    for (size_t i = 1; rc == 0 && i < records.count; i++) {
        rc = put_hidden(&batch, &records.items[i], err);
    }
    return rc == 0 ? change_visible(&batch, action, &records.items[0], err) : rc;
}

/* ---- indexes ---- */

static const char *place_key(struct aws_call *call, const json_t *tree)
{
    return path_traffic_place(call->arena, PATH_TRAFFIC_PLACES, route53_text(tree, "HostedZoneId"),
                              route53_text(tree, "Name"), route53_text(tree, "TrafficPolicyType"));
}

static const char *use_key(struct aws_call *call, const json_t *tree)
{
    const char *uses = path_traffic_uses(call->arena, route53_text(tree, "TrafficPolicyId"),
                                         number(tree, "TrafficPolicyVersion"));
    return path_traffic_place(call->arena, uses, route53_text(tree, "HostedZoneId"),
                              route53_text(tree, "Name"), route53_text(tree, "TrafficPolicyType"));
}

static int put_index(struct aws_call *call, struct store_txn *txn, const char *key,
                     const json_t *tree, struct err *err)
{
    int rc = route53_check_key(call, key, "Name", err);
    const json_t *index = route53_keep(
        call, json_pack("{s:i, s:s, s:s, s:s, s:s}", "v", MODEL_VERSION, "Id",
                        route53_text(tree, "Id"), "HostedZoneId",
                        route53_text(tree, "HostedZoneId"), "Name", route53_text(tree, "Name"),
                        "TrafficPolicyType", route53_text(tree, "TrafficPolicyType")));
    return rc == 0 ? route53_put(txn, key, index, err) : rc;
}

/* The version stays, and who deletes it sees that it came into use: see traffic_policy.c. */
static int use_policy(struct store_txn *txn, const struct traffic_policy *policy, struct err *err)
{
    store_txn_require_present(txn, policy->key);
    store_txn_require_revision(txn, policy->head_key, policy->head_revision);
    return route53_put(txn, policy->head_key, policy->head, err);
}

/* ---- create ---- */

struct change {
    const json_t *in;
    const char *name; /* canonical; of a creation */
    const char *id;   /* of a creation */
    json_t *tree;     /* as it is stored then */
};

static int judge_creation(struct aws_call *call, const struct change *change,
                          const struct traffic_policy *policy, const struct route53_zone *zone,
                          struct err *err)
{
    struct store *store = service_context(call)->store;
    const char *key = path_traffic_place(call->arena, PATH_TRAFFIC_PLACES, zone->model.id,
                                         change->name, policy->type);
    struct store_entry existing;
    size_t count = 0;
    int rc = route53_check_key(call, key, "Name", err);
    if (rc != 0) {
        return rc;
    }
    if (!route53_zone_holds(&zone->model, change->name)) {
        return aws_error(call, err, "InvalidInput",
                         "RRSet with DNS name %.150s is not permitted in zone %.150s", change->name,
                         zone->model.name);
    }
    rc = store_get(store, key, call->arena, &existing, err);
    if (rc == 0) {
        return aws_error(call, err, "TrafficPolicyInstanceAlreadyExists",
                         "A traffic policy instance exists already for the DNS name %.150s and "
                         "type %s in the hosted zone %.32s.",
                         change->name, policy->type, zone->model.id);
    }
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = store_count(store, PATH_TRAFFIC_INSTANCES, &count, err);
    if (rc == 0 && count >= ROUTE53_TRAFFIC_INSTANCES_LIMIT) {
        rc = aws_error(call, err, "TooManyTrafficPolicyInstances",
                       "Limits Exceeded: MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER - Cannot create "
                       "more than %u traffic policy instances.",
                       ROUTE53_TRAFFIC_INSTANCES_LIMIT);
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct change *change = state;
    struct traffic_policy policy;
    struct route53_zone zone;
    const char *policy_id = route53_text(change->in, "TrafficPolicyId");
    int64_t version = number(change->in, "TrafficPolicyVersion");
    int rc = route53_zone_load(call, route53_text(change->in, "HostedZoneId"), &zone, err);
    if (rc == 0) {
        rc = traffic_policy_load(call, policy_id, version, &policy, err);
    }
    if (rc == 0) {
        rc = judge_creation(call, change, &policy, &zone, err);
    }
    if (rc != 0) {
        return rc;
    }
    change->tree = route53_keep(
        call, json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:I, s:s, s:i}", "v", MODEL_VERSION, "Id",
                        change->id, "HostedZoneId", zone.model.id, "Name", change->name, "TTL",
                        (json_int_t)number(change->in, "TTL"), "TrafficPolicyId", policy_id,
                        "TrafficPolicyVersion", (json_int_t)version, "TrafficPolicyType",
                        policy.type, "Generation", 1));
    const char *key = path_join(call->arena, PATH_TRAFFIC_INSTANCES, change->id);
    store_txn_require_absent(txn, key);
    store_txn_require_absent(txn, place_key(call, change->tree));
    rc = route53_put(txn, key, change->tree, err);
    if (rc == 0) {
        rc = use_policy(txn, &policy, err);
    }
    if (rc == 0) {
        rc = put_index(call, txn, place_key(call, change->tree), change->tree, err);
    }
    if (rc == 0) {
        rc = put_index(call, txn, use_key(call, change->tree), change->tree, err);
    }
    return rc == 0 ? put_records(call, txn, &zone, &policy, change->tree, BATCH_CREATE, err) : rc;
}

/* The instance as it is now, with its state. */
static int show(struct aws_call *call, const char *id, json_t **ret_shape, struct err *err)
{
    struct traffic_instance instance;
    int64_t served = -1;
    int rc = traffic_instance_load(call, id, &instance, err);
    if (rc == 0) {
        rc = route53_served(call, &served, err);
    }
    if (rc == 0) {
        *ret_shape = traffic_instance_show(&instance, served);
    }
    return rc;
}

int route53_create_traffic_policy_instance(struct aws_call *call, const json_t *in,
                                           json_t **ret_out, struct err *err)
{
    char canonical[NAME_TEXT_LIMIT];
    json_t *shape = NULL;
    if (name_canonical(route53_text(in, "Name"), canonical) != 0) {
        return aws_error(call, err, "InvalidInput", "%.150s is not a valid domain name",
                         route53_text(in, "Name"));
    }
    struct change change = {
        .in = in, .name = arena_strdup(call->arena, canonical), .id = traffic_new_id(call)};
    int rc = route53_transact(call, create_step, &change, err);
    if (rc == 0) {
        rc = show(call, change.id, &shape, err);
    }
    if (rc != 0) {
        return rc;
    }
    return route53_answer(
        json_pack("{s:o, s:o}", "TrafficPolicyInstance", shape, "Location",
                  json_sprintf("/2013-04-01/trafficpolicyinstance/%s", change.id)),
        ret_out, err);
}

/* ---- get ---- */

int route53_get_traffic_policy_instance(struct aws_call *call, const json_t *in, json_t **ret_out,
                                        struct err *err)
{
    json_t *shape = NULL;
    int rc = show(call, route53_text(in, "Id"), &shape, err);
    return rc == 0
               ? route53_answer(json_pack("{s:o}", "TrafficPolicyInstance", shape), ret_out, err)
               : rc;
}

/* ---- update ---- */

/* The instance's record as it will be. */
static int amend(const struct change *change, json_t *tree, struct err *err)
{
    int failed = json_object_set_new(tree, "TTL", json_integer(number(change->in, "TTL")));
    failed |= json_object_set_new(tree, "TrafficPolicyId",
                                  json_string(route53_text(change->in, "TrafficPolicyId")));
    failed |= json_object_set_new(tree, "TrafficPolicyVersion",
                                  json_integer(number(change->in, "TrafficPolicyVersion")));
    failed |= json_object_set_new(tree, "Generation", json_integer(number(tree, "Generation") + 1));
    return failed == 0 ? 0 : err_set(err, ERR_MEMORY, "updating a traffic policy instance");
}

static int update_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct change *change = state;
    struct traffic_instance instance;
    struct traffic_policy policy;
    struct route53_zone zone;
    int rc = traffic_instance_load(call, route53_text(change->in, "Id"), &instance, err);
    if (rc == 0) {
        rc = traffic_policy_load(call, route53_text(change->in, "TrafficPolicyId"),
                                 number(change->in, "TrafficPolicyVersion"), &policy, err);
    }
    if (rc == 0) {
        rc = route53_zone_load(call, route53_text(instance.tree, "HostedZoneId"), &zone, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *type = route53_text(instance.tree, "TrafficPolicyType");
    if (!text_equal(type, policy.type)) {
        return aws_error(call, err, "ConflictingTypes",
                         "The traffic policy instance has the type %s, but the version of the "
                         "traffic policy has the type %s.",
                         type, policy.type);
    }
    struct traffic_place before = place_of(&zone, instance.tree);
    const char *old_use = use_key(call, instance.tree);
    rc = amend(change, instance.tree, err);
    if (rc != 0) {
        return rc;
    }
    const char *new_use = use_key(call, instance.tree);
    store_txn_require_revision(txn, instance.key, instance.revision);
    rc = route53_put(txn, instance.key, instance.tree, err);
    if (rc == 0) {
        rc = use_policy(txn, &policy, err);
    }
    if (rc == 0 && !text_equal(old_use, new_use)) {
        store_txn_delete(txn, old_use);
        rc = put_index(call, txn, new_use, instance.tree, err);
    }
    store_txn_delete_prefix(txn, traffic_record_prefix(call, &before));
    return rc == 0 ? put_records(call, txn, &zone, &policy, instance.tree, BATCH_UPSERT, err) : rc;
}

int route53_update_traffic_policy_instance(struct aws_call *call, const json_t *in,
                                           json_t **ret_out, struct err *err)
{
    struct change change = {.in = in};
    json_t *shape = NULL;
    int rc = route53_transact(call, update_step, &change, err);
    if (rc == 0) {
        rc = show(call, route53_text(in, "Id"), &shape, err);
    }
    return rc == 0
               ? route53_answer(json_pack("{s:o}", "TrafficPolicyInstance", shape), ret_out, err)
               : rc;
}

/* ---- delete ---- */

/* The visible record set as it is stored. */
static int load_visible(struct aws_call *call, const struct route53_zone *zone, const json_t *tree,
                        struct traffic_record *ret_record, struct err *err)
{
    struct store_entry entry;
    struct traffic_record record;
    const char *key = path_record(call->arena, zone->model.id, route53_text(tree, "Name"),
                                  route53_text(tree, "TrafficPolicyType"), "");
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == 0) {
        rc = route53_parse(call, &entry, &record.tree, err);
    }
    if (rc == 0) {
        rc = model_record_set_decode(entry.value, entry.size, zone->model.id, call->arena,
                                     &record.model, err);
    }
    if (rc == 0) {
        *ret_record = record;
    }
    return rc;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const struct change *change = state;
    struct traffic_instance instance;
    struct traffic_record record;
    struct route53_zone zone;
    int rc = traffic_instance_load(call, route53_text(change->in, "Id"), &instance, err);
    if (rc == 0) {
        rc = route53_zone_load(call, route53_text(instance.tree, "HostedZoneId"), &zone, err);
    }
    if (rc == 0) {
        rc = load_visible(call, &zone, instance.tree, &record, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct traffic_place place = place_of(&zone, instance.tree);
    struct batch batch = new_batch(call, txn, &zone, place.instance_id);
    store_txn_require_revision(txn, instance.key, instance.revision);
    store_txn_delete(txn, instance.key);
    store_txn_delete(txn, place_key(call, instance.tree));
    store_txn_delete(txn, use_key(call, instance.tree));
    store_txn_delete_prefix(txn, traffic_record_prefix(call, &place));
    return change_visible(&batch, BATCH_DELETE, &record, err);
}

int route53_delete_traffic_policy_instance(struct aws_call *call, const json_t *in,
                                           json_t **ret_out, struct err *err)
{
    struct change change = {.in = in};
    int rc = route53_transact(call, delete_step, &change, err);
    return rc == 0 ? route53_answer(json_object(), ret_out, err) : rc;
}
