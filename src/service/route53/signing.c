/* A zone's DNSSEC state: see signing.h. Called by the DNSSEC handlers and DeleteHostedZone on API
 * threads. Invariant: every change of a zone's keys puts its DNSSEC record anew and compares the
 * revision that was read. */
#include "service/route53/signing.h"

#include "base/text.h"
#include "dns/sign/sign.h"
#include "model/path.h"
#include "service/route53/signing_key.h"

#include <errno.h>
#include <string.h>

#define KEYS_READ 16U /* more than a zone may have */

static int load_keys(struct aws_call *call, struct route53_signing *signing, struct err *err)
{
    struct store_list list;
    const char *prefix = path_signing_keys(call->arena, signing->zone.model.id);
    int rc =
        store_range(service_context(call)->store, prefix, NULL, KEYS_READ, call->arena, &list, err);
    if (rc != 0) {
        return rc;
    }
    signing->keys = arena_array(call->arena, list.count, sizeof *signing->keys);
    for (size_t i = 0; i < list.count && rc == 0; i++) {
        const struct store_entry *entry = &list.entries[i];
        rc = model_signing_key_decode(entry->value, entry->size, call->arena,
                                      &signing->keys[signing->count++], err);
    }
    return rc;
}

int route53_signing_load(struct aws_call *call, const char *zone_id,
                         struct route53_signing *ret_signing, struct err *err)
{
    struct route53_signing signing = {.revision = 0};
    struct store_entry entry;
    int rc = route53_zone_load(call, zone_id, &signing.zone, err);
    if (rc != 0) {
        return rc;
    }
    signing.key = path_join(call->arena, PATH_DNSSEC, signing.zone.model.id);
    rc = store_get(service_context(call)->store, signing.key, call->arena, &entry, err);
    if (rc == 0) {
        signing.revision = entry.changed_revision;
        rc = model_dnssec_decode(entry.value, entry.size, &signing.dnssec, err);
    } else if (rc == -ENOENT) {
        err_clear(err);
        rc = 0;
    }
    rc = rc != 0 ? rc : load_keys(call, &signing, err);
    if (rc == 0) {
        *ret_signing = signing;
    }
    return rc;
}

int route53_signing_touch(struct aws_call *call, struct store_txn *txn,
                          const struct route53_signing *signing, bool signing_now, struct err *err)
{
    struct model_dnssec dnssec = {.signing = signing_now,
                                  .modified_s = call->now.ns / TIME_S,
                                  .stored = signing->dnssec.stored};
    store_txn_require_present(txn, signing->zone.key);
    store_txn_require_revision(txn, signing->key, signing->revision);
    return route53_put(txn, signing->key, route53_keep(call, model_dnssec_encode(&dnssec)), err);
}

int route53_signing_put(struct aws_call *call, struct store_txn *txn, const char *zone_id,
                        const struct model_signing_key *key, struct err *err)
{
    return route53_put(txn, signing_key_place(call->arena, zone_id, key),
                       route53_keep(call, model_signing_key_encode(key)), err);
}

int route53_signing_make(struct aws_call *call, const struct model_zone *zone, const char *name,
                         struct model_signing_key *ret_key, struct err *err)
{
    return signing_key_make(service_context(call)->seal, call->arena, call->now, zone->id,
                            name[0] != '\0' ? zone->name : "", name, ret_key, err);
}

bool route53_signing_opens(struct aws_call *call, const char *zone_id,
                           const struct model_signing_key *key)
{
    struct err ignored = ERR_INIT; /* the feed logs why */
    struct seal_data data;
    return seal_unwrap(service_context(call)->seal, signing_key_place(call->arena, zone_id, key),
                       key->sealed, call->arena, &data, &ignored) == 0;
}

/* ---- DS records in zones above ---- */

const char *route53_signing_ds(struct aws_call *call, const struct model_signing_key *key)
{
    return arena_printf(call->arena, "%u %u %u %s", key->tag, SIGN_ALGORITHM, SIGN_DIGEST,
                        key->digest);
}

/* Blanks of any number, letters of any case, a digest in several words. */
static bool same_ds(struct aws_call *call, const char *value, const char *ds)
{
    char *text = arena_alloc(call->arena, strlen(value) + 4);
    char *end = text;
    unsigned words = 0;
    for (const char *at = value + strspn(value, " \t"); *at != '\0'; words++) {
        size_t length = strcspn(at, " \t");
        if (words >= 1 && words <= 3) {
            *end++ = ' ';
        }
        (void)memcpy(end, at, length);
        end += length;
        at += length + strspn(at + length, " \t");
    }
    return text_equal_nocase(text, ds);
}

static int record_has(struct aws_call *call, const char *path, const char *ds, bool *ret_found,
                      struct err *err)
{
    struct store_entry entry;
    json_t *record = NULL;
    int rc = store_get(service_context(call)->store, path, call->arena, &entry, err);
    if (rc == -ENOENT) {
        err_clear(err);
        return 0;
    }
    rc = rc != 0 ? rc : route53_parse(call, &entry, &record, err);
    if (rc != 0) {
        return rc;
    }
    size_t i = 0;
    json_t *value = NULL;
    json_array_foreach(json_object_get(record, "ResourceRecords"), i, value)
    {
        *ret_found = *ret_found || same_ds(call, route53_text(value, "Value"), ds);
    }
    return 0;
}

/* In every zone of that name. */
static int zones_have(struct aws_call *call, const char *parent, const char *name, const char *ds,
                      bool *ret_found, struct err *err)
{
    struct store_list list;
    const char *prefix = path_zone_name(call->arena, parent, "");
    int rc =
        store_range(service_context(call)->store, prefix, NULL, KEYS_READ, call->arena, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *id = path_tail(call->arena, list.entries[i].key, PATH_ZONE_NAMES);
        if (id != NULL) {
            rc = record_has(call, path_record(call->arena, id, name, "DS", ""), ds, ret_found, err);
        }
    }
    return rc;
}

int route53_signing_in_parent(struct aws_call *call, const struct model_zone *zone,
                              const struct model_signing_key *key, bool *ret_found, struct err *err)
{
    const char *ds = route53_signing_ds(call, key);
    bool found = false;
    int rc = 0;
    /* Canonical text never has a dot inside a label. */
    for (const char *dot = strchr(zone->name, '.'); rc == 0 && dot != NULL && dot[1] != '\0';
         dot = strchr(dot + 1, '.')) {
        rc = zones_have(call, dot + 1, zone->name, ds, &found, err);
    }
    if (rc == 0) {
        *ret_found = found;
    }
    return rc;
}

/* ---- the zone goes ---- */

int route53_signing_delete_zone(struct aws_call *call, struct store_txn *txn,
                                const struct route53_zone *zone, struct err *err)
{
    struct route53_signing signing;
    int rc = route53_signing_load(call, zone->model.id, &signing, err);
    if (rc != 0) {
        return rc;
    }
    if (signing.count != 0) {
        return aws_error(call, err, "HostedZoneNotEmpty",
                         "The specified hosted zone contains DNSSEC Key Signing Keys and so cannot "
                         "be deleted.");
    }
    store_txn_require_revision(txn, signing.key, signing.revision);
    store_txn_delete(txn, signing.key);
    store_txn_delete_prefix(txn, path_zone_keys(call->arena, zone->model.id));
    return 0;
}
