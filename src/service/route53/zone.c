/* Hosted zones: create, get, comment, delete. Called as handlers on API threads; trees and strings
 * live in the call's arena.
 *
 * Choices of ours: a name with one label ("internal.") may be a zone, as people run their own name
 * spaces; only the root may not. The SOA's serial stays 1 and changes only when a client changes
 * it, as Route 53's does. The mailbox is hostmaster at the domain of the first name server. All
 * zones share the deployment's four name servers, so a conflict (ConflictingDomainExists) is told
 * by a common reusable delegation set. A deleted zone's caller reference may be used again.
 * Invariant: a zone's records, its r53/name key and its r53/ref key come and go with it, in one
 * transaction; everything that changes a zone or its records compares its record's revision. */
#include "service/route53/zone.h"

#include "base/text.h"
#include "dns/wire/name.h"
#include "model/path.h"
#include "service/route53/handlers.h"
#include "service/route53/secondary.h"
#include "service/route53/signing.h"

#include <errno.h>
#include <string.h>

#define ID_LENGTH 19U /* "/hostedzone/Z..." is a ResourceId too: at most 32 characters */
#define REFERENCE_KIND "zone"
#define SOA_TTL 900
#define NS_TTL 172800
#define SCAN_BATCH 256U

int route53_zone_read(struct aws_call *call, const struct store_entry *entry,
                      struct route53_zone *ret_zone, struct err *err)
{
    struct route53_zone zone = {.key = entry->key, .revision = entry->changed_revision};
    int rc = model_zone_decode(entry->value, entry->size, call->arena, &zone.model, err);
    if (rc == 0) {
        rc = route53_parse(call, entry, &zone.tree, err);
    }
    if (rc == 0) {
        *ret_zone = zone;
    }
    return rc;
}

int route53_zone_load(struct aws_call *call, const char *id, struct route53_zone *ret_zone,
                      struct err *err)
{
    const char *bare = route53_bare_id(id);
    const char *key = path_join(call->arena, PATH_ZONES, bare);
    struct store_entry entry;
    int rc = strlen(bare) > MODEL_ZONE_ID_LIMIT
                 ? -ENOENT
                 : store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        (void)aws_error(call, err, "NoSuchHostedZone", "No hosted zone found with ID: %.64s", bare);
        return -EINVAL;
    }
    return rc == 0 ? route53_zone_read(call, &entry, ret_zone, err) : rc;
}

bool route53_zone_holds(const struct model_zone *zone, const char *name)
{
    uint8_t zone_wire[NAME_WIRE_LIMIT];
    uint8_t wire[NAME_WIRE_LIMIT];
    return name_from_text(zone->name, true, zone_wire) > 0 &&
           name_from_text(name, true, wire) > 0 && name_is_under(wire, zone_wire);
}

json_t *route53_zone_show(const struct model_zone *zone)
{
    return json_pack("{s:s+, s:s, s:s, s:I, s:{s:s*, s:b}}", "Id", "/hostedzone/", zone->id, "Name",
                     zone->name, "CallerReference", zone->caller_reference,
                     "ResourceRecordSetCount", (json_int_t)zone->record_count, "Config", "Comment",
                     zone->comment[0] != '\0' ? zone->comment : NULL, "PrivateZone", 0);
}

json_t *route53_delegation_show(const char *id, const char *caller_reference,
                                const char *const *name_servers, size_t count)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(servers,
                                    json_string(name_servers[i])); /* pack checks servers */
    }
    json_t *set = json_pack("{s:o}", "NameServers", servers);
    if (set != NULL && id[0] != '\0') {
        (void)json_object_set_new(set, "Id", json_sprintf("/delegationset/%s", id));
    }
    if (set != NULL && caller_reference[0] != '\0') {
        (void)json_object_set_new(set, "CallerReference", json_string(caller_reference));
    }
    return set;
}

/* ---- create ---- */

struct creation {
    const json_t *in;
    const char *name; /* canonical */
    struct model_zone zone;
    json_t *change;
};

