/* Traffic policies and their versions: create, get, comment, delete; see traffic.h. Called as
 * handlers on API threads. A policy is a head record and one record a version; a version never
 * changes but for its comment, and its number is never given again. Whoever makes use of a policy
 * writes its head anew, so that a deletion at the same time sees it.
 * Invariant: the head counts the versions that are there, and goes with the last of them; policies
 * have distinct names. */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REFERENCE_KIND "trafficpolicy"
#define TIME_DIGITS 12 /* of the milliseconds in a UUID */

const char *traffic_new_id(struct aws_call *call)
{
    char *id = arena_alloc(call->arena, RANDOM_UUID_TEXT);
    char digits[TIME_DIGITS + 1];
    random_uuid(id);
    uint64_t now_ms = (uint64_t)(call->now.ns / TIME_MS) & UINT64_C(0xffffffffffff);
    (void)snprintf(digits, sizeof digits, "%012" PRIx64, now_ms);
    (void)memcpy(id, digits, 8);
    (void)memcpy(id + 9, digits + 8, 4);
    id[14] = '7';
    return id;
}

json_t *traffic_policy_show(const json_t *tree)
{
    return json_pack("{s:s, s:O, s:s, s:s, s:s, s:s*}", "Id", route53_text(tree, "Id"), "Version",
                     json_object_get(tree, "Version"), "Name", route53_text(tree, "Name"), "Type",
                     route53_text(tree, "Type"), "Document", route53_text(tree, "Document"),
                     "Comment", json_string_value(json_object_get(tree, "Comment")));
}

/* ---- loading ---- */

/* version 0: of none. */
static int no_such_policy(struct aws_call *call, const char *id, int64_t version, struct err *err)
{
    const char *which =
        version != 0 ? arena_printf(call->arena, " and version %" PRId64, version) : "";
    (void)aws_error(call, err, "NoSuchTrafficPolicy", "No traffic policy exists with Id %.36s%s.",
                    id, which);
    return -EINVAL;
}

