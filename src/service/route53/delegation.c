/* Reusable delegation sets. Called as handlers on API threads. A deployment has one set of name
 * servers, so every reusable set has those (or those of the zone it is made from); it tells zones
 * that share it apart from those that do not, as clients expect. Invariant: a set is deleted only
 * while no zone uses it: whoever puts a zone on a set writes the set anew, a deletion compares its
 * revision. */
#include "base/text.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/zone.h"

#include <errno.h>
#include <string.h>

#define ID_LENGTH 16U /* "/delegationset/N..." is a ResourceId too: at most 32 characters */
#define REFERENCE_KIND "delegation"
#define SCAN_BATCH 256U

static json_t *show(const json_t *set)
{
    const char *servers[ROUTE53_NAME_SERVERS] = {"", "", "", ""};
    const json_t *list = json_object_get(set, "NameServers");
    for (size_t i = 0; i < ROUTE53_NAME_SERVERS && i < json_array_size(list); i++) {
        const char *server = json_string_value(json_array_get(list, i));
        servers[i] = server != NULL ? server : "";
    }
    return route53_delegation_show(route53_text(set, "Id"), route53_text(set, "CallerReference"),
                                   servers, ROUTE53_NAME_SERVERS);
}

static int load(struct aws_call *call, const char *id, struct store_entry *ret_entry,
                json_t **ret_set, struct err *err)
{
    const char *bare = route53_bare_id(id);
    int rc = bare[0] == '\0' || strlen(bare) > MODEL_ZONE_ID_LIMIT
                 ? -ENOENT
                 : store_get(service_context(call)->store,
                             path_join(call->arena, PATH_DELEGATIONS, bare), call->arena, ret_entry,
                             err);
    if (rc == -ENOENT) {
        (void)aws_error(call, err, "NoSuchDelegationSet",
                        "A reusable delegation set with the ID %.32s does not exist.", bare);
        return -EINVAL;
    }
    return rc == 0 ? route53_parse(call, ret_entry, ret_set, err) : rc;
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    json_t *set; /* kept */
};

/* Marks the name servers of a zone as reusable: the zone uses the new set from now on. */
static int take_zone(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                     const char *set_id, json_t *servers, struct err *err)
{
    struct route53_zone zone;
    int rc = route53_zone_load(call, zone_id, &zone, err);
    if (rc != 0 && call->error_code != NULL) {
        return aws_error(call, err, "HostedZoneNotFound", "No hosted zone found with ID: %.64s",
                         route53_bare_id(zone_id));
    }
    if (rc != 0) {
        return rc;
    }
    if (zone.model.delegation_set_id[0] != '\0') {
        return aws_error(call, err, "DelegationSetAlreadyReusable",
                         "The delegation set of hosted zone %.32s is already reusable.",
                         zone.model.id);
    }
    for (size_t i = 0; i < zone.model.name_server_count; i++) {
        (void)json_array_append_new(servers, json_string(zone.model.name_servers[i]));
    }
    (void)json_object_set_new(zone.tree, "DelegationSetId", json_string(set_id));
    store_txn_require_revision(txn, zone.key, zone.revision);
    return route53_put(txn, zone.key, zone.tree, err);
}