/* The reusable set that is asked for, or the deployment's name servers. */
static int choose_name_servers(struct aws_call *call, struct store_txn *txn,
                               struct creation *creation, struct err *err)
{
    struct model_zone *zone = &creation->zone;
    const char *id = route53_bare_id(route53_text(creation->in, "DelegationSetId"));
    zone->name_servers = arena_array(call->arena, ROUTE53_NAME_SERVERS, sizeof(char *));
    zone->name_server_count = ROUTE53_NAME_SERVERS;
    if (id[0] == '\0') {
        for (size_t i = 0; i < ROUTE53_NAME_SERVERS; i++) {
            zone->name_servers[i] = service_context(call)->name_servers[i];
        }
        return 0;
    }
    const char *key = path_join(call->arena, PATH_DELEGATIONS, id);
    struct store_entry entry;
    json_t *set = NULL;
    int rc = store_get(service_context(call)->store, key, call->arena, &entry, err);
    if (rc == -ENOENT) {
        return aws_error(call, err, "NoSuchDelegationSet",
                         "A reusable delegation set with the ID %.32s does not exist.", id);
    }
    if (rc == 0) {
        rc = route53_parse(call, &entry, &set, err);
    }
    if (rc != 0) {
        return rc;
    }
    const json_t *servers = json_object_get(set, "NameServers");
    for (size_t i = 0; i < ROUTE53_NAME_SERVERS; i++) {
        const char *server = json_string_value(json_array_get(servers, i));
        zone->name_servers[i] = server != NULL ? server : "";
    }
    zone->delegation_set_id = id;
    /* Written anew, so that a concurrent deletion of the set sees that it has come into use. */
    store_txn_require_revision(txn, key, entry.changed_revision);
    store_txn_put(txn, key, entry.value, entry.size);
    return 0;
}

/* One zone that has the name, a name above it or below it. */
static int judge_neighbour(struct aws_call *call, const struct creation *creation,
                           const char *zone_id, struct err *err)
{
    struct store_entry entry;
    struct model_zone other;
    int rc = store_get(service_context(call)->store, path_join(call->arena, PATH_ZONES, zone_id),
                       call->arena, &entry, err);
    if (rc == -ENOENT) { /* deleted since the index was read */
        err_clear(err);
        return 0;
    }
    if (rc == 0) {
        rc = model_zone_decode(entry.value, entry.size, call->arena, &other, err);
    }
    if (rc == 0 && text_equal(other.delegation_set_id, creation->zone.delegation_set_id)) {
        rc = aws_error(call, err, "ConflictingDomainExists",
                       "Cannot create hosted zone with DelegationSetId %s as the DNSName %.120s "
                       "conflicts with existing ones sharing the delegation set",
                       other.delegation_set_id, creation->name);
    }
    return rc;
}

static int judge_range(struct aws_call *call, const struct creation *creation, const char *prefix,
                       struct err *err)
{
    const char *after = NULL;
    for (;;) {
        struct store_list list;
        int rc = store_range(service_context(call)->store, prefix, after, SCAN_BATCH, call->arena,
                             &list, err);
        for (size_t i = 0; rc == 0 && i < list.count; i++) {
            const char *id = path_tail(call->arena, list.entries[i].key, PATH_ZONE_NAMES);
            rc = id != NULL ? judge_neighbour(call, creation, id, err) : 0;
        }
        if (rc != 0 || !list.more) {
            return rc;
        }
        after = list.entries[list.count - 1].key;
    }
}

/* No zone of the same name, above or below shares the reusable delegation set. */
static int judge_neighbours(struct aws_call *call, const struct creation *creation, struct err *err)
{
    if (creation->zone.delegation_set_id[0] == '\0') {
        return 0;
    }
    const char *reversed = path_reversed_name(call->arena, creation->name);
    int rc =
        judge_range(call, creation, arena_printf(call->arena, PATH_ZONE_NAMES "%s", reversed), err);
    const char *above = strchr(creation->name, '.');
    while (rc == 0 && above != NULL && above[1] != '\0') {
        rc = judge_range(call, creation, path_zone_name(call->arena, above + 1, ""), err);
        above = strchr(above + 1, '.');
    }
    return rc;
}

static int judge_counts(struct aws_call *call, const struct creation *creation, struct err *err)
{
    struct store *store = service_context(call)->store;
    size_t zones = 0;
    size_t same = 0;
    int rc = store_count(store, PATH_ZONES, &zones, err);
    if (rc == 0) {
        rc = store_count(store, path_zone_name(call->arena, creation->name, ""), &same, err);
    }
    if (rc == 0 && zones >= ROUTE53_ZONES_LIMIT) {
        rc = aws_error(
            call, err, "TooManyHostedZones",
            "Limits Exceeded: MAX_HOSTED_ZONES_BY_OWNER - Cannot create more hosted zones.");
    }
    if (rc == 0 && same >= ROUTE53_ZONES_BY_NAME_LIMIT) {
        rc = aws_error(call, err, "DelegationSetNotAvailable",
                       "There are already %u hosted zones with the name %.120s",
                       ROUTE53_ZONES_BY_NAME_LIMIT, creation->name);
    }
    return rc;
}

static int put_apex_record(struct aws_call *call, struct store_txn *txn,
                           const struct model_zone *zone, const char *type, int ttl,
                           json_t *take_values, struct err *err)
{
    json_t *record = route53_keep(call, json_pack("{s:i, s:s, s:s, s:i, s:o}", "v", MODEL_VERSION,
                                                  "Name", zone->name, "Type", type, "TTL", ttl,
                                                  "ResourceRecords", take_values));
    return route53_put(txn, path_record(call->arena, zone->id, zone->name, type, ""), record, err);
}