/* version 0: the head alone. */
int traffic_policy_load(struct aws_call *call, const char *id, int64_t version,
                        struct traffic_policy *ret_policy, struct err *err)
{
    struct store *store = service_context(call)->store;
    struct traffic_policy policy = {.head_key = path_join(call->arena, PATH_TRAFFIC_HEADS, id)};
    struct store_entry head;
    struct store_entry entry;
    json_t *tree = NULL;
    int rc = store_get(store, policy.head_key, call->arena, &head, err);
    if (rc == 0 && version != 0) {
        policy.key = path_traffic_version(call->arena, id, version);
        rc = store_get(store, policy.key, call->arena, &entry, err);
    }
    if (rc == -ENOENT) {
        return no_such_policy(call, id, version, err);
    }
    if (rc == 0) {
        rc = route53_parse(call, &head, &policy.head, err);
    }
    if (rc == 0 && version != 0) {
        rc = route53_parse(call, &entry, &tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    policy.head_revision = head.changed_revision;
    policy.tree = tree;
    policy.type = route53_text(tree, "Type");
    policy.document = route53_text(tree, "Document");
    *ret_policy = policy;
    return 0;
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    const char *type;
    const char *id; /* of the policy */
    json_t *tree;   /* of the version, kept */
};

/* The document is good for record sets of its type, whatever the zone. */
static int judge_document(struct aws_call *call, const char *text, const char **ret_type,
                          struct err *err)
{
    static const struct traffic_place nowhere = {
        .zone_id = "Z",
        .zone_name = "example.",
        .name = "policy.example.",
        .instance_id = "00000000-0000-0000-0000-000000000000",
    };
    struct traffic_document document;
    struct traffic_records records;
    int rc = traffic_document_read(call, text, &document, err);
    if (rc == 0) {
        rc = traffic_compile(call, &document, &nowhere, &records, err);
    }
    if (rc == 0) {
        *ret_type = document.type;
    }
    return rc;
}

static int put_version(struct aws_call *call, struct store_txn *txn, struct creation *creation,
                       const char *name, int64_t version, struct err *err)
{
    const char *comment = route53_text(creation->in, "Comment");
    const char *key = path_traffic_version(call->arena, creation->id, version);
    creation->tree = route53_keep(
        call, json_pack("{s:i, s:s, s:I, s:s, s:s, s:s, s:s*}", "v", MODEL_VERSION, "Id",
                        creation->id, "Version", (json_int_t)version, "Name", name, "Type",
                        creation->type, "Document", route53_text(creation->in, "Document"),
                        "Comment", comment[0] != '\0' ? comment : NULL));
    store_txn_require_absent(txn, key);
    return route53_put(txn, key, creation->tree, err);
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    struct store *store = service_context(call)->store;
    const char *name = route53_text(creation->in, "Name");
    const char *name_key = path_reference(call->arena, REFERENCE_KIND, name);
    struct store_entry existing;
    size_t count = 0;
    int rc = route53_check_key(call, name_key, "Name", err);
    if (rc != 0) {
        return rc;
    }
    rc = store_get(store, name_key, call->arena, &existing, err);
    if (rc == 0) {
        return aws_error(call, err, "TrafficPolicyAlreadyExists",
                         "A traffic policy with the name '%.200s' exists already.", name);
    }
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = store_count(store, PATH_TRAFFIC_HEADS, &count, err);
    if (rc == 0 && count >= ROUTE53_TRAFFIC_POLICIES_LIMIT) {
        rc = aws_error(call, err, "TooManyTrafficPolicies",
                       "Limits Exceeded: MAX_TRAFFIC_POLICIES_BY_OWNER - Cannot create more than "
                       "%u traffic policies.",
                       ROUTE53_TRAFFIC_POLICIES_LIMIT);
    }
    if (rc == 0) {
        creation->id = traffic_new_id(call);
        rc = put_version(call, txn, creation, name, 1, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *head_key = path_join(call->arena, PATH_TRAFFIC_HEADS, creation->id);
    const json_t *head = route53_keep(
        call, json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:i}", "v", MODEL_VERSION, "Id",
                        creation->id, "Name", name, "Type", creation->type, "LatestVersion", 1,
                        "TrafficPolicyCount", 1, "NextVersion", 2));
    store_txn_require_absent(txn, head_key);
    store_txn_require_absent(txn, name_key);
    rc = route53_put(txn, head_key, head, err);
    return rc != 0 ? rc
                   : route53_put(txn, name_key,
                                 route53_keep(call, json_pack("{s:i, s:s}", "v", MODEL_VERSION,
                                                              "Id", creation->id)),
                                 err);
}

static int version_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    struct traffic_policy policy;
    int rc = traffic_policy_load(call, creation->id, 0, &policy, err);
    if (rc != 0) {
        return rc;
    }
    int64_t version = json_integer_value(json_object_get(policy.head, "NextVersion"));
    int64_t count = json_integer_value(json_object_get(policy.head, "TrafficPolicyCount"));
    if (version > ROUTE53_TRAFFIC_VERSIONS_LIMIT) {
        return aws_error(call, err, "TooManyTrafficPolicyVersionsForCurrentPolicy",
                         "A traffic policy has at most %d versions.",
                         ROUTE53_TRAFFIC_VERSIONS_LIMIT);
    }
    rc = put_version(call, txn, creation, route53_text(policy.head, "Name"), version, err);
    if (rc != 0) {
        return rc;
    }
    int failed = json_object_set_new(policy.head, "NextVersion", json_integer(version + 1));
    failed |= json_object_set_new(policy.head, "LatestVersion", json_integer(version));
    failed |= json_object_set_new(policy.head, "TrafficPolicyCount", json_integer(count + 1));
    failed |= json_object_set_new(policy.head, "Type", json_string(creation->type));
    if (failed != 0) {
        return err_set(err, ERR_MEMORY, "writing %s", policy.head_key);
    }
    store_txn_require_revision(txn, policy.head_key, policy.head_revision);
    return route53_put(txn, policy.head_key, policy.head, err);
}

static int create(struct aws_call *call, struct creation *creation, transact_step step,
                  json_t **ret_out, struct err *err)
{
    int rc = judge_document(call, route53_text(creation->in, "Document"), &creation->type, err);
    if (rc == 0) {
        rc = route53_transact(call, step, creation, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_int_t version = json_integer_value(json_object_get(creation->tree, "Version"));
    return route53_answer(json_pack("{s:o, s:o}", "TrafficPolicy",
                                    traffic_policy_show(creation->tree), "Location",
                                    json_sprintf("/2013-04-01/trafficpolicy/%s/%lld", creation->id,
                                                 (long long)version)),
                          ret_out, err);
}

int route53_create_traffic_policy(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    struct creation creation = {.in = in};
    if (route53_text(in, "Name")[0] == '\0') {
        return aws_error(call, err, "InvalidInput", "Name cannot be empty");
    }
    return create(call, &creation, create_step, ret_out, err);
}

int route53_create_traffic_policy_version(struct aws_call *call, const json_t *in, json_t **ret_out,
                                          struct err *err)
{
    struct creation creation = {.in = in, .id = route53_text(in, "Id")};
    struct traffic_policy policy;
    int rc = traffic_policy_load(call, creation.id, 0, &policy, err); /* before its document */
    return rc == 0 ? create(call, &creation, version_step, ret_out, err) : rc;
}

/* ---- get, comment ---- */

static int64_t version_of(const json_t *in)
{
    return json_integer_value(json_object_get(in, "Version"));
}

int route53_get_traffic_policy(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    struct traffic_policy policy;
    int rc = traffic_policy_load(call, route53_text(in, "Id"), version_of(in), &policy, err);
    return rc == 0 ? route53_answer(
                         json_pack("{s:o}", "TrafficPolicy", traffic_policy_show(policy.tree)),
                         ret_out, err)
                   : rc;
}

struct comment_change {
    const json_t *in;
    json_t *tree;
};

static int comment_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct comment_change *change = state;
    const char *id = route53_text(change->in, "Id");
    const char *key = path_traffic_version(call->arena, id, version_of(change->in));
    const char *comment = route53_text(change->in, "Comment");
    struct store_entry entry;
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return no_such_policy(call, id, version_of(change->in), err);
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &change->tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (comment[0] != '\0') {
        (void)json_object_set_new(change->tree, "Comment", json_string(comment));
    } else {
        (void)json_object_del(change->tree, "Comment"); /* absent is what is wanted */
    }
    store_txn_require_revision(txn, key, entry.changed_revision);
    return route53_put(txn, key, change->tree, err);
}

int route53_update_traffic_policy_comment(struct aws_call *call, const json_t *in, json_t **ret_out,
                                          struct err *err)
{
    struct comment_change change = {.in = in};
    int rc = route53_transact(call, comment_step, &change, err);
    return rc == 0 ? route53_answer(
                         json_pack("{s:o}", "TrafficPolicy", traffic_policy_show(change.tree)),
                         ret_out, err)
                   : rc;
}

/* ---- delete ---- */

struct deletion {
    const json_t *in;
};

/* Sets the head's latest version to the newest that stays, and its type. */
static int find_latest(struct aws_call *call, const char *id, int64_t deleted,
                       struct traffic_policy *policy, struct err *err)
{
    int64_t version = json_integer_value(json_object_get(policy->head, "LatestVersion"));
    if (version != deleted) {
        return 0;
    }
    while (--version > 0) {
        struct traffic_policy other;
        int rc = traffic_policy_load(call, id, version, &other, err);
        if (rc == 0) {
            rc = json_object_set_new(policy->head, "LatestVersion", json_integer(version)) |
                 json_object_set_new(policy->head, "Type", json_string(other.type));
            return rc == 0 ? 0 : err_set(err, ERR_MEMORY, "writing %s", policy->head_key);
        }
        if (call->error_code == NULL) { /* anything but NoSuchTrafficPolicy */
            return rc;
        }
        call->error_code = NULL;
        err_clear(err);
    }
    return err_set(err, ERR_CORRUPT, "%s counts versions that are not there", policy->head_key);
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const struct deletion *deletion = state;
    const char *id = route53_text(deletion->in, "Id");
    int64_t version = version_of(deletion->in);
    struct traffic_policy policy;
    size_t uses = 0;
    int rc = traffic_policy_load(call, id, version, &policy, err);
    if (rc == 0) {
        rc = store_count(service_context(call)->store, path_traffic_uses(call->arena, id, version),
                         &uses, err);
    }
    if (rc == 0 && uses > 0) {
        rc = aws_error(call, err, "TrafficPolicyInUse",
                       "%zu traffic policy instances were created by using version %" PRId64
                       " of the traffic policy %.36s.",
                       uses, version, id);
    }
    if (rc != 0) {
        return rc;
    }
    int64_t count = json_integer_value(json_object_get(policy.head, "TrafficPolicyCount"));
    store_txn_require_revision(txn, policy.head_key, policy.head_revision);
    store_txn_delete(txn, policy.key);
    if (count <= 1) {
        store_txn_delete(txn, policy.head_key);
        store_txn_delete(
            txn, path_reference(call->arena, REFERENCE_KIND, route53_text(policy.head, "Name")));
        return 0;
    }
    (void)json_object_set_new(policy.head, "TrafficPolicyCount", json_integer(count - 1));
    rc = find_latest(call, id, version, &policy, err);
    return rc == 0 ? route53_put(txn, policy.head_key, policy.head, err) : rc;
}

int route53_delete_traffic_policy(struct aws_call *call, const json_t *in, json_t **ret_out,
                                  struct err *err)
{
    struct deletion deletion = {.in = in};
    int rc = route53_transact(call, delete_step, &deletion, err);
    return rc == 0 ? route53_answer(json_object(), ret_out, err) : rc;
}