static int judge_new(struct aws_call *call, const char *reference_key, struct err *err)
{
    struct store *store = service_context(call)->store;
    struct store_entry entry;
    size_t count = 0;
    int rc = route53_check_key(call, reference_key, "CallerReference", err);
    if (rc != 0) {
        return rc;
    }
    rc = store_get(store, reference_key, call->arena, &entry, err);
    if (rc == 0) {
        return aws_error(
            call, err, "DelegationSetAlreadyCreated",
            "A delegation set with the same caller reference has already been created.");
    }
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = store_count(store, PATH_DELEGATIONS, &count, err);
    if (rc == 0 && count >= ROUTE53_DELEGATION_SETS_LIMIT) {
        rc =
            aws_error(call, err, "LimitsExceeded",
                      "Limits Exceeded: MAX_REUSABLE_DELEGATION_SETS_BY_OWNER - Cannot create more "
                      "reusable delegation sets.");
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    const char *reference = route53_text(creation->in, "CallerReference");
    const char *zone_id = route53_text(creation->in, "HostedZoneId");
    const char *reference_key = path_reference(call->arena, REFERENCE_KIND, reference);
    const char *id = route53_new_id(call, 'N', ID_LENGTH);
    json_t *servers = route53_keep(call, json_array());
    int rc = judge_new(call, reference_key, err);
    if (rc == 0 && zone_id[0] != '\0') {
        rc = take_zone(call, txn, zone_id, id, servers, err);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = json_array_size(servers); i < ROUTE53_NAME_SERVERS; i++) {
        (void)json_array_append_new(servers, json_string(service_context(call)->name_servers[i]));
    }
    creation->set =
        route53_keep(call, json_pack("{s:i, s:s, s:s, s:O}", "v", 1, "Id", id, "CallerReference",
                                     reference, "NameServers", servers));
    const char *key = path_join(call->arena, PATH_DELEGATIONS, id);
    store_txn_require_absent(txn, key);
    store_txn_require_absent(txn, reference_key);
    rc = route53_put(txn, key, creation->set, err);
    if (rc == 0) {
        rc = route53_put(txn, reference_key,
                         route53_keep(call, json_pack("{s:i, s:s}", "v", 1, "Id", id)), err);
    }
    return rc;
}

int route53_create_reusable_delegation_set(struct aws_call *call, const json_t *in,
                                           json_t **ret_out, struct err *err)
{
    struct creation creation = {.in = in};
    int rc = route53_transact(call, create_step, &creation, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(
        json_pack("{s:o, s:o}", "DelegationSet", show(creation.set), "Location",
                  json_sprintf("/2013-04-01/delegationset/%s", route53_text(creation.set, "Id"))),
        ret_out, err);
}

/* ---- get, list ---- */

int route53_get_reusable_delegation_set(struct aws_call *call, const json_t *in, json_t **ret_out,
                                        struct err *err)
{
    struct store_entry entry;
    json_t *set = NULL;
    int rc = load(call, route53_text(in, "Id"), &entry, &set, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:o}", "DelegationSet", show(set)), ret_out, err);
}

int route53_list_reusable_delegation_sets(struct aws_call *call, const json_t *in, json_t **ret_out,
                                          struct err *err)
{
    return route53_list_by_id(call, in, PATH_DELEGATIONS, "DelegationSets", show, ret_out, err);
}

/* ---- delete ---- */

static int judge_zones(struct aws_call *call, const struct store_list *list, const char *id,
                       struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct store_entry *entry = &list->entries[i];
        struct model_zone zone;
        if (memmem(entry->value, entry->size, id, strlen(id)) == NULL) { /* most are passed here */
            continue;
        }
        int rc = model_zone_decode(entry->value, entry->size, call->arena, &zone, err);
        if (rc == 0 && text_equal(zone.delegation_set_id, id)) {
            rc = aws_error(call, err, "DelegationSetInUse",
                           "The delegation set %.32s is in use by the hosted zone %.32s.", id,
                           zone.id);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int judge_unused(struct aws_call *call, const char *id, struct err *err)
{
    const char *after = NULL;
    for (;;) {
        struct store_list list;
        struct arena arena CLEANUP(arena_done);
        arena_init(&arena, 0);
        int rc = store_range(service_context(call)->store, PATH_ZONES, after, SCAN_BATCH, &arena,
                             &list, err);
        if (rc == 0) {
            rc = judge_zones(call, &list, id, err);
        }
        if (rc != 0 || !list.more) {
            return rc;
        }
        after = arena_strdup(call->arena, list.entries[list.count - 1].key);
    }
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    const char *id = state;
    struct store_entry entry;
    json_t *set = NULL;
    int rc = load(call, id, &entry, &set, err);
    if (rc == 0) {
        rc = judge_unused(call, route53_text(set, "Id"), err);
    }
    if (rc != 0) {
        return rc;
    }
    store_txn_require_revision(txn, entry.key, entry.changed_revision);
    store_txn_delete(txn, entry.key);
    store_txn_delete(
        txn, path_reference(call->arena, REFERENCE_KIND, route53_text(set, "CallerReference")));
    return 0;
}

int route53_delete_reusable_delegation_set(struct aws_call *call, const json_t *in,
                                           json_t **ret_out, struct err *err)
{
    char *id = arena_strdup(call->arena, route53_text(in, "Id"));
    int rc = route53_transact(call, delete_step, id, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_object(), ret_out, err);
}