static int put_apex(struct aws_call *call, struct store_txn *txn, const struct model_zone *zone,
                    struct err *err)
{
    json_t *servers = json_array();
    for (size_t i = 0; i < zone->name_server_count; i++) {
        const char *server = zone->name_servers[i];
        (void)json_array_append_new(
            servers, json_pack("{s:o}", "Value",
                               json_sprintf("%s%s", server, text_ends(server, ".") ? "" : ".")));
    }
    const char *first = zone->name_servers[0];
    const char *dot = strchr(first, '.');
    const char *domain = dot != NULL && dot[1] != '\0' ? dot + 1 : first;
    json_t *soa = json_pack("[{s:o}]", "Value",
                            json_sprintf("%s%s hostmaster.%s%s 1 7200 900 1209600 86400", first,
                                         text_ends(first, ".") ? "" : ".", domain,
                                         text_ends(domain, ".") ? "" : "."));
    int rc = put_apex_record(call, txn, zone, "NS", NS_TTL, servers, err);
    if (rc == 0) {
        rc = put_apex_record(call, txn, zone, "SOA", SOA_TTL, soa, err);
    } else {
        json_decref(soa);
    }
    return rc;
}

static int create_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct creation *creation = state;
    const char *reference = route53_text(creation->in, "CallerReference");
    creation->zone = (struct model_zone){
        .id = route53_new_id(call, 'Z', ID_LENGTH),
        .name = creation->name,
        .caller_reference = reference,
        .delegation_set_id = "",
        .comment = route53_text(json_object_get(creation->in, "HostedZoneConfig"), "Comment"),
        .record_count = 2,
        .created_s = call->now.ns / TIME_S,
    };
    const char *reference_key = path_reference(call->arena, REFERENCE_KIND, reference);
    struct store_entry existing;
    int rc = route53_check_key(call, reference_key, "CallerReference", err);
    if (rc != 0) {
        return rc;
    }
    rc = store_get(service_context(call)->store, reference_key, call->arena, &existing, err);
    if (rc == 0) {
        return aws_error(
            call, err, "HostedZoneAlreadyExists",
            "A hosted zone has already been created with the specified caller reference.");
    }
    if (rc != -ENOENT) {
        return rc;
    }
    err_clear(err);
    rc = choose_name_servers(call, txn, creation, err);
    if (rc == 0) {
        rc = judge_neighbours(call, creation, err);
    }
    if (rc == 0) {
        rc = judge_counts(call, creation, err);
    }
    if (rc == 0) {
        rc = put_apex(call, txn, &creation->zone, err);
    }
    if (rc != 0) {
        return rc;
    }
    const char *key = path_join(call->arena, PATH_ZONES, creation->zone.id);
    store_txn_require_absent(txn, key);
    store_txn_require_absent(txn, reference_key);
    rc = route53_put(txn, key, route53_keep(call, model_zone_encode(&creation->zone)), err);
    if (rc == 0) {
        rc = route53_put(
            txn, reference_key,
            route53_keep(call, json_pack("{s:i, s:s}", "v", 1, "Id", creation->zone.id)), err);
    }
    store_txn_put(txn, path_zone_name(call->arena, creation->name, creation->zone.id), "{\"v\":1}",
                  strlen("{\"v\":1}"));
    return rc == 0 ? route53_change_put(call, txn, "", &creation->change, err) : rc;
}

int route53_create_hosted_zone(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    const char *name = route53_text(in, "Name");
    char canonical[NAME_TEXT_LIMIT];
    if (json_object_get(in, "VPC") != NULL ||
        json_is_true(json_object_get(json_object_get(in, "HostedZoneConfig"), "PrivateZone"))) {
        return aws_error(call, err, "InvalidInput",
                         "Private hosted zones are not offered: Leeward serves public zones only");
    }
    if (name_canonical(name, canonical) != 0 || text_equal(canonical, ".")) {
        return aws_error(call, err, "InvalidDomainName", "%.150s is not a valid domain name", name);
    }
    struct creation creation = {.in = in, .name = arena_strdup(call->arena, canonical)};
    /* With an id as long as ours: a name of many escaped characters may not fit into a key. */
    const char *id = route53_new_id(call, 'Z', ID_LENGTH);
    if (strlen(path_record(call->arena, id, canonical, "NAPTR", "")) > STORE_KEY_LIMIT) {
        return aws_error(call, err, "InvalidDomainName", "%.150s is too long when it is escaped",
                         name);
    }
    int rc = route53_transact(call, create_step, &creation, err);
    if (rc != 0) {
        return rc;
    }
    const struct model_zone *zone = &creation.zone;
    json_t *set = route53_delegation_show(zone->delegation_set_id, "", zone->name_servers,
                                          zone->name_server_count);
    return route53_answer(json_pack("{s:o, s:O, s:o, s:o}", "HostedZone", route53_zone_show(zone),
                                    "ChangeInfo", creation.change, "DelegationSet", set, "Location",
                                    json_sprintf("/2013-04-01/hostedzone/%s", zone->id)),
                          ret_out, err);
}

/* ---- get ---- */

int route53_get_hosted_zone(struct aws_call *call, const json_t *in, json_t **ret_out,
                            struct err *err)
{
    struct route53_zone zone;
    int rc = route53_zone_load(call, route53_text(in, "Id"), &zone, err);
    if (rc != 0) {
        return rc;
    }
    json_t *set = route53_delegation_show(zone.model.delegation_set_id, "", zone.model.name_servers,
                                          zone.model.name_server_count);
    return route53_answer(
        json_pack("{s:o, s:o}", "HostedZone", route53_zone_show(&zone.model), "DelegationSet", set),
        ret_out, err);
}

/* ---- comment ---- */

struct comment_change {
    const json_t *in;
    struct route53_zone zone;
};

static int comment_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct comment_change *change = state;
    int rc = route53_zone_load(call, route53_text(change->in, "Id"), &change->zone, err);
    if (rc != 0) {
        return rc;
    }
    const char *comment = route53_text(change->in, "Comment");
    if (comment[0] != '\0') {
        (void)json_object_set_new(change->zone.tree, "Comment", json_string(comment));
    } else {
        (void)json_object_del(change->zone.tree, "Comment"); /* absent is what is wanted */
    }
    change->zone.model.comment = comment;
    store_txn_require_revision(txn, change->zone.key, change->zone.revision);
    return route53_put(txn, change->zone.key, change->zone.tree, err);
}

int route53_update_hosted_zone_comment(struct aws_call *call, const json_t *in, json_t **ret_out,
                                       struct err *err)
{
    struct comment_change change = {.in = in};
    int rc = route53_transact(call, comment_step, &change, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:o}", "HostedZone", route53_zone_show(&change.zone.model)),
                          ret_out, err);
}

/* ---- delete ---- */

struct deletion {
    const char *id;
    json_t *change;
};

/* Nothing but the SOA and NS of the apex. */
static int judge_empty(struct aws_call *call, const struct model_zone *zone, struct err *err)
{
    struct store_list list;
    int rc = store_range(service_context(call)->store, path_zone_records(call->arena, zone->id),
                         NULL, 3, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    const char *soa = path_record(call->arena, zone->id, zone->name, "SOA", "");
    const char *ns = path_record(call->arena, zone->id, zone->name, "NS", "");
    for (size_t i = 0; i < list.count; i++) {
        if (!text_equal(list.entries[i].key, soa) && !text_equal(list.entries[i].key, ns)) {
            return aws_error(call, err, "HostedZoneNotEmpty",
                             "The specified hosted zone contains non-required resource record sets "
                             "and so cannot be deleted.");
        }
    }
    return 0;
}

static int delete_step(struct aws_call *call, struct store_txn *txn, void *state, struct err *err)
{
    struct deletion *deletion = state;
    struct route53_zone zone;
    bool secondary = false; /* then its records are all at its primary */
    int rc = route53_zone_load(call, deletion->id, &zone, err);
    rc = rc != 0 ? rc : route53_secondary_find(call, txn, zone.model.id, &secondary, err);
    if (rc == 0 && !secondary) {
        rc = judge_empty(call, &zone.model, err);
    }
    rc = rc != 0 ? rc : route53_signing_delete_zone(call, txn, &zone, err);
    if (rc != 0) {
        return rc;
    }
    const char *id = zone.model.id;
    store_txn_require_revision(txn, zone.key, zone.revision);
    store_txn_delete(txn, zone.key);
    store_txn_delete(txn, path_zone_name(call->arena, zone.model.name, id));
    store_txn_delete(txn, path_reference(call->arena, REFERENCE_KIND, zone.model.caller_reference));
    store_txn_delete(txn, path_tags(call->arena, "hostedzone", id));
    store_txn_delete_prefix(txn, path_zone_records(call->arena, id));
    route53_secondary_forget(call, txn, id);
    return route53_change_put(call, txn, "", &deletion->change, err);
}

int route53_delete_hosted_zone(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    struct deletion deletion = {.id = route53_text(in, "Id")};
    int rc = route53_transact(call, delete_step, &deletion, err);
    if (rc != 0) {
        return rc;
    }
    return route53_answer(json_pack("{s:O}", "ChangeInfo", deletion.change), ret_out, err);
}
